"""Where the Gaussian that stands for a posterior is centred: at the linear predictors' own distribution under it.

The centre is a fixed point: each row's quadratic is averaged over the normal distribution that the Gaussian itself
gives its linear predictor. That is the Gaussian closest to the posterior by Kullback and Leibler's divergence (Opper &
Archambeau 2009, doi:10.1162/neco.2008.08-07-592), at one theta; for others the centre stays and the rest follows.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import optimize, sparse

from speclet_formula.families import is_linear
from speclet_formula.families.links import FORWARD_LINKS
from speclet_formula.inference.algebra.numeric import CompiledRows, invert, row_spreads
from speclet_formula.inference.algebra.symbolic import Array, compiled
from speclet_formula.inference.hmc.gaussian import Gaussian, average_rows, move_entries, predict, settle
from speclet_formula.inference.hmc.parameters import natural_of, precisions_of
from speclet_formula.inference.hmc.surrogate import MOST_GAIN, Surrogate, at_theta, centre_at, log_posterior

SHIFT = 0.01  # of a threshold
MOST_NEWTON, HALVINGS, AT_THE_MODE = 60, 12, 1e-6
MOST_AVERAGING, SETTLED = 10, 1e-3
MOST_ROUNDS, NEAR = 8, 0.05  # of moving the centre after theta
REACH, MOST_STEPS, DIFFERENCE = 1.5, 20, 1e-4


def centred(surrogate: Surrogate, start: np.ndarray) -> tuple[Surrogate, np.ndarray]:
    """Find where the posterior is: the closest Gaussian at the theta that is likeliest under it.

    Returns
    -------
    surrogate : Surrogate
    theta : ndarray of float, shape (d,)
    """
    surrogate, theta = _at_mode(surrogate, start), start
    for _ in range(MOST_ROUNDS):
        surrogate = _averaged(surrogate, theta)
        before, theta = theta, _likeliest(surrogate, theta)
        if np.abs(theta - before).max(initial=0.0) < NEAR:
            break
    return surrogate, theta


def _likeliest(surrogate: Surrogate, start: np.ndarray) -> np.ndarray:
    """Climb from a theta (d,) to a likelier one, not far: the centre has to follow."""
    size = len(start)
    if not size:
        return start
    shifts = DIFFERENCE * np.eye(size)

    def value_and_slope(point: np.ndarray) -> tuple[float, np.ndarray]:
        values = -log_posterior(surrogate, np.concatenate([point[None], point + shifts, point - shifts]))
        if not np.isfinite(values).all():
            return 1e12, np.zeros(size)
        ahead, behind = values[1:].reshape(2, -1)
        return float(values[0]), (ahead - behind) / (2 * DIFFERENCE)

    bounds = [(value - REACH, value + REACH) for value in start]
    options = {"ftol": 1e-9, "gtol": 1e-2, "maxiter": MOST_STEPS}
    found = optimize.minimize(value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


def _moved(surrogate: Surrogate, own: np.ndarray, middle: np.ndarray, spread: np.ndarray | None = None) -> Surrogate:
    """Return the surrogate with another centre; where all rows bend as they should, none is kept from pulling far."""
    slopes = np.empty((max(4, 1 + 2 * len(middle)), middle.shape[1]))
    surrogate_slopes(surrogate, middle, own, slopes)
    concave = bool((slopes[1 + len(middle) : 1 + 2 * len(middle)] < 0).all())
    concave = concave and (spread is None or is_linear(surrogate.model.family))
    centre = centre_at(middle, spread, most_gain=np.inf if concave else MOST_GAIN)
    problem = surrogate.problem._replace(centre=centre, settled=False)
    if not surrogate.parameters.own:
        quadratic = surrogate.gaussian().quadratic
        usable = average_rows(surrogate.kernel, problem, own, quadratic, surrogate.work())
        problem = problem._replace(quadratic=quadratic, settled=usable)
    return replace(surrogate, problem=problem)


def _at_mode(surrogate: Surrogate, theta: np.ndarray) -> Surrogate:
    """Climb to the likeliest coefficients at theta, by Newton's steps with halving."""
    known = natural_of(surrogate.parameters, theta[None])
    numbers = precisions_of(surrogate.parameters, known)[0][0]
    own, problem, work = surrogate.owns(known.own)[0], surrogate.problem, surrogate.work()
    gaussian = surrogate.gaussian()
    move_entries(problem, numbers, gaussian.entries)
    prior, observed = problem.prior, problem.observed
    columns = np.repeat(np.arange(problem.pattern.size), np.diff(problem.pattern.starts))[prior.places]
    rows = problem.pattern.rows[prior.places]
    values = numbers[prior.numbers] * prior.factors * np.where(rows == columns, 1.0, 2.0)
    slopes = np.empty((max(4, 1 + 2 * len(observed.offset)), observed.offset.shape[1]))

    def height(b: np.ndarray) -> tuple[float, np.ndarray]:
        eta = np.empty_like(observed.offset)
        predict(problem, gaussian.entries, b, eta)
        surrogate_slopes(surrogate, eta, own, slopes)
        total = float(slopes[0].sum() - 0.5 * (values * b[rows] * b[columns]).sum())
        return (total if np.isfinite(total) and np.isfinite(slopes[: 1 + 2 * len(eta)]).all() else -np.inf), eta

    b = np.zeros(problem.pattern.size)
    here, eta = height(b)
    if not np.isfinite(here):
        b = _typical(surrogate)
        here, eta = height(b)
    for _ in range(MOST_NEWTON):
        moved = _moved(surrogate, own, eta)
        if not np.isfinite(settle(surrogate.kernel, moved.problem, own, numbers, gaussian, work)):
            break
        step = gaussian.mean - b
        for part in 0.5 ** np.arange(HALVINGS):
            there, new_eta = height(b + part * step)
            if there >= here - 1e-10 * abs(here):
                break
        else:
            break
        gain, b, here, eta = there - here, b + part * step, there, new_eta
        if gain < AT_THE_MODE:
            break
    return _moved(surrogate, own, eta)


