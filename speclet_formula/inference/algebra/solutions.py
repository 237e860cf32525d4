"""What a design's normal equations say for many draws of the variances: determinants, coefficients, rows left out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from speclet_formula.common.threads import in_one_blas_thread, one_blas_thread
from speclet_formula.inference.algebra.equations import System
from speclet_formula.inference.algebra.matrix import CompressedRows, DrawnColumns

SHARE = 2**15  # entries of factors: with fewer to compute, a thread takes longer to start than to end
_ALL = slice(None)


def log_determinants(system: System, s2: np.ndarray, numbers: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """Return log|P| and r'P^-1 r - c'D^-1 c, an (N, 2) array, for N residual variances and (N, m) prior precisions.

    NaN where P is not positive definite.
    """
    s2, numbers = _in_units(system, s2, numbers)
    terms = np.full((len(s2), 2), np.nan)

    def run(part: slice) -> None:
        for inner, factors in system.equations.factored(s2[part], numbers[part]):
            place = within(part, inner)
            terms[place, 0], terms[place, 1] = factors.log_determinants, factors.explained

    spread_draws(run, len(s2), system.equations.work, threads)
    return np.column_stack([terms[:, 0] + system.units.log_determinant, terms[:, 1] - numbers @ system.pull])


@in_one_blas_thread
def slopes(system: System, s2: float, numbers: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """Return log|P| and r'P^-1 r - c'D^-1 c of one residual variance and prior precisions (m,), and how they change.

    Returns
    -------
    log_determinant, explained : float
        NaN where P is not positive definite.
    by_s2 : float
    by_numbers : array of shape (m,)
        The derivatives of their difference, log|P| less the other. With u = P^-1 r, of each number of D^-1 it is the
        sum over its entries of P^-1, and of what the coefficients' means leave of (u - c)(u - c)'; Fisher's identity.
    """
    scaled, known = _in_units(system, np.array([s2]), numbers[None])
    found = next((factors for _, factors in system.equations.factored(scaled, known)), None)
    if found is None or not np.isfinite(determinant := float(found.log_determinants[0])):
        return np.nan, np.nan, 0.0, np.zeros(len(numbers))
    means, explained, known = found.backward(found.half)[0], float(found.explained[0]), known[0]
    first, second, owners = system.prior
    times = np.where(first == second, 1.0, 2.0) * (1.0 if system.factors is None else system.factors)
    inverse = np.bincount(owners, times * system.equations.prior_inverse(found, first, second), len(known))
    squares = np.bincount(owners, times * means[first] * means[second], len(known))
    drawn = system.equations.drawn(means)
    by_numbers = inverse + squares - 2 * drawn + system.pull
    free = system.layout.size - known @ inverse  # the trace of P^-1 W'W / s2: the effective number of coefficients
    by_s2 = float(explained - free + known @ (squares - 2 * drawn)) / scaled[0]
    determinant += system.units.log_determinant
    in_own = system.units.response**2, system.units.numbers
    return determinant, explained - float(known @ system.pull), by_s2 / in_own[0], by_numbers * in_own[1]


def cancelling(system: System, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return y'y / s2 + c'D^-1 c, (N,): what r'P^-1 r is taken off, and how large rounding errors are."""
    s2, numbers = _in_units(system, s2, numbers)
    return np.asarray(system.square / system.units.response**2 / s2 + numbers @ system.pull)


