"""Fixed effects, group effects and their sums, one row for each coefficient: `fixef`, `ranef`, `coef`.

Labels are the design's, summaries those of `intervals`. Standard deviations and correlations are left to `variances`.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np
import pandas as pd

from speclet_formula.design.design import Design, GroupBlock, Predictor
from speclet_formula.errors import EstimateError
from speclet_formula.families import Family, inverse_parameter_link, parameter_link
from speclet_formula.families.links import FORWARD_LINKS
from speclet_formula.posterior.convergence import mixing
from speclet_formula.posterior.degrees_of_freedom import (
    Estimated,
    Freedom,
    degrees_of_own,
    named_interval,
    no_degrees,
    quantile_of_t,
    small_sample,
    tail_of_t,
    told_tests,
)
from speclet_formula.posterior.draws import Draws, Fitted, draws_of
from speclet_formula.posterior.estimates import (
    ESTIMATES,
    Array,
    Interval,
    IntervalKind,
    PointEstimates,
    interval_of,
    points_of,
    stack,
    stated_coefficients,
    summarise,
    wald,
    with_interval,
)

FIXEF = ("term", *ESTIMATES, "r_hat", "ess_bulk")
POINT_FIXEF = ("term", *ESTIMATES, "df", "statistic", "p_value")  # of a fit by REML or maximum likelihood
LAPLACE_FIXEF = ("term", *ESTIMATES, "statistic", "p_value")
RANEF = ("grpvar", "term", "grp", "condval", "condsd", "conf_low", "conf_high")
COEF = ("grpvar", "term", "grp", *ESTIMATES)


def fixef(
    fit: Fitted, *, df: Freedom | None = None, ci_prob: float | None = None, ci_kind: IntervalKind | None = None
) -> pd.DataFrame:
    """Summarise the fixed effects, as lme4's `fixef` with a summary's columns.

    Parameters
    ----------
    fit : Fit or PointFit
    df : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
        Degrees of freedom of the tests and intervals of a fit by REML or ML: Satterthwaite's by default, as in
        lmerTest; those of Kenward and Roger (REML alone) adjust the standard errors too, as in pbkrtest; "asymptotic"
        are infinite, by the normal distribution. Of a very large model the default is "asymptotic", and says so.
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

        Of a fit by maximum likelihood: its estimates, standard errors and intervals, so many standard errors to each
        side as a t distribution with these degrees of freedom needs, and instead of the last two columns

        * `df`: degrees of freedom, infinite where they are asymptotic;
        * `statistic`: estimate / std_error, lme4's t value; of a fit by Laplace's approximation, which has no column
          `df`, its z value;
        * `p_value`: the probability of a larger one of either sign if the effect were zero. `.attrs["tests"]` says by
          whose degrees of freedom.

    Raises
    ------
    EstimateError
        `ci_prob`, `ci_kind` or `df` cannot be used, or the posterior lacks a term.

    References
    ----------
    R-hat and effective sample size: Vehtari et al. (2021), doi:10.1214/20-BA1221. Degrees of freedom: Satterthwaite
    (1946), doi:10.2307/3002019, Kenward and Roger (1997), doi:10.2307/2533558, as in lmerTest,
    doi:10.18637/jss.v082.i13, and pbkrtest, doi:10.18637/jss.v059.i09.

    Examples
    --------
    >>> from speclet_formula.posterior.effects import fixef
    >>> fixef(fit, ci_prob=0.95)["term"].to_list()  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['Intercept', 'Days']
    """
    no_degrees(fit, df)
    return summarise_fixed(fit, interval_of(fit, ci_prob, ci_kind), df=df)


def summarise_fixed(
    fit: Fitted,
    interval: Interval,
    most: int | None = None,
    predictors: tuple[Predictor, ...] | None = None,
    df: Freedom | None = None,
) -> pd.DataFrame:
    """Summarise the fixed effects, or the first few: a pooled model has thousands, a print-out shows twenty.

    Parameters
    ----------
    fit : Fit or PointFit
    interval : Interval
    most : int, optional
        Number of rows at which to stop.
    predictors : tuple of Predictor, optional
        Some linear predictors; all of them by default.
    df : str, optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        As `fixef` describes.

    Examples
    --------
    >>> from speclet_formula.posterior.effects import summarise_fixed
    >>> from speclet_formula.posterior.estimates import choose_interval
    >>> len(summarise_fixed(fit, choose_interval(), most=1))  # fit: Reaction ~ Days + (1 + Days | Subject)
    1
    """
    points = points_of(fit)
    if points is not None:
        return _point_fixef(fit, points, interval, most, df)
    rows: list[pd.DataFrame] = []
    draws, parts = draws_of(fit), fit.model.design.predictors if predictors is None else predictors
    for labels, values in (labelled for part in parts for labelled in _labelled(draws, fit.model.design, part)):
        left = None if most is None else most - sum(map(len, rows))
        if left == 0:
            break
        rows.append(_summarised(draws, labels[:left], values[:, :left], interval))
    return stack(rows, FIXEF, interval)


def _labelled(draws: Draws, design: Design, predictor: Predictor) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Go through thresholds and fixed terms, with a label for each of their columns."""
    if design.thresholds and not predictor.name:
        yield design.thresholds, draws.parameter("threshold")
    for term in predictor.fixed:
        yield term.columns, draws.term(term)


