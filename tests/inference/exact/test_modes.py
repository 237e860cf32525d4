"""Modes of densities that are known, by differences and by gradients."""

import numpy as np
import pytest
from scipy import stats

from speclet_formula.inference.exact.modes import REACH, curvature, find_mode, find_modes, held

PRECISION = np.linalg.inv([[1.0, 0.9], [0.9, 1.0]])


def normal(points: np.ndarray) -> np.ndarray:
    return np.asarray(stats.multivariate_normal([1.0, -2.0], [[1.0, 0.9], [0.9, 1.0]]).logpdf(points)).reshape(-1)


def sloped(point: np.ndarray) -> tuple[float, np.ndarray]:
    return float(normal(point)[0]), -PRECISION @ (point - [1.0, -2.0])


def two_modes(points: np.ndarray) -> np.ndarray:
    return np.logaddexp(stats.norm.logpdf(points[:, 0], -2, 0.7), stats.norm.logpdf(points[:, 0], 2, 0.7))


def refused(points: np.ndarray) -> np.ndarray:
    raise AssertionError(f"{len(points)} points were asked for, beside a gradient")


def test_the_mode_and_its_curvature() -> None:
    mode = find_mode(normal, np.array([5.0, 5.0]))
    assert np.allclose(mode, [1.0, -2.0], atol=1e-4)
    assert np.allclose(find_mode(refused, np.array([5.0, 5.0]), sloped=sloped), [1.0, -2.0], atol=1e-4)
    assert np.allclose(curvature(normal, mode), PRECISION, rtol=1e-3)


def test_the_search_for_the_mode_stays_near_its_start() -> None:
    found = find_mode(lambda points: points[:, 0], np.array([0.0]))
    assert found[0] == pytest.approx(REACH[1])


def test_a_gradient_of_no_density_is_left() -> None:
    """Where the density is zero the search turns back."""

    def ends(point: np.ndarray) -> tuple[float, np.ndarray]:
        return sloped(point) if point[0] < 3 else (-np.inf, np.full(2, np.nan))

    assert np.allclose(find_mode(refused, np.array([2.9, -9.0]), sloped=ends), [1.0, -2.0], atol=1e-4)


def test_some_coordinates_are_held() -> None:
    """Given the second is 0 the first has its mode at 1 + 0.9 * 2."""
    of_first = held(sloped, np.array([7.0, 0.0]), np.array([True, False]))
    assert find_mode(refused, np.array([5.0]), sloped=of_first) == pytest.approx([2.8], abs=1e-4)


def test_all_hills_are_found_and_each_once() -> None:
    modes = find_modes(two_modes, np.array([[-6.0], [-1.0], [0.4], [1.0], [5.0]]))
    assert np.sort(modes[:, 0]) == pytest.approx([-2.0, 2.0], abs=1e-2)
