"""Symbolic factorisation: an order for a sparse symmetric matrix P, and the pattern of its Cholesky factor C.

The last rows of C that are full to the diagonal are its corner: levels that most others meet, such as cell lines. The
other, leading columns are sparse above it. In the corner a leading column is held as a whole row of a matrix (wide) or
entry by entry (thin). Filling the patterns with numbers is left to `numeric`.
"""

from typing import Any, NamedTuple

import numpy as np
import qdldl
from scipy import sparse

from speclet_formula.common.compiling import loops

Array = np.ndarray[Any, np.dtype[Any]]
compiled = loops()

WIDE = 0.5  # share of the corner's rows from which on a column's part there is held as a whole row


class Pattern(NamedTuple):
    """Where P and C have entries. p rows; the first q are the leading ones, the other b the corner."""

    size: int  # p
    lead: int  # q
    starts: Array  # (p + 1,) where each column of P's upper triangle starts
    rows: Array  # the rows of its entries, in order
    ends: Array  # (q + 1,) where each leading column of C starts, below its diagonal and above the corner
    low_rows: Array  # the rows of its entries, in order
    row_starts: Array  # (q + 1,) the same entries row by row: where each row starts,
    row_columns: Array  # their columns, in order,
    row_places: Array  # and their positions among low_rows
    cross_starts: Array  # (q + 1,) P's entries between a leading row and the corner: where each row starts,
    cross_columns: Array  # their columns in the corner,
    cross_places: Array  # and their positions in P
    slots: Array  # (q,) row of `wide` that holds the column's part in the corner; -1: it is held sparse
    n_wide: int
    thin_starts: Array  # (q + 1,) where each column's sparse part in the corner starts
    thin_rows: Array  # its rows in the corner, in order


def minimum_degree(pattern: Any) -> Array:
    """Return an order of the rows of a sparse symmetric pattern (p, p) that keeps its factor sparse, (p,)."""
    size = pattern.shape[0]
    if not size:
        return np.arange(0)
    # qdldl orders by approximate minimum degree, and wants a matrix that it can factor: the pattern, made dominant.
    dominant = sparse.triu(pattern, k=1) * (0.5 / pattern.max() / size) + sparse.eye_array(size)
    return np.asarray(qdldl.Solver(sparse.csc_array(dominant), upper=True).factors()[2], dtype=np.int64)


def analyse(size: int, starts: Array, rows: Array, corner: int = 0) -> Pattern:
    """Find C's pattern.

    Parameters
    ----------
    size : int
        p, the rows of P.
    starts, rows : arrays of int
        P's upper triangle in compressed columns, rows in order, every diagonal entry among them.
    corner : int
        Rows that the corner has at least, be they full or not.
    """
    parents, counts = climb(size, starts, rows)
    lead = min(_first_of_corner(counts), size - corner)
    low_columns, low_rows = _reached(starts, rows, parents, 0, lead, np.zeros(lead, dtype=np.bool_))
    by_column, by_row = np.lexsort((low_rows, low_columns)), np.lexsort((low_columns, low_rows))
    places = np.empty(len(by_column), dtype=np.int64)
    places[by_column] = np.arange(len(by_column))
    beyond = counts[:lead] - np.bincount(low_columns, minlength=lead)  # entries in the corner
    wide = (beyond > 0) & (beyond >= WIDE * (size - lead))
    thin_columns, thin_rows = _reached(starts, rows, parents, lead, size, wide)
    thin = np.lexsort((thin_rows, thin_columns))
    columns = np.repeat(np.arange(size), np.diff(starts))
    across = np.flatnonzero((columns >= lead) & (rows < lead))
    across = across[np.lexsort((columns[across], rows[across]))]
    return Pattern(
        size=size,
        lead=lead,
        starts=starts,
        rows=rows,
        ends=_starts(low_columns, lead),
        low_rows=low_rows[by_column],
        row_starts=_starts(low_rows, lead),
        row_columns=low_columns[by_row],
        row_places=places[by_row],
        cross_starts=_starts(rows[across], lead),
        cross_columns=columns[across] - lead,
        cross_places=across,
        slots=np.where(wide, np.cumsum(wide) - 1, -1),
        n_wide=int(wide.sum()),
        thin_starts=_starts(thin_columns, lead),
        thin_rows=thin_rows[thin] - lead,
    )


def _first_of_corner(counts: Array) -> int:
    """Return how many columns precede the largest last corner of C that is full."""
    first = len(counts)
    while first > 0 and counts[first - 1] == len(counts) - first:
        first -= 1
    return first


def _starts(owners: Array, count: int) -> Array:
    """Return where the entries of each owner start, once they are sorted by owner."""
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))]).astype(np.int64)


@compiled
def climb(size: int, starts: Array, rows: Array) -> tuple[Array, Array]:
    """Return the parents in the elimination tree, and how many entries each column of C has below its diagonal.

    Davis (2005), Algorithm 849, doi:10.1145/1114268.1114277.
    """
    parents = np.full(size, -1, dtype=np.int64)
    counts = np.zeros(size, dtype=np.int64)
    seen = np.full(size, -1, dtype=np.int64)
    for column in range(size):
        seen[column] = column
        for place in range(starts[column], starts[column + 1]):
            row = rows[place]
            while row < column and seen[row] != column:
                if parents[row] == -1:
                    parents[row] = column
                counts[row] += 1
                seen[row] = column
                row = parents[row]
    return parents, counts


@compiled
def _reached(starts: Array, rows: Array, parents: Array, first: int, last: int, left_out: Array) -> tuple[Array, Array]:
    """Return column and row of the entries of C in some of its rows, left of the diagonal and of the corner.

    Columns that are left out have no parent but such, as far as they lie before the corner.
    """
    lead = len(left_out)
    seen = np.full(lead, -1, dtype=np.int64)
    filled, entries = 0, np.empty((1024, 2), dtype=np.int64)
    for row in range(first, last):
        for place in range(starts[row], starts[row + 1]):
            column = rows[place]
            while column < min(row, lead) and seen[column] != row and not left_out[column]:
                if filled == len(entries):
                    entries = np.concatenate((entries, np.empty_like(entries)))
                entries[filled, 0], entries[filled, 1] = column, row
                filled += 1
                seen[column] = row
                column = parents[column]
    return entries[:filled, 0].copy(), entries[:filled, 1].copy()
