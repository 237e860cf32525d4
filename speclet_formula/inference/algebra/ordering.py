"""An order of elimination for a sparse symmetric matrix P, and the last rows that are kept as a whole matrix.

Of two crossed factors with thousands of levels one is eliminated level by level, which is cheap, and what is left of
the other is full: a whole matrix, which BLAS factors at a rate that no sparse code reaches. An approximate minimum
degree keeps a little less and takes longer; it orders what has no such shape.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from speclet_formula.inference.algebra.forest import component_order
from speclet_formula.inference.algebra.symbolic import Array, minimum_degree

SMALL_CORNER = 200  # rows up to which a whole corner costs nothing
LARGE_CORNER = 50_000  # rows up to which it is kept whole where it is full: any order would fill it
FULL_CORNER = 0.05  # share of entries from which on it fills whatever the order is
SAMPLED = 200  # rows of the corner whose entries are counted


class Ordered(NamedTuple):
    """A permuted pattern. p rows."""

    order: Array  # (p,) the row at each position
    starts: Array  # (p + 1,) the permuted upper triangle in compressed columns, ...
    rows: Array  # ... and its rows, in order
    corner: int  # the last rows that form a whole matrix, at least


def ordered(size: int, first: Array, second: Array, *, ranks: Array | None = None, last: int = 0) -> Ordered:
    """Find an order that keeps the factor sparse, or its corner whole where that is quicker.

    Parameters
    ----------
    size : int
        p, the rows of P.
    first, second : arrays of int
        Its entries off the diagonal, in either half and as often as may be.
    ranks : array of int, shape (p,), optional
        As `component_order` takes them.
    last : int
        The first rows, so many, are eliminated last.
    """
    rows = np.concatenate([first, second, np.arange(size)])
    columns = np.concatenate([second, first, np.arange(size)])
    pattern = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)).tocsc()
    found = None if ranks is None else order_by_blocks(ranks, pattern, most=LARGE_CORNER)
    if found is None:
        order, corner = np.concatenate([last + minimum_degree(pattern[last:][:, last:]), np.arange(last)]), last
    else:
        order, corner = found[0], size - found[1]
    tail = order[size - corner :]
    order = np.concatenate([order[: size - corner], tail[tail >= last], np.arange(last)])
    permuted = sparse.triu(pattern[order][:, order], format="csc")
    permuted.sort_indices()
    return Ordered(order, permuted.indptr.astype(np.int64), permuted.indices.astype(np.int64), corner)


def order_by_blocks(ranks: Array, pattern: Any, *, most: int | None = None) -> tuple[Array, int] | None:
    """Return an order by blocks and the number of leading columns, as `component_order` does, which takes both.

    None too where the corner is large and stays sparse: of genes that few others share a construct with.
    """
    found = component_order(ranks, pattern, most=most)
    if found is None:
        return None
    order, lead = found
    return None if len(order) - lead > SMALL_CORNER and _filled(pattern, order, lead) < FULL_CORNER else found


def _filled(pattern: Any, order: Array, lead: int) -> float:
    """Return about what share of the corner's entries are there once all else is eliminated."""
    columns, corner = order[:lead], order[lead:]
    chosen = np.unique(np.linspace(0, len(corner) - 1, SAMPLED).astype(int))
    count, component = connected_components(pattern[columns][:, columns], directed=False)
    members = sparse.csr_array((np.ones(lead), (component, np.arange(lead))), shape=(count, lead))
    meets = members @ pattern[columns][:, corner]  # what is connected meets, once eliminated, whatever it met
    return float((meets[:, chosen].T @ meets + pattern[corner[chosen]][:, corner]).nnz) / len(corner) / len(chosen)
