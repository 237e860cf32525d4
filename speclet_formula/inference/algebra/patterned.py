"""Normal equations whose levels repeat few patterns of counts: an evaluation costs the same however many there are.

P = W'W / s2 + D^-1 is eliminated once for each class of its leading columns; what is left, the corner, is a small whole
matrix. Of r only sums and products over the classes are needed for r'P^-1 r, and rows of one kind share their entry of
the inverse. Solving and drawing go once through the coefficients.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from speclet_formula.inference.algebra.elimination import (
    LOST,
    Contexts,
    add_normals,
    backward,
    contexts_of,
    eliminate,
    forward,
    gather,
    invert,
    paired_entries,
    quadratic,
    row_signatures,
    spreads,
    take_from_corner,
)
from speclet_formula.inference.algebra.forest import (
    ClassMoments,
    Forest,
    Upper,
    alike,
    forest_of,
    moments_of,
)
from speclet_formula.inference.algebra.matrix import CompressedRows, DrawnColumns
from speclet_formula.inference.algebra.numeric import CompiledRows, inverse_corner
from speclet_formula.inference.algebra.ordering import order_by_blocks

MOST_WHOLE = 10_000  # numbers of a matrix that is not held sparse


class PatternedRows(NamedTuple):
    """Rows of W by kinds: those of one kind share w'P^-1 w. n rows."""

    rows: CompiledRows
    contexts: Contexts
    first: np.ndarray  # the first row of each kind
    kinds: np.ndarray  # (n,)


