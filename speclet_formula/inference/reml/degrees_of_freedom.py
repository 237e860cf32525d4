"""How the fixed effects' covariance hangs on the variances after REML or ML, for Satterthwaite's degrees of freedom.

The parameters are theta and log sigma, which have no units. The criterion's curvature says how well they are known, and
its values around the estimate give that for every kind of matrix. Kenward and Roger's are left to `kenward_roger`, what
is made of either to `posterior`.
"""

from itertools import combinations
from typing import Any

import numpy as np

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import centre_of
from speclet_formula.families import has_known_errors
from speclet_formula.inference.maximum_likelihood import independent_columns
from speclet_formula.inference.relative import Relative, psi_of, theta_at, theta_of, theta_slopes
from speclet_formula.inference.reml.criterion import Profiled, log_likelihood_parts, profile_of
from speclet_formula.inference.reml.fit import centred_columns
from speclet_formula.inference.reml.kenward_roger import components_of, expected_information
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.degrees_of_freedom import SmallSample

STEP = 5e-3  # of theta, relative to its size or to where it begins to matter; the error is its fourth power
FLAT = 1e-8  # curvatures below this count as none, as in lmerTest
MOST_NUMBERS = 2 * 10**7  # of the gradients: 160 MB
MOST_WORK = 2 * 10**9  # numbers that evaluations go through, unless it is asked for: some seconds
USUAL_CUBES, MOST_CUBES = 3_000**3, 6_000**3  # of the sizes of connected effects: 2,500 take two seconds


def why_no_small_sample(fit: PointFit, method: str, asked: bool) -> str:
    """Say what keeps a fit from degrees of freedom, or, unless it is asked for, what makes them slow; "" if nothing."""
    mean = fit.model.design.mean
    widths = [len(block.columns) for block in mean.groups]
    m = sum(block.parameters for block in mean.groups)
    p = mean.X.shape[1]
    if not p or has_known_errors(fit.model.family):
        return "the SDs of the residuals are known, where a z test is usual" if p else "there is no fixed effect"
    powers = 2 if method == "kenward-roger" else 1  # of products of two variances' matrices, or of one's
    if (m + 1) ** powers * p**2 > MOST_NUMBERS:
        return f"{p:,} fixed effects and {m + 1:,} variances have too many derivatives"
    if method == "kenward-roger":
        return _why_not_kenward_roger(fit, asked)
    if asked or m == 0:
        return ""
    size = p + sum(len(block.levels) * k for k, block in zip(widths, mean.groups, strict=True))
    points = len(_stencil(np.zeros(m), np.ones(m)))
    if points * size < MOST_WORK // 10**4:
        return ""
    criterion, *_ = _criterion(fit)
    return (
        f"df='satterthwaite' takes {points:,} evaluations of a large model"
        if (points * criterion.joint.work > MOST_WORK)
        else ""
    )


def _why_not_kenward_roger(fit: PointFit, asked: bool) -> str:
    if fit.method != "reml":
        return "Kenward and Roger's method is for fits by method='reml'"
    smooths = fit.model.design.mean.smooths
    if smooths:
        return f"Kenward and Roger's method is not made for smooths, '{smooths[0].label}'"
    blocks = zip(fit.model.design.mean.groups, fit.estimates.covariances, strict=True)
    still = [block.label for block, matrix in blocks if block.structure is not None and not np.diagonal(matrix).all()]
    if still:
        return f"Kenward and Roger's method needs variances above zero where a term has a structure: '{still[0]}'"
    most = MOST_CUBES if asked else USUAL_CUBES
    if _effects(fit) ** 3 > most and sum(len(part) ** 3 for part in components_of(fit.model.design)) > most:
        return f"Kenward and Roger's method takes matrices of all {_effects(fit):,} group effects that hang together"
    return ""


def _effects(fit: PointFit) -> int:
    return sum(len(block.levels) * len(block.columns) for block in fit.model.design.mean.groups)


@in_one_blas_thread
def small_sample(fit: PointFit, method: str) -> SmallSample:
    """Return what tests in small samples need.

    Parameters
    ----------
    fit : PointFit
        By "reml" or "ml".
    method : {"satterthwaite", "kenward-roger"}
    """
    criterion, theta, psi = _criterion(fit)
    design, kept = independent_columns(fit.model.design)
    sigma = float(fit.estimates.sigma or 0.0)
    given = np.eye(len(kept))  # from the centred columns to the formula's, ...
    if len(kept):
        given[0] -= centre_of(design)
    carried = np.zeros((len(fit.estimates.coefficients), len(kept)))  # ... and to all of them
    carried[kept] = given
    if method == "kenward-roger":
        plain, gradients, uncertainty, adjusted = expected_information(criterion, theta, sigma, components_of(design))
    else:
        plain, gradients = _gradients(criterion, theta, sigma, _fixed_columns(criterion, theta))
        if not criterion.relative.is_free:
            by_psi = np.tensordot(theta_slopes(criterion.relative, psi).T, gradients[:-1], 1)
            gradients = np.concatenate([by_psi, gradients[-1:]])
        uncertainty, adjusted = _uncertainty(criterion, psi, sigma), plain
    back = np.array([carried @ slope @ carried.T for slope in gradients])
    return SmallSample(method, carried @ adjusted @ carried.T, carried @ plain @ carried.T, back, uncertainty)


