"""Wald and profile intervals equal lme4's, those of draws are those of tidy."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

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


OF_STRUCTURES = json.loads((DATA / "r" / "structures_profiles.json").read_text())  # by structures_profiles.R


@pytest.mark.parametrize("answer", OF_STRUCTURES, ids=lambda answer: f"{answer['data']} {answer['structure']}")
def test_profiles_of_structures_are_those_of_glmmtmb(answer):
    """To four digits, which both searches for an end have; a row for each SD and pair, by powers of rho for ar1()."""
    formula = f"{answer['fixed']} + {answer['structure']}(0 + {answer['by']} | {answer['group']})"
    rows = pd.read_csv(DATA / "r" / "textbook" / f"{answer['data']}.csv")
    method = "ml" if answer["family"] == "gaussian" else "laplace"
    fit = sf.fit(sf.Model(formula, rows, family=answer["family"]), method=method)
    found = sf.confint(fit, method="profile", ci_prob=0.95).set_index("term")[["conf_low", "conf_high"]]
    sds, correlations = found.filter(like="sd__" + answer["by"], axis=0), found.filter(like="cor__", axis=0)
    k = len(sds)
    np.testing.assert_allclose(sds, np.broadcast_to(answer["sds"], (k, 2)), rtol=2e-4)
    first, second = np.triu_indices(k, 1)
    powers = (second - first if answer["structure"] == "ar1" else np.ones(len(first)))[:, None]
    np.testing.assert_allclose(correlations, np.array(answer["rho"]) ** powers, atol=1e-4)
    assert np.isfinite(found.to_numpy()).all()


def test_powers_of_a_correlation_that_may_be_zero():
    rows = pd.read_csv(DATA / "r" / "textbook" / "Machines.csv")
    rows["score"] = np.random.default_rng(1).normal(size=len(rows))
    fit = sf.lmer("score ~ 1 + ar1(0 + Machine | Worker)", rows, method="ml")
    found = sf.confint(fit, method="profile").set_index("term").filter(like="cor__", axis=0)
    near, far, _ = found[["conf_low", "conf_high"]].to_numpy(float)
    assert near[0] < 0 < near[1]
    assert far == pytest.approx([0.0, max(near**2)])


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
        "Fits with draws have 'posterior' intervals, fits by maximum likelihood 'wald', 'profile' and 'boot'.\n"
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


# confint(glmer(...), method = "profile", oldNames = FALSE) by lme4 1.1-31, its rows in this order.
GLMER_PROFILES = [
    ("cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial", 1,
     [[0.3460732, 1.09997465], [-1.9012120, -0.94775401], [-1.6167833, -0.40776307], [-1.8010244, -0.51153607],
      [-2.5007506, -0.80075532]]),
    ("cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial", 10,
     [[0.34880176, 1.11129546], [-1.90468412, -0.94621340], [-1.61608364, -0.40661080], [-1.80040815, -0.51044984],
      [-2.50019188, -0.79959199]]),
    ("c ~ x + offset(o) + (x | g)", "poisson", 1,
     [[0.668012553, 1.31377915], [0.232679847, 0.53920214], [-0.054054826, 0.82467890], [-0.002972311, 0.86884232],
      [0.205312312, 0.59502208]]),
    ("b ~ x + (1 | g) + (1 | h)", "bernoulli", 1,
     [[0.99731486, 2.58296969], [0.0, 1.23950983], [-1.16030222, 0.69687133], [0.80188418, 1.70997032]]),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "family", "nodes", "expected"), GLMER_PROFILES)
def test_profile_intervals_of_laplace_and_quadrature_are_those_of_glmer(formula, family, nodes, expected, shared_data):
    """A hundredth of an interval's width: lme4 interpolates its profile by a spline."""
    if "herd" in formula:
        table = pd.read_csv(shared_data / "lme4" / "cbpp.csv", dtype={"herd": str, "period": str})
    else:
        table = pd.read_csv(DATA / "laplace" / "responses.csv")
    found = sf.confint(sf.glmer(formula, table, family=family, method="laplace", nAGQ=nodes), "profile")
    width = np.diff(expected)
    np.testing.assert_allclose((found[["conf_low", "conf_high"]].to_numpy(float) - expected) / width, 0, atol=0.01)
    assert found.attrs["interval"] == "95% profile interval"


@pytest.mark.parametrize(
    ("response", "family"),
    [("level", "cumulative"), ("zinb", "zero_inflated_negativebinomial"), ("t", "t"), ("lnorm", "lognormal")],
)
def test_at_the_ends_of_a_profile_a_fit_with_the_effect_held_is_as_unlikely_as_meant(response, family):
    """The effect is held by an offset, and the fit's own search, with its own start, maximises over all others."""
    table = pd.read_csv(DATA / "laplace" / "families.csv")
    table["level"] = pd.Categorical(table["level"], ordered=True)
    fit = sf.glmer(f"{response} ~ x + (1 | g)", table, family=family, method="laplace")
    found = sf.confint(fit, "profile", ci_prob=0.9).set_index("term")
    assert len(found) == len(sf.confint(fit))
    for end in found.loc["x", ["conf_low", "conf_high"]]:
        held = sf.glmer(f"{response} ~ offset({end:.15g} * x) + (1 | g)", table, family=family, method="laplace")
        assert held.deviance - fit.deviance == pytest.approx(stats.chi2.ppf(0.9, 1), abs=1e-3)


def test_a_profile_of_three_correlated_effects_is_refused():
    table = pd.read_csv(DATA / "laplace" / "responses.csv")
    fit = sf.glmer("c ~ x + o + (x + o | g)", table, family="poisson", method="laplace")
    with pytest.raises(sf.SpecletError) as caught:
        sf.confint(fit, "profile")
    assert str(caught.value) == (
        "this fit has no profile intervals: 'g' has three correlated effects or more.\n"
        "Profiles are of fits with at most two freely correlated effects in a block.\n"
        "Write method='wald', or fit the model with draws, which have intervals of every parameter."
    )


def test_a_profile_has_no_interval_of_a_dropped_column():
    table = pd.read_csv(DATA / "laplace" / "responses.csv").assign(twice=lambda d: 2 * d["x"])
    found = sf.confint(sf.glmer("c ~ x + twice + (1 | g)", table, family="poisson", method="laplace"), "profile")
    ends = found.set_index("term")[["conf_low", "conf_high"]]
    assert ends.loc["twice"].isna().all()
    assert ends.drop("twice").notna().all(axis=None)
