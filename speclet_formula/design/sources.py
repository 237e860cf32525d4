"""Files of a table as parts that any process can read by itself: which there are, and whether their columns agree.

A part is a file, or some row groups of a large Parquet file. Which parts there are depends on the files alone, so that
a table is the same however many processes read it. What the columns mean is left to `tables`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from speclet_formula.common.delimited import has_padding, head_of
from speclet_formula.common.files import promised_separator
from speclet_formula.errors import DataError, listed

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "ipc",
    ".ipc": "ipc",
}
LOOKED_THROUGH = 2**30  # bytes of text that are looked through for names such as "001"; of more the first block decides
ROWS_OF_A_PART = 2**22  # of a large Parquet file, from which on the next row group begins another part
WILD = "*?["
SOURCES = (
    "scan() takes the path of a file or folder, a list of paths or a pattern such as 'screens/*.parquet', a pyarrow "
    "Dataset or a LazyFrame of polars 1.34 or newer."
)
TEXT = "text"  # a column of labels that have no order of their own
_EXACT = 2**53  # beyond it a float has no room for every whole number


@dataclass(frozen=True, eq=False)
class FilePart:
    """A file, or some of a Parquet file's row groups: small, so that it can be sent to another process."""

    path: str
    form: Any  # pyarrow's FileFormat
    schema: Any  # the file's own
    groups: tuple[int, ...] | None = None  # row groups of a Parquet file
    start: int = 0  # how many of the file's rows stand before it
    empty: bool = False  # whether the file has no rows


