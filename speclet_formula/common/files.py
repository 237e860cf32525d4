"""Tables in files, read and written, or a `DataError` that says why they cannot be.

The kind of a file is told by its name. What the columns mean is left to the rooms that read them. A file that is
written is never half written.
"""

import csv
import errno
import gzip
import os
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd

from speclet_formula.common.delimited import read_delimited
from speclet_formula.errors import DataError, nearest

_PACKED = ".gz"
_TEXT = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t", ".count": "\t", ".counts": "\t", ".foldchange": "\t"}
SEPARATORS = {f"{ending}{packed}": separator for ending, separator in _TEXT.items() for packed in ("", _PACKED)}
PARQUET = (".parquet", ".pq")
KINDS = f"{', '.join(_TEXT)} (also {_PACKED}), {', '.join(PARQUET)}"
# Kinds that are told by their names, before anything is opened; what holds no text is told by its bytes.
_OTHER = (".xlsx", ".xls", ".ods", ".rds", ".rda", ".rdata", ".h5", ".hdf5", ".h5ad", ".json", ".toml", ".zip", ".dta")
SORTED = "speclet_formula: sorted"  # of a frame's attrs: columns whose levels came without an order
_SNIFFED = 4096  # bytes that tell text from other files
MOST_OF_A_NAME = 40  # characters of a file's name in that of the one beside it: names end at 255 bytes
MOST_LINKS = 40  # that lead from one to the next, as systems have it
MOST_IN_MEMORY = 64 * 2**20


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
            return _read_parquet(existing(path))
        separator = promised_separator(path)
        return read_delimited(existing(path), separator)
    except (
        OSError,
        EOFError,
        ValueError,
        csv.Error,
    ) as error:  # pandas' and pyarrow's own errors of reading are ValueErrors
        raise unreadable(path, error) from error


def _read_parquet(path: Path) -> pd.DataFrame:
    from pyarrow import parquet

    frame = pd.read_parquet(path)
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    frame = frame.reset_index(named) if named else frame  # columns of the file all the same
    unordered = [field.name for field in parquet.read_schema(path) if has_no_order(field)]
    return without_order(frame, [name for name in unordered if name in frame.columns])


def has_no_order(field: Any) -> bool:
    """Tell whether a pyarrow field is one of polars' Categorical, whose levels stand as they first occurred."""
    return any(key.startswith(b"_PL_CATEGORICAL") for key in field.metadata or {})


