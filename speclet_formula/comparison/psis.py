"""Pareto-smoothed leave-one-out of very many rows, each in one pass over its densities: nothing of the size is kept.

The estimate is that of `posterior.convergence.smooth_weights`, whose steps numpy takes for many rows at once. Here a
row's draws stay in the processor's cache, and loops are such that it does several numbers at a time. Of the sum of
weights times densities only the tail has to be added up: a weight that is not smoothed is one over the density.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from speclet_formula.common.compiling import loops
from speclet_formula.inference.algebra.solutions import spread_draws
from speclet_formula.posterior.convergence import tail_length

type Array = np.ndarray[Any, np.dtype[Any]]

# Sums may be taken in any order, so that the processor adds up several numbers at a time.
compiled = loops(error_model="numpy", fastmath={"reassoc", "contract"})

TILE = 32  # rows that are read at a time: of each draw they stand side by side
SLACK = 1.2  # how many more than the tail may be sorted
PASSES = 40  # of the search for where the tail begins
MANY = 512  # candidates that are sorted otherwise than by counting
FACTORS = 32  # whose product is taken before its logarithm
FAR = 1e8  # an excess over the quartile from which on that product could overflow
LOWEST = -700.0  # of exponents: exp of less is next to nothing
DOUBLINGS = 10
SERIES = tuple(1 / math.factorial(power) for power in range(17))
TINY = 1e-30  # in the place of a k of 0, which is divided by
NEGLIGIBLE = 10 * float(np.finfo(np.float64).eps)


class Scratch(NamedTuple):
    """Room for one row at a time. N draws, n in the tail, m points of the grid of Zhang and Stephens."""

    ratios: Array  # (TILE, N) logs
    ends: Array  # (3, TILE) least and largest log ratio, and a sum that is 0 if all are finite
    candidates: Array  # (N + 1,) for the tail
    tail: Array  # (n + 1,) the largest log ratios, ascending
    powers: Array  # (N,) ratios
    excesses: Array  # (n,)
    grid: Array  # (m,)
    b: Array  # (m,)
    products: Array  # (m,)
    sums: Array  # (m,)
    log_survival: Array  # (n,)


def smoothed_elpd(log_densities: Array, efficiency: float, *, threads: int = 1) -> tuple[Array, Array]:
    """Estimate the elpd of rows from their densities in each draw, the importance ratios being one over these.

    Parameters
    ----------
    log_densities : ndarray of float, shape (draws, rows)
        At least 30 draws.
    efficiency : float
        Effective draws per draw.
    threads : int

    Returns
    -------
    elpd, k : ndarray of float, shape (rows,)
        As of `smooth_weights`: k is infinite where it cannot be estimated. The elpd is NaN where a density is not
        finite.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of Machine Learning
    Research 25(72), 1-58. https://jmlr.org/papers/v25/19-556.html
    """
    n_draws, n_rows = log_densities.shape
    length = tail_length(n_draws, efficiency)
    elpd, k = np.empty(n_rows), np.empty(n_rows)

    def run(part: slice) -> None:
        smooth_rows(log_densities, _scratch(n_draws, length), part.start, part.stop, elpd, k)

    spread_draws(run, n_rows, n_draws, threads)
    return elpd, k


def _scratch(n_draws: int, length: int) -> Scratch:
    count = 30 + int(length**0.5)
    return Scratch(
        ratios=np.empty((TILE, n_draws)),
        ends=np.empty((3, TILE)),
        candidates=np.empty(n_draws + 1),
        tail=np.empty(length + 1),
        powers=np.empty(n_draws),
        excesses=np.empty(length),
        grid=1 - np.sqrt(count / (np.arange(1, count + 1) - 0.5)),
        b=np.empty(count),
        products=np.empty(count),
        sums=np.empty(count),
        log_survival=np.log1p(-np.arange(0.5, length) / length),
    )


@compiled
def smooth_rows(log_densities: Array, scratch: Scratch, first: int, last: int, elpd: Array, k: Array) -> None:
    """Fill elpd and k of some rows."""
    for start in range(first, last, TILE):
        stop = min(start + TILE, last)
        _load(log_densities, scratch, start, stop)
        for row in range(start, stop):
            low, top, finite = scratch.ends[0, row - start], scratch.ends[1, row - start], scratch.ends[2, row - start]
            if finite == 0.0:
                elpd[row], k[row] = _row(scratch, scratch.ratios[row - start], low, top)
            else:
                elpd[row], k[row] = np.nan, np.inf


@compiled
def _load(log_densities: Array, scratch: Scratch, start: int, stop: int) -> None:
    """Read the log ratios of a few rows, and their ends."""
    ratios, ends = scratch.ratios, scratch.ends
    ends[0], ends[1], ends[2] = np.inf, -np.inf, 0.0
    for draw in range(len(log_densities)):
        for row in range(start, stop):
            place, ratio = row - start, -log_densities[draw, row]
            ratios[place, draw] = ratio
            ends[0, place] = ratio if ratio < ends[0, place] else ends[0, place]
            ends[1, place] = ratio if ratio > ends[1, place] else ends[1, place]
            ends[2, place] += ratio * 0.0


@compiled
def _row(scratch: Scratch, ratios: Array, low: float, top: float) -> tuple[float, float]:
    """Return elpd and k of one row, whose log ratios lie between two ends.

    With r_s the ratios over the largest one and w_s the smoothed ones, the elpd is
    log(sum w_s / r_s) - log(sum w_s) - top, and w_s = r_s outside the tail.
    """
    for draw in range(len(ratios)):
        ratios[draw] -= top
    n_draws, length = len(ratios), len(scratch.tail) - 1
    _largest(ratios, low - top, scratch)
    _exponentials(ratios, scratch.powers)
    whole = scratch.powers.sum()
    body = _body(ratios, scratch.powers, scratch.tail[0], n_draws - length)
    cutoff, tail = math.exp(scratch.tail[0]), scratch.powers[:length]
    for place in range(length):
        tail[place] = math.exp(scratch.tail[place + 1])
        scratch.excesses[place] = tail[place] - cutoff
    k, scale = _pareto(scratch)
    largest = weights = densities = 0.0
    for place in range(length):
        smoothed = cutoff + scale * math.expm1(-k * scratch.log_survival[place]) / k
        largest = max(largest, abs(smoothed))
        weights += min(smoothed, 1.0)
        densities += min(smoothed, 1.0) / tail[place]
    if scale > 0 and math.isfinite(k) and math.isfinite(largest) and math.isfinite(weights):
        return math.log(n_draws - length + densities) - math.log(body + weights) - top, k
    return math.log(n_draws) - math.log(whole) - top, np.inf


@compiled
def _largest(ratios: Array, low: float, scratch: Scratch) -> None:
    """Fill the tail with the largest of log ratios that lie between low and 0, in ascending order.

    Counting how many are above a number costs next to nothing, so that halving finds one above which there are few too
    many. Each of these then stands where as many are above it.
    """
    wanted, candidates = len(scratch.tail), scratch.candidates
    high = 0.0
    for _ in range(PASSES):
        middle = 0.5 * (low + high)
        count = _count(ratios, middle)
        if count >= wanted:
            low = middle
            if count <= SLACK * wanted:
                break
        else:
            high = middle
    count = 0
    for draw in range(len(ratios)):
        candidates[count] = ratios[draw]
        count += ratios[draw] >= low
    if count > MANY:
        candidates[:count].sort()
        scratch.tail[:] = candidates[count - wanted : count]
        return
    scratch.tail[:] = np.nan
    for place in range(count):
        rank = wanted - 1 - _above(candidates[:count], candidates[place])
        if rank >= 0:
            scratch.tail[rank] = candidates[place]
    for rank in range(wanted - 2, -1, -1):  # equal ones all stood where the last of them belongs
        if math.isnan(scratch.tail[rank]):
            scratch.tail[rank] = scratch.tail[rank + 1]


@compiled
def _count(values: Array, least: float) -> int:
    count = 0
    for place in range(len(values)):
        count += values[place] >= least
    return count


@compiled
def _above(values: Array, least: float) -> int:
    count = 0
    for place in range(len(values)):
        count += values[place] > least
    return count


@compiled
def _body(ratios: Array, powers: Array, cutoff: float, count: int) -> float:
    """Add up so many of the least ratios, the last of which is the cutoff; others may equal it."""
    total, below = 0.0, 0
    for draw in range(len(ratios)):
        if ratios[draw] < cutoff:
            total += powers[draw]
            below += 1
    return total + (count - below) * math.exp(cutoff)


@compiled
def _exponentials(values: Array, out: Array) -> None:
    """Fill out with exp of numbers that are not positive: exp(x) = exp(x / 1024)^1024, by the series for the latter.

    Unlike calls of `math.exp` this is done for several numbers at a time. Its relative error is below 1e-12.
    """
    for place in range(len(values)):
        x = (values[place] if values[place] > LOWEST else LOWEST) / 2**DOUBLINGS
        power = SERIES[16]
        for term in range(15, -1, -1):
            power = power * x + SERIES[term]
        for _ in range(DOUBLINGS):
            power *= power
        out[place] = power


@compiled
def _pareto(scratch: Scratch) -> tuple[float, float]:
    """Return k and scale of a generalised Pareto distribution of the excesses: `convergence.fit_pareto` of one row."""
    excesses, b, sums = scratch.excesses, scratch.b, scratch.sums
    n, largest = len(excesses), excesses[-1]
    quartile = excesses[int(n / 4 + 0.5) - 1]
    if not quartile > excesses[0]:
        return np.nan, np.nan
    for point in range(len(b)):
        b[point] = scratch.grid[point] / (3 * quartile) + 1 / largest
    _sum_logs(scratch, FACTORS if largest < FAR * quartile else 1)
    top = -np.inf
    for point in range(len(b)):
        shape = sums[point] / n
        sums[point] = n * (math.log(-b[point] / shape) - shape - 1)
        top = max(top, sums[point])
    for point in range(len(b)):
        sums[point] = math.exp(sums[point] - top)
    total, weighted, weights = sums.sum(), 0.0, 0.0
    for point in range(len(b)):
        if sums[point] >= NEGLIGIBLE * total:
            weighted += sums[point] * b[point]
            weights += sums[point]
    mean, k = weighted / weights, 0.0
    for place in range(n):
        k += math.log1p(-mean * excesses[place])
    k /= n
    return (n * k + 5) / (n + 10) or TINY, -k / mean


@compiled
def _sum_logs(scratch: Scratch, at_once: int) -> None:
    """Fill the sums over the excesses x of log(1 - b x) for each point of the grid, by logs of products."""
    excesses, b, products, sums = scratch.excesses, scratch.b, scratch.products, scratch.sums
    sums[:], products[:] = 0.0, 1.0
    for place in range(len(excesses)):
        for point in range(len(b)):
            products[point] *= 1 - b[point] * excesses[place]
        if (place + 1) % at_once == 0 or place + 1 == len(excesses):
            for point in range(len(b)):
                sums[point] += math.log(products[point])
                products[point] = 1.0
