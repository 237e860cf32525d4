"""Residuals equal lme4's and sums by hand; quantile residuals of a true model are standard normal."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.errors import SpecletError
from tests.fakes import crossed_fit, fake_fit, screen_data
from tests.rdata import answers, fit_of


@pytest.mark.parametrize("name", ["intercept", "slope", "crossed", "poisson", "binomial"])
def test_residuals_are_those_of_lme4(name):
    """A thousandth of the residual SD: both optimisers stop a little before the maximum."""
    fit, expected = fit_of(name), answers(name)
    for kind in ("response", "pearson", "deviance"):
        found = sf.residuals(fit, kind)
        np.testing.assert_allclose(found[:6], expected[kind], atol=1e-3 * found.std())


def test_residuals_of_draws_are_taken_from_the_mean_of_their_draws():
    data = screen_data().assign(w=np.tile([0.5, 2.0], 24))
    fit = fake_fit(sf.Model("log_fc ~ control + (1 | gene)", data, weights="w"), {"sigma": 0.5})
    left = data["log_fc"] - sf.fitted(fit)["estimate"]
    np.testing.assert_allclose(sf.residuals(fit), left)
    sigma = fit.idata["posterior"]["sigma"].values.ravel()
    np.testing.assert_allclose(sf.residuals(fit, "pearson"), left / np.sqrt((sigma**2).mean() / data["w"]))


def with_all_draws_at(fit, values):
    """Put each draw of some parameters at one value."""
    posterior = fit.idata["posterior"].to_dataset()
    for name, value in values.items():
        posterior[name] = posterior[name] * 0 + value
    fit.idata["posterior"].dataset = posterior
    return fit


@pytest.mark.parametrize(
    ("family", "density"),
    [
        ("poisson", lambda y, mean: stats.poisson.logpmf(y, mean)),
        ("negativebinomial", lambda y, mean: stats.nbinom.logpmf(y, 2.5, 2.5 / (2.5 + mean))),
        ("gamma", lambda y, mean: stats.gamma.logpdf(y, 1, scale=mean)),
        ("exponential", lambda y, mean: stats.expon.logpdf(y, scale=mean)),
        ("wald", lambda y, mean: stats.invgauss.logpdf(y, mean)),
        ("gaussian", lambda y, mean: stats.norm.logpdf(y, mean)),
    ],
)
def test_a_deviance_is_what_the_density_falls_short_of_its_largest(family, density):
    """The largest is where the mean is the observation; for one trial, sigma, alpha and lambda of 1."""
    y = np.array([1.0, 4.0, 2.0, 7.0, 3.0, 5.0])
    data = pd.DataFrame({"y": y.astype(int) if family in ("poisson", "negativebinomial") else y, "x": np.arange(6) / 3})
    alpha = {"alpha": 2.5} if family == "negativebinomial" else {}
    model = sf.Model("y ~ x", data, family=family, link="identity" if family == "gaussian" else "log")
    fit = with_all_draws_at(fake_fit(model, draws=5), {"Intercept": 1.0, "x": 0.2} | alpha)
    mean = sf.fitted(fit)["estimate"].to_numpy()
    expected = np.sign(y - mean) * np.sqrt(2 * (density(y, y) - density(y, mean)))
    np.testing.assert_allclose(sf.residuals(fit, "deviance"), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "own", "draw"),
    [
        ("poisson", {}, lambda rng, mean: rng.poisson(mean)),
        ("negativebinomial", {"alpha": 2.0}, lambda rng, mean: rng.poisson(rng.gamma(2.0, mean / 2.0))),
        ("zero_inflated_poisson", {"psi": 0.6}, lambda rng, mean: rng.poisson(mean) * (rng.random(len(mean)) < 0.6)),
        ("t", {"sigma": 1.0, "nu": 4.0}, lambda rng, mean: np.log(mean) + rng.standard_t(4.0, len(mean))),
    ],
)
def test_quantile_residuals_of_the_true_model_are_standard_normal(family, own, draw):
    """Kolmogorov and Smirnov's test of 300 rows at 1e-4, the seed being fixed."""
    rng = np.random.default_rng(12)
    x = rng.normal(size=300)
    data = pd.DataFrame({"x": x, "y": draw(rng, np.exp(1 + 0.4 * x))})
    fit = with_all_draws_at(
        fake_fit(sf.Model("y ~ x", data, family=family), draws=100), {"Intercept": 1.0, "x": 0.4} | own
    )
    found = sf.residuals(fit, "quantile", random_seed=2)
    assert stats.kstest(found, "norm").pvalue > 1e-4
    assert np.isfinite(found).all()


