"""The derivatives of log densities by their mean, and of means by the linear predictor, in closed form.

In come arrays of n numbers; out go a function and its first three derivatives. Shares of trials are written in log p
and log (1 - p), which stay exact where p is nearly 0 or 1. Joining densities with links is left to `curvature`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import special

HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


class Observed(NamedTuple):
    """What was observed; n rows."""

    response: np.ndarray  # (n,)
    trials: Any  # (n,), of a binomial response, else None
    weights: Any  # (n,) weights that divide the variance; or 1.0


class Slopes(NamedTuple):
    """A function of a number, and its derivatives; each of shape (n,)."""

    value: Any
    first: Any
    second: Any
    third: Any


class Drift(NamedTuple):
    """How a log density and its derivatives change with the logarithm of one parameter; each of shape (n,)."""

    value: Any
    first: Any
    second: Any


Parameters = np.ndarray  # (e,) the family's other parameters
InMean = Callable[[np.ndarray, Observed, Parameters], Slopes]
Constant = Callable[[Observed, Parameters], float]
Drifts = Callable[[np.ndarray, Observed, Parameters], tuple[Drift, ...]]


# --- links: the mean and its derivatives by the linear predictor ------------------------------------------------------


def _identity(eta: np.ndarray) -> Slopes:
    return Slopes(eta, 1.0, 0.0, 0.0)


def _log(eta: np.ndarray) -> Slopes:
    mean = np.exp(eta)
    return Slopes(mean, mean, mean, mean)


def _inverse(eta: np.ndarray) -> Slopes:
    return Slopes(1 / eta, -1 / eta**2, 2 / eta**3, -6 / eta**4)


def _logit(eta: np.ndarray) -> Slopes:
    p = special.expit(eta)
    spread = p * special.expit(-eta)
    return Slopes(p, spread, spread * (1 - 2 * p), spread * (1 - 6 * spread))


def _probit(eta: np.ndarray) -> Slopes:
    density = np.exp(-0.5 * eta**2 - HALF_LOG_2PI)
    return Slopes(special.ndtr(eta), density, -eta * density, (eta**2 - 1) * density)


def _cloglog(eta: np.ndarray) -> Slopes:
    rate = np.exp(eta)
    density = np.exp(eta - rate)
    return Slopes(-np.expm1(-rate), density, density * (1 - rate), density * (1 - 3 * rate + rate**2))


LINKS: dict[str, Callable[[np.ndarray], Slopes]] = {
    "identity": _identity, "log": _log, "inverse": _inverse, "logit": _logit, "probit": _probit, "cloglog": _cloglog,
}  # fmt: skip


FORWARD: dict[str, Callable[[Any], Any]] = {
    "identity": lambda mean: mean, "log": np.log, "inverse": lambda mean: 1 / mean,
    "logit": special.logit, "probit": special.ndtri, "cloglog": lambda mean: np.log(-np.log1p(-mean)),
}  # fmt: skip


# --- densities by their mean ------------------------------------------------------------------------------------------


def _no_drifts(_eta: np.ndarray, _observed: Observed, _parameters: Parameters) -> tuple[Drift, ...]:
    return ()


def _poisson(mean: np.ndarray, observed: Observed, _parameters: Parameters) -> Slopes:
    y = observed.response
    return Slopes(y * np.log(mean) - mean, y / mean - 1, -y / mean**2, 2 * y / mean**3)


def _poisson_constant(observed: Observed, _parameters: Parameters) -> float:
    return -float(special.gammaln(observed.response + 1).sum())


def _negative_binomial(mean: np.ndarray, observed: Observed, parameters: Parameters) -> Slopes:
    y, (alpha,) = observed.response, parameters
    total, both = y + alpha, mean + alpha
    return Slopes(
        y * np.log(mean) - total * np.log1p(mean / alpha),
        y / mean - total / both,
        -y / mean**2 + total / both**2,
        2 * y / mean**3 - 2 * total / both**3,
    )


def _negative_binomial_constant(observed: Observed, parameters: Parameters) -> float:
    rising, _ = _rising(observed.response, parameters[0])
    return float((rising - special.gammaln(observed.response + 1)).sum())


def _negative_binomial_drifts(mean: np.ndarray, observed: Observed, parameters: Parameters) -> tuple[Drift, ...]:
    y, (alpha,) = observed.response, parameters
    both = mean + alpha
    _, by_log_alpha = _rising(y, alpha)
    return (
        Drift(
            by_log_alpha - alpha * np.log1p(mean / alpha) + mean * (1 + (y - mean) / both),
            alpha * (y - mean) / both**2,
            alpha * (2 * (mean - y) / both**3 - 1 / both**2),
        ),
    )


def _rising(y: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of log(1 + j / alpha) over the j below y, and its derivative by log alpha.

    It is a difference of logarithms of Gamma functions, which is lost in rounding where alpha is large: there by powers
    of j / alpha.
    """
    if alpha < LARGE * (y.max(initial=0.0) + 1):
        value = special.gammaln(y + alpha) - special.gammaln(alpha) - y * np.log(alpha)
        return value, alpha * (special.digamma(y + alpha) - special.digamma(alpha)) - y
    first = y * (y - 1) / 2
    second, third = first * (2 * y - 1) / 3, first**2
    return (
        first / alpha - second / (2 * alpha**2) + third / (3 * alpha**3),
        -first / alpha + second / alpha**2 - third / alpha**3,
    )


