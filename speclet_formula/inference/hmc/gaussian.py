"""Compiled loops: the Gaussian that stands for a posterior at one theta.

Each row's log density is taken for the quadratic q(eta) = value + first x - bend x^2 / 2 with x = eta - eta0: its mean,
slope and curvature over a normal distribution of eta around eta0. The coefficients are then Gaussian, with the
precision P = W'BW + D^-1 = C C' and the mean m, and integrate out.
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


class ProductRows(NamedTuple):
    """Rows of W, those of the K linear predictors one after the other, and where their products stand in P."""

    starts: Array  # (K n + 1,)
    columns: Array  # by position
    values: Array
    places: Array  # for each row and each two of its entries, the second not after the first


class ObservedRows(NamedTuple):
    """What the likelihood knows of n rows."""

    response: Array  # (n,)
    trials: Array  # (n,)
    weights: Array  # (n,)
    offset: Array  # (K, n)


class MovingEntries(NamedTuple):
    """Entries of W that follow from theta: those of monotonic effects."""

    places: Array  # (f,) among the entries
    numbers: Array  # (f,) which of the numbers that come with D^-1's each is


class PriorPlaces(NamedTuple):
    """Where D^-1 stands in P, and which of its numbers each place gets, times what."""

    places: Array
    numbers: Array
    factors: Array


class HeavyTails(NamedTuple):
    """Coefficients whose priors are Student t, which are measured from the priors' location. h of them."""

    places: Array  # (h,) by position
    degrees: Array  # (h,)
    scales: Array  # (h,)
    precisions: Array  # (h,) of the Normal priors that D^-1 has in their place


class Centre(NamedTuple):
    """The normal distributions of the linear predictors over which rows are averaged."""

    middle: Array  # (K, n)
    spread: Array  # (K, n) SDs
    nodes: Array  # (J, K) cubature, in SDs
    shares: Array  # (J,)
    most_gain: float  # that a row's quadratic may promise: a row that hardly bends, or the wrong way, must not pull far
    moving: Array  # (f,) which of the family's parameters the middle goes along with: thresholds
    origin: Array  # (f,) their values where it stands as given
    along: Array  # (f, K, n) how far it goes with each


class RowQuadratics(NamedTuple):
    """What stands for the rows' log densities at one theta."""

    middle: Array  # (K, n)
    value: Array  # (n,)
    first: Array  # (K, n)
    bend: Array  # (K, n)


class RowProblem(NamedTuple):
    """All that stays while theta and z move."""

    pattern: Pattern
    rows: ProductRows
    moving: MovingEntries
    observed: ObservedRows
    prior: PriorPlaces
    tails: HeavyTails
    centre: Centre
    quadratic: RowQuadratics  # the rows' own where the family has no parameters that move
    settled: bool  # whether it is filled


class Gaussian(NamedTuple):
    """The Gaussian at one theta."""

    quadratic: RowQuadratics
    factor: Cholesky
    mean: Array  # (p,) by position
    entries: Array  # of W; the problem's own where none moves


class Workspace(NamedTuple):
    """Room."""

    values: Array  # the entries of P
    eta: Array  # (K, n)
    slopes: Array  # (1 + 2 K, n): log density, first and second derivatives
    vector: Array  # (p,)
    inside: Array  # (n_wide,)


@compiled
def go_along(centre: Centre, own: Array, middle: Array) -> None:
    """Fill middle (K, n) with where the centre is at the family's parameters (e,)."""
    middle[:] = centre.middle
    count, size = middle.shape
    for f in range(len(centre.moving)):
        moved = own[centre.moving[f]] - centre.origin[f]
        for k in range(count):
            for i in range(size):
                middle[k, i] += moved * centre.along[f, k, i]


