"""The fixed columns of one linear predictor, coded as patsy, Bambi and R code them.

A factor stands for all its levels, or for all but the first, or for what C(f, sum) says instead of these, so that the
columns together span what the terms mean and no column repeats another: Nathaniel Smith's rule, which R's own rule
equals wherever R's columns are independent.
Terms and columns are told apart by place, never by a text made of their names, so that a column may have any name: one
that spells an interaction of two others, or a name that the package makes.
"""

import itertools
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.coding import check_coding, coding_labels, coding_matrix
from speclet_formula.design.design import CodedFactor, FixedPart, FixedTerm, variable_name
from speclet_formula.design.evaluation import Scope, evaluate, is_labels
from speclet_formula.design.transforms import LARGEST_DESIGN
from speclet_formula.errors import DataError, FormulaError, listed
from speclet_formula.formula.monotonic import is_monotonic
from speclet_formula.formula.smooths import is_smooth, smooth_of
from speclet_formula.formula.terms import Call, Name, Term, coding_of, columns_of, text_of

type TermFactor = Name | Call
type _Spans = dict[TermFactor, bool]  # of each factor that has levels: whether it takes all of them, or one less
type _Subterm = frozenset[tuple[TermFactor, bool]]


def fixed_part(
    intercept: bool, terms: tuple[Term, ...], scope: Scope, *, constant: str = "refuse", prefix: str = ""
) -> FixedPart:
    """Return the columns of an intercept and some terms for the scope's rows.

    `constant="allow"` keeps numeric columns that never vary, which a group block may have, and `"beside"` those beside
    an intercept that are not zero. `prefix` stands before all names: "sigma_" for the formula of sigma.

    Raises
    ------
    DataError
        If a factor has one level, a numeric term never varies, a call gives values that are not finite, or the columns
        would take more than `LARGEST_DESIGN`.
    """
    rows = len(scope.frame)
    if not terms:
        X = np.broadcast_to(np.float64(1.0), (rows, 1)) if intercept else np.empty((rows, 0))
        return FixedPart(X, _intercept(prefix) if intercept else (), intercept, ())
    values = _values_of(terms, scope)
    _check_factors(values)
    widths = {factor: _width(value) for factor, value in values.items()}
    if not all(width for width, _ in widths.values()):  # smooths all of whose columns are penalised
        seen = tuple(term for term in terms if all(widths[factor][0] for factor in term.factors))
        return fixed_part(intercept, seen, scope, constant=constant, prefix=prefix)
    _check_size(count_columns(intercept, terms, widths), rows, terms)
    labelled = {factor: has_levels for factor, (_, has_levels) in widths.items()}
    coded = tuple(
        tuple(_coded_factor(factor, values[factor], coding.get(factor, False), scope) for factor in term.factors)
        for term, coding in coded_terms(intercept, terms, labelled)
    )
    records = _records(intercept, coded, prefix)
    X = np.empty((rows, records[-1].stop))
    _fill(X, intercept, coded, records, values)
    _check_values(X, records)
    if constant != "allow":
        _check_constant(X, records, beside=intercept and constant == "beside")
    return FixedPart(X, records, intercept, coded)


def replay_fixed(part: FixedPart, scope: Scope) -> np.ndarray:
    """Return the same columns for other rows, with everything learnt from the first ones."""
    rows = len(scope.frame)
    if not part.coded:
        return np.broadcast_to(np.float64(1.0), (rows, 1)) if part.intercept else np.empty((rows, 0))
    factors = {coded.factor: coded for term in part.coded for coded in term}
    values = {factor: replayed_values(coded, scope) for factor, coded in factors.items()}
    X = np.empty((rows, part.X.shape[1]))
    _fill(X, part.intercept, part.coded, part.terms, values)
    return X


def without_intercept(part: FixedPart) -> FixedPart:
    """Return the part without its first column, the intercept's; factors keep the coding that they have beside it."""
    terms = tuple(replace(term, start=term.start - 1, stop=term.stop - 1) for term in part.terms[1:])
    return replace(part, X=part.X[:, 1:], terms=terms, intercept=False)