def without_order(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Sort the levels of Categoricals that came without an order; `.attrs[SORTED]` tells which they are."""
    if not names:
        return frame
    sorted_ = {name: frame[name].cat.set_categories(sorted(frame[name].cat.categories)) for name in names}
    told = frame.assign(**sorted_)
    told.attrs[SORTED] = tuple(names)
    return told


def promised_separator(path: Path) -> str | None:
    """Return the separator that a text's name promises, None if its ending is another one.

    Raises
    ------
    DataError
        The ending is another one, and the file is no text.
    """
    name = path.name.lower().removesuffix(_PACKED)
    for ending, separator in _TEXT.items():
        if name.endswith(ending):
            return separator
    start = b""
    if not name.endswith(_OTHER):
        with (gzip.open if name != path.name.lower() else open)(existing(path), "rb") as file:
            start = file.read(_SNIFFED)
    if name.endswith(_OTHER) or (b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff"))):
        raise DataError(
            f"'{path}' is of a kind that cannot be read.",
            f"A table's file is text of separated columns or parquet: {KINDS}.",
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
        f"there is no file '{path}'."
        if not path.exists()
        else f"'{path}' is {'a folder' if path.is_dir() else 'no plain file'}.",
        "The path of a file is expected, from the folder where the command runs.",
        "That is a formula: the table comes first, the formula after it."
        if "~" in str(path).lstrip("~")
        else f"Nearest: '{folder / near}'."
        if near
        else "Check the spelling and the folder.",
    )


def unreadable(path: Path, error: Exception) -> DataError:
    """Word what a reader said about a file."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error).strip().split("\n")[0]
    return DataError(
        f"'{path}' cannot be read: {said.rstrip('.')}.",
        "A text file is UTF-8, with one line of column names; a parquet file is whole.",
        "Open it in what wrote it, and save it again.",
    )


def write_file(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table by the ending of its name, as `read_file` reads it; a name without a known one as CSV.

    Returns
    -------
    pathlib.Path
        The same.

    Raises
    ------
    DataError
        It cannot be written; a file that was there is as it was before.
    """
    name = path.name.lower()
    plain = frame.copy(deep=False)
    plain.attrs = {}  # the file holds the columns alone
    separator = next((separator for ending, separator in SEPARATORS.items() if name.endswith(ending)), ",")
    try:
        with replacing(path) as stream:
            if name.endswith(PARQUET):
                plain.to_parquet(stream)
            else:
                packed = "gzip" if name.endswith(".gz") else None
                plain.to_csv(stream, sep=separator, index=False, compression=packed)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, as a whole or not at all; a `DataError` says why it cannot be written."""
    try:
        with replacing(path) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Write beside the target and move the whole file into its place, so that none is ever half written.

    Links are followed and stay, a file's mode and owner too. What is no plain file, such as /dev/stdout or a pipe, is
    written to as soon as the whole is there. A file with a second name (a hard link) keeps its old content there.

    Raises
    ------
    OSError
        It is a folder, may not be written to, or the disk is full: then the file is as it was before.
    """
    straight = _straight(target)
    if straight is not None:
        with tempfile.SpooledTemporaryFile(max_size=MOST_IN_MEMORY) as whole:
            yield cast(BinaryIO, whole)
            whole.seek(0)
            with straight() as stream:
                shutil.copyfileobj(whole, stream)
        return
    place, known = Path(os.path.realpath(target)), _status(target)
    if known is not None and not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    beside = place.with_name(f".{place.name[:MOST_OF_A_NAME]}.{uuid.uuid4().hex}")
    try:
        with open(
            beside, "xb", opener=partial(os.open, mode=0o666 if known is None else known.st_mode & 0o777)
        ) as made:
            if known is not None:
                _as_before(made.fileno(), known)
            yield made
            made.flush()
            os.fsync(made.fileno())
        os.replace(beside, place)
    finally:
        beside.unlink(missing_ok=True)


def create_whole(target: Path, contents: bytes) -> None:
    """Write a file as a whole, unless there is one: of several processes the first one's stays.

    Raises
    ------
    OSError
        It cannot be written.
    """
    beside = target.with_name(f".{target.name[:MOST_OF_A_NAME]}.{uuid.uuid4().hex}")
    try:
        with beside.open("xb") as made:
            made.write(contents)
            made.flush()
            os.fsync(made.fileno())
        try:
            os.link(beside, target)  # unlike a move it takes nobody's place
        except FileExistsError:
            return
        except OSError:  # a file system without links
            if not target.exists():
                os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def _straight(target: Path) -> Callable[[], BinaryIO] | None:
    """Return what opens a target that is no plain file, and so cannot be replaced; None of one that can."""
    descriptor = _own_descriptor(target)
    if descriptor is not None:
        return partial(_reopened, descriptor)
    known = _status(target)
    if known is None or stat.S_ISREG(known.st_mode):
        return None
    if stat.S_ISDIR(known.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    return lambda: open(target, "wb")


def _reopened(descriptor: int) -> BinaryIO:
    """Open a descriptor of this process a second time, after what was printed to it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return os.fdopen(os.dup(descriptor), "wb")


def _own_descriptor(target: Path) -> int | None:
    """Return what /dev/stdout and its like stand for: opened by its name, a file that it leads to would be cut."""
    place = os.path.abspath(target)
    for _ in range(MOST_LINKS):
        folder, name = os.path.split(place)
        if os.path.realpath(folder) in ("/dev/fd", f"/proc/{os.getpid()}/fd") and name.isdecimal():
            return int(name)
        if not os.path.islink(place):
            return None
        place = os.path.join(folder, os.readlink(place))
    return None


def _status(target: Path) -> os.stat_result | None:
    """Return what is known of a file, through links; nothing of one that is not there yet."""
    try:
        return os.stat(target)
    except FileNotFoundError:
        return None


def _as_before(descriptor: int, known: os.stat_result) -> None:
    """Give a new file the owner and mode of the one that it will replace, as far as the system lets us."""
    if not hasattr(os, "fchown"):
        return
    with suppress(PermissionError):
        os.fchown(descriptor, known.st_uid, known.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(known.st_mode))


def unwritable(path: Path, error: OSError) -> DataError:
    """Word what a system said about a file that was to be written."""
    return DataError(
        f"'{path}' cannot be written: {error.strerror or error}.",
        "It needs the name of a file in a folder that exists and can be written to, and room on the disk.",
        "Make the folder or room, or choose another name.",
    )
