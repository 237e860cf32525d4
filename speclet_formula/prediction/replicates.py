"""Means and parameters of rows go in; new responses come out, and how many trials or which weights new rows have.

Drawing from a family is left to `families` and `observation`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from speclet_formula.design import Design
from speclet_formula.design.evaluation import Scope
from speclet_formula.design.response import observed_response
from speclet_formula.design.tables import as_pandas, clean_columns, select_columns
from speclet_formula.errors import DataError
from speclet_formula.families import FAMILIES, Family, draw_response
from speclet_formula.families.specification import Parameters
from speclet_formula.formula.terms import Call, columns_of
from speclet_formula.model import Model
from speclet_formula.posterior.intervals import Array


def draw_rows(
    family: Family, design: Design, rows: slice, mean: Array, parameters: Parameters, rng: np.random.Generator
) -> Array:
    """Draw one response for each draw and row, before it is censored or truncated.

    Parameters
    ----------
    family : Family
    design : Design
        With the trials and weights of its rows.
    rows : slice
        r of its rows.
    mean : ndarray of float, shape (draws, r)
    parameters : mapping of str to array
        The family's other parameters.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float, shape (draws, r)
        Successes for a proportion, the levels' places for an ordinal response.

    Raises
    ------
    DataError
        The family cannot have such a mean.
    """
    trials = None if design.trials is None else design.trials[rows]
    weights = None if design.weights is None else design.weights[rows]
    if design.merged is not None and weights is not None:
        weights = weights / design.merged.rows[rows]  # a new row is a single one
    try:
        return draw_response(family, rng, mean, parameters, trials=trials, weights=weights)
    except ValueError as error:
        raise DataError(
            f"some draws have means from {mean.min():.4g} to {mean.max():.4g}, which '{family.name}' cannot have.",
            "A probability lies between 0 and 1, and the mean of a count is finite and not negative.",
            "Choose the family's usual link, or rows nearer to those that were fitted.",
        ) from error


def with_weights(model: Model, design: Design, newdata: Any) -> Design:
    """Give a replayed design the trials or weights of its rows, which drawing new responses needs.

    Parameters
    ----------
    model : Model
    design : Design
        Replayed on the new rows.
    newdata : table
        The new rows.

    Returns
    -------
    Design

    Raises
    ------
    DataError
        The new rows do not say how many trials or which weights they have.
    """
    meaning = FAMILIES[model.family.name].weights
    if meaning == "trials":
        return replace(design, trials=_trials(model, newdata, len(design.rows)))
    if meaning == "variance" and model.weights is not None:
        return replace(design, weights=_weights(model, newdata))
    return design


def _trials(model: Model, newdata: Any, n: int) -> Array:
    """Return the numbers of trials of new rows."""
    if model.weights is not None:
        return _weights(model, newdata)
    if not (isinstance(model.formula.response, Call) and model.formula.response.function == "cbind"):
        return np.ones(n)
    table, names = as_pandas(newdata), columns_of(model.formula.response)
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise _unknown_weights("trials", absent[0])
    scope = Scope(clean_columns(select_columns(table, names)), {}, dict(model.functions))
    return np.asarray(observed_response(model.formula.response, scope, binary=False).trials)


def _weights(model: Model, newdata: Any) -> Array:
    """Return the column that holds the weights of new rows."""
    table = as_pandas(newdata)
    if not isinstance(model.weights, str) or model.weights not in table.columns:
        name = model.weights if isinstance(model.weights, str) else "weights"
        raise _unknown_weights("weights", name)
    return np.asarray(table[model.weights], dtype=np.float64)


def _unknown_weights(what: str, name: str) -> DataError:
    return DataError(
        f"the new rows have no column '{name}', so that their {what} are unknown.",
        f"An interval for new responses depends on the {what} of the rows; one for means does not.",
        "Add the column (a model's weights= then names it), or write interval='confidence'.",
    )
