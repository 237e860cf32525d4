"""Densities of each row given all others, all coefficients integrated out, for draws of a Gaussian model's variances.

Where the draws serve a row badly, new ones are made from the posterior without it. Weighing the draws and smoothing the
weights is left to `comparison`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from speclet_formula.inference.algebra.solutions import left_out_densities, predict_rows, without_rows
from speclet_formula.inference.exact.density import (
    Marginal,
    log_likelihood,
    log_posterior,
    natural,
    prior_precisions,
    theta_of,
)
from speclet_formula.inference.exact.drawn_variances import DrawnVariances
from speclet_formula.inference.exact.proposals import combine, cover, fit_proposal, propose

# Of draws x rows. Each block factors the precision anew for each draw: it is larger where that takes long.
BLOCK_BYTES, COSTLY_BLOCK_BYTES = 160 * 2**20, 512 * 2**20
COSTLY = 200_000  # numbers that a factorisation goes through
PROPOSALS = 1000  # in each round of fitting a proposal to the posterior without a row
GOOD_EFFICIENCY = 0.6  # of their weights, at which the fitting stops


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Log densities of rows that were left out together, given the others and N draws of the variances."""

    each: np.ndarray  # (N, rows) of every row by itself
    joint: np.ndarray  # (N,) of all of them at once


def rows_at_once(marginal: Marginal, draws: DrawnVariances) -> int:
    """Return how many rows a block of `left_out_blocks` has."""
    costly = marginal.system.equations.work >= COSTLY
    return max(1, (COSTLY_BLOCK_BYTES if costly else BLOCK_BYTES) // (8 * len(draws.sds)))


def left_out_blocks(
    marginal: Marginal, draws: DrawnVariances, chosen: np.ndarray | None = None
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Go through the rows in blocks.

    Parameters
    ----------
    marginal : Marginal
    draws : DrawnVariances
        N of them.
    chosen : ndarray of int, optional
        Some of the rows; all by default.

    Yields
    ------
    rows : slice
        Of the chosen rows.
    left_out : ndarray of float, shape (N, rows)
        log p(y_i | the other rows, theta) for each draw; at most BLOCK_BYTES, or COSTLY_BLOCK_BYTES, unless one row
        alone takes more.
    leverages : ndarray of float, shape (rows,)
        Each row's share in its own fitted value, averaged over the draws.
    """
    numbers, _ = prior_precisions(marginal.variances, draws.sds, draws.partial)
    n = len(marginal.system.response if chosen is None else chosen)
    size = rows_at_once(marginal, draws)
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        s2 = draws.sds[:, 0] ** 2
        places = rows if chosen is None else chosen[rows]
        yield rows, *left_out_densities(marginal.system, s2, numbers, rows=places, threads=marginal.threads)


def redraw(
    marginal: Marginal, rows: np.ndarray, draws: DrawnVariances, rng: np.random.Generator, *, proposals: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the variances anew, with heavier tails, and weigh them for each of some rows as if it were left out.

    Parameters
    ----------
    marginal : Marginal
    rows : ndarray of int
    draws : DrawnVariances
        From the posterior with all rows: what the new draws are to cover.
    rng : numpy.random.Generator
    proposals : int
        How many draws to make, once for all rows.

    Returns
    -------
    log_ratios : ndarray of float, shape (draws, rows)
        Log importance ratios of the draws, up to a constant.
    log_densities : ndarray of float, shape (draws, rows)
        log p(y_i | the other rows, theta).
    """

    def density(theta: np.ndarray) -> np.ndarray:
        return log_posterior(marginal, theta)

    drawn = propose(density, cover(theta_of(marginal.variances, draws.sds, draws.partial), rng), rng, proposals)
    usable = np.isfinite(drawn.log_weights)
    sds, partial, _ = natural(marginal.variances, drawn.points[usable])
    numbers, _ = prior_precisions(marginal.variances, sds, partial)
    left_out, _ = left_out_densities(marginal.system, sds[:, 0] ** 2, numbers, rows=rows, threads=marginal.threads)
    return drawn.log_weights[usable, None] - left_out, left_out


def refit_without(
    marginal: Marginal, rows: np.ndarray, draws: DrawnVariances, rng: np.random.Generator, *, proposals: int = PROPOSALS
) -> tuple[np.ndarray, LeftOut]:
    """Draw the variances from their posterior without some rows, and predict these.

    Parameters
    ----------
    marginal : Marginal
        With the rows.
    rows : ndarray of int
        Which are left out together.
    draws : DrawnVariances
        From the posterior with the rows: where to begin.
    rng : numpy.random.Generator
    proposals : int
        How many draws to make.

    Returns
    -------
    log_ratios : ndarray of float, shape (proposals,)
        Log importance ratios of the draws, up to a constant.
    densities : LeftOut
        Of the rows given the others and theta.
    """
    without = replace(marginal, system=without_rows(marginal.system, rows))

    def density(theta: np.ndarray) -> np.ndarray:
        return log_posterior(without, theta)

    known = theta_of(marginal.variances, draws.sds, draws.partial)
    mixture, _ = fit_proposal(density, np.median(known, axis=0)[None], rng, draws=PROPOSALS, good=GOOD_EFFICIENCY)
    # The density of a row can be high where the posterior without it is thin: cover that with the row as well.
    drawn = propose(density, combine(mixture, cover(known, rng)), rng, proposals)
    usable = np.isfinite(drawn.log_weights)
    sds, partial, _ = natural(marginal.variances, drawn.points[usable])
    kept = DrawnVariances(sds, partial)
    # A single row's joint density is its own; the response's need not be looked at.
    whole = None if len(rows) == 1 else log_likelihood(marginal, sds, partial)
    return drawn.log_weights[usable], _predicted(marginal, without, rows, kept, whole)


def predict_without(marginal: Marginal, rows: np.ndarray, draws: DrawnVariances, whole: np.ndarray) -> LeftOut:
    """Predict rows from all others, with all coefficients integrated out.

    The precision without the rows has the pattern of the whole one, so that a draw costs one factorisation of it: the
    rows' joint density is the ratio of the densities of the response with and without them.

    Parameters
    ----------
    marginal : Marginal
        With the rows.
    rows : ndarray of int
        Which are left out together.
    draws : DrawnVariances
        N of them.
    whole : ndarray of float, shape (N,)
        `density.log_likelihood` of the draws, the same for all sets of rows.

    Returns
    -------
    LeftOut
        Densities given the other rows and each draw.
    """
    without = replace(marginal, system=without_rows(marginal.system, rows))
    return _predicted(marginal, without, rows, draws, whole)


def _predicted(
    marginal: Marginal, without: Marginal, rows: np.ndarray, draws: DrawnVariances, whole: np.ndarray | None
) -> LeftOut:
    """Return the densities of rows that `without` lacks."""
    s2, system = draws.sds[:, [0]] ** 2, marginal.system
    numbers, _ = prior_precisions(marginal.variances, draws.sds, draws.partial)
    moments = predict_rows(system, rows, without.system, s2[:, 0], numbers, threads=marginal.threads)
    variance = moments[..., 1] + s2 / system.weights[rows]
    error = system.response[rows] - moments[..., 0]
    each = -0.5 * (np.log(2 * np.pi * variance) + error**2 / variance)
    if whole is None or len(rows) == 1:
        return LeftOut(each, each[:, 0])
    return LeftOut(each, whole - log_likelihood(without, draws.sds, draws.partial))
