"""Smooths by the exact engine and Hamiltonian Monte Carlo, against a grid and PyMC by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.posterior.draws import draws_of

PRIORS = {
    "Intercept": sf.Prior("Normal", mu=0, sigma=2),
    "b": sf.Prior("Normal", mu=0, sigma=3),
    "sd": sf.Prior("HalfNormal", sigma=1),
}
FEW = 4.5  # Monte Carlo errors: 25 numbers lie beyond with a probability below 1e-4, as 2 x 25 x 3e-6


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": rng.uniform(0, 1, 70)})
    data["y"] = np.sin(7 * data["x"]) + rng.normal(0, 0.4, 70)
    data["k"] = rng.poisson(np.exp(0.5 + np.sin(7 * data["x"])))
    return data


def test_the_posterior_is_that_of_a_grid(table):
    """Two variances on a grid, all coefficients integrated by dense algebra."""
    model = sf.Model("y ~ s(x, k = 8)", table, priors={**PRIORS, "sigma": sf.Prior("HalfNormal", sigma=1)})
    fit = sf.fit(model, random_seed=3)
    mean, y = model.design.mean, table["y"].to_numpy()
    (block,), X = mean.groups, mean.X
    # the intercept's prior holds at the predictors' means, which are zero here
    fixed = X @ np.diag([4.0, 9.0]) @ X.T
    sigmas, taus = np.linspace(0.25, 0.65, 60), np.linspace(0.02, 4, 140)
    logs, curves = np.empty((60, 140)), np.empty((60, 140, len(y)))
    for i, sigma in enumerate(sigmas):
        for j, tau in enumerate(taus):
            signal = fixed + tau**2 * block.values @ block.values.T
            V = signal + sigma**2 * np.eye(len(y))
            logs[i, j] = stats.multivariate_normal(np.zeros(len(y)), V).logpdf(y)
            logs[i, j] += stats.halfnorm.logpdf(sigma) + stats.halfnorm.logpdf(tau)
            curves[i, j] = signal @ np.linalg.solve(V, y)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    draws = draws_of(fit)
    for drawn, grid, axis in ((draws.parameter("sigma"), sigmas, 1), (draws.sds(block)[:, :1], taus, 0)):
        margin = weights.sum(axis=axis)
        expected = margin @ grid
        spread = np.sqrt(margin @ (grid - expected) ** 2)
        assert abs(drawn.mean() - expected) < FEW * spread / np.sqrt(len(draws) / 2)
        assert drawn.std() == pytest.approx(spread, rel=0.1)
    fitted = sf.fitted(fit)
    expected = np.einsum("ij,ijn->n", weights, curves)
    errors = (fitted["estimate"] - expected) / (fitted["std_error"] / np.sqrt(len(draws) / 2))
    assert np.abs(errors).max() < FEW


def _by_hand(model, response):
    """Return the same model, written in PyMC from the columns alone."""
    import pymc as pm

    (block,), X = model.design.mean.groups, model.design.mean.X
    with pm.Model() as by_hand:
        intercept, slope = pm.Normal("Intercept", 0, 2), pm.Normal("slope", 0, 3)
        tau, z = pm.HalfNormal("tau", 1), pm.Normal("z", 0, 1, shape=block.values.shape[1])
        eta = intercept + slope * X[:, 1] + tau * (block.values @ z)
        pm.Deterministic("eta", eta)
        if model.family.name == "gaussian":
            pm.Normal("y", eta, pm.HalfNormal("sigma", 1), observed=response)
        else:
            pm.Poisson("y", pm.math.exp(eta), observed=response)
    return by_hand


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_the_posterior_is_that_of_a_long_run_of_nuts(table, family):
    """Means of the SD, of sigma and of the curve at 23 rows: 25 numbers."""
    import arviz as az
    import pymc as pm

    response = "y" if family == "gaussian" else "k"
    priors = {**PRIORS, **({"sigma": sf.Prior("HalfNormal", sigma=1)} if family == "gaussian" else {})}
    model = sf.Model(f"{response} ~ s(x, k = 8)", table, family=family, priors=priors)
    fit = sf.fit(model, random_seed=3, draws=2000, progress=False)
    with _by_hand(model, table[response].to_numpy()):
        long = pm.sample(
            6000,
            tune=1500,
            chains=4,
            cores=2,
            target_accept=0.99,
            random_seed=1,
            progressbar=False,
            nuts_sampler="nutpie",
        )
    draws = draws_of(fit)
    block = model.design.mean.groups[0]
    eta = draws.whole(model.design.mean) @ model.design.mean.whole.T
    pairs = [(draws.sds(block)[:, 0], long.posterior["tau"].to_numpy())]
    pairs += [(draws.parameter("sigma")[:, 0], long.posterior["sigma"].to_numpy())] if family == "gaussian" else []
    pairs += [(eta[:, row], long.posterior["eta"].to_numpy()[:, :, row]) for row in range(0, 69, 3)]
    for ours, theirs in pairs:
        chains = draws.by_chain(ours)
        error = np.hypot(*(float(az.mcse(values)) for values in (chains, theirs)))
        assert abs(ours.mean() - theirs.mean()) < FEW * error
