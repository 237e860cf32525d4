"""A `Prior` of numbers comes in; its log density, draws and standard deviation go out.

Every engine and table asks here. Plain numpy, since these run at each step of a sampler. Hyperpriors are left to the
caller, who knows the values that they have at the moment.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from speclet_formula.errors import PriorError
from speclet_formula.priors.correlations import lkj_draw, lkj_entry_sd, lkj_log_density
from speclet_formula.priors.distributions import FloatArray, Number, Shape
from speclet_formula.priors.records import Prior, has_hyperpriors
from speclet_formula.priors.registry import SCALAR_DISTRIBUTIONS, Distribution

_INTERIOR = 0.5  # a point inside every support, put where x is outside


def log_density(prior: Prior, x: ArrayLike) -> FloatArray:
    """Log density of a prior, with its normalising constant.

    Parameters
    ----------
    prior : Prior
        Its parameters are numbers or arrays.
    x : float or array
        Points, on the parameter's own scale; an array broadcasts against vector parameters. For LKJ, correlation
        matrices (..., k, k).

    Returns
    -------
    array
        Natural logarithms, of the broadcast shape ((...) for LKJ); -inf outside the support. Flat and HalfFlat, which
        are improper, give 0 inside.

    Raises
    ------
    PriorError
        If a parameter is a Prior.

    References
    ----------
    LKJ: Lewandowski, Kurowicka & Joe (2009), doi:10.1016/j.jmva.2009.04.008.

    Examples
    --------
    >>> round(float(log_density(Prior("Exponential", lam=2), 1.0)), 4)
    -1.3069
    """
    points = np.asarray(x, dtype=float)
    if prior.name == "LKJ":
        return lkj_log_density(points, float(_numbers(prior)["eta"]))
    distribution, parameters = _canonical(prior)
    inside = distribution.inside(points, **parameters)
    if inside.all():  # as a sampler asks
        return np.asarray(distribution.log_density(points, **parameters))
    safe = np.where(inside, points, _INTERIOR)
    return np.asarray(np.where(inside, distribution.log_density(safe, **parameters), -np.inf))


def draw(prior: Prior, rng: np.random.Generator, size: int | Shape | None = None, *, dimension: int = 2) -> FloatArray:
    """Draw from a prior.

    Parameters
    ----------
    prior : Prior
        Its parameters are numbers or arrays.
    rng : numpy.random.Generator
        Source of random numbers.
    size : int or tuple of int, optional
        How many draws; None for one.
    dimension : int
        Rows of the correlation matrices, for LKJ.

    Returns
    -------
    array
        Shape `size`, followed by the vector parameters' length if there is one, or by (dimension, dimension) for LKJ.

    Raises
    ------
    PriorError
        If a parameter is a Prior, or the prior is improper (Flat, HalfFlat).

    References
    ----------
    LKJ: Lewandowski, Kurowicka & Joe (2009), doi:10.1016/j.jmva.2009.04.008.

    Examples
    --------
    >>> draw(Prior("Normal", mu=[0, 10], sigma=1), np.random.default_rng(1), 4).shape
    (4, 2)
    """
    shape = () if size is None else (size,) if isinstance(size, int) else tuple(size)
    if prior.name == "LKJ":
        return lkj_draw(float(_numbers(prior)["eta"]), dimension, rng, shape)
    distribution, parameters = _canonical(prior)
    if not parameters:
        raise PriorError(
            f"{prior} is improper: it cannot be drawn from.",
            "Draws need a prior that integrates to 1.",
            'Give the slot a wide but proper prior, such as Prior("Normal", mu=0, sigma=100).',
        )
    vector = np.broadcast_shapes(*(np.shape(value) for value in parameters.values()))
    return np.asarray(distribution.draw(rng, (*shape, *vector), **parameters))


def prior_sd(prior: Prior, *, dimension: int = 2) -> Number:
    """Give the standard deviation of a prior.

    Parameters
    ----------
    prior : Prior
        Its parameters are numbers or arrays.
    dimension : int
        Rows of the correlation matrix, for LKJ: the SD is that of any one of its correlations.

    Returns
    -------
    float or array
        An array for vector parameters; inf where it is infinite, nan where not even the mean exists (Cauchy).

    Raises
    ------
    PriorError
        If a parameter is a Prior.

    Examples
    --------
    >>> prior_sd(Prior("Exponential", lam=4))
    0.25
    """
    if prior.name == "LKJ":
        return lkj_entry_sd(float(_numbers(prior)["eta"]), dimension)
    distribution, parameters = _canonical(prior)
    sd = np.asarray(distribution.sd(**parameters), dtype=float)
    return sd if sd.ndim else float(sd)


def _canonical(prior: Prior) -> tuple[Distribution, dict[str, Any]]:
    """Return the registry's entry and the parameters of its first form."""
    distribution = SCALAR_DISTRIBUTIONS[prior.name]
    parameters = _numbers(prior)
    convert: Callable[..., dict[str, Number]] | None = distribution.canonical
    if convert is not None and parameters.keys() != distribution.forms[0].keys():
        parameters = convert(**parameters)
    return distribution, parameters


def _numbers(prior: Prior) -> dict[str, Any]:
    """Return the parameters, all of them numbers, or raise."""
    if has_hyperpriors(prior):
        raise PriorError(
            f"{prior} depends on parameters that have priors of their own.",
            "This needs a prior whose parameters are numbers.",
            "Ask for the hyperpriors one by one, or replace them by numbers.",
        )
    return dict(prior.parameters)
