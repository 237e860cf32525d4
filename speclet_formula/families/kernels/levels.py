"""Unordered levels, each with a linear predictor of its own: eta is (K, n), and `out` (1 + 2 K, n).

It is filled with the log density up to a constant, its first derivatives by each linear predictor, then the second
ones. Counts of levels come row by row, one number for each level.
"""

import math

from speclet_formula.families.kernels.shares import rising
from speclet_formula.families.kernels.special import Array, compiled


@compiled
def categorical(eta: Array, response: Array, out: Array) -> None:
    """One of K + 1 levels, by its place; the first has the linear predictor 0."""
    count = len(eta)
    for row in range(len(response)):
        top, total = _largest(eta, row)
        level = int(response[row])
        own = eta[level - 1, row] if level > 0 else 0.0
        out[0, row] = own - top - math.log(total)
        for k in range(count):
            share = math.exp(eta[k, row] - top) / total
            out[1 + k, row] = (1.0 if level == k + 1 else 0.0) - share
            out[1 + count + k, row] = -share * (1.0 - share)


@compiled
def _largest(eta: Array, row: int) -> tuple[float, float]:
    """Return the largest linear predictor of a row, the reference's 0 among them, and the sum of exp(eta - largest)."""
    top = 0.0
    for k in range(len(eta)):
        top = max(top, eta[k, row])
    total = math.exp(-top)
    for k in range(len(eta)):
        total += math.exp(eta[k, row] - top)
    return top, total


@compiled
def multinomial(eta: Array, response: Array, trials: Array, out: Array) -> None:
    """Counts of K + 1 levels; the first has the linear predictor 0."""
    count = len(eta)
    for row in range(len(trials)):
        top, total = _largest(eta, row)
        first = row * (count + 1)
        value = -trials[row] * (top + math.log(total))
        for k in range(count):
            seen = response[first + 1 + k]
            share = math.exp(eta[k, row] - top) / total
            value += seen * eta[k, row] if seen > 0 else 0.0
            out[1 + k, row] = seen - trials[row] * share
            out[1 + count + k, row] = -trials[row] * share * (1.0 - share)
        out[0, row] = value


@compiled
def dirichlet_multinomial(eta: Array, response: Array, trials: Array, out: Array) -> None:
    """Counts of K levels, the logarithms of whose concentrations are the linear predictors."""
    count = len(eta)
    for row in range(len(trials)):
        total = 0.0
        for k in range(count):
            total += math.exp(eta[k, row])
        whole, first, second, _ = rising(trials[row], total)
        value = -whole
        for k in range(count):
            concentration = math.exp(eta[k, row])
            own = rising(response[row * count + k], concentration)
            value += own[0]
            slope = concentration * (own[1] - first)
            out[1 + k, row] = slope
            out[1 + count + k, row] = slope + concentration * concentration * (own[2] - second)
        out[0, row] = value
