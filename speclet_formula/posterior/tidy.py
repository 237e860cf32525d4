"""All estimates in one frame, as broom.mixed's `tidy`."""

from collections.abc import Callable, Sequence
from itertools import chain, combinations

import numpy as np
import pandas as pd

from speclet_formula.design.design import Design
from speclet_formula.errors import EstimateError, nearest
from speclet_formula.posterior.degrees_of_freedom import Freedom, no_degrees
from speclet_formula.posterior.draws import Fitted, values_of
from speclet_formula.posterior.effects import fixef, ranef
from speclet_formula.posterior.estimates import (
    ESTIMATES,
    Array,
    Interval,
    IntervalKind,
    PointEstimates,
    interval_of,
    points_of,
    stack,
    summarise,
    wald,
)
from speclet_formula.posterior.variances import CURVE, LENGTH, RESIDUAL, SMOOTH, has_residual, residual_label

TIDY = ("effect", "group", "level", "term", *ESTIMATES)
PARAMETERS = ("group", "level", "term", *ESTIMATES)
TESTS = ("df", "statistic", "p_value")
LABELS = {"group": "str", "level": "str", "term": "str"}


def tidy(
    fit: Fitted,
    effects: str | Sequence[str] | None = None,
    *,
    conf_int: bool = True,
    exponentiate: bool = False,
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    """Gather all estimates in one frame, as broom.mixed's `tidy`.

    Parameters
    ----------
    fit : Fit or PointFit
    effects : str or sequence of str, optional
        Which to gather, in this order: "fixed" (fixed effects), "ran_pars" (standard deviations and correlations),
        "ran_vals" (group effects by level); all three by default.
    conf_int : bool
        Whether the ends of the intervals are among the columns.
    exponentiate : bool
        Whether the fixed effects and the ends of their intervals are exponentiated: odds ratios on the logit link,
        ratios on the log link. As broom.mixed, it takes the exponential of the summary, not a summary of the
        exponentials (of draws: exp(mean), not the mean of exp), and multiplies `std_error` by it, the delta method.
        The other rows stay on the link's scale.
    df, ci_prob, ci_kind : optional
        As for `fixef`; degrees of freedom are those of fixed effects.

    Returns
    -------
    pandas.DataFrame
        * `effect`: "fixed", "ran_pars" or "ran_vals";
        * `group`: the grouping factor (the block for "ran_pars", "Residual" for sigma, "Scale" of a t response);
          missing for "fixed";
        * `level`: the level's label, for "ran_vals"; else missing;
        * `term`: the term's label ("sigma_Days" for one of the formula of sigma); for "ran_pars" "sd__Intercept",
          "cor__Intercept.Days", "sd__Observation";
        * `estimate`, `std_error`, `conf_low`, `conf_high`: as for `fixef`, on the link's scale unless exponentiated. Of
          a fit by maximum likelihood the last two are missing for "ran_pars", and the standard error unless it is by
          Laplace's approximation;
        * of a fit by maximum likelihood `df` (but for Laplace's approximation), `statistic` and `p_value` of the fixed
          effects as for `fixef`, with "tests" in `.attrs`.

    Raises
    ------
    EstimateError
        An effect that does not exist, or as for `fixef`.

    Examples
    --------
    >>> from speclet_formula.posterior.tidy import tidy
    >>> tidy(fit, "ran_pars")["term"].to_list()  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['sd__Intercept', 'sd__Days', 'cor__Intercept.Days', 'sd__Observation']
    """
    interval = interval_of(fit, ci_prob, ci_kind)
    wanted = (effects,) if isinstance(effects, str) else tuple(_KINDS if effects is None else effects)
    for effect in wanted:
        _check_effect(effect)
    no_degrees(fit, df)
    made = {effect: _KINDS[effect](fit, interval, df) for effect in wanted}
    rows = [row.assign(effect=effect).astype(LABELS) for effect, row in made.items()]
    points = points_of(fit)
    columns = (*TIDY, *(name for name in TESTS if any(name in row for row in rows)))
    filled = [row.reindex(columns=list(columns)) for row in rows if len(row)]
    frame = stack(filled, columns, interval if points is None else wald(points, interval))
    if "p_value" in columns:
        frame.attrs |= {name: made["fixed"].attrs[name] for name in ("tests", "interval")}
    if exponentiate:
        _exponentiate(frame)
    return frame if conf_int else frame.drop(columns=["conf_low", "conf_high"])


def _exponentiate(frame: pd.DataFrame) -> None:
    """Put the fixed effects on the exponential scale, in place: d exp(b) = exp(b) db."""
    fixed = frame["effect"] == "fixed"
    ends = ["estimate", "conf_low", "conf_high"]
    frame.loc[fixed, ends] = np.exp(frame.loc[fixed, ends])
    frame.loc[fixed, "std_error"] *= frame.loc[fixed, "estimate"]


def _check_effect(effect: str) -> None:
    """Refuse what is not a kind of effect."""
    if effect in _KINDS:
        return
    near = nearest(str(effect), _KINDS)
    raise EstimateError(
        f"there is no effect '{effect}'.",
        f"Effects: {', '.join(_KINDS)}.",
        f"Nearest: '{near}'." if near else "Leave effects= out for all of them.",
    )


def _fixed(fit: Fitted, interval: Interval, df: Freedom | None) -> pd.DataFrame:
    """Take the fixed effects."""
    return fixef(fit, df=df, ci_prob=interval.probability, ci_kind=interval.kind).assign(group=None, level=None)


def _parameters(fit: Fitted, interval: Interval, df: Freedom | None) -> pd.DataFrame:
    """Summarise standard deviations and correlations under broom.mixed's names, which have no degrees of freedom."""
    del df
    known, rows = values_of(fit), []
    for block in fit.model.design.blocks:
        names = [f"sd__{term}" for term in block.terms] if not block.smooth else [f"sd__{SMOOTH}"]
        if block.stretches:
            rows.append(summarise(known.sds(block)[:, :1], interval).assign(group=block.label, term=f"sd__{CURVE}"))
            lengths = summarise(known.length_scale(block), interval)
            rows.append(lengths.assign(group=block.label, term=f"{LENGTH}__{CURVE}"))
            continue
        names += [f"cor__{'.'.join(pair)}" for pair in combinations(block.terms, 2) if block.correlated]
        values = np.hstack([known.sds(block)[:, : len(names)], known.correlation(block)])
        for column, name in enumerate(names):
            rows.append(summarise(values[:, [column]], interval).assign(group=block.label, term=name))
    if has_residual(fit.model):
        label = residual_label(fit.model)
        kind = "sd" if label == RESIDUAL else "scale"
        row = summarise(known.parameter("sigma"), interval)
        rows.append(row.assign(group=label, term=f"{kind}__Observation"))
    frame = stack([row.assign(level=None) for row in rows], PARAMETERS, interval)
    if (points := points_of(fit)) is not None:
        frame["std_error"] = _deviation_errors(fit.model.design, points, len(frame))
        frame[["conf_low", "conf_high"]] = np.nan
    return frame


def _values(fit: Fitted, interval: Interval, df: Freedom | None) -> pd.DataFrame:
    """Take the group effects, which have no degrees of freedom."""
    del df
    names = {"grpvar": "group", "grp": "level", "condval": "estimate", "condsd": "std_error"}
    return ranef(fit, ci_prob=interval.probability, ci_kind=interval.kind).rename(columns=names)


def _deviation_errors(design: Design, points: PointEstimates, n_rows: int) -> Array:
    """Return the standard errors of SDs and correlations; missing where they were not estimated, as of the residual."""
    shown = [
        errors if block.correlated or block.stretches else errors[: 1 if block.smooth else len(block.columns)]
        for block, errors in zip(design.mean.groups, points.deviation_errors, strict=False)
    ]
    known = np.fromiter(chain.from_iterable(shown), dtype=np.float64)
    return np.concatenate([known, np.full(n_rows - len(known), np.nan)])


_KINDS: dict[str, Callable[[Fitted, Interval, Freedom | None], pd.DataFrame]] = {
    "fixed": _fixed,
    "ran_pars": _parameters,
    "ran_vals": _values,
}
