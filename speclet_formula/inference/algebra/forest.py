"""The elimination forest of the leading columns of P = C C', and which of its columns are alike.

Designed experiments repeat themselves: of 18,000 genes most have four guides in three replicates. Without the corner,
the few columns that most rows meet, P falls into small components, here a gene and its guides. Two columns are of one
class where all that their pivots are made of is equal: their own entries of P, and the classes of what was eliminated
into them. Whatever the variances, columns of a class share their column of C, and what is computed once for a class
counts for all of them. Columns are told apart by 128 bits of hashes.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from speclet_formula.inference.algebra.symbolic import Array, compiled

MOST_TOGETHER = 256  # columns of a component: the work grows with the square of what stands above a column
MOST_IN_CORNER = 4_000  # columns, whose whole matrix is factored
MOST_CLASSES = 0.3  # of the leading columns; where more differ, there is little to share
MOST_SQUARES = 2**22  # numbers that the moments of all classes may hold
MOST_HELD = 16  # numbers that a column may hold on average, while they are added up

GOLDEN, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_LEFT, _RIGHT = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA5A5A5A5A5A5A5A5)


class Upper(NamedTuple):
    """P's upper triangle in compressed columns, in the order of elimination: gram / s2 + the prior's number."""

    size: int  # p
    starts: Array  # (p + 1,)
    rows: Array  # in order
    gram: Array  # W'W
    numbers: Array  # which of the prior's numbers is added; -1 for none


class Forest(NamedTuple):
    """The leading columns in classes, which come after those below them. q leading columns, b of the corner, K classes.

    A class's front is a matrix (span + 1, span + 1 + sides): its own row, which becomes its column of C, and what it
    hands to the columns above it; first against itself and the columns above, then against the corner's rows.
    """

    lead: int  # q
    corner: int  # b
    parents: Array  # (q,) the next column above, of those that a column meets; -1 at a root
    classes: Array  # (q,) of each column
    counts: Array  # (K,) columns of each class
    spans: Array  # (K,) how far up it meets others: the next column above is at 0
    fronts: Array  # (K + 1,) where each front starts
    sides: Array  # (K + 1,) where its rows in the corner start,
    side_rows: Array  # and these, in order
    links: Array  # (K + 1,) where its links to classes below start,
    below: Array  # the classes at their lower ends,
    times: Array  # and how many columns of it stand below each column
    maps: Array  # (links + 1,) where the map of each link starts:
    map_places: Array  # for each corner row below, its place among those above
    entries: Array  # (K + 1,) where its own entries of P start,
    entry_kinds: Array  # 0 for the diagonal, 1 + distance for a column above, 1 + span + place for the corner's rows,
    entry_places: Array  # and where they stand in P


class ClassMoments(NamedTuple):
    """What quadratic forms of a vector need of the columns of each class, whatever their number.

    A column holds its own numbers, of which its entry of the vector is the sum with the scales of its class, and, link
    by link, what the columns below it hold, added up.
    """

    owns: Array  # (K + 1,) where the scales of each class start: one for each number that is a column's own
    widths: Array  # (K,) numbers that each column of a class holds
    slots: Array  # (links,) where those of a link start
    starts: Array  # (K + 1,) where each class starts among the sums
    sums: Array  # of what the columns of a class hold
    root_starts: Array  # (K + 1,) where each class starts among the roots
    roots: Array  # R, (r, width) with r <= width, of each class: R'R is the sum of products of what its columns hold


def component_order(ranks: Array, pattern: Any, *, most: int | None = None) -> tuple[Array, int] | None:
    """Return an order of elimination, component by component, and the number of leading columns.

    Parameters
    ----------
    ranks : array of int, shape (p,)
        0 for the columns of the block with the most levels, which go first within their component, 1 for the next, ...;
        the highest for what belongs to no block. The corner takes in this and then whole blocks, those of fewest levels
        first, until what is left falls into small components.
    pattern : scipy sparse array (p, p)
        Where P has entries.
    most : int, optional
        Columns that the corner may have; `MOST_IN_CORNER` by default.

    Returns
    -------
    tuple of (order, lead), or None
        None where no such corner is small.
    """
    for kept in range(int(ranks.max(initial=0)), 0, -1):
        columns = np.flatnonzero(ranks < kept)
        if len(ranks) - len(columns) > (MOST_IN_CORNER if most is None else most):
            return None
        count, component = connected_components(pattern[columns][:, columns], directed=False)
        if np.bincount(component, minlength=count).max(initial=0) <= MOST_TOGETHER:
            leading = columns[np.lexsort((columns, ranks[columns], component))]
            return np.concatenate([leading, np.flatnonzero(ranks >= kept)]), len(leading)
    return None


def forest_of(upper: Upper, lead: int, *, most: float | None = None, keys: Array | None = None) -> Forest | None:
    """Find the classes of the leading columns; None where more than a share of `most` differ.

    That share is `MOST_CLASSES` by default. Entries of P are alike where their `keys`, unsigned, are equal: by default
    where both of their numbers are.
    """
    if keys is None:
        keys = upper.gram.view(np.uint64) + (upper.numbers.astype(np.uint64) * GOLDEN)
    parents = _climb(lead, upper.starts, upper.rows)
    hashes, spans = _signatures(lead, upper.size, upper.starts, upper.rows, keys, parents)
    first, classes = alike(hashes)
    if len(first) > (MOST_CLASSES if most is None else most) * lead:
        return None
    order = np.lexsort((first, _heights(parents)[first]))  # whatever stands below a column is less high
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return _assembled(upper, parents, place[classes].astype(np.int64), first[order].astype(np.int64), spans)


def alike(hashes: Array) -> tuple[Array, Array]:
    """Return where each pair of hashes (n, 2) first stands, and which of them each is (n,)."""
    pairs = np.ascontiguousarray(hashes).view([("first", np.uint64), ("second", np.uint64)]).ravel()
    _, first, kinds = np.unique(pairs, return_index=True, return_inverse=True)
    return first, kinds


def _assembled(upper: Upper, parents: Array, classes: Array, first: Array, spans: Array) -> Forest:
    """Collect what each class needs from its first column."""
    lead, count = len(parents), len(first)
    chosen = np.zeros(lead, dtype=bool)
    chosen[first] = True
    below = np.flatnonzero(parents >= 0)
    below = below[chosen[parents[below]]]
    ends, times = np.unique(np.column_stack([classes[parents[below]], classes[below]]), axis=0, return_counts=True)
    columns = np.repeat(np.arange(upper.size), np.diff(upper.starts))
    own = np.flatnonzero((upper.rows < lead) & chosen[np.minimum(upper.rows, lead - 1)])
    own = own[np.lexsort((columns[own], classes[upper.rows[own]]))]
    owners, across = classes[upper.rows[own]], columns[own] - lead
    entries, links = np.searchsorted(owners, np.arange(count + 1)), np.searchsorted(ends[:, 0], np.arange(count + 1))
    sides = _sides(entries, across, links, ends[:, 1])
    kinds = np.empty(len(own), dtype=np.int64)
    inside = across < 0
    kinds[inside] = _distances(parents, upper.rows[own][inside], columns[own][inside])
    for k in range(count):
        part = slice(entries[k], entries[k + 1])
        away = across[part] >= 0
        kinds[part][away] = 1 + spans[first[k]] + np.searchsorted(sides[k], across[part][away])
    maps = [np.searchsorted(sides[above], sides[low]) for above, low in ends]
    span, widths = spans[first], np.array([len(side) for side in sides], dtype=np.int64)
    return Forest(
        lead=lead,
        corner=upper.size - lead,
        parents=parents,
        classes=classes,
        counts=np.bincount(classes, minlength=count),
        spans=span,
        fronts=_starts((span + 1) * (span + 1 + widths)),
        sides=_starts(widths),
        side_rows=_joined(sides),
        links=links,
        below=np.ascontiguousarray(ends[:, 1]),
        times=times,
        maps=_starts(np.array([len(one) for one in maps], dtype=np.int64)),
        map_places=_joined(maps),
        entries=entries,
        entry_kinds=kinds,
        entry_places=own,
    )


def _sides(entries: Array, across: Array, links: Array, below: Array) -> list[Array]:
    """Return the corner's rows that each class meets: its own, and those of the classes below."""
    sides: list[Array] = []
    for k in range(len(entries) - 1):
        own = across[entries[k] : entries[k + 1]]
        lower = [sides[c] for c in below[links[k] : links[k + 1]]]
        sides.append(np.unique(np.concatenate([own[own >= 0], *lower])))
    return sides


