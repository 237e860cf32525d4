"""The smallest value of a smooth function of a few numbers, where it lies, and how it bends there.

Some of the numbers are sizes whose sign means nothing, so that zero is a point like any other for them, and no edge; it
may be a saddle. `minimise` evaluates a function without a gradient at many points at a time, from several starts;
`descend` and `minimise_sloped` follow a gradient. All end with Newton's steps, put small sizes at exactly zero, and
look for another minimum beyond. What the numbers mean is left to others.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import optimize

from speclet_formula.inference.quadratic import (
    HESSIAN_STEP,
    ROUNDING,
    SMALL,
    Quadratic,
    points_around,
    promise_of,
    quadratic_of,
    steps_of,
)

type Values = Callable[[np.ndarray], np.ndarray]  # (N, d) -> (N,)
type Value = Callable[[np.ndarray], float]  # (d,) -> value
type Sloped = Callable[[np.ndarray], tuple[float, np.ndarray]]  # (d,) -> value, gradient (d,)

SETTLED = 1e-9  # what a Newton step must still promise to be worth taking
CONVERGED = 1e-6  # promised improvement of -2 log-likelihood: a thousandth of a standard error
NEAR_ZERO = 1e-2  # of a size, in its unit
CLOSE = 1e-4  # what zero may cost for it to be the end of a valley

# Without a gradient.
STARTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # of all sizes at a time, then of each by itself
PROBES = (0.0, 0.02, 0.1, 0.5, 2.0, 8.0)  # of each size by itself, once a minimum is found
LARGEST = 1e6
GRADIENT_STEP = 1e-4  # relative to a number, or to SMALL
FAR = (0.1, 1.0, 10.0)  # parts of a size at which the function is the same where it says nothing of it
LEVEL = 1e-4
FLAT = 1e-6  # a curvature below it gives no unit
ROUGHLY = 1e-9  # relative gain at which the descent stops and Newton's steps take over
DESCENTS = 4
NEWTON_STEPS = 100
FEW = 4  # numbers up to which Newton's steps alone go downhill
LIKE_PROMISED = 0.5, 2.0  # parts of the promised decrease that a whole step brings
PARTS = 0.5 ** np.arange(-3.0, 6.0)  # of a Newton step that are tried; valleys are followed by long ones
ALONG = np.outer([-1.0, 1.0], 10.0 ** np.arange(5)).ravel()  # ways down from a saddle, in steps of the differences

# With one.
SLOPED_STARTS = (0.1, 0.3, 1.0, 3.0)  # of all sizes at a time
MOST_STEPS = 200
HALVINGS = 12
SLOPED_DESCENTS = 5
ENOUGH = 1e-4  # of the decrease that the gradient promises, which a step must bring
DAMPED = 0.2  # Powell's share of the old curvature that an update keeps at least
STEP = 0.01  # of differences, in units of 1 / sqrt(curvature / 2): standard errors, of -2 log-likelihood
LOST = 1e-10  # curvatures smaller than that share of the largest, in those units, are rounding
UNSURE = 1.0  # curvatures below it, in numbers' own sizes, may be none
SLOPED_PROBES = (0.0, 0.1, 0.5, 2.0)  # of each size by itself, in its unit


def _none() -> np.ndarray:
    return np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a function is smallest."""

    point: np.ndarray  # (d,); a size of zero is exactly 0
    value: float
    promised: float  # by how much a Newton step could still lower it; infinite at a saddle
    evaluations: int = 0  # by `minimise` and `minimise_sloped`
    flat: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 0))
    )  # (f, d) by the same: steps along which nothing changes
    hessian: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 0))
    )  # (d, d) by `descend`; it holds where both numbers are free
    free: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 0))
    )  # (d,) bool, by `descend`: all but the sizes of zero

    @property
    def converged(self) -> bool:
        """Whether nothing is left to gain."""
        return bool(np.isfinite(self.value) and self.promised < CONVERGED)


# --- without a gradient -----------------------------------------------------------------------------------------------


