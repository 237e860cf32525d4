"""A node among the terms goes in; the terms that its operators expand to come out, as R and lme4 expand them.

Here `a*b` crosses and `a/b` nests; intercept, offsets and group terms are noted on the side that is being read.
Arithmetic inside calls is left to `expressions`, the right of a bar to `grouping`.
"""

from typing import cast

from lark import Token

from speclet_formula.formula.expressions import read_call, read_name, read_number, with_columns
from speclet_formula.formula.former import check_removed, former_terms, is_removal, remove_groups, remove_offset
from speclet_formula.formula.grouping import read_groups
from speclet_formula.formula.reading import is_unreadable
from speclet_formula.formula.refusals import RESPONSES, bare_bar, misplaced_offset, misplaced_response, not_a_term
from speclet_formula.formula.side import Side, size_of, spend
from speclet_formula.formula.terms import (
    Call,
    GroupTerm,
    Name,
    Term,
    by_degree,
    crossed,
    distinct,
    interacted,
    nested,
    within,
)
from speclet_formula.formula.tree import TreeNode, children_of, error_under, kind_of, source_of, unwrapped


def expand_terms(node: TreeNode, side: Side) -> tuple[Term, ...]:  # noqa: PLR0911 - one case for each kind of node
    """Expand a node to its terms; intercept, group terms and offsets are noted on the side."""
    match kind_of(node):
        case "NAME" if node == ".":
            return _all_columns(node, side) if side.former is None else former_terms(side.former, node, side)
        case "NAME" | "QUOTED_NAME":
            return (Term((read_name(node, side.context),)),)
        case "NUMBER":
            return _intercept(node, side)
        case "call":
            return _call_term(node, side)
        case "parentheses":
            inner = unwrapped(node)
            return _group_term(inner, node, side) if kind_of(inner) == "bars" else expand_terms(inner, side)
        case "bars":
            raise bare_bar(node, side.context)
        case "sum" | "signed":
            return _sum(node, side)
        case "product" | "nesting" | "interaction":
            return _chain(node, side)
        case "power":
            return _power(node, side)
    raise not_a_term(node, side.context)


def _all_columns(node: TreeNode, side: Side) -> tuple[Term, ...]:
    """Expand '.' to all columns that the response does not use."""
    allowed = "'.' stands for all columns of the data that are not on the left of '~', as a term of its own."
    if side.taken is None:
        problem = "'.' stands inside a group term."
        raise error_under(side.context, node, problem, allowed, "Name the columns that vary by group.")
    if side.context.columns is None:
        problem = "'.' needs the data's columns, which are not known here."
        raise error_under(side.context, node, problem, allowed, "Pass columns=, or name the columns.")
    names = []
    for column in (column for column in side.context.columns if column not in side.taken):
        if not isinstance(column, str) or not column or any(map(is_unreadable, column)):
            problem = f"'.' covers the column {column!r}, whose name a formula cannot hold."
            raise error_under(side.context, node, problem, allowed, "Rename or drop it, or name the columns.")
        names.append(column)
    spend(side, node, sum(map(len, names)))
    return distinct(Term((Name(name),)) for name in names)


def _intercept(node: TreeNode, side: Side) -> tuple[Term, ...]:
    """Note a 1 or a 0; the last one counts, and a minus sign before it turns it round."""
    value = read_number(node, side.context).value
    if value not in (0, 1):
        problem = f"'{node}' is a number, not a term."
        allowed = "The only numbers among the terms are 1 and 0, with and without intercept."
        raise error_under(side.context, node, problem, allowed, f"Write arithmetic inside I(), such as I({node} * x).")
    side.intercept = bool(value) == side.added
    return ()


def _call_term(node: TreeNode, side: Side) -> tuple[Term, ...]:
    """Read a call as a term, or note an offset."""
    call = read_call(node, side.context)
    if call.function in RESPONSES:
        raise misplaced_response(node, side.context)
    if call.function != "offset":
        return (Term((cast("Call", with_columns(call, node, side.context)),)),)
    removal = is_removal(side)
    alone = [argument.name for argument in call.arguments] == [None]
    if (side.operator is not None and not removal) or side.taken is None or not alone:
        raise misplaced_offset(node, side.context)
    offset = with_columns(call.arguments[0].value, node, side.context)
    if removal:
        remove_offset(offset, node, side)
    else:
        side.offsets.append(offset)
    return ()


