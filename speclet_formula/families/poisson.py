"""Counts whose variance is their mean."""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import COUNT, Curve, Numbers, Observations, Slopes, chained
from speclet_formula.families.specification import FamilySpecification, Parameters, Spelling, Tails


def _poisson(y: np.ndarray, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    """Counts whose variance is their mean."""
    return special.xlogy(y, mean) - mean - special.gammaln(y + 1)


def draw_above_zero(rng: np.random.Generator, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    """Draw counts above 0: the first of a Poisson process's points, given that there is one, and those after it."""
    first = -np.log1p(rng.random(np.shape(mean)) * np.expm1(-mean))
    return 1 + rng.poisson(np.maximum(mean - first, 0.0))


def _at_most(y: np.ndarray, mean: np.ndarray, _p: Parameters) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(y >= 0, np.log(special.gammaincc(np.maximum(y, 0) + 1, mean)), -np.inf)


def _at_least(y: np.ndarray, mean: np.ndarray, _p: Parameters) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(y >= 1, np.log(special.gammainc(np.maximum(y, 1), mean)), 0.0)


def _constant(observed: Observations, _numbers: Numbers) -> float:
    return -float(special.gammaln(observed.response + 1).sum())


def _by_mean(mean: np.ndarray, observed: Observations, _numbers: Numbers) -> Slopes:
    y = observed.response
    return Slopes(y * np.log(mean) - mean, y / mean - 1, -y / mean**2, 2 * y / mean**3)


def _by_logarithm(eta: np.ndarray, observed: Observations, _numbers: Numbers) -> Slopes:
    """Leave out what cancels in the chain rule."""
    mean = np.exp(eta)
    return Slopes(observed.response * eta - mean, observed.response - mean, -mean, -mean)


POISSON = FamilySpecification(
    "poisson", "mu", (), COUNT, "count",
    _poisson,
    lambda rng, mean, _p, _: rng.poisson(mean),
    Spelling("Poisson", ("mu",), "poisson", "poisson"),
    variance=lambda mean, _p, _: mean,
    deviance=lambda y, mean, _: 2 * (special.xlogy(y, y / mean) - (y - mean)),
    latent_variances={"log": lambda location, _p: np.log1p(np.exp(-location))},
    tails=Tails(_at_most, _at_least, 1),
    curves=chained(("identity",), "poisson", _constant, _by_mean)
    | {"log": Curve(_constant, _by_logarithm, "poisson", "log")},
)  # fmt: skip
