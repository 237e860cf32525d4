"""Formula text goes in; its syntax tree by grammar.lark comes out, or a FormulaError with a caret.

Text that is not text, cannot be seen, is too long or nests too deep is refused here, before anything is expanded.
What the tree means is left to `expressions` and `expansion`.
"""

import unicodedata
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from speclet_formula.errors import FormulaError
from speclet_formula.formula.syntax_errors import unexpected_character, unexpected_token
from speclet_formula.formula.tree import Context, TreeNode, children_of, error_at, position_of

MAX_CHARACTERS = 500_000
"""Longest text of a formula, and longest text that its operators may expand to."""
MAX_DEPTH = 100
"""Deepest nesting of parentheses, calls and operators inside calls."""
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def checked_text(text: str) -> str:
    """Refuse what is not text, is empty or holds characters that are not seen."""
    allowed = "A formula is text such as 'y ~ x + (1 | g)'."
    if not isinstance(text, str):
        raise FormulaError(f"the formula is of type '{type(text).__name__}'.", allowed, "Pass it as a str.")
    if len(text) > MAX_CHARACTERS:
        problem = f"the formula has {len(text)} characters."
        raise FormulaError(problem, f"A formula has at most {MAX_CHARACTERS}.", "Use '.' for all columns.")
    if not text.strip():
        raise FormulaError("the formula is empty.", allowed, "Write the response, '~' and the terms.")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for position, char in enumerate(text):
        if is_unreadable(char):
            shown = "".join(" " if is_unreadable(other) else other for other in text)
            problem = f"the character U+{ord(char):04X} at position {position} cannot be seen."
            allowed = "A formula has no control characters and none that change the direction of text."
            raise FormulaError(problem, allowed, "Delete it and type the place anew.", shown, position)
    return text


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
