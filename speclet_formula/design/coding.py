"""The terms of one linear predictor go in; which columns of each factor they take comes out, as patsy and Bambi code.

A factor stands for all its levels or for all but the first, so that the columns together span what the terms mean and
no column repeats another: Nathaniel Smith's rule, which R's own rule equals wherever R's columns are independent.
Nothing here reads a name: terms are compared as records, never as text. Computing the columns is left to `fixed`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from speclet_formula.errors import FormulaError, listed
from speclet_formula.formula.terms import Call, Name, Term, text_of

type Factor = Name | Call
type Coding = dict[Factor, bool]  # of each factor that has levels: whether it takes all of them, or all but the first
type _Subterm = frozenset[tuple[Factor, bool]]


def coded_terms(intercept: bool, terms: Sequence[Term], labelled: Mapping[Factor, bool]) -> list[tuple[Term, Coding]]:
    """Return the terms with their codings, and before an interaction those that it needs for full rank.

    Parameters
    ----------
    intercept : bool
        Whether there is a column of ones.
    terms : sequence of Term
    labelled : mapping of Name or Call to bool
        Which of their factors have levels; the others are numbers.

    Raises
    ------
    FormulaError
        If the columns of an interaction cannot be told from those of the other terms.
    """
    every = list(terms)
    codings = _codings(intercept, every, labelled)
    while any(len(several) > 1 for several in codings.values()):
        every = [part for term in every for part in _parts_of(term, codings.get(term, []), labelled)]
        every = list(dict.fromkeys(every))
        codings = _codings(intercept, every, labelled)
    lost = [text_of(term) for term in every if len(codings.get(term, [{}])) != 1]
    if lost:
        raise FormulaError(
            f"the columns of {listed(lost, 5)} cannot be told apart.",
            "An interaction of factors stands beside its main effects, or alone.",
            "Write a * b instead of a:b, or make one factor of both with interaction(a, b).",
        )
    return [(term, codings.get(term, [{}])[0]) for term in every]


def count_columns(intercept: bool, terms: Sequence[Term], widths: Mapping[Factor, tuple[int, bool]]) -> int:
    """Return the most columns that the terms can need, by R's rule, without making any.

    `widths` has for each factor its columns, or its levels, and whether it has levels.
    """
    present = {frozenset(term.factors) for term in terms} | ({frozenset[Factor]()} if intercept else set())
    total = int(intercept)
    for term in terms:
        columns, whole = 1, frozenset(term.factors)
        for factor in term.factors:
            width, has_levels = widths[factor]
            columns *= width - (has_levels and whole - {factor} in present)
        total += columns
    return total


def _parts_of(term: Term, codings: Sequence[Coding], labelled: Mapping[Factor, bool]) -> Iterator[Term]:
    """Yield a term after the parts of it that have these codings: the term's numbers stay, after their factors."""
    numbers = [factor for factor in term.factors if not labelled[factor]]
    for coding in codings[:-1]:
        yield Term((*(factor for factor in term.factors if factor in coding), *numbers))
    yield term


def _codings(intercept: bool, terms: Sequence[Term], labelled: Mapping[Factor, bool]) -> dict[Term, list[Coding]]:
    """Return the codings of each term that has a factor with levels; more than one where a part of it is missing.

    Terms are told apart by their numbers: of `x + f:x` the margin of f:x is x, as the intercept is f's.
    """
    margins = {frozenset(term.factors) for term in terms if not any(labelled[factor] for factor in term.factors)}
    groups: dict[frozenset[Factor], list[Term]] = {}
    for term in terms:
        if any(labelled[factor] for factor in term.factors):
            groups.setdefault(frozenset(f for f in term.factors if not labelled[f]), []).append(term)
    found: dict[Term, list[Coding]] = {}
    for numbers, members in groups.items():
        spanned: set[_Subterm] = {frozenset()} if (numbers in margins if numbers else intercept) else set()
        for term in members:
            found[term] = _unspanned([factor for factor in term.factors if labelled[factor]], spanned)
    return found


def _unspanned(factors: Sequence[Factor], spanned: set[_Subterm]) -> list[Coding]:
    """Return the codings that span what a term adds to what is spanned already, and note that it is."""
    new = [part for part in _subterms(factors) if part not in spanned]
    spanned.update(new)
    while _absorb(new, factors):
        pass
    return [dict(part) for part in new]


def _subterms(factors: Sequence[Factor]) -> Iterator[_Subterm]:
    """Yield every subset of the factors without their first levels, the smallest first."""
    for size in range(len(factors) + 1):
        for chosen in combinations(factors, size):
            yield frozenset((factor, False) for factor in chosen)


def _absorb(parts: list[_Subterm], factors: Sequence[Factor]) -> bool:
    """Let one part take in a smaller one by having all levels of the factor between them; False if none can."""
    places = {part: place for place, part in enumerate(parts)}
    for place, small in enumerate(parts):
        larger = [(places.get(small | {(factor, False)}, -1), factor) for factor in factors]
        found = min((pair for pair in larger if pair[0] > place), key=lambda pair: pair[0], default=None)
        if found is not None:
            parts[found[0]] = small | {(found[1], True)}
            del parts[place]
            return True
    return False
