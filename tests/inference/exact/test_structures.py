"""Group terms with covariance structures by the exact engine, against dense algebra, a grid and PyMC by hand."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import speclet_formula as sf
from speclet_formula.inference.exact.density import log_likelihood, log_posterior, marginal_of, natural, theta_of
from speclet_formula.inference.exact.drawn_variances import read_variances
from speclet_formula.posterior.draws import draws_of

K, LEVELS, EACH = 3, 9, 2
TERMS = {
    "cs": "cs(0 + f | g)",
    "homcs": "cs(0 + f | g, hom = TRUE)",
    "homdiag": "diag(0 + f | g, hom = TRUE)",
    "ar1": "ar1(0 + f | g)",
    "hetar1": "ar1(0 + f | g, hom = FALSE)",
}
PRIORS = {
    "Intercept": sf.Prior("Normal", mu=0, sigma=2),
    "sd": sf.Prior("HalfNormal", sigma=1),
    "sigma": sf.Prior("HalfNormal", sigma=1),
}


@cache
def table():
    """Return three columns of nine levels, correlated, with two rows each."""
    rng = np.random.default_rng(12)
    matrix = np.array([[1, 0.7, 0.5], [0.7, 1, 0.7], [0.5, 0.7, 1]]) * np.outer([0.6, 1, 1.3], [0.6, 1, 1.3])
    effects = rng.multivariate_normal(np.zeros(K), matrix, LEVELS)
    g, f = np.repeat(np.arange(LEVELS), K * EACH), np.tile(np.repeat(np.arange(K), EACH), LEVELS)
    y = 0.5 + effects[g, f] + rng.normal(0, 0.6, len(g))
    return pd.DataFrame({"y": y, "g": np.array(list("abcdefghi"))[g], "f": np.array(["u", "v", "w"])[f]})


@cache
def model_of(structure):
    return sf.Model(f"y ~ 1 + {TERMS[structure]}", table(), priors=PRIORS)


def covariance(structure, sds, rho):
    """Return the covariance of one level's effects (3, 3)."""
    apart = np.abs(np.subtract.outer(np.arange(K), np.arange(K)))
    powers = {"cs": (apart > 0), "ar1": apart, "diag": np.where(apart, np.inf, 0)}
    kind = next(name for name in powers if structure.endswith(name))
    return np.outer(sds, sds) * rho ** powers[kind].astype(float)


def of_rows(structure, sigma, sds, rho):
    """Return the covariance of the response, the intercept integrated out (54, 54)."""
    g, f = (pd.factorize(table()[name])[0] for name in ("g", "f"))
    matrix = covariance(structure, np.broadcast_to(sds, K), rho)
    return np.equal.outer(g, g) * matrix[np.ix_(f, f)] + sigma**2 * np.eye(len(g)) + 4.0


@pytest.mark.parametrize("structure", TERMS)
def test_the_density_is_that_of_dense_algebra(structure):
    marginal = marginal_of(model_of(structure))
    variances = marginal.variances
    rng = np.random.default_rng(1)
    theta = rng.normal(0, 0.6, (5, variances.size))
    sds, share, jacobian = natural(variances, theta)
    hom, of_one = structure in ("homcs", "homdiag", "ar1"), structure != "homdiag"
    assert (sds.shape[1], share.shape[1]) == (2 if hom else 4, int(of_one))
    low = -0.5 if structure.endswith("cs") else -1.0
    rho = (1 + low) / 2 + (1 - low) / 2 * share[:, 0] if of_one else np.full(5, 0.5)
    assert (rho > low).all()
    likelihood, posterior = log_likelihood(marginal, sds, share), log_posterior(marginal, theta)
    expected = np.array([
        stats.multivariate_normal(np.zeros(54), of_rows(structure, own[0], own[1:], one)).logpdf(table()["y"])
        for own, one in zip(sds, rho, strict=True)
    ])  # fmt: skip
    np.testing.assert_allclose(likelihood, expected, rtol=1e-9)
    # sigma and each SD once, and a uniform density over the correlation's range
    prior = stats.halfnorm.logpdf(sds).sum(axis=1) + jacobian
    np.testing.assert_allclose(np.ptp(posterior - expected - prior), 0, atol=1e-8)
    np.testing.assert_allclose(theta_of(variances, sds, share), theta, atol=1e-9)


GRID = {"ar1": -1.0, "homcs": -0.5}
POINTS = 33


def _grid(structure):
    """Return weights and values of sigma, the SD and rho by brute force over a grid: the means' error is below 1e-3."""
    sigma, sd = np.linspace(0.35, 1.0, POINTS), np.linspace(0.25, 2.6, POINTS)
    low = GRID[structure]
    rho = low + (1 - low) * (np.arange(POINTS) + 0.5) / POINTS
    response = table()["y"].to_numpy()
    points = [(a, b, c) for a in sigma for b in sd for c in rho]
    logs = np.empty(len(points))
    for place, (a, b, c) in enumerate(points):
        lower = np.linalg.cholesky(of_rows(structure, a, b, c))
        scaled = np.linalg.solve(lower, response)
        logs[place] = -np.log(np.diagonal(lower)).sum() - scaled @ scaled / 2 - (a**2 + b**2) / 2
    return np.exp(logs - special.logsumexp(logs)), np.array(points)


