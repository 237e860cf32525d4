"""Gaussian processes gp(x) by every engine, against dense algebra and grids with scipy, and PyMC's own features."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, optimize, special, stats

import speclet_formula as sf
from speclet_formula.inference.relative import psi_of, relative_covariances, relative_factors, theta_at, theta_of
from speclet_formula.posterior.draws import draws_of, values_of

M, C = 14, 1.6
FEW = 4.5  # Monte Carlo errors: ten numbers lie beyond with a probability below 1e-4
PRIORS = {
    "Intercept": sf.Prior("Normal", mu=0, sigma=2),
    "sd": sf.Prior("HalfNormal", sigma=1),
    "ell|gp(x)": sf.Prior("InverseGamma", alpha=3, beta=2),
}


@cache
def table():
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"x": rng.gamma(3.0, 1.0, 60), "f": np.array(list("ab"))[np.arange(60) % 2]})
    data["y"] = np.sin(data["x"]) + rng.normal(0, 0.3, 60)
    data["k"] = rng.poisson(np.exp(0.5 + np.sin(data["x"])))
    return data


def density(omega, length, kernel):
    """The spectral density of a covariance function with a variance of one, as Riutort-Mayol et al. (2023) print it."""
    if kernel == "exp_quad":
        return np.sqrt(2 * np.pi) * length * np.exp(-(length**2) * omega**2 / 2)
    nu = {"matern32": 1.5, "matern52": 2.5}[kernel]
    constant = 2 * np.sqrt(np.pi) * special.gamma(nu + 0.5) * (2 * nu) ** nu / (special.gamma(nu) * length ** (2 * nu))
    return constant * (2 * nu / length**2 + omega**2) ** -(nu + 0.5)


def features(x):
    """Return the eigenfunctions (n, M) on the box, and the roots of their eigenvalues (M,)."""
    reach, middle = C * np.abs(x - x.mean()).max(), (x.max() + x.min()) / 2
    omega = np.arange(1, M + 1) * np.pi / (2 * reach)
    return np.sin(omega * (x[:, None] - middle + reach)) / np.sqrt(reach), omega


def signal(sd, length, kernel="exp_quad"):
    values, omega = features(table()["x"].to_numpy())
    return (values * sd**2 * density(omega, length, kernel)) @ values.T


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("kernel", ["exp_quad", "matern52", "matern32"])
def test_the_likelihood_is_that_of_the_rows_covariance(kernel, method):
    y, n = table()["y"].to_numpy(), len(table())
    X = np.ones((n, 1))

    def solved(logs):
        sd, length, sigma = np.exp(logs)
        factor = linalg.cho_factor(signal(sd, length, kernel) + sigma**2 * np.eye(n), lower=True)
        information = (X.T @ linalg.cho_solve(factor, X))[0, 0]
        b = (X.T @ linalg.cho_solve(factor, y))[0] / information
        return factor, information, b, linalg.cho_solve(factor, y - b)

    def deviance(logs):
        factor, information, b, weighed = solved(logs)
        plain = (y - b) @ weighed + 2 * np.log(np.diagonal(factor[0])).sum() + n * np.log(2 * np.pi)
        return plain if method == "ml" else plain + np.log(information) - np.log(2 * np.pi)

    fit = sf.lmer(f'y ~ gp(x, m = {M}, c = {C}, cov = "{kernel}")', table(), method=method)
    (block,), known = fit.model.design.mean.groups, values_of(fit)
    ours = np.log([known.sds(block)[0, 0], known.length_scale(block)[0, 0], known.parameter("sigma")[0, 0]])
    assert fit.log_likelihood == pytest.approx(-deviance(ours) / 2, abs=1e-7)
    least = optimize.minimize(deviance, ours + 0.1, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    assert fit.log_likelihood == pytest.approx(-least.fun / 2, abs=1e-6)
    *_, b, weighed = solved(ours)
    expected = b + signal(*np.exp(ours[:2]), kernel) @ weighed
    np.testing.assert_allclose(sf.fitted(fit)["estimate"], expected, atol=1e-7)
    np.testing.assert_allclose(sf.predict(fit, table().iloc[:5])["estimate"], expected[:5], atol=1e-7)
    assert fit.df == 4
    assert sf.varcorr(fit)["var1"].to_list()[:2] == ["curve", "length-scale"]


@pytest.mark.parametrize("kernel", ["exp_quad", "matern32"])
def test_what_is_searched_is_turned_back(kernel):
    relative = relative_factors(sf.Model(f'y ~ gp(x, m = {M}, cov = "{kernel}")', table()).design)
    psi = np.array([[1.3, 0.4], [0.2, -0.9]])
    for one, theta in zip(psi, theta_at(relative, psi), strict=True):
        matrices = relative_covariances(relative, theta)
        np.testing.assert_allclose(psi_of(relative, matrices), one, rtol=1e-6)
        np.testing.assert_allclose(theta_of(relative, matrices), theta, rtol=1e-9)
    ends = theta_at(relative, np.array([[1.0, -np.pi / 2], [1.0, np.pi / 2]]))
    assert np.ptp(ends[0] / relative.scales[0]) == pytest.approx(0, abs=1e-9)
    falls = np.abs(ends[1] / relative.scales[0])
    expected = np.append(1.0, np.full(M - 1, 1e-8)) if kernel == "exp_quad" else np.arange(1, M + 1) ** -2.0
    np.testing.assert_allclose(falls / falls[0], expected, rtol=1e-6)


def test_a_likelihood_that_is_highest_with_waves_alike_has_its_maximum_there():
    """Where short waves are the larger ones no length-scale is short enough: all have one SD, as in a ridge."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.uniform(0, 5, 90)}).assign(y=0.0)
    values = sf.Model("y ~ gp(x, m = 6)", data).design.mean.groups[0].values
    y = values @ [0.5, -0.5, 1.0, -1.0, 2.0, -2.0] + rng.normal(0, 0.3, 90)
    fit = sf.lmer("y ~ gp(x, m = 6)", data.assign(y=y), method="ml")

    def deviance(logs):
        V = np.exp(2 * logs[0]) * values @ values.T + np.exp(2 * logs[1]) * np.eye(90)
        inverse = np.linalg.inv(V)
        left = y - inverse.sum(axis=0) @ y / inverse.sum()
        return left @ inverse @ left + np.linalg.slogdet(2 * np.pi * V)[1]

    ridge = optimize.minimize(deviance, [0.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    assert fit.verdict == "converged"
    assert fit.log_likelihood == pytest.approx(-ridge.fun / 2, abs=1e-4)
    assert "shorter than its 6 waves follow" in str(fit)


def test_edf_is_the_trace_of_the_smoother():
    fit = sf.lmer(f"y ~ gp(x, m = {M}, c = {C})", table(), method="reml")
    (block,), known = fit.model.design.mean.groups, values_of(fit)
    sd, length, sigma = (
        values[0, 0] for values in (known.sds(block), known.length_scale(block), known.parameter("sigma"))
    )
    values, omega = features(table()["x"].to_numpy())
    W = np.column_stack([np.ones(len(values)), values])
    penalty = np.diag([0, *(1 / (sd**2 * density(omega, length, "exp_quad")))])
    inside = np.linalg.solve(W.T @ W / sigma**2 + penalty, W.T @ W / sigma**2)
    assert sf.smooths(fit)["edf"][0] == pytest.approx(np.trace(inside) - inside[0, 0], rel=1e-5)


def test_curves_of_levels_share_sd_and_length_scale():
    fit = sf.lmer(f"y ~ f + gp(x, m = {M}, c = {C}, by = f)", table(), method="ml")
    (block,), known = fit.model.design.mean.groups, values_of(fit)
    assert (block.levels, block.sds) == (("a", "b"), ("1|gp(x, by = f)_sigma",) * M)
    sd, length, sigma = (
        values[0, 0] for values in (known.sds(block), known.length_scale(block), known.parameter("sigma"))
    )
    f = table()["f"].to_numpy()
    V = np.where(f[:, None] == f, signal(sd, length), 0) + sigma**2 * np.eye(len(f))
    mean = fit.model.design.mean.X @ fit.estimates.coefficients
    assert fit.log_likelihood == pytest.approx(stats.multivariate_normal(mean, V).logpdf(table()["y"]), abs=1e-6)


def test_laplace_is_laplaces_approximation():
    """At the estimate: the mode of the waves by Newton's method, and the determinant there, in dense algebra."""
    fit = sf.glmer(f"k ~ gp(x, m = {M}, c = {C})", table(), family="poisson", method="laplace")
    (block,), known, k = fit.model.design.mean.groups, values_of(fit), table()["k"].to_numpy()
    values, omega = features(table()["x"].to_numpy())
    sds = known.sds(block)[0, 0] * np.sqrt(density(omega, known.length_scale(block)[0, 0], "exp_quad"))
    Z, u = values * sds, np.zeros(M)
    for _ in range(50):
        mu = np.exp(fit.estimates.coefficients[0] + Z @ u)
        hessian = (Z.T * mu) @ Z + np.eye(M)
        u = u + np.linalg.solve(hessian, Z.T @ (k - mu) - u)
    at = stats.poisson(np.exp(fit.estimates.coefficients[0] + Z @ u)).logpmf(k).sum() - u @ u / 2
    assert fit.log_likelihood == pytest.approx(at - np.linalg.slogdet(hessian)[1] / 2, abs=1e-6)


def _grid():
    """Return log SDs, log lengths and log sigmas, and the posterior's weights, the intercept integrated."""
    y, n = table()["y"].to_numpy(), len(table())
    axes = np.linspace(-2.5, 2, 30), np.linspace(-2, 1.5, 34), np.linspace(-1.7, -0.6, 22)
    logs = np.empty((30, 34, 22))
    for i, sd in enumerate(np.exp(axes[0])):
        for j, length in enumerate(np.exp(axes[1])):
            values, vectors = np.linalg.eigh(signal(sd, length) + 4.0)
            spread = values + np.exp(2 * axes[2])[:, None]
            logs[i, j] = -0.5 * (np.log(spread) + (vectors.T @ y) ** 2 / spread).sum(axis=1)
    logs += stats.halfnorm.logpdf(np.exp(axes[0]))[:, None, None] + axes[0][:, None, None]
    logs += stats.invgamma(3, scale=2).logpdf(np.exp(axes[1]))[:, None] + axes[1][:, None]
    logs += stats.halfnorm.logpdf(np.exp(axes[2])) + axes[2]
    weights = np.exp(logs - logs.max())
    assert n == 60
    return axes, weights / weights.sum()


def _check_against(fit, axes, weights):
    draws, (block,) = draws_of(fit), fit.model.design.mean.groups
    ours = draws.sds(block)[:, 0], draws.length_scale(block)[:, 0], draws.parameter("sigma")[:, 0]
    for place, (values, axis) in enumerate(zip(ours, axes, strict=True)):
        margin = weights.sum(axis=tuple({0, 1, 2} - {place}))
        assert margin[[0, -1]].max() < 1e-3
        expected = margin @ axis
        spread = np.sqrt(margin @ (axis - expected) ** 2)
        effective = fit.diagnostics.ess_bulk_min
        assert abs(np.log(values).mean() - expected) < FEW * spread / np.sqrt(effective)
        assert np.log(values).std() == pytest.approx(spread, rel=0.15)


def test_the_exact_posterior_is_that_of_a_grid():
    priors = {**PRIORS, "sigma": sf.Prior("HalfNormal", sigma=1)}
    fit = sf.lmer(f"y ~ gp(x, m = {M}, c = {C})", table(), priors=priors, random_seed=1)
    _check_against(fit, *_grid())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hmc", "nuts"])
def test_hmc_and_nuts_draw_from_the_same_posterior(method):
    priors = {**PRIORS, "sigma": sf.Prior("HalfNormal", sigma=1)}
    model = sf.Model(f"y ~ gp(x, m = {M}, c = {C})", table(), priors=priors)
    more = {"target_accept": 0.99, "tune": 2000} if method == "nuts" else {}
    fit = sf.fit(model, method=method, random_seed=2, draws=2000, progress=False, **more)
    _check_against(fit, *_grid())
