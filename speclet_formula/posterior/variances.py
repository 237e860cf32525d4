"""Group effects' standard deviations and correlations, and the residual's: `varcorr`, `sigma`, and shares: `icc`, `r2`.

One row per parameter, laid out as `as.data.frame(VarCorr(.))`.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from speclet_formula.design.design import GroupBlock, Predictor
from speclet_formula.design.merged import column_means
from speclet_formula.errors import EstimateError
from speclet_formula.families import FAMILIES, has_known_errors, is_ordinal, specification_of
from speclet_formula.posterior.draws import Draws, Fitted, FittedModel, draws_of, values_of
from speclet_formula.posterior.estimates import (
    ESTIMATES,
    Array,
    Interval,
    IntervalKind,
    bounds,
    choose_interval,
    interval_of,
    point_estimates,
    points_of,
    stack,
    summarise,
    without_intervals,
)

VARCORR = ("grp", "var1", "var2", "vcov", "sdcor", "conf_low", "conf_high")
SMOOTH = "wiggles"  # of a smooth, around its straight line
CURVE, LENGTH = "curve", "length-scale"  # of a Gaussian process: its SD, and the other in its variable's unit
RESIDUAL, SCALE = "Residual", "Scale"  # the latter where sigma is no standard deviation


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
        * `var1`: the column's label, "Intercept", "Days", "sigma_Intercept", of a smooth "wiggles"; missing for the
          residual;
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
    """Name sigma in tables of variances: "Residual", or "Scale" where the response's SD is another number."""
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
        families "t" and "exgaussian"; of log(y) for the log-normal families. 1.0 for families without a residual scale
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
    if block.smooth:
        yield _row(block.label, CURVE if block.stretches else SMOOTH, None, sds[:, [0]] ** 2, sds[:, [0]], interval)
        if block.stretches:
            length = draws.length_scale(block)
            yield _row(block.label, LENGTH, None, np.full_like(length, np.nan), length, interval)
        return
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


MEASURES = ("measure", *ESTIMATES)


def icc(fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> pd.DataFrame:
    r"""Estimate the intraclass correlation: the groups' share of the variance.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        `measure` ("adjusted", "unadjusted"), `estimate`, `std_error`, `conf_low`, `conf_high`; the last three are
        missing for a PointFit.

    Raises
    ------
    EstimateError
        The family and link have no residual variance on the link's scale here, or sigma has a formula.

    Notes
    -----
    :math:`V_b / (V_b + V_e)`, and unadjusted :math:`V_b / (V_f + V_b + V_e)`, where :math:`V_f` is the variance of the
    fixed part over the rows, :math:`V_b` the mean of :math:`z'\Sigma z` over the rows, and :math:`V_e` the residual
    variance: :math:`\sigma^2`, or that of the distribution on the link's scale: :math:`\pi^2/3` (logit), 1 (probit),
    :math:`\pi^2/6` (cloglog), and for a log link :math:`\log(1 + 1/\mu)` (poisson), :math:`\log(1 + 1/\mu + 1/\alpha)`
    (negative binomial), :math:`\log(1 + 1/\alpha)` (gamma), with :math:`\log \mu` the mean of the linear predictor plus
    half of :math:`V_b` and of the levels with one row each, whose variance belongs to :math:`V_e`.

    References
    ----------
    Nakagawa, Johnson and Schielzeth (2017), doi:10.1098/rsif.2017.0213; random slopes: Johnson (2014),
    doi:10.1111/2041-210X.12225.

    Examples
    --------
    >>> from speclet_formula.posterior.variances import icc
    >>> icc(fit)["measure"].to_list()
    ['adjusted', 'unadjusted']
    """
    fixed, groups, residual = _parts(fit)
    shares = {"adjusted": groups / (groups + residual), "unadjusted": groups / (fixed + groups + residual)}
    return _table(fit, shares, ci_prob, ci_kind)


def r2(fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> pd.DataFrame:
    """Estimate the share of the variance that fixed effects, and fixed with group effects, account for.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        `measure` ("marginal": fixed effects, "conditional": fixed and group effects), `estimate`, `std_error`,
        `conf_low`, `conf_high`; the last three are missing for a PointFit.

    Raises
    ------
    EstimateError
        As for `icc`.

    References
    ----------
    Nakagawa, Johnson and Schielzeth (2017), doi:10.1098/rsif.2017.0213; the variances are those that `icc` describes.

    Examples
    --------
    >>> from speclet_formula.posterior.variances import r2
    >>> r2(fit)["measure"].to_list()
    ['marginal', 'conditional']
    """
    fixed, groups, residual = _parts(fit)
    total = fixed + groups + residual
    return _table(fit, {"marginal": fixed / total, "conditional": (fixed + groups) / total}, ci_prob, ci_kind)


def _table(fit: Fitted, shares: dict[str, Array], ci_prob: float | None, ci_kind: IntervalKind | None) -> pd.DataFrame:
    """Summarise shares, (draws,) each."""
    interval, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    frame = stack([summarise(draws[:, None], interval) for draws in shares.values()], ESTIMATES, interval)
    frame.insert(0, "measure", list(shares))
    return frame if points is None else without_intervals(frame, points, *ESTIMATES[1:])


def _parts(fit: Fitted) -> tuple[Array, Array, Array]:
    """Return the variances of fixed part, groups and residual on the link's scale, draw by draw."""
    _check_family(fit)
    design = fit.model.design
    draws, X = values_of(fit), design.mean.whole  # smooths belong to what the predictors explain
    coefficients = draws.whole(design.mean)
    rows = np.ones(len(X)) if design.merged is None else design.merged.rows
    repeats = None if design.merged is None else rows.astype(np.int64)
    spread = np.cov(X, rowvar=False, fweights=repeats).reshape(X.shape[1], X.shape[1])
    fixed = np.einsum("sj,jk,sk->s", coefficients, spread, coefficients)
    groups, single = np.zeros(len(coefficients)), np.zeros(len(coefficients))
    for block in design.mean.factors:
        sizes = rows if block.relation is None else rows * block.relation.variances[block.codes]
        products = (block.loads.T * sizes) @ block.loads / rows.sum()
        variance = np.einsum("sjk,jk->s", draws.covariances(block), products)
        if len(block.levels) == rows.sum() and block.relation is None:
            single = single + variance
        else:
            groups = groups + variance
    means = column_means(design, X)
    location = coefficients @ means + column_means(design, design.mean.offset) + (groups + single) / 2
    return fixed, groups, single + _residual(fit.model, draws, location)


def _check_family(fit: Fitted) -> None:
    """Refuse families without a residual variance on the link's scale."""
    family, design = fit.model.family, fit.model.design
    varying = [] if design.is_per_level else list(design.varying)
    if family.link not in specification_of(family).latent_variances or varying:
        what = f"{varying[0]} has a formula" if varying else f"the family is {family.name} with the {family.link} link"
        what = "each row has its own" if has_known_errors(family) else what
        known = "; ".join(
            f"{name} ({', '.join(own.latent_variances)})" for name, own in FAMILIES.items() if own.latent_variances
        )
        raise EstimateError(
            f"the model has no single residual variance on the link's scale: {what}.",
            f"Families and links with one: {known}.",
            "Compare models by loo or compare instead, which serve every family.",
        )


def _residual(model: FittedModel, draws: Draws, location: Array) -> Array:
    """Return the residual variance on the link's scale, (draws,), at the mean exp(location)."""
    family = model.family
    own = {} if is_ordinal(family) else {name: draws.parameter(name)[:, 0] for name in family.parameters}
    return np.asarray(specification_of(family).latent_variances[family.link](location, own))