def _summarised(draws: Draws, labels: tuple[str, ...], values: Array, interval: Interval) -> pd.DataFrame:
    """Summarise some parameters with their diagnostics."""
    mixed = mixing(np.moveaxis(draws.by_chain(values), -1, 0))
    return summarise(values, interval).assign(term=list(labels), r_hat=mixed.r_hat, ess_bulk=mixed.ess_bulk)


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
        `term`, `estimate`, `std_error` and the ends of Wald's interval, of a number above zero on its logarithm, of a
        share on its logit.

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
        return _point_family(fit.model.family, points, interval)
    draws, named = draws_of(fit), ("sigma", "threshold", *fit.model.design.varying)
    shown = [name for name in fit.model.family.parameters if name not in named]
    return stack([_summarised(draws, (name,), draws.parameter(name), interval) for name in shown], FIXEF, interval)


def monotonic(fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> pd.DataFrame:
    """Summarise the monotonic effects of a fit, mo(x), as brms does: the average step and each step's share of all.

    Parameters
    ----------
    fit : Fit
    ci_prob, ci_kind : optional
        As for `fixef`, which has the steps themselves, on the link's scale.

    Returns
    -------
    pandas.DataFrame
        The columns of `fixef`. For each effect a row `mo(x)`, the average step on the link's scale, whose sign is that
        of all steps (brms' `mox` of the population-level effects), then one for each share, `mo(x)_simplex[2-1]`
        (brms' simplex parameters): a step is the average one times the number of steps times its share.

    Raises
    ------
    EstimateError
        The model has no monotonic effect, or as for `fixef`.

    References
    ----------
    Bürkner and Charpentier (2020), doi:10.1111/bmsp.12195.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> fit = sf.lmer("y ~ mo(dose) + (1 | gene)", data)  # doctest: +SKIP
    >>> sf.monotonic(fit)["term"].to_list()  # doctest: +SKIP
    ['mo(dose)', 'mo(dose)_simplex[1-0]', 'mo(dose)_simplex[2-1]']
    """
    terms = fit.model.design.monotonic
    if not terms:
        raise EstimateError(
            "the model has no monotonic effect.",
            "Those are mo(x), where x is an ordered factor or holds whole numbers.",
            "Write mo(x) in the formula.",
        )
    draws = draws_of(fit)
    rows = [
        _summarised(draws, labels, values, interval_of(fit, ci_prob, ci_kind))
        for term in terms
        for labels, values in zip(((term.name,), term.shares), draws.steps(term), strict=True)
    ]
    return stack(rows, FIXEF, interval_of(fit, ci_prob, ci_kind))


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
        return _point_ranef(fit.model.design, points, interval)
    draws = draws_of(fit)
    rows = [
        summarise(effects, interval).assign(grpvar=block.group, term=term, grp=list(block.levels))
        for block in fit.model.design.factors
        if draws.keeps(block)
        for term, effects in zip(block.terms, draws.effects(block), strict=True)
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
        return _point_coef(fit.model.design, points, interval)
    draws = draws_of(fit)
    rows = [row for part in fit.model.design.predictors for row in _coef_of_predictor(draws, part, interval)]
    return stack(rows, COEF, interval)


def _coef_of_predictor(draws: Draws, predictor: Predictor, interval: Interval) -> Iterator[pd.DataFrame]:
    """Summarise the coefficients of one linear predictor, grouping factor by grouping factor."""
    fixed = dict(zip(predictor.columns, draws.coefficients(predictor).T[:, :, np.newaxis], strict=True))
    groups: dict[str, list[GroupBlock]] = {}
    for block in filter(draws.keeps, predictor.factors):
        groups.setdefault(block.group, []).append(block)
    for blocks in groups.values():
        yield from _coef_of_factor(draws, blocks, fixed, interval)


def _coef_of_factor(
    draws: Draws, blocks: list[GroupBlock], fixed: dict[str, Array], interval: Interval
) -> Iterator[pd.DataFrame]:
    """Summarise one grouping factor's coefficients, term by term."""
    levels = list(blocks[0].levels)
    effects = {term: values for b in blocks for term, values in zip(b.terms, draws.effects(b), strict=True)}
    for term in dict.fromkeys([*fixed, *effects]):
        if term in effects:
            summary = summarise(effects[term] + fixed.get(term, 0.0), interval)
        else:
            summary = summarise(fixed[term], interval)
            summary = summary.loc[summary.index.repeat(len(levels))].reset_index(drop=True)
        yield summary.assign(grpvar=blocks[0].group, term=term, grp=levels)


def _point_fixef(
    fit: Fitted, points: PointEstimates, interval: Interval, most: int | None, df: Freedom | None
) -> pd.DataFrame:
    """Tabulate the fixed effects."""
    design, known = fit.model.design, small_sample(cast("Estimated", fit), df)
    errors = np.sqrt(np.maximum(np.diagonal(known.covariance), 0.0))
    errors[list(points.dropped)] = np.nan
    estimates = np.concatenate([points.thresholds, stated_coefficients(points)])
    errors = np.concatenate([points.threshold_errors, errors])
    freedom = np.concatenate([np.full(len(points.thresholds), np.inf), degrees_of_own(known)])
    frame = with_interval(estimates, errors, interval, quantile_of_t(interval.probability, freedom))
    frame = frame.assign(term=[*design.thresholds, *design.mean.columns], df=freedom)
    frame = frame.assign(statistic=frame["estimate"] / frame["std_error"]).head(len(frame) if most is None else most)
    frame = frame.assign(p_value=tail_of_t(frame["statistic"].to_numpy(), frame["df"].to_numpy()))
    columns = LAPLACE_FIXEF if points.approximate else POINT_FIXEF
    frame = stack([frame] if len(frame) else [], columns, wald(points, interval, named_interval(known)))
    frame.attrs["tests"] = told_tests(known)
    return frame


def _point_ranef(design: Design, points: PointEstimates, interval: Interval) -> pd.DataFrame:
    """Tabulate the conditional modes."""
    rows = [
        with_interval(modes[:, k], sds[:, k], interval).assign(
            grpvar=block.group, term=block.term_of(column), grp=list(block.levels)
        )
        for block, modes, sds in zip(design.mean.groups, points.modes, points.mode_sds, strict=True)
        if not block.smooth
        for k, column in enumerate(block.columns)
    ]
    renamed = [row.rename(columns={"estimate": "condval", "std_error": "condsd"}) for row in rows]
    return stack(renamed, RANEF, wald(points, interval))


def _point_coef(design: Design, points: PointEstimates, interval: Interval) -> pd.DataFrame:
    """Tabulate each level's own coefficients."""
    errors = np.sqrt(np.diagonal(points.covariance))
    errors[list(points.dropped)] = np.nan
    fixed = {
        label: (estimate, error)
        for label, estimate, error in zip(design.mean.columns, stated_coefficients(points), errors, strict=True)
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
    factors: dict[str, tuple[tuple[str, ...], dict[str, tuple[Array, Array]]]] = {}
    for block, modes, sds in zip(design.mean.groups, points.modes, points.sum_sds, strict=True):
        if block.smooth:
            continue
        _, effects = factors.setdefault(block.group, (block.levels, {}))
        effects |= {block.term_of(column): (modes[:, k], sds[:, k]) for k, column in enumerate(block.columns)}
    for group, (levels, effects) in factors.items():
        yield group, levels, effects


def _sums(fixed: tuple[float, float] | None, effects: tuple[Array, Array] | None, n_levels: int) -> tuple[Array, Array]:
    """Return estimates and SDs of fixed plus group effects; either may be absent."""
    if effects is None:
        estimate, error = fixed or (0.0, 0.0)
        return np.full(n_levels, estimate), np.full(n_levels, error)
    return effects[0] + (fixed[0] if fixed else 0.0), effects[1]


def _point_family(family: Family, points: PointEstimates, interval: Interval) -> pd.DataFrame:
    """Tabulate the family's parameters but sigma; Wald's interval is taken through the parameter's link."""
    frames = []
    for name, estimate, error in points.others:
        link, value = parameter_link(family, name) or "identity", np.array([estimate])
        with np.errstate(all="ignore"):  # at the edge of what it can be an estimate has no interval
            slopes = {"log": 1 / value, "logit": 1 / (value * (1 - value)), "identity": np.ones(1)}
            frame = with_interval(FORWARD_LINKS[link](value), error * slopes[link], interval)
            ends = {end: inverse_parameter_link(family, name, frame[end]) for end in ("conf_low", "conf_high")}
        frames.append(frame.assign(term=name, estimate=estimate, std_error=error, **ends))
    return stack(frames, ("term", *ESTIMATES), wald(points, interval))
