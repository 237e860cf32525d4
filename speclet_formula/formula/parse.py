"""Formula text goes in; a `Formula` comes out, or a FormulaError with a caret under the character that is wrong.

Nothing is dropped: what the grammar reads either has R's and lme4's meaning here or is refused.
Whether the columns exist, and what the functions compute, is left to `design`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import cast

from speclet_formula.formula.expansion import expand_terms
from speclet_formula.formula.expressions import read_call, read_expression, read_name, with_columns
from speclet_formula.formula.foreign import ADDED
from speclet_formula.formula.grouping import check_group_columns
from speclet_formula.formula.reading import MAX_CHARACTERS, MAX_DEPTH, checked_text, read_tree
from speclet_formula.formula.side import Side, too_long
from speclet_formula.formula.terms import (
    FUNCTIONS,
    LIMITED,
    Call,
    Expression,
    Formula,
    Name,
    by_degree,
    columns_of,
    text_of,
)
from speclet_formula.formula.tree import (
    Context,
    TreeNode,
    children_of,
    error_at,
    error_under,
    kind_of,
    source_of,
    unwrapped,
)

__all__ = ["MAX_CHARACTERS", "MAX_DEPTH", "joined_text", "parse_formula"]


def parse_formula(
    text: str,
    *,
    columns: Sequence[str] | None = None,
    functions: Collection[str] = (),
    former: Formula | None = None,
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
    context = Context(checked_text(text), columns, frozenset(FUNCTIONS) | frozenset(functions))
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

    Returns
    -------
    str

    Examples
    --------
    >>> joined_text(["y ~ x", "sigma ~ x"])
    'y ~ x; sigma ~ x'
    """
    return formula if isinstance(formula, str) else "; ".join(map(str, formula))


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
        allowed = "A response is a column, arithmetic, or cbind(s, f), censored(y, status) or truncated(y, lb, ub)."
        remedy = _addition(inner, context) or (
            "Write cbind(successes, failures) for counts out of trials; give weights outside the formula."
        )
        raise error_under(context, children_of(inner)[1], problem, allowed, remedy)
    if kind_of(inner) == "call" and children_of(inner)[0] == "cbind":
        call = read_call(inner, context)
        if [argument.name for argument in call.arguments] != [None, None]:
            problem = f"'{source_of(context, inner)}' is not successes and failures."
            allowed = "cbind takes two arguments without names, on the left of '~' only."
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
    """Read censored(y, status) or truncated(y, lb, ub), either bound of which may be left out."""
    call = read_call(node, context)
    names = [argument.name for argument in call.arguments]
    if call.function == "censored":
        good = names == [None, None]
        allowed = "censored takes the response's column and that of the statuses 'none', 'left' and 'right'."
        remedy = "Write censored(y, status)."
    else:
        bounds = [name or given for name, given in zip(names[1:], ("lb", "ub"), strict=False)]
        good = sorted(bounds) in (["lb"], ["ub"], ["lb", "ub"]) and names[0] is None and len(names) == len(bounds) + 1
        allowed = "truncated takes the response and one or two bounds, lb and ub, as numbers or columns."
        remedy = "Write truncated(y, 0, 10), truncated(y, lb = 0) or truncated(y, ub = 10)."
    if not good:
        problem = f"'{source_of(context, node)}' is not how {call.function} is called."
        raise error_under(context, node, problem, allowed, remedy)
    return call
