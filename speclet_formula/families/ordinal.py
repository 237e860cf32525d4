"""Ordered levels 0, 1, ..., K - 1 from K - 1 thresholds and a location: log densities, probabilities, simulations.

The parent parameter is the location, the linear predictor itself: the link is applied to threshold - location.
Thresholds have the shape (..., K - 1); `p["latent"]` is the distribution that the link stands for.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import (
    HALF_LOG_2PI,
    LATENT,
    LATENT_VARIANCES,
    SHARE,
    SHARES,
    Curve,
    Drift,
    Latent,
    Numbers,
    Observations,
    Slopes,
)
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


# --- derivatives ------------------------------------------------------------------------------------------------------

# Of a latent density by its place: its logarithm, and its first and second derivative over itself.
_DENSITIES: Mapping[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]] = {
    "logit": lambda x: (
        special.log_expit(x) + special.log_expit(-x),
        1 - 2 * special.expit(x),
        1 - 6 * special.expit(x) * special.expit(-x),
    ),
    "probit": lambda x: (-0.5 * x**2 - HALF_LOG_2PI, -x, x**2 - 1),
    "cloglog": lambda x: (x - np.exp(x), 1 - np.exp(x), 1 - 3 * np.exp(x) + np.exp(2 * x)),
}


def _between(link: str, lower: np.ndarray, upper: np.ndarray) -> tuple[Slopes, Slopes, Slopes]:
    """Return log(F(upper) - F(lower)) by a shift of both, and of each bound the density over it, derived by the shift.

    Of the bounds' shares value, first and second derivative are given; that of the lower one counts as negative.
    """
    value = _log_between(lower, upper, LATENT[link])
    (high, s, t), (low, v, w) = _DENSITIES[link](upper), _DENSITIES[link](lower)
    high, low = np.exp(high - value), np.exp(low - value)
    first = high - low
    second = high * s - low * v - first**2
    third = high * t - low * w - 3 * first * (second + first**2) + 2 * first**3
    shares = []
    for share, by, again in ((high, s, t), (-low, v, w)):
        turn = by - first  # d log share
        shares.append(Slopes(share, share * turn, share * (turn**2 + again - by**2 - second), 0.0))
    return Slopes(value, first, second, third), shares[0], shares[1]


def _cumulative_curve(link: str) -> Curve:
    """Return the curve of P(y <= k) = F(threshold[k] - eta)."""

    def parts(eta: np.ndarray, observed: Observations, cuts: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        level, last = np.asarray(observed.response, dtype=int), len(cuts)
        density, of_upper, of_lower = np.zeros((3, 4, len(eta)))
        for rows, share, place in ((level == 0, 0, 0), (level == last, 1, last - 1)):
            tail = SHARES[link](cuts[place] - eta[rows])[share]
            density[:, rows] = tail
            (of_lower if share else of_upper)[:3, rows] = tail[1:]
        rows = (level > 0) & (level < last)
        between = _between(link, cuts[level[rows] - 1] - eta[rows], cuts[level[rows]] - eta[rows])
        density[:, rows] = between[0]
        of_upper[:3, rows], of_lower[:3, rows] = between[1][:3], between[2][:3]
        return density, of_upper, of_lower

    def slopes(eta: np.ndarray, observed: Observations, cuts: Numbers) -> Slopes:
        return _against(parts(eta, observed, cuts)[0])

    def drifts(eta: np.ndarray, observed: Observations, cuts: Numbers) -> tuple[Drift, ...]:
        level = np.asarray(observed.response, dtype=int)
        _, of_upper, of_lower = parts(eta, observed, cuts)
        found = (np.where(level == k, of_upper, 0) + np.where(level == k + 1, of_lower, 0) for k in range(len(cuts)))
        return tuple(Drift(*_against(one)[:3]) for one in found)

    return Curve(_nothing, slopes, "cumulative", link, drifts)


def _against(by_shift: np.ndarray) -> Slopes:
    """Turn derivatives by a shift of all thresholds into those by the linear predictor."""
    value, first, second, third = by_shift
    return Slopes(value, -first, second, -third)


def _nothing(_observed: Observations, _cuts: Numbers) -> float:
    return 0.0


def _stopping_curve(link: str) -> Curve:
    """Return the curve of P(y = k | y >= k) = F(threshold[k] - eta)."""

    def parts(eta: np.ndarray, observed: Observations, cuts: Numbers) -> list[np.ndarray]:
        found = []
        for k, cut in enumerate(cuts):
            stopped, passed = SHARES[link](cut - eta)
            still = np.where(observed.response > k, passed, 0.0)
            found.append(np.where(observed.response == k, stopped, still))
        return found

    def slopes(eta: np.ndarray, observed: Observations, cuts: Numbers) -> Slopes:
        return _against(np.sum(parts(eta, observed, cuts), axis=0))

    def drifts(eta: np.ndarray, observed: Observations, cuts: Numbers) -> tuple[Drift, ...]:
        return tuple(Drift(first, -second, third) for _, first, second, third in parts(eta, observed, cuts))

    return Curve(_nothing, slopes, "sratio", link, drifts)


CUMULATIVE = FamilySpecification(
    "cumulative", "p", (THRESHOLD,), SHARE, "ordinal",
    _cumulative, _draw_cumulative,
    Spelling("Categorical", ("p",), "cumulative", clm=True, level="P({y} ≤ k)"),
    _cumulative_probabilities,
    curves={link: _cumulative_curve(link) for link in SHARE},
    latent_variances=LATENT_VARIANCES,
    increasing=True,
    aliases=("ordinal",),
)  # fmt: skip

STOPPING_RATIO = FamilySpecification(
    "sratio", "p", (THRESHOLD.but({"weak": _stopping_shares, "bambi": _threshold_zeros}),), SHARE, "ordinal",
    _stopping_ratio, _draw_stopping_ratio,
    Spelling("Categorical", ("p",), "sratio", level="P({y} = k ∣ {y} ≥ k)"),
    _stopping_probabilities,
    curves={link: _stopping_curve(link) for link in SHARE},
    aliases=("stoppingratio",),
)  # fmt: skip
