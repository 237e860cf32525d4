"""P = T'W'W T + I and r = T'W'y as functions of theta, whatever matrix holds P; kron(Q, I) for I of related levels.

T is linear in theta, so that each entry of P is a sum of products of two of (1, theta), each times a number that is
added up from the rows once. Whole and sparse matrices are filled with these sums; `classes` eliminates alike levels
once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from speclet_formula.inference.algebra.layout import standard_precision
from speclet_formula.inference.algebra.matrix import Matrix
from speclet_formula.inference.relative import Relative, Transform


class ProductEntries(NamedTuple):
    """What T'W'W T is the sum of: entry by entry, in both halves, coefficients in their own order."""

    first: np.ndarray  # rows, ...
    second: np.ndarray  # ... columns,
    pairs: np.ndarray  # which product of two of (1, theta),
    values: np.ndarray  # and what it is multiplied by


def pairs_of(relative: Relative) -> np.ndarray:
    """Return the pairs of (1, theta), (pairs, 2)."""
    return np.array(list(combinations_with_replacement(range(relative.size + 1), 2)))


def product_entries(relative: Relative, gram: Any) -> ProductEntries:
    """Return T'W'W T entry by entry, given W'W (p, p), sparse."""
    options, kinds = _options(relative)
    terms = relative.size + 1
    number = np.zeros((terms, terms), dtype=np.int64)
    for place, (first, second) in enumerate(pairs_of(relative)):
        number[first, second] = number[second, first] = place
    entries = gram.tocoo()
    both = kinds[entries.row] * len(options) + kinds[entries.col]
    parts = []
    for kind in np.unique(both):
        chosen = np.flatnonzero(both == kind)
        rows, columns, values = entries.row[chosen], entries.col[chosen], entries.data[chosen]
        above, below = divmod(int(kind), len(options))
        for term, shift, scale in options[above]:
            for other, away, factor in options[below]:
                pair = np.full(len(chosen), number[term, other])
                parts.append((rows + shift, columns + away, pair, values * scale * factor))
    if not parts:
        parts.append((np.zeros(0, dtype=np.int64),) * 3 + (np.zeros(0),))
    return ProductEntries(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _options(relative: Relative) -> tuple[list[list[tuple[int, int, float]]], np.ndarray]:
    """Return what maps to each kind of coefficient, and the kinds (p,): one of fixed effects, one of each column.

    A kind's options are the terms of (1, theta) in its rows of T, how far from its own their columns stand, and their
    scales.
    """
    options, kinds = [[(0, 0, 1.0)]], np.zeros(relative.coefficients, dtype=np.int64)
    for block, (start, levels, scale) in enumerate(zip(relative.starts, relative.levels, relative.scales, strict=True)):
        width = len(scale)
        for row in range(width):
            kinds[start + row : start + width * levels : width] = len(options)
            options.append([
                (1 + entry, column - row, float(1 / scale[row]))
                for entry, (owner, own, column) in enumerate(relative.places)
                if (owner, own) == (block, row)
            ])  # fmt: skip
    return options, kinds


def stacked_products(entries: ProductEntries, places: np.ndarray, kept: np.ndarray, shape: tuple[int, int]) -> Any:
    """Return what each place's products are multiplied by, sparse (places, pairs), from some of the entries."""
    return sparse.coo_array((entries.values[kept], (places, entries.pairs[kept])), shape=shape).tocsr()


@dataclass(frozen=True, eq=False)
class RelativeMatrix:
    """P and r as a whole or a sparse matrix is filled with them; p coefficients, m entries of theta."""

    matrix: Any  # a whole Matrix or a sparse one
    pairs: np.ndarray  # (pairs, 2) of (1, theta), two of which each product is of
    products: Any  # (pairs, entries) what each product is multiplied by in P; sparse, and turned, where P is
    units: np.ndarray  # (entries,) those of I, or of the precision of levels that vary together
    moments: np.ndarray  # (m + 1, p) T_k'W'y, by position

    @property
    def is_sparse(self) -> bool:
        """Whether P is a sparse matrix."""
        return not isinstance(self.products, np.ndarray)

    @property
    def work(self) -> int:
        """About how many numbers a factorisation goes through."""
        return int(self.matrix.work)

    def factored(self, theta: np.ndarray) -> Iterator[tuple[slice, Any]]:
        """Go through N vectors theta (N, m) by parts: which, and the factors of P, made with r."""
        weights, whole = np.column_stack([np.ones(len(theta)), theta]), not self.is_sparse

        def fill(part: slice) -> tuple[np.ndarray, np.ndarray]:
            powers = weights[part][:, self.pairs[:, 0]] * weights[part][:, self.pairs[:, 1]]
            # Sparse matrices are filled one at a time, and a product with a vector is the quickest.
            numbers = powers @ self.products if whole else (self.products @ powers[0])[None]
            numbers += self.units
            return numbers, weights[part] @ self.moments

        yield from self.matrix.factored(len(theta), fill)

    def moved(self, transform: Transform, moment: np.ndarray) -> "RelativeMatrix":
        """Return the same P with another W'y (p,)."""
        return replace(self, moments=transform.moments(moment, len(self.moments))[:, self.matrix.order])

    def traces(self, factors: Any, *, given: int = 0) -> np.ndarray:
        """Return the sums (pairs,) of P^-1, entry by entry, times what each product is multiplied by in P.

        Of one sparse matrix; the last rows of P, so many as are `given`, are left out of it.
        """
        pattern = self.matrix.pattern
        columns = np.repeat(np.arange(pattern.size), np.diff(pattern.starts))
        inverse = factors.inverse(np.arange(self.matrix.entries), given=given)[0]
        inverse[pattern.rows != columns] *= 2.0
        return np.asarray(self.products.T @ inverse)

    def prepared(self, W: Any) -> Any:
        """Return rows (n, p), sparse or whole, as the factors' `spreads` takes them."""
        return self.matrix.prepared(W) if self.is_sparse else W if isinstance(W, np.ndarray) else W.toarray()


def whole_products(relative: Relative, transform: Transform, matrix: Matrix, gram: np.ndarray) -> RelativeMatrix:
    """Return P in a whole matrix, of W'W (p, p); W'y is zero."""
    factors = np.zeros((relative.size + 1, transform.size, transform.size))
    factors[transform.terms, transform.rows, transform.columns] = transform.scales
    first, second = pairs_of(relative).T
    products = np.swapaxes(factors[first], 1, 2) @ (gram @ factors)[second]
    mixed = products[first != second]
    products[first != second] = mixed + np.swapaxes(mixed, 1, 2)
    filling = np.zeros((len(products), transform.size + 1, transform.size + 1))
    filling[:, :-1, :-1] = products[:, matrix.order][:, :, matrix.order]
    return _matrix(relative, matrix, filling.reshape(len(products), -1))


def sparse_products(relative: Relative, matrix: Matrix, entries: ProductEntries) -> RelativeMatrix:
    """Return P in a sparse matrix, given the entries of T'W'W T; W'y is zero."""
    kept = np.flatnonzero(matrix.position[entries.first] <= matrix.position[entries.second])
    places = matrix.places(entries.first[kept], entries.second[kept])
    shape = matrix.entries, len(pairs_of(relative))
    return _matrix(relative, matrix, stacked_products(entries, places, kept, shape))


def _matrix(relative: Relative, matrix: Matrix, products: Any) -> RelativeMatrix:
    units, (first, second, values) = np.zeros(matrix.entries), standard_precision(relative.layout)
    units[matrix.places(first, second)] = values
    moments = np.zeros((relative.size + 1, relative.coefficients))
    return RelativeMatrix(matrix, pairs_of(relative), products, units, moments)