def _starts(widths: Array) -> Array:
    return np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)


def _joined(parts: list[Array]) -> Array:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)


def moments_of(forest: Forest, vector: Array, starts: Array | None = None) -> ClassMoments | None:
    """Add up what quadratic forms of a vector (p,) need; None where its classes have too many kinds below them.

    `starts` (p + 1,) are given where a column's entry is a sum of several numbers, to be scaled, and where they start.
    The roots are those of QR, not of the sums of products: what a column holds may all but repeat what those below it
    do, and of its products' differences nothing but rounding errors would be left.
    """
    count = len(forest.counts)
    starts = np.arange(forest.lead + 1) if starts is None else starts
    own, slots = np.ones(count, dtype=np.int64), np.zeros(len(forest.below), dtype=np.int64)
    own[forest.classes] = np.diff(starts)[: forest.lead]
    widths = own.copy()
    for k in range(count):
        for link in range(forest.links[k], forest.links[k + 1]):
            slots[link] = widths[k]
            widths[k] += widths[forest.below[link]]
    if (widths.astype(float) ** 2).sum() > MOST_SQUARES or widths[forest.classes].sum() > MOST_HELD * forest.lead:
        return None
    held = _starts(widths[forest.classes])
    holds = np.zeros(held[-1])
    _gather(forest, vector, starts, widths, slots, held, holds)
    columns = np.split(np.argsort(forest.classes, kind="stable"), np.cumsum(forest.counts)[:-1])
    tables = [holds[held[alike][:, None] + np.arange(width)] for alike, width in zip(columns, widths, strict=True)]
    roots = [np.linalg.qr(table, mode="r") for table in tables]
    sums = np.concatenate([np.zeros(0), *(table.sum(axis=0) for table in tables)])
    sizes = np.array([root.size for root in roots], dtype=np.int64)
    flat = np.concatenate([np.zeros(0), *(root.ravel() for root in roots)])
    return ClassMoments(_starts(own), widths, slots, _starts(widths), sums, _starts(sizes), flat)