def minimise(function: Values, sizes: np.ndarray) -> Minimum:
    """Find the minimum from the best of several starts, and look for another one beyond it.

    Parameters
    ----------
    function : callable
        Takes an (N, m) array of points, returns (N,) values; infinite is allowed.
    sizes : ndarray of bool, shape (m,)
        Which of the m numbers are sizes; the others start at zero.
    """
    counted = _Counted(function)
    if not len(sizes):
        return Minimum(np.zeros(0), float(counted(np.zeros((1, 0)))[0]), 0.0, evaluations=1)
    starts, units = np.outer(STARTS, sizes.astype(float)), np.ones(len(sizes))
    values = counted(starts)
    best = int(np.argmin(values))
    point, value = _swept(counted, starts[best], float(values[best]), sizes)
    for _ in range(DESCENTS):
        point, value, around = _descended(counted, point, value)
        better = _beyond(counted, point, value, sizes, PROBES, units)
        if better is None:
            break
        point, value = better
    settled, value = _settle_at_zero(counted, point, value, sizes, units)
    unsure = sizes & (around.own(point) < UNSURE)
    settled, value = _settle_along_valleys(counted, settled, value, unsure)
    if settled is not point:
        point, around = settled, _quadratic(counted, settled, value)
        unsure = sizes & (around.own(point) < UNSURE)
    level = np.concatenate([around.axes.T[np.abs(around.curvatures) <= around.noise], _level(counted, point, unsure)])
    return Minimum(point, value, promise_of(around), counted.evaluations, level * steps_of(point, HESSIAN_STEP))


class _Counted:
    """A function that counts the points it was asked for."""

    def __init__(self, function: Callable[[np.ndarray], Any]) -> None:
        self._function = function
        self.evaluations = 0

    def __call__(self, points: np.ndarray) -> Any:
        self.evaluations += len(points)
        return self._function(points)


def _swept(function: Values, point: np.ndarray, value: float, sizes: np.ndarray) -> tuple[np.ndarray, float]:
    """Move each size by itself, one after the other, to the best of a few places; one that is alone was moved."""
    for k in np.flatnonzero(sizes) if len(sizes) > 1 else ():
        tries = np.array([_with(point, k, start) for start in STARTS])
        values = function(tries)
        best = int(np.argmin(values))
        if values[best] < value:
            point, value = tries[best], float(values[best])
    return point, value


def _descended(function: Values, start: np.ndarray, value: float) -> tuple[np.ndarray, float, Quadratic]:
    """Go downhill: by Newton's steps alone where they need few values, and get where nothing is left to gain."""
    if len(start) <= FEW and np.isfinite(value):
        found = _polish(function, start, value)
        if promise_of(found[2]) < CONVERGED:
            return found
    return _polish(function, *_by_differences(function, start))


def _by_differences(function: Values, start: np.ndarray) -> tuple[np.ndarray, float]:
    """Go downhill by L-BFGS-B with central differences, in units that give each number a like curvature."""
    unit = _units(function, start)

    def with_gradient(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        point = scaled * unit
        steps = steps_of(point, GRADIENT_STEP)
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
        bounds=[(-LARGEST / size, LARGEST / size) for size in unit],
        options={"ftol": ROUGHLY, "gtol": 1e-3},
    )
    return np.asarray(found.x * unit), float(found.fun)


def _units(function: Values, point: np.ndarray) -> np.ndarray:
    """Return the change of each number that raises the function by about one half."""
    steps = steps_of(point, HESSIAN_STEP)
    values = function(np.concatenate([point[None], point + np.diag(steps), point - np.diag(steps)]))
    ahead, behind = np.split(values[1:], 2)
    curvature = np.abs(ahead + behind - 2 * values[0]) / steps**2
    return np.where(np.isfinite(curvature) & (curvature > FLAT), 1 / np.sqrt(np.maximum(curvature, FLAT)), 1.0)


def _polish(function: Values, point: np.ndarray, value: float) -> tuple[np.ndarray, float, Quadratic]:
    """Take Newton steps until they promise nothing more; leave saddles along their ways down."""
    around = _quadratic(function, point, value)
    for _ in range(NEWTON_STEPS):
        promise = promise_of(around)
        if promise < SETTLED:
            break
        bent = np.maximum(np.abs(around.curvatures), around.noise)
        step, unit = -around.axes @ (around.slopes / bent), steps_of(point, HESSIAN_STEP)
        if np.isfinite(promise):  # most often the whole step serves, and what is around its end is asked for at once
            whole = point + step * unit
            lower, *near = function(np.concatenate([whole[None], points_around(whole)]))
            if LIKE_PROMISED[0] * promise < value - lower < LIKE_PROMISED[1] * promise:
                point, value = whole, float(lower)
                around = quadratic_of(point, value, np.array(near))
                continue
        moves = np.outer(PARTS, step)
        falling = around.curvatures < -around.noise
        moves = np.concatenate([moves, *(np.outer(ALONG, axis) for axis in around.axes.T[falling])])
        tries = point + moves * unit
        values = function(tries)
        best = int(np.argmin(values))
        if not values[best] < value:
            break
        point, value = tries[best], float(values[best])
        around = _quadratic(function, point, value)
    return point, value, around


