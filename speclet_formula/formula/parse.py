"""From text to a `Formula`: what each operator among the terms expands to, as R and lme4 expand it.

`a*b` crosses and `a/b` nests; intercept, offsets and group terms are noted on the side that is being read. What stands
inside calls is read by `expressions`, what stands around a bar by `group_terms`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import cast

from lark import Token

from speclet_formula.errors import FormulaError
from speclet_formula.formula.expressions import (
    A_TEXT,
    MAX_CHARACTERS,
    MAX_DEPTH,
    checked_text,
    is_unreadable,
    no_text,
    read_call,
    read_expression,
    read_name,
    read_number,
    read_tree,
    with_columns,
)
from speclet_formula.formula.given_matrices import given_matrix
from speclet_formula.formula.group_terms import (
    Side,
    check_group_columns,
    check_monotonic_alone,
    check_removed,
    former_terms,
    is_removal,
    read_groups,
    remove_groups,
    remove_offset,
    size_of,
    spend,
    structure_in,
    structured_bars,
    take_smooth,
    too_long,
)
from speclet_formula.formula.monotonic import is_monotonic
from speclet_formula.formula.refusals import (
    ADDED,
    RESPONSES,
    Context,
    TreeNode,
    bare_bar,
    children_of,
    error_at,
    error_under,
    kind_of,
    misplaced_offset,
    misplaced_response,
    not_a_term,
    source_of,
    unwrapped,
)
from speclet_formula.formula.smooths import is_smooth
from speclet_formula.formula.terms import (
    FUNCTIONS,
    LIMITED,
    Call,
    Expression,
    Formula,
    GroupTerm,
    Name,
    Term,
    by_degree,
    columns_of,
    crossed,
    distinct,
    interacted,
    nested,
    text_of,
    within,
)

__all__ = ["MAX_CHARACTERS", "MAX_DEPTH", "check_kind", "joined_text", "parse_formula"]


def parse_formula(
    text: str,
    *,
    columns: Sequence[str] | None = None,
    functions: Collection[str] = (),
    former: Formula | None = None,
    numbers: Collection[str] | None = None,
) -> Formula:
    """Read a formula as R and lme4 read it.

    Parameters
    ----------
    text : str
        ``"log_fc ~ control + (1 | gene/sgRNA)"``. Formulas for the family's parameters may follow, each after ``;``
        or on a line of its own: ``"y ~ x; sigma ~ x"``.
    columns : sequence of str, optional
        The data's columns, for ``.``, which stands for all of them that the response does not use.
    functions : collection of str, optional
        Names that the formula may call besides `FUNCTIONS`.
    former : Formula, optional
        The formula that the text changes, ``". ~ . - x"``: ``.`` then stands for its side of the ``~``, and a minus
        sign can take its group terms and offsets away.
    numbers : collection of str, optional
        The columns that hold numbers, for ``s(g, x, bs = "re")``.

    Returns
    -------
    Formula
        Expanded terms in R's order; `text_of` prints it so that it reads back as an equal Formula.

    Raises
    ------
    FormulaError
        For every text that is not a formula, with the position of the first character that is wrong.

    Examples
    --------
    >>> print(parse_formula("log_fc ~ a*b + (x || gene/sgRNA)"))
    log_fc ~ 1 + a + b + a:b + (1 + x || gene) + (1 + x || gene:sgRNA)
    """
    own = frozenset(functions)
    known = None if numbers is None else frozenset(numbers)
    context = Context(checked_text(text), columns, frozenset(FUNCTIONS) | own, own=own, numbers=known)
    main, *others = children_of(read_tree(context))
    formula = _main_formula(main, others, context) if former is None else _changed(former, main, others, context)
    if len(text_of(formula)) > MAX_CHARACTERS:
        raise too_long(context, 0)
    return formula


def joined_text(formula: str | Sequence[str]) -> str:
    """Return one text of several formulas, as `parse_formula` reads them.

    Parameters
    ----------
    formula : str or sequence of str
        ``["y ~ x", "sigma ~ x"]``; a single text is returned as it is.

    Examples
    --------
    >>> joined_text(["y ~ x", "sigma ~ x"])
    'y ~ x; sigma ~ x'
    """
    check_kind(formula)
    return formula if isinstance(formula, str) else "; ".join(map(str, formula))


def check_kind(formula: object) -> None:
    """Refuse what is neither a formula nor a sequence of formulas, before it is read.

    Raises
    ------
    FormulaError
        It is of another kind, such as a fit, a table or None.
    """
    parts = [formula] if isinstance(formula, str | Formula) else formula
    if not isinstance(parts, Sequence) or isinstance(parts, bytes):
        raise no_text(formula)
    if not parts:
        raise FormulaError("there is no formula in the list.", A_TEXT, "Write the response, '~' and the terms.")
    for number, part in enumerate(parts, 1):
        if not isinstance(part, str | Formula):
            raise FormulaError(
                f"formula {number} of {len(parts)} is of type '{type(part).__name__}'.",
                "In a list the mean's formula comes first, after it those of the family's parameters, each a text.",
                'For example ["y ~ x", "sigma ~ x"].',
            )


def _main_formula(main: TreeNode, others: Sequence[TreeNode], context: Context) -> Formula:
    """Read the first formula, and after it those of the parameters."""
    if kind_of(main) == "one_sided":
        problem = "the formula has no response before '~'."
        allowed = "The first formula has its response on the left of '~'; '~ x' alone is not a model."
        remedy = f"Write y ~ {source_of(context, children_of(main)[0])} with the response's column for y."
        raise error_at(context, context.text.index("~"), problem, allowed, remedy)
    left, right = children_of(main)
    response = _response(left, context)
    parameters = _parameter_formulas(others, columns_of(response), context, {})
    return _formula(response, right, columns_of(response), context, tuple(parameters.items()))


def _changed(former: Formula, main: TreeNode, others: Sequence[TreeNode], context: Context) -> Formula:
    """Read what changes a formula; the formulas of parameters that it does not name stay."""
    *left, right = children_of(main)
    response = _changed_response(former, left, context)
    taken = columns_of(response)
    known = dict(former.parameters)
    parameters = known | _parameter_formulas(others, taken, context, known)
    return _formula(response, right, taken, context, tuple(parameters.items()), former)


def _changed_response(former: Formula, left: Sequence[TreeNode], context: Context) -> Expression:
    """Read the left of '. ~ x', 'log(.) ~ x' or '~ x'."""
    response = cast("Expression", former.response)
    if not left or unwrapped(left[0]) == ".":
        return response
    whole = isinstance(response, Call) and response.function in ("cbind", *LIMITED)  # no number to compute with
    return _response(left[0], context if whole else replace(context, former=response))


def _parameter_formulas(
    others: Sequence[TreeNode], taken: tuple[str, ...], context: Context, former: Mapping[str, Formula]
) -> dict[str, Formula]:
    """Read the formulas after the first."""
    parameters: dict[str, Formula] = {}
    for other in others:
        name, formula = _parameter_formula(other, taken, context, former)
        if name in parameters or name in taken:
            problem = f"'{name}' stands on the left of '~' in two formulas."
            allowed = "The response and each of the family's parameters have one formula."
            raise error_under(context, other, problem, allowed, "Join the two right-hand sides with '+'.")
        parameters[name] = formula
    return parameters


def _parameter_formula(
    node: TreeNode, taken: tuple[str, ...], context: Context, former: Mapping[str, Formula]
) -> tuple[str, Formula]:
    """Read `sigma ~ x`."""
    *left, right = children_of(node)
    name = _column(left[0], context) if left else None
    if name is None:
        problem = f"'{source_of(context, node)}' does not say which parameter it is for."
        allowed = "The formulas after the first are for the family's parameters, such as sigma ~ x."
        raise error_under(context, node, problem, allowed, "Write the parameter's name alone before '~'.")
    return name.name, _formula(None, right, taken, context, (), former.get(name.name))


def _column(node: TreeNode, context: Context) -> Name | None:
    """Read a column's name, or None where there is something else."""
    return read_name(node, context) if kind_of(node) in ("NAME", "QUOTED_NAME") else None


