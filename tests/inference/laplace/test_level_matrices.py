"""Levels that vary together by Laplace's approximation, against the dense one, maximised by scipy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import speclet_formula as sf

FOLDER = Path(__file__).parents[2] / "data" / "r" / "textbook"
EPIL = ("y ~ lbase + trt + (1 | gr(subject, cov = A))", "epil", "poisson")
CBPP = ("cbind(incidence, healthy) ~ period + (1 | gr(herd, cov = A))", "cbpp", "binomial")


def related(levels):
    """Return the covariance of levels and of two more, of which there are no rows, in an order of its own."""
    labels = ["none", *levels[::-1], "nor this"]
    q = np.arange(len(labels))
    return pd.DataFrame(0.8 ** np.abs(np.subtract.outer(q, q)) + np.diag(0.1 + 0.02 * (q % 5)), labels, labels)


def density(family, y, eta):
    """Return the log density of rows, its slope and minus its curvature by eta."""
    if family == "poisson":
        return stats.poisson(np.exp(eta)).logpmf(y), y - np.exp(eta), np.exp(eta)
    k, n, p = y[:, 0], y.sum(axis=1), special.expit(eta)
    return stats.binom(n, p).logpmf(k), k - n * p, n * p * (1 - p)


def dense(family, y, X, Z, parameters):
    """Return minus the approximate log likelihood: Z has a column for each effect, standard up to its SD."""
    beta, sd = parameters[: X.shape[1]], np.exp(parameters[-1])
    v, A = np.zeros(Z.shape[1]), sd * Z
    for _ in range(50):
        _, slope, weight = density(family, y, X @ beta + A @ v)
        step = np.linalg.solve(A.T @ (weight[:, None] * A) + np.eye(len(v)), A.T @ slope - v)
        v = v + step
        if np.abs(step).max() < 1e-12:
            break
    rows, _, weight = density(family, y, X @ beta + A @ v)
    return -(rows.sum() - v @ v / 2 - np.linalg.slogdet(A.T @ (weight[:, None] * A) + np.eye(len(v)))[1] / 2)


@pytest.mark.parametrize(("formula", "name", "family"), [EPIL, CBPP], ids=["poisson", "binomial"])
def test_the_maximum_is_that_of_dense_algebra(formula, name, family):
    rows = pd.read_csv(FOLDER / f"{name}.csv")
    group = "subject" if name == "epil" else "herd"
    levels = sorted(rows[group].unique())
    A = related(levels)
    root = pd.DataFrame(np.linalg.cholesky(A), A.index)
    if name == "epil":
        y, X = rows["y"].to_numpy(), np.column_stack([np.ones(len(rows)), rows["lbase"], rows["trt"] == "progabide"])
    else:
        y, periods = rows[["incidence", "healthy"]].to_numpy(), [rows["period"] == f"p{place}" for place in (2, 3, 4)]
        X = np.column_stack([np.ones(len(rows)), *periods])
    Z = root.loc[rows[group]].to_numpy()
    fit = sf.glmer(formula, rows, family=family, method="laplace", matrices={"A": A})
    assert fit.verdict == "converged"
    estimates = np.append(sf.fixef(fit)["estimate"], np.log(sf.varcorr(fit)["sdcor"][0]))
    assert fit.log_likelihood == pytest.approx(-dense(family, y, X, Z, estimates), rel=1e-9)
    start = np.append(np.zeros(X.shape[1]), -0.5)
    found = optimize.minimize(lambda at: dense(family, y, X, Z, at), start, method="BFGS", options={"gtol": 1e-4})
    assert fit.log_likelihood == pytest.approx(-found.fun, abs=1e-6)
    errors = np.append(sf.fixef(fit)["std_error"], 0.1)
    np.testing.assert_allclose(estimates / errors, found.x / errors, atol=3e-3)  # both end within a thousandth
    modes = sf.ranef(fit).set_index("grp")["condval"]
    assert set(modes.index) == set(A.index)
