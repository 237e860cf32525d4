"""Rows of a screen: each guide once, without those that the analyst leaves out, then one row per guide and sample."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed
from speclet_formula.screens.columns import Notes
from speclet_formula.screens.controls import CONTROLS
from speclet_formula.screens.counts import Counts
from speclet_formula.screens.libraries import SEVERAL, non_targeting
from speclet_formula.screens.samples import Samples

OWN = (
    "sgRNA", "gene", "sample", "cell_line", "replicate", "control", "count", "count_initial", "log_offset", "log_fc",
)  # fmt: skip
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


def note_copies(values: np.ndarray, samples: Sequence[str], notes: Notes) -> None:
    """Note samples that have the very reads of another one, as of a file that was taken twice."""
    first: dict[bytes, str] = {}
    for name, column in zip(samples, values.T, strict=True):
        other = first.setdefault(np.ascontiguousarray(column).tobytes(), name)
        if other != name and np.nansum(column) > 0:
            notes.add("same_reads", "samples", [f"{name} as {other}"], "1 sample has the same reads as another, of "
                      "every guide.", "Kept; see whether one file was taken twice.")  # fmt: skip


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


def long_table(
    values: np.ndarray,
    genes: pd.Series,
    classes: pd.Series,
    placed: Samples,
    factors: np.ndarray,
    limits: tuple[float, float],
    drop: Sequence[str],
    notes: Notes,
) -> pd.DataFrame:
    """Return one row per guide and sample that is no reference.

    Parameters
    ----------
    values : ndarray of float, shape (guides, samples)
        Reads, not normalised, by the samples of `placed`.
    genes, classes : pandas.Series
        By guide.
    placed : Samples
    factors : ndarray of float, shape (samples,)
        Depths of the samples.
    limits : tuple of float
        The pseudo-count and min_initial.
    drop : sequence of str
        May hold "low_initial" and "missing_counts".
    notes : Notes

    Returns
    -------
    pandas.DataFrame
        As `Screen.table`.

    Raises
    ------
    DataError
        A column of the sample map has a name that the table makes itself, or no row is left.
    """
    place_of = {name: place for place, name in enumerate(placed.table["sample"])}
    measured = [place for name, place in place_of.items() if placed.references[name]]
    named = placed.references
    references = [[place_of[one] for one in named[name]] for name in place_of if named[name]]
    scaled, (pseudo, least) = values / factors, limits
    initial = _means(scaled, references)
    log_fc = np.log2(scaled[:, measured] + pseudo) - np.log2(initial + pseudo)
    labels = np.asarray(genes.index, dtype=object)
    stay = _rows_left(_means(values, references) < least, np.isnan(log_fc), labels, (least, drop), notes)
    expected, keep = initial * factors[measured], stay.T.ravel()
    unseen = ((expected == 0) & stay).any(axis=1)
    notes.add("unseen", "guides", labels[unseen], "{n} guides have no read in the references of some sample.",
              "Kept, their log_offset missing: nothing is expected of them; drop=['low_initial'] leaves them "
              "out.")  # fmt: skip
    with np.errstate(divide="ignore"):
        log_offset = np.where(expected > 0, np.log(expected), np.nan)
    columns = {
        "count": _whole(values[:, measured].T.ravel()[keep]),
        "count_initial": expected.T.ravel()[keep],
        "log_offset": log_offset.T.ravel()[keep],
        "log_fc": log_fc.T.ravel()[keep],
    }
    return label_rows(columns, keep, genes, classes, placed.table.iloc[measured])


def _means(values: np.ndarray, references: list[list[int]]) -> np.ndarray:
    """Return the mean of each sample's references; samples often share them."""
    known = {tuple(places): values[:, places].mean(axis=1) for places in references}
    return np.stack([known[tuple(places)] for places in references], axis=1)


def _whole(reads: np.ndarray) -> np.ndarray:
    """Return reads as integers, if they are."""
    return reads.astype(np.int64) if not np.isnan(reads).any() and (reads % 1 == 0).all() else reads


def label_rows(
    columns: dict[str, np.ndarray], keep: np.ndarray, genes: pd.Series, classes: pd.Series, own: pd.DataFrame
) -> pd.DataFrame:
    """Return the long table of what was measured: labels of guides and samples, then the columns.

    Parameters
    ----------
    columns : dict of ndarray, shape (rows kept,)
    keep : ndarray of bool, shape (samples x guides,)
        Which rows are kept, by sample and within it by guide.
    genes, classes : pandas.Series
        By guide.
    own : pandas.DataFrame
        One row per sample that was measured.

    Raises
    ------
    DataError
        A column of the sample map has a name that the table makes itself.
    """
    taken = [name for name in own if name in OWN[5:] or name in ("sgRNA", "gene")]
    if taken:
        raise DataError(
            f"the sample map has a column '{taken[0]}', which the table makes itself.",
            f"These names are taken: {', '.join(OWN)}.",
            "Rename it.",
        )
    rows = np.flatnonzero(keep)
    sample, guide = rows // len(genes), rows % len(genes)
    codes = pd.Categorical(classes.to_numpy(dtype=object), categories=CONTROLS, ordered=True).codes
    first = {
        "sgRNA": pd.Series(genes.index, dtype="str").array.take(guide),
        "gene": pd.Series(genes.to_numpy(), dtype="str").array.take(guide),
        **{name: own[name].array.take(sample) for name in ("sample", "cell_line", "replicate")},
        "control": pd.Categorical.from_codes(codes[guide], categories=CONTROLS, ordered=True),
    }
    extra = own.drop(columns=["sample", "cell_line", "replicate"])
    return pd.DataFrame(first | columns | {str(name): extra[name].array.take(sample) for name in extra})


def _rows_left(
    low: np.ndarray, missing: np.ndarray, labels: np.ndarray, limits: tuple[float, Sequence[str]], notes: Notes
) -> np.ndarray:
    """Note rows with few or missing reads, guides x samples; tell which stay, `limits` being min_initial and drop."""
    least, drop = limits
    keep = np.ones(low.shape, dtype=bool)
    left_out = "{n} rows were left out, as drop= asks."
    for finding, rows, what in (
        ("low_initial", low, f"{{n}} guides have fewer than {least:g} reads in their references."),
        ("missing_counts", missing, "{n} guides have no count in a sample or its references."),
    ):
        kept = f"Their {rows.sum():,} rows were kept; drop=[{finding!r}] leaves them out."
        done = left_out.replace("{n}", f"{rows.sum():,}") if finding in drop else kept
        notes.add(finding, "guides", labels[rows.any(axis=1)], what, done)
        keep &= ~(rows & (finding in drop))
    if not keep.any():
        raise DataError(
            f"no row is left of {keep.size:,}.",
            "A screen has rows with reads in sample and reference.",
            "Leave drop= out, or lower min_initial=.",
        )
    return keep
