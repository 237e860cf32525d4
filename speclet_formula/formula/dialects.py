"""A `Formula` goes in; the text that lme4, brms or bambi take comes out.

Where a package lacks something, the nearest that it has is written, as `spell_formula` lists.
The text is for people and other programs; the models that are fitted here do not pass through it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from speclet_formula.formula.formulae import IN_FORMULAE, bambi_text
from speclet_formula.formula.given_matrices import in_brms, lacks_matrices
from speclet_formula.formula.refusals import check_choice
from speclet_formula.formula.smooths import with_processes
from speclet_formula.formula.terms import (
    CODINGS,
    FUNCTIONS,
    LIMITED,
    LOGICAL,
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
type _Structured = Literal["lme4", "glmmTMB", "brms"]  # packages that have structures of group terms, or matrices
type Levels = Mapping[str, Sequence[str]]  # a column -> its levels; none for a number

_NOT_IN_FORMULAE = frozenset({"ns", "interaction", "c"})
_ONE_COLUMN = frozenset(FUNCTIONS) - {"poly", "bs", "ns", "C", "factor", "interaction", "relevel", "c", "dummy"}


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
          ``y | cens(status)``, ``truncated(y, 0)`` ``y | trunc(lb = 0)``, ``se(y, sei)`` ``y | se(sei)``.
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
        formula = with_processes(formula, "mgcv")
        return "\n".join((lme4_text(formula, levels), *lme4_lacks(formula, levels)))
    return _brms(with_processes(formula, "brms")) if dialect == "brms" else bambi_text(with_processes(formula, "Bambi"))


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

    `levels` are as for `spell_formula`.
    """
    sides = ((name, _r_side(part, package="lme4")) for name, part in formula.parameters)
    parameters = (f"# lme4 has no formula for a parameter: {name} ~ {side}" for name, side in sides)
    own = [block for block in formula.group_terms if block.structure is not None]
    newer = (f"# {_r_block(one, 'lme4')} needs lme4 2.0; glmmTMB has it as {_r_block(one, 'glmmTMB')}" for one in own)
    old = (_in_version_one(one, levels or {}) for one in formula.group_terms if _is_diagonal(one, levels or {}))
    return (*lacks_limits(formula, "lme4"), *lacks_matrices(formula, "lme4"), *old, *newer, *parameters)


def lacks_structures(formula: Formula, package: str, but: str = "") -> Iterator[str]:
    """Say in comments which covariance structures of group terms a package lacks."""
    sides = (formula, *(part for _, part in formula.parameters))
    for block in (one for side in sides for one in side.group_terms if one.structure is not None):
        yield f"# {package} has no {text_of(block)}: this is another model, without its structure{but}"


def lacks_limits(formula: Formula, package: str) -> tuple[str, ...]:
    """Say in a comment that a package has no censored or truncated responses, where there is one."""
    response = formula.response
    if isinstance(response, Call) and response.function == "se":
        own = _r_expression(response)
        return (f"# {package} has no known residual SDs, {own}: this is another model; metafor's rma.mv() has them",)
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
        not levels.get(factor.name, ("?",))
        if isinstance(factor, Name)
        else factor.function in _ONE_COLUMN or _level_of(factor) is not None
        for factor in term.factors
    )


def _level_of(call: Call) -> Text | Number | None:
    """Return the level of dummy(f, "b"), which is one column; None of several levels, and of other calls."""
    level = call.arguments[1].value if call.function == "dummy" and len(call.arguments) > 1 else None
    return level if isinstance(level, Text | Number) else None


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
    main = f"{_brms_response(formula.response)} ~ {_r_side(formula, package='brms')}".lstrip()
    parts = [f"{name} ~ {_r_side(part, package='brms')}" for name, part in formula.parameters]
    return f"bf({', '.join((main, *parts))})" if parts else main


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
    elif response.function == "se":
        addition = f"se({_r_expression(others[0].value)})"
    else:
        bounds = zip(("lb", "ub"), others, strict=False)
        named = (f"{bound.name or name} = {_r_expression(bound.value)}" for name, bound in bounds)
        addition = f"trunc({', '.join(named)})"
    return f"{_r_expression(first.value)} | {addition}"


def _r_side(formula: Formula, levels: Levels | None = None, package: _Structured | None = None) -> str:
    """Write a right-hand side in R, with what a package has of structures and matrices."""
    fixed = " + ".join(("1" if formula.intercept else "0", *(text_of(_r_term(term)) for term in formula.terms)))
    groups = (_r_block(block, package, levels or {}) for block in formula.group_terms)
    offsets = (f"offset({text_of(_r_known(offset))})" for offset in formula.offsets)
    return " + ".join((fixed, *groups, *offsets))


def _r_block(block: GroupTerm, package: _Structured | None, levels: Levels | None = None) -> str:
    group = text_of(_r_term(block.group))
    group = in_brms(group, block.matrix) if package == "brms" else group
    if package in ("lme4", "glmmTMB") and block.structure is not None:
        known, inside = block.structure, f"{_r_sum(block)} | {group}"
        return f"{known.word}({inside})" if package == "glmmTMB" else f"{known.function}({inside}{known.text})"
    if package in ("lme4", "glmmTMB") and _is_diagonal(block, levels or {}):
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
    level = _level_of(call)
    if level is not None:
        return Call("as.numeric", (Argument(None, Operation("==", (arguments[0].value, level))),))
    if call.function == "dummy":
        return Call("lme4::dummy", arguments)
    inside = arguments[0].value if call.function == "I" and arguments else None
    if isinstance(inside, Operation) and inside.operator in LOGICAL:
        return Call("as.numeric", arguments)  # else it is a factor of two levels
    if call.function == "center":
        return Call("scale", (*arguments, Argument("scale", Flag(value=False))))
    return Call(call.function, arguments)


def _r_argument(argument: Argument) -> Argument:
    return Argument(argument.name, _r_known(argument.value))


def lacking_in_bambi(formula: Formula, levels: Levels | None = None) -> Iterator[str]:
    """Say in comments what Bambi's formulas lack, or mean otherwise.

    Parameters
    ----------
    formula : Formula
    levels : mapping of str to sequence of str, optional
        As for `spell_formula`.
    """
    called = {call.function for call in calls_in(formula)} & _NOT_IN_FORMULAE
    called |= {call.function for call in calls_in(formula) if call.function == "dummy" and _level_of(call) is None}
    yield from (f"# Bambi has no {name}(): put its columns into the table first" for name in sorted(called))
    codings = {coding_of(call): None for call in calls_in(formula) if coding_of(call) is not None}
    for coding in codings:
        if coding not in IN_FORMULAE:
            yield f"# Bambi has no coding {coding}: sf.to_bambi(model) keeps it"
    if any(call.function == "scale" and len(call.arguments) > 1 for call in calls_in(formula)):
        yield "# Bambi's scale() only takes a column: put what other arguments give into the table first"
    if isinstance(formula.response, Call) and formula.response.function == "se":
        yield f"# Bambi has no {text_of(formula.response)}, known residual SDs; sf.to_bambi(model) keeps them"
    yield from lacks_structures(formula, "Bambi", "; sf.to_bambi(model) keeps it")
    yield from lacks_matrices(formula, "Bambi", "; sf.to_bambi(model) keeps it")
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
