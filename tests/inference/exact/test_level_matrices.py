"""Levels that vary together by exact integration: the density by dense algebra, long NUTS, folds, calibration."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.inference.exact.density import log_likelihood, marginal_of, sloped_log_posterior, theta_of
from speclet_formula.posterior.draws import draws_of

Q = 9
LABELS = [f"l{k}" for k in range(Q)]
PRIORS = {"Intercept": sf.Prior("Normal", mu=1, sigma=2), "x": sf.Prior("Normal", mu=0, sigma=1),
          "1|line_sigma": sf.Prior("HalfNormal", sigma=1), "x|line_sigma": sf.Prior("HalfNormal", sigma=1),
          "sigma": sf.Prior("HalfNormal", sigma=1)}  # fmt: skip


def covariance(q=Q, seed=2):
    root = np.random.default_rng(seed).normal(size=(q, q + 4))
    return root @ root.T / q


def table(n=40, q=Q, seed=3):
    rng = np.random.default_rng(seed)
    line, x = rng.integers(0, q - 2, n), rng.normal(3, 1, n)
    effects = np.linalg.cholesky(covariance(q)) @ rng.normal(size=(q, 2)) * [0.8, 0.4]
    y = 1 + 0.5 * x + effects[line, 0] + effects[line, 1] * x + rng.normal(0, 0.5, n)
    names = [f"l{k}" for k in range(q)]
    return pd.DataFrame({"y": y, "x": x, "line": np.array(names)[line], "other": rng.integers(0, 4, n).astype(str)})


def model_of(columns="x", argument="cov", extra="", n=40, q=Q):
    A = covariance(q)
    given = {"A": (A if argument == "cov" else np.linalg.inv(A), [f"l{k}" for k in range(q)])}
    formula = f"y ~ x + ({columns} | gr(line, {argument} = A)){extra}"
    priors = {name: prior for name, prior in PRIORS.items() if columns == "x" or name != "x|line_sigma"}
    return sf.Model(formula, table(n, q), matrices=given, priors=priors)


def dense(model, sigma, sds, rho, q=Q, others=0.0):
    """Return the density of the response by the covariance of its rows."""
    data = model.data
    line = np.array([int(name[1:]) for name in data["line"]])
    columns = np.column_stack([np.ones(len(data)), data["x"]])[:, : len(sds)]
    S = np.outer(sds, sds) * (np.eye(len(sds)) * (1 - rho) + rho)
    V = (columns @ S @ columns.T) * covariance(q)[np.ix_(line, line)] + sigma**2 * np.eye(len(data))
    V += others**2 * np.equal.outer(data["other"].to_numpy(), data["other"].to_numpy())
    centred = data["x"].to_numpy() - data["x"].mean()
    V += 4 + np.outer(centred, centred)
    return stats.multivariate_normal(np.ones(len(data)), V).logpdf(data["y"])


@pytest.mark.parametrize("argument", ["cov", "precision"])
@pytest.mark.parametrize("q", [Q, 200])  # whole matrices, and sparse ones
@pytest.mark.parametrize(("columns", "extra"), [("1", ""), ("x", ""), ("x", " + (1 | other)")])
def test_the_density_is_that_of_dense_algebra(argument, q, columns, extra):
    model = model_of(columns, argument, extra, q=q)
    marginal = marginal_of(model)
    sds, rho, others = ((0.7, 0.3), 0.4, 0.6 if extra else 0.0) if columns == "x" else ((0.7,), 0.0, 0.0)
    all_sds = np.array([[0.5, *sds, *([others] if extra else [])], [1.5, *sds, *([others] if extra else [])]])
    partial = np.full((2, 1 if columns == "x" else 0), rho)
    expected = [dense(model, sigma, sds, rho, q, others) for sigma in (0.5, 1.5)]
    found = log_likelihood(marginal, all_sds, partial)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    theta = theta_of(marginal.variances, all_sds, partial)[0]
    value, slope = sloped_log_posterior(marginal, theta)
    steps = 1e-5 * np.eye(len(theta))
    for step, own in zip(steps, slope, strict=True):
        ahead, behind = (sloped_log_posterior(marginal, theta + sign * step)[0] for sign in (1, -1))
        assert (ahead - behind) / 2e-5 == pytest.approx(own, rel=1e-4, abs=1e-4)
    assert np.isfinite(value)


def test_rows_left_out_are_those_of_dense_algebra():
    """A model of one draw's variances: each row given all others, and each line given the other lines."""
    model = model_of("1")
    fit = sf.fit(model, draws=200, random_seed=1, progress=False)
    loo, folds = sf.loo(fit), sf.kfold(fit, group="line")
    general = sf.fit(model, method="hmc", draws=1000, random_seed=1, progress=False)
    # 4 of its Monte Carlo errors: of 4,000 draws a row's elpd errs by less than 0.02, 40 of them by 0.13
    assert sf.loo(general).elpd == pytest.approx(loo.elpd, abs=0.5)
    assert sf.kfold(general, group="line").elpd == pytest.approx(folds.elpd, abs=0.8)
    assert (loo.pareto_k.to_numpy() < 0.7).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["exact", "hmc"])
