"""Responses on a scale: gaussian and lognormal, t, exgaussian, vonmises; gamma and exponential, weibull, wald.

Zeros beside positive numbers say nothing of a linear predictor of theirs: above a hurdle they count for nothing.
"""

import math

from speclet_formula.families.kernels.special import (
    HALF_LOG_2PI,
    LOG,
    NONE,
    Array,
    chained,
    compiled,
    mean_of,
    normal_tail,
    put,
)


@compiled
def gaussian(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Normal with the SD sigma / sqrt(weight)."""
    for row in range(len(eta)):
        put(out, row, _normal(link, eta[row], response[row], weights[row] / numbers[0] ** 2))


@compiled
def gaussian_with_errors(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Normal with the SD 1 / sqrt(weight)."""
    for row in range(len(eta)):
        put(out, row, _normal(link, eta[row], response[row], weights[row]))


@compiled
def lognormal(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Numbers whose logarithm is normal."""
    for row in range(len(eta)):
        if zeros != NONE and response[row] == 0:
            put(out, row, (0.0, 0.0, 0.0, 0.0))
        else:
            put(out, row, _normal(link, eta[row], math.log(response[row]), 1.0 / numbers[0] ** 2))


@compiled
def _normal(link: int, eta: float, y: float, precision: float) -> tuple[float, float, float, float]:
    mean, m1, m2, m3 = mean_of(link, eta)
    rest = y - mean
    return chained(-0.5 * precision * rest * rest, precision * rest, -precision, 0.0, m1, m2, m3)


@compiled
def t(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Student's t with the scale sigma / sqrt(weight) and nu degrees of freedom."""
    sigma, nu = numbers[0], numbers[1]
    for row in range(len(eta)):
        mean, m1, m2, m3 = mean_of(link, eta[row])
        rest, inner = response[row] - mean, nu * sigma**2 / weights[row]
        square = rest * rest
        whole = inner + square
        put(out, row, chained(
            -(nu + 1) / 2 * math.log1p(square / inner),
            (nu + 1) * rest / whole,
            (nu + 1) * (square - inner) / whole**2,
            (nu + 1) * 2 * rest * (square - 3 * inner) / whole**3,
            m1, m2, m3,
        ))  # fmt: skip


@compiled
def exgaussian(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Normal with mean mu and SD sigma, plus an exponential delay of mean nu."""
    sigma, rate = numbers[0], numbers[0] / numbers[1]
    for row in range(len(eta)):
        mean, m1, m2, m3 = mean_of(link, eta[row])
        z = (response[row] - mean) / sigma
        below, first, second, third = normal_tail(z - rate)
        # Of a long tail and a fast delay the large numbers cancel: there log Phi is log phi less that of their ratio.
        far = z < rate
        value = -0.5 * z * z - HALF_LOG_2PI - math.log(first) if far else rate * (0.5 * rate - z) + below
        put(out, row, chained(
            value, (rate - first) / sigma, second / sigma**2, -third / sigma**3, m1, m2, m3
        ))  # fmt: skip


@compiled
def vonmises(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Angles around a direction; the link is the identity."""
    kappa = numbers[0]
    for row in range(len(eta)):
        rest = response[row] - eta[row]
        bend, turn = kappa * math.cos(rest), kappa * math.sin(rest)
        put(out, row, (-2 * kappa * math.sin(rest / 2) ** 2, turn, -bend, -turn))


@compiled
def gamma(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Gamma with shape alpha; exponential where there is none."""
    shape = numbers[0] if len(numbers) > int(zeros != NONE) else 1.0
    for row in range(len(eta)):
        y = response[row]
        if zeros != NONE and y == 0:
            put(out, row, (0.0, 0.0, 0.0, 0.0))
        elif link == LOG:
            ratio = shape * y * math.exp(-eta[row])
            put(out, row, (-ratio - shape * eta[row], ratio - shape, -ratio, ratio))
        else:
            mean, m1, m2, m3 = mean_of(link, eta[row])
            share = 1.0 / mean
            put(out, row, chained(
                -shape * (y * share + math.log(mean)),
                shape * share * (y * share - 1),
                shape * share**2 * (1 - 2 * y * share),
                shape * share**3 * (6 * y * share - 2),
                m1, m2, m3,
            ))  # fmt: skip


@compiled
def weibull(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Weibull with shape alpha, by its mean."""
    alpha = numbers[0]
    log_scale = math.lgamma(1 + 1 / alpha)
    for row in range(len(eta)):
        mean, m1, m2, m3 = mean_of(link, eta[row])
        log_mean, m1 = math.log(mean), m1 / mean
        if link == LOG:
            log_mean, m1, m2, m3 = eta[row], 1.0, 0.0, 0.0
        else:  # from the derivatives of the mean to those of its logarithm
            m2, m3 = m2 / mean - m1 * m1, m3 / mean - 3.0 * m1 * m2 / mean + 2.0 * m1**3
        power = math.exp(alpha * (math.log(response[row]) - log_mean + log_scale))
        put(out, row, chained(
            -alpha * log_mean - power, alpha * (power - 1.0), -(alpha**2) * power, alpha**3 * power, m1, m2, m3
        ))  # fmt: skip


@compiled
def wald(
    link: int, zeros: int, eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    """Inverse Gaussian with precision lam."""
    lam = numbers[0]
    for row in range(len(eta)):
        y = response[row]
        mean, m1, m2, m3 = mean_of(link, eta[row])
        share, rest = 1.0 / mean, y - mean
        put(out, row, chained(
            -lam * rest * rest * share**2 / (2 * y) if mean > 0 else math.nan,
            lam * rest * share**3,
            lam * share**4 * (2 * mean - 3 * y),
            lam * share**5 * (12 * y - 6 * mean),
            m1, m2, m3,
        ))  # fmt: skip
