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


# R 4.2.2, lme4 1.1-31: head(residuals(m, "deviance"), 6) of the models of mixed_answers.R; "weighted" is the first of
# them with weights = 1 + (seq_len(nrow(d)) %% 3).
DEVIANCES = {
    "poisson": [-0.558231, -0.897793, -0.982582, -1.005304, -0.236635, -0.861905],
    "binomial": [-1.250036, -1.260277, -0.796389, -0.757917, -0.894226, -1.312899],
    "intercept": [-0.954822, -1.969079, -2.595994, -0.610973, -1.681490, -2.273307],
    "weighted": [-1.167126, -3.418267, -2.417112, -1.216701, -2.811044, -2.593700],
}


@pytest.mark.parametrize("name", DEVIANCES)
def test_deviance_residuals_are_those_of_lme4(name):
    """A thousandth of the residual SD: both optimisers stop a little before the maximum."""
    if name == "weighted":
        data = fit_of("intercept").model.data
        weights = 1 + (np.arange(len(data)) + 1) % 3
        fit = sf.lmer("y ~ x + (1 | g)", data, method="reml", weights=weights)
    else:
        fit = fit_of(name)
    found = sf.residuals(fit, "deviance")
    np.testing.assert_allclose(found[:6], DEVIANCES[name], atol=1e-3 * found.std())


def test_deviance_residuals_of_shared_data_are_those_of_lme4(shared_data):
    """Proportions and counts, by lme4 with bobyqa, rhoend = 1e-8 and tolPwrss = 1e-10: its default stops at 3e-4."""
    cbpp = pd.read_csv(shared_data / "lme4" / "cbpp.csv", dtype={"period": str, "herd": str})
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    left = sf.residuals(sf.glmer(formula, cbpp, family="binomial", method="laplace"), "deviance")
    expected = [-1.438032, 0.988743, 2.356998, -0.936858, -0.243185, -0.142423]
    np.testing.assert_allclose(left[:6], expected, atol=5e-6)
    assert (left**2).sum() == pytest.approx(73.471723, abs=1e-4)
    ticks = pd.read_csv(shared_data / "lme4" / "grouseticks.csv", dtype={"BROOD": str, "LOCATION": str, "YEAR": str})
    formula = "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | LOCATION)"
    left = sf.residuals(sf.glmer(formula, ticks, family="poisson", method="laplace"), "deviance")
    np.testing.assert_allclose(left[:6], [-1.045040, -1.045040, -1.306496, -1.527885, -1.527885, 1.413640], atol=5e-6)


def with_all_draws_at(fit, values):
    """Put each draw of some parameters at one value."""
    posterior = fit.idata["posterior"].to_dataset()
    for name, value in values.items():
        posterior[name] = posterior[name] * 0 + value
    fit.idata["posterior"].dataset = posterior
    return fit


# Twice the log density at the best mean, less that at the fitted one, over the dispersion of an exponential family.
CLOSED_FORMS = {
    "gaussian": ({"sigma": 0.7}, lambda y, m: stats.norm.logpdf(y, m, 0.7), 0.7**2),
    "gamma": ({"alpha": 2.5}, lambda y, m: stats.gamma.logpdf(y, 2.5, scale=m / 2.5), 1 / 2.5),
    "exponential": ({}, lambda y, m: stats.expon.logpdf(y, scale=m), 1.0),
    "wald": ({"lam": 3.0}, lambda y, m: stats.invgauss.logpdf(y, m / 3.0, scale=3.0), 1 / 3.0),
    "bernoulli": ({}, lambda y, m: stats.binom.logpmf(y, 1, m), 1.0),
    "binomial": ({}, lambda y, m: stats.binom.logpmf(y, 7, m / 7), 1.0),
    "poisson": ({}, stats.poisson.logpmf, 1.0),
    "negativebinomial": ({"alpha": 1.7}, lambda y, m: stats.nbinom.logpmf(y, 1.7, 1.7 / (1.7 + m)), 1.0),
}
LINKS = {"gaussian": "identity", "bernoulli": "logit", "binomial": "logit"}


