"""The response: numbers, successes out of trials, places of ordered levels, values between bounds or known as bounds.

`cbind` and weights of a proportion give trials, `censored` and `truncated` give limits. Which family can have made the
numbers is left to `families`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.design import Limits
from speclet_formula.design.evaluation import Scope, evaluate
from speclet_formula.design.fixed import report_not_finite
from speclet_formula.design.numbers import numeric_text
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, FormulaError, listed
from speclet_formula.formula.terms import LIMITED, Call, Expression, Formula, Name, text_of

WHOLE = 1e-6  # how far a proportion times its trials may be from a whole number


STATUSES = {"left": -1, "none": 0, "right": 1}
"""Bambi's and brms' words for a value that is at most, exactly, or at least what the table says."""


@dataclass(frozen=True, eq=False)
class ResponseColumn:
    """What a table says of the response."""

    values: np.ndarray  # (n,) float64
    trials: np.ndarray | None = None
    limits: Limits | None = None
    levels: tuple[str, ...] = ()  # of an ordinal response, whose values are then their places
    precisions: np.ndarray | None = None  # (n,) of se(): one over the squares of the standard errors


def response_name(node: Expression | None) -> str:
    """Return the response as the formula spells it; a column's own name needs no back-quotes here."""
    if node is None:
        return ""
    return node.name if isinstance(node, Name) else text_of(node)


def unknown_response(rows: np.ndarray) -> ResponseColumn:
    """Return the response of rows that have none yet."""
    return ResponseColumn(np.full(len(rows), np.nan))


def places_of_levels(
    node: Expression, scope: Scope, table: pd.DataFrame, *, ordered: bool = True
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the place of each row's level, from 0 for the lowest or first, and the labels of the levels.

    Parameters
    ----------
    node : Expression
        The response.
    scope : Scope
        With the cleaned columns.
    table : pandas.DataFrame
        The columns as they were given: cleaning gives every factor an order, whether or not the analyst did.
    ordered : bool
        Whether the levels need an order.

    Returns
    -------
    places : array of shape (n,)
    levels : tuple of str
        The lowest first; for whole numbers those that occur.

    Raises
    ------
    DataError
        If the levels have no order, one is empty, or there is only one.
    """
    name = node.name if isinstance(node, Name) else text_of(node)
    values = evaluate(node, scope)
    if isinstance(values, pd.Categorical):
        if isinstance(node, Name):
            _check_levels(table[node.name], node.name, ordered=ordered)
        places, levels = np.asarray(values.codes, dtype=float), tuple(str(label) for label in values.categories)
    else:
        places, levels = _numbered(np.asarray(values, dtype=float), name, ordered=ordered)
    if len(levels) == 1:
        raise DataError(
            f"'{name}' has the level '{levels[0]}' alone.",
            f"{_KINDS[ordered]} response has two levels or more.",
            "Check the column, or fit the rows before they were filtered.",
        )
    return places, levels


_KINDS = {True: "An ordinal", False: "A categorical"}


def _numbered(values: np.ndarray, name: str, *, ordered: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Take whole numbers as levels."""
    report_not_finite(values, name)
    broken = np.flatnonzero(values != np.round(values))
    if len(broken):
        raise DataError(
            f"'{name}' has {len(broken)} values that are not whole numbers, such as {values[broken[0]]:g}.",
            f"The levels of {_KINDS[ordered].lower()} response are whole numbers, or "
            f"{'an ordered' if ordered else 'a'} factor.",
            f"Cut the numbers into levels first: pandas.cut(data['{name}'], bins).",
        )
    levels, places = np.unique(values, return_inverse=True)
    return places.astype(float), tuple(f"{level:.0f}" for level in levels)


def _check_levels(column: pd.Series, name: str, *, ordered: bool) -> None:
    """Refuse labels that need an order and were given none, and levels without a row."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return
    labels = [label_of(label) for label in pd.unique(column.dropna())]
    is_factor = isinstance(column.dtype, pd.CategoricalDtype)
    if ordered and (not is_factor or not column.cat.ordered):
        raise DataError(
            f"the levels of '{name}' have no order: {listed(labels, 5)}.",
            "An ordinal response is an ordered factor, the lowest level first, or whole numbers.",
            f"Write data['{name}'] = pandas.Categorical(data['{name}'], categories=[...], ordered=True).",
        )
    known = map(label_of, column.cat.categories) if is_factor else ()
    empty = [label for label in known if label not in set(labels)]
    if empty:
        raise DataError(
            f"no row of '{name}' has the level {listed(empty, 3)}.",
            "A threshold between two levels is known from rows on both sides of it."
            if ordered
            else "How often a level occurs is known from its rows.",
            f"Write data['{name}'] = data['{name}'].cat.remove_unused_categories() to leave empty levels out.",
        )


def refuse_no_intercept(formula: Formula) -> None:
    """Refuse '0 +' where thresholds are the intercepts: factors would get a column too many."""
    if not formula.intercept:
        raise FormulaError(
            "the formula leaves out the intercept, which an ordinal model has not.",
            "Thresholds between the levels stand in its place, and are always there.",
            "Leave '0 +' or '- 1' out.",
        )


def trials_of_proportion(share: np.ndarray, trials: np.ndarray, name: str, weights: str) -> np.ndarray:
    """Return the successes of proportions out of numbers of trials, as lme4 reads them.

    Parameters
    ----------
    share, trials : arrays of shape (n,)
    name, weights : str
        What the two are called.

    Returns
    -------
    array of shape (n,)
        Whole numbers.

    Raises
    ------
    DataError
        If a share is outside 0 to 1, or is no share of whole trials.
    """
    bad = np.flatnonzero((share < 0) | (share > 1))
    if len(bad):
        raise DataError(
            f"'{name}' has {len(bad)} values that are no proportion, such as {share[bad[0]]:g}.",
            f"With numbers of trials as weights ('{weights}') the response is successes / trials, between 0 and 1.",
            f"For counts of successes write cbind({name}, {weights} - {name}) without weights.",
        )
    successes: np.ndarray = np.round(share * trials)
    bad = np.flatnonzero((trials != np.round(trials)) | (np.abs(share * trials - successes) > WHOLE))
    if len(bad):
        row = bad[0]
        raise DataError(
            f"'{name}' times '{weights}' is no whole number in {len(bad)} of {len(share)} rows, such as "
            f"{share[row]:g} * {trials[row]:g} = {share[row] * trials[row]:g}.",
            f"A proportion is successes / trials, both whole numbers, to within {WHOLE:g}.",
            "Compute it without rounding, or write cbind(successes, failures).",
        )
    return successes


def counted_trials(column: pd.Series, name: str) -> np.ndarray:
    """Return the numbers of trials, of which some rows may have none, or raise if they are no such numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype) or not (column >= 0).all() or not (column > 0).any():
        raise DataError(
            f"the weights '{name}' are not all numbers of trials.",
            "The weights of a proportion count its trials; a row of none says nothing, and not all can have none.",
            "Mend the column, or write cbind(successes, failures).",
        )
    return np.asarray(column, dtype=float)


