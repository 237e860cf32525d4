"""-2 times the log-likelihood or REML criterion of a Gaussian design, profiled over sigma, as a function of theta.

Effects of one level are sigma L v with v independent and standard, so that all coefficients have the precision
P = T'W'W T + I (I on the v alone) next to sigma^2, with T = T(theta) linear in theta, as `relative` has it. Where an SD
is zero P is regular. With flat fixed effects, q = y'y - r'P^-1 r and r = T'W'y, for n rows and p fixed effects, which
are eliminated last:

    REML: (n - p) (1 + log(2 pi q / (n - p))) + log|P| - sum log w
    ML:    n (1 + log(2 pi q / n)) + log|P of the group effects| - sum log w

Where levels vary together, v has their precision kron(Q, I) in the place of I, and its log determinant is taken off.
Bates, Mächler, Bolker & Walker (2015), doi:10.18637/jss.v067.i01. Minimising it is left to `minimum`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import linalg

from speclet_formula.common.recent import Recent
from speclet_formula.common.threads import one_blas_thread
from speclet_formula.design import Design, centre_of
from speclet_formula.design.design import replace_mean
from speclet_formula.design.merged import moments_of, row_count
from speclet_formula.errors import SamplingError
from speclet_formula.inference.algebra.equations import (
    Sums,
    design_rows,
    matrix_of,
    pattern_of,
    sums_of,
    whole_rows,
)
from speclet_formula.inference.algebra.layout import CoefficientLayout, layout_of, ranks_of, standard_precision
from speclet_formula.inference.algebra.solutions import spread_draws, within
from speclet_formula.inference.relative import (
    Relative,
    Transform,
    relative_factors,
    theta_of_covariances,
    transform_of,
)
from speclet_formula.inference.reml.products import RelativeMatrix, product_entries, sparse_products, whole_products

# Numbers that the dense matrices add up, from which on the compiled loops are quicker: they are from 2^17 on, and take
# half a second to load. 160 coefficients with three variances and correlations, 290 with one; a fit takes 0.1 s there.
MOST_DENSE = 2**18
RANK_TOLERANCE = 1e-9  # of pivots, relative to the largest, of columns scaled to length one
MOST_KEPT = 10**6  # numbers of a design that is prepared once for all of its responses
COSTLY = 500  # rows of the corner from which on its factor takes some milliseconds
WORTH_THREADS = 2_000  # coefficients from which on an evaluation takes longer than handing it to a thread

recent = Recent["Prepared"](2)  # prepared designs: that of the search, and that of the formula's own columns


@dataclass(frozen=True, eq=False)
class Solution:
    """What P says at one theta, next to sigma^2; p coefficients in all, f of them fixed."""

    coefficients: np.ndarray  # (p,) on top of what was taken off the response
    fixed_columns: np.ndarray  # (p, f) covariances with the fixed effects
    conditional: np.ndarray  # (p - f,) the group effects' variances for given fixed effects


@dataclass(frozen=True, eq=False)
class RowsGivenVariances:
    """How n rows and f fixed effects, of centred columns, go together, next to sigma^2."""

    leverages: np.ndarray  # (n,) each row's share in its own fitted value: R's `hatvalues`
    together: np.ndarray  # (n, f) covariances of the rows' linear predictors with the fixed effects
    fixed: np.ndarray  # (f, f) the covariance of these


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a design comes to whatever its response is; n rows, p coefficients."""

    relative: Relative
    transform: Transform
    W: Any  # (n, p) fixed columns centred; scipy CSR, or whole where P is and there are few rows
    gram: Any  # (p, p) W'W, likewise
    joint: Any  # P, with r for a response of zeros: a RelativeMatrix or RelativeClasses


