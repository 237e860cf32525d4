"""Estimates of maximum likelihood, and the frames that `effects` and `variances` make of draws, made of them.

A standard error is lme4's, an interval so many of them to each side. Making the estimates is left to `inference`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd

from speclet_formula.design.design import Design, GroupBlock
from speclet_formula.posterior.draws import Fitted, term_label
from speclet_formula.posterior.intervals import (
    ESTIMATES,
    Array,
    Interval,
    IntervalKind,
    WaldInterval,
    choose_interval,
    stack,
)

FIXEF = ("term", *ESTIMATES, "statistic")
RANEF = ("grpvar", "term", "grp", "condval", "condsd", "conf_low", "conf_high")
COEF = ("grpvar", "term", "grp", *ESTIMATES)
VARCORR = ("grp", "var1", "var2", "vcov", "sdcor", "conf_low", "conf_high")
PARAMETERS = ("group", "level", "term", *ESTIMATES)
RESIDUAL = "Residual"
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
    """Return the estimates of a fit by maximum likelihood, or None for one that has draws.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    PointEstimates or None
    """
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
    found = points.coefficients.copy()
    found[list(points.dropped)] = np.nan
    return found


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
    dropped = tuple(int(place) for place in np.setdiff1d(np.arange(n_columns), kept))
    coefficients[kept] = points.coefficients
    covariance[np.ix_(kept, kept)] = points.covariance
    return replace(points, coefficients=coefficients, covariance=covariance, dropped=dropped, aliases=aliases)


def interval_of(fit: Fitted, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> Interval:
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
    """Return the Wald interval of an interval's mass; a normal distribution's two kinds are one.

    Parameters
    ----------
    points : PointEstimates
    interval : Interval

    Returns
    -------
    WaldInterval
    """
    return WaldInterval(interval.probability, points.criterion)


def labels_of(design: Design) -> list[str]:
    """Return one label for each fixed effect.

    Parameters
    ----------
    design : Design

    Returns
    -------
    list of str
    """
    return [label for term in design.mean.fixed for label in term.columns]


def point_fixef(design: Design, points: PointEstimates, interval: Interval, most: int | None = None) -> pd.DataFrame:
    """Tabulate the fixed effects.

    Parameters
    ----------
    design : Design
    points : PointEstimates
    interval : Interval
        Its mass is that of the Wald interval.
    most : int, optional
        Number of rows at which to stop.

    Returns
    -------
    pandas.DataFrame
        `term`, `estimate`, `std_error`, `conf_low`, `conf_high`, `statistic` (estimate / std_error, lme4's t value);
        where it is a z value, also `p_value`, with "tests" in `.attrs`, which says that it is asymptotic. NaN for a
        column that was dropped, R's `fixef(add.dropped = TRUE)`.
    """
    errors = np.sqrt(np.diagonal(points.covariance))
    errors[list(points.dropped)] = np.nan
    frame = with_interval(stated_coefficients(points), errors, interval).assign(term=labels_of(design))
    frame = frame.assign(statistic=frame["estimate"] / frame["std_error"]).head(len(frame) if most is None else most)
    columns: tuple[str, ...] = FIXEF
    if points.approximate:
        frame = frame.assign(p_value=[erfc(abs(z) / sqrt(2)) for z in frame["statistic"]])
        columns = (*FIXEF, "p_value")
    frame = stack([frame] if len(frame) else [], columns, wald(points, interval))
    if points.approximate:
        frame.attrs["tests"] = ASYMPTOTIC
    return frame


def point_ranef(design: Design, points: PointEstimates, interval: Interval) -> pd.DataFrame:
    """Tabulate the conditional modes.

    Parameters
    ----------
    design : Design
    points : PointEstimates
    interval : Interval

    Returns
    -------
    pandas.DataFrame
        As `ranef` describes; `condsd` is the standard deviation for given variances and fixed effects.
    """
    rows = [
        with_interval(modes[:, place], sds[:, place], interval).assign(
            grpvar=block.group, term=term_label(column), grp=list(block.levels)
        )
        for block, modes, sds in zip(design.mean.groups, points.modes, points.mode_sds, strict=True)
        for place, column in enumerate(block.columns)
    ]
    renamed = [row.rename(columns={"estimate": "condval", "std_error": "condsd"}) for row in rows]
    return stack(renamed, RANEF, wald(points, interval))


def point_coef(design: Design, points: PointEstimates, interval: Interval) -> pd.DataFrame:
    """Tabulate each level's own coefficients.

    Parameters
    ----------
    design : Design
    points : PointEstimates
    interval : Interval

    Returns
    -------
    pandas.DataFrame
        As `coef` describes; `std_error` is the standard deviation of the sum for given variances.
    """
    errors = np.sqrt(np.diagonal(points.covariance))
    errors[list(points.dropped)] = np.nan
    fixed = {
        label: (estimate, error)
        for label, estimate, error in zip(labels_of(design), stated_coefficients(points), errors, strict=True)
    }
    rows = [
        with_interval(*sums, interval).assign(grpvar=group, term=term, grp=list(levels))
        for group, levels, effects in _by_factor(design, points)
        for term in dict.fromkeys([*fixed, *effects])
        for sums in [_sums(fixed.get(term), effects.get(term), len(levels))]
    ]
    return stack(rows, COEF, wald(points, interval))


def _by_factor(
    design: Design, points: PointEstimates
) -> Iterator[tuple[str, tuple[str, ...], dict[str, tuple[Array, Array]]]]:
    """Go through the grouping factors: name, levels, and by term the modes with the SDs of the sums."""
    found: dict[str, tuple[tuple[str, ...], dict[str, tuple[Array, Array]]]] = {}
    for block, modes, sds in zip(design.mean.groups, points.modes, points.sum_sds, strict=True):
        _, effects = found.setdefault(block.group, (block.levels, {}))
        effects |= {term_label(column): (modes[:, k], sds[:, k]) for k, column in enumerate(block.columns)}
    for group, (levels, effects) in found.items():
        yield group, levels, effects


def _sums(fixed: tuple[float, float] | None, effects: tuple[Array, Array] | None, n_levels: int) -> tuple[Array, Array]:
    """Return estimates and SDs of fixed plus group effects; either may be absent."""
    if effects is None:
        estimate, error = fixed or (0.0, 0.0)
        return np.full(n_levels, estimate), np.full(n_levels, error)
    return effects[0] + (fixed[0] if fixed else 0.0), effects[1]


def point_varcorr(design: Design, points: PointEstimates) -> pd.DataFrame:
    """Tabulate standard deviations and correlations.

    Parameters
    ----------
    design : Design
    points : PointEstimates

    Returns
    -------
    pandas.DataFrame
        As `varcorr` describes, without intervals: `conf_low` and `conf_high` are missing, since so many standard errors
        to each side say little of a variance. `vcov` is the square of `sdcor`.
    """
    rows = [
        row
        for block, matrix in zip(design.mean.groups, points.covariances, strict=True)
        for row in _rows(block, matrix)
    ]
    if points.sigma is not None:
        rows.append((RESIDUAL, None, None, points.sigma**2, points.sigma))
    frame = pd.DataFrame(rows, columns=list(VARCORR[:5])).assign(conf_low=np.nan, conf_high=np.nan)
    frame = frame.astype({"grp": "str", "var1": "str", "var2": "str"})[list(VARCORR)]
    frame.attrs.update(interval="none", point_estimate=points.criterion)
    return frame


def _rows(block: GroupBlock, matrix: Array) -> Iterator[tuple[str, str | None, str | None, float, float]]:
    """Give a block's standard deviations, then its correlations."""
    labels = [term_label(column) for column in block.columns]
    sds = np.sqrt(np.diagonal(matrix))
    for label, sd in zip(labels, sds, strict=True):
        yield block.label, label, None, float(sd**2), float(sd)
    for i, j in combinations(range(len(labels)), 2) if block.correlated else ():
        scale = sds[i] * sds[j]
        correlation = float(np.clip(matrix[i, j] / scale, -1, 1)) if scale > 0 else float("nan")
        yield block.label, labels[i], labels[j], float(matrix[i, j]), correlation


def point_parameters(design: Design, points: PointEstimates, interval: Interval) -> pd.DataFrame:
    """Tabulate standard deviations and correlations under broom.mixed's names.

    Parameters
    ----------
    design : Design
    points : PointEstimates
    interval : Interval

    Returns
    -------
    pandas.DataFrame
        The rows of `tidy` for "ran_pars", without its first column.
    """
    frame = point_varcorr(design, points)
    names = [
        "sd__Observation" if grp == RESIDUAL else f"sd__{var1}" if pd.isna(var2) else f"cor__{var1}.{var2}"
        for grp, var1, var2 in zip(frame["grp"], frame["var1"], frame["var2"], strict=True)
    ]
    frame = frame.rename(columns={"grp": "group", "sdcor": "estimate"})
    errors = _deviation_errors(design, points, len(frame))
    return stack([frame.assign(level=None, term=names, std_error=errors)], PARAMETERS, wald(points, interval))


def point_family(points: PointEstimates, interval: Interval) -> pd.DataFrame:
    """Tabulate the family's parameters but sigma.

    Parameters
    ----------
    points : PointEstimates
    interval : Interval
        Its mass is that of the Wald interval.

    Returns
    -------
    pandas.DataFrame
        `term`, `estimate`, `std_error`, `conf_low`, `conf_high`.
    """
    names, estimates, errors = zip(*points.others, strict=True) if points.others else ((), (), ())
    frame = with_interval(np.array(estimates), np.array(errors), interval).assign(term=list(names))
    return stack([frame], ("term", *ESTIMATES), wald(points, interval))


def _deviation_errors(design: Design, points: PointEstimates, n_rows: int) -> Array:
    """Return the standard errors of the rows of `point_varcorr`; missing where they were not estimated."""
    shown = [
        errors if block.correlated else errors[: len(block.columns)]
        for block, errors in zip(design.mean.groups, points.deviation_errors, strict=False)
    ]
    known = np.fromiter(chain.from_iterable(shown), dtype=np.float64)
    return np.concatenate([known, np.full(n_rows - len(known), np.nan)])


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
