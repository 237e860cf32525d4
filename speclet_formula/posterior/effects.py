"""Fixed effects, group effects and their sums, one row for each coefficient: `fixef`, `ranef`, `coef`.

Labels are the design's, summaries those of `intervals`. Standard deviations and correlations are left to `variances`.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from speclet_formula.design.design import GroupBlock, Predictor
from speclet_formula.posterior.convergence import mixing
from speclet_formula.posterior.draws import Fitted, draws_of, group_draws, has_draws, pooled, side_draws
from speclet_formula.posterior.intervals import ESTIMATES, Array, Interval, IntervalKind, stack, summarise
from speclet_formula.posterior.points import (
    COEF,
    RANEF,
    interval_of,
    point_coef,
    point_family,
    point_fixef,
    point_ranef,
    points_of,
)

FIXEF = ("term", *ESTIMATES, "r_hat", "ess_bulk")


def fixef(fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> pd.DataFrame:
    """Summarise the fixed effects, as lme4's `fixef` with a summary's columns.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob : float, optional
        Mass of the interval; by default ArviZ's rcParams["stats.ci_prob"], of a fit by maximum likelihood 0.95, as in
        R. `.attrs["interval"]` says which it is.
    ci_kind : {"eti", "hdi"}, optional
        Equal-tailed or highest-density; ArviZ's rcParams["stats.ci_kind"] by default.

    Returns
    -------
    pandas.DataFrame
        One row per column of the fixed part, in the formula's order, on the link's scale:

        * `term`: its label, "Intercept", "Days", "control[other]"; of an ordinal model first its thresholds,
          "low|middle", as R's ordinal has them; terms of a parameter's own formula follow, with its name before theirs
          and on its link's scale, "sigma_Intercept";
        * `estimate`: the posterior's mean, median or mode, by rcParams["stats.point_estimate"];
        * `std_error`: the posterior's standard deviation;
        * `conf_low`, `conf_high`: the interval, which `.attrs["interval"]` names;
        * `r_hat`, `ess_bulk`: rank-normalised R-hat (NaN for one chain) and bulk effective sample size, in draws.

        Of a fit by maximum likelihood: its estimates, standard errors and Wald intervals, and instead of the last two
        columns `statistic`, estimate / std_error, lme4's t value; of one by Laplace's approximation its z value, and
        `p_value`, the probability of a larger one of either sign if the effect were zero; "tests" in `.attrs` says that
        it is asymptotic.

    Raises
    ------
    EstimateError
        `ci_prob` or `ci_kind` cannot be used, or the posterior lacks a term.

    References
    ----------
    R-hat and effective sample size: Vehtari et al. (2021), doi:10.1214/20-BA1221.

    Examples
    --------
    >>> from speclet_formula.posterior.effects import fixef
    >>> fixef(fit, ci_prob=0.95)["term"].to_list()  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['Intercept', 'Days']
    """
    return summarise_fixed(fit, interval_of(fit, ci_prob, ci_kind))


def summarise_fixed(
    fit: Fitted, interval: Interval, most: int | None = None, predictor: Predictor | None = None
) -> pd.DataFrame:
    """Summarise the fixed effects, or the first few: a pooled model has thousands, a print-out shows twenty.

    Parameters
    ----------
    fit : Fit or PointFit
    interval : Interval
    most : int, optional
        Number of rows at which to stop.
    predictor : Predictor, optional
        One linear predictor, the mean's or that of a parameter; all of them by default.

    Returns
    -------
    pandas.DataFrame
        As `fixef` describes.

    Examples
    --------
    >>> from speclet_formula.posterior.effects import summarise_fixed
    >>> from speclet_formula.posterior.intervals import choose_interval
    >>> len(summarise_fixed(fit, choose_interval(), most=1))  # fit: Reaction ~ Days + (1 + Days | Subject)
    1
    """
    points = points_of(fit)
    if points is not None:
        return point_fixef(fit.model.design, points, interval, most)
    rows: list[pd.DataFrame] = []
    parts = fit.model.design.predictors if predictor is None else (predictor,)
    for labels, draws in (labelled for part in parts for labelled in _labelled(fit, part)):
        left = None if most is None else most - sum(map(len, rows))
        if left == 0:
            break
        rows.append(_summarised(labels[:left], draws[..., :left], interval))
    return stack(rows, FIXEF, interval)


def _labelled(fit: Fitted, predictor: Predictor) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Go through thresholds and fixed terms, with a label for each of their columns."""
    if not predictor.name and fit.model.design.levels:
        yield fit.model.design.thresholds, draws_of(fit, "threshold")
    for term, draws in side_draws(fit, predictor):
        yield term.columns, draws


def _summarised(labels: tuple[str, ...], draws: Array, interval: Interval) -> pd.DataFrame:
    """Summarise some parameters with their diagnostics."""
    found = mixing(np.moveaxis(draws, -1, 0))
    summary = summarise(pooled(draws), interval)
    return summary.assign(term=list(labels), r_hat=found.r_hat, ess_bulk=found.ess_bulk)


