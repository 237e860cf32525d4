"""-2 times the log-likelihood or REML criterion of a Gaussian design, profiled over sigma, as a function of theta.

Effects of one level are sigma L v with v independent and standard, so that all coefficients have the precision
P = T'W'W T + I (I on the v alone) next to sigma^2, with T = T(theta) linear in theta, lme4's relative Cholesky factors.
Where an SD is zero P is regular. theta holds the entries of L, a block after the other: the lower triangle for
correlated effects, else the diagonal, each as if its column had a mean square of one. With flat fixed effects,
q = y'y - r'P^-1 r and r = T'W'y, for n rows and p fixed effects:

    REML: (n - p) (1 + log(2 pi q / (n - p))) + log|P| - sum log w
    ML:    n (1 + log(2 pi q / n)) + log|P of the group effects| - sum log w

Bates, Mächler, Bolker & Walker (2015), doi:10.18637/jss.v067.i01. Minimising it is left to `minimum`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from scipy import linalg, sparse

from speclet_formula.design import Design, centre_of
from speclet_formula.design.design import replace_mean
from speclet_formula.design.merged import moments_of, row_count
from speclet_formula.errors import SamplingError
from speclet_formula.inference.algebra.equations import (
    filled,
    layout_of,
    matrix_of,
    pattern_of,
    ranks_of,
    sums_of,
    whole_rows,
)
from speclet_formula.inference.algebra.matrix import Matrix
from speclet_formula.inference.algebra.solutions import spread_draws, within

# Numbers that the dense matrices add up, from which on the compiled loops are quicker: they are from 2^17 on, and take
# half a second to load. 160 coefficients with three variances and correlations, 290 with one; a fit takes 0.1 s there.
MOST_DENSE = 2**18
RANK_TOLERANCE = 1e-9  # of pivots, relative to the largest, of columns scaled to length one
WORTH_THREADS = 2_000  # coefficients from which on an evaluation takes longer than handing it to a thread


@dataclass(frozen=True, eq=False)
class Relative:
    """What theta stands for, and where each coefficient stands: fixed effects, then each block's, level by level."""

    n_fixed: int
    starts: tuple[int, ...]  # each block's first coefficient
    levels: tuple[int, ...]  # each block's levels
    coefficients: int  # their number
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
class Solution:
    """What P says at one theta, next to sigma^2; p coefficients in all, f of them fixed."""

    coefficients: np.ndarray  # (p,) on top of what was taken off the response
    fixed_columns: np.ndarray  # (p, f) covariances with the fixed effects
    conditional: np.ndarray  # (p - f,) the group effects' variances for given fixed effects


@dataclass(frozen=True, eq=False)
class RelativeMatrix:
    """P and r = T'W'y as functions of theta; p coefficients, m entries of theta."""

    matrix: Matrix
    transforms: tuple[Any, ...]  # m + 1, each (p, p), whole or sparse as P is: T = T0 + sum of theta_k T_k
    pairs: np.ndarray  # (pairs, 2) of (1, theta), two of which each product is of
    products: Any  # (pairs, entries) what each product is multiplied by in P; sparse, and turned, where P is
    units: np.ndarray  # (entries,) the ones of I
    moments: np.ndarray  # (m + 1, p) T_k'W'y, by position
    moment: np.ndarray  # (p,) W'y

    @property
    def whole(self) -> bool:
        """Whether P is a whole matrix."""
        return isinstance(self.products, np.ndarray)

    def factored(self, theta: np.ndarray) -> Iterator[tuple[slice, Any]]:
        """Go through N vectors theta (N, m) by parts: which, and the factors of P, made with r."""
        weights = np.column_stack([np.ones(len(theta)), theta])

        def fill(part: slice) -> tuple[np.ndarray, np.ndarray]:
            powers = weights[part][:, self.pairs[:, 0]] * weights[part][:, self.pairs[:, 1]]
            # Sparse matrices are filled one at a time, and a product with a vector is the quickest.
            numbers = powers @ self.products if self.whole else (self.products @ powers[0])[None]
            numbers += self.units
            return numbers, weights[part] @ self.moments

        return self.matrix.factored(len(theta), fill)

    def transform(self, theta: np.ndarray) -> Any:
        """Return T, (p, p), at one vector theta (m,)."""
        return sum((entry * T for entry, T in zip(theta, self.transforms[1:], strict=True)), self.transforms[0])


@dataclass(frozen=True, eq=False)
class Profiled:
    """The criterion of a design."""

    joint: RelativeMatrix  # of fixed and group effects
    effects: RelativeMatrix | None  # of group effects alone; None where they are the leading ones of the joint
    relative: Relative
    threads: int
    square: float  # y'y, weighted
    log_weights: float
    start: np.ndarray  # (p,) least-squares coefficients of the centred columns, taken off the response
    freedom: int  # n - p for REML, n for ML
    reml: bool


