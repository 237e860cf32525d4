"""The parameters that families have beside the mean: their links, their default priors, their names elsewhere.

What several families share stands here once; a family's file says where its own differs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np


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
