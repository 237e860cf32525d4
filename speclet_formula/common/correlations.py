"""Correlation matrices of k columns that are made of one number, as a `Structure` says, and their Cholesky factors.

Engines hold where rho lies between the ends of its range, -1 and 1, in its place: its share.
"""

import numpy as np

from speclet_formula.common.structures import Structure


def rho_at(structure: Structure, share: np.ndarray, k: int) -> np.ndarray:
    """Return correlations (N,) by where they lie between the ends of their range, -1 and 1 (N,)."""
    low = structure.lowest(k)
    return np.asarray((1 + low) / 2 + (1 - low) / 2 * share)


def share_of(structure: Structure, rho: np.ndarray, k: int) -> np.ndarray:
    """Return where correlations (N,) lie between the ends of their range: the inverse of `rho_at`."""
    low = structure.lowest(k)
    return np.asarray((2 * rho - 1 - low) / (1 - low))


def structured_factors(structure: Structure, share: np.ndarray, k: int) -> np.ndarray:
    """Return the Cholesky factors (N, k, k) of the correlations, by where rho lies in its range (N,).

    Near the ends nothing cancels. Of cs, column j has (1 - rho) (1 + j rho) / (1 + (j - 1) rho) on its diagonal,
    squared.
    """
    half = (1 - structure.lowest(k)) / 2
    rho, gap = rho_at(structure, share, k), half * (1 - share)  # gap = 1 - rho
    found = np.zeros((len(share), k, k))
    if structure.function == "ar1":
        found[:, :, 0] = rho[:, None] ** np.arange(k)
        for j in range(1, k):
            found[:, j:, j] = found[:, : k - j, 0] * np.sqrt(gap * (1 + rho))[:, None]
        return found
    found[:, :, 0] = rho[:, None]
    found[:, 0, 0] = 1.0
    for j in range(1, k):
        before, here = 1 + (j - 1) * rho, 1 + j * rho if j < k - 1 else (k - 1) * half * (1 + share)
        found[:, j, j] = np.sqrt(gap * here / before)
        if j < k - 1:
            found[:, j + 1 :, j] = (rho * np.sqrt(gap / (before * here)))[:, None]
    return found


def structured_pairs(structure: Structure, rho: np.ndarray, k: int) -> np.ndarray:
    """Return the correlations (N, k (k - 1) / 2) of each pair of k columns, by their one number (N,)."""
    first, second = np.triu_indices(k, 1)
    powers = second - first if structure.function == "ar1" else np.ones(len(first), dtype=int)
    return np.asarray(np.asarray(rho)[:, None] ** powers)
