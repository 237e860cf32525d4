"""Marginal means of factors' levels, as emmeans gives them, and the record that means, contrasts and slopes share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype

from speclet_formula.common.table import Printed, Sheet, formatted, number, p_value, probability, stated, text_table
from speclet_formula.design import Predictor
from speclet_formula.errors import EstimateError, listed
from speclet_formula.families import Family
from speclet_formula.formula.terms import bare_name, columns_of, text_of
from speclet_formula.interpretation.combinations import Values, combined, tabulate
from speclet_formula.interpretation.grids import Grid, check_variable, fixed_variables, make_grid, matrix_of
from speclet_formula.interpretation.scales import Back, Scale, check_type, response_function, way_back
from speclet_formula.posterior.degrees_of_freedom import Freedom
from speclet_formula.posterior.draws import Fitted
from speclet_formula.posterior.estimates import ESTIMATES, NOT_ESTIMABLE, Array, Interval, IntervalKind, interval_of

type Names = str | Sequence[str] | None


@dataclass(frozen=True, repr=False, eq=False)
class Means(Printed):
    """Marginal means, or contrasts or slopes, with what they were made from.

    Attributes
    ----------
    table : pandas.DataFrame
        One row each: the columns that name it, then `estimate`, `std_error`, `conf_low` and `conf_high`. The function
        that made it describes them.
    sentence : str
        What the rows are, on which scale, and what was averaged over.
    kind : {"means", "contrasts", "slopes"}
    names : tuple of str
        The columns that name a row.
    by : tuple of str
        Those among them within which contrasts are made.
    scale : {"link", "response"}
        That of the table.
    values : Values
        On the link scale, but for slopes of the response.
    family : Family or None
        Whose link leads to the response; None for the linear predictor of a parameter, and for slopes.
    interval : Interval
        How draws are summarised; its mass is that of a Wald interval too.
    response : str
        The response's name, or the parameter's.
    back : Back or None
        Of means of a computed response with type="response": how they were taken back.
    """

    table: pd.DataFrame
    sentence: str
    kind: Literal["means", "contrasts", "slopes"]
    names: tuple[str, ...]
    by: tuple[str, ...]
    scale: Scale
    values: Values
    family: Family | None
    interval: Interval
    response: str
    back: Back | None = None

    def sheet(self) -> Sheet:
        """Return the parts of the print-out: what the rows are, the table, and what bounds the estimates."""
        table = text_table(shown_table(self.table, self._draws(), self.names), labels=len(self.names))
        return Sheet("", (self.sentence,), (table,), (self._foot(),))

    def _draws(self) -> int:
        return 0 if self.values.draws is None else len(self.values.draws)

    def _foot(self) -> str:
        bounds = f"conf_low and conf_high bound the {self.table.attrs['interval']}."
        unknown = self.values.draws is None and bool(np.isnan(self.values.estimates).any())
        told = self.table.attrs
        tests = told.get("tests") or told.get("degrees")
        return " ".join(filter(None, (bounds, tests, told.get("adjustment"), NOT_ESTIMABLE if unknown else "")))


def shown_table(table: pd.DataFrame, draws: int = 0, names: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table's numbers as text with few decimals.

    Parameters
    ----------
    table : pandas.DataFrame
        That of a `Means`.
    draws : int
        Over how many its probabilities were counted; 0 for a point fit.
    names : sequence of str
        The columns that name a row.
    """
    cells = formatted(table[list(ESTIMATES)], table["std_error"])
    shown = table.copy()
    for position, name in enumerate(ESTIMATES):
        shown[name] = [row[position] for row in cells]
    if "df" in shown:
        shown["df"] = [number(value, ",.1f") for value in table["df"]]
    if "statistic" in shown:
        shown["statistic"] = [number(value, ".3f") for value in table["statistic"]]
    if "p_negative" in shown:
        shown["p_negative"] = [probability(value, draws, ".4f") for value in table["p_negative"]]
    if "p_value" in shown:
        shown["p_value"] = [p_value(value) for value in table["p_value"]]
    for name in names:  # values of numeric variables
        if is_float_dtype(table[name].dtype):
            shown[name] = stated(table[name].to_list())
    return shown