def _criterion(fit: PointFit) -> tuple[Profiled, np.ndarray, np.ndarray]:
    """Return the criterion of a fit, with columns far from zero centred, and theta and psi at its estimate."""
    design, _ = independent_columns(fit.model.design)
    centred, moves = centred_columns(design)
    criterion = profile_of(centred, reml=fit.method == "reml")
    variance = float(fit.estimates.sigma or 1.0) ** 2
    matrices = []
    for matrix, move in zip(fit.estimates.covariances, moves, strict=True):
        inner = matrix if move is None else np.linalg.solve(move, np.linalg.solve(move, matrix).T)
        matrices.append(inner / variance)
    return criterion, theta_of(criterion.relative, matrices), psi_of(criterion.relative, matrices)


def _fixed_columns(criterion: Profiled, theta: np.ndarray) -> np.ndarray:
    """Return the columns of P^-1 of the fixed effects, (coefficients, p)."""
    columns = np.eye(criterion.relative.coefficients, criterion.relative.n_fixed)
    ((_, factors),) = criterion.joint.factored(theta[None])
    for place in range(columns.shape[1]):
        columns[:, place] = factors.solve(columns[:, place])
    return columns


def _gradients(criterion: Profiled, theta: np.ndarray, sigma: float, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the fixed effects' covariance V = sigma^2 C and its derivatives by theta and log sigma.

    C is the fixed effects' part of P^-1, so that dC = -B' dP B, and dP = T_k'W'W T + T'W'W T_k.
    """
    p = criterion.relative.n_fixed
    plain = sigma**2 * (B[:p] + B[:p].T) / 2
    seen = criterion.gram @ (criterion.transform.at(theta) @ B)
    halves = [(criterion.transform.slope(1 + k) @ B).T @ seen for k in range(len(theta))]
    return plain, np.array([*(-(sigma**2) * (half + half.T) for half in halves), 2 * plain])


def _uncertainty(criterion: Profiled, psi: np.ndarray, sigma: float) -> np.ndarray:
    """Return the covariance of psi's and log sigma's estimates: twice the inverse of -2 log-likelihood's curvature.

    That is freedom log sigma^2 + q(theta) / sigma^2 + log determinants; a direction without curvature is left out.
    """
    m = len(psi)
    steps = STEP * _scales(criterion.relative, psi)
    points = _stencil(psi, steps)
    determinants, squares = log_likelihood_parts(criterion, theta_at(criterion.relative, points))
    curvature = np.empty((m + 1, m + 1))
    curvature[:m, :m] = _second(squares / sigma**2 + determinants, steps)
    curvature[:m, m] = curvature[m, :m] = -2 * _first(squares, steps) / sigma**2
    curvature[m, m] = 4 * squares[0] / sigma**2
    values, vectors = np.linalg.eigh(curvature)
    kept = values > FLAT
    return np.asarray(2 * (vectors[:, kept] / values[kept]) @ vectors[:, kept].T)


def _scales(relative: Relative, psi: np.ndarray) -> np.ndarray:
    """Return how far each number of psi has to move to matter: about its size, or where its effects' precision is."""
    coefficients = np.diff([*relative.starts, relative.coefficients])
    rows = max(relative.coefficients, 1)
    sizes: list[float] = []
    for block, (kind, count) in enumerate(zip(relative.structures, relative.counts, strict=True)):
        entries = psi[len(sizes) : len(sizes) + count]
        smallest = float(np.sqrt(min(coefficients[block] / rows, 1.0))) / 4
        if kind is not None:
            angles = kind.shaped * [1.0]
            sizes += [max(abs(entry), smallest) for entry in entries[: count - len(angles)]] + angles
            continue
        theirs = [place[1] for place in relative.places if place[0] == block]
        for entry, row in zip(entries, theirs, strict=True):
            own = [value for value, place in zip(entries, theirs, strict=True) if place == row]
            sizes.append(max(abs(entry), float(np.linalg.norm(own)) / 4, smallest))
    return np.array(sizes)


def _stencil(theta: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return theta, then two steps to each side along each axis, then the same corners of each two axes: (N, m)."""
    m = len(theta)
    moves = [np.zeros(m)]
    for k in range(m):
        for times in (1, -1, 2, -2):
            move = np.zeros(m)
            move[k] = times
            moves.append(move)
    for i, j in combinations(range(m), 2):
        for size in (1, 2):
            for first, second in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                move = np.zeros(m)
                move[i], move[j] = size * first, size * second
                moves.append(move)
    return np.asarray(theta + np.array(moves) * steps)


def _first(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the gradient, (m,), of values at the points of the stencil."""
    near, far = _along(values, len(steps))
    return np.asarray((8 * (near[:, 0] - near[:, 1]) - (far[:, 0] - far[:, 1])) / (12 * steps))


def _second(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the second derivatives, (m, m), of values at the points of the stencil."""
    m = len(steps)
    near, far = _along(values, m)
    matrix = np.diag((16 * near.sum(axis=1) - far.sum(axis=1) - 30 * values[0]) / (12 * steps**2))
    corners = values[1 + 4 * m :].reshape(-1, 2, 4) @ np.array([1.0, -1.0, -1.0, 1.0]) / 4
    for (i, j), (inner, outer) in zip(combinations(range(m), 2), corners, strict=True):
        matrix[i, j] = matrix[j, i] = (4 * inner - outer / 4) / 3 / (steps[i] * steps[j])
    return matrix


def _along(values: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values one step, and two, to each side along each axis: (m, 2) each."""
    axes: Any = values[1 : 1 + 4 * m].reshape(m, 4)
    return axes[:, :2], axes[:, 2:]
