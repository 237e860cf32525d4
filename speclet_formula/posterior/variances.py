"""Standard deviations and correlations of group effects, and the residual's: `varcorr` and `sigma`.

One row per parameter, laid out as `as.data.frame(VarCorr(.))`.
"""

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from speclet_formula.design.design import GroupBlock, Predictor
from speclet_formula.errors import EstimateError
from speclet_formula.families import specification_of
from speclet_formula.posterior.draws import Draws, Fitted, FittedModel, draws_of, values_of
from speclet_formula.posterior.intervals import (
    Array,
    Interval,
    IntervalKind,
    bounds,
    choose_interval,
    point_estimates,
    stack,
)
from speclet_formula.posterior.points import interval_of, points_of, without_intervals

VARCORR = ("grp", "var1", "var2", "vcov", "sdcor", "conf_low", "conf_high")
RESIDUAL, SCALE = "Residual", "Scale"  # the latter of a t response


def varcorr(fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> pd.DataFrame:
    """Summarise standard deviations and correlations, as lme4's `VarCorr`.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per standard deviation, then one per correlation of the same block; blocks in the formula's order
        (lme4 sorts them by number of levels), those of a parameter's own formula after the mean's; the residual last,
        for families that have one and unless sigma has a formula.

        * `grp`: the block, "gene", "gene.1" for a second block over the same factor, or "Residual", of a t
          response "Scale";
        * `var1`: the column's label, "Intercept", "Days", "sigma_Intercept"; missing for the residual;
        * `var2`: the second column of a correlation, else missing;
        * `vcov`: estimate of the variance or covariance, on the squared link scale;
        * `sdcor`: estimate of the standard deviation, on the link's scale, or of the correlation;
        * `conf_low`, `conf_high`: the interval of `sdcor`, which `.attrs["interval"]` names.

        `vcov` is summarised from the draws of the variance, so that it is not the square of `sdcor`. Of a fit by
        maximum likelihood it is, and there are no intervals.

    Raises
    ------
    EstimateError
        `ci_prob` or `ci_kind` cannot be used, or the posterior lacks a parameter.

    Examples
    --------
    >>> from speclet_formula.posterior.variances import varcorr
    >>> varcorr(fit)["grp"].to_list()  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['Subject', 'Subject', 'Subject', 'Residual']
    """
    interval, values = interval_of(fit, ci_prob, ci_kind), values_of(fit)
    rows = [row for block in fit.model.design.blocks for row in _block_rows(values, block, interval)]
    frame = stack([*rows, *_residual_rows(fit.model, values, interval)], VARCORR, interval)
    return frame if (points := points_of(fit)) is None else without_intervals(frame, points, "conf_low", "conf_high")


def summarise_predictor(fit: Fitted, predictor: Predictor, interval: Interval) -> pd.DataFrame:
    """Summarise standard deviations and correlations of one linear predictor; the residual goes with the mean's.

    Parameters
    ----------
    fit : Fit
    predictor : Predictor
    interval : Interval

    Returns
    -------
    pandas.DataFrame
        As `varcorr` describes.
    """
    draws = draws_of(fit)
    rows = [row for block in predictor.groups for row in _block_rows(draws, block, interval)]
    residual = [] if predictor.name else _residual_rows(fit.model, draws, interval)
    return stack([*rows, *residual], VARCORR, interval)


def _residual_rows(model: FittedModel, draws: Draws, interval: Interval) -> list[pd.DataFrame]:
    """Summarise the residual's standard deviation, if it is one number."""
    if not has_residual(model):
        return []
    residual = draws.parameter("sigma")
    return [_row(residual_label(model), None, None, residual**2, residual, interval)]


def residual_label(model: FittedModel) -> str:
    """Name sigma in tables of variances: "Residual", or "Scale" of a t response, whose SD is larger."""
    return RESIDUAL if specification_of(model.family).sigma_is_sd else SCALE


def sigma(fit: Fitted) -> float:
    """Estimate the residual standard deviation.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    float
        On the response's scale, by rcParams["stats.point_estimate"]; the scale, not the standard deviation, for the
        family "t"; of log(y) for the log-normal families. 1.0 for families without a residual scale
        (binomial, poisson, ...), as lme4's `sigma` has it.

    Raises
    ------
    EstimateError
        The posterior lacks sigma, or sigma has a formula of its own.

    Examples
    --------
    >>> from speclet_formula.posterior.variances import sigma
    >>> 20 < sigma(fit) < 30  # fit: Reaction ~ Days + (1 + Days | Subject)
    True
    """
    if "sigma" not in fit.model.family.parameters:
        return 1.0
    if not has_residual(fit.model):
        raise EstimateError(
            "sigma has a formula of its own, so that it is no single number.",
            "Its coefficients are among those of fixef(fit), on the log scale.",
            "For sigma in each row write fitted(fit, parameter='sigma').",
        )
    return float(point_estimates(values_of(fit).parameter("sigma"), choose_interval())[0])


def has_residual(model: FittedModel) -> bool:
    """Tell whether a model has one residual scale."""
    return "sigma" in model.family.parameters and "sigma" not in model.design.varying


def _block_rows(draws: Draws, block: GroupBlock, interval: Interval) -> Iterator[pd.DataFrame]:
    """Summarise a block: its standard deviations, then its correlations."""
    sds, correlation, covariances = draws.sds(block), draws.correlation(block), draws.covariances(block)
    for column, term in enumerate(block.terms):
        yield _row(block.label, term, None, covariances[:, [column], column], sds[:, [column]], interval)
    for pair, (i, j) in enumerate(combinations(range(len(block.terms)), 2) if block.correlated else ()):
        terms = block.terms[i], block.terms[j]
        yield _row(block.label, *terms, covariances[:, [i], j], correlation[:, [pair]], interval)


def _row(grp: str, var1: str | None, var2: str | None, vcov: Array, sdcor: Array, interval: Interval) -> pd.DataFrame:
    """Summarise one standard deviation or correlation."""
    low, high = bounds(sdcor, interval)
    estimates = (point_estimates(vcov, interval)[0], point_estimates(sdcor, interval)[0], low[0], high[0])
    frame = pd.DataFrame([(grp, var1, var2, *estimates)], columns=list(VARCORR))
    # Without a type of their own, columns that are missing throughout could not be stacked with text.
    return frame.astype({"grp": "str", "var1": "str", "var2": "str"})
