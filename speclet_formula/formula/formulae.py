"""A `Formula` goes in; the Python text that Bambi takes, which formulae reads, comes out.

What Bambi lacks is said by `dialects`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from speclet_formula.formula.terms import (
    Argument,
    Call,
    Coding,
    Expression,
    Flag,
    Formula,
    GroupTerm,
    Name,
    Number,
    Operation,
    Term,
    Text,
    columns_of,
    text_of,
    trials_of,
)

_IN_NUMPY = {name: f"np.{name}" for name in ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs")}
_IN_NUMPY |= {name: f"np.{name}" for name in ("sin", "cos", "tanh", "round", "floor")}
_IN_NUMPY |= {"ceiling": "np.ceil", "pmin": "np.minimum", "pmax": "np.maximum", "factor": "C"}
IN_FORMULAE = {"sum": "Sum"}  # codings
# Its division stands in no name that Bambi makes of a term: PyMC takes none with a slash.
_NUMPY_OPERATORS = {"/": "np.divide", "&": "np.logical_and", "|": "np.logical_or", "!": "np.logical_not"}
_NUMPY_OPERATORS |= {"%in%": "np.isin"}
_UNNAMEABLE = re.compile(r"[/`\\\n]")  # what a name that Bambi and PyMC take cannot hold


def bambi_text(formula: Formula, success: str | None = None) -> str:
    """Write Python text for Bambi.

    Parameters
    ----------
    formula : Formula
    success : str, optional
        The level of a factor as response whose probability is modelled; Bambi takes the first, R the second.
    """
    formula = _with_names(formula, renamed_columns(formula))
    level = "" if success is None else f"[{_python_string(success)}]"
    main = f"{_python_response(formula.response)}{level} ~ {_python_side(formula)}".lstrip()
    if not formula.parameters:
        return main
    parts = (main, *(f"{name} ~ {_python_side(part)}" for name, part in formula.parameters))
    return f"bmb.Formula({', '.join(_python_string(part) for part in parts)})"


def renamed_columns(formula: Formula) -> dict[str, str]:
    """Give a name that Bambi and PyMC take to each column that needs another.

    Returns
    -------
    dict of str to str
        The column to its other name, in order of use.

    Examples
    --------
    >>> from speclet_formula.formula.parse import parse_formula
    >>> renamed_columns(parse_formula("y ~ `a/b` + x"))
    {'a/b': 'a_b'}
    """
    taken, renamed = set(columns_of(formula)), {}
    for name in columns_of(formula):
        if _UNNAMEABLE.search(name):
            plain = re.sub(r"\W", "_", name)
            plain = plain if plain[:1].isalpha() else f"v{plain}"
            while plain in taken:
                plain += "_"
            taken.add(plain)
            renamed[name] = plain
    return renamed


def _with_names(node: Any, names: Mapping[str, str]) -> Any:
    """Give columns their other names, at any depth of a record."""
    if isinstance(node, Name):
        return Name(names.get(node.name, node.name))
    if isinstance(node, tuple):
        return tuple(_with_names(part, names) for part in node)
    if is_dataclass(node) and not isinstance(node, type):
        return replace(node, **{part.name: _with_names(getattr(node, part.name), names) for part in fields(node)})
    return node


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
    if isinstance(response, Call) and response.function == "cbind" and len(response.arguments) > 2:  # noqa: PLR2004
        return f"counts({', '.join(_python(argument.value) for argument in response.arguments)})"
    if isinstance(response, Call) and response.function == "cbind":
        return f"p({_python(response.arguments[0].value)}, {_python(trials_of(response))})"
    if isinstance(response, Call) and response.function == "se":
        return _python_response(response.arguments[0].value)
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
        case Coding():
            return IN_FORMULAE.get(expression.word, expression.word)
        case Name():
            return text_of(expression)
        case Call():
            return _python_function(expression)
        case Operation():
            return _python_operation(expression)


def _python_function(call: Call) -> str:
    """Write a function as numpy and formulae have it: no base of a logarithm, two numbers to compare."""
    match call:
        case Call("pmin" | "pmax"):
            return _nested(_IN_NUMPY[call.function], call.arguments)
        case Call("relevel", (factor, reference)):
            return f"C({_python(factor.value)}, Treatment({_python(reference.value)}))"
        case Call("dummy", (factor, Argument(_, Text() | Number() as level))):
            return f"I({_python(factor.value)} == {_python(level)})"
        case Call("log", (value, base)):
            return f"np.divide(np.log({_python(value.value)}), np.log({_python(base.value)}))"
        case _:
            return _python_call(_IN_NUMPY.get(call.function, call.function), call.arguments)


def _nested(function: str, arguments: tuple[Argument, ...]) -> str:
    """Write a numpy function of two as one of several."""
    first, *others = arguments
    text = _python(first.value)
    for other in others:
        text = f"{function}({text}, {_python(other.value)})"
    return text


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
