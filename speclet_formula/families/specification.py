"""What a family is: one record that holds all that any room asks of it, and the family with the link chosen for it.

Each family's file fills in one `FamilySpecification`; `registry` gathers them. Nothing here shares code with PyMC, so
that densities and draws can be checked by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from speclet_formula.design.response import PerLevel
from speclet_formula.families.links import Curve

type Parameters = Mapping[str, Any]
type Density = Callable[[np.ndarray, np.ndarray, Parameters, Any], Any]
type Simulation = Callable[[np.random.Generator, np.ndarray, Parameters, Any], Any]
type Expectation = Callable[[np.ndarray, Parameters], Any]
type Variance = Callable[[np.ndarray, Parameters, Any], Any]
type Deviance = Callable[[np.ndarray, np.ndarray, Parameters], Any]
type LatentVariance = Callable[[np.ndarray, Parameters], Any]
type Tail = Callable[[np.ndarray, np.ndarray, Parameters], np.ndarray]
Support = Literal[
    "real",
    "positive",
    "unit",
    "angle",
    "nonnegative",
    "binary",
    "count",
    "proportion",
    "ordinal",
    "unordered",
    "levels",
]
Weighting = Literal["variance", "trials"]
Zeros = Literal["inflated", "hurdle"]


@dataclass(frozen=True)
class Responses:
    """The responses that families of one support take."""

    inside: Callable[[np.ndarray], np.ndarray]
    words: str
    density: str = "a probability"  # what the density of a row is
    is_measured: bool = False  # on a scale, as against counts and answers
    findings: Literal["real", "binary", "count", "proportion", "ordinal", "levels", "other"] = (
        "other"  # that a design may have
    )


def _are_whole(y: np.ndarray) -> np.ndarray:
    return np.asarray((y >= 0) & (y == np.round(y)))


RESPONSES: Mapping[Support, Responses] = {
    "real": Responses(np.isfinite, "numbers", "a density", True, "real"),
    "positive": Responses(lambda y: y > 0, "numbers above 0", "a density", True),
    "unit": Responses(
        lambda y: (y > 0) & (y < 1), "numbers between 0 and 1, neither 0 nor 1 themselves", "a density", True
    ),
    "angle": Responses(lambda y: np.abs(y) <= np.pi, "angles in radians, from -pi to pi", "a density"),
    "nonnegative": Responses(
        lambda y: y >= 0, "0 and numbers above it", "a probability at 0 and a density elsewhere", True
    ),
    "binary": Responses(
        lambda y: (y == 0) | (y == 1), "0 or 1, True or False, or a factor of two levels", findings="binary"
    ),
    "count": Responses(_are_whole, "whole numbers from 0 on", findings="count"),
    "proportion": Responses(_are_whole, "counts of successes", findings="proportion"),
    "ordinal": Responses(_are_whole, "ordered levels", findings="ordinal"),
    "unordered": Responses(_are_whole, "a factor's levels, or whole numbers", findings="ordinal"),
    "levels": Responses(_are_whole, "counts of levels", findings="levels"),
}


@dataclass(frozen=True)
class Family:
    """A family with the link that was chosen for it."""

    name: str  # "gaussian"; Bambi's names
    link: str  # "identity"
    parent: str  # the parameter that the linear predictor drives, in Bambi's words: "mu" or "p"
    parameters: tuple[str, ...]  # the others: ("sigma",)


@dataclass(frozen=True)
class Tails:
    """The logs of P(Y <= y) and P(Y >= y), (y, mean, parameters) -> array."""

    at_most: Tail
    at_least: Tail
    step: int  # from one possible value to the next: 0 for a continuous response, 1 for a count


@dataclass(frozen=True)
class Spelling:
    """A family as an equation and other packages write it; a name is empty where a package lacks the family."""

    distribution: str  # in an equation: "Normal"
    arguments: tuple[str, ...]  # of that distribution: ("mu", "sigma")
    brms: str
    glm: str = ""  # in R's glm and lme4's glmer
    glmm_tmb: str = ""  # in glmmTMB, for what they lack
    glmm_tmb_zeros: bool = False  # whether glmmTMB wants a formula for extra zeros
    own_functions: tuple[str, str] | None = None  # that R has for this family alone, without and with group terms
    mgcv: str = ""  # in mgcv's gam, for what glm lacks
    clm: bool = False  # whether R's package ordinal has it
    brms_fixed: str = ""  # the parameter of another family there that makes it this one
    brms_note: str = ""  # what a reader of the code for brms has to know
    brms_link: str = ""  # the default there, where it is another; what is written without a link has this one
    glmm_tmb_link: str = ""
    brms_lacks: tuple[str, ...] = ()  # links
    glm_lacks: tuple[str, ...] = ()
    level: str = ""  # what a threshold's link is of: "P({y} ≤ k)"


class Measures(NamedTuple):
    """What a preset has measured of the response, for the priors that it scales."""

    mean: float
    sd: float  # the spread that the preset gives sigma
    wide: float  # the SD that it gives the intercept
    counts: np.ndarray  # (K,) rows at each of the ordered levels; empty without them
    linked: Callable[[float], float]  # the link of the mean


type Stated = tuple[str, Mapping[str, Any]]  # a distribution's name and its parameters, as `priors.Prior` takes them
type Default = Stated | Callable[[Measures], Stated]


@dataclass(frozen=True)
class Elsewhere:
    """A parameter as another package writes it, with the same kind of link."""

    name: str
    sign: int = 1  # -1 where the linear predictor is the negative of ours
    note: str = ""  # what a reader of code for that package has to know


@dataclass(frozen=True)
class Parameter:
    """A parameter of a family."""

    name: str  # Bambi's
    link: str | None  # Bambi's, where it has a formula of its own; None for one that cannot have one
    defaults: Mapping[str, Default]  # by preset; "" for those that say nothing of it
    brms: Elsewhere | None = None
    glmm_tmb: Elsewhere | None = None  # an argument of the call
    guess: float | None = None  # where a search begins; None for the SD of the response
    brms_predictor: Stated | None = None  # brms' prior of its formula's intercept; None for one with the same moments

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1; thresholds aside, others are above 0."""
        return self.link == "logit"

    def default(self, preset: str, measures: Measures) -> Stated:
        """Return the distribution, and its parameters, that a preset gives it."""
        stated = self.defaults[preset if preset in self.defaults else ""]
        return stated(measures) if callable(stated) else stated

    def but(
        self, defaults: Mapping[str, Default], *, brms: Elsewhere | None = None, brms_predictor: Stated | None = None
    ) -> "Parameter":
        """Return the same parameter with other default priors in some presets, or other facts of brms."""
        return replace(
            self,
            defaults={**self.defaults, **defaults},
            brms=brms or self.brms,
            brms_predictor=brms_predictor or self.brms_predictor,
        )


