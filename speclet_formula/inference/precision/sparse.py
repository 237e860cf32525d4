"""Normal equations with many coefficients go in; compiled sparse algebra comes out, for many draws at once.

P = W'W / s2 + D^-1 keeps one pattern: it is ordered and analysed once, and for each draw only its numbers are refilled.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import qdldl
from scipy import sparse

from speclet_formula.inference.precision import kernels
from speclet_formula.inference.precision.patterns import Pattern, analyse
from speclet_formula.inference.precision.records import Rows


@dataclass(frozen=True, eq=False)
class SparseEquations:
    """Normal equations on the pattern of the permuted P. p coefficients."""

    pattern: Pattern
    filling: kernels.Numbers
    order: np.ndarray  # (p,) the coefficient at each permuted position

    @property
    def moment(self) -> np.ndarray:
        """(p,) W'y, permuted."""
        return np.asarray(self.filling.moment)


def prepare(
    gram: Any, ones: Any, moment: np.ndarray, prior: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> SparseEquations:
    """Order and analyse P.

    Parameters
    ----------
    gram : scipy sparse array (p, p)
        W'W.
    ones : scipy sparse array (n, p)
        W's pattern. A sum in W'W that happens to be 0 keeps its place: the inverse is not 0 there, and the rows'
        leverages need it.
    moment : array of shape (p,)
        W'y.
    prior : tuple of arrays
        Rows, columns and numbers of the upper triangle of the prior's precision.

    Returns
    -------
    SparseEquations
    """
    size = len(moment)
    above, right, numbers = prior
    order, starts, rows = _ordered_pattern(size, (ones.T @ ones).tocoo(), above, right)
    position = np.empty(size, dtype=np.int64)
    position[order] = np.arange(size)
    keys = np.repeat(np.arange(size), np.diff(starts)) * size + rows

    def places(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        a, b = position[first], position[second]
        return np.asarray(np.searchsorted(keys, np.maximum(a, b) * size + np.minimum(a, b)))

    gram = gram.tocoo()
    upper = position[gram.row] <= position[gram.col]
    filled = np.zeros(len(rows))
    filled[places(gram.row[upper], gram.col[upper])] = gram.data[upper]
    filling = kernels.Numbers(filled, places(above, right), numbers, moment[order])
    return SparseEquations(analyse(size, starts, rows), filling, order)


def evaluate(equations: SparseEquations, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return log|P| and r'P^-1 r, an (N, 2) array; NaN where P is not positive definite."""
    return np.asarray(kernels.evaluate_draws(equations.pattern, equations.filling, s2, numbers))


def draw(equations: SparseEquations, s2: np.ndarray, numbers: np.ndarray, seed: int, out: np.ndarray) -> None:
    """Fill each row of out, in the coefficients' own order, with a draw of N(P^-1 r, P^-1)."""
    kernels.draw_coefficients(equations.pattern, equations.filling, equations.order, s2, numbers, seed, out)


def leave_out(
    equations: SparseEquations, observed: Rows, s2: np.ndarray, numbers: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """Fill out (N, n) with log p(y_i | the other rows, variances); return the sums (n,) of the rows' leverages."""
    rows = kernels.Observed(*observed)
    return np.asarray(kernels.leave_rows_out(equations.pattern, equations.filling, rows, s2, numbers, out))


def predict(equations: SparseEquations, row: Rows, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return mean and variance (N, 2) of the linear predictor w'u of one row of W."""
    found = kernels.predict_row(equations.pattern, equations.filling, row.columns, row.values, s2, numbers)
    return np.asarray(found)


def less_row(equations: SparseEquations, row: Rows) -> SparseEquations:
    """Take one row out of the equations, a rank-one change on the same pattern."""
    filling, pattern, weight = equations.filling, equations.pattern, row.weights[0]
    gram, moment = filling.gram.copy(), filling.moment.copy()
    moment[row.columns] -= weight * row.response[0] * row.values
    for a, value in zip(row.columns, row.values, strict=True):
        start, stop = pattern.starts[a], pattern.starts[a + 1]
        above = row.columns <= a  # the upper triangle's entries of column a
        places = start + np.searchsorted(pattern.rows[start:stop], row.columns[above])
        gram[places] -= weight * value * row.values[above]
    return replace(equations, filling=filling._replace(gram=gram, moment=moment))


def _ordered_pattern(
    size: int, gram: Any, prior_rows: np.ndarray, prior_columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an order that keeps the factor sparse, and the permuted pattern's upper triangle: starts and rows."""
    rows = np.concatenate([gram.row, prior_rows, prior_columns])
    columns = np.concatenate([gram.col, prior_columns, prior_rows])
    pattern = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)).tocsc()
    # qdldl orders by approximate minimum degree, and wants a matrix that it can factor: the pattern, made dominant.
    dominant = sparse.triu(pattern, k=1) * (0.5 / pattern.max() / size) + sparse.eye_array(size)
    order = np.asarray(qdldl.Solver(sparse.csc_array(dominant), upper=True).factors()[2], dtype=np.int64)
    permuted = sparse.triu(pattern[order][:, order], format="csc")
    permuted.sort_indices()
    return order, permuted.indptr.astype(np.int64), permuted.indices.astype(np.int64)
