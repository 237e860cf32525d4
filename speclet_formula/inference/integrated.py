"""A Gaussian model and draws of its variances go in; densities of each row given all others come out.

All coefficients are integrated out, given the other rows. Where the draws serve a row badly, new ones are made from the
posterior without it. Weighing the draws and smoothing the weights is left to `comparison`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from speclet_formula.design import GroupBlock
from speclet_formula.design.records import variable_name
from speclet_formula.errors import DataError
from speclet_formula.inference.adaptive import combine, cover, fit_proposal, propose
from speclet_formula.inference.marginal import Marginal, log_posterior
from speclet_formula.inference.precision import left_out_densities, predict_row, without_row
from speclet_formula.inference.variances import Variances, natural, prior_precisions
from speclet_formula.model import Model
from speclet_formula.priors import move_spread, places_of

# Of draws x rows. Each block factors the precision anew for each draw, hence a large one.
BLOCK_BYTES = 512 * 2**20
PROPOSALS = 1000  # in each round of fitting a proposal to the posterior without a row
GOOD_EFFICIENCY = 0.6  # of their weights, at which the fitting stops
NEAREST = 1 - 1e-12  # a correlation that was rounded to 1 is taken for this


@dataclass(frozen=True, eq=False)
class DrawnVariances:
    """Draws of a model's variances, in their natural scale."""

    sds: np.ndarray  # (N, m) the residual's first, then each block's columns
    partial: np.ndarray  # (N, q) partial correlations


def variance_names(model: Model) -> tuple[str, ...]:
    """Name the posterior's variables that hold the variances: SDs first, in `variances`' order, then correlations."""
    blocks = model.design.groups
    sds = [f"{slot}_sigma" for block in blocks for slot in block.slots]
    correlations = [f"cor|{variable_name(block.label)}" for block in blocks if block.correlated]
    return ("sigma", *sds, *correlations)


def read_variances(model: Model, posterior: Any) -> DrawnVariances:
    """Take the draws of the variances out of a posterior, whichever engine drew it.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
        Draws under the names of the design; SDs on the response's scale, of intercepts at zero.

    Returns
    -------
    DrawnVariances
        N = chains x draws, the first chain's first; of intercepts where their priors hold, as `Marginal` has them.

    Raises
    ------
    DataError
        The posterior lacks one of the variables.
    """
    names = variance_names(model)
    for name in names:
        if name not in posterior:
            raise DataError(
                f"the posterior holds no variable '{name}'.",
                "It holds an SD for each column of each group term, and the correlations of those that have any.",
                "Fit the model again, or hand over the model that these draws belong to.",
            )
    n_sds = 1 + sum(len(block.slots) for block in model.design.groups)
    sds = np.column_stack([_pooled(posterior[name])[:, 0] for name in names[:n_sds]])
    correlations = {name: _pooled(posterior[name]) for name in names[n_sds:]}
    first, parts = 1, [np.empty((len(sds), 0))]
    for block, place in zip(model.design.groups, places_of(model.design, model.slots), strict=True):
        width = len(block.slots)
        if block.correlated:
            pairs = correlations[f"cor|{variable_name(block.label)}"]
            sds[:, first : first + width], pairs = _placed(sds[:, first : first + width], pairs, block, place)
            parts.append(partial_correlations(pairs, width))
        first += width
    return DrawnVariances(sds, np.hstack(parts))


