"""A quadratic through a point and the points around it: how a function that is smooth there bends, by differences."""

from dataclasses import dataclass

import numpy as np

ROUNDING = 20 * np.finfo(float).eps  # of a value, relative to its size
HESSIAN_STEP = 1e-3  # relative to a number, or to SMALL
SMALL = 0.1


@dataclass(frozen=True, eq=False)
class Quadratic:
    """The function around a point: along each of m axes, in steps of the differences."""

    axes: np.ndarray  # (m, m), an axis in each column
    slopes: np.ndarray  # (m,)
    curvatures: np.ndarray  # (m,)
    noise: float  # curvatures smaller than it are rounding

    def own(self, point: np.ndarray) -> np.ndarray:
        """Return the curvature along each number (m,), times the square of its size at the point."""
        curvatures = (self.axes**2) @ self.curvatures
        return np.asarray(curvatures * (np.maximum(np.abs(point), SMALL) / steps_of(point, HESSIAN_STEP)) ** 2)


def steps_of(point: np.ndarray, relative: float) -> np.ndarray:
    """Return how far to go for differences."""
    return np.asarray(relative * np.maximum(np.abs(point), SMALL))


def points_around(point: np.ndarray) -> np.ndarray:
    """Return the points (2 m + m (m - 1), m) that a quadratic around a point is fitted to."""
    shifts = np.diag(steps_of(point, HESSIAN_STEP))
    first, second = np.triu_indices(len(point), 1)
    corners = shifts[first] + shifts[second]
    return np.asarray(point + np.concatenate([shifts, -shifts, corners, -corners]))


def quadratic_of(point: np.ndarray, value: float, values: np.ndarray) -> Quadratic:
    """Fit a quadratic to a point and to the values around it."""
    size = len(point)
    first, second = np.triu_indices(size, 1)
    values = np.where(np.isfinite(values), values, value)
    ahead, behind, above, below = np.split(values, np.cumsum([size, size, len(first)]))
    hessian = np.diag(ahead + behind - 2 * value)
    mixed = (above + below - ahead[first] - behind[first] - ahead[second] - behind[second]) / 2 + value
    hessian[first, second] = hessian[second, first] = mixed
    curvatures, axes = np.linalg.eigh(hessian)
    noise = ROUNDING * size * max(abs(value), 1.0)
    return Quadratic(axes, axes.T @ (ahead - behind) / 2, curvatures, noise)


def promise_of(around: Quadratic) -> float:
    """Return how much lower Newton's step leads; directions in which nothing changes are left alone."""
    if (around.curvatures < -around.noise).any():
        return np.inf
    rising = around.curvatures > around.noise
    return float(0.5 * np.sum(around.slopes[rising] ** 2 / around.curvatures[rising]))
