"""Ordered levels 0, 1, ..., K - 1 from K - 1 thresholds and a location: log densities, probabilities, simulations.

The parent parameter is the location, the linear predictor itself: the link is applied to threshold - location.
Thresholds have the shape (..., K - 1); `p["latent"]` is the distribution that the link stands for.
"""

from typing import Any

import numpy as np

from speclet_formula.families.links import LATENT_VARIANCES, SHARE, Latent
from speclet_formula.families.specification import (
    THRESHOLD,
    FamilySpecification,
    Measures,
    Parameters,
    Spelling,
    Stated,
    threshold_at,
)


def _distances(location: np.ndarray, threshold: Any) -> np.ndarray:
    """Return threshold - location for each row and threshold: (..., n, K - 1)."""
    cuts = np.asarray(threshold, dtype=float)[..., np.newaxis, :]
    distances: np.ndarray = cuts - np.asarray(location, dtype=float)[..., np.newaxis]
    return distances


def _cumulative(y: np.ndarray, location: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """P(y <= k) = F(threshold[k] - location)."""
    cuts = np.asarray(p["threshold"], dtype=float)
    ends = [np.full((*cuts.shape[:-1], 1), end) for end in (-np.inf, np.inf)]
    bounds = np.concatenate([ends[0], cuts, ends[1]], axis=-1)
    level = np.asarray(y, dtype=int)
    return _log_between(bounds[..., level] - location, bounds[..., level + 1] - location, p["latent"])


def _log_between(lower: np.ndarray, upper: np.ndarray, latent: Latent) -> np.ndarray:
    """Return log(F(upper) - F(lower)), by the tail in which the difference loses fewer digits."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        left = lower + upper < 0
        larger = np.where(left, latent.log_below(upper), latent.log_above(lower))
        smaller = np.where(left, latent.log_below(lower), latent.log_above(upper))
        between: np.ndarray = larger + np.log(-np.expm1(smaller - larger))
    return between


def _stopping_ratio(y: np.ndarray, location: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """P(y = k | y >= k) = F(threshold[k] - location)."""
    latent: Latent = p["latent"]
    cuts = np.asarray(p["threshold"], dtype=float)
    level = np.asarray(y, dtype=int)
    total: Any = 0.0
    for k in range(cuts.shape[-1]):  # one threshold at a time: rows times draws times levels would not fit
        distance = cuts[..., k, np.newaxis] - location
        passed = np.where(level > k, latent.log_above(distance), 0.0)
        total = total + np.where(level == k, latent.log_below(distance), passed)
    return total


def _cumulative_probabilities(location: np.ndarray, p: Parameters) -> Any:
    """Return the probability of each level, (..., n, K)."""
    below = np.exp(p["latent"].log_below(_distances(location, p["threshold"])))
    edge = np.zeros((*below.shape[:-1], 1))
    return np.diff(np.concatenate([edge, below, edge + 1], axis=-1), axis=-1)


def _stopping_probabilities(location: np.ndarray, p: Parameters) -> Any:
    """Return the probability of each level, (..., n, K)."""
    distances = _distances(location, p["threshold"])
    passed = np.cumsum(p["latent"].log_above(distances), axis=-1)
    edge = np.zeros((*distances.shape[:-1], 1))
    stop = np.concatenate([p["latent"].log_below(distances), edge], axis=-1)
    return np.exp(stop + np.concatenate([edge, passed], axis=-1))


def _draw_cumulative(rng: np.random.Generator, location: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw a latent number and count the thresholds below it."""
    latent = p["latent"].quantile(rng.random((*np.shape(location), 1)))
    return (_distances(location, p["threshold"]) < latent).sum(axis=-1)


def _draw_stopping_ratio(rng: np.random.Generator, location: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw at each threshold whether it stops, and count those that were passed before."""
    distances = _distances(location, p["threshold"])
    passed = p["latent"].quantile(rng.random(distances.shape)) > distances
    return np.cumprod(passed, axis=-1).sum(axis=-1)


def _stopping_shares(measures: Measures) -> Stated:
    """Give thresholds' places by the share of each level among the rows at or above it."""
    counts = measures.counts
    return threshold_at(measures, counts[:-1] / np.cumsum(counts[::-1])[::-1][:-1])


def _threshold_zeros(measures: Measures) -> Stated:
    return "Normal", {"mu": np.zeros(len(measures.counts) - 1), "sigma": 1}


CUMULATIVE = FamilySpecification(
    "cumulative", "p", (THRESHOLD,), SHARE, "ordinal",
    _cumulative, _draw_cumulative,
    Spelling("Categorical", ("p",), "cumulative", clm=True, level="P({y} ≤ k)"),
    _cumulative_probabilities,
    latent_variances=LATENT_VARIANCES,
    increasing=True,
    aliases=("ordinal",),
)  # fmt: skip

STOPPING_RATIO = FamilySpecification(
    "sratio", "p", (THRESHOLD.but({"weak": _stopping_shares, "bambi": _threshold_zeros}),), SHARE, "ordinal",
    _stopping_ratio, _draw_stopping_ratio,
    Spelling("Categorical", ("p",), "sratio", level="P({y} = k ∣ {y} ≥ k)"),
    _stopping_probabilities,
    aliases=("stoppingratio",),
)  # fmt: skip
