"""A design with many coefficients goes in; log|P|, the residual and the coefficients at vectors theta come out.

P keeps one pattern: it is ordered and analysed once, and for each theta only its numbers are refilled, in compiled
loops. What theta stands for is `relative`'s to know; small designs are left to `relative_dense`.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from scipy import sparse

from speclet_formula.design import Design
from speclet_formula.inference.ldl import Array, compiled, factor, invert_on_pattern, solve_lower, solve_upper
from speclet_formula.inference.precision import System, build_system
from speclet_formula.inference.relative import Relative, Solution, entries_of, relative_factors

WORTH_THREADS = 2_000  # coefficients from which on an evaluation takes longer than handing it to a thread


@dataclass(frozen=True, eq=False)
class Scaled:
    """P as a function of theta, on the pattern of a system; p coefficients, m entries of theta."""

    system: System
    transforms: tuple[Any, ...]  # m + 1 sparse (p, p), in the coefficients' own order: T = T0 + sum of theta_k T_k
    products: Any  # sparse (entries of the pattern, pairs): T'W'W T by the products of two of (1, theta)
    pairs: np.ndarray  # (pairs, 2) the two
    units: np.ndarray  # (entries of the pattern,) the ones of I
    moments: np.ndarray  # (m + 1, p) T_k'W'y, permuted


@dataclass(frozen=True, eq=False)
class Sparse:
    """What a criterion needs of a design."""

    joint: Scaled  # P of fixed and group effects
    effects: Scaled | None  # of group effects alone; None without any
    threads: int


@dataclass(frozen=True, eq=False)
class Factored:
    """P = L D L' at one theta, permuted."""

    order: np.ndarray  # the coefficient at each permuted position
    ends: np.ndarray
    low_rows: np.ndarray
    low: np.ndarray
    diagonal: np.ndarray


def sparse_system(design: Design, relative: Relative, shift: np.ndarray, *, threads: int) -> Sparse:
    """Prepare a design, whose response is less a shift (n,); threads evaluate several theta at a time."""
    alone = replace(design, X=design.X[:, :0], fixed=())
    without = relative_factors(alone)
    return Sparse(
        joint=_scaled(_system(design, relative, shift), relative),
        effects=_scaled(_system(alone, without, shift), without) if design.groups else None,
        threads=threads if relative.coefficients > WORTH_THREADS else 1,
    )


def _system(design: Design, relative: Relative, shift: np.ndarray) -> System:
    """Form the normal equations, on a pattern that has room for T'W'W T.

    T mixes the columns of a level. Where a level has none but zeros in one of them, as with a factor of which it lacks
    a category, T'W'W T has entries where W'W has none; the pattern of the same design without zeros has them all.
    """
    system = build_system(design, means=(), shift=shift)
    order, size = system.equations.order, system.layout.size
    pattern = _symmetric(system, np.ones(len(system.equations.rows)))
    mixing = sum(_transforms(relative))[order][:, order]
    if sparse.triu(mixing.T @ pattern @ mixing).nnz == len(system.equations.rows):
        return system
    groups = tuple(replace(block, values=np.where(block.values == 0, 1.0, block.values)) for block in design.groups)
    wider = build_system(replace(design, groups=groups), means=(), shift=shift).equations
    places = np.argsort(order)[wider.order]  # in the narrow order, of each coefficient in the wide one
    gram = sparse.triu(_symmetric(system, system.equations.gram)[places][:, places]).tocoo()
    keys = np.repeat(np.arange(size), np.diff(wider.starts)) * size + wider.rows
    filled = np.zeros(len(keys))
    filled[np.searchsorted(keys, gram.col.astype(np.int64) * size + gram.row)] = gram.data
    return replace(system, equations=wider._replace(gram=filled, moment=system.equations.moment[places]))


