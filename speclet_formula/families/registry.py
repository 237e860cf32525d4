"""All families by their names, in Bambi's words or R's: the responses they take, their densities, draws, expectations.

To add one, make its file and put its specification into `FAMILIES`. Nothing here shares code with PyMC, so that each
can check the other.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from speclet_formula.design import Design
from speclet_formula.errors import DataError, nearest
from speclet_formula.families.asymmetric_laplace import ASYMMETRIC_LAPLACE
from speclet_formula.families.beta import BETA
from speclet_formula.families.binomial import BERNOULLI, BETA_BINOMIAL, BINOMIAL
from speclet_formula.families.categorical import CATEGORICAL, DIRICHLET_MULTINOMIAL, MULTINOMIAL
from speclet_formula.families.exgaussian import EXGAUSSIAN
from speclet_formula.families.gamma import EXPONENTIAL, GAMMA, WALD, WEIBULL
from speclet_formula.families.gaussian import GAUSSIAN, GAUSSIAN_WITH_ERRORS, LOGNORMAL
from speclet_formula.families.laplace import LAPLACE
from speclet_formula.families.links import INVERSE_LINKS, LATENT
from speclet_formula.families.negativebinomial import NEGATIVEBINOMIAL
from speclet_formula.families.ordinal import CUMULATIVE, STOPPING_RATIO
from speclet_formula.families.poisson import POISSON
from speclet_formula.families.specification import Family, FamilySpecification, Parameters
from speclet_formula.families.student_t import STUDENT_T
from speclet_formula.families.von_mises import VON_MISES
from speclet_formula.families.zeros import (
    HURDLE_GAMMA,
    HURDLE_LOGNORMAL,
    HURDLE_NEGATIVEBINOMIAL,
    HURDLE_POISSON,
    ZERO_INFLATED_BINOMIAL,
    ZERO_INFLATED_NEGATIVEBINOMIAL,
    ZERO_INFLATED_POISSON,
)
from speclet_formula.formula.terms import Call, Expression, text_of

FAMILIES: dict[str, FamilySpecification] = {
    specification.name: specification
    for specification in (
        GAUSSIAN, STUDENT_T, LAPLACE, ASYMMETRIC_LAPLACE, EXGAUSSIAN, VON_MISES,
        GAMMA, EXPONENTIAL, WALD, LOGNORMAL, WEIBULL, BETA,
        BERNOULLI, BINOMIAL, BETA_BINOMIAL, ZERO_INFLATED_BINOMIAL,
        POISSON, NEGATIVEBINOMIAL, ZERO_INFLATED_POISSON, ZERO_INFLATED_NEGATIVEBINOMIAL,
        HURDLE_POISSON, HURDLE_NEGATIVEBINOMIAL, HURDLE_GAMMA, HURDLE_LOGNORMAL,
        CUMULATIVE, STOPPING_RATIO, CATEGORICAL, MULTINOMIAL, DIRICHLET_MULTINOMIAL,
    )
}  # fmt: skip

DEFAULT_FAMILY = GAUSSIAN.name
SHARES = frozenset(own.name for known in FAMILIES.values() for own in known.own_parameters if own.is_share)
_LINK_ALIASES: Mapping[str, str] = {"1/mu^2": "inverse_squared", "1/mu": "inverse"}
# What R has and Bambi has not, with what comes nearest.
_ABSENT: Mapping[str, str] = {
    "skewnormal": "Bambi has none: a skewed response above 0 may be 'gamma' or 'lognormal', outliers want 't'.",
    "quasipoisson": "A quasi-likelihood has no posterior: 'negativebinomial' is for counts that vary more.",
    "quasibinomial": "A quasi-likelihood has no posterior: 'beta_binomial' is for shares that vary more.",
    "nbinom1": "'negativebinomial' is nbinom2, whose variance is quadratic in the mean.",
    "acat": "Ordered levels have 'cumulative' and 'sratio'.",
    "cratio": "Ordered levels have 'cumulative' and 'sratio'; reverse the levels for the continuation ratio.",
}

_CALLED = re.compile(r"""\s*([\w.]+)\((?:\s*(?:link\s*=\s*)?["']?([\w.]+)["']?\s*)?\)\s*""")


def resolve_family(name: str, link: str | None = None) -> Family:
    """Return the family of that name, with its own or the given link.

    Parameters
    ----------
    name : str
        One of `FAMILIES`, Bambi's names: "gaussian", "t", "laplace", "asymmetriclaplace", "exgaussian", "vonmises",
        "gamma", "exponential", "wald", "lognormal", "weibull", "beta", "bernoulli", "binomial", "beta_binomial",
        "poisson", "negativebinomial", the same with "zero_inflated_" ("poisson", "negativebinomial", "binomial") or
        "hurdle_" ("poisson", "negativebinomial", "gamma", "lognormal") before them, and for ordered levels
        "cumulative" and "sratio", for levels without an order "categorical", "multinomial" and
        "dirichlet_multinomial". Case and underscores do not matter, and other names of R's packages for them are
        understood ("Gamma", "student", "nbinom2", "inverse.gaussian", "zip", "ordinal", …). Bambi has no skew normal.
    link : str, optional
        "identity", "log", "inverse", "inverse_squared", "logit", "probit", "cloglog" or "softmax", where the family has
        it.

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
    if not isinstance(name, str):
        of_class = next((known for known in FAMILIES if _plain(known) == _plain(type(name).__name__)), "poisson")
        raise DataError(
            f"the family is of type '{type(name).__name__}'.",
            f"Families: {', '.join(FAMILIES)}.",
            f"Write its name: family='{of_class}'.",
        )
    plain = _plain(name)
    known = {_plain(family): family for family in FAMILIES} | {
        alias: family for family, specification in FAMILIES.items() for alias in specification.aliases
    }
    if plain not in known:
        near = nearest(plain, known)
        hint = f"Nearest: {known[near]}." if near else "Choose the one that fits the response."
        call = _CALLED.fullmatch(name)  # R's binomial(link = "probit")
        if call and _plain(call[1]) in known:
            hint = f"Write family='{known[_plain(call[1])]}'" + (f", link='{call[2]}'." if call[2] else ".")
        raise DataError(f"there is no family '{name}'.", f"Families: {', '.join(FAMILIES)}.", _ABSENT.get(plain, hint))
    family = known[plain]
    specification = FAMILIES[family]
    given = str(link)  # a list has no entry among the aliases, and is refused below
    chosen = specification.links[0] if link is None else _LINK_ALIASES.get(given, given)
    if chosen not in specification.links:
        raise DataError(
            f"the family '{family}' has no link '{link}'.",
            f"Its links: {', '.join(specification.links)}.",
            f"Leave link= out for its default, {specification.links[0]}.",
        )
    return Family(family, chosen, specification.parent, specification.parameters)


def _plain(name: str) -> str:
    return "".join(character for character in str(name).lower() if character.isalnum())


def specification_of(family: Family) -> FamilySpecification:
    """Return all that is known of a family, whatever its link."""
    known = FAMILIES[family.name]
    if has_known_errors(family):
        return GAUSSIAN_WITH_ERRORS
    return known if known.per_level is None else known.of_levels(family)


def has_known_errors(family: Family) -> bool:
    """Tell whether the SDs of a gaussian response are known, se(y, sei), so that there is no sigma."""
    return family.name == GAUSSIAN.name and not family.parameters


def family_of_response(family: Family, response: Expression | None) -> Family:
    """Return the family without sigma where the response says its standard errors; others as they are.

    Raises
    ------
    DataError
        Only a gaussian response with the identity link has standard errors.
    """
    if not (isinstance(response, Call) and response.function == "se"):
        return family
    if not is_linear(family) and not has_known_errors(family):
        raise DataError(
            f"'{text_of(response)}' does not fit the family '{family.name}' with the {family.link} link.",
            "Standard errors are those of a gaussian response with the identity link.",
            "Leave family= and link= out.",
        )
    return replace(family, parameters=())


def families_with(fact: str) -> str:
    """List, for a message, the families whose specification says something of a fact, by the attribute's name."""
    return ", ".join(name for name, known in FAMILIES.items() if getattr(known, fact))


def is_ordinal(family: Family) -> bool:
    """Tell whether the response has ordered levels, with thresholds in the intercept's place."""
    return specification_of(family).is_ordinal


def has_levels(family: Family) -> bool:
    """Tell whether the response is one of several levels, or counts them."""
    return FAMILIES[family.name].has_levels


def is_unordered(family: Family) -> bool:
    """Tell whether the levels of a response have no order, so that each has a linear predictor of its own."""
    return FAMILIES[family.name].per_level is not None


def family_of_levels(family: Family, design: Design) -> Family:
    """Return a family of unordered levels with the parameters that those of a response give it; others as they are."""
    if not is_unordered(family):
        return family
    first, *others = (predictor.name for predictor in design.predictors)
    return replace(family, parent=first, parameters=tuple(others))


def is_of_levels(family: Family) -> bool:
    """Tell whether a family of unordered levels has the parameters that those of a response give it."""
    return family.parent != FAMILIES[family.name].parent


def is_linear(family: Family) -> bool:
    """Tell whether the response is normal around its linear predictor: the linear mixed model."""
    return specification_of(family).linear_link == family.link


def parameter_link(family: Family, parameter: str) -> str | None:
    """Return the link of a parameter that has a formula of its own; None for one that cannot have one."""
    return specification_of(family).parameter(parameter).link if parameter in family.parameters else None


def check_response(family: Family, y: np.ndarray, name: str, trials: np.ndarray | None) -> None:
    """Raise a DataError if the family cannot have produced the response.

    Parameters
    ----------
    family : Family
    y : array of shape (n,)
        As a design holds it: successes of a proportion, places of ordered levels.
    name : str
        The response as the formula spells it.
    trials : array of shape (n,) or None
        Numbers of trials.

    Raises
    ------
    DataError
    """
    _check_trials(family, name, trials)
    taken = specification_of(family).responses
    outside = np.flatnonzero(~taken.inside(y))
    if len(outside):
        raise DataError(
            f"'{name}' has {len(outside)} values that a {family.name} response cannot take, such as {y[outside[0]]:g}.",
            f"A {family.name} response takes {taken.words}.",
            _remedy(family, y[outside]),
        )


def _remedy(family: Family, outside: np.ndarray) -> str:
    """Name the family that takes the values, where there is one."""
    support = specification_of(family).support
    if support == "positive" and (outside == 0).all():
        return "For zeros beside positive numbers take family='hurdle_gamma' or 'hurdle_lognormal'."
    if support == "unit" and ((outside == 0) | (outside == 1)).all():
        return "Shares of 0 or 1 mostly come from counts: cbind(successes, failures) with family='beta_binomial'."
    return f"Choose another family than '{family.name}', or mend the column."


def _check_trials(family: Family, name: str, trials: np.ndarray | None) -> None:
    needed = specification_of(family).support == "proportion"
    if specification_of(family).support == "levels":
        return
    if needed and trials is None:
        single = ", or single trials of 0 and 1" if specification_of(family).single_trials else ""
        raise DataError(
            f"'{name}' says nothing of the numbers of trials.",
            f"A {family.name} response is cbind(successes, failures), or a proportion with the numbers of trials as "
            f"weights{single}.",
            _to_trials(name),
        )
    if not needed and trials is not None:
        counted = ", ".join(known.name for known in FAMILIES.values() if known.support == "proportion")
        raise DataError(
            f"'{name}' does not fit the family '{family.name}'.",
            f"Successes out of trials have the families {counted}.",
            "Choose one of these, or write the response as one column.",
        )


def _to_trials(name: str) -> str:
    """Say how to name the trials of successes, or of a ratio."""
    successes, ratio, trials = name.partition(" / ")
    if ratio and trials.isidentifier():
        return f"Write weights='{trials}', or cbind({successes}, {trials} - {successes}) ~ ..."
    return f"Write cbind({name}, trials - {name}) for successes, or add weights='trials' for a proportion."


def inverse_link(family: Family, eta: np.ndarray) -> np.ndarray:
    """Return the parent parameter, in most families the mean, of linear predictors of any shape.

    Parameters
    ----------
    family : Family
        With its link.
    eta : array
        Linear predictors.

    Returns
    -------
    array of the same shape
        A probability for families of single trials and of proportions. For ordinal families `eta` itself: it is the
        location of a latent response, and their link is applied to threshold - location. Also `eta` of unordered
        levels that are compared with the first.
    """
    return eta if is_ordinal(family) else INVERSE_LINKS[_own_link(family)](eta)


def _own_link(family: Family) -> str:
    known = specification_of(family)
    return family.link if known.per_level is None else known.level_link


def inverse_parameter_link(family: Family, parameter: str, eta: np.ndarray) -> np.ndarray:
    """Return a parameter that has a formula of its own from its linear predictor of any shape."""
    return INVERSE_LINKS[parameter_link(family, parameter) or "identity"](eta)


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
        The response; successes for a proportion, the levels' places 0, 1, ... for ordered and unordered levels; (n, K)
        for counts of levels.
    mean : array of shape (..., n)
        What `inverse_link` gives: in most families the mean of the response. A probability for single trials and
        proportions; the mean of log(y) for the log-normal ones; the mean of the distribution proper for zero-inflated
        families and hurdles, before zeros are added or taken away; the location for ordinal ones.
    parameters : mapping of str to array
        The family's other parameters, each broadcastable against `mean`; `threshold` of shape (..., K - 1).
    trials, weights : arrays of shape (n,), optional
        Numbers of trials; weights that divide the variance, sigma**2 / weight.

    Returns
    -------
    array of shape (..., n)
        Of a hurdle with positive numbers: the log probability of a zero, the log density of other values.
    """
    ready = _ready(family, parameters, weights)
    return np.asarray(specification_of(family).log_density(y, mean, ready, trials))


def draw_response(
    family: Family,
    rng: np.random.Generator,
    mean: np.ndarray,
    parameters: Parameters,
    *,
    trials: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one response for each mean; arguments as in `log_density`.

    Returns
    -------
    array of the shape of `mean`, of counts of levels (..., n, K)
    """
    ready = _ready(family, parameters, weights)
    return np.asarray(specification_of(family).simulate(rng, np.asarray(mean), ready, trials), dtype=float)


def expected_response(family: Family, mean: np.ndarray, parameters: Parameters) -> np.ndarray:
    """Return E[y]; for a proportion, of each of its trials.

    Parameters
    ----------
    family, mean, parameters
        As in `log_density`.

    Returns
    -------
    array of shape (..., n)
        For ordered and unordered levels the probability of each level instead, (..., n, K).
    """
    expectation = specification_of(family).expectation
    return np.asarray(mean if expectation is None else expectation(mean, _ready(family, parameters, None)))


def _ready(family: Family, parameters: Parameters, weights: np.ndarray | None) -> Parameters:
    """Return the parameters as the family's functions read them: sigma weighted, the link's distribution added."""
    if is_ordinal(family):
        return {**parameters, "latent": LATENT[family.link]}
    if is_unordered(family):
        return {name: parameters[name] for name in family.parameters}
    return weighted(parameters, weights)


def weighted(parameters: Parameters, weights: np.ndarray | None) -> Parameters:
    """Return the parameters with the SD that each row's weight gives it, sigma / sqrt(weight)."""
    if weights is None:
        return parameters
    return {**parameters, "sigma": parameters.get("sigma", 1.0) / np.sqrt(weights)}