@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_deviance_residuals_compare_the_fitted_mean_with_the_best_one(family):
    own, log_density, dispersion = CLOSED_FORMS[family]
    rng = np.random.default_rng(8)
    whole = family in ("poisson", "negativebinomial", "binomial", "bernoulli")
    y = rng.integers(0, 2 if family == "bernoulli" else 8, 40) if whole else rng.gamma(2.0, 1.0, 40)
    data = pd.DataFrame({"y": y, "x": rng.uniform(0.1, 1.0, 40), "left": 7 - y})
    response = "cbind(y, left)" if family == "binomial" else "y"
    model = sf.Model(f"{response} ~ x", data, family=family, link=LINKS.get(family, "log"))
    fit = with_all_draws_at(fake_fit(model, {"Intercept": 0.2, "x": 0.5} | own, draws=30), own)
    trials = 7 if family == "binomial" else 1
    mean = y - trials * sf.residuals(fit)
    gained = 2 * dispersion * (log_density(y, y.astype(float)) - log_density(y, mean))
    expected = np.sign(y - mean) * np.sqrt(gained)
    np.testing.assert_allclose(sf.residuals(fit, "deviance"), expected, rtol=1e-7, atol=1e-7)


def test_residuals_of_draws_are_taken_from_the_mean_of_their_draws():
    data = screen_data().assign(w=np.tile([0.5, 2.0], 24))
    fit = fake_fit(sf.Model("log_fc ~ control + (1 | gene)", data, weights="w"), {"sigma": 0.5})
    left = data["log_fc"] - sf.fitted(fit)["estimate"]
    np.testing.assert_allclose(sf.residuals(fit), left)
    sigma = fit.idata["posterior"]["sigma"].values.ravel()
    np.testing.assert_allclose(sf.residuals(fit, "pearson"), left / np.sqrt((sigma**2).mean() / data["w"]))


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
        "simulate(fit, nsim=, use_u=, random_seed=) draws new responses of the rows that were fitted.\n"
        "Leave data and truth out; predict(fit, newdata, interval='prediction') is for other rows.",
    ),
    "a family beside a fit": (
        lambda: sf.simulate(crossed_fit(draws=5), family="poisson", link="log"),
        "family=, link= beside a fit would change nothing.\n"
        "simulate(fit, nsim=, use_u=, random_seed=) draws new responses of the rows that were fitted.\n"
        "Leave it out; sf.update(fit, ...) fits another family, link or weights.",
    ),
    "several of a formula": (
        lambda: sf.simulate("log_fc ~ 1", screen_data(), {"Intercept": 0, "sigma": 1}, nsim=3),
        "nsim=3 beside a formula would change nothing.\n"
        "simulate(formula, data, truth) draws one data set, simulate(fit, nsim=) new responses of a fit.\n"
        "Call it once for each data set, with another random_seed.",
    ),
    "a formula alone": (
        lambda: sf.simulate("y ~ x"),
        "'data' is missing: a formula is simulated from a table and true parameters.\n"
        "simulate(formula, data, truth) draws one data set, simulate(fit, nsim=) new responses of a fit.\n"
        "Give both: the table of predictors, and the true parameters by name.",
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
    new = sf.simulate(fit, nsim=400, use_u=True, random_seed=3)
    assert new.columns[[0, -1]].to_list() == ["sim_1", "sim_400"]
    means = sf.fitted(fit)
    sigma = fit.idata["posterior"]["sigma"].values
    spread = np.sqrt(means["std_error"] ** 2 + (sigma**2).mean())
    assert (np.abs(new.mean(axis=1) - means["estimate"]) < 5 * spread / 20).all()
    assert (new.sub(means["estimate"], axis=0).div(spread, axis=0)).to_numpy().std() == pytest.approx(1, rel=0.04)
    pd.testing.assert_frame_equal(new, sf.simulate(fit, nsim=400, use_u=True, random_seed=3))


def test_new_responses_of_a_point_fit_are_at_its_estimates():
    """2,000 responses: the SD of each row is within 10 % of sigma, six of its standard errors."""
    fit = fit_of("intercept")
    new = sf.simulate(fit, nsim=2000, use_u=True, random_seed=3)
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
