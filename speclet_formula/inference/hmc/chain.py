"""Compiled loops: the Gaussian closest to a posterior at one theta, and a Markov chain that corrects it.

Given theta, each row's log density is taken for the quadratic q(eta) = value + first x - bend x^2 / 2 with
x = eta - eta0: its mean, slope and curvature over a normal distribution of eta around eta0. The coefficients are then
Gaussian, with the precision P = W'BW + D^-1 = C C' and the mean m. A chain's state is theta and z, with the
coefficients b = m + C'^-1 z. In these coordinates the posterior is nearly the Gaussian's marginal of theta times
independent normal numbers; what is left is the sum R over the rows of log density less quadratic. So

* theta moves with z held, to independent proposals, and is accepted by the change of R;
* z moves along Hamiltonian trajectories that follow the Gaussian part exactly, as rotations, and are kicked by R's
  gradient alone (Shahbaba et al. 2014, doi:10.1007/s11222-012-9373-1).

Both are Metropolis steps: the Gaussian decides how fast the chain mixes, not what it samples.
"""

from typing import Any, NamedTuple

import numpy as np

from speclet_formula.inference.algebra.numeric import (
    Cholesky,
    backward_lead,
    factor_lead,
    forward_lead,
    load_corner,
)
from speclet_formula.inference.algebra.symbolic import Array, Pattern, compiled

LEAST_BEND = 1e-10

type Kernel = Any  # as `kernels.kernel_of` gives them


class Rows(NamedTuple):
    """Rows of W, those of the K linear predictors one after the other, and where their products stand in P."""

    starts: Array  # (K n + 1,)
    columns: Array  # by position
    values: Array
    places: Array  # for each row and each two of its entries, the second not after the first


class Observed(NamedTuple):
    """What the likelihood knows of n rows."""

    response: Array  # (n,)
    trials: Array  # (n,)
    weights: Array  # (n,)
    offset: Array  # (K, n)


class Prior(NamedTuple):
    """Where D^-1 stands in P, and which of its numbers each place gets."""

    places: Array
    numbers: Array


class Centre(NamedTuple):
    """The normal distributions of the linear predictors over which rows are averaged."""

    middle: Array  # (K, n)
    spread: Array  # (K, n) SDs
    nodes: Array  # (J, K) cubature, in SDs
    shares: Array  # (J,)
    most_gain: float  # that a row's quadratic may promise: a row that hardly bends, or the wrong way, must not pull far


class Problem(NamedTuple):
    """All that stays while theta and z move."""

    pattern: Pattern
    rows: Rows
    observed: Observed
    prior: Prior
    centre: Centre


class Quadratic(NamedTuple):
    """What stands for the rows' log densities at one theta."""

    value: Array  # (n,)
    first: Array  # (K, n)
    bend: Array  # (K, n)


class Gaussian(NamedTuple):
    """The Gaussian at one theta."""

    quadratic: Quadratic
    factor: Cholesky
    mean: Array  # (p,) by position


class Work(NamedTuple):
    """Room."""

    values: Array  # the entries of P
    eta: Array  # (K, n)
    slopes: Array  # (1 + 2 K, n): log density, first and second derivatives
    vector: Array  # (p,)
    inside: Array  # (n_wide,)


@compiled
def average_rows(kernel: Kernel, problem: Problem, own: Array, quadratic: Quadratic, work: Work) -> bool:
    """Fill the quadratic at the family's parameters (e,); False where a density is not finite."""
    observed, centre = problem.observed, problem.centre
    count, size = centre.middle.shape
    quadratic.value[:] = 0.0
    quadratic.first[:] = 0.0
    quadratic.bend[:] = 0.0
    for j in range(len(centre.shares)):
        share = centre.shares[j]
        for k in range(count):
            node = centre.nodes[j, k]
            for i in range(size):
                work.eta[k, i] = centre.middle[k, i] + node * centre.spread[k, i]
        kernel(work.eta, observed.response, observed.trials, observed.weights, own, work.slopes)
        for i in range(size):
            quadratic.value[i] += share * work.slopes[0, i]
        for k in range(count):
            for i in range(size):
                quadratic.first[k, i] += share * work.slopes[1 + k, i]
                quadratic.bend[k, i] -= share * work.slopes[1 + count + k, i]
    finite = True
    for k in range(count):
        for i in range(size):
            bend = max(quadratic.bend[k, i], 0.5 * quadratic.first[k, i] ** 2 / centre.most_gain, LEAST_BEND)
            quadratic.bend[k, i] = bend
            quadratic.value[i] += 0.5 * bend * centre.spread[k, i] ** 2
            finite = finite and np.isfinite(quadratic.value[i] + bend + quadratic.first[k, i])
    return finite


