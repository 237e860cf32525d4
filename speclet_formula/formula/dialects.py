"""A `Formula` goes in; the text that lme4, brms or bambi take comes out.

Where a package lacks something, the nearest that it has is written, as `spell_formula` lists.
The text is for people and other programs; the models that are fitted here do not pass through it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal

from speclet_formula.formula.refusals import check_choice
from speclet_formula.formula.terms import (
    CODINGS,
    FUNCTIONS,
    LIMITED,
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
    calls_in,
    coding_of,
    columns_of,
    text_of,
    trials_of,
)

type Dialect = Literal["lme4", "brms", "bambi"]
type _Structured = Literal["lme4", "glmmTMB"]  # packages that have covariance structures of group terms
type Levels = Mapping[str, Sequence[str]]  # a column -> its levels; none for a number

_IN_NUMPY = {name: f"np.{name}" for name in ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs")}
_IN_NUMPY |= {name: f"np.{name}" for name in ("sin", "cos", "tanh", "round", "floor")}
_IN_NUMPY |= {"ceiling": "np.ceil", "pmin": "np.minimum", "pmax": "np.maximum", "factor": "C"}
_IN_FORMULAE = {"sum": "Sum"}  # codings
# Its division stands in no name that Bambi makes of a term: PyMC takes none with a slash.
_NUMPY_OPERATORS = {"/": "np.divide", "&": "np.logical_and", "|": "np.logical_or", "!": "np.logical_not"}
_NUMPY_OPERATORS |= {"%in%": "np.isin"}
_NOT_IN_FORMULAE = frozenset({"ns", "interaction", "c"})
_ONE_COLUMN = frozenset(FUNCTIONS) - {"poly", "bs", "ns", "C", "factor", "interaction", "relevel", "c"}
_UNNAMEABLE = re.compile(r"[/`\\\n]")  # what a name that Bambi and PyMC take cannot hold


def spell_formula(formula: Formula, dialect: Dialect, *, levels: Levels | None = None) -> str:
    """Write a formula as another package's code takes it.

    Parameters
    ----------
    formula : Formula
        A parsed formula.
    dialect : {"lme4", "brms", "bambi"}
        Whose formula to write.
    levels : mapping of str to sequence of str, optional
        What the data say of a column: its levels, or none for a number. A column that is not there may be either.

    Returns
    -------
    str
        The nearest formula that the package has:

        * lme4: R text. It has no formulas for parameters and no censored or truncated responses; they follow as
          comments. ``(f || g)`` is ``diag(1 + f | g)``, which lme4 has from version 2.0 on, unless all its columns are
          known to be numbers: lme4's ``||`` leaves the levels of a factor correlated. A comment tells what to write for
          lme4 1.1. ``cs()`` and ``ar1()`` need 2.0 too; glmmTMB's words follow in a comment. brms and bambi lack them.
        * brms: R text, within ``bf(...)`` when there are formulas for parameters; ``cbind(s, f)`` is
          ``s | trials(s + f)``, ``cbind(a, b, c)`` ``cbind(a, b, c) | trials(a + b + c)``, ``censored(y, status)``
          ``y | cens(status)``, ``truncated(y, 0)`` ``y | trunc(lb = 0)``.
        * bambi: Python text, ``bmb.Formula(...)`` when there are formulas for parameters; ``cbind(s, f)`` is
          ``p(s, s + f)``, ``cbind(a, b, c)`` ``counts(a, b, c)``, ``a / b`` is ``np.divide(a, b)`` and ``(x || g)`` two
          group terms. Bambi has no correlated group effects: ``(x | g)`` keeps its text and loses its correlation.
          ``relevel(f, "b")`` is ``C(f, Treatment("b"))`` and ``C(f, sum)`` is ``C(f, Sum)``. ``ns``, ``interaction``,
          ``c`` and other codings stay, though it lacks them. A column whose name holds a slash or a back-quote has
          another name, as `renamed_columns` says.

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
    check_choice("dialect", dialect, ("lme4", "brms", "bambi"))
    if dialect == "lme4":
        return "\n".join((lme4_text(formula, levels), *lme4_lacks(formula, levels)))
    return _brms(formula) if dialect == "brms" else bambi_text(formula)


def lme4_text(formula: Formula, levels: Levels | None = None, *, glmm_tmb: bool = False) -> str:
    """Write R text for lme4 or glmmTMB, without what they lack.

    Parameters
    ----------
    formula : Formula
    levels : mapping of str to sequence of str, optional
        As for `spell_formula`.
    glmm_tmb : bool
        With glmmTMB's words for covariance structures, not lme4's.
    """
    response = formula.response
    if isinstance(response, Call) and response.function in LIMITED:
        response = response.arguments[0].value
    side = _r_side(formula, levels or {}, "glmmTMB" if glmm_tmb else "lme4")
    return f"{_r_expression(response)} ~ {side}".lstrip()