@dataclass(frozen=True, eq=False)
class Profiled:
    """The criterion of a design."""

    joint: Any  # P and r of fixed and group effects: a RelativeMatrix or RelativeClasses
    W: Any  # (n, p) fixed columns centred, sparse or whole
    gram: Any  # (p, p) W'W, likewise
    weights: np.ndarray | None  # (n,) of the rows
    moment: np.ndarray  # (p,) W'y
    relative: Relative
    transform: Transform
    threads: int
    square: float  # y'y, weighted
    log_weights: float
    start: np.ndarray  # (p,) least-squares coefficients of the centred columns, taken off the response
    freedom: int  # n - p for REML, n for ML
    reml: bool


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
    moments, p = moments_of(design), design.mean.X.shape[1]
    prepared = _prepared(design)
    response = design.response - design.mean.offset - (design.mean.X - centre_of(design)) @ start
    weighted = response if design.weights is None else design.weights * response
    moment = prepared.W.T @ weighted
    return Profiled(
        joint=prepared.joint.moved(prepared.transform, moment),
        W=prepared.W,
        gram=prepared.gram,
        weights=design.weights,
        moment=moment,
        relative=prepared.relative,
        transform=prepared.transform,
        threads=1 if prepared.relative.coefficients <= WORTH_THREADS else threads,
        square=float(response @ weighted) + moments.within,
        log_weights=moments.log_weights,
        start=start,
        freedom=moments.count - p if reml else moments.count,
        reml=reml,
    )


def _prepared(design: Design) -> Prepared:
    """Prepare a design; a small one only once for all of its responses."""
    if design.mean.X.size + sum(block.values.size for block in design.mean.groups) > MOST_KEPT:
        return _prepare(design)
    return recent.of((design.mean, design.weights), lambda: _prepare(design))


def _prepare(design: Design) -> Prepared:
    relative, layout = relative_factors(design), layout_of(design, ())
    transform, size, terms = transform_of(relative), relative.coefficients, relative.size + 1
    whole = terms * (terms + 1) // 2 * (size + 1) ** 2 <= MOST_DENSE
    if whole and len(design.response) * size <= MOST_DENSE:  # where scipy's checks of sparse arrays take longer
        W = whole_rows(design, layout)
        gram = W.T @ (W if design.weights is None else design.weights[:, None] * W)
        return Prepared(relative, transform, W, gram, _whole_joint(relative, transform, gram))
    sums = sums_of(design, layout)
    joint = _whole_joint(relative, transform, sums.gram.toarray()) if whole else _sparse_joint(design, relative, sums)
    return Prepared(relative, transform, sums.W, sums.gram, joint)


def _whole_joint(relative: Relative, transform: Transform, gram: np.ndarray) -> RelativeMatrix:
    """Prepare P as a whole matrix; the fixed effects are eliminated last."""
    none = np.zeros(0, dtype=np.int64)
    size = relative.coefficients
    order = np.roll(np.arange(size), -relative.n_fixed)
    return whole_products(relative, transform, matrix_of(size, None, (none, none), order), gram)


def _sparse_joint(design: Design, relative: Relative, sums: Sums) -> Any:
    """Prepare P in classes of alike levels, or sparse; the fixed effects are eliminated last."""
    # Here and not at the top: loading what compiles the loops takes a second.
    from speclet_formula.inference.reml.classes import relative_classes

    layout, none = relative.layout, np.zeros(0, dtype=np.int64)
    related = standard_precision(layout)[:2] if layout.has_relations else (none, none)
    pattern, ranks = pattern_of(sums.gram, sums.W, _roomy_rows(design, layout)), ranks_of(layout)
    entries = product_entries(relative, sums.gram)
    classes = None if layout.has_relations else relative_classes(relative, pattern, entries, ranks)
    if classes is not None:
        return classes
    matrix = matrix_of(relative.coefficients, pattern, related, ranks=ranks, last=relative.n_fixed)
    return sparse_products(relative, matrix, entries)


def _roomy_rows(design: Design, layout: CoefficientLayout) -> Any:
    """Return W with room for its product with factors that mix the columns of a correlated block.

    A row of `f = u` then meets the columns of every `f`, also where W itself has none: a gene that is always `u`, an
    empty cell.
    """
    groups = (
        replace(block, values=np.ones_like(block.values)) if block.correlated else block for block in design.mean.groups
    )
    return design_rows(replace_mean(design, groups=tuple(groups)), layout)


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
    return _deviances(criterion, *_evaluated(criterion, theta))