def relative_factors(design: Design) -> Relative:
    """Lay out theta for a design."""
    places: list[tuple[int, int, int]] = []
    scales, starts, position = [], [], design.mean.X.shape[1]
    for number, block in enumerate(design.mean.groups):
        width = block.values.shape[1]
        for column in range(width):
            rows = range(column, width if block.correlated else column + 1)
            places += [(number, row, column) for row in rows]
        scale = np.sqrt(np.mean(block.values**2, axis=0))
        scales.append(np.where(scale > 0, scale, 1.0))
        starts.append(position)
        position += width * len(block.levels)
    levels = tuple(len(block.levels) for block in design.mean.groups)
    return Relative(design.mean.X.shape[1], tuple(starts), levels, position, tuple(places), tuple(scales))


def entries_of(relative: Relative, entry: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return rows and columns of T that one entry of theta stands at, for every level, and what it is scaled by."""
    block, row, column = relative.places[entry]
    firsts = relative.starts[block] + np.arange(relative.levels[block]) * len(relative.scales[block])
    return firsts + row, firsts + column, float(1 / relative.scales[block][row])


def relative_covariances(relative: Relative, theta: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return each block's L L', (k, k), of one vector theta (m,)."""
    return tuple(one @ one.T for one in _factors(relative, theta))


def _factors(relative: Relative, theta: np.ndarray) -> list[np.ndarray]:
    """Return each block's L, (k, k)."""
    factors = [np.zeros((len(scale), len(scale))) for scale in relative.scales]
    for entry, (block, row, column) in zip(theta, relative.places, strict=True):
        factors[block][row, column] = entry / relative.scales[block][row]
    return factors


def moved_theta(
    centred: Relative, relative: Relative, theta: np.ndarray, moves: tuple[np.ndarray | None, ...]
) -> np.ndarray:
    """Return the theta of the given columns that means the same as one (m,) of centred ones."""
    factors = _factors(centred, theta)
    found = [
        factor if back is None else np.linalg.qr((back @ factor).T, mode="r").T
        for factor, back in zip(factors, moves, strict=True)
    ]
    return np.array([found[block][row, column] * relative.scales[block][row] for block, row, column in relative.places])


def profile_of(design: Design, *, reml: bool, threads: int = 1) -> Profiled:
    """Prepare the criterion of a design.

    Parameters
    ----------
    design : Design
        n rows; no fixed column can be made from the others.
    reml : bool
        Whether to integrate the fixed effects out, or to maximise over them.
    threads : int
        Threads that evaluate several theta at a time.

    Raises
    ------
    SamplingError
        There are as many fixed columns as rows.
    """
    start = _least_squares(design)
    shift = (design.mean.X - centre_of(design)) @ start
    relative = relative_factors(design)
    moments, p = moments_of(design), design.mean.X.shape[1]
    weights = 1.0 if design.weights is None else design.weights
    terms = relative.size + 1
    dense = terms * (terms + 1) // 2 * (relative.coefficients + 1) ** 2 <= MOST_DENSE
    alone = replace_mean(design, X=design.mean.X[:, :0], fixed=())
    return Profiled(
        joint=_relative_matrix(design, relative, shift, dense=dense),
        effects=None if dense or not design.mean.groups else _relative_matrix(alone, relative_factors(alone), shift),
        relative=relative,
        threads=1 if dense or relative.coefficients <= WORTH_THREADS else threads,
        square=float((weights * (design.response - design.mean.offset - shift) ** 2).sum()) + moments.within,
        log_weights=moments.log_weights,
        start=start,
        freedom=moments.count - p if reml else moments.count,
        reml=reml,
    )


def _relative_matrix(design: Design, relative: Relative, shift: np.ndarray, *, dense: bool = False) -> RelativeMatrix:
    """Prepare P for a design, whose response is less a shift (n,): whole, with the group effects first, or sparse."""
    layout, size = layout_of(design, ()), relative.coefficients
    sums, none = sums_of(design, layout, shift), np.zeros(0, dtype=np.int64)
    order = np.roll(np.arange(size), -relative.n_fixed)
    pattern = None if dense else pattern_of(sums.gram, sums.W, whole_rows(design, layout))
    matrix = matrix_of(size, pattern, (none, none), order, ranks=ranks_of(layout))
    transforms, gram = _transforms(relative, dense=dense), sums.gram.toarray() if dense else sums.gram
    pairs = list(combinations_with_replacement(range(len(transforms)), 2))
    products = []
    for first, second in pairs:
        product = transforms[first].T @ gram @ transforms[second]
        products.append(filled(matrix, product if first == second else product + product.T))
    units, effects = np.zeros(matrix.entries), np.arange(relative.n_fixed, size)
    units[matrix.places(effects, effects)] = 1.0
    moments = np.stack([(transform.T @ sums.moment)[matrix.order] for transform in transforms])
    stacked = (
        np.array(products)
        if dense
        else sparse.vstack([sparse.csr_array(numbers[None]) for numbers in products]).T.tocsr()
    )
    return RelativeMatrix(matrix, transforms, np.array(pairs), stacked, units, moments, sums.moment)


def _transforms(relative: Relative, *, dense: bool) -> tuple[Any, ...]:
    """Return what one, and each entry of theta, adds to T."""
    fixed, shape = np.arange(relative.n_fixed), (relative.coefficients, relative.coefficients)
    entries = [(fixed, fixed, 1.0), *(entries_of(relative, entry) for entry in range(relative.size))]
    if not dense:
        return tuple(
            sparse.csr_array((np.full(len(rows), scale), (rows, columns)), shape=shape)
            for rows, columns, scale in entries
        )
    transforms = np.zeros((len(entries), *shape))
    for transform, (rows, columns, scale) in zip(transforms, entries, strict=True):
        transform[rows, columns] = scale
    return tuple(transforms)


def _least_squares(design: Design) -> np.ndarray:
    """Return the weighted least-squares coefficients of the centred columns."""
    X = design.mean.X - centre_of(design)
    p, n = X.shape[1], row_count(design)
    if p >= n:
        raise SamplingError(
            f"the model has {p:,} fixed coefficients and {n:,} rows.",
            "Maximum likelihood needs more rows than fixed coefficients.",
            "Leave fixed terms out, turn factors into group terms, or use method='exact', where priors help.",
        )
    if not p:
        return np.zeros(0)
    root = np.ones(len(X)) if design.weights is None else np.sqrt(design.weights)
    lengths = np.linalg.norm(root[:, None] * X, axis=0)
    lengths[lengths == 0] = 1.0
    response = root * (design.response - design.mean.offset)
    scaled = linalg.lstsq(
        root[:, None] * X / lengths, response, cond=RANK_TOLERANCE, lapack_driver="gelsy", check_finite=False
    )[0]
    return np.asarray(scaled / lengths)


def deviances(criterion: Profiled, theta: np.ndarray) -> np.ndarray:
    """Return the criterion (N,) at N vectors theta (N, m); infinite where P cannot be factored."""
    log_determinants, residuals = _evaluated(criterion, theta)
    fits = criterion.freedom * (1 + np.log(2 * np.pi * np.where(residuals > 0, residuals, 1.0) / criterion.freedom))
    return np.where(residuals > 0, fits + log_determinants - criterion.log_weights, np.inf)


def residual_variance(criterion: Profiled, theta: np.ndarray) -> float:
    """Return sigma^2 at the vector theta (m,) that maximises the likelihood."""
    return float(_evaluated(criterion, theta[None])[1][0] / criterion.freedom)


def log_likelihood_parts(criterion: Profiled, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log determinants (N,) and squares q (N,) at N vectors theta, for a sigma that is not at its best."""
    return _evaluated(criterion, theta)


def solve(criterion: Profiled, theta: np.ndarray) -> Solution:
    """Solve for all coefficients at one vector theta (m,)."""
    joint, n_fixed = criterion.joint, criterion.relative.n_fixed
    transform, ((_, factors),) = joint.transform(theta), joint.factored(theta[None])

    def covariances(vector: np.ndarray) -> np.ndarray:
        return np.asarray(transform @ factors.solve(transform.T @ vector))

    columns = np.eye(len(joint.moment), n_fixed)
    for column in range(n_fixed):
        columns[:, column] = covariances(columns[:, column])
    coefficients = covariances(joint.moment)
    coefficients[:n_fixed] += criterion.start
    return Solution(coefficients, columns, np.maximum(_conditional(criterion, theta, factors), 0.0))


def _conditional(criterion: Profiled, theta: np.ndarray, joint: Any) -> np.ndarray:
    """Return the group effects' variances for given fixed effects, next to sigma^2."""
    n_fixed, effects = criterion.relative.n_fixed, criterion.effects
    if not criterion.relative.starts:
        return np.zeros(0)
    if effects is None:
        alone = joint.leading(len(criterion.joint.moment) - n_fixed)
        transform = criterion.joint.transform(theta)[n_fixed:, n_fixed:]
    else:
        ((_, alone),) = effects.factored(theta[None])
        transform = effects.transform(theta).tocsr()
    return np.asarray(alone.spreads(alone.matrix.prepared(transform))[0])


def _evaluated(criterion: Profiled, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log determinants (N,) that the criterion takes, and q (N,); NaN where P is not positive definite."""
    determinants, residuals = np.full(len(theta), np.nan), np.full(len(theta), np.nan)
    n_effects = criterion.relative.coefficients - criterion.relative.n_fixed

    def run(part: slice) -> None:
        for inner, factors in criterion.joint.factored(theta[part]):
            place = within(part, inner)
            residuals[place] = criterion.square - factors.explained
            if criterion.reml:
                determinants[place] = factors.log_determinants
            elif criterion.effects is None:
                determinants[place] = 2 * np.log(factors.diagonals[:, :n_effects]).sum(axis=1)
        if not criterion.reml and criterion.effects is not None:
            for inner, factors in criterion.effects.factored(theta[part]):
                determinants[within(part, inner)] = factors.log_determinants

    spread_draws(run, len(theta), criterion.joint.matrix.work, criterion.threads)
    return determinants, residuals
