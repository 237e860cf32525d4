"""Laplace's problem and a point of its parameters go in; the mode of the group effects and the criterion come out.

With W = -d2 log p(y | eta) / d eta2, the observed information, and H = A'WA + I at the mode u, -2 log p(y) is about

    F = -2 log p(y | u) + u'u + log|H|

Its derivatives are left to `gradient`, finding the least F to `fitting`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from speclet_formula.inference.laplace.derivatives import Slopes
from speclet_formula.inference.laplace.matrix import factorise, log_determinant, solve
from speclet_formula.inference.laplace.problem import Point, Problem, factors_of

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
class Mode:
    """The group effects that are likeliest at a point."""

    u: np.ndarray  # (q,)
    A: np.ndarray  # (n, r)
    eta: np.ndarray  # (n,)
    slopes: Slopes
    height: float  # log p(y | u) - u'u / 2
    factor: Any  # of H, as `matrix` makes it
    criterion: float  # Laplace's -2 log p(y)


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
        A[:, span] = problem.Z[:, span] @ L
    return A


class _Place(NamedTuple):
    """A value of u with what is known there."""

    u: np.ndarray
    eta: np.ndarray
    slopes: Slopes
    height: float


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
        uphill = gather(problem, A * here.slopes.first[:, None]) - here.u
        step = solve(problem.layout, factor, uphill)
        promise = float(uphill @ step)
        if promise < AT_THE_MODE or (promise < NEARLY and promise > STALLED * before):
            criterion = -2 * here.height + log_determinant(problem.layout, factor)
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
    eta = fixed + (A * u[problem.columns]).sum(axis=1)
    with np.errstate(all="ignore"):
        slopes = Slopes(
            *(np.broadcast_to(one, eta.shape) for one in problem.curve.slopes(eta, problem.observed, others))
        )
        height = constant + float(slopes.value.sum()) - 0.5 * float(u @ u)
        known = np.isfinite(height) and np.isfinite(slopes.first).all() and np.isfinite(slopes.second).all()
    return _Place(u, eta, slopes, height if known else -np.inf)


def _factored(problem: Problem, A: np.ndarray, slopes: Slopes) -> tuple[Any, bool]:
    """Factor H; where it is not positive definite, rows that curve the wrong way count as flat, and it is not exact."""
    factor = factorise(problem.layout, A, -slopes.second)
    if factor is not None:
        return factor, True
    return factorise(problem.layout, A, np.maximum(-slopes.second, 0.0)), False


def gather(problem: Problem, by_entry: np.ndarray) -> np.ndarray:
    """Add up numbers for each entry of A, (n, r), by group effect, (q,)."""
    return np.bincount(problem.columns.ravel(), by_entry.ravel(), problem.size).astype(float)  # of nothing: whole zeros


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

    Parameters
    ----------
    problem : Problem
    mode : Mode

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
        shared[:, column] = gather(problem, mode.A * weighted[:, [column]])
        moves[:, column] = -solve(problem.layout, mode.factor, shared[:, column])
    return problem.X.T @ weighted + shared.T @ moves, moves
