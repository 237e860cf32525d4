"""Where the log density of a few parameters is highest, and how it bends there.

By central differences of many points at once, for all starts at the same time, or by a gradient where one comes
cheaper.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize

LogDensity = Callable[[np.ndarray], np.ndarray]  # (N, d) -> (N,)
SlopedDensity = Callable[[np.ndarray], tuple[float, np.ndarray]]  # (d,) -> the same of one point, and its gradient (d,)

STEP = 1e-4  # of central differences, on parameters whose scale is about 1
LEVEL = 1e-4  # a slope that ends a search by differences
LONGEST = 2.0  # step, along any parameter
LEAST_BENT = 1.0  # what a search begins with along a parameter that bends the density less
ENOUGH, SHORTEST = 1e-4, 1e-5  # of what a step promised, and of the step: Armijo's rule
DAMPED = 0.2  # Powell's rule for what is learnt where the density bends otherwise
REACH = (14.0, 10.0)  # how far below and above its start the mode is looked for; SDs are logs
DIP = 0.5  # of the log density between two ends of the search, from which on they are two modes
LOWEST = 20.0  # below the highest mode: others are not worth a component


@np.errstate(all="ignore")  # far out the density overflows, or is zero
def find_mode(sloped: SlopedDensity, start: np.ndarray, *, steps: int = 200) -> np.ndarray:
    """Return the mode, looked for within bounds around the start: an unbounded search can run off to infinity."""

    def value_and_slope(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = sloped(point)
        return (-value, -slope) if np.isfinite(value) else (1e12, np.zeros(len(point)))

    bounds = [(value - REACH[0], value + REACH[1]) for value in start]
    # A log density of 10^5 rows is large: its relative change says nothing of how near the mode is, its slope does.
    options = {"ftol": 1e-15, "gtol": 1e-3, "maxiter": steps}
    found = optimize.minimize(value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


@dataclass(eq=False)
class _Climbers:
    """Searches on their ways up. N of them, in d dimensions; the density's sign is turned, so that they go down."""

    points: np.ndarray  # (N, d)
    values: np.ndarray  # (N,)
    slopes: np.ndarray  # (N, d)
    bends: np.ndarray  # (N, d) along each coordinate
    matrices: np.ndarray  # (N, d, d) how the density bends, as the way there has shown
    steps: np.ndarray  # (N, d) the steps that are tried, ...
    parts: np.ndarray  # (N,) ... and how much of them
    climbing: np.ndarray  # (N,) whether each is still on its way


@np.errstate(all="ignore")
def climb(density: LogDensity, starts: np.ndarray, *, free: np.ndarray | None = None, steps: int = 200) -> np.ndarray:
    """Return the modes (N, d) that are next to some starts (N, d), within bounds around each.

    By quasi-Newton steps (BFGS) and central differences. All searches take their steps at the same time, so that the
    density is asked for many points at once. Coordinates that are not `free` (N, d) stay where they are.
    """
    low, high = starts - REACH[0], starts + REACH[1]
    free = np.ones(starts.shape, dtype=bool) if free is None else free
    values, slopes, bends = _around(density, starts, free)
    here = _Climbers(
        starts.copy(), values, slopes, bends, _diagonals(bends), np.zeros_like(starts), np.zeros(len(starts)),
        np.isfinite(values),
    )  # fmt: skip
    for _ in range(steps):
        _aim(here, low, high)
        tried = np.flatnonzero(here.climbing)
        if not len(tried):
            break
        ends = np.clip(here.points[tried] + here.parts[tried, None] * here.steps[tried], low[tried], high[tried])
        there = _around(density, ends, free[tried])
        promised = (here.slopes[tried] * (ends - here.points[tried])).sum(axis=1)
        better = np.isfinite(there[0]) & (there[0] <= here.values[tried] + ENOUGH * promised)
        _turn_back(here, tried[~better])
        _learn(here, tried[better], ends[better], *(part[better] for part in there))
    return here.points


