"""Crossed factors with very many levels of both: what they would take is told before anything is built.

Of two crossed factors the larger one is eliminated level by level; what is left is a whole matrix of the other's
levels, whose factorisation takes their number's third power.
"""

from itertools import combinations

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.multi_membership import level_pairs
from speclet_formula.errors import SamplingError
from speclet_formula.inference.plans import memory_in_words, time_in_words

MOST_CROSSED = 10_000  # levels of the smaller one of two crossed factors
MET = 4  # levels of the smaller one that a level of the larger one meets: of fewer some stay apart
SECONDS_PER_PRODUCT = 2.5e-11  # by BLAS, on one core
COPIES = 3  # of the whole matrix: P's own, its factor, its inverse


def refuse_crossed(design: Design, evaluations: float) -> None:
    """Raise a SamplingError with the forecast for factors of very many levels each that cross.

    Parameters
    ----------
    design : Design
    evaluations : float
        How often the engine would factor the matrix.
    """
    large = [block for block in design.mean.groups if len(block.levels) > MOST_CROSSED]
    large.sort(key=lambda block: -len(block.levels))
    for larger, smaller in combinations(large, 2):
        if _met(larger, smaller) < MET * len(larger.levels):
            continue
        rows = len(smaller.levels) * len(smaller.columns)
        seconds = SECONDS_PER_PRODUCT * rows**3 / 3
        needed = memory_in_words(8.0 * COPIES * rows**2)
        raise SamplingError(
            f"{larger.group} ({len(larger.levels):,} levels) and {smaller.group} ({len(smaller.levels):,}) cross: "
            f"what is left of one without the other is a whole matrix of {rows:,} rows. To factor it takes "
            f"{time_in_words(seconds)}, this fit {time_in_words(seconds * evaluations)} and {needed}.",
            f"Of two crossed factors one may have any number of levels, the other {MOST_CROSSED:,}.",
            "Fit a part of the table, or take out levels with few rows. To go on all the same, set "
            "speclet_formula.inference.crossed.MOST_CROSSED to a larger number.",
        )


def _met(larger: GroupBlock, smaller: GroupBlock) -> int:
    """Return how many pairs of their levels have rows."""
    return len(level_pairs(larger, smaller))
