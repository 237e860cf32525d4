"""The columns that a factor's levels become under each coding, and what the columns are called.

They are those of R's contr.sum, contr.helmert and contr.poly, and of MASS' contr.sdif. Whichever is chosen, the columns
beside an intercept span the same, so that a fit's means are the same.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from speclet_formula.errors import DataError

MOST_LEVELS = 95
"""Most levels of a factor coded by polynomials: R's limit, beyond which they are not told apart."""
_POWERS = (".L", ".Q", ".C")  # as R calls the linear, the quadratic and the cubic column


def coding_matrix(coding: str | None, count: int) -> np.ndarray:
    """Return the columns that stand for the levels of a factor beside an intercept.

    Parameters
    ----------
    coding : {"sum", "helmert", "poly", "sdif"}, optional
        By default treatment contrasts, each level against the first.
    count : int
        The number of levels, k.

    Returns
    -------
    ndarray of float, shape (k, k - 1)
        A row for each level.
    """
    match coding:
        case "sum":
            return np.vstack([np.eye(count - 1), -np.ones(count - 1)])
        case "helmert":
            return _helmert(count)
        case "poly":
            return _polynomials(count)
        case "sdif":
            rows, columns = np.indices((count, count - 1))
            return np.asarray((columns + 1) / count - (rows <= columns))
    return np.eye(count)[:, 1:]


def _helmert(count: int) -> np.ndarray:
    """Return the columns that compare each level with the mean of those before it."""
    rows, columns = np.indices((count, count - 1))
    return np.where(rows <= columns, -1.0, 0.0) + np.where(rows == columns + 1, columns + 1.0, 0.0)


def _polynomials(count: int) -> np.ndarray:
    """Return orthonormal polynomials of the levels' places, whose highest powers have positive coefficients."""
    places = np.arange(count) - (count - 1) / 2
    powers = np.vander(places / max(places[-1], 1.0), count, increasing=True)
    q, r = np.linalg.qr(powers)
    return np.asarray(q[:, 1:] * np.sign(np.diagonal(r)[1:]))


def coding_labels(coding: str | None, levels: Sequence[str]) -> tuple[str, ...]:
    """Return what the columns of `coding_matrix` are called.

    Examples
    --------
    >>> coding_labels("sum", ["a", "b", "c"]), coding_labels("sdif", ["a", "b", "c"])
    (('a', 'b'), ('b-a', 'c-b'))
    """
    match coding:
        case "sum":
            return tuple(levels[:-1])
        case "poly":
            return tuple([*_POWERS, *(f"^{power}" for power in range(4, len(levels)))][: len(levels) - 1])
        case "sdif":
            return tuple(f"{level}-{before}" for before, level in pairwise(levels))
    return tuple(levels[1:])


def check_coding(coding: str | None, levels: Sequence[str], text: str) -> None:
    """Refuse polynomials of more levels than they can be told apart for.

    Raises
    ------
    DataError
    """
    if coding == "poly" and len(levels) > MOST_LEVELS:
        raise DataError(
            f"'{text}' has {len(levels):,} levels.",
            f"Polynomials of a factor's levels are computed for up to {MOST_LEVELS}.",
            "Make the factor a number, poly(x, 3), or a group term.",
        )
