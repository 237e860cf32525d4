"""Intervals equal lme4's and those of tidy."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.fakes import correlated_fit
from tests.rdata import answers, fit_of


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
        "Fits with draws have posterior intervals, fits by maximum likelihood Wald's: 'posterior' and 'wald'.\n"
        "Write method='posterior', or leave it out."
    )
