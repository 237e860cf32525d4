"""Compiled loops over draws of the variances: refill the precision's numbers, factor, and use the factor.

One call serves many draws, so that nothing is allocated or interpreted between them. `sparse` wraps them.
"""

from typing import NamedTuple

import numpy as np

from speclet_formula.inference.precision.bordered import (
    Inverse,
    allocate,
    backward,
    entry_of,
    factorise,
    forward,
    invert,
    log_determinant,
)
from speclet_formula.inference.precision.patterns import Array, Pattern, compiled


class Numbers(NamedTuple):
    """What fills the pattern of P. p coefficients, permuted."""

    gram: Array  # W'W on the pattern
    places: Array  # positions on the pattern that the prior's precision adds to ...
    numbers: Array  # ... and which of its distinct numbers each gets
    moment: Array  # (p,) W'y


class Observed(NamedTuple):
    """The rows of W in compressed form, with permuted columns. n rows."""

    starts: Array
    columns: Array
    values: Array
    weights: Array  # (n,)
    response: Array  # (n,)


@compiled
def refill(numbers: Numbers, s2: float, prior: Array, values: Array) -> None:
    """Fill values with W'W / s2 plus the prior's precision."""
    for i in range(len(numbers.gram)):
        values[i] = numbers.gram[i] / s2
    for i in range(len(numbers.places)):
        values[numbers.places[i]] += prior[numbers.numbers[i]]


@compiled
def evaluate_draws(pattern: Pattern, numbers: Numbers, s2s: Array, priors: Array) -> Array:
    """Return log|P| and r'P^-1 r, r = moment / s2, for each draw; NaN where P is not positive definite."""
    result = np.full((len(s2s), 2), np.nan)
    values, factor = np.empty(len(numbers.gram)), allocate(pattern)
    for k in range(len(s2s)):
        refill(numbers, s2s[k], priors[k], values)
        if not factorise(pattern, values, factor):
            continue
        vector = numbers.moment / s2s[k]
        forward(pattern, factor, vector)
        result[k, 0] = log_determinant(factor)
        result[k, 1] = (vector * vector).sum()
    return result


@compiled
def draw_coefficients(
    pattern: Pattern, numbers: Numbers, order: Array, s2s: Array, priors: Array, seed: int, out: Array
) -> None:
    """Fill each row of out, in the coefficients' own order, with a draw of N(P^-1 r, P^-1)."""
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator, one for each thread
    values, factor = np.empty(len(numbers.gram)), allocate(pattern)
    for k in range(len(s2s)):
        refill(numbers, s2s[k], priors[k], values)
        factorise(pattern, values, factor)
        vector = numbers.moment / s2s[k]
        forward(pattern, factor, vector)
        for i in range(pattern.size):
            vector[i] += np.random.standard_normal()  # noqa: NPY002
        backward(pattern, factor, vector)
        for i in range(pattern.size):
            out[k, order[i]] = vector[i]


@compiled
def leave_rows_out(
    pattern: Pattern, numbers: Numbers, observed: Observed, s2s: Array, priors: Array, out: Array
) -> Array:
    """Fill out (draws, n) with log p(y_i | the other rows, theta); return the leverages' sums (n,) over the draws.

    Row i of W has leverage h_i = weight_i w_i' P^-1 w_i / s2, and given theta the left-out prediction is normal with
    mean y_i - (y_i - fitted_i) / (1 - h_i) and variance s2 / weight_i / (1 - h_i).
    """
    values, factor = np.empty(len(numbers.gram)), allocate(pattern)
    leverages = np.zeros(len(observed.response))
    for k in range(len(s2s)):
        refill(numbers, s2s[k], priors[k], values)
        if not factorise(pattern, values, factor):
            out[k] = np.nan
            continue
        vector = numbers.moment / s2s[k]
        forward(pattern, factor, vector)
        backward(pattern, factor, vector)
        inverse = invert(pattern, factor)
        for i in range(len(observed.response)):
            fitted, spread = _row_moments(pattern, inverse, observed, i, vector)
            leverage = observed.weights[i] * spread / s2s[k]
            leverages[i] += leverage
            free = 1.0 - leverage
            if not free > 0.0:  # rounded away: the row's own coefficient takes it up whole
                out[k, i] = np.nan
                continue
            variance = s2s[k] / observed.weights[i] / free
            error = (observed.response[i] - fitted) / free
            out[k, i] = -0.5 * (np.log(2.0 * np.pi * variance) + error * error / variance)
    return leverages


@compiled
def _row_moments(pattern: Pattern, inverse: Inverse, observed: Observed, i: int, mean: Array) -> tuple[float, float]:
    """Return w'u and w'P^-1 w of row i."""
    fitted, spread = 0.0, 0.0
    for a in range(observed.starts[i], observed.starts[i + 1]):
        column, value = observed.columns[a], observed.values[a]
        fitted += value * mean[column]
        spread += value * value * entry_of(pattern, inverse, column, column)
        for b in range(observed.starts[i], a):
            spread += 2.0 * value * observed.values[b] * entry_of(pattern, inverse, column, observed.columns[b])
    return fitted, spread


@compiled
def predict_row(pattern: Pattern, numbers: Numbers, columns: Array, entries: Array, s2s: Array, priors: Array) -> Array:
    """Return mean and variance of the linear predictor w'u of one row of W, for each draw: (draws, 2)."""
    values, factor = np.empty(len(numbers.gram)), allocate(pattern)
    result = np.full((len(s2s), 2), np.nan)
    for k in range(len(s2s)):
        refill(numbers, s2s[k], priors[k], values)
        if not factorise(pattern, values, factor):
            continue
        vector, row = numbers.moment / s2s[k], np.zeros(pattern.size)
        for a in range(len(columns)):
            row[columns[a]] = entries[a]
        forward(pattern, factor, vector)
        forward(pattern, factor, row)
        result[k, 0] = (row * vector).sum()
        result[k, 1] = (row * row).sum()
    return result
