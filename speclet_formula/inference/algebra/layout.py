"""Where each coefficient of a linear predictor stands, and where the precision of their prior has entries."""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from speclet_formula.design import Design
from speclet_formula.design.level_matrices import LevelRelation

type Entries = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns and numbers of D^-1's upper triangle


@dataclass(frozen=True)
class CoefficientLayout:
    """Where each coefficient stands: fixed effects, group means, then each block's effects, level by level."""

    n_fixed: int
    means: tuple[tuple[int, int], ...]  # block and column of each group mean that is estimated
    starts: tuple[int, ...]  # each block's first coefficient
    widths: tuple[int, ...]  # each block's columns
    levels: tuple[int, ...]  # each block's levels
    size: int  # p, the number of coefficients
    met: tuple[int, ...]  # how many levels of each block a row meets: one, or of mm() several
    relations: tuple[LevelRelation | None, ...]  # of each block

    @property
    def has_relations(self) -> bool:
        """Whether the levels of some block vary together."""
        return any(self.relations)

    @property
    def log_determinant(self) -> float:
        """The constant part of log|D^-1|: that of the precisions between levels."""
        related = zip(self.widths, self.relations, strict=True)
        return float(sum(width * known.log_determinant for width, known in related if known is not None))


def layout_of(design: Design, means: tuple[tuple[int, int], ...]) -> CoefficientLayout:
    """Say where each coefficient stands."""
    widths = tuple(block.values.shape[1] for block in design.mean.groups)
    levels = tuple(len(block.levels) for block in design.mean.groups)
    sizes = [width * count for width, count in zip(widths, levels, strict=True)]
    first = design.mean.X.shape[1] + len(means)
    starts = tuple(first + sum(sizes[:k]) for k in range(len(sizes)))
    met = tuple(1 if block.shares is None else block.shares.shape[1] for block in design.mean.groups)
    related = tuple(block.relation for block in design.mean.groups)
    return CoefficientLayout(design.mean.X.shape[1], means, starts, widths, levels, first + sum(sizes), met, related)


def ranks_of(layout: CoefficientLayout) -> np.ndarray:
    """Return the rank (p,) of each coefficient's block by its number of levels; the highest for those of no block."""
    ranks = np.full(layout.size, len(layout.levels))
    for rank, block in enumerate(sorted(range(len(layout.levels)), key=lambda block: -layout.levels[block])):
        start = layout.starts[block]
        ranks[start : start + layout.widths[block] * layout.levels[block]] = rank
    return ranks


def prior_entries(layout: CoefficientLayout) -> tuple[Entries, np.ndarray | None]:
    """Return row, column and number of each entry of D^-1; the numbers count its distinct values.

    First one number for each fixed effect and group mean, then for each block those of the upper triangle of its
    precision, which all its levels share. Where levels vary together, each number stands between two levels as well,
    times what their own precision has there: these factors come second, None where all are one.
    """
    first = layout.n_fixed + len(layout.means)
    rows, columns, numbers, factors = [np.arange(first)], [np.arange(first)], [np.arange(first)], [np.ones(first)]
    count = first
    for start, width, levels, related in zip(
        layout.starts, layout.widths, layout.levels, layout.relations, strict=True
    ):
        every = np.arange(levels)
        above, right, values = (every, every, np.ones(levels)) if related is None else related.upper
        apart = above != right
        for i, j in combinations_with_replacement(range(width), 2):
            for one, other, kept in ((i, j, slice(None)), (j, i, apart)) if i != j else ((i, j, slice(None)),):
                rows.append(start + above[kept] * width + one)
                columns.append(start + right[kept] * width + other)
                factors.append(values[kept])
                numbers.append(np.full(len(factors[-1]), count))
            count += 1
    entries = np.concatenate(rows), np.concatenate(columns), np.concatenate(numbers)
    return entries, np.concatenate(factors) if layout.has_relations else None


def standard_precision(layout: CoefficientLayout) -> Entries:
    """Return rows, columns and entries of the precision of effects with SDs of one and no correlations within a level.

    Those of the upper triangle: ones on the diagonal, and what levels that vary together have between them.
    """
    rows, columns, values = [np.arange(0)], [np.arange(0)], [np.zeros(0)]
    for start, width, levels, related in zip(
        layout.starts, layout.widths, layout.levels, layout.relations, strict=True
    ):
        every = np.arange(levels)
        above, right, entries = (every, every, np.ones(levels)) if related is None else related.upper
        for column in range(width):
            rows.append(start + above * width + column)
            columns.append(start + right * width + column)
            values.append(entries)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
