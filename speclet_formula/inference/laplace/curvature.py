"""A family with its link goes in; the derivatives of its log density by the linear predictor come out.

A density is written once, in its mean, and each link once, in `derivatives`; the chain rule joins them here, in one
table. What is maximised is left to `fit`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from speclet_formula.design import Design
from speclet_formula.inference.laplace.derivatives import (
    DENSITIES,
    LINKS,
    LOGARITHMS,
    SHARES,
    Constant,
    Drift,
    Drifts,
    InMean,
    Observed,
    Parameters,
    Slopes,
)


@dataclass(frozen=True)
class Curve:
    """A log density of the linear predictor.

    Attributes
    ----------
    parameters : tuple of str
        The family's other parameters, all above zero.
    constant : callable
        (observed, parameters) -> the part of the log likelihood that no linear predictor changes, a number.
    slopes : callable
        (eta, observed, parameters) -> Slopes of the rest, by eta. Not finite where eta is impossible.
    drifts : callable
        (eta, observed, parameters) -> one Drift for each parameter, constant included.
    """

    parameters: tuple[str, ...]
    constant: Constant
    slopes: InMean
    drifts: Drifts


def _chained(in_mean: InMean, drifts_in_mean: Drifts, link: str) -> tuple[InMean, Drifts]:
    """Turn derivatives by the mean into derivatives by the linear predictor."""

    def slopes(eta: np.ndarray, observed: Observed, parameters: Parameters) -> Slopes:
        mean = LINKS[link](eta)
        found = in_mean(mean.value, observed, parameters)
        return Slopes(
            found.value,
            found.first * mean.first,
            found.second * mean.first**2 + found.first * mean.second,
            found.third * mean.first**3 + 3 * found.second * mean.first * mean.second + found.first * mean.third,
        )

    def drifts(eta: np.ndarray, observed: Observed, parameters: Parameters) -> tuple[Drift, ...]:
        mean = LINKS[link](eta)
        return tuple(
            Drift(one.value, one.first * mean.first, one.second * mean.first**2 + one.first * mean.second)
            for one in drifts_in_mean(mean.value, observed, parameters)
        )

    return slopes, drifts


def _shares(link: str) -> Curve:
    """Return the curve of successes among trials, or of a single trial."""

    def slopes(eta: np.ndarray, observed: Observed, _parameters: Parameters) -> Slopes:
        successes, failures = SHARES[link](eta)
        lost = (1.0 if observed.trials is None else observed.trials) - observed.response
        return Slopes(*(_part(observed.response, a) + _part(lost, b) for a, b in zip(successes, failures, strict=True)))

    return Curve((), _shares_constant, slopes, lambda *_: ())


def _part(count: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return count times slope, and nothing where there is nothing to count; impossible values stay impossible."""
    return np.where((count == 0) & ~np.isnan(slope), 0.0, count * slope)


def _shares_constant(observed: Observed, _parameters: Parameters) -> float:
    if observed.trials is None:
        return 0.0
    y, m = observed.response, observed.trials
    return float((special.gammaln(m + 1) - special.gammaln(y + 1) - special.gammaln(m - y + 1)).sum())


# --- the table --------------------------------------------------------------------------------------------------------

CURVES: dict[tuple[str, str], Curve] = (
    {(family, link): _shares(link) for family in ("bernoulli", "binomial") for link in SHARES}
    | {
        (family, link): Curve(density.parameters, density.constant, *_chained(density.slopes, density.drifts, link))
        for family, density in DENSITIES.items()
        for link in density.links
    }
    | {
        (family, "log"): Curve(DENSITIES[family].parameters, DENSITIES[family].constant, slopes, drifts)
        for family, (slopes, drifts) in LOGARITHMS.items()
    }
)


def observed_of(design: Design) -> Observed:
    """Return what a design observed.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Observed
    """
    return Observed(design.response, design.trials, 1.0 if design.weights is None else design.weights)
