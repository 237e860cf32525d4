"""A formula in plain words, a line for each of its parts, and its hierarchical model in equations, in unicode or LaTeX.

Symbols follow one table for each kind of text, so that both say the same. Which columns are factors, and which groups
lie within which beyond what their names tell, only the data say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from speclet_formula.common.structures import Structure
from speclet_formula.families import FAMILIES, FamilySpecification
from speclet_formula.families.links import INVERSE_LINKS
from speclet_formula.formula.given_matrices import words_of_matrix
from speclet_formula.formula.monotonic import is_monotonic
from speclet_formula.formula.multi_membership import is_scaled, members_of, membership_of, weights_of
from speclet_formula.formula.refusals import check_choice
from speclet_formula.formula.smooths import Smooth, smooth_in
from speclet_formula.formula.terms import (
    LIMITED,
    Call,
    Expression,
    Formula,
    GroupTerm,
    Name,
    Operation,
    Term,
    coding_of,
    columns_of,
    text_of,
    trials_of,
)
from speclet_formula.interpretation.group_equations import Line, group_equations
from speclet_formula.interpretation.notation import LATEX, UNICODE, Notation

_THRESHOLDS = (
    "thresholds: one between each two levels of the response, shared by all rows; they stand in the intercept's place. "
    "A positive effect makes higher levels more likely."
)
_PER_LEVEL = "levels of the response have no order: each has all of the following for itself."

_CODED = {
    "sum": "each level but the last compared with the mean of all levels",
    "helmert": "each level compared with the mean of those before it",
    "poly": "by polynomials of its levels' order, linear, quadratic and so on",
    "sdif": "each level compared with the one before it",
}


def explain_formula(
    formula: Formula,
    *,
    terms: Mapping[str, str] | None = None,
    relations: Sequence[str] | None = None,
    ordinal: bool = False,
    per_level: bool = False,
) -> str:
    """Say in plain words what a formula models.

    Parameters
    ----------
    formula : Formula
        A parsed formula.
    terms : mapping of str to str, optional
        What the data say of a fixed term, by its text; it takes the place of the words that hold for any data.
    relations : sequence of str, optional
        How the grouping factors lie to each other in the data, a sentence for each pair.
    ordinal : bool
        Whether the response has ordered levels, with thresholds in the intercept's place.
    per_level : bool
        Whether its levels have no order, so that all that follows is there for each of them.

    Returns
    -------
    str
        One line for each part: response, intercept, fixed terms, offsets, group terms, how the grouping factors lie to
        each other, and the same for the formulas of the family's parameters. Effects are on the link scale.

    Examples
    --------
    >>> from speclet_formula.formula.parse import parse_formula
    >>> print(explain_formula(parse_formula("log_fc ~ 1 + (1 | gene)")))
    log_fc: the response.
    1: an intercept, shared by all rows.
    (1 | gene): each gene has its own intercept, drawn from a normal distribution whose SD is estimated.
    """
    parameters = (line for name, part in formula.parameters for line in _parameter_lines(name, part))
    lines = [_response_words(formula.response), *_side_lines(formula, terms or {}, relations)]
    if ordinal and formula.intercept:
        lines[1] = _THRESHOLDS
    if per_level:
        lines.insert(1, _PER_LEVEL)
    return "\n".join((*lines, *parameters))


def _response_words(response: Expression | None) -> str:  # noqa: PLR0911 - one case for each kind of response
    """Describe the left-hand side."""
    match response:
        case None:
            return "No response: the formula of a parameter."
        case Call("cbind", (successes, *others)):
            trials = text_of(trials_of(response))
            seen = "counts of levels" if len(others) > 1 else f"{text_of(successes)} successes"
            return f"{text_of(response)}: the response, {seen} out of {trials} trials."
        case Call("censored", (value, status)):
            return (
                f"{text_of(response)}: the response {text_of(value)}, known only as a bound where {text_of(status)} is "
                "'left' (the true value is at most that) or 'right' (at least that)."
            )
        case Call("se", (value, error)):
            return f"{text_of(response)}: the response {text_of(value)}, with errors of the SDs {text_of(error)}."
        case Call("truncated", (value, *bounds)):
            names = [bound.name or name for bound, name in zip(bounds, ("lb", "ub"), strict=False)]
            words = {"lb": "below", "ub": "above"}
            beyond = [f"{words[name]} {text_of(bound.value)}" for name, bound in zip(names, bounds, strict=True)]
            seen = f"of which nothing {' or '.join(beyond)} is ever seen."
            return f"{text_of(response)}: the response {text_of(value)}, {seen}"
        case Name():
            return f"{text_of(response)}: the response."
        case _:
            return f"{text_of(response)}: the response, computed from the data."


def _side_lines(formula: Formula, known: Mapping[str, str], relations: Sequence[str] | None = None) -> Iterator[str]:
    """Describe a right-hand side."""
    if formula.intercept:
        yield "1: an intercept, shared by all rows."
    else:
        yield "0: no intercept."
    yield from (f"{text_of(term)}: {known.get(text_of(term)) or _term_words(term)}" for term in formula.terms)
    yield from (f"offset({text_of(part)}): added as it is, with a coefficient of 1." for part in formula.offsets)
    yield from (f"{text_of(group_term)}: {_group_words(group_term)}" for group_term in formula.group_terms)
    if relations is None:
        yield from _nesting_lines(tuple(dict.fromkeys(group_term.group for group_term in formula.group_terms)))
    else:
        yield from relations


def _parameter_lines(name: str, formula: Formula) -> Iterator[str]:
    """Describe the formula of a family parameter."""
    yield f"{name}: this parameter is not one number, but has a formula of its own:"
    yield from (f"  {line}" for line in _side_lines(formula, {}))


def _term_words(term: Term) -> str:
    """Describe a fixed term."""
    names = [text_of(factor) for factor in term.factors]
    smooth = smooth_in(term)
    if smooth is not None:
        return smooth.words
    if len(names) > 1:
        return f"how the effect of {names[0]} changes with {_listed(names[1:])} (an interaction)."
    if isinstance(term.factors[0], Call) and term.factors[0].function in ("poly", "bs", "ns"):
        return "a curve, with one coefficient for each of its columns."
    if is_monotonic(term.factors[0]):
        variable = text_of(term.factors[0].arguments[0])
        return (
            f"a monotonic effect: a step from each level of {variable} to the next, all of one sign; their average has "
            "a prior as a slope has, and the shares that they have of the whole way add up to 1."
        )
    coding = coding_of(term.factors[0])
    if coding is not None:
        return f"a factor, {_CODED[coding]}."
    return "its effect, a slope for a number, a difference from the first level for each other level of a factor."


def _group_words(group_term: GroupTerm) -> str:
    """Describe a group term."""
    names = [text_of(term) for term in group_term.terms]
    own = ["intercept"] if group_term.intercept else []
    own += [f"effect of {_listed(names)}"] if len(names) == 1 else [f"effects of {_listed(names)}"] if names else []
    scalar = len(names) + group_term.intercept == 1 and group_term.structure is None
    spread = "whose SD is estimated" if scalar else "whose SDs and correlations are estimated"
    if not group_term.correlated and not scalar:
        spread = "whose SDs are estimated and which has no correlations"
    if group_term.structure is not None:
        spread = _spread_words(group_term.structure)
    name = _group_name(group_term.group)
    drawn = f"drawn from a normal distribution {spread}{words_of_matrix(group_term.matrix, name)}."
    return f"each {name} has its own {_listed(own)}, {drawn}{_membership_words(group_term.group)}"


def _membership_words(group: Term) -> str:
    """Say how much of each of its levels a row has; nothing where it has one."""
    call = membership_of(group)
    if call is None:
        return ""
    weights, count = weights_of(call), len(members_of(call))
    if weights is None:
        return f" A row has the mean of its {count} levels' effects."
    named = _listed([text_of(argument.value) for argument in weights.arguments])
    scaled = ", divided by their sum in the row" if is_scaled(call) else ""
    return f" A row has the sum of its {count} levels' effects, weighted by {named}{scaled}."


def _spread_words(structure: Structure) -> str:
    """Say what a covariance structure estimates."""
    sds = "whose one SD, that of all columns," if structure.hom else "with an SD for each column"
    if not structure.correlates:
        return f"{sds} is estimated and which has no correlations"
    between = "of any two columns" if structure.function == "cs" else "of neighbouring columns"
    others = "" if structure.function == "cs" else ", which those d columns apart have to the power of d"
    return f"{sds}{'' if structure.hom else ','} and one correlation, that {between}{others}, are estimated"


def _group_name(group: Term) -> str:
    """Name what one level of a grouping factor is."""
    call = membership_of(group)
    if call is not None:
        return f"level of {_listed([text_of(one) for one in members_of(call)])} together"
    names = [text_of(factor) for factor in group.factors]
    return names[0] if len(names) == 1 else f"combination of {_listed(names)}"


def _nesting_lines(groups: tuple[Term, ...]) -> Iterator[str]:
    """Say which grouping factors lie within which, as far as their names tell."""
    for one, other in combinations(groups, 2):
        inner, outer = (one, other) if len(one.factors) > len(other.factors) else (other, one)
        if set(outer.factors) < set(inner.factors):
            yield f"{text_of(inner)} is nested in {text_of(outer)}: each level lies within one of {text_of(outer)}."
        else:
            yield f"{text_of(one)} and {text_of(other)} may be crossed or nested: that is for the data to say."


def _listed(words: list[str]) -> str:
    """Join words by commas and an 'and'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_OF_A_LEVEL = {"eta": ("η⁽ᵏ⁾", r"\eta^{(k)}"), "a": ("a⁽ᵏ⁾", "a^{(k)}")}  # of each of several of the same kind