@compiled
def average_rows(kernel: Kernel, problem: RowProblem, own: Array, quadratic: RowQuadratics, work: Workspace) -> bool:
    """Fill the quadratic at the family's parameters (e,); False where a density is not finite."""
    observed, centre = problem.observed, problem.centre
    count, size = centre.middle.shape
    go_along(centre, own, quadratic.middle)
    quadratic.value[:] = 0.0
    quadratic.first[:] = 0.0
    quadratic.bend[:] = 0.0
    for j in range(len(centre.shares)):
        share = centre.shares[j]
        for k in range(count):
            node = centre.nodes[j, k]
            for i in range(size):
                work.eta[k, i] = quadratic.middle[k, i] + node * centre.spread[k, i]
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
def move_entries(problem: RowProblem, numbers: Array, entries: Array) -> None:
    """Fill those entries of W that follow from theta."""
    moving = problem.moving
    for k in range(len(moving.places)):
        entries[moving.places[k]] = numbers[moving.numbers[k]]


@compiled
def assemble(problem: RowProblem, quadratic: RowQuadratics, entries: Array, numbers: Array, values: Array) -> None:
    """Fill the entries of P from the rows' bends, W's entries and D^-1's numbers (m,)."""
    rows, prior = problem.rows, problem.prior
    values[:] = 0.0
    count, size = quadratic.bend.shape
    place = 0
    for k in range(count):
        for i in range(size):
            bend, row = quadratic.bend[k, i], k * size + i
            for a in range(rows.starts[row], rows.starts[row + 1]):
                share = bend * entries[a]
                for b in range(rows.starts[row], a + 1):
                    values[rows.places[place]] += share * entries[b]
                    place += 1
    for entry in range(len(prior.places)):
        values[prior.places[entry]] += numbers[prior.numbers[entry]] * prior.factors[entry]


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
def predict(problem: RowProblem, entries: Array, coefficients: Array, eta: Array) -> None:
    """Fill the linear predictors (K, n) of W's entries and coefficients (p,) by position."""
    rows, offset = problem.rows, problem.observed.offset
    count, size = offset.shape
    for k in range(count):
        for i in range(size):
            total, row = offset[k, i], k * size + i
            for a in range(rows.starts[row], rows.starts[row + 1]):
                total += entries[a] * coefficients[rows.columns[a]]
            eta[k, i] = total


@compiled
def gather(problem: RowProblem, entries: Array, by_row: Array, out: Array) -> None:
    """Fill out (p,) with W'v for v (K, n)."""
    rows = problem.rows
    count, size = by_row.shape
    out[:] = 0.0
    for k in range(count):
        for i in range(size):
            share, row = by_row[k, i], k * size + i
            for a in range(rows.starts[row], rows.starts[row + 1]):
                out[rows.columns[a]] += entries[a] * share


@compiled
def settle(
    kernel: Kernel, problem: RowProblem, own: Array, numbers: Array, gaussian: Gaussian, work: Workspace
) -> float:
    """Fill the Gaussian at one theta; return its log mass less log|D^-1| / 2, -inf where there is none."""
    quadratic, pattern, entries = gaussian.quadratic, problem.pattern, gaussian.entries
    move_entries(problem, numbers, entries)
    if problem.settled:
        quadratic.middle[:] = problem.quadratic.middle
        quadratic.value[:] = problem.quadratic.value
        quadratic.first[:] = problem.quadratic.first
        quadratic.bend[:] = problem.quadratic.bend
    elif not average_rows(kernel, problem, own, quadratic, work):
        return -np.inf
    assemble(problem, quadratic, entries, numbers, work.values)
    if not factorise_whole(pattern, work.values, gaussian.factor):
        return -np.inf
    middle, offset = quadratic.middle, problem.observed.offset
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
    gather(problem, entries, work.eta, mean)
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
    kernel: Kernel, problem: RowProblem, owns: Array, numbers: Array, gaussian: Gaussian, work: Workspace, out: Array
) -> None:
    """Fill out (N,) with the Gaussian's log mass at N theta, less log|D^-1| / 2."""
    for k in range(len(out)):
        out[k] = settle(kernel, problem, owns[k], numbers[k], gaussian, work)
