"""Counts: poisson and negativebinomial, as they are, with zeros added, or above a hurdle."""

import math

import numpy as np

from speclet_formula.families.kernels.special import (
    HURDLE,
    INFLATED,
    LOG,
    NONE,
    Array,
    chained,
    compiled,
    inflated_zero,
    mean_of,
    put,
    without_zero,
)


@compiled
def poisson(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Counts whose variance is their mean."""
    for row in range(len(eta)):
        y = response[row]
        if y > 0 or zeros == NONE:
            put(out, row, _poisson(link, eta[row], y))
        if zeros == INFLATED and y == 0:
            put(out, row, inflated_zero(numbers[0], *_poisson(link, eta[row], 0.0)))
        elif zeros == HURDLE:
            _over(out, row, y, _poisson(link, eta[row], 0.0))


@compiled
def _over(out: Array, row: int, y: float, at_zero: tuple[float, float, float, float]) -> None:
    """Add what is known of a count above a hurdle, given the log probability of 0 without one."""
    if y == 0:
        put(out, row, (0.0, 0.0, 0.0, 0.0))
        return
    added = without_zero(*at_zero)
    for order in range(4):
        out[order, row] += added[order]


@compiled
def _poisson(link: int, eta: float, y: float) -> tuple[float, float, float, float]:
    if link == LOG:
        mean = math.exp(eta)
        return y * eta - mean, y - mean, -mean, -mean
    mean, m1, m2, m3 = mean_of(link, eta)
    if y == 0:
        return chained(-mean if mean > 0 else np.nan, -1.0, 0.0, 0.0, m1, m2, m3)
    share = y / mean
    value = y * math.log(mean) - mean
    return chained(value, share - 1.0, -share / mean, 2.0 * share / (mean * mean), m1, m2, m3)


@compiled
def negativebinomial(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Counts with the variance mean + mean^2 / alpha."""
    alpha = numbers[0]
    log_alpha = math.log(alpha)
    for row in range(len(eta)):
        y = response[row]
        if y > 0 or zeros == NONE:
            put(out, row, _negativebinomial(link, eta[row], y, alpha, log_alpha))
        if zeros == INFLATED and y == 0:
            put(out, row, inflated_zero(numbers[1], *_negativebinomial(link, eta[row], 0.0, alpha, log_alpha)))
        elif zeros == HURDLE:
            _over(out, row, y, _negativebinomial(link, eta[row], 0.0, alpha, log_alpha))


@compiled
def _negativebinomial(
    link: int, eta: float, y: float, alpha: float, log_alpha: float
) -> tuple[float, float, float, float]:
    if link == LOG:
        log_ratio = eta - log_alpha
        smaller = math.exp(-abs(log_ratio))  # of mean / alpha and its inverse: one power for all that is needed
        p, rest = 1.0 / (1.0 + smaller), smaller / (1.0 + smaller)
        if log_ratio < 0:
            p, rest = rest, p
        bend = (y + alpha) * p * rest
        size = max(log_ratio, 0.0) + math.log1p(smaller)  # log(1 + mean / alpha)
        return y * eta - (y + alpha) * size, y * rest - alpha * p, -bend, -bend * (rest - p)
    mean, m1, m2, m3 = mean_of(link, eta)
    both = mean + alpha
    if y == 0:
        value = -alpha * math.log1p(mean / alpha) if mean > 0 else np.nan
    else:
        value = y * math.log(mean) - (y + alpha) * math.log1p(mean / alpha)
    share, total = (y / mean if y > 0 else 0.0), (y + alpha) / both
    return chained(
        value,
        share - total,
        (-share / mean if y > 0 else 0.0) + total / both,
        (2.0 * share / (mean * mean) if y > 0 else 0.0) - 2.0 * total / (both * both),
        m1, m2, m3,
    )  # fmt: skip
