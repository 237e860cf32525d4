"""Whether draws can be trusted: R-hat, effective sample sizes, and the shape k of importance weights' tails.

ArviZ's array functions take one parameter, or one row, at a time; these take thousands in numpy and give the same
numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST_DRAWS = 4  # per chain; below it neither number exists
TAIL_PROBABILITIES = (0.05, 0.95)  # Vehtari et al. (2021), section 4.3
BLOCK = 32  # parameters at a time: their draws then stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Mixing:
    """How well the chains mixed, one entry for each parameter.

    Attributes
    ----------
    r_hat, ess_bulk, ess_tail : ndarray of float, shape (parameters,)
        NaN where the number cannot be computed: R-hat with one chain, anything with fewer than four draws or
        with draws that are not finite. A parameter whose draws are all equal has R-hat NaN and as many effective
        draws as draws.
    """

    r_hat: Array
    ess_bulk: Array
    ess_tail: Array


def mixing(draws: Array) -> Mixing:
    """Compute R-hat, bulk and tail effective sample size of each parameter.

    Parameters
    ----------
    draws : ndarray of float, shape (parameters, chains, draws)

    Returns
    -------
    Mixing

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021). Rank-normalization, folding, and localization: an
    improved R-hat for assessing convergence of MCMC. Bayesian Analysis 16, 667-718. doi:10.1214/20-BA1221.

    Examples
    --------
    >>> import numpy as np
    >>> from speclet_formula.posterior.convergence import mixing
    >>> found = mixing(np.random.default_rng(1).normal(size=(1, 4, 500)))
    >>> bool(found.r_hat[0] < 1.01)
    True
    """
    count, _, length = draws.shape
    result = Mixing(*(np.full(count, np.nan) for _ in range(3)))
    if length < FEWEST_DRAWS:
        return result
    usable = np.flatnonzero(np.isfinite(draws).all(axis=(1, 2)))
    for start in range(0, len(usable), BLOCK):
        rows = usable[start : start + BLOCK]
        block = _mixing_of_block(np.asarray(draws[rows], dtype=np.float64))
        result.r_hat[rows], result.ess_bulk[rows], result.ess_tail[rows] = block
    return result


def _mixing_of_block(draws: Array) -> tuple[Array, Array, Array]:
    """Return R-hat, bulk ESS and tail ESS of (parameters, chains, draws), all finite."""
    halves = _split(draws)
    scores, ordered = _normal_scores(halves)
    r_hat = np.full(len(draws), np.nan)
    if draws.shape[1] > 1:
        middle = ordered.shape[1] // 2  # of an even number: a draw and its mirror image tie as in `numpy.median`
        centre = ((ordered[:, middle - 1] + ordered[:, middle]) / 2)[:, None, None]
        r_hat = np.fmax(_r_hat(scores), _r_hat(_normal_scores(np.abs(halves - centre))[0]))
    if draws.shape[2] % 2:  # a middle draw is in no half
        ordered = np.sort(draws.reshape(len(draws), -1), axis=1)
    limits = quantiles_of_sorted(ordered, TAIL_PROBABILITIES)
    tails = [_effective_size((halves <= limit[:, None, None]).astype(np.float64)) for limit in limits]
    return r_hat, _effective_size(scores), np.minimum(*tails)


def quantiles_of_sorted(ordered: Array, probabilities: tuple[float, ...]) -> Array:
    """Return quantiles (probabilities, rows) of rows (rows, n) that ascend, as `numpy.quantile` has them."""
    places = (ordered.shape[1] - 1) * np.asarray(probabilities)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, ordered.shape[1] - 1)
    low, high = ordered.T[below], ordered.T[above]
    quantiles: Array = low + (high - low) * (places - below)[:, None]
    return quantiles


def _split(draws: Array) -> Array:
    """Cut each chain in two; a middle draw is left out."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[:, :, :half], draws[:, :, -half:]], axis=1)


