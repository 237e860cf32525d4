"""A table of counts goes in, in any of the layouts that screens come in; guides x samples of numbers come out.

MAGeCK has `sgRNA`, `gene` and then samples, BAGEL `REAGENT_ID` (or `SEQUENCE`) and `GENE`, Chronos samples in rows and
guides in columns. What samples and guides are is left to `maps`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.tables import as_pandas
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.files import read_file

# Lower-case names of columns, the most usual first.
GUIDES = ("sgrna", "guide", "guide_id", "grna", "reagent_id", "sequence", "sgrna_id", "grnaid", "sgrna_sequence")
GENES = ("gene", "genes", "gene_symbol", "symbol", "target_gene")
SAMPLES = ("sample", "sequence_id", "sample_id", "sequenceid", "sample_name")
_BAGEL = ("reagent_id", "sequence")


@dataclass(frozen=True, eq=False)
class Counts:
    """Reads by guide and sample."""

    values: np.ndarray  # (guides, samples) float64, NaN where there was none
    guides: tuple[str, ...]  # as they came: a label may be there twice
    genes: pd.Series | None  # by guide's place, where the counts name them; missing where they do not
    samples: tuple[str, ...]
    annotations: tuple[str, ...]  # columns of text, which are no samples
    layout: str


def read_frame(given: Any, what: str) -> pd.DataFrame:
    """Return a table from a path or from any kind of frame, the index as a column where it has names.

    Raises
    ------
    DataError
    """
    if isinstance(given, str | Path):
        return read_file(Path(given))
    if given is None:
        raise DataError(
            f"there is no {what}.",
            "A pandas, polars or pyarrow table is expected, a dictionary of columns, or the path of a file.",
            f"Hand it over as {what}=.",
        )
    named = isinstance(given, pd.DataFrame) and not isinstance(given.index, pd.RangeIndex)
    if named and not pd.api.types.is_numeric_dtype(given.index.dtype):
        column = given.index.name or "index"
        return given.rename_axis(column).reset_index()
    return as_pandas(given)


def find_column(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    """Return the frame's column that bears one of the names, in any case; None if none does."""
    by_lower = {str(column).lower().replace(" ", "_"): str(column) for column in frame.columns[::-1]}
    return next((by_lower[name] for name in names if name in by_lower), None)


def counts_of(frame: pd.DataFrame, known_samples: Collection[str]) -> Counts:
    """Tell guides, genes and samples apart in a table of counts.

    Parameters
    ----------
    frame : pandas.DataFrame
    known_samples : collection of str
        Names of the sample map, which tell whether samples are rows or columns.

    Returns
    -------
    Counts

    Raises
    ------
    DataError
        No column of guides, a repeated sample, a count that is negative, infinite or no number.
    """
    repeated = frame.columns[frame.columns.duplicated()].astype(str).unique().tolist()
    if repeated:
        raise DataError(
            f"the counts have several columns named {listed(map(repr, repeated), 5)}.",
            "Each sample has a column of its own.",
            "Rename them, or add the reads of one sample's lanes up first.",
        )
    in_rows = _sample_rows(frame, known_samples)
    if in_rows is not None:
        wide = frame.set_index(in_rows).T
        guides, samples = tuple(map(str, wide.index)), tuple(map(str, wide.columns))
        _check_unique(samples)
        return Counts(_numbers(wide, samples), guides, None, samples, (), "Chronos")
    guide = _guide_column(frame)
    gene = find_column(frame, GENES)
    rest = frame.drop(columns=[name for name in (guide, gene) if name is not None])
    text = [str(name) for name in rest if not _is_numeric(rest[name]) and str(name) not in known_samples]
    rest = rest.drop(columns=text)
    rest.columns = rest.columns.astype(str)
    samples = tuple(rest.columns)
    layout = "table" if gene is None else "BAGEL" if guide.lower() in _BAGEL else "MAGeCK"
    genes = None if gene is None else frame[gene].reset_index(drop=True)
    return Counts(_numbers(rest, samples), tuple(frame[guide].astype(str)), genes, samples, tuple(text), layout)


def _sample_rows(frame: pd.DataFrame, known: Collection[str]) -> str | None:
    """Return the column of sample names, if samples are rows: Chronos' layout."""
    first = str(frame.columns[0])
    if _is_numeric(frame[first]) or set(map(str, frame.columns[1:])) & set(known):
        return None
    return first if set(frame[first].astype(str)) & set(known) else None


def _guide_column(frame: pd.DataFrame) -> str:
    """Return the column of guides: by its name, else the first one if it is text."""
    found = find_column(frame, GUIDES)
    if found is not None:
        return found
    first = str(frame.columns[0])
    if not _is_numeric(frame[first]) and first.lower() not in GENES:
        return first
    raise DataError(
        f"the counts have no column of guides: {listed(map(repr, frame.columns), 6)}.",
        "MAGeCK's layout is sgRNA, gene, then samples; BAGEL's REAGENT_ID, GENE, then samples; Chronos' has one row "
        "for each sample, named in its first column, and one column for each guide.",
        "Call the column of guides 'sgRNA'.",
    )


def _is_numeric(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype))


def _check_unique(samples: tuple[str, ...]) -> None:
    repeated = sorted({name for name in samples if samples.count(name) > 1})
    if repeated:
        raise DataError(
            f"the counts have several rows named {listed(map(repr, repeated), 5)}.",
            "Each sample has a row of its own.",
            "Rename them, or add the reads of one sample's lanes up first.",
        )


def _numbers(wide: pd.DataFrame, samples: tuple[str, ...]) -> np.ndarray:
    """Return the counts as numbers, and refuse what cannot be reads."""
    numbers = wide.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    text = np.isnan(numbers) & wide.notna().to_numpy()
    bad = text | (numbers < 0) | np.isinf(numbers)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        first = wide.iloc[row, column]
        raise DataError(
            f"{bad.sum():,} counts are no numbers of reads, the first in sample '{samples[column]}': "
            f"{repr(first) if isinstance(first, str) else first}.",
            "Counts are numbers of reads, 0 or more, before any logarithm.",
            "Hand over the raw counts; a log fold change is computed from them.",
        )
    return np.asarray(numbers)


def no_column(frame: pd.DataFrame, what: str, wanted: str, names: Sequence[str]) -> DataError:
    """Word the lack of a column in a map."""
    columns = [str(column) for column in frame.columns]
    near = nearest(wanted, columns)
    return DataError(
        f"the {what} has no column of {wanted}s: {listed(map(repr, columns), 8)}.",
        f"It is called {listed(map(repr, names[:4]))}, in any case.",
        f"Rename '{near}'." if near else f"Add a column '{names[0]}'.",
    )
