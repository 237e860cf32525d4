"""Numeric factorisation of a sparse symmetric matrix P = C C' with a dense last corner; solutions; P^-1 where C is.

The leading, sparse columns of C are left to compiled loops, the corner, and what the wide parts multiply with it, to
BLAS and LAPACK.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from speclet_formula.inference.algebra.symbolic import Array, Pattern, compiled


class Cholesky(NamedTuple):
    """C of P = C C'."""

    low: Array  # the entries at the pattern's low_rows
    diagonal: Array  # (q,)
    wide: Array  # (n_wide, b)
    thin: Array  # the entries at the pattern's thin_rows
    corner: Array  # (b, b) lower triangle


class Inverse(NamedTuple):
    """P^-1 where C has entries."""

    low: Array
    diagonal: Array
    wide: Array
    thin: Array
    corner: Array


class CompiledRows(NamedTuple):
    """Rows of W in compressed form, their columns by position. n rows."""

    starts: Array
    columns: Array
    values: Array


@compiled
def factor_lead(pattern: Pattern, values: Array, factor: Cholesky) -> bool:
    """Fill the leading columns of C."""
    work = np.zeros(pattern.lead)  # the current row of P and then of C, zero between rows
    beyond = np.zeros(len(factor.corner))  # the current column's part in the corner, zero between columns
    for row in range(pattern.lead):
        pivot = _load(pattern, values, row, work, beyond)
        for entry in range(pattern.row_starts[row], pattern.row_starts[row + 1]):
            column, own = pattern.row_columns[entry], pattern.row_places[entry]
            share = work[column] / factor.diagonal[column]
            work[column] = 0.0
            factor.low[own] = share
            pivot -= share * share
            for place in range(pattern.ends[column], own):
                work[pattern.low_rows[place]] -= factor.low[place] * share
            _take_beyond(pattern, factor, column, share, beyond)
        if not pivot > 0.0:
            return False
        factor.diagonal[row] = np.sqrt(pivot)
        _keep_beyond(pattern, factor, row, beyond)
    return True


@compiled
def _load(pattern: Pattern, values: Array, row: int, work: Array, beyond: Array) -> float:
    """Spread one row of P; return its diagonal entry."""
    pivot = 0.0
    for place in range(pattern.starts[row], pattern.starts[row + 1]):
        if pattern.rows[place] == row:
            pivot = values[place]
        else:
            work[pattern.rows[place]] = values[place]
    for place in range(pattern.cross_starts[row], pattern.cross_starts[row + 1]):
        beyond[pattern.cross_columns[place]] = values[pattern.cross_places[place]]
    return float(pivot)


@compiled
def _take_beyond(pattern: Pattern, factor: Cholesky, column: int, share: float, beyond: Array) -> None:
    """Subtract an earlier column's part in the corner, times a share."""
    slot = pattern.slots[column]
    if slot >= 0:
        for k in range(len(beyond)):
            beyond[k] -= factor.wide[slot, k] * share
    else:
        for place in range(pattern.thin_starts[column], pattern.thin_starts[column + 1]):
            beyond[pattern.thin_rows[place]] -= factor.thin[place] * share


@compiled
def _keep_beyond(pattern: Pattern, factor: Cholesky, column: int, beyond: Array) -> None:
    """Store a column's part in the corner, and clear it."""
    slot, root = pattern.slots[column], factor.diagonal[column]
    if slot >= 0:
        for k in range(len(beyond)):
            factor.wide[slot, k] = beyond[k] / root
            beyond[k] = 0.0
    else:
        for place in range(pattern.thin_starts[column], pattern.thin_starts[column + 1]):
            factor.thin[place] = beyond[pattern.thin_rows[place]] / root
            beyond[pattern.thin_rows[place]] = 0.0


