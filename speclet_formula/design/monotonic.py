"""Monotonic effects, mo(x): whether their columns have an order, and a design with one column for each of them.

The steps themselves, a column each, are made by a function of formulas, in `transforms`.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from speclet_formula.design.design import Design, Predictor
from speclet_formula.errors import DataError, listed
from speclet_formula.formula.monotonic import monotonic_columns
from speclet_formula.formula.terms import Formula


def check_order(formula: Formula, table: pd.DataFrame) -> None:
    """Refuse levels of mo(x) that were given no order: cleaning gives every factor one."""
    for name in monotonic_columns(formula):
        problem = _disorder(table[name], name)
        if problem:
            raise DataError(
                problem,
                "A monotonic effect is one of an ordered factor, the lowest level first, or of whole numbers, none of "
                "which is left out.",
                f"Write data['{name}'] = pandas.Categorical(data['{name}'], categories=[...], ordered=True).",
            )


def _disorder(column: pd.Series, name: str) -> str:
    """Say what keeps a column from having levels in an order; "" if nothing does."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        numbers = np.unique(column.to_numpy(dtype=float))
        if (np.diff(numbers) == 1).all() and (numbers == np.floor(numbers)).all():
            return ""
        shown = listed([f"{number:g}" for number in numbers], 5)
        return f"the numbers of '{name}' in mo({name}) are not 0, 1, 2, ... or some such: {shown}."
    if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
        return ""
    return f"the levels of '{name}' in mo({name}) have no order: {listed(map(str, pd.unique(column)), 5)}."


def numbers_as_levels(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return a frame in which whole numbers of some columns are levels in their order; the others stay as they are."""
    factors = {}
    for name in names:
        values = frame[name].to_numpy()
        if values.dtype.kind in "iuf" and len(values) and (values == np.floor(values)).all():
            numbers, codes = np.unique(values, return_inverse=True)
            labels = pd.Index([str(int(number)) for number in numbers], dtype=object)
            factors[name] = pd.Series(pd.Categorical.from_codes(codes, labels, ordered=True), index=frame.index)
    return frame.assign(**factors) if factors else frame


def condensed(design: Design) -> Design:
    """Return the design with one column for each monotonic effect: a row's level as 0, 1, 2, ..., were all steps alike.

    Its coefficient is the average step, which has a prior, and which the shares of the steps multiply.
    """
    if not design.monotonic:
        return design
    return replace(design, predictors=tuple(map(_condensed, design.predictors)))


def _condensed(predictor: Predictor) -> Predictor:
    columns, terms, start = [np.empty((len(predictor.X), 0))], [], 0
    for term in predictor.fixed:
        own = predictor.X[:, term.start : term.stop]
        if term.levels:
            own = own.sum(axis=1, keepdims=True)
            term = replace(term, columns=(term.name,), dim=None, coords=())
        columns.append(own)
        terms.append(replace(term, start=start, stop=start + own.shape[1]))
        start += own.shape[1]
    return replace(predictor, X=np.hstack(columns), fixed=tuple(terms))
