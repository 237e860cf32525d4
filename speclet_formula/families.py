"""The name of a response's distribution goes in; what it means comes out as data and numpy functions.

A family has a mean parameter on a link scale and further parameters. Its log density and its simulation here share no
code with PyMC, so that each can check the other. Which engine serves a family is `inference.fitting`'s to say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

from speclet_formula.errors import DataError, nearest

Parameters = Mapping[str, Any]
Density = Callable[[np.ndarray, np.ndarray, Parameters, Any], Any]
Simulation = Callable[[np.random.Generator, np.ndarray, Parameters, Any], Any]


@dataclass(frozen=True)
class Family:
    """A family with the link that was chosen for it."""

    name: str  # "gaussian"; Bambi's names
    link: str  # "identity"
    parent: str  # the parameter that the linear predictor drives, in Bambi's words: "mu" or "p"
    parameters: tuple[str, ...]  # the others: ("sigma",)


@dataclass(frozen=True)
class FamilySpecification:
    """What the package knows of a family."""

    parent: str
    parameters: tuple[str, ...]
    links: tuple[str, ...]  # the first is the default
    support: Literal["real", "binary", "count", "proportion"]
    log_density: Density  # (y, mean, parameters, trials) -> log density of each observation
    simulate: Simulation  # (rng, mean, parameters, trials) -> one response for each mean


def _normal(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    return -0.5 * ((y - mean) / p["sigma"]) ** 2 - np.log(p["sigma"]) - 0.5 * np.log(2 * np.pi)


def _student(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    nu, sigma = p["nu"], p["sigma"]
    constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(nu * np.pi) - np.log(sigma)
    return constant - (nu + 1) / 2 * np.log1p(((y - mean) / sigma) ** 2 / nu)


def _bernoulli(y: np.ndarray, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    return special.xlogy(y, mean) + special.xlog1py(1 - y, -mean)


def _binomial(y: np.ndarray, mean: np.ndarray, _p: Parameters, trials: Any) -> Any:
    ways = special.gammaln(trials + 1) - special.gammaln(y + 1) - special.gammaln(trials - y + 1)
    return ways + special.xlogy(y, mean) + special.xlog1py(trials - y, -mean)


def _poisson(y: np.ndarray, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    return special.xlogy(y, mean) - mean - special.gammaln(y + 1)


def _negative_binomial(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    alpha = p["alpha"]
    ways = special.gammaln(y + alpha) - special.gammaln(alpha) - special.gammaln(y + 1)
    return ways + alpha * np.log(alpha / (alpha + mean)) + special.xlogy(y, mean / (alpha + mean))


def _draw_negative_binomial(rng: np.random.Generator, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    # A Poisson whose rate is Gamma with mean `mean` and shape alpha.
    return rng.poisson(rng.gamma(p["alpha"], mean / p["alpha"]))


_PROPORTION_LINKS = ("logit", "probit", "cloglog", "identity")

FAMILIES: dict[str, FamilySpecification] = {
    "gaussian": FamilySpecification(
        "mu", ("sigma",), ("identity", "log", "inverse"), "real",
        _normal, lambda rng, mean, p, _: rng.normal(mean, p["sigma"]),
    ),
    "t": FamilySpecification(
        "mu", ("sigma", "nu"), ("identity", "log", "inverse"), "real",
        _student, lambda rng, mean, p, _: mean + p["sigma"] * rng.standard_t(p["nu"], np.shape(mean)),
    ),
    "bernoulli": FamilySpecification(
        "p", (), _PROPORTION_LINKS, "binary", _bernoulli, lambda rng, mean, _p, _: rng.binomial(1, mean)
    ),
    "binomial": FamilySpecification(
        "p", (), _PROPORTION_LINKS, "proportion",
        _binomial, lambda rng, mean, _p, trials: rng.binomial(np.asarray(trials, dtype=int), mean),
    ),
    "poisson": FamilySpecification(
        "mu", (), ("log", "identity"), "count", _poisson, lambda rng, mean, _p, _: rng.poisson(mean)
    ),
    "negativebinomial": FamilySpecification(
        "mu", ("alpha",), ("log", "identity"), "count", _negative_binomial, _draw_negative_binomial
    ),
}  # fmt: skip
_ALIASES = {"normal": "gaussian", "student": "t", "nbinom": "negativebinomial", "negbinomial": "negativebinomial"}

# Bambi's, for a parameter that has a formula of its own; one that is not here cannot have one.
_PARAMETER_LINKS = {"sigma": "log", "nu": "log", "alpha": "log"}

_INVERSE_LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "inverse": lambda eta: 1 / eta,
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}


def resolve_family(name: str, link: str | None = None) -> Family:
    """Return the family of that name, with its own or the given link.

    Parameters
    ----------
    name : str
        "gaussian", "t", "bernoulli", "binomial", "poisson" or "negativebinomial"; R's and brms' other names for them
        ("student", "nbinom", …) and underscores are understood.
    link : str, optional
        "identity", "log", "inverse", "logit", "probit" or "cloglog", where the family has it.

    Returns
    -------
    Family

    Raises
    ------
    DataError
        If the family or the link does not exist.
    """
    plain = str(name).lower().replace("_", "").replace(" ", "").replace("-", "")
    plain = _ALIASES.get(plain, plain)
    if plain not in FAMILIES:
        near = nearest(plain, FAMILIES)
        raise DataError(
            f"there is no family '{name}'.",
            f"Families: {', '.join(FAMILIES)}.",
            f"Nearest: {near}." if near else "Choose the one that fits the response.",
        )
    specification = FAMILIES[plain]
    if link is not None and link not in specification.links:
        raise DataError(
            f"the family '{plain}' has no link '{link}'.",
            f"Its links: {', '.join(specification.links)}.",
            f"Leave link= out for its default, {specification.links[0]}.",
        )
    return Family(plain, link or specification.links[0], specification.parent, specification.parameters)


def inverse_link(family: Family, eta: np.ndarray) -> np.ndarray:
    """Return the mean (a probability for binary and binomial families) of linear predictors of any shape."""
    return _INVERSE_LINKS[family.link](eta)


def parameter_link(family: Family, parameter: str) -> str | None:
    """Return the link of a parameter that has a formula of its own; None for one that cannot have one."""
    return _PARAMETER_LINKS.get(parameter) if parameter in family.parameters else None


def inverse_parameter_link(family: Family, parameter: str, eta: np.ndarray) -> np.ndarray:
    """Return a parameter with a formula of its own from its linear predictor of any shape."""
    return _INVERSE_LINKS[parameter_link(family, parameter) or "log"](eta)


def log_density(
    family: Family,
    y: np.ndarray,
    mean: np.ndarray,
    parameters: Parameters,
    *,
    trials: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return the log density of each observation.

    Parameters
    ----------
    family : Family
        The response's distribution.
    y : array of shape (n,)
        The response; successes for a binomial.
    mean : array of shape (..., n)
        Its mean, or the probability of a success.
    parameters : mapping of str to array
        The family's other parameters, each broadcastable against `mean`.
    trials, weights : arrays of shape (n,), optional
        Numbers of trials; weights that divide the variance, sigma**2 / weight.

    Returns
    -------
    array of shape (..., n)
    """
    return np.asarray(FAMILIES[family.name].log_density(y, mean, scaled(parameters, weights), trials))


