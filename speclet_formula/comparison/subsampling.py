"""What leave-one-out says of some rows, and a guess for all of them, go in; the sums over all rows come out.

The difference estimator of Magnusson et al. (2020): the guesses are added up, and what they miss is estimated from the
rows that were drawn. It is unbiased whatever the guesses are; good ones make its error small.
"""

import math
from dataclasses import dataclass

import numpy as np

from speclet_formula.seeds import generator


@dataclass(frozen=True)
class Total:
    """A sum over n rows, estimated from some of them."""

    value: float
    error: float  # standard error of drawing rows; 0 where all were drawn
    spread: float  # what the sum's standard error over rows would be: sqrt(n var), with every row


def draw_rows(n: int, count: int, random_seed: int | None) -> np.ndarray:
    """Draw rows without replacement, in order.

    Parameters
    ----------
    n : int
        How many there are.
    count : int
        How many to draw.
    random_seed : int, optional

    Returns
    -------
    ndarray of int, shape (count,)
    """
    return np.sort(generator(random_seed).choice(n, size=count, replace=False))


def total(values: np.ndarray, rows: np.ndarray, guesses: np.ndarray) -> Total:
    """Estimate a sum over all rows.

    With a_i the guess of row i, of which S are m of n drawn rows with values x_i: the sum is
    sum a_i + n / m sum_S (x_i - a_i), and in the same way that of the squares, for the spread.

    Parameters
    ----------
    values : ndarray of float, shape (m,)
        At least two.
    rows : ndarray of int, shape (m,)
        Which rows they belong to, drawn without replacement.
    guesses : ndarray of float, shape (n,)
        Those that are not finite are replaced by the mean of the others.

    Returns
    -------
    Total

    References
    ----------
    Magnusson, Vehtari, Jonasson and Andersen (2020). Leave-one-out cross-validation for Bayesian model comparison in
    large data. AISTATS. arXiv:2001.00980. The idea: Magnusson et al. (2019), doi:10.48550/arXiv.1904.10679.
    """
    n, m = len(guesses), len(values)
    known = np.isfinite(guesses)
    # Around their mean, so that the squares' sum is not lost in that of the mean's.
    centre = float(guesses[known].mean()) if known.any() else 0.0
    around = np.where(known, guesses, centre) - centre
    own = values - centre
    missed = own - around[rows]
    value = float(around.sum() + n / m * missed.sum())
    error = n * math.sqrt((1 - m / n) * missed.var(ddof=1) / m)
    squares = float((around**2).sum() + n / m * (own**2 - around[rows] ** 2).sum())
    variance = max((squares - (value**2 - error**2) / n) / (n - 1), 0.0)
    return Total(value + n * centre, error, math.sqrt(n * variance))
