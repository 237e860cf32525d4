"""Student's t distribution around the mean: a response with outliers."""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import REAL, Drift, Numbers, Observations, Slopes, chained
from speclet_formula.families.specification import NU, SIGMA, FamilySpecification, Parameters, Spelling, Tails

LARGE, INFINITE = 1e6, 1e12  # nu from which differences of log gammas lose digits, and from which it is a normal one


def _degrees(p: Parameters) -> Any:
    """Return nu, which may be infinite, as a number to reckon with."""
    return np.minimum(p["nu"], INFINITE)


def _log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Student's t with scale sigma and nu degrees of freedom."""
    nu, sigma = _degrees(p), p["sigma"]
    return _at_mean(sigma, nu) - (nu + 1) / 2 * np.log1p(((y - mean) / sigma) ** 2 / nu)


def _at_mean(sigma: Any, nu: Any) -> Any:
    """Return the log density at the mean."""
    exact = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    return np.where(nu > LARGE, -0.5 * np.log(2 * np.pi) - 1 / (4 * nu), exact) - np.log(sigma)


def _draw(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    return mean + p["sigma"] * rng.standard_t(_degrees(p), np.shape(mean))


def _below(y: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(special.stdtr(_degrees(p), (y - mean) / p["sigma"])))


def _by_mean(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    sigma, nu = numbers
    rest, inner = observed.response - mean, nu * sigma**2 / observed.weights
    whole = inner + rest**2
    return Slopes(
        -(nu + 1) / 2 * np.log1p(rest**2 / inner),
        (nu + 1) * rest / whole,
        (nu + 1) * (rest**2 - inner) / whole**2,
        (nu + 1) * 2 * rest * (rest**2 - 3 * inner) / whole**3,
    )


def _constant(observed: Observations, numbers: Numbers) -> float:
    return float((_at_mean(*numbers) + 0.5 * np.log(observed.weights) + 0 * observed.response).sum())


def _drifts(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    sigma, nu = numbers
    square = sigma**2 / observed.weights
    rest, inner = observed.response - mean, nu * square
    whole = inner + rest**2
    by_sigma = Drift(
        (nu + 1) * rest**2 / whole - 1,
        -(nu + 1) * 2 * inner * rest / whole**2,
        -(nu + 1) * 2 * inner * (3 * rest**2 - inner) / whole**3,
    )
    exact = 0.5 * (special.digamma((nu + 1) / 2) - special.digamma(nu / 2) - 1 / nu)
    of_nu = 1 / (4 * nu**2) if nu > LARGE else exact
    by_nu = Drift(
        nu * (of_nu - 0.5 * np.log1p(rest**2 / inner) + (nu + 1) / 2 * rest**2 / (nu * whole)),
        nu * (rest / whole - (nu + 1) * rest * square / whole**2),
        nu * ((rest**2 - inner) / whole**2 - (nu + 1) * square * (1 / whole**2 + 2 * (rest**2 - inner) / whole**3)),
    )
    return by_sigma, by_nu


STUDENT_T = FamilySpecification(
    "t", "mu", (SIGMA, NU), REAL, "real",
    _log_density, _draw,
    Spelling("StudentT", ("nu", "mu", "sigma"), "student", "", "t_family", mgcv="scat"),
    tails=Tails(_below, lambda y, mean, p: _below(-y, -mean, p), 0),
    curves=chained(REAL, "t", _constant, _by_mean, _drifts),
    weights="variance",
    scale_note="Scale is the t distribution's: its standard deviation is Scale * sqrt(nu / (nu - 2)).",
    limit="gaussian",
    at_limit="The response strays no farther from its means than a gaussian one would",
    aliases=("student", "studentt"),
)  # fmt: skip
