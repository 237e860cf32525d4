"""Tables of any kind as frames, their columns by the many names that the field's programs have for them, and findings.

MAGeCK, BAGEL, Chronos, JACKS, CRISPRcleanR, pyCROQUET, DepMap's files and Addgene's library tables each have names of
their own.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.files import read_file
from speclet_formula.design.numbers import refuse_lost_digits
from speclet_formula.design.tables import as_pandas
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, listed, nearest

# Names in small letters with "_" for what is between words; the most usual come first.
SEQUENCES = (
    "sequence", "seq", "sgrna_sequence", "sgrna_target_sequence", "sgrna_seqs", "guide_sequence", "grna_sequence",
    "target_sequence", "barcode_sequence", "spacer", "protospacer",
)  # fmt: skip
GUIDES = (
    "sgrna", "guide", "guide_id", "grna", "reagent_id", "sgrna_id", "sgrna_ids", "grna_id", "grnaid", "sgrnaid",
    "guide_name", "guide_rna", "sgrna_name", "seqid", "uid", "code", "construct_id", "construct_barcode", *SEQUENCES,
)  # fmt: skip
GENES = (
    "gene", "genes", "gene_symbol", "genesymbol", "symbol", "target_gene", "target_gene_symbol", "gene_name",
    "hgnc_symbol", "hugo_symbol", "gene_id", "geneid", "gene_pair_id", "targetgene", "target",
)  # fmt: skip
SCREENS = ("screen_id", "screenid", "profile_id", "profileid")  # of several sequences
SAMPLES = (
    "sample", "sequence_id", "sample_id", "sequenceid", "sample_name", "samples", "replicate_id", "replicate", *SCREENS,
)  # fmt: skip
LINES = (
    "cell_line", "cell_line_name", "cellline", "line", "model", "model_id", "modelid", "depmap_id", "broad_id",
    "cell_line_id",
)  # fmt: skip
REPLICATES = ("replicate", "rep", "replicate_id", "replicate_label")
REFERENCES = ("reference", "is_reference", "initial", "control_sample")
BATCHES = ("pdna_batch", "pdnabatch", "batch", "reference_batch")
SCREEN_TYPES = ("screen_type", "screentype")
_SHORTEST = 15  # letters of a sequence
COLUMNS = ("finding", "unit", "n", "what", "done", "examples")
_NAMED = 5


@dataclass(frozen=True)
class Notes:
    """What was found so far."""

    rows: list[tuple[str, str, int, str, str, str]] = field(default_factory=list)

    def add(self, finding: str, unit: str, names: Iterable[object], what: str, done: str) -> None:
        """Note a finding about the named things; `{n}` in `what` stands for how many there are. None is no finding."""
        found = list(names)
        if found:
            text = what.replace("{n}", f"{len(found):,}")
            self.rows.append((finding, unit, len(found), text, done, listed(found, _NAMED)))

    def say(self, finding: str, unit: str, n: int, what: str, done: str) -> None:
        """Note a finding whose things have no names of their own."""
        self.rows.append((finding, unit, n, what, done, ""))

    def frame(self) -> pd.DataFrame:
        """Return the findings as a table."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))


def read_frame(given: Any, what: str, notes: Notes) -> pd.DataFrame:
    """Return a table from a path or from any kind of frame, the index as a column where it has names."""
    if given is None:
        raise DataError(
            f"there is no {what}.",
            "A pandas, polars or pyarrow table is expected, a dictionary of columns, or the path of a file.",
            f"Hand it over as {what}=.",
        )
    if isinstance(given, str | Path):
        given = read_file(Path(given))
        for sentence in given.attrs.pop("read", ()):
            notes.say("file", "files", 1, f"The file of {what}: {sentence}", "Read so.")
    named = isinstance(given, pd.DataFrame) and not isinstance(given.index, pd.RangeIndex)
    if named and not pd.api.types.is_numeric_dtype(given.index.dtype):
        names = [name or "index" for name in given.index.names]
        given = given.rename_axis(names).reset_index()
    frame = as_pandas(given)
    repeated = frame.columns[frame.columns.duplicated()].astype(str).unique().tolist()
    if repeated:
        raise DataError(
            f"the {what} have several columns named {listed(map(repr, repeated), 5)}.",
            "Each sample has a column of its own." if what == "counts" else "Each column has a name of its own.",
            "Rename them, or add the reads of one sample's lanes up first."
            if what == "counts"
            else "Rename or drop one.",
        )
    empty = [name for name in frame if _has_no_name(name) and frame[name].isna().all()]
    if empty:
        notes.say("file", "files", 1, f"The {what} have {len(empty):,} columns without a name or a cell, as of "
                  "separators at the ends of lines.", "Left out.")  # fmt: skip
    return frame.drop(columns=empty)