def _around(density: LogDensity, points: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the negative density (N,) of points (N, d), its slopes and how it bends along each free coordinate (N, d).

    Along all others they are zero.
    """
    count, size = points.shape
    shifts = STEP * np.eye(size)
    near = np.concatenate([points[:, None], points[:, None] + shifts, points[:, None] - shifts], axis=1)
    values = -density(near.reshape(-1, size)).reshape(count, 1 + 2 * size)
    here, ahead, behind = values[:, 0], values[:, 1 : 1 + size], values[:, 1 + size :]
    slopes, bends = (ahead - behind) / (2 * STEP), (ahead + behind - 2 * here[:, None]) / STEP**2
    if not np.isfinite(bends).all():
        slopes = _one_sided(here[:, None], ahead, behind) / (2 * STEP)
    return here, np.where(free, slopes, 0.0), np.where(free & np.isfinite(bends), bends, 0.0)


def _diagonals(bends: np.ndarray) -> np.ndarray:
    """Return matrices (N, d, d) with how the density bends along each coordinate, (N, d), where it does."""
    return np.asarray(np.maximum(np.abs(bends), LEAST_BENT)[:, None] * np.eye(bends.shape[1]))


def _aim(here: _Climbers, low: np.ndarray, high: np.ndarray) -> None:
    """Choose the next steps of searches that have none, and end those that are where nothing rises."""
    outwards = ((here.points <= low) & (here.slopes > 0)) | ((here.points >= high) & (here.slopes < 0))
    slopes = np.where(outwards, 0.0, here.slopes)
    here.climbing &= np.abs(slopes).max(axis=1, initial=0.0) > LEVEL
    new = np.flatnonzero(here.climbing & (here.parts == 0))
    if len(new):
        steps = -np.linalg.solve(here.matrices[new], slopes[new][..., None])[..., 0]
        here.steps[new] = steps * np.minimum(1.0, LONGEST / np.abs(steps).max(axis=1))[:, None]
        here.parts[new] = 1.0


def _turn_back(here: _Climbers, which: np.ndarray) -> None:
    """Try less of a step that did not lead up; at last forget what was learnt, or give up."""
    here.parts[which] /= 4
    lost = which[here.parts[which] < SHORTEST]
    known = _diagonals(here.bends[lost])
    here.climbing[lost] = (here.matrices[lost] != known).any(axis=(1, 2))
    here.matrices[lost], here.parts[lost] = known, 0.0


def _learn(
    here: _Climbers, which: np.ndarray, points: np.ndarray, values: np.ndarray, slopes: np.ndarray, bends: np.ndarray
) -> None:
    """Go to new points, and learn from the change of the slopes, damped so that the matrices stay positive definite."""
    moved, turned, matrices = points - here.points[which], slopes - here.slopes[which], here.matrices[which]
    expected = np.matvec(matrices, moved)
    along, seen = (moved * expected).sum(axis=1), (moved * turned).sum(axis=1)
    mixed = np.where(seen < DAMPED * along, (1 - DAMPED) * along / (along - seen), 1.0)[:, None]
    turned = mixed * turned + (1 - mixed) * expected
    seen = (moved * turned).sum(axis=1)
    change = turned[:, :, None] * turned[:, None] / seen[:, None, None]
    change -= expected[:, :, None] * expected[:, None] / along[:, None, None]
    usable = (along > 0) & (seen > 0) & np.isfinite(change).all(axis=(1, 2))
    here.matrices[which[usable]] += change[usable]
    here.points[which], here.values[which], here.slopes[which], here.bends[which] = points, values, slopes, bends
    here.parts[which] = 0.0


def _one_sided(here: np.ndarray, ahead: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Return differences over two steps, where the density ends on one side of some coordinates or on both."""
    slope = np.where(np.isfinite(ahead), 2 * (ahead - here), np.where(np.isfinite(behind), 2 * (here - behind), 0.0))
    both = np.isfinite(ahead) & np.isfinite(behind)
    return np.asarray(np.where(both, ahead - behind, slope))


def find_modes(density: LogDensity, starts: np.ndarray, sloped: SlopedDensity | None = None) -> np.ndarray:
    """Return the modes (K, d) that are found from some starts (N, d), the highest first."""
    known = np.isfinite(density(starts))
    usable = starts[known] if known.any() else starts[:1]
    if sloped is None:
        ends = climb(density, usable)
    else:
        ends = np.array([find_mode(sloped, start) for start in usable]).reshape(-1, starts.shape[1])
    heights = density(ends)
    if not np.isfinite(heights).any():  # a climb may leave what is possible
        ends, heights = usable, density(usable)
    order = np.argsort(-heights)
    modes: list[np.ndarray] = []
    for place in order[heights[order] > heights.max(initial=-np.inf) - LOWEST]:
        if not any(_same_hill(density, mode, ends[place]) for mode in modes):
            modes.append(ends[place])
    return np.array(modes).reshape(-1, starts.shape[1])


def _same_hill(density: LogDensity, first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the density hardly dips between two points."""
    steps = np.linspace(0, 1, 9)[:, None]
    heights = density(first + steps * (second - first))
    return bool(heights.min() > min(heights[0], heights[-1]) - DIP)


def curvature(density: LogDensity, mode: np.ndarray, step: float = 0.03) -> np.ndarray:
    """Return the negative Hessian at the mode by central differences, (d, d)."""
    size = len(mode)
    steps = step * np.eye(size)
    pairs = [(i, j) for i in range(size) for j in range(i, size)]
    corners = [mode + a * steps[i] + b * steps[j] for i, j in pairs for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    values = density(np.array(corners).reshape(-1, size)).reshape(-1, 4)
    hessian = np.zeros((size, size))
    for (i, j), (ahead, right, left, behind) in zip(pairs, values, strict=True):
        bend = (right + left - ahead - behind) / (4 * step**2)
        hessian[i, j] = hessian[j, i] = bend if np.isfinite(bend) else 0.0
    return hessian


def held(sloped: SlopedDensity, point: np.ndarray, free: np.ndarray) -> SlopedDensity:
    """Return the density and gradient of some coordinates (d,), the others held where a point has them."""

    def of_free(others: np.ndarray) -> tuple[float, np.ndarray]:
        whole = point.copy()
        whole[free] = others
        value, slope = sloped(whole)
        return value, slope[free]

    return of_free
