"""Compiled loops over one sparse symmetric matrix: factor it, solve with it, invert it on its own pattern.

In come plain arrays of an upper triangle in compressed columns; out go the arrays of L and D in P = L D L'.
What the matrix means is `precision`'s to know.
"""

from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray[Any, np.dtype[Any]]
# Compiled once on a machine, kept beside the file; threads run these side by side.
compiled = njit(cache=True, nogil=True)


@compiled
def analyse(size: int, starts: Array, rows: Array) -> tuple[Array, Array]:
    """Return the parents in the elimination tree, and where each column of L starts.

    Davis (2005), Algorithm 849, doi:10.1145/1114268.1114277.
    """
    parents = np.full(size, -1, dtype=np.int64)
    counts = np.zeros(size, dtype=np.int64)
    seen = np.full(size, -1, dtype=np.int64)
    for column in range(size):
        seen[column] = column
        for position in range(starts[column], starts[column + 1]):
            row = rows[position]
            while row < column and seen[row] != column:
                if parents[row] == -1:
                    parents[row] = column
                counts[row] += 1
                seen[row] = column
                row = parents[row]
    ends = np.zeros(size + 1, dtype=np.int64)
    ends[1:] = np.cumsum(counts)
    return parents, ends


@compiled
def factor(
    starts: Array, rows: Array, values: Array, parents: Array, ends: Array, low_rows: Array, low: Array, diagonal: Array
) -> bool:
    """Fill L (below its unit diagonal) and D, row by row of L; False if the matrix is not positive definite."""
    size = len(parents)
    work = np.zeros(size)
    pattern = np.empty(size, dtype=np.int64)
    seen = np.full(size, -1, dtype=np.int64)
    filled = ends[:-1].copy()
    for column in range(size):
        top = size
        seen[column] = column
        pivot = 0.0
        for position in range(starts[column], starts[column + 1]):
            row = rows[position]
            if row == column:
                pivot = values[position]
                continue
            work[row] = values[position]
            depth = 0
            while seen[row] != column:
                pattern[depth] = row
                depth += 1
                seen[row] = column
                row = parents[row]
            while depth > 0:
                depth -= 1
                top -= 1
                pattern[top] = pattern[depth]
        for place in range(top, size):
            row = pattern[place]
            entry = work[row]
            work[row] = 0.0
            for position in range(ends[row], filled[row]):
                work[low_rows[position]] -= low[position] * entry
            scaled = entry / diagonal[row]
            pivot -= scaled * entry
            low_rows[filled[row]] = column
            low[filled[row]] = scaled
            filled[row] += 1
        if not pivot > 0.0:
            return False
        diagonal[column] = pivot
    return True


@compiled
def solve_lower(ends: Array, low_rows: Array, low: Array, vector: Array) -> None:
    """Overwrite a vector b by the solution of L x = b."""
    for column in range(len(vector)):
        entry = vector[column]
        for position in range(ends[column], ends[column + 1]):
            vector[low_rows[position]] -= low[position] * entry


@compiled
def solve_upper(ends: Array, low_rows: Array, low: Array, vector: Array) -> None:
    """Overwrite a vector b by the solution of L' x = b."""
    for column in range(len(vector) - 1, -1, -1):
        total = vector[column]
        for position in range(ends[column], ends[column + 1]):
            total -= low[position] * vector[low_rows[position]]
        vector[column] = total


@compiled
def invert_on_pattern(ends: Array, low_rows: Array, low: Array, diagonal: Array) -> tuple[Array, Array]:
    """Return the entries of the inverse where L has any, and its diagonal (Takahashi's recursion).

    Z = D^-1 L^-1 + (I - L') Z, from the last column on; every entry that a column needs lies on the pattern.
    """
    size = len(diagonal)
    below = np.zeros(len(low))
    across = np.zeros(size)
    column_of = np.zeros(size)  # the current column of Z, by row
    for column in range(size - 1, -1, -1):
        first, last = ends[column], ends[column + 1]
        for position in range(first, last):
            column_of[low_rows[position]] = 0.0
        # z[:, column] = - Z[S, S] l over the rows S of column `column` of L
        for position in range(first, last):
            row, weight = low_rows[position], low[position]
            column_of[row] -= across[row] * weight
            inner = position + 1
            for entry in range(ends[row], ends[row + 1]):
                other = low_rows[entry]
                while inner < last and low_rows[inner] < other:
                    inner += 1
                if inner == last:
                    break
                if low_rows[inner] == other:
                    column_of[other] -= below[entry] * weight
                    column_of[row] -= below[entry] * low[inner]
        total = 1.0 / diagonal[column]
        for position in range(first, last):
            row = low_rows[position]
            below[position] = column_of[row]
            total -= low[position] * column_of[row]
        across[column] = total
    return below, across