def _symmetric(system: System, values: np.ndarray) -> Any:
    """Return the whole of a permuted matrix, sparse (p, p), from the entries of its upper triangle."""
    equations, size = system.equations, system.layout.size
    columns = np.repeat(np.arange(size), np.diff(equations.starts))
    upper = sparse.csc_matrix((values, (equations.rows, columns)), shape=(size, size))
    return (upper + sparse.triu(upper, 1).T).tocsr()


def _scaled(system: System, relative: Relative) -> Scaled:
    """Prepare P for a system with the blocks of theta."""
    equations, size = system.equations, system.layout.size
    transforms = _transforms(relative)
    columns = np.repeat(np.arange(size), np.diff(equations.starts))
    gram = _symmetric(system, equations.gram)
    permuted = [transform[equations.order][:, equations.order] for transform in transforms]
    pairs = list(combinations_with_replacement(range(len(transforms)), 2))
    keys = columns * size + equations.rows
    parts = []
    for first, second in pairs:
        product = permuted[first].T @ gram @ permuted[second]
        product = sparse.triu(product if first == second else product + product.T).tocoo()
        places = np.searchsorted(keys, product.col.astype(np.int64) * size + product.row)
        parts.append(sparse.csr_matrix((product.data, (places, np.zeros_like(places))), shape=(len(keys), 1)))
    random = equations.order >= system.layout.n_fixed
    units = ((equations.rows == columns) & random[columns]).astype(float)
    moments = np.stack([transform.T @ equations.moment for transform in permuted])
    return Scaled(system, transforms, sparse.hstack(parts, format="csr"), np.array(pairs), units, moments)


def _transforms(relative: Relative) -> tuple[Any, ...]:
    """Return what one, and each entry of theta, adds to T."""
    shape = (relative.coefficients, relative.coefficients)
    fixed = np.arange(relative.n_fixed)
    found = [sparse.csr_matrix((np.ones(len(fixed)), (fixed, fixed)), shape=shape)]
    for entry in range(relative.size):
        rows, columns, scale = entries_of(relative, entry)
        found.append(sparse.csr_matrix((np.full(len(rows), scale), (rows, columns)), shape=shape))
    return tuple(found)


