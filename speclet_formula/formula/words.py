"""A `Formula` goes in; plain words come out, a line for each of its parts.

Which columns are numbers and which factors, and which groups lie within which beyond what their names tell, only the
data say.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from speclet_formula.formula.terms import Call, Expression, Formula, GroupTerm, Name, Term, text_of, trials_of

_THRESHOLDS = (
    "thresholds: one between each two levels of the response, shared by all rows; they stand in the intercept's place. "
    "A positive effect makes higher levels more likely."
)


def explain_formula(
    formula: Formula,
    *,
    terms: Mapping[str, str] | None = None,
    relations: Sequence[str] | None = None,
    ordinal: bool = False,
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
    return "\n".join((*lines, *parameters))


def _response_words(response: Expression | None) -> str:
    """Describe the left-hand side."""
    match response:
        case None:
            return "No response: the formula of a parameter."
        case Call("cbind", (successes, _)):
            trials = text_of(trials_of(response))
            return f"{text_of(response)}: the response, {text_of(successes)} successes out of {trials} trials."
        case Call("censored", (value, status)):
            return (
                f"{text_of(response)}: the response {text_of(value)}, known only as a bound where {text_of(status)} is "
                "'left' (the true value is at most that) or 'right' (at least that)."
            )
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
    if len(names) > 1:
        return f"how the effect of {names[0]} changes with {_listed(names[1:])} (an interaction)."
    if isinstance(term.factors[0], Call) and term.factors[0].function in ("poly", "bs", "ns"):
        return "a curve, with one coefficient for each of its columns."
    return "its effect, a slope for a number, a difference from the first level for each other level of a factor."


def _group_words(group_term: GroupTerm) -> str:
    """Describe a group term."""
    names = [text_of(term) for term in group_term.terms]
    own = ["intercept"] if group_term.intercept else []
    own += [f"effect of {_listed(names)}"] if len(names) == 1 else [f"effects of {_listed(names)}"] if names else []
    scalar = len(names) + group_term.intercept == 1
    spread = "whose SD is estimated" if scalar else "whose SDs and correlations are estimated"
    if not group_term.correlated and not scalar:
        spread = "whose SDs are estimated and which has no correlations"
    return (
        f"each {_group_name(group_term.group)} has its own {_listed(own)}, drawn from a normal distribution {spread}."
    )


def _group_name(group: Term) -> str:
    """Name what one level of a grouping factor is."""
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
