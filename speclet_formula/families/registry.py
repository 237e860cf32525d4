"""A family's name, in Bambi's words or R's, and a link's name go in; the family comes out.

The table of all families stands here; the functions that it names are defined beside it.
"""

from collections.abc import Mapping

import numpy as np

from speclet_formula.errors import DataError, nearest
from speclet_formula.families import continuous, counts, ordinal, zeros
from speclet_formula.families.records import Family, FamilySpecification

_REAL = ("identity", "log", "inverse")
_POSITIVE = ("log", "identity", "inverse")
_COUNT = ("log", "identity")
_SHARE = ("logit", "probit", "cloglog")
_PROBABILITY = (*_SHARE, "identity")
_truncated_poisson = zeros.truncated(counts.poisson)
_truncated_negative_binomial = zeros.truncated(counts.negative_binomial)

FAMILIES: dict[str, FamilySpecification] = {
    "gaussian": FamilySpecification(
        "mu", ("sigma",), _REAL, "real",
        continuous.normal, lambda rng, mean, p, _: rng.normal(mean, p["sigma"]), weights="variance",
    ),
    "t": FamilySpecification(
        "mu", ("sigma", "nu"), _REAL, "real",
        continuous.student, lambda rng, mean, p, _: mean + p["sigma"] * rng.standard_t(p["nu"], np.shape(mean)),
        weights="variance",
    ),
    "asymmetriclaplace": FamilySpecification(
        "mu", ("b", "kappa"), _REAL, "real",
        continuous.asymmetric_laplace, continuous.draw_asymmetric_laplace, continuous.mean_of_asymmetric_laplace,
    ),
    "vonmises": FamilySpecification(
        "mu", ("kappa",), ("identity",), "angle",
        continuous.von_mises, lambda rng, mean, p, _: rng.vonmises(mean, p["kappa"]),
    ),
    "gamma": FamilySpecification(
        "mu", ("alpha",), ("inverse", "log", "identity"), "positive", continuous.gamma, continuous.draw_gamma
    ),
    "exponential": FamilySpecification(
        "mu", (), _POSITIVE, "positive", continuous.exponential, lambda rng, mean, _p, _: rng.exponential(mean)
    ),
    "wald": FamilySpecification(
        "mu", ("lam",), ("inverse_squared", "inverse", "identity", "log"), "positive",
        continuous.inverse_gaussian, lambda rng, mean, p, _: rng.wald(mean, p["lam"]),
    ),
    "lognormal": FamilySpecification(
        "mu", ("sigma",), _REAL, "positive",
        continuous.log_normal, continuous.draw_log_normal, continuous.mean_of_log_normal,
    ),
    "weibull": FamilySpecification(
        "mu", ("alpha",), _POSITIVE, "positive", continuous.weibull, continuous.draw_weibull
    ),
    "beta": FamilySpecification("mu", ("kappa",), _SHARE, "unit", continuous.beta, continuous.draw_beta),
    "bernoulli": FamilySpecification(
        "p", (), _PROBABILITY, "binary", counts.bernoulli, lambda rng, mean, _p, _: rng.binomial(1, mean)
    ),
    "binomial": FamilySpecification(
        "p", (), _PROBABILITY, "proportion", counts.binomial, counts.draw_binomial, weights="trials"
    ),
    "beta_binomial": FamilySpecification(
        "mu", ("kappa",), _SHARE, "proportion", counts.beta_binomial, counts.draw_beta_binomial, weights="trials"
    ),
    "zero_inflated_binomial": FamilySpecification(
        "p", ("psi",), _PROBABILITY, "proportion",
        zeros.inflated(counts.binomial), zeros.draw_inflated(counts.draw_binomial), zeros.mean_of_inflated,
        weights="trials",
    ),
    "poisson": FamilySpecification("mu", (), _COUNT, "count", counts.poisson, counts.draw_poisson),
    "negativebinomial": FamilySpecification(
        "mu", ("alpha",), _COUNT, "count", counts.negative_binomial, counts.draw_negative_binomial
    ),
    "zero_inflated_poisson": FamilySpecification(
        "mu", ("psi",), _COUNT, "count",
        zeros.inflated(counts.poisson), zeros.draw_inflated(counts.draw_poisson), zeros.mean_of_inflated,
    ),
    "zero_inflated_negativebinomial": FamilySpecification(
        "mu", ("alpha", "psi"), _COUNT, "count",
        zeros.inflated(counts.negative_binomial), zeros.draw_inflated(counts.draw_negative_binomial),
        zeros.mean_of_inflated,
    ),
    "hurdle_poisson": FamilySpecification(
        "mu", ("psi",), _COUNT, "count",
        zeros.hurdle(_truncated_poisson), zeros.draw_inflated(zeros.draw_truncated_poisson),
        zeros.mean_of_hurdle(counts.poisson),
    ),
    "hurdle_negativebinomial": FamilySpecification(
        "mu", ("alpha", "psi"), _COUNT, "count",
        zeros.hurdle(_truncated_negative_binomial), zeros.draw_inflated(zeros.draw_truncated_negative_binomial),
        zeros.mean_of_hurdle(counts.negative_binomial),
    ),
    "hurdle_gamma": FamilySpecification(
        "mu", ("alpha", "psi"), _POSITIVE, "nonnegative",
        zeros.hurdle(continuous.gamma), zeros.draw_inflated(continuous.draw_gamma), zeros.mean_of_inflated,
    ),
    "hurdle_lognormal": FamilySpecification(
        "mu", ("sigma", "psi"), _REAL, "nonnegative",
        zeros.hurdle(continuous.log_normal), zeros.draw_inflated(continuous.draw_log_normal),
        lambda mean, p: p["psi"] * continuous.mean_of_log_normal(mean, p),
    ),
    "cumulative": FamilySpecification(
        "p", ("threshold",), _SHARE, "ordinal",
        ordinal.cumulative, ordinal.draw_cumulative, ordinal.cumulative_probabilities,
    ),
    "sratio": FamilySpecification(
        "p", ("threshold",), _SHARE, "ordinal",
        ordinal.stopping_ratio, ordinal.draw_stopping_ratio, ordinal.stopping_probabilities,
    ),
}  # fmt: skip