LARGE = 1e3  # alpha over counts from which on powers of their ratio are exact enough


def _gamma(mean: np.ndarray, observed: Observed, parameters: Parameters) -> Slopes:
    y, (shape,) = observed.response, parameters
    return Slopes(
        -shape * (y / mean + np.log(mean)),
        shape * (y / mean**2 - 1 / mean),
        shape * (1 / mean**2 - 2 * y / mean**3),
        shape * (6 * y / mean**4 - 2 / mean**3),
    )


def _gamma_constant(observed: Observed, parameters: Parameters) -> float:
    y, (shape,) = observed.response, parameters
    return float(((shape - 1) * np.log(y) + shape * np.log(shape) - special.gammaln(shape)).sum())


def _gamma_drifts(mean: np.ndarray, observed: Observed, parameters: Parameters) -> tuple[Drift, ...]:
    y, (shape,) = observed.response, parameters
    value, first, second, _ = _gamma(mean, observed, parameters)
    return (Drift(value + shape * (np.log(y) + np.log(shape) + 1 - special.digamma(shape)), first, second),)


def _beta(mean: np.ndarray, observed: Observed, parameters: Parameters) -> Slopes:
    y, (kappa,) = observed.response, parameters
    a, b = mean * kappa, (1 - mean) * kappa
    log_odds = np.log(y) - np.log1p(-y)
    return Slopes(
        a * log_odds - special.gammaln(a) - special.gammaln(b),
        kappa * (log_odds - special.digamma(a) + special.digamma(b)),
        -(kappa**2) * (special.polygamma(1, a) + special.polygamma(1, b)),
        kappa**3 * (special.polygamma(2, b) - special.polygamma(2, a)),
    )


def _beta_constant(observed: Observed, parameters: Parameters) -> float:
    y, (kappa,) = observed.response, parameters
    return float((special.gammaln(kappa) + (kappa - 1) * np.log1p(-y) - np.log(y)).sum())


def _beta_drifts(mean: np.ndarray, observed: Observed, parameters: Parameters) -> tuple[Drift, ...]:
    y, (kappa,) = observed.response, parameters
    a, b = mean * kappa, (1 - mean) * kappa
    log_odds = np.log(y) - np.log1p(-y)
    in_a, in_b = special.polygamma(1, a), special.polygamma(1, b)
    value = mean * (log_odds - special.digamma(a)) - (1 - mean) * special.digamma(b)
    first = log_odds - special.digamma(a) + special.digamma(b) - a * in_a + b * in_b
    second = -2 * (in_a + in_b) - a * special.polygamma(2, a) - b * special.polygamma(2, b)
    return (
        Drift(kappa * (value + special.digamma(kappa) + np.log1p(-y)), kappa * first, kappa**2 * second),
    )  # fmt: skip