def _values_of(terms: Sequence[Term], scope: Scope) -> dict[TermFactor, Any]:
    """Return the values of each factor of the terms once: an ordered Categorical, or (n,) or (n, k) numbers."""
    factors = dict.fromkeys(factor for term in terms for factor in term.factors)
    return {factor: factor_values(factor, scope) for factor in factors}


def factor_values(factor: TermFactor, scope: Scope) -> Any:
    """Return one factor of a term for the scope's rows: a Categorical, or (n,) or (n, k) finite numbers.

    Raises
    ------
    FormulaError
        If a call uses no column, or does not give one value, or one row of values, for each row.
    DataError
        If a call gives numbers that are not finite.
    """
    if isinstance(factor, Name):
        column = scope.frame[factor.name]
        return _in_order(column) if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy(dtype=float)
    if not columns_of(factor):
        raise FormulaError(
            f"'{text_of(factor)}' uses no column of the data.",
            "A term of a formula varies with the data.",
            "Name a column inside the call, or leave the term out.",
        )
    values = evaluate(factor, scope)
    if isinstance(values, pd.Categorical) or is_labels(values):
        ordered = _in_order(values)
        report_no_level(ordered, text_of(factor))
        return ordered
    numbers = np.asarray(values, dtype=float)
    _check_shape(numbers, factor, len(scope.frame))
    report_not_finite(numbers, text_of(factor))
    return numbers


def _in_order(values: Any) -> pd.Categorical:
    """Return labels as a factor; without an order of their own they are sorted."""
    factor = pd.Categorical(values)
    if factor.ordered:
        return factor
    return factor.set_categories(sorted(factor.remove_unused_categories().categories), ordered=True)


def _check_shape(numbers: np.ndarray, call: Call, rows: int) -> None:
    if numbers.ndim in (1, 2) and len(numbers) == rows:
        return
    raise FormulaError(
        f"'{text_of(call)}' is of shape {numbers.shape} for {rows} rows.",
        "A term has one value, or one row of values, for each row of the data.",
        "Leave out what joins or shortens columns: c() is for arguments such as knots = c(1, 2).",
    )


def _width(values: Any) -> tuple[int, bool]:
    """Return how many columns, or levels, a factor has, and whether it has levels."""
    if isinstance(values, pd.Categorical):
        return len(values.categories), True
    return (1 if values.ndim == 1 else values.shape[1]), False


def _check_size(columns: int, rows: int, terms: Sequence[Term]) -> None:
    """Refuse what would fill memory before it does."""
    needed = 8 * columns * max(rows, columns)
    if needed <= LARGEST_DESIGN:
        return
    widest = max(terms, key=lambda term: len(term.factors))
    raise DataError(
        f"the fixed terms would have {columns:,} columns for {rows:,} rows: {needed / 2**30:,.0f} GiB and more.",
        f"Columns and the products of all pairs of them may take {LARGEST_DESIGN / 2**30:.0f} GiB.",
        f"Name fewer interactions than '{_shortened(text_of(widest))}', or make a factor of many levels a group term, "
        "(1 | g).",
    )


def _shortened(text: str) -> str:
    most = 60
    return text if len(text) <= most else f"{text[:most]}..."


def _coded_factor(factor: TermFactor, values: Any, full: bool, scope: Scope) -> CodedFactor:
    if not isinstance(values, pd.Categorical):
        width = 1 if values.ndim == 1 else values.shape[1]
        if is_monotonic(factor) and factor.function not in scope.functions:
            levels = scope.memory[text_of(factor)]["levels"]
            return CodedFactor(factor, None, False, width, labels=coding_labels("sdif", levels), steps=levels)
        if not is_smooth(factor) or factor.function in scope.functions:
            return CodedFactor(factor, None, False, width)
        labels = scope.memory[text_of(factor)].get("levels", ())
        return CodedFactor(
            factor, None, False, width, labels=labels if len(labels) == width else None, smooth=smooth_of(factor)
        )
    levels = tuple(map(str, values.categories))
    coding = coding_of(factor)
    check_coding(coding, levels, text_of(factor))
    return CodedFactor(factor, levels, full, len(levels) - (not full), coding)


