"""A Gaussian design goes in; -2 times its log-likelihood or REML criterion, profiled over sigma, comes out by theta.

With P of `relative` (flat fixed effects), q = y'y - r'P^-1 r and r = T'W'y, for n rows and p fixed effects:

    REML: (n - p) (1 + log(2 pi q / (n - p))) + log|P| - sum log w
    ML:    n (1 + log(2 pi q / n)) + log|P of the group effects| - sum log w

Bates, Mächler, Bolker & Walker (2015), doi:10.18637/jss.v067.i01. Minimising it is left to `minimum`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from speclet_formula.design import Design, centre_of
from speclet_formula.design.merged import moments_of, row_count
from speclet_formula.errors import SamplingError
from speclet_formula.inference.reml.dense import Dense, dense_numbers, dense_system, evaluate_dense, solve_dense
from speclet_formula.inference.reml.relative import Relative, Solution, relative_factors

if TYPE_CHECKING:
    from speclet_formula.inference.reml.sparse import Sparse

# Numbers that the dense matrices add up, from which on the compiled loops are quicker: they are from 2^17 on, and take
# half a second to load. 160 coefficients with three variances and correlations, 290 with one; a fit takes 0.1 s there.
MOST_DENSE = 2**18
RANK_TOLERANCE = 1e-9  # of pivots, relative to the largest, of columns scaled to length one


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
