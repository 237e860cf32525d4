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

from speclet_formula.common.threads import one_blas_thread
from speclet_formula.design import Design, centre_of
from speclet_formula.design.design import replace_mean
from speclet_formula.design.merged import moments_of
from speclet_formula.inference.precision import dense
from speclet_formula.inference.precision.records import Layout, Rows, System, Units

MOST_DENSE = 150  # coefficients up to which whole matrices are as quick as sparse ones, whose loops must be compiled
ROWS_AT_ONCE = 2**20  # of W, whose products are added up
RIDGE = 1e-10  # of the largest diagonal entry: what makes collinear columns' equations solvable
REFINEMENTS = 3
SHARE = 2**15  # entries of factors: with fewer to compute, a thread takes longer to start than to end
_ALL = slice(None)


def build_system(
    design: Design,
    *,
    means: tuple[tuple[int, int], ...],
    shift: np.ndarray | None = None,
    precisions: np.ndarray | None = None,
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
    precisions : array of shape (fixed effects + means,), optional
        Those of their priors. The equations are then scaled, and the response is measured from a centre, so that
        neither the units nor the place of anything cost digits. Else they are those of the data as they are.
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
    response = design.response - design.mean.offset - (0.0 if shift is None else shift)
    gram, moment, prior = _gram(W, design.weights), W.T @ (weights * response), _prior_entries(layout)
    moments = moments_of(design)
    square = float(weights @ response**2) + moments.within
    units = _no_units(layout, prior)
    if precisions is not None:
        units = _units(layout, prior, gram, square, float(weights.sum()))
        gram = _scaled(gram, units)
    if algebra == "auto" and layout.size <= MOST_DENSE:
        equations: Any = dense.prepare(gram, moment, prior)
    else:
        touched = _rows(_with_whole_blocks(design), layout) if whole_blocks else W
        equations = _sparse().prepare(gram, _pattern(gram, W, touched), moment, prior)
    system = System(
        layout=layout,
        W=W,
        response=response,
        weights=weights,
        equations=equations,
        square=square,
        within=moments.within,
        units=units,
        prior=prior,
        centre=np.zeros(layout.size),
        pull=np.zeros(len(units.numbers)),
        count=moments.count,
        log_weights=moments.log_weights,
    )
    return system if precisions is None else moved(system, _first_centre(system, gram, precisions))


def moved(system: System, step: np.ndarray) -> System:
    """Return the same system with the coefficients measured from another centre.

    y'y / s2, c'D^-1 c and r'P^-1 r nearly cancel where the centre is far from what the data say. The sum is the same
    for every centre; its digits are not.

    Parameters
    ----------
    system : System
    step : array of shape (p,)
        From the present centre to the next one.

    Returns
    -------
    System
    """
    units, centre = system.units, system.centre + step
    response = system.response - system.W @ step
    square = float(system.weights @ response**2) + system.within
    if square > 0:
        units = _in_unit(system, units, _power_of_two(np.sqrt(square / system.weights.sum())))
    moment = system.W.T @ (system.weights * response) * units.coefficients / units.response**2
    pull = _pull(system, units, -centre / units.coefficients)
    equations = _algebra(system).moved(system.equations, moment, pull)
    own = np.asarray((-centre / units.coefficients) @ pull)
    return replace(system, response=response, square=square, units=units, centre=centre, equations=equations, pull=own)


def _in_unit(system: System, units: Units, response: float) -> Units:
    """Return units with another one of the response: the coefficients' follow it, as do the prior's precisions."""
    ratio = response / units.response
    return Units(response, units.coefficients * ratio, units.numbers * ratio**2)


def _pull(system: System, units: Units, means: np.ndarray) -> Any:
    """Return D^-1 times means (p,), in the equations' units: a (p, m) matrix that D^-1's numbers are multiplied by."""
    above, right, numbers = system.prior
    mirrored = above != right
    rows = np.concatenate([above, right[mirrored]])
    columns = np.concatenate([numbers, numbers[mirrored]])
    values = np.concatenate([means[right], means[above[mirrored]]])
    used = values != 0
    shape = (system.layout.size, len(units.numbers))
    return matrices.csr_array((values[used], (rows[used], columns[used])), shape=shape)


def _power_of_two(sizes: Any) -> Any:
    return 2.0 ** np.round(np.log2(sizes))


def _no_units(layout: Layout, prior: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Units:
    return Units(1.0, np.ones(layout.size), np.ones(1 + int(prior[2].max(initial=-1))))


def _units(
    layout: Layout, prior: tuple[np.ndarray, np.ndarray, np.ndarray], gram: Any, square: float, weight: float
) -> Units:
    """Return the response's own unit, and those of the coefficients, the same at all levels of a block."""
    squares = np.asarray(gram.diagonal(), dtype=float)
    for start, width, levels in zip(layout.starts, layout.widths, layout.levels, strict=True):
        part = slice(start, start + width * levels)
        squares[part] = np.tile(squares[part].reshape(levels, width).sum(axis=0), levels)
    known = squares > 0
    sizes = np.where(known, _power_of_two(np.sqrt(np.where(known, squares, 1.0) / weight)), 1.0)
    response = float(_power_of_two(np.sqrt(square / weight))) if square > 0 else 1.0
    coefficients, (above, right, numbers) = response / sizes, prior
    first = np.ones(1 + int(numbers.max(initial=-1)))
    first[numbers] = coefficients[above] * coefficients[right]  # the same wherever a number stands
    return Units(response, coefficients, first)


def _scaled(gram: Any, units: Units) -> Any:
    """Return W'W of the columns in their own units."""
    sizes = matrices.diags_array(units.coefficients / units.response)
    return (sizes @ gram @ sizes).tocsr()


def _first_centre(system: System, gram: Any, precisions: np.ndarray) -> np.ndarray:
    """Return where the fixed effects and group means, by themselves, fit best; zero for all other coefficients.

    Least squares tell how large the residuals are, and with these the priors pull as they will.
    """
    first, centre = len(precisions), np.zeros(system.layout.size)
    inside, units = gram[:first, :first].toarray(), system.units
    pulls, known = np.zeros(first), precisions * units.numbers[:first]
    for _ in ("least squares", "with priors"):
        for _ in range(REFINEMENTS):  # what rounding left of the last solution's error is solved for again
            uphill = (system.W.T @ (system.weights * (system.response - system.W @ centre)))[:first]
            uphill = uphill * units.coefficients[:first] / units.response**2
            uphill -= pulls * centre[:first] / units.coefficients[:first]
            centre[:first] += units.coefficients[:first] * _solved(inside + np.diag(pulls), uphill)
        pulls = known * _fitted_residual(system, centre) / max(system.count, 1) / units.response**2
    return centre


def _fitted_residual(system: System, centre: np.ndarray) -> float:
    return float(system.weights @ (system.response - system.W @ centre) ** 2) + system.within


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve with a matrix that may be singular: any solution, or none at all, is a centre."""
    if not len(right):
        return right
    ridge = RIDGE * max(float(np.diagonal(matrix).max()), 1.0)
    return np.asarray(np.linalg.solve(matrix + ridge * np.eye(len(right)), right))


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
    """Return log|P| and r'P^-1 r - c'D^-1 c, an (N, 2) array, for N residual variances and (N, m) prior precisions."""
    s2, numbers = _in_units(system, s2, numbers)

    def run(part: slice) -> np.ndarray:
        return np.asarray(_algebra(system).evaluate(system.equations, s2[part], numbers[part]))

    threads = _busy(system, len(s2), threads)
    found = np.concatenate(_spread(run, _parts(len(s2), threads), threads))
    return np.column_stack([found[:, 0] + system.units.log_determinant, found[:, 1] - numbers @ system.pull])


def cancelling(system: System, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return y'y / s2 + c'D^-1 c, (N,): what r'P^-1 r is taken off, and how large rounding errors are."""
    s2, numbers = _in_units(system, s2, numbers)
    return np.asarray(system.square / system.units.response**2 / s2 + numbers @ system.pull)


def _in_units(system: System, s2: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return variances and prior precisions in the equations' units."""
    return s2 / system.units.response**2, numbers * system.units.numbers


def solve(system: System, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the coefficients' means (N, p), measured from the centre, for N draws of the variances."""
    scaled = _in_units(system, s2, numbers)
    return np.asarray(_algebra(system).solve(system.equations, *scaled) * system.units.coefficients)


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

    They are measured from the centre. All are drawn, since one is drawn given others, but only those at `columns` are
    kept, all of them by default.
    """
    chosen = np.arange(system.layout.size) if columns is None else columns
    s2, numbers = _in_units(system, s2, numbers)
    out = np.empty((len(s2), len(chosen)))
    bounds = np.linspace(0, len(s2), len(seeds) + 1).astype(int)

    def run(k: int) -> None:
        part = slice(bounds[k], bounds[k + 1])
        _algebra(system).draw(system.equations, s2[part], numbers[part], int(seeds[k]), chosen, out[part])

    _spread(run, range(len(seeds)), _busy(system, len(s2), threads))
    out *= system.units.coefficients[chosen]
    return out


def left_out_densities(
    system: System, s2: np.ndarray, numbers: np.ndarray, *, rows: slice | np.ndarray = _ALL, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return log p(y_i | all other rows, variances), (N, rows), and the rows' mean leverages (rows,).

    A leverage is the share of a row in its own fitted value; all rows' add up to the effective number of coefficients.
    """
    observed = rows_of(system, rows)
    s2, numbers = _in_units(system, s2, numbers)
    out = np.empty((len(s2), len(observed.response)))

    def run(part: slice) -> np.ndarray:
        leverages = _algebra(system).leave_out(system.equations, observed, s2[part], numbers[part], out[part])
        return np.asarray(leverages)

    leverages = _spread(run, _parts(len(s2), threads), threads)
    out -= np.log(system.units.response)
    return out, np.sum(leverages, axis=0) / len(s2)


def predict_rows(
    system: System, rows: np.ndarray, without: System, s2: np.ndarray, numbers: np.ndarray, *, threads: int = 1
) -> np.ndarray:
    """Return mean and variance (N, rows, 2) of rows' linear predictor, from the centre's, by a system without them."""
    left = rows_of(system, rows)
    s2, numbers = _in_units(without, s2, numbers)

    def run(part: slice) -> np.ndarray:
        return np.asarray(_algebra(without).predict(without.equations, left, s2[part], numbers[part]))

    moments = np.concatenate(_spread(run, _parts(len(s2), threads), threads))
    return np.asarray(moments * [without.units.response, without.units.response**2])


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
    """Return rows of W as the compiled loops take them, the coefficients permuted and all in the equations' units."""
    position = np.empty(system.layout.size, dtype=np.int64)
    position[system.equations.order] = np.arange(system.layout.size)
    W = system.W[rows]
    values = W.data * (system.units.coefficients / system.units.response)[W.indices]
    response = system.response[rows] / system.units.response
    return Rows(W.indptr.astype(np.int64), position[W.indices], values, system.weights[rows], response)


def _busy(system: System, draws: int, threads: int) -> int:
    """Return how many of the threads have enough to do: near a mode few draws are evaluated at a time, but often."""
    equations = system.equations
    entries = system.layout.size**2 if isinstance(equations, dense.DenseEquations) else len(equations.pattern.low_rows)
    return min(threads, 1 + draws * entries // SHARE)


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
    widths = tuple(block.values.shape[1] for block in design.mean.groups)
    levels = tuple(len(block.levels) for block in design.mean.groups)
    sizes = [width * count for width, count in zip(widths, levels, strict=True)]
    first = design.mean.X.shape[1] + len(means)
    starts = tuple(first + sum(sizes[:k]) for k in range(len(sizes)))
    return Layout(design.mean.X.shape[1], means, starts, widths, levels, first + sum(sizes))


def _rows(design: Design, layout: Layout) -> Any:
    """Return W: centred fixed columns, a column for each group mean, and the blocks' values at their levels."""
    n, first = len(design.response), layout.n_fixed + len(layout.means)
    width = first + sum(layout.widths)  # of a row's entries, zeros among them
    # Filled in place: of 10^7 rows each copy takes as much memory as the data.
    kind = np.int32 if max(n * width, layout.size) < np.iinfo(np.int32).max else np.int64
    values, columns = np.empty((n, width)), np.empty((n, width), dtype=kind)
    values[:, : layout.n_fixed] = design.mean.X
    values[:, : layout.n_fixed] -= centre_of(design)
    for place, (block, column) in enumerate(layout.means):
        values[:, layout.n_fixed + place] = design.mean.groups[block].values[:, column]
    columns[:, :first] = np.arange(first)
    for block_of_rows, start, count in zip(design.mean.groups, layout.starts, layout.widths, strict=True):
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
    blocks = design.mean.groups
    groups = (replace(block, values=np.ones_like(block.values)) if block.correlated else block for block in blocks)
    return replace_mean(design, groups=tuple(groups))


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
