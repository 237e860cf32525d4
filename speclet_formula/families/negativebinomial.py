"""Counts with the variance mean + mean^2 / alpha: nbinom2."""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import COUNT, Curve, Drift, Numbers, Observations, Slopes, chained
from speclet_formula.families.poisson import draw_above_zero as draw_poisson_above_zero
from speclet_formula.families.specification import ALPHA, FamilySpecification, Parameters, Spelling, Tails

LARGE = 1e3  # alpha over counts from which on powers of their ratio are exact enough
INFINITE = 1e12  # alpha from which on counts are as Poisson's: an estimate at the limit is infinite


def _negative_binomial(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Counts with the variance mean + mean^2 / alpha."""
    alpha = p["alpha"]
    ways = special.gammaln(y + alpha) - special.gammaln(alpha) - special.gammaln(y + 1)
    return ways - alpha * np.log1p(mean / alpha) + special.xlogy(y, mean / (alpha + mean))


def _draw(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw from a Poisson whose rate is Gamma with mean `mean` and shape alpha."""
    alpha = np.minimum(p["alpha"], INFINITE)
    return rng.poisson(rng.gamma(alpha, mean / alpha))


def draw_above_zero(rng: np.random.Generator, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Draw counts above 0: a Poisson number of clusters, at least one, each of a logarithmic size."""
    mean = np.asarray(mean, dtype=float)
    alpha = np.broadcast_to(np.minimum(p["alpha"], INFINITE), mean.shape)
    clusters = np.ravel(draw_poisson_above_zero(rng, alpha * np.log1p(mean / alpha), p, trials))
    sizes = rng.logseries(np.repeat(np.ravel(mean / (alpha + mean)), clusters))
    starts = np.concatenate([[0], np.cumsum(clusters)[:-1]])
    return np.add.reduceat(sizes, starts).reshape(mean.shape)


def _deviance(y: np.ndarray, mean: np.ndarray, p: Parameters) -> Any:
    alpha = np.minimum(p["alpha"], INFINITE)
    return 2 * (special.xlogy(y, y / mean) - (y + alpha) * np.log1p((y - mean) / (mean + alpha)))


def _at_most(y: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
    with np.errstate(divide="ignore"):
        inside = np.log(special.betainc(p["alpha"], np.maximum(y, 0) + 1, p["alpha"] / (p["alpha"] + mean)))
    return np.where(y >= 0, inside, -np.inf)


def _at_least(y: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(y >= 1, np.log(special.betainc(np.maximum(y, 1), p["alpha"], mean / (p["alpha"] + mean))), 0.0)


# --- derivatives ------------------------------------------------------------------------------------------------------


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


def _constant(observed: Observations, numbers: Numbers) -> float:
    rising, _ = _rising(observed.response, numbers[0])
    return float((rising - special.gammaln(observed.response + 1)).sum())


def _by_mean(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    y, (alpha,) = observed.response, numbers
    total, both = y + alpha, mean + alpha
    return Slopes(
        y * np.log(mean) - total * np.log1p(mean / alpha),
        y / mean - total / both,
        -y / mean**2 + total / both**2,
        2 * y / mean**3 - 2 * total / both**3,
    )


def _drifts_by_mean(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    y, (alpha,) = observed.response, numbers
    both = mean + alpha
    _, by_log_alpha = _rising(y, alpha)
    return (
        Drift(
            by_log_alpha - alpha * np.log1p(mean / alpha) + mean * (1 + (y - mean) / both),
            alpha * (y - mean) / both**2,
            alpha * (2 * (mean - y) / both**3 - 1 / both**2),
        ),
    )


def _by_logarithm(eta: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    """Leave out what cancels in the chain rule."""
    y, (alpha,) = observed.response, numbers
    log_ratio = eta - np.log(alpha)
    p, rest = special.expit(log_ratio), special.expit(-log_ratio)
    bend = (y + alpha) * p * rest
    # log(1 + mean / alpha) by the smaller of mean / alpha and its inverse
    size = np.maximum(log_ratio, 0) + np.log1p(np.exp(-np.abs(log_ratio)))
    return Slopes(y * eta - (y + alpha) * size, y * rest - alpha * p, -bend, -bend * (rest - p))


def _drifts_by_logarithm(eta: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    y, (alpha,) = observed.response, numbers
    mean, log_ratio = np.exp(eta), eta - np.log(alpha)
    p, rest = special.expit(log_ratio), special.expit(-log_ratio)
    (by_mean,) = _drifts_by_mean(mean, observed, numbers)
    first = (y - mean) * p * rest
    return (Drift(by_mean.value, first, first * (rest - p) - mean * p * rest),)


NEGATIVEBINOMIAL = FamilySpecification(
    "negativebinomial",
    "mu",
    (ALPHA.but({"brms": ("InverseGamma", {"alpha": 0.4, "beta": 0.3})}),),
    COUNT,
    "count",
    _negative_binomial,
    _draw,
    Spelling(
        "NegativeBinomial",
        ("mu", "alpha"),
        "negbinomial",
        "",
        "nbinom2",
        own_functions=("glm.nb", "glmer.nb"),
        mgcv="nb",
    ),
    variance=lambda mean, p, _: mean + mean**2 / p["alpha"],
    deviance=_deviance,
    latent_variances={"log": lambda location, p: np.log1p(np.exp(-location) + 1 / p["alpha"])},
    tails=Tails(_at_most, _at_least, 1),
    curves=chained(("identity",), "negativebinomial", _constant, _by_mean, _drifts_by_mean)
    | {"log": Curve(_constant, _by_logarithm, "negativebinomial", "log", _drifts_by_logarithm)},
    limit="poisson",
    at_limit="The counts vary no more than a poisson response would",
    aliases=("nbinom", "nbinom2", "negbinomial", "negbin"),
)
