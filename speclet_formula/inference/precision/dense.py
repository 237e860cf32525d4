"""Normal equations with few coefficients go in; numpy's algebra on whole matrices comes out, for many draws at once.

Below some hundred coefficients this is as quick as a sparse factorisation, and nothing has to be compiled.
P = W'W / s2 + D^-1 is factored with r = W'y / s2 + D^-1 (m - c) as its last row, so that one Cholesky factor holds
L^-1 r as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from speclet_formula.inference.precision.records import Rows

CHUNK_ENTRIES = 2**16  # numbers that are held at once: 0.5 MB, which fits into the cache


@dataclass(frozen=True, eq=False)
class DenseEquations:
    """Normal equations in the coefficients' own order. p coefficients."""

    gram: np.ndarray  # (p, p) W'W
    moment: np.ndarray  # (p,) W'y
    order: np.ndarray  # (p,) 0, 1, ...
    rows: np.ndarray  # of the entries of the prior's precision, on and below the diagonal
    columns: np.ndarray
    numbers: np.ndarray  # which of its distinct numbers each entry gets
    pull: np.ndarray | None = None  # (p, m), as `records.Equations` has it


def prepare(gram: Any, moment: np.ndarray, prior: tuple[np.ndarray, np.ndarray, np.ndarray]) -> DenseEquations:
    """Return the equations of a sparse W'W, and rows, columns and numbers of the prior's upper triangle."""
    above, right, numbers = prior
    return DenseEquations(gram.toarray(), moment, np.arange(len(moment)), right, above, numbers)


def moved(equations: DenseEquations, moment: np.ndarray, pull: Any) -> DenseEquations:
    """Return the equations of the same W with another response and centre."""
    return replace(equations, moment=moment, pull=pull.toarray() if pull.nnz else None)