def _normal(mean: np.ndarray, observed: Observed, parameters: Parameters) -> Slopes:
    (sigma,) = parameters
    precision = observed.weights / sigma**2
    rest = observed.response - mean
    return Slopes(-0.5 * precision * rest**2, precision * rest, -precision, 0.0)


def _normal_constant(observed: Observed, parameters: Parameters) -> float:
    (sigma,) = parameters
    return float((0.5 * np.log(observed.weights) - np.log(sigma) - HALF_LOG_2PI + 0 * observed.response).sum())


def _normal_drifts(mean: np.ndarray, observed: Observed, parameters: Parameters) -> tuple[Drift, ...]:
    value, first, second, _ = _normal(mean, observed, parameters)
    return (Drift(-1 - 2 * value, -2 * first, -2 * second),)


def _student(mean: np.ndarray, observed: Observed, parameters: Parameters) -> Slopes:
    sigma, nu = parameters
    rest, inner = observed.response - mean, nu * sigma**2 / observed.weights
    whole = inner + rest**2
    return Slopes(
        -(nu + 1) / 2 * np.log1p(rest**2 / inner),
        (nu + 1) * rest / whole,
        (nu + 1) * (rest**2 - inner) / whole**2,
        (nu + 1) * 2 * rest * (rest**2 - 3 * inner) / whole**3,
    )


def _student_constant(observed: Observed, parameters: Parameters) -> float:
    sigma, nu = parameters
    one = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(nu * np.pi) - np.log(sigma)
    return float((one + 0.5 * np.log(observed.weights) + 0 * observed.response).sum())


def _student_drifts(mean: np.ndarray, observed: Observed, parameters: Parameters) -> tuple[Drift, ...]:
    sigma, nu = parameters
    square = sigma**2 / observed.weights
    rest, inner = observed.response - mean, nu * square
    whole = inner + rest**2
    by_sigma = Drift(
        (nu + 1) * rest**2 / whole - 1,
        -(nu + 1) * 2 * inner * rest / whole**2,
        -(nu + 1) * 2 * inner * (3 * rest**2 - inner) / whole**3,
    )
    of_nu = 0.5 * (special.digamma((nu + 1) / 2) - special.digamma(nu / 2) - 1 / nu)
    by_nu = Drift(
        nu * (of_nu - 0.5 * np.log1p(rest**2 / inner) + (nu + 1) / 2 * rest**2 / (nu * whole)),
        nu * (rest / whole - (nu + 1) * rest * square / whole**2),
        nu * ((rest**2 - inner) / whole**2 - (nu + 1) * square * (1 / whole**2 + 2 * (rest**2 - inner) / whole**3)),
    )
    return by_sigma, by_nu


# --- counts by their logarithm: what cancels in the chain rule is left out --------------------------------------------


def _log_poisson(eta: np.ndarray, observed: Observed, _parameters: Parameters) -> Slopes:
    mean = np.exp(eta)
    return Slopes(observed.response * eta - mean, observed.response - mean, -mean, -mean)


def _log_negative_binomial(eta: np.ndarray, observed: Observed, parameters: Parameters) -> Slopes:
    y, (alpha,) = observed.response, parameters
    log_ratio = eta - np.log(alpha)
    p, rest = special.expit(log_ratio), special.expit(-log_ratio)
    bend = (y + alpha) * p * rest
    # log(1 + mean / alpha) by the smaller of mean / alpha and its inverse
    size = np.maximum(log_ratio, 0) + np.log1p(np.exp(-np.abs(log_ratio)))
    return Slopes(y * eta - (y + alpha) * size, y * rest - alpha * p, -bend, -bend * (rest - p))


