"""A family's name goes in; what R's packages and brms call it comes out, and the link that all of them start from.

Names only: what a family means is left to the room `families`, the calls to `calls`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Spelled:
    """A family as other packages write it."""

    link: str  # the default, Bambi's name
    brms: str
    glm: str = ""  # in R's glm and lme4's glmer; empty where they lack it
    glmm_tmb: str = ""  # in glmmTMB, for what they lack
    zeros: bool = False  # whether glmmTMB wants a formula for extra zeros


FAMILY_NAMES: Mapping[str, Spelled] = {
    "gaussian": Spelled("identity", "gaussian", "gaussian"),
    "t": Spelled("identity", "student"),
    "asymmetriclaplace": Spelled("identity", "asym_laplace"),
    "vonmises": Spelled("identity", "von_mises"),
    "gamma": Spelled("inverse", "Gamma", "Gamma"),
    "exponential": Spelled("log", "exponential"),
    "wald": Spelled("inverse_squared", "inverse.gaussian", "inverse.gaussian"),
    "lognormal": Spelled("identity", "lognormal"),
    "weibull": Spelled("log", "weibull"),
    "beta": Spelled("logit", "Beta", "", "beta_family"),
    "bernoulli": Spelled("logit", "bernoulli", "binomial"),
    "binomial": Spelled("logit", "binomial", "binomial"),
    "beta_binomial": Spelled("logit", "beta_binomial", "", "betabinomial"),
    "zero_inflated_binomial": Spelled("logit", "zero_inflated_binomial", "", "binomial", zeros=True),
    "poisson": Spelled("log", "poisson", "poisson"),
    "negativebinomial": Spelled("log", "negbinomial"),
    "zero_inflated_poisson": Spelled("log", "zero_inflated_poisson", "", "poisson", zeros=True),
    "zero_inflated_negativebinomial": Spelled("log", "zero_inflated_negbinomial", "", "nbinom2", zeros=True),
    "hurdle_poisson": Spelled("log", "hurdle_poisson", "", "truncated_poisson", zeros=True),
    "hurdle_negativebinomial": Spelled("log", "hurdle_negbinomial", "", "truncated_nbinom2", zeros=True),
    "hurdle_gamma": Spelled("log", "hurdle_gamma", "", "ziGamma", zeros=True),
    "hurdle_lognormal": Spelled("identity", "hurdle_lognormal"),
    "cumulative": Spelled("logit", "cumulative"),
    "sratio": Spelled("logit", "sratio"),
}
R_LINKS: Mapping[str, str] = {"inverse_squared": "1/mu^2"}
OF_PROPORTIONS = ("binomial", "beta_binomial", "zero_inflated_binomial")  # their weights are numbers of trials
