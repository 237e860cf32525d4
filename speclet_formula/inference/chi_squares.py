"""Tail probabilities of weighted sums of independent chi-squared variables, of the smallest ones to their last digits.

P(Q > x) is the integral of exp(K(s)) / (2 pi i s) along a line that crosses the positive real axis below the first
singularity, for the cumulant generating function K of Q - x. Where it crosses at the integrand's lowest point there,
its saddle, no digits cancel, however small the tail.
"""

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

Array = np.ndarray
_EDGE = 1e-12  # how near the ends of its interval the saddle is looked for, relative to its length
_BEND = 0.25  # of the line to the right, where the integrand falls fastest, in widths of the saddle
_PRECISION = 1e-9  # of the integral, relative


def tail_of_chi_squares(x: float, weights: Array, dofs: Array | int = 1) -> float:
    """Return the probability that a weighted sum of chi-squared variables exceeds x.

    Parameters
    ----------
    x : float
    weights : ndarray of float, shape (k,)
        Negative ones are allowed: a ratio F > f is a sum with weight -f / den_df on the denominator's.
    dofs : ndarray of float, shape (k,), or int
        Their degrees of freedom, whole or not.

    References
    ----------
    Davies (1980), doi:10.2307/2346911, and Lugannani and Rice (1980), doi:10.2307/1426607, have the same integral.

    Examples
    --------
    >>> round(tail_of_chi_squares(3.0, np.ones(2)), 6)  # exp(-3 / 2)
    0.22313
    """
    scale = np.abs(weights).max(initial=0.0)
    if scale == 0 or not (weights > 0).any():
        return float(x < 0)
    w, d, x = weights / scale, np.broadcast_to(np.asarray(dofs, dtype=float), weights.shape), x / scale
    if x <= 0 and not (w < 0).any():
        return 1.0
    highest = 0.5 / w.max()

    def slope(s: float) -> float:  # of the integrand's logarithm on the real axis
        return float((d * w / (1 - 2 * w * s)).sum() - x - 1 / s)

    c = brentq(slope, _EDGE * highest, (1 - _EDGE) * highest, xtol=1e-14 * highest)
    top = float(-0.5 * (d * np.log1p(-2 * w * c)).sum() - c * x - np.log(c))
    width = float((2 * d * w**2 / (1 - 2 * w * c) ** 2).sum() + 1 / c**2) ** -0.5
    bend = 0.0 if (w < 0).any() else _BEND / width

    def height(u: float) -> float:  # next to that at the saddle
        t = u * width
        s = c + bend * t**2 + 1j * t
        at = np.exp(-0.5 * (d * np.log(1 - 2 * w * s)).sum() - s * x - np.log(s) - top)
        return float((at * (1j + 2 * bend * t)).imag)

    area, _ = quad(height, 0, np.inf, epsabs=0.0, epsrel=_PRECISION, limit=500)
    return float(min(np.exp(top) * width * area / np.pi, 1.0))
