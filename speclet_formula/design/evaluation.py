"""The values of an expression of a formula for the rows of a table: numbers or a factor.

Only the functions of this file, and those that the user hands over by name, can be called: a formula is data. What a
function learns from the first rows (means, knots, levels) is kept in `memory` under the call's spelling and used again
for other rows.
"""

import inspect
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.numbers import numeric_text, refuse_lost_digits
from speclet_formula.design.smooths import SmoothColumns, make_columns
from speclet_formula.design.tables import in_row_order
from speclet_formula.design.transforms import STATEFUL, STATELESS
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.formula.smooths import is_smooth, smooth_of
from speclet_formula.formula.terms import Call, Coding, Expression, Flag, Name, Number, Operation, Text, text_of

LABELLING = ("factor", "interaction", "relevel", "C", "dummy")  # functions that make levels of what they are given
Values = Any  # a float or bool array of n rows, an (n, k) array of a basis, a Categorical, or a scalar


@dataclass(frozen=True)
class Scope:
    """What an expression may refer to."""

    frame: pd.DataFrame
    memory: MutableMapping[str, Any]
    functions: Mapping[str, Callable[..., Any]]


def evaluate(node: Expression, scope: Scope) -> Values:
    """Return the values of an expression for each row of the scope's frame."""
    match node:
        case Name(name):
            return _column(scope.frame[name])
        case Number(value) | Text(value) | Flag(value) | Coding(value):
            return value
        case Operation(operator, operands):
            values = [_single(_plain(evaluate(operand, scope))) for operand in operands]
            _check_columns(operands, values, node)
            return _operate(operator, values, node, scope)
        case Call():
            return _call(node, scope)
    raise FormulaError(  # pragma: no cover - the parser makes no other nodes
        f"{node!r} is not an expression.", "Names, numbers, text, operators and calls are.", "Report this as a bug."
    )


def evaluate_labels(node: Expression, scope: Scope) -> Values:
    """Return the values of an expression whose levels are wanted: a column's numbers and booleans as they were given.

    Raises
    ------
    DataError
        A column holds numbers that may have been whole ones with more digits than a float has room for.
    """
    if not isinstance(node, Name):
        return evaluate(node, scope)
    column = scope.frame[node.name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical(column)
    values = column.to_numpy()
    if values.dtype.kind == "f":
        refuse_lost_digits(values, node.name)
    return values


def _column(column: pd.Series) -> Values:
    """Return a column as a factor or as numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical(column)
    values = column.to_numpy()
    if values.dtype.kind == "b":
        return values.astype(np.int64)
    return values if values.dtype == np.float64 else values.astype(float)


def _plain(values: Values) -> Values:
    """Return a factor's labels as an array, so that comparisons with text work; all else as it is."""
    return np.asarray(values, dtype=object) if isinstance(values, pd.Categorical) else values


def _single(values: Values) -> Values:
    """Return a basis of a single column, poly(x, 1), as a column; all else as it is."""
    return values[:, 0] if isinstance(values, np.ndarray) and values.ndim > 1 and values.shape[1] == 1 else values


def _check_columns(parts: Sequence[Expression], values: Sequence[Values], node: Expression) -> None:
    """Refuse to compute with a basis of several columns and something of another shape."""
    shapes = {part: np.shape(value) for part, value in zip(parts, values, strict=True) if np.ndim(value)}
    wide = next((part for part, shape in shapes.items() if len(shape) > 1), None)
    if len(set(shapes.values())) <= 1:
        return
    if wide is None:
        counts = " and ".join(f"{shape[0]:,}" for shape in dict.fromkeys(shapes.values()))
        raise FormulaError(
            f"'{text_of(node)}' computes with {counts} values.",
            "Columns are computed with row by row, and single numbers with every row.",
            "Leave c() out: it is for arguments such as knots = c(1, 2).",
        )
    raise FormulaError(
        f"'{text_of(node)}' computes with '{text_of(wide)}', which has {shapes[wide][1]:,} columns, and with others.",
        "Arithmetic and functions take one column, or sets of as many columns, row by row.",
        "Write an interaction as terms, a:b, or a basis of one column: poly(x, 1).",
    )


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "%%": np.mod,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "&": np.logical_and,
    "|": np.logical_or,
}
_UNARY: dict[str, Callable[[Any], Any]] = {"-": np.negative, "+": np.positive, "!": np.logical_not}


