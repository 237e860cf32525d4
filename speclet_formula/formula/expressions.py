"""A node inside a call or of the response goes in; the Expression that its operators mean there comes out.

Here `*` multiplies, `|` is a logical or, and only known functions can be called.
What the operators mean among the terms is left to `expansion`.
"""

import math
import re
from typing import cast

from lark import Token

from speclet_formula.formula.refusals import RESPONSES, misplaced_offset, misplaced_response, unknown_function
from speclet_formula.formula.terms import (
    RESERVED,
    Argument,
    Call,
    Expression,
    Flag,
    Name,
    Number,
    Operation,
    Text,
    columns_of,
)
from speclet_formula.formula.tree import (
    Context,
    TreeNode,
    children_of,
    error_at,
    error_under,
    kind_of,
    position_of,
    source_of,
    unwrapped,
)

# R's names of constants, where no column has the name.
_CONSTANTS: dict[str, Expression] = {"pi": Number(math.pi), "T": Flag(True), "F": Flag(False)}


def read_expression(node: TreeNode, context: Context) -> Expression:  # noqa: PLR0911 - one case for each kind of node
    """Read arithmetic."""
    match kind_of(node):
        case "NAME" if node == "." and context.former is not None:
            return context.former
        case "NAME" | "QUOTED_NAME":
            return _read_word(node, context)
        case "NUMBER":
            return read_number(node, context)
        case "STRING":
            return Text(_unquoted(node, context))
        case "parentheses":
            return read_expression(unwrapped(node), context)
        case "call":
            return _inner_call(node, context)
        case "signed":
            operator, operand = children_of(node)
            return Operation(str(operator), (read_expression(operand, context),))
    first, *rest = children_of(node)
    left = read_expression(first, context)
    for operator, right in zip(rest[::2], rest[1::2], strict=True):
        left = _operation(left, operator, right, context)
    return left


def _read_word(node: TreeNode, context: Context) -> Expression:
    """Read a column, or a constant of R's where no column has its name."""
    if kind_of(node) == "NAME" and node in ("TRUE", "FALSE"):
        return Flag(node == "TRUE")
    known = context.columns
    if kind_of(node) == "NAME" and node in _CONSTANTS and known is not None and node not in known:
        return _CONSTANTS[str(node)]
    return read_name(node, context)


def _inner_call(node: TreeNode, context: Context) -> Call:
    """Read a call that gives values, which whole responses and offset do not."""
    call = read_call(node, context)
    if call.function in RESPONSES:
        raise misplaced_response(node, context)
    if call.function == "offset":
        raise misplaced_offset(node, context)
    return call


def _operation(left: Expression, operator: TreeNode, right: TreeNode, context: Context) -> Expression:
    """Join two operands."""
    remedies = {":": "Write interaction(a, b) for combinations of factors.", "||": "Write '|' for a logical or."}
    if operator in remedies:
        problem = f"'{operator}' has no meaning in arithmetic."
        allowed = "Arithmetic is made of + - * / ^ %in% ! & |, comparisons, calls and parentheses."
        raise error_under(context, operator, problem, allowed, remedies[cast("Token", operator)])
    return Operation("^" if operator == "**" else str(operator), (left, read_expression(right, context)))


def read_call(node: TreeNode, context: Context) -> Call:
    """Read a call of a function that formulas can call."""
    function, _, *inside, _ = children_of(node)
    if function not in context.functions:
        raise unknown_function(function, inside, context)
    arguments: list[Argument] = []
    for child in inside[::2]:
        name, _, value = cast("tuple[Token | None, Token | None, TreeNode]", tuple(children_of(child)))
        if name is not None and name in RESERVED:
            problem = f"'{name}' is a word of R's own and names no argument of '{function}'."
            allowed = "An argument is named by a plain word: poly(x, degree = 2)."
            raise error_under(context, child, problem, allowed, f"Write '==' to compare, or take '{name} =' out.")
        if name is not None and name in [argument.name for argument in arguments]:
            problem = f"the argument '{name}' is given twice to '{function}'."
            raise error_under(context, child, problem, "Each argument is given once.", f"Take one '{name}' out.")
        arguments.append(Argument(None if name is None else str(name), read_expression(value, context)))
    return Call(str(function), tuple(arguments))


def read_name(node: TreeNode, context: Context) -> Name:
    """Read a column's name."""
    if kind_of(node) == "QUOTED_NAME":
        return Name(_unquoted(node, context))
    if node == ".":
        problem, allowed = "'.' is not a column.", "'.' stands for all other columns as a term of its own, y ~ ."
        raise error_under(context, node, problem, allowed, "Name the column.")
    if node in RESERVED:
        problem, allowed = f"'{node}' is a word of R, not a column.", "A column may have any name in back-quotes."
        raise error_under(context, node, problem, allowed, f"Write `{node}` if that is the column's name.")
    return Name(str(node))


def read_number(node: TreeNode, context: Context) -> Number:
    """Read a number, whole where it has no fraction."""
    value = float(cast("Token", node))
    if math.isinf(value):
        problem = f"'{source_of(context, node)[:20]}' is too large."
        raise error_under(context, node, problem, "Numbers go up to 1.8e308.", "Write a smaller number.")
    return Number(int(value) if value.is_integer() and value < 1e15 else value)  # noqa: PLR2004


def _unquoted(node: TreeNode, context: Context) -> str:
    """Read a quoted name or text."""
    meanings = {"\\\\": "\\", "\\n": "\n", "\\t": "\t", "\\r": "\r", "\\`": "`", "\\'": "'", '\\"': '"'}
    token = cast("Token", node)
    for escape in re.finditer(r"\\.", token, re.DOTALL):
        if escape[0] not in meanings:
            allowed = "A backslash stands before a quote, a backslash, n, r or t."
            raise error_at(
                context, position_of(node) + escape.start(), f"'{escape[0]}' has no meaning.", allowed, "Write '\\\\'."
            )
    return re.sub(r"\\.", lambda escape: meanings[escape[0]], token[1:-1], flags=re.DOTALL)


def with_columns(expression: Expression, node: TreeNode, context: Context) -> Expression:
    """Refuse an expression that is the same in every row."""
    if columns_of(expression):
        return expression
    problem = f"'{source_of(context, node)}' uses no column of the data."
    allowed = "Responses, terms, groups and offsets are computed from columns."
    raise error_under(context, node, problem, allowed, "Name a column.")
