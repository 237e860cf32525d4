"""Whole matrices of few rows, in numpy's and LAPACK's algebra, many at a time.

Below some hundred rows this is as quick as a sparse factorisation, and nothing has to be compiled. The right side is
the last row of what is factored, so that one Cholesky factor holds C^-1 r as well. Rows that meet no other of their
kind, such as the levels of one factor, come first and are eliminated at once: their part of the factor is diagonal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import lapack

from speclet_formula.inference.algebra.matrix import DrawnColumns, Fill, row_pairs, write_draws

CHUNK_ENTRIES = 2**16  # numbers that are held at once: 0.5 MB, which fits into the cache


@dataclass(frozen=True, eq=False)
class DenseMatrix:
    """A whole matrix of p rows; it is filled as one of p + 1, row after row, of which the lower triangle counts.

    Of the first `lead` rows the diagonal is all that there is, and comes before the other rows.
    """

    order: np.ndarray  # (p,)
    lead: int = 0  # of the first rows, which meet each other nowhere

    @cached_property
    def position(self) -> np.ndarray:
        """(p,) where each row stands."""
        return np.argsort(self.order)

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.order)

    @property
    def entries(self) -> int:
        """How many numbers fill it, the last row's among them."""
        return self.lead + (self.size + 1 - self.lead) * (self.size + 1)

    @property
    def work(self) -> int:
        """About how many numbers a factorisation goes through."""
        return self.size**2

    def places(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return where entries stand among the numbers that fill it."""
        a, b = self.position[first], self.position[second]
        low, high = np.minimum(a, b), np.maximum(a, b)
        return np.asarray(np.where(high < self.lead, high, self.lead + (high - self.lead) * (self.size + 1) + low))

    def ends(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and columns, by position, of numbers that fill it: the inverse of `places`."""
        below, left = np.divmod(places - self.lead, self.size + 1)
        leading = places < self.lead
        return np.where(leading, places, below + self.lead), np.where(leading, places, left)

    def factored(self, count: int, fill: Fill, *, beside: int = 0) -> Iterator[tuple[slice, "DenseFactors"]]:
        """Go through fillings by parts: which, and their factors."""
        at_once, size = max(1, CHUNK_ENTRIES // (self.entries + beside)), self.size
        for start in range(0, count, at_once):
            part = slice(start, min(start + at_once, count))
            numbers, right = fill(part)
            rows = numbers[:, self.lead :].reshape(len(numbers), -1, size + 1)
            rows[:, -1, :size] = 0.0 if right is None else right
            rows[:, -1, size] = np.inf  # any number above r'P^-1 r keeps the whole positive definite
            yield part, _factored(self, numbers[:, : self.lead], rows)

    def factor(self, numbers: np.ndarray) -> "DenseFactors | None":
        """Return the factor of one filling; None where it is not positive definite."""
        whole = numbers[self.lead :].reshape(-1, self.size + 1)
        whole[-1, :-1], whole[-1, -1] = 0.0, 1.0
        if self.lead:
            found = _factored(self, numbers[None, : self.lead], whole[None])
            return found if np.isfinite(found.log_determinants).all() else None
        # For LAPACK, which counts columns first, the lower triangle is the upper one.
        upper, failed = lapack.dpotrf(whole.T, lower=0, clean=1, overwrite_a=1)
        return None if failed else DenseFactors(self, np.zeros((1, 0)), upper.T[None])

    def prepared(self, W: Any) -> Any:
        """Return sparse rows (n, p) as `spreads` takes them: for many matrices. Whole rows serve as they are."""
        if isinstance(W, np.ndarray):
            return W
        pairs, first, second = row_pairs(W)
        return pairs, self.places(first, second)


@dataclass(frozen=True, eq=False)
class DenseFactors:
    """Lower factors of k matrices, each with C^-1 r as its last row."""

    matrix: DenseMatrix
    leading: np.ndarray  # (k, lead) the diagonals of the first rows, ...
    rows: np.ndarray  # (k, p + 1 - lead, p + 1) ... and all other rows

    @cached_property
    def factors(self) -> np.ndarray:
        """(k, p + 1, p + 1) the factors with all their rows."""
        if not (lead := self.matrix.lead):
            return self.rows
        whole = np.zeros((len(self.rows), self.matrix.size + 1, self.matrix.size + 1))
        whole[:, np.arange(lead), np.arange(lead)] = self.leading
        whole[:, lead:] = self.rows
        return whole

    @property
    def corner(self) -> np.ndarray:
        """(k, p + 1 - lead, p + 1 - lead) what is left once the first rows are eliminated."""
        return self.rows[:, :, self.matrix.lead :]

    @property
    def diagonals(self) -> np.ndarray:
        """(k, p) those of C."""
        return np.hstack([self.leading, np.diagonal(self.corner, axis1=1, axis2=2)[:, :-1]])

    @property
    def log_determinants(self) -> np.ndarray:
        """(k,) log|P|."""
        return np.asarray(2 * np.log(self.diagonals).sum(axis=1))

    @property
    def half(self) -> np.ndarray:
        """(k, p) C^-1 r."""
        return np.asarray(self.rows[:, -1, :-1])

    @property
    def explained(self) -> np.ndarray:
        """(k,) r'P^-1 r."""
        return np.asarray((self.half**2).sum(axis=1))

    def backward(self, half: np.ndarray) -> np.ndarray:
        """Return C'^-1 times vectors (k, p), in the rows' own order."""
        lead, right = self.matrix.lead, np.zeros((len(half), self.matrix.size + 1))
        right[:, :-1] = half
        for k, factor in enumerate(np.ascontiguousarray(self.corner)):
            # factor.T is upper triangular, and LAPACK takes it as it is; the last unknown, r's, is kept at zero
            right[k, lead:] = lapack.dtrtrs(factor.T, right[k, lead:])[0]
        if lead:
            right[:, :lead] -= np.vecmat(right[:, lead:], self.rows[:, :, :lead])
            right[:, :lead] /= self.leading
        return right[:, self.matrix.position]

    def draw(self, rng: np.random.Generator, kept: DrawnColumns, out: np.ndarray) -> None:
        """Fill out (k, c) with a draw of the coefficients for each matrix."""
        write_draws(self, rng, kept, out)

    def solve(self, vector: np.ndarray) -> np.ndarray:
        """Return P^-1 times a vector (p,), of the first matrix, both in the rows' own order."""
        right = np.zeros(len(vector) + 1)
        right[:-1] = vector[self.matrix.order]
        return np.asarray(lapack.dpotrs(self.factors[0].T, right, lower=0)[0][self.matrix.position])

    def inverse(self, places: np.ndarray) -> np.ndarray:
        """Return entries of P^-1, (k, ...), by where they stand."""
        if not self.matrix.size:  # of which LAPACK complains on the terminal
            return np.zeros((len(self.factors), *np.shape(places)))
        below, left = self.matrix.ends(places)
        # What stands below the diagonal of dpotri's answer is not to be read.
        return np.array([lapack.dpotri(factor[:-1, :-1].T)[0][left, below] for factor in self.factors])

    def tail(self, count: int) -> np.ndarray:
        """Return the last diagonal entries of C, (k, count)."""
        return self.diagonals[:, self.matrix.size - count :]

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the entries of the first P^-1, (n,), at pairs of rows."""
        return np.asarray(self.inverse(self.matrix.places(first, second))[0])

    def spreads(self, rows: Any, *, given: int = 0) -> np.ndarray:
        """Return w'P^-1 w, (k, n), of n rows; the last rows of P, so many as are `given`, are left out of it."""
        if isinstance(rows, np.ndarray):
            right, size = rows[:, self.matrix.order].T, self.matrix.size - given
            return np.array([(np.linalg.solve(C, right) ** 2)[:size].sum(axis=0) for C in self.factors[:, :-1, :-1]])
        pairs, places = rows
        return np.asarray((pairs @ self.inverse(places).T).T)

    def squares(self, vectors: np.ndarray) -> np.ndarray:
        """Return v'P^-1 v, (k, n), of any vectors (n, p) in the rows' own order."""
        return self.spreads(vectors)


def _factored(matrix: DenseMatrix, leading: np.ndarray, rows: np.ndarray) -> DenseFactors:
    """Factor fillings, which are used up; NaN where one is not positive definite."""
    if not matrix.lead:
        return DenseFactors(matrix, leading, _cholesky(rows))
    with np.errstate(invalid="ignore"):  # of what is not positive
        np.sqrt(leading, out=leading)
    below, corner = rows[:, :, : matrix.lead], rows[:, :, matrix.lead :]
    below /= leading[:, None]
    corner -= below @ np.swapaxes(below, 1, 2)
    corner[:] = _cholesky(corner)
    return DenseFactors(matrix, leading, rows)


def _cholesky(matrices: np.ndarray) -> np.ndarray:
    """Factor matrices (k, p, p), of which the lower triangles count; NaN where one is not positive definite."""
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:  # of one of them, which numpy does not name
        if len(matrices) == 1:
            return np.full_like(matrices, np.nan)
        return np.concatenate([_cholesky(matrix[None]) for matrix in matrices])
