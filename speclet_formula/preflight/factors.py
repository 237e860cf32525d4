"""The grouping factors go in, by pairs; those that are one partition, or nested with exceptions, come out."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.transforms import as_factor
from speclet_formula.preflight.records import Finding, listed

MISPLACED_SHARE = 0.25  # of a factor's repeated levels: with more of them in several parents it is a crossed factor

Factor = tuple[np.ndarray, Sequence[str]]  # a code for each row, and the levels


def inspect_factors(design: Design) -> Iterator[Finding]:
    """Look at the grouping factors by pairs.

    Parameters
    ----------
    design : Design

    Yields
    ------
    Finding
    """
    for one, other in combinations(design.groups, 2):
        shared = set(one.columns) & set(other.columns)
        if one.group != other.group and shared and _same_partition(one, other):
            yield Finding(
                "same_partition",
                f"'{one.group}' and '{other.group}' put the same rows together.",
                "Their effects only enter as sums, so that the priors split one variance between two SDs.",
                f"Leave the group term of '{other.group}' out.",
            )
    factors = {name: factor for block in design.groups for name, factor in _factors(block, design)}
    for pair in combinations(factors, 2):
        parent, child = sorted(pair, key=lambda name: len(factors[name][1]))
        yield from _nested_in_two(child, factors[child], parent, factors[parent])


def _same_partition(one: GroupBlock, other: GroupBlock) -> bool:
    if len(one.levels) != len(other.levels):
        return False
    partner = np.empty(len(one.levels), dtype=np.int64)
    partner[one.codes] = other.codes
    return bool((partner[one.codes] == other.codes).all())


def _factors(block: GroupBlock, design: Design) -> Iterator[tuple[str, Factor]]:
    """Yield the single columns that a grouping factor crosses: gene and sgRNA for gene:sgRNA."""
    for name in block.factors:
        if len(block.factors) == 1:
            yield name, (block.codes, block.levels)
        elif name in design.frame.columns:
            column = design.frame[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                yield name, (column.cat.codes.to_numpy(dtype=np.int64), tuple(column.cat.categories))
            else:
                factor = as_factor(column.to_numpy())
                yield name, (factor.codes.astype(np.int64), tuple(factor.categories))


def _nested_in_two(child: str, inner: Factor, parent: str, outer: Factor) -> Iterator[Finding]:
    """Look for levels of a nested factor that occur in several levels of the outer one."""
    codes, levels = inner
    pairs = pd.unique(codes * len(outer[1]) + outer[0])  # a hash table: linear, where np.unique sorts
    parents = np.bincount(pairs // len(outer[1]), minlength=len(levels))
    repeated = np.bincount(codes, minlength=len(levels)) > 1
    strays = np.flatnonzero(parents > 1).tolist()
    if len(strays) == 0 or len(strays) > MISPLACED_SHARE * repeated.sum():
        return
    named = listed([levels[code] for code in strays])
    yield Finding(
        "nested_in_two_parents",
        f"{len(strays):,} of the {len(levels):,} levels of '{child}' occur in several levels of '{parent}': {named}.",
        f"All others occur in one, so that '{child}' seems nested in '{parent}': by itself it gives such a level one "
        f"effect, '{parent}:{child}' gives it one in each.",
        f"Check those labels. If they name different things, write (1 | {parent}/{child}); if the same thing, "
        f"(1 | {parent}) + (1 | {child}).",
    )
