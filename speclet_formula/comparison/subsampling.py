"""What leave-one-out says of some rows, and a guess for all of them, go in; the sums over all rows come out.

The difference estimator of Magnusson et al. (2020): the guesses are added up, and what they miss is estimated from the
rows that were drawn. It is unbiased whatever the guesses are; good ones make its error small. What a guess misses grows
with how far out its row lies, so that the rows of the lowest densities are all looked at and the others are drawn from
strata of like density: of rows drawn evenly most have next to no error, and few have nearly all of it.
"""

import math
from dataclasses import dataclass

import numpy as np

from speclet_formula.common.seeds import generator

CERTAIN = 0.5  # share of the looked-at rows that are the least likely ones
FEWEST_CERTAIN = 8  # rows in all, from which on some are
IN_EACH = 4  # rows drawn from each stratum: fewer tell too little of its spread


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


@dataclass(frozen=True)
class Total:
    """A sum over n rows, estimated from some of them."""

    value: float
    error: float  # standard error of drawing rows; 0 where all were drawn
    spread: float  # what the sum's standard error over rows would be: sqrt(n var), with every row


def draw_rows(guesses: np.ndarray, count: int, random_seed: int | None) -> Drawn:
    """Take the rows of the lowest guesses, and draw others from strata of like guesses, without replacement.

    Parameters
    ----------
    guesses : ndarray of float, shape (n,)
        Of each row's log density; those that are not finite count as the lowest.
    count : int
        How many to draw, at least 2.
    random_seed : int, optional

    Returns
    -------
    Drawn
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

    Returns
    -------
    Total

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


def _variance(missed: np.ndarray, drawn: Drawn) -> float:
    """Return the variance of the strata's sums: N^2 (1 - m / N) s^2 / m for each of N rows, m of them drawn."""
    counts = np.bincount(drawn.strata, minlength=len(drawn.sizes))
    means = np.bincount(drawn.strata, missed, len(drawn.sizes)) / counts
    squares = np.bincount(drawn.strata, (missed - means[drawn.strata]) ** 2, len(drawn.sizes))
    free = np.maximum(counts - 1, 1)
    return float((drawn.sizes * (drawn.sizes - counts) * squares / free / counts).sum())
