"""Monotonic effects, mo(x), as brms writes them: each step from a level to the next goes the same way.

Like a smooth such a term stands alone: its steps have one size and shares of it that have priors of their own. Columns
are left to `design`.
"""

from dataclasses import replace
from typing import NoReturn, TypeGuard

from speclet_formula.formula.refusals import Context, TreeNode, error_under, source_of
from speclet_formula.formula.terms import Argument, Call, Coding, Formula, Name, Term, Text, columns_of, text_of

MONOTONIC = "mo"
_ALLOWED = "A monotonic effect is mo(x), where x is a column of whole numbers or an ordered factor."


def is_monotonic(node: object) -> TypeGuard[Call]:
    """Tell whether a factor of a term is a monotonic effect; a function of the user's own of that name is told before.

    Examples
    --------
    >>> is_monotonic(Name("x"))
    False
    """
    return isinstance(node, Call) and node.function == MONOTONIC


def monotonic_columns(formula: Formula) -> tuple[str, ...]:
    """Return the columns that stand in mo(), of a formula and of those of its parameters."""
    sides = (formula, *(part for _, part in formula.parameters))
    factors = (factor for side in sides for term in side.terms for factor in term.factors)
    names = [factor.arguments[0].value for factor in factors if is_monotonic(factor)]
    return tuple(dict.fromkeys(name.name for name in names if isinstance(name, Name)))


def stepped_columns(formula: Formula) -> tuple[str, ...]:
    """Return those of these columns that stand nowhere else: numbers among them are levels, and no quantities."""
    sides = (formula, *(part for _, part in formula.parameters))
    others = [term for side in sides for term in side.terms if not any(map(is_monotonic, term.factors))]
    more = [*others, *(part for side in sides for part in (*side.group_terms, *side.offsets))]
    used = {name for node in more for name in columns_of(node)} | set(columns_of(formula.response or Text("")))
    return tuple(name for name in monotonic_columns(formula) if name not in used)


def with_free_steps(formula: Formula, *, coded: bool = True) -> Formula:
    """Return a formula with C(factor(x), sdif), a step to each level, in mo(x)'s place, for who has no mo().

    Not coded it is factor(x), which is the same model for who lacks that coding too.
    """

    def freed(factor: Name | Call) -> Name | Call:
        if not is_monotonic(factor):
            return factor
        plain = Call("factor", factor.arguments)
        return Call("C", (Argument(None, plain), Argument(None, Coding("sdif")))) if coded else plain

    terms = tuple(Term(tuple(map(freed, term.factors))) for term in formula.terms)
    parameters = tuple((name, with_free_steps(part, coded=coded)) for name, part in formula.parameters)
    return replace(formula, terms=terms, parameters=parameters)


def check_monotonic(call: Call, node: TreeNode, context: Context) -> None:
    """Refuse what is not mo() of a column, with a caret under it."""
    values = [argument.value for argument in call.arguments if argument.name is None]
    if len(values) == len(call.arguments) == 1 and isinstance(values[0], Name):
        return
    named = [argument.name for argument in call.arguments if argument.name is not None]
    remedy = "Make the column before the fit, and write mo() of it."
    if named:
        remedy = f"Leave {named[0]} out: each mo() has steps of its own."
    problem = f"'{source_of(context, node)}' is not a monotonic effect."
    raise error_under(context, node, problem, _ALLOWED, remedy)


def refuse_monotonic_inside(call: Call, node: TreeNode, place: str, context: Context) -> NoReturn:
    """Refuse a monotonic effect that does not stand alone: a factor of an interaction, or left of a bar."""
    inside = text_of(call.arguments[0]) if call.arguments else "x"
    remedy = f"Write C(factor({inside}), sdif), a step to each level, which may stand there."
    problem = f"the monotonic effect '{source_of(context, node)}' stands {place}."
    raise error_under(context, node, problem, "mo(x) is a term of its own, added by '+'.", remedy)