def is_single_trial(response: Any) -> bool:
    """Tell whether a response holds nothing but 0 and 1."""
    return bool(((response == 0) | (response == 1)).all())


def observed_response(node: Expression | None, scope: Scope, *, binary: bool) -> ResponseColumn:
    """Return the response of each row.

    Raises
    ------
    FormulaError
        If there is none.
    DataError
        If it is not numeric, its counts, statuses or bounds are none, or a value lies outside its bounds.
    """
    if node is None:
        raise FormulaError("the formula has no response.", "Write one left of the ~.", "For example y ~ x + (1 | g).")
    if isinstance(node, Call) and node.function == "cbind":
        _refuse_many_counts(node)
        successes, failures = (_numbers(argument.value, scope, binary=False) for argument in node.arguments)
        _check_counts(node, successes, failures)
        return ResponseColumn(successes, successes + failures)
    if isinstance(node, Call) and node.function in LIMITED:
        values = _numbers(node.arguments[0].value, scope, binary=False)
        if node.function == "se":
            return ResponseColumn(values, precisions=precisions_of(node, scope))
        limits = _censoring(node, scope) if node.function == "censored" else truncation_of(node, scope)
        _check_inside(node, values, limits)
        return ResponseColumn(values, None, limits)
    return ResponseColumn(_numbers(node, scope, binary=binary))


def observed_levels(
    node: Expression | None, scope: Scope, table: pd.DataFrame, *, ordered: bool = True
) -> ResponseColumn:
    """Return the places of a response's levels; `table` holds the columns as they were given.

    Raises
    ------
    FormulaError
        If there is none.
    DataError
        If the levels have no order, one is empty, or there is only one.
    """
    if node is None or (isinstance(node, Call) and node.function in ("cbind", *LIMITED)):
        if node is not None and not ordered:
            raise FormulaError(
                f"the response '{text_of(node)}' is not one level in each row.",
                "A categorical response is a factor, or whole numbers; cbind(a, b, c) counts levels.",
                "Name the column of the levels, or write family='multinomial' for counts.",
            )
        return observed_response(node, scope, binary=False)
    check_one_column(evaluate(node, scope), node, "the response")
    places, levels = places_of_levels(node, scope, table, ordered=ordered)
    return ResponseColumn(places, levels=levels)


