"""Kenward and Roger's adjustment against its n x n matrices, weights included, which pbkrtest leaves out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.reml.degrees_of_freedom import small_sample
from speclet_formula.inference.reml.kenward_roger import components_of
from tests.inference.reml.dense import dense_of, variance_parts
from tests.inference.reml.test_degrees_of_freedom import MODELS, unbalanced


def paper(fit, related=()):
    """Return the adjusted covariance, its derivatives and the variances' uncertainty, as the paper has them."""
    V, G = variance_parts(fit, related)
    known = dense_of(fit, V)
    X, inverse, C = known.X, known.inverse, known.covariance
    P = [-X.T @ inverse @ part @ inverse @ X for part in G]
    Q = [[X.T @ inverse @ r @ inverse @ s @ inverse @ X for s in G] for r in G]
    information = np.array(
        [
            [
                np.trace(inverse @ r @ inverse @ s) - 2 * np.trace(C @ Q[i][j]) + np.trace(C @ P[i] @ C @ P[j])
                for j, s in enumerate(G)
            ]
            for i, r in enumerate(G)
        ]
    )
    W = 2 * np.linalg.inv(information)
    inner = sum(W[i, j] * (Q[i][j] - P[i] @ C @ P[j]) for i in range(len(G)) for j in range(len(G)))
    return C + 2 * C @ inner @ C, np.array([-C @ one @ C for one in P]), W


@pytest.mark.parametrize("name", MODELS)
def test_it_is_that_of_the_paper(name):
    formula, weights = MODELS[name]
    fit = sf.lmer(formula, unbalanced(), method="reml", weights=weights)
    adjusted, gradients, W = paper(fit)
    found = small_sample(fit, "kenward-roger")
    np.testing.assert_allclose(found.covariance, adjusted, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.gradients, gradients, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.uncertainty, W, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.plain, fit.estimates.covariance, rtol=1e-9)


def test_related_levels_are_those_of_the_paper():
    """Slopes of levels that vary together, one of which has no row, beside what the levels have of their own."""
    labels = list("0123456")
    A = pd.DataFrame(0.6 ** np.abs(np.subtract.outer(np.arange(7), np.arange(7))) + 0.2 * np.eye(7), labels, labels)
    table = unbalanced().assign(h=lambda d: d["g"] + d["h"])
    fit = sf.lmer("y ~ f + x + (x | gr(g, cov = A)) + (1 | h)", table, method="reml", weights="w", matrices={"A": A})
    assert not fit.singular
    adjusted, gradients, W = paper(fit, {"g": A})
    found = small_sample(fit, "kenward-roger")
    np.testing.assert_allclose(found.covariance, adjusted, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.gradients, gradients, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.uncertainty, W, rtol=1e-6, atol=1e-9)
    assert len(components_of(fit.model.design)) == 1


def test_a_variance_of_zero_counts_as_one_that_was_estimated():
    """Of a balanced one-way layout the degrees of freedom are those of the groups, whatever their variance is."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=(6, 5))
    table = pd.DataFrame({"y": (y - y.mean(axis=1, keepdims=True)).ravel(), "g": np.repeat(list("abcdef"), 5)})
    fit = sf.lmer("y ~ 1 + (1 | g)", table, method="reml")
    assert fit.singular
    assert sf.fixef(fit, df="kenward-roger")["df"].item() == pytest.approx(5, rel=1e-9)
    assert sf.fixef(fit, df="satterthwaite")["df"].item() == pytest.approx(
        29, rel=1e-6
    )  # as lmerTest: all rows' but one


def test_a_residual_at_its_edge_leaves_the_covariance_that_of_dense_algebra():
    """An effect for each row and next to no residual: what is left of V after the effects' shares would be rounding."""
    rng, v, rho, s2 = np.random.default_rng(3), 1.4, 0.6, 2.5e-7
    codes, times = np.repeat(np.arange(9), 4), np.tile(np.arange(4), 9)
    table = pd.DataFrame({"y": rng.normal(size=36), "g": codes.astype(str), "t": times.astype(str), "x": codes % 2})
    fit = sf.lmer("y ~ x * t + ar1(0 + t | g)", table.drop(index=[7, 20]), method="reml")
    matrix, X = v * rho ** np.abs(np.subtract.outer(np.arange(4), np.arange(4))), fit.model.design.mean.X
    fit = replace(fit, estimates=replace(fit.estimates, sigma=s2**0.5, covariances=(matrix,)))
    codes, times = np.delete(codes, [7, 20]), np.delete(times, [7, 20])
    same, apart = np.equal.outer(codes, codes), np.abs(np.subtract.outer(times, times))
    flat, sloped = same * rho**apart, same * apart * rho ** np.maximum(apart - 1, 0)
    bent = same * apart * (apart - 1) * rho ** np.maximum(apart - 2, 0)
    G, none = [flat, v * sloped, np.eye(len(X))], np.zeros_like(flat)
    bends = [[none, sloped, none], [sloped, v * bent, none], [none, none, none]]
    inverse = np.linalg.inv(v * flat + s2 * np.eye(len(X)))
    plain = np.linalg.inv(X.T @ inverse @ X)
    projection = inverse - inverse @ X @ plain @ X.T @ inverse
    W = 2 * np.linalg.inv([[np.trace(projection @ a @ projection @ b) for b in G] for a in G])
    inner = sum(
        W[i, j] * X.T @ inverse @ (G[i] @ projection @ G[j] - bends[i][j] / 4) @ inverse @ X
        for i in range(3)
        for j in range(3)
    )
    found = small_sample(fit, "kenward-roger")
    np.testing.assert_allclose(found.covariance, plain + 2 * plain @ inner @ plain, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.uncertainty, W, rtol=1e-6, atol=1e-9)


def test_levels_that_never_meet_are_taken_by_themselves():
    table = unbalanced().assign(h=lambda d: d["g"] + d["h"])
    model = sf.Model("y ~ x + (x | g) + (1 | h)", table)
    parts = components_of(model.design)
    assert len(parts) == table["g"].nunique()
    assert sorted(np.concatenate(parts)) == list(range(2 * table["g"].nunique() + table["h"].nunique()))
    fit = sf.fit(model, method="reml")
    adjusted, *_ = paper(fit)
    np.testing.assert_allclose(small_sample(fit, "kenward-roger").covariance, adjusted, rtol=1e-7, atol=1e-9)


def test_merged_rows_are_counted_as_they_were(tmp_path):
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"f": rng.choice(list("ab"), 90), "g": rng.choice(list("pqrst"), 90)})
    table["y"] = rng.normal(size=5)[table["g"].map("pqrst".index)] + rng.normal(size=90)
    table.to_csv(tmp_path / "rows.csv", index=False)
    merged = sf.lmer("y ~ f + (1 | g)", sf.scan(tmp_path / "rows.csv", merge=True), method="reml")
    single = sf.lmer("y ~ f + (1 | g)", table, method="reml")
    for df in ("kenward-roger", "satterthwaite"):
        pd.testing.assert_frame_equal(sf.fixef(merged, df=df), sf.fixef(single, df=df), rtol=1e-4)


def test_too_many_effects_that_hang_together_are_refused(monkeypatch):
    monkeypatch.setattr("speclet_formula.inference.reml.degrees_of_freedom.MOST_CUBES", 10)
    fit = sf.lmer("y ~ x + (1 | g) + (1 | h)", unbalanced(), method="reml")
    with pytest.raises(sf.EstimateError, match="takes matrices of all 11 group effects that hang together"):
        sf.fixef(fit, df="kenward-roger")
