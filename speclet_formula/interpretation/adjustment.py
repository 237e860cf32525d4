"""Tests and intervals of several contrasts at a time: p-values and how far simultaneous intervals reach.

Each method belongs to a family: what is tested together. Of draws there is one, whose intervals hold all differences at
once with the given probability. Making the contrasts is left to `contrasts`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import BarycentricInterpolator
from scipy.optimize import brentq
from scipy.special import chdtrc, fdtrc, ndtri

from speclet_formula.errors import EstimateError, nearest
from speclet_formula.posterior.degrees_of_freedom import quantile_of_t, tail_of_t
from speclet_formula.posterior.estimates import Array

NAMES = {
    "none": "",
    "tukey": "Tukey's method",
    "dunnett": "Dunnett's method",
    "mvt": "the joint t distribution",
    "scheffe": "Scheffé's method",
    "sidak": "Šidák's method",
    "bonferroni": "Bonferroni's method",
    "holm": "Holm's method",
    "fdr": "the false discovery rate (Benjamini and Hochberg)",
}
STEPWISE = ("holm", "fdr")  # their intervals are Bonferroni's, as in emmeans
OF_DRAWS = ("none", "simultaneous")
# Directions in which the joint distribution is looked at, and sizes that stand for them. Against the studentised range
# the error of a p-value is 1e-5 for three contrasts that do not follow from others, 5e-5 for six and 1e-4 for ten.
DIRECTIONS, SIZES = 2**18, 2**13
_FEW_QUANTILES = 12  # that are computed one by one
_SPELLINGS = {"scheffé": "scheffe", "šidák": "sidak", "bh": "fdr", "trt.vs.ctrl": "dunnett", "dunnettx": "dunnett",
              "hsd": "tukey", "simultaneous": "mvt", "joint": "mvt", "single-step": "mvt"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class ContrastFamily:
    """Contrasts that are tested together.

    Attributes
    ----------
    statistic, df : ndarray of float, shape (m,)
        t values and their degrees of freedom, infinite for z values; NaN of what the data do not know.
    correlation : ndarray of float, shape (m, m)
    estimates : int
        How many means or slopes are compared.
    rank : int
        Of the contrasts: how many of them do not follow from others.
    """

    statistic: Array
    df: Array
    correlation: Array
    estimates: int
    rank: int


def checked_adjustment(adjust: object, method: object, *, draws: bool) -> str:
    """Return the name of an adjustment, refusing what is none or does not belong to the contrasts.

    Raises
    ------
    EstimateError
    """
    name = str(adjust).lower()
    if draws:
        if name in ("none", "simultaneous", "mvt"):
            return "none" if name == "none" else "simultaneous"
        raise EstimateError(
            f"adjust={adjust!r} adjusts p-values, and a fit with draws has none.",
            "Of draws: 'none', each interval by itself, and 'simultaneous', which hold all at once.",
            "Write adjust='simultaneous', or leave it out.",
        )
    name = _SPELLINGS.get(name, name)
    if name not in NAMES:
        near = nearest(name, NAMES)
        raise EstimateError(
            f"there is no adjust={adjust!r}.",
            f"Adjustments: {', '.join(map(repr, NAMES))}.",
            f"Write adjust='{near}'." if near else "Leave it out for the one that belongs to the contrasts.",
        )
    belongs = {"tukey": "pairwise", "dunnett": "reference"}.get(name)
    if belongs and method not in (belongs, f"rev{belongs}"):
        raise EstimateError(
            f"adjust='{name}' does not belong to these contrasts.",
            f"It is for method='{belongs}'; 'mvt', 'sidak', 'holm' and 'bonferroni' are for any.",
            "Write adjust='mvt', which takes account of how the contrasts hang together.",
        )
    return name


def adjusted_p(adjust: str, tested: ContrastFamily) -> Array:
    """Return the adjusted p-values, (m,), of either sign.

    Parameters
    ----------
    adjust : str
        One of `NAMES`.
    tested : ContrastFamily

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6:65; Benjamini and Hochberg (1995),
    doi:10.1111/j.2517-6161.1995.tb02031.x; Tukey's is exact where all differences have one variance, Kramer (1956),
    doi:10.2307/3001469; the joint t distribution as in Hothorn, Bretz and Westfall (2008), doi:10.1002/bimj.200810425.
    """
    known = np.isfinite(tested.statistic)
    p = np.full(len(known), np.nan)
    p[known] = _ADJUSTED[adjust](_part(tested, known))
    return p


def reach(adjust: str, probability: float, tested: ContrastFamily) -> Array:
    """Return how many standard errors the adjustment's simultaneous intervals have to each side, (m,)."""
    known = np.isfinite(tested.df)  # also of NaN statistics, since nothing is known of them
    known |= np.isinf(tested.df)
    far = np.full(len(known), np.nan)
    if known.any():
        part = _part(tested, known)
        quantile = _REACH["bonferroni" if adjust in STEPWISE else adjust]
        far[known] = _by_degrees(lambda df: quantile(probability, df, part), part.df)
    return far


