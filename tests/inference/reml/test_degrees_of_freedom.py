"""Satterthwaite's degrees of freedom against dense algebra: other parameters, other derivatives."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.reml.degrees_of_freedom import small_sample, why_no_small_sample
from speclet_formula.posterior.degrees_of_freedom import degrees
from tests.inference.reml.dense import dense_of, variance_parts


def unbalanced(seed=2, rows=60):
    """Rows of crossed groups, with weights and a covariate."""
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 6, rows), rng.integers(0, 5, rows)
    x, f = rng.normal(size=rows) + 1, rng.choice(list("abc"), rows)
    y = (
        rng.normal(size=6)[g]
        + (1 + 0.8 * rng.normal(size=6)[g]) * x
        + 0.7 * rng.normal(size=5)[h]
        + rng.normal(size=rows)
    )
    table = pd.DataFrame({"y": y, "x": x, "f": f, "g": g.astype(str), "h": h.astype(str)})
    return table.assign(w=rng.uniform(0.5, 2, rows))


MODELS = {
    "one": ("y ~ f + x + (1 | g)", None),
    "slopes": ("y ~ f + x + (x | g) + (1 | h)", None),
    "weights": ("y ~ f * x + (1 | g) + (1 | h)", "w"),
    "uncorrelated": ("y ~ f + x + (x || g)", "w"),
}


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", MODELS)
def test_dense_algebra_gives_the_same(name, method):
    """The variances themselves are the parameters here, and the criterion's derivatives are those of the matrices.

    Were the gradient zero at the estimate, both would be the same; it is so to a thousandth of a standard error.
    """
    formula, weights = MODELS[name]
    fit = sf.lmer(formula, unbalanced(), method=method, weights=weights)
    assert not fit.singular
    V, G = variance_parts(fit)
    found = dense_of(fit, V)
    # -2 log-likelihood: its second derivatives by the variances.
    y, residual = fit.model.design.response, found.projected
    P = found.projection if method == "reml" else found.inverse
    products = [found.projection @ (part @ residual) for part in G]
    curvature = np.array(
        [
            [
                -np.sum((P @ r) * (P @ s).T) + 2 * residual @ (r @ product)
                for s, product in zip(G, products, strict=True)
            ]
            for r in G
        ]
    )
    assert len(y) == len(residual)
    uncertainty = 2 * np.linalg.inv((curvature + curvature.T) / 2)
    C = found.covariance
    slopes = np.array([C @ found.X.T @ found.inverse @ part @ found.inverse @ found.X @ C for part in G])
    L = np.vstack([np.eye(len(C)), np.ones(len(C))])
    v = np.einsum("ri,ij,rj->r", L, C, L)
    g = np.einsum("ri,kij,rj->kr", L, slopes, L)
    expected = 2 * v**2 / np.einsum("kr,kl,lr->r", g, uncertainty, g)
    np.testing.assert_allclose(degrees(small_sample(fit, "satterthwaite"), L), expected, rtol=1e-4)


def test_a_number_far_from_zero_changes_nothing():
    near, far = (
        sf.lmer("y ~ x + (x | g)", unbalanced().assign(x=lambda d, at=at: d["x"] + at), method="reml")
        for at in (0, 2_000)
    )
    found = [degrees(small_sample(fit, "satterthwaite"), np.array([[0.0, 1.0]])) for fit in (near, far)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3)


def test_dropped_columns_have_none():
    data = unbalanced().assign(again=lambda d: 2 * d["x"])
    whole, part = (sf.lmer(f"y ~ x {more} + (1 | g)", data, method="reml") for more in ("+ again", ""))
    frames = [sf.fixef(fit, df=df) for fit in (whole, part) for df in ("satterthwaite", "kenward-roger")]
    assert np.isnan(frames[0].loc[2, ["df", "p_value"]].astype(float)).all()
    for more, plain in zip(frames[:2], frames[2:], strict=True):
        np.testing.assert_allclose(more.loc[:1, "df"], plain["df"], rtol=1e-6)


def test_what_they_are_kept_from():
    fit = sf.lmer("y ~ 0 + (1 | g)", unbalanced(), method="reml")
    assert why_no_small_sample(fit, "satterthwaite", asked=True) == "there is no fixed effect"
    assert len(sf.fixef(fit)) == 0
    assert "Fixed effects: none" in repr(fit)


def test_too_many_derivatives_are_refused(monkeypatch):
    monkeypatch.setattr("speclet_formula.inference.reml.degrees_of_freedom.MOST_NUMBERS", 10)
    fit = sf.lmer("y ~ f + x + (1 | g)", unbalanced(), method="reml")
    assert (
        why_no_small_sample(fit, "satterthwaite", asked=True)
        == "4 fixed effects and 2 variances have too many derivatives"
    )
    assert sf.fixef(fit)["df"].eq(np.inf).all()


def test_large_sparse_models_and_classes_of_alike_levels_give_what_whole_matrices_do(monkeypatch):
    table = unbalanced(rows=400).assign(
        g=lambda d: (d.index % 37).astype(str), h=lambda d: (d.index * 7 % 41).astype(str)
    )
    whole = sf.fixef(sf.lmer("y ~ f + x + (x | g) + (1 | h)", table, method="reml"))
    monkeypatch.setattr("speclet_formula.inference.reml.criterion.MOST_DENSE", 0)
    sparse = sf.fixef(sf.lmer("y ~ f + x + (x | g) + (1 | h)", table.copy(), method="reml"))
    np.testing.assert_allclose(sparse["df"], whole["df"], rtol=1e-3)
