"""The share of the variance that groups and fixed effects account for: `icc` and `r2`.

Variances are on the link's scale, by draw.
"""

import numpy as np
import pandas as pd

from speclet_formula.design.merged import column_means
from speclet_formula.errors import EstimateError
from speclet_formula.families import FAMILIES, is_ordinal, specification_of
from speclet_formula.posterior.draws import Draws, Fitted, FittedModel, values_of
from speclet_formula.posterior.intervals import ESTIMATES, Array, IntervalKind, stack, summarise
from speclet_formula.posterior.points import interval_of, points_of, without_intervals

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
    >>> from speclet_formula.posterior.r2 import icc
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
    >>> from speclet_formula.posterior.r2 import r2
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
    draws, X = values_of(fit), design.mean.X
    coefficients = draws.coefficients(design.mean)
    rows = np.ones(len(X)) if design.merged is None else design.merged.rows
    repeats = None if design.merged is None else rows.astype(np.int64)
    spread = np.cov(X, rowvar=False, fweights=repeats).reshape(X.shape[1], X.shape[1])
    fixed = np.einsum("sj,jk,sk->s", coefficients, spread, coefficients)
    groups, single = np.zeros(len(coefficients)), np.zeros(len(coefficients))
    for block in design.mean.groups:
        products = (block.values.T * rows) @ block.values / rows.sum()
        variance = np.einsum("sjk,jk->s", draws.covariances(block), products)
        if len(block.levels) == rows.sum():
            single = single + variance
        else:
            groups = groups + variance
    means = column_means(design, X)
    location = coefficients @ means + column_means(design, design.mean.offset) + (groups + single) / 2
    return fixed, groups, single + _residual(fit.model, draws, location)


def _check_family(fit: Fitted) -> None:
    """Refuse families without a residual variance on the link's scale."""
    family, varying = fit.model.family, list(fit.model.design.varying)
    if family.link not in specification_of(family).latent_variances or varying:
        what = f"{varying[0]} has a formula" if varying else f"the family is {family.name} with the {family.link} link"
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
