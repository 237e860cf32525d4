"""A Gaussian design goes in; -2 times its log-likelihood or REML criterion, profiled over sigma, comes out by theta.

With P of `relative` (flat fixed effects), q = y'y - r'P^-1 r and r = T'W'y, for n rows and p fixed effects:

    REML: (n - p) (1 + log(2 pi q / (n - p))) + log|P| - sum log w
    ML:    n (1 + log(2 pi q / n)) + log|P of the group effects| - sum log w

Bates, Mächler, Bolker & Walker (2015), doi:10.18637/jss.v067.i01. Minimising it is left to `minimum`.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from speclet_formula.design import Design
from speclet_formula.errors import SamplingError
from speclet_formula.inference.precision import build_system, centre_of
from speclet_formula.inference.relative import (
    Relative,
    Scaled,
    covariance_diagonal,
    evaluate,
    factored,
    relative_factors,
    scale_system,
    times_covariance,
    transform_at,
)

RANK_TOLERANCE = 1e-9  # of pivots, relative to the largest, of columns scaled to length one
WORTH_THREADS = 2_000  # coefficients from which on an evaluation takes longer than handing it to a thread


@dataclass(frozen=True, eq=False)
class Profiled:
    """The criterion of a design."""

    joint: Scaled  # P of fixed and group effects
    effects: Scaled | None  # of group effects alone; None without any
    relative: Relative
    square: float  # y'y, weighted
    log_weights: float
    start: np.ndarray  # (p,) least-squares coefficients of the centred columns, taken off the response
    freedom: int  # n - p for REML, n for ML
    reml: bool
    threads: int


@dataclass(frozen=True, eq=False)
class Solution:
    """What P says at one theta, next to sigma^2; p coefficients in all, f of them fixed."""

    coefficients: np.ndarray  # (p,)
    fixed_columns: np.ndarray  # (p, f) covariances with the fixed effects
    conditional: np.ndarray  # (p - f,) the group effects' variances for given fixed effects


def profile_of(design: Design, *, reml: bool, threads: int = 1) -> Profiled:
    """Prepare the criterion of a design.

    Parameters
    ----------
    design : Design
        n rows.
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
        The fixed columns are collinear, or as many as there are rows.
    """
    start = _least_squares(design)
    shift = (design.X - centre_of(design)) @ start
    joint = build_system(design, means=(), shift=shift, whole_blocks=True)
    relative = relative_factors(design, joint.layout)
    alone = replace(design, X=design.X[:, :0], fixed=())
    n, p = design.X.shape
    return Profiled(
        joint=scale_system(joint, relative),
        effects=scale_system(build_system(alone, means=(), shift=shift, whole_blocks=True), relative)
        if design.groups
        else None,
        relative=relative,
        square=joint.square,
        log_weights=float(np.log(joint.weights).sum()),
        start=start,
        freedom=n - p if reml else n,
        reml=reml,
        threads=threads if joint.layout.size > WORTH_THREADS else 1,
    )


def _least_squares(design: Design) -> np.ndarray:
    """Return the weighted least-squares coefficients of the centred columns."""
    X = design.X - centre_of(design)
    n, p = X.shape
    if p >= n:
        raise SamplingError(
            f"the model has {p:,} fixed coefficients and {n:,} rows.",
            "Maximum likelihood needs more rows than fixed coefficients.",
            "Leave fixed terms out, turn factors into group terms, or use method='exact', where priors help.",
        )
    if not p:
        return np.zeros(0)
    root = np.ones(n) if design.weights is None else np.sqrt(design.weights)
    lengths = np.linalg.norm(root[:, None] * X, axis=0)
    lengths[lengths == 0] = 1.0
    response = root * (design.response - design.offset)
    scaled, _, rank, _ = linalg.lstsq(
        root[:, None] * X / lengths, response, cond=RANK_TOLERANCE, lapack_driver="gelsy", check_finite=False
    )
    if rank < p:
        raise SamplingError(
            f"the {p:,} fixed columns are collinear: {p - rank:,} of them can be made from the others.",
            "Maximum likelihood has a single answer only where no column is a combination of the others.",
            "Leave out the term that repeats another, or use method='exact', where priors tell them apart.",
        )
    return np.asarray(scaled / lengths)


def deviances(criterion: Profiled, theta: np.ndarray) -> np.ndarray:
    """Return the criterion (N,) at N vectors theta (N, m); infinite where P cannot be factored."""
    if criterion.threads == 1 or len(theta) == 1:
        return np.array([_deviance(criterion, one) for one in theta])
    with ThreadPoolExecutor(criterion.threads) as pool:  # the compiled loops let go of Python's lock
        return np.array(list(pool.map(lambda one: _deviance(criterion, one), theta)))


def _deviance(criterion: Profiled, theta: np.ndarray) -> float:
    """Return the criterion at one vector theta."""
    log_determinant, explained = evaluate(criterion.joint, theta)
    if not criterion.reml:
        log_determinant = 0.0 if criterion.effects is None else evaluate(criterion.effects, theta)[0]
    residual = criterion.square - explained
    if not residual > 0:
        return np.inf
    fit = criterion.freedom * (1 + np.log(2 * np.pi * residual / criterion.freedom))
    return float(fit + log_determinant - criterion.log_weights)


def residual_variance(criterion: Profiled, theta: np.ndarray) -> float:
    """Return sigma^2 at the vector theta (m,) that maximises the likelihood."""
    return float((criterion.square - evaluate(criterion.joint, theta)[1]) / criterion.freedom)


def solve(criterion: Profiled, theta: np.ndarray) -> Solution:
    """Solve for all coefficients at one vector theta (m,)."""
    system = criterion.joint.system
    n_fixed = system.layout.n_fixed
    joint, transform = factored(criterion.joint, theta), transform_at(criterion.joint, theta)
    moment = system.equations.moment[np.argsort(system.equations.order)]
    coefficients = times_covariance(joint, transform, moment)
    coefficients[:n_fixed] += criterion.start
    units = np.eye(system.layout.size, n_fixed)
    for column in range(n_fixed):
        units[:, column] = times_covariance(joint, transform, units[:, column])
    conditional = np.zeros(0)
    if criterion.effects is not None:
        alone = factored(criterion.effects, theta)
        conditional = covariance_diagonal(alone, transform_at(criterion.effects, theta))
    return Solution(coefficients, units, conditional)
