"""P = T'W'W T + I and r = T'W'y where levels repeat few patterns of counts: alike levels are eliminated once.

What is said of exact posteriors in `algebra.patterned` holds here too, with two differences: an entry of P is a sum of
products of (1, theta), and two entries are alike where all that these are multiplied by is; and r is a sum as well, so
that the moments of a class hold the terms of its columns apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from speclet_formula.inference.algebra.elimination import contexts_of
from speclet_formula.inference.algebra.forest import (
    GOLDEN,
    ClassMoments,
    Forest,
    Upper,
    forest_of,
    mixed,
    moments_of as class_moments,
)
from speclet_formula.inference.algebra.ordering import order_by_blocks
from speclet_formula.inference.algebra.patterned import (
    Elimination,
    PatternedFactors,
    PatternedRows,
    rows_by_kinds,
    upper_pattern,
    upper_places,
)
from speclet_formula.inference.algebra.symbolic import Array, compiled
from speclet_formula.inference.relative import Relative, Transform
from speclet_formula.inference.reml.products import ProductEntries, pairs_of, stacked_products


@dataclass(frozen=True, eq=False)
class RelativeClasses:
    """P and r in classes of leading columns. p coefficients, m entries of theta."""

    upper: Upper
    forest: Forest
    order: np.ndarray  # (p,) the coefficient at each position
    pairs: np.ndarray  # (pairs, 2) of (1, theta), two of which each product is of
    products: Any  # sparse (entries, pairs): of the classes' entries, and then of the corner's
    units: np.ndarray  # (entries,) the ones of I
    vectors: np.ndarray  # (m + 1, p) T_k'W'y, by position
    held: np.ndarray  # where among these the terms of each column stand, column by column, ...
    starts: np.ndarray  # ... (p + 1,) where they start,
    terms: np.ndarray  # and which of (1, theta) scales each number that the columns of each class hold
    moments: ClassMoments | None = None  # sums and products of these; None where r'P^-1 r takes a pass over all

    @property
    def work(self) -> int:
        """About how many numbers an evaluation goes through."""
        return int(self.forest.fronts[-1]) + (len(self.order) if self.moments is None else len(self.moments.roots))

    @cached_property
    def position(self) -> np.ndarray:
        """(p,) where each coefficient stands."""
        return np.argsort(self.order)

    def factored(self, theta: np.ndarray) -> Iterator[tuple[slice, PatternedFactors]]:
        """Go through N vectors theta (N, m): which, and the factors of P, in the same arrays for all."""
        elimination, count = Elimination(self.upper, self.forest), len(self.forest.entry_places)
        for k, vector in enumerate(theta):
            weights = np.append(1.0, vector)
            numbers = self.products @ (weights[self.pairs[:, 0]] * weights[self.pairs[:, 1]]) + self.units
            lower = elimination.run(numbers[:count], numbers[count:], 0.0)
            if lower is not None:
                yield slice(k, k + 1), PatternedFactors(self, elimination.fronts, lower, 1.0, weights)

    def right(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return r, (p,), by position; the numbers are (1, theta)."""
        del s2
        return np.asarray(numbers @ self.vectors)

    def corner_right(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return r in the corner, (b,)."""
        del s2
        return np.asarray(numbers @ self.vectors[:, self.forest.lead :])

    def scales(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return what the moments' own numbers are multiplied by in r."""
        del s2
        return np.asarray(numbers[self.terms])

    def moved(self, transform: Transform, moment: np.ndarray) -> "RelativeClasses":
        """Return the same P with another W'y (p,)."""
        vectors = transform.moments(moment, len(self.vectors))[:, self.order]
        held = vectors.ravel()[self.held]
        return replace(self, vectors=vectors, moments=class_moments(self.forest, held, self.starts))

    def prepared(self, W: Any) -> PatternedRows:
        """Return sparse rows (n, p) as the factors' `spreads` takes them."""
        return rows_by_kinds(self.forest, contexts_of(self.forest), self.position, W)


def relative_classes(
    relative: Relative, pattern: Any, entries: ProductEntries, ranks: np.ndarray
) -> RelativeClasses | None:
    """Order P and find its classes; the fixed effects come last, and W'y is zero.

    Parameters
    ----------
    relative : Relative
    pattern : scipy sparse array (p, p)
        Where P has entries off the diagonal.
    entries : ProductEntries
        T'W'W T.
    ranks : array of int, shape (p,)
        As `component_order` takes them.

    Returns
    -------
    RelativeClasses or None
        None where the levels have too little in common.
    """
    whole = (abs(pattern) + sparse.eye_array(relative.coefficients)).tocsr()
    ordered = order_by_blocks(ranks, whole)
    if ordered is None:
        return None
    order, lead = ordered
    corner = order[lead:]
    order = np.concatenate([order[:lead], corner[corner >= relative.n_fixed], np.arange(relative.n_fixed)])
    position = np.argsort(order)
    upper = upper_pattern(whole, position)
    kept = np.flatnonzero(position[entries.first] <= position[entries.second])
    places = upper_places(upper, position[entries.first[kept]], position[entries.second[kept]])
    products = stacked_products(entries, places, kept, (len(upper.rows), len(pairs_of(relative))))
    forest = forest_of(upper, lead, keys=_keys(relative, upper, order, products))
    if forest is None:
        return None
    used = np.concatenate([forest.entry_places, Elimination(upper, forest).inside])
    columns = np.repeat(np.arange(upper.size), np.diff(upper.starts))[used]
    units = (upper.rows[used] == columns) & (order[columns] >= relative.n_fixed)
    return RelativeClasses(
        upper,
        forest,
        order,
        pairs_of(relative),
        products[used],
        units.astype(float),
        np.zeros((relative.size + 1, relative.coefficients)),
        *_terms(relative, forest, order),
    )


def _keys(relative: Relative, upper: Upper, order: np.ndarray, products: Any) -> Array:
    """Return a key of all that each entry of P is made of, and of the block and column that a diagonal one is of."""
    keys = np.zeros(len(upper.rows), dtype=np.uint64)
    columns = np.repeat(np.arange(upper.size), np.diff(upper.starts))
    diagonal = np.flatnonzero(upper.rows == columns)
    keys[diagonal] = _kinds(relative)[order[columns[diagonal]]]
    _add_words(products.indptr, products.indices, products.data.view(np.uint64), keys)
    return keys


@compiled
def _add_words(starts: Array, pairs: Array, words: Array, keys: Array) -> None:
    for entry in range(len(keys)):
        for place in range(starts[entry], starts[entry + 1]):
            keys[entry] += mixed(words[place] + mixed(np.uint64(pairs[place]) + GOLDEN))


def _kinds(relative: Relative) -> np.ndarray:
    """Return one number for each column of each block, (p,); 0 for fixed effects."""
    kinds, count = np.zeros(relative.coefficients, dtype=np.int64), 1
    for start, levels, scale in zip(relative.starts, relative.levels, relative.scales, strict=True):
        width = len(scale)
        kinds[start : start + width * levels] = np.tile(count + np.arange(width), levels)
        count += width
    return kinds


def _terms(relative: Relative, forest: Forest, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what of (m + 1, p) moments each column holds, where these start, and what scales those of each class."""
    places = [(block, column) for block, _, column in relative.places]
    columns_of = [(block, column) for block, scale in enumerate(relative.scales) for column in range(len(scale))]
    # Of each kind: the terms in its columns of T.
    owners = [np.array([0]), *(1 + np.flatnonzero([place == own for place in places]) for own in columns_of)]
    kinds = _kinds(relative)[order]
    counts = np.array([len(own) for own in owners])[kinds]
    starts = np.concatenate([[0], np.cumsum(counts)])
    held = np.empty(starts[-1], dtype=np.int64)
    for kind, own in enumerate(owners):
        columns = np.flatnonzero(kinds == kind)
        held[starts[columns][:, None] + np.arange(len(own))] = own * len(order) + columns[:, None]
    first = np.empty(len(forest.counts), dtype=np.int64)
    first[forest.classes[::-1]] = np.arange(forest.lead)[::-1]
    terms = [owners[kinds[column]] for column in first]
    return held, starts, np.concatenate([np.zeros(0, dtype=np.int64), *terms])
