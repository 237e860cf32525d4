"""The share of the variance that groups and fixed effects account for: `icc` and `r2`.

Variances are on the link's scale, by draw.
"""

import numpy as np
import pandas as pd

from speclet_formula.design.design import GroupBlock
from speclet_formula.design.merged import column_means
from speclet_formula.families import FAMILIES, is_ordinal, specification_of
from speclet_formula.posterior.draws import Fitted, draws_of, pooled, side_draws
from speclet_formula.posterior.intervals import ESTIMATES, Array, EstimateError, IntervalKind, stack, summarise
from speclet_formula.posterior.points import interval_of, points_of
from speclet_formula.posterior.variances import correlation_draws, deviation_draws

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
    if points is not None:
        frame[list(ESTIMATES[1:])] = np.nan
        frame.attrs.update(interval="none", point_estimate=points.criterion)
    return frame


def _parts(fit: Fitted) -> tuple[Array, Array, Array]:
    """Return the variances of fixed part, groups and residual on the link's scale, draw by draw."""
    _check_family(fit)
    design = fit.model.design
    coefficients = _coefficients(fit)
    X = design.mean.X
    rows = np.ones(len(X)) if design.merged is None else design.merged.rows
    repeats = None if design.merged is None else rows.astype(np.int64)
    spread = np.cov(X, rowvar=False, fweights=repeats).reshape(X.shape[1], X.shape[1])
    fixed = np.einsum("sj,jk,sk->s", coefficients, spread, coefficients)
    groups, single = np.zeros(len(coefficients)), np.zeros(len(coefficients))
    for place, block in enumerate(design.mean.groups):
        products = (block.values.T * rows) @ block.values / rows.sum()
        variance = np.einsum("sjk,jk->s", _covariances(fit, block, place), products)
        if len(block.levels) == rows.sum():
            single = single + variance
        else:
            groups = groups + variance
    means = column_means(design, design.mean.X)
    location = coefficients @ means + column_means(design, design.mean.offset) + (groups + single) / 2
    return fixed, groups, single + _residual(fit, location)


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


def _coefficients(fit: Fitted) -> Array:
    """Return the fixed effects, (draws, p)."""
    points = points_of(fit)
    if points is not None:
        return points.coefficients[None]
    posterior = fit.idata["posterior"]
    none = np.empty((posterior.sizes["chain"] * posterior.sizes["draw"], 0))
    return np.hstack([none, *(pooled(draws) for _, draws in side_draws(fit, fit.model.design.mean))])


def _covariances(fit: Fitted, block: GroupBlock, place: int) -> Array:
    """Return the covariances of a level's effects, (draws, columns, columns)."""
    points = points_of(fit)
    if points is not None:
        return points.covariances[place][None]
    deviations = {term: draws[:, 0] for term, draws in deviation_draws(fit, block).items()}
    terms = list(deviations)
    found = np.zeros((len(deviations[terms[0]]), len(terms), len(terms)))
    for k, draws in enumerate(deviations.values()):
        found[:, k, k] = draws**2
    for (first, second), draws in correlation_draws(fit, block).items():
        i, j = terms.index(first), terms.index(second)
        found[:, i, j] = found[:, j, i] = draws[:, 0] * deviations[first] * deviations[second]
    return found


def _parameter(fit: Fitted, name: str) -> Array:
    """Return a parameter of the family, (draws,)."""
    points = points_of(fit)
    if points is None:
        return pooled(draws_of(fit, name))[:, 0]
    if name == "sigma" and points.sigma is not None:
        return np.array([points.sigma])
    return np.array([value for found, value, _ in points.others if found == name])


def _residual(fit: Fitted, location: Array) -> Array:
    """Return the residual variance on the link's scale, (draws,), at the mean exp(location)."""
    family = fit.model.family
    own = {} if is_ordinal(family) else {name: _parameter(fit, name) for name in family.parameters}
    return np.asarray(specification_of(family).latent_variances[family.link](location, own))
