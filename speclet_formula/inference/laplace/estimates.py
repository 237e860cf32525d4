"""What the maximum of Laplace's criterion says: estimates with their standard errors, and a judgement in words."""

import re
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from speclet_formula.common.correlations import numbers_of
from speclet_formula.common.structures import Structure
from speclet_formula.families import specification_of
from speclet_formula.inference.laplace.criterion import (
    Mode,
    Point,
    Problem,
    conditional_covariances,
    factors_of,
    given_factors,
    number_slopes,
    sensitivities,
)
from speclet_formula.inference.maximum_likelihood import Verdict, singularities, verdict_of
from speclet_formula.inference.minimum import Minimum
from speclet_formula.inference.relative import theta_at, theta_slopes
from speclet_formula.model import Model
from speclet_formula.posterior.estimates import PointEstimates

FLAT_REMEDY = (
    "A level or a combination of levels has the same outcome in all its rows, or too few rows. Leave the term out, or "
    "{instead}, where priors keep it finite."
)
ENDLESS = 50.0  # standard errors of a coefficient, in spreads of its column, at which a likelihood counts as flat
NO_DIFFERENCE = 1e-4  # mean / alpha below which a negative binomial is a Poisson distribution, ...
TAILS = 100.0  # ... and this / nu below which t is a normal one
ALL = 1e-6  # of a share, what is left of it where it counts as all
WIDE = 5.0  # standard error of a parameter's logarithm from which it is known from nothing up to hundreds of times
SAME = 0.02  # of log likelihood that such a parameter loses at most on its way to infinity
UNBOUNDED_LINKS = ("log", "logit", "probit", "cloglog")
FLAT = 1e-10  # curvature, relative to each parameter's own, below which a direction is rounding
LOST = 1e7  # by how much the other parameters may inflate a variance


def covariance_of(found: Minimum) -> tuple[np.ndarray, np.ndarray]:
    """Invert the Hessian of -2 log-likelihood.

    Parameters
    ----------
    found : Minimum
        d parameters.

    Returns
    -------
    covariance : ndarray of float, shape (d, d)
        That of SDs of zero is zero; along directions in which the likelihood is flat it is very large.
    lost : ndarray of bool, shape (d,)
        The parameters that a flat direction leaves unknown.
    """
    size = len(found.point)
    covariance, lost = np.zeros((size, size)), np.zeros(size, dtype=bool)
    inside = np.ix_(found.free, found.free)
    hessian = found.hessian[inside] / 2
    scale = 1 / np.sqrt(np.maximum(np.diagonal(hessian), FLAT))
    curvatures, axes = np.linalg.eigh(hessian * np.outer(scale, scale))
    axes = scale[:, None] * axes
    covariance[inside] = axes / np.maximum(curvatures, FLAT) @ axes.T
    inflated = np.diagonal(covariance)[found.free] / scale**2 > LOST
    lost[found.free] = inflated | (np.diagonal(hessian) < FLAT)
    return covariance, lost


def estimates_of(
    model: Model, problem: Problem, point: Point, mode: Mode, found: Minimum, covariance: np.ndarray
) -> PointEstimates:
    """Carry the parameters to the formula's columns, and add the conditional modes.

    Parameters
    ----------
    model : Model
    problem : Problem
    point : Point
        The maximum.
    mode : Mode
        At the maximum.
    found : Minimum
        The maximum as it was searched for.
    covariance : ndarray of float, shape (d, d)
        Of psi, beta, and what is searched for of the other parameters.
    """
    r, p = len(problem.relative.searched), problem.X.shape[1]
    carried = problem.carried
    fixed = carried @ covariance[r : r + p, r : r + p] @ carried.T
    slopes = number_slopes(problem, point.others)
    others, errors = point.others, slopes * np.sqrt(np.diagonal(covariance)[r + p :])
    if any(_infinite(model, point)):
        others, errors = np.append(others[:-1], np.inf), np.append(errors[:-1], np.nan)
    factors = given_factors(problem, point.theta)
    modes, mode_sds, sum_sds = _effects(model, problem, mode, factors, fixed)
    ordered = bool(model.design.thresholds)
    named = {} if ordered else dict(zip(problem.parameters, zip(others, errors, strict=True), strict=True))
    sigma = named.pop("sigma", None)
    return PointEstimates(
        criterion="ML",
        coefficients=carried @ point.beta,
        covariance=fixed,
        sigma=None if sigma is None else float(sigma[0]),
        covariances=tuple(L @ L.T for L in factors),
        modes=modes,
        mode_sds=mode_sds,
        sum_sds=sum_sds,
        others=tuple((name, float(value), float(error)) for name, (value, error) in named.items()),
        deviation_errors=_deviation_errors(problem, found.point[:r], covariance[:r, :r]),
        approximate=True,
        thresholds=others if ordered else np.zeros(0),
        threshold_errors=errors if ordered else np.zeros(0),
    )


