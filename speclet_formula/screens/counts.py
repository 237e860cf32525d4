"""Counts of a screen in any of its layouts, as guides x samples of numbers, and how deep each sample was read.

MAGeCK has `sgRNA`, `gene` and then samples, BAGEL `REAGENT_ID` (or `SEQUENCE`) and `GENE`, Chronos samples in rows and
guides in columns, DepMap's files guides in a first column without a name.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed
from speclet_formula.screens.columns import (
    GENES,
    GUIDES,
    Notes,
    find_column,
    found_columns,
    is_numeric,
    labels_of,
    names_of_genes,
    plain_name,
    text_of_labels,
)
from speclet_formula.screens.files import SUMMARY

_BAGEL = ("reagent_id", "sequence", "seqid")
_RESULTS = (
    ({"neg|score"}, "MAGeCK's ranks of genes"),
    ({"|beta"}, "MAGeCK's betas of genes"),
    ({"control_mean", "treat_mean"}, "MAGeCK's scores of guides"),
    ({"gene", "bf"}, "BAGEL's Bayes factors"),
)
Normalisation = Literal["median", "total", "none"]
FEWEST = 10  # guides with reads in every sample: below that a median is noise


@dataclass(frozen=True, eq=False)
class Counts:
    """Reads by guide and sample, or log fold changes."""

    values: np.ndarray  # (guides, samples) float64, NaN where there was none
    guides: tuple[str, ...]  # as they came: a label may be there twice
    genes: pd.Series | None  # by guide's place, where the counts name them; missing where they do not
    samples: tuple[str, ...]
    layout: str


def counts_of(
    frame: pd.DataFrame,
    known_samples: Collection[str],
    notes: Notes,
    *,
    are_reads: bool = True,
    name_genes: bool = False,
) -> Counts:
    """Tell guides, genes and samples apart in a table of counts.

    Parameters
    ----------
    frame : pandas.DataFrame
    known_samples : collection of str
        Names of the sample map, which tell whether samples are rows or columns.
    notes : Notes
        Takes columns that are not used, and which column names the guides where that is not plain.
    are_reads : bool
        Whether values below 0 are refused.
    name_genes : bool
        Whether nothing else names the genes: without a column of that name the next one of text is taken for them.

    Raises
    ------
    DataError
        No column of guides, a repeated sample, a count that is negative, infinite or no number.
    """
    if not are_reads:
        frame = _fold_changes_of_summary(frame, notes)
    _refuse_results(frame, are_reads=are_reads)
    if not frame.shape[1]:
        raise DataError(
            "the counts have no columns.", "They have guides, and reads of samples.", "Check what made the table."
        )
    frame = frame.set_axis(frame.columns.astype(str), axis=1)
    in_rows = _sample_rows(frame, known_samples)
    if in_rows is not None:
        samples = _all_named(frame[in_rows], "sample")
        _check_unique(samples)
        cells = frame.drop(columns=in_rows)
        values = _numbers(cells, samples, are_reads=are_reads, by_row=True).T
        return Counts(values, tuple(map(str, cells.columns)), None, samples, "Chronos")
    return _guides_in_rows(frame, known_samples, notes, are_reads=are_reads, name_genes=name_genes)


def _guides_in_rows(
    frame: pd.DataFrame, known: Collection[str], notes: Notes, *, are_reads: bool, name_genes: bool
) -> Counts:
    guide = _guide_column(frame, notes)
    genes = [name for name in found_columns(frame, GENES) if name not in known]
    if not genes and name_genes:
        genes = names_of_genes(frame, [guide, *known])
        notes.add("gene_column", "columns", map(repr, genes), "No column of the counts has a name of genes.",
                  "The first one of text beside the guides was taken for them, as MAGeCK does.")  # fmt: skip
    if len(genes) > 1:
        notes.add("gene_columns", "columns", genes, "{n} columns of the counts name genes.", f"'{genes[0]}' was taken.")
    rest = frame.drop(columns=[guide, *genes])
    numbered = [str(name) for name in rest if str(name) not in known and _is_row_number(str(name), rest[name])]
    notes.add("row_numbers", "columns", map(repr, numbered), "{n} columns of the counts number the rows.", "Not used.")
    rest = rest.drop(columns=numbered)
    text = [str(name) for name in rest if not is_numeric(rest[name]) and str(name) not in known]
    notes.add("annotations", "columns", text, "{n} columns of the counts are text.", "Not used.")
    rest = rest.drop(columns=text)
    samples = tuple(rest.columns)
    gene = genes[0] if genes else None
    layout = "table" if gene is None else "BAGEL" if plain_name(guide) in _BAGEL else "MAGeCK"
    values = _numbers(rest, samples, are_reads=are_reads, by_row=False)
    labels = None if gene is None else frame[gene].reset_index(drop=True)
    return Counts(values, _all_named(frame[guide], "guide"), labels, samples, layout)


def _fold_changes_of_summary(frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Return the fold changes of MAGeCK's .sgrna_summary.txt alone."""
    by_name = {plain_name(column): column for column in frame}
    if not set(by_name) >= SUMMARY:
        return frame
    notes.say("sgrna_summary", "files", 1, "The table is MAGeCK's .sgrna_summary.txt.",
              f"Its '{by_name['lfc']}' was read, as the sample of that name.")  # fmt: skip
    kept = [find_column(frame, GUIDES), find_column(frame, GENES), by_name["lfc"]]
    return frame[[column for column in kept if column is not None]]


