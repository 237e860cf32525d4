"""Pareto-smoothed importance weights and their shape k, of a row of draws for each observation.

The same numbers as ArviZ's `psislw`, for all observations of a block at once: several times quicker.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST_DRAWS = 30  # a tail is a fifth of the draws; with fewer than six its lowest quarter is a single draw
_FEW = 225  # effective draws below which the tail is a fifth (Vehtari et al. 2024, appendix H)


def smooth_weights(log_ratios: Array, efficiency: float = 1.0) -> tuple[Array, Array]:
    """Smooth the largest importance ratios of each observation.

    Parameters
    ----------
    log_ratios : ndarray of float, shape (observations, draws)
        For leave-one-out the negative log-likelihood. At least 30 draws.
    efficiency : float
        Effective draws per draw.

    Returns
    -------
    log_weights : ndarray of float, shape (observations, draws)
        Normalised: their exponentials sum to 1.
    k : ndarray of float, shape (observations,)
        Shape of the Pareto distribution of the largest ratios. Infinite where it cannot be estimated, since the ratios
        of the tail are equal or not finite; they are not smoothed then.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of Machine Learning
    Research 25(72), 1-58. https://jmlr.org/papers/v25/19-556.html

    Examples
    --------
    >>> import numpy as np
    >>> from speclet_formula.posterior.pareto import smooth_weights
    >>> log_weights, k = smooth_weights(np.random.default_rng(1).normal(size=(1, 1000)))
    >>> bool(abs(np.exp(log_weights).sum() - 1) < 1e-12), bool(k[0] < 0.7)
    (True, True)
    """
    size = log_ratios.shape[1]
    length = tail_length(size, efficiency)
    with np.errstate(all="ignore"):  # what is not finite ends as an infinite k
        weights = log_ratios - log_ratios.max(axis=1, keepdims=True)
        order = np.argpartition(weights, size - length - 1, axis=1)
        places = order[:, size - length :]
        tail = np.take_along_axis(weights, places, axis=1)
        ascending = np.argsort(tail, axis=1)
        places = np.take_along_axis(places, ascending, axis=1)
        tail = np.take_along_axis(tail, ascending, axis=1)
        cutoff = np.exp(np.take_along_axis(weights, order[:, [size - length - 1]], axis=1))
        k, scale = fit_pareto(np.exp(tail) - cutoff)
        smoothed = np.log(cutoff + pareto_quantiles(length, k, scale))
        smooth = np.isfinite(k)[:, None] & np.isfinite(smoothed).all(axis=1, keepdims=True)
        np.put_along_axis(weights, places, np.where(smooth, np.minimum(smoothed, tail[:, -1:]), tail), axis=1)
        weights -= log_sum_exp(weights)[:, None]
    return weights, np.where(smooth[:, 0], k, np.inf)


def tail_length(n_draws: int, efficiency: float) -> int:
    """Return how many of the largest ratios are smoothed: 3 sqrt(effective draws' inverse share), or a fifth."""
    if n_draws * efficiency > _FEW:
        return int(3 * (n_draws / efficiency) ** 0.5)
    return n_draws // 5


def fit_pareto(excesses: Array) -> tuple[Array, Array]:
    """Fit a generalised Pareto distribution to each row by Zhang and Stephens' posterior mean.

    k gets the weight of ten draws at 0.5, as in Vehtari et al. (2024).

    Parameters
    ----------
    excesses : ndarray of float, shape (observations, tail)
        In ascending order.

    Returns
    -------
    k, scale : ndarray of float, shape (observations,)
        NaN where the smallest quarter of the excesses are equal.

    References
    ----------
    Zhang and Stephens (2009). A new and efficient estimation method for the generalized Pareto distribution.
    Technometrics 51(3), 316-325. doi:10.1198/tech.2009.08017.
    """
    n = excesses.shape[1]
    count = 30 + int(n**0.5)
    quartile = excesses[:, int(n / 4 + 0.5) - 1]
    quartile = np.where(quartile > excesses[:, 0], quartile, np.nan)
    grid = 1 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))
    b = grid / (3 * quartile[:, None]) + 1 / excesses[:, -1:]
    shapes = np.stack([np.log1p(-b[:, [j]] * excesses).mean(axis=1) for j in range(count)], axis=1)
    log_profile = n * (np.log(-b / shapes) - shapes - 1)
    weights = np.exp(log_profile - log_sum_exp(log_profile)[:, None])
    weights[weights < 10 * np.finfo(np.float64).eps] = 0
    b_mean = (weights * b).sum(axis=1) / weights.sum(axis=1)
    k = np.log1p(-b_mean[:, None] * excesses).mean(axis=1)
    return (n * k + 5) / (n + 10), -k / b_mean


def pareto_quantiles(count: int, k: Array, scale: Array) -> Array:
    """Return the mid-quantiles of generalised Pareto distributions that start at 0: (observations, count)."""
    log_survival = np.log1p(-np.arange(0.5, count) / count)
    shape = np.where(k == 0, 1e-30, k)[:, None]
    return np.asarray(np.where(scale > 0, scale, np.nan)[:, None] * np.expm1(-shape * log_survival) / shape)


def log_sum_exp(values: Array) -> Array:
    """Return the log of the sum of exponentials along the last axis."""
    largest = values.max(axis=-1, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    return np.asarray(np.log(np.exp(values - largest).sum(axis=-1)) + largest[..., 0])
