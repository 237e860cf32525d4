"""Linear combinations of the fixed effects with their uncertainty, from draws or by Wald's way."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd

from speclet_formula.design import centre_of
from speclet_formula.design.design import Predictor
from speclet_formula.errors import EstimateError
from speclet_formula.inference.exact.given_variances import Addend, given_variances, log_signs
from speclet_formula.inference.smooths import whole_coefficients, whole_covariance
from speclet_formula.interpretation.level_effects import least_told
from speclet_formula.posterior.degrees_of_freedom import (
    Estimated,
    SmallSample,
    degrees,
    named_interval,
    no_degrees,
    quantile_of_t,
    small_sample,
    tail_of_t,
    told_degrees,
    told_tests,
)
from speclet_formula.posterior.draws import Fitted, draws_of
from speclet_formula.posterior.estimates import (
    ESTIMATES,
    Array,
    Interval,
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
    """Numbers with their uncertainty; either draws, or estimates with a normal or t distribution.

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
        What was drawn, where it is nothing but a sum of the mean's fixed effects; of estimates their derivatives.
    known : SmallSample, or None
        How well the estimates' variances are known; None where there are draws.
    """

    estimates: Array
    covariance: Array
    draws: Array | None
    criterion: str
    sums: FixedSums | None = None
    known: SmallSample | None = None


def combined(fit: Fitted, predictor: Predictor, L: Array, offset: Array, df: str | None = None) -> Values:
    """Return linear combinations of the fixed effects and those of smooths, L beta + offset.

    Parameters
    ----------
    fit : Fit or PointFit
    predictor : Predictor
        The linear predictor whose effects they are.
    L : ndarray of float, shape (rows, p)
    offset : ndarray of float, shape (rows,)
    df : str, optional
        Degrees of freedom, as for `marginal_means`.
    """
    points = points_of(fit)
    no_degrees(fit, df)
    if points is not None:
        coefficients = whole_coefficients(fit) if predictor.smooths else points.coefficients
        return known_values(fit, L, L @ coefficients + offset, df)
    drawn = _drawn(draws_of(fit).whole(predictor) @ L.T + offset)
    plain = predictor is fit.model.design.mean and not predictor.smooths
    return replace(drawn, sums=FixedSums(fit, L, offset)) if plain else drawn


def known_values(fit: Fitted, L: Array, estimates: Array, df: str | SmallSample | None = None) -> Values:
    """Return values of a fit without draws; NaN for what the data do not know, emmeans' nonEst.

    Parameters
    ----------
    fit : PointFit
    L : ndarray of float, shape (rows, p)
        The values' derivatives by the fixed effects.
    estimates : ndarray of float, shape (rows,)
    df : str or SmallSample, optional
        As for `marginal_means`, or what was made of it.
    """
    point = cast("Estimated", fit)
    if L.shape[1] > len(point.estimates.coefficients):
        known = known_with_smooths(fit, df)
        return Values(estimates, L @ known.covariance @ L.T, None, point.estimates.criterion, None, known)
    known = (
        df
        if isinstance(df, SmallSample)
        else small_sample(point, df, usual="kenward-roger" if point.method == "reml" else "satterthwaite")
    )
    covariance, unknown = L @ known.covariance @ L.T, ~estimable(point.estimates, L)
    covariance[unknown], covariance[:, unknown] = np.nan, np.nan
    sums = FixedSums(fit, L, np.zeros(len(L)))
    return Values(np.where(unknown, np.nan, estimates), covariance, None, point.estimates.criterion, sums, known)


def known_with_smooths(fit: Fitted, df: str | SmallSample | None) -> SmallSample:
    """Return how well fixed effects and those of smooths are known, for given variances: as mgcv has it.

    Raises
    ------
    EstimateError
        Degrees of freedom are asked for, which curves do not have, or the fit knows no covariance of smooths.
    """
    if isinstance(df, str) and df != "asymptotic":
        raise EstimateError(
            f"df='{df}' is not for models with smooths.",
            "Their curves have normal intervals for given variances, as mgcv's.",
            "Leave df= out, or write df='asymptotic'.",
        )
    covariance = whole_covariance(fit)
    size = len(covariance)
    return SmallSample("asymptotic", covariance, covariance, np.zeros((0, size, size)), np.zeros((0, 0)))


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
    of = None if values.sums is None else replace(values.sums, L=weights @ values.sums.L, offset=np.zeros(len(weights)))
    return replace(values, estimates=sums, covariance=covariance, sums=of)


def degrees_of(values: Values) -> Array:
    """Return the degrees of freedom of values without draws, (rows,); NaN of what the data do not know."""
    if values.known is None or values.sums is None:
        return np.full(len(values.estimates), np.inf)
    return np.where(np.isnan(values.estimates), np.nan, degrees(values.known, values.sums.L))


def is_approximate(values: Values) -> bool:
    """Tell whether values are of Laplace's approximation, whose tests are by z."""
    points = None if values.sums is None else points_of(values.sums.fit)
    return points is not None and points.approximate


