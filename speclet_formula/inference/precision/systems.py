"""A design goes in; its normal equations come out, and what their posterior precision says for draws of the variances.

P = W'W / s2 + D^-1 is factored as a whole matrix by `dense` where it is small, else by `sparse`. What the variances
are, and their priors, is left to `variances`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations_with_replacement, pairwise
from types import ModuleType
from typing import Any, Literal

import numpy as np
from scipy import sparse as matrices

from speclet_formula.design import Design, centre_of
from speclet_formula.design.merged import moments_of
from speclet_formula.inference.precision import dense
from speclet_formula.inference.precision.records import Layout, Rows, System
from speclet_formula.threads import one_blas_thread

MOST_DENSE = 150  # coefficients up to which whole matrices are as quick as sparse ones, whose loops must be compiled
ROWS_AT_ONCE = 2**20  # of W, whose products are added up
_ALL = slice(None)


def build_system(
    design: Design,
    *,
    means: tuple[tuple[int, int], ...],
    shift: np.ndarray | None = None,
    whole_blocks: bool = False,
    algebra: Literal["auto", "sparse"] = "auto",
) -> System:
    """Form, order and analyse the normal equations.

    Parameters
    ----------
    design : Design
        n rows.
    means : tuple of (block, column)
        The group means that are coefficients of their own.
    shift : array of shape (n,), optional
        What the prior's means predict; it is taken off the response.
    whole_blocks : bool
        Whether the pattern has room for W times factors that mix the columns of a correlated block. A row of `f = u`
        then meets the columns of every `f`, also where W itself has none: a gene that is always `u`, an empty cell.
    algebra : {"auto", "sparse"}
        Whole matrices where there are few coefficients, or sparse ones in any case.

    Returns
    -------
    System
    """
    layout = _layout(design, means)
    weights = np.ones(len(design.response)) if design.weights is None else design.weights
    W = _rows(design, layout)
    response = design.response - design.offset - (0.0 if shift is None else shift)
    gram, moment, prior = _gram(W, design.weights), W.T @ (weights * response), _prior_entries(layout)
    if algebra == "auto" and layout.size <= MOST_DENSE:
        equations: Any = dense.prepare(gram, moment, prior)
    else:
        touched = _rows(_with_whole_blocks(design), layout) if whole_blocks else W
        equations = _sparse().prepare(gram, _pattern(gram, W, touched), moment, prior)
    moments = moments_of(design)
    square = float(weights @ response**2) + moments.within
    return System(layout, W, response, weights, equations, square, moments.count, moments.log_weights)


def _gram(W: Any, weights: np.ndarray | None) -> Any:
    """Return W'W, weighted, from parts of the rows: scipy makes a copy of what it multiplies."""
    total = None
    for start in range(0, max(W.shape[0], 1), ROWS_AT_ONCE):
        rows = W if W.shape[0] <= ROWS_AT_ONCE else W[start : start + ROWS_AT_ONCE]
        part = rows.T @ (rows if weights is None else _times_rows(rows, weights[start : start + ROWS_AT_ONCE]))
        total = part if total is None else total + part
    return total


def _times_rows(W: Any, weights: np.ndarray) -> Any:
    return matrices.csr_array((W.data * np.repeat(weights, np.diff(W.indptr)), W.indices, W.indptr), shape=W.shape)


def _pattern(gram: Any, W: Any, touched: Any) -> Any:
    """Return the pattern of W'W; where nothing is negative, no sum can cancel, and it is that of the numbers."""
    if touched is W and W.data.min(initial=0.0) >= 0:
        return gram
    ones = matrices.csr_array((np.ones(touched.nnz), touched.indices, touched.indptr), shape=W.shape)
    return _gram(ones, None)


def _sparse() -> ModuleType:
    """Return the sparse algebra, imported late: loading what compiles it takes a second."""
    from speclet_formula.inference.precision import sparse

    return sparse


def _algebra(system: System) -> Any:
    return dense if isinstance(system.equations, dense.DenseEquations) else _sparse()


