"""Links and their derivatives, and the curves that they make of families' densities by the linear predictor.

For ordinal families a link's inverse is the distribution function of a latent response, whose tails are needed too.
Shares of trials are also written in log p and log(1 - p), which stay exact where p is nearly 0 or 1. A family writes
its density's derivatives once, in its mean, and each link has its own once; the chain rule joins them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from scipy import special

HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)
_FAR_BELOW = -40.0
_LARGEST_RATE = 700.0  # above it exp overflows

type Transform = Callable[[np.ndarray], np.ndarray]

# What families have to choose from, the first being the default.
REAL = ("identity", "log", "inverse")
POSITIVE = ("log", "identity", "inverse")
COUNT = ("log", "identity")
SHARE = ("logit", "probit", "cloglog")
PROBABILITY = (*SHARE, "identity")

# As the compiled loops tell them apart, by their places.
LINKS = ("identity", "log", "inverse", "inverse_squared", "logit", "probit", "cloglog")
ZEROS = ("", "inflated", "hurdle")

INVERSE_LINKS: Mapping[str, Transform] = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "inverse": lambda eta: 1 / eta,
    "inverse_squared": lambda eta: 1 / np.sqrt(eta),
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}
FORWARD_LINKS: Mapping[str, Callable[[Any], Any]] = {
    "identity": lambda mean: mean,
    "log": np.log,
    "inverse": lambda mean: 1 / mean,
    "inverse_squared": lambda mean: 1 / mean**2,
    "logit": special.logit,
    "probit": special.ndtri,
    "cloglog": lambda mean: np.log(-np.log1p(-mean)),
}


@dataclass(frozen=True)
class Latent:
    """The distribution function F that a link inverts, by its two tails and its quantiles."""

    log_below: Transform  # log F(x)
    log_above: Transform  # log(1 - F(x))
    quantile: Transform


LATENT: Mapping[str, Latent] = {
    "logit": Latent(special.log_expit, lambda x: special.log_expit(-x), special.logit),
    "probit": Latent(special.log_ndtr, lambda x: special.log_ndtr(-x), special.ndtri),
    "cloglog": Latent(
        # Far below, 1 - exp(-exp(x)) is exp(x), and would come to 0.
        lambda x: np.where(x < _FAR_BELOW, x, np.log(-np.expm1(-np.exp(np.maximum(x, _FAR_BELOW))))),
        lambda x: -np.exp(x),
        lambda u: np.log(-np.log1p(-u)),
    ),
}


def _constant_variance(value: float) -> Callable[[np.ndarray, Mapping[str, Any]], np.ndarray]:
    return lambda location, _parameters: np.full(len(location), value)


# Of the distribution that a link inverts, (location, parameters) -> array: the same everywhere.
LATENT_VARIANCES: Mapping[str, Callable[[np.ndarray, Mapping[str, Any]], np.ndarray]] = {
    "logit": _constant_variance(np.pi**2 / 3),
    "probit": _constant_variance(1.0),
    "cloglog": _constant_variance(np.pi**2 / 6),
}


class Slopes(NamedTuple):
    """A function of a number, and its derivatives; each of shape (n,)."""

    value: Any
    first: Any
    second: Any
    third: Any


# --- the mean and its derivatives by the linear predictor -------------------------------------------------------------


def _log(eta: np.ndarray) -> Slopes:
    mean = np.exp(eta)
    return Slopes(mean, mean, mean, mean)


def _logit(eta: np.ndarray) -> Slopes:
    p = special.expit(eta)
    spread = p * special.expit(-eta)
    return Slopes(p, spread, spread * (1 - 2 * p), spread * (1 - 6 * spread))


def _probit(eta: np.ndarray) -> Slopes:
    density = np.exp(-0.5 * eta**2 - HALF_LOG_2PI)
    return Slopes(special.ndtr(eta), density, -eta * density, (eta**2 - 1) * density)


def _cloglog(eta: np.ndarray) -> Slopes:
    rate = np.exp(eta)
    density = np.exp(eta - rate)
    return Slopes(-np.expm1(-rate), density, density * (1 - rate), density * (1 - 3 * rate + rate**2))


MEANS: Mapping[str, Callable[[np.ndarray], Slopes]] = {
    "identity": lambda eta: Slopes(eta, 1.0, 0.0, 0.0),
    "log": _log,
    "inverse": lambda eta: Slopes(1 / eta, -1 / eta**2, 2 / eta**3, -6 / eta**4),
    "inverse_squared": lambda eta: Slopes(eta**-0.5, -0.5 * eta**-1.5, 0.75 * eta**-2.5, -1.875 * eta**-3.5),
    "logit": _logit,
    "probit": _probit,
    "cloglog": _cloglog,
}


# --- log p and log(1 - p) by the linear predictor ---------------------------------------------------------------------


def _share_logit(eta: np.ndarray) -> tuple[Slopes, Slopes]:
    p, rest = special.expit(eta), special.expit(-eta)
    spread = p * rest
    bend = spread * (rest - p)
    return Slopes(special.log_expit(eta), rest, -spread, -bend), Slopes(special.log_expit(-eta), -p, -spread, -bend)


def _share_probit(eta: np.ndarray) -> tuple[Slopes, Slopes]:
    def tail(x: np.ndarray) -> Slopes:
        value = special.log_ndtr(x)
        ratio = np.exp(-0.5 * x**2 - HALF_LOG_2PI - value)
        second = -ratio * (x + ratio)
        return Slopes(value, ratio, second, -second * (x + ratio) - ratio * (1 + second))

    above, below = tail(eta), tail(-eta)
    return above, Slopes(below.value, -below.first, below.second, -below.third)


def _share_cloglog(eta: np.ndarray) -> tuple[Slopes, Slopes]:
    rate = np.exp(eta)
    odds = rate / np.expm1(rate)
    odds = np.where(rate > _LARGEST_RATE, 0.0, odds)
    turn = 1 - rate - odds  # the derivative of log(odds) by eta
    bend = odds * turn
    third = bend * turn - odds * (rate + bend)
    return Slopes(np.log(-np.expm1(-rate)), odds, bend, third), Slopes(-rate, -rate, -rate, -rate)


def _share_identity(eta: np.ndarray) -> tuple[Slopes, Slopes]:
    rest = 1 - eta
    return (
        Slopes(np.log(eta), 1 / eta, -1 / eta**2, 2 / eta**3),
        Slopes(np.log1p(-eta), -1 / rest, -1 / rest**2, -2 / rest**3),
    )


SHARES: Mapping[str, Callable[[np.ndarray], tuple[Slopes, Slopes]]] = {
    "logit": _share_logit, "probit": _share_probit, "cloglog": _share_cloglog, "identity": _share_identity,
}  # fmt: skip


# --- log densities by the linear predictor ----------------------------------------------------------------------------


class Observations(NamedTuple):
    """What was observed; n rows."""

    response: np.ndarray  # (n,); counts of levels (n, K), which compiled loops take row by row
    trials: Any  # (n,), of a binomial response or of counts of levels, else None
    weights: Any  # (n,) weights that divide the variance; or 1.0

    def at(self, rows: np.ndarray) -> "Observations":
        """Return some of the rows."""
        trials, weights = (one[rows] if np.ndim(one) else one for one in (self.trials, self.weights))
        return Observations(self.response[rows], trials, weights)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Response, trials and weights as compiled loops take them; trials are ones where there are none."""
        ones = np.ones(len(self.response))
        parts = (np.ravel(self.response), ones if self.trials is None else self.trials, ones * self.weights)
        response, trials, weights = (np.require(part, float, ["C", "W"]) for part in parts)
        return response, trials, weights