# Letters of coefficients, group effects and their SDs: the main formula's first, then those of the parameters.
_LETTERS = (("beta", "u", "tau"), ("gamma", "v", "omega"), ("delta", "w", "psi"))
_SYMBOLS = {"lam": "lambda"}  # of parameters that Python could not call by their letter


def equation(formula: Formula, *, family: str = "gaussian", link: str = "identity", latex: bool = False) -> str:
    """Write a formula as the equations of a hierarchical model.

    Parameters
    ----------
    formula : Formula
        A parsed formula.
    family : str
        Any that `Model` takes, by Bambi's name.
    link : str
        "identity", "log", "logit", "probit", "cloglog", "inverse", "inverse_squared" or "softmax". Parameters with a
        formula of their own are on the log scale, psi on the logit scale.
    latex : bool
        LaTeX (an ``aligned`` environment, without dollar signs) instead of unicode.

    Returns
    -------
    str
        One equation per line: the response, the linear predictors, then each group's effects, whose SDs are τ; R holds
        the correlations. A factor's coefficient stands for one number per level but the first. Of unordered levels
        the superscript k stands for each level of the response but the first (with concentrations a for each level),
        which all have coefficients and group effects of their own.

    Raises
    ------
    FormulaError
        If the family or the link is not among those above.

    Examples
    --------
    >>> from speclet_formula.formula.parse import parse_formula
    >>> print(equation(parse_formula("log_fc ~ cn + (1 | gene)")))
    log_fcᵢ ~ Normal(μᵢ, σ)
    μᵢ = β₀ + β₁·cnᵢ + u₀[geneᵢ]
    u₀[gene] ~ Normal(0, τ₀[gene])
    """
    check_choice("family", family, tuple(FAMILIES))
    known = FAMILIES[family]
    check_choice("link", link, (*INVERSE_LINKS, *(known.links if known.per_level else ())))
    notation = LATEX if latex else UNICODE
    parent, links = known.parent, {parameter.name: parameter.link or "log" for parameter in known.own_parameters}
    lines = [_response_line(formula, known, notation)]
    if known.is_ordinal:
        lines.append(_threshold_line(formula, known, link, notation))
        formula, parent, link = replace(formula, intercept=False), "eta", "identity"
    if known.per_level is not None:
        link, links = known.level_link, dict.fromkeys(dict(formula.parameters), known.level_link)
        lines += [_softmax_line(notation)] if known.per_level.reference else []
        parent = "eta" if known.per_level.reference else parent
    sides = (
        (parent, link, formula),
        *((name, links.get(name, "log"), part) for name, part in formula.parameters),
    )
    for index, (name, scale, side) in enumerate(sides):
        symbol = notation.symbol(name)
        if known.per_level is not None and not index:
            symbol = _OF_A_LEVEL[name][latex]
        lines += _side_equations(symbol, scale, side, _LETTERS[min(index, len(_LETTERS) - 1)], notation)
    if not latex:
        return "\n".join(" ".join(line) for line in lines)
    aligned = " \\\\\n".join(f"{left} &{relation} {right}" for left, relation, right in lines)
    return f"\\begin{{aligned}}\n{aligned}\n\\end{{aligned}}"


