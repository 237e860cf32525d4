"""The sampler of a few parameters against densities whose moments are known."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from speclet_formula.inference.exact.proposals import (
    draw_more,
    draw_proposals,
    fit_proposal,
    log_mixture,
    metropolis,
)

Density = Callable[[np.ndarray], np.ndarray]


def normal(points: np.ndarray) -> np.ndarray:
    return np.asarray(stats.multivariate_normal([1.0, -2.0], [[1.0, 0.9], [0.9, 1.0]]).logpdf(points)).reshape(-1)


def banana(points: np.ndarray) -> np.ndarray:
    """First coordinate standard normal, the second normal around its square."""
    return stats.norm.logpdf(points[:, 0]) + stats.norm.logpdf(points[:, 1], points[:, 0] ** 2, 0.5)


def skewed(points: np.ndarray) -> np.ndarray:
    """The log of an exponential variable: a long left tail, as an SD near zero has on the log scale."""
    return points[:, 0] - np.exp(points[:, 0])


def mirrored(points: np.ndarray) -> np.ndarray:
    """The same to the right, half as steep."""
    return skewed(-points / 2)


def two_modes(points: np.ndarray) -> np.ndarray:
    return np.logaddexp(stats.norm.logpdf(points[:, 0], -2, 0.7), stats.norm.logpdf(points[:, 0], 2, 0.7))


# density, start, mean and SD of each coordinate
CASES: list[tuple[Density, list[float], list[float], list[float]]] = [
    (normal, [0.0, 0.0], [1.0, -2.0], [1.0, 1.0]),
    (banana, [0.5, 0.5], [0.0, 1.0], [1.0, 1.5]),
    (skewed, [0.0], [-np.euler_gamma], [np.pi / np.sqrt(6)]),
    (two_modes, [1.0], [0.0], [np.sqrt(4 + 0.49)]),
]


@pytest.mark.parametrize(("density", "start", "means", "sds"), CASES, ids=["normal", "banana", "skewed", "two modes"])
def test_chains_have_the_known_means_and_sds(
    density: Density, start: list[float], means: list[float], sds: list[float]
) -> None:
    """The means of 24 runs, by a t test on how they differ: 1e-5 for each number, 9e-5 in all.

    What one run's error should be is not known: it has more of the weight where the proposals are thin.
    """
    errors = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        _, proposals = draw_proposals(density, np.array([start]), rng, draws=1000, good=0.75, wanted=4000)
        assert proposals.efficiency > 0.3
        apart = proposals.points[metropolis(proposals, 4, rng)].reshape(-1, len(means)) - means
        errors.append(np.concatenate([apart.mean(axis=0), (apart**2).mean(axis=0) - np.square(sds)]))
    t = np.mean(errors, axis=0) / stats.sem(errors, axis=0)
    assert (np.abs(t) < stats.t.isf(5e-6, 23)).all()
    scales = np.concatenate([sds, np.square(sds)])
    assert (stats.sem(errors, axis=0) < 0.1 * scales).all()  # how small an error shows


@pytest.mark.slow
def test_a_mixtures_density_integrates_to_one() -> None:
    """With components that run to an edge on either side as well."""
    rng, start = np.random.default_rng(1), np.array([[1.0]])
    grid = np.linspace(-400, 400, 400_001)[:, None]
    for density, edges in ((two_modes, []), (skewed, [(0, 1.0)]), (mirrored, [(0, -0.5)])):
        mixture, _ = fit_proposal(density, start, rng, draws=500, good=0.999, edges=edges)
        assert mixture.rates.any() == bool(edges)
        assert np.trapezoid(np.exp(log_mixture(mixture, grid)), grid[:, 0]) == pytest.approx(1.0, abs=1e-4)


def test_an_edge_is_covered_as_far_as_it_goes() -> None:
    """No proposal in the tail weighs much more than the others; t distributions alone leave weights of 20 and more."""
    rng, start = np.random.default_rng(4), np.array([[0.0]])
    mixture, _ = fit_proposal(skewed, start, rng, draws=1000, good=0.75, edges=[(0, 1.0)])
    points = np.linspace(-40, 2.5, 400)[:, None]
    weights = np.exp(skewed(points) - log_mixture(mixture, points))
    assert weights.max() < 3  # skewed is a density, so that the mean weight is one


def test_a_far_hill_gets_its_share_of_the_draws() -> None:
    """12 SDs apart; 20,000 draws at an efficiency of 0.3 know a share of 0.3 within 0.0084 SE: 4.5 SEs, 7e-6."""

    def far(points: np.ndarray) -> np.ndarray:
        return np.logaddexp(
            np.log(0.3) + stats.norm.logpdf(points[:, 0], -6, 0.5), np.log(0.7) + stats.norm.logpdf(points[:, 0], 6, 1)
        )

    rng = np.random.default_rng(6)
    _, proposals = draw_proposals(far, np.array([[5.0], [-5.0]]), rng, draws=1000, good=0.75, wanted=20_000)
    assert proposals.efficiency > 0.3
    chains = proposals.points[metropolis(proposals, 4, rng)]
    assert (chains < 0).mean() == pytest.approx(0.3, abs=4.5 * np.sqrt(0.21 * 2 / 6000))


def test_more_draws_of_the_same_mixture_are_weighed_alike():
    def density(points):
        return -0.5 * (points**2).sum(axis=1)

    rng = np.random.default_rng(3)
    mixture, proposals = draw_proposals(density, np.zeros((1, 2)), rng, draws=500, good=0.75, wanted=1000)
    more = draw_more(density, mixture, proposals, rng, 3000)
    assert np.array_equal(more.points[:1000], proposals.points)
    assert more.log_weights == pytest.approx(more.log_target - log_mixture(mixture, more.points))
    weights = np.exp(more.log_weights)
    assert more.efficiency == pytest.approx(weights.sum() ** 2 / (4000 * (weights**2).sum()))
