"""Estimates and intervals: point estimates, SDs and credible intervals of draws, and what maximum likelihood says.

Mass, kind and point estimate are ArviZ's settings unless the caller says otherwise. Of maximum likelihood a standard
error is lme4's, an interval so many of them to each side; making the estimates is left to `inference`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import NormalDist
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speclet_formula.errors import EstimateError

Array = NDArray[np.float64]
type IntervalKind = Literal["eti", "hdi"]
type PointEstimate = Literal["mean", "median", "mode"]

KINDS = {"eti": "equal-tailed interval", "hdi": "highest-density interval"}
_LABELS = (
    "effect", "group", "level", "term", "grpvar", "grp", "var1", "var2", "measure", "class", "fit", "verdict",
)  # fmt: skip
_COUNTS = ("n_levels", "n_rows", "sign_claims")
ESTIMATES = ("estimate", "std_error", "conf_low", "conf_high")


@dataclass(frozen=True)
class Interval:
    """How draws become an estimate with an interval.

    Attributes
    ----------
    probability : float
        Credible mass, between 0 and 1.
    kind : {"eti", "hdi"}
        Equal-tailed: as much mass below as above. Highest-density: the shortest interval of that mass.
    point : {"mean", "median", "mode"}
        The point estimate.
    """

    probability: float
    kind: IntervalKind
    point: PointEstimate

    def __str__(self) -> str:
        return f"{100 * self.probability:g}% {KINDS[self.kind]}"


@dataclass(frozen=True)
class WaldInterval:
    """An interval around an estimate of maximum likelihood: as many standard errors as a distribution needs.

    Attributes
    ----------
    probability : float
        Coverage that is aimed at, between 0 and 1.
    point : str
        The point estimate, "REML" or "ML".
    by : str
        Whose degrees of freedom its t distribution has, "Satterthwaite"; "" for a normal distribution.
    """

    probability: float
    point: str
    by: str = ""

    def __str__(self) -> str:
        return f"{100 * self.probability:g}% {f't interval ({self.by})' if self.by else 'Wald interval'}"


def choose_interval(ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> Interval:
    """Complete the caller's choice from ArviZ's rcParams.

    Parameters
    ----------
    ci_prob : float, optional
        Credible mass; `stats.ci_prob` by default.
    ci_kind : {"eti", "hdi"}, optional
        Kind of interval; `stats.ci_kind` by default.

    Returns
    -------
    Interval

    Raises
    ------
    EstimateError
        The mass is not between 0 and 1, or the kind does not exist.

    Examples
    --------
    >>> from speclet_formula.posterior.estimates import choose_interval
    >>> str(choose_interval(0.9, "hdi"))
    '90% highest-density interval'
    """
    from arviz_base import rcParams

    return Interval(
        probability=_checked_probability(rcParams["stats.ci_prob"] if ci_prob is None else ci_prob),
        kind=_checked_kind(rcParams["stats.ci_kind"] if ci_kind is None else ci_kind),
        point=rcParams["stats.point_estimate"],
    )


def _checked_probability(ci_prob: Any) -> float:
    """Return the mass, refusing what is none; a percentage gets its own remedy."""
    number = float(ci_prob) if isinstance(ci_prob, (int, float, np.number)) else math.nan
    if 0 < number < 1:
        return number
    percentage = 2 <= number < 100  # noqa: PLR2004
    raise EstimateError(
        f"ci_prob={ci_prob!r} is not a credible mass.",
        "It is a number above 0 and below 1.",
        f"Write ci_prob={number / 100:g}."
        if percentage
        else "Write ci_prob=0.89, or leave it out for ArviZ's setting.",
    )


def _checked_kind(ci_kind: Any) -> IntervalKind:
    """Return the kind, refusing what is none."""
    if isinstance(ci_kind, str) and ci_kind in KINDS:
        return cast(IntervalKind, ci_kind)
    raise EstimateError(
        f"there is no interval of the kind ci_kind={ci_kind!r}.",
        "Kinds: 'eti' (equal-tailed) and 'hdi' (highest density).",
        "Write ci_kind='eti', or leave it out for ArviZ's setting.",
    )


def summarise(draws: Array, interval: Interval) -> pd.DataFrame:
    """Summarise each column of draws.

    Parameters
    ----------
    draws : ndarray of float, shape (draws of all chains, parameters)
    interval : Interval

    Returns
    -------
    pandas.DataFrame
        One row per parameter: `estimate`, `std_error` (the posterior's standard deviation), `conf_low`, `conf_high`.

    Examples
    --------
    >>> import numpy as np
    >>> from speclet_formula.posterior.estimates import Interval, summarise
    >>> summarise(np.arange(5.0)[:, None], Interval(0.5, "eti", "mean")).iloc[0].round(3).to_list()
    [2.0, 1.581, 1.0, 3.0]
    """
    low, high = bounds(draws, interval)
    with np.errstate(invalid="ignore"):
        spread = draws.std(axis=0, ddof=1) if len(draws) > 1 else np.full(draws.shape[1], np.nan)
    values = (point_estimates(draws, interval), spread, low, high)
    return pd.DataFrame(dict(zip(ESTIMATES, values, strict=True)))


def point_estimates(draws: Array, interval: Interval) -> Array:
    """Return the mean, median or mode of each column of draws.

    Parameters
    ----------
    draws : ndarray of float, shape (draws, parameters)
    interval : Interval

    Returns
    -------
    ndarray of float, shape (parameters,)

    Examples
    --------
    >>> import numpy as np
    >>> from speclet_formula.posterior.estimates import Interval, point_estimates
    >>> point_estimates(np.arange(5.0)[:, None], Interval(0.5, "eti", "median")).item()
    2.0
    """
    with np.errstate(invalid="ignore"):
        if interval.point == "mean":
            return np.asarray(draws.mean(axis=0))
        if interval.point == "median":
            return np.asarray(np.median(draws, axis=0))
        return _half_sample_modes(draws)


def bounds(draws: Array, interval: Interval) -> tuple[Array, Array]:
    """Return the lower and upper end of each column's interval.

    Parameters
    ----------
    draws : ndarray of float, shape (draws, parameters)
    interval : Interval

    Returns
    -------
    low, high : ndarray of float, shape (parameters,)
        NaN where a draw is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from speclet_formula.posterior.estimates import Interval, bounds
    >>> low, high = bounds(np.array([[0.0], [1.0], [1.1], [1.2], [9.0]]), Interval(0.4, "hdi", "mean"))
    >>> low.item(), high.item()
    (1.0, 1.2)
    """
    if interval.kind == "eti":
        tail = (1 - interval.probability) / 2
        with np.errstate(invalid="ignore"):
            low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
        return low, high
    return _shortest(draws, interval.probability)


def stack(rows: Sequence[pd.DataFrame], columns: Sequence[str], interval: Interval | WaldInterval) -> pd.DataFrame:
    """Put summaries below each other, their columns in order, and name the interval.

    Parameters
    ----------
    rows : sequence of pandas.DataFrame
    columns : sequence of str
    interval : Interval or WaldInterval

    Returns
    -------
    pandas.DataFrame
        With `.attrs["interval"]`, "89% equal-tailed interval", and `.attrs["point_estimate"]`, "mean".
    """
    frame = pd.concat(rows, ignore_index=True) if rows else without_rows(columns)
    frame = frame[list(columns)]
    frame.attrs.update(interval=str(interval), point_estimate=interval.point)
    return frame


def without_rows(columns: Sequence[str]) -> pd.DataFrame:
    """Return a table without a row whose columns have the types that rows would give them.

    Parameters
    ----------
    columns : sequence of str

    Returns
    -------
    pandas.DataFrame
        Of labels, whole numbers, truth values and, for all other columns, numbers.
    """
    kinds = dict.fromkeys(_LABELS, "str") | dict.fromkeys(_COUNTS, "int64") | {"covered": "bool"}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "float64")) for name in columns})


def _shortest(draws: Array, probability: float) -> tuple[Array, Array]:
    """Find the shortest stretch between two draws that holds the mass."""
    ordered = np.sort(draws, axis=0)
    inside = min(int(np.floor(probability * len(ordered))), len(ordered) - 1)
    with np.errstate(invalid="ignore"):
        widths = ordered[inside:] - ordered[: len(ordered) - inside]
    start = np.argmin(widths, axis=0)[None, :]
    unknown = np.isnan(ordered[-1])
    ends = (np.take_along_axis(ordered, place, axis=0)[0] for place in (start, start + inside))
    low, high = (np.where(unknown, np.nan, end) for end in ends)
    return low, high


def _half_sample_modes(draws: Array) -> Array:
    """Halve the sample, each time to its densest half, until two draws are left (Bickel and Frühwirth 2006)."""
    ordered = np.sort(draws, axis=0)
    while len(ordered) > 2:  # noqa: PLR2004
        half = (len(ordered) + 1) // 2
        start = np.argmin(ordered[half:] - ordered[:-half], axis=0)
        ordered = np.take_along_axis(ordered, start + np.arange(half)[:, None], axis=0)
    return np.asarray(ordered.mean(axis=0))


WALD_MASS = 0.95  # of the intervals of point fits, unless another is asked for: R's level
NOT_ESTIMABLE = "NaN is what the data do not know, emmeans' nonEst: a fixed column was dropped that it needs."
ESTIMABLE = 1e-6  # of a combination's size: what is left of it along a direction that no row shows


@dataclass(frozen=True, eq=False)
class PointEstimates:
    """What maximum likelihood says of a mixed model; p fixed effects, blocks of k columns.

    Attributes
    ----------
    criterion : str
        What was maximised, "REML" or "ML".
    coefficients : ndarray of float, shape (p,)
        Fixed effects, in the order of X.
    covariance : ndarray of float, shape (p, p)
        Their covariance.
    sigma : float or None
        The residual's standard deviation; None for a family without one.
    covariances : tuple of ndarray of float, shape (k, k)
        For each block, the covariance of one level's effects.
    modes : tuple of ndarray of float, shape (levels, k)
        For each block, the effects that are likeliest for these variances.
    mode_sds : tuple of ndarray of float, shape (levels, k)
        Their standard deviations for given variances and fixed effects, as lme4's `condVar`.
    sum_sds : tuple of ndarray of float, shape (levels, k)
        The standard deviations of fixed effect plus group effect for given variances.
    others : tuple of (str, float, float)
        The family's other parameters but sigma: name, estimate and standard error.
    deviation_errors : tuple of ndarray of float
        For each block, the standard errors of its standard deviations, then of its correlations by pairs; empty where
        they were not estimated.
    approximate : bool
        Whether the likelihood is Laplace's approximation; its tests are by z values.
    dropped : tuple of int
        The places of fixed columns that were dropped since earlier ones make them up, as in R. Their coefficients and
        covariances are zero.
    aliases : tuple of ndarray of float, shape (p,)
        For each of them the combination of columns that is zero in every row, with a one at the dropped column.
    thresholds, threshold_errors : ndarray of float, shape (K - 1,)
        Thresholds between K ordered levels and their standard errors; empty for other responses.
    nodes : int
        lme4's `nAGQ`: nodes by which the group effects were integrated, 1 for Laplace's approximation.
    """

    criterion: str
    coefficients: Array
    covariance: Array
    sigma: float | None
    covariances: tuple[Array, ...]
    modes: tuple[Array, ...]
    mode_sds: tuple[Array, ...]
    sum_sds: tuple[Array, ...]
    others: tuple[tuple[str, float, float], ...] = ()
    deviation_errors: tuple[Array, ...] = ()
    approximate: bool = False
    dropped: tuple[int, ...] = ()
    aliases: tuple[Array, ...] = ()
    thresholds: Array = field(default_factory=partial(np.zeros, 0))
    threshold_errors: Array = field(default_factory=partial(np.zeros, 0))
    nodes: int = 1


def points_of(fit: object) -> PointEstimates | None:
    """Return the estimates of a fit by maximum likelihood, or None for one that has draws."""
    estimates = getattr(fit, "estimates", None)
    return estimates if isinstance(estimates, PointEstimates) else None


def stated_coefficients(points: PointEstimates) -> Array:
    """Return the fixed effects; what was dropped has none.

    Parameters
    ----------
    points : PointEstimates

    Returns
    -------
    ndarray of float, shape (p,)
        NaN where a column was dropped.
    """
    coefficients = points.coefficients.copy()
    coefficients[list(points.dropped)] = np.nan
    return coefficients


def estimable(points: PointEstimates, L: Array) -> np.ndarray:
    """Say which combinations of fixed effects the data know, whatever columns were dropped: emmeans' `nonEst`.

    Parameters
    ----------
    points : PointEstimates
    L : ndarray of float, shape (rows, p)

    Returns
    -------
    ndarray of bool, shape (rows,)
    """
    known = np.ones(len(L), dtype=bool)
    for alias in points.aliases:
        known &= np.abs(L @ alias) <= ESTIMABLE * (np.abs(L) @ np.abs(alias))
    return known


def restored(points: PointEstimates, n_columns: int, kept: np.ndarray, aliases: tuple[Array, ...]) -> PointEstimates:
    """Give the columns that were dropped their places again.

    Parameters
    ----------
    points : PointEstimates
        Of the columns that were kept.
    n_columns : int
        p, the number of all columns.
    kept : ndarray of int
    aliases : tuple of ndarray of float, shape (p,)

    Returns
    -------
    PointEstimates
        Of all columns.
    """
    coefficients, covariance = np.zeros(n_columns), np.zeros((n_columns, n_columns))
    dropped = tuple(int(column) for column in np.setdiff1d(np.arange(n_columns), kept))
    coefficients[kept] = points.coefficients
    covariance[np.ix_(kept, kept)] = points.covariance
    return replace(points, coefficients=coefficients, covariance=covariance, dropped=dropped, aliases=aliases)


def interval_of(fit: object, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> Interval:
    """Complete the caller's choice of an interval: of draws by ArviZ's settings, of a point fit with R's 95 %.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `choose_interval`.

    Returns
    -------
    Interval

    Raises
    ------
    EstimateError
        As `choose_interval`.

    Examples
    --------
    >>> from speclet_formula.posterior.estimates import interval_of
    >>> str(interval_of(fit))  # doctest: +SKIP
    '89% equal-tailed interval'
    """
    usual = WALD_MASS if ci_prob is None and points_of(fit) is not None else ci_prob
    return choose_interval(usual, ci_kind)


def wald(points: PointEstimates, interval: Interval, by: str = "") -> WaldInterval:
    """Return the Wald interval of an interval's mass; a normal or t distribution's two kinds are one."""
    return WaldInterval(interval.probability, points.criterion, by)


def with_interval(
    estimates: Array, errors: Array, interval: Interval, reach: Array | float | None = None
) -> pd.DataFrame:
    """Set estimates beside their standard errors and Wald intervals.

    Parameters
    ----------
    estimates, errors : ndarray of float, shape (n,)
    interval : Interval
        Its mass is that of the Wald interval.
    reach : ndarray of float, shape (n,), optional
        How many standard errors there are to each side; by default a normal distribution's.

    Returns
    -------
    pandas.DataFrame
        `estimate`, `std_error`, `conf_low`, `conf_high`.
    """
    reach = (NormalDist().inv_cdf((1 + interval.probability) / 2) if reach is None else reach) * errors
    values = (estimates, errors, estimates - reach, estimates + reach)
    return pd.DataFrame(dict(zip(ESTIMATES, values, strict=True)))


def without_intervals(frame: pd.DataFrame, points: PointEstimates, *columns: str) -> pd.DataFrame:
    """Leave columns of a table empty, in place: so many standard errors to each side say little of a variance."""
    frame[list(columns)] = np.nan
    frame.attrs.update(interval="none", point_estimate=points.criterion)
    return frame