@dataclass(frozen=True, eq=False)
class PatternedEquations:
    """Normal equations in classes of leading columns. p coefficients."""

    upper: Upper
    forest: Forest
    order: np.ndarray  # (p,) the coefficient at each position
    moment: np.ndarray  # (p,) W'y, by position
    moments: ClassMoments | None  # its sums and products; None where r'P^-1 r takes a pass over the coefficients
    pull: Any = None  # sparse (p, m), by position, as `NormalEquations` has it

    @property
    def work(self) -> int:
        """About how many numbers an evaluation goes through."""
        return int(self.forest.fronts[-1]) + (len(self.order) if self.moments is None else len(self.moments.roots))

    @cached_property
    def position(self) -> np.ndarray:
        """(p,) where each coefficient stands."""
        return np.argsort(self.order)

    @cached_property
    def contexts(self) -> Contexts:
        """The classes told apart by what stands above them."""
        return contexts_of(self.forest)

    def factored(
        self, s2: np.ndarray, numbers: np.ndarray, *, beside: int = 0
    ) -> Iterator[tuple[slice, "PatternedFactors"]]:
        """Go through N draws of the variances: which, and their factors, in the same arrays for all.

        Those whose P is not positive definite, or so hardly that rounding decides, are left out.
        """
        del beside
        elimination = Elimination(self.upper, self.forest)
        (leading, of_leading), (inside, of_inside) = (
            (self.upper.gram[places], self.upper.numbers[places])
            for places in (self.forest.entry_places, elimination.inside)
        )
        for k in range(len(s2)):
            added = np.append(numbers[k], 0.0)  # number -1 is for none
            lower = elimination.run(leading / s2[k] + added[of_leading], inside / s2[k] + added[of_inside], LOST)
            if lower is not None:
                yield slice(k, k + 1), PatternedFactors(self, elimination.fronts, lower, float(s2[k]), numbers[k])

    def scales(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return what the moments of each class are multiplied by in r, (K,)."""
        del numbers
        return np.full(len(self.forest.counts), 1 / s2)

    def right(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return r = W'y / s2 + D^-1 (m - c), (p,), by position."""
        vector = self.moment / s2
        if self.moments is None and self.pull is not None:
            vector += self.pull @ numbers
        else:
            vector[self.forest.lead :] = self.corner_right(s2, numbers)
        return np.asarray(vector)

    def corner_right(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return r in the corner, (b,)."""
        vector = self.moment[self.forest.lead :] / s2
        return vector if self.pull is None else vector + self._corner_pull @ numbers

    @cached_property
    def _corner_pull(self) -> Any:
        # Once: of 100,000 rows this takes as long as an evaluation, and a sparse product of few rows as long as both.
        rows = self.pull[self.forest.lead :]
        return rows.toarray() if rows.shape[0] * rows.shape[1] <= MOST_WHOLE else rows

    def moved(self, moment: np.ndarray, pull: Any) -> "PatternedEquations":
        """Return the equations of the same W with another W'y (p,) and D^-1 (m - c) by the numbers of D^-1 (p, m)."""
        permuted, known = moment[self.order], pull[self.order] if pull.nnz else None
        by_class = known is None or not known[: self.forest.lead].nnz
        return replace(
            self, moment=permuted, moments=moments_of(self.forest, permuted) if by_class else None, pull=known
        )

    def less(self, rows: CompressedRows) -> "PatternedEquations":
        """Take rows out: what they leave behind are classes of their own."""
        first, second, products = rows.gram
        gram = self.upper.gram.copy()
        gram[upper_places(self.upper, self.position[first], self.position[second])] -= products
        moment = self.moment - rows.moment[self.order]
        upper = self.upper._replace(gram=gram)
        forest = cast(Forest, forest_of(upper, self.forest.lead, most=1.0))
        return replace(self, upper=upper, forest=forest, moment=moment, moments=None)

    def prepared(self, W: Any) -> PatternedRows:
        """Return sparse rows (n, p) as `Factors.spreads` takes them."""
        return rows_by_kinds(self.forest, self.contexts, self.position, W)

    def prior_inverse(self, factors: "PatternedFactors", first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the entries of P^-1 where the prior's precision has its own."""
        ends = self.position[first], self.position[second]
        found = np.empty(len(first))
        inverse, corner = factors.inverse(self.contexts)
        paired_entries(self.forest, self.contexts, inverse, corner, np.minimum(*ends), np.maximum(*ends), found)
        return found

    def drawn(self, means: np.ndarray) -> np.ndarray:
        """Return, for each of the prior's numbers (m,), how far it draws coefficients (p,): u'D^-1 (m - c)."""
        count = 1 + int(self.upper.numbers.max(initial=-1))
        return np.zeros(count) if self.pull is None else np.asarray(self.pull.T @ means[self.order])


def rows_by_kinds(forest: Forest, contexts: Contexts, position: np.ndarray, W: Any) -> PatternedRows:
    """Return sparse rows (n, p) by kinds; `position` is where each coefficient stands."""
    rows = CompiledRows(W.indptr.astype(np.int64), position[W.indices], W.data)
    return PatternedRows(rows, contexts, *alike(row_signatures(forest, contexts, rows)))


class Elimination:
    """Factors P for many sets of its entries, in the same arrays for all."""

    def __init__(self, upper: Upper, forest: Forest) -> None:
        first, owners = upper.starts[forest.lead], np.diff(upper.starts[forest.lead :])
        self.inside = first + np.flatnonzero(upper.rows[first:] >= forest.lead)  # the corner's entries in `upper`
        rows = np.repeat(np.arange(forest.corner), owners)[self.inside - first]
        self._places = rows, upper.rows[self.inside] - forest.lead
        self._forest, self._wide = forest, _wide(forest)
        self.fronts = np.empty(forest.fronts[-1])
        self._corner = np.zeros((forest.corner, forest.corner))

    def run(self, leading: np.ndarray, inside: np.ndarray, lost: float) -> np.ndarray | None:
        """Fill the fronts, and return the corner's lower triangle; None where P is not positive definite.

        `leading` are the entries at `forest.entry_places`; `lost` is the share of a diagonal entry that its pivot has
        to exceed.
        """
        forest, fronts, corner = self._forest, self.fronts, self._corner
        if not eliminate(forest, leading, fronts, lost):
            return None
        corner[:] = 0.0
        corner[self._places] = inside
        whole = np.diagonal(corner).copy()
        take_from_corner(forest, fronts, corner)
        if len(self._wide.roots):
            sides = self._wide.roots[:, None] * fronts[self._wide.places]
            corner -= sides.T @ sides
        try:
            lower = np.linalg.cholesky(corner)
        except np.linalg.LinAlgError:
            return None
        return lower if (np.diagonal(lower) ** 2 > lost * whole).all() else None


class ClassEquations(Protocol):
    """What factors by classes ask of the equations that they belong to."""

    @property
    def forest(self) -> Forest:
        """The leading columns."""
        ...

    @property
    def order(self) -> np.ndarray:
        """(p,) the coefficient at each position."""
        ...

    @property
    def position(self) -> np.ndarray:
        """(p,) where each coefficient stands."""
        ...

    @property
    def moments(self) -> ClassMoments | None:
        """Sums and products for r'P^-1 r."""
        ...

    def right(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return r, (p,), by position."""
        ...

    def corner_right(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return r in the corner, (b,)."""
        ...

    def scales(self, s2: float, numbers: np.ndarray) -> np.ndarray:
        """Return what the moments' own numbers are multiplied by in r."""
        ...


@dataclass(frozen=True, eq=False)
class PatternedFactors:
    """C of one P = C C': the fronts of the leading classes, and the corner's lower triangle."""

    equations: ClassEquations
    fronts: np.ndarray
    corner: np.ndarray  # (b, b)
    s2: float
    numbers: np.ndarray  # (m,)

    @property
    def log_determinants(self) -> np.ndarray:
        """(1,) log|P|."""
        forest = self.equations.forest
        leading = forest.counts @ np.log(self.fronts[forest.fronts[:-1]])
        return np.array([2 * (leading + np.log(np.diagonal(self.corner)).sum())])

    @property
    def half(self) -> np.ndarray:
        """(1, p) C^-1 r, by position."""
        vector = self.equations.right(self.s2, self.numbers)
        self._forward(vector)
        return vector[None]

    @property
    def explained(self) -> np.ndarray:
        """(1,) r'P^-1 r."""
        forest, moments = self.equations.forest, self.equations.moments
        if moments is None:
            return np.asarray((self.half**2).sum(axis=1))
        right = self.equations.corner_right(self.s2, self.numbers)
        scales = self.equations.scales(self.s2, self.numbers)
        leading = quadratic(forest, moments, self.fronts, scales, right)
        return np.array([leading + (_solved(self.corner, right) ** 2).sum()])

    def backward(self, half: np.ndarray) -> np.ndarray:
        """Return C'^-1 times a vector (1, p) by position, in the coefficients' own order."""
        lead, vector, solved = self.equations.forest.lead, half[0].copy(), np.empty_like(half)
        vector[lead:] = _solved(self.corner, vector[lead:], transposed=True)
        backward(self.equations.forest, self.fronts, vector)
        solved[0, self.equations.order] = vector
        return solved

    def tail(self, count: int) -> np.ndarray:
        """Return the last diagonal entries of C, (1, count), which lie in the corner."""
        return np.diagonal(self.corner)[None, len(self.corner) - count :]

    def solve(self, vector: np.ndarray) -> np.ndarray:
        """Return P^-1 times a vector (p,), both in the coefficients' own order."""
        half = vector[self.equations.order]
        self._forward(half)
        return np.asarray(self.backward(half[None])[0])

    def draw(self, rng: np.random.Generator, kept: DrawnColumns, out: np.ndarray) -> None:
        """Fill out (1, c) with a draw of the coefficients: one pass forward, one of normals, one backward, in place."""
        forest, vector = self.equations.forest, self.equations.right(self.s2, self.numbers)
        self._forward(vector)
        add_normals(rng, vector)
        vector[forest.lead :] = _solved(self.corner, vector[forest.lead :], transposed=True)
        backward(forest, self.fronts, vector)
        gather(vector, self.equations.position, kept, out[0])

    def spreads(self, rows: PatternedRows, *, given: int = 0) -> np.ndarray:
        """Return w'P^-1 w, (1, n), of n rows; the last rows of P, so many as are `given`, are left out of it."""
        forest, kinds = self.equations.forest, np.empty(len(rows.first))
        if len(rows.first) * len(self.equations.order) < rows.contexts.starts[-1] + forest.corner**3:
            for place, row in enumerate(rows.first):
                entries = slice(rows.rows.starts[row], rows.rows.starts[row + 1])
                w = np.zeros(len(self.equations.order))
                w[rows.rows.columns[entries]] = rows.rows.values[entries]
                kinds[place] = self._square(w, given)
        else:
            inverse, corner = self.inverse(rows.contexts, given=given)
            spreads(forest, rows.contexts, inverse, corner, rows.rows, rows.first, kinds)
        return np.asarray(kinds[rows.kinds][None])

    def inverse(self, contexts: Contexts, *, given: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the entries of P^-1 of each context, and its corner (b, b)."""
        corner, inverse = inverse_corner(self.corner, given), np.empty(contexts.starts[-1])
        invert(self.equations.forest, contexts, self.fronts, corner, inverse)
        return inverse, corner

    def squares(self, vectors: np.ndarray) -> np.ndarray:
        """Return v'P^-1 v, (1, n), of any vectors (n, p) in the coefficients' own order."""
        return np.array([[self._square(vector[self.equations.order]) for vector in vectors]])

    def _square(self, vector: np.ndarray, given: int = 0) -> float:
        """Return the same of a vector by position, which is used up."""
        self._forward(vector)
        free = vector[: len(vector) - given]
        return float(free @ free)

    def _forward(self, vector: np.ndarray) -> None:
        """Overwrite a vector b by the solution of C x = b."""
        lead = self.equations.forest.lead
        forward(self.equations.forest, self.fronts, vector)
        vector[lead:] = _solved(self.corner, vector[lead:])


def patterned_equations(
    gram: Any, pattern: Any, moment: np.ndarray, prior: tuple[np.ndarray, np.ndarray, np.ndarray], ranks: np.ndarray
) -> PatternedEquations | None:
    """Order P and find its classes.

    Parameters
    ----------
    gram, pattern : scipy sparse arrays (p, p)
        W'W, and where it has entries: a sum that happens to be 0 keeps its place.
    moment : array of shape (p,)
        W'y.
    prior : tuple of arrays
        Rows, columns and numbers of the upper triangle of the prior's precision.
    ranks : array of int, shape (p,)
        As `component_order` takes them.

    Returns
    -------
    PatternedEquations or None
        None where the levels have too little in common.
    """
    above, right, numbers = prior
    beside = sparse.csr_array((np.ones(len(above)), (above, right)), shape=pattern.shape)
    whole = (abs(pattern) + beside + beside.T).tocsr()
    ordered = order_by_blocks(ranks, whole)
    if ordered is None:
        return None
    order, lead = ordered
    position = np.argsort(order)
    upper = _upper(whole, gram.tocsr(), position, (position[above], position[right], numbers))
    forest = forest_of(upper, lead)
    if forest is None:
        return None
    return PatternedEquations(upper, forest, order, moment[order], moments_of(forest, moment[order]))


def upper_pattern(whole: Any, position: np.ndarray) -> Upper:
    """Return the places of P's upper triangle in the order of elimination; without numbers."""
    size = len(position)
    keys, _ = _upper_keys(whole, position)
    keys.sort()
    starts = np.searchsorted(keys, np.arange(size + 1) * size).astype(np.int64)
    keys %= size
    return Upper(size, starts, keys, np.zeros(len(keys)), np.full(len(keys), -1))


def _upper(whole: Any, gram: Any, position: np.ndarray, prior: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Upper:
    """Return P's upper triangle in the order of elimination."""
    upper = upper_pattern(whole, position)
    keys, kept = _upper_keys(gram, position)
    order = np.argsort(keys)  # what is looked for in order is found near what was looked for before
    places = np.searchsorted(_keys_of(upper), keys[order])
    del keys
    upper.gram[places] = gram.data[kept][order]
    upper.numbers[upper_places(upper, prior[0], prior[1])] = prior[2]
    return upper


def _upper_keys(matrix: Any, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the places of a symmetric CSR matrix's upper triangle, by position, and tell which entries lie in it.

    Of 10^7 entries each array of whole numbers is 80 MB: positions are held in half of that, and let go early.
    """
    short = position.astype(np.int32 if len(position) < np.iinfo(np.int32).max else np.int64)
    rows, columns = np.repeat(short, np.diff(matrix.indptr)), short[matrix.indices]
    kept = rows <= columns
    rows, columns = rows[kept], columns[kept]
    keys = columns.astype(np.int64)
    keys *= len(position)
    keys += rows
    return keys, kept


def _keys_of(upper: Upper) -> np.ndarray:
    keys = np.repeat(np.arange(upper.size) * upper.size, np.diff(upper.starts))
    keys += upper.rows
    return keys


def upper_places(upper: Upper, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return where entries stand in the upper triangle, by position."""
    wanted = np.maximum(first, second) * upper.size + np.minimum(first, second)
    return np.asarray(np.searchsorted(_keys_of(upper), wanted))


class _Wide(NamedTuple):
    """The classes that meet every row of the corner."""

    roots: np.ndarray  # (w,) the square roots of their numbers of columns
    places: np.ndarray  # (w, b) where their parts in the corner stand among the fronts


def _wide(forest: Forest) -> _Wide:
    widths = np.diff(forest.sides)
    classes = np.flatnonzero((widths == forest.corner) & (widths > 0))
    starts = forest.fronts[classes] + forest.spans[classes] + 1
    return _Wide(np.sqrt(forest.counts[classes]), starts[:, None] + np.arange(forest.corner))


def _solved(lower: np.ndarray, right: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    """Solve with the corner's factor, or with its transpose."""
    if not len(right):
        return right
    return np.asarray(lapack.dtrtrs(lower.T, right, trans=int(not transposed))[0])  # lower.T in Fortran's order