def observed_counts(node: Expression | None, scope: Scope) -> ResponseColumn:
    """Return how often each level was seen in each row, (n, K), out of how many; one level for each column of cbind.

    Raises
    ------
    FormulaError
        If there is no response, or it is no cbind().
    DataError
        If there are numbers that are no counts, or a level was never seen.
    """
    if not isinstance(node, Call) or node.function != "cbind":
        written = "nothing" if node is None else f"'{text_of(node)}'"
        raise FormulaError(
            f"the response is {written}, which does not count levels.",
            "The response of counts of levels is cbind() of one column for each level; the first is the reference.",
            "Write cbind(a, b, c) ~ ...; where each row has one level take family='categorical'.",
        )
    if len(node.arguments) == 2:  # noqa: PLR2004 - successes and failures
        raise DataError(
            f"'{text_of(node)}' counts two levels.",
            "Counts of three levels or more have the families multinomial and dirichlet_multinomial.",
            "Write family='binomial', or 'beta_binomial' where the shares vary more.",
        )
    columns = [_numbers(argument.value, scope, binary=False) for argument in node.arguments]
    _check_counts(node, *columns)
    levels = tuple(response_name(argument.value) for argument in node.arguments)
    counts = np.column_stack(columns)
    never = [level for level, column in zip(levels, columns, strict=True) if not column.any()]
    if never:
        raise DataError(
            f"no row of '{text_of(node)}' counts any of {listed(never, 3)}.",
            "How often a level occurs is known from its counts.",
            "Leave the column out.",
        )
    return ResponseColumn(counts, counts.sum(axis=1), levels=levels)


def precisions_of(node: Call, scope: Scope) -> np.ndarray:
    """Return one over the squares of the standard errors of `se(y, sei)`, for each row.

    Raises
    ------
    DataError
        If one is not a number above zero.
    """
    column = node.arguments[1].value
    errors = _numbers(column, scope, binary=False)
    bad = np.flatnonzero(~(errors > 0))
    if len(bad):
        raise DataError(
            f"'{response_name(column)}' has {len(bad)} values that are no standard errors, such as {errors[bad[0]]:g} "
            f"in row {bad[0]}.",
            "The standard errors of a response are numbers above 0.",
            "Mend the column, or leave those rows out; of variances take the root: se(y, sqrt(v)).",
        )
    return np.asarray(1 / errors**2)


def _refuse_many_counts(node: Call) -> None:
    if len(node.arguments) != 2:  # noqa: PLR2004 - successes and failures
        raise DataError(
            f"'{text_of(node)}' counts {len(node.arguments)} levels.",
            "Successes and failures are two columns; counts of more levels have the families multinomial and "
            "dirichlet_multinomial.",
            "Write family='multinomial', or cbind(successes, failures).",
        )


@dataclass(frozen=True)
class PerLevel:
    """How the linear predictors of a response with unordered levels are called: one for each level, but the first."""

    prefix: str  # "mu": before the level's name
    reference: bool  # whether the first level has none
    counts: bool  # whether a row counts all levels, as against having one
    levels: tuple[str, ...] = ()  # where there is no response that says them

    def parameters(self, levels: Sequence[str]) -> tuple[str, ...]:
        """Name the parameters as brms does, by the letters and digits of the level's label: "muNewYork".

        Raises
        ------
        DataError
            If two levels have the same.
        """
        names = [self.prefix + "".join(filter(str.isalnum, level)) for level in levels]
        twice = next((k for k, name in enumerate(names) if name in names[:k] or name == self.prefix), None)
        if twice is not None:
            raise DataError(
                f"the level '{levels[twice]}' of the response has no letters and digits of its own.",
                f"Each level has its own linear predictor, '{self.prefix}' with the letters and digits of its label.",
                "Rename the levels.",
            )
        return tuple(names[1:] if self.reference else names)


def out_of_trials(observed: ResponseColumn, name: str, column: pd.Series | None, weights: str | None) -> ResponseColumn:
    """Return successes and trials of a proportion with weights, or of single trials.

    Raises
    ------
    DataError
        If the weights are no numbers of trials, or the response no share of them.
    """
    values = observed.values
    if weights is None or column is None:
        return replace(observed, trials=np.ones(len(values)) if is_single_trial(values) else None)
    trials = counted_trials(column, weights)
    return replace(observed, values=trials_of_proportion(values, trials, name, weights), trials=trials)