def _response_line(formula: Formula, family: FamilySpecification, notation: Notation) -> Line:
    """Write the response's distribution."""
    distribution, names = family.spelling.distribution, family.spelling.arguments
    varying = {"mu", "p", "n", "a", *(name for name, _ in formula.parameters)}
    symbols = [notation.symbol(_SYMBOLS.get(name, name)) for name in names]
    arguments = [
        symbol + (notation.at_row if name in varying else "") for symbol, name in zip(symbols, names, strict=True)
    ]
    response = formula.response
    if isinstance(response, Call) and response.function == "cbind":
        arguments = [_row(trials_of(response), notation), *arguments[1:]] if names[0] == "n" else arguments
        response = response if family.per_level else response.arguments[0].value
    note = ""
    if isinstance(response, Call) and response.function == "se":
        response, error = (argument.value for argument in response.arguments)
        arguments = [*arguments[:-1], _row(error, notation)]
    elif isinstance(response, Call) and response.function in LIMITED:
        note = _limits_note(response, notation)
        response = response.arguments[0].value
    left = notation.symbol("y") + notation.at_row if response is None else _row(response, notation)
    return left, notation.follows, f"{notation.upright(distribution)}({', '.join(arguments)}){note}"


def _limits_note(response: Call, notation: Notation) -> str:
    """Say after a distribution where a truncated response stops, or which column says that a value is a bound."""
    first, *others = (argument.value for argument in response.arguments)
    if response.function == "censored":
        return f"{notation.quote(', a bound where it says so in ')}{_row(others[0], notation)}"
    names = [argument.name or name for argument, name in zip(response.arguments[1:], ("lb", "ub"), strict=False)]
    bounds = {name: _bound(value, notation) for name, value in zip(names, others, strict=True)}
    lower, upper = bounds.get("lb"), bounds.get("ub")
    left = f"{lower}{notation.at_most}" if lower else ""
    right = f"{notation.at_most}{upper}" if upper else ""
    return f"{notation.quote(', seen only where ')}{left}{_row(first, notation)}{right}"


