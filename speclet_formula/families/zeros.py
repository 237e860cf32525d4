"""Families with extra zeros, made from those without: zero-inflated ones and hurdles.

psi is the share of rows that come from the distribution proper, as in Bambi and PyMC (brms' zi and hu are 1 - psi). A
zero-inflated distribution adds zeros to those that the distribution has itself; a hurdle takes those away.
"""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families import negativebinomial, poisson
from speclet_formula.families.binomial import BINOMIAL
from speclet_formula.families.gamma import GAMMA
from speclet_formula.families.gaussian import LOGNORMAL, mean_of_log_normal
from speclet_formula.families.links import POSITIVE, Curve, Drift, Numbers, Observations, Slopes, composed
from speclet_formula.families.negativebinomial import NEGATIVEBINOMIAL
from speclet_formula.families.poisson import POISSON
from speclet_formula.families.specification import (
    PSI,
    PSI_OF_HURDLE,
    Density,
    Expectation,
    FamilySpecification,
    Parameters,
    Simulation,
    Spelling,
)


def _inflated(proper: FamilySpecification, *aliases: str) -> FamilySpecification:
    """Return a family with zeros added."""
    name, spelled = f"zero_inflated_{proper.name}", proper.spelling
    return FamilySpecification(
        name,
        proper.parent,
        (*proper.own_parameters, PSI),
        proper.links,
        proper.support,
        _density_of_inflated(proper.log_density),
        _draw_with_zeros(proper.simulate),
        Spelling(
            f"ZeroInflated{spelled.distribution}",
            (*spelled.arguments, "psi"),
            f"zero_inflated_{spelled.brms}",
            glmm_tmb=spelled.glmm_tmb or spelled.glm,
            glmm_tmb_zeros=True,
            glm_lacks=spelled.glm_lacks,
        ),
        _mean_with_zeros,
        curves={link: _inflated_curve(curve) for link, curve in proper.curves.items()},
        weights=proper.weights,
        zeros="inflated",
        aliases=aliases,
    )


def _hurdle(
    proper: FamilySpecification,
    positive: Density,
    simulate: Simulation,
    expectation: Expectation,
    *aliases: str,
    links: tuple[str, ...] = (),
    glmm_tmb: str = "",
    glmm_tmb_link: str = "",
) -> FamilySpecification:
    """Return a family of positive numbers with zeros beside them."""
    spelled = proper.spelling
    return FamilySpecification(
        f"hurdle_{proper.name}",
        proper.parent,
        (*proper.own_parameters, PSI_OF_HURDLE),
        links or proper.links,
        "count" if proper.support == "count" else "nonnegative",
        _density_of_hurdle(positive),
        _draw_with_zeros(simulate),
        Spelling(
            f"Hurdle{spelled.distribution}",
            (*spelled.arguments, "psi"),
            f"hurdle_{spelled.brms.lower()}",
            glmm_tmb=glmm_tmb,
            glmm_tmb_zeros=bool(glmm_tmb),
            glmm_tmb_link=glmm_tmb_link,
            brms_lacks=spelled.brms_lacks,
        ),
        expectation,
        curves={link: _hurdle_curve(curve, counted=proper.support == "count") for link, curve in proper.curves.items()},
        zeros="hurdle",
        logarithm_of=proper.logarithm_of,
        aliases=aliases,
    )


def _density_of_inflated(density: Density) -> Density:
    def log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
        proper = np.log(p["psi"]) + density(y, mean, p, trials)
        return np.where(y == 0, np.logaddexp(np.log1p(-p["psi"]), proper), proper)

    return log_density


def _density_of_hurdle(density: Density) -> Density:
    """Return the density of positive numbers with zeros beside them."""

    def log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
        positive = density(np.where(y == 0, 1.0, y), mean, p, trials)
        return np.where(y == 0, np.log1p(-p["psi"]), np.log(p["psi"]) + positive)

    return log_density


def _above_zero(density: Density) -> Density:
    """Return the density of a count that is never 0."""

    def log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
        return density(y, mean, p, trials) - np.log(-np.expm1(density(np.zeros(1), mean, p, trials)))

    return log_density


# --- derivatives ------------------------------------------------------------------------------------------------------