def _operate(operator: str, values: list[Values], node: Operation, scope: Scope) -> Values:
    """Apply one arithmetic, comparison or logical operator."""
    table: Mapping[str, Callable[..., Any]] = _UNARY if len(values) == 1 else _BINARY
    if operator not in table:
        raise FormulaError(
            f"'{text_of(node)}' cannot be computed: '{operator}' has no meaning between numbers.",
            f"Inside a call these operators compute: {' '.join(_BINARY)}.",
            "Write the interaction as a term of its own, outside the call.",
        )
    if operator not in ("==", "!=") and any(is_labels(value) for value in values):
        strays, remedy = _strays(node.operands, scope, "Use a numeric column, or compare: I(column == 'label').")
        raise DataError(
            f"'{text_of(node)}' computes with labels, not numbers{strays}.",
            "Arithmetic needs numeric columns; labels can be compared with == and !=.",
            remedy,
        )
    if len(values) == 2 and is_labels(values[0]) != is_labels(values[1]):  # noqa: PLR2004 - both operands
        raise DataError(
            f"'{text_of(node)}' compares labels with numbers.",
            "Labels are compared with text, numbers with numbers.",
            "Put quotes around a level, as in I(column == 'label'), and none around a number.",
        )
    with np.errstate(all="ignore"):  # what is not a number is reported by row once the term is complete
        # Integer columns: 2^-1 and overflow mean in R what they mean for doubles.
        return table[operator](*(value if is_labels(value) else np.asarray(value, dtype=float) for value in values))


def _strays(nodes: Sequence[Expression], scope: Scope, remedy: str) -> tuple[str, str]:
    """Return what is to be said of a column of text most of which is numbers, and what to do; else the remedy given."""
    names = [node.name for node in nodes if isinstance(node, Name)]
    labels = [name for name in names if isinstance(scope.frame[name].dtype, pd.CategoricalDtype)]
    numeric = next(((name, told) for name in labels if (told := numeric_text(scope.frame[name]))), None)
    if numeric is None:
        return "", remedy
    name, told = numeric
    return f": '{name}' is text, but {told.said}", told.remedy(name)


def is_labels(value: Values) -> bool:
    """Tell text and factors from numbers."""
    return np.asarray(value).dtype.kind in "OU"


def smooth_columns(node: Call, scope: Scope) -> SmoothColumns | None:
    """Return the columns of a smooth term; None of any other call, and where the name is a function of the user's."""
    if not is_smooth(node) or node.function in scope.functions:
        return None
    smooth = smooth_of(node)
    variables = [evaluate(variable, scope) for variable in smooth.variables]
    by = None if smooth.by is None else evaluate(smooth.by, scope)
    return make_columns(smooth, scope.memory.setdefault(text_of(node), {}), variables, by)


def _call(node: Call, scope: Scope) -> Values:
    """Apply a function, remembering what it learns when it is one that learns."""
    smooth = smooth_columns(node, scope)
    if smooth is not None:
        return smooth.fixed
    read = evaluate_labels if node.function in LABELLING and node.function not in scope.functions else evaluate
    positional = [_single(read(argument.value, scope)) for argument in node.arguments if argument.name is None]
    named = {argument.name: _single(evaluate(argument.value, scope)) for argument in node.arguments if argument.name}
    name = node.function
    if name in ("pmin", "pmax") and not named:
        _check_columns([argument.value for argument in node.arguments], positional, node)
    try:
        with np.errstate(all="ignore"):
            if name in scope.functions:
                return _user_values(scope.functions[name](*positional, **named), node, len(scope.frame))
            if name in STATEFUL:
                inspect.signature(STATEFUL[name]).bind({}, *positional, **named)
                learnt = scope.memory.setdefault(text_of(node), {})
                return STATEFUL[name](learnt, *positional, **named)
            inspect.signature(STATELESS[name]).bind(*positional, **named)
            return STATELESS[name](*positional, **named)
    except (TypeError, ValueError, IndexError, ArithmeticError, np.linalg.LinAlgError) as error:
        remedy = "Check the arguments' number, names and types; labels cannot be computed with."
        strays, remedy = _strays([argument.value for argument in node.arguments], scope, remedy)
        raise FormulaError(
            f"'{text_of(node)}' cannot be computed: {error}{strays}.",
            f"{name} must accept the arguments that the formula gives it.",
            remedy,
        ) from error


def _user_values(values: Any, node: Call, n_rows: int) -> Values:
    """Check what a user's function returned: one value for each row."""
    if isinstance(values, pd.Series):
        if len(values) == n_rows:  # of another length it is refused below
            values = in_row_order(values, pd.RangeIndex(n_rows), text_of(node))
        values = _column(values)
    if not isinstance(values, pd.Categorical):
        values = np.asarray(values)
    if len(np.shape(values)) not in (1, 2) or len(values) != n_rows:
        raise DataError(
            f"'{text_of(node)}' returned values of shape {np.shape(values)} for {n_rows} rows.",
            "A function of a formula returns one value, or one row of values, for each row.",
            f"Change the function that functions= gives as '{node.function}'.",
        )
    return values