def _refuse_results(frame: pd.DataFrame, *, are_reads: bool) -> None:
    """Refuse what another program made of the counts."""
    names = {"|beta" if str(column).endswith("|beta") else str(column).lower() for column in frame}
    found = next((what for columns, what in _RESULTS if columns <= names), None)
    if found is not None:
        what, expected = (
            ("counts", "Reads of guides in samples are expected, such as MAGeCK's .count.txt.")
            if are_reads
            else (
                "fold changes",
                "Those of guides are expected, as in BAGEL's .foldchange, MAGeCK's .sgrna_summary.txt.",
            )
        )
        raise DataError(
            f"the {what} are {found}: {listed(map(repr, frame.columns), 6)}.",
            expected,
            f"Hand over the {what}; compare other results with yours by control_separation.",
        )


def _sample_rows(frame: pd.DataFrame, known: Collection[str]) -> str | None:
    """Return the column of sample names, if samples are rows: Chronos' layout."""
    first = str(frame.columns[0])
    if is_numeric(frame[first]) or set(map(str, frame.columns[1:])) & set(known):
        return None
    return first if set(labels_of(frame[first])) & set(known) else None


def _guide_column(frame: pd.DataFrame, notes: Notes) -> str:
    """Return the column of guides: by its name, else the first one if it is text."""
    found = found_columns(frame, GUIDES)
    if found:
        if len(found) > 1:
            notes.add("guide_columns", "columns", found, "{n} columns of the counts name guides.",
                      f"'{found[0]}' was taken.")  # fmt: skip
        return found[0]
    first = str(frame.columns[0])
    if not is_numeric(frame[first]) and find_column(frame[[first]], GENES) is None:
        notes.add("guide_column", "columns", [repr(first)], "No column of the counts has a name of guides.",
                  "The first one was taken for them.")  # fmt: skip
        return first
    raise DataError(
        f"the counts have no column of guides: {listed(map(repr, frame.columns), 6)}.",
        "MAGeCK's layout is sgRNA, gene, then samples; BAGEL's REAGENT_ID, GENE, then samples; Chronos' has one row "
        "for each sample, named in its first column, and one column for each guide.",
        "Call the column of guides 'sgRNA'.",
    )


def _is_row_number(name: str, column: pd.Series) -> bool:
    """Tell whether a column without a name of its own only counts the rows."""
    if not (name.startswith("Unnamed:") or plain_name(name) in ("", "index", "x", "id")) or not is_numeric(column):
        return False
    return bool((column.to_numpy() == np.arange(len(column)) + column.iloc[0]).all()) and column.iloc[0] in (0, 1)


def _all_named(column: pd.Series, what: str) -> tuple[str, ...]:
    """Return the names of guides or samples, none of which may be missing."""
    labels = text_of_labels(column)
    bare = np.flatnonzero(labels.str.strip() == "")
    if len(bare):
        raise DataError(
            f"{len(bare):,} rows of the counts name no {what}: {listed(bare, 5)} (counted from 0).",
            f"Each row has a {what}, in the column '{column.name}'.",
            "Fill the cells in, or leave these rows out.",
        )
    return tuple(labels)


def _check_unique(samples: tuple[str, ...]) -> None:
    repeated = sorted(name for name, n in Counter(samples).items() if n > 1)
    if repeated:
        raise DataError(
            f"the counts have several rows named {listed(map(repr, repeated), 5)}.",
            "Each sample has a row of its own.",
            "Rename them, or add the reads of one sample's lanes up first.",
        )


def _is_no_count(kind: Any) -> bool:
    """Tell truth values, complex numbers, dates and the like, which would be taken for numbers."""
    plain = pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind)
    real = pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
    return not (plain or isinstance(kind, pd.CategoricalDtype) or (real and kind.kind != "c"))


def _numbers(cells: pd.DataFrame, samples: tuple[str, ...], *, are_reads: bool, by_row: bool) -> np.ndarray:
    """Return the cells as numbers, and refuse what cannot be reads; samples are rows or columns."""
    kinds = {kind: is_numeric(pd.Series(dtype=kind)) for kind in set(cells.dtypes)}  # guides may be columns, many
    text = [name for name, kind in cells.dtypes.items() if not kinds[kind]]
    odd = next((name for name in cells if _is_no_count(cells[name].dtype)), None)
    if odd is not None:
        raise DataError(
            f"'{odd}' holds values of type {cells[odd].dtype}.",
            "Counts and fold changes are numbers.",
            "Leave the column out, or name it in no sample map.",
        )
    read = {name: pd.to_numeric(cells[name], errors="coerce") for name in text}
    numbers = (cells.assign(**read) if text else cells).to_numpy(dtype=float)
    bad = np.isinf(numbers) | ((numbers < 0) & are_reads)
    if text:
        bad |= np.isnan(numbers) & cells.notna().to_numpy()
    if bad.any():
        row, column = np.argwhere(bad)[0]
        first = cells.iloc[row, column]
        kind = "numbers of reads" if are_reads else "log fold changes"
        raise DataError(
            f"{bad.sum():,} {'counts' if are_reads else 'cells'} are no {kind}, the first in sample "
            f"'{samples[row if by_row else column]}': {repr(first) if isinstance(first, str) else first}.",
            "Counts are numbers of reads, 0 or more, before any logarithm."
            if are_reads
            else "A log fold change is a finite number, or missing.",
            "Hand over the raw counts, or, if they are log fold changes, use read_fold_changes."
            if are_reads
            else "Mend the cells, or leave them empty.",
        )
    return np.asarray(numbers)


