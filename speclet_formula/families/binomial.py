"""Successes out of trials: single ones (bernoulli), those of one probability (binomial), of a varying one."""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import (
    LATENT_VARIANCES,
    PROBABILITY,
    SHARE,
    SHARES,
    Curve,
    Numbers,
    Observations,
    Slopes,
)
from speclet_formula.families.specification import KAPPA, FamilySpecification, Parameters, Spelling


def _bernoulli(y: np.ndarray, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    return special.xlogy(y, mean) + special.xlog1py(1 - y, -mean)


def _ways(y: np.ndarray, trials: Any) -> Any:
    """Return the log of the number of ways to place y successes among the trials."""
    return special.gammaln(trials + 1) - special.gammaln(y + 1) - special.gammaln(trials - y + 1)


def _binomial(y: np.ndarray, mean: np.ndarray, _p: Parameters, trials: Any) -> Any:
    """Successes out of trials."""
    return _ways(y, trials) + special.xlogy(y, mean) + special.xlog1py(trials - y, -mean)


def _draw_binomial(rng: np.random.Generator, mean: np.ndarray, _p: Parameters, trials: Any) -> Any:
    """Draw successes out of trials."""
    return rng.binomial(np.asarray(trials, dtype=int), mean)


def _beta_binomial(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Successes out of trials whose probability is Beta with this mean and the precision kappa."""
    a, b = mean * p["kappa"], (1 - mean) * p["kappa"]
    return _ways(y, trials) + special.betaln(y + a, trials - y + b) - special.betaln(a, b)


def _draw_beta_binomial(rng: np.random.Generator, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Draw a probability for each row, then its successes."""
    return _draw_binomial(rng, rng.beta(mean * p["kappa"], (1 - mean) * p["kappa"]), p, trials)


def _of_share(mean: np.ndarray, trials: Any) -> Any:
    """Return the variance of a share; NaN of none of no trials."""
    return mean * (1 - mean) / np.where(trials > 0, trials, np.nan)


def _deviance(y: np.ndarray, mean: np.ndarray, _p: Parameters) -> Any:
    return 2 * (special.xlogy(y, y / mean) + special.xlogy(1 - y, (1 - y) / (1 - mean)))


def _curve(link: str) -> Curve:
    """Return the curve of successes among trials, or of a single trial."""

    def slopes(eta: np.ndarray, observed: Observations, _numbers: Numbers) -> Slopes:
        successes, failures = SHARES[link](eta)
        lost = (1.0 if observed.trials is None else observed.trials) - observed.response
        return Slopes(*(_part(observed.response, a) + _part(lost, b) for a, b in zip(successes, failures, strict=True)))

    return Curve(_constant, slopes)


def _part(count: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return count times slope, and nothing where there is nothing to count; impossible values stay impossible."""
    return np.where((count == 0) & ~np.isnan(slope), 0.0, count * slope)


def _constant(observed: Observations, _numbers: Numbers) -> float:
    return 0.0 if observed.trials is None else float(_ways(observed.response, observed.trials).sum())


_CURVES = {link: _curve(link) for link in PROBABILITY}

BERNOULLI = FamilySpecification(
    "bernoulli", "p", (), PROBABILITY, "binary",
    _bernoulli,
    lambda rng, mean, _p, _: rng.binomial(1, mean),
    Spelling("Bernoulli", ("p",), "bernoulli", "binomial", glm_lacks=("identity",)),
    variance=lambda mean, _p, _: mean * (1 - mean),
    deviance=_deviance,
    latent_variances=LATENT_VARIANCES,
    curves=_CURVES,
)  # fmt: skip

BINOMIAL = FamilySpecification(
    "binomial", "p", (), PROBABILITY, "proportion",
    _binomial, _draw_binomial,
    Spelling("Binomial", ("n", "p"), "binomial", "binomial", glm_lacks=("identity",)),
    variance=lambda mean, _p, trials: _of_share(mean, trials),
    deviance=_deviance,
    latent_variances=LATENT_VARIANCES,
    curves=_CURVES,
    weights="trials",
    single_trials="bernoulli",
)  # fmt: skip

BETA_BINOMIAL = FamilySpecification(
    "beta_binomial", "mu", (KAPPA,), SHARE, "proportion",
    _beta_binomial, _draw_beta_binomial,
    Spelling("BetaBinomial", ("n", "mu", "kappa"), "beta_binomial", "", "betabinomial"),
    variance=lambda mean, p, trials: _of_share(mean, trials) * (1 + (trials - 1) / (1 + p["kappa"])),
    weights="trials",
)  # fmt: skip
