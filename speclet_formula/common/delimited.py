"""Texts of separated columns, read so that each cell stands under its own name.

Separator, comments and encoding are found from the first lines. Lines of other lengths than the header are refused, and
names that only look like numbers, "00001", stay text. Which files are text is left to `files`.
"""

import csv
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed

_MARK = "\ufeff"  # of byte order, which pandas takes off
_HEAD = 200  # lines in which a header is looked for
_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", r"\s+": "spaces"}
_PADDED = re.compile(
    r"""0(?<=[\s,;"']0)\d"""
)  # a cell that starts with "00" or "01": searched for from its zero, quick
_WHOLE, _ZEROS = re.compile(r"[+-]?\d+"), re.compile(r"[+-]?0\d+")
_CHUNK = 2**22  # characters that are looked through at a time
_MISSING = ("", "#N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")  # as pandas has them
_EXACT = 2**53  # from here on a double has no room for every whole number
_SHOWN = 3


@dataclass(frozen=True)
class Head:
    """How a text file starts."""

    separator: str
    skipped: int  # lines of comment before the header
    encoding: str
    said: tuple[str, ...]  # what is not as the name promises, as sentences


def read_delimited(path: Path, promised: str | None) -> pd.DataFrame:
    """Read a text of separated columns.

    Parameters
    ----------
    path : pathlib.Path
        Of a file that is there; one whose name ends in .gz is unpacked.
    promised : str or None
        The separator that the file's name promises; None if it promises nothing.

    Returns
    -------
    pandas.DataFrame
        The table as it is in the file, repeated column names included. What is not as promised is told in
        `.attrs["read"]`.

    Raises
    ------
    DataError
        Lines have more cells than the header, or fewer.
    """
    head = head_of(path, promised)
    names = _header(path, head)
    first = next(_records(path, head), None)
    if first is not None and len(first[1]) > len(names):
        raise _ragged(path, head, names)
    how = {"sep": head.separator, "skiprows": head.skipped, "encoding": head.encoding}
    try:
        frame = pd.read_csv(path, low_memory=False, **how)
    except pd.errors.ParserError as error:
        raise _ragged(path, head, names, error) from error
    if frame.shape[1] and frame.iloc[:, -1].isna().any():  # as that of a line that is too short must be
        ragged = _uneven(path, head, names)
        if ragged:
            raise _uneven_lines(path, names, ragged)
    if len(names) == frame.shape[1]:
        frame.columns = pd.Index([name or made for name, made in zip(names, frame.columns, strict=True)])
    frame = _as_written(frame, path, head)
    if head.said:
        frame.attrs["read"] = head.said
    return frame


# --- how the file starts ----------------------------------------------------------------------------------------------


def head_of(path: Path, promised: str | None) -> Head:
    """Look at the first lines of a file: its encoding, its comments, and what stands between its columns."""
    with _opened(path, "latin-1") as file:
        encoding = "utf-16" if file.read(2) in ("\xff\xfe", "\xfe\xff") else "utf-8"
    with _opened(path, encoding, "replace") as file:
        lines = [line.rstrip("\r\n").removeprefix(_MARK) for line in islice(file, _HEAD)]
    if any("\0" in line for line in lines):
        raise DataError(
            f"'{path}' holds characters that are no text (NUL).",
            "A text file is UTF-8, or UTF-16 with its mark of byte order.",
            "Open it in what wrote it, and save it as UTF-8.",
        )
    comments = next((place for place, line in enumerate(lines) if not line.startswith("#")), 0)
    rest = lines[comments:]
    found = _separator(rest[:2], promised or "\t")
    # The last line with a "#" is the header if it has as many columns as the row after it: "#id<TAB>sgrna_ids".
    is_header = comments > 0 and _fields(lines[comments - 1], found) == _fields(rest[0], found) > 1
    skipped = comments - is_header
    said = [f"{skipped:,} lines of comment stand above the header."] if skipped else []
    if promised is not None and found != promised:
        said.append(f"Columns are separated by {_WORDS[found]}, not by {_WORDS[promised]} as the name promises.")
    if encoding == "utf-16":
        said.append("The text is UTF-16.")
    return Head(found, skipped, encoding, tuple(said))


def _separator(lines: list[str], promised: str) -> str:
    """Return the promised separator, or the one that a header without it has."""
    if not lines or promised in lines[0]:
        return promised
    counts = {one: [_fields(line, one) for line in lines] for one in ("\t", ",", ";", r"\s+")}
    choices = [one for one, (names, *_) in counts.items() if names > 1]
    # As many cells as names; else one more, as under R's header without a name for the rows, which is then refused.
    for more in (0, 1):
        for one in choices:
            names, *cells = counts[one]
            if all(number == names + more for number in cells):
                return one
    return promised


def _fields(line: str, separator: str) -> int:
    text, delimiter = (" ".join(line.split()), " ") if separator == r"\s+" else (line, separator)
    return len(next(csv.reader([text], delimiter=delimiter), []))


