"""Linear combinations of the fixed effects with their uncertainty, from draws or by Wald's way."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import ndtr

from speclet_formula.design import centre_of
from speclet_formula.design.design import Predictor
from speclet_formula.inference.exact.given_variances import Addend, given_variances, log_signs
from speclet_formula.interpretation.level_effects import least_told
from speclet_formula.posterior.draws import Fitted, draws_of
from speclet_formula.posterior.estimates import (
    ESTIMATES,
    Array,
    Interval,
    PointEstimates,
    WaldInterval,
    estimable,
    points_of,
    stack,
    summarise,
    with_interval,
)

type Function = Callable[[Array], Array]

_STEP = 1e-4  # of a linear predictor; the error of a central difference is its square


@dataclass(frozen=True, eq=False)
class FixedSums:
    """Sums of a fit's fixed effects, L beta + offset.

    Attributes
    ----------
    fit : Fit
    L : ndarray of float, shape (rows, p)
    offset : ndarray of float, shape (rows,)
    """

    fit: Fitted
    L: Array
    offset: Array


@dataclass(frozen=True, eq=False)
class Values:
    """Numbers with their uncertainty; either draws or a normal approximation.

    Attributes
    ----------
    estimates : ndarray of float, shape (rows,)
        Of maximum likelihood; empty where there are draws.
    covariance : ndarray of float, shape (rows, rows)
        Theirs; empty where there are draws.
    draws : ndarray of float, shape (draws of all chains, rows), or None
    criterion : str
        What was maximised, "REML", "ML"; "" where there are draws.
    sums : FixedSums, or None
        What was drawn, where it is nothing but a sum of the mean's fixed effects.
    """

    estimates: Array
    covariance: Array
    draws: Array | None
    criterion: str
    sums: FixedSums | None = None


def combined(fit: Fitted, predictor: Predictor, L: Array, offset: Array) -> Values:
    """Return linear combinations of the fixed effects, L beta + offset.

    Parameters
    ----------
    fit : Fit or PointFit
    predictor : Predictor
        The linear predictor whose effects they are.
    L : ndarray of float, shape (rows, p)
    offset : ndarray of float, shape (rows,)
    """
    points = points_of(fit)
    if points is not None:
        return known_values(points, L, L @ points.coefficients + offset)
    drawn = _drawn(draws_of(fit).coefficients(predictor) @ L.T + offset)
    return replace(drawn, sums=FixedSums(fit, L, offset)) if predictor is fit.model.design.mean else drawn


def known_values(points: PointEstimates, L: Array, estimates: Array) -> Values:
    """Return values whose rows of fixed effects are L, (rows, p); NaN for what the data do not know, emmeans' nonEst.

    Parameters
    ----------
    points : PointEstimates
    L : ndarray of float, shape (rows, p)
        The values' derivatives by the fixed effects.
    estimates : ndarray of float, shape (rows,)
    """
    covariance, unknown = L @ points.covariance @ L.T, ~estimable(points, L)
    covariance[unknown], covariance[:, unknown] = np.nan, np.nan
    return Values(np.where(unknown, np.nan, estimates), covariance, None, points.criterion)


def weighted(values: Values, weights: Array) -> Values:
    """Return weighted sums of values, draw by draw.

    Parameters
    ----------
    values : Values
    weights : ndarray of float, shape (sums, rows)
    """
    if values.draws is not None:
        known = values.sums
        of_fixed = None if known is None else FixedSums(known.fit, weights @ known.L, weights @ known.offset)
        return replace(_drawn(values.draws @ weights.T), sums=of_fixed)
    # Of what the data do not know only the sums that use it are unknown.
    unknown = ((weights != 0) & np.isnan(values.estimates)).any(axis=1)
    covariance = weights @ np.nan_to_num(values.covariance) @ weights.T
    covariance[unknown], covariance[:, unknown] = np.nan, np.nan
    sums = np.where(unknown, np.nan, weights @ np.nan_to_num(values.estimates))
    return Values(sums, covariance, None, values.criterion)


def tabulate(values: Values, interval: Interval, function: Function | None = None) -> pd.DataFrame:
    """Summarise values, or a monotone function of them.

    Parameters
    ----------
    values : Values
    interval : Interval
    function : callable, optional
        Applied to every draw; of estimates of maximum likelihood the standard error is by the delta method, and the
        ends of the interval are the function's values.

    Returns
    -------
    pandas.DataFrame
        `estimate`, `std_error`, `conf_low`, `conf_high`, with the interval's name in `attrs`.
    """
    if values.draws is not None:
        draws = values.draws if function is None else function(values.draws)
        return stack([summarise(draws, interval)], ESTIMATES, interval)
    frame = with_interval(values.estimates, np.sqrt(np.maximum(np.diagonal(values.covariance), 0)), interval)
    if function is not None:
        ends = np.sort(np.stack([function(frame[name].to_numpy()) for name in ("conf_low", "conf_high")]), axis=0)
        slope = np.abs(derivative(function, values.estimates))
        frame = frame.assign(
            estimate=function(values.estimates),
            std_error=slope * frame["std_error"],
            conf_low=ends[0],
            conf_high=ends[1],
        )
    return stack([frame], ESTIMATES, WaldInterval(interval.probability, values.criterion))


def tests_against_zero(values: Values) -> dict[str, Array]:
    """Return how sure the values differ from zero.

    Returns
    -------
    dict of str to ndarray of float, shape (rows,)
        Of draws `p_negative`: of an exact fit's sums of fixed effects a normal probability, averaged over draws of the
        variances, else the share of draws. Of others `statistic`, the z value, and `p_value`, for either sign.
    """
    if values.draws is not None:
        normal = None if values.sums is None else _normal_signs(values.sums)
        return {"p_negative": (values.draws < 0).mean(axis=0) if normal is None else normal}
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = values.estimates / np.sqrt(np.diagonal(values.covariance))
    return {"statistic": statistic, "p_value": 2 * ndtr(-np.abs(statistic))}


def _normal_signs(sums: FixedSums) -> Array | None:
    """Return the probability that each sum is below zero; None of a fit that is not exact, or of no fixed effect."""
    given, mean = given_variances(sums.fit), sums.fit.model.design.mean
    if given is None or not sums.L.any(axis=1).all():
        return None
    places = [(term.variable, column) for term in mean.fixed for column in range(term.stop - term.start)]
    count = len(sums.L)
    addends = [
        Addend(name, np.full(count, column), weights) for (name, column), weights in zip(places, sums.L.T, strict=True)
    ]
    whole = np.flatnonzero((centre_of(sums.fit.model.design) != mean.X).all(axis=1))  # rows where all effects meet
    rows = np.full(count, whole[0] if len(whole) else -1)
    return least_told(log_signs(given, addends, rows, added=sums.offset)[0])


def asymptotic(values: Values) -> str:
    """Say, behind the sentence of a table, that its tests are asymptotic; nothing where there are draws."""
    return "" if values.draws is not None else " Tests are asymptotic (z)."


def told_tests(values: Values) -> dict[str, str]:
    """Say, of a fit by maximum likelihood, what its tests against zero are.

    Returns
    -------
    dict of str to str
        "tests" and the sentence; empty where there are draws.
    """
    if values.draws is not None:
        return {}
    small = "" if values.criterion == "Laplace" else ", too small where there are few groups"
    return {"tests": f"statistic is a z value; p_value is asymptotic, by the normal distribution{small}."}


def derivative(function: Function, at: Array) -> Array:
    """Return the derivative of a smooth function, by a central difference.

    Returns
    -------
    ndarray of float
        Of the same shape.
    """
    return (function(at + _STEP) - function(at - _STEP)) / (2 * _STEP)


def _drawn(draws: Array) -> Values:
    return Values(np.empty(0), np.empty((0, 0)), draws, "")
