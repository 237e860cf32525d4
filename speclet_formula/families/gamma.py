"""Positive numbers by their mean: gamma, its special case exponential, weibull, and wald (inverse Gaussian)."""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import (
    HALF_LOG_2PI,
    POSITIVE,
    Drift,
    Numbers,
    Observations,
    Slopes,
    chained,
    composed,
)
from speclet_formula.families.specification import ALPHA, LAM, FamilySpecification, Parameters, Spelling


def _gamma(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Gamma with shape alpha."""
    alpha = p["alpha"]
    return alpha * np.log(alpha / mean) - special.gammaln(alpha) + (alpha - 1) * np.log(y) - alpha * y / mean


def _draw_gamma(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw from the Gamma with shape alpha."""
    return rng.gamma(p["alpha"], mean / p["alpha"])


def _deviance(y: np.ndarray, mean: np.ndarray, _p: Parameters) -> Any:
    return 2 * ((y - mean) / mean - np.log(y / mean))


def _by_mean(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    y, (shape,) = observed.response, numbers
    return Slopes(
        -shape * (y / mean + np.log(mean)),
        shape * (y / mean**2 - 1 / mean),
        shape * (1 / mean**2 - 2 * y / mean**3),
        shape * (6 * y / mean**4 - 2 / mean**3),
    )


_ONE = np.ones(1)


def _constant(observed: Observations, numbers: Numbers) -> float:
    y, (shape,) = observed.response, numbers
    return float(((shape - 1) * np.log(y) + shape * np.log(shape) - special.gammaln(shape)).sum())


def _drifts(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    y, (shape,) = observed.response, numbers
    value, first, second, _ = _by_mean(mean, observed, numbers)
    return (Drift(value + shape * (np.log(y) + np.log(shape) + 1 - special.digamma(shape)), first, second),)


GAMMA = FamilySpecification(
    "gamma", "mu", (ALPHA,), ("inverse", "log", "identity"), "positive",
    _gamma, _draw_gamma,
    Spelling("Gamma", ("mu", "alpha"), "Gamma", "Gamma", "Gamma"),
    variance=lambda mean, p, _: mean**2 / p["alpha"],
    deviance=_deviance,
    latent_variances={"log": lambda _location, p: np.log1p(1 / p["alpha"])},
    curves=chained(("log", "inverse", "identity"), "gamma", _constant, _by_mean, _drifts),
)  # fmt: skip

EXPONENTIAL = FamilySpecification(
    "exponential", "mu", (), POSITIVE, "positive",
    lambda y, mean, _p, _trials: -np.log(mean) - y / mean,
    lambda rng, mean, _p, _trials: rng.exponential(mean),
    Spelling("Exponential", ("mu",), "exponential"),
    variance=lambda mean, _p, _: mean**2,
    deviance=_deviance,
    curves=chained(
        POSITIVE, "gamma", lambda _observed, _numbers: 0.0, lambda mean, observed, _: _by_mean(mean, observed, _ONE)
    ),
)  # fmt: skip


def _weibull(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Weibull with shape alpha, by its mean."""
    alpha = p["alpha"]
    log_ratio = np.log(y) - np.log(mean) + special.gammaln(1 + 1 / alpha)  # log of y over the scale
    return np.log(alpha) + alpha * log_ratio - np.log(y) - np.exp(alpha * log_ratio)


def _draw_weibull(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw the root of an exponential number."""
    scale = mean / special.gamma(1 + 1 / p["alpha"])
    return scale * rng.exponential(size=np.shape(mean)) ** (1 / p["alpha"])


def _by_mean_of_weibull(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    """Chain the derivatives by the logarithm of the mean, which is what a power of the ratio takes."""
    (alpha,), log_mean = numbers, np.log(mean)
    power = np.exp(alpha * (np.log(observed.response) - log_mean + special.gammaln(1 + 1 / alpha)))
    by_logarithm = Slopes(-alpha * log_mean - power, alpha * (power - 1), -(alpha**2) * power, alpha**3 * power)
    return composed(by_logarithm, Slopes(log_mean, 1 / mean, -1 / mean**2, 2 / mean**3))


def _constant_of_weibull(observed: Observations, numbers: Numbers) -> float:
    logarithms, (alpha,) = np.log(observed.response), numbers
    return float(((alpha - 1) * logarithms + np.log(alpha) + alpha * special.gammaln(1 + 1 / alpha)).sum())


def _drifts_of_weibull(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    (alpha,) = numbers
    log_power = alpha * (np.log(observed.response) - np.log(mean) + special.gammaln(1 + 1 / alpha))
    power, moved = np.exp(log_power), log_power - special.digamma(1 + 1 / alpha)
    first = alpha * (power - 1 + power * moved)  # by the logarithm of the mean, as the next
    second = -(alpha**2) * power * (2 + moved)
    return (Drift(1 + moved * (1 - power), first / mean, (second - first) / mean**2),)


WEIBULL = FamilySpecification(
    "weibull", "mu", (ALPHA,), POSITIVE, "positive",
    _weibull, _draw_weibull,
    Spelling("Weibull", ("mu", "alpha"), "weibull"),
    curves=chained(POSITIVE, "weibull", _constant_of_weibull, _by_mean_of_weibull, _drifts_of_weibull),
)  # fmt: skip


def _inverse_gaussian(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Inverse Gaussian with precision lam."""
    lam = p["lam"]
    return 0.5 * (np.log(lam) - 2 * HALF_LOG_2PI - 3 * np.log(y)) - lam * (y - mean) ** 2 / (2 * mean**2 * y)


def _by_mean_of_wald(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    y, (lam,) = observed.response, numbers
    return Slopes(
        np.where(mean > 0, -lam * (y - mean) ** 2 / (2 * mean**2 * y), np.nan),
        lam * (y - mean) / mean**3,
        lam * (2 * mean - 3 * y) / mean**4,
        lam * (12 * y - 6 * mean) / mean**5,
    )


def _constant_of_wald(observed: Observations, numbers: Numbers) -> float:
    y, (lam,) = observed.response, numbers
    return float((0.5 * (np.log(lam) - 2 * HALF_LOG_2PI - 3 * np.log(y))).sum())


def _drifts_of_wald(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    value, first, second, _ = _by_mean_of_wald(mean, observed, numbers)
    return (Drift(0.5 + value, first, second),)


WALD = FamilySpecification(
    "wald",
    "mu",
    (LAM.but({"weak": lambda y: ("HalfCauchy", {"beta": y.mean**3 / y.sd**2})}),),  # which has the response's units
    ("inverse_squared", "inverse", "identity", "log"),
    "positive",
    _inverse_gaussian,
    lambda rng, mean, p, _: rng.wald(mean, p["lam"]),
    Spelling("InverseGaussian", ("mu", "lam"), "inverse.gaussian", "inverse.gaussian"),
    variance=lambda mean, p, _: mean**3 / p["lam"],
    deviance=lambda y, mean, _: (y - mean) ** 2 / (y * mean**2),
    curves=chained(
        ("inverse_squared", "inverse", "identity", "log"),
        "wald",
        _constant_of_wald,
        _by_mean_of_wald,
        _drifts_of_wald,
    ),
    aliases=("inversegaussian", "inversegauss"),
)