def _settle_along_valleys(
    function: Values, point: np.ndarray, value: float, unsure: np.ndarray
) -> tuple[np.ndarray, float]:
    """Put a size at zero that costs next to nothing there, and gains something once the other numbers follow.

    Along a valley that leads to zero Newton's steps promise nothing long before its end. Only sizes that are `unsure`,
    as the function bends little there, are looked at.
    """
    places = np.flatnonzero(unsure & (point != 0))
    if not len(places) or len(point) == 1:
        return point, value
    costs = function(np.array([_with(point, k, 0.0) for k in places])) - value
    for k in places[costs < CLOSE]:
        moved, others = _with(point, k, 0.0), np.flatnonzero(np.arange(len(point)) != k)

        def along(rest: np.ndarray, moved: np.ndarray = moved, others: np.ndarray = others) -> np.ndarray:
            return function(_with(np.repeat(moved[None], len(rest), axis=0), (slice(None), others), rest))

        rest, there, _ = _polish(along, moved[others], float(function(moved[None])[0]))
        if there < value - max(SETTLED, ROUNDING * abs(value)):  # where nothing changes, a size may be anything
            point, value = moved, there
            point[others] = rest
    return point, value


def _quadratic(function: Values, point: np.ndarray, value: float) -> Quadratic:
    """Fit a quadratic through the points around."""
    return quadratic_of(point, value, function(points_around(point)))


