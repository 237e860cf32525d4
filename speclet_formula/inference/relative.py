"""What theta stands for: lme4's relative Cholesky factors L, one for each block, and T, for all levels.

theta holds the entries of L, a block after the other: the lower triangle for correlated effects, else the diagonal,
each as if its column had a mean square of one. T = T0 + sum of theta_k T_k maps standard effects to those of levels.

What is searched are psi: theta itself, but of a block with a structure its SDs over sigma and the angle of its only
correlation or length-scale; waves have one SD, the root mean square of theirs. Of these theta is a smooth function. SDs
are sizes, and at its two ends such a number turns back as the sine does, so that an end is a point like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from speclet_formula.common.correlations import (
    first_share,
    number_at,
    numbers_of,
    share_of,
    structured_factors,
    wave_shapes,
)
from speclet_formula.common.structures import Structure
from speclet_formula.design import Design
from speclet_formula.inference.algebra.layout import CoefficientLayout, layout_of

PSI_STEP = 1e-5  # relative; the error of differences is about 1e-10


@dataclass(frozen=True, eq=False)
class Relative:
    """Where each entry of theta and each coefficient stands: fixed effects, then each block's, level by level."""

    n_fixed: int
    starts: tuple[int, ...]  # each block's first coefficient
    levels: tuple[int, ...]  # each block's levels
    coefficients: int  # their number
    places: tuple[tuple[int, int, int], ...]  # block, row and column in L of each entry of theta
    scales: tuple[np.ndarray, ...]  # (k,) root mean square of each block's columns
    structures: tuple[Structure | None, ...]  # of each block
    layout: CoefficientLayout

    @property
    def is_free(self) -> bool:
        """Whether theta is searched itself, as no block has a structure."""
        return not any(self.structures)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many numbers of psi each block has."""
        return tuple(
            sum(place[0] == block for place in self.places) if kind is None else kind.parameters(len(scale))
            for block, (kind, scale) in enumerate(zip(self.structures, self.scales, strict=True))
        )

    @property
    def searched(self) -> tuple[tuple[int, int, int], ...]:
        """Block, row and column of the SD, or other number, that each number of psi stands for most of all."""
        found: list[tuple[int, int, int]] = []
        for block, (kind, count) in enumerate(zip(self.structures, self.counts, strict=True)):
            if kind is None:
                found += [place for place in self.places if place[0] == block]
            else:
                found += [(block, row, row) for row in range(count - kind.shaped)]
                found += [(block, 1, 0)] * kind.shaped
        return tuple(found)

    @property
    def sizes(self) -> np.ndarray:
        """Which numbers of psi are sizes, whose sign means nothing."""
        return np.array([row == column for _, row, column in self.searched], dtype=bool)

    @property
    def size(self) -> int:
        """The length of theta."""
        return len(self.places)


def relative_factors(design: Design) -> Relative:
    """Lay out theta for a design."""
    places: list[tuple[int, int, int]] = []
    scales, starts, position = [], [], design.mean.X.shape[1]
    for number, block in enumerate(design.mean.groups):
        width = block.values.shape[1]
        for column in range(width):
            rows = range(column, width if block.correlated else column + 1)
            places += [(number, row, column) for row in rows]
        scale = np.sqrt(np.mean(block.values**2, axis=0))
        scales.append(np.where(scale > 0, scale, 1.0))
        starts.append(position)
        position += width * len(block.levels)
    levels = tuple(len(block.levels) for block in design.mean.groups)
    kinds = tuple(block.structure for block in design.mean.groups)
    first, layout = design.mean.X.shape[1], layout_of(design, ())
    return Relative(first, tuple(starts), levels, position, tuple(places), tuple(scales), kinds, layout)


def deviations_of(design: Design) -> tuple[tuple[int, int], ...]:
    """Return block and row of each standard deviation of a design, of which the columns of a smooth have one."""
    return tuple(
        (place, row)
        for place, block in enumerate(design.mean.groups)
        for row in range(1 if block.hom else len(block.columns))
    )


def size_of(relative: Relative, block: int, row: int) -> float:
    """Return what a standard deviation over sigma is multiplied by to be a number of psi."""
    kind, scale = relative.structures[block], relative.scales[block]
    return _mean_size(scale) if kind is not None and kind.hom else float(scale[row])


def theta_at(relative: Relative, psi: np.ndarray) -> np.ndarray:
    """Return the N vectors theta (N, m) that N vectors psi (N, r) stand for."""
    if relative.is_free:
        return psi
    parts, start = [], 0
    for block, (kind, scale) in enumerate(zip(relative.structures, relative.scales, strict=True)):
        own = psi[:, start : start + relative.counts[block]]
        start += relative.counts[block]
        parts.append(own if kind is None else _structured(relative, block, own, kind, scale))
    return np.hstack(parts)


def _structured(relative: Relative, block: int, own: np.ndarray, kind: Structure, scale: np.ndarray) -> np.ndarray:
    """Return theta's entries (N, m of the block) of a block with a structure."""
    k = len(scale)
    sds = np.abs(own[:, : 1 if kind.hom else k])
    scaled = sds * scale / _mean_size(scale) if kind.hom else sds
    rows, columns = np.array([place[1:] for place in relative.places if place[0] == block]).T
    if not kind.shaped:
        return np.asarray(scaled[:, rows])
    share = np.sin(own[:, -1] + np.arcsin(first_share(kind, k)))
    if kind.stretches:
        return np.asarray(scaled[:, rows] * wave_shapes(kind, share, k)[:, rows])
    factors = structured_factors(kind, share, k)
    return np.asarray(scaled[:, rows] * factors[:, rows, columns])


