"""mm(a, b): a grouping factor of which each row belongs to several levels, as brms writes it.

`weights = cbind(u, v)` says how much of each a row has: equal parts without. `scale = TRUE`, as it is by default, makes
them parts of one; what the numbers are in the data is left to `design`.
"""

from dataclasses import replace
from typing import cast

from lark import Token

from speclet_formula.errors import FormulaError
from speclet_formula.formula.expressions import read_call, read_expression, with_columns
from speclet_formula.formula.refusals import Context, TreeNode, children_of, error_under, kind_of, source_of
from speclet_formula.formula.terms import Argument, Call, Flag, Formula, Name, Term, text_of

MEMBERSHIP = "mm"
_ALLOWED = "mm(a, b) takes two columns or more, weights = cbind(u, v) with one for each, and scale = TRUE or FALSE."


def membership_of(group: Term) -> Call | None:
    """Return the call of mm() that a grouping factor is; None of any other."""
    first = group.factors[0]
    return first if isinstance(first, Call) and first.function == MEMBERSHIP else None


def plain_group(group: Term) -> Term:
    """Return a grouping factor without mm()'s weights, as it is called in tables; any other as it is.

    Examples
    --------
    >>> from speclet_formula.formula.parse import parse_formula
    >>> formula = parse_formula("y ~ (1 | mm(a, b, weights = cbind(u, v)))")
    >>> text_of(plain_group(formula.group_terms[0].group))
    'mm(a, b)'
    """
    call = membership_of(group)
    if call is None:
        return group
    return Term((replace(call, arguments=tuple(Argument(None, member) for member in members_of(call))),))


def members_of(call: Call) -> tuple[Name | Call, ...]:
    """Return the columns that hold the levels of each row."""
    return tuple(one.value for one in call.arguments if one.name is None and isinstance(one.value, Name | Call))


def weights_of(call: Call) -> Call | None:
    """Return cbind(u, v), the weights of these columns; None for equal ones."""
    return next((one.value for one in call.arguments if one.name == "weights" and isinstance(one.value, Call)), None)


def is_scaled(call: Call) -> bool:
    """Tell whether weights are made parts of one."""
    return all(one.name != "scale" for one in call.arguments)  # what is TRUE anyway is not kept


def memberships_in(formula: Formula) -> list[str]:
    """Spell the group terms of mm(), those of parameters' formulas too."""
    sides = (formula, *(part for _, part in formula.parameters))
    return [text_of(term) for side in sides for term in side.group_terms if membership_of(term.group)]


def without_memberships(formula: Formula) -> Formula:
    """Return a formula without group terms of mm(), for packages that lack them."""
    return replace(
        formula,
        group_terms=tuple(term for term in formula.group_terms if not membership_of(term.group)),
        parameters=tuple((name, without_memberships(part)) for name, part in formula.parameters),
    )


def read_membership(node: TreeNode, context: Context) -> Term | None:
    """Read the call of mm() to the right of a bar; None of another call, or where the user has an mm of their own.

    Raises
    ------
    FormulaError
        It has fewer than two columns, one of them twice, not one weight for each, or another argument.
    """
    function, _, *inside, _ = children_of(node)
    if function != MEMBERSHIP or function in context.own:
        return None
    members: list[Argument] = []
    named: dict[str, Argument] = {}
    for child in inside[::2]:
        token, _, value = cast("tuple[Token | None, Token | None, TreeNode]", tuple(children_of(child)))
        name = None if token is None else str(token)
        if name is None:
            members.append(Argument(None, _member(value, node, context)))
        elif name not in ("weights", "scale"):
            raise _refused(node, context, f"it has no argument '{name}'")
        elif name in named:
            raise _refused(node, context, f"it has two arguments '{name}'")
        else:
            read = _weights if name == "weights" else _flag
            named[name] = Argument(name, read(value, node, context))
    if len(members) < 2 or len(set(members)) < len(members):  # noqa: PLR2004
        raise _refused(node, context, "these are not two columns or more, each once")
    return Term((Call(MEMBERSHIP, (*members, *_kept(named, len(members), node, context))),))


def _member(value: TreeNode, node: TreeNode, context: Context) -> Name | Call:
    """Read a column of levels."""
    found: object = with_columns(read_expression(value, context), value, context)
    if not isinstance(found, Name | Call):
        raise _refused(node, context, f"'{source_of(context, value)}' is not a column")
    return found


def _weights(value: TreeNode, node: TreeNode, context: Context) -> Call:
    """Read cbind(u, v)."""
    call = read_call(value, context) if kind_of(value) == "call" and children_of(value)[0] == "cbind" else None
    if call is None or any(argument.name for argument in call.arguments):
        raise _refused(node, context, f"'{source_of(context, value)}' is not cbind(u, v)")
    return call


def _flag(value: TreeNode, node: TreeNode, context: Context) -> Flag:
    """Read TRUE or FALSE."""
    if str(value) not in ("TRUE", "T", "FALSE", "F"):
        raise _refused(node, context, f"scale is TRUE or FALSE, not '{source_of(context, value)}'")
    return Flag(str(value) in ("TRUE", "T"))


def _kept(named: dict[str, Argument], count: int, node: TreeNode, context: Context) -> tuple[Argument, ...]:
    """Return the arguments that say something: weights, and scale = FALSE beside them."""
    weights, scale = named.get("weights"), named.get("scale")
    if weights is not None and isinstance(weights.value, Call) and len(weights.value.arguments) != count:
        raise _refused(node, context, f"it has {count} columns, and weights for {len(weights.value.arguments)}")
    if weights is None:
        return ()
    return (weights,) if scale is None or scale.value == Flag(value=True) else (weights, scale)


def refuse_mixed(terms: tuple[Term, ...], node: TreeNode, context: Context) -> None:
    """Refuse mm(a, b):c and mm(a, b)/c: mm() is a whole grouping factor."""
    mixed = next((term for term in terms if len(term.factors) > 1 and _has_membership(term)), None)
    if mixed is not None:
        problem = f"'{text_of(mixed)}' crosses mm() with another factor."
        allowed = "mm() is a whole grouping factor: (1 | mm(a, b))."
        remedy = "Paste the columns together before the fit, a with c and b with c, and write mm() of these."
        raise error_under(context, node, problem, allowed, remedy)


def _has_membership(term: Term) -> bool:
    return any(isinstance(factor, Call) and factor.function == MEMBERSHIP for factor in term.factors)


def _refused(node: TreeNode, context: Context, what: str) -> FormulaError:
    problem = f"'{source_of(context, node)}' is not how mm is written: {what}."
    return error_under(
        context, node, problem, _ALLOWED, "Write (1 | mm(a, b)) or (1 | mm(a, b, weights = cbind(u, v)))."
    )