def _level(function: Values, point: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the axes of the sizes that may be ten times as large or as small: rounding may hide it from curvatures."""
    axes: np.ndarray = np.eye(len(point))[chosen]
    wide = np.array([_with(point, k, far * max(abs(point[k]), SMALL)) for k in np.flatnonzero(chosen) for far in FAR])
    if not len(axes):
        return axes
    values = function(wide).reshape(len(axes), len(FAR))
    with np.errstate(invalid="ignore"):  # where the function is infinite
        return np.asarray(axes[np.ptp(values, axis=1) < LEVEL])


# --- with a gradient --------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Descended:
    """A point that was looked at."""

    point: np.ndarray
    value: float
    gradient: np.ndarray
    hessian: np.ndarray = field(default_factory=_none)


def descend(
    function: Sloped, value: Value, start: np.ndarray, hessian: np.ndarray, sizes: np.ndarray, units: np.ndarray
) -> Minimum:
    """Find the minimum by quasi-Newton steps, settle it by Newton's, and look for another one beyond it.

    Parameters
    ----------
    function, value : callable
        The former returns value and gradient at a point (d,), the latter the value alone.
    start : ndarray of float, shape (d,)
        Where the function is finite.
    hessian : ndarray of float, shape (d, d)
        A guess of how it bends there.
    sizes, units : ndarray, shape (d,)
        Which of the numbers are sizes, and what a large change of each number is.
    """
    here = _Descended(start, *function(start), hessian)
    free, promised = np.ones(len(start), dtype=bool), np.inf

    def values(points: np.ndarray) -> np.ndarray:
        return np.array([value(point) for point in points])

    for _ in range(SLOPED_DESCENTS):
        here = _quasi_newton(function, here, free, units)
        settled, _value = _settle_at_zero(values, here.point, here.value, sizes, units)
        if settled is not here.point:
            here = _Descended(settled, *function(settled), here.hessian)
        free = ~(sizes & (here.point == 0))
        here, promised = _newton(function, here, free, units)
        better = _beyond(values, here.point, here.value, sizes, SLOPED_PROBES, units)
        if better is None:
            break
        free = np.ones(len(start), dtype=bool)
        here = _Descended(better[0], *function(better[0]), bent(function, better[0], here.hessian, free))
    return Minimum(here.point, here.value, promised, hessian=here.hessian, free=free)


def lowest_near(
    function: Sloped, start: np.ndarray, hessian: np.ndarray, free: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, float]:
    """Go downhill as `descend` does, near a minimum of known curvature, by the free numbers: where, and how low."""
    here = _quasi_newton(function, _Descended(start, *function(start), hessian), free, units)
    return here.point, here.value


def minimise_sloped(function: Values, sloped: Sloped, sizes: np.ndarray, bends: np.ndarray) -> Minimum:
    """Find the minimum as `minimise` does, of a function whose gradient costs less than differences.

    Parameters
    ----------
    function, sizes
        As `minimise` takes them; `sloped` returns value and gradient at a point (m,).
    bends : ndarray of float, shape (m,)
        About how much the function bends along each number, times the square of a size: many levels bend it much.
    """
    counted, slopes = _Counted(function), _Counted(lambda points: sloped(points[0]))
    starts, units = np.outer(SLOPED_STARTS, sizes.astype(float)), np.ones(len(sizes))
    start = starts[np.argmin(counted(starts))]
    guess = np.diag(bends / np.maximum(start, SLOPED_STARTS[0]) ** 2)
    found = descend(lambda x: slopes(x[None]), lambda x: float(counted(x[None])[0]), start, guess, sizes, units)
    flat = _flat(counted, found, sizes)
    return replace(found, evaluations=counted.evaluations + slopes.evaluations, flat=flat)


def _flat(function: Values, found: Minimum, sizes: np.ndarray) -> np.ndarray:
    """Return steps (f, m) along which nothing changes: of the directions that hardly bend, those by differences too."""
    scale = np.maximum(np.abs(found.point), SMALL)
    curvatures, axes = np.linalg.eigh(found.hessian * np.outer(scale, scale))
    steps = HESSIAN_STEP * scale * axes.T[curvatures < UNSURE]
    hidden = sizes & ((np.diagonal(found.hessian) * scale**2 < UNSURE) | ~found.free)
    wide: np.ndarray = _level(function, found.point, hidden) * steps_of(found.point, HESSIAN_STEP)
    if not len(steps):
        return wide
    ahead, behind = np.split(function(np.concatenate([found.point + steps, found.point - steps])), 2)
    noise = ROUNDING * len(found.point) * max(abs(found.value), 1.0)
    with np.errstate(invalid="ignore"):  # where the function is infinite
        return np.vstack([steps[np.abs(ahead + behind - 2 * found.value) <= noise], wide])


def _quasi_newton(function: Sloped, here: _Descended, free: np.ndarray, units: np.ndarray) -> _Descended:
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
    return _Descended(here.point, here.value, here.gradient, matrix)


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
    bends = np.maximum(np.abs(curvatures), LOST * np.abs(curvatures).max(initial=1.0))
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


def _along(function: Sloped, here: _Descended, step: np.ndarray) -> _Descended | None:
    """Take the step, or a part of it that brings enough; None where none does."""
    promised = float(here.gradient @ step)
    for part in 0.5 ** np.arange(HALVINGS):
        point = here.point + part * step
        found, slope = function(point)
        if found <= here.value + ENOUGH * part * promised:
            return _Descended(point, found, slope)
    return None


def _newton(function: Sloped, here: _Descended, free: np.ndarray, units: np.ndarray) -> tuple[_Descended, float]:
    """Take Newton steps until they promise nothing more; return the place with its Hessian, and what is promised."""
    promise = np.inf
    for _ in range(SLOPED_DESCENTS):
        here.hessian = bent(function, here.point, here.hessian, free)
        step, promise = _step(here.hessian, here.gradient, free, units, flat=LOST)
        scale = _errors(here.hessian, units)[free]
        curvatures = np.linalg.eigvalsh(here.hessian[np.ix_(free, free)] * np.outer(scale, scale))
        saddle = bool((curvatures < -1e-4 * np.abs(curvatures).max(initial=0.0)).any())
        if promise < SETTLED:
            return here, np.inf if saddle else promise
        there = _along(function, here, step)
        if there is None:
            return here, np.inf if saddle else promise
        here = _Descended(there.point, there.value, there.gradient, here.hessian)
    return here, promise


def bent(function: Sloped, point: np.ndarray, guess: np.ndarray, wanted: np.ndarray) -> np.ndarray:
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


# --- both -------------------------------------------------------------------------------------------------------------


def _with(point: np.ndarray, k: Any, number: Any) -> np.ndarray:
    """Return a point with another number at place k."""
    moved = point.copy()
    moved[k] = number
    return moved


def _beyond(
    function: Values, point: np.ndarray, value: float, sizes: np.ndarray, probes: tuple[float, ...], units: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """Return a point that is lower, found by moving one size by itself, and its value; None where there is none."""
    if not sizes.any():
        return None
    moved = np.array([_with(point, k, probe * units[k]) for k in np.flatnonzero(sizes) for probe in probes])
    values = function(moved)
    lowest = int(np.argmin(values))
    is_lower = values[lowest] < value - max(CONVERGED, ROUNDING * abs(value))
    return (moved[lowest], float(values[lowest])) if is_lower else None


def _settle_at_zero(
    function: Values, point: np.ndarray, value: float, sizes: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, float]:
    """Put small sizes at exactly zero where that costs no more than what a converged search leaves."""
    for k in np.flatnonzero(sizes & (np.abs(point) < NEAR_ZERO * units)):
        moved = _with(point, k, 0.0)
        there = float(function(moved[None])[0])
        if there <= value + max(0.1 * CONVERGED, ROUNDING * abs(value)):
            point, value = moved, there
    return point, value
