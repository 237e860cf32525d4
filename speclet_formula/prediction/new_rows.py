"""A new table and R's `re.form` go in; the rows that can be predicted come out, with all columns that the model reads.

Columns that only group effects need which are not asked for get any fitted value: their effects are left out later.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.tables import as_pandas, select_columns
from speclet_formula.errors import DataError
from speclet_formula.formula.terms import columns_of
from speclet_formula.model import Model
from speclet_formula.prediction.group_terms import needed_columns


@dataclass(frozen=True, eq=False)
class NewRows:
    """New rows, those with missing values apart."""

    complete: pd.DataFrame  # the rows without missing values in what is needed
    keep: np.ndarray  # (n,) bool, which of the given rows these are
    index: pd.Index  # (n,) of the given table; 0, 1, ... of one without an index


def new_rows(model: Model, newdata: Any, re_form: Any, *, weighted: bool) -> NewRows:
    """Take the rows of a new table that have all that a prediction needs.

    Parameters
    ----------
    model : Model
    newdata : table
    re_form : str, False or None
        As in `keep_groups`.
    weighted : bool
        Whether the columns of trials and weights are needed too, where the table has them.

    Returns
    -------
    NewRows

    Raises
    ------
    FormulaError
        A column is missing, or `re_form` is none.
    DataError
        The table has no row without a missing value.
    """
    table = as_pandas(newdata)
    needed = needed_columns(model, re_form)
    selected = select_columns(table, needed)
    extra = [name for name in _weight_columns(model) if weighted and name in table.columns]
    keep = ~pd.concat([selected, table[extra]], axis=1).isna().any(axis=1).to_numpy()
    if not keep.any():
        raise DataError(
            "no row can be predicted: each has a missing value.",
            f"Columns that are needed: {', '.join(needed)}.",
            "Fill in the missing values of one row or more.",
        )
    complete = table[keep]
    others = [name for name in needed_columns(model, None) if name not in needed]
    filled = {name: [model.design.frame[name].iloc[0]] * len(complete) for name in others}
    index = newdata.index if isinstance(newdata, pd.DataFrame) else pd.RangeIndex(len(table))
    return NewRows(complete.assign(**filled), keep, index)


def _weight_columns(model: Model) -> tuple[str, ...]:
    """Return the columns that hold the weights or the trials."""
    named = (model.weights,) if isinstance(model.weights, str) else ()
    response = () if model.formula.response is None else columns_of(model.formula.response)
    return (*named, *response)
