"""Shares: successes among trials (binomial; bernoulli has one), of a varying probability (beta_binomial), beta."""

import math

from speclet_formula.families.kernels.special import (
    CLOGLOG,
    INFLATED,
    LOGIT,
    Array,
    chained,
    compiled,
    digamma,
    inflated_zero,
    log_rest,
    log_share,
    mean_of,
    put,
    tetragamma,
    trigamma,
)

MOST_TERMS = 40  # up to which a sum over successes is as quick as a difference of functions, and loses no digits
FAR_MORE = 1e6  # times the count, from where on three terms of a series have all digits


@compiled
def binomial(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Successes among trials of one probability."""
    for row in range(len(eta)):
        slopes = _binomial(link, eta[row], response[row], trials[row] - response[row])
        if zeros == INFLATED and response[row] == 0:
            slopes = inflated_zero(numbers[0], *slopes)
        put(out, row, slopes)


@compiled
def _binomial(link: int, eta: float, successes: float, failures: float) -> tuple[float, float, float, float]:
    if link == LOGIT:
        smaller = math.exp(-abs(eta))  # of the odds and their inverse: one power and one logarithm for all
        size = math.log1p(smaller)
        p, rest = 1.0 / (1.0 + smaller), smaller / (1.0 + smaller)
        if eta < 0:
            p, rest = rest, p
        bend = (successes + failures) * p * rest
        value = -successes * (max(-eta, 0.0) + size) - failures * (max(eta, 0.0) + size)
        return value, successes * rest - failures * p, -bend, -bend * (rest - p)
    value, first, second, third = 0.0, 0.0, 0.0, 0.0
    if successes > 0 or math.isnan(eta):
        a, b, c, d = log_share(link, eta)
        value, first, second, third = successes * a, successes * b, successes * c, successes * d
    if failures > 0:
        a, b, c, d = log_rest(link, eta)
        value, first = value + failures * a, first + failures * b
        second, third = second + failures * c, third + failures * d
    return value, first, second, third


@compiled
def beta_binomial(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Successes among trials whose probability is Beta with the precision kappa."""
    kappa = numbers[0]
    for row in range(len(eta)):
        mean, m1, m2, m3 = mean_of(link, eta[row])
        rest = _rest(link, eta[row])
        successes = rising(response[row], mean * kappa)
        failures = rising(trials[row] - response[row], rest * kappa)
        put(out, row, chained(
            successes[0] + failures[0],
            kappa * (successes[1] - failures[1]),
            kappa**2 * (successes[2] + failures[2]),
            kappa**3 * (successes[3] - failures[3]),
            m1, m2, m3,
        ))  # fmt: skip


@compiled
def _rest(link: int, eta: float) -> float:
    """Return one less the mean, which keeps its digits near 0."""
    return math.exp(-math.exp(eta)) if link == CLOGLOG else mean_of(link, -eta)[0]


@compiled
def rising(count: float, a: float) -> tuple[float, float, float, float]:
    """Return the log of a (a + 1) ... (a + count - 1) and its three derivatives by a."""
    if count > MOST_TERMS and a > FAR_MORE * count:  # where the difference of two functions has no digits left
        pairs, squares = 0.5 * count * (count - 1), count * (count - 1) * (2 * count - 1) / 6
        return (
            count * math.log(a) + pairs / a - 0.5 * squares / a**2,
            count / a - pairs / a**2 + squares / a**3,
            -count / a**2 + 2 * pairs / a**3,
            2 * count / a**3,
        )
    if count > MOST_TERMS:
        above = a + count
        return (
            math.lgamma(above) - math.lgamma(a),
            digamma(above) - digamma(a),
            trigamma(above) - trigamma(a),
            tetragamma(above) - tetragamma(a),
        )
    value, first, second, third = 0.0, 0.0, 0.0, 0.0
    for step in range(int(count)):
        share = 1.0 / (a + step)
        value += math.log(a + step)
        first += share
        second -= share * share
        third += 2.0 * share * share * share
    return value, first, second, third


@compiled
def beta(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Beta by its mean and its precision kappa."""
    kappa = numbers[0]
    for row in range(len(eta)):
        mean, m1, m2, m3 = mean_of(link, eta[row])
        rest = _rest(link, eta[row])
        a, b = mean * kappa, rest * kappa
        log_odds = math.log(response[row]) - math.log1p(-response[row])
        put(out, row, chained(
            a * log_odds - math.lgamma(a) - math.lgamma(b),
            kappa * (log_odds - digamma(a) + digamma(b)),
            -(kappa**2) * (trigamma(a) + trigamma(b)),
            kappa**3 * (tetragamma(b) - tetragamma(a)),
            m1, m2, m3,
        ))  # fmt: skip
