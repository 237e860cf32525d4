"""Intervals equal lme4's and those of tidy."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.fakes import correlated_fit
from tests.rdata import FOLDER, answers, fit_of

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.mark.parametrize("name", ["intercept", "slope", "crossed", "poisson", "binomial"])
def test_wald_intervals_are_those_of_lme4(name):
    """A thousandth of an interval's width."""
    found = sf.confint(fit_of(name), ci_prob=0.9)
    fixed = found[found["effect"] == "fixed"]
    expected = pd.DataFrame(answers(name)["wald"])
    width = (expected["high"] - expected["low"]).to_numpy()
    assert (np.abs(fixed["conf_low"].to_numpy() - expected["low"]) < 2e-3 * width).all()
    assert (np.abs(fixed["conf_high"].to_numpy() - expected["high"]) < 2e-3 * width).all()
    assert found.attrs["interval"] == "90% Wald interval"


def test_intervals_of_draws_are_those_of_tidy_variances_first():
    fit = correlated_fit()
    found = sf.confint(fit, ci_prob=0.8, ci_kind="eti")
    assert found["term"].to_list() == [
        "sd__Intercept", "sd__Days", "cor__Intercept.Days", "sd__Observation", "Intercept", "Days",
    ]  # fmt: skip
    draws = fit.idata["posterior"]["sigma"].values.ravel()
    np.testing.assert_allclose(found.loc[3, ["conf_low", "conf_high"]].astype(float), np.quantile(draws, [0.1, 0.9]))
    assert found.attrs["interval"] == "80% equal-tailed interval"


def test_a_method_that_a_fit_has_not_is_refused():
    with pytest.raises(sf.SpecletError) as caught:
        sf.confint(correlated_fit(draws=5), "wald")
    assert str(caught.value) == (
        "this fit has no intervals by method='wald'.\n"
        "Fits with draws have 'posterior' intervals, fits by maximum likelihood 'wald' and 'profile'.\n"
        "Write method='posterior', or leave it out."
    )


@pytest.mark.parametrize("name", ["intercept", "slope", "crossed"])
@pytest.mark.mostly_slow("intercept")
def test_profile_intervals_are_those_of_lme4(name):
    """A hundredth of an interval's width: lme4 interpolates its profile by a spline."""
    found = sf.confint(fit_of(name), "profile", ci_prob=0.9)
    expected = pd.DataFrame(answers(name)["profile"])
    if name == "slope":  # lme4 has the correlation between the two standard deviations
        expected = expected.iloc[[0, 2, 1, *range(3, len(expected))]].reset_index(drop=True)
    width = (expected["high"] - expected["low"]).to_numpy()
    assert (np.abs(found["conf_low"].to_numpy() - expected["low"]) < 0.01 * width).all()
    assert (np.abs(found["conf_high"].to_numpy() - expected["high"]) < 0.01 * width).all()
    assert found.attrs["interval"] == "90% profile interval"


PROFILES = json.loads((DATA / "correlation_profiles.json").read_text())


@pytest.mark.parametrize(
    "number", [number if int(number) % 4 == 1 else pytest.param(number, marks=pytest.mark.slow) for number in PROFILES]
)
@pytest.mark.mostly_slow("1")
def test_profile_intervals_of_correlations_are_those_of_brute_force(number):
    """Small fits, most of them nearly flat in the correlation; `correlation_profiles.py` made both files.

    A standard deviation whose sign changes makes the opposite correlation of one that is held.
    """
    table = pd.read_csv(DATA / "correlation_profiles.csv").query(f"fit == {number}")
    found = sf.confint(sf.lmer("y ~ x + (x | g)", table, method="ml"), "profile", ci_prob=0.95).set_index("term")
    ends = found.loc["cor__Intercept.x", ["conf_low", "conf_high"]].to_numpy(dtype=float)
    np.testing.assert_allclose(ends, PROFILES[number], atol=2e-3)


@pytest.mark.slow
def test_a_profile_of_a_weighted_fit_is_that_of_refits():
    """R's `lmer` was fitted again with the slope held at many values, weights 0.5, 1, 1.5 and 2 in turn.

    lme4's own `confint` cannot be the oracle: its profile of fixed effects loses the weights (1.1-31).
    """
    data = pd.read_csv(FOLDER / "odd_formulas.csv")
    data["w"] = 0.5 + np.arange(1, len(data) + 1) % 4 / 2
    found = sf.confint(sf.lmer("y ~ x + (1 | g)", data, weights="w", method="ml"), "profile", ci_prob=0.9)
    slope = found.set_index("term").loc["x", ["conf_low", "conf_high"]].to_numpy(dtype=float)
    np.testing.assert_allclose(slope, [0.6684331827, 0.9987238571], rtol=1e-5)


def test_a_profile_that_stays_low_ends_at_zero():
    """Nothing varies between these groups beyond chance, by construction."""
    data = pd.DataFrame({"y": np.tile([1.0, 2.0, 4.0, 3.0], 6), "g": np.repeat(list("abcdef"), 4)})
    found = sf.confint(sf.lmer("y ~ 1 + (1 | g)", data, method="ml"), "profile").set_index("term")
    assert found.loc["sd__Intercept", "conf_low"] == 0
    assert 0 < found.loc["sd__Intercept", "conf_high"] < 1
    assert found.loc["Intercept", "conf_low"] < 2.5 < found.loc["Intercept", "conf_high"]


def test_a_fit_by_laplace_has_no_profile():
    with pytest.raises(sf.SpecletError) as caught:
        sf.confint(fit_of("poisson"), "profile")
    assert str(caught.value) == (
        "this fit has no profile intervals: it is by Laplace's approximation.\n"
        "Profiles are of gaussian fits by 'reml' or 'ml' with at most two correlated effects in a block.\n"
        "Write method='wald', or fit the model with draws, which have intervals of every parameter."
    )
