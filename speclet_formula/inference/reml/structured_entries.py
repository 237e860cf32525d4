"""How the variances and covariances of a block follow from the parameters of its structure, for Kenward and Roger.

The parameters are those of SAS: a variance for all columns or one for each, and the correlation rho. An entry of the
block's matrix is sqrt(v_i v_j) rho^d, or v rho^d; d is 1 for cs() and the distance of the columns for ar1().
"""

from collections.abc import Sequence

import numpy as np

from speclet_formula.common.structures import Structure
from speclet_formula.inference.relative import Relative


def entry_derivatives(relative: Relative, covariances: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of all m variances and covariances by the r parameters of all blocks.

    Parameters
    ----------
    relative : Relative
        Of blocks whose variances are above zero where they have a structure.
    covariances : sequence of ndarray of float, shape (k, k)
        Of each block.

    Returns
    -------
    first : ndarray of float, shape (m, r)
    second : ndarray of float, shape (m, r, r)
    """
    places = np.array(relative.places, dtype=int).reshape(-1, 3)
    m, r = len(places), len(relative.searched)
    first, second = np.zeros((m, r)), np.zeros((m, r, r))
    start = 0
    for block, (kind, count) in enumerate(zip(relative.structures, relative.counts, strict=True)):
        own, stop = np.flatnonzero(places[:, 0] == block), start + count
        if kind is None:
            first[own, start:stop] = np.eye(count)
        else:
            for entry in own:
                slope, bend = _derivatives(kind, covariances[block], *places[entry, 1:])
                first[entry, start:stop], second[entry, start:stop, start:stop] = slope, bend
        start = stop
    return first, second


def _derivatives(kind: Structure, matrix: np.ndarray, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of one entry, (r,) and (r, r)."""
    k, variances = len(matrix), np.diagonal(matrix)
    r = kind.parameters(k)
    sizes = np.zeros(r)  # the powers of the parameters: an entry is their product, where i and j differ
    if kind.hom:
        sizes[0] = 1.0
    else:
        sizes[i] += 0.5
        sizes[j] += 0.5
    power = 0 if i == j else abs(i - j) if kind.function == "ar1" else 1
    values = np.append(variances[:1] if kind.hom else variances, [_rho(matrix)] * kind.correlates)
    if kind.correlates:
        sizes[-1] = power
    return _of_product(values, sizes)


def _rho(matrix: np.ndarray) -> float:
    return float(matrix[0, 1] / np.sqrt(matrix[0, 0] * matrix[1, 1]))


def _of_product(values: np.ndarray, powers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of prod(values ** powers)."""

    def product(lowered: Sequence[int]) -> float:
        left, factor = powers.copy(), 1.0
        for place in lowered:
            factor *= left[place]
            left[place] -= 1
        return factor and factor * float(np.prod(values**left))

    r = len(values)
    first = np.array([product([a]) for a in range(r)])
    second = np.array([[product([a, b]) for b in range(r)] for a in range(r)])
    return first, second
