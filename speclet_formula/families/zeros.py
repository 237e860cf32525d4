"""Families with extra zeros, made from those without: zero-inflated ones and hurdles.

psi is the share of rows that come from the distribution proper, as in Bambi and PyMC (brms' zi and hu are 1 - psi). A
zero-inflated distribution adds zeros to those that the distribution has itself; a hurdle takes those away.
"""

from typing import Any

import numpy as np

from speclet_formula.families import negativebinomial, poisson
from speclet_formula.families.binomial import BINOMIAL
from speclet_formula.families.gamma import GAMMA
from speclet_formula.families.gaussian import LOGNORMAL, mean_of_log_normal
from speclet_formula.families.links import POSITIVE
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
