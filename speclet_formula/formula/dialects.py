"""A `Formula` goes in; the text that lme4, brms or bambi take comes out.

Where a package lacks something, the nearest that it has is written, as `spell_formula` lists.
The text is for people and other programs; the models that are fitted here do not pass through it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from speclet_formula.formula.choices import check_choice
from speclet_formula.formula.terms import (
    LIMITED,
    Argument,
    Call,
    Expression,
    Flag,
    Formula,
    GroupTerm,
    Name,
    Number,
    Operation,
    Term,
    Text,
    text_of,
    trials_of,
)

type Dialect = Literal["lme4", "brms", "bambi"]

_IN_NUMPY = {name: f"np.{name}" for name in ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs")}
_IN_NUMPY |= {name: f"np.{name}" for name in ("sin", "cos", "tanh", "round", "floor")}
_IN_NUMPY |= {"ceiling": "np.ceil", "pmin": "np.minimum", "pmax": "np.maximum", "factor": "C"}
_NUMPY_OPERATORS = {"&": "np.logical_and", "|": "np.logical_or", "!": "np.logical_not", "%in%": "np.isin"}


def spell_formula(formula: Formula, dialect: Dialect) -> str:
    """Write a formula as another package's code takes it.

    Parameters
    ----------
    formula : Formula
        A parsed formula.
    dialect : {"lme4", "brms", "bambi"}
        Whose formula to write.

    Returns
    -------
    str
        The nearest formula that the package has:

        * lme4: R text. It has no formulas for parameters and no censored or truncated responses; they follow as
          comments.
        * brms: R text, within ``bf(...)`` when there are formulas for parameters; ``cbind(s, f)`` is
          ``s | trials(s + f)``, ``censored(y, status)`` ``y | cens(status)``, ``truncated(y, 0)``
          ``y | trunc(lb = 0)``.
        * bambi: Python text, ``bmb.Formula(...)`` when there are formulas for parameters; ``cbind(s, f)`` is
          ``p(s, s + f)`` and ``(x || g)`` two group terms. Bambi has no correlated group effects: ``(x | g)`` keeps its
          text and loses its correlation. ``ns``, ``relevel``, ``interaction`` and ``c`` stay, though it lacks them.

    Raises
    ------
    FormulaError
        If there is no such dialect.

    Examples
    --------
    >>> from speclet_formula.formula.parse import parse_formula
    >>> spell_formula(parse_formula("cbind(s, f) ~ I(x^2) + (x || g)"), "bambi")
    'p(s, s + f) ~ 1 + I(x**2) + (1 | g) + (0 + x | g)'
    """
    check_choice("dialect", dialect, tuple(_SPELLERS))
    return _SPELLERS[dialect](formula)


def _lme4(formula: Formula) -> str:
    """Write R text, with what lme4 lacks as comments."""
    response = formula.response
    lacking = [f"# lme4 has no formula for a parameter: {n} ~ {_r_side(part)}" for n, part in formula.parameters]
    if isinstance(response, Call) and response.function in LIMITED:
        lacking = [f"# lme4 has no {response.function} responses: {_r_expression(response)}", *lacking]
        response = response.arguments[0].value
    main = f"{_r_expression(response)} ~ {_r_side(formula)}".lstrip()
    return "\n".join((main, *lacking))


def _brms(formula: Formula) -> str:
    """Write R text for brms."""
    main = f"{_brms_response(formula.response)} ~ {_r_side(formula)}".lstrip()
    if not formula.parameters:
        return main
    return f"bf({', '.join((main, *(f'{name} ~ {_r_side(part)}' for name, part in formula.parameters)))})"


def _brms_response(response: Expression | None) -> str:
    """Write a response with what brms adds to it behind a bar."""
    if not isinstance(response, Call) or response.function not in ("cbind", *LIMITED):
        return _r_expression(response)
    first, *others = response.arguments
    if response.function == "cbind":
        addition = f"trials({_r_expression(trials_of(response))})"
    elif response.function == "censored":
        addition = f"cens({_r_expression(others[0].value)})"
    else:
        bounds = zip(("lb", "ub"), others, strict=False)
        named = (f"{bound.name or name} = {_r_expression(bound.value)}" for name, bound in bounds)
        addition = f"trunc({', '.join(named)})"
    return f"{_r_expression(first.value)} | {addition}"


def _r_side(formula: Formula) -> str:
    """Write a right-hand side in R."""
    terms = tuple(_r_term(term) for term in formula.terms)
    offsets = tuple(_r_known(offset) for offset in formula.offsets)
    groups = tuple(
        GroupTerm(block.intercept, tuple(_r_term(term) for term in block.terms), _r_term(block.group), block.correlated)
        for block in formula.group_terms
    )
    return text_of(Formula(None, formula.intercept, terms, groups, offsets, ())).removeprefix("~ ")


def _r_term(term: Term) -> Term:
    """Write a term's calls as R has them."""
    return Term(tuple(_r_call(factor) if isinstance(factor, Call) else factor for factor in term.factors))


