"""Laplace's approximation of a likelihood, its mode of the group effects, and its gradient.

With eta = X beta + A u + offset, A = Z L(theta), u ~ N(0, I), W = -d2 log p(y | eta) / d eta2, the observed
information, and H = A'WA + I at the mode u, -2 log p(y) is about (with the precision kron(Q, I) of u, and its log
determinant, in the place of I where levels vary together)

    F = -2 log p(y | u) + u'u + log|H|

Its gradient follows the mode by the implicit function theorem, as automatic differentiation does in TMB (Kristensen
et al. 2016, doi:10.18637/jss.v070.i05), and needs H^-1 on H's own pattern alone. Finding the least F is left to `fit`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from speclet_formula.design import Design
from speclet_formula.families import Family, specification_of
from speclet_formula.families.links import FORWARD_LINKS, INVERSE_LINKS, Curve, Observations, Slopes
from speclet_formula.inference.algebra.layout import layout_of, standard_precision
from speclet_formula.inference.laplace.rows import PriorEntries, Rows, rows_of
from speclet_formula.inference.relative import Relative, relative_factors

MOST_STEPS = 50
JOINT_STEPS = 25
HALVINGS = 20
JOINT_HALVINGS = 8
SHORT, MOST_SHORT = 1 / 64, 5  # parts of a step that count as short, and how many show that there is no mode inside
AT_THE_MODE = 1e-16  # what Newton's next step promises; its square root is the error of u, and of the gradient
NEARLY, STALLED = 1e-8, 0.25  # a promise so small that does not shrink any more is rounding
ROUNDING = 1e-13  # of a log likelihood, relative to its size: near the mode a good step may seem to lose as much
ROUGHLY = 1e-6  # promised gain of log likelihood below which a start is good enough


@dataclass(frozen=True, eq=False)
class Problem:
    """Laplace's criterion of a design; n rows, p fixed columns, q group effects, r of which meet in each row."""

    curve: Curve
    parameters: tuple[str, ...]  # names of the family's other numbers: its parameters, or thresholds between levels
    parameter_links: tuple[str | None, ...]  # the scales on which they are searched for: "log", "logit" or their own
    observed: Observations
    offset: np.ndarray  # (n,)
    X: np.ndarray  # (n, p), each column centred where there is an intercept, with a mean square of one
    Z: np.ndarray  # (n, r) the blocks' columns, each with a mean square of one
    columns: np.ndarray  # (n, r) the effect that each entry of Z multiplies
    rows: Rows  # A and H
    spans: tuple[slice, ...]  # each block's columns of Z; of mm() those of a row's levels, one level after the other
    starts: tuple[int, ...]  # each block's first effect
    relative: Relative  # what theta stands for
    backs: tuple[np.ndarray | None, ...]  # (k, k) turns a block's effects into those of the given columns
    carried: np.ndarray  # (p, p) turns coefficients of X into those of the design's columns

    def slopes(self, eta: np.ndarray, others: np.ndarray) -> Slopes:
        """Return the density of each row and its derivatives by eta, each (n,)."""
        if not self.rows.is_compiled:
            return Slopes(*(np.broadcast_to(one, eta.shape) for one in self.curve.slopes(eta, self.observed, others)))
        out = np.empty((4, len(eta)))
        self.curve.compiled(eta, *self._arrays, others, out)
        return Slopes(*out)

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.observed.arrays

    @property
    def size(self) -> int:
        """How many group effects there are."""
        return self.rows.size


@dataclass(frozen=True, eq=False)
class Point:
    """Values of the parameters."""

    theta: np.ndarray  # (m,)
    beta: np.ndarray  # (p,) of the columns of X as they stand in the problem
    others: np.ndarray  # (e,) the family's other numbers


@dataclass(frozen=True, eq=False)
class Mode:
    """The group effects that are likeliest at a point."""

    u: np.ndarray  # (q,)
    A: np.ndarray  # (n, r)
    eta: np.ndarray  # (n,)
    slopes: Slopes
    height: float  # log p(y | u) - u'u / 2
    factor: Any  # of H
    criterion: float  # Laplace's -2 log p(y)


class _Place(NamedTuple):
    """A value of u with what is known there."""

    u: np.ndarray
    eta: np.ndarray
    slopes: Slopes
    height: float