@compiled
def load_corner(pattern: Pattern, values: Array, factor: Cholesky) -> None:
    """Spread P's entries in the corner's lower triangle, less the products of the thin parts."""
    corner = factor.corner
    corner[:] = 0.0
    for column in range(pattern.lead, pattern.size):
        for place in range(pattern.starts[column], pattern.starts[column + 1]):
            if pattern.rows[place] >= pattern.lead:
                corner[column - pattern.lead, pattern.rows[place] - pattern.lead] = values[place]
    for column in range(pattern.lead):
        for first in range(pattern.thin_starts[column], pattern.thin_starts[column + 1]):
            for second in range(pattern.thin_starts[column], first + 1):
                share = factor.thin[first] * factor.thin[second]
                corner[pattern.thin_rows[first], pattern.thin_rows[second]] -= share


@compiled
def forward_lead(pattern: Pattern, factor: Cholesky, vector: Array, inside: Array) -> None:
    """Solve for the leading part of C x = b, in place; keep what goes on to the wide parts."""
    for column in range(pattern.lead):
        entry = vector[column] / factor.diagonal[column]
        vector[column] = entry
        for place in range(pattern.ends[column], pattern.ends[column + 1]):
            vector[pattern.low_rows[place]] -= factor.low[place] * entry
        for place in range(pattern.thin_starts[column], pattern.thin_starts[column + 1]):
            vector[pattern.lead + pattern.thin_rows[place]] -= factor.thin[place] * entry
        if pattern.slots[column] >= 0:
            inside[pattern.slots[column]] = entry


@compiled
def backward_lead(pattern: Pattern, factor: Cholesky, vector: Array, inside: Array) -> None:
    """Solve for the leading part of C' x = b, in place, given the products of the wide parts with the corner's x."""
    for column in range(pattern.lead - 1, -1, -1):
        total = vector[column]
        if pattern.slots[column] >= 0:
            total -= inside[pattern.slots[column]]
        for place in range(pattern.thin_starts[column], pattern.thin_starts[column + 1]):
            total -= factor.thin[place] * vector[pattern.lead + pattern.thin_rows[place]]
        for place in range(pattern.ends[column], pattern.ends[column + 1]):
            total -= factor.low[place] * vector[pattern.low_rows[place]]
        vector[column] = total / factor.diagonal[column]


@compiled
def invert_lead(pattern: Pattern, factor: Cholesky, inverse: Inverse) -> None:
    """Fill the leading columns of P^-1 from the last on, its corner and that corner's share of the wide parts given.

    With the columns c of C, z[R, k] = -Z[R, R] c / c_kk over the rows R of column k, and
    z[k, k] = (1 / c_kk - c'z[R, k]) / c_kk. Every entry that a column needs lies on the pattern.
    """
    column_of = np.zeros(pattern.lead)  # the current column of Z, by row
    column = pattern.lead - 1
    while column >= 0:
        column = _invert_apart(
            pattern.ends, pattern.low_rows, pattern.slots, pattern.thin_starts,
            factor.low, factor.diagonal, inverse.low, inverse.diagonal, column, column_of,
        )  # fmt: skip
        column = _invert_alone(
            pattern.ends, pattern.slots, pattern.thin_starts, pattern.thin_rows,
            factor.thin, factor.diagonal, inverse.corner, inverse.thin, inverse.diagonal, column,
        )  # fmt: skip
        if column < 0:
            break
        if pattern.ends[column] == pattern.ends[column + 1] and pattern.slots[column] < 0:
            continue
        if pattern.slots[column] >= 0:
            _invert_wide(pattern, factor, inverse, column)
        else:
            _invert_thin(pattern, factor, inverse, column)
        _invert_low(pattern, factor, inverse, column, column_of)
        _invert_diagonal(pattern, factor, inverse, column)
        column -= 1


