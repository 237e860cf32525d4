"""The path of a table goes in; a pandas frame comes out, or a `DataError` that says why the file cannot be read.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import pandas as pd

from speclet_formula.errors import DataError, nearest

SEPARATORS = {
    ".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t", ".txt": "\t", ".txt.gz": "\t",
}  # fmt: skip
PARQUET = (".parquet", ".pq")
KINDS = ", ".join((*SEPARATORS, *PARQUET))
_MARK = "\ufeff"  # of byte order, which pandas takes off
_HEAD = 200  # lines in which a header is looked for
MOST_OF_A_NAME = 40  # characters of a file's name in that of the one beside it: names end at 255 bytes
MOST_LINKS = 40  # that lead from one to the next, as systems have it
MOST_IN_MEMORY = 64 * 2**20
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
        f"there is no file '{path}'."
        if not path.exists()
        else f"'{path}' is {'a folder' if path.is_dir() else 'no plain file'}.",
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


def write_file(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table by the ending of its name, as `read_file` reads it; a name without a known one as CSV.

    Parameters
    ----------
    frame : pandas.DataFrame
    path : pathlib.Path

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

    Parameters
    ----------
    target : pathlib.Path

    Yields
    ------
    binary stream

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
