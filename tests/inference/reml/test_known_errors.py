"""Responses with standard errors, se(y, sei): REML and ML beside metafor, other engines beside a grid.

tests/data/r/known_errors.R made the figures.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import speclet_formula as sf
from speclet_formula.families import log_density
from speclet_formula.posterior.draws import draws_of

FOLDER = Path(__file__).parents[2] / "data" / "r"
ANSWERS = json.loads((FOLDER / "known_errors.json").read_text())
PLAIN = "se(y, sei) ~ 1 + (1 | trial)"


@cache
def trials():
    return pd.read_csv(FOLDER / "textbook" / "bcg.csv")


@cache
def fit_of(formula, method):
    return sf.lmer(formula, trials(), method=method)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['formula']} {answer['method']}")
def test_estimates_are_those_of_metafor(answer):
    fit = fit_of(answer["formula"], answer["method"])
    X = fit.model.design.mean.X
    added = np.linalg.slogdet(X.T @ X)[1] / 2 if answer["method"] == "reml" else 0.0
    assert fit.log_likelihood + added == pytest.approx(answer["logLik"], abs=1e-6)
    assert fit.df == len(answer["estimates"]) + len(answer["variances"])
    assert fit.estimates.sigma is None
    # both searches end within a thousandth of a standard error
    np.testing.assert_allclose(sf.varcorr(fit)["vcov"], answer["variances"], atol=2e-4)
    table = sf.fixef(fit)
    errors = np.array(answer["errors"])
    np.testing.assert_allclose(table["estimate"] / errors, np.array(answer["estimates"]) / errors, atol=1e-3)
    np.testing.assert_allclose(table["std_error"], errors, rtol=1e-3)
    effects = sf.ranef(fit)
    own = effects[effects["grpvar"] == effects["grpvar"].iloc[-1]]
    np.testing.assert_allclose(np.sort(own["condval"]), np.sort(answer["ranef"]), atol=2e-3)


def test_laplace_is_exact_there():
    ml, laplace = fit_of(PLAIN, "ml"), fit_of(PLAIN, "laplace")
    assert laplace.log_likelihood == pytest.approx(ml.log_likelihood, abs=1e-6)
    assert laplace.df == ml.df
    assert sf.varcorr(laplace)["sdcor"][0] == pytest.approx(sf.varcorr(ml)["sdcor"][0], rel=1e-4)


@pytest.mark.parametrize("unit", [1e-4, 1e5])
def test_the_search_knows_no_unit(unit):
    scaled = trials().assign(y=trials()["y"] * unit, sei=trials()["sei"] * unit)
    fit = sf.lmer(PLAIN, scaled, method="reml")
    assert fit.verdict == "converged"
    assert sf.varcorr(fit)["sdcor"][0] == pytest.approx(unit * sf.varcorr(fit_of(PLAIN, "reml"))["sdcor"][0], rel=1e-4)


def test_equal_variances_are_found_to_be_zero():
    rows = pd.DataFrame({"y": [0.1, -0.1, 0.05, 0.0, -0.05], "sei": 1.0, "g": list("abcde")})
    fit = sf.lmer("se(y, sei) ~ 1 + (1 | g)", rows, method="reml")
    assert fit.verdict == "singular"
    assert sf.varcorr(fit)["vcov"][0] == 0
    assert sf.fixef(fit)["std_error"][0] == pytest.approx(1 / np.sqrt(5))


def test_profiles_end_where_the_likelihood_has_fallen():
    """By the likelihood itself, with the intercept at its best for each SD."""
    y, v = trials()["y"].to_numpy(), trials()["sei"].to_numpy() ** 2
    table = sf.confint(fit_of(PLAIN, "reml"), method="profile", ci_prob=0.95)

    def deviance(tau):
        w = 1 / (v + tau**2)
        return -np.log(w).sum() + w @ (y - w @ y / w.sum()) ** 2

    lowest = min(deviance(tau) for tau in np.linspace(0, 2, 20_001))
    for end in table[["conf_low", "conf_high"]].iloc[0]:
        assert deviance(end) - lowest == pytest.approx(stats.chi2(1).ppf(0.95), abs=1e-3)


def test_the_density_is_normal_with_the_standard_errors():
    model = sf.Model(PLAIN, trials())
    mean = np.linspace(-1, 1, 13)
    found = log_density(model.family, model.design.response, mean, {}, weights=model.design.weights)
    np.testing.assert_allclose(found, stats.norm(mean, trials()["sei"]).logpdf(trials()["y"]))
    pymc_model = sf.to_pymc(model)
    (observed,) = pymc_model.observed_RVs
    (density,) = pymc_model.logp(vars=[observed], sum=False)
    values = {pymc_model.rvs_to_values[pymc_model["Intercept"]]: np.array(0.3)}
    values[pymc_model.rvs_to_values[pymc_model["1|trial_sigma"]]] = np.array(0.0)
    other = next(rv for rv in pymc_model.free_RVs if rv.name in ("1|trial_offset", "1|trial"))
    values[pymc_model.rvs_to_values[other]] = np.zeros(13)
    expected = stats.norm(0.3, trials()["sei"]).logpdf(trials()["y"])
    np.testing.assert_allclose(density.eval(values, on_unused_input="ignore"), expected)


def test_leverages_are_those_of_dense_algebra():
    fit = fit_of(PLAIN, "reml")
    v, tau2 = trials()["sei"].to_numpy() ** 2, sf.varcorr(fit)["vcov"][0]
    V, X = np.diag(v + tau2), np.ones((13, 1))
    fixed = X @ np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.inv(V))
    hat = fixed + tau2 * np.linalg.solve(V, np.eye(13) - fixed)
    table = sf.influence(fit).rows
    np.testing.assert_allclose(table.sort_index()["leverage"], np.diagonal(hat), rtol=1e-6)


PRIORS = {"Intercept": sf.Prior("Normal", mu=0, sigma=1), "1|trial_sigma": sf.Prior("HalfNormal", sigma=0.5)}


@cache
def sampled(method):
    method = "auto" if method == "exact" else method
    return sf.lmer(PLAIN, trials(), method=method, priors=PRIORS, draws=2000, random_seed=4, progress=False)


def _on_a_grid(left_out=None):
    """Return SDs, the log of their posterior density, and the log density of a row that was left out, given each."""
    y, v = trials()["y"].to_numpy(), trials()["sei"].to_numpy() ** 2
    kept = np.arange(13) != left_out
    grid = (np.arange(4000) + 0.5) / 1000
    logs, out = np.empty(4000), np.empty(4000)
    for place, tau in enumerate(grid):
        w = 1 / (v[kept] + tau**2)
        precision = w.sum() + 1.0  # the intercept's prior is standard
        middle = w @ y[kept] / precision
        logs[place] = (
            np.log(w).sum() - np.log(precision) - w @ y[kept] ** 2 + precision * middle**2
        ) / 2 - tau**2 / 0.5
        if left_out is not None:
            spread = np.sqrt(1 / precision + tau**2 + v[left_out])
            out[place] = stats.norm.logpdf(y[left_out], middle, spread)
    return grid, logs - special.logsumexp(logs), out


@pytest.mark.parametrize("method", ["exact", pytest.param("hmc", marks=pytest.mark.slow)])
def test_the_posterior_and_leave_one_out_are_those_of_a_grid(method):
    """Means within 4 Monte Carlo errors; elpd within the error of importance sampling, 0.05 for 13 rows."""
    fit = sampled(method)
    assert fit.method == method
    tau = draws_of(fit).sds(fit.model.design.mean.groups[0])[:, 0]
    grid, logs, _ = _on_a_grid()
    mean = np.exp(logs) @ grid
    spread = np.sqrt(np.exp(logs) @ (grid - mean) ** 2)
    ess = fit.diagnostics.ess_bulk_min
    assert tau.mean() == pytest.approx(mean, abs=4 * spread / np.sqrt(ess))
    assert tau.std() == pytest.approx(spread, rel=4 / np.sqrt(ess) + 0.02)
    parts = [_on_a_grid(row) for row in range(13)]
    exact = sum(special.logsumexp(weights + out) for _, weights, out in parts)
    assert float(sf.loo(fit).elpd) == pytest.approx(exact, abs=0.05)


def test_new_responses_have_the_standard_errors_of_their_rows():
    fit = fit_of(PLAIN, "reml")
    model = sf.Model(PLAIN, trials())
    truth = {"Intercept": -0.7, "1|trial_sigma": 0.5}
    many = pd.DataFrame({"trial": "t1", "sei": np.repeat([0.1, 3.0], 4000)})
    drawn, _ = sf.simulate(PLAIN, many, truth, random_seed=2)
    halves = drawn["y"].to_numpy().reshape(2, 4000)
    # the SD of an SD of n draws is SD / sqrt(2 n): within 4 of them
    np.testing.assert_allclose(halves.std(axis=1) / [0.1, 3.0], 1, atol=4 / np.sqrt(8000))
    assert model.design.weights == pytest.approx(1 / trials()["sei"] ** 2)
    again = sf.simulate(fit, nsim=2, random_seed=1)
    assert again.shape == (13, 2)
    own = sf.lmer(PLAIN, trials().assign(y=again["sim_1"].to_numpy()), method="reml")
    assert sf.refit(fit, again["sim_1"]).log_likelihood == pytest.approx(own.log_likelihood, abs=1e-6)


def test_what_has_no_standard_errors_is_refused():
    data = trials()
    with pytest.raises(sf.DataError, match=r"does not fit the family 'poisson' with the log link(.|\n)*Leave family="):
        sf.Model(PLAIN, data, family="poisson")
    with pytest.raises(sf.DataError, match=r"weights= would divide their squares(.|\n)*Leave weights= out"):
        sf.Model(PLAIN, data, weights="latitude")
    with pytest.raises(sf.DataError, match=r"1 values that are no standard errors, such as -1 in row 2"):
        sf.Model(PLAIN, data.assign(sei=[1.0, 1, -1, *[1.0] * 10]))
    with pytest.raises(sf.FormulaError, match=r"'sigma' is not a parameter(.|\n)*Leave 'sigma ~ ...' out"):
        sf.Model([PLAIN, "sigma ~ latitude"], data)
    with pytest.raises(sf.SamplingError, match=r"'se\(y, sei\)' are known, and there is no variance to draw"):
        sf.lmer("se(y, sei) ~ latitude", data, method="exact")
    with pytest.raises(sf.SamplingError, match="there is no variance to estimate"):
        sf.lmer("se(y, sei) ~ latitude", data, method="reml")
