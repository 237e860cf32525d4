"""The effects that meet in each row go in; what H = A'WA + I says comes out, by whole matrices or by sparse ones.

`dense` and `sparse` are the two kinds of algebra, of which each problem has one. The second is loaded
only where it is needed, since its compiled loops take seconds to load.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from speclet_formula.inference.laplace.dense import (
    Dense,
    blocks_dense,
    dense_layout,
    factor_dense,
    smooth_dense,
    solve_dense,
)

if TYPE_CHECKING:
    from speclet_formula.inference.laplace.sparse import Sparse

type Layout = Dense | Sparse

MOST_DENSE = 150  # group effects up to which whole matrices are not slower: both take 0.05 s there
MOST_PLACES = 2**21  # products of two entries of a row, of all rows, up to which they are kept


def layout_of(columns: np.ndarray, size: int) -> Layout:
    """Choose the algebra.

    Parameters
    ----------
    columns : ndarray of int, shape (n, r)
        The effects that meet in each row.
    size : int
        q, the number of effects.

    Returns
    -------
    Dense or Sparse
    """
    if size <= MOST_DENSE and columns.size * columns.shape[1] <= MOST_PLACES:
        return dense_layout(columns, size)
    from speclet_formula.inference.laplace.sparse import sparse_layout

    return sparse_layout(columns, size)


def factorise(layout: Layout, A: np.ndarray, weights: np.ndarray) -> Any:
    """Return a factor of H for A (n, r) and weights (n,), or None where H is not positive definite."""
    if isinstance(layout, Dense):
        return factor_dense(layout, A, weights)
    from speclet_formula.inference.laplace.sparse import factor_sparse

    return factor_sparse(layout, A, weights)


def log_determinant(layout: Layout, factor: Any) -> float:
    """Return log|H|."""
    if isinstance(layout, Dense):
        return float(2 * np.log(np.diagonal(factor)).sum())
    from speclet_formula.inference.laplace.sparse import determinant_sparse

    return determinant_sparse(factor)


def solve(layout: Layout, factor: Any, vector: np.ndarray) -> np.ndarray:
    """Return H^-1 times a vector (q,)."""
    if isinstance(layout, Dense):
        return solve_dense(factor, vector)
    from speclet_formula.inference.laplace.sparse import solve_sparse

    return solve_sparse(layout, factor, vector)


def smooth(layout: Layout, factor: Any, A: np.ndarray) -> np.ndarray:
    """Return A H^-1 where A has entries, (n, r)."""
    if isinstance(layout, Dense):
        return smooth_dense(layout, factor, A)
    from speclet_formula.inference.laplace.sparse import smooth_sparse

    return smooth_sparse(layout, factor, A)


def blocks(layout: Layout, factor: Any, effects: np.ndarray) -> np.ndarray:
    """Return the entries of H^-1 within each level, (levels, k, k), for the levels' effects (levels, k)."""
    if isinstance(layout, Dense):
        return blocks_dense(factor, effects)
    from speclet_formula.inference.laplace.sparse import blocks_sparse

    return blocks_sparse(layout, factor, effects)
