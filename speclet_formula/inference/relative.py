"""A design goes in; vectors theta, lme4's relative Cholesky factors, and the equations that they scale, come out.

Effects of one level are sigma L v with v independent and standard, so that all coefficients have the precision
P = T'W'W T + I (I on the v alone) next to sigma^2, with T = T(theta) linear in theta. Where an SD is zero P is regular.
theta holds the entries of L, a block after the other: the lower triangle for correlated effects, else the diagonal,
each as if its column had a mean square of one.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from scipy import sparse

from speclet_formula.design import Design
from speclet_formula.inference.ldl import Array, compiled, factor, invert_on_pattern, solve_lower, solve_upper
from speclet_formula.inference.precision import Layout, System


@dataclass(frozen=True, eq=False)
class Relative:
    """What theta stands for."""

    layout: Layout
    places: tuple[tuple[int, int, int], ...]  # block, row and column in L of each entry of theta
    scales: tuple[np.ndarray, ...]  # (k,) root mean square of each block's columns

    @property
    def size(self) -> int:
        """The length of theta."""
        return len(self.places)

    @property
    def diagonal(self) -> np.ndarray:
        """Which entries of theta are diagonal: sizes, whose sign means nothing."""
        return np.array([row == column for _, row, column in self.places], dtype=bool)


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
class Factored:
    """P = L D L' at one theta, permuted."""

    order: np.ndarray  # the coefficient at each permuted position
    ends: np.ndarray
    low_rows: np.ndarray
    low: np.ndarray
    diagonal: np.ndarray


def relative_factors(design: Design, layout: Layout) -> Relative:
    """Lay out theta for a design."""
    places: list[tuple[int, int, int]] = []
    scales = []
    for number, block in enumerate(design.groups):
        width = block.values.shape[1]
        for column in range(width):
            rows = range(column, width if block.correlated else column + 1)
            places += [(number, row, column) for row in rows]
        scale = np.sqrt(np.mean(block.values**2, axis=0))
        scales.append(np.where(scale > 0, scale, 1.0))
    return Relative(layout, tuple(places), tuple(scales))


def relative_covariances(relative: Relative, theta: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return each block's L L', (k, k), of one vector theta (m,)."""
    factors = [np.zeros((width, width)) for width in relative.layout.widths]
    for entry, (block, row, column) in zip(theta, relative.places, strict=True):
        factors[block][row, column] = entry / relative.scales[block][row]
    return tuple(one @ one.T for one in factors)


def scale_system(system: System, relative: Relative) -> Scaled:
    """Prepare P for a system with the blocks of theta."""
    equations, size = system.equations, system.layout.size
    transforms = _transforms(system.layout, relative)
    columns = np.repeat(np.arange(size), np.diff(equations.starts))
    upper = sparse.csc_matrix((equations.gram, (equations.rows, columns)), shape=(size, size))
    gram = (upper + sparse.triu(upper, 1).T).tocsr()
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


def _transforms(layout: Layout, relative: Relative) -> tuple[Any, ...]:
    """Return what one, and each entry of theta, adds to T."""
    fixed = np.arange(layout.n_fixed)
    found = [sparse.csr_matrix((np.ones(len(fixed)), (fixed, fixed)), shape=(layout.size, layout.size))]
    for block, row, column in relative.places:
        starts = layout.starts[block] + np.arange(layout.levels[block]) * layout.widths[block]
        entries = np.full(len(starts), 1 / relative.scales[block][row])
        found.append(sparse.csr_matrix((entries, (starts + row, starts + column)), shape=(layout.size, layout.size)))
    return tuple(found)


def _filled(scaled: Scaled, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of P on its pattern, and T'W'y."""
    weights = np.concatenate([[1.0], theta])
    values = scaled.products @ (weights[scaled.pairs[:, 0]] * weights[scaled.pairs[:, 1]]) + scaled.units
    return values, weights @ scaled.moments


def evaluate(scaled: Scaled, theta: np.ndarray) -> tuple[float, float]:
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


def factored(scaled: Scaled, theta: np.ndarray) -> Factored:
    """Factor P at one vector theta (m,)."""
    equations = scaled.system.equations
    values, _ = _filled(scaled, theta)
    low, low_rows = np.empty(equations.ends[-1]), np.empty(equations.ends[-1], dtype=np.int64)
    diagonal = np.empty(scaled.system.layout.size)
    factor(equations.starts, equations.rows, values, equations.parents, equations.ends, low_rows, low, diagonal)
    return Factored(equations.order, equations.ends, low_rows, low, diagonal)


def times_covariance(matrix: Factored, transform: Any, vector: np.ndarray) -> np.ndarray:
    """Return T P^-1 T' times a vector, in the coefficients' own order."""
    permuted = (transform.T @ vector)[matrix.order]
    solve_lower(matrix.ends, matrix.low_rows, matrix.low, permuted)
    permuted /= matrix.diagonal
    solve_upper(matrix.ends, matrix.low_rows, matrix.low, permuted)
    return np.asarray(transform @ permuted[np.argsort(matrix.order)])


def transform_at(scaled: Scaled, theta: np.ndarray) -> Any:
    """Return T, sparse (p, p), at one vector theta (m,)."""
    total = scaled.transforms[0]
    for entry, transform in zip(theta, scaled.transforms[1:], strict=True):
        total = total + entry * transform
    return total.tocsr()


def covariance_diagonal(matrix: Factored, transform: Any) -> np.ndarray:
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
