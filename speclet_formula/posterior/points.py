"""Estimates of maximum likelihood: what they are, and their intervals.

A standard error is lme4's, an interval so many of them to each side. Making the estimates is left to `inference`.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import pandas as pd

from speclet_formula.posterior.intervals import ESTIMATES, Array, Interval, IntervalKind, WaldInterval, choose_interval

WALD_MASS = 0.95  # of the intervals of point fits, unless another is asked for: R's level
ASYMPTOTIC = "statistic is a z value; p_value is asymptotic, by the normal distribution."
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
    >>> from speclet_formula.posterior.points import interval_of
    >>> str(interval_of(fit))  # a fit with draws
    '89% equal-tailed interval'
    """
    usual = WALD_MASS if ci_prob is None and points_of(fit) is not None else ci_prob
    return choose_interval(usual, ci_kind)


def wald(points: PointEstimates, interval: Interval) -> WaldInterval:
    """Return the Wald interval of an interval's mass; a normal distribution's two kinds are one."""
    return WaldInterval(interval.probability, points.criterion)


def with_interval(estimates: Array, errors: Array, interval: Interval) -> pd.DataFrame:
    """Set estimates beside their standard errors and Wald intervals.

    Parameters
    ----------
    estimates, errors : ndarray of float, shape (n,)
    interval : Interval
        Its mass is that of the Wald interval.

    Returns
    -------
    pandas.DataFrame
        `estimate`, `std_error`, `conf_low`, `conf_high`.
    """
    reach = NormalDist().inv_cdf((1 + interval.probability) / 2) * errors
    values = (estimates, errors, estimates - reach, estimates + reach)
    return pd.DataFrame(dict(zip(ESTIMATES, values, strict=True)))


def without_intervals(frame: pd.DataFrame, points: PointEstimates, *columns: str) -> pd.DataFrame:
    """Leave columns of a table empty, in place: so many standard errors to each side say little of a variance."""
    frame[list(columns)] = np.nan
    frame.attrs.update(interval="none", point_estimate=points.criterion)
    return frame
