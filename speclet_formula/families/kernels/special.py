"""Compiled functions of one number that the kernels share: special functions, links, chains of derivatives."""

import math
from typing import Any

import numpy as np

from speclet_formula.common.compiling import loops

Array = np.ndarray[Any, np.dtype[Any]]
# As plain numbers behave in numpy: what cannot be is infinite or NaN. Compiled once on a machine, kept beside the file.
compiled = loops(error_model="numpy")

IDENTITY, LOG, INVERSE, INVERSE_SQUARED, LOGIT, PROBIT, CLOGLOG = range(7)  # places in `links.LINKS`
NONE, INFLATED, HURDLE = range(3)  # places in `links.ZEROS`

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_ROOT_2 = math.sqrt(2.0)
_LARGE = 12.0  # from which asymptotic series have all digits
_FAR, _STEPS = -5.0, 30  # below it so many steps of a continued fraction have all digits of a normal tail
_LARGEST_RATE = 700.0  # above it exp overflows
_SMALL_RATE = 1e-4  # below it powers are more exact than differences


# --- logarithms of Gamma functions, derived ---------------------------------------------------------------------------


@compiled
def digamma(x: float) -> float:
    """Return the derivative of log Gamma at x > 0."""
    total = 0.0
    while x < _LARGE:
        total -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * (691 / 32760 - z / 12))))))
    return total + math.log(x) - 0.5 / x - series


@compiled
def trigamma(x: float) -> float:
    """Return the second derivative of log Gamma at x > 0."""
    total = 0.0
    while x < _LARGE:
        total += 1.0 / (x * x)
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1 / 6 - z * (1 / 30 - z * (1 / 42 - z * (1 / 30 - z * (5 / 66 - z * (691 / 2730 - z * 7 / 6))))))
    return total + (1.0 + 0.5 / x + series) / x


@compiled
def tetragamma(x: float) -> float:
    """Return the third derivative of log Gamma at x > 0."""
    total = 0.0
    while x < _LARGE:
        total -= 2.0 / (x * x * x)
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1 / 2 - z * (1 / 6 - z * (1 / 6 - z * (3 / 10 - z * (5 / 6 - z * (691 / 210 - z * 35 / 2))))))
    return total - z * (1.0 + 1.0 / x + series)


# --- links ------------------------------------------------------------------------------------------------------------


@compiled
def expit(x: float) -> float:
    """Return 1 / (1 + exp(-x))."""
    if x < 0:
        odds = math.exp(x)
        return odds / (1.0 + odds)
    return 1.0 / (1.0 + math.exp(-x))


@compiled
def log_expit(x: float) -> float:
    """Return the log of 1 / (1 + exp(-x))."""
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


@compiled
def mean_of(link: int, eta: float) -> tuple[float, float, float, float]:
    """Return the mean and its three derivatives by eta."""
    if link == IDENTITY:
        return eta, 1.0, 0.0, 0.0
    if link == LOG:
        mean = math.exp(eta)
        return mean, mean, mean, mean
    if link == INVERSE:
        mean = 1.0 / eta
        return mean, -mean * mean, 2.0 * mean**3, -6.0 * mean**4
    if link == INVERSE_SQUARED:
        mean = 1.0 / math.sqrt(eta)
        cube = mean * mean * mean
        return mean, -0.5 * cube, 0.75 * cube * mean * mean, -1.875 * cube * cube * mean
    return _share_of(link, eta)


@compiled
def _share_of(link: int, eta: float) -> tuple[float, float, float, float]:
    if link == LOGIT:
        p = expit(eta)
        spread = p * expit(-eta)
        return p, spread, spread * (1.0 - 2.0 * p), spread * (1.0 - 6.0 * spread)
    if link == PROBIT:
        density = math.exp(-0.5 * eta * eta - HALF_LOG_2PI)
        return 0.5 * math.erfc(-eta / _ROOT_2), density, -eta * density, (eta * eta - 1.0) * density
    rate = math.exp(eta)
    density = math.exp(eta - rate)
    return -math.expm1(-rate), density, density * (1.0 - rate), density * (1.0 - 3.0 * rate + rate * rate)