def _r_expression(expression: Expression | None) -> str:
    """Write an expression in R; nothing for a missing response."""
    return "" if expression is None else text_of(_r_known(expression))


def _r_known(expression: Expression) -> Expression:
    """Replace, at any depth, calls that R lacks."""
    if isinstance(expression, Operation):
        return Operation(expression.operator, tuple(_r_known(operand) for operand in expression.operands))
    return _r_call(expression) if isinstance(expression, Call) else expression


def _r_call(call: Call) -> Call:
    """Write center(x) as scale(x, scale = FALSE)."""
    arguments = tuple(Argument(argument.name, _r_known(argument.value)) for argument in call.arguments)
    if call.function == "center":
        return Call("scale", (*arguments, Argument("scale", Flag(value=False))))
    return Call(call.function, arguments)


def _bambi(formula: Formula) -> str:
    """Write Python text for Bambi."""
    main = f"{_python_response(formula.response)} ~ {_python_side(formula)}".lstrip()
    if not formula.parameters:
        return main
    parts = (main, *(f"{name} ~ {_python_side(part)}" for name, part in formula.parameters))
    return f"bmb.Formula({', '.join(_python_string(part) for part in parts)})"


def _python_side(formula: Formula) -> str:
    """Write a right-hand side for formulae, Bambi's parser."""
    groups = (text for block in formula.group_terms for text in _python_groups(block))
    offsets = (f"offset({_python(offset)})" for offset in formula.offsets)
    return " + ".join((_python_sum(formula.intercept, formula.terms), *groups, *offsets))


def _python_sum(intercept: bool, terms: tuple[Term, ...]) -> str:
    """Write an intercept and terms."""
    return " + ".join(("1" if intercept else "0", *(_python_term(term) for term in terms)))


def _python_term(term: Term) -> str:
    """Write a term."""
    return ":".join(_python(factor) for factor in term.factors)


def _python_groups(block: GroupTerm) -> Iterator[str]:
    """Write a group term, split into its columns where they are uncorrelated."""
    group = _python_term(block.group)
    if block.correlated:
        yield f"({_python_sum(block.intercept, block.terms)} | {group})"
        return
    if block.intercept:
        yield f"(1 | {group})"
    yield from (f"(0 + {_python_term(term)} | {group})" for term in block.terms)


def _python_response(response: Expression | None) -> str:
    """Write the left-hand side; formulae takes a column or a call."""
    if isinstance(response, Call) and response.function == "cbind":
        return f"p({_python(response.arguments[0].value)}, {_python(trials_of(response))})"
    if response is None:
        return ""
    return f"I({_python(response)})" if isinstance(response, Operation) else _python(response)


def _python(expression: Expression) -> str:
    """Write an expression as Python."""
    match expression:
        case Flag() | Number():
            return str(expression.value)
        case Text():
            return _python_string(expression.value)
        case Name():
            return text_of(expression)
        case Call():
            return _python_call(_IN_NUMPY.get(expression.function, expression.function), expression.arguments)
        case Operation():
            return _python_operation(expression)


def _python_call(function: str, arguments: tuple[Argument, ...]) -> str:
    """Write a call."""
    values = (_python(argument.value) for argument in arguments)
    names = ("" if argument.name is None else f"{argument.name}=" for argument in arguments)
    return f"{function}({', '.join(name + value for name, value in zip(names, values, strict=True))})"


def _python_operation(operation: Operation) -> str:
    """Write an operation, its operations in parentheses; formulae has no signs for logic."""
    operator = operation.operator
    if operator in _NUMPY_OPERATORS:
        arguments = tuple(Argument(None, operand) for operand in operation.operands)
        return _python_call(_NUMPY_OPERATORS[operator], arguments)
    parts = [_python_operand(operand) for operand in operation.operands]
    if len(parts) == 1:
        return operator + parts[0]
    return "**".join(parts) if operator == "^" else f" {operator} ".join(parts)


def _python_operand(operand: Expression) -> str:
    """Write an operand, in parentheses unless it is a name, a number or a call."""
    signs = isinstance(operand, Operation) and operand.operator not in _NUMPY_OPERATORS
    return f"({_python(operand)})" if signs else _python(operand)


def _python_string(text: str) -> str:
    """Quote text for Python, which reads JSON's strings."""
    return json.dumps(text, ensure_ascii=False)


_SPELLERS: Mapping[str, Callable[[Formula], str]] = {"lme4": _lme4, "brms": _brms, "bambi": _bambi}