@dataclass(frozen=True, eq=False)
class Files:
    """The files of one table.

    Attributes
    ----------
    parts : tuple of FilePart
        In the order of the files and of their rows.
    """

    parts: tuple[FilePart, ...]

    @property
    def several(self) -> bool:
        """Whether there is more than one file."""
        return len({part.path for part in self.parts}) > 1

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that some file has."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.schema.names))

    def types_of(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the one type that each column is read as.

        Parameters
        ----------
        names : sequence of str

        Returns
        -------
        dict
            pyarrow's type, or `TEXT`, by column.

        Raises
        ------
        DataError
            A file lacks a column, or has it in another type; the file is named.
        """
        by_file = {part.path: part.schema for part in self.parts if not part.empty}
        by_file = by_file or {part.path: part.schema for part in self.parts}
        return {name: _one_type(name, by_file) for name in names}


def open_files(source: Any) -> tuple[Files, str]:
    """Find the files of a table.

    Parameters
    ----------
    source : str, Path, or sequence of them
        Of a file or a folder, or a pattern with "*" in it.

    Returns
    -------
    files : Files
    name : str
        What the table is called in messages.

    Raises
    ------
    DataError
        There is no such file, it cannot be read, or it is given twice.
    """
    given = [source] if isinstance(source, str | Path) else list(source)
    paths = [path for one in given for path in _paths_of(one)]
    if not paths:
        raise DataError("the list of files is empty.", SOURCES, "Check what made the list.")
    twice = next((path for path in paths if paths.count(path) > 1), None) if len(set(paths)) < len(paths) else None
    if twice is not None:
        raise DataError(
            f"the file '{twice}' is given twice.", "Each file's rows are read once.", "Leave it out of the list."
        )
    parts = tuple(part for path in paths for part in _parts_of(path))
    name = f"'{source}'" if isinstance(source, str | Path) else listed([f"'{path}'" for path in paths], 3)
    return Files(parts), name


def _paths_of(source: Any) -> list[Path]:
    """Return the files that a path, a folder or a pattern stands for, in the order of their names."""
    if not isinstance(source, str | Path):
        raise DataError(
            f"the list of files has a {type(source).__name__} in it.", SOURCES, "List paths, such as 'screen.parquet'."
        )
    path = Path(source)
    if path.is_dir():
        return [Path(name) for name in _dataset(path, "parquet").files]
    if path.exists():
        return [path]
    if not any(sign in str(source) for sign in WILD):
        raise DataError(f"there is no file '{path}'.", SOURCES, "Check the path.")
    found = [Path(name) for name in sorted(glob(str(path), recursive=True)) if Path(name).is_file()]
    if not found:
        raise DataError(f"no file's name matches '{path}'.", SOURCES, "Check the path and the pattern.")
    return found


def _dataset(path: Path, kind: str) -> Any:
    """Open files that tell their columns."""
    import pyarrow as pa
    from pyarrow import dataset

    try:
        return dataset.dataset(path, format=kind)
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        raise unreadable(f"'{path}'", error) from error


def _parts_of(path: Path) -> Iterator[FilePart]:
    """Open one file."""
    import pyarrow as pa

    kind = FORMATS.get(path.suffix.lower())
    # What lies in a folder of Parquet files is one, whatever it is called.
    form = kind or ("parquet" if _begins_as_parquet(path) else None)
    try:
        if form == "parquet":
            yield from _row_groups(path)
        elif form is not None:
            found = _dataset(path, form)
            yield FilePart(str(path), found.format, found.schema)
        else:
            yield _text(path)
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        raise unreadable(f"'{path}'", error) from error


def _begins_as_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _row_groups(path: Path) -> Iterator[FilePart]:
    """Divide a Parquet file into parts of some million rows."""
    found = _dataset(path, "parquet")
    fragment = next(iter(found.get_fragments()))
    groups: list[int] = []
    start = held = 0
    for group in fragment.row_groups:
        groups.append(group.id)
        held += group.num_rows
        if held >= ROWS_OF_A_PART:
            yield FilePart(str(path), found.format, found.schema, tuple(groups), start)
            groups, start, held = [], start + held, 0
    if groups or not start:
        yield FilePart(str(path), found.format, found.schema, tuple(groups), start, empty=not start + held)


def _text(path: Path) -> FilePart:
    """Open a text of separated columns; what its first block holds decides what its columns are."""
    import pyarrow as pa
    from pyarrow import csv, dataset

    head = head_of(path, promised_separator(path))
    if head.skipped or len(head.separator) > 1 or head.encoding != "utf-8":
        raise DataError(
            f"'{path}' cannot be read in pieces: {' '.join(head.said) or 'Columns are separated by spaces.'}",
            "Text that is read in pieces is UTF-8, starts with its header, and has one character between its columns.",
            "Write it anew as CSV or Parquet.",
        )
    how = {"parse_options": csv.ParseOptions(delimiter=head.separator)}
    empty = {"strings_can_be_null": True}  # as pandas reads them
    reader = csv.open_csv(path, **how, convert_options=csv.ConvertOptions(**empty))
    first = next(iter(reader), None)
    first = pa.Table.from_batches([], schema=reader.schema) if first is None else first  # nothing but a header
    is_all = path.stat().st_size < csv.ReadOptions().block_size and path.suffix.lower() != ".gz"
    whole = [field.name for field in first.schema if pa.types.is_integer(field.type)]
    names: set[str] = set()
    if whole and path.stat().st_size <= LOOKED_THROUGH and has_padding(path, head):
        as_text = csv.ConvertOptions(include_columns=whole, column_types=dict.fromkeys(whole, pa.string()), **empty)
        names = _padded(csv.open_csv(path, **how, convert_options=as_text))
    kinds = [pa.string() if name in names else _wide_type(first[name], is_all) for name in first.schema.names]
    form = dataset.CsvFileFormat(**how, convert_options=csv.ConvertOptions(**empty))
    schema = pa.schema(list(zip(first.schema.names, kinds, strict=True)))
    return FilePart(str(path), form, schema, empty=not len(first))


def _padded(blocks: Any) -> set[str]:
    """Return the columns of text that have a name such as "001"."""
    from pyarrow import compute

    padded: set[str] = set()
    for block in blocks:
        for name in set(block.schema.names) - padded:
            if compute.any(compute.match_substring_regex(block[name], r"^[+-]?0[0-9]")).as_py():
                padded.add(name)
    return padded


def _wide_type(column: Any, is_all: bool) -> Any:
    """Return a type that has room for what may stand further down, if there is more.

    Whole numbers become floats, since there may be decimals, unless they are too long for that; a column without values
    may be text.
    """
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_null(column.type):
        return column.type if is_all else pa.string()
    if not pa.types.is_integer(column.type):
        return column.type
    ends = compute.min_max(column).as_py()
    long = any(end is not None and abs(end) > _EXACT for end in ends.values())
    return pa.int64() if long else pa.float64()


# --- one type for each column -----------------------------------------------------------------------------------------


def is_text(kind: Any) -> bool:
    """Tell whether a pyarrow type is text."""
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _one_type(name: str, by_file: dict[str, Any]) -> Any:
    """Return the type that has room for a column of all files."""
    kept, of_file = None, ""
    for path, schema in by_file.items():
        if name not in schema.names:
            other = next(path for path, schema in by_file.items() if name in schema.names)
            raise DataError(  # the reader would fill it with missing values
                f"the file '{path}' has no column '{name}', which '{other}' has.",
                "All files of a table have the columns that a formula names.",
                f"Leave the file out, or write it anew with '{name}'.",
            )
        given = schema.field(name).type
        found = _plain_type(given)
        joined = found if kept is None else _joined(kept, found)
        if joined is None:
            raise DataError(
                f"column '{name}' is {_said(given)} in '{path}', and {_said(kept)} in '{of_file}'.",
                "All files of a table have a column in the same type; whole numbers may stand beside decimals.",
                f"Write one of the files anew, with '{name}' as in the other.",
            )
        if joined is not kept:
            kept, of_file = joined, path
    return TEXT if _is_null(kept) else kept


def _plain_type(kind: Any) -> Any:
    """Return a type with what files may differ in left out: how text is laid out, and how long its places are."""
    import pyarrow as pa

    if is_text(kind):
        return TEXT
    if not pa.types.is_dictionary(kind):
        return kind
    return pa.dictionary(pa.int32(), pa.string() if is_text(kind.value_type) else kind.value_type)


def _joined(first: Any, second: Any) -> Any:
    """Return the type that has room for two, None if there is none; the first one where it has room for both."""
    import pyarrow as pa

    for one, other in ((first, second), (second, first)):
        if one == other or _is_null(other):
            return one
        if TEXT in (one, other):
            continue
        if pa.types.is_float64(one) and pa.types.is_integer(other):
            return one
        signed = pa.types.is_signed_integer
        if signed(one) and signed(other) and one.bit_width >= other.bit_width:
            return one
    return None


def _is_null(kind: Any) -> bool:
    import pyarrow as pa

    return bool(kind != TEXT and pa.types.is_null(kind))


def _said(kind: Any) -> str:
    import pyarrow as pa

    if kind == TEXT or is_text(kind):
        return "text"
    if pa.types.is_dictionary(kind):
        return "a factor (dictionary)"
    return f"of the type {kind}"


# --- reading ----------------------------------------------------------------------------------------------------------


def read_part(part: FilePart, names: list[str], rows: int) -> Iterator[Any]:
    """Read a part as pyarrow's tables of a few columns; text comes as a dictionary, for that is how it is kept.

    Parquet's row groups are read one after the other: a Dataset reads ahead, and holds more of more rows.
    """
    import pyarrow as pa
    from pyarrow import dataset, fs

    form = part.form
    if isinstance(form, dataset.ParquetFileFormat):
        text = [name for name in names if is_text(part.schema.field(name).type)]
        form = dataset.ParquetFileFormat(read_options=dataset.ParquetReadOptions(dictionary_columns=text))
    local = fs.LocalFileSystem()
    for group in [None] if part.groups is None else part.groups:
        chosen = {} if group is None else {"row_groups": [group]}
        fragment = form.make_fragment(part.path, filesystem=local, **chosen)
        schema = fragment.physical_schema if part.groups is not None else part.schema
        for batch in fragment.to_batches(schema=schema, columns=names, batch_size=rows, batch_readahead=1):
            yield pa.Table.from_batches([batch])


def unreadable(name: str, error: Exception) -> DataError:
    """Word the error of a table that cannot be read; the first line of what the reader says is enough."""
    said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return DataError(f"{name} cannot be read: {said}.", SOURCES, "Check the file, or convert it to Parquet.")
