"""A design goes in; the one without the fixed columns that R drops comes out, and estimates get their places back.

Maximum likelihood has one answer only where no column is a combination of the others. Finding them is left to
`preflight`, what the rest is fitted by to `reml` and `laplace`.
"""

import numpy as np
from scipy import linalg

from speclet_formula.design import Design, centre_of
from speclet_formula.model.collinearity import null_vectors, without_dependent
from speclet_formula.posterior.points import PointEstimates, restored

RANK_TOLERANCE = 1e-9  # of pivots, relative to the largest, of columns scaled to length one


def independent_columns(design: Design) -> tuple[Design, np.ndarray]:
    """Drop the fixed columns that earlier ones make up, as R does.

    Parameters
    ----------
    design : Design
        n rows, p fixed columns.

    Returns
    -------
    design : Design
        The same where nothing is dropped.
    kept : ndarray of int
        The columns that it has.
    """
    X = design.mean.X - centre_of(design)
    lengths = np.linalg.norm(X, axis=0)
    if not X.shape[1] or (lengths.all() and _rank(X / lengths) == X.shape[1]):
        return design, np.arange(X.shape[1])
    return without_dependent(design)


def _rank(X: np.ndarray) -> int:
    """Return the rank of columns of length one."""
    pivots = np.abs(np.diagonal(linalg.qr(X, mode="r", pivoting=True, check_finite=False)[0]))
    return int((pivots > RANK_TOLERANCE * pivots[0]).sum())


def with_dropped(estimates: PointEstimates, design: Design, kept: np.ndarray) -> PointEstimates:
    """Give the dropped columns their places in the estimates again.

    Parameters
    ----------
    estimates : PointEstimates
        Of the columns that were kept.
    design : Design
        With all columns.
    kept : ndarray of int

    Returns
    -------
    PointEstimates
    """
    if len(kept) == design.mean.X.shape[1]:
        return estimates
    return restored(estimates, design.mean.X.shape[1], kept, null_vectors(design.mean.X, kept))
