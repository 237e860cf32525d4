"""A column's numbers go in; nothing comes out, or the error that says where they are infinite."""

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