def size_factors(counts: np.ndarray, method: Normalisation, samples: Sequence[str] = ()) -> np.ndarray:
    r"""Return the depth of each sample relative to the geometric mean of all.

    Parameters
    ----------
    counts : ndarray of float, shape (guides, samples)
        Reads of the guides that decide. Missing ones are left out of account.
    method : {"median", "total", "none"}
        "median": with :math:`m_i` the geometric mean of guide i over the samples, :math:`s_j` is the median of
        :math:`k_{ij} / m_i` over the guides with reads in every sample. "total": the sum of reads. "none": 1.
    samples : sequence of str
        Their names, for the message that names the one with the fewest reads.

    Returns
    -------
    ndarray of float, shape (samples,)
        Their geometric mean is 1.

    Raises
    ------
    DataError
        There is no such method, or too few guides have reads.

    References
    ----------
    Median of ratios: Anders and Huber (2010), doi:10.1186/gb-2010-11-10-r106.

    Examples
    --------
    >>> size_factors(np.array([[10.0, 40.0]] * 10), "median").tolist()
    [0.5, 2.0]
    """
    if method not in get_args(Normalisation):
        raise DataError(
            f"there is no normalise={method!r}.",
            f"Methods: {', '.join(map(repr, get_args(Normalisation)))}.",
            "Leave normalise= out for the median of ratios.",
        )
    if method == "none":
        return np.ones(counts.shape[1])
    if method == "total":
        totals = np.nansum(counts, axis=0)
        if (totals == 0).any():
            raise DataError(
                f"{(totals == 0).sum()} samples have no reads of the guides that normalise them.",
                "A sample's depth is the sum of these guides' reads.",
                "Leave the samples out of the sample map, or write normalise='none'.",
            )
        return _relative(totals)
    inside = (counts > 0).all(axis=1)
    if inside.sum() < FEWEST:
        raise _too_few(counts, int(inside.sum()), samples)
    logs = np.log(counts[inside])
    return _relative(np.exp(np.median(logs - logs.mean(axis=1, keepdims=True), axis=0)))


def _too_few(counts: np.ndarray, n: int, samples: Sequence[str]) -> DataError:
    """Name the sample that has the fewest guides with reads, and tell to leave it out where that is enough."""
    seen = (counts > 0).sum(axis=0)
    worst = int(seen.argmin())
    name = repr(samples[worst]) if len(samples) else f"number {worst + 1}"
    enough = (np.delete(counts, worst, axis=1) > 0).all(axis=1).sum() >= FEWEST
    leave = f"Take {name} out of the sample map and write drop=['unmapped_samples']"
    return DataError(
        f"only {n} of the {len(counts)} guides that normalise have reads in every sample; sample {name} has reads of "
        f"{seen[worst]:,}, the fewest.",
        f"The median of ratios takes at least {FEWEST} of them.",
        f"{leave}, or write normalise='total'." if enough else "Write normalise='total'.",
    )


def _relative(depths: np.ndarray) -> np.ndarray:
    return np.asarray(depths / np.exp(np.log(depths).mean()))


def gini_indices(counts: np.ndarray) -> np.ndarray:
    r"""Return how unevenly the reads of each sample fall on its guides, as MAGeCK has it.

    Parameters
    ----------
    counts : ndarray of float, shape (guides, samples)
        Missing ones are left out of account.

    Returns
    -------
    ndarray of float, shape (samples,)
        The Gini index of :math:`x = \log(k + 1)`: the mean distance of two guides over twice the mean,
        :math:`1 - 2 (n - \sum_i i x_{(i)} / \sum_i x_i) / (n - 1)`. Missing where a sample has no reads.

    References
    ----------
    Li et al. (2015), doi:10.1186/s13059-015-0843-6.

    Examples
    --------
    >>> gini_indices(np.array([[100.0, 0.0], [100.0, 0.0], [100.0, 50.0]])).round(3).tolist()
    [0.0, 1.0]
    """
    logs = np.sort(np.log1p(counts), axis=0)  # missing ones come last
    n = (~np.isnan(logs)).sum(axis=0)
    places = np.arange(1, len(logs) + 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 - 2 * (n - np.nansum(places * logs, axis=0) / np.nansum(logs, axis=0)) / (n - 1))