def _has_no_name(name: object) -> bool:
    return str(name).startswith("Unnamed:") or not str(name).strip()


def labels_of(column: pd.Series) -> pd.Series:
    """Return the names in a column as text, missing ones as such: of guides, genes, samples, lines and the like.

    A whole number is named without its ".0".

    Raises
    ------
    DataError
        The column holds what is no name, or numbers whose last digits were lost.
    """
    if isinstance(column.dtype, pd.StringDtype):
        return column.astype(object)
    values = column.astype(object)
    kinds = {type(value) for value in values.dropna()}
    odd = sorted(kind.__name__ for kind in kinds if not issubclass(kind, (str, bool, np.bool_, Number, date)))
    if odd:
        raise DataError(
            f"column '{column.name}' holds values of type {odd[0]}, which are no names.",
            "Names are text, or numbers.",
            "Write them as text.",
        )
    if column.dtype.kind == "f":
        refuse_lost_digits(column.dropna().to_numpy(), str(column.name))
    return values.map(label_of, na_action="ignore")


def text_of_labels(column: pd.Series) -> pd.Series:
    """Return the names in a column as text, "" for a missing one."""
    return labels_of(column).fillna("")


def plain_name(column: object) -> str:
    """Return a column's name as the lists above have it."""
    return re.sub(r"[\s.\-]+", "_", str(column).strip().lstrip("#").lower())


def found_columns(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the frame's columns that bear one of the names, in the order of the names."""
    by_name = {plain_name(column): str(column) for column in frame.columns[::-1]}
    return [by_name[name] for name in names if name in by_name]


def find_column(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    """Return the first of `found_columns`; None if there is none."""
    return next(iter(found_columns(frame, names)), None)


def best_column(frame: pd.DataFrame, names: Sequence[str], wanted: Iterable[object]) -> tuple[str | None, int]:
    """Return the column with one of the names that has most of the wanted values, and how many these are."""
    known = set(map(str, wanted))
    shared = [(len(known & set(labels_of(frame[column]))), column) for column in found_columns(frame, names)]
    if not shared:
        return None, 0
    most = max(n for n, _ in shared)
    return next(column for n, column in shared if n == most), most


def names_of_genes(frame: pd.DataFrame, aside: Iterable[str]) -> list[str]:
    """Return the first column of text that can name genes, whatever it is called; none if there is none.

    Sequences cannot, nor what is another name for each row.
    """
    taken = set(aside)
    for name in frame:
        column = frame[name].dropna()
        if str(name) in taken or is_numeric(column) or column.nunique() in (0, len(frame)):
            continue
        if not column.astype(str).head(100).map(is_sequence).all():
            return [str(name)]
    return []


def is_sequence(text: str) -> bool:
    """Tell the sequence of a guide from a name: so many letters, and none but A, C, G and T."""
    return len(text) >= _SHORTEST and set(text.upper()) <= set("ACGT")


def is_numeric(column: pd.Series) -> bool:
    """Tell whether a column holds numbers, truth values aside."""
    return bool(pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype))


def no_column(frame: pd.DataFrame, what: str, wanted: str, names: Sequence[str]) -> DataError:
    """Word the lack of a column in a map."""
    columns = [str(column) for column in frame.columns]
    near = nearest(wanted, columns)
    return DataError(
        f"the {what} has no column of {wanted}s: {listed(map(repr, columns), 8)}.",
        f"It is called {listed(map(repr, names[:4]))}, in any case.",
        f"Rename '{near}'." if near else f"Add a column '{names[0]}'.",
    )
