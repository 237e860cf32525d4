"""Correlation matrices and their pairs, and the LKJ distribution: its density, draws and an entry's SD.

The distribution is written for `densities`, which is what other modules call.
"""

import math

import numpy as np
from scipy.special import betaln

from speclet_formula.priors.distributions import FloatArray, Shape

_TOLERANCE = 1e-8


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

    Parameters
    ----------
    matrices : array (..., k, k)

    Returns
    -------
    array (..., k (k - 1) / 2)

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