@compiled
def assemble(problem: Problem, quadratic: Quadratic, numbers: Array, values: Array) -> None:
    """Fill the entries of P from the rows' bends and D^-1's numbers (m,)."""
    rows, prior = problem.rows, problem.prior
    values[:] = 0.0
    count, size = quadratic.bend.shape
    place = 0
    for k in range(count):
        for i in range(size):
            bend, row = quadratic.bend[k, i], k * size + i
            for a in range(rows.starts[row], rows.starts[row + 1]):
                share = bend * rows.values[a]
                for b in range(rows.starts[row], a + 1):
                    values[rows.places[place]] += share * rows.values[b]
                    place += 1
    for entry in range(len(prior.places)):
        values[prior.places[entry]] += numbers[prior.numbers[entry]]


@compiled
def factorise_whole(pattern: Pattern, values: Array, factor: Cholesky) -> bool:
    """Fill C, its corner by loops; False if P is not positive definite."""
    if not factor_lead(pattern, values, factor):
        return False
    load_corner(pattern, values, factor)
    corner = factor.corner
    width = len(corner)
    if pattern.n_wide > 0:
        taken = np.dot(factor.wide.T, factor.wide)
        for row in range(width):
            for column in range(row + 1):
                corner[row, column] -= taken[row, column]
    for row in range(width):
        for column in range(row + 1):
            total = corner[row, column]
            for k in range(column):
                total -= corner[row, k] * corner[column, k]
            if row == column:
                if not total > 0.0:
                    return False
                corner[row, row] = np.sqrt(total)
            else:
                corner[row, column] = total / corner[column, column]
    return True


@compiled
def forward_whole(pattern: Pattern, factor: Cholesky, vector: Array, inside: Array) -> None:
    """Overwrite a vector b by the solution of C x = b."""
    forward_lead(pattern, factor, vector, inside)
    lead, width = pattern.lead, pattern.size - pattern.lead
    for slot in range(pattern.n_wide):
        share = inside[slot]
        for k in range(width):
            vector[lead + k] -= share * factor.wide[slot, k]
    for row in range(width):
        total = vector[lead + row]
        for k in range(row):
            total -= factor.corner[row, k] * vector[lead + k]
        vector[lead + row] = total / factor.corner[row, row]


@compiled
def backward_whole(pattern: Pattern, factor: Cholesky, vector: Array, inside: Array) -> None:
    """Overwrite a vector b by the solution of C' x = b."""
    lead, width = pattern.lead, pattern.size - pattern.lead
    for row in range(width - 1, -1, -1):
        entry = vector[lead + row] / factor.corner[row, row]
        vector[lead + row] = entry
        for k in range(row):
            vector[lead + k] -= factor.corner[row, k] * entry
    for slot in range(pattern.n_wide):
        total = 0.0
        for k in range(width):
            total += factor.wide[slot, k] * vector[lead + k]
        inside[slot] = total
    backward_lead(pattern, factor, vector, inside)


@compiled
def predict(problem: Problem, coefficients: Array, eta: Array) -> None:
    """Fill the linear predictors (K, n) of coefficients (p,) by position."""
    rows, offset = problem.rows, problem.observed.offset
    count, size = offset.shape
    for k in range(count):
        for i in range(size):
            total, row = offset[k, i], k * size + i
            for a in range(rows.starts[row], rows.starts[row + 1]):
                total += rows.values[a] * coefficients[rows.columns[a]]
            eta[k, i] = total


@compiled
def gather(problem: Problem, by_row: Array, out: Array) -> None:
    """Fill out (p,) with W'v for v (K, n)."""
    rows = problem.rows
    count, size = by_row.shape
    out[:] = 0.0
    for k in range(count):
        for i in range(size):
            share, row = by_row[k, i], k * size + i
            for a in range(rows.starts[row], rows.starts[row + 1]):
                out[rows.columns[a]] += rows.values[a] * share


