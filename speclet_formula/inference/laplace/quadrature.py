"""Adaptive Gauss-Hermite quadrature of one scalar group term: what Laplace's approximation leaves out, lme4's `nAGQ`.

Levels are independent of each other. Each one's integrand exp(h) is summed at the nodes z_k of Hermite's polynomial,
moved to its mode u and stretched by its curvature H there:

    log p(y_l) = log sum_k w_k exp(z_k^2 + h(u + sqrt(2 / H) z_k)) - log(pi H) / 2

One node is Laplace's approximation. Liu and Pierce (1994), doi:10.1093/biomet/81.3.624.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite import hermgauss
from scipy import special

from speclet_formula.families.links import Drift, Slopes
from speclet_formula.inference.laplace.criterion import Mode, Point, Problem

MOST_NODES = 100  # as in lme4


@dataclass(frozen=True, eq=False)
class _Spots:
    """Each level's nodes. q levels, K nodes, n rows."""

    steps: np.ndarray  # (q, K) from the mode
    u: np.ndarray  # (q, K)
    widths: np.ndarray  # (q,) 1 / sqrt(H)
    slopes: tuple[Slopes, ...]  # of each node's rows
    heights: np.ndarray  # (q, K) h with the nodes' own weights; -inf where u is impossible

    @property
    def levels(self) -> np.ndarray:
        """(q,) log p(y) of each level, but for what no linear predictor changes."""
        return np.asarray(special.logsumexp(self.heights, axis=1) + np.log(self.widths))


@dataclass(frozen=True, eq=False)
class _Direction:
    """How rows change with one number at given group effects u: eta by shift + stretch u, and the density by itself."""

    shift: np.ndarray | float  # (n,)
    stretch: np.ndarray | float  # (n,)
    drift: Drift
    at_nodes: tuple[np.ndarray | float, ...]  # (n,) for each node, the drift's value


def quadrature(problem: Problem, point: Point, mode: Mode, count: int) -> float:
    """Return -2 log p(y) at a point by so many nodes, given its mode."""
    constant = problem.curve.constant(problem.observed, point.others)
    return -2 * (constant + float(_look(problem, point, mode, count).levels.sum()))


def quadrature_gradient(problem: Problem, point: Point, mode: Mode, count: int) -> np.ndarray:
    """Return its derivatives by theta, beta and what is searched for of the other numbers, (m + p + e,).

    The nodes follow the mode, by the implicit function theorem, and its curvature.
    """
    spots, rows = _look(problem, point, mode, count), problem.columns[:, 0]
    shares = np.exp(spots.heights - special.logsumexp(spots.heights, axis=1)[:, None])  # of each level's integral
    pulls = np.zeros((len(shares), count))  # slopes of the heights by u
    drawn = np.zeros((2, len(rows)))  # mean slopes of the rows, by themselves and times u
    for k, slopes in enumerate(spots.slopes):
        first = np.where(shares[rows, k] > 0, slopes.first, 0.0)
        pulls[:, k] = problem.rows.gather(mode.A, first) - spots.u[:, k]
        drawn += shares[rows, k] * first * [np.ones(len(rows)), spots.u[rows, k]]
    by_mode, by_width = (shares * pulls).sum(axis=1), (shares * pulls * spots.steps).sum(axis=1) + 1.0
    found = []
    for way in _directions(problem, point, mode, spots):
        moved, widened = _followed(problem, mode, way, spots.widths)
        inside = np.sum(way.shift * drawn[0]) + np.sum(way.stretch * drawn[1])
        inside += sum(np.sum(shares[rows, k] * drift) for k, drift in enumerate(way.at_nodes))
        found.append(-2 * float(inside + by_mode @ moved + by_width @ widened))
    return np.array(found)


def _look(problem: Problem, point: Point, mode: Mode, count: int) -> _Spots:
    """Evaluate the integrands at their nodes."""
    z, weights = hermgauss(count)
    A, rows = mode.A[:, 0], problem.columns[:, 0]
    widths = 1 / np.sqrt(1 - problem.rows.gather(mode.A, A * mode.slopes.second))
    steps = np.sqrt(2) * widths[:, None] * z
    u = mode.u[:, None] + steps
    heights, slopes = np.empty_like(u), []
    with np.errstate(all="ignore"):
        for k in range(count):
            there = mode.eta + A * steps[rows, k]
            slopes.append(problem.slopes(there, point.others))
            heights[:, k] = np.bincount(rows, slopes[k].value, problem.size) - u[:, k] ** 2 / 2
    heights = np.where(np.isnan(heights), -np.inf, heights) + np.log(weights) + z**2 - np.log(np.pi) / 2
    return _Spots(steps, u, widths, tuple(slopes), heights)


def _directions(problem: Problem, point: Point, mode: Mode, spots: _Spots) -> Iterator[_Direction]:
    """Go through the numbers: theta, beta, the family's others."""
    still = Drift(0.0, 0.0, 0.0)
    yield _Direction(0.0, problem.Z[:, 0], still, ())
    for column in problem.X.T:
        yield _Direction(column, 0.0, still, ())
    if not len(point.others):
        return
    with np.errstate(all="ignore"):
        here = problem.curve.drifts(mode.eta, problem.observed, point.others)
        offsets = mode.A[:, 0, None] * spots.steps[problem.columns[:, 0]]
        there = [
            problem.curve.drifts(mode.eta + offset, problem.observed, point.others) for offset in offsets.T
        ]  # of each node
    for place, drift in enumerate(here):
        yield _Direction(0.0, 0.0, drift, tuple(np.nan_to_num(drifts[place].value) for drifts in there))


def _followed(problem: Problem, mode: Mode, way: _Direction, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how each level's mode moves, and the logarithm of its width, (q,)."""
    A, rows, (_, first, second, third) = mode.A[:, 0], problem.columns[:, 0], mode.slopes
    by_eta = way.shift + way.stretch * mode.u[rows]
    uphill = A * second * by_eta + way.stretch * first + A * way.drift.first
    moved = widths**2 * np.bincount(rows, uphill, problem.size)
    bent = A**2 * (third * (by_eta + A * moved[rows]) + way.drift.second) + 2 * second * A * way.stretch
    return moved, widths**2 * np.bincount(rows, bent, problem.size) / 2
