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
    Drift,
    Numbers,
    Observations,
    Slopes,
    chained,
)
from speclet_formula.families.specification import KAPPA, FamilySpecification, Parameters, Spelling

MOST_TERMS = 40  # trials up to which a sum over them is as quick as a difference of functions


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
    varies = np.isfinite(p["kappa"])  # an infinite precision leaves the mean itself
    a, b = (np.where(varies, share * np.where(varies, p["kappa"], 1.0), 1.0) for share in (mean, 1 - mean))
    return _draw_binomial(rng, np.where(varies, rng.beta(a, b), mean), p, trials)


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

    return Curve(_constant, slopes, "binomial", link)


def _part(count: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return count times slope, and nothing where there is nothing to count; impossible values stay impossible."""
    return np.where((count == 0) & ~np.isnan(slope), 0.0, count * slope)


def _constant(observed: Observations, _numbers: Numbers) -> float:
    return 0.0 if observed.trials is None else float(_ways(observed.response, observed.trials).sum())


def _rising(count: np.ndarray, a: np.ndarray) -> Slopes:
    """Return the log of a (a + 1) ... (a + count - 1) and its derivatives by a."""
    a, most = np.broadcast_to(a, count.shape), int(count.max(initial=0.0))
    if most > MOST_TERMS:
        above = a + count
        derivatives = (special.polygamma(order, above) - special.polygamma(order, a) for order in range(3))
        return Slopes(special.gammaln(above) - special.gammaln(a), *derivatives)
    slopes = np.zeros((4, *count.shape))
    for step in range(most):  # a sum loses no digits where a is large
        share = np.where(step < count, 1 / (a + step), 0.0)
        slopes += [np.where(step < count, np.log(a + step), 0.0), share, -(share**2), 2 * share**3]
    return Slopes(*slopes)


def _risings(mean: np.ndarray, observed: Observations, kappa: float) -> tuple[Slopes, Slopes]:
    successes, failures = observed.response, observed.trials - observed.response
    return _rising(successes, mean * kappa), _rising(failures, (1 - mean) * kappa)


def _by_mean_of_varying(mean: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    (kappa,) = numbers
    up, down = _risings(mean, observed, kappa)
    return Slopes(
        up.value + down.value,
        kappa * (up.first - down.first),
        kappa**2 * (up.second + down.second),
        kappa**3 * (up.third - down.third),
    )


def _constant_of_varying(observed: Observations, numbers: Numbers) -> float:
    return float((_ways(observed.response, observed.trials) - _rising(observed.trials, numbers).value).sum())


def _drifts_of_varying(mean: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    (kappa,) = numbers
    up, down = _risings(mean, observed, kappa)
    a, b = mean * kappa, (1 - mean) * kappa
    value = a * up.first + b * down.first - kappa * _rising(observed.trials, numbers).first
    first = kappa * (up.first - down.first + a * up.second - b * down.second)
    second = kappa**2 * (2 * (up.second + down.second) + a * up.third + b * down.third)
    return (Drift(value, first, second),)


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
    curves=chained(SHARE, "beta_binomial", _constant_of_varying, _by_mean_of_varying, _drifts_of_varying),
    limit="binomial",
    at_limit="The successes vary no more than binomial ones would",
    weights="trials",
)  # fmt: skip
