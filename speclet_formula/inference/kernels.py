"""Compiled loops over draws of the variances: refill the precision's numbers, factor, and use the factor.

One call serves many draws, so that nothing is allocated or interpreted between them. `precision` wraps them.
"""

from typing import NamedTuple

import numpy as np

from speclet_formula.inference.ldl import Array, compiled, factor, invert_on_pattern, solve_lower, solve_upper


class Equations(NamedTuple):
    """Normal equations on the pattern of the permuted P, as the loops take them. p coefficients."""

    starts: Array  # where each column of the upper triangle starts
    rows: Array  # the rows of its entries
    parents: Array  # the elimination tree
    ends: Array  # where each column of L starts
    gram: Array  # W'W on the pattern
    places: Array  # positions on the pattern that the prior's precision adds to ...
    numbers: Array  # ... and which of its distinct numbers each gets
    moment: Array  # (p,) W'y
    order: Array  # (p,) the coefficient at each permuted position


class Rows(NamedTuple):
    """The rows of W in compressed form, with permuted columns. n rows."""

    starts: Array
    columns: Array
    values: Array
    weights: Array  # (n,)
    response: Array  # (n,)


@compiled
def refill(equations: Equations, s2: float, prior: Array, values: Array) -> None:
    """Fill values with W'W / s2 plus the prior's precision."""
    for i in range(len(equations.gram)):
        values[i] = equations.gram[i] / s2
    for i in range(len(equations.places)):
        values[equations.places[i]] += prior[equations.numbers[i]]


@compiled
def evaluate_draws(equations: Equations, s2s: Array, priors: Array) -> Array:
    """Return log|P| and r'P^-1 r, r = moment / s2, for each draw; NaN where P is not positive definite."""
    size, ends = len(equations.parents), equations.ends
    result = np.full((len(s2s), 2), np.nan)
    values, low = np.empty(len(equations.gram)), np.empty(ends[-1])
    low_rows, diagonal = np.empty(ends[-1], dtype=np.int64), np.empty(size)
    for k in range(len(s2s)):
        refill(equations, s2s[k], priors[k], values)
        if not factor(equations.starts, equations.rows, values, equations.parents, ends, low_rows, low, diagonal):
            continue
        vector = equations.moment / s2s[k]
        solve_lower(ends, low_rows, low, vector)
        result[k, 0] = np.log(diagonal).sum()
        result[k, 1] = (vector * vector / diagonal).sum()
    return result


@compiled
def draw_coefficients(equations: Equations, s2s: Array, priors: Array, seed: int, out: Array) -> None:
    """Fill each row of out, in the coefficients' own order, with a draw of N(P^-1 r, P^-1)."""
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator, one for each thread
    size, ends = len(equations.parents), equations.ends
    values, low = np.empty(len(equations.gram)), np.empty(ends[-1])
    low_rows, diagonal = np.empty(ends[-1], dtype=np.int64), np.empty(size)
    for k in range(len(s2s)):
        refill(equations, s2s[k], priors[k], values)
        factor(equations.starts, equations.rows, values, equations.parents, ends, low_rows, low, diagonal)
        vector = equations.moment / s2s[k]
        solve_lower(ends, low_rows, low, vector)
        for i in range(size):
            normal = np.random.standard_normal()  # noqa: NPY002
            vector[i] = vector[i] / diagonal[i] + normal / np.sqrt(diagonal[i])
        solve_upper(ends, low_rows, low, vector)
        for i in range(size):
            out[k, equations.order[i]] = vector[i]


@compiled
def leave_rows_out(equations: Equations, observed: Rows, s2s: Array, priors: Array, out: Array) -> Array:
    """Fill out (draws, n) with log p(y_i | the other rows, theta); return the leverages' sums (n,) over the draws.

    Row i of W has leverage h_i = weight_i w_i' P^-1 w_i / s2, and given theta the left-out prediction is normal with
    mean y_i - (y_i - fitted_i) / (1 - h_i) and variance s2 / weight_i / (1 - h_i).
    """
    size, ends = len(equations.parents), equations.ends
    values, low = np.empty(len(equations.gram)), np.empty(ends[-1])
    low_rows, diagonal = np.empty(ends[-1], dtype=np.int64), np.empty(size)
    leverages = np.zeros(len(observed.response))
    for k in range(len(s2s)):
        refill(equations, s2s[k], priors[k], values)
        if not factor(equations.starts, equations.rows, values, equations.parents, ends, low_rows, low, diagonal):
            out[k] = np.nan
            continue
        vector = equations.moment / s2s[k]
        solve_lower(ends, low_rows, low, vector)
        vector /= diagonal
        solve_upper(ends, low_rows, low, vector)
        below, across = invert_on_pattern(ends, low_rows, low, diagonal)
        for i in range(len(observed.response)):
            fitted, spread = 0.0, 0.0
            for a in range(observed.starts[i], observed.starts[i + 1]):
                column, value = observed.columns[a], observed.values[a]
                fitted += value * vector[column]
                spread += value * value * across[column]
                for b in range(observed.starts[i], a):
                    first, second = min(column, observed.columns[b]), max(column, observed.columns[b])
                    entry = below[_find(low_rows, ends[first], ends[first + 1], second)]
                    spread += 2.0 * value * observed.values[b] * entry
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
def predict_row(equations: Equations, columns: Array, entries: Array, s2s: Array, priors: Array) -> Array:
    """Return mean and variance of the linear predictor w'u of one row of W, for each draw: (draws, 2)."""
    size, ends = len(equations.parents), equations.ends
    values, low = np.empty(len(equations.gram)), np.empty(ends[-1])
    low_rows, diagonal = np.empty(ends[-1], dtype=np.int64), np.empty(size)
    result = np.full((len(s2s), 2), np.nan)
    for k in range(len(s2s)):
        refill(equations, s2s[k], priors[k], values)
        if not factor(equations.starts, equations.rows, values, equations.parents, ends, low_rows, low, diagonal):
            continue
        vector, row = equations.moment / s2s[k], np.zeros(size)
        for a in range(len(columns)):
            row[columns[a]] = entries[a]
        solve_lower(ends, low_rows, low, vector)
        solve_lower(ends, low_rows, low, row)
        result[k, 0] = (row * vector / diagonal).sum()
        result[k, 1] = (row * row / diagonal).sum()
    return result


@compiled
def _find(low_rows: Array, first: int, last: int, row: int) -> int:
    """Return the position of a row within one column of L; the rows are in order."""
    while last - first > 1:
        middle = (first + last) // 2
        if low_rows[middle] <= row:
            first = middle
        else:
            last = middle
    return first