def _by_degrees(quantile: Callable[[float], float], df: Array) -> Array:
    """Return the quantiles at many degrees of freedom: of more than a few by a polynomial in their inverse."""
    rounded = np.array([float(f"{value:.9g}") for value in df])
    different, places = np.unique(rounded, return_inverse=True)
    if len(different) <= _FEW_QUANTILES:
        return np.array([quantile(value) for value in different])[places]
    least, most = 1 / different[-1], 1 / different[0]
    nodes = least + (most - least) * (1 + np.cos(np.pi * (np.arange(_FEW_QUANTILES) + 0.5) / _FEW_QUANTILES)) / 2
    values = np.array([quantile(1 / node if node > 0 else np.inf) for node in nodes])
    return np.asarray(BarycentricInterpolator(nodes, values)(1 / different)[places])


def simultaneous(draws: Array, estimates: Array, spreads: Array, probability: float) -> float:
    """Return how many posterior SDs to each side hold all of some numbers at once: the sup-t band.

    Parameters
    ----------
    draws : ndarray of float, shape (draws, m)
    estimates, spreads : ndarray of float, shape (m,)
    probability : float
        Of the draws that lie within all intervals.

    References
    ----------
    Montiel Olea and Plagborg-Møller (2019), doi:10.1002/jae.2656.
    """
    moving = spreads > 0
    if not moving.any():
        return 0.0
    farthest = np.abs((draws[:, moving] - estimates[moving]) / spreads[moving]).max(axis=1)
    return float(np.quantile(farthest, probability, method="inverted_cdf"))


def _part(tested: ContrastFamily, known: np.ndarray) -> ContrastFamily:
    correlation = tested.correlation[np.ix_(known, known)]
    return ContrastFamily(tested.statistic[known], tested.df[known], correlation, tested.estimates, tested.rank)


def _plain(tested: ContrastFamily) -> Array:
    return tail_of_t(tested.statistic, tested.df)


def _holm(tested: ContrastFamily) -> Array:
    p = _plain(tested)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(stepped[np.argsort(order)], 1.0)


def _fdr(tested: ContrastFamily) -> Array:
    p = _plain(tested)
    order = np.argsort(p)[::-1]
    stepped = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    return np.minimum(stepped[np.argsort(order)], 1.0)


def _sidak(tested: ContrastFamily) -> Array:
    return np.asarray(-np.expm1(len(tested.df) * np.log1p(-_plain(tested))))


def _bonferroni(tested: ContrastFamily) -> Array:
    return np.minimum(len(tested.df) * _plain(tested), 1.0)


def _scheffe(tested: ContrastFamily) -> Array:
    return np.array([_tail_of_f(t**2 / tested.rank, tested.rank, df) for t, df in _pairs(tested)])


def _tukey(tested: ContrastFamily) -> Array:
    return np.array([range_tail(np.sqrt(2) * abs(t), tested.estimates, df) for t, df in _pairs(tested)])


def _joint(tested: ContrastFamily) -> Array:
    farthest, rank = _farthest(tested.correlation)
    return np.array([_tail_of_farthest(abs(t), df, farthest, rank) for t, df in _pairs(tested)])


def _pairs(tested: ContrastFamily) -> list[tuple[float, float]]:
    return list(zip(tested.statistic.tolist(), tested.df.tolist(), strict=True))


def _tail_of_f(value: float | Array, rank: int, df: float) -> Array:
    return np.asarray(chdtrc(rank, rank * value) if np.isinf(df) else fdtrc(rank, df, value))


