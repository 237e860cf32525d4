"""One sparse symmetric matrix P with a dense last corner: factor it, solve with it, invert it where C has entries.

In come a pattern and numbers; out goes C in P = C C'. The leading columns are left to compiled loops, the corner to
BLAS and LAPACK. What the matrix means is `systems`' to know.
"""

import numpy as np
from scipy.linalg import lapack

from speclet_formula.inference.precision.loops import (
    Factor,
    Inverse,
    backward_lead,
    factor_lead,
    forward_lead,
    invert_lead,
    load_corner,
    pattern_entries,
)
from speclet_formula.inference.precision.patterns import Pattern


def allocate(pattern: Pattern) -> Factor:
    """Return room for a factor."""
    width = pattern.size - pattern.lead
    return Factor(
        np.empty(len(pattern.low_rows)),
        np.empty(pattern.lead),
        np.empty((pattern.n_wide, width)),
        np.empty(len(pattern.thin_rows)),
        np.empty((width, width)),
    )


def factorise(pattern: Pattern, values: np.ndarray, factor: Factor) -> bool:
    """Fill C from P's entries; False if P is not positive definite."""
    if not factor_lead(pattern, values, factor):
        return False
    load_corner(pattern, values, factor)
    try:
        factor.corner[:] = np.linalg.cholesky(factor.corner - factor.wide.T @ factor.wide)
    except np.linalg.LinAlgError:
        return False
    return True


def log_determinant(factor: Factor) -> float:
    """Return log|P|."""
    return float(2 * (np.log(factor.diagonal).sum() + np.log(np.diagonal(factor.corner)).sum()))


def forward(pattern: Pattern, factor: Factor, vector: np.ndarray) -> None:
    """Overwrite a vector b by the solution of C x = b."""
    inside = np.empty(pattern.n_wide)
    forward_lead(pattern, factor, vector, inside)
    right = vector[pattern.lead :] - inside @ factor.wide
    if len(right):  # corner.T is C' in Fortran's order
        vector[pattern.lead :] = lapack.dtrtrs(factor.corner.T, right, trans=1)[0]


def backward(pattern: Pattern, factor: Factor, vector: np.ndarray) -> None:
    """Overwrite a vector b by the solution of C' x = b."""
    right = vector[pattern.lead :]
    if len(right):
        vector[pattern.lead :] = lapack.dtrtrs(factor.corner.T, right)[0]
    backward_lead(pattern, factor, vector, factor.wide @ vector[pattern.lead :])


def invert(pattern: Pattern, factor: Factor) -> Inverse:
    """Return P^-1 where C has entries: Takahashi's recursion, from the corner on."""
    half = np.linalg.inv(factor.corner)
    corner = half.T @ half
    wide = -factor.wide @ corner
    inverse = Inverse(
        np.empty_like(factor.low), np.empty_like(factor.diagonal), wide, np.empty_like(factor.thin), corner
    )
    invert_lead(pattern, factor, inverse)
    return inverse


def inverse_entries(pattern: Pattern, factor: Factor) -> np.ndarray:
    """Return the entries of P^-1 at those of P's upper triangle."""
    entries = np.empty(len(pattern.rows))
    pattern_entries(pattern, invert(pattern, factor), entries)
    return entries
