"""A design with many coefficients goes in; log|P|, the residual and the coefficients at vectors theta come out.

P keeps one pattern: it is ordered and analysed once, and for each theta only its numbers are refilled, in compiled
loops. What theta stands for is `relative`'s to know; small designs are left to `dense`.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, cast

import numpy as np
from scipy import sparse

from speclet_formula.design import Design
from speclet_formula.design.design import replace_mean
from speclet_formula.inference.precision import System, build_system
from speclet_formula.inference.precision.bordered import (
    allocate,
    backward,
    factorise,
    forward,
    inverse_entries,
    log_determinant,
)
from speclet_formula.inference.precision.loops import Factor
from speclet_formula.inference.precision.patterns import Pattern
from speclet_formula.inference.precision.sparse import SparseEquations
from speclet_formula.inference.reml.criterion import Relative, Solution, entries_of, relative_factors

WORTH_THREADS = 2_000  # coefficients from which on an evaluation takes longer than handing it to a thread


@dataclass(frozen=True, eq=False)
class Scaled:
    """P as a function of theta, on the pattern of a system; p coefficients, m entries of theta."""

    system: System
    equations: SparseEquations  # the system's
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
    """P = C C' at one theta, permuted."""

    order: np.ndarray  # the coefficient at each permuted position
    pattern: Pattern
    factor: Factor


def sparse_system(design: Design, relative: Relative, shift: np.ndarray, *, threads: int) -> Sparse:
    """Prepare a design, whose response is less a shift (n,); threads evaluate several theta at a time."""
    alone = replace_mean(design, X=design.mean.X[:, :0], fixed=())
    return Sparse(
        joint=_scaled(design, relative, shift),
        effects=_scaled(alone, relative_factors(alone), shift) if design.mean.groups else None,
        threads=threads if relative.coefficients > WORTH_THREADS else 1,
    )


def _scaled(design: Design, relative: Relative, shift: np.ndarray) -> Scaled:
    """Prepare P for a design with the blocks of theta."""
    system = build_system(design, means=(), shift=shift, whole_blocks=True, algebra="sparse")
    equations, size = cast(SparseEquations, system.equations), system.layout.size
    pattern = equations.pattern
    transforms = _transforms(relative)
    columns = np.repeat(np.arange(size), np.diff(pattern.starts))
    upper = sparse.csc_matrix((equations.filling.gram, (pattern.rows, columns)), shape=(size, size))
    gram = (upper + sparse.triu(upper, 1).T).tocsr()
    permuted = [transform[equations.order][:, equations.order] for transform in transforms]
    pairs = list(combinations_with_replacement(range(len(transforms)), 2))
    keys = columns * size + pattern.rows
    parts = []
    for first, second in pairs:
        product = permuted[first].T @ gram @ permuted[second]
        product = sparse.triu(product if first == second else product + product.T).tocoo()
        places = np.searchsorted(keys, product.col.astype(np.int64) * size + product.row)
        parts.append(sparse.csr_matrix((product.data, (places, np.zeros_like(places))), shape=(len(keys), 1)))
    random = equations.order >= system.layout.n_fixed
    units = ((pattern.rows == columns) & random[columns]).astype(float)
    moments = np.stack([transform.T @ equations.moment for transform in permuted])
    return Scaled(system, equations, transforms, sparse.hstack(parts, format="csr"), np.array(pairs), units, moments)


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
    pattern = scaled.equations.pattern
    values, vector = _filled(scaled, theta)
    factor = allocate(pattern)
    if not factorise(pattern, values, factor):
        return np.nan, np.nan
    forward(pattern, factor, vector)
    return log_determinant(factor), float(vector @ vector)


def solve_sparse(system: Sparse, theta: np.ndarray) -> Solution:
    """Solve for all coefficients at one vector theta (m,)."""
    equations, n_fixed = system.joint.equations, system.joint.system.layout.n_fixed
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
    pattern = scaled.equations.pattern
    values, _ = _filled(scaled, theta)
    factor = allocate(pattern)
    factorise(pattern, values, factor)
    return Factored(scaled.equations.order, pattern, factor)


def _times_covariance(matrix: Factored, transform: Any, vector: np.ndarray) -> np.ndarray:
    """Return T P^-1 T' times a vector, in the coefficients' own order."""
    permuted = (transform.T @ vector)[matrix.order]
    forward(matrix.pattern, matrix.factor, permuted)
    backward(matrix.pattern, matrix.factor, permuted)
    return np.asarray(transform @ permuted[np.argsort(matrix.order)])


def _transform_at(scaled: Scaled, theta: np.ndarray) -> Any:
    """Return T, sparse (p, p), at one vector theta (m,)."""
    total = scaled.transforms[0]
    for entry, transform in zip(theta, scaled.transforms[1:], strict=True):
        total = total + entry * transform
    return total.tocsr()


def _covariance_diagonal(matrix: Factored, transform: Any) -> np.ndarray:
    """Return the diagonal of T P^-1 T', in the coefficients' own order, from the inverse on its own pattern."""
    pattern, size = matrix.pattern, matrix.pattern.size
    entries = inverse_entries(pattern, matrix.factor)
    upper = sparse.csc_matrix((entries, pattern.rows, pattern.starts), shape=(size, size))
    inverse = (upper + sparse.triu(upper, 1).T).tocsr()
    permuted = transform[:, matrix.order]
    first, second = _pairs_within_rows(permuted)
    covariances = np.asarray(inverse[permuted.indices[first], permuted.indices[second]]).ravel()
    rows = np.repeat(np.arange(size), np.diff(permuted.indptr))
    return np.bincount(rows[first], permuted.data[first] * permuted.data[second] * covariances, size)


def _pairs_within_rows(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of all ordered pairs of entries that share a row of a CSR matrix."""
    counts = np.diff(matrix.indptr)
    of_entry = np.repeat(counts, counts)
    first = np.repeat(np.arange(len(matrix.indices)), of_entry)
    begin = np.repeat(np.repeat(matrix.indptr[:-1], counts), of_entry)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(of_entry) - of_entry, of_entry)
    return first, begin + offset