def lme4_lacks(formula: Formula, levels: Levels | None = None) -> tuple[str, ...]:
    """Say in comments what lme4 lacks of a formula, or has only in its newer version.

    Parameters
    ----------
    formula : Formula
    levels : mapping of str to sequence of str, optional
        As for `spell_formula`.
    """
    sides = ((name, _r_side(part, package="lme4")) for name, part in formula.parameters)
    parameters = (f"# lme4 has no formula for a parameter: {name} ~ {side}" for name, side in sides)
    own = [block for block in formula.group_terms if block.structure is not None]
    newer = (f"# {_r_block(one, 'lme4')} needs lme4 2.0; glmmTMB has it as {_r_block(one, 'glmmTMB')}" for one in own)
    old = (_in_version_one(one, levels or {}) for one in formula.group_terms if _is_diagonal(one, levels or {}))
    return (*lacks_limits(formula, "lme4"), *old, *newer, *parameters)


def lacks_structures(formula: Formula, package: str, but: str = "") -> Iterator[str]:
    """Say in comments which covariance structures of group terms a package lacks."""
    sides = (formula, *(part for _, part in formula.parameters))
    for block in (one for side in sides for one in side.group_terms if one.structure is not None):
        yield f"# {package} has no {text_of(block)}: this is another model, without its structure{but}"


def lacks_limits(formula: Formula, package: str) -> tuple[str, ...]:
    """Say in a comment that a package has no censored or truncated responses, where there is one."""
    response = formula.response
    if isinstance(response, Call) and response.function in LIMITED:
        return (f"# {package} has no {response.function} responses: {_r_expression(response)}",)
    return ()


def r_side(formula: Formula) -> str:
    """Write the right-hand side of the formula of a parameter of glmmTMB's."""
    return _r_side(formula, package="glmmTMB")


def _is_diagonal(block: GroupTerm, levels: Levels) -> bool:
    """Tell whether a term is to be written diag(): lme4's || would keep correlations among a term's columns."""
    several = any(not _is_one_column(term, levels) for term in block.terms)
    return not block.correlated and block.structure is None and several and len(block.terms) + block.intercept > 0


def _is_one_column(term: Term, levels: Levels) -> bool:
    """Tell whether a term is known to be a number."""
    return all(
        not levels.get(factor.name, ("?",)) if isinstance(factor, Name) else factor.function in _ONE_COLUMN
        for factor in term.factors
    )


def _in_version_one(block: GroupTerm, levels: Levels) -> str:
    """Say how lme4 1.1, which has no diag(), writes a term."""
    group = text_of(_r_term(block.group))
    here = f"diag({_r_sum(block)} | {group})"
    columns = _separate_columns(block, levels)
    if columns is not None:
        return f"# {here} needs lme4 2.0; in lme4 1.1: {' + '.join(f'({column} | {group})' for column in columns)}"
    names = ", ".join(text_of(term) for term in block.terms if not _is_one_column(term, levels))
    return (
        f"# {here} needs lme4 2.0; lme4 1.1 takes ({_r_sum(block)} || {group}) where all are numbers, and else a term "
        f'(0 + column | {group}) for each column of {names}, such as dummy(f, "level")'
    )


def _separate_columns(block: GroupTerm, levels: Levels) -> list[str] | None:
    """Write the left-hand side of a term for each column; None where the columns are not known."""
    columns, first = ["1"] if block.intercept else [], 0 if block.intercept else None
    for term in block.terms:
        if _is_one_column(term, levels):
            columns.append(f"0 + {text_of(_r_term(term))}")
            continue
        factor = term.factors[0]
        if len(term.factors) > 1 or not isinstance(factor, Name) or factor.name not in levels:
            return None
        own = levels[factor.name][0 if first is None else 1 :]
        first = 0
        columns += [f"0 + {text_of(Call('dummy', (Argument(None, factor), Argument(None, Text(one)))))}" for one in own]
    return columns


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
        if len(others) > 1:
            return f"{_r_expression(response)} | {addition}"
    elif response.function == "censored":
        addition = f"cens({_r_expression(others[0].value)})"
    else:
        bounds = zip(("lb", "ub"), others, strict=False)
        named = (f"{bound.name or name} = {_r_expression(bound.value)}" for name, bound in bounds)
        addition = f"trunc({', '.join(named)})"
    return f"{_r_expression(first.value)} | {addition}"


