"""A smooth function with its gradient goes in; its smallest value comes out, where it lies, and how it bends there.

Some of the numbers are sizes whose sign means nothing, so that zero is a point like any other for them. What the
numbers mean is left to others; functions without a gradient are `minimum`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]  # (d,) -> value, gradient (d,); infinite where impossible
Value = Callable[[np.ndarray], float]

MOST_STEPS = 200
HALVINGS = 12
DESCENTS = 5
ENOUGH = 1e-4  # of the decrease that the gradient promises, which a step must bring
SETTLED = 1e-9  # decrease that a Newton step must still promise to be worth taking
CONVERGED = 1e-6  # promised decrease of -2 log-likelihood: a thousandth of a standard error
DAMPED = 0.2  # Powell's share of the old curvature that an update keeps at least
STEP = 0.01  # of differences, in units of 1 / sqrt(curvature / 2): standard errors, of -2 log-likelihood
FLAT = 1e-10  # curvatures smaller than that share of the largest, in those units, are rounding
PROBES = (0.0, 0.1, 0.5, 2.0)  # of each size by itself, in its unit, once a minimum is found
NEAR_ZERO = 1e-2
ROUNDING = 20 * np.finfo(float).eps


@dataclass(frozen=True, eq=False)
class Lowest:
    """Where a function is smallest."""

    point: np.ndarray  # (d,); a size of zero is exactly 0
    value: float
    hessian: np.ndarray  # (d, d); only where both numbers are free does it hold
    free: np.ndarray  # (d,) bool: all but the sizes of zero
    promised: float  # by how much a Newton step could still lower it; infinite at a saddle

    @property
    def converged(self) -> bool:
        """Whether nothing is left to gain."""
        return bool(np.isfinite(self.value) and self.promised < CONVERGED)


@dataclass(eq=False)
class _Place:
    """A point that was looked at."""

    point: np.ndarray
    value: float
    gradient: np.ndarray
    hessian: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


def descend(
    function: Function, value: Value, start: np.ndarray, hessian: np.ndarray, sizes: np.ndarray, units: np.ndarray
) -> Lowest:
    """Find the minimum by quasi-Newton steps, settle it by Newton's, and look for another one beyond it.

    Parameters
    ----------
    function : callable
        Returns value and gradient at a point (d,).
    value : callable
        Returns the value alone.
    start : ndarray of float, shape (d,)
        Where the function is finite.
    hessian : ndarray of float, shape (d, d)
        A guess of how it bends there.
    sizes : ndarray of bool, shape (d,)
        Which of the numbers are sizes.
    units : ndarray of float, shape (d,)
        What a large change of each number is.

    Returns
    -------
    Lowest
    """
    here = _Place(start, *function(start), hessian)
    free = np.ones(len(start), dtype=bool)
    promised = np.inf
    for _ in range(DESCENTS):
        here = _quasi_newton(function, here, free, units)
        here = _settle_at_zero(function, value, here, sizes, units)
        free = ~(sizes & (here.point == 0))
        here, promised = _newton(function, here, free, units)
        better = _beyond(value, here, sizes, units)
        if better is None:
            break
        free = np.ones(len(start), dtype=bool)
        here = _Place(better, *function(better), bent(function, better, here.hessian, free))
    return Lowest(here.point, here.value, here.hessian, free, promised)


def _quasi_newton(function: Function, here: _Place, free: np.ndarray, units: np.ndarray) -> _Place:
    """Go downhill by BFGS; the Hessian is learnt on the way."""
    matrix = here.hessian
    for _ in range(MOST_STEPS):
        step, promise = _step(matrix, here.gradient, free, units)
        if promise < SETTLED:
            break
        there = _along(function, here, step)
        if there is None:
            break
        moved, turned = there.point - here.point, there.gradient - here.gradient
        expected = matrix @ moved
        along = float(moved @ expected)
        if not along > 0:  # a guess that is not positive definite there
            matrix = matrix + (float(turned @ moved) - along) * np.outer(moved, moved) / float(moved @ moved) ** 2
        else:
            share = float(moved @ turned)
            if share < DAMPED * along:
                mixed = (1 - DAMPED) * along / (along - share)
                turned = mixed * turned + (1 - mixed) * expected
            matrix = matrix + np.outer(turned, turned) / float(moved @ turned) - np.outer(expected, expected) / along
        here = there
    return _Place(here.point, here.value, here.gradient, matrix)


def _step(
    matrix: np.ndarray, slope: np.ndarray, free: np.ndarray, units: np.ndarray, flat: float = 0.0
) -> tuple[np.ndarray, float]:
    """Return Newton's step, no longer than the units allow, and the decrease that it promises."""
    step = np.zeros_like(slope)
    if not free.any():
        return step, 0.0
    scale = _errors(matrix, units)[free]
    curvatures, axes = np.linalg.eigh(matrix[np.ix_(free, free)] * np.outer(scale, scale))
    slopes = axes.T @ (slope[free] * scale)
    bends = np.maximum(np.abs(curvatures), FLAT * np.abs(curvatures).max(initial=1.0))
    used = bends > flat
    step[free] = -scale * (axes @ np.where(used, slopes / bends, 0.0))
    # Where nothing bends, a step as long as the unit is promised what the slope alone brings.
    promise = float(np.sum(np.where(used, 0.5 * slopes**2 / bends, np.abs(slopes))))
    return step / max(1.0, float(np.max(np.abs(step) / units))), promise


