"""The derivatives of log densities by the linear predictor: a density's by its mean, joined with a link's.

A family writes its density's derivatives once, in its mean, and each link has its own once, in `links`; the chain rule
joins them here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from speclet_formula.families.links import MEANS, Slopes


class Observations(NamedTuple):
    """What was observed; n rows."""

    response: np.ndarray  # (n,)
    trials: Any  # (n,), of a binomial response, else None
    weights: Any  # (n,) weights that divide the variance; or 1.0


class Drift(NamedTuple):
    """How a log density and its derivatives change with the logarithm of one parameter; each of shape (n,)."""

    value: Any
    first: Any
    second: Any


type Numbers = np.ndarray  # (e,) the family's other parameters, all above zero
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
    drifts : callable
        (eta, observed, numbers) -> one Drift for each parameter, constant included.
    """

    constant: Constant
    slopes: Gradient
    drifts: Drifts = no_drifts


def chained(
    links: Iterable[str], constant: Constant, by_mean: Gradient, drifts: Drifts = no_drifts
) -> dict[str, Curve]:
    """Return a family's curve for each of some links, from the derivatives of its log density by the mean."""
    return {link: Curve(constant, *_by_predictor(by_mean, drifts, link)) for link in links}


def _by_predictor(by_mean: Gradient, drifts_by_mean: Drifts, link: str) -> tuple[Gradient, Drifts]:
    """Turn derivatives by the mean into derivatives by the linear predictor."""

    def slopes(eta: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
        mean = MEANS[link](eta)
        density = by_mean(mean.value, observed, numbers)
        return Slopes(
            density.value,
            density.first * mean.first,
            density.second * mean.first**2 + density.first * mean.second,
            density.third * mean.first**3 + 3 * density.second * mean.first * mean.second + density.first * mean.third,
        )

    def drifts(eta: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
        mean = MEANS[link](eta)
        return tuple(
            Drift(drift.value, drift.first * mean.first, drift.second * mean.first**2 + drift.first * mean.second)
            for drift in drifts_by_mean(mean.value, observed, numbers)
        )

    return slopes, drifts
