"""The effects that meet in each row go in; H = A'WA + I on its sparse pattern comes out: factored, solved, inverted.

It is ordered and analysed once, and refilled for each W. The loops over it are those of `precision`, what A and W mean
is left to `mode`, small problems to `dense`.
"""

from dataclasses import dataclass

import numpy as np
import qdldl
from scipy import sparse

from speclet_formula.inference.precision.bordered import (
    allocate,
    backward,
    factorise,
    forward,
    inverse_entries,
    log_determinant,
)
from speclet_formula.inference.precision.loops import Factor
from speclet_formula.inference.precision.patterns import Pattern, analyse


@dataclass(frozen=True, eq=False)
class Sparse:
    """Where the products of a row's entries stand in H. n rows, r effects in each, q in all."""

    size: int  # q
    order: np.ndarray  # (q,) the effect at each permuted position
    position: np.ndarray  # (q,) where each effect stands
    pattern: Pattern
    diagonal: np.ndarray  # (q,) the diagonal's positions in H's pattern
    places: np.ndarray  # (n, r (r + 1) / 2) the positions of the products of two entries of a row


def sparse_layout(columns: np.ndarray, size: int) -> Sparse:
    """Order and analyse H for the effects (n, r) that meet in each row."""
    n, r = columns.shape
    rows = sparse.csr_array((np.ones(n * r), columns.ravel(), np.arange(n + 1) * r), shape=(n, size))
    met = sparse.csc_array((rows.T @ rows) != 0, dtype=float) + sparse.eye_array(size)
    # qdldl orders by approximate minimum degree, and wants a matrix that it can factor: the pattern, made dominant.
    dominant = sparse.triu(met, k=1) * (0.25 / size) + sparse.eye_array(size)
    order = np.asarray(qdldl.Solver(sparse.csc_array(dominant), upper=True).factors()[2], dtype=np.int64)
    upper = sparse.csc_array(sparse.triu(sparse.csc_array(met)[order][:, order], format="csc"))
    upper.sort_indices()
    starts, inside = upper.indptr.astype(np.int64), upper.indices.astype(np.int64)
    outside = np.repeat(np.arange(size), np.diff(starts))
    position = np.argsort(order)
    keys = outside * size + inside
    first, second = np.tril_indices(r)
    places = np.empty((n, len(first)), dtype=np.int64)
    for pair, (a, b) in enumerate(zip(columns.T[first], columns.T[second], strict=True)):
        places[:, pair] = _found(keys, size, position[a], position[b])
    return Sparse(size, order, position, analyse(size, starts, inside), np.flatnonzero(inside == outside), places)


def _found(keys: np.ndarray, size: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return where permuted pairs of effects stand in H's pattern."""
    return np.asarray(np.searchsorted(keys, np.maximum(first, second) * size + np.minimum(first, second)))


def factor_sparse(layout: Sparse, A: np.ndarray, weights: np.ndarray) -> Factor | None:
    """Factor H at weights (n,); None where it is not positive definite."""
    first, second = np.tril_indices(A.shape[1])
    products = weights[:, None] * A[:, first] * A[:, second]
    entries = np.bincount(layout.places.ravel(), products.ravel(), len(layout.pattern.rows))
    entries[layout.diagonal] += 1.0
    factor = allocate(layout.pattern)
    return factor if factorise(layout.pattern, entries, factor) else None


def determinant_sparse(factor: Factor) -> float:
    """Return log|H|."""
    return float(log_determinant(factor))


def solve_sparse(layout: Sparse, factor: Factor, vector: np.ndarray) -> np.ndarray:
    """Return H^-1 times a vector (q,)."""
    permuted = vector[layout.order]
    forward(layout.pattern, factor, permuted)
    backward(layout.pattern, factor, permuted)
    return np.asarray(permuted[layout.position])


def smooth_sparse(layout: Sparse, factor: Factor, A: np.ndarray) -> np.ndarray:
    """Return A H^-1 where A has entries, (n, r)."""
    entries, smoothed = inverse_entries(layout.pattern, factor), np.zeros_like(A)
    for pair, (a, b) in enumerate(zip(*np.tril_indices(A.shape[1]), strict=True)):
        found = entries[layout.places[:, pair]]
        smoothed[:, a] += found * A[:, b]
        if a != b:
            smoothed[:, b] += found * A[:, a]
    return smoothed


def blocks_sparse(layout: Sparse, factor: Factor, effects: np.ndarray) -> np.ndarray:
    """Return the entries of H^-1 within each level, (levels, k, k), for the levels' effects (levels, k)."""
    pattern = layout.pattern
    keys = np.repeat(np.arange(layout.size), np.diff(pattern.starts)) * layout.size + pattern.rows
    placed = layout.position[effects]
    where = _found(keys, layout.size, placed[:, :, None], placed[:, None, :])
    return np.asarray(inverse_entries(pattern, factor)[where])
