"""Counts and successes out of trials, without extra zeros: log densities and simulations.

Arguments as in `continuous`. Zero-inflated and hurdle versions are left to `zeros`.
"""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.records import Parameters


def bernoulli(y: np.ndarray, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    """One trial."""
    return special.xlogy(y, mean) + special.xlog1py(1 - y, -mean)


def _ways(y: np.ndarray, trials: Any) -> Any:
    """Return the log of the number of ways to place y successes among the trials."""
    return special.gammaln(trials + 1) - special.gammaln(y + 1) - special.gammaln(trials - y + 1)


def binomial(y: np.ndarray, mean: np.ndarray, _p: Parameters, trials: Any) -> Any:
    """Successes out of trials."""
    return _ways(y, trials) + special.xlogy(y, mean) + special.xlog1py(trials - y, -mean)


def draw_binomial(rng: np.random.Generator, mean: np.ndarray, _p: Parameters, trials: Any) -> Any:
    """Draw successes out of trials."""
    return rng.binomial(np.asarray(trials, dtype=int), mean)


def beta_binomial(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Successes out of trials whose probability is Beta with this mean and the precision kappa."""
    a, b = mean * p["kappa"], (1 - mean) * p["kappa"]
    return _ways(y, trials) + special.betaln(y + a, trials - y + b) - special.betaln(a, b)


def draw_beta_binomial(rng: np.random.Generator, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Draw a probability for each row, then its successes."""
    return draw_binomial(rng, rng.beta(mean * p["kappa"], (1 - mean) * p["kappa"]), p, trials)


def poisson(y: np.ndarray, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    """Counts whose variance is their mean."""
    return special.xlogy(y, mean) - mean - special.gammaln(y + 1)


def draw_poisson(rng: np.random.Generator, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    """Draw counts."""
    return rng.poisson(mean)


def negative_binomial(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Counts with the variance mean + mean^2 / alpha."""
    alpha = p["alpha"]
    ways = special.gammaln(y + alpha) - special.gammaln(alpha) - special.gammaln(y + 1)
    return ways - alpha * np.log1p(mean / alpha) + special.xlogy(y, mean / (alpha + mean))


def draw_negative_binomial(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw from a Poisson whose rate is Gamma with mean `mean` and shape alpha."""
    return rng.poisson(rng.gamma(p["alpha"], mean / p["alpha"]))
