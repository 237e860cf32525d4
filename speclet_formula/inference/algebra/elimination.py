"""Compiled loops over an elimination forest: factor P = C C' class by class, solve with C, invert P on its pattern."""

from typing import NamedTuple

import numpy as np

from speclet_formula.inference.algebra.forest import GOLDEN, ClassMoments, Forest, distance, link_of, mixed
from speclet_formula.inference.algebra.matrix import DrawnColumns
from speclet_formula.inference.algebra.numeric import CompiledRows
from speclet_formula.inference.algebra.symbolic import Array, compiled


class Contexts(NamedTuple):
    """The classes told apart by all that stands above them: their columns share entries of P^-1 too. C contexts."""

    of: Array  # (q,) of each column
    classes: Array  # (C,) of each context, which comes after the one above
    above: Array  # (C,) the context above; -1 at a root
    links: Array  # (C,) the link by which its class stands below
    starts: (
        Array  # (C + 1,) where its entries start: its own, those with the columns above, those with the corner's rows
    )


LOST = 1e-11  # of a diagonal entry: a pivot that is smaller has five digits at the most, and what is told by it none


@compiled
def eliminate(forest: Forest, values: Array, fronts: Array, lost: float) -> bool:
    """Fill the fronts from the values at `forest.entry_places`; False if P is not positive definite, or hardly.

    `lost` is the share of a diagonal entry that a pivot has to exceed.
    """
    for k in range(len(forest.counts)):
        front = _front(forest, fronts, k)
        front[:] = 0.0
        for entry in range(forest.entries[k], forest.entries[k + 1]):
            front[0, forest.entry_kinds[entry]] += values[entry]
        whole = front[0, 0]
        for link in range(forest.links[k], forest.links[k + 1]):
            _take_in(forest, fronts, k, link)
        if not front[0, 0] > lost * whole:
            return False
        root = np.sqrt(front[0, 0])
        front[0, 1:] /= root
        front[0, 0] = root
        for i in range(1, front.shape[0]):
            for j in range(i, front.shape[1]):
                front[i, j] -= front[0, i] * front[0, j]
    return True


@compiled
def _front(forest: Forest, fronts: Array, k: int) -> Array:
    height = forest.spans[k] + 1
    width = height + forest.sides[k + 1] - forest.sides[k]
    return fronts[forest.fronts[k] : forest.fronts[k + 1]].reshape((height, width))


@compiled
def _take_in(forest: Forest, fronts: Array, k: int, link: int) -> None:
    """Add what the columns at a link's lower end hand on."""
    low, times, first = forest.below[link], forest.times[link], forest.maps[link]
    height, inner = forest.spans[k] + 1, forest.spans[low] + 1
    width, sides = height + forest.sides[k + 1] - forest.sides[k], forest.sides[low + 1] - forest.sides[low]
    for i in range(1, inner):  # without a view of either front: links are many, and most are small
        to, at = forest.fronts[k] + (i - 1) * width, forest.fronts[low] + i * (inner + sides)
        for j in range(i, inner):
            fronts[to + j - 1] += times * fronts[at + j]
        for j in range(sides):
            fronts[to + height + forest.map_places[first + j]] += times * fronts[at + inner + j]


@compiled
def take_from_corner(forest: Forest, fronts: Array, corner: Array) -> None:
    """Subtract the products of the classes that meet some of the corner's rows; of all its rows BLAS takes care."""
    for k in range(len(forest.counts)):
        first, count = forest.sides[k], forest.sides[k + 1] - forest.sides[k]
        if count == forest.corner:
            continue
        row = _front(forest, fronts, k)[0, forest.spans[k] + 1 :]
        for i in range(count):
            share = forest.counts[k] * row[i]
            for j in range(i + 1):
                corner[forest.side_rows[first + i], forest.side_rows[first + j]] -= share * row[j]


@compiled
def forward(forest: Forest, fronts: Array, vector: Array) -> None:
    """Solve for the leading part of C x = b, in place; the corner's part is left as what the corner has to solve."""
    sums = np.zeros(len(forest.counts))
    for column in range(forest.lead):
        k = forest.classes[column]
        at, above = forest.fronts[k], column
        entry = vector[column] / fronts[at]
        vector[column] = entry
        sums[k] += entry
        for i in range(forest.spans[k]):
            above = forest.parents[above]
            vector[above] -= fronts[at + 1 + i] * entry
    for k in range(len(sums)):
        _reduce_corner(forest, fronts, k, sums[k], vector[forest.lead :])


@compiled
def _reduce_corner(forest: Forest, fronts: Array, k: int, total: float, right: Array) -> None:
    at, first = forest.fronts[k] + forest.spans[k] + 1, forest.sides[k]
    for j in range(forest.sides[k + 1] - first):
        right[forest.side_rows[first + j]] -= fronts[at + j] * total