def family_parameters(
    fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None
) -> pd.DataFrame:
    """Summarise what a family has beside mean, residual SD and thresholds: nu, alpha, kappa, psi, ...

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        The columns of `fixef`, one row per parameter, named as Bambi names it, on its own scale. Of families such as
        gaussian and poisson no rows; nor of a parameter with a formula of its own. Of a fit by Laplace's approximation
        `term`, `estimate`, `std_error` and the ends of Wald's interval.

        * `alpha`: shape; for counts the variance is mu + mu^2 / alpha;
        * `kappa`: precision of beta families and of angles; asymmetry of an asymmetric Laplace;
        * `lam`: precision of an inverse Gaussian; `b`: rate of an asymmetric Laplace; `nu`: degrees of freedom;
        * `psi`: share of the rows that come from the distribution proper; brms' `zi` and `hu` are 1 - psi.

    Raises
    ------
    EstimateError
        As for `fixef`.

    Examples
    --------
    >>> from speclet_formula.posterior.effects import family_parameters
    >>> len(family_parameters(fit))  # fit: Reaction ~ Days + (1 + Days | Subject)
    0
    """
    interval, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    if points is not None:
        return point_family(points, interval)
    varying = fit.model.design.varying
    shown = [name for name in fit.model.family.parameters if name not in ("sigma", "threshold", *varying)]
    return stack([_summarised((name,), draws_of(fit, name), interval) for name in shown], FIXEF, interval)


def ranef(fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> pd.DataFrame:
    """Summarise the effect of every level of every grouping factor, as lme4's `ranef`.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per level and column of a group block, on the link's scale. Blocks and their columns stand in the
        formula's order (lme4 sorts them by number of levels), levels in the data's. Of a fit with `keep`, the factors
        that it kept.

        * `grpvar`: the grouping factor, "gene:sgRNA";
        * `term`: the column's label, "Intercept", "Days";
        * `grp`: the level's label;
        * `condval`, `condsd`: estimate and standard deviation of the effect. Where the group's prior has a mean, the
          effect includes it;
        * `conf_low`, `conf_high`: the interval, which `.attrs["interval"]` names.

        Of a fit by maximum likelihood: the conditional modes, with their standard deviations for given variances and
        fixed effects, lme4's `condVar`.

    Raises
    ------
    EstimateError
        As for `fixef`.

    Examples
    --------
    >>> from speclet_formula.posterior.effects import ranef
    >>> ranef(fit).query("grp == '308'")["term"].to_list()  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['Intercept', 'Days']
    """
    interval, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    if points is not None:
        return point_ranef(fit.model.design, points, interval)
    rows = [
        summarise(draws, interval).assign(grpvar=block.group, term=term, grp=list(block.levels))
        for block in fit.model.design.blocks
        if has_draws(fit, block)
        for term, draws in group_draws(fit, block)
    ]
    renamed = [row.rename(columns={"estimate": "condval", "std_error": "condsd"}) for row in rows]
    return stack(renamed, RANEF, interval)


def coef(fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> pd.DataFrame:
    """Summarise each level's own coefficients, fixed effect plus group effect, as lme4's `coef`.

    The two are added draw by draw, so that the interval is that of the sum. Terms are matched by label. As in lme4
    each grouping factor stands for itself: the coefficients of `gene:sgRNA` do not include the effects of `gene`,
    and a fixed term without a group effect appears with the same value for every level.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per grouping factor, term and level, on the link's scale: the factors in the formula's order; for
        each the fixed terms, then the group's terms that have no fixed effect (their fixed part is 0). Of a fit with
        `keep`, the factors that it kept.

        * `grpvar`, `term`, `grp`: grouping factor, term's label and level's label;
        * `estimate`, `std_error`, `conf_low`, `conf_high`: as for `fixef`; of a fit by maximum likelihood the standard
          error of the sum for given variances.

    Raises
    ------
    EstimateError
        As for `fixef`.

    Examples
    --------
    >>> from speclet_formula.posterior.effects import coef
    >>> len(coef(fit).query("term == 'Days'"))  # fit: Reaction ~ Days + (1 + Days | Subject), 18 subjects
    18
    """
    interval, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    if points is not None:
        return point_coef(fit.model.design, points, interval)
    rows = [row for predictor in fit.model.design.predictors for row in _coef_of_side(fit, predictor, interval)]
    return stack(rows, COEF, interval)


def _coef_of_side(fit: Fitted, predictor: Predictor, interval: Interval) -> list[pd.DataFrame]:
    """Summarise the coefficients of one linear predictor, grouping factor by grouping factor."""
    fixed = {
        label: pooled(draws)[:, [place]]
        for term, draws in side_draws(fit, predictor)
        for place, label in enumerate(term.columns)
    }
    groups: dict[str, list[GroupBlock]] = {}
    for block in predictor.groups:
        if not has_draws(fit, block):
            continue
        groups.setdefault(block.group, []).append(block)
    return [row for blocks in groups.values() for row in _coef_of_factor(fit, blocks, fixed, interval)]


def _coef_of_factor(
    fit: Fitted, blocks: list[GroupBlock], fixed: dict[str, Array], interval: Interval
) -> list[pd.DataFrame]:
    """Summarise one grouping factor's coefficients, term by term."""
    levels = list(blocks[0].levels)
    effects = {term: draws for block in blocks for term, draws in group_draws(fit, block)}
    rows = []
    for term in dict.fromkeys([*fixed, *effects]):
        if term in effects:
            summary = summarise(effects[term] + fixed.get(term, 0.0), interval)
        else:
            summary = summarise(fixed[term], interval)
            summary = summary.loc[summary.index.repeat(len(levels))].reset_index(drop=True)
        rows.append(summary.assign(grpvar=blocks[0].group, term=term, grp=levels))
    return rows