def _r_side(formula: Formula, levels: Levels | None = None, package: _Structured | None = None) -> str:
    """Write a right-hand side in R, with the structures of group terms for a package that has them."""
    fixed = " + ".join(("1" if formula.intercept else "0", *(text_of(_r_term(term)) for term in formula.terms)))
    groups = (_r_block(block, package, levels or {}) for block in formula.group_terms)
    offsets = (f"offset({text_of(_r_known(offset))})" for offset in formula.offsets)
    return " + ".join((fixed, *groups, *offsets))


def _r_block(block: GroupTerm, package: _Structured | None, levels: Levels | None = None) -> str:
    group = text_of(_r_term(block.group))
    if package is not None and block.structure is not None:
        known, inside = block.structure, f"{_r_sum(block)} | {group}"
        return f"{known.word}({inside})" if package == "glmmTMB" else f"{known.function}({inside}{known.text})"
    if package is not None and _is_diagonal(block, levels or {}):
        return f"diag({_r_sum(block)} | {group})"
    return f"({_r_sum(block)} {'|' if block.correlated else '||'} {group})"


def _r_sum(block: GroupTerm) -> str:
    return " + ".join(("1" if block.intercept else "0", *(text_of(_r_term(term)) for term in block.terms)))


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
    """Write center(x) as scale(x, scale = FALSE), and a coding by the function that makes it in R."""
    coding = coding_of(call)
    if coding is not None:
        named = Coding(CODINGS[coding][0])
        return Call(call.function, (*(_r_argument(one) for one in call.arguments[:-1]), Argument(None, named)))
    arguments = tuple(map(_r_argument, call.arguments))
    if call.function == "center":
        return Call("scale", (*arguments, Argument("scale", Flag(value=False))))
    return Call(call.function, arguments)


def _r_argument(argument: Argument) -> Argument:
    return Argument(argument.name, _r_known(argument.value))


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


def lacking_in_bambi(formula: Formula, levels: Levels | None = None) -> Iterator[str]:
    """Say in comments what Bambi's formulas lack, or mean otherwise.

    Parameters
    ----------
    formula : Formula
    levels : mapping of str to sequence of str, optional
        As for `spell_formula`.
    """
    called = {call.function for call in calls_in(formula)} & _NOT_IN_FORMULAE
    yield from (f"# Bambi has no {name}(): put its columns into the table first" for name in sorted(called))
    codings = {coding_of(call): None for call in calls_in(formula) if coding_of(call) is not None}
    for coding in codings:
        if coding not in _IN_FORMULAE:
            yield f"# Bambi has no coding {coding}: sf.to_bambi(model) keeps it"
    if any(call.function == "scale" and len(call.arguments) > 1 for call in calls_in(formula)):
        yield "# Bambi's scale() only takes a column: put what other arguments give into the table first"
    yield from lacks_structures(formula, "Bambi", "; sf.to_bambi(model) keeps it")
    sides = (formula, *(part for _, part in formula.parameters))
    if any(
        term.structure is None and term.correlated and len(term.terms) + term.intercept > 1
        for part in sides
        for term in part.group_terms
    ):
        yield "# Bambi has no correlated group effects: this leaves the correlation out; sf.to_bambi(model) keeps it"
    known = levels or {}
    for term in dict.fromkeys(term for part in sides for term in _coded(part, known)):
        told = "" if all(one in known for one in columns_of(term)) else "with a factor in it, "
        own = f"{text_of(term)} has other columns in Bambi's group terms than in R"
        yield f"# {told}{own}; sf.to_bambi(model) keeps R's"


def _coded(formula: Formula, levels: Levels) -> Iterator[Term]:
    """Yield the terms in group terms of which formulae makes fewer or more columns than R, if they are factors."""
    for block in formula.group_terms:
        intercept = any(other.intercept for other in formula.group_terms if other.group == block.group)
        factors = [term for term in block.terms if not _is_one_column(term, levels) and not _is_basis(term)]
        single = [term for term in factors if len(term.factors) == 1]
        if intercept and not block.intercept:
            yield from single
        elif not intercept:
            yield from single[1:]
        yield from (term for term in factors if intercept and not _has_margins(term, block, levels))


def _is_basis(term: Term) -> bool:
    """Tell whether a term is one of several columns that are numbers."""
    return all(isinstance(factor, Call) and factor.function in ("poly", "bs", "ns") for factor in term.factors)


def _has_margins(term: Term, block: GroupTerm, levels: Levels) -> bool:
    """Tell whether a group term holds all that R's coding of an interaction looks for."""
    if len(term.factors) == 1:
        return True
    held = [frozenset(other.factors) for other in block.terms] + [frozenset()] * block.intercept
    coded = (one for one in term.factors if not _is_one_column(Term((one,)), levels))
    return all(frozenset(term.factors) - {factor} in held for factor in coded)


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
            return _IN_FORMULAE.get(expression.word, expression.word)
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
