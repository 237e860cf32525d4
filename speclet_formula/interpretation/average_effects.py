"""Effects over rows: what a fit predicts for the rows of a table, and how that changes with a variable.

Averages are over the rows as they are, with their own covariates and groups: marginaleffects' part. Means over a
balanced grid are left to `means`, `contrasts` and `slopes`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from speclet_formula.errors import EstimateError, nearest
from speclet_formula.interpretation.combinations import (
    Function,
    Values,
    tabulate,
    tested_by,
    tests_against_zero,
    told_of,
)
from speclet_formula.interpretation.means import Means, Names, named
from speclet_formula.interpretation.row_averages import (
    Averages,
    GroupEffects,
    RowTable,
    averages,
    bounded,
    cells_of,
    header_words,
    joined,
    predicted_response,
    row_table,
    row_values,
    scale_words,
)
from speclet_formula.interpretation.scales import Scale, check_type
from speclet_formula.interpretation.variable_changes import (
    Comparison,
    VariableChange,
    Variables,
    changes_of,
    points_at,
)
from speclet_formula.posterior.degrees_of_freedom import Freedom, no_degrees
from speclet_formula.posterior.draws import Fitted
from speclet_formula.posterior.estimates import Interval, IntervalKind, interval_of

COMPARISONS: tuple[str, ...] = get_args(Comparison.__value__)
TITLES = {
    "difference": "Differences", "ratio": "Ratios", "odds_ratio": "Odds ratios", "lift": "Relative differences",
    "slope": "Slopes",
}  # fmt: skip


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
        effects' covariance; group effects are taken as known, as marginaleffects does. Intervals of means are made on
        the link's scale, so that none of a probability leaves 0 and 1 (marginaleffects' do). `pairs` compares the
        averages.

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
    for point in points_at(rows, at):
        parts.append(averages(rows, point, codes, len(cells)))
        tables.append(_with_levels(_stated(rows, cells, point), rows))
    names = (*(at or {}), *by, *(["level"] if rows.levels else []))
    keys = pd.concat(tables, ignore_index=True)[list(names)]
    made = joined(parts)
    values, (moved, back) = made.values(fit, df), bounded(rows, made)
    summary = tabulate(moved.values(fit, df), interval, back)
    table = pd.concat([keys, summary], axis=1)
    table.attrs.update(summary.attrs)
    what = f"Average predictions of {predicted_response(rows)}{scale_words(rows)}"
    fixed = [name for name in names if name != "level"]
    sentence = "; ".join([what + (f" by {' and '.join(fixed)}" if fixed else ""), *header_words(rows, at or {})]) + "."
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
    for point in points_at(rows, at):
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
    changes = list(changes_of(rows, variables, comparison))
    cells, codes = cells_of(rows, by)
    parts = [_compared(change, comparison, rows, codes, len(cells)) for change in changes]
    tables = [_with_levels(cells, rows).assign(variable=change.variable, contrast=change.label) for change in changes]
    names = ("variable", "contrast", *by, *(["level"] if rows.levels else []))
    values = joined(parts).values(fit, df)
    summary = tabulate(values, interval, _WAYS[comparison])
    table = pd.concat([pd.concat(tables, ignore_index=True)[list(names)], summary], axis=1)
    table = table.assign(**tests_against_zero(values))
    table.attrs.update(summary.attrs, **told_of(values))
    what = f"{TITLES[comparison]} of: average predictions of {predicted_response(rows)}{scale_words(rows)}"
    changed = {change.variable for change in changes}
    sentence = "; ".join([what, *header_words(rows, changed)]) + "." + tested_by(values)
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
    for change in changes_of(rows, variables, comparison):
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
    function, inverse = (logit, expit) if odds else (np.log, np.exp)
    return high.through(function, inverse).less(low.through(function, inverse))


_WAYS: Mapping[str, Function | None] = {
    "difference": None, "slope": None, "ratio": np.exp, "odds_ratio": np.exp, "lift": np.expm1,
}  # fmt: skip


def _by_rows(rows: RowTable, of: Any, interval: Interval, comparison: str | None, df: str | None) -> pd.DataFrame:
    """Tabulate each row by itself, by blocks."""
    frames = []
    for made in row_values(rows, of):
        if comparison is None:
            moved, back = bounded(rows, made)
            frames.append(tabulate(moved.values(rows.fit, df), interval, back))
            continue
        values = made.values(rows.fit, df)
        summary = tabulate(values, interval, _WAYS[comparison])
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
        response=predicted_response(rows),
    )