@compiled
def settle(kernel: Kernel, problem: Problem, own: Array, numbers: Array, gaussian: Gaussian, work: Work) -> float:
    """Fill the Gaussian at one theta; return its log mass less log|D^-1| / 2, -inf where there is none."""
    quadratic, pattern = gaussian.quadratic, problem.pattern
    if not average_rows(kernel, problem, own, quadratic, work):
        return -np.inf
    assemble(problem, quadratic, numbers, work.values)
    if not factorise_whole(pattern, work.values, gaussian.factor):
        return -np.inf
    middle, offset = problem.centre.middle, problem.observed.offset
    count, size = middle.shape
    mass = 0.0
    for i in range(size):
        mass += quadratic.value[i]
    for k in range(count):
        for i in range(size):
            apart = offset[k, i] - middle[k, i]
            mass += (quadratic.first[k, i] - 0.5 * quadratic.bend[k, i] * apart) * apart
            work.eta[k, i] = quadratic.first[k, i] - quadratic.bend[k, i] * apart
    mean = gaussian.mean
    gather(problem, work.eta, mean)
    forward_whole(pattern, gaussian.factor, mean, work.inside)
    for k in range(pattern.size):
        mass += 0.5 * mean[k] * mean[k]
    backward_whole(pattern, gaussian.factor, mean, work.inside)
    for column in range(pattern.lead):
        mass -= np.log(gaussian.factor.diagonal[column])
    for k in range(pattern.size - pattern.lead):
        mass -= np.log(gaussian.factor.corner[k, k])
    return mass


@compiled
def evaluate(
    kernel: Kernel, problem: Problem, owns: Array, numbers: Array, gaussian: Gaussian, work: Work, out: Array
) -> None:
    """Fill out (N,) with the Gaussian's log mass at N theta, less log|D^-1| / 2."""
    for k in range(len(out)):
        out[k] = settle(kernel, problem, owns[k], numbers[k], gaussian, work)


@compiled
def remainder(
    kernel: Kernel, problem: Problem, own: Array, gaussian: Gaussian, z: Array, b: Array, work: Work
) -> float:
    """Fill b = m + C'^-1 z, the linear predictors and slopes there; return R, -inf where it is not finite."""
    pattern, quadratic, observed = problem.pattern, gaussian.quadratic, problem.observed
    for k in range(pattern.size):
        b[k] = z[k]
    backward_whole(pattern, gaussian.factor, b, work.inside)
    for k in range(pattern.size):
        b[k] += gaussian.mean[k]
    predict(problem, b, work.eta)
    kernel(work.eta, observed.response, observed.trials, observed.weights, own, work.slopes)
    middle = problem.centre.middle
    count, size = middle.shape
    total = 0.0
    for i in range(size):
        total += work.slopes[0, i] - quadratic.value[i]
    for k in range(count):
        for i in range(size):
            apart = work.eta[k, i] - middle[k, i]
            total -= (quadratic.first[k, i] - 0.5 * quadratic.bend[k, i] * apart) * apart
    return total if np.isfinite(total) else -np.inf


@compiled
def uphill(problem: Problem, gaussian: Gaussian, work: Work) -> None:
    """Fill work.vector with the gradient of R by z, of the slopes that `remainder` left."""
    quadratic, middle = gaussian.quadratic, problem.centre.middle
    count, size = middle.shape
    for k in range(count):
        for i in range(size):
            apart = work.eta[k, i] - middle[k, i]
            work.eta[k, i] = work.slopes[1 + k, i] - quadratic.first[k, i] + quadratic.bend[k, i] * apart
    gather(problem, work.eta, work.vector)
    forward_whole(problem.pattern, gaussian.factor, work.vector, work.inside)


@compiled
def copy_gaussian(source: Gaussian, target: Gaussian) -> None:
    """Copy what differs between two theta."""
    target.quadratic.value[:] = source.quadratic.value
    target.quadratic.first[:] = source.quadratic.first
    target.quadratic.bend[:] = source.quadratic.bend
    target.factor.low[:] = source.factor.low
    target.factor.diagonal[:] = source.factor.diagonal
    target.factor.wide[:] = source.factor.wide
    target.factor.thin[:] = source.factor.thin
    target.factor.corner[:] = source.factor.corner
    target.mean[:] = source.mean


class Proposals(NamedTuple):
    """Values of theta for the chain to move to, in the order in which they are tried. M of them."""

    owns: Array  # (M, e)
    numbers: Array  # (M, m)
    log_weights: Array  # (M,) log density of the Gaussian's marginal less that of their own distribution


class State(NamedTuple):
    """Where a chain is."""

    z: Array  # (p,)
    b: Array  # (p,) the coefficients, by position
    place: Array  # (2,) its proposal, and the next one to try
    level: Array  # (1,) R
    tried: Array  # (p,) room for other coefficients
    start: Array  # (p,) room for z before a trajectory
    speed: Array  # (p,) room for its velocity


