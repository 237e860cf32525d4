r"""Ranks go in; the exact simultaneous band of their ECDF, and how likely uniform ranks stray so far, come out.

N ranks, each of 0, ..., S and uniform: the number C_k of ranks up to k is binomial with p_k = (k + 1) / (S + 1), and
C_0, C_1, ... is a Markov chain, so that the probability of staying between bounds at all k is a product of matrices.
Säilynoja, Bürkner & Vehtari (2022), doi:10.1007/s11222-022-10090-6. Where ranks come from is left to others.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.special import gammaln

BISECTIONS = 18  # of the logarithm of the band's pointwise level: to a part in 10^4
SHORT = 1e-9  # a tail probability this much above the limit is the same but for rounding


@dataclass(frozen=True, eq=False)
class Band:
    """Bounds of the ECDF of N uniform ranks that hold at all points at once with a stated probability."""

    points: np.ndarray  # (S,) shares (k + 1) / (S + 1), k = 0, ..., S - 1
    lower: np.ndarray  # (S,) lowest share of ranks up to k
    upper: np.ndarray  # (S,)
    level: float


def ecdf(ranks: np.ndarray, n_draws: int) -> np.ndarray:
    """Return the share of ranks up to k = 0, ..., S - 1, (S,), for ranks (N,) among S draws.

    Examples
    --------
    >>> ecdf(np.array([0, 0, 2, 3]), 3).tolist()
    [0.5, 0.5, 0.75]
    """
    return np.asarray(np.cumsum(np.bincount(ranks, minlength=n_draws + 1))[:-1] / len(ranks))


@lru_cache(maxsize=32)
def ecdf_band(n_ranks: int, n_draws: int, level: float) -> Band:
    """Return the simultaneous band of the ECDF of uniform ranks.

    Parameters
    ----------
    n_ranks : int
        N, the number of ranks.
    n_draws : int
        S, the number of draws that each was ranked among.
    level : float
        Probability that uniform ranks stay inside at all points.

    Returns
    -------
    Band
        The narrowest whose pointwise tails are all alike; it holds `level` or, since counts are whole numbers, a
        little more.

    Examples
    --------
    >>> band = ecdf_band(100, 9, 0.95)
    >>> print(band.lower[4].round(2), band.upper[4].round(2))
    0.37 0.63
    """
    low, high = (1 - level) / n_draws, 1.0  # Bonferroni's level is always narrow enough
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(low * high))
        inside = _probability_inside(n_ranks, *_bounds(n_ranks, n_draws, middle))
        low, high = (middle, high) if inside >= level else (low, middle)
    lower, upper = _bounds(n_ranks, n_draws, low)
    return Band(_shares(n_draws), lower / n_ranks, upper / n_ranks, level)


def uniformity(ranks: np.ndarray, n_draws: int) -> float:
    """Return the exact p-value of uniform ranks, by the largest departure of their ECDF.

    Parameters
    ----------
    ranks : array of int, shape (N,)
        Each of 0, ..., S.
    n_draws : int
        S.

    Returns
    -------
    float
        The probability that N uniform ranks somewhere stray as far as these do, in terms of the pointwise binomial
        tails; NaN without ranks.

    Examples
    --------
    >>> uniformity(np.zeros(20, dtype=int), 9) < 1e-10
    True
    """
    if not len(ranks):
        return float("nan")
    counts = np.rint(ecdf(ranks, n_draws) * len(ranks)).astype(int)
    below, above = _tails(len(ranks), n_draws)
    where = np.arange(n_draws)
    smallest = float(2 * np.minimum(below[where, counts], above[where, counts]).min())
    return float(np.clip(1 - _probability_inside(len(ranks), *_bounds(len(ranks), n_draws, smallest)), 0, 1))


def _shares(n_draws: int) -> np.ndarray:
    return np.arange(1, n_draws + 1) / (n_draws + 1)


@lru_cache(maxsize=8)
def _tails(n: int, n_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return P(C_k <= c) and P(C_k >= c), (S, n + 1) each."""
    counts, shares = np.arange(n + 1), _shares(n_draws)[:, None]
    return stats.binom.cdf(counts, n, shares), stats.binom.sf(counts - 1, n, shares)


def _bounds(n: int, n_draws: int, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest counts (S,) whose two tail probabilities are above the limit."""
    below, above = _tails(n, n_draws)
    beyond = limit * (1 + SHORT)
    return (2 * below <= beyond).sum(axis=1), (2 * above > beyond).sum(axis=1) - 1


def _probability_inside(n: int, lower: np.ndarray, upper: np.ndarray) -> float:
    """Return the probability that uniform ranks have counts from lower to upper at all points."""
    if (lower > upper).any():
        return 0.0
    logs = gammaln(np.arange(n + 1) + 1.0)  # of factorials
    known, mass = np.zeros(1, dtype=int), np.ones(1)
    for k, (first, last) in enumerate(zip(lower, upper, strict=True)):
        share = 1 / (len(lower) + 1 - k)  # of the ranks above k - 1, those that are k
        counts = np.arange(first, last + 1)
        added, left = counts[None] - known[:, None], n - known[:, None]
        rest = left - added
        possible = (added >= 0) & (rest >= 0)
        log_mass = (
            logs[left] - logs[np.maximum(added, 0)] - logs[np.maximum(rest, 0)]
            + added * np.log(share) + rest * np.log1p(-share)
        )  # fmt: skip
        mass = mass @ np.where(possible, np.exp(np.where(possible, log_mass, 0.0)), 0.0)
        known = counts
    return float(mass.sum())
