"""Effects over rows: what a fit predicts for the rows of a table, and how that changes with a variable.

Averages are over the rows as they are, with their own covariates and groups: marginaleffects' part. Means over a
balanced grid are left to `means`, `contrasts` and `slopes`.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import logit

from speclet_formula.design.transforms import label_of, text_of_value
from speclet_formula.errors import EstimateError, listed, nearest
from speclet_formula.formula.terms import bare_name, columns_of, text_of
from speclet_formula.interpretation.combinations import (
    Function,
    Values,
    tabulate,
    tested_by,
    tests_against_zero,
    told_of,
)
from speclet_formula.interpretation.grids import inside_factors
from speclet_formula.interpretation.means import Means, Names, named
from speclet_formula.interpretation.row_averages import (
    Averages,
    GroupEffects,
    RowTable,
    averages,
    cells_of,
    joined,
    row_table,
    row_values,
)
from speclet_formula.interpretation.scales import Scale, back_of, check_type
from speclet_formula.posterior.degrees_of_freedom import Freedom, no_degrees
from speclet_formula.posterior.draws import Fitted
from speclet_formula.posterior.estimates import Array, Interval, IntervalKind, interval_of, points_of

type Comparison = Literal["difference", "ratio", "odds_ratio", "lift", "slope"]
type Variables = str | Sequence[str] | Mapping[str, Any] | None

COMPARISONS: tuple[str, ...] = get_args(Comparison.__value__)
STEP = 1e-4  # of a covariate's range, over which its slope is taken; marginaleffects'
PAIRS = ("reference", "sequential", "pairwise")
SPREADS = ("sd", "2sd", "iqr", "minmax")
TITLES = {
    "difference": "Differences", "ratio": "Ratios", "odds_ratio": "Odds ratios", "lift": "Relative differences",
    "slope": "Slopes",
}  # fmt: skip
_ENDS = 2  # values that are compared


@dataclass(frozen=True, eq=False)
class VariableChange:
    """A variable at two values.

    Attributes
    ----------
    variable : str
    label : str
        "b - a", "+1", "dy/dx".
    low, high : value, or ndarray of shape (n,)
    step : float
        What the difference is divided by: 1 but for slopes.
    """

    variable: str
    label: str
    low: Any
    high: Any
    step: float = 1.0


def avg_predictions(
    fit: Fitted,
    *,
    at: Mapping[str, Any] | None = None,
    by: Names = None,
    newdata: Any = None,
    re_form: GroupEffects = None,
    type: Scale = "response",  # noqa: A002 - R's name
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> Means:
    """Average what is predicted for the rows of a table: marginaleffects' `avg_predictions`.

    Parameters
    ----------
    fit : Fit or PointFit
    at : mapping of str to value or sequence of values, optional
        Counterfactuals: all rows are predicted with each of these values, `at={"treatment": ["a", "b"], "n": 1}`. A
        variable of an offset says at which exposure predictions stand; otherwise each row has its own.
    by : str or sequence of str, optional
        Columns of the table within whose values rows are averaged.
    newdata : table, optional
        Other rows; by default those that were fitted.
    re_form : str, False or None
        Which group effects are added, as for `predict`: None (the default, as in marginaleffects for lme4's fits) for
        all, at the levels of each row; "~0" for none; or some of them, "~(1 | gene)".
    type : {"response", "link"}
        "response": the mean E[y] of each row is averaged (a computed response, log(y), taken back to y first; of a
        response of levels the probability of each); "link": its linear predictor.
    df : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
        Degrees of freedom of a fit by REML or ML, as for `marginal_means`. marginaleffects' standard errors are those
        of "asymptotic".
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    Means
        Its `table` has one row per combination of `at` and `by` (and per level of a response of levels, `level`): their
        columns, `estimate`, `std_error`, `conf_low`, `conf_high` and, after REML and ML, `df`. Of draws each average is
        made draw by draw. Of a fit by maximum likelihood standard errors are by the delta method from the fixed
        effects' covariance; group effects are taken as known, as marginaleffects does. `pairs` compares the averages.

    Raises
    ------
    EstimateError
        A column of `at` or `by` is not there, a level was not fitted, or probabilities of levels have no errors.
    DataError, FormulaError
        As for `predict`.

    References
    ----------
    Arel-Bundock, Greifer and Heiss (2024). How to interpret statistical models using marginaleffects for R and Python.
    Journal of Statistical Software 111(9). doi:10.18637/jss.v111.i09.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.avg_predictions(fit, at={"Days": [0, 9]}).table["Days"].to_list()  # fit: Reaction ~ Days + (Days | Subject)
    [0.0, 9.0]
    """
    interval, rows, by = _asked(fit, newdata, re_form, type, by, df, ci_prob, ci_kind)
    cells, codes = cells_of(rows, by)
    parts, tables = [], []
    for point in _points(rows, at):
        parts.append(averages(rows, point, codes, len(cells)))
        tables.append(_with_levels(_stated(rows, cells, point), rows))
    names = (*(at or {}), *by, *(["level"] if rows.levels else []))
    keys = pd.concat(tables, ignore_index=True)[list(names)]
    values = joined(parts).values(fit, df)
    summary = tabulate(values, interval)
    table = pd.concat([keys, summary], axis=1)
    table.attrs.update(summary.attrs)
    what = f"Average predictions of {_response(rows)}{_scale_words(rows)}"
    fixed = [name for name in names if name != "level"]
    sentence = "; ".join([what + (f" by {' and '.join(fixed)}" if fixed else ""), *_words(rows, at or {})]) + "."
    return _means(rows, table, sentence, "means", names, values, interval)


def predictions(
    fit: Fitted,
    *,
    at: Mapping[str, Any] | None = None,
    newdata: Any = None,
    re_form: GroupEffects = None,
    type: Scale = "response",  # noqa: A002 - R's name
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    """Predict each row of a table, as it is or with some variables at other values: marginaleffects' `predictions`.

    Parameters
    ----------
    fit, at, newdata, re_form, type, df, ci_prob, ci_kind
        As for `avg_predictions`, which averages these.

    Returns
    -------
    pandas.DataFrame
        One row per row of the table and combination of `at` (and per level of a response of levels, `level`), under the
        row's label: the columns of `at`, `estimate`, `std_error`, `conf_low`, `conf_high` and, after REML and ML, `df`.
        `predict` gives the same without `at`, and intervals for new responses; here a fit by maximum likelihood has
        intervals of rows with group effects too, which are taken as known.

    Raises
    ------
    EstimateError, DataError, FormulaError
        As for `avg_predictions`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> len(sf.predictions(fit, at={"Days": [0, 9]}))  # fit: 180 rows of Reaction ~ Days + (Days | Subject)
    360
    """
    interval, rows, _ = _asked(fit, newdata, re_form, type, None, df, ci_prob, ci_kind)
    frames = []
    for point in _points(rows, at):
        summary = _by_rows(rows, partial(_predicted_at, point), interval, None, df)
        frames.append(_stated(rows, summary, point))
    table = pd.concat(frames)[[*(at or {}), *frames[0].columns.drop(list(at or {}))]]
    table.attrs.update(frames[0].attrs)
    return table


def avg_comparisons(
    fit: Fitted,
    variables: Variables = None,
    *,
    comparison: Comparison = "difference",
    by: Names = None,
    newdata: Any = None,
    re_form: GroupEffects = None,
    type: Scale = "response",  # noqa: A002 - R's name
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> Means:
    """Compare what is predicted on average when a variable changes and all else stays: `avg_comparisons`.

    Parameters
    ----------
    fit : Fit or PointFit
    variables : str, sequence of str, or mapping, optional
        Which change, one at a time; all of the fixed terms by default. A factor goes from its first level to each of
        the others, a truth value from False to True, a number of 0 and 1 from 0 to 1, any other number from half a unit
        below each row's own to half a unit above. A mapping says otherwise: of a factor "reference", "sequential",
        "pairwise" or two levels; of a number a width, two values, "sd", "2sd" (around each row's own), "iqr" or
        "minmax".
    comparison : {"difference", "ratio", "odds_ratio", "lift", "slope"}
        Of the two averages high and low: high - low; high / low, of probabilities the risk ratio; their odds' ratio;
        (high - low) / low; or, of numbers, the average slope of `avg_slopes`. Ratios are of averages, not averages of
        ratios.
    by, newdata, re_form, type, df, ci_prob, ci_kind : optional
        As for `avg_predictions`.

    Returns
    -------
    Means
        Its `table` has one row per variable, contrast and combination of `by` (and per level of a response of levels):
        `variable`, `contrast` ("b - a", "+1"), the columns of `by`, `estimate`, `std_error`, `conf_low`, `conf_high`,
        and the tests of `contrasts`: of no difference, or a ratio of 1. Intervals and tests of ratios are made on
        their logarithm; the standard error is the ratio's, by the delta method.

    Raises
    ------
    EstimateError
        A variable is in no fixed term, is a grouping factor, or has not the values that are asked for; a ratio is of
        predictions that are not above zero, or odds of what is no probability; or as for `avg_predictions`.
    DataError, FormulaError
        As for `predict`.

    References
    ----------
    As for `avg_predictions`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.avg_comparisons(fit, {"Days": [0, 9]}).table["contrast"].to_list()  # fit: Reaction ~ Days + (Days | Subject)
    ['9 - 0']
    """
    _check_comparison(comparison)
    interval, rows, by = _asked(fit, newdata, re_form, type, by, df, ci_prob, ci_kind)
    changes = list(_changes(rows, variables, comparison))
    cells, codes = cells_of(rows, by)
    parts = [_compared(change, comparison, rows, codes, len(cells)) for change in changes]
    tables = [_with_levels(cells, rows).assign(variable=change.variable, contrast=change.label) for change in changes]
    names = ("variable", "contrast", *by, *(["level"] if rows.levels else []))
    values = joined(parts).values(fit, df)
    summary = tabulate(values, interval, _WAYS[comparison])
    table = pd.concat([pd.concat(tables, ignore_index=True)[list(names)], summary], axis=1)
    table = table.assign(**tests_against_zero(values))
    table.attrs.update(summary.attrs, **told_of(values))
    what = f"{TITLES[comparison]} of: average predictions of {_response(rows)}{_scale_words(rows)}"
    changed = {change.variable for change in changes}
    sentence = "; ".join([what, *_words(rows, changed)]) + "." + tested_by(values)
    kind: Literal["contrasts", "slopes"] = "slopes" if comparison == "slope" else "contrasts"
    return _means(rows, table, sentence, kind, names, values, interval)


def comparisons(
    fit: Fitted,
    variables: Variables = None,
    *,
    comparison: Comparison = "difference",
    newdata: Any = None,
    re_form: GroupEffects = None,
    type: Scale = "response",  # noqa: A002 - R's name
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    """Compare what is predicted for each row when a variable changes and all else stays: `comparisons`.

    Parameters
    ----------
    fit, variables, comparison, newdata, re_form, type, df, ci_prob, ci_kind
        As for `avg_comparisons`; with "slope" these are marginaleffects' `slopes`. `sf.slopes` are emmeans' slopes, at
        the points of a grid.

    Returns
    -------
    pandas.DataFrame
        One row per variable, contrast and row of the table, under the row's label, with the columns of
        `avg_comparisons`.

    Raises
    ------
    EstimateError, DataError, FormulaError
        As for `avg_comparisons`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.comparisons(fit, "Days", newdata={"Days": [3], "Subject": [1]})["contrast"].to_list()
    ['+1']
    """
    _check_comparison(comparison)
    interval, rows, _ = _asked(fit, newdata, re_form, type, None, df, ci_prob, ci_kind)
    frames = []
    for change in _changes(rows, variables, comparison):
        summary = _by_rows(rows, partial(_compared, change, comparison), interval, comparison, df)
        summary.insert(0, "variable", change.variable)
        summary.insert(1, "contrast", change.label)
        frames.append(summary)
    table = pd.concat(frames)
    table.attrs.update(frames[0].attrs)
    return table


def avg_slopes(
    fit: Fitted,
    variables: str | Sequence[str] | None = None,
    *,
    by: Names = None,
    newdata: Any = None,
    re_form: GroupEffects = None,
    type: Scale = "response",  # noqa: A002 - R's name
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> Means:
    """Average how steeply predictions rise with a variable at each row: marginaleffects' `avg_slopes`.

    Parameters
    ----------
    fit : Fit or PointFit
    variables : str or sequence of str, optional
        All of the fixed terms by default. The slope of a number is taken over a ten-thousandth of its range around each
        row's own value; factors, truth values and numbers of 0 and 1 are compared as by `avg_comparisons`.
    by, newdata, re_form, type, df, ci_prob, ci_kind : optional
        As for `avg_predictions`.

    Returns
    -------
    Means
        As `avg_comparisons`, the contrast of a number being "dy/dx": in units of the response (or of the linear
        predictor) by unit of the variable.

    Raises
    ------
    EstimateError, DataError, FormulaError
        As for `avg_comparisons`.

    See Also
    --------
    slopes : emmeans' slopes, averaged over a balanced grid with group effects at zero.

    References
    ----------
    As for `avg_predictions`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.avg_slopes(fit).table["contrast"].to_list()  # fit: Reaction ~ Days + (Days | Subject)
    ['dy/dx']
    """
    return avg_comparisons(
        fit, variables, comparison="slope", by=by, newdata=newdata, re_form=re_form, type=type, df=df, ci_prob=ci_prob,
        ci_kind=ci_kind,
    )  # fmt: skip


# --- what is asked for ------------------------------------------------------------------------------------------------


def _asked(
    fit: Fitted, newdata: Any, re_form: GroupEffects, scale: Scale, by: Names, df: object, ci_prob: float | None,
    ci_kind: IntervalKind | None,
) -> tuple[Interval, RowTable, tuple[str, ...]]:  # fmt: skip
    """Return the interval, the rows and the columns of `by`, checked."""
    check_type(scale)
    no_degrees(fit, df)
    names = named(by)
    return interval_of(fit, ci_prob, ci_kind), row_table(fit, newdata, re_form, scale, names), names


def _check_comparison(comparison: object) -> None:
    if comparison not in COMPARISONS:
        near = nearest(str(comparison), COMPARISONS)
        raise EstimateError(
            f"comparison={comparison!r} does not exist.",
            f"comparison= is one of {', '.join(map(repr, COMPARISONS))}.",
            f"Nearest: comparison='{near}'." if near else "Write comparison='difference', or leave it out.",
        )


def _points(rows: RowTable, at: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Go through all combinations of the values of `at`, the first variable varying fastest."""
    chosen = {name: _values_at(rows, name, wanted) for name, wanted in (at or {}).items()}
    for point in itertools.product(*reversed(chosen.values())):
        yield dict(zip(chosen, point[::-1], strict=True))


def _values_at(rows: RowTable, name: str, wanted: Any) -> list[Any]:
    """Return the values that a variable is set to, checked."""
    _check_variable(rows, name, offsets=True)
    given = [wanted] if isinstance(wanted, str) or np.ndim(wanted) == 0 else list(wanted)
    if not given:
        raise EstimateError(
            f"at={{'{name}': []}} leaves no row.", "It holds one value or more.", f"Leave '{name}' out."
        )
    return [_as_known(rows, name, value) for value in given]


def _as_known(rows: RowTable, name: str, value: Any) -> Any:
    """Return a value as the column has it: a level that was fitted, or a number."""
    levels = _levels(rows, name)
    if levels is None:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not np.isfinite(number):
            raise EstimateError(f"{name} = {value!r} is no number.", f"'{name}' holds numbers.", "Give finite numbers.")
        return number
    labels = [label_of(level) for level in levels]
    if label_of(value) not in labels:
        near = nearest(label_of(value), labels)
        raise EstimateError(
            f"'{name}' has no level '{label_of(value)}'.",
            f"Levels: {listed(labels)}.",
            f"Nearest: '{near}'." if near else "Name one of these.",
        )
    return levels[labels.index(label_of(value))]


def _levels(rows: RowTable, name: str) -> list[Any] | None:
    """Return the values of a variable that is compared level by level; None of one that is a number."""
    design = rows.fit.model.design
    column = design.frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    if pd.api.types.is_bool_dtype(column.dtype):
        return [False, True]
    return sorted(column.unique().tolist()) if name in inside_factors(design, design.mean) else None


def _check_variable(rows: RowTable, name: str, *, offsets: bool) -> None:
    """Refuse a variable that predictions do not depend on, and grouping factors."""
    known = _variables(rows, offsets=offsets)
    if name in known:
        return
    near = nearest(name, known)
    remedy = f"Nearest: '{near}'." if near else "Name one of these."
    if any(name in (block.group, *block.factors) for block in rows.fit.model.design.blocks):
        remedy = f"The effects of the levels of '{name}' are in level_effects(fit, '{name}')."
    raise EstimateError(
        f"'{name}' is in no fixed term of the model.",
        f"Variables of its fixed terms: {listed(known) or 'none'}.",
        remedy,
    )


def _variables(rows: RowTable, *, offsets: bool) -> list[str]:
    """Return the columns of the fixed terms of all linear predictors, and perhaps those of offsets."""
    formulas = [predictor.formula for predictor in rows.fit.model.design.predictors]
    nodes = [node for formula in formulas for node in (*formula.terms, *(formula.offsets if offsets else ()))]
    slopes = [part for formula in formulas for term in formula.group_terms for part in term.terms]
    return list(dict.fromkeys(name for node in (*nodes, *slopes) for name in columns_of(node)))


# --- changes ----------------------------------------------------------------------------------------------------------


def _changes(rows: RowTable, variables: Variables, comparison: Comparison) -> Iterator[VariableChange]:
    """Go through the changes of all variables that are asked for."""
    known = _variables(rows, offsets=False)
    if variables is None:
        wanted: Mapping[str, Any] = dict.fromkeys(known)
    else:
        wanted = variables if isinstance(variables, Mapping) else dict.fromkeys(named(variables))
    if not wanted:
        raise EstimateError(
            "there is no variable to change.",
            f"Variables of the fixed terms: {listed(known) or 'none'}.",
            "Name one of these." if known else "Effects of groups' levels are in level_effects(fit, ...).",
        )
    for given, how in wanted.items():
        name = bare_name(given, known)
        _check_variable(rows, name, offsets=False)
        levels = _levels(rows, name)
        if levels is None:
            yield from _of_number(rows, name, how, comparison)
        else:
            yield from _of_levels(rows, name, levels, how, comparison)


def _of_levels(
    rows: RowTable, name: str, levels: list[Any], how: Any, comparison: Comparison
) -> Iterator[VariableChange]:
    """Compare the levels of a factor."""
    if how is None or how == "reference":
        pairs = [(0, place) for place in range(1, len(levels))]
    elif how == "sequential":
        pairs = [(place - 1, place) for place in range(1, len(levels))]
    elif isinstance(how, str) and how == "pairwise":
        pairs = list(itertools.combinations(range(len(levels)), 2))
    elif isinstance(how, Sequence) and not isinstance(how, str) and len(how) == _ENDS:
        low, high = (levels.index(_as_known(rows, name, value)) for value in how)
        pairs = [(low, high)]
    else:
        raise EstimateError(
            f"variables={{'{name}': {how!r}}} is no change of a factor.",
            f"A factor goes by {', '.join(map(repr, PAIRS))}, or between two of its levels.",
            f"Write {{'{name}': 'pairwise'}}, or leave it out for the first level against the others.",
        )
    sign = "/" if comparison in ("ratio", "odds_ratio") else "-"
    for low, high in pairs:
        yield VariableChange(
            name, f"{label_of(levels[high])} {sign} {label_of(levels[low])}", levels[low], levels[high]
        )


def _of_number(rows: RowTable, name: str, how: Any, comparison: Comparison) -> Iterator[VariableChange]:
    """Compare two values of a number; its slope is over a small step."""
    fitted = rows.fit.model.design.frame[name].to_numpy(dtype=float)
    own = rows.frame[name].to_numpy(dtype=float)
    if how is None and set(np.unique(fitted)) == {0.0, 1.0}:
        sign = "/" if comparison in ("ratio", "odds_ratio") else "-"
        yield VariableChange(name, f"1 {sign} 0", 0.0, 1.0)
        return
    if how is None and comparison == "slope":
        step = STEP * float(np.ptp(fitted)) or STEP
        yield VariableChange(name, "dy/dx", own - step / 2, own + step / 2, step)
        return
    low, high, label = _ends(rows, name, 1.0 if how is None else how, fitted, own)
    step = float(np.mean(high - low)) if comparison == "slope" else 1.0
    yield VariableChange(name, label, low, high, step)


def _ends(rows: RowTable, name: str, how: Any, fitted: Array, own: Array) -> tuple[Any, Any, str]:
    """Return the two values of a number, and what to call the change."""
    spread = float(np.std(fitted, ddof=1))
    if isinstance(how, str) and how in ("sd", "2sd"):
        reach = spread / 2 if how == "sd" else spread
        return own - reach, own + reach, "+1 SD" if how == "sd" else "+2 SD"
    if isinstance(how, str) and how in ("iqr", "minmax"):
        low, high = np.quantile(fitted, [0.25, 0.75] if how == "iqr" else [0.0, 1.0])
        return low, high, "Q3 - Q1" if how == "iqr" else "maximum - minimum"
    if isinstance(how, Sequence) and not isinstance(how, str) and len(how) == _ENDS:
        low, high = (_as_known(rows, name, value) for value in how)
        return low, high, f"{text_of_value(high)} - {text_of_value(low)}"
    if isinstance(how, int | float) and not isinstance(how, bool) and np.isfinite(how) and how != 0:
        return own - how / 2, own + how / 2, f"{how:+g}"
    raise EstimateError(
        f"variables={{'{name}': {how!r}}} is no change of a number.",
        f"A number goes by a width, between two values, or by {', '.join(map(repr, SPREADS))}.",
        f"Write {{'{name}': 1}} or {{'{name}': [0, 1]}}, or leave it out for one unit.",
    )


# --- what comes of them -----------------------------------------------------------------------------------------------


def _predicted_at(point: Mapping[str, Any], rows: RowTable, codes: np.ndarray, n_cells: int) -> Averages:
    return averages(rows, point, codes, n_cells)


def _compared(
    change: VariableChange, comparison: Comparison, rows: RowTable, codes: np.ndarray, n_cells: int
) -> Averages:
    """Compare the averages at two values, of ratios on the logarithmic scale."""
    ends = [end[rows.places] if isinstance(end, np.ndarray) else end for end in (change.low, change.high)]
    low, high = (averages(rows, {change.variable: end}, codes, n_cells) for end in ends)
    if comparison in ("difference", "slope"):
        return high.less(low, change.step)
    least = min(part.numbers.min() for part in (low, high))
    most = max(part.numbers.max() for part in (low, high))
    odds = comparison == "odds_ratio"
    if not (least > 0 and (most < 1 or not odds)):
        raise EstimateError(
            f"predictions go from {least:.4g} to {most:.4g}, of which there is no {comparison.replace('_', ' ')}.",
            "Ratios are of numbers above zero, odds of probabilities between 0 and 1.",
            "Write comparison='difference'" + (", or type='response'." if rows.scale == "link" else "."),
        )
    function: Function = logit if odds else np.log
    return high.through(function).less(low.through(function))


_WAYS: Mapping[str, Function | None] = {
    "difference": None, "slope": None, "ratio": np.exp, "odds_ratio": np.exp, "lift": np.expm1,
}  # fmt: skip


def _by_rows(rows: RowTable, of: Any, interval: Interval, comparison: str | None, df: str | None) -> pd.DataFrame:
    """Tabulate each row by itself, by blocks."""
    frames = []
    for values in row_values(rows, of, df):
        summary = tabulate(values, interval, None if comparison is None else _WAYS[comparison])
        if comparison is not None:
            attributes = summary.attrs
            summary = summary.assign(**tests_against_zero(values))
            summary.attrs.update(attributes, **told_of(values))
        frames.append(summary)
    table = pd.concat(frames, ignore_index=True)
    index = rows.index
    if rows.levels:
        table.insert(0, "level", np.tile(np.asarray(rows.levels, dtype=object), len(index)))
        index = index.repeat(len(rows.levels))
    table.index = index
    table.attrs.update(frames[0].attrs)
    if rows.missing:
        table.attrs["missing"] = rows.missing
    return table


def _with_levels(cells: pd.DataFrame, rows: RowTable) -> pd.DataFrame:
    """Repeat cells for each level of a response."""
    if not rows.levels:
        return cells
    again = cells.loc[cells.index.repeat(len(rows.levels))].reset_index(drop=True)
    return again.assign(level=np.tile(np.asarray(rows.levels, dtype=object), len(cells)))


def _stated(rows: RowTable, frame: pd.DataFrame, point: Mapping[str, Any]) -> pd.DataFrame:
    """Add the values of a counterfactual to a table; a factor's keep the order of its levels."""
    kinds = {name: rows.fit.model.design.frame[name].dtype for name in point}
    columns = {
        name: pd.Categorical([value] * len(frame), dtype=kinds[name])
        if isinstance(kinds[name], pd.CategoricalDtype)
        else value
        for name, value in point.items()
    }
    return frame.assign(**columns)


def _means(
    rows: RowTable, table: pd.DataFrame, sentence: str, kind: Literal["means", "contrasts", "slopes"],
    names: tuple[str, ...], values: Values, interval: Interval,
) -> Means:  # fmt: skip
    return Means(
        table=table,
        sentence=sentence,
        kind=kind,
        names=names,
        by=("level",) if rows.levels and kind == "means" else (),
        scale=rows.scale,
        values=values,
        family=rows.fit.model.family if rows.scale == "link" else None,
        interval=interval,
        response=_response(rows),
    )


def _response(rows: RowTable) -> str:
    """Name what is predicted: of a computed response what it was computed from."""
    name = rows.fit.model.design.response_name
    back = back_of(rows.fit) if rows.scale == "response" else None
    are_probabilities = rows.levels and rows.scale == "response"
    return back.response if back else f"the probability of {name}" if are_probabilities else name


def _scale_words(rows: RowTable) -> str:
    family = rows.fit.model.family
    back = back_of(rows.fit) if rows.scale == "response" else None
    if back is not None:
        return f", taken back from {back.text}"
    return f" ({family.link} scale)" if rows.scale == "link" and family.link != "identity" else ""


def _words(rows: RowTable, changed: Any) -> Iterator[str]:
    """Say which rows, at which exposure, and which group effects."""
    count = round(float(rows.weights.sum()))
    yield f"over {count:,} rows" + (f" ({rows.missing:,} with missing values are left out)" if rows.missing else "")
    predictors = rows.fit.model.design.predictors
    for offset in (offset for predictor in predictors for offset in predictor.formula.offsets):
        held = [name for name in columns_of(offset) if name in changed]
        own = ", ".join(f"{name} as stated" for name in held) if held else "of each row"
        yield f"offset({text_of(offset)}) {own}"
    if not rows.fit.model.design.blocks:
        return
    if rows.re_form is None:
        known = ", taken as known" if points_of(rows.fit) is not None else ""
        yield f"group effects of each row's levels{known}"
    elif isinstance(rows.re_form, str) and "|" in rows.re_form:
        yield f"group effects of {rows.re_form.strip().removeprefix('~')}"
    else:
        yield "group effects at zero"