def _effects(
    model: Model, problem: Problem, mode: Mode, factors: list[np.ndarray], fixed: np.ndarray
) -> tuple[tuple[np.ndarray, ...], ...]:
    """Return modes, their SDs for given parameters, and the SDs of the sums with fixed effects, block by block."""
    design, labels = model.design, model.design.mean.columns
    _, moves = sensitivities(problem, mode)
    moves = moves @ np.linalg.inv(problem.carried)
    u, conditional = mode.u, conditional_covariances(problem, mode)
    modes, mode_sds, sum_sds = [], [], []
    for block, start, L, inner in zip(design.mean.groups, problem.starts, factors, conditional, strict=True):
        levels, k = len(block.levels), len(block.columns)
        stop = start + levels * k
        modes.append(u[start:stop].reshape(levels, k) @ L.T)
        variances = np.einsum("ab,lbc,ac->la", L, inner, L)
        moved = np.einsum("ab,lbp->lap", L, moves[start:stop].reshape(levels, k, -1))
        for place, label in enumerate(block.terms):
            if label in labels:
                moved[:, place, labels.index(label)] += 1.0
        total = variances + np.einsum("lap,pq,laq->la", moved, fixed, moved)
        mode_sds.append(np.sqrt(np.maximum(variances, 0.0)))
        sum_sds.append(np.sqrt(np.maximum(total, 0.0)))
    return tuple(modes), tuple(mode_sds), tuple(sum_sds)