def _deviances(criterion: Profiled, log_determinants: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    fits = criterion.freedom * (1 + np.log(2 * np.pi * np.where(residuals > 0, residuals, 1.0) / criterion.freedom))
    return np.where(residuals > 0, fits + log_determinants - criterion.log_weights, np.inf)


def is_costly(criterion: Profiled) -> bool:
    """Whether most of an evaluation is the factor of a large whole corner: its inverse, for a slope, costs two more."""
    joint = criterion.joint
    return isinstance(joint, RelativeMatrix) and joint.is_sparse and joint.matrix.corner >= COSTLY


def sloped_deviance(criterion: Profiled, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the criterion of a sparse design and its gradient (m,) at one vector theta (m,).

    With b = P^-1 r, dq / d theta_k = -2 (T_k b)'(W'y - W'W T b), and d log|P| / d theta_k is the sum of P^-1, entry by
    entry, times the derivative of P.
    """
    joint, weights = criterion.joint, np.append(1.0, theta)
    with one_blas_thread():
        for _, factors in joint.factored(theta[None]):
            value = float(_deviances(criterion, *_terms(criterion, factors))[0])
            traces = joint.traces(factors, given=0 if criterion.reml else criterion.relative.n_fixed)
            solution = factors.backward(factors.half)[0]
            left = criterion.moment - criterion.gram @ (criterion.transform.at(theta) @ solution)
            squares = -2 * criterion.transform.products(left, solution, len(weights))[1:]
            products = np.zeros((len(weights), len(traces)))  # derivatives of each product by each of (1, theta)
            np.add.at(products, (joint.pairs[:, 0], np.arange(len(traces))), weights[joint.pairs[:, 1]])
            np.add.at(products, (joint.pairs[:, 1], np.arange(len(traces))), weights[joint.pairs[:, 0]])
            residual = criterion.square - factors.explained[0]
            return value, criterion.freedom * squares / residual + (products @ traces)[1:]
    return np.inf, np.zeros(len(theta))


def residual_variance(criterion: Profiled, theta: np.ndarray) -> float:
    """Return sigma^2 at the vector theta (m,) that maximises the likelihood."""
    return float(_evaluated(criterion, theta[None])[1][0] / criterion.freedom)


def log_likelihood_parts(criterion: Profiled, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log determinants (N,) and squares q (N,) at N vectors theta, for a sigma that is not at its best."""
    return _evaluated(criterion, theta)


def deviances_at(criterion: Profiled, theta: np.ndarray, sigma: np.ndarray | float) -> np.ndarray:
    """Return the criterion (N,) at N vectors theta (N, m), at one or N given sigma instead of the best."""
    determinants, squares = log_likelihood_parts(criterion, theta)
    variance = np.asarray(sigma) ** 2
    constant = criterion.freedom * np.log(2 * np.pi * variance)
    return np.asarray(constant + squares / variance + determinants - criterion.log_weights)


def solve(criterion: Profiled, theta: np.ndarray) -> Solution:
    """Solve for all coefficients at one vector theta (m,)."""
    joint, n_fixed = criterion.joint, criterion.relative.n_fixed
    transform = criterion.transform.at(theta, whole=isinstance(criterion.gram, np.ndarray))
    ((_, factors),) = joint.factored(theta[None])

    def covariances(vector: np.ndarray) -> np.ndarray:
        return np.asarray(transform @ factors.solve(transform.T @ vector))

    columns = np.eye(len(criterion.moment), n_fixed)
    for column in range(n_fixed):
        columns[:, column] = covariances(columns[:, column])
    coefficients = covariances(criterion.moment)
    coefficients[:n_fixed] += criterion.start
    conditional = np.zeros(0)
    if criterion.relative.starts:
        conditional = factors.spreads(joint.prepared(transform[n_fixed:]), given=n_fixed)[0]
    return Solution(coefficients, columns, np.maximum(conditional, 0.0))


def rows_given_variances(design: Design, covariances: tuple[np.ndarray, ...]) -> RowsGivenVariances:
    """Return how each row of a design and its coefficients go together for given variances.

    Parameters
    ----------
    design : Design
        n rows; no fixed column can be made from the others.
    covariances : tuple of ndarray of float, shape (k, k)
        Of each block's effects, over sigma^2.
    """
    prepared = _prepared(design)
    joint, n_fixed = prepared.joint, prepared.relative.n_fixed
    theta = theta_of_covariances(prepared.relative, covariances)
    transform = prepared.transform.at(theta, whole=isinstance(prepared.gram, np.ndarray))
    ((_, factors),) = joint.factored(theta[None])
    weights = 1.0 if design.weights is None else design.weights
    leverages = weights * factors.spreads(joint.prepared(prepared.W @ transform))[0]
    columns = np.eye(prepared.relative.coefficients, n_fixed)
    for column in range(n_fixed):
        columns[:, column] = transform @ factors.solve(transform.T @ columns[:, column])
    return RowsGivenVariances(leverages, prepared.W @ columns, columns[:n_fixed])


def covariances_at(design: Design, covariances: tuple[np.ndarray, ...], places: np.ndarray) -> np.ndarray:
    """Return the covariances (k, k), next to sigma^2, of coefficients of centred columns, for given variances.

    Parameters
    ----------
    design : Design
        No fixed column can be made from the others.
    covariances : tuple of ndarray of float, shape (k, k)
        Of each block's effects, over sigma^2.
    places : ndarray of int, shape (k,)
        Which coefficients: the fixed effects first, then those of each block, level by level.
    """
    made = np.empty((len(places), len(places)))
    for column, known in enumerate(_columns_at(design, covariances, places)):
        made[:, column] = known[places]
    return made


def shrinkage_at(design: Design, covariances: tuple[np.ndarray, ...], places: np.ndarray) -> np.ndarray:
    """Return the diagonal (k,) of V S V next to sigma^2, for the covariance V of all coefficients and their prior's S.

    S is the precision of the effects' prior, so that V S V is V - V W'W V: how much less V is by chance of the rows
    alone. Parameters are those of `covariances_at`.
    """
    gram = _prepared(design).gram
    columns = _columns_at(design, covariances, places)
    return np.array([known[place] - known @ (gram @ known) for known, place in zip(columns, places, strict=True)])


def _columns_at(design: Design, covariances: tuple[np.ndarray, ...], places: np.ndarray) -> Iterator[np.ndarray]:
    """Go through the columns of the covariance of all coefficients."""
    prepared = _prepared(design)
    theta = theta_of_covariances(prepared.relative, covariances)
    transform = prepared.transform.at(theta, whole=isinstance(prepared.gram, np.ndarray))
    ((_, factors),) = prepared.joint.factored(theta[None])
    for place in places:
        unit = np.zeros(prepared.relative.coefficients)
        unit[place] = 1.0
        yield np.asarray(transform @ factors.solve(transform.T @ unit))


def _terms(criterion: Profiled, factors: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the log determinants (k,) that the criterion takes, and q (k,)."""
    determinants = factors.log_determinants - criterion.relative.layout.log_determinant
    if not criterion.reml:
        determinants = determinants - 2 * np.log(factors.tail(criterion.relative.n_fixed)).sum(axis=1)
    return determinants, criterion.square - factors.explained


def _evaluated(criterion: Profiled, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log determinants (N,) that the criterion takes, and q (N,); NaN where P is not positive definite."""
    determinants, residuals = np.full(len(theta), np.nan), np.full(len(theta), np.nan)

    def run(part: slice) -> None:
        for inner, factors in criterion.joint.factored(theta[part]):
            place = within(part, inner)
            determinants[place], residuals[place] = _terms(criterion, factors)

    spread_draws(run, len(theta), criterion.joint.work, criterion.threads)
    return determinants, residuals