@compiled
def _invert_apart(
    ends: Array, low_rows: Array, slots: Array, thin_starts: Array,
    low: Array, diagonal: Array, z_low: Array, z_diagonal: Array, column: int, work: Array,
) -> int:  # fmt: skip
    """Fill columns of P^-1 that have no part in the corner, such as those of guides; return the next that has one.

    Arrays by themselves: to hand on whole patterns for each column takes a hundred times as long as this.
    """
    while column >= 0 and slots[column] < 0 and thin_starts[column] == thin_starts[column + 1]:
        first, last = ends[column], ends[column + 1]
        for place in range(first, last):
            work[low_rows[place]] = 0.0
        for place in range(first, last):
            row, share = low_rows[place], low[place]
            work[row] -= z_diagonal[row] * share
            inner = place + 1
            for entry in range(ends[row], ends[row + 1]):
                other = low_rows[entry]
                while inner < last and low_rows[inner] < other:
                    inner += 1
                if inner == last:
                    break
                if low_rows[inner] == other:
                    work[row] -= z_low[entry] * low[inner]
                    work[other] -= z_low[entry] * share
        total = 1.0 / diagonal[column]
        for place in range(first, last):
            z_low[place] = work[low_rows[place]] / diagonal[column]
            total -= low[place] * z_low[place]
        z_diagonal[column] = total / diagonal[column]
        column -= 1
    return column


@compiled
def _invert_alone(
    ends: Array, slots: Array, starts: Array, rows: Array,
    thin: Array, diagonal: Array, corner: Array, z_thin: Array, z_diagonal: Array, column: int,
) -> int:  # fmt: skip
    """Fill columns of P^-1 that meet the corner alone, entry by entry, such as students; return the next that does not.

    The corner's triangle above the diagonal is filled too.
    """
    while column >= 0 and slots[column] < 0 and ends[column] == ends[column + 1]:
        first, last, root = starts[column], starts[column + 1], diagonal[column]
        total = 1.0 / root
        for own in range(first, last):
            row, share = rows[own], 0.0
            for other in range(first, last):
                share += corner[row, rows[other]] * thin[other]
            z_thin[own] = -share / root
            total -= thin[own] * z_thin[own]
        z_diagonal[column] = total / root
        column -= 1
    return column


@compiled
def _invert_wide(pattern: Pattern, factor: Cholesky, inverse: Inverse, column: int) -> None:
    """Fill the part in the corner of a column of P^-1 that is held as a whole row."""
    slot, wide = pattern.slots[column], inverse.wide
    for place in range(pattern.ends[column], pattern.ends[column + 1]):
        other, share = pattern.slots[pattern.low_rows[place]], factor.low[place]
        for k in range(wide.shape[1]):
            wide[slot, k] -= share * wide[other, k]
    for k in range(wide.shape[1]):
        wide[slot, k] /= factor.diagonal[column]


@compiled
def _invert_thin(pattern: Pattern, factor: Cholesky, inverse: Inverse, column: int) -> None:
    """Fill the part in the corner of a column of P^-1 that is held entry by entry."""
    first, last = pattern.thin_starts[column], pattern.thin_starts[column + 1]
    for own in range(first, last):
        row, total = pattern.thin_rows[own], 0.0
        for other in range(first, last):
            total += inverse.corner[row, pattern.thin_rows[other]] * factor.thin[other]
        for place in range(pattern.ends[column], pattern.ends[column + 1]):
            total += factor.low[place] * _beyond(pattern, inverse, pattern.low_rows[place], row)
        inverse.thin[own] = -total / factor.diagonal[column]


@compiled
def _invert_low(pattern: Pattern, factor: Cholesky, inverse: Inverse, column: int, column_of: Array) -> None:
    """Fill the leading rows of a column of P^-1."""
    first, last = pattern.ends[column], pattern.ends[column + 1]
    for place in range(first, last):
        column_of[pattern.low_rows[place]] = 0.0
    for place in range(first, last):
        row, share = pattern.low_rows[place], factor.low[place]
        column_of[row] -= inverse.diagonal[row] * share + _across_corner(pattern, factor, inverse, column, row)
        inner = place + 1
        for entry in range(pattern.ends[row], pattern.ends[row + 1]):
            other = pattern.low_rows[entry]
            while inner < last and pattern.low_rows[inner] < other:
                inner += 1
            if inner == last:
                break
            if pattern.low_rows[inner] == other:
                column_of[row] -= inverse.low[entry] * factor.low[inner]
                column_of[other] -= inverse.low[entry] * share
    for place in range(first, last):
        inverse.low[place] = column_of[pattern.low_rows[place]] / factor.diagonal[column]