@pytest.mark.slow
@pytest.mark.parametrize("structure", GRID)
def test_the_posterior_is_that_of_a_grid(structure):
    """Means and SDs within 4 Monte Carlo errors, and the error of the grid: false alarms below 1e-4 each."""
    weights, points = _grid(structure)
    fit = sf.fit(model_of(structure), draws=4000, random_seed=3, progress=False)
    draws = draws_of(fit)
    block = fit.model.design.mean.groups[0]
    rho = draws.correlation(block)
    known = np.column_stack([draws.parameter("sigma")[:, 0], draws.sds(block)[:, 0], rho[:, 0]])
    assert np.ptp(draws.sds(block), axis=1).max() == 0
    np.testing.assert_allclose(rho[:, 1], rho[:, 0] ** (2 if structure == "ar1" else 1))
    means = weights @ points
    sds = np.sqrt(weights @ (points - means) ** 2)
    ess = fit.diagnostics.ess_bulk_min
    np.testing.assert_array_less(np.abs(known.mean(axis=0) - means) / sds, 4 / np.sqrt(ess) + 2e-3)
    np.testing.assert_array_less(np.abs(known.std(axis=0) / sds - 1), 4 / np.sqrt(ess) + 1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["cs", "hetar1"])
def test_the_posterior_is_that_of_long_nuts(structure):
    """A PyMC model by hand, its effects integrated out: means within 4 Monte Carlo errors of both."""
    import pymc as pm

    g, f = (pd.factorize(table()[name])[0] for name in ("g", "f"))
    same, apart = np.equal.outer(g, g).astype(float), np.abs(np.subtract.outer(f, f))
    with pm.Model():
        sigma, sds = pm.HalfNormal("sigma", 1), pm.HalfNormal("sds", 1, shape=K)
        rho = pm.Uniform("rho", -0.5 if structure == "cs" else -1, 1)
        power = 1.0 * (apart == 0) + (apart == 1) * rho + (apart == 2) * (rho if structure == "cs" else rho**2)
        rows = sds[f]
        pm.MvNormal("y", np.zeros(54), same * power * rows[:, None] * rows + sigma**2 * np.eye(54) + 4.0,
                    observed=table()["y"].to_numpy())  # fmt: skip
        theirs = pm.sample(4000, tune=1500, chains=2, cores=1, random_seed=5, progressbar=False, target_accept=0.95)
    fit = sf.fit(model_of(structure), draws=4000, random_seed=3, progress=False)
    draws, block = draws_of(fit), fit.model.design.mean.groups[0]
    ours = np.column_stack([draws.parameter("sigma")[:, 0], draws.sds(block), draws.correlation(block)[:, 0]])
    posterior = theirs.posterior
    known = np.column_stack([posterior[name].to_numpy().reshape(8000, -1) for name in ("sigma", "sds", "rho")])
    error = known.std(axis=0) * np.hypot(1 / np.sqrt(_ess(posterior)), 1 / np.sqrt(fit.diagnostics.ess_bulk_min))
    np.testing.assert_array_less(np.abs(ours.mean(axis=0) - known.mean(axis=0)), 4 * error)
    np.testing.assert_allclose(ours.std(axis=0), known.std(axis=0), rtol=0.1)


def _ess(posterior):
    import arviz as az

    return min(float(value.min()) for value in az.ess(posterior).data_vars.values())


@pytest.mark.parametrize("structure", TERMS)
def test_variances_are_read_back_from_draws(structure):
    model = model_of(structure)
    fit = sf.fit(model, draws=100, chains=2, random_seed=1, progress=False)
    read = read_variances(model, draws_of(fit))
    marginal = marginal_of(model)
    theta = theta_of(marginal.variances, read.sds, read.partial)
    assert theta.shape == (200, marginal.variances.size)
    block, draws = model.design.mean.groups[0], draws_of(fit)
    position = marginal.variances.columns[0]
    np.testing.assert_allclose(read.sds[:, position], draws.sds(block))
    rho = draws.correlation(block)[:, 0] if block.correlated else np.full(200, 0.5)
    for sds, one, matrix in zip(draws.sds(block), rho, draws.covariances(block), strict=True):
        np.testing.assert_allclose(matrix, covariance(structure, sds, one), rtol=1e-9)


def test_an_effect_for_each_row_leaves_a_residual_where_effects_vary_together():
    """One row for each level and column: ar1 tells the residual by itself, down to where there is none."""
    data = table().drop_duplicates(["g", "f"])
    model = sf.Model("y ~ 1 + ar1(0 + f | g)", data)
    assert marginal_of(model).variances.saturated
    assert not model.findings
    assert sf.fit(model, random_seed=1, progress=False).diagnostics.verdict == "converged"
    alike = sf.Model("y ~ 1 + cs(0 + f | g, hom = TRUE)", data)
    assert [finding.kind for finding in alike.findings] == ["as_many_effects_as_rows"]
    with pytest.raises(sf.SamplingError, match=r"'g' has 27 effects \(9 levels x 3\) for 27 rows"):
        sf.fit(alike, method="reml")