def _fill(
    X: np.ndarray,
    intercept: bool,
    coded: Sequence[tuple[CodedFactor, ...]],
    records: Sequence[FixedTerm],
    values: Mapping[TermFactor, Any],
) -> None:
    """Write the columns of an intercept and of the terms into X; the last factor of a term varies fastest."""
    if intercept:
        X[:, 0] = 1.0
    for term, record in zip(coded, records[-len(coded) :], strict=True):
        columns = _columns(term[0], values[term[0].factor])
        for factor in term[1:]:
            own = _columns(factor, values[factor.factor])
            columns = (columns[:, :, None] * own[:, None, :]).reshape(len(X), -1)
        X[:, record.start : record.stop] = columns


def _columns(coded: CodedFactor, values: Any) -> np.ndarray:
    """Return the (n, k) columns of one factor of a term."""
    if coded.levels is None:
        return np.asarray(values, dtype=float).reshape(len(values), -1)
    matrix = np.eye(len(coded.levels)) if coded.full else coding_matrix(coded.coding, len(coded.levels))
    return np.asarray(matrix[values.codes])


def replayed_values(coded: CodedFactor, scope: Scope) -> Any:
    """Return one factor of a term for other rows, with the levels of the first ones."""
    values = factor_values(coded.factor, scope)
    if coded.levels is None:
        return values
    position = {level: code for code, level in enumerate(coded.levels)}
    new = [str(level) for level in values.categories if str(level) not in position]
    if new:
        raise DataError(
            f"'{text_of(coded.factor)}' has levels that the model has not seen: {listed(new, 5)}.",
            f"Levels: {listed(coded.levels)}.",
            "A fixed effect has no value for a new level: leave those rows out, or make the factor a group term.",
        )
    codes = np.array([position[str(level)] for level in values.categories], dtype=np.int64)[values.codes]
    return pd.Categorical.from_codes(codes, categories=pd.Index(coded.levels, dtype=object), ordered=True)


def report_not_finite(values: np.ndarray, text: str) -> None:
    """Raise a DataError that names the term and its first rows if any value, or its square, is not finite."""
    finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1) if np.ndim(values) else np.isfinite([values])
    bad = np.flatnonzero(~finite)
    if len(bad):
        raise DataError(
            f"'{text}' is not a finite number in {len(bad)} of {len(values)} rows (counted from 0: {listed(bad, 5)}).",
            "Every value that the formula makes must be finite.",
            "Often a log of zero or of a negative number: add a pseudo-count, or drop those rows first.",
        )
    largest = np.abs(values).max(initial=0.0)
    if largest > LARGEST_VALUE:
        raise _too_large(text)
    if 0 < largest < 1 / LARGEST_VALUE:
        raise _too_small(text)


def report_no_level(factor: pd.Categorical, text: str) -> None:
    """Raise a DataError that names the factor and its first rows if any row has no level."""
    bad = np.flatnonzero(factor.codes < 0)
    if len(bad):
        raise DataError(
            f"'{text}' has no level in {len(bad)} of {len(factor)} rows (counted from 0: {listed(bad, 5)}).",
            "Every row has a level of each factor.",
            "Often a log of zero or of a negative number inside factor(): drop those rows first.",
        )


def _intercept(prefix: str) -> tuple[FixedTerm, ...]:
    name = f"{prefix}Intercept"
    return (FixedTerm(name, name, "intercept", (name,), None, (), 0, 1),)


def _records(
    intercept: bool,
    coded: Sequence[tuple[CodedFactor, ...]],
    prefix: str,
    quoted: Container[str] = (),
    start: int = 0,
) -> tuple[FixedTerm, ...]:
    """Describe the terms in the formula's own words."""
    records = list(_intercept(prefix)) if intercept else []
    for term in coded:
        records.append(_record(term, prefix, quoted, records[-1].stop if records else start))
    return tuple(records)


