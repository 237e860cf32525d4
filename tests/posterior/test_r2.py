"""ICC and R2 equal those of R's performance, and sums by hand of the draws' variances."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.fakes import correlated_fit, fake_fit
from tests.rdata import answers, fit_of


@pytest.mark.parametrize("name", ["intercept", "slope", "crossed", "binomial"])
def test_shares_are_those_of_r(name):
    """A thousandth: lme4's optimiser stops a little before the maximum."""
    fit, expected = fit_of(name), answers(name)
    np.testing.assert_allclose(sf.icc(fit)["estimate"], expected["icc"], rtol=1e-3)
    np.testing.assert_allclose(sf.r2(fit)["estimate"], expected["r2"], rtol=1e-3)
    assert sf.r2(fit)["std_error"].isna().all()


@pytest.mark.parametrize("formula", ["y ~ x + (x || g)", "y ~ poly(x, 2) + (x || g)"])
def test_every_slope_counts_whatever_the_fixed_effects_are_called(formula):
    """By hand: performance 0.10 drops slopes without a fixed column of their name, and the second block of `||`."""
    fit = sf.lmer(formula, fit_of("slope").model.data, method="reml")
    x = fit.model.data["x"].to_numpy()
    first, second, residual = sf.varcorr(fit)["vcov"]
    groups = first + second * (x**2).mean()
    assert sf.icc(fit)["estimate"].iloc[0] == pytest.approx(groups / (groups + residual), rel=1e-12)


def test_shares_of_draws_are_summarised_over_them():
    fit = correlated_fit()
    names = ("Days", "1|Subject_sigma", "Days|Subject_sigma", "cor|Subject", "sigma")
    slope, tau0, tau1, rho, sigma = (fit.idata["posterior"][name].values.ravel() for name in names)
    days = fit.model.data["Days"].to_numpy()
    fixed = slope**2 * days.var(ddof=1)
    groups = sum(tau0**2 + day**2 * tau1**2 + 2 * day * rho * tau0 * tau1 for day in days) / len(days)
    adjusted, conditional = groups / (groups + sigma**2), (fixed + groups) / (fixed + groups + sigma**2)
    found = sf.icc(fit, ci_prob=0.8, ci_kind="eti").iloc[0]
    assert found["measure"] == "adjusted"
    by_hand = [adjusted.mean(), adjusted.std(ddof=1), *np.quantile(adjusted, [0.1, 0.9])]
    np.testing.assert_allclose(found[["estimate", "std_error", "conf_low", "conf_high"]].astype(float), by_hand)
    assert sf.r2(fit)["estimate"].iloc[1] == pytest.approx(conditional.mean())


def test_a_level_for_each_row_belongs_to_the_residual_of_counts():
    data = pd.DataFrame({"y": [0, 1, 2, 5, 3, 2], "g": list("aabbcc"), "row": list("123456")})
    fit = fake_fit(sf.Model("y ~ 1 + (1 | g) + (1 | row)", data, family="poisson"), {"Intercept": 1.0}, draws=50)
    names = ("Intercept", "1|g_sigma", "1|row_sigma")
    mean, group, single = (fit.idata["posterior"][name].values.ravel() for name in names)
    residual = single**2 + np.log1p(np.exp(-mean - group**2 / 2 - single**2 / 2))
    assert sf.icc(fit)["estimate"].iloc[0] == pytest.approx((group**2 / (group**2 + residual)).mean())


def test_a_family_without_a_residual_variance_is_refused():
    data = pd.DataFrame({"y": [0, 1, 2, 5, 3, 2], "g": list("aabbcc")})
    fit = fake_fit(sf.Model("y ~ 1 + (1 | g)", data, family="zero_inflated_poisson"), draws=5)
    with pytest.raises(sf.SpecletError) as caught:
        sf.icc(fit)
    assert str(caught.value) == (
        "the model has no single residual variance on the link's scale: the family is zero_inflated_poisson with the "
        "log link.\n"
        "Families and links with one: gaussian (identity); gamma (log); lognormal (identity); bernoulli (logit, "
        "probit, cloglog); binomial (logit, probit, cloglog); poisson (log); negativebinomial (log); cumulative "
        "(logit, probit, cloglog).\n"
        "Compare models by loo or compare instead, which serve every family."
    )