@compiled
def backward(forest: Forest, fronts: Array, vector: Array) -> None:
    """Solve for the leading part of C' x = b, in place, given the corner's part of x."""
    shares = np.zeros(len(forest.counts))
    for k in range(len(shares)):
        at, first = forest.fronts[k] + forest.spans[k] + 1, forest.sides[k]
        for j in range(forest.sides[k + 1] - first):
            shares[k] += fronts[at + j] * vector[forest.lead + forest.side_rows[first + j]]
    for column in range(forest.lead - 1, -1, -1):
        k = forest.classes[column]
        at, above, total = forest.fronts[k], column, vector[column] - shares[k]
        for i in range(forest.spans[k]):
            above = forest.parents[above]
            total -= fronts[at + 1 + i] * vector[above]
        vector[column] = total / fronts[at]


@compiled
def add_normals(rng: np.random.Generator, vector: Array) -> None:
    """Add standard normal numbers: those of `rng.standard_normal`, in a third of its time."""
    for k in range(len(vector)):
        vector[k] += rng.standard_normal()


@compiled
def gather(vector: Array, position: Array, kept: DrawnColumns, out: Array) -> None:
    """Fill out with what is kept of a vector by position."""
    for k in range(len(out)):
        column = kept.columns[k]
        out[k] = vector[position[column]] * kept.sizes[k] + kept.centre[k]


@compiled
def quadratic(forest: Forest, moments: ClassMoments, fronts: Array, scales: Array, right: Array) -> float:
    """Return the leading part of r'P^-1 r; reduce the corner's part of r.

    A column's r is the sum of its own numbers times the scales of its class, which start at `moments.owns`. What
    `forward` does to each column is done once for each class, to the numbers that its columns hold.
    """
    starts = np.zeros(len(forest.counts) + 1, dtype=np.int64)
    for k in range(len(forest.counts)):
        starts[k + 1] = starts[k] + (forest.spans[k] + 1) * moments.widths[k]
    held, total = np.zeros(starts[-1]), 0.0
    for k in range(len(forest.counts)):
        own = held[starts[k] : starts[k + 1]].reshape((forest.spans[k] + 1, moments.widths[k]))
        for a in range(moments.owns[k], moments.owns[k + 1]):
            own[0, a - moments.owns[k]] = scales[a]
        for link in range(forest.links[k], forest.links[k + 1]):
            low, slot = forest.below[link], moments.slots[link]
            inner = held[starts[low] : starts[low + 1]].reshape((forest.spans[low] + 1, moments.widths[low]))
            for i in range(1, inner.shape[0]):
                for a in range(inner.shape[1]):
                    own[i - 1, slot + a] += inner[i, a]
        at, added = forest.fronts[k], 0.0
        for a in range(own.shape[1]):
            own[0, a] /= fronts[at]
            added += own[0, a] * moments.sums[moments.starts[k] + a]
            for i in range(1, own.shape[0]):
                own[i, a] -= fronts[at + i] * own[0, a]
        _reduce_corner(forest, fronts, k, added, right)
        total += _square(moments, k, own[0])
    return total


