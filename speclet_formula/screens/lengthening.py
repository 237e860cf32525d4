"""Reads of guides in samples go in; the long table to fit comes out: fold changes, and what a model of counts expects.

Depths come from `normalising`, names from `libraries` and `maps`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError
from speclet_formula.screens.controls import CONTROLS
from speclet_formula.screens.maps import Samples
from speclet_formula.screens.notes import Notes

OWN = (
    "sgRNA", "gene", "sample", "cell_line", "replicate", "control", "count", "count_initial", "log_offset", "log_fc",
)  # fmt: skip


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
