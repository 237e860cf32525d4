"""Log densities, draws and standard deviations of priors, and correlation matrices with their LKJ distribution.

Every engine and table asks here. Plain numpy, since these run at each step of a sampler. Hyperpriors are left to the
caller, who knows the values that they have at the moment.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, gammaln

from speclet_formula.errors import PriorError
from speclet_formula.priors.distributions import SCALAR_DISTRIBUTIONS, Distribution, FloatArray, Number, Shape
from speclet_formula.priors.prior import Prior

_INTERIOR = 0.5  # a point inside every support, put where x is outside
_TOLERANCE = 1e-8  # of a correlation matrix's diagonal and symmetry


def log_density(prior: Prior, x: ArrayLike) -> FloatArray:
    """Log density of a prior, with its normalising constant.

    Parameters
    ----------
    prior : Prior
        Its parameters are numbers or arrays.
    x : float or array
        Points, on the parameter's own scale; an array broadcasts against vector parameters. For LKJ, correlation
        matrices (..., k, k); for Dirichlet, shares (..., k).

    Returns
    -------
    array
        Natural logarithms, of the broadcast shape ((...) for LKJ and Dirichlet); -inf outside the support. Flat and
        HalfFlat, which are improper, give 0 inside.

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
    if prior.name == "Dirichlet":
        return dirichlet_log_density(points, shapes_of(prior, points.shape[-1]))
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
        Rows of the correlation matrices, for LKJ; number of shares, for Dirichlet.

    Returns
    -------
    array
        Shape `size`, followed by the vector parameters' length if there is one, by (dimension, dimension) for LKJ, or
        by (dimension,) for Dirichlet.

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
    if prior.name == "Dirichlet":
        return rng.dirichlet(shapes_of(prior, dimension), shape)
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
        Rows of the correlation matrix, for LKJ: the SD is that of any one of its correlations. For Dirichlet, number of
        shares, whose SDs are an array.

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
    if prior.name == "Dirichlet":
        shapes = shapes_of(prior, dimension)
        means = shapes / shapes.sum()
        return np.asarray(np.sqrt(means * (1 - means) / (shapes.sum() + 1)))
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
    if prior.has_hyperpriors:
        raise PriorError(
            f"{prior} depends on parameters that have priors of their own.",
            "This needs a prior whose parameters are numbers.",
            "Ask for the hyperpriors one by one, or replace them by numbers.",
        )
    return dict(prior.parameters)