def _errors(matrix: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the change of each number that raises the function by about one, if its curvature is known."""
    curvature = np.abs(np.diagonal(matrix))
    with np.errstate(divide="ignore"):
        return np.clip(np.sqrt(2 / curvature), 1e-4 * units, units)


def _along(function: Function, here: _Place, step: np.ndarray) -> _Place | None:
    """Take the step, or a part of it that brings enough; None where none does."""
    promised = float(here.gradient @ step)
    for part in 0.5 ** np.arange(HALVINGS):
        point = here.point + part * step
        found, slope = function(point)
        if found <= here.value + ENOUGH * part * promised:
            return _Place(point, found, slope)
    return None


def _newton(function: Function, here: _Place, free: np.ndarray, units: np.ndarray) -> tuple[_Place, float]:
    """Take Newton steps until they promise nothing more; return the place with its Hessian, and what is promised."""
    promise = np.inf
    for _ in range(DESCENTS):
        here.hessian = bent(function, here.point, here.hessian, free)
        step, promise = _step(here.hessian, here.gradient, free, units, flat=FLAT)
        scale = _errors(here.hessian, units)[free]
        curvatures = np.linalg.eigvalsh(here.hessian[np.ix_(free, free)] * np.outer(scale, scale))
        saddle = bool((curvatures < -1e-4 * np.abs(curvatures).max(initial=0.0)).any())
        if promise < SETTLED:
            return here, np.inf if saddle else promise
        there = _along(function, here, step)
        if there is None:
            return here, np.inf if saddle else promise
        here = _Place(there.point, there.value, there.gradient, here.hessian)
    return here, promise


def bent(function: Function, point: np.ndarray, guess: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the Hessian by central differences of the gradient.

    Parameters
    ----------
    function : callable
        As for `descend`.
    point : ndarray of float, shape (d,)
    guess : ndarray of float, shape (d, d)
        A Hessian that tells how far to go, and is kept where nothing else is wanted.
    wanted : ndarray of bool, shape (d,)
        The numbers whose rows and columns are computed.

    Returns
    -------
    ndarray of float, shape (d, d)
    """
    found = guess.copy()
    steps = STEP * _errors(guess, np.maximum(np.abs(point), 1.0))
    for place in np.flatnonzero(wanted):
        shift = np.zeros_like(point)
        shift[place] = steps[place]
        ahead, behind = function(point + shift), function(point - shift)
        if np.isfinite(ahead[0]) and np.isfinite(behind[0]):
            column = (ahead[1] - behind[1]) / (2 * steps[place])
            found[:, place] = column
            found[place, ~wanted] = column[~wanted]
    inside = np.ix_(wanted, wanted)
    found[inside] = (found[inside] + found[inside].T) / 2
    return found


def _settle_at_zero(function: Function, value: Value, here: _Place, sizes: np.ndarray, units: np.ndarray) -> _Place:
    """Put small sizes at exactly zero where that costs no more than what a converged search leaves."""
    for place in np.flatnonzero(sizes & (np.abs(here.point) < NEAR_ZERO * units)):
        moved = here.point.copy()
        moved[place] = 0.0
        if value(moved) <= here.value + max(0.1 * CONVERGED, ROUNDING * abs(here.value)):
            here = _Place(moved, *function(moved), here.hessian)
    return here


def _beyond(value: Value, here: _Place, sizes: np.ndarray, units: np.ndarray) -> np.ndarray | None:
    """Return a point that is lower, found by moving one size by itself; None where there is none."""
    lowest, found = here.value - max(CONVERGED, ROUNDING * abs(here.value)), None
    for place in np.flatnonzero(sizes):
        for probe in PROBES:
            moved = here.point.copy()
            moved[place] = probe * units[place]
            there = value(moved)
            if there < lowest:
                lowest, found = there, moved
    return found