@compiled
def _square(moments: ClassMoments, k: int, shares: Array) -> float:
    total, width, first = 0.0, len(shares), moments.root_starts[k]
    for row in range((moments.root_starts[k + 1] - first) // width):
        entry = 0.0
        for a in range(row, width):
            entry += moments.roots[first + row * width + a] * shares[a]
        total += entry * entry
    return total


def contexts_of(forest: Forest) -> Contexts:
    """Tell the classes apart by all that stands above them."""
    depths, count = _depths(forest.parents), 0
    of, classes, above = np.empty(forest.lead, dtype=np.int64), [], []
    for depth in range(int(depths.max(initial=-1)) + 1):
        columns = np.flatnonzero(depths == depth)
        upper = of[forest.parents[columns]] if depth else np.full(len(columns), -1)
        pairs, places = np.unique((upper + 1) * len(forest.counts) + forest.classes[columns], return_inverse=True)
        of[columns] = count + places
        above.append(pairs // len(forest.counts) - 1)
        classes.append(pairs % len(forest.counts))
        count += len(pairs)
    owners, uppers = np.concatenate(classes), np.concatenate(above)
    links = np.full(count, -1)
    for context in np.flatnonzero(uppers >= 0):
        links[context] = link_of(forest, owners[uppers[context]], owners[context])
    widths = 1 + forest.spans + np.diff(forest.sides)
    return Contexts(of, owners, uppers, links, np.concatenate([[0], np.cumsum(widths[owners])]))


@compiled
def _depths(parents: Array) -> Array:
    depths = np.zeros(len(parents), dtype=np.int64)
    for column in range(len(parents) - 1, -1, -1):
        if parents[column] >= 0:
            depths[column] = depths[parents[column]] + 1
    return depths


@compiled
def invert(forest: Forest, contexts: Contexts, fronts: Array, corner: Array, inverse: Array) -> None:
    """Fill the entries of P^-1 of each context, from the roots on, given those of the corner (b, b).

    With the columns c of C, z[R, k] = -Z[R, R] c / c_kk over the rows R of column k, and
    z[k, k] = (1 / c_kk - c'z[R, k]) / c_kk. All of Z that a column needs belongs to the contexts above.
    """
    for context in range(len(contexts.classes)):
        k = contexts.classes[context]
        column, first = _front(forest, fronts, k)[0], forest.sides[k]
        own = inverse[contexts.starts[context] : contexts.starts[context + 1]]
        own[:] = 0.0
        after = forest.spans[k] + 1
        for i in range(len(own) - after):
            row = forest.side_rows[first + i]
            for j in range(len(own) - after):
                own[after + i] -= corner[row, forest.side_rows[first + j]] * column[after + j]
        _add_above(forest, contexts, inverse, context, column, own)
        own[1:] /= column[0]
        own[0] = (1.0 / column[0] - (column[1:] * own[1:]).sum()) / column[0]


@compiled
def _add_above(forest: Forest, contexts: Contexts, inverse: Array, context: int, column: Array, own: Array) -> None:
    """Take off what the columns above contribute, each with itself, those above it, and the corner's rows."""
    after = forest.spans[contexts.classes[context]] + 1
    places = np.arange(len(own) - after)  # of the corner's rows among those of the column above
    for i in range(1, after):
        first = forest.maps[contexts.links[context]]
        for j in range(len(places)):
            places[j] = forest.map_places[first + places[j]]
        context = contexts.above[context]
        at, reach = contexts.starts[context], forest.spans[contexts.classes[context]] + 1
        own[i] -= inverse[at] * column[i]
        for j in range(i + 1, after):
            own[i] -= inverse[at + j - i] * column[j]
            own[j] -= inverse[at + j - i] * column[i]
        for j in range(len(places)):
            entry = inverse[at + reach + places[j]]
            own[i] -= entry * column[after + j]
            own[after + j] -= entry * column[i]


@compiled
def _entry(forest: Forest, contexts: Contexts, inverse: Array, corner: Array, first: int, second: int) -> float:
    """Return the entry of P^-1 at two columns, in order, that one row of W meets."""
    if first >= forest.lead:
        return float(corner[second - forest.lead, first - forest.lead])
    context = contexts.of[first]
    at, k = contexts.starts[context], contexts.classes[context]
    if second < forest.lead:
        return float(inverse[at + distance(forest.parents, first, second)])
    rows = forest.side_rows[forest.sides[k] : forest.sides[k + 1]]
    return float(inverse[at + 1 + forest.spans[k] + np.searchsorted(rows, second - forest.lead)])


@compiled
def paired_entries(
    forest: Forest, contexts: Contexts, inverse: Array, corner: Array, first: Array, second: Array, out: Array
) -> None:
    """Fill out with entries of P^-1 at pairs of columns, in order, that meet."""
    for k in range(len(out)):
        out[k] = _entry(forest, contexts, inverse, corner, first[k], second[k])


@compiled
def spreads(
    forest: Forest, contexts: Contexts, inverse: Array, corner: Array, rows: CompiledRows, chosen: Array, out: Array
) -> None:
    """Fill out with w'P^-1 w of some rows of W."""
    for place in range(len(chosen)):
        total, first, last = 0.0, rows.starts[chosen[place]], rows.starts[chosen[place] + 1]
        for a in range(first, last):
            column, value = rows.columns[a], rows.values[a]
            total += value**2 * _entry(forest, contexts, inverse, corner, column, column)
            for b in range(first, a):
                low, high = min(column, rows.columns[b]), max(column, rows.columns[b])
                total += 2.0 * value * rows.values[b] * _entry(forest, contexts, inverse, corner, low, high)
        out[place] = total


@compiled
def row_signatures(forest: Forest, contexts: Contexts, rows: CompiledRows) -> Array:
    """Return two hashes (n, 2) of all that w'P^-1 w depends on."""
    words = rows.values.view(np.uint64)
    found = np.zeros((len(rows.starts) - 1, 2), dtype=np.uint64)
    for row in range(len(found)):
        lowest = forest.lead
        for a in range(rows.starts[row], rows.starts[row + 1]):
            lowest = min(lowest, rows.columns[a])
        head = np.uint64(0) if lowest == forest.lead else np.uint64(contexts.of[lowest] + 1)
        word = mixed(head + GOLDEN)
        found[row, 0], found[row, 1] = word, mixed(word)
        for a in range(rows.starts[row], rows.starts[row + 1]):
            if rows.columns[a] >= forest.lead:
                where = np.uint64(1 + 2 * (rows.columns[a] - forest.lead))
            else:
                where = np.uint64(2 * distance(forest.parents, lowest, rows.columns[a]))
            word = mixed(words[a] + mixed(where + GOLDEN))
            found[row, 0] += word
            found[row, 1] += mixed(word + GOLDEN)
    return found
