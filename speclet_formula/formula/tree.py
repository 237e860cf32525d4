"""A node of the formula's syntax tree goes in; its kind, its parts, its place and its own words come out.

The user's text stands beside the tree, so that every error quotes it and puts a caret under the right character.
How the tree is made is left to `reading`, what it means to `expressions` and `expansion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from lark import Token, Tree

from speclet_formula.errors import FormulaError
from speclet_formula.formula.terms import Expression

type TreeNode = Token | Tree[Token]


@dataclass(frozen=True)
class Context:
    """The user's text and what it may refer to."""

    text: str
    columns: Sequence[object] | None  # a data frame may have columns whose names are not text
    functions: frozenset[str]
    former: Expression | None = None  # the response that '.' stands for, where a formula is changed


def children_of(node: TreeNode) -> list[TreeNode]:
    """Give what a tree is made of."""
    return cast("Tree[Token]", node).children


def kind_of(node: TreeNode) -> str:
    """Name a node: its rule, or its terminal."""
    return str(node.type if isinstance(node, Token) else node.data)


def unwrapped(node: TreeNode) -> TreeNode:
    """Take parentheses off."""
    while kind_of(node) == "parentheses":
        node = children_of(node)[1]
    return node


def position_of(node: TreeNode) -> int:
    """Find where a node begins in the text."""
    return (node.start_pos or 0) if isinstance(node, Token) else node.meta.start_pos


def source_of(context: Context, node: TreeNode) -> str:
    """Quote the user's own text for a node."""
    end = (node.end_pos or 0) if isinstance(node, Token) else node.meta.end_pos
    return context.text[position_of(node) : end]


def error_at(context: Context, position: int, problem: str, allowed: str, remedy: str) -> FormulaError:
    """Word an error with a caret at a position."""
    return FormulaError(problem, allowed, remedy, context.text, position)


def error_under(context: Context, node: TreeNode, problem: str, allowed: str, remedy: str) -> FormulaError:
    """Word an error with a caret under the first character of a node."""
    return error_at(context, position_of(node), problem, allowed, remedy)
