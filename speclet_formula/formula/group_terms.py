"""Group terms, (x | g), and the side of a formula that they are noted on as it is read, from left to right.

A side also knows its intercept and offsets, what it has cost to expand, and, where `. ~ . - x` changes a formula, what
'.' stands for and what is taken away from it.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from lark import Token, Tree

from speclet_formula.common.structures import HOM_BY_DEFAULT, WORDS, Structure
from speclet_formula.errors import FormulaError, listed, nearest
from speclet_formula.formula.expressions import MAX_CHARACTERS, read_expression, read_name, with_columns
from speclet_formula.formula.monotonic import check_monotonic, refuse_monotonic_inside
from speclet_formula.formula.multi_membership import read_membership, refuse_mixed
from speclet_formula.formula.refusals import (
    FOREIGN,
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
from speclet_formula.formula.smooths import check_smooth, random_effects, refuse_inside
from speclet_formula.formula.terms import (
    Call,
    Expression,
    Formula,
    GroupTerm,
    Name,
    Term,
    by_degree,
    distinct,
    interacted,
    nested,
    text_of,
)


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
        raise _not_there(
            f"offset({text_of(offset)})", [f"offset({text_of(known)})" for known in side.offsets], node, side
        )
    side.offsets = [known for known in side.offsets if known != offset]


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
    return (
        group_term.intercept,
        terms,
        frozenset(group_term.group.factors),
        correlated,
        group_term.structure,
        group_term.matrix,
    )


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


STRUCTURED = ("us", *HOM_BY_DEFAULT, *WORDS)  # us(x | g) is (x | g), diag(x | g) is (x || g)


def structured_bars(node: TreeNode, context: Context) -> TreeNode | None:
    """Return what stands inside us(x | g), diag(x | g), cs(f | g), ar1(0 + f | g); None of other calls.

    Raises
    ------
    FormulaError
        If there is more than one bar inside, or another argument than hom = TRUE or hom = FALSE.
    """
    function, _, *inside, _ = children_of(node)
    if function not in STRUCTURED or function in context.functions or not inside:
        return None
    bars = children_of(inside[0])[-1]
    if kind_of(bars) != "bars":
        return None
    columns, bar, grouping, *_ = (source_of(context, child) for child in children_of(bars))
    given = [_hom_in(argument) for argument in inside[2::2]]
    if bar == "||" or None in given or len(given) > (function in HOM_BY_DEFAULT):
        problem = f"'{source_of(context, node)}' is not how {function} is written."
        allowed = "us(x | g), diag(x | g), cs(x | g) and ar1(x | g) have one bar; all but us take hom = TRUE or FALSE."
        raise error_under(context, node, problem, allowed, f"Write {function}({columns} | {grouping}).")
    return bars


def structure_in(node: TreeNode) -> Structure | None:
    """Return the covariance structure that a group term's function says, as `structured_bars` has checked it.

    Of (x | g), us(x | g) and diag(x | g), which `correlated` tells apart, there is none.
    """
    if kind_of(node) != "call":
        return None
    word, _, *inside, _ = children_of(node)
    function = str(word)
    if function not in HOM_BY_DEFAULT:
        return WORDS.get(function)
    hom = _hom_in(inside[2]) if len(inside) > 1 else HOM_BY_DEFAULT[function]
    return Structure(function, hom=bool(hom)) if hom or function != "diag" else None


def _hom_in(argument: TreeNode) -> bool | None:
    """Return what hom = TRUE or hom = FALSE says; None of anything else."""
    name, *_, value = children_of(argument)
    return {"TRUE": True, "FALSE": False}.get(str(value)) if name == "hom" else None


def read_groups(node: TreeNode, bars: TreeNode, side: Side) -> tuple[Term, ...]:
    """Expand the right of a bar: g, a:b, a/b, or a*b, which lme4 reads from version 1.1-36 on."""
    inner = unwrapped(node)
    kind = kind_of(inner)
    if kind in ("NAME", "QUOTED_NAME"):
        return (Term((read_name(inner, side.context),)),)
    if kind == "call":
        membership = read_membership(inner, side.context)
        if membership is not None:
            return (membership,)
        _refuse_wrapped(inner, bars, side.context)
        call = read_expression(inner, side.context)
        return (Term((cast("Call", with_columns(call, inner, side.context)),)),)
    operators = {str(operator) for operator in children_of(inner)[1::2]} if kind in ("product", "interaction") else {""}
    if not operators <= {"/", ":", "*"}:
        raise _not_a_group(inner, bars, side.context)
    first, *rest = children_of(inner)
    left = read_groups(first, bars, side)
    for operator, operand in zip(rest[::2], rest[1::2], strict=True):
        right = read_groups(operand, bars, side)
        spend(side, operator, size_of(left) * len(right) + size_of(right) * len(left))
        both = () if operator == "/" else interacted(left, right)
        left = nested(left, right) if operator == "/" else both if operator == ":" else (*left, *right, *both)
    refuse_mixed(left, node, side.context)
    return by_degree(distinct(left)) if "*" in operators else left


def take_smooth(call: Call, node: TreeNode, side: Side) -> bool:
    """Check a smooth, and note s(g, bs = "re") as the group term that it is: then True.

    Raises
    ------
    FormulaError
        It is not written as a smooth, or does not stand alone.
    """
    effects = random_effects(call, node, side.context)
    if effects is None:
        check_smooth(call, node, side.context)
    if side.taken is None:
        refuse_inside(call, node, "inside a group term", side.context)
    if side.operator is not None and (side.operator != "-" or (effects is not None and not is_removal(side))):
        refuse_inside(call, node, f"next to '{side.operator}'", side.context)
    if effects is not None and is_removal(side):
        remove_groups([effects], node, side)
    elif effects is not None:
        side.group_terms.append((effects, node))
    return effects is not None


def check_monotonic_alone(call: Call, node: TreeNode, side: Side) -> None:
    """Refuse a monotonic effect that is not written as one, or does not stand alone."""
    check_monotonic(call, node, side.context)
    if side.taken is None:
        refuse_monotonic_inside(call, node, "inside a group term", side.context)
    if side.operator not in (None, "-"):
        refuse_monotonic_inside(call, node, f"next to '{side.operator}'", side.context)


def check_group_columns(side: Side) -> None:
    """Refuse two effects for the same column of the same grouping factor, unless its levels vary otherwise together."""
    seen: dict[object, dict[frozenset[Name | Call], tuple[GroupTerm, TreeNode]]] = {}
    drop_repeated_groups(side)
    for group_term, node in side.group_terms:
        columns = (*((Term(()),) if group_term.intercept else ()), *group_term.terms)
        keys = [frozenset(column.factors) for column in columns]
        taken = seen.setdefault((frozenset(group_term.group.factors), group_term.matrix), {})
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
    group = source_of(context, children_of(inside[0])[-1])
    remedy = f"Write ({columns} {bar} {group}), or ({columns} {bar} gr({group}, cov = A)) for levels that are related."
    problem = f"'{function}' has no matrix."
    raise error_under(context, function, problem, FOREIGN["gr"].allowed, remedy)


def _not_a_group(node: TreeNode, bars: TreeNode, context: Context) -> FormulaError:
    """Refuse a grouping factor, with what `+` and `*` would have meant."""
    columns, bar, *_ = (source_of(context, child) for child in children_of(bars))
    parts = [source_of(context, part) for part in children_of(node)[::2]] if isinstance(node, Tree) else []
    operators = {str(operator) for operator in children_of(node)[1::2]} if isinstance(node, Tree) else set()
    remedy = "Name a column; make it before fitting if it has to be computed."
    if operators == {"+"}:
        remedy = f"Write {' + '.join(f'({columns} {bar} {group})' for group in parts)}."
    problem = f"'{source_of(context, node)}' is not a grouping factor."
    allowed = "A grouping factor is a column, a call, a:b, a/b for b within a, or a*b for a, b and a:b."
    return error_under(context, node, problem, allowed, remedy)


def _repeated_column(
    column: Term, earlier: tuple[GroupTerm, TreeNode], later: tuple[GroupTerm, TreeNode], side: Side
) -> FormulaError:
    """Word the error for a column that two group terms share."""
    (first, _), (second, node) = earlier, later
    what = f"the column '{text_of(column)}'" if column.factors else "the intercept"
    problem = f"{what} of '{text_of(second.group)}' appears twice, in {text_of(first)} and in {text_of(second)}."
    had = {frozenset(term.factors) for term in first.terms}
    rest = tuple(term for term in second.terms if frozenset(term.factors) not in had)
    intercept = second.intercept and not first.intercept
    terms = distinct((*first.terms, *second.terms))
    together = GroupTerm(first.intercept or second.intercept, terms, first.group, correlated=True, matrix=first.matrix)
    remedy = _nested_alone(earlier, later, side) or f"Write {text_of(first)} alone."
    if rest or intercept:
        apart = GroupTerm(intercept, rest, second.group, second.correlated, second.structure, second.matrix)
        remedy = f"Write {text_of(together)}, or {text_of(first)} + {text_of(apart)} without correlation between them."
    allowed = "Each column of a grouping factor belongs to one group term."
    return error_under(side.context, node, problem, allowed, remedy)


def _nested_alone(earlier: tuple[GroupTerm, TreeNode], later: tuple[GroupTerm, TreeNode], side: Side) -> str | None:
    """Return what to write where (1 | g) stands beside (1 | g/f), which is (1 | g) + (1 | g:f) already."""
    for (mine, node), (theirs, _) in ((earlier, later), (later, earlier)):
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
