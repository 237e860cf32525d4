"""The terms of one linear predictor and a scope go in; its columns come out, coded as R codes them.

formulae does the coding of factors and interactions. It sees names and our own functions only, never an expression, so
that nothing but the evaluator decides what a formula may compute.
"""

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from formulae import design_matrices
from formulae.environment import Environment

from speclet_formula.design.evaluation import Scope, evaluate
from speclet_formula.design.records import FixedPart, FixedTerm, variable_name
from speclet_formula.errors import DataError, FormulaError, listed
from speclet_formula.formula.terms import Call, Name, Term, columns_of, text_of

# What formulae can read without back-quotes; True, False and None would be read as values.
_PLAIN = re.compile(r"(?!(?:True|False|None)$)[^\W\d_][\w.]*$")


def fixed_part(
    intercept: bool, terms: tuple[Term, ...], scope: Scope, *, constant: str = "refuse", prefix: str = ""
) -> FixedPart:
    """Return the columns of an intercept and some terms for the scope's rows.

    `constant="allow"` keeps numeric columns that never vary, which a group block may have. `prefix` stands before all
    names: "sigma_" for the formula of sigma.

    Raises
    ------
    DataError
        If a factor has one level, a numeric term never varies, or a call gives values that are not finite.
    """
    calls = {call: f"{prefix}call{i}" for i, call in enumerate(dict.fromkeys(calls_of(terms)), start=1)}
    functions = {name: _as_function(call, scope) for call, name in calls.items()}
    text = " + ".join(["1" if intercept else "0", *(_formulae_term(term, calls) for term in terms)])
    if not terms and not intercept:
        return FixedPart(np.empty((len(scope.frame), 0)), (), text, functions, {}, None)
    if not terms:
        return _intercept_alone(scope, prefix)
    _check_factors(terms, scope)
    matrix = _coded(text, terms, scope, functions)
    spellings = {f"{name}({', '.join(columns_of(call))})": text_of(call) for call, name in calls.items()}
    text = _with_added_terms(text, matrix, {name: _formulae_call(call, calls) for call, name in calls.items()})
    records = tuple(_record(term, matrix.slices[name], spellings, prefix) for name, term in matrix.terms.items())
    X = np.ascontiguousarray(matrix.design_matrix, dtype=float)
    if constant == "refuse":
        _check_constant(X, records)
    return FixedPart(
        X, records, text, functions, dict(zip(matrix.terms, (r.name for r in records), strict=True)), matrix
    )


def _intercept_alone(scope: Scope, prefix: str) -> FixedPart:
    """Return a column of ones that takes no memory: of 10^7 rows each would be 80 MB, and there is one for each block.

    formulae, which keeps what it makes, sees a single row.
    """
    matrix = _coded("1", (), Scope(scope.frame.iloc[:1], scope.memory, scope.functions), {})
    records = tuple(_record(term, matrix.slices[name], {}, prefix) for name, term in matrix.terms.items())
    ones = np.broadcast_to(np.float64(1.0), (len(scope.frame), 1))
    return FixedPart(ones, records, "1", {}, dict(zip(matrix.terms, (r.name for r in records), strict=True)), matrix)


def _coded(text: str, terms: tuple[Term, ...], scope: Scope, functions: Mapping[str, Any]) -> Any:
    """Let formulae code the terms."""
    # Its default, the frames of its callers, cannot be copied where it adds a term for an interaction of a call.
    nothing_but_functions = Environment([dict(functions)])
    try:
        return _quietly(lambda: design_matrices(text, scope.frame, "error", env=nothing_but_functions).common)
    except (IndexError, ValueError) as error:  # it loses its way among interactions that lack their parts
        written = [text_of(term) for term in terms if len(term.factors) > 1]
        raise FormulaError(
            f"the columns of {listed(written, 5)} cannot be told apart.",
            "An interaction of factors stands beside its main effects, or alone.",
            "Write a * b instead of a:b, or make one factor of both with interaction(a, b).",
        ) from error


def _with_added_terms(text: str, matrix: Any, spelled: Mapping[str, str]) -> str:
    """Return the text with the terms that formulae added for full rank, so that Bambi's formulae need not."""
    if len(matrix.terms) <= text.count(" + ") + text.startswith("1"):
        return text
    parts = [
        ":".join(spelled.get(part.name.partition("(")[0], quoted(part.name)) for part in term.components)
        for term in matrix.terms.values()
        if term.kind != "intercept"
    ]
    return " + ".join([text[0], *parts])


def replay_fixed(part: FixedPart, scope: Scope) -> np.ndarray:
    """Return the same columns for other rows, with everything learnt from the first ones."""
    if part.matrix is None:
        return np.empty((len(scope.frame), 0))
    evaluated = _quietly(lambda: part.matrix.evaluate_new_data(scope.frame))
    columns = np.asarray(evaluated.design_matrix, dtype=float)
    return np.ascontiguousarray(columns[:, columns.shape[1] - part.X.shape[1] :])


def without_intercept(part: FixedPart) -> FixedPart:
    """Return the part without its first column, the intercept's; factors keep the coding that they have beside it."""
    terms = tuple(replace(term, start=term.start - 1, stop=term.stop - 1) for term in part.terms[1:])
    names = {name: spelling for name, spelling in part.names.items() if spelling != "Intercept"}
    text = part.text.replace("1", "0", 1)
    return replace(part, X=part.X[:, 1:], terms=terms, names=names, text=text)


