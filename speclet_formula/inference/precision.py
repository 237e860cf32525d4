"""A design goes in; its normal equations come out, and what their posterior precision says for many draws of variances.

P = W'W / s2 + D^-1 keeps one pattern: it is ordered and analysed once, and for each draw only its numbers are refilled.
What the variances are, and their priors, is left to `variances`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, pairwise
from typing import Any

import numpy as np
import qdldl
from scipy import sparse

from speclet_formula.design import Design
from speclet_formula.inference.kernels import Equations, Rows, draw_coefficients, evaluate_draws, leave_rows_out
from speclet_formula.inference.ldl import analyse

_ALL = slice(None)


@dataclass(frozen=True)
class Layout:
    """Where each coefficient stands: fixed effects, group means, then each block's effects, level by level."""

    n_fixed: int
    means: tuple[tuple[int, int], ...]  # block and column of each group mean that is estimated
    starts: tuple[int, ...]  # each block's first coefficient
    widths: tuple[int, ...]  # each block's columns
    levels: tuple[int, ...]  # each block's levels
    size: int  # p, the number of coefficients


@dataclass(frozen=True, eq=False)
class System:
    """The normal equations of a design, permuted and analysed. n rows, p coefficients."""

    layout: Layout
    W: Any  # (n, p) scipy CSR, in the coefficients' own order; fixed columns are centred
    response: np.ndarray  # (n,) the response less offset and known means
    weights: np.ndarray  # (n,)
    equations: Equations  # W'W, W'y and the prior's places, permuted
    square: float  # y'y; both weighted


def build_system(
    design: Design,
    *,
    means: tuple[tuple[int, int], ...],
    shift: np.ndarray | None = None,
    whole_blocks: bool = False,
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

    Returns
    -------
    System
    """
    layout = _layout(design, means)
    weights = np.ones(len(design.response)) if design.weights is None else design.weights
    W = _rows(design, layout)
    response = design.response - design.offset - (0.0 if shift is None else shift)
    gram = (W.T @ W.multiply(weights[:, None])).tocoo()
    # A sum that happens to be 0 keeps its place: the inverse is not 0 there, and the rows' leverages need it.
    touched = _rows(_with_whole_blocks(design), layout) if whole_blocks else W
    ones = sparse.csr_array((np.ones(touched.nnz), touched.indices, touched.indptr), shape=W.shape)
    prior_rows, prior_columns, numbers = _prior_entries(layout)
    order, starts, rows = _ordered_pattern(layout.size, (ones.T @ ones).tocoo(), prior_rows, prior_columns)
    position = np.empty(layout.size, dtype=np.int64)
    position[order] = np.arange(layout.size)
    keys = np.repeat(np.arange(layout.size), np.diff(starts)) * layout.size + rows

    def places(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        a, b = position[first], position[second]
        return np.asarray(np.searchsorted(keys, np.maximum(a, b) * layout.size + np.minimum(a, b)))

    upper = position[gram.row] <= position[gram.col]
    filled = np.zeros(len(rows))
    filled[places(gram.row[upper], gram.col[upper])] = gram.data[upper]
    return System(
        layout=layout,
        W=W,
        response=response,
        weights=weights,
        equations=Equations(
            starts,
            rows,
            *analyse(layout.size, starts, rows),
            filled,
            places(prior_rows, prior_columns),
            numbers,
            np.asarray(W.T @ (weights * response))[order],
            order,
        ),
        square=float(weights @ response**2),
    )


def log_determinants(system: System, s2: np.ndarray, numbers: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """Return log|P| and r'P^-1 r, an (N, 2) array, for N residual variances and (N, m) prior precisions."""

    def run(part: slice) -> np.ndarray:
        return evaluate_draws(system.equations, s2[part], numbers[part])

    return np.concatenate(_spread(run, _parts(len(s2), threads), threads))


def draw(system: System, s2: np.ndarray, numbers: np.ndarray, seeds: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """Draw all coefficients for each of N draws of the variances, an (N, p) array; one seed for each equal part."""
    out = np.empty((len(s2), system.layout.size))
    bounds = np.linspace(0, len(s2), len(seeds) + 1).astype(int)

    def run(k: int) -> None:
        part = slice(bounds[k], bounds[k + 1])
        draw_coefficients(system.equations, s2[part], numbers[part], int(seeds[k]), out[part])

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
        return leave_rows_out(system.equations, observed, s2[part], numbers[part], out[part])

    leverages = _spread(run, _parts(len(s2), threads), threads)
    return out, np.sum(leverages, axis=0) / len(s2)


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


def centre_of(design: Design) -> np.ndarray:
    """Return what is taken off each fixed column: its mean when there is an intercept, else nothing."""
    centre = np.zeros(design.X.shape[1])
    if design.fixed and design.fixed[0].kind == "intercept":
        centre[1:] = design.X[:, 1:].mean(axis=0)
    return centre


def _rows(design: Design, layout: Layout) -> Any:
    """Return W: centred fixed columns, a column for each group mean, and the blocks' values at their levels."""
    n = len(design.response)
    parts = [sparse.csr_array(design.X - centre_of(design))]
    if layout.means:
        columns = [design.groups[block].values[:, column] for block, column in layout.means]
        parts.append(sparse.csr_array(np.column_stack(columns)))
    for block in design.groups:
        width = block.values.shape[1]
        columns_of_rows = (block.codes[:, None] * width + np.arange(width)).ravel()
        entries = (block.values.ravel(), (np.repeat(np.arange(n), width), columns_of_rows))
        parts.append(sparse.csr_array(entries, shape=(n, len(block.levels) * width)))
    W = sparse.hstack(parts, format="csr")
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


def _ordered_pattern(
    size: int, gram: Any, prior_rows: np.ndarray, prior_columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an order that keeps L sparse, and the permuted pattern's upper triangle: column starts and rows."""
    rows = np.concatenate([gram.row, prior_rows, prior_columns])
    columns = np.concatenate([gram.col, prior_columns, prior_rows])
    pattern = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)).tocsc()
    # qdldl orders by approximate minimum degree, and wants a matrix that it can factor: the pattern, made dominant.
    dominant = sparse.triu(pattern, k=1) * (0.5 / pattern.max() / size) + sparse.eye_array(size)
    order = np.asarray(qdldl.Solver(sparse.csc_array(dominant), upper=True).factors()[2], dtype=np.int64)
    permuted = sparse.triu(pattern[order][:, order], format="csc")
    permuted.sort_indices()
    return order, permuted.indptr.astype(np.int64), permuted.indices.astype(np.int64)