@dataclass(frozen=True)
class FamilySpecification:
    """What the package knows of a family.

    Functions take (y, mean, parameters, trials) or some of these in this order, a simulation (rng, mean, parameters,
    trials); arrays broadcast. What is left out, no room offers for the family.
    """

    name: str  # Bambi's
    parent: str
    own_parameters: tuple[Parameter, ...]
    links: tuple[str, ...]  # the first is the default
    support: Support
    log_density: Density  # of each observation
    simulate: Simulation  # one response for each mean
    spelling: Spelling
    # (mean, parameters) -> E[y]; of a proportion, of each trial; of an ordinal response, each level's probability.
    # Where there is none, the parent parameter is the expectation.
    expectation: Expectation | None = None
    # Var(y), (mean, parameters, trials); of a proportion, of its share of successes.
    variance: Variance | None = None
    # (y, mean, parameters): twice by how much the log density falls short of its largest, for sigma = 1; of a
    # proportion, for one trial. As R's `family()$dev.resids`, which knows no dispersion.
    deviance: Deviance | None = None
    # By link, (location, parameters) -> residual variance on the link's scale: Nakagawa, Johnson and Schielzeth (2017),
    # doi:10.1098/rsif.2017.0213.
    latent_variances: Mapping[str, LatentVariance] = field(default_factory=dict)
    tails: Tails | None = None  # for responses that are censored or truncated
    # (parameters) -> how far to either side of the parent parameter a log density with a kink there is levelled, where
    # slopes are wanted of it; None for a smooth one.
    kink: Callable[[Parameters], Any] | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)  # by link, for Laplace's approximation
    weights: Weighting | None = None  # what `weights=` mean; None where they mean nothing
    zeros: Zeros | None = None  # how zeros are added to those of a distribution proper
    logarithm_of: str = ""  # the family that the logarithm of the response, or of what is above a hurdle, has
    linear_link: str = ""  # the link with which the response is normal around its linear predictor
    limit: str = ""  # the family that it becomes as its last parameter grows without end
    at_limit: str = ""  # what that says of the response
    single_trials: str = ""  # the family of the same response where each row is one trial
    per_level: PerLevel | None = None  # how the linear predictors of unordered levels are called
    increasing: bool = False  # whether each threshold is above the one before
    scale_note: str = ""  # what sigma is, where it is not the SD of the response or of its logarithm
    aliases: tuple[str, ...] = ()  # other names, in lower case without punctuation: those of R's packages

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters beside the parent."""
        return tuple(parameter.name for parameter in self.own_parameters)

    @property
    def responses(self) -> Responses:
        """What its support says of a response."""
        return RESPONSES[self.support]

    @property
    def is_ordinal(self) -> bool:
        """Whether the response has ordered levels, with thresholds in the intercept's place."""
        return self.support == "ordinal"

    @property
    def has_levels(self) -> bool:
        """Whether the response is one of several levels, or counts them, so that each has a probability."""
        return self.is_ordinal or self.per_level is not None

    def of_levels(self, family: Family) -> "FamilySpecification":
        """Return the same with the parameters that the levels of a response give it."""
        own = tuple(Parameter(name, self.level_link, {}) for name in family.parameters)
        return replace(self, parent=family.parent, own_parameters=own)

    @property
    def level_link(self) -> str:
        """The link of each level's parameter; what softmax does is left to the density."""
        return "log" if self.links[0] == "log" else "identity"

    @property
    def is_unbounded(self) -> bool:
        """Whether the mean, or that of logarithms, may be any number."""
        return self.support == "real" or bool(self.logarithm_of)

    @property
    def is_scaled(self) -> bool:
        """Whether sigma, in the response's own units, is the scale of its distance from the mean."""
        return self.weights == "variance"

    @property
    def is_share(self) -> bool:
        """Whether the response is nothing but successes out of one or more trials."""
        return self.support in ("binary", "proportion") and not self.own_parameters

    @property
    def sigma_is_sd(self) -> bool:
        """Whether sigma, where there is one, is the SD of the response or of its logarithm."""
        return not self.scale_note

    def parameter(self, name: str) -> Parameter:
        """Return what is known of one of the parameters, of unordered levels by whatever name their levels give it."""
        if self.per_level is not None:
            return Parameter(name, self.level_link, {})
        return next(parameter for parameter in self.own_parameters if parameter.name == name)