def marginal_means(
    fit: Fitted,
    specs: Names,
    *,
    by: Names = None,
    at: Mapping[str, Any] | None = None,
    type: Literal["link", "response"] = "link",  # noqa: A002 - R's name
    parameter: str | None = None,
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> Means:
    """Estimate the mean of each level of a factor, all else being balanced: emmeans' `emmeans`.

    Each mean is the average of the linear predictor over the rows of the reference grid that have the level: equal
    weights for all combinations of the other factors' levels, however many rows of data they have; covariates at their
    means; group effects at zero (where their prior has a mean, that is left out too). marginaleffects calls them
    `avg_predictions(newdata="balanced")`. A combination without data counts like the others: where an interaction has
    a coefficient for it, the prior alone says what that is.

    Parameters
    ----------
    fit : Fit or PointFit
    specs : str or sequence of str
        The variables whose levels or values are wanted: "control", or ["control", "cell_line"] for combinations.
    by : str or sequence of str, optional
        Further variables, within whose levels contrasts are to be made.
    at : mapping of str to value or sequence of values, optional
        Values of some variables instead of the usual ones, as for `reference_grid`.
    type : {"link", "response"}
        "response" takes each mean back through the link, as emmeans does: averages are made on the link scale. A
        computed response is taken back to what it was computed from: means of log(y + 5) as exp(mean) - 5 (logarithms,
        square roots, exponentials and arithmetic with numbers, also within each other), of log(a / b) as a / b. What a
        lognormal family models is the mean of the logarithm, and its exponential is given. For a model of two parts
        (zeros and counts) it is the mean of the distribution proper.
    parameter : str, optional
        A parameter that has a formula of its own, "sigma"; by default the mean. Of unordered levels one of theirs,
        "muB", on the link's scale alone.
    df : {"kenward-roger", "satterthwaite", "asymptotic"}, optional
        Degrees of freedom of a fit by REML or ML, for intervals and for the tests of contrasts. By default, as in
        emmeans, those of Kenward and Roger after REML, which adjust the standard errors too, and Satterthwaite's after
        ML or where more than 3,000 group effects hang together; of a very large model "asymptotic" ones. The print-out
        says which.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    Means
        Its `table` has one row per combination, the first variable varying fastest: the variables' columns, and

        * `estimate`, `std_error`, `conf_low`, `conf_high`: as for `fixef`, of draws made one by one. Of a fit by
          maximum likelihood from the fixed effects' covariance; on the response scale the error is by the delta method
          and the interval is taken through the link;
        * `df`: degrees of freedom of the interval, after REML and ML.

        It keeps the draws, so that `contrasts` and `pairs` compare them draw by draw.

    Raises
    ------
    EstimateError
        A variable is in no fixed term, a level was not fitted, an ordinal model is asked for a mean response, or a
        response that cannot be taken back (round(y)) is asked for its own scale.

    References
    ----------
    Searle, Speed and Milliken (1980), doi:10.1080/00031305.1980.10483031, and R's emmeans.

    Examples
    --------
    >>> from speclet_formula.interpretation import marginal_means
    >>> marginal_means(fit, "Days", at={"Days": [0, 9]}).table["Days"].to_list()  # fit: Reaction ~ Days + (...)
    [0.0, 9.0]
    """
    interval = interval_of(fit, ci_prob, ci_kind)
    check_type(type)
    grid = make_grid(fit, at, parameter)
    function, back = response_function(fit, grid, type), way_back(fit, grid, type)
    focal, within = _focal_names(grid, specs, by)
    X, offset = matrix_of(grid, grid.frame)
    cells, average = averaging(grid.frame, (*focal, *within))
    values = combined(fit, grid.predictor, average @ X, average @ offset, df)
    summary = tabulate(values, interval, function)
    table = pd.concat([cells, summary], axis=1)
    table.attrs.update(summary.attrs)
    return Means(
        table=table,
        sentence=_sentence(fit, grid, (*focal, *within), type, back),
        kind="means",
        names=(*focal, *within),
        by=within,
        scale=type,
        values=values,
        family=fit.model.family if parameter is None else None,
        interval=interval,
        response=back.response if back else parameter or fit.model.design.response_name,
        back=back,
    )


def averaging(frame: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, Array]:
    """Return the distinct rows of some columns, and the matrix that averages a grid's rows within each.

    Parameters
    ----------
    frame : pandas.DataFrame
        The grid's rows.
    names : sequence of str

    Returns
    -------
    cells : pandas.DataFrame
        In the order of their first appearance, which the grid makes regular.
    average : ndarray of float, shape (cells, rows)
    """
    if not names:
        return pd.DataFrame(index=range(1)), np.full((1, len(frame)), 1 / len(frame))
    parts = frame[list(names)].drop_duplicates()
    order = np.lexsort([_codes(parts[name]) for name in names])
    cells = parts.iloc[order].reset_index(drop=True)
    places = frame[list(names)].merge(cells.assign(_cell=range(len(cells))), how="left", on=list(names))["_cell"]
    average = (places.to_numpy()[None, :] == np.arange(len(cells))[:, None]).astype(np.float64)
    return cells, average / average.sum(axis=1, keepdims=True)


def _codes(column: pd.Series) -> np.ndarray:
    """Return numbers that sort as the values appear."""
    return np.asarray(pd.factorize(column)[0])


def named(names: Names) -> tuple[str, ...]:
    """Return names as a tuple."""
    if names is None or isinstance(names, str):
        return () if names is None else (names,)
    if not np.iterable(names):
        raise EstimateError(f"{names!r} names no variable.", "A variable's name is text.", "Write for example 'f'.")
    return tuple(names)


def variables_of(names: Names, predictor: Predictor) -> tuple[str, ...]:
    """Return names of variables of the fixed part, checked, and as the data have them."""
    refuse_formula(names)
    bare = tuple(bare_name(name, fixed_variables(predictor)) for name in named(names))
    for name in bare:
        check_variable(name, predictor)
    return bare


def refuse_formula(specs: Names) -> None:
    """Refuse emmeans' formulas, ``~ f | g``, by what to write for them.

    Raises
    ------
    EstimateError
    """
    if not isinstance(specs, str) or "~" not in specs:
        return
    left, _, right = specs.partition("~")
    focal, *within = ([name.strip() for name in re.split(r"[*:+]", part)] for part in right.split("|"))
    spelled = [repr(names[0] if len(names) == 1 else names) for names in (focal, *within)]
    call = f"sf.marginal_means(fit, {spelled[0]}{f', by={spelled[1]}' if within else ''})"
    raise EstimateError(
        f"'{specs}' is a formula.",
        "Variables are named: one, or a list of several, and by= those within which they are compared.",
        f"Write {f'sf.pairs({call})' if left.strip() else call}.",
    )


def _focal_names(grid: Grid, specs: Names, by: Names) -> tuple[tuple[str, ...], tuple[str, ...]]:
    focal, within = variables_of(specs, grid.predictor), variables_of(by, grid.predictor)
    twice = next((name for name in within if name in focal), None)
    if twice is not None or not focal:
        raise EstimateError(
            "no variable is named whose means are wanted." if twice is None else f"'{twice}' is in specs and in by=.",
            "specs names the variables to compare, by= those within which they are compared.",
            "Name a factor, for example marginal_means(fit, 'control')." if twice is None else f"Take '{twice}' out.",
        )
    return focal, within


def _sentence(fit: Fitted, grid: Grid, names: Sequence[str], scale: Scale, back: Back | None) -> str:
    """Say what the means are, and what was averaged over or held."""
    response = back.response if back else grid.parameter or fit.model.design.response_name
    others = [name for name in grid.frame if name not in {*names, *_told_by_offset(grid)}]
    averaged = [name for name in others if grid.frame[name].nunique() > 1]
    held = [
        f"{name} = {grid.frame[name].iloc[0]:.4g}"
        if _is_number(grid.frame[name])
        else f"{name} = {grid.frame[name].iloc[0]}"
        for name in others
        if name not in averaged
    ]
    taken = f", taken back from {back.text}" if back else ""
    link = "" if scale == "response" or fit.model.family.link == "identity" else f" ({fit.model.family.link} scale)"
    if grid.parameter is not None:
        link = "" if scale == "response" else " (its link's scale)"
    parts = [f"Marginal means of {response}{link} by {' and '.join(names)}{taken}"]
    parts += [f"averaged over {listed(averaged)} with equal weights"] if averaged else []
    parts += [f"at {listed(held)}"] if held else []
    parts += offset_words(grid)
    parts += ["group effects at zero"] if grid.predictor.factors else []
    return "; ".join(parts) + "."


def offset_words(grid: Grid) -> list[str]:
    """Say at what the offset is held, where it is."""
    offsets = " + ".join(f"offset({text_of(offset)})" for offset in grid.predictor.formula.offsets)
    return [] if grid.mean_offset is None else [f"{offsets} at its mean, {grid.mean_offset:.4g}"]


def _told_by_offset(grid: Grid) -> set[str]:
    """Return the variables of which only an offset that is held makes use: what it adds is told instead."""
    if grid.mean_offset is None:
        return set()
    formula = grid.predictor.formula
    return {name for offset in formula.offsets for name in columns_of(offset)} - {
        name for term in formula.terms for name in columns_of(term)
    }


def _is_number(column: pd.Series) -> bool:
    return not isinstance(column.dtype, pd.CategoricalDtype)