def truncation_of(node: Call, scope: Scope) -> Limits:
    """Return the bounds of `truncated(y, lb, ub)` for each row.

    Raises
    ------
    DataError
        If a bound is not a finite number, or the lower one is not below the upper one.
    """
    n = len(scope.frame)
    bounds = {"lb": np.full(n, -np.inf), "ub": np.full(n, np.inf)}
    for name, argument in zip(("lb", "ub"), node.arguments[1:], strict=False):
        bounds[argument.name or name] = _numbers(argument.value, scope, binary=False)
    crossed = np.flatnonzero(bounds["lb"] >= bounds["ub"])
    if len(crossed):
        row = crossed[0]
        raise DataError(
            f"'{text_of(node)}' has a lower bound of {bounds['lb'][row]:g} and an upper one of {bounds['ub'][row]:g}.",
            "The lower bound, lb, is below the upper one, ub.",
            "Exchange them, or name the one that is meant: truncated(y, ub = 10).",
        )
    return Limits(None, bounds["lb"], bounds["ub"])


def _numbers(node: Expression, scope: Scope, *, binary: bool) -> np.ndarray:
    values = evaluate(node, scope)
    check_one_column(values, node, "the response")
    if isinstance(values, pd.Categorical):
        if binary and len(values.categories) == 2:  # noqa: PLR2004 - binary
            return np.asarray(values.codes, dtype=float)
        numeric = numeric_text(values)
        raise DataError(
            f"the response '{text_of(node)}' is text, but {numeric.said}."
            if numeric
            else f"the response '{text_of(node)}' holds labels ({listed(values.categories, 3)}), not numbers.",
            "The response is numeric; a factor of two levels serves a bernoulli family.",
            numeric.remedy(response_name(node))
            if numeric
            else "Convert the column to numbers, or choose the family that fits it.",
        )
    numbers = np.broadcast_to(np.asarray(values, dtype=float), len(scope.frame)).copy()
    report_not_finite(numbers, text_of(node))
    return numbers


def check_one_column(values: Any, node: Expression, what: str) -> None:
    """Refuse a basis, such as poly(x, 2), where there is one value for each row."""
    if np.ndim(values) > 1:
        raise FormulaError(
            f"'{text_of(node)}' has {np.shape(values)[1]} columns.",
            f"{what[0].upper()}{what[1:]} has one value for each row.",
            "Name a column, or a call that gives one value for each row.",
        )


def _check_counts(node: Call, *columns: np.ndarray) -> None:
    counts = np.concatenate(columns)
    if (counts < 0).any() or (counts != np.round(counts)).any():
        several = len(columns) > 2  # noqa: PLR2004 - successes and failures
        raise DataError(
            f"'{text_of(node)}' has values that are not counts.",
            f"cbind({'a, b, c' if several else 'successes, failures'}) takes whole numbers from 0 on.",
            "Count how often each level was seen in a row."
            if several
            else "The second is the number of failures, often written as trials - successes.",
        )


def _censoring(node: Call, scope: Scope) -> Limits:
    """Return the statuses of `censored(y, status)`."""
    column = node.arguments[1].value
    values = evaluate(column, scope)
    unbounded = np.full(len(scope.frame), np.inf)
    if not isinstance(values, pd.Categorical):
        seen = listed((f"{value:g}" for value in np.unique(np.asarray(values, dtype=float))), 3)
        raise _bad_status(node, f"'{text_of(column)}' holds numbers ({seen}), which are no statuses.", _recoded(column))
    unknown = [level for level in values.categories if level not in STATUSES]
    if "interval" in unknown:
        remedy = "Leave those rows out, or take the middle of the interval where it is narrow."
        raise _bad_status(node, f"'{text_of(column)}' has rows that are 'interval'.", remedy)
    if unknown:
        problem = f"'{text_of(column)}' has the value '{unknown[0]}', which is no status."
        raise _bad_status(node, problem, _recoded(column))
    codes = np.array([STATUSES[level] for level in values.categories], dtype=np.int8)
    return Limits(codes[values.codes], -unbounded, unbounded)


def _recoded(column: Expression) -> str:
    name = response_name(column)
    return f"Convert it: data['{name}'] = data['{name}'].map({{0: 'none', 1: 'right'}})."


def _bad_status(node: Call, problem: str, remedy: str) -> DataError:
    """Word the error of a status that does not exist."""
    allowed = "In {} a status is 'none', 'left' (the true value is at most y) or 'right' (at least y)."
    return DataError(problem, allowed.format(text_of(node)), remedy)


def _check_inside(node: Call, values: np.ndarray, limits: Limits) -> None:
    """Refuse values that a truncated response cannot have."""
    outside = np.flatnonzero((values < limits.lower) | (values > limits.upper))
    if len(outside):
        row = outside[0]
        raise DataError(
            f"{len(outside)} values of '{text_of(node)}' lie outside its bounds, such as {values[row]:g} in row {row}.",
            f"Nothing beyond the bounds is ever seen: here from {limits.lower[row]:g} to {limits.upper[row]:g}.",
            "Mend the bounds, drop those rows, or write censored(y, status) for values known only as a bound.",
        )
