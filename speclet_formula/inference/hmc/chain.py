"""Compiled loops: a Markov chain that corrects the Gaussian which stands for a posterior.

Its state is theta and z, with the coefficients b = m + C'^-1 z. In these coordinates the posterior is nearly the
Gaussian's marginal of theta times independent normal numbers; what is left is R, the sum over the rows of log density
less quadratic, and over Student t priors of log density less that of the Normal one in their place. So

* theta moves with z held, to independent proposals, and is accepted by the change of R;
* z moves along Hamiltonian trajectories that follow the Gaussian part exactly, as rotations, and are kicked by R's
  gradient alone (Shahbaba et al. 2014, doi:10.1007/s11222-012-9373-1).

Both are Metropolis steps: the Gaussian decides how fast the chain mixes, not what it samples.
"""

from typing import NamedTuple

import numpy as np

from speclet_formula.inference.algebra.symbolic import Array, compiled
from speclet_formula.inference.hmc.gaussian import (
    Gaussian,
    HeavyTails,
    Kernel,
    RowProblem,
    Workspace,
    backward_whole,
    forward_whole,
    gather,
    predict,
    settle,
)


@compiled
def heavier(tails: HeavyTails, b: Array) -> float:
    """Return by how much Student t priors of coefficients b (p,) exceed the Normal ones, in logs, less a constant."""
    total = 0.0
    for h in range(len(tails.places)):
        square = (b[tails.places[h]] / tails.scales[h]) ** 2
        total -= 0.5 * (tails.degrees[h] + 1.0) * np.log1p(square / tails.degrees[h])
        total += 0.5 * tails.precisions[h] * b[tails.places[h]] ** 2
    return total


@compiled
def add_slopes_of_tails(tails: HeavyTails, b: Array, out: Array) -> None:
    """Add the slopes of `heavier` by the coefficients to out (p,)."""
    for h in range(len(tails.places)):
        k = tails.places[h]
        force = (tails.degrees[h] + 1.0) / (tails.degrees[h] * tails.scales[h] ** 2 + b[k] ** 2)
        out[k] += (tails.precisions[h] - force) * b[k]


@compiled
def remainder(
    kernel: Kernel, problem: RowProblem, own: Array, gaussian: Gaussian, z: Array, b: Array, work: Workspace
) -> float:
    """Fill b = m + C'^-1 z, the linear predictors and slopes there; return R, -inf where it is not finite."""
    pattern, quadratic, observed = problem.pattern, gaussian.quadratic, problem.observed
    for k in range(pattern.size):
        b[k] = z[k]
    backward_whole(pattern, gaussian.factor, b, work.inside)
    for k in range(pattern.size):
        b[k] += gaussian.mean[k]
    predict(problem, gaussian.entries, b, work.eta)
    kernel(work.eta, observed.response, observed.trials, observed.weights, own, work.slopes)
    middle = quadratic.middle
    count, size = middle.shape
    total = heavier(problem.tails, b)
    for i in range(size):
        total += work.slopes[0, i] - quadratic.value[i]
    for k in range(count):
        for i in range(size):
            apart = work.eta[k, i] - middle[k, i]
            total -= (quadratic.first[k, i] - 0.5 * quadratic.bend[k, i] * apart) * apart
    return total if np.isfinite(total) else -np.inf


@compiled
def uphill(problem: RowProblem, gaussian: Gaussian, b: Array, work: Workspace) -> None:
    """Fill work.vector with the gradient of R by z, of the coefficients and slopes that `remainder` left."""
    quadratic, middle = gaussian.quadratic, gaussian.quadratic.middle
    count, size = middle.shape
    for k in range(count):
        for i in range(size):
            apart = work.eta[k, i] - middle[k, i]
            work.eta[k, i] = work.slopes[1 + k, i] - quadratic.first[k, i] + quadratic.bend[k, i] * apart
    gather(problem, gaussian.entries, work.eta, work.vector)
    add_slopes_of_tails(problem.tails, b, work.vector)
    forward_whole(problem.pattern, gaussian.factor, work.vector, work.inside)


@compiled
def copy_gaussian(problem: RowProblem, source: Gaussian, target: Gaussian) -> None:
    """Copy what differs between two theta."""
    for place in problem.moving.places:
        target.entries[place] = source.entries[place]
    target.quadratic.middle[:] = source.quadratic.middle
    target.quadratic.value[:] = source.quadratic.value
    target.quadratic.first[:] = source.quadratic.first
    target.quadratic.bend[:] = source.quadratic.bend
    target.factor.low[:] = source.factor.low
    target.factor.diagonal[:] = source.factor.diagonal
    target.factor.wide[:] = source.factor.wide
    target.factor.thin[:] = source.factor.thin
    target.factor.corner[:] = source.factor.corner
    target.mean[:] = source.mean


