"""Unordered levels that are to be drawn: which they are, out of how many trials, and the columns that hold them."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.design import Design
from speclet_formula.design.response import PerLevel, response_name
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.formula.terms import Call, Expression, Name, text_of


def levels_to_draw(
    response: Expression | None, table: pd.DataFrame, truth: Mapping[str, Any], per_level: PerLevel
) -> tuple[str, ...]:
    """Return the levels of a response that does not exist yet.

    Parameters
    ----------
    response : Expression or None
        A column, or for counts cbind() of columns.
    table : pandas.DataFrame
        Its column of the response, where it has one, says the levels and which is the first.
    truth : mapping
        Else its names do: "mu2_Intercept", "mu3_Intercept" are those of the levels 1, 2 and 3.
    per_level : PerLevel
        Of the family.

    Raises
    ------
    FormulaError
        The response is not such.
    DataError
        Neither the table nor the truth says the levels, or counts have no trials.
    """
    if per_level.counts:
        return _counted_levels(response, table)
    if not isinstance(response, Name):
        written = "nothing" if response is None else f"'{text_of(response)}'"
        raise FormulaError(
            f"the response is {written}, which is not a column that draws can fill.",
            "The response of simulated levels is a plain name: 'y ~ ...'.",
            "Write 'y ~ ...'.",
        )
    if response.name in table.columns:
        column = table[response.name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            return tuple(map(label_of, column.cat.categories))
        return tuple(map(label_of, sorted(column.dropna().unique())))
    named = (re.match(rf"{per_level.prefix}(\d+)_", name) for name in truth)
    numbers = {int(match[1]) for match in named if match}
    if not numbers:
        raise DataError(
            f"nothing says the levels of '{response.name}'.",
            f"The table's column '{response.name}' says them, or truth names numbered ones: 'mu2_Intercept', "
            "'mu3_Intercept' for levels 1, 2 and 3.",
            f"Add the column: data['{response.name}'] = pandas.Categorical(...), in any order of rows.",
        )
    return tuple(str(level) for level in range(1, max(numbers) + 1))


def _counted_levels(response: Expression | None, table: pd.DataFrame) -> tuple[str, ...]:
    """Return the names of the columns of counts."""
    names = [argument.value for argument in response.arguments] if isinstance(response, Call) else []
    if not names or not all(isinstance(name, Name) and name.name in table.columns for name in names):
        written = "nothing" if response is None else f"'{text_of(response)}'"
        raise DataError(
            f"the response is {written}, which does not say how many are counted in each row.",
            "Simulated counts of levels are cbind() of columns that the table has, whose sums are the trials.",
            "Write cbind(a, b, c) ~ ... and fill the columns: data.assign(a=20, b=0, c=0) for 20 in each row.",
        )
    return tuple(map(response_name, names))


def trials_to_draw(levels: tuple[str, ...], table: pd.DataFrame) -> np.ndarray:
    """Return the sums (n,) of the columns of counts.

    Raises
    ------
    DataError
        They hold what is no count.
    """
    counts = table[list(levels)].to_numpy(dtype=float)
    if not (counts >= 0).all() or not (counts == np.round(counts)).all():
        raise DataError(
            f"the columns {', '.join(levels)} hold what are no counts.",
            "Their sums are the numbers of trials of the rows.",
            "Fill them with whole numbers from 0 on.",
        )
    return np.asarray(counts.sum(axis=1))


def level_columns(layout: Design, table: pd.DataFrame, drawn: np.ndarray) -> dict[str, Any]:
    """Return the columns of drawn levels: counts, the table's labels, or whole numbers from 1 on."""
    if drawn.ndim > 1:
        return dict(zip(layout.levels, drawn.T.astype(np.int64), strict=True))
    name = layout.response_name
    if name not in table.columns or pd.api.types.is_numeric_dtype(table[name].dtype):
        labels = np.asarray([int(level) if level.isdecimal() else level for level in layout.levels])
        return {name: labels[drawn.astype(np.int64)]}
    return {name: pd.Categorical.from_codes(drawn.astype(np.int64), list(layout.levels))}