def test_a_variance_without_a_short_form_is_simulated():
    """4,000 draws for each row: the SD is within 8 %, five of its standard errors for this kurtosis."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"y": rng.poisson(2, 30) * (rng.random(30) < 0.7)})
    fit = fake_fit(sf.Model("y ~ 1", data, family="zero_inflated_poisson"), {"Intercept": 0.7, "psi": 0.5}, draws=1000)
    mean, psi = (fit.idata["posterior"][name].values.ravel() for name in ("Intercept", "psi"))
    mean, psi = np.exp(mean), psi
    variance = (psi * mean * (1 + (1 - psi) * mean)).mean()
    left = data["y"] - (psi * mean).mean()
    np.testing.assert_allclose(sf.residuals(fit, "pearson", random_seed=1), left / np.sqrt(variance), rtol=0.08)


def test_augment_puts_them_beside_the_data():
    data = screen_data()
    fit = crossed_fit()
    frame = sf.augment(fit)
    added = [".fitted", ".se.fit", ".lower", ".upper", ".resid", ".std.resid", ".fixed"]
    assert frame.columns.to_list() == [*data.columns, *added]
    np.testing.assert_allclose(frame[".fitted"] + frame[".resid"], data["log_fc"])
    np.testing.assert_allclose(frame[".fixed"], sf.predict(fit, re_form="~0")["estimate"])


def test_augment_keeps_the_rows_that_were_fitted():
    data = screen_data()
    data.loc[3, "log_fc"] = np.nan
    frame = sf.augment(sf.lmer("log_fc ~ (1 | gene)", data, method="reml", missing="drop"))
    assert frame.index.to_list() == [0, 1, 2, *range(4, 48)]
    np.testing.assert_allclose(frame[".fitted"] + frame[".resid"], data["log_fc"].drop(3))


def ordinal_fit():
    data = screen_data().assign(grade=np.tile([1, 2, 3], 16))
    return fake_fit(sf.Model("grade ~ control", data, family="cumulative"), draws=5)


ERRORS = {
    "type": (
        lambda: sf.residuals(crossed_fit(draws=5), "pearsons"),
        "there are no residuals of type='pearsons'.\nTypes: response, pearson, deviance, quantile.\n"
        "Nearest: 'pearson'.",
    ),
    "no deviance": (
        lambda: sf.residuals(fake_fit(sf.Model("log_fc ~ control", screen_data(), family="t"), draws=5), "deviance"),
        "the family 't' has no deviance.\n"
        "Families with one: gaussian, gamma, exponential, wald, bernoulli, binomial, poisson, negativebinomial.\n"
        "Write type='quantile', which every family has.",
    ),
    "ordinal": (
        lambda: sf.residuals(ordinal_fit()),
        "an ordinal response has no residuals of type='response'.\nIts levels have no distances.\n"
        "Write type='quantile'.",
    ),
    "nsim": (
        lambda: sf.simulate(crossed_fit(draws=5), nsim=0),
        "nsim=0 is no number of responses.\nIt is a whole number above 0.\nWrite nsim=1.",
    ),
    "a fit and a table": (
        lambda: sf.simulate(crossed_fit(draws=5), screen_data()),
        "a fit has its own rows and parameters, and others are given.\n"
        "simulate(fit, nsim=, random_seed=) draws new responses of the rows that were fitted.\n"
        "Leave design and params out; predict(fit, newdata, interval='prediction') is for other rows.",
    ),
    "a formula alone": (
        lambda: sf.simulate("y ~ x"),
        "'design' is missing: a formula is simulated from a table and parameters.\n"
        "simulate(formula, design, params) draws one data set, simulate(fit, nsim=) new responses of a fit.\n"
        "Give both: the table of predictors, and the parameters by name.",
    ),
}


@pytest.mark.parametrize(("act", "text"), ERRORS.values(), ids=ERRORS)
def test_an_error_says_what_to_do(act, text):
    with pytest.raises(SpecletError) as caught:
        act()
    assert str(caught.value) == text


def test_new_responses_have_the_mean_and_spread_of_their_rows():
    """400 responses of 48 rows: row means within five standard errors, the pooled SD within 4 % (five of them)."""
    fit = crossed_fit()
    new = sf.simulate(fit, nsim=400, random_seed=3)
    assert new.columns[[0, -1]].to_list() == ["sim_1", "sim_400"]
    means = sf.fitted(fit)
    sigma = fit.idata["posterior"]["sigma"].values
    spread = np.sqrt(means["std_error"] ** 2 + (sigma**2).mean())
    assert (np.abs(new.mean(axis=1) - means["estimate"]) < 5 * spread / 20).all()
    assert (new.sub(means["estimate"], axis=0).div(spread, axis=0)).to_numpy().std() == pytest.approx(1, rel=0.04)
    pd.testing.assert_frame_equal(new, sf.simulate(fit, nsim=400, random_seed=3))


def test_new_responses_of_a_point_fit_are_at_its_estimates():
    """2,000 responses: the SD of each row is within 10 % of sigma, six of its standard errors."""
    fit = fit_of("intercept")
    new = sf.simulate(fit, nsim=2000, random_seed=3)
    np.testing.assert_allclose(new.std(axis=1), sf.sigma(fit), rtol=0.1)
    assert np.abs(new.mean(axis=1) - sf.fitted(fit)["estimate"]).max() < 6 * sf.sigma(fit) / np.sqrt(2000)


def test_new_responses_of_other_families_are_on_the_scale_of_the_given_one():
    levels = sf.simulate(ordinal_fit(), random_seed=1)["sim_1"]
    assert set(levels) <= {"1", "2", "3"}
    data = pd.DataFrame({"share": [0.5, 0.25, 1.0], "n": [2, 4, 3]})
    fit = fake_fit(sf.Model("share ~ 1", data, family="binomial", weights="n"), draws=5)
    successes = sf.simulate(fit, random_seed=1)["sim_1"] * data["n"]
    np.testing.assert_allclose(successes, successes.round())
    assert (successes <= data["n"]).all()


def test_r_s_fixed_part_is_that_of_predict():
    found = sf.predict(fit_of("crossed"), re_form="~0")["estimate"]
    np.testing.assert_allclose(found[:6], answers("crossed")["fixed"], rtol=1e-3)


def test_the_answers_are_made_by_the_script_beside_them():
    folder = Path(__file__).parents[1] / "data" / "r"
    assert json.loads((folder / "mixed_answers.json").read_text())["made_by"].startswith("R 4")
    assert (folder / "mixed_answers.R").exists()