def _mean_size(scale: np.ndarray) -> float:
    return float(np.exp(np.log(scale).mean()))


def _angle(kind: Structure, number: np.ndarray, k: int) -> np.ndarray:
    """Return by how much (N,) the angle, whose sine says where a number (N,) lies in its range, is beyond the first."""
    first = first_share(kind, k)
    share = np.where(np.isnan(number), first, np.clip(share_of(kind, number, k), -1.0, 1.0))
    return np.asarray(np.arcsin(share) - np.arcsin(first))


def angle_of(relative: Relative, block: int, rho: float) -> float:
    """Return the number of psi that stands for the correlation of a block with a structure."""
    kind = relative.structures[block]
    assert kind is not None
    return float(_angle(kind, np.array([rho]), len(relative.scales[block]))[0])


def correlation_at(relative: Relative, block: int, angle: float) -> float:
    """Return the correlation of a block with a structure: the inverse of `angle_of`."""
    kind, k = relative.structures[block], len(relative.scales[block])
    assert kind is not None
    return float(number_at(kind, np.sin([angle + np.arcsin(first_share(kind, k))]), k)[0])


def psi_of(relative: Relative, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return psi (r,) of each block's covariance over sigma^2, (k, k)."""
    theta = theta_of(relative, matrices)
    parts = []
    for block, (kind, scale) in enumerate(zip(relative.structures, relative.scales, strict=True)):
        if kind is None:
            parts.append(theta[[place[0] == block for place in relative.places]])
            continue
        sds, number = numbers_of(kind, matrices[block])
        if kind.stretches:  # which is searched by the root mean square of its waves' SDs
            sds = np.sqrt(np.diagonal(matrices[block]).mean(keepdims=True))
        parts.append(sds * _mean_size(scale) if kind.hom else sds * scale)
        parts.append(_angle(kind, number, len(scale)))
    return np.concatenate([np.zeros(0), *parts])


def theta_slopes(relative: Relative, psi: np.ndarray) -> np.ndarray:
    """Return the derivatives (m, r) of theta by psi (r,), by differences: they cost nothing beside the equations."""
    shifts = PSI_STEP * np.maximum(np.abs(psi), 1.0) * np.eye(len(psi))
    ahead, behind = theta_at(relative, psi + shifts), theta_at(relative, psi - shifts)
    return np.asarray(((ahead - behind) / (2 * np.diagonal(shifts))[:, None]).T)


@dataclass(frozen=True, eq=False)
class Transform:
    """T as a function of theta: each of its entries is one of (1, theta), scaled. p coefficients."""

    size: int  # p
    rows: np.ndarray  # of each entry, in order; each row has at least one
    columns: np.ndarray
    terms: np.ndarray  # which of (1, theta) it is
    scales: np.ndarray  # and what that is multiplied by

    def at(self, theta: np.ndarray, *, whole: bool = False) -> Any:
        """Return T, sparse or whole (p, p), at one vector theta (m,)."""
        values = np.append(1.0, theta)[self.terms] * self.scales
        if whole:
            matrix = np.zeros((self.size, self.size))
            matrix[self.rows, self.columns] = values
            return matrix
        starts = np.searchsorted(self.rows, np.arange(self.size + 1))
        return sparse.csr_array((values, self.columns, starts), shape=(self.size, self.size))

    def moments(self, moment: np.ndarray, count: int) -> np.ndarray:
        """Return each T_k'W'y, (count, p), T0's first, of W'y (p,)."""
        moments = np.zeros((count, self.size))
        moments[self.terms, self.columns] = moment[self.rows] * self.scales
        return moments

    def slope(self, term: int) -> Any:
        """Return T_k, sparse (p, p), of one of (1, theta)."""
        own = self.terms == term
        return sparse.csr_array((self.scales[own], (self.rows[own], self.columns[own])), shape=(self.size, self.size))

    def products(self, left: np.ndarray, right: np.ndarray, count: int) -> np.ndarray:
        """Return each left'T_k right, (count,), T0's first."""
        return np.bincount(self.terms, left[self.rows] * self.scales * right[self.columns], count)


def transform_of(relative: Relative) -> Transform:
    """Say where the entries of T stand."""
    fixed = np.arange(relative.n_fixed)
    parts = [(fixed, fixed, np.zeros(len(fixed), dtype=np.int64), np.ones(len(fixed)))]
    for entry, (block, row, column) in enumerate(relative.places):
        scale = relative.scales[block]
        firsts = relative.starts[block] + np.arange(relative.levels[block]) * len(scale)
        parts.append(
            (firsts + row, firsts + column, np.full(len(firsts), 1 + entry), np.full(len(firsts), 1 / scale[row]))
        )
    rows, columns, terms, scales = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((columns, rows))
    return Transform(relative.coefficients, rows[order], columns[order], terms[order], scales[order])


def theta_of(relative: Relative, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return theta (m,) of each block's covariance over sigma^2, (k, k): what `relative_covariances` undoes."""
    factors = []
    for block, matrix in enumerate(matrices):
        if any(row != column for place, row, column in relative.places if place == block):
            values, vectors = np.linalg.eigh(matrix)
            lower = np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T, mode="r").T
            factors.append(lower * np.where(np.diagonal(lower) < 0, -1.0, 1.0))
        else:
            factors.append(np.diag(np.sqrt(np.maximum(np.diagonal(matrix), 0.0))))
    scales = relative.scales
    return np.array([factors[block][row, column] * scales[block][row] for block, row, column in relative.places])


def relative_covariances(relative: Relative, theta: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return each block's L L', (k, k), of one vector theta (m,)."""
    return tuple(one @ one.T for one in _factors(relative, theta))


def theta_of_covariances(relative: Relative, covariances: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the theta (m,) of each block's covariance over sigma^2, (k, k), which may have no inverse."""
    factors = []
    for matrix in covariances:
        values, vectors = np.linalg.eigh(matrix)
        factors.append(np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T, mode="r").T)
    return np.array([
        factors[block][row, column] * relative.scales[block][row] for block, row, column in relative.places
    ])  # fmt: skip


def _factors(relative: Relative, theta: np.ndarray) -> list[np.ndarray]:
    """Return each block's L, (k, k)."""
    factors = [np.zeros((len(scale), len(scale))) for scale in relative.scales]
    for entry, (block, row, column) in zip(theta, relative.places, strict=True):
        factors[block][row, column] = entry / relative.scales[block][row]
    return factors


def moved_theta(
    centred: Relative, relative: Relative, theta: np.ndarray, moves: tuple[np.ndarray | None, ...]
) -> np.ndarray:
    """Return the theta of the given columns that means the same as one (m,) of centred ones."""
    factors = _factors(centred, theta)
    found = [
        factor if back is None else np.linalg.qr((back @ factor).T, mode="r").T
        for factor, back in zip(factors, moves, strict=True)
    ]
    return np.array([found[block][row, column] * relative.scales[block][row] for block, row, column in relative.places])