def _inflated_curve(proper: Curve) -> Curve:
    """Return the curve of a family with zeros added; the proper one's constant says nothing of a zero."""

    def constant(observed: Observations, numbers: Numbers) -> float:
        above = observed.at(observed.response > 0)
        return proper.constant(above, numbers[:-1]) + len(above.response) * float(np.log(numbers[-1]))

    def slopes(eta: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
        known = proper.slopes(eta, observed, numbers[:-1])
        at_zero = composed(_added(known.value, numbers[-1]), known)
        return _either(observed.response == 0, at_zero, known)

    def drifts(eta: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
        known, psi = proper.slopes(eta, observed, numbers[:-1]), numbers[-1]
        outer, zero = _added(known.value, psi), observed.response == 0
        own = (
            _either(zero, _turned(outer, known, drift), drift) for drift in proper.drifts(eta, observed, numbers[:-1])
        )
        by_value = outer.second * known.second + outer.third * known.first**2
        moved = Drift(outer.first - psi, outer.second * known.first, by_value)
        return (*own, _either(zero, moved, Drift(1 - psi, 0.0, 0.0)))

    return Curve(constant, slopes, proper.kernel, proper.link, drifts, "inflated")


def _hurdle_curve(proper: Curve, *, counted: bool) -> Curve:
    """Return the curve of positive numbers with zeros beside them, which say nothing of a linear predictor."""

    def known_of_zero(eta: np.ndarray, observed: Observations, own: Numbers) -> tuple[Observations, Slopes]:
        nothing = observed._replace(response=0.0 * observed.response)
        return nothing, proper.slopes(eta, nothing, own)

    def constant(observed: Observations, numbers: Numbers) -> float:
        above, psi = observed.at(observed.response > 0), float(numbers[-1])
        zeros = len(observed.response) - len(above.response)
        known = len(above.response) * np.log(psi) + zeros * np.log1p(-psi)
        return proper.constant(above, numbers[:-1]) + float(known)

    def slopes(eta: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
        zero, own = observed.response == 0, numbers[:-1]
        above = proper.slopes(eta, _positive(observed), own)
        if counted:
            _, known = known_of_zero(eta, observed, own)
            above = Slopes(*(a + b for a, b in zip(above, composed(_taken(known.value), known), strict=True)))
        return _either(zero, Slopes(0.0, 0.0, 0.0, 0.0), above)

    def drifts(eta: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
        zero, own, psi = observed.response == 0, numbers[:-1], numbers[-1]
        above = proper.drifts(eta, _positive(observed), own)
        if counted:
            nothing, known = known_of_zero(eta, observed, own)
            outer = _taken(known.value)
            taken = [_turned(outer, known, drift) for drift in proper.drifts(eta, nothing, own)]
            above = tuple(
                Drift(*(a + b for a, b in zip(one, less, strict=True))) for one, less in zip(above, taken, strict=True)
            )
        still = Drift(0.0, 0.0, 0.0)
        return (
            *(_either(zero, still, drift) for drift in above),
            _either(zero, Drift(-psi, 0.0, 0.0), Drift(1 - psi, 0.0, 0.0)),
        )

    return Curve(constant, slopes, proper.kernel, proper.link, drifts, "hurdle")


def _positive(observed: Observations) -> Observations:
    """Return what a distribution of positive numbers takes; what it says of zeros is not used."""
    return observed._replace(response=np.where(observed.response == 0, 1.0, observed.response))


def _added(value: np.ndarray, psi: float) -> Slopes:
    """Return log(1 - psi + psi exp(value)) and its derivatives."""
    added, proper = np.log1p(-psi), np.log(psi) + value
    share, rest = special.expit(proper - added), special.expit(added - proper)
    return Slopes(np.logaddexp(added, proper), share, share * rest, share * rest * (rest - share))


def _taken(value: np.ndarray) -> Slopes:
    """Return -log(1 - exp(value)) and its derivatives."""
    rest = -np.expm1(value)
    odds = np.exp(value) / rest
    return Slopes(-np.log(rest), odds, odds * (1 + odds), odds * (1 + odds) * (1 + 2 * odds))


def _turned(outer: Slopes, inner: Slopes, drift: Drift) -> Drift:
    """Return how a function of a log density changes with a parameter of that density."""
    return Drift(
        outer.first * drift.value,
        outer.first * drift.first + outer.second * drift.value * inner.first,
        outer.first * drift.second
        + outer.second * (drift.value * inner.second + 2 * inner.first * drift.first)
        + outer.third * drift.value * inner.first**2,
    )


def _either[Parts: (Slopes, Drift)](zero: np.ndarray, at_zero: Parts, above: Parts) -> Parts:
    """Return the one of rows with a zero and the other of the rest."""
    return type(above)(*(np.where(zero, a, b) for a, b in zip(at_zero, above, strict=True)))


# --- expectations and draws -------------------------------------------------------------------------------------------


def _draw_with_zeros(simulate: Simulation) -> Simulation:
    """Return the simulation of a response with zeros added; for a hurdle, of one that is never 0."""

    def draw(rng: np.random.Generator, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
        return np.where(rng.random(np.shape(mean)) < p["psi"], simulate(rng, mean, p, trials), 0)

    return draw


def _mean_with_zeros(mean: np.ndarray, p: Parameters) -> Any:
    return p["psi"] * mean


def _mean_of_counts(density: Density) -> Expectation:
    """Return E[y] of a count's hurdle: psi times the mean of the counts above 0."""
    return lambda mean, p: p["psi"] * mean / -np.expm1(density(np.zeros(1), mean, p, None))


ZERO_INFLATED_BINOMIAL = _inflated(BINOMIAL, "zibinomial", "zib")
ZERO_INFLATED_POISSON = _inflated(POISSON, "zipoisson", "zip")
ZERO_INFLATED_NEGATIVEBINOMIAL = _inflated(
    NEGATIVEBINOMIAL, "zinb", "zinegativebinomial", "zinbinom", "zinbinom2", "zeroinflatednegbinomial"
)
HURDLE_POISSON = _hurdle(
    POISSON,
    _above_zero(POISSON.log_density),
    poisson.draw_above_zero,
    _mean_of_counts(POISSON.log_density),
    glmm_tmb="truncated_poisson",
)
HURDLE_NEGATIVEBINOMIAL = _hurdle(
    NEGATIVEBINOMIAL,
    _above_zero(NEGATIVEBINOMIAL.log_density),
    negativebinomial.draw_above_zero,
    _mean_of_counts(NEGATIVEBINOMIAL.log_density),
    "hurdlenegbinomial",
    "hurdlenbinom",
    "hurdlenbinom2",
    glmm_tmb="truncated_nbinom2",
)
HURDLE_GAMMA = _hurdle(
    GAMMA,
    GAMMA.log_density,
    GAMMA.simulate,
    _mean_with_zeros,
    "zigamma",
    links=POSITIVE,
    glmm_tmb="ziGamma",
    glmm_tmb_link="inverse",
)
HURDLE_LOGNORMAL = _hurdle(
    LOGNORMAL,
    LOGNORMAL.log_density,
    LOGNORMAL.simulate,
    lambda mean, p: p["psi"] * mean_of_log_normal(mean, p),
)
