"""The normal equations of a design, P = W'W / s2 + D^-1 and r = W'y / s2, in units and from a centre that save digits.

P is factored as a whole matrix where it is small, else as a sparse one. What the equations say for draws of the
variances is `solutions`' to tell; what the variances are, and their priors, that of the exact engine's `density`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse as matrices

from speclet_formula.design import Design, GroupBlock, centre_of
from speclet_formula.design.merged import moments_of
from speclet_formula.inference.algebra.dense import DenseMatrix
from speclet_formula.inference.algebra.layout import CoefficientLayout, Entries, layout_of, prior_entries, ranks_of
from speclet_formula.inference.algebra.matrix import CompressedRows, Equations, Factors, Matrix
from speclet_formula.inference.algebra.rotated import RotatedEquations, arrow_matrix, rotation_of

FEWEST_LEADING = 16  # levels of a factor that are worth an elimination of their own
MOST_DENSE = 150  # coefficients up to which whole matrices are as quick as sparse ones, whose loops must be compiled
ROWS_AT_ONCE = 2**20  # of W, whose products are added up
RIDGE = 1e-10  # of the largest diagonal entry: what makes collinear columns' equations solvable
REFINEMENTS = 3
# Eigenvectors of q levels cost some 25 q^3 multiplications; a fit's factors, thousands of them, mostly more. Up to so
# many levels, and coefficients beside them, they are found.
FACTORS_OF_A_FIT, MOST_ROTATED, MOST_BESIDE = 400, 4_000, 200


@dataclass(frozen=True, eq=False)
class Units:
    """What the equations count in. Powers of two, so that scaling rounds nothing; ones where nothing is scaled."""

    response: float
    coefficients: np.ndarray  # (p,) a change of each coefficient that moves the response by about its own unit
    numbers: np.ndarray  # (m,) of the prior's distinct precisions

    @property
    def log_determinant(self) -> float:
        """What is added to log|P| for P in the coefficients' own units."""
        return float(-2 * np.log(self.coefficients).sum())


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Normal equations as entries of a matrix. p coefficients, m numbers of the prior."""

    matrix: Matrix
    gram: np.ndarray  # W'W, as what fills the matrix
    places: np.ndarray  # what the prior's precision adds to, each once, ...
    numbers: np.ndarray  # ... and which of its distinct numbers each gets
    moment: np.ndarray  # (p,) W'y, by position
    pull: Any = None  # (p, m) D^-1 (m - c), by position and the numbers of D^-1: what the prior draws to; None for zero
    factors: np.ndarray | None = None  # what each number is multiplied by where it stands; None for one

    @property
    def work(self) -> int:
        """About how many numbers a factorisation goes through."""
        return self.matrix.work

    def factored(self, s2: np.ndarray, numbers: np.ndarray, *, beside: int = 0) -> Iterator[tuple[slice, Factors]]:
        """Go through N draws of the variances by parts: which, and their factors, made with r."""

        def fill(part: slice) -> tuple[np.ndarray, np.ndarray]:
            filled = self.gram / s2[part, None]
            if len(filled) == 1:  # as for sparse matrices always: twice as quick
                prior = numbers[part.start][self.numbers]
                filled[0][self.places] += prior if self.factors is None else prior * self.factors
            else:
                prior = numbers[part][:, self.numbers]
                filled[:, self.places] += prior if self.factors is None else prior * self.factors
            right = self.moment / s2[part, None]
            if self.pull is not None:
                right += (self.pull @ numbers[part].T).T
            return filled, right

        return self.matrix.factored(len(s2), fill, beside=beside)

    def moved(self, moment: np.ndarray, pull: Any) -> "NormalEquations":
        """Return the equations of the same W with another W'y (p,) and D^-1 (m - c) by the numbers of D^-1 (p, m)."""
        order = self.matrix.order
        known = pull.toarray() if isinstance(self.matrix, DenseMatrix) else pull
        return replace(self, moment=moment[order], pull=known[order] if pull.nnz else None)

    def less(self, rows: CompressedRows) -> "NormalEquations":
        """Take rows out: the pattern stays."""
        first, second, products = rows.gram
        gram = self.gram.copy()
        gram[self.matrix.places(first, second)] -= products
        return replace(self, gram=gram, moment=self.moment - rows.moment[self.matrix.order])

    def prepared(self, W: Any) -> Any:
        """Return sparse rows (n, p) as `Factors.spreads` takes them."""
        return self.matrix.prepared(W)

    def prior_inverse(self, factors: Any, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the entries of one P^-1 where the prior's precision has its own."""
        return np.asarray(factors.between(first, second))

    def drawn(self, means: np.ndarray) -> np.ndarray:
        """Return, for each of the prior's numbers (m,), how far it draws coefficients (p,): u'D^-1 (m - c)."""
        count = 1 + int(self.numbers.max(initial=-1))
        return np.zeros(count) if self.pull is None else np.asarray(self.pull.T @ means[self.matrix.order])


@dataclass(frozen=True, eq=False)
class Sums:
    """What the rows of a design add up to. n rows, p coefficients."""

    W: Any  # (n, p) scipy CSR
    response: np.ndarray  # (n,) less offset and shift
    weights: np.ndarray  # (n,)
    gram: Any  # (p, p) sparse W'W
    moment: np.ndarray  # (p,) W'y
    square: float  # y'y, with what merged rows left around their means


@dataclass(frozen=True, eq=False)
class System:
    """The normal equations of a design, analysed. n rows, p coefficients."""

    layout: CoefficientLayout
    W: Any  # (n, p) scipy CSR, in the coefficients' own order; fixed columns are centred
    response: np.ndarray  # (n,) the response less offset, known means and what W times the centre predicts
    weights: np.ndarray  # (n,)
    equations: Equations
    square: float  # y'y, with what merged rows left around their means; all three weighted
    within: float  # the latter by itself
    units: Units  # of the equations; all else is in units of the data
    prior: Entries
    centre: np.ndarray  # (p,) what the coefficients are measured from, itself measured from the prior's means
    pull: np.ndarray  # (m,) c'D^-1 c, c the centre, as a linear function of D^-1's numbers
    count: int  # of rows, as they were before they were merged
    log_weights: float  # the sum of the logs of their weights
    factors: np.ndarray | None = None  # what the prior's entries are multiplied by; None for one


def build_system(
    design: Design,
    *,
    means: tuple[tuple[int, int], ...],
    shift: np.ndarray | None = None,
    precisions: np.ndarray | None = None,
    algebra: Literal["auto", "sparse"] = "auto",
) -> System:
    """Form, order and analyse the normal equations.

    Parameters
    ----------
    design : Design
        n rows.
    means : tuple of (block, column)
        The group means that are coefficients of their own.
    shift : array of shape (n,), optional
        What the prior's means predict; it is taken off the response.
    precisions : array of shape (fixed effects + means,), optional
        Those of their priors. The equations are then scaled, and the response is measured from a centre, so that
        neither the units nor the place of anything cost digits. Else they are those of the data as they are.
    algebra : {"auto", "sparse"}
        Whole matrices where there are few coefficients, elimination by classes where levels repeat few patterns, else
        sparse matrices; or these in any case.
    """
    layout = layout_of(design, means)
    sums, moments = sums_of(design, layout, shift), moments_of(design)
    prior, factors = prior_entries(layout)
    gram, units = sums.gram, _no_units(layout, prior)
    if precisions is not None:
        units = _units(layout, prior, gram, sums.square, float(sums.weights.sum()))
        gram = _scaled(gram, units)
    dense = algebra == "auto" and layout.size <= MOST_DENSE
    pattern = None if dense else pattern_of(gram, sums.W)
    by_classes = algebra == "auto" and not dense and factors is None
    equations: Equations | None = _by_classes(layout, gram, pattern, sums.moment, prior) if by_classes else None
    if equations is None:
        ranks = ranks_of(layout)
        matrix = _whole(layout) if dense else matrix_of(layout.size, pattern, prior[:2], ranks=ranks)
        equations = _equations(matrix, gram, sums.moment, prior, factors)
        if algebra == "auto" and (related := rotated_block(layout, matrix)) is not None:
            equations = _rotated(layout, related, gram, sums.moment, equations)
    system = System(
        layout=layout,
        W=sums.W,
        response=sums.response,
        weights=sums.weights,
        equations=equations,
        square=sums.square,
        within=moments.within,
        units=units,
        prior=prior,
        centre=np.zeros(layout.size),
        pull=np.zeros(len(units.numbers)),
        count=moments.count,
        log_weights=moments.log_weights,
        factors=factors,
    )
    return system if precisions is None else moved(system, _first_centre(system, gram, precisions))


def _by_classes(layout: CoefficientLayout, gram: Any, pattern: Any, moment: np.ndarray, prior: Entries) -> Any:
    """Return equations that are eliminated by classes, or None where the levels have too little in common."""
    # Here and not at the top, as for the sparse ones below.
    from speclet_formula.inference.algebra.patterned import patterned_equations

    return patterned_equations(gram, pattern, moment, prior, ranks_of(layout))


def rotated_block(layout: CoefficientLayout, matrix: Any) -> int | None:
    """Return the only block of related levels if its coordinates are worth their eigenvectors; None if none is.

    A factor of P is to be filled by them in good part, and what else there is to be little.
    """
    related = [block for block, known in enumerate(layout.relations) if known is not None]
    if len(related) != 1 or layout.widths[related[0]] != 1 or isinstance(matrix, DenseMatrix):
        return None
    q = layout.levels[related[0]]
    worth = matrix.operations > q**3 / FACTORS_OF_A_FIT and q <= MOST_ROTATED and layout.size - q <= MOST_BESIDE
    return related[0] if worth else None


def arrow_work(layout: CoefficientLayout, block: int) -> int:
    """Return about how many numbers a factor in the coordinates of a block of related levels goes through."""
    return (layout.size + 1 - layout.levels[block]) * layout.size


def _rotated(
    layout: CoefficientLayout, block: int, gram: Any, moment: np.ndarray, plain: NormalEquations
) -> RotatedEquations:
    """Return equations whose related effects are eliminated one by one."""
    relation, start, q = layout.relations[block], layout.starts[block], layout.levels[block]
    assert relation is not None
    related = slice(start, start + q)
    rows = gram.tocsr()
    rotation, values = rotation_of(rows[related][:, related], relation.drawn(np.eye(q)))
    matrix = arrow_matrix(layout.size, start, q)
    turned = rows.toarray()
    turned[:, related] = turned[:, related] @ rotation
    turned[related] = rotation.T @ turned[related]
    turned[related, related] = np.diag(values)
    independent = replace(layout, relations=(None,) * len(layout.relations))
    prior, _ = prior_entries(independent)
    inner = _equations(matrix, matrices.csr_array(turned), moment, prior, None)
    return RotatedEquations(inner, plain, rotation, start, relation.log_determinant).with_moment(moment)


def _whole(layout: CoefficientLayout) -> DenseMatrix:
    """Return a whole matrix; a factor of many levels leads: a row of W meets only one of them."""
    ranks = ranks_of(layout)
    first = int(np.argmax(layout.levels)) if layout.levels else 0
    alone = layout.levels and layout.widths[first] == layout.met[first] == 1 and not layout.relations[first]
    lead = layout.levels[first] if alone else 0
    return DenseMatrix(np.argsort(ranks, kind="stable"), lead if lead >= FEWEST_LEADING else 0)


def shared_work(design: Design) -> int | None:
    """Return how many numbers an elimination by classes goes through; None where the levels have too little in common.

    None too where there are so few coefficients that whole matrices are as quick.
    """
    layout = layout_of(design, ())
    if layout.size <= MOST_DENSE or layout.has_relations:
        return None
    sums = sums_of(design, layout)
    equations = _by_classes(layout, sums.gram, pattern_of(sums.gram, sums.W), sums.moment, prior_entries(layout)[0])
    return None if equations is None else equations.work


def sums_of(design: Design, layout: CoefficientLayout, shift: np.ndarray | None = None) -> Sums:
    """Add up the rows of a design, whose response is less a shift (n,)."""
    weights = np.ones(len(design.response)) if design.weights is None else design.weights
    W = design_rows(design, layout)
    response = design.response - design.mean.offset - (0.0 if shift is None else shift)
    square = float(weights @ response**2) + moments_of(design).within
    return Sums(W, response, weights, _gram(W, design.weights), W.T @ (weights * response), square)


def matrix_of(
    size: int,
    pattern: Any,
    beside: tuple[np.ndarray, np.ndarray],
    order: np.ndarray | None = None,
    *,
    ranks: np.ndarray | None = None,
    last: int = 0,
) -> Matrix:
    """Return a whole matrix where no sparse pattern (p, p) is given, else a sparse one with the entries beside it too.

    `order` is that of a whole matrix; the rows' own by default. `ranks` and `last` order a sparse one.
    """
    if pattern is None:
        return DenseMatrix(np.arange(size) if order is None else order)
    # Here and not at the top: loading what compiles the loops takes a second.
    from speclet_formula.inference.algebra.sparse import sparse_matrix

    entries = pattern.tocoo()
    upper = entries.row < entries.col
    first, second = (
        np.concatenate(pair) for pair in zip((entries.row[upper], entries.col[upper]), beside, strict=True)
    )
    return sparse_matrix(size, first, second, ranks=ranks, last=last)


def filled(matrix: Matrix, gram: Any) -> np.ndarray:
    """Return a symmetric (p, p) as what fills a matrix: sparse, or whole as the matrix is."""
    if isinstance(gram, np.ndarray):
        square = np.zeros((len(gram) + 1, len(gram) + 1))
        square[:-1, :-1] = gram[matrix.order][:, matrix.order]
        return square.ravel()
    entries = gram.tocoo()
    below = matrix.position[entries.row] - matrix.position[entries.col]
    # The half that the matrix is filled with: the other one may be rounded otherwise, where rows have weights.
    half = below >= 0 if isinstance(matrix, DenseMatrix) else below <= 0
    numbers = np.zeros(matrix.entries)
    numbers[matrix.places(entries.row[half], entries.col[half])] = entries.data[half]
    return numbers


def _equations(
    matrix: Matrix, gram: Any, moment: np.ndarray, prior: Entries, factors: np.ndarray | None
) -> NormalEquations:
    (above, right, numbers), filling = prior, filled(matrix, gram)
    places = matrix.places(above, right)
    return NormalEquations(matrix, filling, places, numbers, moment[matrix.order], factors=factors)


def moved(system: System, step: np.ndarray) -> System:
    """Return the same system with the coefficients measured from another centre.

    y'y / s2, c'D^-1 c and r'P^-1 r nearly cancel where the centre is far from what the data say. The sum is the same
    for every centre; its digits are not.

    Parameters
    ----------
    system : System
    step : array of shape (p,)
        From the present centre to the next one.
    """
    units, centre = system.units, system.centre + step
    response = system.response - system.W @ step
    square = float(system.weights @ response**2) + system.within
    if square > 0:
        units = _in_unit(system, units, _power_of_two(np.sqrt(square / system.weights.sum())))
    moment = system.W.T @ (system.weights * response) * units.coefficients / units.response**2
    pull = _pull(system, units, -centre / units.coefficients)
    equations = system.equations.moved(moment, pull)
    own = np.asarray((-centre / units.coefficients) @ pull)
    return replace(system, response=response, square=square, units=units, centre=centre, equations=equations, pull=own)


def _in_unit(system: System, units: Units, response: float) -> Units:
    """Return units with another one of the response: the coefficients' follow it, as do the prior's precisions."""
    ratio = response / units.response
    return Units(response, units.coefficients * ratio, units.numbers * ratio**2)


def _pull(system: System, units: Units, means: np.ndarray) -> Any:
    """Return D^-1 times means (p,), in the equations' units: a (p, m) matrix that D^-1's numbers are multiplied by."""
    above, right, numbers = system.prior
    mirrored = above != right
    rows = np.concatenate([above, right[mirrored]])
    columns = np.concatenate([numbers, numbers[mirrored]])
    times = np.ones(len(above)) if system.factors is None else system.factors
    values = np.concatenate([times * means[right], times[mirrored] * means[above[mirrored]]])
    used = values != 0
    shape = (system.layout.size, len(units.numbers))
    return matrices.csr_array((values[used], (rows[used], columns[used])), shape=shape)


def _power_of_two(sizes: Any) -> Any:
    return 2.0 ** np.round(np.log2(sizes))


def _no_units(layout: CoefficientLayout, prior: Entries) -> Units:
    return Units(1.0, np.ones(layout.size), np.ones(1 + int(prior[2].max(initial=-1))))


def _units(layout: CoefficientLayout, prior: Entries, gram: Any, square: float, weight: float) -> Units:
    """Return the response's own unit, and those of the coefficients, the same at all levels of a block."""
    squares = np.asarray(gram.diagonal(), dtype=float)
    for start, width, levels in zip(layout.starts, layout.widths, layout.levels, strict=True):
        part = slice(start, start + width * levels)
        squares[part] = np.tile(squares[part].reshape(levels, width).sum(axis=0), levels)
    known = squares > 0
    sizes = np.where(known, _power_of_two(np.sqrt(np.where(known, squares, 1.0) / weight)), 1.0)
    response = float(_power_of_two(np.sqrt(square / weight))) if square > 0 else 1.0
    coefficients, (above, right, numbers) = response / sizes, prior
    first = np.ones(1 + int(numbers.max(initial=-1)))
    first[numbers] = coefficients[above] * coefficients[right]  # the same wherever a number stands
    return Units(response, coefficients, first)


def _scaled(gram: Any, units: Units) -> Any:
    """Return W'W of the columns in their own units."""
    sizes, rows = units.coefficients / units.response, gram.tocsr()
    numbers = np.repeat(sizes, np.diff(rows.indptr))
    numbers *= rows.data
    numbers *= sizes[rows.indices]
    return matrices.csr_array((numbers, rows.indices, rows.indptr), shape=rows.shape)


def _first_centre(system: System, gram: Any, precisions: np.ndarray) -> np.ndarray:
    """Return where the fixed effects and group means, by themselves, fit best; zero for all other coefficients.

    Least squares tell how large the residuals are, and with these the priors pull as they will.
    """
    first, centre = len(precisions), np.zeros(system.layout.size)
    inside, units = gram[:first, :first].toarray(), system.units
    pulls, known = np.zeros(first), precisions * units.numbers[:first]
    for _ in ("least squares", "with priors"):
        for _ in range(REFINEMENTS):  # what rounding left of the last solution's error is solved for again
            uphill = (system.W.T @ (system.weights * (system.response - system.W @ centre)))[:first]
            uphill = uphill * units.coefficients[:first] / units.response**2
            uphill -= pulls * centre[:first] / units.coefficients[:first]
            centre[:first] += units.coefficients[:first] * _solved(inside + np.diag(pulls), uphill)
        pulls = known * _fitted_residual(system, centre) / max(system.count, 1) / units.response**2
    return centre


def _fitted_residual(system: System, centre: np.ndarray) -> float:
    return float(system.weights @ (system.response - system.W @ centre) ** 2) + system.within


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve with a matrix that may be singular: any solution, or none at all, is a centre."""
    if not len(right):
        return right
    ridge = RIDGE * max(float(np.diagonal(matrix).max()), 1.0)
    return np.asarray(np.linalg.solve(matrix + ridge * np.eye(len(right)), right))


def _gram(W: Any, weights: np.ndarray | None) -> Any:
    """Return W'W, weighted, from parts of the rows: scipy makes a copy of what it multiplies."""
    total = None
    for start in range(0, max(W.shape[0], 1), ROWS_AT_ONCE):
        rows = W if W.shape[0] <= ROWS_AT_ONCE else W[start : start + ROWS_AT_ONCE]
        part = rows.T @ (rows if weights is None else _times_rows(rows, weights[start : start + ROWS_AT_ONCE]))
        total = part if total is None else total + part
    return total


def _times_rows(W: Any, weights: np.ndarray) -> Any:
    return matrices.csr_array((W.data * np.repeat(weights, np.diff(W.indptr)), W.indices, W.indptr), shape=W.shape)


def pattern_of(gram: Any, W: Any, touched: Any = None) -> Any:
    """Return the pattern of W'W, or of another W (n, p); where nothing is negative, no sum can cancel."""
    if touched is None and W.data.min(initial=0.0) >= 0:
        return gram
    touched = W if touched is None else touched
    ones = matrices.csr_array((np.ones(touched.nnz), touched.indices, touched.indptr), shape=W.shape)
    return _gram(ones, None)


def design_rows(design: Design, layout: CoefficientLayout) -> Any:
    """Return W: centred fixed columns, a column for each group mean, and the blocks' values at their levels."""
    values, columns = _row_entries(design, layout)
    (n, width), kind = values.shape, columns.dtype
    starts = np.arange(0, n * width + 1, max(width, 1), dtype=kind)
    W = matrices.csr_array((values.ravel(), columns.ravel(), starts), shape=(n, layout.size))
    W.eliminate_zeros()
    return W


def whole_rows(design: Design, layout: CoefficientLayout) -> np.ndarray:
    """Return W as a whole matrix (n, p)."""
    values, columns = _row_entries(design, layout)
    n, size = len(values), layout.size
    places = columns + size * np.arange(n)[:, None]
    return np.bincount(places.ravel(), values.ravel(), n * size).reshape(n, size)


def _row_entries(design: Design, layout: CoefficientLayout) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of each row of W (n, width), zeros among them, and their columns."""
    n, first = len(design.response), layout.n_fixed + len(layout.means)
    members = [(*member, start, count) for block, start, count in _where(design, layout) for member in block.members()]
    width = first + sum(count for *_, count in members)
    # Filled in place: of 10^7 rows each copy takes as much memory as the data.
    kind = np.int32 if max(n * width, layout.size) < np.iinfo(np.int32).max else np.int64
    values, columns = np.empty((n, width)), np.empty((n, width), dtype=kind)
    values[:, : layout.n_fixed] = design.mean.X
    values[:, : layout.n_fixed] -= centre_of(design)
    for place, (block, column) in enumerate(layout.means):
        values[:, layout.n_fixed + place] = design.mean.groups[block].summed[:, column]
    columns[:, :first] = np.arange(first)
    for codes, own, start, count in members:
        part = slice(first, first + count)
        values[:, part] = own
        for column in range(count):
            columns[:, first + column] = codes * count + (start + column)
        first += count
    return values, columns


def _where(design: Design, layout: CoefficientLayout) -> Iterator[tuple[GroupBlock, int, int]]:
    """Go through the blocks with each one's first coefficient and its columns."""
    return zip(design.mean.groups, layout.starts, layout.widths, strict=True)
