"""A column's numbers go in; nothing comes out, or the error that says where they are infinite, or lost digits."""

from typing import Any

import numpy as np

from speclet_formula.errors import DataError


def refuse_infinite(values: np.ndarray, name: str, before: int | None = None) -> None:
    """Refuse infinite values.

    Parameters
    ----------
    values : ndarray of float, shape (rows,)
        Missing ones may be among them.
    name : str
        The column's.
    before : int, optional
        How many rows came before these, of a column of which this is one piece; None for a whole column, whose infinite
        values can be counted.

    Raises
    ------
    DataError
    """
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        count = f"{len(infinite)} " if before is None else ""
        raise DataError(
            f"column '{name}' has {count}infinite values, the first in row {infinite[0] + (before or 0)}.",
            "Numbers must be finite.",
            "Often a log of zero: add a pseudo-count before the log, or drop those rows.",
        )


def refuse_lost_digits(values: np.ndarray, name: str) -> None:
    """Refuse floats whose last digits were lost, where levels are to be told apart: several ids have become one.

    Parameters
    ----------
    values : ndarray of float
        Finite or missing.
    name : str
        The column's.

    Raises
    ------
    DataError
    """
    kind = np.finfo(values.dtype)
    large = np.unique(values[np.abs(values) >= 2.0 ** (kind.nmant + 1)])
    lost = next((value for value in large if _digits(value) > kind.precision), None)
    if lost is not None:
        raise DataError(
            f"column '{name}' has levels that are floats with too many digits, such as {lost:.0f}: the last are lost.",
            f"Numbers of more than {kind.precision} digits are told apart as integers, or as text.",
            f"Read the column as such, for example pandas.read_csv(path, dtype={{'{name}': str}}).",
        )


def _digits(value: Any) -> int:
    """Count the digits that tell a float from its neighbours."""
    return len(str(value).partition("e")[0].removesuffix(".0").replace(".", "").strip("-0"))