def _group_term(bars: TreeNode, node: TreeNode, side: Side) -> tuple[Term, ...]:
    """Note (1 + x | a/b): one group term for each level of nesting."""
    columns, bar, grouping, *more = children_of(bars)
    context = side.context
    if more:
        problem = f"'{source_of(context, node)}' has more than one bar."
        raise error_under(context, more[0], problem, "A group term has one bar, | or ||.", "Write two group terms.")
    removal = is_removal(side)
    if (side.operator is not None and not removal) or side.taken is None:
        place = "inside another group term" if side.taken is None else f"next to '{side.operator}'"
        problem = f"the group term '{source_of(context, node)}' stands {place}."
        raise error_under(
            context, node, problem, "Group terms are added to a formula with '+'.", "Write it as a term alone."
        )
    inner = Side(context, taken=None)
    terms = by_degree(expand_terms(columns, inner))
    if not (terms or inner.intercept):
        problem = f"'{source_of(context, node)}' has no column."
        allowed = "The left of the bar has an intercept, 1, or columns that vary by group."
        remedy = f"Write (1 | {source_of(context, grouping)}), or leave the group term out."
        raise error_under(context, columns, problem, allowed, remedy)
    found = [GroupTerm(inner.intercept, terms, group, bar == "|") for group in read_groups(grouping, bars, side)]
    if removal:
        remove_groups(found, node, side)
    else:
        side.group_terms.extend((group_term, node) for group_term in found)
    return ()


def _sum(node: TreeNode, side: Side) -> tuple[Term, ...]:
    """Add and take away terms, from left to right."""
    kept: dict[frozenset[Name | Call], Term] = {}
    children = children_of(node)
    leading = () if kind_of(node) == "signed" else (expand_terms(children[0], side),)
    for term in (term for terms in leading for term in terms):
        kept[frozenset(term.factors)] = term
    rest = children if kind_of(node) == "signed" else children[1:]
    for operator, operand in zip(rest[::2], rest[1::2], strict=True):
        if operator == "!":
            raise not_a_term(node, side.context)
        if operator == "-":
            removed = _removed(operand, cast("Token", operator), side)
            check_removed(removed, kept, operand, side)
            for term in removed:
                kept.pop(frozenset(term.factors), None)
        else:
            for term in expand_terms(operand, side):
                kept.setdefault(frozenset(term.factors), term)
    return tuple(kept.values())


def _removed(node: TreeNode, operator: Token, side: Side) -> tuple[Term, ...]:
    """Expand what follows a minus sign."""
    outer, side.operator, side.added = side.operator, operator, not side.added
    terms = expand_terms(node, side)
    side.operator, side.added = outer, not side.added
    return terms


def _chain(node: TreeNode, side: Side) -> tuple[Term, ...]:
    """Combine terms by * / %in% or :, from left to right."""
    combine = {"*": crossed, "/": nested, "%in%": within, ":": interacted}
    first, *rest = children_of(node)
    left = _operand(first, cast("Token", rest[0]), side)
    for sign, operand in zip(rest[::2], rest[1::2], strict=True):
        operator = cast("Token", sign)
        right = _operand(operand, operator, side)
        spend(side, operator, size_of(left) * len(right) + size_of(right) * len(left))
        left = combine[operator](left, right)
    return left


def _power(node: TreeNode, side: Side) -> tuple[Term, ...]:
    """Expand (a + b)^2 to all interactions up to that order."""
    base, sign, exponent = children_of(node)
    operator = cast("Token", sign)
    terms = base_terms = _operand(base, operator, side)
    value = read_number(exponent, side.context).value if kind_of(exponent) == "NUMBER" else 0
    if not isinstance(value, int) or value < 1:
        problem = f"'{source_of(side.context, exponent)}' is not an order of interaction."
        remedy = f"Write I({source_of(side.context, node)}) for arithmetic."
        raise error_under(
            side.context, exponent, problem, f"'{operator}' takes a whole number from 1 on: (a + b)^2.", remedy
        )
    for _ in range(value - 1):
        spend(side, operator, size_of(terms) * len(base_terms) + size_of(base_terms) * len(terms))
        more = interacted(terms, base_terms)
        if more == terms:  # all interactions are there, a higher power adds none
            break
        terms = more
    return terms


def _operand(node: TreeNode, operator: Token, side: Side) -> tuple[Term, ...]:
    """Expand an operand of an operator that combines terms; it must have some."""
    outer, side.operator = side.operator, operator
    terms = expand_terms(node, side)
    side.operator = outer
    if not terms:
        problem = f"'{operator}' has no term to combine in '{source_of(side.context, node)}'."
        remedy = "Add or remove the intercept with + 1, + 0 or - 1; write arithmetic inside I()."
        raise error_under(side.context, node, problem, f"'{operator}' combines terms, not numbers.", remedy)
    return terms
