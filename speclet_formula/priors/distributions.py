"""Points and parameters come in; log densities, supports and standard deviations go out, in plain numpy.

One formula to a function, for x inside the support. Names and parameters are gathered in `registry`; correlation
matrices are left to `correlations`.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, xlog1py, xlogy

FloatArray = NDArray[np.float64]
Number = float | FloatArray
Shape = tuple[int, ...]

_LOG_2PI = math.log(2 * math.pi)
_LOG_2 = math.log(2)
_LOG_PI = math.log(math.pi)
_VARIANCE_ABOVE = 2  # degrees of freedom, or the shape of an inverse gamma


def on_the_line(x: FloatArray, **_: Number) -> NDArray[np.bool_]:
    """The real line."""
    return np.isfinite(x)


def from_zero(x: FloatArray, **_: Number) -> NDArray[np.bool_]:
    """Zero and above: the density is finite at zero."""
    return (x >= 0) & (x < np.inf)


def above_zero(x: FloatArray, **_: Number) -> NDArray[np.bool_]:
    """Above zero only."""
    return (x > 0) & (x < np.inf)


def in_unit(x: FloatArray, **_: Number) -> NDArray[np.bool_]:
    """Zero to one."""
    return (x >= 0) & (x <= 1)


def between(x: FloatArray, lower: Number, upper: Number) -> NDArray[np.bool_]:
    """From lower to upper."""
    return (x >= lower) & (x <= upper)


def normal_density(x: FloatArray, mu: Number, sigma: Number) -> FloatArray:
    """-z^2 / 2 - log(sigma sqrt(2 pi)), z = (x - mu) / sigma."""
    z = (x - mu) / sigma
    return -0.5 * z * z - np.log(sigma) - 0.5 * _LOG_2PI


def student_t_density(x: FloatArray, nu: Number, mu: Number, sigma: Number) -> FloatArray:
    """Student's t with nu degrees of freedom, moved by mu and stretched by sigma."""
    z = (x - mu) / sigma
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * (np.log(nu) + _LOG_PI) - np.log(sigma)
    return np.asarray(constant - (nu + 1) / 2 * np.log1p(z * z / nu))


def cauchy_density(x: FloatArray, alpha: Number, beta: Number) -> FloatArray:
    """-log(pi beta (1 + z^2)), z = (x - alpha) / beta."""
    z = (x - alpha) / beta
    return -_LOG_PI - np.log(beta) - np.log1p(z * z)


def laplace_density(x: FloatArray, mu: Number, b: Number) -> FloatArray:
    """-|x - mu| / b - log(2 b)."""
    return np.asarray(-np.abs(x - mu) / b - _LOG_2 - np.log(b))


def logistic_density(x: FloatArray, mu: Number, s: Number) -> FloatArray:
    """-|z| - 2 log(1 + exp(-|z|)) - log s: written with |z|, which cannot overflow."""
    z = np.abs((x - mu) / s)
    return np.asarray(-z - 2 * np.log1p(np.exp(-z)) - np.log(s))


def half_normal_density(x: FloatArray, sigma: Number) -> FloatArray:
    """Twice the normal density."""
    return _LOG_2 + normal_density(x, 0.0, sigma)


def half_student_t_density(x: FloatArray, nu: Number, sigma: Number) -> FloatArray:
    """Twice Student's density."""
    return _LOG_2 + student_t_density(x, nu, 0.0, sigma)


def half_cauchy_density(x: FloatArray, beta: Number) -> FloatArray:
    """Twice Cauchy's density."""
    return _LOG_2 + cauchy_density(x, 0.0, beta)


def gamma_density(x: FloatArray, alpha: Number, beta: Number) -> FloatArray:
    """Shape alpha, rate beta."""
    return np.asarray(alpha * np.log(beta) - gammaln(alpha) + xlogy(alpha - 1, x) - beta * x)


def inverse_gamma_density(x: FloatArray, alpha: Number, beta: Number) -> FloatArray:
    """Shape alpha, scale beta."""
    return np.asarray(alpha * np.log(beta) - gammaln(alpha) - (alpha + 1) * np.log(x) - beta / x)


def log_normal_density(x: FloatArray, mu: Number, sigma: Number) -> FloatArray:
    """The normal density of log x, over x."""
    logarithm = np.log(x)
    return normal_density(logarithm, mu, sigma) - logarithm


def beta_density(x: FloatArray, alpha: Number, beta: Number) -> FloatArray:
    """x^(alpha - 1) (1 - x)^(beta - 1) / B(alpha, beta)."""
    return np.asarray(xlogy(alpha - 1, x) + xlog1py(beta - 1, -x) - betaln(alpha, beta))


def student_t_sd(nu: Number, mu: Number, sigma: Number) -> Number:
    """Infinite up to 2 degrees of freedom; up to 1 there is not even a mean."""
    excess = np.where(np.asarray(nu) > _VARIANCE_ABOVE, np.subtract(nu, 2), 1.0)
    finite = sigma * np.sqrt(nu / excess) + 0 * mu
    infinite = np.where(np.asarray(nu) > 1, np.inf, np.nan)
    return np.where(np.asarray(nu) > _VARIANCE_ABOVE, finite, infinite)


def half_student_t_sd(nu: Number, sigma: Number) -> Number:
    """The variance is E[x^2] - E[x]^2 with the moments of a folded t."""
    safe = np.where(np.asarray(nu) > _VARIANCE_ABOVE, nu, 3.0)
    mean = 2 * np.sqrt(safe / np.pi) * np.exp(gammaln((safe + 1) / 2) - gammaln(safe / 2)) / (safe - 1)
    spread = sigma * np.sqrt(safe / (safe - 2) - mean**2)
    return np.where(np.asarray(nu) > _VARIANCE_ABOVE, spread, np.inf)


def inverse_gamma_sd(alpha: Number, beta: Number) -> Number:
    """Infinite up to a shape of 2."""
    safe = np.where(np.asarray(alpha) > _VARIANCE_ABOVE, alpha, 3.0)
    return np.where(np.asarray(alpha) > _VARIANCE_ABOVE, beta / ((safe - 1) * np.sqrt(safe - 2)), np.inf)


def log_normal_sd(mu: Number, sigma: Number) -> Number:
    """exp(mu + sigma^2 / 2) sqrt(exp(sigma^2) - 1)."""
    return np.exp(mu + np.square(sigma) / 2) * np.sqrt(np.expm1(np.square(sigma)))


def beta_sd(alpha: Number, beta: Number) -> Number:
    """sqrt(a b / (a + b + 1)) / (a + b)."""
    return np.sqrt(alpha * beta / (alpha + beta + 1)) / (alpha + beta)


def gamma_from_moments(mu: Number, sigma: Number) -> dict[str, Number]:
    """Shape and rate from mean and SD."""
    return {"alpha": np.square(mu / sigma), "beta": mu / np.square(sigma)}


def inverse_gamma_from_moments(mu: Number, sigma: Number) -> dict[str, Number]:
    """Shape and scale from mean and SD."""
    alpha = np.square(mu / sigma) + 2
    return {"alpha": alpha, "beta": mu * (alpha - 1)}


def beta_from_moments(mu: Number, sigma: Number) -> dict[str, Number]:
    """Both shapes from mean and SD."""
    total = mu * (1 - mu) / np.square(sigma) - 1
    return {"alpha": mu * total, "beta": (1 - mu) * total}
