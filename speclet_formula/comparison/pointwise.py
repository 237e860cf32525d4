"""A fit goes in; what leave-one-out says of each of its rows comes out, by the estimate that serves its model.

Conditional: the density of a row given the group effects of each draw. Integrated: given the variances of each draw
alone, all coefficients being integrated out. Both are smoothed by `smoothing`; adding up is left to `leave_one_out`.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from speclet_formula.comparison.subsampling import Drawn
from speclet_formula.inference.exact.density import Marginal, marginal_of
from speclet_formula.inference.exact.leave_one_out import (
    DrawnVariances,
    left_out_blocks,
    read_variances,
    redraw,
    refit_without,
    variance_names,
)
from speclet_formula.model import Model
from speclet_formula.posterior import Fit
from speclet_formula.posterior.pareto import log_sum_exp, smooth_weights
from speclet_formula.prediction import BLOCK_BYTES, log_likelihood_blocks

Choice = Callable[[np.ndarray], Drawn]  # of rows, by guesses of their densities

EFFICIENCY_SAMPLE = 1000  # parameters whose effective draws are averaged: it only sets the length of the tail
# Draws of the variances that the integrated estimate uses. There are a handful of variances, so that 1,000 draws leave
# an error of 0.1 or less in the sum of all rows, far below its standard error; 250 leave twice that, where each draw
# takes long.
DRAWS = 1000
COSTLY_DRAWS = 250
COSTLY = 20_000  # coefficients from which on a draw takes long
FEWEST_REDRAWN = 500  # new draws for all rows whose k is high
REFITS = (1000, 4000, 16_000)  # draws of a row's refit, as long as its k stays high
MOST_REFITS = 100  # rows; where more have a high k, it is the draws that are bad, and a refit of each takes too long
SEED = 103  # of refits, so that an estimate is the same each time


@dataclass(frozen=True, eq=False)
class Pointwise:
    """What leave-one-out says of each row, or of m rows that were drawn."""

    kind: Literal["integrated", "conditional"]
    elpd: np.ndarray  # (m,)
    p: np.ndarray  # (m,) the row's part in the effective number of parameters
    k: np.ndarray  # (m,) Pareto k
    n_draws: int
    n_redone: int  # rows for which the variances were drawn anew, without the row
    guesses: tuple[np.ndarray, np.ndarray] | None = None  # (n,) of elpd and p for all rows, where some were drawn
    drawn: Drawn | None = None


def conditional_rows(fit: Fit, choose: Choice | None = None) -> Pointwise:
    """Estimate each row's elpd from its density given the group effects of each draw.

    The guess for all rows is their density at the posterior's means.
    """
    posterior = fit.idata["posterior"]
    n, efficiency = len(fit.model.design.response), relative_efficiency(posterior)
    guesses = None if choose is None else (_density_at_means(fit), np.zeros(n))
    drawn = choose(guesses[0]) if choose and guesses else None
    chosen = drawn.rows if drawn else None
    n = n if chosen is None else len(chosen)
    elpd, p, k = np.empty(n), np.empty(n), np.empty(n)
    for rows, block in log_likelihood_blocks(fit, chosen=chosen):
        values = np.ascontiguousarray(block.T)
        elpd[rows], k[rows] = _smoothed(values, efficiency)
        with np.errstate(divide="ignore", invalid="ignore"):
            p[rows] = log_sum_exp(values) - math.log(values.shape[1]) - elpd[rows]
    n_draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    return Pointwise("conditional", elpd, p, k, n_draws, n_redone=0, guesses=guesses, drawn=drawn)


def _density_at_means(fit: Fit) -> np.ndarray:
    """Return the log density (n,) of each row at the posterior's means."""
    import xarray as xr

    means = fit.idata["posterior"].to_dataset().mean(("chain", "draw")).expand_dims(("chain", "draw"))
    at_means = replace(fit, idata=xr.DataTree.from_dict({"posterior": means}))
    return np.concatenate([block[0] for _, block in log_likelihood_blocks(at_means)])


