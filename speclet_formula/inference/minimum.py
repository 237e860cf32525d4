"""A smooth function of a few numbers goes in; its smallest value and where it lies come out.

The function is evaluated at many points at a time. Some of its numbers are sizes whose sign means nothing, so that zero
is a point like any other for them, and no edge; it may be a saddle. What the numbers mean is left to others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize

Function = Callable[[np.ndarray], np.ndarray]  # (N, m) -> (N,)

STARTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # of all sizes at a time, then of each by itself
PROBES = (0.0, 0.02, 0.1, 0.5, 2.0, 8.0)  # of each size by itself, once a minimum is found
LARGEST = 1e6
GRADIENT_STEP, HESSIAN_STEP = 1e-4, 1e-3  # relative to a number, or to SMALL
SMALL = 0.1
FAR = (0.1, 1.0, 10.0)  # parts of a size at which the function is the same where it says nothing of it
LEVEL = 1e-4
FLAT = 1e-6  # a curvature below it gives no unit
ROUGHLY = 1e-9  # relative gain at which the descent stops and Newton's steps take over
DESCENTS = 4
NEWTON_STEPS = 100
PARTS = 0.5 ** np.arange(-3.0, 6.0)  # of a Newton step that are tried; valleys are followed by long ones
ALONG = np.outer([-1.0, 1.0], 10.0 ** np.arange(5)).ravel()  # ways down from a saddle, in steps of the differences
SETTLED = 1e-9  # what a Newton step must still promise to be worth taking
CONVERGED = 1e-6  # promised improvement of -2 log-likelihood: a thousandth of a standard error
ROUNDING = 20 * np.finfo(float).eps  # of a value, relative to its size
NEAR_ZERO = 1e-2


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a function is smallest."""

    point: np.ndarray  # (m,); a size of zero is exactly 0
    value: float
    promised: float  # by how much a Newton step could still lower it; infinite at a saddle
    evaluations: int
    flat: np.ndarray  # (f, m) directions in which nothing changes, a step of the differences long

    @property
    def converged(self) -> bool:
        """Whether nothing is left to gain."""
        return bool(np.isfinite(self.value) and self.promised < CONVERGED)


@dataclass(frozen=True, eq=False)
class _Quadratic:
    """The function around a point: along each of m axes, in steps of the differences."""

    axes: np.ndarray  # (m, m), an axis in each column
    slopes: np.ndarray  # (m,)
    curvatures: np.ndarray  # (m,)
    noise: float  # curvatures smaller than it are rounding


def minimise(function: Function, sizes: np.ndarray) -> Minimum:
    """Find the minimum from the best of several starts, and look for another one beyond it.

    Parameters
    ----------
    function : callable
        Takes an (N, m) array of points, returns (N,) values; infinite is allowed.
    sizes : ndarray of bool, shape (m,)
        Which of the m numbers are sizes; the others start at zero.

    Returns
    -------
    Minimum
    """
    counted = _Counted(function)
    if not len(sizes):
        return Minimum(np.zeros(0), float(counted(np.zeros((1, 0)))[0]), 0.0, 1, np.zeros((0, 0)))
    starts = np.outer(STARTS, sizes.astype(float))
    point = _swept(counted, starts[np.argmin(counted(starts))], sizes)
    for _ in range(DESCENTS):
        point, value = _descend(counted, point)
        point, value = _polish(counted, point, value)
        better = _beyond(counted, point, value, sizes)
        if better is None:
            break
        point = better
    point, value = _settle_at_zero(counted, point, value, sizes)
    around = _quadratic(counted, point, value)
    level = np.concatenate([around.axes.T[np.abs(around.curvatures) <= around.noise], _level(counted, point, sizes)])
    return Minimum(point, value, _promise(around), counted.evaluations, level * _steps(point, HESSIAN_STEP))


class _Counted:
    """A function that counts the points it was asked for."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self.evaluations = 0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        self.evaluations += len(points)
        return self._function(points)


def _swept(function: Function, point: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Move each size by itself, one after the other, to the best of a few places."""
    for k in np.flatnonzero(sizes):
        tries = np.array([point, *(_with(point, k, start) for start in STARTS)])
        point = tries[np.argmin(function(tries))]
    return point


def _descend(function: Function, start: np.ndarray) -> tuple[np.ndarray, float]:
    """Go downhill by L-BFGS-B with central differences, in units that give each number a like curvature."""
    unit = _units(function, start)

    def with_gradient(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        point = scaled * unit
        steps = _steps(point, GRADIENT_STEP)
        values = function(np.concatenate([point[None], point + np.diag(steps), point - np.diag(steps)]))
        ahead, behind = np.split(values[1:], 2)
        with np.errstate(invalid="ignore"):  # a long step may end where the function is infinite on both sides
            gradient = (ahead - behind) / (2 * steps) * unit
        return float(values[0]), np.where(np.isfinite(gradient), gradient, 0.0)

    found = optimize.minimize(
        with_gradient,
        start / unit,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LARGEST / one, LARGEST / one) for one in unit],
        options={"ftol": ROUGHLY, "gtol": 1e-3},
    )
    return np.asarray(found.x * unit), float(found.fun)