def _deviation_errors(problem: Problem, psi: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the standard errors of SDs and correlations by the delta method; missing where an SD is zero."""

    def numbers(entries: np.ndarray) -> list[np.ndarray]:
        factors = given_factors(problem, theta_at(problem.relative, entries[None])[0])
        return [_deviations(L, kind) for L, kind in zip(factors, problem.relative.structures, strict=True)]

    slopes: list[list[np.ndarray]] = []
    for place in range(len(psi)):
        shift = np.zeros_like(psi)
        shift[place] = 1e-6 * max(abs(psi[place]), 1e-3)
        ahead, behind = numbers(psi + shift), numbers(psi - shift)
        slopes.append([(a - b) / (2 * shift[place]) for a, b in zip(ahead, behind, strict=True)])
    found = []
    for block, values in enumerate(numbers(psi)):
        jacobian = np.array([slope[block] for slope in slopes])
        errors = np.sqrt(np.maximum(np.einsum("ij,ik,kj->j", jacobian, covariance, jacobian), 0.0))
        kind = problem.relative.structures[block]
        if kind is not None and kind.stretches:
            found.append(np.where(values[0] > 0, errors, np.nan))
            continue
        k = len(problem.relative.scales[block])
        still = values[:k] == 0
        pairs = [still[i] or still[j] for i, j in combinations(range(k), 2)]
        errors[np.concatenate([still, np.array(pairs, dtype=bool)])] = np.nan
        found.append(errors)
    return tuple(found)


def _deviations(L: np.ndarray, kind: Structure | None) -> np.ndarray:
    """Return standard deviations, then correlations by pairs; of a Gaussian process its SD and its length-scale."""
    if kind is not None and kind.stretches:
        return np.concatenate(numbers_of(kind, L @ L.T))
    sds = np.sqrt((L**2).sum(axis=1))
    matrix = L @ L.T
    safe = np.where(sds > 0, sds, 1.0)
    return np.array([*sds, *(matrix[i, j] / (safe[i] * safe[j]) for i, j in combinations(range(len(sds)), 2))])


# --- judged -----------------------------------------------------------------------------------------------------------


def is_wide(found: Minimum) -> bool:
    """Tell whether the curvature leaves open how large the family's last parameter is."""
    covariance, lost = covariance_of(found)
    return bool(lost[-1] or np.sqrt(covariance[-1, -1]) > WIDE)


def _infinite(model: Model, point: Point) -> Iterator[str]:
    """Say of a negative binomial that it is a Poisson distribution, of t that it is a normal one."""
    known = specification_of(model.family)
    if not known.limit:
        return
    size = float(np.mean(model.design.response)) if known.support == "count" else TAILS
    if size / point.others[-1] < NO_DIFFERENCE:
        yield f"{known.at_limit}: {model.family.parameters[-1]} is estimated as infinite."


def _at_the_ends(model: Model, problem: Problem, point: Point) -> Iterator[str]:
    """Say of a share that it is estimated as none or all."""
    zeros = specification_of(model.family).zeros
    for name, link, number in zip(problem.parameters, problem.parameter_links, point.others, strict=True):
        if link == "logit" and 1 - number < ALL:
            kept = "There are no more zeros than the distribution itself has" if zeros == "inflated" else "No row is 0"
            yield f"{kept}: {name} is estimated as 1."
        elif link == "logit" and number < ALL:
            yield f"Every row is 0: {name} is estimated as 0."


def _hardly_told(model: Model, found: Minimum, lost_at_limit: float | None) -> Iterator[str]:
    """Say that a parameter is estimated as a number, and might be infinite."""
    if lost_at_limit is None or lost_at_limit > SAME or not is_wide(found):
        return
    name, limit = model.family.parameters[-1], specification_of(model.family).limit
    yield (
        f"The likelihood is flat in '{name}': with an infinite one, as of a {limit} response, its logarithm is "
        f"lower by {max(lost_at_limit, 0.0):.2g} only."
    )


def _endless(model: Model, problem: Problem, covariance: np.ndarray, lost: np.ndarray) -> Iterator[str]:
    """Name the parameters that the likelihood leaves open."""
    r, p = len(problem.relative.searched), problem.X.shape[1]
    wide = lost | (np.sqrt(np.diagonal(covariance)) > ENDLESS)
    for label, open_ended in zip(model.design.mean.columns, wide[r : r + p], strict=True):
        if open_ended and model.family.link in UNBOUNDED_LINKS:
            yield f"The likelihood is flat in '{label}': it may grow without end."
        elif open_ended and lost[r : r + p].any():
            yield f"The likelihood is flat in '{label}'."
    for name, unknown in zip(problem.parameters, lost[r + p :], strict=True):
        if unknown:
            yield f"The likelihood is flat in '{name}'."
    yield from dict.fromkeys(_flat_spread(model, *place) for place in np.array(problem.relative.searched)[lost[:r]])


def _flat_spread(model: Model, number: int, row: int, column: int) -> str:
    """Name the SD, or the correlation, that an entry of theta stands for."""
    block = model.design.mean.groups[number]
    if block.stretches:
        what = "SD" if row == column else "length-scale"
        return f"The likelihood is flat in the {what} of {block.label}, which the data cannot tell."
    names = [block.terms[place] for place in (column, row)]
    what = f"the SD of '{names[0]}'" if row == column else f"the correlation of '{names[0]}' and '{names[1]}'"
    return f"The likelihood is flat in {what} by {block.label}, which the data cannot tell."


def judged(
    model: Model,
    problem: Problem,
    point: Point,
    found: Minimum,
    covariance: np.ndarray,
    lost: np.ndarray,
    lost_at_limit: float | None = None,
    *,
    likelihood: str,
) -> tuple[bool, Verdict, str, str]:
    """Say whether the maximum was found, whether it lies at an edge, and what that means.

    Parameters
    ----------
    model : Model
    problem : Problem
    point : Point
    found : Minimum
    covariance, lost
        As from `covariance_of`.
    lost_at_limit : float, optional
        By how much the log likelihood is lower where the family becomes its limit, if that was looked at.
    likelihood : str
        What was maximised, at the beginning of a sentence.
    """
    matrices = [L @ L.T for L in factors_of(problem, point.theta)]
    infinite, hardly = list(_infinite(model, point)), []
    ends = list(_at_the_ends(model, problem, point))
    singular = " ".join([*singularities(model.design.mean.groups, matrices), *infinite, *ends])
    if not infinite:
        hardly = list(_hardly_told(model, found, lost_at_limit))
    if infinite or hardly:
        lost = lost & ~np.eye(len(lost), dtype=bool)[-1]  # that the parameter is flat there is said already
    still = ~theta_slopes(problem.relative, found.point[: len(problem.relative.searched)]).any(axis=0)
    lost = lost & ~np.append(still, np.zeros(len(lost) - len(still), dtype=bool))  # a correlation beside an SD of zero
    endless = list(_endless(model, problem, covariance, lost))
    verdict, sentence, remedy = verdict_of(
        found,
        " ".join([*endless, *hardly]),
        singular,
        method="laplace",
        flat_remedy=FLAT_REMEDY,
        unknown="how large it may be",
        likelihood=likelihood,
    )
    if verdict != "converged" and found.converged and (hardly or infinite) and not endless:
        simpler = f"Write family='{specification_of(model.family).limit}', which has one parameter less"
        remedy = re.sub("^.*Leave the term out", simpler, remedy)
    return bool(singular), verdict, sentence, remedy