def _filled(scaled: Scaled, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of P on its pattern, and T'W'y."""
    weights = np.concatenate([[1.0], theta])
    values = scaled.products @ (weights[scaled.pairs[:, 0]] * weights[scaled.pairs[:, 1]]) + scaled.units
    return values, weights @ scaled.moments


def evaluate_sparse(system: Sparse, theta: np.ndarray, *, reml: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return log|P|, of group effects alone unless reml, and y'y - r'P^-1 r, (N,) each, at N vectors theta (N, m).

    Both are NaN where P is not positive definite.
    """
    if system.threads == 1 or len(theta) == 1:
        found = [_evaluate_one(system, one, reml) for one in theta]
    else:
        with ThreadPoolExecutor(system.threads) as pool:  # the compiled loops let go of Python's lock
            found = list(pool.map(lambda one: _evaluate_one(system, one, reml), theta))
    log_determinants, residuals = np.array(found).T
    return log_determinants, residuals


def _evaluate_one(system: Sparse, theta: np.ndarray, reml: bool) -> tuple[float, float]:
    log_determinant, explained = _evaluate_system(system.joint, theta)
    if not reml:
        log_determinant = 0.0 if system.effects is None else _evaluate_system(system.effects, theta)[0]
    return log_determinant, system.joint.system.square - explained


def _evaluate_system(scaled: Scaled, theta: np.ndarray) -> tuple[float, float]:
    """Return log|P| and r'P^-1 r, r = T'W'y, at one vector theta (m,); NaN where P is not positive definite."""
    equations = scaled.system.equations
    values, moment = _filled(scaled, theta)
    found: tuple[float, float] = _evaluate(
        equations.starts, equations.rows, values, equations.parents, equations.ends, moment
    )
    return found


@compiled
def _evaluate(
    starts: Array, rows: Array, values: Array, parents: Array, ends: Array, vector: Array
) -> tuple[float, float]:
    """Factor and solve."""
    low_rows, low, diagonal = np.empty(ends[-1], dtype=np.int64), np.empty(ends[-1]), np.empty(len(parents))
    if not factor(starts, rows, values, parents, ends, low_rows, low, diagonal):
        return np.nan, np.nan
    solve_lower(ends, low_rows, low, vector)
    return np.log(diagonal).sum(), (vector * vector / diagonal).sum()


def solve_sparse(system: Sparse, theta: np.ndarray) -> Solution:
    """Solve for all coefficients at one vector theta (m,)."""
    equations, n_fixed = system.joint.system.equations, system.joint.system.layout.n_fixed
    joint, transform = _factored(system.joint, theta), _transform_at(system.joint, theta)
    moment = equations.moment[np.argsort(equations.order)]
    units = np.eye(len(moment), n_fixed)
    for column in range(n_fixed):
        units[:, column] = _times_covariance(joint, transform, units[:, column])
    conditional = np.zeros(0)
    if system.effects is not None:
        alone = _factored(system.effects, theta)
        conditional = _covariance_diagonal(alone, _transform_at(system.effects, theta))
    return Solution(_times_covariance(joint, transform, moment), units, np.maximum(conditional, 0.0))


def _factored(scaled: Scaled, theta: np.ndarray) -> Factored:
    """Factor P at one vector theta (m,)."""
    equations = scaled.system.equations
    values, _ = _filled(scaled, theta)
    low, low_rows = np.empty(equations.ends[-1]), np.empty(equations.ends[-1], dtype=np.int64)
    diagonal = np.empty(scaled.system.layout.size)
    factor(equations.starts, equations.rows, values, equations.parents, equations.ends, low_rows, low, diagonal)
    return Factored(equations.order, equations.ends, low_rows, low, diagonal)


def _times_covariance(matrix: Factored, transform: Any, vector: np.ndarray) -> np.ndarray:
    """Return T P^-1 T' times a vector, in the coefficients' own order."""
    permuted = (transform.T @ vector)[matrix.order]
    solve_lower(matrix.ends, matrix.low_rows, matrix.low, permuted)
    permuted /= matrix.diagonal
    solve_upper(matrix.ends, matrix.low_rows, matrix.low, permuted)
    return np.asarray(transform @ permuted[np.argsort(matrix.order)])


def _transform_at(scaled: Scaled, theta: np.ndarray) -> Any:
    """Return T, sparse (p, p), at one vector theta (m,)."""
    total = scaled.transforms[0]
    for entry, transform in zip(theta, scaled.transforms[1:], strict=True):
        total = total + entry * transform
    return total.tocsr()


def _covariance_diagonal(matrix: Factored, transform: Any) -> np.ndarray:
    """Return the diagonal of T P^-1 T', in the coefficients' own order, from the inverse on its own pattern."""
    below, across = invert_on_pattern(matrix.ends, matrix.low_rows, matrix.low, matrix.diagonal)
    size = len(across)
    lower = sparse.csc_matrix((below, matrix.low_rows, matrix.ends), shape=(size, size))
    inverse = (lower + lower.T + sparse.diags(across)).tocsr()
    permuted = transform[:, matrix.order]
    first, second = _pairs_within_rows(permuted)
    entries = np.asarray(inverse[permuted.indices[first], permuted.indices[second]]).ravel()
    rows = np.repeat(np.arange(size), np.diff(permuted.indptr))
    return np.bincount(rows[first], permuted.data[first] * permuted.data[second] * entries, size)


def _pairs_within_rows(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of all ordered pairs of entries that share a row of a CSR matrix."""
    counts = np.diff(matrix.indptr)
    of_entry = np.repeat(counts, counts)
    first = np.repeat(np.arange(len(matrix.indices)), of_entry)
    begin = np.repeat(np.repeat(matrix.indptr[:-1], counts), of_entry)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(of_entry) - of_entry, of_entry)
    return first, begin + offset