@compiled
def _gather(
    forest: Forest, vector: Array, starts: Array, widths: Array, slots: Array, held: Array, holds: Array
) -> None:
    """Fill what each column holds; `held` says where it starts."""
    for column in range(forest.lead):
        k, at = forest.classes[column], held[column]
        for a in range(starts[column], starts[column + 1]):
            holds[at + a - starts[column]] += vector[a]
        parent = forest.parents[column]
        if parent >= 0:
            to = held[parent] + slots[link_of(forest, forest.classes[parent], k)]
            for a in range(widths[k]):
                holds[to + a] += holds[at + a]


@compiled
def link_of(forest: Forest, above: int, low: int) -> int:
    """Return the link between two classes."""
    first = forest.links[above]
    return int(first + np.searchsorted(forest.below[first : forest.links[above + 1]], low))


@compiled
def _climb(lead: int, starts: Array, rows: Array) -> Array:
    """Return the parents in the elimination tree; Liu (1986), doi:10.1145/6497.6499."""
    parents = np.full(lead, -1, dtype=np.int64)
    highest = np.full(lead, -1, dtype=np.int64)
    for column in range(lead):
        for place in range(starts[column], starts[column + 1]):
            row = rows[place]
            while row != -1 and row < column:
                following = highest[row]
                highest[row] = column
                if following == -1:
                    parents[row] = column
                row = following
    return parents


@compiled
def _heights(parents: Array) -> Array:
    heights = np.zeros(len(parents), dtype=np.int64)
    for column in range(len(parents)):
        if parents[column] >= 0:
            heights[parents[column]] = max(heights[parents[column]], heights[column] + 1)
    return heights


@compiled
def distance(parents: Array, low: int, high: int) -> int:
    """Return how far above a column another one stands: 0 for itself, 1 for the next."""
    steps = 0
    while low != high:
        low = parents[low]
        steps += 1
    return steps


@compiled
def _distances(parents: Array, low: Array, high: Array) -> Array:
    found = np.empty(len(low), dtype=np.int64)
    for k in range(len(low)):
        found[k] = distance(parents, low[k], high[k])
    return found


@compiled
def mixed(word: Any) -> Any:
    """Spread a word's bits; Steele, Lea & Flood (2014), doi:10.1145/2660193.2660195."""
    word = (word ^ (word >> np.uint64(30))) * _FIRST
    word = (word ^ (word >> np.uint64(27))) * _SECOND
    return word ^ (word >> np.uint64(31))


@compiled
def _signatures(lead: int, size: int, starts: Array, rows: Array, keys: Array, parents: Array) -> tuple[Array, Array]:
    """Return two hashes of all that each leading column's pivot is made of, and how far up it meets others."""
    hashes = np.zeros((lead, 2), dtype=np.uint64)
    spans = np.zeros(lead, dtype=np.int64)
    for column in range(size):
        for place in range(starts[column], starts[column + 1]):
            row = rows[place]
            if row >= lead:
                continue
            if column < lead:
                far = distance(parents, row, column)
                spans[row] = max(spans[row], far)
                where = np.uint64(2 * far)
            else:
                where = np.uint64(1 + 2 * (column - lead))
            word = mixed(keys[place] + mixed(where + GOLDEN))
            hashes[row, 0] += word
            hashes[row, 1] += mixed(word + GOLDEN)
    for column in range(lead):
        hashes[column, 0], hashes[column, 1] = mixed(hashes[column, 0]), mixed(hashes[column, 1])
        parent = parents[column]
        if parent >= 0:
            spans[parent] = max(spans[parent], spans[column] - 1)
            hashes[parent, 0] += mixed(hashes[column, 0] ^ _LEFT)
            hashes[parent, 1] += mixed(hashes[column, 1] ^ _RIGHT)
    return hashes, spans