def matrices_of(pairs: FloatArray) -> FloatArray:
    """Return correlation matrices from their pairs: (1, 2), (1, 3), ..., (2, 3), ...

    Parameters
    ----------
    pairs : array (..., k (k - 1) / 2)
        Correlations of each pair of columns; none for a single column.

    Returns
    -------
    array (..., k, k)
        Symmetric, with a unit diagonal.

    Examples
    --------
    >>> matrices_of(np.array([0.5])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    k = round((1 + math.sqrt(1 + 8 * pairs.shape[-1])) / 2)
    rows, columns = np.triu_indices(k, 1)
    matrices = np.broadcast_to(np.eye(k), (*pairs.shape[:-1], k, k)).copy()
    matrices[..., rows, columns] = matrices[..., columns, rows] = pairs
    return matrices


def pairs_of(matrices: FloatArray) -> FloatArray:
    """Return the pairs of correlation matrices: (1, 2), (1, 3), ..., (2, 3), ...

    Examples
    --------
    >>> pairs_of(np.array([[1.0, 0.5], [0.5, 1.0]])).tolist()
    [0.5]
    """
    rows, columns = np.triu_indices(matrices.shape[-1], 1)
    return np.asarray(matrices[..., rows, columns])


def lkj_log_constant(eta: float, dimension: int) -> float:
    """Log of the integral of det(R)^(eta - 1) over all correlation matrices.

    Parameters
    ----------
    eta : float
        The shape, above 0; 1 is uniform, larger values draw towards no correlation.
    dimension : int
        Rows of the matrix.

    Returns
    -------
    float
        sum over i = 1 .. k - 1 of (k - i) [(2 eta - 2 + k - i) log 2 + log B(a_i, a_i)], a_i = eta + (k - i - 1) / 2.

    References
    ----------
    Lewandowski, Kurowicka & Joe (2009), Journal of Multivariate Analysis 100, 1989-2001, equation 16,
    doi:10.1016/j.jmva.2009.04.008.

    Examples
    --------
    >>> round(float(np.exp(lkj_log_constant(1.0, 2))), 6)  # the length of (-1, 1)
    2.0
    """
    remaining = np.arange(dimension - 1, 0, -1)
    shapes = eta + (remaining - 1) / 2
    exponents = 2 * eta - 2 + remaining
    return float(np.sum(remaining * (exponents * math.log(2) + betaln(shapes, shapes))))


def lkj_log_density(matrix: FloatArray, eta: float) -> FloatArray:
    """Log density of correlation matrices.

    Parameters
    ----------
    matrix : array (..., k, k)
        Matrices with a unit diagonal.
    eta : float
        The shape.

    Returns
    -------
    array (...)
        (eta - 1) log det R less the constant; -inf where the matrix is no positive definite correlation matrix.

    Examples
    --------
    >>> float(np.exp(lkj_log_density(np.eye(2), 1.0)))
    0.5
    """
    sign, determinant = np.linalg.slogdet(matrix)
    diagonal = np.abs(np.diagonal(matrix, axis1=-2, axis2=-1) - 1).max(axis=-1) < _TOLERANCE
    symmetric = np.abs(matrix - np.swapaxes(matrix, -1, -2)).max(axis=(-2, -1)) < _TOLERANCE
    # The determinant alone does not tell: two negative eigenvalues make a positive one.
    definite = np.linalg.eigvalsh(matrix)[..., 0] > 0
    valid = (sign > 0) & diagonal & symmetric & definite
    density = (eta - 1) * np.where(valid, determinant, 0.0) - lkj_log_constant(eta, matrix.shape[-1])
    return np.asarray(np.where(valid, density, -np.inf))


def lkj_draw(eta: float, dimension: int, rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Draw correlation matrices by the canonical vine of partial correlations.

    Parameters
    ----------
    eta : float
        The shape.
    dimension : int
        Rows of each matrix.
    rng : numpy.random.Generator
        Source of random numbers.
    shape : tuple of int
        How many matrices, in what shape.

    Returns
    -------
    array (*shape, dimension, dimension)
        Correlation matrices.

    References
    ----------
    Lewandowski, Kurowicka & Joe (2009), section 2.4, doi:10.1016/j.jmva.2009.04.008.

    Examples
    --------
    >>> lkj_draw(2.0, 3, np.random.default_rng(1), (5,)).shape
    (5, 3, 3)
    """
    factor = np.zeros((*shape, dimension, dimension))
    factor[..., 0, 0] = 1.0
    for row in range(1, dimension):
        left = np.ones(shape)  # what the row's squares still lack to 1
        for column in range(row):
            a = eta + (dimension - 2 - column) / 2
            partial = 2 * rng.beta(a, a, shape) - 1
            factor[..., row, column] = partial * np.sqrt(left)
            left = left * (1 - partial**2)
        factor[..., row, row] = np.sqrt(left)
    matrix = factor @ np.swapaxes(factor, -1, -2)
    diagonal = np.arange(dimension)
    matrix[..., diagonal, diagonal] = 1.0
    return np.asarray(matrix)


def lkj_entry_sd(eta: float, dimension: int) -> float:
    """SD of one correlation: 2 Beta(a, a) - 1 with a = eta + (k - 2) / 2.

    Parameters
    ----------
    eta : float
        The shape.
    dimension : int
        Rows of the matrix.

    Returns
    -------
    float
        1 / sqrt(2 eta + k - 1).

    Examples
    --------
    >>> lkj_entry_sd(1.5, 2)
    0.5
    """
    return 1 / math.sqrt(2 * eta + dimension - 1)


# --- shares -----------------------------------------------------------------------------------------------------------


def shapes_of(prior: Prior, dimension: int) -> FloatArray:
    """Return the shapes (dimension,) of a Dirichlet prior, whose parameter is one number for all, or one for each."""
    return np.broadcast_to(np.asarray(prior.parameters["a"], dtype=float), (dimension,))


def dirichlet_log_density(shares: FloatArray, shapes: FloatArray) -> FloatArray:
    """Log density of shares by all but the last of them.

    Parameters
    ----------
    shares : array (..., k)
        Positive, with a sum of 1.
    shapes : array (k,)

    Returns
    -------
    array (...)
        -inf where a share is not positive, or they do not add up to 1.

    Examples
    --------
    >>> float(np.exp(dirichlet_log_density(np.array([0.5, 0.3, 0.2]), np.ones(3))).round(6))
    2.0
    """
    valid = (shares > 0).all(axis=-1) & (np.abs(shares.sum(axis=-1) - 1) < _TOLERANCE)
    logs = np.log(np.where(shares > 0, shares, _INTERIOR))
    density = ((shapes - 1) * logs).sum(axis=-1) + gammaln(shapes.sum()) - gammaln(shapes).sum()
    return np.asarray(np.where(valid, density, -np.inf))


def dirichlet_products(shapes: FloatArray) -> FloatArray:
    """Return the means (k, k) of the products of two shares.

    Examples
    --------
    >>> dirichlet_products(np.ones(2)).round(3).tolist()
    [[0.333, 0.167], [0.167, 0.333]]
    """
    total = shapes.sum()
    return np.asarray((np.outer(shapes, shapes) + np.diag(shapes)) / (total * (total + 1)))
