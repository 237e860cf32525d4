"""Compiled loops over the rows of a large problem: what numpy does in several passes, each in one.

n rows, r effects in each, q in all. Only problems whose matrix is sparse come here: its loops are compiled anyway.
"""

from typing import Any

import numpy as np

from speclet_formula.common.compiling import loops

Array = np.ndarray[Any, np.dtype[Any]]
compiled = loops(error_model="numpy")


@compiled
def predictors(A: Array, columns: Array, u: Array, fixed: Array, eta: Array) -> None:
    """Fill eta (n,) with fixed + A u."""
    for row in range(len(eta)):
        total = fixed[row]
        for k in range(A.shape[1]):
            total += A[row, k] * u[columns[row, k]]
        eta[row] = total


@compiled
def gather(A: Array, columns: Array, by_row: Array, total: Array) -> None:
    """Add A' by_row to total (q,)."""
    for row in range(len(by_row)):
        for k in range(A.shape[1]):
            total[columns[row, k]] += A[row, k] * by_row[row]


@compiled
def fill(A: Array, weights: Array, first: Array, second: Array, places: Array, numbers: Array) -> None:
    """Add A'WA to what fills the matrix."""
    for row in range(len(weights)):
        for pair in range(len(first)):
            numbers[places[row, pair]] += weights[row] * A[row, first[pair]] * A[row, second[pair]]
