"""The right of a bar goes in; its grouping factors come out, one for each level of nesting.

Once all group terms are read, no column of a grouping factor may belong to two of them.
The left of the bar is left to `expansion`.
"""

from typing import cast

from lark import Tree

from speclet_formula.errors import FormulaError
from speclet_formula.formula.expressions import read_expression, read_name, with_columns
from speclet_formula.formula.foreign import FOREIGN
from speclet_formula.formula.former import drop_repeated_groups
from speclet_formula.formula.side import Side, size_of, spend
from speclet_formula.formula.terms import Call, GroupTerm, Name, Term, distinct, interacted, nested, text_of
from speclet_formula.formula.tree import Context, TreeNode, children_of, error_under, kind_of, source_of, unwrapped


def read_groups(node: TreeNode, bars: TreeNode, side: Side) -> tuple[Term, ...]:
    """Expand the right of a bar: g, a:b or a/b."""
    inner = unwrapped(node)
    kind = kind_of(inner)
    if kind in ("NAME", "QUOTED_NAME"):
        return (Term((read_name(inner, side.context),)),)
    if kind == "call":
        _refuse_wrapped(inner, bars, side.context)
        call = read_expression(inner, side.context)
        return (Term((cast("Call", with_columns(call, inner, side.context)),)),)
    operators = {str(operator) for operator in children_of(inner)[1::2]} if kind in ("product", "interaction") else {""}
    if not operators <= {"/", ":"}:
        raise _not_a_group(inner, bars, side.context)
    first, *rest = children_of(inner)
    left = read_groups(first, bars, side)
    for operator, operand in zip(rest[::2], rest[1::2], strict=True):
        right = read_groups(operand, bars, side)
        spend(side, operator, size_of(left) * len(right) + size_of(right) * len(left))
        left = nested(left, right) if operator == "/" else interacted(left, right)
    return left


def check_group_columns(side: Side) -> None:
    """Refuse two effects for the same column of the same grouping factor."""
    seen: dict[frozenset[Name | Call], dict[frozenset[Name | Call], tuple[GroupTerm, TreeNode]]] = {}
    drop_repeated_groups(side)
    for group_term, node in side.group_terms:
        columns = (*((Term(()),) if group_term.intercept else ()), *group_term.terms)
        keys = [frozenset(column.factors) for column in columns]
        taken = seen.setdefault(frozenset(group_term.group.factors), {})
        for key, column in zip(keys, columns, strict=True):
            if key in taken:
                raise _repeated_column(column, taken[key], (group_term, node), side)
        taken.update(dict.fromkeys(keys, (group_term, node)))


def _refuse_wrapped(call: TreeNode, bars: TreeNode, context: Context) -> None:
    """Refuse brms' gr(g), with the group term to write."""
    function, _, *inside, _ = children_of(call)
    if function != "gr" or function in context.functions or not inside:
        return
    columns, bar, *_ = (source_of(context, child) for child in children_of(bars))
    remedy = f"Write ({columns} {bar} {source_of(context, children_of(inside[0])[-1])})."
    problem = f"'{function}' is not a function that a formula can call."
    raise error_under(context, function, problem, FOREIGN["gr"].allowed, remedy)


def _not_a_group(node: TreeNode, bars: TreeNode, context: Context) -> FormulaError:
    """Refuse a grouping factor, with what `+` and `*` would have meant."""
    columns, bar, *_ = (source_of(context, child) for child in children_of(bars))
    parts = [source_of(context, part) for part in children_of(node)[::2]] if isinstance(node, Tree) else []
    operators = {str(operator) for operator in children_of(node)[1::2]} if isinstance(node, Tree) else set()
    remedy = "Name a column; make it before fitting if it has to be computed."
    if operators in ({"+"}, {"*"}):
        groups = parts if operators == {"+"} or len(parts) > 2 else [*parts, ":".join(parts)]  # noqa: PLR2004
        remedy = f"Write {' + '.join(f'({columns} {bar} {group})' for group in groups)}."
    problem = f"'{source_of(context, node)}' is not a grouping factor."
    return error_under(
        context, node, problem, "A grouping factor is a column, a call, a:b, or a/b for b within a.", remedy
    )


def _repeated_column(
    column: Term, one: tuple[GroupTerm, TreeNode], other: tuple[GroupTerm, TreeNode], side: Side
) -> FormulaError:
    """Word the error for a column that two group terms share."""
    (first, _), (second, node) = one, other
    what = f"the column '{text_of(column)}'" if column.factors else "the intercept"
    problem = f"{what} of '{text_of(second.group)}' appears twice, in {text_of(first)} and in {text_of(second)}."
    had = {frozenset(term.factors) for term in first.terms}
    rest = tuple(term for term in second.terms if frozenset(term.factors) not in had)
    intercept = second.intercept and not first.intercept
    terms = distinct((*first.terms, *second.terms))
    together = GroupTerm(first.intercept or second.intercept, terms, first.group, correlated=True)
    remedy = _nested_alone(one, other, side) or f"Write {text_of(first)} alone."
    if rest or intercept:
        apart = GroupTerm(intercept, rest, second.group, second.correlated)
        remedy = f"Write {text_of(together)}, or {text_of(first)} + {text_of(apart)} without correlation between them."
    allowed = "Each column of a grouping factor belongs to one group term."
    return error_under(side.context, node, problem, allowed, remedy)


def _nested_alone(one: tuple[GroupTerm, TreeNode], other: tuple[GroupTerm, TreeNode], side: Side) -> str | None:
    """Return what to write where (1 | g) stands beside (1 | g/f), which is (1 | g) + (1 | g:f) already."""
    for (mine, node), (theirs, _) in ((one, other), (other, one)):
        parts = [term for term, origin in side.group_terms if origin is node]
        if len(parts) > 1 and _holds(mine, theirs):
            columns, bar, groups = (source_of(side.context, part) for part in children_of(unwrapped(node))[:3])
            return f"Write ({columns} {bar} {groups}) alone: it means {' + '.join(map(text_of, parts))}."
        if len(parts) > 1 and _holds(theirs, mine):
            return f"Write {' + '.join(text_of(theirs if term is mine else term) for term in parts)}."
    return None


def _holds(wide: GroupTerm, narrow: GroupTerm) -> bool:
    """Tell whether one group term has all the columns of another."""
    known = {frozenset(term.factors) for term in wide.terms}
    return wide.intercept >= narrow.intercept and all(frozenset(term.factors) in known for term in narrow.terms)
