"""Ordered levels 0, 1, ..., K - 1 by K - 1 thresholds: links are of threshold - eta."""

import math

from speclet_formula.families.kernels.special import LOGIT, PROBIT, Array, compiled, expit, log_rest, log_share, put

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@compiled
def cumulative(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """P(y <= k) = F(threshold[k] - eta)."""
    last = len(numbers)
    for row in range(len(eta)):
        level = int(response[row])
        if level == 0:
            value, first, second, third = log_share(link, numbers[0] - eta[row])
        elif level == last:
            value, first, second, third = log_rest(link, numbers[last - 1] - eta[row])
        else:
            value, first, second, third = _between(link, numbers[level - 1] - eta[row], numbers[level] - eta[row])
        put(out, row, (value, -first, second, -third))


@compiled
def _between(link: int, lower: float, upper: float) -> tuple[float, float, float, float]:
    """Return log(F(upper) - F(lower)) and its derivatives by a shift of both, by the tail that loses fewer digits."""
    if lower + upper < 0:
        larger, smaller = log_share(link, upper)[0], log_share(link, lower)[0]
    else:
        larger, smaller = log_rest(link, lower)[0], log_rest(link, upper)[0]
    value = larger + math.log(-math.expm1(smaller - larger))
    low, low_first, low_second = _density(link, lower, value)
    high, high_first, high_second = _density(link, upper, value)
    first = high - low
    second = high * high_first - low * low_first
    third = high * high_second - low * low_second
    return value, first, second - first * first, third - 3 * first * second + 2 * first**3


@compiled
def _density(link: int, x: float, value: float) -> tuple[float, float, float]:
    """Return the latent density over exp(value), and its first and second derivative over itself."""
    if link == LOGIT:
        log_density = log_share(link, x)[0] + log_rest(link, x)[0]
        p, rest = expit(x), expit(-x)
        return math.exp(log_density - value), rest - p, 1 - 6 * p * rest
    if link == PROBIT:
        return math.exp(-0.5 * x * x - _HALF_LOG_2PI - value), -x, x * x - 1
    rate = math.exp(x)
    return math.exp(x - rate - value), 1 - rate, 1 - 3 * rate + rate * rate


@compiled
def sratio(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """P(y = k | y >= k) = F(threshold[k] - eta)."""
    for row in range(len(eta)):
        level = int(response[row])
        value, first, second, third = 0.0, 0.0, 0.0, 0.0
        for k in range(min(level + 1, len(numbers))):
            x = numbers[k] - eta[row]
            a, b, c, d = log_share(link, x) if k == level else log_rest(link, x)
            value, first, second, third = value + a, first - b, second + c, third - d
        put(out, row, (value, first, second, third))
