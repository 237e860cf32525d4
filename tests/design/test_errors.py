"""What the design answers to wrong input, word for word."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from speclet_formula.design import build_design, replay_design
from speclet_formula.errors import DataError, FormulaError, SpecletError
from speclet_formula.formula.parse import parse_formula

TABLE = pd.DataFrame(
    {
        "y": [1.0, 2.0, 3.0, 4.0],
        "x": [0.5, -1.0, 2.0, 3.0],
        "gap": [1.0, np.nan, 3.0, np.nan],
        "huge": [1.0, np.inf, 3.0, 4.0],
        "same": [2.0, 2.0, 2.0, 2.0],
        "g": ["a", "a", "b", "b"],
        "one": ["u", "u", "u", "u"],
        "mixed": ["1", 1, "2", 2],
        "when": pd.to_datetime(["2020-01-01"] * 4),
        "left": ["p:q", "p", "p", "p"],
        "right": ["r", "q:r", "q", "r"],
        "alike": pd.Categorical([1.0, 1, "1", "2"], categories=[1.0, "1", "2"]),
        "w": [1.0, 0.0, 1.0, 1.0],
    }
)

MESSAGES: list[tuple[str, dict[str, Any], type[SpecletError], str]] = [
    (
        "y ~ zz",
        {},
        FormulaError,
        "y ~ zz\n    ^\nno column 'zz' in the data.\n"
        "Columns: y, x, gap, huge, same, g, one, mixed, when, left, right, alike and 1 more.\n"
        "Check the spelling, or add the column to the data.",
    ),
    (
        "y ~ (1 | rigth)",
        {},
        FormulaError,
        "y ~ (1 | rigth)\n         ^\nno column 'rigth' in the data.\n"
        "Columns: y, x, gap, huge, same, g, one, mixed, when, left, right, alike and 1 more.\nNearest: right.",
    ),
    (
        "y ~ gap",
        {},
        DataError,
        "2 of 4 rows have missing values, in 'gap' (2).\nEvery column that the formula uses must be complete.\n"
        "Write missing='drop' to leave these rows out, or fill the values in yourself before the fit.",
    ),
    (
        "y ~ gap",
        {"missing": "fill"},
        DataError,
        "missing='fill' is not a way to treat missing values.\n"
        "missing='error' refuses them, missing='drop' leaves their rows out and counts them.\nChoose one of the two.",
    ),
    (
        "y ~ log(x)",
        {},
        DataError,
        "'log(x)' is not a finite number in 1 of 4 rows (counted from 0: 1).\n"
        "Every value that the formula makes must be finite.\n"
        "Often a log of zero or of a negative number: add a pseudo-count, or drop those rows first.",
    ),
    (
        "log(x) ~ 1",
        {},
        DataError,
        "'log(x)' is not a finite number in 1 of 4 rows (counted from 0: 1).\n"
        "Every value that the formula makes must be finite.\n"
        "Often a log of zero or of a negative number: add a pseudo-count, or drop those rows first.",
    ),
    (
        "y ~ huge",
        {},
        DataError,
        "column 'huge' has 1 infinite values, the first in row 1.\nNumbers must be finite.\n"
        "Often a log of zero: add a pseudo-count before the log, or drop those rows.",
    ),
    (
        "g ~ x",
        {},
        DataError,
        "the response 'g' holds labels (a, b), not numbers.\n"
        "The response is numeric; a factor of two levels serves a bernoulli family.\n"
        "Convert the column to numbers, or choose the family that fits it.",
    ),
    (
        "y ~ (1 | mixed)",
        {},
        DataError,
        "column 'mixed' mixes values of the types int, str.\nA column holds numbers, or labels that are all text.\n"
        "Convert it: data['mixed'] = data['mixed'].astype(str).",
    ),
    (
        "y ~ when",
        {},
        DataError,
        "column 'when' holds values of type datetime64[us], neither numbers nor labels.\n"
        "A formula uses numbers, booleans, text and Categoricals.\n"
        "Convert dates and durations to a number, such as days since the start; or, where each is a level, write "
        "data['when'] = data['when'].astype(str).",
    ),
    (
        "y ~ 0 + same",
        {},
        DataError,
        "'same' is constant: it is 2 in every row.\n"
        "A fixed term must vary, since a constant one cannot be told from the intercept.\n"
        "Leave 'same' out, or write 1 for an intercept.",
    ),
    (
        "y ~ one",
        {},
        DataError,
        "factor 'one' has a single level, 'u'.\nA fixed factor needs at least two observed levels.\n"
        "Leave it out of the formula, or fit the data before they were filtered.",
    ),
    (
        "y ~ factor(same > 0)",
        {},
        DataError,
        "factor 'factor(same > 0)' has a single level, 'True'.\nA fixed factor needs at least two observed levels.\n"
        "Leave it out of the formula, or fit the data before they were filtered.",
    ),
    (
        "y ~ (1 | left:right)",
        {},
        DataError,
        "the levels of 'left:right' cannot be told apart: two combinations of levels have the same label because a "
        "level contains ':'.\nEach combination of levels needs a label of its own, written 'a:b'.\n"
        "Rename the levels that contain ':'.",
    ),
    (
        "y ~ alike",
        {},
        DataError,
        "column 'alike' has different categories that print alike: 1, 1, 2.\nEach level needs a label of its own.\n"
        "Rename the categories with .cat.rename_categories.",
    ),
    (
        "y ~ log(g)",
        {},
        FormulaError,
        "'log(g)' cannot be computed: it needs numbers, not labels.\n"
        "log must accept the arguments that the formula gives it.\n"
        "Check the arguments' number, names and types; labels cannot be computed with.",
    ),
    (
        "y ~ I(g + 1)",
        {},
        DataError,
        "'g + 1' computes with labels, not numbers.\n"
        "Arithmetic needs numeric columns; labels can be compared with == and !=.\n"
        "Use a numeric column, or compare: I(column == 'label').",
    ),
    (
        "y ~ poly(x, 9)",
        {},
        FormulaError,
        "'poly(x, 9)' cannot be computed: degree 9 needs more than 9 distinct values.\n"
        "poly must accept the arguments that the formula gives it.\n"
        "Check the arguments' number, names and types; labels cannot be computed with.",
    ),
    (
        "y ~ x",
        {"weights": "w"},
        DataError,
        "the weights 'w' are not all positive numbers.\nA row's weight divides its variance, so it is greater than "
        "zero.\nDrop the rows of weight zero; leave equal weights out.",
    ),
    (
        "y ~ x",
        {"weights": [1.0, 2.0]},
        DataError,
        "weights have the shape (2,) for 4 rows.\nThere is one weight for each row of the data.\n"
        "Give an array of that length, or a column's name.",
    ),
    (
        "cbind(x, y) ~ 1",
        {},
        DataError,
        "'cbind(x, y)' has values that are not counts.\ncbind(successes, failures) takes whole numbers from 0 on.\n"
        "The second is the number of failures, often written as trials - successes.",
    ),
    (
        "y ~ own(x)",
        {"functions": {"own": lambda x: x[:2]}},
        DataError,
        "'own(x)' returned values of shape (2,) for 4 rows.\n"
        "A function of a formula returns one value, or one row of values, for each row.\n"
        "Change the function that functions= gives as 'own'.",
    ),
]


@pytest.mark.parametrize(("text", "arguments", "kind", "message"), MESSAGES, ids=[row[0] for row in MESSAGES])
def test_message(text: str, arguments: dict[str, Any], kind: type[SpecletError], message: str) -> None:
    formula = parse_formula(text, functions=tuple(arguments.get("functions", ())))
    with pytest.raises(kind) as caught:
        build_design(formula, TABLE, text=text, **arguments)
    assert str(caught.value) == message


TABLES: list[tuple[object, str]] = [
    (
        TABLE.iloc[:0],
        "the data have no rows.\nA model needs at least one row.\nCheck the filter or the file that made them.",
    ),
    (
        [1, 2, 3],
        "a list is not a table.\nA pandas, polars or pyarrow table is, or a dictionary of arrays.\n"
        "Write pandas.DataFrame(data), with a name for each column.",
    ),
    (
        {"y": 1.0, "x": 2.0},
        "the columns do not make a table: 'y' is a single value.\n"
        "A dictionary of columns needs arrays of equal length.\nWrite a list, {'y': [1.0]}, also for one row.",
    ),
    (
        {"y": [1.0, 2.0], "x": [1.0]},
        "the columns do not make a table: All arrays must be of the same length.\n"
        "A dictionary of columns needs arrays of equal length.\nGive every column one value for each row.",
    ),
    (
        pd.DataFrame([[1.0, 2.0, 3.0]], columns=["y", "x", "x"]),
        "the data have several columns named 'x'.\nEach column that a formula uses must have a name of its own.\n"
        "Rename or drop one: data.loc[:, ~data.columns.duplicated()].",
    ),
]


@pytest.mark.parametrize(("data", "message"), TABLES)
def test_tables_that_cannot_serve(data: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        build_design(parse_formula("y ~ x"), data)
    assert str(caught.value) == message


NEW_ROWS: list[tuple[dict[str, list[Any]], str]] = [
    (
        {"x": [1.0], "g": ["c"]},
        "column 'g' has levels that the model has not seen: c.\nLevels: a, b.\n"
        "A fixed effect has no value for a new level: leave those rows out, or make the factor a group term.",
    ),
    (
        {"x": ["1"], "g": ["a"]},
        "column 'x' holds labels here, but held numbers when the model was built.\n"
        "New data have the same kinds of columns as the data of the model.\n"
        "Convert it: data['x'] = pandas.to_numeric(data['x']).",
    ),
    (
        {"x": [np.nan], "g": ["a"]},
        "1 of 1 rows have missing values, in 'x' (1).\nEvery column that the formula uses must be complete.\n"
        "Write missing='drop' to leave these rows out, or fill the values in yourself before the fit.",
    ),
]


@pytest.mark.parametrize(("rows", "message"), NEW_ROWS)
def test_new_rows_that_cannot_serve(rows: dict[str, list[Any]], message: str) -> None:
    design = build_design(parse_formula("y ~ x + g"), TABLE)
    with pytest.raises(DataError) as caught:
        replay_design(design, rows)
    assert str(caught.value) == message


def test_a_column_may_vary_over_a_factor_once_only() -> None:
    """Beside an intercept a:b needs b's own columns for full rank, which another block may hold already."""
    table = TABLE.assign(a=["u", "v", "u", "v"], b=["s", "s", "t", "t"])
    with pytest.raises(FormulaError) as caught:
        build_design(parse_formula("y ~ (a:b | g) + (0 + b | g)"), table)
    assert str(caught.value) == (
        "the group effect 'b[t]|g' appears in two group terms.\n"
        "A column varies over a grouping factor once, since two such effects cannot be told apart.\n"
        "Write (x | g) for both together, or (1 | g) + (0 + x | g) for uncorrelated ones."
    )


@pytest.mark.parametrize("text", ["y ~ __import__('os')", "y ~ x.real()", "y ~ eval('x')"])
def test_a_formula_runs_no_code(text: str) -> None:
    with pytest.raises(FormulaError, match="is not a function that a formula can call"):
        build_design(parse_formula(text), TABLE)