def log_determinants(system: System, s2: np.ndarray, numbers: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """Return log|P| and r'P^-1 r, an (N, 2) array, for N residual variances and (N, m) prior precisions."""

    def run(part: slice) -> np.ndarray:
        return np.asarray(_algebra(system).evaluate(system.equations, s2[part], numbers[part]))

    return np.concatenate(_spread(run, _parts(len(s2), threads), threads))


def draw(
    system: System,
    s2: np.ndarray,
    numbers: np.ndarray,
    seeds: np.ndarray,
    *,
    columns: np.ndarray | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Draw coefficients for each of N draws of the variances, an (N, columns) array; one seed for each equal part.

    All are drawn, since one is drawn given others, but only those at `columns` are kept, all of them by default.
    """
    chosen = np.arange(system.layout.size) if columns is None else columns
    out = np.empty((len(s2), len(chosen)))
    bounds = np.linspace(0, len(s2), len(seeds) + 1).astype(int)

    def run(k: int) -> None:
        part = slice(bounds[k], bounds[k + 1])
        _algebra(system).draw(system.equations, s2[part], numbers[part], int(seeds[k]), chosen, out[part])

    _spread(run, range(len(seeds)), threads)
    return out


def left_out_densities(
    system: System, s2: np.ndarray, numbers: np.ndarray, *, rows: slice | np.ndarray = _ALL, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return log p(y_i | all other rows, variances), (N, rows), and the rows' mean leverages (rows,).

    A leverage is the share of a row in its own fitted value; all rows' add up to the effective number of coefficients.
    """
    observed = rows_of(system, rows)
    out = np.empty((len(s2), len(observed.response)))

    def run(part: slice) -> np.ndarray:
        leverages = _algebra(system).leave_out(system.equations, observed, s2[part], numbers[part], out[part])
        return np.asarray(leverages)

    leverages = _spread(run, _parts(len(s2), threads), threads)
    return out, np.sum(leverages, axis=0) / len(s2)


def predict_rows(
    system: System, rows: np.ndarray, without: System, s2: np.ndarray, numbers: np.ndarray, *, threads: int = 1
) -> np.ndarray:
    """Return mean and variance (N, rows, 2) of rows' linear predictor by a system that lacks them."""
    left = rows_of(system, rows)

    def run(part: slice) -> np.ndarray:
        return np.asarray(_algebra(without).predict(without.equations, left, s2[part], numbers[part]))

    return np.concatenate(_spread(run, _parts(len(s2), threads), threads))


def without_rows(system: System, rows: np.ndarray) -> System:
    """Return a system that rows are taken out of."""
    left = rows_of(system, rows)
    others = np.ones(len(system.response), dtype=bool)
    others[rows] = False
    return replace(
        system,
        W=system.W[others],
        response=system.response[others],
        weights=system.weights[others],
        equations=_algebra(system).less_rows(system.equations, left),
        square=float(system.weights[others] @ system.response[others] ** 2),
        count=int(others.sum()),
        log_weights=float(np.log(system.weights[others]).sum()),
    )


def rows_of(system: System, rows: slice | np.ndarray) -> Rows:
    """Return rows of W as the compiled loops take them, the coefficients permuted."""
    position = np.empty(system.layout.size, dtype=np.int64)
    position[system.equations.order] = np.arange(system.layout.size)
    W = system.W[rows]
    return Rows(W.indptr.astype(np.int64), position[W.indices], W.data, system.weights[rows], system.response[rows])


def _parts(count: int, threads: int) -> list[slice]:
    bounds = np.linspace(0, count, min(threads, count) + 1).astype(int)
    return [slice(first, last) for first, last in pairwise(bounds)]


def _spread(run: Callable[[Any], Any], parts: Any, threads: int) -> list[Any]:
    """Run the parts in threads; the compiled loops let go of Python's lock."""
    with one_blas_thread():
        if threads == 1 or len(parts) == 1:
            return [run(part) for part in parts]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, parts))


def _layout(design: Design, means: tuple[tuple[int, int], ...]) -> Layout:
    widths = tuple(block.values.shape[1] for block in design.groups)
    levels = tuple(len(block.levels) for block in design.groups)
    sizes = [width * count for width, count in zip(widths, levels, strict=True)]
    first = design.X.shape[1] + len(means)
    starts = tuple(first + sum(sizes[:k]) for k in range(len(sizes)))
    return Layout(design.X.shape[1], means, starts, widths, levels, first + sum(sizes))


def _rows(design: Design, layout: Layout) -> Any:
    """Return W: centred fixed columns, a column for each group mean, and the blocks' values at their levels."""
    n, first = len(design.response), layout.n_fixed + len(layout.means)
    width = first + sum(layout.widths)  # of a row's entries, zeros among them
    # Filled in place: of 10^7 rows each copy takes as much memory as the data.
    kind = np.int32 if max(n * width, layout.size) < np.iinfo(np.int32).max else np.int64
    values, columns = np.empty((n, width)), np.empty((n, width), dtype=kind)
    values[:, : layout.n_fixed] = design.X
    values[:, : layout.n_fixed] -= centre_of(design)
    for place, (block, column) in enumerate(layout.means):
        values[:, layout.n_fixed + place] = design.groups[block].values[:, column]
    columns[:, :first] = np.arange(first)
    for block_of_rows, start, count in zip(design.groups, layout.starts, layout.widths, strict=True):
        part = slice(first, first + count)
        values[:, part] = block_of_rows.values
        for column in range(count):
            columns[:, first + column] = block_of_rows.codes * count + (start + column)
        first += count
    starts = np.arange(0, n * width + 1, max(width, 1), dtype=kind)
    W = matrices.csr_array((values.ravel(), columns.ravel(), starts), shape=(n, layout.size))
    W.eliminate_zeros()
    return W


def _with_whole_blocks(design: Design) -> Design:
    """Return the design with no zero in its correlated blocks."""
    groups = (replace(one, values=np.ones_like(one.values)) if one.correlated else one for one in design.groups)
    return replace(design, groups=tuple(groups))


def _prior_entries(layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, column and number of each entry of D^-1; the numbers count its distinct values.

    First one number for each fixed effect and group mean, then for each block those of the upper triangle of its
    precision, which all its levels share.
    """
    first = layout.n_fixed + len(layout.means)
    rows, columns, numbers = [np.arange(first)], [np.arange(first)], [np.arange(first)]
    count = first
    for start, width, levels in zip(layout.starts, layout.widths, layout.levels, strict=True):
        for i, j in combinations_with_replacement(range(width), 2):
            where = start + np.arange(levels) * width
            rows.append(where + i)
            columns.append(where + j)
            numbers.append(np.full(levels, count))
            count += 1
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(numbers)
