"""The search for the least of Laplace's criterion: what numbers are searched, the criterion of them, where to start."""

from dataclasses import dataclass

import numpy as np

from speclet_formula.errors import SamplingError
from speclet_formula.families import specification_of
from speclet_formula.families.links import FORWARD_LINKS, MEANS
from speclet_formula.families.specification import Parameter
from speclet_formula.inference.laplace.criterion import (
    Mode,
    Point,
    Problem,
    find_mode,
    gradient,
    joint_mode,
    numbers_of,
    searched_of,
    sensitivities,
)
from speclet_formula.inference.laplace.quadrature import quadrature, quadrature_gradient
from speclet_formula.inference.minimum import bent
from speclet_formula.inference.relative import psi_of, relative_covariances, theta_at, theta_slopes
from speclet_formula.model import Model

STARTS = (0.1, 0.3, 1.0, 3.0)  # of all SDs at a time, in units of the linear predictor's spread
SHIFTS = np.log([0.1, 10.0])  # of logarithms and logits of other parameters from their first guess
INFINITE = 1e10  # times the largest response
LARGEST_LOGIT = 30.0


@dataclass(frozen=True, eq=False)
class Search:
    """How the numbers that are searched make a point: psi, of which theta is made, beta, those of the others."""

    problem: Problem
    sizes: np.ndarray  # (d,) bool
    units: np.ndarray  # (d,)
    largest: np.ndarray  # (e,) at which another parameter counts as infinite, or a share as all

    def point(self, x: np.ndarray) -> Point:
        """Return the parameters at x."""
        r, p = len(self.problem.relative.searched), self.problem.X.shape[1]
        others = numbers_of(self.problem, np.clip(x[r + p :], -self.largest, self.largest))
        return Point(theta_at(self.problem.relative, x[None, :r])[0], x[r : r + p], others)

    def slope(self, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Return the gradient at x of one by theta: nothing changes with a parameter that counts as infinite."""
        relative, p = self.problem.relative, self.problem.X.shape[1]
        r, m = len(relative.searched), relative.size
        if not relative.is_free:
            slope = np.concatenate([slope[:m] @ theta_slopes(relative, x[:r]), slope[m:]])
        inside = np.ones(len(x), dtype=bool)
        inside[r + p :] = np.abs(x[r + p :]) < self.largest
        return np.where(inside, slope, 0.0)


class Criterion:
    """The criterion as a function of plain numbers: Laplace's, or with more nodes than one that of quadrature.

    It counts, and starts each climb at the last mode.
    """

    def __init__(self, search: Search, mode: Mode, nodes: int) -> None:
        self._search = search
        self._u = mode.u
        self.nodes = nodes
        self.evaluations = 0

    def mode(self, x: np.ndarray) -> Mode | None:
        """Return the mode at x."""
        self.evaluations += 1
        return find_mode(self._search.problem, self._search.point(x), self._u)

    def value(self, x: np.ndarray) -> float:
        """Return the criterion at x; infinite where there is no mode."""
        return self._value(x, self.mode(x))

    def _value(self, x: np.ndarray, mode: Mode | None) -> float:
        if mode is None or self.nodes == 1:
            return np.inf if mode is None else mode.criterion
        return quadrature(self._search.problem, self._search.point(x), mode, self.nodes)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the criterion and its gradient."""
        mode = self.mode(x)
        value = self._value(x, mode)
        if mode is None or not np.isfinite(value):
            return np.inf, np.zeros_like(x)
        self._u = mode.u
        problem, point = self._search.problem, self._search.point(x)
        if self.nodes == 1:
            return value, self._search.slope(x, gradient(problem, point, mode))
        return value, self._search.slope(x, quadrature_gradient(problem, point, mode, self.nodes))


# --- where to start ---------------------------------------------------------------------------------------------------


def start_of(model: Model, problem: Problem) -> tuple[Search, np.ndarray, Mode, np.ndarray]:
    """Find a good start: fixed and group effects at their joint mode, for the best of a few SDs and parameters."""
    y, link = measured(model, problem), model.family.link
    level = 0.0 if model.design.thresholds else float(FORWARD_LINKS[link](_typical(model, y)))
    slope = 1.0 if model.design.thresholds else float(np.broadcast_to(MEANS[link](np.array([level])).first, 1)[0])
    spread = float(np.std(y) / abs(slope)) or 1.0
    relative = problem.relative
    sizes = relative.sizes
    beta = np.linalg.lstsq(problem.X, level - problem.offset, rcond=None)[0]
    others = _guesses(model, problem, y)
    thetas = theta_at(relative, spread * np.outer(STARTS if len(sizes) else (1.0,), sizes))
    tries = [Point(theta, beta, others) for theta in thetas]
    best = _best(problem, tries)
    for place in np.flatnonzero([known is not None for known in problem.parameter_links]):
        shifts = np.outer(SHIFTS, np.eye(len(others))[place])
        searched = searched_of(problem, best[0].others) + shifts
        moved = [Point(best[0].theta, best[0].beta, numbers_of(problem, numbers)) for numbers in searched]
        best = _best(problem, moved, best)
    point, mode = best
    information, _ = sensitivities(problem, mode)
    angles = (
        np.array([relative.structures[block] is not None for block, _, _ in relative.searched], dtype=bool) & ~sizes
    )
    units = np.concatenate([np.where(angles, 1.0, spread), np.full(len(beta), 2 * spread), np.full(len(others), 2.0)])
    flags = np.concatenate([sizes, np.zeros(len(beta) + len(others), dtype=bool)])
    psi = point.theta if relative.is_free else psi_of(relative, relative_covariances(relative, point.theta))
    x = np.concatenate([psi, point.beta, searched_of(problem, point.others)])
    return Search(problem, flags, units, largest_of(problem, y)), x, mode, information


def measured(model: Model, problem: Problem) -> np.ndarray:
    """Return the responses on the scale of their mean: shares of trials, logarithms; without those that say nothing."""
    known, (y, trials, _) = specification_of(model.family), problem.observed
    if trials is not None:
        return np.asarray(y[trials > 0] / trials[trials > 0])
    above = y[y > 0] if known.zeros == "hurdle" and (y > 0).any() else y
    return np.log(above) if known.logarithm_of else np.asarray(above)


def _typical(model: Model, y: np.ndarray) -> float:
    """Return a mean inside the family's range."""
    if "logit" in specification_of(model.family).links:
        return float((y.sum() + 0.5) / (len(y) + 1))
    mean = float(np.mean(y))
    return mean if mean > 0 or model.family.link == "identity" else max(mean, 0.1 * float(np.std(y)), 0.1)


def _guesses(model: Model, problem: Problem, y: np.ndarray) -> np.ndarray:
    """Return first guesses of the family's other numbers."""
    if model.design.thresholds:
        counts = np.bincount(np.asarray(y, dtype=int), minlength=len(model.design.levels))
        shares = (np.cumsum(counts)[:-1] + 0.5) / (counts.sum() + 1)
        if not specification_of(model.family).increasing:  # each of those at or above its level
            shares = (counts[:-1] + 0.5) / (np.cumsum(counts[::-1])[::-1][:-1] + 1)
        return np.asarray(FORWARD_LINKS[model.family.link](shares), dtype=float)
    known = specification_of(model.family).own_parameters
    return np.array([_guess(model, problem, parameter, y) for parameter in known])


def _guess(model: Model, problem: Problem, parameter: Parameter, y: np.ndarray) -> float:
    """Return a first guess of a family's parameter."""
    if parameter.is_share:  # of a hurdle it is the estimate, else it lies above
        share = float(np.mean(problem.observed.response > 0))
        return min(max(share if specification_of(model.family).zeros == "hurdle" else (1 + share) / 2, 0.01), 0.99)
    return parameter.guess or float(np.std(y)) or 1.0


def largest_of(problem: Problem, y: np.ndarray) -> np.ndarray:
    """Return where the family's other numbers, as they are searched for, count as infinite."""
    height = float(np.max(np.abs(y))) or 1.0
    ends = {"log": float(np.log(INFINITE * max(1.0, height, 1 / height))), "logit": LARGEST_LOGIT, None: np.inf}
    return np.array([ends[link] for link in problem.parameter_links])


def _best(problem: Problem, tries: list[Point], found: tuple[Point, Mode] | None = None) -> tuple[Point, Mode]:
    """Return the best of several starts with its joint mode."""
    for point in tries:
        there = joint_mode(problem, point)
        if there is not None and (found is None or there[1].criterion < found[1].criterion):
            found = there
    if found is None:
        raise SamplingError(
            "no parameters were found at which every row is possible.",
            "The link must be able to reach the observed means: 'identity' and 'inverse' also reach impossible ones.",
            "Choose the family's usual link, or add an intercept, or use method='hmc'.",
        )
    return found


def first_hessian(criterion: Criterion, problem: Problem, x: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Return a guess of the Hessian: the fixed effects' from the joint mode, the others' by differences."""
    r, p = len(problem.relative.searched), problem.X.shape[1]
    guess = np.eye(len(x))
    guess[r : r + p, r : r + p] = 2 * information
    wanted = np.ones(len(x), dtype=bool)
    wanted[r : r + p] = False
    return bent(criterion, x, guess, wanted)
