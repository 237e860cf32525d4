"""Profiles of Laplace's likelihood: for each value of a parameter the least criterion over all others, as lme4's.

They are made in the numbers that intervals are of: standard deviations, correlations by their atanh, or of a structure
by its angle, coefficients of the given columns, the family's other numbers as they are searched for. A fit's maximum is
one point of each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from speclet_formula.design import Design, centre_of
from speclet_formula.errors import SamplingError
from speclet_formula.inference.laplace.criterion import Problem, find_mode, problem_of, searched_of
from speclet_formula.inference.laplace.search import Criterion, Search, largest_of, measured
from speclet_formula.inference.maximum_likelihood import independent_columns
from speclet_formula.inference.minimum import bent, lowest_near
from speclet_formula.inference.relative import angle_of, correlation_at, deviations_of, size_of
from speclet_formula.posterior import PointFit

LARGEST_CORRELATION = 0.999  # at which a search begins where the estimate is larger


@dataclass(frozen=True)
class ProfiledNumber:
    """A parameter that is profiled."""

    place: int  # among the numbers
    at: float  # its estimate, as they have it
    step: float  # a first one
    bounds: tuple[float, float]
    natural: Callable[[float], float]  # the same on its own scale


@dataclass(frozen=True, eq=False)
class _Numbers:
    """What is searched made from the numbers that are profiled. Two columns at most are correlated freely."""

    problem: Problem
    design: Design

    @property
    def deviations(self) -> list[tuple[int, int]]:
        """Block and row of each standard deviation."""
        return list(deviations_of(self.design))

    @property
    def correlations(self) -> list[int]:
        """The blocks with a correlation."""
        return [b for b, block in enumerate(self.design.mean.groups) if block.correlated]

    def searched(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return x (d,) and its derivatives by z, (d, d)."""
        problem, sds, cors = self.problem, self.deviations, self.correlations
        m, p = len(problem.relative.searched), problem.X.shape[1]
        x, slopes = z.copy(), np.eye(len(z))
        slopes[:m] = 0.0
        for entry, (block, row, column) in enumerate(problem.relative.searched):
            free = problem.relative.structures[block] is None
            if not free and column < row:
                angle = len(sds) + cors.index(block)
                x[entry], slopes[entry, angle] = z[angle], 1.0
                continue
            own, size = sds.index((block, row)), size_of(problem.relative, block, row)
            deviation, sign = z[own] * size, 1.0
            if block not in cors or row == 0 or not free:
                part, by_angle = 1.0, 0.0
            else:
                correlation, angle = np.tanh(z[len(sds) + cors.index(block)]), len(sds) + cors.index(block)
                root = np.sqrt(1 - correlation**2)
                part, by_angle = (correlation, root**2) if column < row else (root, -correlation * root)
            if block in cors and free:  # of a negative one the correlation would be the opposite
                deviation, sign = abs(deviation), float(np.sign(z[own]) or 1.0)
            x[entry] = deviation * part
            slopes[entry, own] = sign * size * part
            if by_angle:
                slopes[entry, angle] = deviation * by_angle
        back = np.linalg.inv(problem.carried)
        x[m : m + p], slopes[m : m + p, m : m + p] = back @ z[m : m + p], back
        return x, slopes


@dataclass(frozen=True, eq=False)
class Profiles:
    """The profiles of a fit."""

    parameters: tuple[ProfiledNumber, ...]  # standard deviations and correlations block by block, fixed effects, others
    value: Callable[[np.ndarray], tuple[float, np.ndarray]]
    z: np.ndarray  # (d,) the maximum
    hessian: np.ndarray  # (d, d) of -2 log likelihood there
    units: np.ndarray  # (d,)
    seen: dict[tuple[int, float], np.ndarray] = field(default_factory=dict)

    def least(self, place: int, number: float) -> float:
        """Return the least -2 log likelihood with one of the numbers held; each search begins at the nearest other."""
        near = min((known for known in self.seen if known[0] == place), key=lambda known: abs(known[1] - number),
                   default=None)  # fmt: skip
        free = np.arange(len(self.z)) != place
        start = (self.z if near is None else self.seen[near]).copy()
        if free.any():  # along the ridge, by the curvature at the maximum
            ridge = np.linalg.lstsq(self.hessian[np.ix_(free, free)], self.hessian[free, place], rcond=None)[0]
            step = -ridge * (number - start[place])
            start[free] += np.clip(step, -self.units[free], self.units[free])
        start[place] = number
        if not np.isfinite(self.value(start)[0]):
            start = self.z.copy()
            start[place] = number
        found, value = lowest_near(self.value, start, self.hessian, free, self.units)
        if np.isfinite(value):
            self.seen[place, number] = found
        return value


