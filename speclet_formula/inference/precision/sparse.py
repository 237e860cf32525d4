"""Normal equations with many coefficients go in; sparse algebra comes out, for many draws at once.

P = W'W / s2 + D^-1 keeps one pattern: it is ordered and analysed once, and for each draw only its numbers are refilled.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import qdldl
from scipy import sparse

from speclet_formula.inference.precision.bordered import (
    allocate,
    backward,
    factorise,
    forward,
    invert,
    log_determinant,
)
from speclet_formula.inference.precision.loops import Factor, Observed, row_moments
from speclet_formula.inference.precision.patterns import Pattern, analyse
from speclet_formula.inference.precision.records import Rows

FEW_ROWS = 4  # up to which a solve for each row is quicker than the entries of the inverse that all rows need


@dataclass(frozen=True, eq=False)
class Filling:
    """What fills the pattern of P. p coefficients, permuted."""

    gram: np.ndarray  # W'W on the pattern
    places: np.ndarray  # positions on the pattern that the prior's precision adds to, each once, ...
    numbers: np.ndarray  # ... and which of its distinct numbers each gets
    moment: np.ndarray  # (p,) W'y


@dataclass(frozen=True, eq=False)
class SparseEquations:
    """Normal equations on the pattern of the permuted P. p coefficients."""

    pattern: Pattern
    filling: Filling
    order: np.ndarray  # (p,) the coefficient at each permuted position
    pull: Any = None  # sparse (p, m), permuted, as `records.Equations` has it

    @property
    def moment(self) -> np.ndarray:
        """(p,) W'y, permuted."""
        return np.asarray(self.filling.moment)


