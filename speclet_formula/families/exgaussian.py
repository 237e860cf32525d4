"""The exponentially modified normal distribution: a normal number and an exponential delay, as of response times.

mu and sigma are those of the normal part and nu the mean of the delay, in Bambi's words; the response's own mean is
mu + nu. PyMC takes the delay to be nothing, its mean included, where nu is at most a twentieth of sigma; here the
density is exact everywhere.
"""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import HALF_LOG_2PI, REAL, Drift, Numbers, Observations, Slopes, chained
from speclet_formula.families.specification import (
    SIGMA,
    Elsewhere,
    FamilySpecification,
    Parameter,
    Parameters,
    Spelling,
)

_ROOT_2 = np.sqrt(2.0)
_ROOT_2_OVER_PI = np.sqrt(2 / np.pi)


def _logarithm(z: Any, rate: Any) -> Any:
    """Return log(exp(rate^2 / 2 - rate z) Phi(z - rate)) without the large numbers that cancel."""
    behind = rate - z
    near = -0.5 * z**2 + np.log(0.5 * special.erfcx(np.maximum(behind, 0.0) / _ROOT_2))
    far = rate * (0.5 * rate - z) + special.log_ndtr(np.maximum(-behind, 0.0))
    return np.where(behind > 0, near, far)


def _log_density(y: np.ndarray, mu: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Normal of mu and sigma, plus an exponential number of mean nu."""
    sigma, nu = p["sigma"], p["nu"]
    return _logarithm((y - mu) / sigma, sigma / nu) - np.log(nu)


def _draw(rng: np.random.Generator, mu: np.ndarray, p: Parameters, _trials: Any) -> Any:
    return rng.normal(mu, p["sigma"]) + rng.exponential(p["nu"], np.shape(mu))


def _of_place(place: Any) -> tuple[Any, Any, Any]:
    """Return the derivatives of log Phi: the ratio of density and share, and the next two."""
    ratio = np.where(
        place < 0,
        _ROOT_2_OVER_PI / special.erfcx(-np.minimum(place, 0.0) / _ROOT_2),
        np.exp(-0.5 * place**2 - HALF_LOG_2PI - special.log_ndtr(place)),
    )
    beyond = place + ratio
    second = -ratio * beyond
    return ratio, second, -second * beyond - ratio * (1 + second)


def _by_mean(mu: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    sigma, nu = numbers
    z, rate = (observed.response - mu) / sigma, sigma / nu
    first, second, third = _of_place(z - rate)
    return Slopes(_logarithm(z, rate), (rate - first) / sigma, second / sigma**2, -third / sigma**3)


def _constant(observed: Observations, numbers: Numbers) -> float:
    return -len(observed.response) * float(np.log(numbers[1]))


def _drifts(mu: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    """By log sigma z moves by -z and the rate by itself; by log nu the rate moves by its negative."""
    sigma, nu = numbers
    z, rate = (observed.response - mu) / sigma, sigma / nu
    first, second, third = _of_place(z - rate)
    by_rate = rate - z - first  # of the value
    moved = -z - rate  # of the place z - rate, by log sigma
    by_sigma = Drift(
        rate * by_rate - z * (first - rate),
        (first - moved * second) / sigma,
        (moved * third - 2 * second) / sigma**2,
    )
    by_nu = Drift(-rate * by_rate - 1, (-rate - rate * second) / sigma, rate * third / sigma**2)
    return by_sigma, by_nu


_SIGMA = SIGMA.but({"bambi": ("HalfNormal", {"sigma": 1})})
_NU = Parameter(
    "nu", "log",
    {
        "": ("HalfNormal", {"sigma": 1}),
        "weak": lambda y: ("HalfStudentT", {"nu": 4, "sigma": y.sd}),
        "brms": ("Gamma", {"alpha": 1, "beta": 0.1}),
        "rstanarm": ("Exponential", {"lam": 1}),
        "notebook": ("Exponential", {"lam": 1}),
    },
    Elsewhere("beta"),
    brms_predictor=("Normal", {"mu": 1.7, "sigma": 1.3}),
)  # fmt: skip

EXGAUSSIAN = FamilySpecification(
    "exgaussian", "mu", (_SIGMA, _NU), REAL, "real",
    _log_density, _draw,
    Spelling(
        "ExGaussian", ("mu", "sigma", "nu"), "exgaussian",
        brms_note="# mu is the mean there, which here is mu + nu: with the identity link its intercept is larger by nu",
    ),
    expectation=lambda mu, p: mu + p["nu"],
    variance=lambda mu, p, _: p["sigma"] ** 2 + p["nu"] ** 2 + 0 * mu,
    curves=chained(REAL, "exgaussian", _constant, _by_mean, _drifts),
    scale_note="Scale is the normal part's: the standard deviation is sqrt(Scale^2 + nu^2).",
)  # fmt: skip
