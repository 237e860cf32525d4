"""A point with its mode goes in; the gradient of Laplace's criterion and the effects' covariances come out.

Both need H^-1 on H's own pattern alone. The gradient follows the mode by the implicit function
theorem, as automatic differentiation does in TMB (Kristensen et al. 2016, doi:10.18637/jss.v070.i05).
"""

import numpy as np

from speclet_formula.inference.laplace.matrix import blocks, smooth, solve
from speclet_formula.inference.laplace.mode import Mode, gather
from speclet_formula.inference.laplace.problem import Point, Problem


def gradient(problem: Problem, point: Point, mode: Mode) -> np.ndarray:
    """Return the criterion's derivatives by theta, beta and the logarithms of the other parameters, (m + p + e,).

    With a = A H^-1 along each row, leverages h, s = H^-1 A'(-l''' h) and the derivatives l', l'', l''' by eta, what
    changes eta by d changes F by (v - 2 l')'d, v = -l''' h - W A s; a change of A adds s'dA'l' + 2 tr(H^-1 dA'WA).

    Parameters
    ----------
    problem : Problem
    point : Point
    mode : Mode
        At this point.

    Returns
    -------
    ndarray of float, shape (m + p + e,)
    """
    weights, first = -mode.slopes.second, mode.slopes.first
    smoothed = smooth(problem.layout, mode.factor, mode.A)
    leverages = (mode.A * smoothed).sum(axis=1)
    bent = -mode.slopes.third * leverages
    s = solve(problem.layout, mode.factor, gather(problem, mode.A * bent[:, None]))
    along = (mode.A * s[problem.columns]).sum(axis=1)
    by_eta = bent - weights * along - 2 * first
    by_entry = (
        by_eta[:, None] * mode.u[problem.columns]
        + first[:, None] * s[problem.columns]
        + 2 * weights[:, None] * smoothed
    )
    products = [problem.Z[:, span].T @ by_entry[:, span] for span in problem.spans]
    with np.errstate(all="ignore"):
        drifts = problem.curve.drifts(mode.eta, problem.observed, point.others)
    return np.array(
        [
            *(products[block][row, column] for block, row, column in problem.thetas),
            *(problem.X.T @ by_eta),
            *(
                -2 * np.sum(one.value) - np.sum(leverages * one.second) + np.sum(along * one.first)
                for one in drifts
            ),
        ]
    )  # fmt: skip


def conditional_covariances(problem: Problem, mode: Mode) -> list[np.ndarray]:
    """Return for each block the covariances of each level's u given the parameters, (levels, k, k).

    Parameters
    ----------
    problem : Problem
    mode : Mode

    Returns
    -------
    list of ndarray of float, shape (levels, k, k)
    """
    stops = (*problem.starts, problem.size)[1:]
    return [
        blocks(problem.layout, mode.factor, np.arange(start, stop).reshape(-1, span.stop - span.start))
        for span, start, stop in zip(problem.spans, problem.starts, stops, strict=True)
    ]
