"""The path of a table goes in; a pandas frame comes out, or a `DataError` that says why the file cannot be read.

The kind of a file is told by its name. What the columns mean is left to the rooms that read them. A file that is
written is never half written.
"""

import csv
import gzip
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from speclet_formula.delimited import read_delimited
from speclet_formula.errors import DataError, nearest

SEPARATORS = {
    ".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t", ".count": "\t", ".counts": "\t", ".foldchange": "\t",
}  # fmt: skip
PARQUET = (".parquet", ".pq")
_PACKED = ".gz"
# Kinds that are told by their names, before anything is opened; what holds no text is told by its bytes.
_OTHER = (".xlsx", ".xls", ".ods", ".rds", ".rda", ".rdata", ".h5", ".hdf5", ".h5ad", ".json", ".toml", ".zip", ".dta")
_SNIFFED = 4096  # bytes that tell text from other files


def read_file(path: Path) -> pd.DataFrame:
    """Read a table: parquet by the ending of its name, and text as programs and spreadsheets write it.

    Parameters
    ----------
    path : pathlib.Path
        A parquet file, or text of separated columns; text whose name ends in .gz is unpacked. Where the name promises
        another separator than the file has, or none, it is found from the first lines; comment lines that start with
        "#" may stand above the header, and the text may be UTF-16. What is not as promised is told in `.attrs["read"]`.

    Returns
    -------
    pandas.DataFrame
        The table as it is in the file, repeated column names included; names with leading zeros, "00001", are text.

    Raises
    ------
    DataError
        There is no such file, it is of another kind, lines are longer or shorter than the header, or it cannot be read.
    """
    name = path.name.lower()
    try:
        if name.endswith(PARQUET):
            return pd.read_parquet(existing(path))
        separator = promised_separator(path)
        return read_delimited(existing(path), separator)
    except (
        OSError,
        EOFError,
        ValueError,
        csv.Error,
    ) as error:  # pandas' and pyarrow's own errors of reading are ValueErrors
        raise unreadable(path, error) from error


def promised_separator(path: Path) -> str | None:
    """Return the separator that a text's name promises, None if its ending is another one.

    Raises
    ------
    DataError
        The ending is another one, and the file is no text.
    """
    name = path.name.lower().removesuffix(_PACKED)
    for ending, separator in SEPARATORS.items():
        if name.endswith(ending):
            return separator
    start = b""
    if not name.endswith(_OTHER):
        with (gzip.open if name != path.name.lower() else open)(existing(path), "rb") as file:
            start = file.read(_SNIFFED)
    if name.endswith(_OTHER) or (b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff"))):
        raise DataError(
            f"'{path}' is of a kind that cannot be read.",
            f"A table is text of separated columns ({', '.join(SEPARATORS)}, also {_PACKED}) or parquet "
            f"({', '.join(PARQUET)}).",
            "Open it in what wrote it, and save it as CSV.",
        )
    return None


def existing(path: Path) -> Path:
    """Return the path of a file that is there."""
    if path.is_file():
        return path
    folder = path.parent
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file()) if folder.is_dir() else []
    near = nearest(path.name, names)
    raise DataError(
        f"there is no file '{path}'." if not path.exists() else f"'{path}' is a folder.",
        "The path of a file is expected, from the folder where the command runs.",
        f"Nearest: '{folder / near}'." if near else "Check the spelling and the folder.",
    )


def unreadable(path: Path, error: Exception) -> DataError:
    """Word what a reader said about a file."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error).strip().split("\n")[0]
    return DataError(
        f"'{path}' cannot be read: {said.rstrip('.')}.",
        "A text file is UTF-8, with one line of column names; a parquet file is whole.",
        "Open it in what wrote it, and save it again.",
    )


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Write beside the target and move the whole file into its place, so that none is ever half written."""
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