def _typical(surrogate: Surrogate) -> np.ndarray:
    """Return coefficients (p,) at which the mean is near the responses': at zero some links have no mean."""
    problem, (family, design) = surrogate.problem, (surrogate.model.family, surrogate.model.design)
    y, offset = problem.observed.response, problem.observed.offset
    if design.is_per_level:
        return np.zeros(problem.pattern.size)
    mean = float(np.mean(y)) if design.trials is None else float((y.sum() + 0.5) / (problem.observed.trials.sum() + 1))
    W = sparse.csr_array(
        (problem.rows.values, problem.rows.columns, problem.rows.starts), shape=(offset.size, problem.pattern.size)
    )
    with np.errstate(all="ignore"):
        wanted = FORWARD_LINKS[family.link](mean) - offset[0]
    if not np.isfinite(wanted).all():
        return np.zeros(W.shape[1])
    return np.asarray(sparse.linalg.lsqr(W[: offset.shape[1]], wanted)[0])


def surrogate_slopes(surrogate: Surrogate, eta: np.ndarray, own: np.ndarray, out: np.ndarray) -> None:
    """Fill out (1 + 2 K, n) with the rows' log densities and their derivatives at eta (K, n)."""
    observed = surrogate.problem.observed
    call_kernel(surrogate.kernel, eta, observed.response, observed.trials, observed.weights, own, out)


@compiled
def call_kernel(kernel: Any, eta: Array, y: Array, trials: Array, weights: Array, own: Array, out: Array) -> None:
    """Call a kernel from compiled code, which is where kernels can be called from."""
    kernel(eta, y, trials, weights, own, out)


def _averaged(surrogate: Surrogate, theta: np.ndarray) -> Surrogate:
    """Move the centre to the linear predictors' own distribution under the Gaussian until it stays."""
    for _ in range(MOST_AVERAGING):
        mass, gaussian, own, _ = at_theta(surrogate, theta)
        if not np.isfinite(mass):
            break
        middle, spread = eta_moments(surrogate, gaussian)
        before = surrogate.problem.centre
        change = np.abs(middle - before.middle).max(initial=0.0) + np.abs(spread - before.spread).max(initial=0.0)
        moved = _moved(surrogate, own, middle, spread)
        if not np.isfinite(at_theta(moved, theta)[0]):
            moved = _moved(surrogate, own, *_inside(surrogate, own, middle, spread))
        surrogate = moved
        if change < SETTLED:
            break
    return _going_along(surrogate, theta)


def _inside(
    surrogate: Surrogate, own: np.ndarray, middle: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and SDs (K, n) that keep rows where they have a density: an inverse link has none below zero."""
    slopes = np.empty((max(4, 1 + 2 * len(middle)), middle.shape[1]))
    nodes = centre_at(middle, spread).nodes

    def outside(middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
        found = np.zeros(middle.shape[1], dtype=bool)
        for node in nodes:
            surrogate_slopes(surrogate, middle + node[:, None] * spread, own, slopes)
            found |= ~np.isfinite(slopes[: 1 + 2 * len(middle)]).all(axis=0)
        return found

    middle = np.where(outside(middle, np.zeros_like(spread)), surrogate.problem.centre.middle, middle)
    for _ in range(HALVINGS):
        beyond = outside(middle, spread)
        if not beyond.any():
            return middle, spread
        spread = np.where(beyond, 0.5 * spread, spread)
    return middle, np.where(outside(middle, spread), 0.0, spread)


def _going_along(surrogate: Surrogate, theta: np.ndarray) -> Surrogate:
    """Let the centre go along with thresholds, which move linear predictors as far as they move themselves."""
    problem, work = surrogate.problem, surrogate.work()
    names = np.repeat([one.name for one in surrogate.parameters.own], [one.size for one in surrogate.parameters.own])
    moving = np.flatnonzero(names == "threshold")
    if not len(moving):
        return surrogate
    known = natural_of(surrogate.parameters, theta[None])
    numbers, own = precisions_of(surrogate.parameters, known)[0][0], surrogate.owns(known.own)[0]
    along = np.zeros((len(moving), *problem.centre.middle.shape))
    for place, row in zip(moving, along, strict=True):
        for sign in (1.0, -1.0):
            moved, gaussian = own.copy(), surrogate.gaussian()
            moved[place] += sign * SHIFT
            if np.isfinite(settle(surrogate.kernel, problem, moved, numbers, gaussian, work)):
                predict(problem, gaussian.entries, gaussian.mean, work.eta)
                row += sign * (work.eta - problem.centre.middle) / (2 * SHIFT)
    centre = problem.centre._replace(moving=moving, origin=own[moving], along=along)
    return replace(surrogate, problem=problem._replace(centre=centre))


def eta_moments(surrogate: Surrogate, gaussian: Gaussian) -> tuple[np.ndarray, np.ndarray]:
    """Return means and SDs (K, n) of the linear predictors under a Gaussian."""
    problem = surrogate.problem
    eta = np.empty_like(problem.observed.offset)
    predict(problem, gaussian.entries, gaussian.mean, eta)
    spreads = np.empty(eta.size)
    rows = CompiledRows(problem.rows.starts, problem.rows.columns, gaussian.entries)
    row_spreads(problem.pattern, invert(problem.pattern, gaussian.factor), rows, spreads)
    return eta, np.sqrt(np.maximum(spreads, 0.0)).reshape(eta.shape)
