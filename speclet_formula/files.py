"""The path of a table goes in; a pandas frame comes out, or a `DataError` that says why the file cannot be read.

The kind of a file is told by its name. What the columns mean is left to the rooms that read them. A file that is
written is never half written.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from speclet_formula.errors import DataError, nearest

SEPARATORS = {
    ".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t", ".txt": "\t", ".txt.gz": "\t",
}  # fmt: skip
PARQUET = (".parquet", ".pq")
KINDS = ", ".join((*SEPARATORS, *PARQUET))


def read_file(path: Path) -> pd.DataFrame:
    """Read a table by the ending of its name.

    Parameters
    ----------
    path : pathlib.Path
        A file whose name ends in one of `KINDS`; text that ends in .gz is unpacked.

    Returns
    -------
    pandas.DataFrame
        The table as it is in the file, repeated column names included.

    Raises
    ------
    DataError
        There is no such file, it is of another kind or cannot be read.
    """
    name = path.name.lower()
    separator = next((separator for ending, separator in SEPARATORS.items() if name.endswith(ending)), None)
    if separator is None and not name.endswith(PARQUET):
        raise DataError(
            f"'{path}' is of a kind that cannot be read.",
            f"The name of a table's file ends in one of {KINDS}.",
            "Rename it if it is one of these, or write it anew as CSV.",
        )
    try:
        return _read_text(existing(path), separator) if separator else pd.read_parquet(existing(path))
    except (OSError, EOFError, ValueError) as error:  # pandas' and pyarrow's own errors of reading are ValueErrors
        raise unreadable(path, error) from error


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    """Read separated text; a repeated column keeps its name, so that a formula that uses it is refused."""
    frame = pd.read_csv(path, sep=separator, low_memory=False)
    header = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False)
    names = header.iloc[0].tolist()
    if len(names) == frame.shape[1]:
        frame.columns = pd.Index([name or made for name, made in zip(names, frame.columns, strict=True)])
    return frame


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