def _record(term: Sequence[CodedFactor], prefix: str, quoted: Container[str], start: int) -> FixedTerm:
    spellings = [coded.smooth.line if coded.smooth else spelled(coded.factor, quoted) for coded in term]
    name = prefix + ":".join(spellings)
    labels = [_labels(coded, spelling) for coded, spelling in zip(term, spellings, strict=True)]
    width = math.prod(coded.width for coded in term)
    categorical = any(coded.levels is not None for coded in term)
    coords = _coords(term, width, categorical=categorical)
    variable = variable_name(name)
    return FixedTerm(
        name=name,
        variable=variable,
        kind="categorical" if categorical else "numeric",
        columns=tuple(prefix + ":".join(label) for label in itertools.product(*labels)),
        dim=f"{variable}_dim" if coords else None,
        coords=coords,
        start=start,
        stop=start + width,
        variables=frozenset(column for coded in term for column in columns_of(coded.factor)),
        smooth=term[0].smooth.label if term[0].smooth else "",
        levels=term[0].steps if len(term) == 1 else (),
    )


def spelled(factor: TermFactor, quoted: Container[str] = ()) -> str:
    """Return a factor's name in a design: a column's own, in back-quotes if it is one of `quoted`, or a call's text."""
    if isinstance(factor, Name):
        return f"`{factor.name}`" if factor.name in quoted else factor.name
    return text_of(factor)


def _labels(coded: CodedFactor, spelling: str) -> list[str]:
    """Label the columns of one factor of a term: "control[other]", "poly(x, 2)[0]", or its name alone."""
    if coded.levels is not None:
        return [f"{spelling}[{label}]" for label in _own_labels(coded, coded.levels)]
    if coded.labels is not None:
        return [f"{spelling}[{label}]" for label in coded.labels]
    return [f"{spelling}[{place}]" for place in range(coded.width)] if coded.width > 1 else [spelling]


def _own_labels(coded: CodedFactor, levels: tuple[str, ...]) -> tuple[str, ...]:
    return levels if coded.full else coding_labels(coded.coding, levels)


def _coords(term: Sequence[CodedFactor], width: int, *, categorical: bool) -> tuple[str | int, ...]:
    """Return the coordinates that Bambi gives a term: levels, or numbers for the columns of a basis."""
    if not categorical:
        return term[0].labels or (tuple(range(width)) if width > 1 else ())
    places = [
        list(map(str, range(coded.width))) if coded.levels is None else _own_labels(coded, coded.levels)
        for coded in term
        if coded.levels is not None or coded.width > 1
    ]
    return tuple(", ".join(place) for place in itertools.product(*places))


def respelled(part: FixedPart, quoted: Container[str], prefix: str = "") -> FixedPart:
    """Return the part with the names of some columns in back-quotes, where something else has their name."""
    if not part.coded:
        return part
    first = part.terms[0].kind == "intercept"
    return replace(part, terms=_records(first, part.coded, prefix, quoted, start=part.terms[0].start))


def _check_factors(values: Mapping[TermFactor, Any]) -> None:
    for factor, column in values.items():
        if isinstance(column, pd.Categorical) and len(column.categories) == 1:
            name = factor.name if isinstance(factor, Name) else text_of(factor)
            raise DataError(
                f"factor '{name}' has a single level, '{column.categories[0]}'.",
                "A fixed factor needs at least two observed levels.",
                "Leave it out of the formula, or fit the data before they were filtered.",
            )


def _check_values(X: np.ndarray, terms: tuple[FixedTerm, ...]) -> None:
    """Refuse columns of values whose squares are not finite, or are all zero."""
    largest = np.maximum(X.max(axis=0, initial=0.0), -X.min(axis=0, initial=0.0))
    for term in terms:
        of_term = largest[term.start : term.stop]
        if (of_term > LARGEST_VALUE).any():
            raise _too_large(term.name)
        if ((of_term > 0) & (of_term < 1 / LARGEST_VALUE)).any():
            raise _too_small(term.name)


def _too_large(name: str) -> DataError:
    return DataError(
        f"'{name}' has values beyond {LARGEST_VALUE:g}.",
        "The squares of all values must be finite numbers.",
        "Change the unit of its columns, or take logarithms.",
    )


def _too_small(name: str) -> DataError:
    return DataError(
        f"'{name}' has no value beyond {1 / LARGEST_VALUE:g} but zero.",
        "The squares of values must not all be rounded to zero.",
        "Change the unit of its columns.",
    )