def _threshold_places(measures: Measures) -> Stated:
    """Give the places that the shares of rows at or below each level but the last have on the link's scale."""
    return threshold_at(measures, np.cumsum(measures.counts)[:-1] / measures.counts.sum())


def threshold_at(measures: Measures, shares: np.ndarray) -> Stated:
    """Give thresholds a prior around the link of some shares."""
    return "Normal", {"mu": np.array([measures.linked(float(share)) for share in shares]), "sigma": 2.5}


# Defaults of brms 2.18, of its shape and phi and of its formulas' intercepts (def_dpar_prior), and of Bambi 0.21
# (`default_priors`).
_VAGUE: Stated = ("Gamma", {"alpha": 0.01, "beta": 0.01})
_PREDICTOR: Stated = ("StudentT", {"nu": 3, "mu": 0, "sigma": 2.5})
_HALF_CAUCHY: Stated = ("HalfCauchy", {"beta": 1})
_EXPONENTIAL: Stated = ("Exponential", {"lam": 1})

SIGMA = Parameter(
    "sigma",
    "log",
    {
        "weak": lambda y: ("HalfStudentT", {"nu": 4, "sigma": y.sd}),
        "bambi": lambda y: ("HalfStudentT", {"nu": 4, "sigma": y.sd}),
        "brms": lambda y: ("HalfStudentT", {"nu": 3, "sigma": y.sd}),
        "rstanarm": lambda y: ("Exponential", {"lam": 1 / y.sd}),
        "notebook": _EXPONENTIAL,
    },
    Elsewhere("sigma"),
    Elsewhere("dispformula"),
    brms_predictor=_PREDICTOR,
)
NU = Parameter(
    "nu",
    "log",
    {"": ("Gamma", {"alpha": 2, "beta": 0.1})},  # Juarez & Steel 2010, doi:10.1198/jbes.2009.07145
    Elsewhere("nu", note="# not the same model: nu is 1 + exp(...) in brms where it has a formula, and exp(...) here"),
    guess=8.0,
    brms_predictor=("Normal", {"mu": 2.7, "sigma": 0.8}),
)
ALPHA = Parameter(
    "alpha",
    "log",
    {"": _HALF_CAUCHY, "brms": _VAGUE, "rstanarm": _EXPONENTIAL},
    Elsewhere("shape"),
    Elsewhere("dispformula"),
    1.0,
    _PREDICTOR,
)
KAPPA = Parameter(
    "kappa",
    "log",
    {"": _HALF_CAUCHY, "brms": _VAGUE, "rstanarm": _EXPONENTIAL},
    Elsewhere("phi"),
    Elsewhere("dispformula"),
    10.0,
    _PREDICTOR,
)
PSI = Parameter(
    "psi",
    "logit",
    {"": ("Beta", {"alpha": 2, "beta": 2}), "brms": ("Beta", {"alpha": 1, "beta": 1})},
    Elsewhere("zi", -1, "# zi is 1 - psi: its coefficients have the opposite sign"),
    Elsewhere("ziformula", -1, "# ziformula is of 1 - psi: its coefficients have the opposite sign"),
    brms_predictor=("Logistic", {"mu": 0, "s": 1}),
)
PSI_OF_HURDLE = PSI.but({}, brms=Elsewhere("hu", -1, "# hu is 1 - psi: its coefficients have the opposite sign"))
LAM = Parameter("lam", "log", {"": _HALF_CAUCHY, "brms": _VAGUE}, Elsewhere("shape"), brms_predictor=_PREDICTOR)
THRESHOLD = Parameter(
    "threshold",
    None,
    {
        "weak": _threshold_places,
        "bambi": lambda y: ("Normal", {"mu": np.round(np.linspace(-2, 2, len(y.counts) - 1), 2), "sigma": 1}),
        "brms": _PREDICTOR,
        "rstanarm": lambda y: ("Normal", {"mu": 0, "sigma": y.wide}),
        "notebook": ("Normal", {"mu": 0, "sigma": 5}),
    },
)
