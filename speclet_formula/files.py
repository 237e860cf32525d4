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
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

import pandas as pd

from speclet_formula.errors import DataError, nearest

SEPARATORS = {
    ".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t", ".txt": "\t", ".txt.gz": "\t",
}  # fmt: skip
PARQUET = (".parquet", ".pq")
KINDS = ", ".join((*SEPARATORS, *PARQUET))
_MARK = "\ufeff"  # of byte order, which pandas takes off
_HEAD = 200  # lines in which a header is looked for
_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", r"\s+": "spaces"}


@dataclass(frozen=True)
class _Head:
    """How a text file starts."""

    separator: str
    skipped: int  # lines of comment before the header
    encoding: str
    said: tuple[str, ...]  # what is not as the name promises, as sentences


def read_file(path: Path, *, loose: bool = False) -> pd.DataFrame:
    """Read a table by the ending of its name.

    Parameters
    ----------
    path : pathlib.Path
        A file whose name ends in one of `KINDS`; text that ends in .gz is unpacked.
    loose : bool
        Read text as screens' programs and spreadsheets write it, too: comment lines that start with "#" above the
        header, another separator than the name promises, UTF-16. What was met is told in `.attrs["read"]`.

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
        if separator is None:
            return pd.read_parquet(existing(path))
        return _read_text(existing(path), _head(path, separator) if loose else _Head(separator, 0, "utf-8", ()))
    except (
        OSError,
        EOFError,
        ValueError,
        csv.Error,
    ) as error:  # pandas' and pyarrow's own errors of reading are ValueErrors
        raise unreadable(path, error) from error


def _read_text(path: Path, head: _Head) -> pd.DataFrame:
    """Read separated text; a repeated column keeps its name, so that a formula that uses it is refused."""
    how = {"sep": head.separator, "skiprows": head.skipped, "encoding": head.encoding}
    frame = pd.read_csv(path, low_memory=False, **how)
    names = _header(path, head)
    if len(names) == frame.shape[1]:
        frame.columns = pd.Index([name or made for name, made in zip(names, frame.columns, strict=True)])
    if head.said:
        frame.attrs["read"] = head.said
    return frame


def _header(path: Path, head: _Head) -> list[str]:
    """Return the names of the columns as they are in the file; pandas numbers those that are repeated."""
    with _opened(path, head.encoding) as file:
        lines = (line.removeprefix(_MARK) for line in islice(file, head.skipped, None) if line.strip())
        if head.separator == r"\s+":
            return next(lines, "").split()
        return next(csv.reader(lines, delimiter=head.separator), [])


def _opened(path: Path, encoding: str, errors: str = "strict") -> TextIO:
    """Open text, packed or not."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding=encoding, errors=errors, newline="")
    return path.open(encoding=encoding, errors=errors, newline="")


def _head(path: Path, separator: str) -> _Head:
    """Look at the first lines of a file: its encoding, its comments, and what stands between its columns."""
    with _opened(existing(path), "latin-1") as file:
        encoding = "utf-16" if file.read(2) in ("\xff\xfe", "\xfe\xff") else "utf-8"
    with _opened(path, encoding, "replace") as file:
        lines = [line.rstrip("\r\n").removeprefix(_MARK) for line in islice(file, _HEAD)]
    comments = next((place for place, line in enumerate(lines) if not line.startswith("#")), 0)
    rest = lines[comments:]
    found = _separator(rest[:2], separator)
    # The last line with a "#" is the header if it has as many columns as the row after it: "#id<TAB>sgrna_ids".
    is_header = comments > 0 and _fields(lines[comments - 1], found) == _fields(rest[0], found) > 1
    skipped = comments - is_header
    said = [f"{skipped:,} lines of comment stand above the header."] if skipped else []
    if found != separator:
        said.append(f"Columns are separated by {_WORDS[found]}, not by {_WORDS[separator]} as the name promises.")
    if encoding == "utf-16":
        said.append("The text is UTF-16.")
    return _Head(found, skipped, encoding, tuple(said))


def _separator(lines: list[str], promised: str) -> str:
    """Return the promised separator, or the one that a header without it has."""
    if not lines or promised in lines[0]:
        return promised
    choices = [one for one in ("\t", ",", ";", r"\s+") if _fields(lines[0], one) > 1]
    same = [one for one in choices if all(_fields(line, one) == _fields(lines[0], one) for line in lines[1:])]
    return same[0] if same else promised


def _fields(line: str, separator: str) -> int:
    return len(line.split(None if separator == r"\s+" else separator))


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
