"""Influence against lme4's, dense least squares without a row, and fits without it."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import ComparisonError, DataError, EstimateError
from tests.fakes import fake_fit

LME4 = json.loads((Path(__file__).parents[1] / "data" / "r" / "influence.json").read_text())["fits"]
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@cache
def table():
    """Return 60 rows of 12 levels, unbalanced, with slopes, weights and one wild row."""
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(12), np.tile([3, 5, 7, 5], 3))
    x = rng.normal(size=60)
    x[17] = 3
    y = 1 + x + rng.normal(0, 1, 12)[group] + rng.normal(0, 0.5, 12)[group] * x + rng.normal(0, 0.7, 60)
    y[17] += 8
    return pd.DataFrame({"y": y, "x": x, "g": group.astype(str), "w": rng.uniform(0.5, 2, 60)})


def marginal(fit, rows):
    """Return X, y and the covariance of y of some rows, dense."""
    design, points = fit.model.design, fit.estimates
    weights = np.ones(len(design.response)) if design.weights is None else design.weights
    V = np.diag(points.sigma**2 / weights)
    for block, covariance in zip(design.mean.groups, points.covariances, strict=True):
        Z = np.zeros((len(V), len(block.levels), covariance.shape[0]))
        Z[np.arange(len(V)), block.codes] = block.values
        V += np.einsum("ilk,km,jlm->ij", Z, covariance, Z)
    return design.mean.X[rows], design.response[rows], V[np.ix_(rows, rows)]


@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ x + (1 | g)", "y ~ x + (x || g)"])
def test_rows_of_a_linear_model_are_those_of_dense_algebra(formula):
    """Generalised least squares without each row, at the same variances; hat values from the whole covariance."""
    fit = sf.lmer(formula, table(), weights="w", method="reml")
    found, every = sf.influence(fit).rows, np.arange(60)
    X, y, V = marginal(fit, every)
    inverse = np.linalg.inv(V)
    fixed = np.linalg.inv(X.T @ inverse @ X)
    beta = fixed @ X.T @ inverse @ y
    residual = np.diag(fit.estimates.sigma**2 / table()["w"])
    # y less its fitted value is R V^-1 (y - X beta).
    hat = np.eye(60) - residual @ (inverse - inverse @ X @ fixed @ X.T @ inverse)
    assert found["leverage"].to_numpy() == pytest.approx(np.diagonal(hat), abs=1e-8)
    for row in (0, 17, 42):
        X, y, V = marginal(fit, np.delete(every, row))
        moved = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, y)) - beta
        expected = moved @ np.linalg.solve(fixed, moved) / 2
        assert found["cooks_distance"][row] == pytest.approx(expected, rel=1e-5)
    assert found["cooks_distance"].idxmax() == 17


def test_lme4s_answers(shared_data):
    """hatvalues, cooks.distance, and influence(groups=): fixed effects refitted without each level."""
    folder = shared_data / "lme4"
    sleep = pd.read_csv(folder / "sleepstudy.csv")
    cbpp = pd.read_csv(folder / "cbpp.csv", dtype={"herd": str, "period": str})
    fits = {
        "sleepstudy": (sf.lmer("Reaction ~ Days + (Days | Subject)", sleep, method="reml"), "Subject", 2e-4),
        "intercepts": (sf.lmer("Reaction ~ Days + (1 | Subject)", sleep, method="reml"), "Subject", 2e-4),
        "cbpp": (sf.glmer(CBPP, cbpp, family="binomial", method="laplace"), "herd", 5e-3),  # glmer's own tolerance
    }
    for name, (fit, group, tolerance) in fits.items():
        expected, found = LME4[name], sf.influence(fit, group)
        for column in ("leverage", "cooks_distance_all"):
            if column in expected:
                assert found.rows[column].to_numpy() == pytest.approx(expected[column], rel=2e-3)
        order = [expected["levels"].index(level) for level in found.levels["level"]]
        changes = found.changes["change"].to_numpy().reshape(len(order), -1)
        errors = np.sqrt(np.diagonal(fit.estimates.covariance))
        assert np.abs((changes - np.array(expected["changes"])[order]) / errors).max() < tolerance, name
        if name != "cbpp":  # whose covariance lme4 takes from the fixed effects alone
            assert found.levels["cooks_distance"].to_numpy() == pytest.approx(
                np.array(expected["cooks_distance"])[order], rel=5e-3, abs=1e-5
            )


def test_leverages_of_counts_are_those_of_weighted_least_squares():
    data = table()[["x", "g"]].assign(y=np.arange(60) % 4 + 2 * (table()["g"].astype(int) % 3))
    fit = sf.glmer("y ~ x + (1 | g)", data, family="poisson", method="laplace")
    mean = sf.fitted(fit)["estimate"].to_numpy()
    block = fit.model.design.mean.groups[0]
    joint = np.hstack([fit.model.design.mean.X, np.eye(12)[block.codes]])
    prior = np.diag([0, 0] + [1 / float(fit.estimates.covariances[0][0, 0])] * 12)
    covariance = np.linalg.inv(joint.T @ (mean[:, None] * joint) + prior)
    expected = mean * np.einsum("ij,jk,ik->i", joint, covariance, joint)
    assert sf.influence(fit).rows["leverage"].to_numpy() == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_draws_tell_what_fits_without_a_row_and_a_level_tell():
    """Weighted means of 4,000 draws against exact fits without the row, in posterior SDs.

    Each mean of a fit has an error of 1 / sqrt(4,000), 0.016: a change of two such fits 0.023, five of them 0.11.
    """
    fit = sf.lmer("y ~ x + (x | g)", table(), random_seed=1, progress=False)
    found = sf.influence(fit, "g", random_seed=1, progress=False)
    rows, spread = found.rows, sf.fixef(fit)["std_error"].to_numpy()
    dense = sf.influence(sf.lmer("y ~ x + (x | g)", table(), method="reml")).rows
    assert rows["leverage"].to_numpy() == pytest.approx(dense["leverage"], rel=0.35, abs=0.03)
    covariance = np.cov(fit.idata["posterior"]["Intercept"].values.ravel(), fit.idata["posterior"]["x"].values.ravel())
    good = rows[rows["pareto_k"] < 0.6]
    for row in [*good["cooks_distance"].nlargest(2).index, good["cooks_distance"].idxmin()]:
        without = sf.lmer("y ~ x + (x | g)", table().drop(index=row), random_seed=2, progress=False)
        moved = (sf.fixef(without)["estimate"] - sf.fixef(fit)["estimate"]).to_numpy()
        expected = np.sqrt(moved @ np.linalg.solve(covariance, moved))
        assert np.sqrt(2 * rows["cooks_distance"][row]) == pytest.approx(expected, abs=0.11)
    without = sf.lmer("y ~ x + (x | g)", table()[table()["g"] != "3"], random_seed=2, progress=False)
    change = found.changes[found.changes["level"] == "3"]["estimate"].to_numpy()
    assert np.abs(change - sf.fixef(without)["estimate"].to_numpy()).max() < 0.11 * spread.max()


def test_it_prints_the_most_influential():
    found = sf.influence(sf.lmer("y ~ x + (1 | g)", table(), method="reml"), "g")
    assert "row has a Cook's distance above 1; the largest is" in repr(found)
    assert "of row 17." in repr(found)
    assert "The 5 most influential levels:" in repr(found)
    assert "Levels: by 12 fits by REML" in repr(found)
    assert found.levels["n_rows"].sum() == 60


def test_dropped_columns_and_missing_rows_keep_their_places():
    data = table().assign(z=lambda frame: 2 * frame["x"])
    data.loc[5, "x"] = np.nan
    model = sf.Model("y ~ x + z + (1 | g)", data, missing="drop")
    fit = sf.fit(model, method="reml")
    found = sf.influence(fit, "g")
    assert 5 not in found.rows.index
    assert found.changes[found.changes["term"] == "z"]["change"].isna().all()
    plain = sf.influence(sf.fit(sf.Model("y ~ x + (1 | g)", data, missing="drop"), method="reml"), "g")
    assert found.rows["cooks_distance"].to_numpy() == pytest.approx(plain.rows["cooks_distance"], rel=1e-6)
    assert found.levels["cooks_distance"].to_numpy() == pytest.approx(plain.levels["cooks_distance"], rel=1e-4)


def test_what_has_no_influence_is_refused():
    fit = sf.lmer("y ~ x + (1 | g)", table().assign(one="a"), method="reml")
    with pytest.raises(ComparisonError, match="there is no column 'h'"):
        sf.influence(fit, "h")
    with pytest.raises(DataError, match="'one' has one level"):
        sf.influence(fit, "one")
    with pytest.raises(DataError, match="the model has no fixed effects"):
        sf.influence(sf.lmer("y ~ 0 + (1 | g)", table(), method="reml"))
    levels = table().assign(o=pd.cut(table()["y"], [-99, 0, 1, 99], labels=["a", "b", "c"]))
    ordinal = fake_fit(sf.Model("o ~ x", levels, family="cumulative"), {"threshold": np.array([-1.0, 1.0])})
    with pytest.raises(EstimateError, match="an ordinal response has no residuals"):
        sf.influence(ordinal)
