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

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, sparse

from speclet_formula.design import Design, centre_of
from speclet_formula.design.merged import moments_of, row_count
from speclet_formula.errors import SamplingError

if TYPE_CHECKING:
    from speclet_formula.inference.reml.sparse import Sparse

# Numbers that the dense matrices add up, from which on the compiled loops are quicker: they are from 2^17 on, and take
# half a second to load. 160 coefficients with three variances and correlations, 290 with one; a fit takes 0.1 s there.
MOST_DENSE = 2**18
RANK_TOLERANCE = 1e-9  # of pivots, relative to the largest, of columns scaled to length one
BATCH = 2**21  # numbers of the matrices that are factored at a time


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
class Dense:
    """[P, r; r', y'y] as a function of theta; p coefficients, q of them group effects, m entries of theta."""

    relative: Relative
    transforms: np.ndarray  # (m + 1, p + 1, p + 1) T = T0 + sum of theta_k T_k, with a one for the response
    products: np.ndarray  # (pairs, (p + 1)^2) what each product of two of (1, theta) is multiplied by
    pairs: np.ndarray  # (pairs, 2) the two
    units: np.ndarray  # (p + 1,) the ones of I


@dataclass(frozen=True, eq=False)
class Profiled:
    """The criterion of a design."""

    system: "Dense | Sparse"
    relative: Relative
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

    Returns
    -------
    Profiled

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
    return Profiled(
        system=_system(design, relative, shift, threads),
        relative=relative,
        square=float((weights * (design.response - design.mean.offset - shift) ** 2).sum()) + moments.within,
        log_weights=moments.log_weights,
        start=start,
        freedom=moments.count - p if reml else moments.count,
        reml=reml,
    )


def _system(design: Design, relative: Relative, shift: np.ndarray, threads: int) -> "Dense | Sparse":
    """Prepare the algebra that suits the number of coefficients."""
    if dense_numbers(relative) <= MOST_DENSE:
        return dense_system(design, relative, shift)
    # Here and not at the top, as below: the first use of compiled loops on a machine takes seconds.
    from speclet_formula.inference.reml.sparse import sparse_system

    return sparse_system(design, relative, shift, threads=threads)


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
    if isinstance(criterion.system, Dense):
        solution = solve_dense(criterion.system, theta)
    else:
        from speclet_formula.inference.reml.sparse import solve_sparse

        solution = solve_sparse(criterion.system, theta)
    solution.coefficients[: len(criterion.start)] += criterion.start
    return solution


def _evaluated(criterion: Profiled, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log determinants (N,) that the criterion takes, and q (N,)."""
    if isinstance(criterion.system, Dense):
        return evaluate_dense(criterion.system, theta, reml=criterion.reml)
    from speclet_formula.inference.reml.sparse import evaluate_sparse

    return evaluate_sparse(criterion.system, theta, reml=criterion.reml)


def dense_numbers(relative: Relative) -> int:
    """Return how many numbers a Dense would hold, which is what an evaluation takes time for."""
    terms = relative.size + 1
    return terms * (terms + 1) // 2 * (relative.coefficients + 1) ** 2


def dense_system(design: Design, relative: Relative, shift: np.ndarray) -> Dense:
    """Prepare a design, whose response is less a shift (n,)."""
    gram = _gram(design, shift)
    transforms = _transforms(relative)
    pairs = list(combinations_with_replacement(range(len(transforms)), 2))
    products = np.empty((len(pairs), len(gram), len(gram)))
    for place, (first, second) in enumerate(pairs):
        product = transforms[first].T @ gram @ transforms[second]
        products[place] = product if first == second else product + product.T
    units = (np.arange(len(gram)) < relative.coefficients - relative.n_fixed).astype(float)
    return Dense(relative, transforms, products.reshape(len(pairs), -1), np.array(pairs), units)


def _gram(design: Design, shift: np.ndarray) -> np.ndarray:
    """Return the weighted cross products of group effects' columns, centred fixed columns and response."""
    rows = np.arange(len(design.response))
    parts = []
    for block in design.mean.groups:
        width = block.values.shape[1]
        columns = (block.codes[:, None] * width + np.arange(width)).ravel()
        entries = (block.values.ravel(), (np.repeat(rows, width), columns))
        parts.append(sparse.csr_array(entries, shape=(len(rows), width * len(block.levels))))
    response = design.response - design.mean.offset - shift
    parts.append(sparse.csr_array(np.column_stack([design.mean.X - centre_of(design), response])))
    W = sparse.hstack(parts, format="csr")
    weighted = W if design.weights is None else W.multiply(design.weights[:, None])
    gram = np.asarray((W.T @ weighted).toarray())
    gram[-1, -1] += moments_of(design).within
    return gram


def _transforms(relative: Relative) -> np.ndarray:
    """Return what one, and each entry of theta, adds to T."""
    random = relative.coefficients - relative.n_fixed
    found = np.zeros((relative.size + 1, relative.coefficients + 1, relative.coefficients + 1))
    kept = np.arange(random, relative.coefficients + 1)
    found[0, kept, kept] = 1.0
    for entry in range(relative.size):
        rows, columns, scale = entries_of(relative, entry)
        found[entry + 1, rows - relative.n_fixed, columns - relative.n_fixed] = scale
    return found


def evaluate_dense(system: Dense, theta: np.ndarray, *, reml: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return log|P|, of group effects alone unless reml, and y'y - r'P^-1 r, (N,) each, at N vectors theta (N, m).

    Both are NaN where P is not positive definite or nothing is left of the response.
    """
    counted = system.relative.coefficients - (0 if reml else system.relative.n_fixed)
    at_once = max(1, BATCH // system.products.shape[1])
    diagonals = np.concatenate([
        np.diagonal(_cholesky(system, theta[first : first + at_once]), axis1=1, axis2=2)
        for first in range(0, len(theta), at_once)
    ])  # fmt: skip
    return 2 * np.log(diagonals[:, :counted]).sum(axis=1), diagonals[:, -1] ** 2


def _cholesky(system: Dense, theta: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factors (N, p + 1, p + 1) at N vectors theta; NaN where there is none."""
    powers = np.column_stack([np.ones(len(theta)), theta])
    filled = (powers[:, system.pairs[:, 0]] * powers[:, system.pairs[:, 1]]) @ system.products
    matrices = filled.reshape(len(theta), len(system.units), -1) + np.diag(system.units)
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:  # of one of them, which numpy does not name
        if len(theta) == 1:
            return np.full_like(matrices, np.nan)
        return np.concatenate([_cholesky(system, one[None]) for one in theta])


def solve_dense(system: Dense, theta: np.ndarray) -> Solution:
    """Solve for all coefficients at one vector theta (m,)."""
    size, n_fixed = system.relative.coefficients, system.relative.n_fixed
    random = size - n_fixed
    (factor,) = _cholesky(system, theta[None])
    transform = np.tensordot(np.concatenate([[1.0], theta]), system.transforms, 1)[:size, :size]
    roots = np.linalg.solve(factor[:size, :size], transform.T)  # T P^-1 T' is the product of their columns
    alone = np.linalg.solve(factor[:random, :random], transform[:random, :random].T)
    covariances = roots.T @ roots[:, random:]
    return Solution(
        coefficients=np.roll(roots.T @ factor[size, :size], n_fixed),  # fixed effects first again
        fixed_columns=np.roll(covariances, n_fixed, axis=0),
        conditional=(alone**2).sum(axis=0),
    )
