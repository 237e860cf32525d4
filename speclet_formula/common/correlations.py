"""Covariances of k columns by their SDs and one number, as a `Structure` says: correlations, or SDs of waves of a gp.

Engines hold where the number, a correlation rho or a length-scale, lies between the ends of its range, -1 and 1, in its
place: its share. Of a length-scale atanh(share) is half of its log, in units of half the variable's largest distance
from its mean.

The waves of a gp are sin(w_j (x + L) / L), w_j = j pi / 2, in a box of half width L; with a process's variance of one
their effects have the variances S(w_j / L) / L, for the spectral density S of its covariance function (Solin and Sarkka
2020, doi:10.1007/s11222-019-09886-w; Riutort-Mayol et al. 2023, doi:10.1007/s11222-022-10167-2).
"""

import numpy as np

from speclet_formula.common.structures import Structure

MIDDLE = 0.5  # the length-scale in the middle of the range, in units of the largest distance from the mean
FAINT = 1e-16  # of the largest variance of a wave: those below are not told from it, and have an inverse
LONGEST = 1e5  # length-scale of which waves are made, in units of L: beyond they are the same
SHORTEST = 1e-6  # length-scale that is estimated, in units of L
SEEN = 1e-12  # of it, from which on a variance tells the length-scale
CONSTANTS = {"matern32": 4 * 3**1.5, "matern52": 16 / 3 * 5**2.5}
WAVES = {"exp_quad": 1.75, "matern52": 2.65, "matern32": 3.42}  # m over c for a length-scale of a distance, at least
BOXES = {"exp_quad": 3.2, "matern52": 4.1, "matern32": 4.5}  # c for it, at least
FREEDOM = {"matern32": 3.0, "matern52": 5.0}  # twice nu


def number_at(structure: Structure, share: np.ndarray, k: int) -> np.ndarray:
    """Return correlations or length-scales (N,) by where they lie between the ends of their range, -1 and 1 (N,)."""
    if structure.stretches:
        with np.errstate(divide="ignore"):  # at its end a length-scale is infinite
            return np.asarray(MIDDLE * structure.distance * (1 + share) / (1 - share))
    low = structure.lowest(k)
    return np.asarray((1 + low) / 2 + (1 - low) / 2 * share)


def share_of(structure: Structure, number: np.ndarray, k: int) -> np.ndarray:
    """Return where correlations or length-scales (N,) lie between the ends of their range: undoes `number_at`."""
    if structure.stretches:
        unit = MIDDLE * structure.distance
        return np.asarray((number - unit) / (number + unit))
    low = structure.lowest(k)
    return np.asarray((2 * number - 1 - low) / (1 - low))


def log_stretch(structure: Structure, share: np.ndarray) -> np.ndarray:
    """Return the log derivatives (N,) of length-scales by their shares (N,)."""
    return np.asarray(np.log(2 * MIDDLE * structure.distance) - 2 * np.log1p(-share))


def first_share(structure: Structure, k: int) -> float:
    """Return the share from which a search begins: that of no correlation, or of a usual length-scale."""
    return 0.0 if structure.stretches else float(share_of(structure, np.zeros(1), k)[0])


def structured_factors(structure: Structure, share: np.ndarray, k: int) -> np.ndarray:
    """Return the Cholesky factors (N, k, k) of the covariances for SDs of one, by where the number lies (N,).

    Near the ends nothing cancels. Of cs, column j has (1 - rho) (1 + j rho) / (1 + (j - 1) rho) on its diagonal,
    squared. Those of waves are diagonal.
    """
    if structure.stretches:
        return np.asarray(wave_sds(structure, number_at(structure, share, k), k)[:, :, None] * np.eye(k))
    half = (1 - structure.lowest(k)) / 2
    rho, gap = number_at(structure, share, k), half * (1 - share)  # gap = 1 - rho
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


def wave_sds(structure: Structure, length: np.ndarray, k: int) -> np.ndarray:
    """Return the SDs (N, k) of k waves by length-scales (N,), for a process with an SD of one."""
    return np.asarray(np.exp(_log_waves(structure, length, k)))


def wave_shapes(structure: Structure, share: np.ndarray, k: int) -> np.ndarray:
    """Return the SDs (N, k) of k waves over their root mean square, by where the length-scale lies in its range (N,).

    At its ends they have one too: all are alike, or they fall as fast as they can.
    """
    logs = _log_waves(structure, number_at(structure, share, k), k)
    made = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(made / np.sqrt(np.square(made).mean(axis=1, keepdims=True)))


def _log_waves(structure: Structure, length: np.ndarray, k: int) -> np.ndarray:
    ratio = np.clip(np.asarray(length, dtype=float) / structure.reach, 1e-100, LONGEST)[:, None]
    square = np.square(ratio * np.arange(1, k + 1) * np.pi / 2)
    if structure.kernel == "exp_quad":
        logs = np.log(np.sqrt(2 * np.pi) * ratio) - square / 2
    else:
        freedom = FREEDOM[structure.kernel]
        logs = np.log(CONSTANTS[structure.kernel] * ratio) - (freedom + 1) / 2 * np.log(freedom + square)
    return np.asarray(np.maximum(logs, logs.max(axis=1, keepdims=True) + np.log(FAINT)) / 2)


def followed(structure: Structure, k: int) -> tuple[float, float]:
    """Return the shortest length-scale that k waves can follow, and the longest that their box is wide enough for.

    Riutort-Mayol et al. (2023), section 4, by their simulations.
    """
    shortest = WAVES[structure.kernel] * structure.reach / k
    return shortest, structure.reach / BOXES[structure.kernel]


def numbers_of(structure: Structure, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the SDs (1,) or (k,) that a structure has, and its number (1,) or (0,), by the covariance (k, k).

    Of an SD of zero there is no number: NaN. Waves that are all alike have a length-scale of next to zero.
    """
    variances = np.diagonal(matrix)
    sds, k = np.sqrt(variances), len(variances)
    if not structure.stretches:
        product = sds[0] * sds[1]
        rho = matrix[0, 1] / product if product > 0 else np.nan
        return (sds[:1] if structure.hom else sds), np.array([rho] * structure.correlates)
    if not variances[0] > 0:
        return np.zeros(1), np.full(1, np.nan)
    seen = np.flatnonzero(variances > SEEN * variances[0])
    last = max(int(seen[-1]), 1)  # the one that tells the length-scale best
    log_ratio = max(np.log(variances[0] / variances[last]), 0.0)
    w, v = np.pi / 2, (last + 1) * np.pi / 2
    if structure.kernel == "exp_quad":
        ratio = np.sqrt(2 * log_ratio / (v**2 - w**2))
    else:
        freedom = FREEDOM[structure.kernel]
        share = np.expm1(2 * log_ratio / (freedom + 1))  # (f + v^2 r^2) / (f + w^2 r^2) - 1
        ratio = np.sqrt(freedom * share / (v**2 - (1 + share) * w**2))
    length = np.array([max(ratio, SHORTEST) * structure.reach])
    return sds[:1] / wave_sds(structure, length, k)[:, 0], length
