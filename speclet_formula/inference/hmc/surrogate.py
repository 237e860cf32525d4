"""The Gaussian closest to a model's posterior: the rows as arrays, where it is centred, and its marginal of theta.

The centre is a fixed point: each row's quadratic is averaged over the normal distribution that the Gaussian itself
gives its linear predictor. That is the Gaussian closest to the posterior by Kullback and Leibler's divergence (Opper &
Archambeau 2009, doi:10.1162/neco.2008.08-07-592), at one theta; for others the centre stays and the rest follows.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize, sparse

from speclet_formula.families import Family, inverse_link, inverse_parameter_link, is_linear, specification_of
from speclet_formula.families.links import FORWARD_LINKS, LINKS, MEANS, ZEROS, Observations
from speclet_formula.inference.algebra.equations import design_rows, pattern_of, prior_entries
from speclet_formula.inference.algebra.numeric import CompiledRows, allocate, invert, row_spreads
from speclet_formula.inference.algebra.sparse import sparse_matrix
from speclet_formula.inference.algebra.symbolic import Array, Pattern, compiled
from speclet_formula.inference.hmc import kernels
from speclet_formula.inference.hmc.gaussian import (
    Centre,
    Gaussian,
    ObservedRows,
    PriorPlaces,
    ProductRows,
    RowProblem,
    RowQuadratics,
    Workspace,
    average_rows,
    evaluate,
    predict,
    settle,
)
from speclet_formula.inference.hmc.parameters import Parameters, natural_of, own_design, parameters_of, precisions_of
from speclet_formula.model import Model
from speclet_formula.model.observation import observed_log_density

NODES, FEWER, MANY = 5, 3, 20_000  # of the cubature over one linear predictor; of many rows each costs milliseconds
STEP = 1e-3  # of differences of log densities
SHIFT = 0.01  # of a threshold
MOST_NEWTON, HALVINGS, AT_THE_MODE = 60, 12, 1e-6
MOST_AVERAGING, SETTLED = 10, 1e-3
MOST_GAIN = 10.0  # of log density, that a row's quadratic may promise
MOST_ROUNDS, NEAR = 8, 0.05  # of moving the centre after theta
REACH, MOST_STEPS, DIFFERENCE = 1.5, 20, 1e-4


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A model as the compiled loops see it."""

    model: Model
    parameters: Parameters
    problem: RowProblem
    order: Array  # (p,) the coefficient at each position
    kernel: Any
    codes: tuple[float, ...]  # what the kernel is told beside the family's parameters
    constant: Callable[[np.ndarray], float]  # (numbers) -> what no linear predictor changes
    threads: int

    def __enter__(self) -> "Surrogate":
        return self

    def __exit__(self, *_: object) -> None:
        """Forget what the kernel calls back."""
        if len(self.codes) == 1:
            kernels.CALLED_BACK.pop(int(self.codes[0]), None)

    def owns(self, values: np.ndarray) -> np.ndarray:
        """Return the family's parameters (N, e) as the kernel takes them."""
        return np.ascontiguousarray(np.column_stack([values, np.tile(self.codes, (len(values), 1))]))

    def room(self) -> tuple[Gaussian, Workspace]:
        """Return room for one Gaussian and its work."""
        return self.gaussian(), self.work()

    def gaussian(self) -> Gaussian:
        """Return room for one Gaussian."""
        count, n = self.problem.observed.offset.shape
        return Gaussian(
            RowQuadratics(np.empty((count, n)), np.empty(n), np.empty((count, n)), np.empty((count, n))),
            allocate(self.problem.pattern),
            np.empty(self.problem.pattern.size),
        )

    def work(self) -> Workspace:
        """Return room to work in."""
        count, n = self.problem.observed.offset.shape
        pattern = self.problem.pattern
        return Workspace(
            np.empty(len(pattern.rows)),
            np.empty((count, n)),
            np.empty((max(4, 1 + 2 * count), n)),
            np.empty(pattern.size),
            np.empty(pattern.n_wide),
        )