def _opened(path: Path, encoding: str, errors: str = "strict") -> TextIO:
    """Open text, packed or not."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding=encoding, errors=errors, newline="")
    return path.open(encoding=encoding, errors=errors, newline="")


# --- its lines --------------------------------------------------------------------------------------------------------


def _header(path: Path, head: Head) -> list[str]:
    """Return the names of the columns as they are in the file; pandas numbers those that are repeated."""
    return next(_lines(path, head), (0, []))[1]


def _records(path: Path, head: Head) -> Iterator[tuple[int, list[str]]]:
    """Go through the rows below the header: the number of the line where each ends, and its cells."""
    return islice(_lines(path, head), 1, None)


def _lines(path: Path, head: Head) -> Iterator[tuple[int, list[str]]]:
    with _opened(path, head.encoding) as file:
        rest = (line.removeprefix(_MARK) for line in islice(file, head.skipped, None))
        spaced = head.separator == r"\s+"
        if spaced:
            rest = (" ".join(line.split()) for line in rest)
        reader = csv.reader(rest, delimiter=" " if spaced else head.separator)
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):  # a blank line is no row
                yield head.skipped + reader.line_num, cells


def _uneven(path: Path, head: Head, names: list[str]) -> list[tuple[int, int]]:
    """Return the numbers of the lines whose cells are not as many as the header's names, and how many they are."""
    return [(line, len(cells)) for line, cells in _records(path, head) if len(cells) != len(names)]


def _ragged(path: Path, head: Head, names: list[str], error: Exception | None = None) -> Exception:
    """Return the error of uneven lines, or the reader's own where that is not what is wrong."""
    uneven = _uneven(path, head, names)
    return _uneven_lines(path, names, uneven) if uneven or error is None else error


def _uneven_lines(path: Path, names: list[str], lines: list[tuple[int, int]]) -> DataError:
    longer = [line for line in lines if line[1] > len(names)]
    shown = listed([f"line {line} ({cells})" for line, cells in lines], _SHOWN)
    count = f"{len(lines):,} lines do" if len(lines) > 1 else "a line does"
    return DataError(
        f"'{path}' has {len(names)} names in its header, and {count} not have {len(names)} cells: {shown}.",
        f"Each line has one cell for each name ({listed(map(repr, names), 6)}); an empty cell has its separator too.",
        "Often the first column has no name (R: write.table(..., row.names = FALSE)), each line ends in a separator, "
        "or numbers have decimal commas: mend it where the file was written."
        if longer
        else "Often a cell is left out with its separator, quotes stand around two cells, or a note below the table: "
        "mend these lines.",
    )


# --- its cells --------------------------------------------------------------------------------------------------------


def _as_written(frame: pd.DataFrame, path: Path, head: Head) -> pd.DataFrame:
    """Give columns back what reading them as numbers took: the zeros of names, the last digits of long numbers."""
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    whole = [place for place, column in enumerate(columns) if _is_whole(column)]
    long = [place for place, column in enumerate(columns) if _is_long(column)]
    doubtful = sorted({*long, *(whole if has_padding(path, head) else [])})
    if not doubtful:
        return frame
    how = {"sep": head.separator, "skiprows": head.skipped, "encoding": head.encoding}
    text = pd.read_csv(path, usecols=doubtful, dtype=str, low_memory=False, **how)
    found: dict[int, pd.Series] = {}
    for place, name in zip(doubtful, text.columns, strict=True):
        cells = text[name].str.strip()
        if not cells.dropna().map(lambda cell: bool(_WHOLE.fullmatch(cell))).all():
            continue  # numbers with decimals, as doubles have them
        if cells.dropna().map(lambda cell: bool(_ZEROS.fullmatch(cell))).any():
            found[place] = cells
        elif place in long:
            found[place] = exact_whole_numbers(cells)
    mended = [found.get(place, column) for place, column in enumerate(columns)]
    return pd.concat(mended, axis=1).set_axis(frame.columns, axis=1)


def exact_whole_numbers(cells: pd.Series) -> pd.Series:
    """Return text of whole numbers as integers, missing ones among them; as Python's where 64 bits are too few."""
    values = [None if pd.isna(cell) else int(cell) for cell in cells]
    fits = all(value is None or -(2**63) <= value < 2**63 for value in values)
    return pd.Series(values, index=cells.index, dtype="Int64" if fits else object)


def _is_whole(column: pd.Series) -> bool:
    if column.dtype.kind in "iu":
        return True
    if column.dtype.kind != "f":
        return False
    values = column.dropna().to_numpy()
    return bool(len(values) and np.isfinite(values).all() and (values % 1 == 0).all())


def _is_long(column: pd.Series) -> bool:
    """Tell whether whole numbers lost digits as doubles, or, too large for 64 bits beside a missing cell, were left."""
    if column.dtype.kind == "f":
        return _is_whole(column) and bool((column.abs() >= _EXACT).any())
    if not pd.api.types.is_string_dtype(column.dtype):
        return False
    first = next((cell for cell in column if isinstance(cell, str) and cell not in _MISSING), "")
    return bool(_WHOLE.fullmatch(first))


def has_padding(path: Path, head: Head) -> bool:
    """Tell whether some cell of a text starts as names with leading zeros do."""
    with _opened(path, head.encoding) as file:
        before = "\n"
        while piece := file.read(_CHUNK):
            if _PADDED.search(before + piece):
                return True
            before = piece[-2:]
    return False