def _farthest(correlation: Array) -> tuple[Array, int]:
    """Return the largest of the contrasts' sizes in many directions, evenly spread, and the contrasts' rank.

    Numbers of a joint t distribution are their direction's times a distance, which is independent of it and whose
    square, over the rank, is F; the distance is left for an exact integral. Sizes come sorted, neighbours as their
    mean.
    """
    return _farthest_of(correlation.tobytes(), len(correlation))


@lru_cache(maxsize=8)
def _farthest_of(correlation: bytes, size: int) -> tuple[Array, int]:
    values, vectors = np.linalg.eigh(np.frombuffer(correlation).reshape(size, size))
    kept = values > 1e-9 * values[-1]
    rows, rank = vectors[:, kept] * np.sqrt(values[kept]), int(kept.sum())
    if rank == 1:
        return np.ones(1), 1
    sizes = np.concatenate([np.abs(directions @ rows.T).max(axis=1) for directions in _directions(rank)])
    return np.sort(sizes).reshape(SIZES, -1).mean(axis=1), rank


def _directions(rank: int) -> Iterator[Array]:
    """Go through points on the sphere, (some, rank), in parts; the same each time."""
    if rank == 2:  # noqa: PLR2004 - half a circle has all
        angles = np.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
        yield np.column_stack([np.cos(angles), np.sin(angles)])
        return
    from scipy.stats import qmc  # here, since it takes a second to load

    points = qmc.Sobol(rank, scramble=True, rng=20_190_307)
    for _ in range(DIRECTIONS // SIZES):
        normal = ndtri(np.clip(points.random(SIZES), 1e-12, 1 - 1e-12))
        yield normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _tail_of_farthest(size: float, df: float, farthest: Array, rank: int) -> float:
    return float(_tail_of_f((size / farthest) ** 2 / rank, rank, df).mean())


def range_tail(value: float, count: int, df: float) -> float:
    """Return the probability of a larger studentised range of `count` normal numbers: R's ptukey.

    Parameters
    ----------
    value : float
    count : int
    df : float
        Degrees of freedom of the standard deviation; infinite for a known one.
    """
    from scipy.stats import studentized_range  # here, since it takes half a second to load

    return float(studentized_range.sf(value, count, df))


def _quantile(tail: Callable[[float], float], probability: float, start: float) -> float:
    """Return where a tail has the rest of the probability, from a value below it."""
    high = start + 1.0
    while tail(high) > 1 - probability:
        high *= 1.5
    return float(brentq(lambda size: tail(size) - (1 - probability), 0.0, high, xtol=1e-9))


def _reach_of_t(probability: float, df: float) -> float:
    return float(quantile_of_t(probability, np.array([df]))[0])


def _reach_of_tukey(probability: float, df: float, tested: ContrastFamily) -> float:
    tail = lambda size: range_tail(np.sqrt(2) * size, tested.estimates, df)  # noqa: E731 - one line
    return _quantile(tail, probability, _reach_of_t(probability, df))


def _reach_of_joint(probability: float, df: float, tested: ContrastFamily) -> float:
    farthest, rank = _farthest(tested.correlation)
    tail = lambda size: _tail_of_farthest(size, df, farthest, rank)  # noqa: E731 - one line
    return _quantile(tail, probability, _reach_of_t(probability, df))


def _reach_of_scheffe(probability: float, df: float, tested: ContrastFamily) -> float:
    tail = lambda size: float(_tail_of_f(size**2 / tested.rank, tested.rank, df))  # noqa: E731 - one line
    return _quantile(tail, probability, _reach_of_t(probability, df))


_ADJUSTED: Mapping[str, Callable[[ContrastFamily], Array]] = {
    "none": _plain,
    "tukey": _tukey,
    "dunnett": _joint,
    "mvt": _joint,
    "scheffe": _scheffe,
    "sidak": _sidak,
    "bonferroni": _bonferroni,
    "holm": _holm,
    "fdr": _fdr,
}
_REACH: Mapping[str, Callable[[float, float, ContrastFamily], float]] = {
    "none": lambda probability, df, _: _reach_of_t(probability, df),
    "tukey": _reach_of_tukey,
    "dunnett": _reach_of_joint,
    "mvt": _reach_of_joint,
    "scheffe": _reach_of_scheffe,
    "sidak": lambda probability, df, tested: _reach_of_t(probability ** (1 / len(tested.df)), df),
    "bonferroni": lambda probability, df, tested: _reach_of_t(1 - (1 - probability) / len(tested.df), df),
}
