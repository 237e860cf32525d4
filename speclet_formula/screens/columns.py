"""Tables of any kind go in; frames come out, and the columns in them that the field's programs call by many names.

MAGeCK, BAGEL, Chronos, JACKS, CRISPRcleanR, pyCROQUET, DepMap's files and Addgene's library tables each have names of
their own. What the columns mean together is left to `layouts`, `libraries` and `maps`.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.design.tables import as_pandas
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.files import read_file
from speclet_formula.screens.notes import Notes

# Names in small letters with "_" for what is between words; the most usual come first.
SEQUENCES = (
    "sequence", "seq", "sgrna_sequence", "sgrna_target_sequence", "sgrna_seqs", "guide_sequence", "grna_sequence",
    "target_sequence", "barcode_sequence", "spacer", "protospacer",
)  # fmt: skip
GUIDES = (
    "sgrna", "guide", "guide_id", "grna", "reagent_id", "sgrna_id", "sgrna_ids", "grna_id", "grnaid", "sgrnaid",
    "guide_name", "guide_rna", "sgrna_name", "seqid", "uid", "code", "construct_id", *SEQUENCES,
)  # fmt: skip
GENES = (
    "gene", "genes", "gene_symbol", "genesymbol", "symbol", "target_gene", "target_gene_symbol", "gene_name",
    "hgnc_symbol", "hugo_symbol", "gene_id", "gene_pair_id", "targetgene",
)  # fmt: skip
SAMPLES = ("sample", "sequence_id", "sample_id", "sequenceid", "sample_name", "samples", "replicate_id", "replicate")
LINES = (
    "cell_line", "cell_line_name", "cellline", "line", "model", "model_id", "modelid", "depmap_id", "broad_id",
    "cell_line_id",
)  # fmt: skip
REPLICATES = ("replicate", "rep", "replicate_id", "replicate_label")
REFERENCES = ("reference", "is_reference", "initial", "control_sample")
BATCHES = ("pdna_batch", "pdnabatch", "batch", "reference_batch")
SCREEN_TYPES = ("screen_type", "screentype")


def read_frame(given: Any, what: str, notes: Notes) -> pd.DataFrame:
    """Return a table from a path or from any kind of frame, the index as a column where it has names.

    Raises
    ------
    DataError
    """
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
        column = given.index.name or "index"
        return given.rename_axis(column).reset_index()
    return as_pandas(given)


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
    shared = [(len(known & set(frame[column].astype(str))), column) for column in found_columns(frame, names)]
    if not shared:
        return None, 0
    most = max(n for n, _ in shared)
    return next(column for n, column in shared if n == most), most


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