def integrated_rows(fit: Fit, choose: Choice | None = None) -> Pointwise:
    """Estimate each row's elpd from its density given the other rows and the variances of each draw.

    Rows whose Pareto k is high get new draws of the variances: first one set for all of them, with heavier tails than
    the posterior, then, where k stays high, each row its own, from the posterior without it. The guess for all rows is
    the same density, and the leverages, at the means of the variances.
    """
    model = fit.model
    marginal = marginal_of(model, threads=os.cpu_count() or 1)
    posterior = thinned(model, fit.idata["posterior"], costly=marginal.system.layout.size >= COSTLY)
    draws, efficiency = read_variances(model, posterior), relative_efficiency(posterior)
    guesses = None if choose is None else _at_mean_variances(marginal, draws)
    drawn = choose(guesses[0]) if choose and guesses else None
    chosen = drawn.rows if drawn else None
    n, n_draws = len(model.design.response if chosen is None else chosen), len(draws.sds)
    elpd, p, k = np.empty(n), np.empty(n), np.empty(n)
    for rows, block, leverages in left_out_blocks(marginal, draws, chosen):
        size = max(1, BLOCK_BYTES // (8 * n_draws))
        for start in range(0, block.shape[1], size):
            part = slice(start, min(start + size, block.shape[1]))
            whole = slice(rows.start + part.start, rows.start + part.stop)
            elpd[whole], k[whole] = _smoothed(np.ascontiguousarray(block[:, part].T), efficiency)
        p[rows] = leverages
    high = np.flatnonzero(~(k <= good_pareto_k(n_draws)))
    places = np.arange(n) if chosen is None else chosen
    if len(high):
        elpd[high], k[high] = _redrawn(marginal, places[high], draws)
    worse = high[~(k[high] <= good_pareto_k(n_draws))]
    for row in worse if len(worse) <= MOST_REFITS else ():
        elpd[row], k[row] = _refitted(marginal, int(places[row]), draws)
    return Pointwise("integrated", elpd, p, k, n_draws, n_redone=len(high), guesses=guesses, drawn=drawn)


def _at_mean_variances(marginal: Marginal, draws: DrawnVariances) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's log density given the others, and its leverage, (n,), at the means of the variances."""
    means = DrawnVariances(draws.sds.mean(axis=0, keepdims=True), draws.partial.mean(axis=0, keepdims=True))
    parts = [(block[0], leverages) for _, block, leverages in left_out_blocks(marginal, means)]
    densities, leverages = (np.concatenate(part) for part in zip(*parts, strict=True))
    return densities, leverages


def good_pareto_k(n_draws: int) -> float:
    """Return the largest Pareto k at which that many draws are enough.

    Parameters
    ----------
    n_draws : int

    Returns
    -------
    float
        min(1 - 1 / log10(n_draws), 0.7), as in Vehtari et al. (2024).

    Examples
    --------
    >>> from speclet_formula.comparison.pointwise import good_pareto_k
    >>> good_pareto_k(4000)
    0.7
    """
    return min(1 - 1 / math.log10(n_draws), 0.7)


def relative_efficiency(posterior: Any) -> float:
    """Return the effective draws per draw, as ArviZ's `loo` does: the mean over all parameters, or some of very many.

    Parameters
    ----------
    posterior : xarray.Dataset

    Returns
    -------
    float
        1 for a single chain.
    """
    from arviz import ess

    chains, length = posterior.sizes["chain"], posterior.sizes["draw"]
    if chains == 1:
        return 1.0
    variables = [posterior[name].transpose("chain", "draw", ...) for name in posterior.data_vars]
    step = max(1, sum(variable.size for variable in variables) // (chains * length * EFFICIENCY_SAMPLE))
    draws = [np.asarray(variable.values).reshape(chains, length, -1)[:, :, ::step] for variable in variables]
    sizes = ess(np.concatenate(draws, axis=2), chain_axis=0, draw_axis=1, method="mean")
    known = sizes[np.isfinite(sizes)]
    return float(known.mean() / (chains * length)) if len(known) else 1.0


def _smoothed(values: np.ndarray, efficiency: float) -> tuple[np.ndarray, np.ndarray]:
    """Return elpd and Pareto k of rows (rows, draws), whose importance ratios are one over their densities."""
    weights, k = smooth_weights(-values, efficiency)
    with np.errstate(divide="ignore", invalid="ignore"):
        return log_sum_exp(weights + values), k


def thinned(model: Model, posterior: Any, *, costly: bool) -> Any:
    """Return the variances alone, of as many draws as are worth their while."""
    held = [name for name in variance_names(model) if name in posterior]
    wanted = COSTLY_DRAWS if costly else DRAWS
    step = max(1, posterior.sizes["chain"] * posterior.sizes["draw"] // wanted)
    return posterior.to_dataset()[held].isel(draw=slice(None, None, step))


def _redrawn(marginal: Marginal, rows: np.ndarray, draws: DrawnVariances) -> tuple[np.ndarray, np.ndarray]:
    """Return elpd and Pareto k of rows from one set of new draws, which have heavier tails than the posterior."""
    count = max(len(draws.sds), FEWEST_REDRAWN)
    return weigh(*redraw(marginal, rows, draws, np.random.default_rng(SEED), proposals=count))


def _refitted(marginal: Marginal, row: int, draws: DrawnVariances) -> tuple[float, float]:
    """Return elpd and Pareto k of a row from draws of the variances without it."""
    for count in REFITS:
        rng = np.random.default_rng((SEED, row))
        log_ratios, left_out = refit_without(marginal, np.array([row]), draws, rng, proposals=count)
        elpd, k = weigh(log_ratios[:, None], left_out.each)
        if k[0] <= good_pareto_k(len(draws.sds)):
            break
    return float(elpd[0]), float(k[0])


def weigh(log_ratios: np.ndarray, log_densities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return elpd and Pareto k of rows from weighted draws, (draws, rows).

    Parameters
    ----------
    log_ratios : ndarray of float, shape (draws, rows)
        Log importance ratios: of the posterior without the row to what the draws came from.
    log_densities : ndarray of float, shape (draws, rows)
        Of the row given all others.

    Returns
    -------
    elpd, k : ndarray of float, shape (rows,)

    Notes
    -----
    The elpd is the log of a ratio: the sum of the weights of the posterior with the row over that without. Both have to
    be good, and k is the larger one.
    """
    densities = np.ascontiguousarray(log_densities.T)
    without, k_without = smooth_weights(np.ascontiguousarray(log_ratios.T))
    _, k_with = smooth_weights(np.ascontiguousarray(log_ratios.T) + densities)
    with np.errstate(divide="ignore", invalid="ignore"):
        return log_sum_exp(without + densities), np.maximum(k_without, k_with)
