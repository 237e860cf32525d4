"""The beta distribution of shares, by its mean and its precision kappa = a + b."""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import SHARE, Drift, Numbers, Observations, Slopes, chained
from speclet_formula.families.specification import KAPPA, FamilySpecification, Parameters, Spelling


def _log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    a, b = mean * p["kappa"], (1 - mean) * p["kappa"]
    return special.xlogy(a - 1, y) + special.xlog1py(b - 1, -y) - special.betaln(a, b)


def _draw(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    return rng.beta(mean * p["kappa"], (1 - mean) * p["kappa"])


def _by_mean(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    y, (kappa,) = observed.response, numbers
    a, b = mean * kappa, (1 - mean) * kappa
    log_odds = np.log(y) - np.log1p(-y)
    return Slopes(
        a * log_odds - special.gammaln(a) - special.gammaln(b),
        kappa * (log_odds - special.digamma(a) + special.digamma(b)),
        -(kappa**2) * (special.polygamma(1, a) + special.polygamma(1, b)),
        kappa**3 * (special.polygamma(2, b) - special.polygamma(2, a)),
    )


def _constant(observed: Observations, numbers: Numbers) -> float:
    y, (kappa,) = observed.response, numbers
    return float((special.gammaln(kappa) + (kappa - 1) * np.log1p(-y) - np.log(y)).sum())


def _drifts(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    y, (kappa,) = observed.response, numbers
    a, b = mean * kappa, (1 - mean) * kappa
    log_odds = np.log(y) - np.log1p(-y)
    in_a, in_b = special.polygamma(1, a), special.polygamma(1, b)
    value = mean * (log_odds - special.digamma(a)) - (1 - mean) * special.digamma(b)
    first = log_odds - special.digamma(a) + special.digamma(b) - a * in_a + b * in_b
    second = -2 * (in_a + in_b) - a * special.polygamma(2, a) - b * special.polygamma(2, b)
    return (Drift(kappa * (value + special.digamma(kappa) + np.log1p(-y)), kappa * first, kappa**2 * second),)


BETA = FamilySpecification(
    "beta", "mu", (KAPPA,), SHARE, "unit",
    _log_density, _draw,
    Spelling("Beta", ("mu", "kappa"), "Beta", "", "beta_family", mgcv="betar"),
    variance=lambda mean, p, _: mean * (1 - mean) / (1 + p["kappa"]),
    curves=chained(SHARE, "beta", _constant, _by_mean, _drifts),
    aliases=("betafamily",),
)  # fmt: skip