def _bound(value: Expression, notation: Notation) -> str:
    """Write a bound: a number, or a column's value in row i."""
    return _row(value, notation) if columns_of(value) else text_of(value)


def _softmax_line(notation: Notation) -> Line:
    """Write how the linear predictors of the levels make probabilities."""
    dots = r"\dots" if notation is LATEX else "…"
    second, last = ("^{(2)}", "^{(K)}") if notation is LATEX else ("⁽²⁾", "⁽ᴷ⁾")
    eta = notation.symbol("eta")
    parts = ", ".join(("0", f"{eta}{second}{notation.at_row}", dots, f"{eta}{last}{notation.at_row}"))
    return notation.symbol("p") + notation.at_row, "=", f"{notation.upright('softmax')}({parts})"


def _threshold_line(formula: Formula, family: FamilySpecification, link: str, notation: Notation) -> Line:
    """Write what the thresholds of ordered levels are compared with."""
    response = formula.response
    left = notation.symbol("y") + notation.at_row if response is None else _row(response, notation)
    probability = family.spelling.level.format(y=left)
    if notation is LATEX:
        probability = probability.replace("≤", r"\le").replace("≥", r"\ge").replace("∣", r"\mid")
    minus = " - " if notation is LATEX else " − "
    threshold = notation.symbol("theta") + ("_k" if notation is LATEX else "ₖ")
    right = f"{threshold}{minus}{notation.symbol('eta')}{notation.at_row}"
    return f"{notation.upright(link)}({probability})", "=", right


def _side_equations(
    symbol: str, link: str, formula: Formula, letters: tuple[str, str, str], notation: Notation
) -> Iterator[Line]:
    """Write a linear predictor and the distributions of its group effects."""
    coefficient, effect, spread = (notation.symbol(letter) for letter in letters)
    columns: list[Term | int] = [1, *formula.terms] if formula.intercept else [*formula.terms]
    first = 0 if formula.intercept else 1
    summands = [_summand(notation.numbered(coefficient, first + k), c, notation) for k, c in enumerate(columns)]
    distributions: list[Line] = [
        line
        for k, column in enumerate(columns)
        if isinstance(column, Term) and (smooth := smooth_in(column)) is not None
        for line in _smooth_equations(smooth, notation.numbered(coefficient, first + k), effect, spread, notation)
    ]
    distributions += [
        line
        for term in formula.terms
        if is_monotonic(term.factors[0])
        for line in _step_equations(term.factors[0], notation)
    ]
    used: dict[Term, int] = {}
    for block in formula.group_terms:
        start = used.get(block.group, 0)
        effects: list[Term | int] = [1, *block.terms] if block.intercept else [*block.terms]
        used[block.group] = start + len(effects)
        for weight, group in _levels_of_row(block, notation):
            parts = (_summand(notation.of_group(effect, start + k, group), c, notation) for k, c in enumerate(effects))
            summands += [weight + part for part in parts]
        distributions += group_equations(block, range(start, start + len(effects)), effect, spread, notation)
    summands += [_row(offset, notation) for offset in formula.offsets]
    yield _linked(symbol + notation.at_row, link, notation), "=", " + ".join(summands) or "0"
    yield from distributions