def _units(function: Function, point: np.ndarray) -> np.ndarray:
    """Return the change of each number that raises the function by about one half."""
    steps = _steps(point, HESSIAN_STEP)
    values = function(np.concatenate([point[None], point + np.diag(steps), point - np.diag(steps)]))
    ahead, behind = np.split(values[1:], 2)
    curvature = np.abs(ahead + behind - 2 * values[0]) / steps**2
    return np.where(np.isfinite(curvature) & (curvature > FLAT), 1 / np.sqrt(np.maximum(curvature, FLAT)), 1.0)


def _steps(point: np.ndarray, relative: float) -> np.ndarray:
    """Return how far to go for differences."""
    return np.asarray(relative * np.maximum(np.abs(point), SMALL))


def _with(point: np.ndarray, k: Any, number: float) -> np.ndarray:
    """Return a point with another number at place k."""
    moved = point.copy()
    moved[k] = number
    return moved


def _polish(function: Function, point: np.ndarray, value: float) -> tuple[np.ndarray, float]:
    """Take Newton steps until they promise nothing more; leave saddles along their ways down."""
    for _ in range(NEWTON_STEPS):
        around = _quadratic(function, point, value)
        if _promise(around) < SETTLED:
            break
        bent = np.maximum(np.abs(around.curvatures), around.noise)
        moves = np.outer(PARTS, -around.axes @ (around.slopes / bent))
        falling = around.curvatures < -around.noise
        moves = np.concatenate([moves, *(np.outer(ALONG, axis) for axis in around.axes.T[falling])])
        tries = point + moves * _steps(point, HESSIAN_STEP)
        values = function(tries)
        best = int(np.argmin(values))
        if not values[best] < value:
            break
        point, value = tries[best], float(values[best])
    return point, value


def _quadratic(function: Function, point: np.ndarray, value: float) -> _Quadratic:
    """Fit a quadratic through the points around."""
    size = len(point)
    shifts = np.diag(_steps(point, HESSIAN_STEP))
    first, second = np.triu_indices(size, 1)
    corners = shifts[first] + shifts[second]
    values = function(np.concatenate([point + shifts, point - shifts, point + corners, point - corners]))
    values = np.where(np.isfinite(values), values, value)
    ahead, behind, above, below = np.split(values, np.cumsum([size, size, len(first)]))
    hessian = np.diag(ahead + behind - 2 * value)
    mixed = (above + below - ahead[first] - behind[first] - ahead[second] - behind[second]) / 2 + value
    hessian[first, second] = hessian[second, first] = mixed
    curvatures, axes = np.linalg.eigh(hessian)
    noise = ROUNDING * size * max(abs(value), 1.0)
    return _Quadratic(axes, axes.T @ (ahead - behind) / 2, curvatures, noise)


def _promise(around: _Quadratic) -> float:
    """Return how much lower Newton's step leads; directions in which nothing changes are left alone."""
    if (around.curvatures < -around.noise).any():
        return np.inf
    rising = around.curvatures > around.noise
    return float(0.5 * np.sum(around.slopes[rising] ** 2 / around.curvatures[rising]))


def _beyond(function: Function, point: np.ndarray, value: float, sizes: np.ndarray) -> np.ndarray | None:
    """Return a point that is lower, found by moving one size by itself; None where there is none."""
    probes = np.array([_with(point, k, probe) for k in np.flatnonzero(sizes) for probe in PROBES])
    values = function(probes)
    lowest = int(np.argmin(values))
    return probes[lowest] if values[lowest] < value - max(CONVERGED, ROUNDING * abs(value)) else None


def _level(function: Function, point: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the axes of the sizes that may be ten times as large or as small: rounding may hide it from curvatures."""
    axes: np.ndarray = np.eye(len(point))[sizes]
    wide = np.array([_with(point, k, far * max(abs(point[k]), SMALL)) for k in np.flatnonzero(sizes) for far in FAR])
    if not len(axes):
        return axes
    values = function(wide).reshape(len(axes), len(FAR))
    with np.errstate(invalid="ignore"):  # where the function is infinite
        return np.asarray(axes[np.ptp(values, axis=1) < LEVEL])


def _settle_at_zero(function: Function, point: np.ndarray, value: float, sizes: np.ndarray) -> tuple[np.ndarray, float]:
    """Put small sizes at exactly zero where that costs no more than what a converged search leaves."""
    for k in np.flatnonzero(sizes & (np.abs(point) < NEAR_ZERO)):
        moved = _with(point, k, 0.0)
        there = float(function(moved[None])[0])
        if there <= value + max(0.1 * CONVERGED, ROUNDING * abs(value)):
            point, value = moved, there
    return point, value