def _check_constant(X: np.ndarray, terms: tuple[FixedTerm, ...], *, beside: bool) -> None:
    """Refuse columns that never vary; beside an intercept, which makes them up, only those of zeros."""
    for term in terms:
        columns = X[:, term.start : term.stop]
        if term.kind == "numeric" and (columns == columns[0]).all() and not (beside and columns[0].any()):
            raise DataError(
                f"'{term.name}' is constant: it is {columns[0, 0]:g} in every row.",
                "A fixed term must vary, since a constant one cannot be told from the intercept.",
                f"Leave '{term.name}' out, or write 1 for an intercept.",
            )


def coded_terms(
    intercept: bool, terms: Sequence[Term], labelled: Mapping[TermFactor, bool]
) -> list[tuple[Term, _Spans]]:
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


def count_columns(intercept: bool, terms: Sequence[Term], widths: Mapping[TermFactor, tuple[int, bool]]) -> int:
    """Return the most columns that the terms can need, by R's rule, without making any.

    `widths` has for each factor its columns, or its levels, and whether it has levels.
    """
    present = {frozenset(term.factors) for term in terms} | ({frozenset[TermFactor]()} if intercept else set())
    total = int(intercept)
    for term in terms:
        columns, whole = 1, frozenset(term.factors)
        for factor in term.factors:
            width, has_levels = widths[factor]
            columns *= width - (has_levels and whole - {factor} in present)
        total += columns
    return total


def _parts_of(term: Term, codings: Sequence[_Spans], labelled: Mapping[TermFactor, bool]) -> Iterator[Term]:
    """Yield a term after the parts of it that have these codings: the term's numbers stay, after their factors."""
    numbers = [factor for factor in term.factors if not labelled[factor]]
    for coding in codings[:-1]:
        yield Term((*(factor for factor in term.factors if factor in coding), *numbers))
    yield term


def _codings(intercept: bool, terms: Sequence[Term], labelled: Mapping[TermFactor, bool]) -> dict[Term, list[_Spans]]:
    """Return the codings of each term that has a factor with levels; more than one where a part of it is missing.

    Terms are told apart by their numbers: of `x + f:x` the margin of f:x is x, as the intercept is f's.
    """
    margins = {frozenset(term.factors) for term in terms if not any(labelled[factor] for factor in term.factors)}
    groups: dict[frozenset[TermFactor], list[Term]] = {}
    for term in terms:
        if any(labelled[factor] for factor in term.factors):
            groups.setdefault(frozenset(f for f in term.factors if not labelled[f]), []).append(term)
    codings: dict[Term, list[_Spans]] = {}
    for numbers, members in groups.items():
        spanned: set[_Subterm] = {frozenset()} if (numbers in margins if numbers else intercept) else set()
        for term in members:
            codings[term] = _unspanned([factor for factor in term.factors if labelled[factor]], spanned)
    return codings


def _unspanned(factors: Sequence[TermFactor], spanned: set[_Subterm]) -> list[_Spans]:
    """Return the codings that span what a term adds to what is spanned already, and note that it is."""
    new = [part for part in _subterms(factors) if part not in spanned]
    spanned.update(new)
    while _absorb(new, factors):
        pass
    return [dict(part) for part in new]


def _subterms(factors: Sequence[TermFactor]) -> Iterator[_Subterm]:
    """Yield every subset of the factors without their first levels, the smallest first."""
    for size in range(len(factors) + 1):
        for chosen in combinations(factors, size):
            yield frozenset((factor, False) for factor in chosen)


def _absorb(parts: list[_Subterm], factors: Sequence[TermFactor]) -> bool:
    """Let one part take in a smaller one by having all levels of the factor between them; False if none can."""
    positions = {part: position for position, part in enumerate(parts)}
    for position, small in enumerate(parts):
        larger = [(positions.get(small | {(factor, False)}, -1), factor) for factor in factors]
        taker = min((pair for pair in larger if pair[0] > position), key=lambda pair: pair[0], default=None)
        if taker is not None:
            parts[taker[0]] = small | {(taker[1], True)}
            del parts[position]
            return True
    return False


LARGEST_VALUE = 1e150
"""Largest value of a column: the squares of larger ones are no numbers."""