class ThetaProposals(NamedTuple):
    """Values of theta for the chain to move to, in the order in which they are tried. M of them."""

    owns: Array  # (M, e)
    numbers: Array  # (M, m)
    log_rests: Array  # (M,) what, with the Gaussian's log mass, makes its marginal next to their own density


class ChainState(NamedTuple):
    """Where a chain is."""

    z: Array  # (p,)
    b: Array  # (p,) the coefficients, by position
    place: Array  # (2,) its proposal, and the next one to try
    level: Array  # (2,) R, and the Gaussian's log mass
    tried: Array  # (p,) room for other coefficients
    start: Array  # (p,) room for z before a trajectory
    speed: Array  # (p,) room for its velocity


class Schedule(NamedTuple):
    """How much a chain does for each draw."""

    thin: int  # rounds
    moves: int  # proposals of theta in each round
    kicks: int  # along each trajectory


class KeptDraws(NamedTuple):
    """What a chain leaves behind. T draws."""

    columns: Array  # (k,) positions of the coefficients that are kept
    coefficients: Array  # (T, k)
    places: Array  # (T,) the proposals that are theta
    energy: Array  # (T, 3) R, the change of energy along the last trajectory, theta's share of moves accepted


@compiled
def move_theta(
    kernel: Kernel,
    problem: RowProblem,
    proposals: ThetaProposals,
    state: ChainState,
    rng: np.random.Generator,
    here: Gaussian,
    there: Gaussian,
    work: Workspace,
) -> bool:
    """Try the next proposal of theta with z held; tell whether it was accepted."""
    current, new = state.place[0], state.place[1] % len(proposals.log_rests)
    state.place[1] += 1
    if not np.isfinite(proposals.log_rests[new]):
        return False
    own = proposals.owns[new]
    mass = settle(kernel, problem, own, proposals.numbers[new], there, work)
    if not np.isfinite(mass):
        return False
    level = remainder(kernel, problem, own, there, state.z, state.tried, work)
    odds = proposals.log_rests[new] - proposals.log_rests[current] + mass - state.level[1] + level - state.level[0]
    if not np.log(rng.random()) < odds:
        return False
    copy_gaussian(problem, there, here)
    state.place[0], state.level[0], state.level[1] = new, level, mass
    state.b[:] = state.tried
    return True


@compiled
def follow(
    kernel: Kernel, problem: RowProblem, own: Array, state: ChainState, rng: np.random.Generator, kicks: int,
    known: bool, here: Gaussian, work: Workspace,
) -> float:  # fmt: skip
    """Follow a trajectory of z from a random velocity, a quarter of a turn long; return its change of energy.

    `known` says that the rows' slopes where it starts are in `work`, as an accepted move of theta leaves them.
    """
    z, speed, size = state.z, state.speed, len(state.z)
    if known:
        state.tried[:] = state.b
    else:
        remainder(kernel, problem, own, here, z, state.tried, work)
    before: float = -state.level[0]
    for k in range(size):
        speed[k] = rng.standard_normal()
        state.start[k] = z[k]
        before += 0.5 * (speed[k] ** 2 + z[k] ** 2)
    step = (0.9 + 0.2 * rng.random()) * 0.5 * np.pi / kicks  # not always the same: no trajectory comes back
    cosine, sine = np.cos(step), np.sin(step)
    uphill(problem, here, state.tried, work)
    level = 0.0
    for _ in range(kicks):
        for k in range(size):
            pushed = speed[k] + 0.5 * step * work.vector[k]
            speed[k] = pushed * cosine - z[k] * sine
            z[k] = z[k] * cosine + pushed * sine
        level = remainder(kernel, problem, own, here, z, state.tried, work)
        if not np.isfinite(level):
            break
        uphill(problem, here, state.tried, work)
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
    problem: RowProblem,
    proposals: ThetaProposals,
    state: ChainState,
    kept: KeptDraws,
    rng: np.random.Generator,
    schedule: Schedule,
    here: Gaussian,
    there: Gaussian,
    work: Workspace,
) -> None:
    """Draw: for each draw some rounds of moves of theta and a trajectory of z."""
    current = state.place[0]
    state.level[1] = settle(kernel, problem, proposals.owns[current], proposals.numbers[current], here, work)
    state.level[0] = remainder(kernel, problem, proposals.owns[current], here, state.z, state.b, work)
    for draw in range(len(kept.places)):
        moved, change = 0, 0.0
        for _ in range(schedule.thin):
            accepted = False
            for _ in range(schedule.moves):
                accepted = move_theta(kernel, problem, proposals, state, rng, here, there, work)
                moved += accepted
            own = proposals.owns[state.place[0]]
            change = follow(kernel, problem, own, state, rng, schedule.kicks, accepted, here, work)
        for k in range(len(kept.columns)):
            kept.coefficients[draw, k] = state.b[kept.columns[k]]
        kept.places[draw] = state.place[0]
        kept.energy[draw, 0] = state.level[0]
        kept.energy[draw, 1] = change
        kept.energy[draw, 2] = moved / max(schedule.thin * schedule.moves, 1)