def errors_of(values: Values) -> Array:
    """Return the standard errors of values without draws, (rows,)."""
    return np.sqrt(np.maximum(np.diagonal(values.covariance), 0))


def tabulate(
    values: Values, interval: Interval, function: Function | None = None, reach: Array | None = None
) -> pd.DataFrame:
    """Summarise values, or a monotone function of them.

    Parameters
    ----------
    values : Values
    interval : Interval
    function : callable, optional
        Applied to every draw; of estimates of maximum likelihood the standard error is by the delta method, and the
        ends of the interval are the function's values.
    reach : ndarray of float, shape (rows,), optional
        How many standard errors the interval has to each side, where it is simultaneous.

    Returns
    -------
    pandas.DataFrame
        `estimate`, `std_error`, `conf_low`, `conf_high`, and of estimates after REML or ML `df`, with the interval's
        name in `attrs`, and under "degrees" what the degrees of freedom are.
    """
    if values.draws is not None:
        return _tabulated_draws(values.draws, interval, function, reach)
    df = degrees_of(values)
    reach = quantile_of_t(interval.probability, df) if reach is None else reach
    frame = with_interval(values.estimates, errors_of(values), interval, reach)
    if function is not None:
        ends = np.sort(np.stack([function(frame[name].to_numpy()) for name in ("conf_low", "conf_high")]), axis=0)
        slope = np.abs(derivative(function, values.estimates))
        frame = frame.assign(
            estimate=function(values.estimates),
            std_error=slope * frame["std_error"],
            conf_low=ends[0],
            conf_high=ends[1],
        )
    return _with_degrees(frame, df, values, interval)


def _tabulated_draws(draws: Array, interval: Interval, function: Function | None, reach: Array | None) -> pd.DataFrame:
    """Summarise draws; simultaneous intervals are made where the draws are sums, and taken through the function."""
    frame = stack([summarise(draws if function is None else function(draws), interval)], ESTIMATES, interval)
    if reach is None:
        return frame
    centre, spread = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    ends = [centre - reach * spread, centre + reach * spread]
    ends = ends if function is None else list(np.sort(np.stack([function(end) for end in ends]), axis=0))
    frame = frame.assign(conf_low=ends[0], conf_high=ends[1])
    frame.attrs.update(interval=f"{100 * interval.probability:g}% simultaneous interval")
    return frame


def _with_degrees(frame: pd.DataFrame, df: Array, values: Values, interval: Interval) -> pd.DataFrame:
    """Add the degrees of freedom, and say what they are; a fit by Laplace's approximation has none."""
    by = "" if values.known is None else named_interval(values.known)
    columns = ESTIMATES if is_approximate(values) else (*ESTIMATES, "df")
    frame = stack([frame.assign(df=df)], columns, WaldInterval(interval.probability, values.criterion, by))
    if values.known is not None and (told := told_degrees(values.known)):
        frame.attrs["degrees"] = told
    return frame


def tests_against_zero(values: Values) -> dict[str, Array]:
    """Return how sure the values differ from zero.

    Returns
    -------
    dict of str to ndarray of float, shape (rows,)
        Of draws `p_negative`: of an exact fit's sums of fixed effects a normal probability, averaged over draws of the
        variances, else the share of draws. Of others `statistic`, the t or z value, and `p_value`, for either sign.
    """
    if values.draws is not None:
        normal = None if values.sums is None else _normal_signs(values.sums)
        return {"p_negative": (values.draws < 0).mean(axis=0) if normal is None else normal}
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = values.estimates / np.sqrt(np.diagonal(values.covariance))
    return {"statistic": statistic, "p_value": tail_of_t(statistic, degrees_of(values))}


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


def tested_by(values: Values) -> str:
    """Say, behind the sentence of a table, by what its tests are; nothing where there are draws."""
    if values.draws is not None:
        return ""
    if values.known is None or values.known.method == "asymptotic":
        return " Tests are asymptotic (z)."
    return f" Degrees of freedom are {named_interval(values.known)}'s."


def told_of(values: Values) -> dict[str, str]:
    """Say, of a fit by maximum likelihood, what its tests against zero are.

    Returns
    -------
    dict of str to str
        "tests" and the sentence; empty where there are draws.
    """
    return {} if values.known is None else {"tests": told_tests(values.known)}


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
