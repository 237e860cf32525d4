"""The formula that `. ~ . - x` changes goes in; what '.' stands for comes out, and a minus sign takes away from it.

Outside a change nothing here applies: there '.' is all columns, and no group term is taken away.
Reading the change is left to `expansion`.
"""

from collections.abc import Container, Sequence

from speclet_formula.errors import FormulaError, listed, nearest
from speclet_formula.formula.side import Side
from speclet_formula.formula.terms import Call, Expression, Formula, GroupTerm, Name, Term, text_of
from speclet_formula.formula.tree import TreeNode, error_under, source_of


def former_terms(former: Formula, node: TreeNode, side: Side) -> tuple[Term, ...]:
    """Give the fixed terms of the formula that is changed; its group terms and offsets are noted on the side."""
    if not former.intercept:
        side.intercept = not side.added
    if side.added:
        side.group_terms.extend((group_term, node) for group_term in former.group_terms)
        side.offsets.extend(former.offsets)
    else:
        remove_groups(former.group_terms, node, side)
        for offset in former.offsets:
            remove_offset(offset, node, side)
    return former.terms


def is_removal(side: Side) -> bool:
    """Tell whether what is being read is taken away from the formula that is changed."""
    return side.former is not None and side.operator == "-" and not side.added


def remove_groups(group_terms: Sequence[GroupTerm], node: TreeNode, side: Side) -> None:
    """Take group terms away, by what they mean: (x | g) is (1 + x | g)."""
    for group_term in group_terms:
        kept = [pair for pair in side.group_terms if _meaning(pair[0]) != _meaning(group_term)]
        if len(kept) == len(side.group_terms):
            raise _not_there(text_of(group_term), [text_of(known) for known, _ in side.group_terms], node, side)
        side.group_terms = kept


def remove_offset(offset: Expression, node: TreeNode, side: Side) -> None:
    """Take an offset away."""
    if offset not in side.offsets:
        raise _not_there(f"offset({text_of(offset)})", [f"offset({text_of(one)})" for one in side.offsets], node, side)
    side.offsets = [other for other in side.offsets if other != offset]


def check_removed(removed: Sequence[Term], kept: Container[frozenset[Name | Call]], node: TreeNode, side: Side) -> None:
    """Refuse to take away what is not there, where a formula is changed; some of `a*b` may be missing."""
    if side.former is None or not removed or any(frozenset(term.factors) in kept for term in removed):
        return
    raise _not_there(source_of(side.context, node), [text_of(term) for term in side.former.terms], node, side)


def drop_repeated_groups(side: Side) -> None:
    """Keep one of each group term where a formula is changed, as R does: `. + (1 | g)` may repeat what `.` has."""
    if side.former is not None:
        kept: dict[tuple[object, ...], tuple[GroupTerm, TreeNode]] = {}
        for group_term, node in side.group_terms:
            kept.setdefault(_meaning(group_term), (group_term, node))
        side.group_terms = list(kept.values())


def _meaning(group_term: GroupTerm) -> tuple[object, ...]:
    """Return what two spellings of one group term share: a single column has no correlation."""
    terms = frozenset(frozenset(term.factors) for term in group_term.terms)
    correlated = group_term.correlated and (group_term.intercept + len(terms) > 1)
    return group_term.intercept, terms, frozenset(group_term.group.factors), correlated


def _not_there(text: str, known: list[str], node: TreeNode, side: Side) -> FormulaError:
    """Word the error of taking away what the formula lacks."""
    near = nearest(text, known)
    return error_under(
        side.context,
        node,
        f"'{text}' is not in the formula that is changed.",
        f"It has {listed(known) or 'none of this kind'}.",
        f"Nearest: '{near}'." if near else "Leave it out of the change.",
    )