class Schedule(NamedTuple):
    """How much a chain does for each draw."""

    thin: int  # rounds
    moves: int  # proposals of theta in each round
    kicks: int  # along each trajectory


class Kept(NamedTuple):
    """What a chain leaves behind. T draws."""

    columns: Array  # (k,) positions of the coefficients that are kept
    coefficients: Array  # (T, k)
    places: Array  # (T,) the proposals that are theta
    energy: Array  # (T, 3) R, the change of energy along the last trajectory, theta's share of moves accepted


@compiled
def move_theta(
    kernel: Kernel,
    problem: Problem,
    proposals: Proposals,
    state: State,
    rng: np.random.Generator,
    here: Gaussian,
    there: Gaussian,
    work: Work,
) -> bool:
    """Try the next proposal of theta with z held; tell whether it was accepted."""
    current, new = state.place[0], state.place[1] % len(proposals.log_weights)
    state.place[1] += 1
    if not np.isfinite(proposals.log_weights[new]):
        return False
    own = proposals.owns[new]
    if not np.isfinite(settle(kernel, problem, own, proposals.numbers[new], there, work)):
        return False
    level = remainder(kernel, problem, own, there, state.z, state.tried, work)
    odds = proposals.log_weights[new] - proposals.log_weights[current] + level - state.level[0]
    if not np.log(rng.random()) < odds:
        return False
    copy_gaussian(there, here)
    state.place[0], state.level[0] = new, level
    state.b[:] = state.tried
    return True


@compiled
def follow(
    kernel: Kernel, problem: Problem, own: Array, state: State, rng: np.random.Generator, kicks: int,
    here: Gaussian, work: Work,
) -> float:  # fmt: skip
    """Follow a trajectory of z from a random velocity, a quarter of a turn long; return its change of energy."""
    z, speed, size = state.z, state.speed, len(state.z)
    before = 0.0
    for k in range(size):
        speed[k] = rng.standard_normal()
        state.start[k] = z[k]
        before += 0.5 * (speed[k] ** 2 + z[k] ** 2)
    before -= remainder(kernel, problem, own, here, z, state.tried, work)
    step = (0.9 + 0.2 * rng.random()) * 0.5 * np.pi / kicks  # not always the same: no trajectory comes back
    cosine, sine = np.cos(step), np.sin(step)
    uphill(problem, here, work)
    level = 0.0
    for _ in range(kicks):
        for k in range(size):
            pushed = speed[k] + 0.5 * step * work.vector[k]
            speed[k] = pushed * cosine - z[k] * sine
            z[k] = z[k] * cosine + pushed * sine
        level = remainder(kernel, problem, own, here, z, state.tried, work)
        if not np.isfinite(level):
            break
        uphill(problem, here, work)
        for k in range(size):
            speed[k] += 0.5 * step * work.vector[k]
    change = -level - before
    for k in range(size):
        change += 0.5 * (speed[k] ** 2 + z[k] ** 2)
    if np.log(rng.random()) < -change:
        state.level[0] = level
        state.b[:] = state.tried
    else:
        z[:] = state.start
    return change


@compiled
def run_chain(
    kernel: Kernel,
    problem: Problem,
    proposals: Proposals,
    state: State,
    kept: Kept,
    rng: np.random.Generator,
    schedule: Schedule,
    here: Gaussian,
    there: Gaussian,
    work: Work,
) -> None:
    """Draw: for each draw some rounds of moves of theta and a trajectory of z."""
    current = state.place[0]
    settle(kernel, problem, proposals.owns[current], proposals.numbers[current], here, work)
    state.level[0] = remainder(kernel, problem, proposals.owns[current], here, state.z, state.b, work)
    for draw in range(len(kept.places)):
        moved, change = 0, 0.0
        for _ in range(schedule.thin):
            for _ in range(schedule.moves):
                moved += move_theta(kernel, problem, proposals, state, rng, here, there, work)
            own = proposals.owns[state.place[0]]
            change = follow(kernel, problem, own, state, rng, schedule.kicks, here, work)
        for k in range(len(kept.columns)):
            kept.coefficients[draw, k] = state.b[kept.columns[k]]
        kept.places[draw] = state.place[0]
        kept.energy[draw, 0] = state.level[0]
        kept.energy[draw, 1] = change
        kept.energy[draw, 2] = moved / max(schedule.thin * schedule.moves, 1)