def problem_of(
    design: Design,
    family: Family,
    centre: np.ndarray,
    backs: tuple[np.ndarray | None, ...] | None = None,
) -> Problem:
    """Order and analyse H for a design.

    Parameters
    ----------
    design : Design
        n rows.
    family : Family
        One whose specification has a curve for its link.
    centre : ndarray of float, shape (p,)
        What is taken off each fixed column.
    backs : tuple of ndarray of float, shape (k, k), or None, optional
        For each block whose columns were centred what turns its effects back.
    """
    widths = [block.values.shape[1] for block in design.mean.groups]
    sizes = [width * len(block.levels) for width, block in zip(widths, design.mean.groups, strict=True)]
    starts = tuple(int(start) for start in np.cumsum([0, *sizes])[:-1])
    met = layout_of(design, ()).met
    ends = np.cumsum([0, *(width * count for width, count in zip(widths, met, strict=True))])
    relative = relative_factors(design)
    members = [
        (start + codes[:, None] * width + np.arange(width), values / scale)
        for block, start, width, scale in zip(design.mean.groups, starts, widths, relative.scales, strict=True)
        for codes, values in block.members()
    ]
    (n, p), (first, second, entries) = design.mean.X.shape, standard_precision(relative.layout)
    X = design.mean.X - centre
    lengths = _root_mean_square(X)
    carried = np.diag(1 / lengths)
    if p:
        carried[0] -= centre / lengths
    columns = np.hstack([np.empty((n, 0), dtype=np.int64), *(effects for effects, _ in members)]).astype(np.int64)
    return Problem(
        curve=specification_of(family).curves[family.link],
        parameters=design.thresholds or family.parameters,
        parameter_links=(None,) * len(design.thresholds)
        or tuple(parameter.link for parameter in specification_of(family).own_parameters),
        observed=Observations(design.response, design.trials, 1.0 if design.weights is None else design.weights),
        offset=design.mean.offset,
        X=X / lengths,
        Z=np.ascontiguousarray(np.hstack([np.empty((n, 0)), *(values for _, values in members)])),
        columns=columns,
        rows=rows_of(
            columns, sum(sizes), PriorEntries(first - p, second - p, entries, relative.layout.log_determinant)
        ),
        spans=tuple(slice(int(end), int(after)) for end, after in pairwise(ends)),
        starts=starts,
        relative=relative,
        backs=backs or (None,) * len(design.mean.groups),
        carried=carried,
    )


def _root_mean_square(columns: np.ndarray) -> np.ndarray:
    """Return each column's root mean square, or one for a column of zeros."""
    found = np.sqrt(np.mean(columns**2, axis=0))
    return np.where(found > 0, found, 1.0)


def numbers_of(problem: Problem, searched: np.ndarray) -> np.ndarray:
    """Return the family's other numbers from what is searched for: logarithms, logits of shares, thresholds."""
    return _by_link(problem.parameter_links, searched, INVERSE_LINKS)


def searched_of(problem: Problem, numbers: np.ndarray) -> np.ndarray:
    """Return what is searched for from the family's other numbers."""
    return _by_link(problem.parameter_links, numbers, FORWARD_LINKS)


def number_slopes(problem: Problem, numbers: np.ndarray) -> np.ndarray:
    """Return how much the family's other numbers change with what is searched for."""
    slopes: Mapping[str, Callable[[Any], Any]] = {
        "log": lambda number: number,
        "logit": lambda share: share * (1 - share),
        "identity": np.ones_like,
    }
    return _by_link(problem.parameter_links, numbers, slopes)


def _by_link(
    links: tuple[str | None, ...], values: np.ndarray, functions: Mapping[str, Callable[[Any], Any]]
) -> np.ndarray:
    return np.array([functions[link or "identity"](value) for link, value in zip(links, values, strict=True)])


def given_factors(problem: Problem, theta: np.ndarray) -> list[np.ndarray]:
    """Return for each block what makes effects of its given columns from independent ones, (k, k)."""
    own = [L / scale[:, None] for L, scale in zip(factors_of(problem, theta), problem.relative.scales, strict=True)]
    return [L if back is None else back @ L for L, back in zip(own, problem.backs, strict=True)]


