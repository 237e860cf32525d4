"""The normal distribution, of the response (gaussian) or of its logarithm (lognormal)."""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import HALF_LOG_2PI, REAL, Drift, Numbers, Observations, Slopes, chained
from speclet_formula.families.specification import SIGMA, FamilySpecification, Parameters, Spelling, Tails


def _normal(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Normal with SD sigma."""
    return -0.5 * ((y - mean) / p["sigma"]) ** 2 - np.log(p["sigma"]) - HALF_LOG_2PI


def _below(y: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
    return np.asarray(special.log_ndtr((y - mean) / p["sigma"]))


def _by_mean(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    (sigma,) = numbers
    precision = observed.weights / sigma**2
    rest = observed.response - mean
    return Slopes(-0.5 * precision * rest**2, precision * rest, -precision, 0.0)


def _constant(observed: Observations, numbers: Numbers) -> float:
    (sigma,) = numbers
    return float((0.5 * np.log(observed.weights) - np.log(sigma) - HALF_LOG_2PI + 0 * observed.response).sum())


def _drifts(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    value, first, second, _ = _by_mean(mean, observed, numbers)
    return (Drift(-1 - 2 * value, -2 * first, -2 * second),)


def _square(_location: np.ndarray, p: Parameters) -> Any:
    return p["sigma"] ** 2


GAUSSIAN = FamilySpecification(
    "gaussian", "mu", (SIGMA,), REAL, "real",
    _normal,
    lambda rng, mean, p, _: rng.normal(mean, p["sigma"]),
    Spelling("Normal", ("mu", "sigma"), "gaussian", "gaussian", "gaussian"),
    variance=lambda mean, p, _: p["sigma"] ** 2 + 0 * mean,
    deviance=lambda y, mean, _: (y - mean) ** 2,
    latent_variances={"identity": _square},
    tails=Tails(_below, lambda y, mean, p: _below(-y, -mean, p), 0),
    # With the identity link the likelihood is known exactly.
    curves=chained(("log", "inverse"), "gaussian", _constant, _by_mean, _drifts),
    weights="variance",
    linear_link="identity",
    aliases=("normal",),
)  # fmt: skip


def _by_mean_given_errors(mean: np.ndarray, observed: Observations, _numbers: Numbers) -> Slopes:
    return _by_mean(mean, observed, _ONE)


def _constant_given_errors(observed: Observations, _numbers: Numbers) -> float:
    return _constant(observed, _ONE)


_ONE = np.ones(1)  # sigma, where the weights are one over the squares of the standard errors

GAUSSIAN_WITH_ERRORS = replace(
    GAUSSIAN,
    own_parameters=(),
    links=("identity",),
    latent_variances={},
    tails=None,
    curves=chained(("identity",), "gaussian_with_errors", _constant_given_errors, _by_mean_given_errors),
    linear_link="",
    aliases=(),
)
"""The response of se(y, sei), whose SDs are known."""


def _log_normal(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Normal of log(y)."""
    logarithm = np.log(y)
    return _normal(logarithm, mean, p, trials) - logarithm


def _draw_log_normal(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw the exponential of a normal number."""
    return np.exp(rng.normal(mean, p["sigma"]))


def mean_of_log_normal(mean: np.ndarray, p: Parameters) -> Any:
    """Return E[y] from the mean of log(y)."""
    return np.exp(mean + p["sigma"] ** 2 / 2)


def _by_mean_of_logarithm(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    return _by_mean(mean, _logarithms(observed), numbers)


def _logarithms(observed: Observations) -> Observations:
    return observed._replace(response=np.log(observed.response))


def _constant_of_logarithm(observed: Observations, numbers: Numbers) -> float:
    return _constant(observed, numbers) - float(np.log(observed.response).sum())


def _drifts_of_logarithm(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    return _drifts(mean, _logarithms(observed), numbers)


SIGMA_OF_LOGARITHM = SIGMA.but({"bambi": ("HalfNormal", {"sigma": 1})})

LOGNORMAL = FamilySpecification(
    "lognormal", "mu", (SIGMA_OF_LOGARITHM,), REAL, "positive",
    _log_normal, _draw_log_normal,
    Spelling("LogNormal", ("mu", "sigma"), "lognormal", brms_lacks=("log",)),
    mean_of_log_normal,
    latent_variances={"identity": _square},
    curves=chained(REAL, "lognormal", _constant_of_logarithm, _by_mean_of_logarithm, _drifts_of_logarithm),
    logarithm_of="gaussian",
)  # fmt: skip