def _smooth_equations(smooth: Smooth, coefficient: str, effect: str, spread: str, notation: Notation) -> Iterator[Line]:
    """Write what a smooth is made of: a line, and columns whose coefficients are normal."""
    label, variables = notation.quote(smooth.label), ", ".join(map(text_of, smooth.variables))
    inside = f"({notation.quote(variables)})"
    total = r"\sum_j" if notation is LATEX else "Σⱼ"
    place = "_{j}" if notation is LATEX else "ⱼ"
    wiggles = f"{total} {effect}{place}[{label}]{notation.times}z{place}{inside}"
    seen = smooth.basis not in ("cc", "fs") and not smooth.is_process
    line = f"{coefficient}{notation.times}{notation.upright('line')}{inside} + " if seen else ""
    yield label, "=", f"{line}{wiggles}"
    sd = f"{spread}[{label}]"
    if smooth.is_process:  # of wave j, by the spectral density of the covariance function
        sd += f"{notation.times}w{place}({notation.symbol('ell')}[{label}])"
    yield f"{effect}{place}[{label}]", notation.follows, f"{notation.upright('Normal')}(0, {sd})"


def _step_equations(call: Call, notation: Notation) -> Iterator[Line]:
    """Write what a monotonic effect multiplies: K times the shares of its K steps up to a row's level."""
    label, variable = notation.quote(text_of(call)), _row(call.arguments[0].value, notation)
    share = notation.symbol("zeta")
    total = rf"\sum_{{k \le {variable}}} " if notation is LATEX else f"Σ[k ≤ {variable}] "
    place = "_{k}" if notation is LATEX else "ₖ"
    yield label + notation.at_row, "=", f"K{notation.times}{total}{share}{place}[{label}]"
    yield f"{share}[{label}]", notation.follows, f"{notation.upright('Dirichlet')}(1)"


def _levels_of_row(block: GroupTerm, notation: Notation) -> Iterator[tuple[str, str]]:
    """Write the index of each level that row i has, after what its effects are multiplied by."""
    call = membership_of(block.group)
    if call is None:
        yield "", ":".join(notation.quote(text_of(factor)) + _index(notation) for factor in block.group.factors)
        return
    members, weights = members_of(call), weights_of(call)
    for number, member in enumerate(members):
        weight = f"1/{len(members)}"
        if weights is not None:
            own = [_row(argument.value, notation) for argument in weights.arguments]
            weight = f"{own[number]}/({' + '.join(own)})" if is_scaled(call) else own[number]
        yield weight + notation.times, notation.quote(text_of(member)) + _index(notation)


def _summand(coefficient: str, column: Term | int, notation: Notation) -> str:
    """Write a coefficient times its columns."""
    factors = column.factors if isinstance(column, Term) else ()
    smooth = smooth_in(column) if isinstance(column, Term) else None
    if smooth is not None:
        return notation.quote(smooth.label) + notation.at_row
    return notation.times.join((coefficient, *(_row(factor, notation) for factor in factors)))


def _row(expression: Expression, notation: Notation) -> str:
    """Write an expression's value in row i."""
    text = notation.quote(text_of(expression))
    return (f"({text})" if isinstance(expression, Operation) else text) + notation.at_row


def _index(notation: Notation) -> str:
    """Write the row's index where it is itself within an index."""
    return "[i]" if notation is LATEX else notation.at_row


def _linked(mean: str, link: str, notation: Notation) -> str:
    """Write the link function of a mean."""
    if link == "identity":
        return mean
    if link in ("inverse", "inverse_squared"):
        return f"1/{mean}" + ("" if link == "inverse" else "^2" if notation is LATEX else "²")
    return f"{notation.upright(link)}({mean})"