def test_the_posterior_is_that_of_long_nuts(method):
    """A PyMC model by hand, its effects integrated out: means within 4 Monte Carlo errors of both."""
    import arviz as az
    import pymc as pm

    model = model_of("x")
    data = model.data
    line = np.array([int(name[1:]) for name in data["line"]])
    between, x = covariance()[np.ix_(line, line)], data["x"].to_numpy()
    centred = x - x.mean()
    with pm.Model():
        sigma, sds = pm.HalfNormal("sigma", 1), pm.HalfNormal("sds", 1, shape=2)
        rho = pm.Deterministic("rho", 2 * pm.Beta("half", 2, 2) - 1)  # LKJ(2) of two columns
        products = sds[0] ** 2 + sds[0] * sds[1] * rho * (x[:, None] + x) + sds[1] ** 2 * np.outer(x, x)
        fixed = 4 + np.outer(centred, centred)
        pm.MvNormal("y", np.ones(40), between * products + sigma**2 * np.eye(40) + fixed, observed=data["y"])
        theirs = pm.sample(4000, tune=1500, chains=2, cores=1, random_seed=5, progressbar=False, target_accept=0.95)
    fit = sf.fit(model, method=method, draws=4000, random_seed=3, progress=False)
    draws, block = draws_of(fit), fit.model.design.mean.groups[0]
    ours = np.column_stack([draws.parameter("sigma")[:, 0], draws.sds(block), draws.correlation(block)[:, 0]])
    posterior = theirs.posterior
    known = np.column_stack([posterior[name].to_numpy().reshape(8000, -1) for name in ("sigma", "sds", "rho")])
    least = min(float(value.min()) for value in az.ess(posterior).data_vars.values())
    error = known.std(axis=0) * np.hypot(1 / np.sqrt(least), 1 / np.sqrt(fit.diagnostics.ess_bulk_min))
    np.testing.assert_array_less(np.abs(ours.mean(axis=0) - known.mean(axis=0)), 4 * error)
    np.testing.assert_allclose(ours.std(axis=0), known.std(axis=0), rtol=0.1)


def test_an_effect_for_each_row_leaves_a_residual():
    """One row for each line, and lines without one: relatives tell the variance by themselves."""
    q = 60
    data = table(q - 2, q).assign(line=[f"l{k}" for k in range(q - 2)])
    given = {"A": (covariance(q), [f"l{k}" for k in range(q)])}
    model = sf.Model("y ~ x + (1 | gr(line, cov = A))", data, matrices=given)
    assert marginal_of(model).variances.saturated
    assert not model.findings
    assert sf.fit(model, random_seed=1, progress=False).diagnostics.verdict == "converged"
    assert sf.fit(model, method="reml").log_likelihood < 0


@pytest.mark.slow
def test_calibration_of_a_pedigree():
    """300 data sets: ranks of SDs and of relatives' effects are uniform."""
    rng = np.random.default_rng(1)
    parents = np.array([[-1, -1] if i < 6 else rng.integers(0, i, 2) for i in range(40)])
    family = pd.DataFrame({"id": np.arange(40), "sire": parents[:, 0], "dam": parents[:, 1]}).astype("Int64")
    family[["sire", "dam"]] = family[["sire", "dam"]].mask(family[["sire", "dam"]] < 0).replace(0, 99)
    family["id"] = family["id"].replace(0, 99)
    relatives = sf.pedigree(family)
    layout = pd.DataFrame({"id": np.repeat(family["id"].astype(str).to_numpy(), 2), "x": rng.normal(size=80)})
    found = sf.calibrate(
        "y ~ x + (1 | gr(id, precision = P))", layout.assign(y=rng.normal(size=80)), nsim=300, random_seed=2,
        matrices={"P": relatives}, progress=False,
    )  # fmt: skip
    known = found.table["rank_p"].dropna()
    assert {"b", "sd", "sigma", "level"} <= set(found.table["class"])
    assert known.min() > 1e-4 / len(known)