def _formula(
    response: Expression | None,
    right: TreeNode,
    taken: tuple[str, ...],
    context: Context,
    parameters: tuple[tuple[str, Formula], ...],
    former: Formula | None = None,
) -> Formula:
    """Expand one right-hand side."""
    side = Side(context, taken, former=former)
    terms = by_degree(expand_terms(right, side))
    check_group_columns(side)
    group_terms = tuple(group_term for group_term, _ in side.group_terms)
    return Formula(response, side.intercept, terms, group_terms, tuple(dict.fromkeys(side.offsets)), parameters)


def _response(node: TreeNode, context: Context) -> Expression:
    """Read what stands before '~': a column, arithmetic, or a call that is a whole response."""
    inner = unwrapped(node)
    if kind_of(inner) == "bars":
        problem = f"'{source_of(context, inner)}' is not a response."
        allowed = (
            "A response is a column, arithmetic, cbind(s, f), censored(y, status), truncated(y, lb, ub) or se(y, se)."
        )
        remedy = _addition(inner, context) or (
            "Write cbind(successes, failures) for counts out of trials; give weights outside the formula."
        )
        raise error_under(context, children_of(inner)[1], problem, allowed, remedy)
    if kind_of(inner) == "call" and children_of(inner)[0] == "cbind":
        call = read_call(inner, context)
        if len(call.arguments) < 2 or any(argument.name for argument in call.arguments):  # noqa: PLR2004
            problem = f"'{source_of(context, inner)}' is not successes and failures."
            allowed = "cbind takes two arguments or more without names, on the left of '~' only."
            raise error_under(context, inner, problem, allowed, "Write cbind(successes, failures).")
        return with_columns(call, inner, context)
    if kind_of(inner) == "call" and children_of(inner)[0] in LIMITED:
        return with_columns(_limited(inner, context), inner, context)
    return with_columns(read_expression(inner, context), inner, context)


