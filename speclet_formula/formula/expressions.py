"""From text to a syntax tree by grammar.lark, and from its nodes to names, numbers, calls and what calls compute.

Text that is not text, cannot be seen, is too long or nests too deep is refused here, before anything is expanded. What
the operators mean among terms is left to `parse`.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import cast

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from speclet_formula.errors import FormulaError
from speclet_formula.formula.coding import read_coded
from speclet_formula.formula.monotonic import is_monotonic, refuse_monotonic_inside
from speclet_formula.formula.refusals import (
    RESPONSES,
    Context,
    TreeNode,
    children_of,
    error_at,
    error_under,
    kind_of,
    misplaced_offset,
    misplaced_response,
    position_of,
    source_of,
    unexpected_character,
    unexpected_token,
    unknown_function,
    unwrapped,
)
from speclet_formula.formula.smooths import is_smooth, refuse_inside
from speclet_formula.formula.terms import (
    LOGICAL,
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

MAX_CHARACTERS = 500_000
"""Longest text of a formula, and longest text that its operators may expand to."""
MAX_DEPTH = 100
"""Deepest nesting of parentheses, calls and operators inside calls."""
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


A_TEXT = "A formula is text such as 'y ~ x + (1 | g)'."


def checked_text(text: str) -> str:
    """Refuse what is not text, is empty or holds characters that are not seen."""
    if not isinstance(text, str):
        raise no_text(text)
    if len(text) > MAX_CHARACTERS:
        problem = f"the formula has {len(text)} characters."
        raise FormulaError(problem, f"A formula has at most {MAX_CHARACTERS}.", "Use '.' for all columns.")
    if not text.strip():
        raise FormulaError("the formula is empty.", A_TEXT, "Write the response, '~' and the terms.")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for position, char in enumerate(text):
        if is_unreadable(char):
            shown = "".join(" " if is_unreadable(other) else other for other in text)
            problem = f"the character U+{ord(char):04X} at position {position} cannot be seen."
            allowed = "A formula has no control characters and none that change the direction of text."
            raise FormulaError(problem, allowed, "Delete it and type the place anew.", shown, position)
    return text


def no_text(formula: object) -> FormulaError:
    """Word what was given in the place of a formula, and how to get from it to one."""
    kind = type(formula).__name__
    if hasattr(formula, "columns") or isinstance(formula, Mapping):
        remedy = "The formula comes first, the table after it: sf.lmer('y ~ x + (1 | g)', data)."
    elif kind in ("Fit", "PointFit"):
        remedy = "Take the fit's formula, fit.model.formula, or change it: sf.update(fit, ...)."
    elif kind == "Model":
        remedy = "Fit the model by sf.fit(model), or take its formula: model.formula."
    else:
        remedy = "Pass it as a str."
    return FormulaError(f"the formula is of type '{kind}'.", A_TEXT, remedy)


def is_unreadable(char: str) -> bool:
    """Tell control characters, lone surrogates and marks of text direction."""
    return (unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t") or char in _BIDIRECTIONAL


def read_tree(context: Context) -> Tree[Token]:
    """Read the text by the grammar."""
    try:
        tree = _grammar().parse(context.text)
    except UnexpectedToken as error:
        raise unexpected_token(error, context) from None
    except UnexpectedInput as error:
        raise unexpected_character(error, context) from None
    _check_depth(tree, context)
    return tree


@cache
def _grammar() -> Lark:
    """Compile the grammar, once."""
    grammar = (files("speclet_formula.formula") / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=True)


def _check_depth(tree: Tree[Token], context: Context) -> None:
    """Refuse deep nesting, without recursion; long sums of terms are flat and may have any length."""
    waiting: list[tuple[TreeNode, int, bool]] = [(tree, 0, False)]
    while waiting:
        node, depth, arithmetic = waiting.pop()
        if depth > MAX_DEPTH:
            problem = f"the formula is nested more than {MAX_DEPTH} deep here."
            allowed = "Parentheses, calls and arithmetic nest less."
            raise error_at(context, position_of(node), problem, allowed, "Compute a column before fitting.")
        if not isinstance(node, Tree):
            continue
        children = children_of(node)
        arithmetic = arithmetic or node.data == "call"
        steps = max(1, len(children) // 2) if arithmetic and node.data != "call" else 1
        for index, child in enumerate(children):
            response = node.data == "formula" and index == 0
            if child is not None:
                waiting.append((child, depth + steps, arithmetic or response))


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
    if is_smooth(call) and call.function not in context.own:
        refuse_inside(call, node, "inside something else", context)
    if is_monotonic(call) and call.function not in context.own:
        refuse_monotonic_inside(call, node, "inside something else", context)
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
        if function in ("as.numeric", "as.integer") and len(inside) == 1:
            inner = read_expression(children_of(inside[0])[-1], context)
            if isinstance(inner, Operation) and inner.operator in LOGICAL:
                return Call("I", (Argument(None, inner),))
        raise unknown_function(function, inside, context)
    if function == "C" and function not in context.own:
        return read_coded(node, context, lambda part: read_expression(part, context))
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