def _log_negative_binomial_drifts(eta: np.ndarray, observed: Observed, parameters: Parameters) -> tuple[Drift, ...]:
    y, (alpha,) = observed.response, parameters
    mean, log_ratio = np.exp(eta), eta - np.log(alpha)
    p, rest = special.expit(log_ratio), special.expit(-log_ratio)
    (by_mean,) = _negative_binomial_drifts(mean, observed, parameters)
    first = (y - mean) * p * rest
    return (Drift(by_mean.value, first, first * (rest - p) - mean * p * rest),)


# --- shares of trials: log p and log (1 - p) by the linear predictor --------------------------------------------------


def _share_logit(eta: np.ndarray) -> tuple[Slopes, Slopes]:
    p, rest = special.expit(eta), special.expit(-eta)
    spread = p * rest
    bend = spread * (rest - p)
    return Slopes(special.log_expit(eta), rest, -spread, -bend), Slopes(special.log_expit(-eta), -p, -spread, -bend)


def _share_probit(eta: np.ndarray) -> tuple[Slopes, Slopes]:
    def one(x: np.ndarray) -> Slopes:
        value = special.log_ndtr(x)
        ratio = np.exp(-0.5 * x**2 - HALF_LOG_2PI - value)
        second = -ratio * (x + ratio)
        return Slopes(value, ratio, second, -second * (x + ratio) - ratio * (1 + second))

    above, below = one(eta), one(-eta)
    return above, Slopes(below.value, -below.first, below.second, -below.third)


def _share_cloglog(eta: np.ndarray) -> tuple[Slopes, Slopes]:
    rate = np.exp(eta)
    odds = rate / np.expm1(rate)
    odds = np.where(rate > _LARGEST_RATE, 0.0, odds)
    turn = 1 - rate - odds  # the derivative of log(odds) by eta
    bend = odds * turn
    third = bend * turn - odds * (rate + bend)
    return Slopes(np.log(-np.expm1(-rate)), odds, bend, third), Slopes(-rate, -rate, -rate, -rate)


_LARGEST_RATE = 700.0  # above it exp overflows


def _share_identity(eta: np.ndarray) -> tuple[Slopes, Slopes]:
    rest = 1 - eta
    return (
        Slopes(np.log(eta), 1 / eta, -1 / eta**2, 2 / eta**3),
        Slopes(np.log1p(-eta), -1 / rest, -1 / rest**2, -2 / rest**3),
    )


SHARES: dict[str, Callable[[np.ndarray], tuple[Slopes, Slopes]]] = {
    "logit": _share_logit, "probit": _share_probit, "cloglog": _share_cloglog, "identity": _share_identity,
}  # fmt: skip


@dataclass(frozen=True)
class Density:
    """A family's log density by its mean, and the links that it is wanted with."""

    parameters: tuple[str, ...]  # the family's other parameters, all above zero
    links: tuple[str, ...]
    constant: Constant
    slopes: InMean
    drifts: Drifts


DENSITIES = {
    "poisson": Density((), ("log", "identity"), _poisson_constant, _poisson, _no_drifts),
    "negativebinomial": Density(
        ("alpha",), ("log", "identity"),
        _negative_binomial_constant, _negative_binomial, _negative_binomial_drifts,
    ),
    "gamma": Density(("alpha",), ("log", "inverse", "identity"), _gamma_constant, _gamma, _gamma_drifts),
    "beta": Density(("kappa",), ("logit", "probit", "cloglog"), _beta_constant, _beta, _beta_drifts),
    "gaussian": Density(("sigma",), ("log", "inverse"), _normal_constant, _normal, _normal_drifts),
    "t": Density(("sigma", "nu"), ("identity", "log", "inverse"), _student_constant, _student, _student_drifts),
}  # fmt: skip

# Of families whose derivatives by the linear predictor itself are known: they replace those of the chain rule.
LOGARITHMS: dict[str, tuple[InMean, Drifts]] = {
    "poisson": (_log_poisson, _no_drifts),
    "negativebinomial": (_log_negative_binomial, _log_negative_binomial_drifts),
}
