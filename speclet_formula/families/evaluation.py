"""Log densities, draws and expectations of a family, from means and parameters, in numpy.

Nothing here shares code with PyMC, so that each can check the other.
"""

import numpy as np

from speclet_formula.families.links import INVERSE_LINKS, LATENT
from speclet_formula.families.registry import is_ordinal, parameter_link, specification_of
from speclet_formula.families.specification import Family, Parameters


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
        location of a latent response, and their link is applied to threshold - location.
    """
    return eta if is_ordinal(family) else INVERSE_LINKS[family.link](eta)


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
        The response; successes for a proportion, the levels' places 0, 1, ... for an ordinal family.
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
    array of the shape of `mean`
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
        For ordinal families the probability of each level instead, (..., n, K).
    """
    expectation = specification_of(family).expectation
    return np.asarray(mean if expectation is None else expectation(mean, _ready(family, parameters, None)))


def _ready(family: Family, parameters: Parameters, weights: np.ndarray | None) -> Parameters:
    """Return the parameters as the family's functions read them: sigma weighted, the link's distribution added."""
    if is_ordinal(family):
        return {**parameters, "latent": LATENT[family.link]}
    return weighted(parameters, weights)


def weighted(parameters: Parameters, weights: np.ndarray | None) -> Parameters:
    """Return the parameters with the SD that each row's weight gives it, sigma / sqrt(weight)."""
    if weights is None:
        return parameters
    return {**parameters, "sigma": parameters["sigma"] / np.sqrt(weights)}