def _addition(bars: TreeNode, context: Context) -> str | None:
    """Return what to write for brms' y | cens(c) and the like."""
    left, _, right, *more = children_of(bars)
    call = unwrapped(right)
    if more or kind_of(call) != "call" or str(children_of(call)[0]) not in ADDED:
        return None
    function, _, *inside, _ = children_of(call)
    first = source_of(context, children_of(inside[0])[-1]) if inside else "x"
    return ADDED[str(function)].format(y=source_of(context, left), x=first)


def _limited(node: TreeNode, context: Context) -> Call:
    """Read censored(y, status), se(y, sei) or truncated(y, lb, ub), either bound of which may be left out."""
    call = read_call(node, context)
    names = [argument.name for argument in call.arguments]
    if call.function == "censored":
        good = names == [None, None]
        allowed = "censored takes the response's column and that of the statuses 'none', 'left' and 'right'."
        remedy = "Write censored(y, status)."
    elif call.function == "se":
        good = names == [None, None]
        allowed = "se takes the response's column and that of its standard errors; all else is left to the terms."
        remedy = "Write se(y, sei), and a group term with a level for each row, (1 | row), for what varies besides."
    else:
        bounds = [name or given for name, given in zip(names[1:], ("lb", "ub"), strict=False)]
        good = sorted(bounds) in (["lb"], ["ub"], ["lb", "ub"]) and names[0] is None and len(names) == len(bounds) + 1
        allowed = "truncated takes the response and one or two bounds, lb and ub, as numbers or columns."
        remedy = "Write truncated(y, 0, 10), truncated(y, lb = 0) or truncated(y, ub = 10)."
    if not good:
        problem = f"'{source_of(context, node)}' is not how {call.function} is called."
        raise error_under(context, node, problem, allowed, remedy)
    return call


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
            bars = structured_bars(node, side.context)
            return _call_term(node, side) if bars is None else _group_term(bars, node, side)
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
    if is_smooth(call) and call.function not in side.context.own and take_smooth(call, node, side):
        return ()
    if is_monotonic(call) and call.function not in side.context.own:
        check_monotonic_alone(call, node, side)
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
    """Note (1 + x | a/b), or cs(1 + x | a/b): one group term for each level of nesting."""
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
    structure, function = structure_in(node), children_of(node)[0] if kind_of(node) == "call" else "us"
    correlated = bar == "|" and function not in ("diag", "homdiag")
    grouping, matrix = given_matrix(grouping, context)
    groups = read_groups(grouping, bars, side)
    found = [GroupTerm(inner.intercept, terms, group, correlated, structure, matrix) for group in groups]
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