@compiled
def _across_corner(pattern: Pattern, factor: Cholesky, inverse: Inverse, column: int, row: int) -> float:
    """Return the product, over the corner's rows, of a column of C and a leading column of P^-1."""
    total, slot = 0.0, pattern.slots[column]
    if slot >= 0:
        for k in range(inverse.wide.shape[1]):
            total += factor.wide[slot, k] * inverse.wide[pattern.slots[row], k]
    else:
        for place in range(pattern.thin_starts[column], pattern.thin_starts[column + 1]):
            total += factor.thin[place] * _beyond(pattern, inverse, row, pattern.thin_rows[place])
    return total


@compiled
def _invert_diagonal(pattern: Pattern, factor: Cholesky, inverse: Inverse, column: int) -> None:
    """Fill the diagonal entry of a column of P^-1."""
    total = 1.0 / factor.diagonal[column] - _across_corner(pattern, factor, inverse, column, column)
    for place in range(pattern.ends[column], pattern.ends[column + 1]):
        total -= factor.low[place] * inverse.low[place]
    inverse.diagonal[column] = total / factor.diagonal[column]


@compiled
def _beyond(pattern: Pattern, inverse: Inverse, column: int, row: int) -> float:
    """Return the entry of a leading column in a row of the corner that its pattern has."""
    if pattern.slots[column] >= 0:
        return float(inverse.wide[pattern.slots[column], row])
    return float(
        inverse.thin[_find(pattern.thin_rows, pattern.thin_starts[column], pattern.thin_starts[column + 1], row)]
    )


@compiled
def entry_of(pattern: Pattern, inverse: Inverse, first: int, second: int) -> float:
    """Return the entry of P^-1 at two rows of P where P or C has an entry."""
    lead = pattern.lead
    above, below = min(first, second), max(first, second)
    if above >= lead:
        return float(inverse.corner[below - lead, above - lead])
    if below >= lead:
        return _beyond(pattern, inverse, above, below - lead)
    if above == below:
        return float(inverse.diagonal[above])
    return float(inverse.low[_find(pattern.low_rows, pattern.ends[above], pattern.ends[above + 1], below)])


@compiled
def mirror(square: Array) -> None:
    """Copy the lower triangle of a square to the upper one, block by block: a column of a large one is far apart."""
    size = len(square)
    for row in range(0, size, 32):
        for column in range(0, row + 1, 32):
            for i in range(row, min(row + 32, size)):
                for j in range(column, min(column + 32, i)):
                    square[j, i] = square[i, j]


@compiled
def row_spreads(pattern: Pattern, inverse: Inverse, rows: CompiledRows, out: Array) -> None:
    """Fill out (n,) with w'P^-1 w of each row."""
    for i in range(len(out)):
        spread = 0.0
        for a in range(rows.starts[i], rows.starts[i + 1]):
            column, value = rows.columns[a], rows.values[a]
            spread += value * value * entry_of(pattern, inverse, column, column)
            for b in range(rows.starts[i], a):
                spread += 2.0 * value * rows.values[b] * entry_of(pattern, inverse, column, rows.columns[b])
        out[i] = spread


@compiled
def paired_entries(pattern: Pattern, inverse: Inverse, first: Array, second: Array, out: Array) -> None:
    """Fill out with the entries of P^-1 at pairs of rows where P or C has an entry."""
    for k in range(len(out)):
        if first[k] != second[k]:
            out[k] = entry_of(pattern, inverse, first[k], second[k])
        elif first[k] < pattern.lead:
            out[k] = inverse.diagonal[first[k]]
        else:
            out[k] = inverse.corner[first[k] - pattern.lead, first[k] - pattern.lead]


@compiled
def pattern_entries(pattern: Pattern, inverse: Inverse, out: Array) -> None:
    """Fill out with the entries of P^-1 at those of P's upper triangle."""
    for column in range(pattern.size):
        for place in range(pattern.starts[column], pattern.starts[column + 1]):
            out[place] = entry_of(pattern, inverse, pattern.rows[place], column)


