"""Modes of densities that are known, by differences and by gradients."""

import numpy as np
import pytest
from scipy import stats

from speclet_formula.inference.exact.modes import REACH, climb, curvature, find_mode, find_modes, held

PRECISION = np.linalg.inv([[1.0, 0.9], [0.9, 1.0]])


def normal(points: np.ndarray) -> np.ndarray:
    return np.asarray(stats.multivariate_normal([1.0, -2.0], [[1.0, 0.9], [0.9, 1.0]]).logpdf(points)).reshape(-1)


def sloped(point: np.ndarray) -> tuple[float, np.ndarray]:
    return float(normal(point)[0]), -PRECISION @ (point - [1.0, -2.0])


def two_modes(points: np.ndarray) -> np.ndarray:
    return np.logaddexp(stats.norm.logpdf(points[:, 0], -2, 0.7), stats.norm.logpdf(points[:, 0], 2, 0.7))


def test_the_mode_and_its_curvature() -> None:
    mode = climb(normal, np.array([[5.0, 5.0]]))[0]
    assert np.allclose(mode, [1.0, -2.0], atol=1e-4)
    assert np.allclose(find_mode(sloped, np.array([5.0, 5.0])), [1.0, -2.0], atol=1e-4)
    assert np.allclose(curvature(normal, mode), PRECISION, rtol=1e-3)


def test_the_search_for_the_mode_stays_near_its_start() -> None:
    assert climb(lambda points: points[:, 0], np.array([[0.0]]))[0, 0] == pytest.approx(REACH[1])
    assert find_mode(lambda point: (point[0], np.ones(1)), np.array([0.0]))[0] == pytest.approx(REACH[1])


def test_a_gradient_of_no_density_is_left() -> None:
    """Where the density is zero the search turns back."""

    def ends(point: np.ndarray) -> tuple[float, np.ndarray]:
        return sloped(point) if point[0] < 3 else (-np.inf, np.full(2, np.nan))

    assert np.allclose(find_mode(ends, np.array([2.9, -9.0])), [1.0, -2.0], atol=1e-4)


def test_some_coordinates_are_held() -> None:
    """Given the second is 0 the first has its mode at 1 + 0.9 * 2."""
    of_first = held(sloped, np.array([7.0, 0.0]), np.array([True, False]))
    assert find_mode(of_first, np.array([5.0])) == pytest.approx([2.8], abs=1e-4)
    found = climb(normal, np.array([[5.0, 0.0], [5.0, 5.0]]), free=np.array([[True, False], [True, True]]))
    assert np.allclose(found, [[2.8, 0.0], [1.0, -2.0]], atol=1e-4)


def test_searches_that_climb_together_find_what_each_finds_alone() -> None:
    """Where the density ends, bends the wrong way, or is as steep as anything, too."""

    def hills(points: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            height = np.logaddexp(normal(points), normal(points * [1.0, 3.0] - [4.0, 0.0]) - 3)
        return np.where(points[:, 0] < 6, height, -np.inf)

    starts = np.array([[5.9, 5.0], [-7.0, 3.0], [3.0, -0.6], [9.0, 0.0], [1.0, -2.0], [5.0, -9.0]])
    together = climb(hills, starts)
    alone = np.concatenate([climb(hills, start[None]) for start in starts])
    assert np.allclose(together, alone, atol=1e-4)
    known = np.isfinite(hills(starts))
    assert known.tolist() == [True, True, True, False, True, True]
    assert (together[~known] == starts[~known]).all()
    for end in together[known]:
        slope = [hills(end[None] + step)[0] - hills(end[None] - step)[0] for step in 1e-4 * np.eye(2)]
        assert end[0] > 5.999 or np.abs(slope).max() < 2e-4 * 2e-4  # a slope of 2e-4


def test_all_hills_are_found_and_each_once() -> None:
    modes = find_modes(two_modes, np.array([[-6.0], [-1.0], [0.4], [1.0], [5.0]]))
    assert np.sort(modes[:, 0]) == pytest.approx([-2.0, 2.0], abs=1e-2)
