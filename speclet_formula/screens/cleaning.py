"""Guides and their counts go in; each guide once comes out, those that the analyst leaves out aside.

What guides and genes are named is left to `libraries` and `labels`; rows of the long table to `lengthening`.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed
from speclet_formula.screens.labels import SEVERAL, non_targeting
from speclet_formula.screens.layouts import Counts
from speclet_formula.screens.notes import Notes

Duplicates = Literal["error", "same", "sum"]
_LEFT_OUT = "Left out, as drop= asks."


def one_row_each(counts: Counts, duplicates: str, notes: Notes) -> tuple[np.ndarray, np.ndarray]:
    """Return one row of reads for each guide."""
    codes, labels = pd.factorize(np.asarray(counts.guides, dtype=object))
    if len(labels) == len(codes):
        return counts.values, labels
    twice = np.bincount(codes) > 1
    first = counts.values[np.unique(codes, return_index=True)[1]]
    repeated = np.flatnonzero(twice[codes])
    equal = np.ones(len(labels), dtype=bool)
    same = (np.isclose(counts.values[repeated], first[codes[repeated]], equal_nan=True)).all(axis=1)
    np.logical_and.at(equal, codes[repeated], same)
    if duplicates == "error" or (duplicates == "same" and not equal.all()):
        raise _repeated_guides(labels, twice, equal, duplicates)
    if duplicates == "same":
        notes.add("duplicates", "guides", labels[twice], "{n} guides stand in several rows of the counts, with "
                  "the same reads.", "Taken once, as duplicates= asks.")  # fmt: skip
        return first, labels
    notes.add("duplicates", "guides", labels[twice], "{n} guides stand in several rows of the counts.", "Their reads "
              "were added up, as duplicates= asks.")  # fmt: skip
    summed = np.zeros((len(labels), counts.values.shape[1]))
    np.add.at(summed, codes, counts.values)
    return summed, labels


def _repeated_guides(labels: np.ndarray, twice: np.ndarray, equal: np.ndarray, duplicates: str) -> DataError:
    if equal.all():
        return DataError(
            f"{twice.sum():,} guides stand in several rows of the counts: {listed(map(repr, labels[twice]), 5)}.",
            "Each guide has one row.",
            "Their rows have the same reads, as of one sequence that is listed for several genes: write "
            "duplicates='same' to take them once.",
        )
    differ = twice & (~equal if duplicates == "same" else True)
    words = ", with different reads" if duplicates == "same" else ""
    return DataError(
        f"{differ.sum():,} guides stand in several rows of the counts{words}: {listed(map(repr, labels[differ]), 5)}.",
        "Each guide has one row.",
        "Write duplicates='sum' to add their reads up, or give each copy a name of its own.",
    )


def note_fractions(values: np.ndarray, notes: Notes) -> None:
    """Note samples whose counts are no whole numbers."""
    broken = int(((values % 1) > 0).any(axis=0).sum())
    if broken:
        notes.say("not_whole", "samples", broken, f"{broken:,} samples have counts that are not whole numbers, as "
                  "after normalising (MAGeCK's .count_normalized.txt).", "Used as they are; a model of counts, and "
                  "pseudo_count, want raw reads.")  # fmt: skip


def without_guides(
    values: np.ndarray, labels: np.ndarray, genes: pd.Series, drop: Sequence[str], notes: Notes
) -> tuple[np.ndarray, np.ndarray]:
    """Note guides of no gene, of several or of no target; leave out those that `drop` names."""
    gene = genes.loc[labels]
    odd = {
        "no_gene": gene.isna().to_numpy(),
        "several_genes": gene.str.contains(SEVERAL, na=False).to_numpy(),
        "non_targeting": non_targeting(gene).to_numpy(),
    }
    kept = {
        "no_gene": ("{n} guides have no gene.", "Kept without one; a fit refuses their rows unless it has "
                    "missing='drop', or leave them out here with drop=['no_gene']."),
        "several_genes": ("{n} guides hit several genes.", "Kept as guides of a gene of their own, 'A;B'; "
                          "drop=['several_genes'] leaves them out."),
        "non_targeting": ("{n} guides are named as controls without a target.", "Kept under the gene that they are "
                          "labelled with; name it in controls= to normalise on them, or leave them out with "
                          "drop=['non_targeting']."),
    }  # fmt: skip
    keep = np.ones(len(labels), dtype=bool)
    for finding, (what, done) in kept.items():
        leave = finding in drop
        names = labels[odd[finding]] if finding != "non_targeting" else _with_gene(gene[odd[finding]])
        notes.add(finding, "guides", names, what, _LEFT_OUT if leave else done)
        keep &= ~(odd[finding] & leave)
    if not keep.any():
        raise DataError(
            f"no guide is left of {len(labels):,}.",
            "A screen has guides with a gene.",
            "Compare the guides' names in the counts and in the guide map, or leave drop= out.",
        )
    return values[keep], labels[keep]


def _with_gene(genes: pd.Series) -> list[str]:
    return [f"{guide}" if pd.isna(gene) else f"{guide} of '{gene}'" for guide, gene in genes.items()]