@compiled
def _find(rows: Array, first: int, last: int, row: int) -> int:
    """Return the position of a row within one column; the rows are in order."""
    while last - first > 1:
        middle = (first + last) // 2
        if rows[middle] <= row:
            first = middle
        else:
            last = middle
    return first


def allocate(pattern: Pattern) -> Cholesky:
    """Return room for a factor."""
    width = pattern.size - pattern.lead
    return Cholesky(
        np.empty(len(pattern.low_rows)),
        np.empty(pattern.lead),
        np.empty((pattern.n_wide, width)),
        np.empty(len(pattern.thin_rows)),
        np.empty((width, width)),
    )


def factorise(pattern: Pattern, values: np.ndarray, factor: Cholesky) -> bool:
    """Fill C from P's entries; False if P is not positive definite."""
    if not factor_lead(pattern, values, factor):
        return False
    load_corner(pattern, values, factor)
    corner = factor.corner
    if not len(corner):  # of which LAPACK complains on the terminal
        return True
    if pattern.n_wide:
        corner -= factor.wide.T @ factor.wide
    # In place: for LAPACK, which counts columns first, the lower triangle is the upper one.
    upper, failed = lapack.dpotrf(corner.T, lower=0, clean=1, overwrite_a=1)
    if not np.shares_memory(upper, corner):
        corner[:] = upper.T
    return not failed


def log_determinant(factor: Cholesky) -> float:
    """Return log|P|."""
    return float(2 * (np.log(factor.diagonal).sum() + np.log(np.diagonal(factor.corner)).sum()))


def forward(pattern: Pattern, factor: Cholesky, vector: np.ndarray) -> None:
    """Overwrite a vector b by the solution of C x = b."""
    inside = np.empty(pattern.n_wide)
    forward_lead(pattern, factor, vector, inside)
    right = vector[pattern.lead :] - inside @ factor.wide
    if len(right):  # corner.T is C' in Fortran's order
        vector[pattern.lead :] = lapack.dtrtrs(factor.corner.T, right, trans=1)[0]


def backward(pattern: Pattern, factor: Cholesky, vector: np.ndarray) -> None:
    """Overwrite a vector b by the solution of C' x = b."""
    right = vector[pattern.lead :]
    if len(right):
        vector[pattern.lead :] = lapack.dtrtrs(factor.corner.T, right)[0]
    backward_lead(pattern, factor, vector, factor.wide @ vector[pattern.lead :])


def invert(pattern: Pattern, factor: Cholesky, given: int = 0) -> Inverse:
    """Return P^-1 where C has entries: Takahashi's recursion, from the corner on.

    The last rows, so many as are `given`, are left out of P, and zero in its inverse; they lie in the corner.
    """
    corner = inverse_corner(factor.corner, given)
    wide = -factor.wide @ corner
    inverse = Inverse(
        np.empty_like(factor.low), np.empty_like(factor.diagonal), wide, np.empty_like(factor.thin), corner
    )
    invert_lead(pattern, factor, inverse)
    return inverse


def inverse_corner(lower: np.ndarray, given: int = 0) -> np.ndarray:
    """Return the inverse of C C' (b, b), C a lower triangle, without the last rows, so many as are `given`."""
    size, inverse = len(lower) - given, np.zeros_like(lower)
    if size:  # else LAPACK complains on the terminal
        # For LAPACK, which counts columns first, the lower triangle is the upper one.
        inverse[:size, :size] = lapack.dpotri(lower[:size, :size].T, lower=0)[0].T
        mirror(inverse)
    return inverse


def inverse_entries(pattern: Pattern, factor: Cholesky, given: int = 0) -> np.ndarray:
    """Return the entries of P^-1 at those of P's upper triangle; `given` as `invert` takes it."""
    entries = np.empty(len(pattern.rows))
    pattern_entries(pattern, invert(pattern, factor, given), entries)
    return entries