@compiled
def log_share(link: int, eta: float) -> tuple[float, float, float, float]:
    """Return the log of a share p of trials and its three derivatives by eta."""
    if link == LOGIT:
        p, rest = expit(eta), expit(-eta)
        return log_expit(eta), rest, -p * rest, -p * rest * (rest - p)
    if link == PROBIT:
        return normal_tail(eta)
    if link == CLOGLOG:
        rate = math.exp(eta)
        if rate > _LARGEST_RATE:
            return 0.0, 0.0, 0.0, 0.0
        if rate < _SMALL_RATE:
            turn, size = -rate * (0.5 + rate / 12.0), eta + math.log1p(-rate * (0.5 - rate / 6.0))
            odds = 1.0 - rate - turn
        else:
            odds, size = rate / math.expm1(rate), _log_less(-rate)
            turn = 1.0 - rate - odds
        return size, odds, odds * turn, odds * turn * turn - odds * (rate + odds * turn)
    return math.log(eta), 1.0 / eta, -1.0 / (eta * eta), 2.0 / (eta * eta * eta)


@compiled
def _log_less(value: float) -> float:
    """Return log(1 - exp(value)) of a negative number."""
    return math.log(-math.expm1(value)) if value > -1.0 else math.log1p(-math.exp(value))


@compiled
def log_rest(link: int, eta: float) -> tuple[float, float, float, float]:
    """Return the log of 1 - p, p a share of trials, and its three derivatives by eta."""
    if link == CLOGLOG:
        rate = math.exp(eta)
        return -rate, -rate, -rate, -rate
    if link == IDENTITY:
        rest = 1.0 - eta
        return math.log1p(-eta), -1.0 / rest, -1.0 / (rest * rest), -2.0 / (rest * rest * rest)
    value, first, second, third = log_share(link, -eta)
    return value, -first, second, -third


@compiled
def normal_tail(x: float) -> tuple[float, float, float, float]:
    """Return the log of the normal distribution function and its three derivatives."""
    if x < _FAR:  # by the continued fraction of Mills' ratio, which loses nothing
        beyond = 0.0
        for step in range(_STEPS, 0, -1):
            beyond = step / (beyond - x)
        ratio = beyond - x
        value = -0.5 * x * x - HALF_LOG_2PI - math.log(ratio)
    else:
        below = 0.5 * math.erfc(-x / _ROOT_2)
        value = math.log(below) if x < 0 else math.log1p(-0.5 * math.erfc(x / _ROOT_2))
        ratio = math.exp(-0.5 * x * x - HALF_LOG_2PI) / below
        beyond = ratio + x
    second = -ratio * beyond
    return value, ratio, second, -second * beyond - ratio * (1.0 + second)


# --- chains -----------------------------------------------------------------------------------------------------------


@compiled
def chained(
    value: float, first: float, second: float, third: float, m1: float, m2: float, m3: float
) -> tuple[float, float, float, float]:
    """Turn derivatives by the mean into derivatives by what the mean depends on."""
    return (
        value,
        first * m1,
        second * m1 * m1 + first * m2,
        third * m1 * m1 * m1 + 3.0 * second * m1 * m2 + first * m3,
    )


@compiled
def inflated_zero(
    psi: float, value: float, first: float, second: float, third: float
) -> tuple[float, float, float, float]:
    """Return log(1 - psi + psi exp(value)) and its derivatives: a zero that may also have been added."""
    proper, added = math.log(psi) + value, math.log1p(-psi)
    if value > -1.0:
        size = math.log1p(psi * math.expm1(value))
    else:
        size = max(proper, added) + math.log1p(math.exp(-abs(proper - added)))
    share = expit(proper - added)
    bend = share * expit(added - proper)
    return chained(size, share, bend, bend * (1.0 - 2.0 * share), first, second, third)


@compiled
def without_zero(value: float, first: float, second: float, third: float) -> tuple[float, float, float, float]:
    """Return -log(1 - exp(value)) and its derivatives: what is known of a count that is not 0."""
    odds = math.exp(value) / -math.expm1(value)
    bend = odds * (1.0 + odds)
    return chained(-_log_less(value), odds, bend, bend * (1.0 + 2.0 * odds), first, second, third)


@compiled
def put(out: Array, row: int, slopes: tuple[float, float, float, float]) -> None:
    """Write what is known of a row."""
    out[0, row], out[1, row], out[2, row], out[3, row] = slopes
