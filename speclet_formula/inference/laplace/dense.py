"""The effects that meet in each row go in; H = A'WA + I as a whole matrix comes out: factored, solved with, inverted.

For problems with few group effects, where loading compiled loops would take longer than the fit. Larger ones are left
to `sparse`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack


@dataclass(frozen=True, eq=False)
class Dense:
    """Where the products of a row's entries stand in H. n rows, r effects in each, q in all."""

    size: int  # q
    places: np.ndarray  # (n, r, r), of H's entries one after the other


def dense_layout(columns: np.ndarray, size: int) -> Dense:
    """Lay out H for the effects (n, r) that meet in each row."""
    return Dense(size, columns[:, :, None] * size + columns[:, None, :])


def factor_dense(layout: Dense, A: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Return H's lower Cholesky factor (q, q) at weights (n,); None where H is not positive definite."""
    products = (weights[:, None] * A)[:, :, None] * A[:, None, :]
    H = np.bincount(layout.places.ravel(), products.ravel(), layout.size**2).astype(float)
    H = H.reshape(layout.size, layout.size)
    H.flat[:: layout.size + 1] += 1.0
    factor, failed = lapack.dpotrf(H, lower=1, clean=1) if layout.size else (H, 0)
    return None if failed else np.asarray(factor)


def solve_dense(factor: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return H^-1 times a vector (q,)."""
    return np.asarray(lapack.dpotrs(factor, vector, lower=1)[0]) if len(vector) else vector.copy()


def smooth_dense(layout: Dense, factor: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Return A H^-1 where A has entries, (n, r)."""
    if not layout.size:
        return np.zeros_like(A)
    return np.asarray((_inverse(factor).ravel()[layout.places] * A[:, None, :]).sum(axis=2))


def blocks_dense(factor: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Return the entries of H^-1 within each level, (levels, k, k), for the levels' effects (levels, k)."""
    found: Any = _inverse(factor)[effects[:, :, None], effects[:, None, :]]
    return np.asarray(found)


def _inverse(factor: np.ndarray) -> np.ndarray:
    lower = np.asarray(lapack.dpotri(factor, lower=1)[0])
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)