def profiles_of(fit: PointFit) -> Profiles:
    """Prepare the profiles of a fit by Laplace's approximation or quadrature."""
    design, kept = independent_columns(fit.model.design)
    problem = problem_of(design, fit.model.family, centre_of(design))
    numbers, points = _Numbers(problem, design), fit.estimates
    m = len(problem.relative.searched)
    sds = [np.sqrt(points.covariances[block][row, row]) for block, row in numbers.deviations]
    angles = [_angle(problem, block, points.covariances[block]) for block in numbers.correlations]
    named = {name: value for name, value, _ in points.others} | {"sigma": points.sigma}
    others = points.thresholds if len(points.thresholds) else np.array([named[name] for name in problem.parameters])
    searched = np.clip(searched_of(problem, np.asarray(others, dtype=float)), -1e3, 1e3)
    z = np.concatenate([sds, angles, points.coefficients[kept], searched])
    errors = np.concatenate([
        np.maximum(0.25 * z[: m - len(angles)], 1e-3), np.full(len(angles), 0.2),
        np.sqrt(np.diagonal(points.covariance))[kept], np.full(len(others), 0.2),
    ])  # fmt: skip
    value = _value(fit, problem, numbers, z)
    units = np.maximum(5 * errors, 0.5)
    hessian = bent(value, z, np.diag(2 / errors**2), np.ones(len(z), dtype=bool))
    return Profiles(_parameters(numbers, z, errors), value, z, hessian, units)


def _angle(problem: Problem, block: int, covariance: np.ndarray) -> float:
    """Return the atanh of a correlation, or the angle of a structure's."""
    product = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    correlation = covariance[0, 1] / product if product > 0 else 0.0
    kind = problem.relative.structures[block]
    lowest = -1.0 if kind is None else kind.lowest(len(covariance))
    inside = float(np.clip(correlation, LARGEST_CORRELATION * lowest, LARGEST_CORRELATION))
    return float(np.arctanh(inside)) if kind is None else angle_of(problem.relative, block, inside)


def _value(
    fit: PointFit, problem: Problem, numbers: _Numbers, z: np.ndarray
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Return the criterion and its gradient by the numbers that are profiled."""
    d, m = len(z), len(problem.relative.searched)
    sizes = np.arange(d) < m
    search = Search(problem, sizes, np.ones(d), largest_of(problem, measured(fit.model, problem)))
    mode = find_mode(problem, search.point(numbers.searched(z)[0]))
    if mode is None:
        raise SamplingError(
            "the likeliest group effects of this fit were not found again.",
            "A profile begins at the fit's own maximum.",
            "Write method='wald', or fit the model with draws, which have intervals of every parameter.",
        )
    criterion = Criterion(search, mode, fit.estimates.nodes)

    def value(z: np.ndarray) -> tuple[float, np.ndarray]:
        x, slopes = numbers.searched(z)
        height, gradient = criterion(x)
        return height, slopes.T @ gradient

    return value


def _parameters(numbers: _Numbers, z: np.ndarray, errors: np.ndarray) -> tuple[ProfiledNumber, ...]:
    """List what is profiled, in the order of `confint`: blocks, sigma, thresholds, fixed effects."""
    sds, cors, problem = numbers.deviations, numbers.correlations, numbers.problem
    m, p = len(problem.relative.searched), problem.X.shape[1]
    found: list[ProfiledNumber] = []

    def add(
        place: int, bounds: tuple[float, float] = (-np.inf, np.inf), natural: Callable[[float], Any] = float
    ) -> None:
        found.append(
            ProfiledNumber(place, float(z[place]), float(errors[place]), bounds, lambda at: float(natural(at)))
        )

    for number, block in enumerate(numbers.design.mean.groups):
        for row in range(1 if block.hom else len(block.columns)):
            add(sds.index((number, row)), (0.0, np.inf))
        if number in cors and block.structure is None:
            add(len(sds) + cors.index(number), natural=np.tanh)
        elif block.structure is not None and number in cors:
            of_block = partial(angle_of, problem.relative, number)
            ends = of_block(block.structure.lowest(len(block.columns))), of_block(1.0)
            add(len(sds) + cors.index(number), ends, partial(correlation_at, problem.relative, number))
    for place, name in enumerate(problem.parameters):
        if name == "sigma":
            add(m + p + place, natural=np.exp)
    for place in range(len(numbers.design.thresholds)):
        add(m + p + place)
    for column in range(p):
        add(m + column)
    return tuple(found)