def factors_of(problem: Problem, theta: np.ndarray) -> list[np.ndarray]:
    """Return each block's L, (k, k), for columns with a mean square of one."""
    found = [np.zeros((len(scale),) * 2) for scale in problem.relative.scales]
    for entry, (block, row, column) in zip(theta, problem.relative.places, strict=True):
        found[block][row, column] = entry
    return found


def find_mode(problem: Problem, point: Point, u: np.ndarray | None = None) -> Mode | None:
    """Climb to the likeliest group effects by Newton's method with step halving.

    Parameters
    ----------
    problem : Problem
    point : Point
    u : ndarray of float, shape (q,), optional
        Where to start; at zero by default.

    Returns
    -------
    Mode or None
        None where the parameters are impossible, or no mode is found.
    """
    fixed = problem.X @ point.beta + problem.offset
    A = _scaled(problem, point.theta)
    for start in (u, np.zeros(problem.size)):
        if start is not None and (found := _climb(problem, point.others, A, fixed, start)) is not None:
            return found
    return None


def _scaled(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Return A = Z L, row by row."""
    A = np.empty_like(problem.Z)
    for span, L in zip(problem.spans, factors_of(problem, theta), strict=True):
        A[:, span] = (_by_level(problem.Z, span, L) @ L).reshape(len(A), -1)
    return A


def _by_level(matrix: np.ndarray, span: slice, scale: np.ndarray) -> np.ndarray:
    """Return a block's columns of a matrix (n, r) for one level at a time, (n, k), or (n m, k) of mm()."""
    part = matrix[:, span]
    return part if part.shape[1] == len(scale) else part.reshape(-1, len(scale))


def _climb(problem: Problem, others: np.ndarray, A: np.ndarray, fixed: np.ndarray, u: np.ndarray) -> Mode | None:
    """Take Newton's steps from u."""
    constant = problem.curve.constant(problem.observed, others)

    def look(u: np.ndarray) -> _Place:
        return _look(problem, others, constant, A, fixed, u)

    here, before, short = look(u), np.inf, 0
    for _ in range(MOST_STEPS):
        factor, exact = _factored(problem, A, here.slopes) if np.isfinite(here.height) else (None, False)
        if factor is None:
            break
        uphill = problem.rows.gather(A, here.slopes.first) - problem.rows.prior.times(here.u)
        step = factor.solve(uphill)
        promise = float(uphill @ step)
        if promise < AT_THE_MODE or (promise < NEARLY and promise > STALLED * before):
            criterion = -2 * here.height + float(factor.log_determinants[0]) - problem.rows.prior.log_determinant
            return Mode(here.u, A, here.eta, here.slopes, here.height, factor, criterion) if exact else None
        there, part = _along(look, here, step)
        short += part < SHORT
        if there is None or short > MOST_SHORT:
            break
        here, before = there, promise
    return None


def _along(look: Callable[[np.ndarray], _Place], here: _Place, step: np.ndarray) -> tuple[_Place | None, float]:
    """Take the largest part of a step that loses nothing; None where no part does."""
    floor = here.height - ROUNDING * max(abs(here.height), 1.0)
    for part in 0.5 ** np.arange(HALVINGS):
        there = look(here.u + part * step)
        if there.height >= floor:
            return there, float(part)
    return None, 0.0


def _look(
    problem: Problem, others: np.ndarray, constant: float, A: np.ndarray, fixed: np.ndarray, u: np.ndarray
) -> _Place:
    """Return what is known at u; a height of minus infinity where u is impossible."""
    eta = problem.rows.predictors(A, u, fixed)
    with np.errstate(all="ignore"):
        slopes = problem.slopes(eta, others)
        height = constant + float(slopes.value.sum()) - 0.5 * float(u @ problem.rows.prior.times(u))
        known = np.isfinite(height) and np.isfinite(slopes.first.sum()) and np.isfinite(slopes.second.sum())
    return _Place(u, eta, slopes, height if known else -np.inf)


def _factored(problem: Problem, A: np.ndarray, slopes: Slopes) -> tuple[Any, bool]:
    """Factor H; where it is not positive definite, rows that curve the wrong way count as flat, and it is not exact."""
    factor = problem.rows.factor(A, -slopes.second)
    if factor is not None:
        return factor, True
    return problem.rows.factor(A, np.maximum(-slopes.second, 0.0)), False


def joint_mode(problem: Problem, point: Point) -> tuple[Point, Mode] | None:
    """Climb to the likeliest fixed and group effects together: a good start, as lme4's `nAGQ=0`.

    Parameters
    ----------
    problem : Problem
    point : Point
        theta and the other parameters stay; beta is where to start.

    Returns
    -------
    (Point, Mode) or None
        None where no mode is found.
    """
    mode = find_mode(problem, point)
    for _ in range(JOINT_STEPS):
        if mode is None or not len(point.beta):
            break
        information, _ = sensitivities(problem, mode)
        uphill = problem.X.T @ mode.slopes.first
        step = np.linalg.lstsq(information, uphill, rcond=None)[0]
        promise = float(uphill @ step)
        if not promise > ROUGHLY:
            break
        for part in 0.5 ** np.arange(JOINT_HALVINGS):
            there = replace(point, beta=point.beta + part * step)
            tried = find_mode(problem, there, mode.u)
            if tried is not None and tried.height > mode.height:
                break
        else:
            break
        point, mode = there, tried
    return None if mode is None else (point, mode)


def sensitivities(problem: Problem, mode: Mode) -> tuple[np.ndarray, np.ndarray]:
    """Return the information on beta with the group effects at their modes, (p, p), and du / dbeta, (q, p).

    Returns
    -------
    information : ndarray of float, shape (p, p)
        X'WX - X'WA H^-1 A'WX.
    moves : ndarray of float, shape (q, p)
        -H^-1 A'WX.
    """
    weighted = -mode.slopes.second[:, None] * problem.X
    moves = np.empty((problem.size, problem.X.shape[1]))
    shared = np.empty_like(moves)
    for column in range(moves.shape[1]):
        shared[:, column] = problem.rows.gather(mode.A, weighted[:, column])
        moves[:, column] = -mode.factor.solve(shared[:, column])
    return problem.X.T @ weighted + shared.T @ moves, moves


def gradient(problem: Problem, point: Point, mode: Mode) -> np.ndarray:
    """Return the criterion's derivatives by theta, beta and what is searched for of the other numbers, (m + p + e,).

    With a = A H^-1 along each row, leverages h, s = H^-1 A'(-l''' h) and the derivatives l', l'', l''' by eta, what
    changes eta by d changes F by (v - 2 l')'d, v = -l''' h - W A s; a change of A adds s'dA'l' + 2 tr(H^-1 dA'WA).

    Parameters
    ----------
    problem : Problem
    point : Point
    mode : Mode
        At this point.
    """
    weights, first = -mode.slopes.second, mode.slopes.first
    smoothed = problem.rows.smoothed(mode.factor, mode.A)
    leverages = np.einsum("ij,ij->i", mode.A, smoothed)
    bent = -mode.slopes.third * leverages
    s = mode.factor.solve(problem.rows.gather(mode.A, bent))
    along = problem.rows.predictors(mode.A, s, np.zeros_like(bent))
    by_eta = bent - weights * along - 2 * first
    by_entry = (
        by_eta[:, None] * mode.u[problem.columns]
        + first[:, None] * s[problem.columns]
        + 2 * weights[:, None] * smoothed
    )
    products = [
        _by_level(problem.Z, span, scale).T @ _by_level(by_entry, span, scale)
        for span, scale in zip(problem.spans, problem.relative.scales, strict=True)
    ]
    with np.errstate(all="ignore"):
        drifts = problem.curve.drifts(mode.eta, problem.observed, point.others)
    return np.array(
        [
            *(products[block][row, column] for block, row, column in problem.relative.places),
            *(problem.X.T @ by_eta),
            *(
                -2 * np.sum(one.value) - np.sum(leverages * one.second) + np.sum(along * one.first)
                for one in drifts
            ),
        ]
    )  # fmt: skip


def conditional_covariances(problem: Problem, mode: Mode) -> list[np.ndarray]:
    """Return for each block the covariances of each level's u given the parameters, (levels, k, k)."""
    stops = (*problem.starts, problem.size)[1:]
    return [
        problem.rows.within_levels(mode.factor, np.arange(start, stop).reshape(-1, len(scale)))
        for scale, start, stop in zip(problem.relative.scales, problem.starts, stops, strict=True)
    ]
