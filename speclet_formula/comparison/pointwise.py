"""Leave-one-out of each row, by the estimate that serves its model, or of some rows that stand for all.

Integrated: the density of a row given the variances of each draw alone, all coefficients of a Gaussian model being
integrated out. Own level: given all of the draw but the effect of the row's own level. Conditional: given all of the
draw. All are Pareto-smoothed; adding up is left to `loo`.

Of some rows: the difference estimator of Magnusson et al. (2020). The guesses are added up, and what they miss is
estimated from the rows that were drawn. It is unbiased whatever the guesses are; good ones make its error small. What a
guess misses grows with how far out its row lies, so that the rows of the lowest densities are all looked at and the
others are drawn from strata of like density: of rows drawn evenly most have next to no error, and few have nearly all.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from speclet_formula.common.batch import with_progress
from speclet_formula.common.seeds import generator
from speclet_formula.inference.exact.density import Marginal, marginal_of
from speclet_formula.inference.exact.drawn_variances import DrawnVariances, read_variances, thinned
from speclet_formula.inference.exact.leave_one_out import left_out_blocks, redraw, refit_without, rows_at_once
from speclet_formula.posterior import Fit
from speclet_formula.posterior.convergence import log_sum_exp, smooth_weights
from speclet_formula.posterior.draws import Draws, draws_of
from speclet_formula.prediction import BLOCK_BYTES

EFFICIENCY_SAMPLE = 1000  # parameters whose effective draws are averaged: it only sets the length of the tail
# Draws of the variances that the integrated estimate uses. There are a handful of variances, so that 1,000 draws leave
# an error of 0.1 or less in the sum of all rows, far below its standard error; 250 leave twice that, where each draw
# takes long: of 200,000 numbers 250 draws take a second or two.
DRAWS = 1000
COSTLY_DRAWS = 250
COSTLY = 200_000  # numbers that a draw goes through: rows, coefficients, and those of a factorisation
MANY_DENSITIES = 2**23  # of rows x draws, from which on numpy takes longer than it takes to load compiled loops
FEWEST_REDRAWN = 500  # new draws for all rows whose k is high
REFITS = (1000, 4000, 16_000)  # draws of a row's refit, as long as its k stays high
MOST_REFITS = 100  # rows; where more have a high k, it is the draws that are bad, and a refit of each takes too long
SEED = 103  # of refits, so that an estimate is the same each time
CERTAIN = 0.5  # share of the looked-at rows that are the least likely ones
FEWEST_CERTAIN = 8  # rows in all, from which on some are
IN_EACH = 4  # rows drawn from each stratum: fewer tell too little of its spread


type Kind = Literal["integrated", "own level", "conditional"]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows that were drawn from strata."""

    rows: np.ndarray  # (m,) in order
    strata: np.ndarray  # (m,) whose each is
    sizes: np.ndarray  # (strata,) the rows in each

    @property
    def weights(self) -> np.ndarray:
        """How many rows (m,) each stands for."""
        return np.asarray((self.sizes / np.bincount(self.strata, minlength=len(self.sizes)))[self.strata])


@dataclass(frozen=True, eq=False)
class Pointwise:
    """What leave-one-out says of each row, or of m rows that were drawn."""

    kind: Kind
    elpd: np.ndarray  # (m,)
    p: np.ndarray  # (m,) the row's part in the effective number of parameters
    k: np.ndarray  # (m,) Pareto k
    n_draws: int
    n_redone: int  # rows for which the variances, or all parameters, were drawn anew, without the row
    guesses: tuple[np.ndarray, np.ndarray] | None = None  # (n,) of elpd and p for all rows, where some were drawn
    drawn: Drawn | None = None
    groups: tuple[str, ...] = ()  # whose effects are integrated, of kind "own level"


@dataclass(frozen=True)
class Total:
    """A sum over n rows, estimated from some of them."""

    value: float
    error: float  # standard error of drawing rows; 0 where all were drawn
    spread: float  # what the sum's standard error over rows would be: sqrt(n var), with every row


type Choice = Callable[[np.ndarray], Drawn]  # of rows, by guesses of their densities
type Smoothing = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]


