"""Bases of smooth functions: columns whose coefficients are independent with one SD, under mgcv's penalties.

A curve f(x) is a combination of basis functions with a penalty on its wiggles, a quadratic form. In the coordinates
that are made here the penalty is the sum of squares of the coefficients, so that they are effects with one SD
(Wood 2017, Generalized Additive Models, section 5.8); what the penalty does not see, a straight line and a constant,
is left to fixed columns. Such coordinates are unique but for a rotation. It is fixed by the values of the columns at
some points, so that every machine makes the same columns whatever signs its eigenvectors have.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

MOST_KNOTS = 2_000  # distinct values that a thin plate spline is made of, as mgcv's; of more evenly chosen ones
DENSE = 400  # distinct values up to which all eigenvectors are computed


@dataclass(frozen=True, eq=False)
class Basis:
    """Functions that a penalty sees, of unit penalty and orthogonal to each other in it."""

    values: Callable[[Array], Array]  # of points (n, d) the raw basis (n, K)
    wiggles: Array  # (K, r), what turns the raw basis into the penalised columns


def difference_root(penalty: Array, null: Array) -> Array:
    """Return coordinates (K, r) in which a penalty is the identity, orthogonal to what it does not see (K, m)."""
    complement = np.linalg.qr(null, mode="complete")[0][:, null.shape[1] :]
    inside = complement.T @ penalty @ complement
    root = np.linalg.cholesky((inside + inside.T) / 2)
    return np.asarray(np.linalg.solve(root, complement.T).T)


def cubic_regression(x: Array, k: int) -> Basis:
    """Return mgcv's "cr": natural cubic splines by their values at k quantiles of the distinct values."""
    knots = np.quantile(np.unique(x), np.linspace(0, 1, k))
    second, inner = _second_differences(knots)
    penalty = second.T @ np.linalg.solve(inner, second)
    null = np.column_stack([np.ones(k), knots - knots.mean()])
    return Basis(_natural(knots, np.eye(k)), difference_root(penalty, null))


def cyclic(x: Array, k: int) -> Basis:
    """Return mgcv's "cc": cubic splines that go on at the lowest value as they end at the highest one."""
    from scipy.interpolate import CubicSpline

    knots = _spread_knots(x, k)
    h = np.diff(knots)
    inner, second = np.zeros((k - 1, k - 1)), np.zeros((k - 1, k - 1))
    for i in range(k - 1):
        before, after = (i - 1) % (k - 1), (i + 1) % (k - 1)
        inner[i, i] = (h[i - 1] + h[i]) / 3
        second[i, i] = -1 / h[i - 1] - 1 / h[i]
        for place, step in ((before, h[i - 1]), (after, h[i])):
            inner[i, place] += step / 6
            second[i, place] += 1 / step
    penalty = second.T @ np.linalg.solve(inner, second)
    spline = CubicSpline(knots, np.eye(k - 1)[[*range(k - 1), 0]], bc_type="periodic")
    low, period = knots[0], knots[-1] - knots[0]
    return Basis(lambda at: spline(low + np.mod(at[:, 0] - low, period)), difference_root(penalty, np.ones((k - 1, 1))))


def penalised_splines(x: Array, k: int) -> Basis:
    """Return mgcv's "ps": k cubic B-splines on even knots, with squared second differences of their coefficients."""
    from scipy.interpolate import BSpline

    low, high = x.min(), x.max()
    low, high = low - 0.001 * (high - low), high + 0.001 * (high - low)
    step = (high - low) / (k - 3)
    knots = np.linspace(low - 3 * step, high + 3 * step, k + 4)
    spline = BSpline(knots, np.eye(k), 3)
    values = _straight_beyond(low, high, spline, spline.derivative())
    differences = np.diff(np.eye(k), n=2, axis=0)
    places = np.arange(k) - (k - 1) / 2
    return Basis(values, difference_root(differences.T @ differences, np.column_stack([np.ones(k), places])))