def prepare(
    gram: Any, pattern: Any, moment: np.ndarray, prior: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> SparseEquations:
    """Order and analyse P.

    Parameters
    ----------
    gram : scipy sparse array (p, p)
        W'W.
    pattern : scipy sparse array (p, p)
        Where W'W has entries. A sum that happens to be 0 keeps its place: the inverse is not 0 there, and the rows'
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
    order, starts, rows = _ordered_pattern(size, pattern.tocoo(), above, right)
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
    filling = Filling(filled, places(above, right), numbers, moment[order])
    return SparseEquations(analyse(size, starts, rows), filling, order)


def moved(equations: SparseEquations, moment: np.ndarray, pull: Any) -> SparseEquations:
    """Return the equations of the same W with another response and centre."""
    filling = replace(equations.filling, moment=moment[equations.order])
    return replace(equations, filling=filling, pull=pull[equations.order] if pull.nnz else None)


def solve(equations: SparseEquations, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return P^-1 r, (N, p)."""
    found = np.full((len(s2), len(equations.order)), np.nan)
    for k, factor in _factored(equations, s2, numbers):
        vector = _forward(equations, factor, s2[k], numbers[k])
        backward(equations.pattern, factor, vector)
        found[k, equations.order] = vector
    return found


def evaluate(equations: SparseEquations, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return log|P| and r'P^-1 r, an (N, 2) array; NaN where P is not positive definite."""
    found = np.full((len(s2), 2), np.nan)
    for k, factor in _factored(equations, s2, numbers):
        vector = _forward(equations, factor, s2[k], numbers[k])
        found[k] = log_determinant(factor), vector @ vector
    return found


def draw(
    equations: SparseEquations, s2: np.ndarray, numbers: np.ndarray, seed: int, columns: np.ndarray, out: np.ndarray
) -> None:
    """Fill each row of out with some columns, in the coefficients' own order, of a draw of N(P^-1 r, P^-1)."""
    rng = np.random.default_rng(seed)
    position = np.empty(len(equations.order), dtype=np.int64)
    position[equations.order] = np.arange(len(position))
    chosen = position[columns]
    for k, factor in _factored(equations, s2, numbers):
        vector = _forward(equations, factor, s2[k], numbers[k])
        vector += rng.standard_normal(len(vector))
        backward(equations.pattern, factor, vector)
        out[k] = vector[chosen]


def leave_out(
    equations: SparseEquations, observed: Rows, s2: np.ndarray, numbers: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """Fill out (N, n) with log p(y_i | the other rows, variances); return the sums (n,) of the rows' leverages.

    Row i of W has leverage h_i = weight_i w_i' P^-1 w_i / s2, and given the variances the left-out prediction is normal
    with mean y_i - (y_i - fitted_i) / (1 - h_i) and variance s2 / weight_i / (1 - h_i).
    """
    rows = Observed(observed.starts, observed.columns, observed.values)
    moments = np.empty((len(observed.response), 2))
    total = np.zeros(len(observed.response))
    out[:] = np.nan
    for k, factor in _factored(equations, s2, numbers):
        mean = _forward(equations, factor, s2[k], numbers[k])
        backward(equations.pattern, factor, mean)
        row_moments(equations.pattern, invert(equations.pattern, factor), rows, mean, moments)
        leverages = observed.weights * moments[:, 1] / s2[k]
        total += leverages
        free = np.where(leverages < 1, 1 - leverages, np.nan)  # else rounded away: the row's own effect takes it whole
        variances = s2[k] / observed.weights / free
        errors = (observed.response - moments[:, 0]) / free
        out[k] = -0.5 * (np.log(2 * np.pi * variances) + errors**2 / variances)
    return total


def predict(equations: SparseEquations, rows: Rows, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return mean and variance (N, rows, 2) of the linear predictor w'u of rows of W."""
    count = len(rows.response)
    found = np.full((len(s2), count, 2), np.nan)
    observed = Observed(rows.starts, rows.columns, rows.values)
    for k, factor in _factored(equations, s2, numbers):
        vector = _forward(equations, factor, s2[k], numbers[k])
        if count > FEW_ROWS:
            backward(equations.pattern, factor, vector)
            row_moments(equations.pattern, invert(equations.pattern, factor), observed, vector, found[k])
            continue
        for i in range(count):
            w, entries = np.zeros(equations.pattern.size), slice(rows.starts[i], rows.starts[i + 1])
            w[rows.columns[entries]] = rows.values[entries]
            forward(equations.pattern, factor, w)
            found[k, i] = w @ vector, w @ w
    return found


def _factored(equations: SparseEquations, s2: np.ndarray, numbers: np.ndarray) -> Iterator[tuple[int, Factor]]:
    """Go through the draws whose P has a factor: which, and the factor, in the same arrays for all."""
    filling, factor = equations.filling, allocate(equations.pattern)
    for k in range(len(s2)):
        values = filling.gram / s2[k]
        values[filling.places] += numbers[k, filling.numbers]
        if factorise(equations.pattern, values, factor):
            yield k, factor


def _forward(equations: SparseEquations, factor: Factor, s2: float, numbers: np.ndarray) -> np.ndarray:
    """Return C^-1 r, r = W'y / s2 + D^-1 (m - c)."""
    vector = equations.filling.moment / s2
    if equations.pull is not None:
        vector += equations.pull @ numbers
    forward(equations.pattern, factor, vector)
    return vector


def less_rows(equations: SparseEquations, rows: Rows) -> SparseEquations:
    """Take rows out of the equations: each is a rank-one change on the same pattern."""
    filling, pattern = equations.filling, equations.pattern
    gram, moment = filling.gram.copy(), filling.moment.copy()
    for i, weight in enumerate(rows.weights):
        entries = slice(rows.starts[i], rows.starts[i + 1])
        columns, values = rows.columns[entries], rows.values[entries]
        moment[columns] -= weight * rows.response[i] * values
        for a, value in zip(columns, values, strict=True):
            start, stop = pattern.starts[a], pattern.starts[a + 1]
            above = columns <= a  # the upper triangle's entries of column a
            places = start + np.searchsorted(pattern.rows[start:stop], columns[above])
            gram[places] -= weight * value * values[above]
    return replace(equations, filling=replace(filling, gram=gram, moment=moment))


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