def integrated_rows(fit: Fit, choose: Choice | None = None, *, progress: bool = False) -> Pointwise:
    """Estimate each row's elpd from its density given the other rows and the variances of each draw.

    Rows whose Pareto k is high get new draws of the variances: first one set for all of them, with heavier tails than
    the posterior, then, where k stays high, each row its own, from the posterior without it. The guess for all rows is
    the same density, and the leverages, at the means of the variances.
    """
    model = fit.model
    marginal = marginal_of(model, threads=os.cpu_count() or 1)
    known = thinned(model, draws_of(fit), COSTLY_DRAWS if _numbers(marginal) >= COSTLY else DRAWS)
    draws, efficiency = read_variances(model, known), relative_efficiency(known)
    guesses = None if choose is None else _at_mean_variances(marginal, draws)
    drawn = choose(guesses[0]) if choose and guesses else None
    chosen = drawn.rows if drawn else None
    n, n_draws = len(model.design.response if chosen is None else chosen), len(draws.sds)
    elpd, p, k = np.empty(n), np.empty(n), np.empty(n)
    smoothed = smoothing(n, n_draws, threads=marginal.threads)
    blocks = left_out_blocks(marginal, draws, chosen)
    for _ in shown(-(-n // rows_at_once(marginal, draws)), progress):
        rows, block, p[rows] = next(blocks)
        elpd[rows], k[rows] = smoothed(block, efficiency)
        del block  # before the next one is made
    high = np.flatnonzero(~(k <= good_pareto_k(n_draws)))
    places = np.arange(n) if chosen is None else chosen
    if len(high):
        elpd[high], k[high] = _redrawn(marginal, places[high], draws)
    worse = high[~(k[high] <= good_pareto_k(n_draws))]
    for row in worse if len(worse) <= MOST_REFITS else ():
        elpd[row], k[row] = _refitted(marginal, int(places[row]), draws)
    return Pointwise("integrated", elpd, p, k, n_draws, n_redone=len(high), guesses=guesses, drawn=drawn)


def shown(count: int, progress: bool) -> Iterator[int]:
    """Count blocks of rows, and show how many there still are where there is more than one."""
    return with_progress(range(count), "blocks of rows", count, shown=progress and count > 1)


def draw_rows(guesses: np.ndarray, count: int, random_seed: int | None) -> Drawn:
    """Take the rows of the lowest guesses, and draw others from strata of like guesses, without replacement.

    Parameters
    ----------
    guesses : ndarray of float, shape (n,)
        Of each row's log density; those that are not finite count as the lowest.
    count : int
        How many to draw, at least 2.
    random_seed : int, optional
    """
    rng, n = generator(random_seed), len(guesses)
    order = np.argsort(np.where(np.isfinite(guesses), guesses, -np.inf), kind="stable")
    certain = int(CERTAIN * count) if FEWEST_CERTAIN <= count < n else 0
    number = max((count - certain) // IN_EACH, 1)
    drawn = np.full(number, (count - certain) // number)
    drawn[: count - certain - drawn.sum()] += 1
    parts = _strata(guesses, order[certain:], drawn)
    chosen = [order[[place]] for place in range(certain)]
    chosen += [rng.choice(part, size=size, replace=False) for part, size in zip(parts, drawn, strict=True)]
    sizes = np.array([1] * certain + [len(part) for part in parts])
    rows, strata = np.concatenate(chosen), np.repeat(np.arange(len(chosen)), [len(part) for part in chosen])
    by_place = np.argsort(rows)
    return Drawn(rows[by_place], strata[by_place], sizes)


def total(values: np.ndarray, drawn: Drawn, guesses: np.ndarray) -> Total:
    """Estimate a sum over all rows.

    With a_i the guess of row i, and x_i the value of a drawn row that stands for w_i rows of its stratum: the sum is
    sum a_i + sum_S w_i (x_i - a_i), and in the same way that of the squares, for the spread.

    Parameters
    ----------
    values : ndarray of float, shape (m,)
        At least two.
    drawn : Drawn
        Which rows they belong to.
    guesses : ndarray of float, shape (n,)
        Those that are not finite are replaced by the mean of the others.

    References
    ----------
    Magnusson, Vehtari, Jonasson and Andersen (2020). Leave-one-out cross-validation for Bayesian model comparison in
    large data. AISTATS. arXiv:2001.00980. The idea: Magnusson et al. (2019), doi:10.48550/arXiv.1904.10679. Strata:
    Cochran (1977). Sampling Techniques, 3rd ed., chapter 5.
    """
    n, weights = len(guesses), drawn.weights
    known = np.isfinite(guesses)
    # Around their mean, so that the squares' sum is not lost in that of the mean's.
    centre = float(guesses[known].mean()) if known.any() else 0.0
    around = np.where(known, guesses, centre) - centre
    own = values - centre
    missed = own - around[drawn.rows]
    value = float(around.sum() + weights @ missed)
    error = math.sqrt(_variance(missed, drawn))
    squares = float((around**2).sum() + weights @ (own**2 - around[drawn.rows] ** 2))
    variance = max((squares - (value**2 - error**2) / n) / (n - 1), 0.0)
    return Total(value + n * centre, error, math.sqrt(n * variance))


def _at_mean_variances(marginal: Marginal, draws: DrawnVariances) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's log density given the others, and its leverage, (n,), at the means of the variances."""
    means = DrawnVariances(draws.sds.mean(axis=0, keepdims=True), draws.partial.mean(axis=0, keepdims=True))
    parts = [(block[0], leverages) for _, block, leverages in left_out_blocks(marginal, means)]
    densities, leverages = (np.concatenate(part) for part in zip(*parts, strict=True))
    return densities, leverages


def good_pareto_k(n_draws: int) -> float:
    """Return the largest Pareto k at which that many draws are enough.

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


def relative_efficiency(draws: Draws) -> float:
    """Return the effective draws per draw, as ArviZ's `loo` does: the mean over all parameters, or some of very many.

    Returns
    -------
    float
        1 for a single chain.
    """
    from arviz_stats.base.array import array_stats  # as `arviz.ess` does, which brings pictures along

    if draws.chains == 1:
        return 1.0
    variables = [draws.by_chain(draws.variable(name)) for name in draws.names]
    step = max(1, sum(variable.shape[2] for variable in variables) // EFFICIENCY_SAMPLE)
    taken = np.concatenate([variable[:, :, ::step] for variable in variables], axis=2)
    sizes = array_stats.ess(taken, chain_axis=0, draw_axis=1, method="mean")  # type: ignore[no-untyped-call]
    known = sizes[np.isfinite(sizes)]
    return float(known.mean() / len(draws)) if len(known) else 1.0


def smoothing(n_rows: int, n_draws: int, *, threads: int) -> Smoothing:
    """Return what gives elpd and Pareto k of rows from log densities (draws, rows) and the draws' efficiency."""
    if n_rows * n_draws < MANY_DENSITIES:
        return _smoothed
    from speclet_formula.comparison.psis import smoothed_elpd  # here, since it loads a compiler

    return partial(smoothed_elpd, threads=threads)


def _smoothed(block: np.ndarray, efficiency: float) -> tuple[np.ndarray, np.ndarray]:
    """Return elpd and Pareto k of rows by numpy, a part of them at a time."""
    n_draws, n = block.shape
    elpd, k = np.empty(n), np.empty(n)
    size = max(1, BLOCK_BYTES // (8 * n_draws))
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        values = np.ascontiguousarray(block[:, rows].T)
        weights, k[rows] = smooth_weights(-values, efficiency)
        with np.errstate(divide="ignore", invalid="ignore"):
            elpd[rows] = log_sum_exp(weights + values)
    return elpd, k


def _numbers(marginal: Marginal) -> int:
    """Return about how many numbers a draw of the variances goes through."""
    return len(marginal.system.response) + marginal.system.layout.size + marginal.system.equations.work


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


def _strata(guesses: np.ndarray, order: np.ndarray, drawn: np.ndarray) -> list[np.ndarray]:
    """Cut rows, the lowest guesses first, into strata that have at least as many as are drawn from each.

    What a guess misses grows as the square of how far it lies below the highest one: half of each stratum's share is
    that of its rows, the other half that of these squares, so that strata are short where guesses are low.
    """
    below = guesses[order]
    below = np.square(np.where(np.isfinite(below), below, 0.0) - below[np.isfinite(below)].max(initial=-np.inf))
    shares = np.cumsum(1 / len(order) + (below / below.sum() if 0 < below.sum() < np.inf else 0.0))
    ends = np.searchsorted(shares / shares[-1], np.arange(1, len(drawn)) / len(drawn))
    ends = np.concatenate([[0], ends, [len(order)]])
    for k in range(1, len(drawn)):
        ends[k] = max(ends[k], ends[k - 1] + drawn[k - 1])
    for k in reversed(range(1, len(drawn))):
        ends[k] = min(ends[k], ends[k + 1] - drawn[k])
    return np.split(order, ends[1:-1])


def _variance(missed: np.ndarray, drawn: Drawn) -> float:
    """Return the variance of the strata's sums: N^2 (1 - m / N) s^2 / m for each of N rows, m of them drawn."""
    counts = np.bincount(drawn.strata, minlength=len(drawn.sizes))
    means = np.bincount(drawn.strata, missed, len(drawn.sizes)) / counts
    squares = np.bincount(drawn.strata, (missed - means[drawn.strata]) ** 2, len(drawn.sizes))
    free = np.maximum(counts - 1, 1)
    return float((drawn.sizes * (drawn.sizes - counts) * squares / free / counts).sum())