def _quietly(action: Callable[[], Any]) -> Any:
    """Run formulae without the lines that it prints before it raises."""
    with contextlib.redirect_stdout(io.StringIO()):
        return action()


def calls_of(terms: tuple[Term, ...]) -> Iterator[Call]:
    """Yield each call among the factors of the terms, in order."""
    for term in terms:
        yield from (factor for factor in term.factors if isinstance(factor, Call))


def _as_function(call: Call, scope: Scope) -> Callable[..., Any]:
    """Return a function of the call's columns that computes it for any rows, remembering in the scope's memory."""
    columns = columns_of(call)
    if not columns:
        raise FormulaError(
            f"'{text_of(call)}' uses no column of the data.",
            "A term of a formula varies with the data.",
            "Name a column inside the call, or leave the term out.",
        )

    def compute(*values: Any) -> Any:
        index = values[0].index if isinstance(values[0], pd.Series) else None
        frame = pd.DataFrame(dict(zip(columns, values, strict=True)), index=index)
        return _checked(evaluate(call, Scope(frame, scope.memory, scope.functions)), call)

    return compute


def _checked(values: Any, call: Call) -> Any:
    """Return a factor, or finite numbers as formulae takes them."""
    if isinstance(values, pd.Categorical):
        return pd.Series(values)
    if np.asarray(values).dtype == object:
        return pd.Series(pd.Categorical(values))
    numbers = np.asarray(values, dtype=float)
    report_not_finite(numbers, text_of(call))
    return numbers


def report_not_finite(values: np.ndarray, text: str) -> None:
    """Raise a DataError that names the term and its first rows if any value is not finite."""
    finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1) if np.ndim(values) else np.isfinite([values])
    bad = np.flatnonzero(~finite)
    if len(bad):
        raise DataError(
            f"'{text}' is not a finite number in {len(bad)} of {len(values)} rows (counted from 0: {listed(bad, 5)}).",
            "Every value that the formula makes must be finite.",
            "Often a log of zero or of a negative number: add a pseudo-count, or drop those rows first.",
        )


def _formulae_term(term: Term, calls: Mapping[Call, str]) -> str:
    """Spell a term for formulae: plain or back-quoted names, and calls by the names given to them."""
    return ":".join(
        quoted(factor.name) if isinstance(factor, Name) else _formulae_call(factor, calls) for factor in term.factors
    )


def _formulae_call(call: Call, calls: Mapping[Call, str]) -> str:
    """Spell a call for formulae: its name here, and its columns."""
    return f"{calls[call]}({', '.join(quoted(column) for column in columns_of(call))})"


def quoted(name: str) -> str:
    """Return a column's name as formulae reads it, in back-quotes where they are needed."""
    return name if _PLAIN.match(name) else f"`{name}`"


def _record(term: Any, columns: slice, spellings: Mapping[str, str], prefix: str) -> FixedTerm:
    """Describe one of formulae's terms in the formula's own words."""
    if term.kind == "intercept":
        name = f"{prefix}Intercept"
        return FixedTerm(name, name, "intercept", (name,), None, (), columns.start, columns.stop)
    parts = [(part, spellings.get(part.name, part.name)) for part in term.components]
    name = prefix + ":".join(spelling for _, spelling in parts)
    labels = [[label.replace(part.name, spelling, 1) for label in part.labels] for part, spelling in parts]
    coords = _coords(term, columns.stop - columns.start)
    variable = variable_name(name)
    return FixedTerm(
        name=name,
        variable=variable,
        kind="categorical" if any(part.kind == "categoric" for part in term.components) else "numeric",
        columns=tuple(prefix + ":".join(label) for label in itertools.product(*labels)),
        dim=f"{variable}_dim" if coords else None,
        coords=coords,
        start=columns.start,
        stop=columns.stop,
    )


def _coords(term: Any, n_columns: int) -> tuple[str | int, ...]:
    """Return the coordinates that Bambi gives a term: levels, or numbers for the columns of a basis."""
    if any(part.kind == "categoric" for part in term.components):
        return tuple(term.levels)
    return tuple(range(n_columns)) if n_columns > 1 else ()


def _check_factors(terms: tuple[Term, ...], scope: Scope) -> None:
    for name in dict.fromkeys(factor.name for term in terms for factor in term.factors if isinstance(factor, Name)):
        column = scope.frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype) and len(column.cat.categories) == 1:
            raise DataError(
                f"factor '{name}' has a single level, '{column.cat.categories[0]}'.",
                "A fixed factor needs at least two observed levels.",
                "Leave it out of the formula, or fit the data before they were filtered.",
            )


def _check_constant(X: np.ndarray, terms: tuple[FixedTerm, ...]) -> None:
    for term in terms:
        columns = X[:, term.start : term.stop]
        if term.kind == "numeric" and (columns == columns[0]).all():
            raise DataError(
                f"'{term.name}' is constant: it is {columns[0, 0]:g} in every row.",
                "A fixed term must vary, since a constant one cannot be told from the intercept.",
                f"Leave '{term.name}' out, or write 1 for an intercept.",
            )