def _normal_scores(draws: Array) -> tuple[Array, Array]:
    """Replace draws by the normal quantiles of their ranks within the parameter, and return the draws in order as well.

    Ties share their average rank.
    """
    from scipy.special import ndtri

    flat = draws.reshape(len(draws), -1)
    size, ordered = flat.shape[1], np.sort(flat, axis=1)
    order = np.argsort(flat, axis=1)
    order += size * np.arange(len(flat))[:, None]
    # Ranks are whole or half numbers, so that one short table serves every parameter.
    table = ndtri((np.arange(2 * size + 1) / 2 - 3 / 8) / (size + 1 / 4))
    of_ranks = np.broadcast_to(table[2::2], flat.shape)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if tied.any():
        of_ranks = of_ranks.copy()
        of_ranks[tied] = table[(2 * _average_ties(ordered[tied])).astype(np.int64)]
    scores = np.empty(flat.size)
    scores[order.ravel()] = of_ranks.ravel()
    return scores.reshape(draws.shape), ordered


def _average_ties(ordered: Array) -> Array:
    """Return the average rank of each value, in rows that ascend."""
    size = ordered.shape[1]
    positions = np.arange(size)
    changes = ordered[:, 1:] != ordered[:, :-1]
    edge = np.ones((len(ordered), 1), dtype=bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, changes]), positions, 0), axis=1)
    backwards = np.where(np.hstack([changes, edge]), positions, size - 1)[:, ::-1]
    last = np.minimum.accumulate(backwards, axis=1)[:, ::-1]
    ranks: Array = (first + last) / 2 + 1
    return ranks


def _r_hat(draws: Array) -> Array:
    """Return the root of total over within-chain variance: NaN where nothing varies, inf where only chains differ."""
    length = draws.shape[2]
    within = draws.var(axis=2, ddof=1).mean(axis=1)
    between = length * draws.mean(axis=2).var(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Array = np.sqrt((between / within + length - 1) / length)
    return ratio


def _effective_size(draws: Array) -> Array:
    """Count the independent draws that would know the mean as well: Geyer's initial monotone sequence.

    With P_k = rho_2k + rho_2k+1, the sum runs over the P_k before the first that is not positive, each no larger
    than the one before: tau = -1 + 2 (P_0 + ... + P_K-1) + rho_2K.
    """
    _, chains, length = draws.shape
    total = chains * length
    covariance = _autocovariance(draws)
    within = covariance[:, 0] * length / (length - 1)
    variance = covariance[:, 0] + draws.mean(axis=2).var(axis=1, ddof=1)  # halves of chains: there are always two
    still = np.ptp(draws, axis=(1, 2)) < np.finfo(np.float64).resolution
    variance[still] = within[still] = 1.0
    rho = 1 - (within[:, None] - covariance) / variance[:, None]
    rho[:, 0] = 1.0
    last = max((length - 1) // 2 - 1, 0)
    even = rho[:, 0 : 2 * last + 1 : 2]
    pairs = even + rho[:, 1 : 2 * last + 2 : 2]
    stops = pairs <= 0
    stop = np.where(stops.any(axis=1), stops.argmax(axis=1), last)
    falling = np.where(np.arange(last + 1) < stop[:, None], np.minimum.accumulate(pairs, axis=1), 0.0)
    rest = np.take_along_axis(even, stop[:, None], axis=1)[:, 0]
    tau = -1 + 2 * falling.sum(axis=1) + np.maximum(rest, 0.0)
    size: Array = np.where(still, total, total / np.maximum(tau, 1 / np.log10(total)))
    return size


def _autocovariance(draws: Array) -> Array:
    """Return the autocovariance at every lag, averaged over the chains: (parameters, draws)."""
    from scipy.fft import irfft, next_fast_len, rfft

    length = draws.shape[2]
    padded = next_fast_len(2 * length, real=True)
    spectrum = rfft(draws - draws.mean(axis=2, keepdims=True), n=padded, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    covariance: Array = irfft(power, n=padded, axis=1)[:, :length] / length
    return covariance


FEWEST_SMOOTHED = 30  # a tail is a fifth of the draws; with fewer than six its lowest quarter is a single draw
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
    >>> from speclet_formula.posterior.convergence import smooth_weights
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
