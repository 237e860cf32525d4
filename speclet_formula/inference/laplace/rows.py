"""What rows and group effects do to each other: A u, A'w, H = A'WA + I and its factor, A H^-1 where A has entries.

Where levels vary together kron(Q, I) stands for I. A (n, r) holds what each row's r effects are multiplied by,
`columns` which of all q they are. Small problems are left to numpy; large ones, whose sparse matrix is factored by
compiled loops anyway, to such loops.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from speclet_formula.inference.algebra.equations import matrix_of
from speclet_formula.inference.algebra.matrix import Matrix

MOST_DENSE = 150  # group effects up to which whole matrices are not slower: both take 0.05 s there
MOST_PLACES = 2**21  # products of two entries of a row, of all rows, up to which they are kept


@dataclass(frozen=True, eq=False)
class PriorEntries:
    """The precision of standard effects: I, or kron(Q, I) where levels vary together; its upper triangle."""

    first: np.ndarray
    second: np.ndarray
    values: np.ndarray
    log_determinant: float

    @cached_property
    def is_diagonal(self) -> bool:
        """Whether it is I."""
        return bool((self.first == self.second).all() and (self.values == 1).all())

    @cached_property
    def whole(self) -> Any:
        """(q, q) scipy CSR."""
        apart, size = self.first != self.second, 1 + int(self.first.max(initial=-1))
        rows = np.concatenate([self.first, self.second[apart]])
        columns = np.concatenate([self.second, self.first[apart]])
        values = np.concatenate([self.values, self.values[apart]])
        return sparse.csr_array((values, (rows, columns)), shape=(size, size))

    def times(self, u: np.ndarray) -> np.ndarray:
        """Return its product with u (q,)."""
        return u if self.is_diagonal else np.asarray(self.whole @ u)


@dataclass(frozen=True, eq=False)
class Rows:
    """Where rows and effects meet, and where the products of a row's entries stand in H, by numpy."""

    size: int  # q
    columns: np.ndarray  # (n, r) the effect that each entry of A multiplies
    matrix: Matrix
    prior: PriorEntries
    prior_places: np.ndarray  # where these stand among what fills the matrix
    first: np.ndarray  # (pairs,) of each two entries of a row the one, ...
    second: np.ndarray  # ... and the other
    places: np.ndarray  # (n, pairs) where their products stand

    is_compiled = False

    def predictors(self, A: np.ndarray, u: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        """Return fixed + A u, (n,)."""
        return np.asarray(fixed + (A * u[self.columns]).sum(axis=1))

    def gather(self, A: np.ndarray, by_row: np.ndarray) -> np.ndarray:
        """Return A' by_row, (q,)."""
        by_entry = A * by_row[:, None]
        return np.bincount(self.columns.ravel(), by_entry.ravel(), self.size).astype(float)  # of nothing: whole zeros

    def factor(self, A: np.ndarray, weights: np.ndarray) -> Any:
        """Return the factor of H for weights (n,), or None where H is not positive definite."""
        numbers = self._filled(A, weights)
        numbers[self.prior_places] += self.prior.values
        return self.matrix.factor(numbers)

    def _filled(self, A: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return A'WA as what fills the matrix."""
        products = weights[:, None] * A[:, self.first] * A[:, self.second]
        return np.bincount(self.places.ravel(), products.ravel(), self.matrix.entries).astype(float)

    def smoothed(self, factor: Any, A: np.ndarray) -> np.ndarray:
        """Return A H^-1 where A has entries, (n, r)."""
        inverse, smoothed = factor.inverse(self.places)[0], np.zeros_like(A)
        for pair, (a, b) in enumerate(zip(self.first, self.second, strict=True)):
            smoothed[:, a] += inverse[:, pair] * A[:, b]
            if a != b:
                smoothed[:, b] += inverse[:, pair] * A[:, a]
        return smoothed

    def within_levels(self, factor: Any, effects: np.ndarray) -> np.ndarray:
        """Return the entries of H^-1 within each level, (levels, k, k), for the levels' effects (levels, k)."""
        return np.asarray(factor.inverse(self.matrix.places(effects[:, :, None], effects[:, None, :]))[0])


class LoopedRows(Rows):
    """The same by compiled loops."""

    is_compiled = True

    def predictors(self, A: np.ndarray, u: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        """Return fixed + A u, (n,)."""
        from speclet_formula.inference.laplace import loops

        eta = np.empty(len(A))
        loops.predictors(A, self.columns, u, fixed, eta)
        return eta

    def gather(self, A: np.ndarray, by_row: np.ndarray) -> np.ndarray:
        """Return A' by_row, (q,)."""
        from speclet_formula.inference.laplace import loops

        total = np.zeros(self.size)
        loops.gather(A, self.columns, np.ascontiguousarray(by_row), total)
        return total

    def _filled(self, A: np.ndarray, weights: np.ndarray) -> np.ndarray:
        from speclet_formula.inference.laplace import loops

        numbers = np.zeros(self.matrix.entries)
        loops.fill(A, weights, self.first, self.second, self.places, numbers)
        return numbers


def rows_of(columns: np.ndarray, size: int, prior: PriorEntries) -> Rows:
    """Choose the algebra, and order and analyse H.

    Parameters
    ----------
    columns : ndarray of int, shape (n, r)
        The effects that meet in each row.
    size : int
        q, the number of effects.
    prior : PriorEntries
        Of the standard effects.
    """
    (n, r), pattern = columns.shape, None
    first, second = np.tril_indices(r)
    if size > MOST_DENSE or columns.size * r > MOST_PLACES:
        rows = sparse.csr_array((np.ones(n * r), columns.ravel(), np.arange(n + 1) * r), shape=(n, size))
        pattern = rows.T @ rows
    apart = prior.first != prior.second
    matrix = matrix_of(size, pattern, (prior.first[apart], prior.second[apart]))
    places = np.empty((n, len(first)), dtype=np.int64)
    for pair, (a, b) in enumerate(zip(columns.T[first], columns.T[second], strict=True)):
        places[:, pair] = matrix.places(a, b)
    kind = Rows if pattern is None else LoopedRows
    return kind(size, columns, matrix, prior, matrix.places(prior.first, prior.second), first, second, places)
