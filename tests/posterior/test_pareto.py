"""Smoothed weights and Pareto k are ArviZ's, for ratios of every kind; what has no k is said to have none."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from speclet_formula.posterior.convergence import fit_pareto, log_sum_exp, smooth_weights, tail_length


def ratios(rng, draws):
    """Log ratios with light, usual and heavy tails, on several scales and far from zero."""
    return np.stack(
        [
            rng.normal(size=draws),
            0.01 * rng.normal(size=draws) - 700,
            rng.exponential(0.5, draws) + 300,
            rng.exponential(1.5, draws),
            rng.standard_t(2, draws),
            -rng.exponential(3, draws),
            rng.uniform(size=draws),
            20 * rng.normal(size=draws),
        ]
    )


@pytest.mark.parametrize("draws", [30, 100, 226, 1000, 4000])
@pytest.mark.parametrize("efficiency", [0.3, 1.0, 1.7])
def test_weights_and_k_are_those_of_arviz(draws, efficiency):
    log_ratios = ratios(np.random.default_rng(draws), draws)
    log_weights, k = smooth_weights(log_ratios, efficiency)
    expected, expected_k = array_stats.psislw(-log_ratios, r_eff=efficiency, axis=-1)
    np.testing.assert_allclose(k, expected_k, rtol=1e-9)
    np.testing.assert_allclose(log_weights, expected, rtol=1e-9, atol=1e-9)


def test_k_finds_the_tail_of_a_known_pareto():
    """The ratio exp(e) of an exponential e with mean k is Pareto with shape k."""
    rng = np.random.default_rng(1)
    for shape in (0.2, 0.5, 0.9):
        _, k = smooth_weights(rng.exponential(shape, size=(200, 4000)))
        # 189 tail draws: k's standard deviation is below 0.12; 200 of them, so 4 standard errors are 0.035. The prior
        # draws k towards 0.5 by 10 / 199 of the distance.
        assert abs(k.mean() - (189 * shape + 5) / 199) < 0.035


def test_weights_sum_to_one_and_are_cut_at_the_largest_ratio():
    log_ratios = ratios(np.random.default_rng(3), 400)
    log_weights, _ = smooth_weights(log_ratios)
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=1), 1)
    before = log_ratios - log_ratios.max(axis=1, keepdims=True)
    normaliser = log_weights[:, [0]] - before[:, [0]]
    untouched = np.argsort(before, axis=1)[:, : 400 - tail_length(400, 1.0)]
    np.testing.assert_allclose(
        np.take_along_axis(log_weights - before, untouched, axis=1),
        np.broadcast_to(np.take_along_axis(log_weights - before, untouched[:, :1], axis=1), untouched.shape),
    )
    assert normaliser.shape == (8, 1)


def test_the_order_of_the_draws_does_not_matter():
    log_ratios = ratios(np.random.default_rng(5), 1000)
    order = np.random.default_rng(6).permutation(1000)
    log_weights, k = smooth_weights(log_ratios)
    shuffled, shuffled_k = smooth_weights(log_ratios[:, order])
    np.testing.assert_allclose(shuffled, log_weights[:, order], rtol=1e-9)
    np.testing.assert_allclose(shuffled_k, k, rtol=1e-9)


UNKNOWN = {
    "all equal": np.zeros(100),
    "a tail of equal ratios": np.r_[np.random.default_rng(1).normal(size=70) - 10, np.zeros(30)],
    "not a number": np.r_[np.nan, np.random.default_rng(1).normal(size=99)],
    "infinite": np.r_[np.inf, np.random.default_rng(1).normal(size=99)],
}


@pytest.mark.parametrize("log_ratios", UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_estimated_is_infinite(log_ratios):
    _, k = smooth_weights(log_ratios[None, :])
    assert k.tolist() == [np.inf]


def test_equal_ratios_are_equal_weights():
    log_weights, _ = smooth_weights(np.full((1, 100), -3.0))
    np.testing.assert_allclose(np.exp(log_weights), 0.01)


def test_a_strange_row_leaves_the_others_alone():
    rng = np.random.default_rng(9)
    log_ratios = rng.normal(size=(3, 500))
    alone = smooth_weights(log_ratios[[0, 2]])
    log_ratios[1] = np.nan
    together = smooth_weights(log_ratios)
    np.testing.assert_array_equal(together[0][[0, 2]], alone[0])
    np.testing.assert_array_equal(together[1][[0, 2]], alone[1])


@pytest.mark.parametrize(
    ("draws", "efficiency", "length"),
    [(100, 1.0, 20), (225, 1.0, 45), (226, 1.0, 45), (4000, 1.0, 189), (4000, 0.25, 379)],
)
def test_the_tail_has_its_length(draws, efficiency, length):
    assert tail_length(draws, efficiency) == length


def test_a_pareto_fit_scales_with_its_excesses():
    excesses = np.sort(np.random.default_rng(2).pareto(2, size=(1, 200)), axis=1)
    k, scale = fit_pareto(excesses)
    wider_k, wider_scale = fit_pareto(1000 * excesses)
    np.testing.assert_allclose(wider_k, k)
    np.testing.assert_allclose(wider_scale, 1000 * scale)


def test_sums_of_exponentials_do_not_overflow():
    np.testing.assert_allclose(log_sum_exp(np.array([[1000.0, 1000.0], [-1000.0, -1000.0]])), [1000.69315, -999.30685])
