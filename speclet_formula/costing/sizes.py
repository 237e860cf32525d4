"""A Model goes in; the numbers that a fit's time and memory depend on come out: rows, parameters, entries, operations.

What an engine makes of them is left to `arithmetic`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.design import sides
from speclet_formula.inference.exact.marginal import why_not_plain
from speclet_formula.inference.precision import build_system
from speclet_formula.model import Model
from speclet_formula.priors import Prior

FEW_JOINED = 1.0  # levels of its own factor that a level is joined with: a chain, which stays one
MOST_ANALYSED = 1e7  # entries of a factor up to which it is analysed rather than guessed
LOOP = 20  # operations of BLAS in the time of one of a compiled loop
SHARE_JOINED = 0.5  # of all others: from here on nearly all pairs fill up


@dataclass(frozen=True)
class Sizes:
    """How large a model is.

    Attributes
    ----------
    rows : int
    fixed : int
        Fixed coefficients.
    group_effects : int
        Levels times columns, over all group terms.
    variances : int
        SDs, correlations, means of group effects that are estimated, and the family's own parameters.
    terms : int
        Terms that each row adds up: fixed columns and columns of group terms.
    widest : int
        Levels of the largest grouping factor.
    entries, operations : float
        Of the factor of the posterior precision: its numbers, and the multiplications that make it. One of a compiled
        loop counts as 20, since BLAS does so many in that time.
    loose : bool
        Whether these two are guesses within a factor of ten, as for very large factors that are sparsely crossed; for
        all others they are counts.
    """

    rows: int
    fixed: int
    group_effects: int
    variances: int
    terms: int
    widest: int
    entries: float
    operations: float
    loose: bool

    @property
    def coefficients(self) -> int:
        """Fixed coefficients and group effects."""
        return self.fixed + self.group_effects

    @property
    def parameters(self) -> int:
        """All that has a posterior."""
        return self.coefficients + self.variances


def sizes_of(model: Model) -> Sizes:
    """Count what a fit's time and memory depend on, in a time linear in the rows.

    Parameters
    ----------
    model : Model

    Returns
    -------
    Sizes
    """
    design = model.design
    blocks = [block for side in sides(design) for block in side.groups]
    fixed = sum(side.X.shape[1] for side in sides(design))
    entries, operations, loose = _factor(design.groups, design.X.shape[1])
    if loose and entries < MOST_ANALYSED and why_not_plain(model) is None:
        entries, operations = _analysed(design)
        loose = False
    return Sizes(
        rows=len(design.response),
        fixed=fixed,
        group_effects=sum(len(block.levels) * len(block.columns) for block in blocks),
        variances=sum(_variances(model, blocks)),
        terms=fixed + sum(len(block.columns) for block in blocks),
        widest=max((len(block.levels) for block in blocks), default=0),
        entries=entries,
        operations=operations,
        loose=loose,
    )


def _analysed(design: Design) -> tuple[float, float]:
    """Count the factor's entries and operations from its own pattern, which takes as long as some evaluations."""
    pattern = build_system(design, means=(), algebra="sparse").equations.pattern  # type: ignore[attr-defined]
    low, thin = np.diff(pattern.ends).astype(float), np.diff(pattern.thin_starts).astype(float)
    corner = float(pattern.size - pattern.lead)
    entries = pattern.lead + low.sum() + thin.sum() + pattern.n_wide * corner + corner**2 / 2
    in_loops = (low * (low + thin)).sum()
    return entries, float(LOOP * in_loops + pattern.n_wide * corner**2 + corner**3 / 3)


def _variances(model: Model, blocks: Sequence[GroupBlock]) -> Iterator[int]:
    constant = len(model.family.parameters) - len(model.design.parameters)
    yield constant + max(len(model.design.levels) - 2, 0)  # thresholds are one fewer than levels
    for block in blocks:
        k = len(block.columns)
        yield k + (k * (k - 1) // 2 if block.correlated else 0)
    yield sum(slot.kind == "group" and isinstance(slot.prior.parameters.get("mu"), Prior) for slot in model.slots)


def _factor(blocks: tuple[GroupBlock, ...], n_fixed: int) -> tuple[float, float, bool]:
    """Return entries of the Cholesky factor, multiplications for it, and whether they are guesses.

    Blocks are eliminated from the largest on. To eliminate a level is to join all that it meets: d levels of each later
    block on average. Levels of one block that are joined with few of their own kind may end joined with those alone, or
    with all: then the answer is the geometric mean of the two.
    """
    ordered = sorted(blocks, key=lambda block: -len(block.levels))
    levels = [len(block.levels) for block in ordered]
    met = {(a, b): _pairs(ordered[a], ordered[b]) for a, b in combinations(range(len(ordered)), 2)}
    least = most = np.array([n_fixed * (n_fixed + 1) / 2, n_fixed**3 / 3])
    loose = False
    for a, (block, q) in enumerate(zip(ordered, levels, strict=True)):
        k = len(block.columns)
        degrees = {b: met[a, b] / q for b in range(a + 1, len(levels))}
        later = sum(degree * len(ordered[b].columns) for b, degree in degrees.items()) + n_fixed
        for b, c in combinations(degrees, 2):
            met[b, c] = min(levels[b] * levels[c], met[b, c] + q * degrees[b] * degrees[c])
        joined = min(sum((met[b, a] / q) * (met[b, a] / levels[b] - 1) for b in range(a)), q - 1.0)
        sparsely = FEW_JOINED < joined < SHARE_JOINED * (q - 1)
        loose |= sparsely
        least = least + _columns(q * k, (k + 1) / 2 + k * joined / 2 + later)
        most = most + _columns(q * k, (k + 1) / 2 + k * (q - 1 if sparsely else joined) / 2 + later)
    entries, operations = np.sqrt(least * most).tolist()
    return entries, operations, loose


def _columns(count: int, height: float) -> np.ndarray:
    """Return entries and multiplications of so many columns of a factor, each so high."""
    return np.array([count * height, count * height**2])


def _pairs(one: GroupBlock, other: GroupBlock) -> float:
    return float(len(pd.unique(one.codes * np.int64(len(other.levels)) + other.codes)))