def thin_plate(points: Array, k: int) -> Basis:
    """Return mgcv's "tp" of one or two variables: the k leading eigenvectors of a thin plate spline (Wood 2003).

    Of more than `MOST_KNOTS` distinct points so many are used; mgcv takes as many at random.
    """
    centre = points.mean(axis=0)  # not scaled: of a surface the leading eigenvectors depend on the unit
    knots = np.unique(points, axis=0)
    if len(knots) > MOST_KNOTS:
        knots = knots[np.round(np.linspace(0, len(knots) - 1, MOST_KNOTS)).astype(np.int64)]
    places = knots - centre
    null = np.column_stack([np.ones(len(places)), places])
    kernel = _radial(places, places)
    sizes, vectors = _leading(kernel, k)
    free = np.linalg.qr((null.T @ vectors).T, mode="complete")[0][:, null.shape[1] :]
    inside = free.T @ (sizes[:, None] * free)
    root = np.linalg.cholesky((inside + inside.T) / 2)
    weights = vectors @ np.linalg.solve(root, free.T).T  # of each knot's radial function in each column
    if points.shape[1] == 1:  # a natural cubic spline through its values at the knots
        return Basis(_natural(knots[:, 0], kernel @ weights), np.eye(weights.shape[1]))
    return Basis(lambda at: _in_pieces(at - centre, places), weights)


def _leading(kernel: Array, k: int) -> tuple[Array, Array]:
    """Return the k eigenvalues of largest size, and their eigenvectors."""
    if len(kernel) <= DENSE:
        sizes, vectors = np.linalg.eigh(kernel)
        chosen = np.argsort(-np.abs(sizes), kind="stable")[:k]
        return sizes[chosen], vectors[:, chosen]
    from scipy.sparse.linalg import eigsh

    start = np.cos(np.arange(len(kernel)))  # ARPACK's own start is a random one
    sizes, vectors = eigsh(kernel, k, which="LM", v0=start, tol=1e-14)
    return sizes, vectors


def _radial(points: Array, knots: Array) -> Array:
    """Return the thin plate splines' radial functions: r^3 / 12 on a line, r^2 log r / (8 pi) on a plane."""
    squares = ((points[:, None, :] - knots[None, :, :]) ** 2).sum(axis=2)
    if points.shape[1] == 1:
        return np.asarray(squares**1.5 / 12)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(squares > 0, squares * np.log(squares), 0.0)
    return np.asarray(logs / (16 * np.pi))


def _in_pieces(points: Array, knots: Array, size: int = 2**22) -> Array:
    step = max(1, size // len(knots))
    return np.vstack([_radial(points[start : start + step], knots) for start in range(0, len(points), step)])


def _spread_knots(x: Array, k: int) -> Array:
    """Return k knots, evenly spaced among the distinct values, as mgcv places those of "cc"."""
    return np.asarray(np.quantile(np.unique(x), np.linspace(0, 1, k)))


def _second_differences(knots: Array) -> tuple[Array, Array]:
    """Return D (k - 2, k) and B (k - 2, k - 2): a natural spline's second derivatives at inner knots are B^-1 D f."""
    k, h = len(knots), np.diff(knots)
    second = np.zeros((k - 2, k))
    for i in range(k - 2):
        second[i, i : i + 3] = 1 / h[i], -1 / h[i] - 1 / h[i + 1], 1 / h[i + 1]
    inner = np.diag((h[:-1] + h[1:]) / 3) + np.diag(h[1:-1] / 6, 1) + np.diag(h[1:-1] / 6, -1)
    return second, inner


def _natural(knots: Array, values: Array) -> Callable[[Array], Array]:
    """Return natural cubic splines through values (knots, K), straight lines beyond the knots."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(knots, values, bc_type="natural")
    return _straight_beyond(knots[0], knots[-1], spline, spline.derivative())


def _straight_beyond(
    low: float, high: float, spline: Callable[[Array], Array], slope: Callable[[Array], Array]
) -> Callable[[Array], Array]:
    """Return functions that go on as straight lines outside a range."""

    def values(points: Array) -> Array:
        x = points[:, 0]
        inside = np.clip(x, low, high)
        made = spline(inside)
        beyond = np.flatnonzero(inside != x)
        if len(beyond):
            made[beyond] += slope(inside[beyond]) * (x - inside)[beyond, None]
        return np.asarray(made)

    return values


def rotated(columns: Array) -> Array:
    """Return the rotation (r, r) that makes columns at r points (r, r) lower triangular with a positive diagonal."""
    q, triangle = np.linalg.qr(columns.T)
    return np.asarray(q * np.where(np.diag(triangle) < 0, -1.0, 1.0))