@compiled
def product_places(pattern: Pattern, starts: Array, columns: Array, places: Array) -> None:
    """Fill places with where the product of each row's two entries stands in P."""
    filled = 0
    for row in range(len(starts) - 1):
        for a in range(starts[row], starts[row + 1]):
            for b in range(starts[row], a + 1):
                above, column = min(columns[a], columns[b]), max(columns[a], columns[b])
                first, last = pattern.starts[column], pattern.starts[column + 1]
                while last - first > 1:
                    middle = (first + last) // 2
                    if pattern.rows[middle] <= above:
                        first = middle
                    else:
                        last = middle
                places[filled] = first
                filled += 1


def surrogate_of(model: Model, *, threads: int = 1) -> Surrogate:
    """Order and analyse P for a model; the centre is at zero coefficients."""
    parameters, design = parameters_of(model), model.design
    blocks, offsets, entries, number, start = [], [], [], 0, 0
    for predictor, variances, centre in zip(
        design.predictors, parameters.predictors, parameters.prior_means, strict=True
    ):
        W = design_rows(own_design(design, predictor), variances.layout)
        blocks.append(W)
        offsets.append(predictor.offset + W @ centre)
        above, right, numbers = prior_entries(variances.layout)
        entries.append((above + start, right + start, numbers + number))
        start += variances.layout.size
        number += 1 + int(numbers.max(initial=-1))
    W = sparse.block_diag(blocks, format="csr") if len(blocks) > 1 else blocks[0]
    above, right, numbers = (np.concatenate(part) for part in zip(*entries, strict=True))
    pattern_entries = pattern_of(abs(W).T @ abs(W), abs(W)).tocoo()
    upper = pattern_entries.row < pattern_entries.col
    matrix = sparse_matrix(
        start,
        np.concatenate([pattern_entries.row[upper], above]),
        np.concatenate([pattern_entries.col[upper], right]),
    )
    indptr, columns = W.indptr.astype(np.int64), matrix.position[W.indices].astype(np.int64)
    counts = np.diff(indptr)
    places = np.empty(int((counts * (counts + 1) // 2).sum()), dtype=np.int64)
    product_places(matrix.pattern, indptr, columns, places)
    prior = PriorPlaces(matrix.places(above, right), numbers.astype(np.int64))
    offset = np.ascontiguousarray(np.stack(offsets))
    response, trials, weights = _observations(model).arrays
    observed = ObservedRows(response, trials, weights, offset)
    rows = ProductRows(indptr, columns, W.data.astype(float), places)
    nothing = np.empty((len(offset), 0))
    none = RowQuadratics(nothing, np.empty(0), nothing, nothing)
    problem = RowProblem(matrix.pattern, rows, observed, prior, _at(offset), none, False)
    kernel, codes, constant = kernel_for(model)
    return Surrogate(model, parameters, problem, matrix.order, kernel, codes, constant, threads)


def _at(middle: np.ndarray, spread: np.ndarray | None = None, most_gain: float = MOST_GAIN) -> Centre:
    """Return a centre; without spreads rows are taken at their middle."""
    count = len(middle)
    still = (np.empty(0, dtype=np.int64), np.empty(0), np.empty((0, *middle.shape)))
    if spread is None:
        return Centre(middle, np.zeros_like(middle), np.zeros((1, count)), np.ones(1), most_gain, *still)
    if count == 1:
        nodes, shares = np.polynomial.hermite_e.hermegauss(NODES if middle.size < MANY else FEWER)
        return Centre(middle, spread, nodes[:, None].copy(), shares / shares.sum(), most_gain, *still)
    nodes = np.sqrt(count) * np.vstack([np.eye(count), -np.eye(count)])
    return Centre(middle, spread, nodes, np.full(2 * count, 1 / (2 * count)), most_gain, *still)


def _observations(model: Model) -> Observations:
    design = model.design
    return Observations(design.response, design.trials, 1.0 if design.weights is None else design.weights)


_slots = itertools.count()


def kernel_for(model: Model) -> tuple[Any, tuple[float, ...], Callable[[np.ndarray], float]]:
    """Return what gives rows' log densities, what it is told beside, and the part that no linear predictor changes."""
    family, design = model.family, model.design
    curve = specification_of(family).curves.get(family.link)
    if curve is not None and not design.varying and design.limits is None:
        observed = _observations(model)
        codes = (float(LINKS.index(curve.link)), float(ZEROS.index(curve.zeros)))
        return kernels.kernel_of(curve.kernel), codes, lambda numbers: float(curve.constant(observed, numbers))
    if design.is_per_level:
        return kernels.kernel_of(family.name), (0.0, 0.0), lambda _: 0.0
    if is_linear(family) and design.limits is None:
        if not design.varying:
            rows, log_weights = len(design.response), 0.0 if design.weights is None else np.log(design.weights).sum()
            return (
                kernels.kernel_of(family.name),
                (float(LINKS.index("identity")), float(ZEROS.index(""))),
                lambda numbers: float(0.5 * (log_weights - rows * np.log(2 * np.pi * numbers[0] ** 2))),
            )
        return kernels.kernel_of("varying_sigma"), (), lambda _: 0.0
    known = specification_of(family)
    if known.kink is not None and not design.varying and design.limits is None:
        rows, at = len(design.response), np.zeros(1)
        return (
            kernels.kernel_of(family.name),
            (float(LINKS.index(family.link)), 0.0),
            lambda own: rows * known.log_density(at, at, dict(zip(known.parameters, own, strict=True)), None)[0],
        )
    slot = next(_slots)
    kernels.CALLED_BACK[slot] = _differences(model)
    return kernels.kernel_of(""), (float(slot),), lambda _: 0.0


def _differences(model: Model) -> kernels.Slopes:
    """Return log densities with their slopes by differences: trajectories need slopes, draws only densities."""
    family, design = model.family, model.design
    kink = specification_of(family).kink
    constant = [name for name in family.parameters if name not in design.varying]
    sizes = [len(design.levels) - 1 if name == "threshold" else 1 for name in constant]

    def named(eta: np.ndarray, numbers: np.ndarray) -> dict[str, Any]:
        parts = np.split(numbers, np.cumsum(sizes)[:-1]) if sizes else []
        parameters: dict[str, Any] = dict(zip(constant, parts, strict=True))
        for name, own in zip(design.varying, eta[1:], strict=True):
            parameters[name] = inverse_parameter_link(family, name, own)
        return parameters

    def density(eta: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return observed_log_density(family, design, slice(None), inverse_link(family, eta[0]), named(eta, numbers))

    def around(k: int, step: Any, eta: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ahead, behind = eta.copy(), eta.copy()
        ahead[k], behind[k] = eta[k] + step, eta[k] - step
        return density(ahead, numbers), density(behind, numbers)

    def slopes(eta: np.ndarray, numbers: np.ndarray, out: np.ndarray) -> None:
        with np.errstate(all="ignore"):
            out[0] = here = density(eta, numbers)
            for k in range(len(eta)):
                ahead, behind = around(k, STEP, eta, numbers)
                out[1 + k] = (ahead - behind) / (2 * STEP)
                out[1 + len(eta) + k] = (ahead - 2 * here + behind) / STEP**2
            if kink is not None:
                width = _width(family, eta[0], kink(named(eta, numbers)))
                ahead, behind = around(0, kernels.NEAR_A_KINK * width, eta, numbers)
                out[1] = (ahead - behind) / (2 * kernels.NEAR_A_KINK * width)
                ahead, behind = around(0, width, eta, numbers)
                peak = specification_of(family).log_density(design.response, design.response, named(eta, numbers), None)
                bend = (ahead - 2 * here + behind) / width**2
                out[1 + len(eta)] = np.minimum(bend, -0.5 * out[1] ** 2 / np.maximum(peak - here, 1.0))

    return slopes


def _width(family: Family, eta: np.ndarray, spread: Any) -> Any:
    """Return on the link's scale how far a kink is to be levelled: a density that has one bends nowhere else."""
    return np.minimum(spread / np.abs(MEANS[family.link](eta).first), np.inf if family.link == "identity" else 1.0)


@dataclass(frozen=True, eq=False)
class GivenTheta:
    """What N vectors theta say to the compiled loops."""

    owns: np.ndarray  # (N, e)
    numbers: np.ndarray  # (N, m) of D^-1
    log_rests: np.ndarray  # (N,) what the log posterior has beside the Gaussian's log mass; -inf where impossible


def given_of(surrogate: Surrogate, theta: np.ndarray) -> GivenTheta:
    """Return what N vectors theta (N, d) say: parameters, precisions, and log prior with what no row changes."""
    known = natural_of(surrogate.parameters, theta)
    numbers, determinants = precisions_of(surrogate.parameters, known)
    rests = known.log_prior + 0.5 * determinants
    usable = np.isfinite(rests)
    if known.own.shape[1]:
        rests[usable] += [surrogate.constant(own) for own in known.own[usable]]
    return GivenTheta(surrogate.owns(known.own), numbers, np.where(np.isfinite(rests), rests, -np.inf))


def log_posterior(surrogate: Surrogate, theta: np.ndarray) -> np.ndarray:
    """Return the log posterior density (N,) of N vectors theta (N, d) under the Gaussian, up to a constant."""
    given = given_of(surrogate, theta)
    result = np.full(len(theta), -np.inf)
    usable = np.flatnonzero(np.isfinite(given.log_rests))
    if not len(usable):
        return result

    def run(part: np.ndarray) -> None:
        gaussian, work = surrogate.room()
        out = np.empty(len(part))
        evaluate(surrogate.kernel, surrogate.problem, given.owns[part], given.numbers[part], gaussian, work, out)
        result[part] = out + given.log_rests[part]

    parts = np.array_split(usable, min(surrogate.threads, len(usable)))
    if len(parts) == 1:
        run(parts[0])
    else:
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(run, parts))
    return np.where(np.isfinite(result), result, -np.inf)


def at_theta(surrogate: Surrogate, theta: np.ndarray) -> tuple[float, Gaussian, np.ndarray, np.ndarray]:
    """Return the log mass, the Gaussian, the family's parameters and D^-1's numbers at one theta (d,)."""
    known = natural_of(surrogate.parameters, theta[None])
    numbers, _ = precisions_of(surrogate.parameters, known)
    gaussian, work = surrogate.room()
    own = surrogate.owns(known.own)[0]
    mass = settle(surrogate.kernel, surrogate.problem, own, numbers[0], gaussian, work)
    return mass, gaussian, own, numbers[0]


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
    centre = _at(middle, spread, most_gain=np.inf if concave else MOST_GAIN)
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
    prior, observed = problem.prior, problem.observed
    columns = np.repeat(np.arange(problem.pattern.size), np.diff(problem.pattern.starts))[prior.places]
    rows = problem.pattern.rows[prior.places]
    values = numbers[prior.numbers] * np.where(rows == columns, 1.0, 2.0)
    slopes = np.empty((max(4, 1 + 2 * len(observed.offset)), observed.offset.shape[1]))

    def height(b: np.ndarray) -> tuple[float, np.ndarray]:
        eta = np.empty_like(observed.offset)
        predict(problem, b, eta)
        surrogate_slopes(surrogate, eta, own, slopes)
        total = float(slopes[0].sum() - 0.5 * (values * b[rows] * b[columns]).sum())
        return (total if np.isfinite(total) and np.isfinite(slopes[: 1 + 2 * len(eta)]).all() else -np.inf), eta

    b = np.zeros(problem.pattern.size)
    here, eta = height(b)
    if not np.isfinite(here):
        b = _typical(surrogate)
        here, eta = height(b)
    gaussian = surrogate.gaussian()
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
    nodes = _at(middle, spread).nodes

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
                predict(problem, gaussian.mean, work.eta)
                row += sign * (work.eta - problem.centre.middle) / (2 * SHIFT)
    centre = problem.centre._replace(moving=moving, origin=own[moving], along=along)
    return replace(surrogate, problem=problem._replace(centre=centre))


def eta_moments(surrogate: Surrogate, gaussian: Gaussian) -> tuple[np.ndarray, np.ndarray]:
    """Return means and SDs (K, n) of the linear predictors under a Gaussian."""
    problem = surrogate.problem
    eta = np.empty_like(problem.observed.offset)
    predict(problem, gaussian.mean, eta)
    spreads = np.empty(eta.size)
    rows = CompiledRows(problem.rows.starts, problem.rows.columns, problem.rows.values)
    row_spreads(problem.pattern, invert(problem.pattern, gaussian.factor), rows, spreads)
    return eta, np.sqrt(np.maximum(spreads, 0.0)).reshape(eta.shape)