def draw_response(
    family: Family,
    rng: np.random.Generator,
    mean: np.ndarray,
    parameters: Parameters,
    *,
    trials: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one response for each mean; arguments as in `log_density`."""
    drawn: np.ndarray = FAMILIES[family.name].simulate(rng, mean, scaled(parameters, weights), trials)
    return np.asarray(drawn, dtype=float)


def scaled(parameters: Parameters, weights: np.ndarray | None) -> Parameters:
    """Return the parameters with the SD that each row's weight gives it, sigma / sqrt(weight)."""
    if weights is None:
        return parameters
    return {**parameters, "sigma": parameters["sigma"] / np.sqrt(weights)}


_SUPPORT: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "real": (np.isfinite, "numbers"),
    "binary": (lambda y: (y == 0) | (y == 1), "0 or 1, True or False, or a factor of two levels"),
    "count": (lambda y: (y >= 0) & (y == np.round(y)), "whole numbers from 0 on"),
    "proportion": (lambda y: (y >= 0) & (y == np.round(y)), "counts of successes"),
}


def check_response(family: Family, y: np.ndarray, name: str, trials: np.ndarray | None) -> None:
    """Raise a DataError if the family cannot have produced the response."""
    specification = FAMILIES[family.name]
    inside, words = _SUPPORT[specification.support]
    outside = np.flatnonzero(~inside(y))
    if len(outside):
        raise DataError(
            f"'{name}' has {len(outside)} values that a {family.name} response cannot take, such as {y[outside[0]]:g}.",
            f"A {family.name} response takes {words}.",
            f"Choose another family than '{family.name}', or mend the column.",
        )
    if (specification.support == "proportion") != (trials is not None):
        raise DataError(
            f"'{name}' does not fit the family '{family.name}'.",
            "cbind(successes, failures) goes with family='binomial', and a binomial response is written that way.",
            "For single trials of 0 and 1 use family='bernoulli'.",
        )