def _placed(sds: np.ndarray, pairs: np.ndarray, block: GroupBlock, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return SDs and correlations, by pairs, of a block's effects where its priors hold."""
    rows, columns = np.triu_indices(len(block.slots), 1)
    matrices = np.broadcast_to(np.eye(len(block.slots)), (*sds.shape, len(block.slots))).copy()
    matrices[:, rows, columns] = matrices[:, columns, rows] = pairs
    sds, matrices = move_spread(sds, matrices, block.columns, place)
    return sds, matrices[:, rows, columns]


def partial_correlations(correlations: np.ndarray, width: int) -> np.ndarray:
    """Return the partial correlations (N, pairs) that correlations (N, pairs) of so many columns are made of.

    The inverse of `variances.correlation_factors`, column by column of the Cholesky factor.
    """
    pairs = list(combinations(range(width), 2))
    known = {pair: correlations[:, k] for k, pair in enumerate(pairs)}
    factor = np.zeros((len(correlations), width, width))
    factor[:, 0, 0] = 1.0
    partial = {}
    for j in range(1, width):
        left = np.ones(len(correlations))
        for i in range(j):
            rest = known[i, j] - (factor[:, j, :i] * factor[:, i, :i]).sum(axis=1)
            partial[i, j] = np.clip(rest / (factor[:, i, i] * left), -NEAREST, NEAREST)
            factor[:, j, i] = partial[i, j] * left
            left = left * np.sqrt(1 - partial[i, j] ** 2)
        factor[:, j, j] = left
    return np.column_stack([partial[pair] for pair in pairs])


def left_out_blocks(marginal: Marginal, draws: DrawnVariances) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Go through the rows in blocks.

    Parameters
    ----------
    marginal : Marginal
    draws : DrawnVariances
        N of them.

    Yields
    ------
    rows : slice
    left_out : ndarray of float, shape (N, rows)
        log p(y_i | the other rows, theta) for each draw, at most BLOCK_BYTES unless one row alone takes more.
    leverages : ndarray of float, shape (rows,)
        Each row's share in its own fitted value, averaged over the draws.
    """
    numbers, _ = prior_precisions(marginal.variances, draws.sds, draws.partial)
    n = len(marginal.system.response)
    size = max(1, BLOCK_BYTES // (8 * len(draws.sds)))
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        s2 = draws.sds[:, 0] ** 2
        yield rows, *left_out_densities(marginal.system, s2, numbers, rows=rows, threads=marginal.threads)


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

    drawn = propose(density, cover(_vectors(marginal.variances, draws), rng), rng, proposals)
    usable = np.isfinite(drawn.log_weights)
    sds, partial, _ = natural(marginal.variances, drawn.points[usable])
    numbers, _ = prior_precisions(marginal.variances, sds, partial)
    left_out, _ = left_out_densities(marginal.system, sds[:, 0] ** 2, numbers, rows=rows, threads=marginal.threads)
    return drawn.log_weights[usable, None] - left_out, left_out


def refit_without(
    marginal: Marginal, row: int, draws: DrawnVariances, rng: np.random.Generator, *, proposals: int = PROPOSALS
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the variances from their posterior without a row, and predict the row.

    Parameters
    ----------
    marginal : Marginal
        With the row.
    row : int
    draws : DrawnVariances
        From the posterior with the row: where to begin.
    rng : numpy.random.Generator
    proposals : int
        How many draws to make.

    Returns
    -------
    log_ratios : ndarray of float, shape (proposals, 1)
        Log importance ratios of the draws, up to a constant.
    log_densities : ndarray of float, shape (proposals, 1)
        log p(y_i | the other rows, theta).
    """
    without = replace(marginal, system=without_row(marginal.system, row))

    def density(theta: np.ndarray) -> np.ndarray:
        return log_posterior(without, theta)

    known = _vectors(marginal.variances, draws)
    mixture, _ = fit_proposal(density, np.median(known, axis=0), rng, draws=PROPOSALS, good=GOOD_EFFICIENCY)
    # The density of the row can be high where the posterior without it is thin: cover that with the row as well.
    drawn = propose(density, combine(mixture, cover(known, rng)), rng, proposals)
    usable = np.isfinite(drawn.log_weights)
    sds, partial, _ = natural(marginal.variances, drawn.points[usable])
    numbers, _ = prior_precisions(marginal.variances, sds, partial)
    moments = predict_row(marginal.system, row, without.system, sds[:, 0] ** 2, numbers)
    variance = moments[:, 1] + sds[:, 0] ** 2 / marginal.system.weights[row]
    error = marginal.system.response[row] - moments[:, 0]
    log_densities = -0.5 * (np.log(2 * np.pi * variance) + error**2 / variance)
    return drawn.log_weights[usable, None], log_densities[:, None]


def _vectors(variances: Variances, draws: DrawnVariances) -> np.ndarray:
    """Return the vectors theta (N, d) of variances: the inverse of `variances.natural`."""
    theta = np.hstack([np.log(draws.sds), np.arctanh(draws.partial)])
    if variances.shared is not None:
        residual, shared = theta[:, 0].copy(), theta[:, variances.shared].copy()
        theta[:, 0] = 0.5 * np.logaddexp(2 * residual, 2 * shared)
        theta[:, variances.shared] = 2 * (shared - residual)
    return theta


def _pooled(variable: Any) -> np.ndarray:
    """Return a variable as (draws of all chains, elements)."""
    array = variable.transpose("chain", "draw", ...)
    return np.asarray(array.values, dtype=np.float64).reshape(array.shape[0] * array.shape[1], -1)
