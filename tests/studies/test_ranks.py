"""Bands and p-values of ranks agree with all possible outcomes counted one by one, and with simulation."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from speclet_formula.studies.summaries import ecdf, ecdf_band, uniformity


def all_outcomes(n, n_draws):
    """Every possible sequence of n ranks, each as likely as any other."""
    return np.array(list(product(range(n_draws + 1), repeat=n)))


def smallest_tail(ranks, n_draws):
    """The statistic from its definition, by scipy's binomial."""
    n = len(ranks)
    tails = []
    for k in range(n_draws):
        count, share = int((ranks <= k).sum()), (k + 1) / (n_draws + 1)
        tails.append(2 * min(stats.binom.cdf(count, n, share), stats.binom.sf(count - 1, n, share)))
    return min(tails)


@pytest.mark.parametrize(("n", "n_draws"), [(4, 3), (5, 2), (6, 1)])
def test_p_values_count_the_outcomes_that_stray_as_far(n, n_draws):
    outcomes = all_outcomes(n, n_draws)
    statistics = np.array([smallest_tail(ranks, n_draws) for ranks in outcomes])
    for ranks in outcomes[:: max(1, len(outcomes) // 40)]:
        expected = np.mean(statistics <= smallest_tail(ranks, n_draws) * (1 + 1e-9))
        assert uniformity(ranks, n_draws) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
@pytest.mark.slow
def test_the_band_holds_the_share_of_all_outcomes_that_it_says(level):
    n, n_draws = 7, 2
    band = ecdf_band(n, n_draws, level)
    shares = np.array([ecdf(ranks, n_draws) for ranks in all_outcomes(n, n_draws)])
    inside = np.mean(((shares >= band.lower - 1e-12) & (shares <= band.upper + 1e-12)).all(axis=1))
    assert inside >= level
    # The next narrower band of equal tails holds less than the level: none in between was passed over.
    statistics = np.array([smallest_tail(ranks, n_draws) for ranks in all_outcomes(n, n_draws)])
    narrower = [np.mean(statistics > value * (1 + 1e-9)) for value in np.unique(statistics)]
    assert inside == pytest.approx(min(share for share in [*narrower, 1.0] if share >= level))


def test_uniform_ranks_stay_inside_as_often_as_the_level_says():
    n, n_draws, repeats = 200, 99, 2000
    rng = np.random.default_rng(4)
    band = ecdf_band(n, n_draws, 0.95)
    shares = np.array([ecdf(rng.integers(0, n_draws + 1, n), n_draws) for _ in range(repeats)])
    inside = np.mean(((shares >= band.lower) & (shares <= band.upper)).all(axis=1))
    # Counts are whole, so that the band holds 95 % or a little more; 4 standard errors either way: 1 in 15,000.
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / repeats) < inside < 0.96 + 4 * np.sqrt(0.96 * 0.04 / repeats)


def test_a_p_value_agrees_with_its_band():
    rng = np.random.default_rng(5)
    band = ecdf_band(150, 19, 0.9)
    for shape in (0.7, 0.8, 0.9, 1.0, 1.1, 1.3):
        ranks = np.floor(rng.beta(shape, shape, 150) * 20).astype(int)
        shares = ecdf(ranks, 19)
        outside = bool(((shares < band.lower) | (shares > band.upper)).any())
        assert outside == (uniformity(ranks, 19) <= 0.1)


def test_ranks_of_too_narrow_a_posterior_are_found_out():
    ranks = np.floor(np.random.default_rng(6).beta(0.5, 0.5, 300) * 100).astype(int)
    assert uniformity(ranks, 99) < 1e-4
    assert np.isnan(uniformity(np.array([], dtype=int), 99))
