"""A family's name goes in; what R's packages and brms call it and its parameters comes out, and the links of both.

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


@dataclass(frozen=True)
class Parameter:
    """A family's parameter as another package writes it, with the same kind of link."""

    name: str
    sign: int = 1  # -1 where the linear predictor is the negative of ours


FAMILY_NAMES: Mapping[str, Spelled] = {
    "gaussian": Spelled("identity", "gaussian", "gaussian", "gaussian"),
    "t": Spelled("identity", "student", "", "t_family"),
    "asymmetriclaplace": Spelled("identity", "asym_laplace"),
    "vonmises": Spelled("identity", "von_mises"),
    "gamma": Spelled("inverse", "Gamma", "Gamma", "Gamma"),
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
    "negativebinomial": Spelled("log", "negbinomial", "", "nbinom2"),
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
# Bambi's, for a parameter that has a formula of its own; one that is not here (thresholds) cannot have one.
PARAMETER_LINKS: Mapping[str, str] = {
    **dict.fromkeys(("sigma", "nu", "alpha", "kappa", "lam", "b"), "log"),
    "psi": "logit",
}
OF_PROPORTIONS = ("binomial", "beta_binomial", "zero_inflated_binomial")  # their weights are numbers of trials
# Where a package's own default link is another than Bambi's; what is written without a link has this one there.
BRMS_LINKS: Mapping[str, str] = {"vonmises": "tan_half"}
GLMM_TMB_LINKS: Mapping[str, str] = {"hurdle_gamma": "inverse"}
BRMS_WITHOUT: Mapping[str, tuple[str, ...]] = {"lognormal": ("log",), "hurdle_lognormal": ("log",)}
GLM_WITHOUT: Mapping[str, tuple[str, ...]] = {  # links that R's binomial lacks
    "bernoulli": ("identity",),
    "binomial": ("identity",),
    "zero_inflated_binomial": ("identity",),
}
_BRMS_NAMES: Mapping[str, Parameter] = {
    "sigma": Parameter("sigma"),
    "nu": Parameter("nu"),
    "alpha": Parameter("shape"),
    "lam": Parameter("shape"),
    "kappa": Parameter("phi"),
    "psi": Parameter("zi", -1),
}
_GLMM_TMB_NAMES: Mapping[str, Parameter] = {
    **dict.fromkeys(("sigma", "alpha", "kappa"), Parameter("dispformula")),
    "psi": Parameter("ziformula", -1),
}


def in_brms(family: str, parameter: str) -> Parameter:
    """Name a family's parameter as brms does: zi and hu are 1 - psi, an asymmetric Laplace's sigma goes as 1 / b.

    Examples
    --------
    >>> in_brms("hurdle_gamma", "psi")
    Parameter(name='hu', sign=-1)
    """
    if family == "asymmetriclaplace":
        return {"b": Parameter("sigma", -1), "kappa": Parameter("quantile")}[parameter]
    if family == "vonmises":
        return Parameter(parameter)
    found = _BRMS_NAMES[parameter]
    return Parameter("hu", found.sign) if family.startswith("hurdle") and parameter == "psi" else found


def in_glmm_tmb(family: str, parameter: str) -> Parameter | None:
    """Name the argument of glmmTMB that takes a parameter's formula; None where it has none."""
    return _GLMM_TMB_NAMES.get(parameter) if FAMILY_NAMES[family].glmm_tmb else None