def solve(equations: DenseEquations, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return P^-1 r, (N, p)."""
    size, found = len(equations.moment), np.empty((len(s2), len(equations.moment)))
    for part, factors in _factored(equations, s2, numbers):
        for k, factor in enumerate(factors):
            found[part.start + k] = _solved(factor, factor[size, :size])
    return found


def evaluate(equations: DenseEquations, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return log|P| and r'P^-1 r, an (N, 2) array; NaN where P is not positive definite."""
    parts = [_summed(factors) for _, factors in _factored(equations, s2, numbers)]
    return np.concatenate(parts)


def _summed(factors: np.ndarray) -> np.ndarray:
    diagonals = np.diagonal(factors, axis1=1, axis2=2)[:, :-1]
    return np.column_stack([2 * np.log(diagonals).sum(axis=1), (factors[:, -1, :-1] ** 2).sum(axis=1)])


def draw(
    equations: DenseEquations, s2: np.ndarray, numbers: np.ndarray, seed: int, columns: np.ndarray, out: np.ndarray
) -> None:
    """Fill each row of out with some columns of a draw of N(P^-1 r, P^-1)."""
    rng = np.random.default_rng(seed)
    size = len(equations.moment)
    for part, factors in _factored(equations, s2, numbers):
        right = factors[:, -1, :size] + rng.standard_normal((len(factors), size))
        for k, factor in enumerate(factors):
            out[part.start + k] = _solved(factor, right[k])[columns]


def leave_out(
    equations: DenseEquations, observed: Rows, s2: np.ndarray, numbers: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """Fill out (N, n) with log p(y_i | the other rows, variances); return the sums (n,) of the rows' leverages.

    Given the variances a left-out row is normal with mean y_i - (y_i - fitted_i) / (1 - h_i) and variance
    s2 / weight_i / (1 - h_i), where h_i = weight_i w_i' P^-1 w_i / s2 is its leverage.
    """
    size = len(equations.moment)
    W = _matrix(observed, size)
    pairs, rows, columns = _pairs(W)
    total = np.zeros(len(observed.response))
    for part, factors in _factored(equations, s2, numbers, beside=8 * len(observed.response)):
        means, entries = np.empty((len(factors), size)), np.empty((len(factors), len(rows)))
        for k, factor in enumerate(factors):
            means[k] = _solved(factor, factor[size, :size])
            entries[k] = _inverse(factor)[rows, columns]
        leverages = (pairs @ entries.T).T * observed.weights / s2[part, None]
        free = 1 - leverages
        with np.errstate(invalid="ignore", divide="ignore"):  # a leverage of 1: the row's own effect takes it up whole
            variances = s2[part, None] / observed.weights / free
            errors = (observed.response - (W @ means.T).T) / free
            densities = -0.5 * (np.log(2 * np.pi * variances) + errors**2 / variances)
        out[part] = np.where(free > 0, densities, np.nan)
        total += leverages.sum(axis=0)
    return total


def predict(equations: DenseEquations, rows: Rows, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return mean and variance (N, rows, 2) of the linear predictor w'u of rows of W."""
    size = len(equations.moment)
    W = _matrix(rows, size)
    pairs, above, right = _pairs(W)
    found = np.empty((len(s2), len(rows.response), 2))
    for part, factors in _factored(equations, s2, numbers):
        for k, factor in enumerate(factors):
            place = part.start + k
            found[place, :, 0] = W @ _solved(factor, factor[size, :size])
            found[place, :, 1] = pairs @ _inverse(factor)[above, right]
    return found


def less_rows(equations: DenseEquations, rows: Rows) -> DenseEquations:
    """Take rows out of the equations."""
    W = _matrix(rows, len(equations.moment))
    return replace(
        equations,
        gram=equations.gram - (W.T @ W.multiply(rows.weights[:, None])).toarray(),
        moment=equations.moment - W.T @ (rows.weights * rows.response),
    )


def _factored(
    equations: DenseEquations, s2: np.ndarray, numbers: np.ndarray, *, beside: int = 0
) -> Iterator[tuple[slice, np.ndarray]]:
    """Go through the draws in chunks: which, and their Cholesky factors (k, p + 1, p + 1), the last row's L^-1 r.

    `beside` is how many numbers the caller makes of each draw: the chunks leave room for them.
    """
    size = len(equations.moment)
    count = max(1, CHUNK_ENTRIES // ((size + 1) ** 2 + beside))
    for start in range(0, len(s2), count):
        part = slice(start, min(start + count, len(s2)))
        matrices = np.zeros((part.stop - part.start, size + 1, size + 1))
        matrices[:, :size, :size] = equations.gram / s2[part, None, None]
        matrices[:, equations.rows, equations.columns] += numbers[part][:, equations.numbers]
        matrices[:, size, :size] = equations.moment / s2[part, None]
        if equations.pull is not None:
            matrices[:, size, :size] += numbers[part] @ equations.pull.T
        matrices[:, size, size] = np.inf  # any number above r'P^-1 r keeps the whole positive definite
        yield part, _cholesky(matrices)


def _cholesky(matrices: np.ndarray) -> np.ndarray:
    """Factor matrices (k, p, p), of which the lower triangles count; NaN where one is not positive definite."""
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.full_like(matrices, np.nan)
        return np.concatenate([_cholesky(one[None]) for one in matrices])


def _solved(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return x (p,) of L' x = right, L the factor without its last row."""
    # factor.T is upper triangular, and LAPACK takes it as it is; the last unknown, r's, is kept at zero
    return np.asarray(lapack.dtrtrs(factor.T, np.append(right, 0.0))[0][:-1])


def _inverse(factor: np.ndarray) -> np.ndarray:
    """Return the upper triangle of P^-1; what stands below is not to be read."""
    return np.asarray(lapack.dpotri(factor[:-1, :-1].T)[0])


def _matrix(rows: Rows, size: int) -> Any:
    return sparse.csr_array((rows.values, rows.columns, rows.starts), shape=(len(rows.response), size))


def _pairs(W: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return K, rows and columns, rows <= columns, with w_i' Z w_i = (K Z[rows, columns])_i for every symmetric Z."""
    counts = np.diff(W.indptr)
    of_entry = np.repeat(counts, counts)
    first = np.repeat(np.arange(len(W.indices)), of_entry)
    ahead = np.arange(len(first)) - np.repeat(np.cumsum(of_entry) - of_entry, of_entry)
    second = np.repeat(np.repeat(W.indptr[:-1], counts), of_entry) + ahead
    one, other = W.indices[first].astype(np.int64), W.indices[second].astype(np.int64)
    codes = np.minimum(one, other) * W.shape[1] + np.maximum(one, other)
    unique, places = np.unique(codes, return_inverse=True)
    entries = W.data[first] * W.data[second]
    owners = np.repeat(np.repeat(np.arange(W.shape[0]), counts), of_entry)
    K = sparse.csr_array((entries, (owners, places)), shape=(W.shape[0], len(unique)))
    return K, *np.divmod(unique, W.shape[1])
