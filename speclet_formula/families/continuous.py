"""Numbers, positive numbers, shares and angles: log densities, simulations and means that are not the parent.

Each density takes (y, mean, parameters, trials), each simulation (rng, mean, parameters, trials), and arrays broadcast.
Parameters are Bambi's. Which function belongs to which family is left to `registry`.
"""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.records import Parameters

_LOG_2PI = np.log(2 * np.pi)


def normal(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Normal with SD sigma."""
    return -0.5 * ((y - mean) / p["sigma"]) ** 2 - np.log(p["sigma"]) - 0.5 * _LOG_2PI


def student(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Student's t with scale sigma and nu degrees of freedom."""
    nu, sigma = p["nu"], p["sigma"]
    constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(nu * np.pi) - np.log(sigma)
    return constant - (nu + 1) / 2 * np.log1p(((y - mean) / sigma) ** 2 / nu)


def asymmetric_laplace(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Asymmetric Laplace around its mode, with the rates b kappa above and b / kappa below."""
    b, kappa = p["b"], p["kappa"]
    distance = y - mean
    return np.log(b) - np.log(kappa + 1 / kappa) - b * np.where(distance >= 0, distance * kappa, -distance / kappa)


def draw_asymmetric_laplace(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw the difference of two exponential numbers."""
    above, below = rng.exponential(size=(2, *np.shape(mean)))
    return mean + (above / p["kappa"] - below * p["kappa"]) / p["b"]


def mean_of_asymmetric_laplace(mean: np.ndarray, p: Parameters) -> Any:
    """Return the mean from the mode."""
    return mean - (p["kappa"] - 1 / p["kappa"]) / p["b"]


def von_mises(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Von Mises around a direction, with concentration kappa."""
    return p["kappa"] * (np.cos(y - mean) - 1) - _LOG_2PI - np.log(special.i0e(p["kappa"]))


def gamma(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Gamma with shape alpha."""
    alpha = p["alpha"]
    return alpha * np.log(alpha / mean) - special.gammaln(alpha) + (alpha - 1) * np.log(y) - alpha * y / mean


def draw_gamma(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw from the Gamma with shape alpha."""
    return rng.gamma(p["alpha"], mean / p["alpha"])


def exponential(y: np.ndarray, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    """Exponential by its mean."""
    return -np.log(mean) - y / mean


def inverse_gaussian(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Inverse Gaussian (Wald) with precision lam."""
    lam = p["lam"]
    return 0.5 * (np.log(lam) - _LOG_2PI - 3 * np.log(y)) - lam * (y - mean) ** 2 / (2 * mean**2 * y)


def log_normal(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Normal of log(y)."""
    logarithm = np.log(y)
    return normal(logarithm, mean, p, trials) - logarithm


def draw_log_normal(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw the exponential of a normal number."""
    return np.exp(rng.normal(mean, p["sigma"]))


def mean_of_log_normal(mean: np.ndarray, p: Parameters) -> Any:
    """Return E[y] from the mean of log(y)."""
    return np.exp(mean + p["sigma"] ** 2 / 2)


def weibull(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Weibull with shape alpha, by its mean."""
    alpha = p["alpha"]
    log_ratio = np.log(y) - np.log(mean) + special.gammaln(1 + 1 / alpha)  # log of y over the scale
    return np.log(alpha) + alpha * log_ratio - np.log(y) - np.exp(alpha * log_ratio)


def draw_weibull(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw the root of an exponential number."""
    scale = mean / special.gamma(1 + 1 / p["alpha"])
    return scale * rng.exponential(size=np.shape(mean)) ** (1 / p["alpha"])


def beta(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Beta by its mean and its precision kappa = alpha + beta."""
    a, b = mean * p["kappa"], (1 - mean) * p["kappa"]
    return special.xlogy(a - 1, y) + special.xlog1py(b - 1, -y) - special.betaln(a, b)


def draw_beta(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw from the Beta with mean and precision kappa."""
    return rng.beta(mean * p["kappa"], (1 - mean) * p["kappa"])