class Drift(NamedTuple):
    """How a log density and its derivatives change with one parameter on its link's scale; each of shape (n,).

    That is the logarithm of most, the logit of a share, and a threshold itself.
    """

    value: Any
    first: Any
    second: Any


type Numbers = np.ndarray  # (e,) the family's other parameters; of a vector, such as thresholds, each entry
type Constant = Callable[[Observations, Numbers], float]
type Gradient = Callable[[np.ndarray, Observations, Numbers], Slopes]
type Drifts = Callable[[np.ndarray, Observations, Numbers], tuple[Drift, ...]]


def no_drifts(_eta: np.ndarray, _observed: Observations, _numbers: Numbers) -> tuple[Drift, ...]:
    """Those of a family without other parameters."""
    return ()


@dataclass(frozen=True)
class Curve:
    """A log density of the linear predictor.

    Attributes
    ----------
    constant : callable
        (observed, numbers) -> the part of the log likelihood that no linear predictor changes, a number.
    slopes : callable
        (eta, observed, numbers) -> Slopes of the rest, by eta. Not finite where eta is impossible.
    kernel : str
        The compiled loop for the same, in `kernels`.
    link : str
    drifts : callable
        (eta, observed, numbers) -> one Drift for each parameter, constant included.
    zeros : str
        Whether there are more or other zeros than the kernel's distribution has: one of `ZEROS`.
    """

    constant: Constant
    slopes: Gradient
    kernel: str
    link: str
    drifts: Drifts = no_drifts
    zeros: str = ""

    @cached_property
    def compiled(self) -> Callable[..., None]:
        """What fills `out` (4, n) with the slopes: (eta, response, trials, weights, numbers, out).

        All are contiguous arrays of floats that may be written to, as `Observations.arrays` gives them; it brings
        numba along.
        """
        from speclet_formula.families import kernels

        return partial(getattr(kernels, self.kernel), LINKS.index(self.link), ZEROS.index(self.zeros))


def chained(
    links: Iterable[str], kernel: str, constant: Constant, by_mean: Gradient, drifts: Drifts = no_drifts
) -> dict[str, Curve]:
    """Return a family's curve for each of some links, from the derivatives of its log density by the mean."""
    curves = {}
    for link in links:
        slopes, turned = _by_predictor(by_mean, drifts, link)
        curves[link] = Curve(constant, slopes, kernel, link, turned)
    return curves


def composed(outer: Slopes, inner: Slopes) -> Slopes:
    """Return a function of a function: its value, and its derivatives by what the inner one depends on."""
    return Slopes(
        outer.value,
        outer.first * inner.first,
        outer.second * inner.first**2 + outer.first * inner.second,
        outer.third * inner.first**3 + 3 * outer.second * inner.first * inner.second + outer.first * inner.third,
    )


def _by_predictor(by_mean: Gradient, drifts_by_mean: Drifts, link: str) -> tuple[Gradient, Drifts]:
    """Turn derivatives by the mean into derivatives by the linear predictor."""

    def slopes(eta: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
        mean = MEANS[link](eta)
        return composed(by_mean(mean.value, observed, numbers), mean)

    def drifts(eta: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
        mean = MEANS[link](eta)
        return tuple(
            Drift(drift.value, drift.first * mean.first, drift.second * mean.first**2 + drift.first * mean.second)
            for drift in drifts_by_mean(mean.value, observed, numbers)
        )

    return slopes, drifts