def _in_units(system: System, s2: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return variances and prior precisions in the equations' units."""
    return s2 / system.units.response**2, numbers * system.units.numbers


def solve(system: System, s2: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the coefficients' means (N, p), measured from the centre, for N draws of the variances."""
    s2, numbers = _in_units(system, s2, numbers)
    means = np.full((len(s2), system.layout.size), np.nan)
    for part, factors in system.equations.factored(s2, numbers):
        means[part] = factors.backward(factors.half)
    return np.asarray(means * system.units.coefficients)


def draw(
    system: System,
    s2: np.ndarray,
    numbers: np.ndarray,
    seeds: np.ndarray,
    *,
    columns: np.ndarray | None = None,
    centre: np.ndarray | None = None,
    threads: int = 1,
    told: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Draw coefficients for each of N draws of the variances, an (N, columns) array; one seed for each equal part.

    They are measured from the system's centre, and `centre` (columns,) is added. All are drawn, since one is drawn
    given others, but only those at `columns` are kept, all of them by default. `told` is called with numbers of draws
    that are done.
    """
    chosen = np.arange(system.layout.size) if columns is None else columns
    kept = DrawnColumns(chosen, system.units.coefficients[chosen], np.zeros(len(chosen)) if centre is None else centre)
    s2, numbers = _in_units(system, s2, numbers)
    out = np.empty((len(s2), len(chosen)))
    bounds = np.linspace(0, len(s2), len(seeds) + 1).astype(int)

    def run(k: int) -> None:
        part, rng = slice(bounds[k], bounds[k + 1]), np.random.default_rng(int(seeds[k]))
        # A chain that stands still repeats its variances: the factor is there already.
        first = part.start + _changes(s2[part], numbers[part], system.equations.work)
        ends = np.append(first[1:], part.stop)
        for inner, factors in system.equations.factored(s2[first], numbers[first]):
            rows = slice(first[inner.start], ends[inner.stop - 1])
            if inner.stop - inner.start > 1:
                factors.draw(rng, kept, out[rows])
            else:
                for row in range(rows.start, rows.stop):
                    factors.draw(rng, kept, out[row : row + 1])
            if told is not None:
                told(rows.stop - rows.start)

    _spread(run, range(len(seeds)), _busy(len(s2), max(system.equations.work, system.layout.size), threads))
    return out


def _changes(s2: np.ndarray, numbers: np.ndarray, work: int) -> np.ndarray:
    """Return which of some draws of the variances differ from the one before.

    All of them where factors cost little, as do those of whole matrices, which come several at a time.
    """
    if work < SHARE or not len(s2):
        return np.arange(len(s2))
    moved = (np.diff(s2) != 0) | (np.diff(numbers, axis=0) != 0).any(axis=1)
    return np.flatnonzero(np.append(True, moved))


def left_out_densities(
    system: System, s2: np.ndarray, numbers: np.ndarray, *, rows: slice | np.ndarray = _ALL, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return log p(y_i | all other rows, variances), (N, rows), and the rows' mean leverages (rows,).

    Row i of W has leverage h_i = weight_i w_i' P^-1 w_i / s2: its share in its own fitted value; all rows' add up to
    the effective number of coefficients. Given the variances a left-out row is normal with mean
    y_i - (y_i - fitted_i) / (1 - h_i) and variance s2 / weight_i / (1 - h_i).
    """
    observed = _rows_of(system, rows)
    prepared = system.equations.prepared(observed.W)
    s2, numbers = _in_units(system, s2, numbers)
    out = np.full((len(s2), len(observed.response)), np.nan)

    def run(part: slice) -> np.ndarray:
        total, beside = np.zeros(len(observed.response)), 8 * len(observed.response)
        for inner, factors in system.equations.factored(s2[part], numbers[part], beside=beside):
            place = within(part, inner)
            fitted = (observed.W @ factors.backward(factors.half).T).T
            leverages = observed.weights * factors.spreads(prepared) / s2[place, None]
            total += leverages.sum(axis=0)
            free = np.where(leverages < 1, 1 - leverages, np.nan)  # else the row's own effect takes it up whole
            variances = s2[place, None] / observed.weights / free
            errors = (observed.response - fitted) / free
            out[place] = -0.5 * (np.log(2 * np.pi * variances) + errors**2 / variances)
        return total

    leverages = spread_draws(run, len(s2), max(system.equations.work, len(observed.response)), threads)
    out -= np.log(system.units.response)
    return out, np.sum(leverages, axis=0) / len(s2)


def predict_rows(
    system: System, rows: np.ndarray, without: System, s2: np.ndarray, numbers: np.ndarray, *, threads: int = 1
) -> np.ndarray:
    """Return mean and variance (N, rows, 2) of rows' linear predictor, from the centre's, by a system without them."""
    left = _rows_of(system, rows)
    prepared = without.equations.prepared(left.W)
    s2, numbers = _in_units(without, s2, numbers)
    moments = np.full((len(s2), len(left.response), 2), np.nan)

    def run(part: slice) -> None:
        for inner, factors in without.equations.factored(s2[part], numbers[part]):
            place = within(part, inner)
            moments[place, :, 0] = (left.W @ factors.backward(factors.half).T).T
            moments[place, :, 1] = factors.spreads(prepared)

    spread_draws(run, len(s2), without.equations.work, threads)
    return np.asarray(moments * [without.units.response, without.units.response**2])


def without_rows(system: System, rows: np.ndarray) -> System:
    """Return a system that rows are taken out of."""
    others = np.ones(len(system.response), dtype=bool)
    others[rows] = False
    return replace(
        system,
        W=system.W[others],
        response=system.response[others],
        weights=system.weights[others],
        equations=system.equations.less(_rows_of(system, rows)),
        square=float(system.weights[others] @ system.response[others] ** 2),
        count=int(others.sum()),
        log_weights=float(np.log(system.weights[others]).sum()),
    )


def _rows_of(system: System, rows: slice | np.ndarray) -> CompressedRows:
    """Return rows of W in the equations' units."""
    W = system.W[rows]
    values = W.data * (system.units.coefficients / system.units.response)[W.indices]
    scaled = type(W)((values, W.indices, W.indptr), shape=W.shape)
    return CompressedRows(scaled, system.weights[rows], system.response[rows] / system.units.response)


def within(part: slice, inner: slice) -> slice:
    """Return where a part of a part stands in the whole."""
    return slice(part.start + inner.start, part.start + inner.stop)


def spread_draws(run: Callable[[slice], Any], count: int, work: int, threads: int) -> list[Any]:
    """Run equal parts of so many factorisations in threads, each of which goes through so many numbers."""
    busy = _busy(count, work, threads)
    if busy == 1:
        with one_blas_thread():
            return [run(slice(0, count))]
    bounds = np.linspace(0, count, min(busy, count) + 1).astype(int)
    return _spread(run, [slice(first, last) for first, last in pairwise(bounds)], busy)


def _busy(count: int, work: int, threads: int) -> int:
    """Return how many of the threads have enough to do: near a mode few draws are evaluated at a time, but often."""
    return min(threads, 1 + count * work // SHARE)


def _spread(run: Callable[[Any], Any], parts: Any, threads: int) -> list[Any]:
    """Run the parts in threads; the compiled loops let go of Python's lock."""
    with one_blas_thread():
        if threads == 1 or len(parts) == 1:
            return [run(part) for part in parts]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, parts))
