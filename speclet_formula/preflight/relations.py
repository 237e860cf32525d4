"""The grouping factors go in, by pairs; how each pair lies to each other comes out: the same, nested or crossed.

What of that is worth a warning is left to `factors`.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.design import Design, GroupBlock

Kind = Literal["same", "nested", "crossed", "partially crossed"]


@dataclass(frozen=True)
class Relation:
    """How two grouping factors lie to each other.

    Attributes
    ----------
    one, other : str
        The factors; of nested ones the inner first.
    kind : {"same", "nested", "crossed", "partially crossed"}
        "crossed" if each level of one occurs with each of the other, "partially crossed" if some pairs are absent.
    words : str
        The same in a sentence, with the numbers.
    """

    one: str
    other: str
    kind: Kind
    words: str


def relate_groups(design: Design) -> tuple[Relation, ...]:
    """Say for each pair of grouping factors whether they are crossed or nested in these data.

    Parameters
    ----------
    design : Design
        As `build_design` makes it. The time is linear in its rows, for each pair.

    Returns
    -------
    tuple of Relation
        One for each pair of different grouping factors, in the formula's order.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> from speclet_formula.preflight import relate_groups
    >>> data, truth = sf.datasets.m7()
    >>> print(relate_groups(sf.Model("log_fc ~ (1 | gene/sgRNA)", data).design)[0].words)
    gene:sgRNA is nested in gene: each of its 55 levels lies within one level of gene, 5 to 6 in each.
    """
    blocks = {block.group: block for block in design.groups}
    return tuple(_relation(one, other) for one, other in combinations(blocks.values(), 2))


def _relation(one: GroupBlock, other: GroupBlock) -> Relation:
    inner, outer = (one, other) if len(one.levels) >= len(other.levels) else (other, one)
    q, p = len(inner.levels), len(outer.levels)
    pairs = pd.unique(inner.codes * p + outer.codes)  # a hash table: linear, where np.unique sorts
    names = inner.group, outer.group
    if len(pairs) == q == p:
        words = f"{inner.group} and {outer.group} are the same division of the rows, into {q:,} levels."
        return Relation(*names, "same", words)
    if len(pairs) == q:
        within = np.bincount(pairs % p, minlength=p)
        words = (
            f"{inner.group} is nested in {outer.group}: each of its {q:,} levels lies within one level of "
            f"{outer.group}, {_between(within)} in each."
        )
        return Relation(*names, "nested", words)
    if len(pairs) == q * p:
        words = f"{one.group} and {other.group} are crossed: each of the {q * p:,} combinations of their levels occurs."
        return Relation(one.group, other.group, "crossed", words)
    partners = np.bincount(pairs // p, minlength=q)
    words = (
        f"{one.group} and {other.group} are partially crossed: {len(pairs):,} of the {q * p:,} combinations of their "
        f"levels occur, so that a level of {inner.group} meets {_between(partners)} of the {p:,} of {outer.group}."
    )
    return Relation(one.group, other.group, "partially crossed", words)


def _between(counts: np.ndarray) -> str:
    least, most = int(counts.min()), int(counts.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