# Lower case, without punctuation: R's, lme4's, MASS', glmmTMB's, brms' and ordinal's names.
_ALIASES: Mapping[str, str] = {
    "normal": "gaussian",
    "student": "t",
    "studentt": "t",
    "asymlaplace": "asymmetriclaplace",
    "inversegaussian": "wald",
    "inversegauss": "wald",
    "betafamily": "beta",
    "nbinom": "negativebinomial",
    "nbinom2": "negativebinomial",
    "negbinomial": "negativebinomial",
    "negbin": "negativebinomial",
    "zipoisson": "zero_inflated_poisson",
    "zip": "zero_inflated_poisson",
    "zinb": "zero_inflated_negativebinomial",
    "zinegativebinomial": "zero_inflated_negativebinomial",
    "zinbinom": "zero_inflated_negativebinomial",
    "zinbinom2": "zero_inflated_negativebinomial",
    "zeroinflatednegbinomial": "zero_inflated_negativebinomial",
    "zibinomial": "zero_inflated_binomial",
    "zib": "zero_inflated_binomial",
    "hurdlenegbinomial": "hurdle_negativebinomial",
    "hurdlenbinom": "hurdle_negativebinomial",
    "hurdlenbinom2": "hurdle_negativebinomial",
    "zigamma": "hurdle_gamma",
    "ordinal": "cumulative",
    "stoppingratio": "sratio",
}
_LINK_ALIASES: Mapping[str, str] = {"1/mu^2": "inverse_squared", "1/mu": "inverse"}
# What R has and Bambi has not, with what comes nearest.
_ABSENT: Mapping[str, str] = {
    "skewnormal": "Bambi has none: a skewed response above 0 may be 'gamma' or 'lognormal', outliers want 't'.",
    "quasipoisson": "A quasi-likelihood has no posterior: 'negativebinomial' is for counts that vary more.",
    "quasibinomial": "A quasi-likelihood has no posterior: 'beta_binomial' is for shares that vary more.",
    "nbinom1": "'negativebinomial' is nbinom2, whose variance is quadratic in the mean.",
    "categorical": "Its levels have no order: fit one level against another with 'bernoulli'.",
    "multinomial": "Its levels have no order: fit one level against the others with 'binomial'.",
    "acat": "Ordered levels have 'cumulative' and 'sratio'.",
    "cratio": "Ordered levels have 'cumulative' and 'sratio'; reverse the levels for the continuation ratio.",
}


def resolve_family(name: str, link: str | None = None) -> Family:
    """Return the family of that name, with its own or the given link.

    Parameters
    ----------
    name : str
        One of `FAMILIES`, Bambi's names: "gaussian", "t", "asymmetriclaplace", "vonmises", "gamma", "exponential",
        "wald", "lognormal", "weibull", "beta", "bernoulli", "binomial", "beta_binomial", "poisson",
        "negativebinomial", the same with "zero_inflated_" ("poisson", "negativebinomial", "binomial") or "hurdle_"
        ("poisson", "negativebinomial", "gamma", "lognormal") before them, and for ordered levels "cumulative" and
        "sratio". Case and underscores do not matter, and other names of R's packages for them are understood
        ("Gamma", "student", "nbinom2", "inverse.gaussian", "zip", "ordinal", …). Bambi has no skew normal.
    link : str, optional
        "identity", "log", "inverse", "inverse_squared", "logit", "probit" or "cloglog", where the family has it.

    Returns
    -------
    Family

    Raises
    ------
    DataError
        If the family or the link does not exist.

    Examples
    --------
    >>> from speclet_formula.families import resolve_family
    >>> resolve_family("Gamma", "log")
    Family(name='gamma', link='log', parent='mu', parameters=('alpha',))
    """
    plain = _plain(name)
    known: dict[str, str] = {_plain(family): family for family in FAMILIES} | dict(_ALIASES)
    if plain not in known:
        near = nearest(plain, known)
        hint = f"Nearest: {known[near]}." if near else "Choose the one that fits the response."
        raise DataError(f"there is no family '{name}'.", f"Families: {', '.join(FAMILIES)}.", _ABSENT.get(plain, hint))
    family = known[plain]
    specification = FAMILIES[family]
    chosen = specification.links[0] if link is None else _LINK_ALIASES.get(link, link)
    if chosen not in specification.links:
        raise DataError(
            f"the family '{family}' has no link '{link}'.",
            f"Its links: {', '.join(specification.links)}.",
            f"Leave link= out for its default, {specification.links[0]}.",
        )
    return Family(family, chosen, specification.parent, specification.parameters)


def _plain(name: str) -> str:
    return "".join(character for character in str(name).lower() if character.isalnum())
