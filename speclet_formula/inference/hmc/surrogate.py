"""A model as the Gaussian that stands for its posterior sees it: rows as arrays, their kernel, the marginal of theta.

Where it is centred is found by `centre`.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from speclet_formula.families import Family, inverse_link, inverse_parameter_link, is_linear, specification_of
from speclet_formula.families.links import LINKS, MEANS, ZEROS, Observations
from speclet_formula.inference.algebra.equations import design_rows, pattern_of
from speclet_formula.inference.algebra.layout import prior_entries
from speclet_formula.inference.algebra.numeric import allocate
from speclet_formula.inference.algebra.sparse import sparse_matrix
from speclet_formula.inference.algebra.symbolic import Array, Pattern, compiled
from speclet_formula.inference.hierarchy import HEAVY_TAILED, slot_priors, tails_of
from speclet_formula.inference.hmc import kernels
from speclet_formula.inference.hmc.gaussian import (
    Centre,
    Gaussian,
    HeavyTails,
    MovingEntries,
    ObservedRows,
    PriorPlaces,
    ProductRows,
    RowProblem,
    RowQuadratics,
    Workspace,
    evaluate,
    settle,
)
from speclet_formula.inference.hmc.parameters import Parameters, natural_of, own_design, parameters_of, precisions_of
from speclet_formula.model import Model
from speclet_formula.model.observation import observed_log_density

NODES, FEWER, MANY = 5, 3, 20_000  # of the cubature over one linear predictor; of many rows each costs milliseconds
STEP = 1e-3  # of differences of log densities
MOST_GAIN = 10.0  # of log density, that a row's quadratic may promise
WORTH_A_THREAD = 50_000  # rows, each at one theta: some milliseconds


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
            self.problem.rows.values.copy() if len(self.problem.moving.places) else self.problem.rows.values,
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
        own_steps = [s.column - start for s in parameters.steps if start <= s.column < start + variances.layout.size]
        W = _with_all_entries(design_rows(own_design(design, predictor), variances.layout), own_steps)
        blocks.append(W)
        offsets.append(predictor.offset + W @ centre)
        (above, right, numbers), factors = prior_entries(variances.layout)
        factors = np.ones(len(above)) if factors is None else factors
        entries.append((above + start, right + start, numbers + number, factors))
        start += variances.layout.size
        number += 1 + int(numbers.max(initial=-1))
    W = sparse.block_diag(blocks, format="csr") if len(blocks) > 1 else blocks[0]
    above, right, numbers, factors = (np.concatenate(part) for part in zip(*entries, strict=True))
    touched = abs(W)
    if parameters.steps:
        touched.data[:] = 1.0  # an entry that moves is there wherever it stands
    pattern_entries = pattern_of(touched.T @ touched, touched).tocoo()
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
    prior = PriorPlaces(matrix.places(above, right), numbers.astype(np.int64), factors)
    offset = np.ascontiguousarray(np.stack(offsets))
    response, trials, weights = _observations(model).arrays
    observed = ObservedRows(response, trials, weights, offset)
    moving = _moving_entries(parameters, W, number)
    rows = ProductRows(indptr, columns, W.data.astype(float), places)
    tails = _heavy_tails(model, parameters, matrix.position)
    nothing = np.empty((len(offset), 0))
    none = RowQuadratics(nothing, np.empty(0), nothing, nothing)
    problem = RowProblem(matrix.pattern, rows, moving, observed, prior, tails, centre_at(offset), none, False)
    kernel, codes, constant = kernel_for(model)
    return Surrogate(model, parameters, problem, matrix.order, kernel, codes, constant, threads)


def _with_all_entries(W: Any, columns: list[int]) -> Any:
    """Return W with an entry in each row of some columns, whatever stands there: it moves with theta."""
    for column in columns:
        n = W.shape[0]
        own = W[:, [column]].toarray().ravel()
        whole = sparse.csr_array((own, np.zeros(n, dtype=np.int64), np.arange(n + 1)), shape=(n, 1))
        W = sparse.hstack([W[:, :column], whole, W[:, column + 1 :]], format="csr")
    return W


def _moving_entries(parameters: Parameters, W: Any, first: int) -> MovingEntries:
    """Return where the entries of monotonic effects stand among those of W; their numbers follow the `first` ones."""
    places, numbers = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for steps in parameters.steps:
        places.append(np.flatnonzero(W.indices == steps.column).astype(np.int64))
        numbers.append(first + steps.codes)
        first += len(steps.taken)
    return MovingEntries(np.concatenate(places), np.concatenate(numbers))


def _heavy_tails(model: Model, parameters: Parameters, position: np.ndarray) -> HeavyTails:
    """Return the fixed effects whose priors are Student t, and what stands in for these."""
    slots, found, start = slot_priors(model), [np.empty((4, 0))], 0
    for predictor, variances in zip(model.design.predictors, parameters.predictors, strict=True):
        for term in predictor.fixed:
            if slots[term.name].name in HEAVY_TAILED:
                nu, _, scale = tails_of(slots[term.name])
                own = np.arange(term.start, term.stop)
                values = (position[start + own], nu, scale, variances.precisions[own])
                found.append(np.stack([np.broadcast_to(value, own.shape) for value in values]))
        start += variances.layout.size
    places, degrees, scales, precisions = np.ascontiguousarray(np.hstack(found))
    return HeavyTails(places.astype(np.int64), degrees, scales, precisions)


def centre_at(middle: np.ndarray, spread: np.ndarray | None = None, most_gain: float = MOST_GAIN) -> Centre:
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

    work = len(usable) * surrogate.problem.observed.offset.size
    parts = np.array_split(usable, min(surrogate.threads, len(usable), 1 + work // WORTH_A_THREAD))
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
