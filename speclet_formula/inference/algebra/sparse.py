"""Sparse matrices of many rows: ordered and analysed once, refilled and factored one at a time by compiled loops."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from speclet_formula.inference.algebra.matrix import DrawnColumns, Fill, write_draws
from speclet_formula.inference.algebra.numeric import (
    Cholesky,
    CompiledRows,
    allocate,
    backward,
    factorise,
    forward,
    inverse_entries,
    invert,
    log_determinant,
    paired_entries,
    row_spreads,
)
from speclet_formula.inference.algebra.ordering import ordered
from speclet_formula.inference.algebra.symbolic import Pattern, analyse

FEW_ROWS = 4  # up to which a solve for each row is quicker than the entries of the inverse that all rows need


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A sparse matrix of p rows; it is filled as its upper triangle, column after column, by position."""

    order: np.ndarray  # (p,)
    pattern: Pattern

    @property
    def entries(self) -> int:
        """How many numbers fill it."""
        return len(self.pattern.rows)

    @property
    def corner(self) -> int:
        """How many of the last rows are held as a whole matrix."""
        return self.pattern.size - self.pattern.lead

    @property
    def work(self) -> int:
        """About how many numbers a factorisation goes through."""
        pattern = self.pattern
        inside = pattern.n_wide * self.corner + self.corner**2 // 2
        return pattern.lead + len(pattern.low_rows) + len(pattern.thin_rows) + inside

    @property
    def operations(self) -> float:
        """About how many multiplications a factorisation takes."""
        pattern, corner = self.pattern, float(self.corner)
        low, thin = np.diff(pattern.ends).astype(float), np.diff(pattern.thin_starts).astype(float)
        return float((low * (low + thin)).sum() + pattern.n_wide * corner**2 + corner**3 / 3)

    @cached_property
    def position(self) -> np.ndarray:
        """(p,) where each row stands."""
        return np.argsort(self.order)

    @cached_property
    def _keys(self) -> np.ndarray:
        """One number for each entry, in order."""
        pattern = self.pattern
        return np.repeat(np.arange(pattern.size), np.diff(pattern.starts)) * pattern.size + pattern.rows

    def places(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return where entries stand among the numbers that fill it."""
        a, b = self.position[first], self.position[second]
        return np.asarray(np.searchsorted(self._keys, np.maximum(a, b) * self.pattern.size + np.minimum(a, b)))

    def factored(self, count: int, fill: Fill, *, beside: int = 0) -> Iterator[tuple[slice, "SparseFactors"]]:
        """Go through fillings: which, and its factor, in the same arrays for all; those without one are left out."""
        del beside
        factor = allocate(self.pattern)
        for k in range(count):
            part = slice(k, k + 1)
            numbers, right = fill(part)
            if factorise(self.pattern, numbers.ravel(), factor):
                if right is not None:
                    forward(self.pattern, factor, right[0])
                yield part, SparseFactors(self, factor, right)

    def factor(self, numbers: np.ndarray) -> "SparseFactors | None":
        """Return the factor of one filling; None where it is not positive definite."""
        return next((factors for _, factors in self.factored(1, lambda _: (numbers[None], None))), None)

    def prepared(self, W: Any) -> CompiledRows:
        """Return sparse rows (n, p) as `spreads` takes them."""
        return CompiledRows(W.indptr.astype(np.int64), self.position[W.indices], W.data)


@dataclass(frozen=True, eq=False)
class SparseFactors:
    """The factor of one matrix."""

    matrix: SparseMatrix
    factor: Cholesky
    half: Any  # (1, p) C^-1 r, by position; None without a right side

    @property
    def diagonals(self) -> np.ndarray:
        """(1, p) that of C."""
        return np.concatenate([self.factor.diagonal, np.diagonal(self.factor.corner)])[None]

    @property
    def log_determinants(self) -> np.ndarray:
        """(1,) log|P|."""
        return np.array([log_determinant(self.factor)])

    @property
    def explained(self) -> np.ndarray:
        """(1,) r'P^-1 r."""
        return np.array([self.half[0] @ self.half[0]])

    def backward(self, half: np.ndarray) -> np.ndarray:
        """Return C'^-1 times a vector (1, p), in the rows' own order."""
        vector, solved = half[0].copy(), np.empty_like(half)
        backward(self.matrix.pattern, self.factor, vector)
        solved[0, self.matrix.order] = vector
        return solved

    def draw(self, rng: np.random.Generator, kept: DrawnColumns, out: np.ndarray) -> None:
        """Fill out (k, c) with a draw of the coefficients for each matrix."""
        write_draws(self, rng, kept, out)

    def solve(self, vector: np.ndarray) -> np.ndarray:
        """Return P^-1 times a vector (p,), both in the rows' own order."""
        half = vector[self.matrix.order]
        forward(self.matrix.pattern, self.factor, half)
        return np.asarray(self.backward(half[None])[0])

    def tail(self, count: int) -> np.ndarray:
        """Return the last diagonal entries of C, (1, count), which lie in the corner."""
        return np.diagonal(self.factor.corner)[None, len(self.factor.corner) - count :]

    def inverse(self, places: np.ndarray, *, given: int = 0) -> np.ndarray:
        """Return entries of P^-1, (1, ...), by where they stand: Takahashi's recursion, on the pattern alone.

        The last rows, so many as are `given`, are left out of P.
        """
        return np.asarray(inverse_entries(self.matrix.pattern, self.factor, given)[places][None])

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the entries of P^-1, (n,), at pairs of rows where P has one."""
        pattern, position, found = self.matrix.pattern, self.matrix.position, np.empty(len(first))
        paired_entries(pattern, invert(pattern, self.factor), position[first], position[second], found)
        return found

    def spreads(self, rows: CompiledRows, *, given: int = 0) -> np.ndarray:
        """Return w'P^-1 w, (1, n), of n rows; the last rows of P, so many as are `given`, are left out of it."""
        count, pattern = len(rows.starts) - 1, self.matrix.pattern
        spreads = np.empty(count)
        if count > FEW_ROWS:
            row_spreads(pattern, invert(pattern, self.factor, given), rows, spreads)
            return spreads[None]
        for i in range(count):
            w, entries = np.zeros(pattern.size), slice(rows.starts[i], rows.starts[i + 1])
            w[rows.columns[entries]] = rows.values[entries]
            spreads[i] = self._square(w, given)
        return spreads[None]

    def squares(self, vectors: np.ndarray) -> np.ndarray:
        """Return v'P^-1 v, (1, n), of any vectors (n, p) in the rows' own order."""
        return np.array([[self._square(vector[self.matrix.order]) for vector in vectors]])

    def _square(self, vector: np.ndarray, given: int = 0) -> float:
        """Return the same of a vector by position, which is used up."""
        forward(self.matrix.pattern, self.factor, vector)
        free = vector[: len(vector) - given]
        return float(free @ free)


def sparse_matrix(
    size: int, first: np.ndarray, second: np.ndarray, *, ranks: np.ndarray | None = None, last: int = 0
) -> SparseMatrix:
    """Order and analyse a matrix.

    Parameters
    ----------
    size : int
        p, its rows.
    first, second : ndarray of int
        Its entries off the diagonal, in any half and as often as may be; all that will ever not be zero. A sum that
        happens to be 0 keeps its place: the inverse is not 0 there, and the rows' leverages need it.
    ranks, last
        As `ordered` takes them.
    """
    found = ordered(size, first, second, ranks=ranks, last=last)
    return SparseMatrix(found.order, analyse(size, found.starts, found.rows, found.corner))
