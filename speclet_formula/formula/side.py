"""One right-hand side, or the left of a bar: what it has said so far besides its terms, and what it has cost.

Its intercept, group terms and offsets are noted here as they are read, from left to right.
The reading itself is left to `grouping` and `expansion`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lark import Token

from speclet_formula.errors import FormulaError
from speclet_formula.formula.reading import MAX_CHARACTERS
from speclet_formula.formula.terms import Expression, Formula, GroupTerm, Term, text_of
from speclet_formula.formula.tree import Context, TreeNode, error_at, position_of


@dataclass
class Side:
    """What a right-hand side, or the left of a bar, has said so far; read from left to right."""

    context: Context
    taken: tuple[str, ...] | None  # the response's columns, which '.' leaves out; None inside a group term
    intercept: bool = True
    group_terms: list[tuple[GroupTerm, TreeNode]] = field(default_factory=list)
    offsets: list[Expression] = field(default_factory=list)
    added: bool = True  # False below an odd number of minus signs
    operator: Token | None = None  # the innermost operator, other than +, whose operand is being read
    former: Formula | None = None  # the right-hand side that '.' stands for, where a formula is changed
    characters: int = 0  # text that operators have expanded to


def size_of(terms: Iterable[Term]) -> int:
    """Count the characters of terms, as a measure of work."""
    return sum(len(text_of(term)) for term in terms)


def spend(side: Side, node: TreeNode, characters: int) -> None:
    """Stop an expansion before it explodes."""
    side.characters += characters
    if side.characters > MAX_CHARACTERS:
        raise too_long(side.context, position_of(node))


def too_long(context: Context, position: int) -> FormulaError:
    """Refuse an expansion that is too long."""
    problem = f"the terms would fill more than {MAX_CHARACTERS} characters."
    return error_at(context, position, problem, "Operators expand to less.", "Name the interactions that matter.")
