"""Where the log density of a few parameters is highest, and how it bends there.

By central differences of many points at once, or by a gradient where one comes cheaper.
"""

from collections.abc import Callable

import numpy as np
from scipy import optimize

LogDensity = Callable[[np.ndarray], np.ndarray]  # (N, d) -> (N,)
SlopedDensity = Callable[[np.ndarray], tuple[float, np.ndarray]]  # (d,) -> the same of one point, and its gradient (d,)

STEP = 1e-4  # of central differences, on parameters whose scale is about 1
REACH = (14.0, 10.0)  # how far below and above its start the mode is looked for; SDs are logs
DIP = 0.5  # of the log density between two ends of the search, from which on they are two modes
LOWEST = 20.0  # below the highest mode: others are not worth a component


@np.errstate(all="ignore")  # far out the density overflows, or is zero
def find_mode(
    density: LogDensity, start: np.ndarray, *, steps: int = 200, sloped: SlopedDensity | None = None
) -> np.ndarray:
    """Return the mode, looked for within bounds around the start: an unbounded search can run off to infinity.

    By central differences where no gradient is given.
    """
    shifts = STEP * np.eye(len(start))

    def value_and_slope(point: np.ndarray) -> tuple[float, np.ndarray]:
        if sloped is not None:
            value, slope = sloped(point)
            return (-value, -slope) if np.isfinite(value) else (1e12, np.zeros(len(point)))
        values = -density(np.concatenate([point[None], point + shifts, point - shifts]))
        if not np.isfinite(values[0]):
            return 1e12, np.zeros(len(point))
        ahead, behind = values[1:].reshape(2, -1)
        known = np.isfinite(ahead) & np.isfinite(behind)
        slope = np.where(known, ahead - behind, 0.0) if known.all() else _one_sided(values[0], ahead, behind)
        return float(values[0]), slope / (2 * STEP)

    bounds = [(value - REACH[0], value + REACH[1]) for value in start]
    # A log density of 10^5 rows is large: its relative change says nothing of how near the mode is, its slope does.
    options = {"ftol": 1e-15, "gtol": 1e-3, "maxiter": steps}
    found = optimize.minimize(value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


def _one_sided(here: float, ahead: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Return differences over two steps, where the density ends on one side of some coordinates or on both."""
    slope = np.where(np.isfinite(ahead), 2 * (ahead - here), np.where(np.isfinite(behind), 2 * (here - behind), 0.0))
    both = np.isfinite(ahead) & np.isfinite(behind)
    return np.asarray(np.where(both, ahead - behind, slope))


def find_modes(density: LogDensity, starts: np.ndarray, sloped: SlopedDensity | None = None) -> np.ndarray:
    """Return the modes (K, d) that are found from some starts (N, d), the highest first."""
    known = np.isfinite(density(starts))
    usable = starts[known] if known.any() else starts[:1]
    ends = np.array([find_mode(density, start, sloped=sloped) for start in usable]).reshape(-1, starts.shape[1])
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
