"""A response's column goes in; places of ordered levels, or successes with their trials, come out.

Numbers and cbind(successes, failures) are left to `build`, what a family takes to `families`.
"""

from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.evaluation import Scope, evaluate
from speclet_formula.design.fixed import report_not_finite
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, FormulaError, listed
from speclet_formula.formula.terms import Expression, Formula, Name, text_of

WHOLE = 1e-6  # how far a proportion times its trials may be from a whole number


def ordered_levels(node: Expression, scope: Scope, table: pd.DataFrame) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the place of each row's level, from 0 for the lowest, and the labels of the levels.

    Parameters
    ----------
    node : Expression
        The response.
    scope : Scope
        With the cleaned columns.
    table : pandas.DataFrame
        The columns as they were given: cleaning gives every factor an order, whether or not the analyst did.

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
            _check_order(table[node.name], node.name)
        places, levels = np.asarray(values.codes, dtype=float), tuple(str(label) for label in values.categories)
    else:
        places, levels = _numbered(np.asarray(values, dtype=float), name)
    if len(levels) == 1:
        raise DataError(
            f"'{name}' has the level '{levels[0]}' alone.",
            "An ordinal response has two levels or more.",
            "Check the column, or fit the rows before they were filtered.",
        )
    return places, levels


def _numbered(values: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Take whole numbers as levels."""
    report_not_finite(values, name)
    broken = np.flatnonzero(values != np.round(values))
    if len(broken):
        raise DataError(
            f"'{name}' has {len(broken)} values that are not whole numbers, such as {values[broken[0]]:g}.",
            "The levels of an ordinal response are whole numbers, or an ordered factor.",
            f"Cut the numbers into levels first: pandas.cut(data['{name}'], bins).",
        )
    levels, places = np.unique(values, return_inverse=True)
    return places.astype(float), tuple(f"{level:.0f}" for level in levels)


def _check_order(column: pd.Series, name: str) -> None:
    """Refuse labels that the analyst gave no order, and levels without a row."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return
    labels = [label_of(label) for label in pd.unique(column.dropna())]
    if not isinstance(column.dtype, pd.CategoricalDtype) or not column.cat.ordered:
        raise DataError(
            f"the levels of '{name}' have no order: {listed(labels, 5)}.",
            "An ordinal response is an ordered factor, the lowest level first, or whole numbers.",
            f"Write data['{name}'] = pandas.Categorical(data['{name}'], categories=[...], ordered=True).",
        )
    empty = [label for label in map(label_of, column.cat.categories) if label not in set(labels)]
    if empty:
        raise DataError(
            f"no row of '{name}' has the level {listed(empty, 3)}.",
            "A threshold between two levels is known from rows on both sides of it.",
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


def positive_trials(column: pd.Series, name: str) -> np.ndarray:
    """Return the numbers of trials, or raise if one of them is none."""
    if isinstance(column.dtype, pd.CategoricalDtype) or not (column > 0).all():
        raise DataError(
            f"the weights '{name}' are not all numbers of trials.",
            "The weights of a proportion count its trials, at least one for each row.",
            "Drop the rows without a trial.",
        )
    return np.asarray(column, dtype=float)


def is_single_trial(response: Any) -> bool:
    """Tell whether a response holds nothing but 0 and 1."""
    return bool(((response == 0) | (response == 1)).all())
