"""Merged rows have the density of the single ones, by scipy's multivariate normal, and so every engine's answer."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import dataset
from scipy import stats

import speclet_formula as sf
from speclet_formula.inference.exact.density import log_likelihood, log_posterior, marginal_of

FORMULAS = [
    ("y ~ 1 + (1 | gene) + (1 | line)", None),  # crossed
    ("y ~ kind + (1 | gene/guide)", "w"),  # nested
    ("y ~ x + offset(x) + (1 + x | gene)", None),  # correlated slopes, repeated x
    ("y ~ 0 + kind * x + (1 + x || gene) + (1 | line)", "w"),
    ("y ~ x", "w"),
]


def table(n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    gene = rng.integers(0, 5, n)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n) + 0.4 * gene,
            "x": rng.integers(0, 3, n).astype(float),
            "kind": rng.choice(["a", "b"], n),
            "gene": [f"g{i}" for i in gene],
            "guide": [f"s{i}" for i in 2 * gene + rng.integers(0, 2, n)],
            "line": rng.choice(["l0", "l1", "l2"], n),
            "w": rng.choice([0.5, 2.0], n),
        }
    )


def merged(formula: str, frame: pd.DataFrame, **settings: Any) -> sf.Model:
    source = dataset.dataset(pa.Table.from_pandas(frame))
    return sf.Model(formula, sf.scan(source, chunksize=40, merge=True), **settings)


def brute_density(single: sf.Model, sds: np.ndarray, correlation: float) -> float:
    """The density of all single rows; notebook's priors: Normal(0, 5) of each coefficient, at the columns' means."""
    design = single.design
    X = design.mean.X.copy()
    if design.mean.fixed and design.mean.fixed[0].kind == "intercept":
        X[:, 1:] -= X[:, 1:].mean(axis=0)
    weights = np.ones(len(X)) if design.weights is None else design.weights
    covariance = 25.0 * X @ X.T + np.diag(sds[0] ** 2 / weights)
    first = 1
    for block in design.mean.groups:
        k = len(block.columns)
        spread = np.diag(sds[first : first + k] ** 2)
        if block.correlated:
            spread[0, 1] = spread[1, 0] = correlation * sds[first] * sds[first + 1]
        same = block.codes[:, None] == block.codes
        covariance += same * (block.values @ spread @ block.values.T)
        first += k
    return float(stats.multivariate_normal.logpdf(design.response, design.mean.offset, covariance))


@pytest.mark.parametrize(("formula", "weights"), FORMULAS)
def test_density_is_that_of_single_rows(formula: str, weights: str | None) -> None:
    model = merged(formula, table(), weights=weights, priors="notebook")
    single = sf.Model(formula, table(), weights=weights, priors="notebook")
    assert len(model.design.response) < 150
    marginal = marginal_of(model)
    rng = np.random.default_rng(3)
    sds = np.exp(rng.normal(0, 0.4, size=(4, len(marginal.variances.sd_priors))))
    partial = rng.uniform(-0.9, 0.9, size=(4, len(marginal.variances.partials)))
    found = log_likelihood(marginal, sds, partial)
    for place in range(4):
        correlation = float(partial[place, 0]) if partial.size else 0.0
        # Of densities of some hundreds, which leaves five digits for scipy's eigenvalues of 150 rows.
        assert found[place] == pytest.approx(brute_density(single, sds[place], correlation), abs=1e-8)


@pytest.mark.parametrize(("formula", "weights"), FORMULAS[:-1])
@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.mostly_slow(every=2)
def test_points_are_those_of_single_rows(formula: str, weights: str | None, method: Any) -> None:
    found = sf.fit(merged(formula, table(), weights=weights), method=method, cores=1)
    wanted = sf.fit(sf.Model(formula, table(), weights=weights), method=method, cores=1)
    assert found.log_likelihood == pytest.approx(wanted.log_likelihood, abs=1e-8)
    assert (found.df, found.bic) == (wanted.df, pytest.approx(wanted.bic, abs=1e-7))
    # The search stops at a thousandth of a standard error, and by rounding not at the same place on every processor.
    apart = sf.fixef(found)["estimate"] - sf.fixef(wanted)["estimate"]
    assert (np.abs(apart) < 1e-3 * sf.fixef(wanted)["std_error"]).all()
    np.testing.assert_allclose(sf.varcorr(found)["sdcor"], sf.varcorr(wanted)["sdcor"], rtol=2e-4, atol=1e-5)
    assert sf.nobs(found) == 150


@pytest.mark.slow
def test_profiles_are_those_of_single_rows() -> None:
    fits = [sf.fit(model, method="ml", cores=1) for model in (merged("y ~ x + (1 | gene)", table()), single_model())]
    found, wanted = (sf.confint(fit, method="profile") for fit in fits)
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-6)


def single_model() -> sf.Model:
    return sf.Model("y ~ x + (1 | gene)", table())


@pytest.mark.parametrize(("formula", "weights"), [FORMULAS[0], FORMULAS[2]])
@pytest.mark.slow
def test_the_same_seed_gives_the_same_draws(formula: str, weights: str | None) -> None:
    settings: dict[str, Any] = {"draws": 50, "chains": 2, "cores": 1, "random_seed": 2}
    found = sf.fit(merged(formula, table(), weights=weights), **settings).idata["posterior"]
    wanted = sf.fit(sf.Model(formula, table(), weights=weights), **settings).idata["posterior"]
    for name in wanted.data_vars:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-7)


def test_a_level_of_each_cell_is_told_from_the_residual() -> None:
    # 60 cells for 60 levels, but 150 rows: single ones, too, let the residual be told apart.
    frame = table().assign(cell=lambda one: one["gene"] + one["line"] + one["kind"] + one["x"].astype(str))
    found = sf.lmer("y ~ (1 | cell)", merged("y ~ (1 | cell)", frame).data, method="reml", cores=1)
    assert len(found.model.design.response) == len(found.model.design.mean.groups[0].levels)
    assert found.log_likelihood == pytest.approx(sf.lmer("y ~ (1 | cell)", frame, method="reml").log_likelihood)


def test_a_response_far_from_zero_keeps_its_density() -> None:
    frame = table().assign(y=lambda one: 1e6 + 1e-3 * one["y"])
    model, single = merged("y ~ x + (1 | gene)", frame), sf.Model("y ~ x + (1 | gene)", frame)
    one, other = marginal_of(model), marginal_of(single)
    theta = np.log(1e-3) + np.random.default_rng(1).normal(0, 0.3, size=(5, 2))
    # Means are rounded to 1e-10 of 1e6, a ten millionth of the SD, which 150 rows add up.
    np.testing.assert_allclose(log_posterior(one, theta), log_posterior(other, theta), atol=1e-4)
    fits = [sf.fit(each, method="ml", cores=1) for each in (model, single)]
    found, wanted = (sf.varcorr(fit)["sdcor"] for fit in fits)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
