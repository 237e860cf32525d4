"""The matrix of Laplace's approximation, H = A'WA + I, filled from the group effects that meet in each row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from speclet_formula.inference.algebra.equations import matrix_of
from speclet_formula.inference.algebra.matrix import Matrix

MOST_DENSE = 150  # group effects up to which whole matrices are not slower: both take 0.05 s there
MOST_PLACES = 2**21  # products of two entries of a row, of all rows, up to which they are kept


@dataclass(frozen=True, eq=False)
class InformationMatrix:
    """Where the products of a row's entries stand in H. n rows, r effects in each, q in all."""

    size: int  # q
    matrix: Matrix
    diagonal: np.ndarray  # (q,) where the diagonal stands among what fills the matrix
    first: np.ndarray  # (pairs,) of each two entries of a row the one, ...
    second: np.ndarray  # ... and the other
    places: np.ndarray  # (n, pairs) where their products stand

    def factor(self, A: np.ndarray, weights: np.ndarray) -> Any:
        """Return the factor of H for A (n, r) and weights (n,), or None where H is not positive definite."""
        products = weights[:, None] * A[:, self.first] * A[:, self.second]
        numbers = np.bincount(self.places.ravel(), products.ravel(), self.matrix.entries).astype(float)
        numbers[self.diagonal] += 1.0
        return self.matrix.factor(numbers)

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


def information_matrix(columns: np.ndarray, size: int) -> InformationMatrix:
    """Choose the algebra, and order and analyse H.

    Parameters
    ----------
    columns : ndarray of int, shape (n, r)
        The effects that meet in each row.
    size : int
        q, the number of effects.

    Returns
    -------
    InformationMatrix
    """
    (n, r), pattern = columns.shape, None
    first, second = np.tril_indices(r)
    if size > MOST_DENSE or columns.size * r > MOST_PLACES:
        rows = sparse.csr_array((np.ones(n * r), columns.ravel(), np.arange(n + 1) * r), shape=(n, size))
        pattern = rows.T @ rows
    every = np.arange(size)
    matrix = matrix_of(size, pattern, (every[:0], every[:0]))
    places = np.empty((n, len(first)), dtype=np.int64)
    for pair, (a, b) in enumerate(zip(columns.T[first], columns.T[second], strict=True)):
        places[:, pair] = matrix.places(a, b)
    return InformationMatrix(size, matrix, matrix.places(every, every), first, second, places)
