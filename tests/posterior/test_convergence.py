"""R-hat and effective sample sizes, against ArviZ's own functions."""

import doctest
import warnings

import numpy as np
import pytest

from speclet_formula.posterior import convergence
from speclet_formula.posterior.convergence import mixing


def autoregressive(correlation, parameters, chains, draws, seed=0):
    noise = np.random.default_rng(seed).normal(size=(parameters, chains, draws))
    for place in range(1, draws):
        noise[:, :, place] += correlation * noise[:, :, place - 1]
    return noise


def arviz_numbers(draws):
    from arviz_stats.base import array_stats

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        r_hat = array_stats.rhat(draws) if draws.shape[1] > 1 else np.full(len(draws), np.nan)
        return r_hat, array_stats.ess(draws), array_stats.ess(draws, method="tail", prob=(0.05, 0.95))


@pytest.mark.parametrize(
    ("correlation", "chains", "draws"),
    [(0.9, 4, 400), (0.3, 4, 251), (-0.6, 3, 200), (0.99, 2, 60), (-0.95, 4, 20), (0.5, 1, 100)]
    + [(0.5, 4, few) for few in (4, 5, 6, 7, 9)],
)
@pytest.mark.mostly_slow("0.5-4-4", "-0.95-4-20", "0.5-1-100", "0.5-4-7")
def test_numbers_are_those_of_arviz(correlation, chains, draws):
    values = autoregressive(correlation, 70, chains, draws)  # more than one block, and not a whole number of them
    found = mixing(values)
    for ours, theirs in zip((found.r_hat, found.ess_bulk, found.ess_tail), arviz_numbers(values), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_ties_share_their_rank_as_in_arviz():
    values = np.round(autoregressive(0.5, 10, 4, 100))
    found = mixing(values)
    for ours, theirs in zip((found.r_hat, found.ess_bulk, found.ess_tail), arviz_numbers(values), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_a_constant_parameter_has_no_r_hat_and_all_its_draws():
    found = mixing(np.ones((1, 4, 50)))
    assert np.isnan(found.r_hat[0])
    assert found.ess_bulk[0] == found.ess_tail[0] == 200


def test_chains_stuck_in_different_places_have_infinite_r_hat():
    assert mixing(np.arange(4.0)[None, :, None] * np.ones((1, 4, 50))).r_hat[0] == np.inf


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_draws_that_are_not_finite_leave_their_neighbours_alone(bad):
    values = autoregressive(0.2, 3, 4, 100)
    expected = mixing(values)
    values[1, 2, 3] = bad
    found = mixing(values)
    for name in ("r_hat", "ess_bulk", "ess_tail"):
        assert np.isnan(getattr(found, name)[1])
        np.testing.assert_array_equal(getattr(found, name)[[0, 2]], getattr(expected, name)[[0, 2]])


def test_three_draws_are_too_few():
    assert np.isnan(mixing(autoregressive(0.2, 2, 4, 3)).ess_bulk).all()


def test_examples_run():
    assert doctest.testmod(convergence).failed == 0
