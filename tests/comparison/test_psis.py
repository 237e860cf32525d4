"""One pass over the densities of a row gives ArviZ's elpd and Pareto k, whatever the densities are."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

import speclet_formula as sf
from speclet_formula.comparison import pointwise, psis
from speclet_formula.comparison.psis import TILE, smoothed_elpd
from speclet_formula.posterior.convergence import log_sum_exp, smooth_weights
from tests.fakes import fake_fit


def log_densities(draws, seed=1):
    """Rows whose ratios have light, usual and heavy tails, on several scales; of repeated draws; constant."""
    rng = np.random.default_rng(seed)
    repeated = rng.normal(size=draws)[rng.integers(0, draws, draws)]
    return np.stack(
        [
            rng.normal(size=draws),
            1e-3 * rng.normal(size=draws) + 700,
            -rng.exponential(0.5, draws) - 300,
            -rng.exponential(1.5, draws),
            rng.standard_t(2, draws),
            rng.exponential(3, draws),
            rng.uniform(size=draws),
            20 * rng.normal(size=draws),
            200 * rng.normal(size=draws),
            repeated,
            np.where(np.arange(draws) % 3 == 0, -1.0, repeated),  # a third of them share the largest ratios or not
            np.maximum(repeated, 0.0),  # half of them share the smallest density
            np.full(draws, -2.5),
        ],
        axis=1,
    )


@pytest.mark.parametrize("draws", [30, 100, 226, 1000, 4000])
@pytest.mark.parametrize("efficiency", [0.05, 0.3, 1.0, 1.7])
def test_elpd_and_k_are_those_of_arviz(draws, efficiency):
    values = log_densities(draws)
    usual = values[:, :9]  # where draws are repeated ArviZ may find no k at all
    elpd, k = smoothed_elpd(usual, efficiency)
    weights, expected_k = array_stats.psislw(usual.T, r_eff=efficiency, axis=-1)
    np.testing.assert_allclose(k, expected_k, rtol=1e-9)
    np.testing.assert_allclose(elpd, np.logaddexp.reduce(weights + usual.T, axis=1), atol=1e-9)


@pytest.mark.parametrize("draws", [31, 250, 2000])
def test_elpd_and_k_are_those_of_whole_weights(draws):
    """Also where no k can be estimated, since the ratios of the tail are equal."""
    values = log_densities(draws)
    elpd, k = smoothed_elpd(values, 1.0)
    weights, expected_k = smooth_weights(-values.T)
    np.testing.assert_allclose(k, expected_k, rtol=1e-9)
    np.testing.assert_allclose(elpd, log_sum_exp(weights + values.T), atol=1e-9)
    assert np.isinf(k[-1])
    np.testing.assert_allclose(elpd[-1], -2.5)


def test_a_density_that_is_not_finite_spoils_its_row_alone():
    values = np.random.default_rng(2).normal(size=(300, 5))
    expected = smoothed_elpd(values, 1.0)
    values[7, 1], values[8, 2], values[9, 3] = np.nan, np.inf, -np.inf
    elpd, k = smoothed_elpd(values, 1.0)
    assert np.isnan(elpd[1:4]).all()
    assert np.isinf(k[1:4]).all()
    np.testing.assert_array_equal(elpd[[0, 4]], expected[0][[0, 4]])
    np.testing.assert_array_equal(k[[0, 4]], expected[1][[0, 4]])


def test_threads_and_numbers_of_rows_change_nothing():
    values = np.random.default_rng(3).normal(size=(400, 2 * TILE + 5))
    whole = smoothed_elpd(values, 1.0)
    np.testing.assert_array_equal(smoothed_elpd(values, 1.0, threads=2), whole)
    np.testing.assert_array_equal(smoothed_elpd(values[:, 3:7], 1.0), np.array(whole)[:, 3:7])


def test_the_products_stay_finite():
    """Excesses that differ by ten powers of ten are multiplied one at a time."""
    values = -np.sort(np.r_[np.linspace(0, 1e-9, 900), np.linspace(5, 30, 100)])[:, None]
    for row in (values, -values - 30):
        elpd, k = smoothed_elpd(row, 1.0)
        weights, expected = smooth_weights(-row.T)
        np.testing.assert_allclose(k, expected, rtol=1e-9)
        np.testing.assert_allclose(elpd, log_sum_exp(weights + row.T), atol=1e-9)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_many_rows_take_it(family, monkeypatch):
    """Of the integrated and of the conditional estimate; few rows do without what has to be compiled."""
    rng = np.random.default_rng(5)
    data = {"y": rng.poisson(3, 60), "g": np.repeat(list("abcdef"), 10)}
    fit = fake_fit(sf.Model("y ~ (1 | g)", data, family=family), {"sigma": 1.5, "Intercept": 1.1, "1|g_sigma": 0.2})
    few = sf.loo(fit)
    monkeypatch.setattr(pointwise, "MANY_DENSITIES", 0)
    monkeypatch.setattr(pointwise, "_smoothed", None)
    many = sf.loo(fit)
    for name in ("elpd_i", "pareto_k", "p_loo_i"):
        np.testing.assert_allclose(many[name], few[name], rtol=1e-9, atol=1e-9)


def test_most_candidates_are_sorted_by_counting():
    """The other way, of very many that are equal, gives the same tail."""
    values = np.where(np.arange(4000) % 2 == 0, -1.0, np.random.default_rng(6).normal(size=4000))[:, None]
    elpd, k = smoothed_elpd(values, 1.0)
    weights, expected = smooth_weights(-values.T)
    assert (values <= -1.0).sum() > psis.MANY
    np.testing.assert_allclose(k, expected, rtol=1e-9)
    np.testing.assert_allclose(elpd, log_sum_exp(weights + values.T), atol=1e-9)
