"""A file, a pyarrow Dataset or a polars LazyFrame goes in; the columns that are asked for come out, read in pieces.

Labels are held as whole numbers with one list of levels, so that a piece's text is gone before the next is read. What
the columns mean is left to `tables`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.delimited import has_padding, head_of
from speclet_formula.common.files import SORTED, has_no_order, promised_separator
from speclet_formula.errors import DataError

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "ipc",
    ".ipc": "ipc",
}
LOOKED_THROUGH = 2**30  # bytes of text that are looked through for names such as "001"; of more the first block decides
_EXACT = 2**53  # beyond it a float has no room for every whole number
_SOURCES = "scan() takes the path of a file or folder, a pyarrow Dataset or a polars LazyFrame."


@dataclass(frozen=True, eq=False)
class Scan:
    """A table that is read in pieces, and only as far as its columns are used.

    Attributes
    ----------
    columns : tuple of str
        Its columns' names.
    rows : int
        The most rows that are held at a time as they come.
    name : str
        What it is called in messages.
    source : object
        A pyarrow Dataset, or what is read like one, or a polars LazyFrame.
    merge : bool
        Whether rows that agree in all but the response become one.
    """

    columns: tuple[str, ...]
    rows: int
    name: str
    source: Any
    merge: bool = False

    def __repr__(self) -> str:
        return f"Scan of {self.name}{', rows merged' if self.merge else ''}: {', '.join(self.columns)}"


def scan(source: Any, *, rows: int = 1_000_000, merge: bool = False) -> Scan:
    """Prepare a table to be read in pieces, for data that are larger than memory.

    Parameters
    ----------
    source : str, Path, pyarrow.dataset.Dataset or polars.LazyFrame
        A file (Parquet, Feather, Arrow IPC, or text of separated columns: CSV, TSV and the like, also .gz), a folder of
        Parquet files, or what pyarrow or polars made of them: filters and computed columns of a LazyFrame are carried
        out piece by piece.
    rows : int
        How many rows to read at a time.
    merge : bool
        Whether rows that agree in every column of the formula but the response, weights included, are merged into one
        as they are read: replicates, or all guides of a gene where the formula does not name the guide. It holds their
        number, the mean of the response and the sum of squares around it, which is all that a Gaussian model of one
        residual SD sees of them: variances, coefficients and likelihoods are those of the single rows, and the memory
        that is needed is that of the merged ones. What looks at single rows, such as `loo` and `residuals`, is refused.

    Returns
    -------
    Scan
        For the argument `data` of `Model`, `lmer` and all that take a table. Of a Model only the columns that its
        formula names are read, 4 bytes a row for labels and 8 for numbers; `fit.model.data` has those. Text columns
        have their levels in alphabetical order, dictionary columns in their own, as in memory. The data of a model with
        merged rows also have the columns "(rows)" and, for a response y, "(within y)"; another model of the response y
        can be fitted to that table, or to some of its rows.

    Raises
    ------
    DataError
        There is no such file, its format is not known, or it is no table. By `Model` where rows are to be merged: the
        response is no column of numbers, the model is not gaussian with the identity link and one residual SD, or the
        formula calls a function that learns from the rows (scale, center, poly, bs, ns, or one of your own).

    Examples
    --------
    >>> import tempfile
    >>> import speclet_formula as sf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sf.datasets.m7()[0].to_parquet(f"{folder}/screen.parquet")
    ...     data = sf.scan(f"{folder}/screen.parquet")
    ...     len(sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", data).data)
    ...     merged = sf.scan(f"{folder}/screen.parquet", merge=True)
    ...     len(sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", merged).data)
    1100
    200
    """
    if type(rows) is not int or rows < 1:
        raise DataError(f"rows={rows!r} is out of range.", "rows is a whole number of at least 1.", "Leave rows= out.")
    if isinstance(source, str | Path):
        dataset = _dataset(Path(source))
        return Scan(tuple(dataset.schema.names), rows, f"'{source}'", dataset, merge)
    if hasattr(source, "collect_schema") and hasattr(source, "collect_batches"):
        return Scan(tuple(source.collect_schema().names()), rows, "a polars LazyFrame", source, merge)
    if hasattr(source, "schema") and hasattr(source, "to_batches") and hasattr(source, "get_fragments"):
        return Scan(tuple(source.schema.names), rows, "a pyarrow Dataset", source, merge)
    raise DataError(
        f"a {type(source).__name__} cannot be read in pieces.",
        _SOURCES,
        "Hand a table in memory to Model as it is.",
    )


def _dataset(path: Path) -> Any:
    """Open a file, or a folder of Parquet files."""
    import pyarrow as pa
    from pyarrow import dataset

    if not path.exists():
        raise DataError(f"there is no file '{path}'.", _SOURCES, "Check the path.")
    kind = "parquet" if path.is_dir() else FORMATS.get(path.suffix.lower())
    try:
        if kind == "parquet":
            return _RowGroups(dataset.dataset(path, format=kind))
        return dataset.dataset(path, format=kind) if kind else _text(path)
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        raise unreadable(f"'{path}'", error) from error


@dataclass(frozen=True, eq=False)
class _RowGroups:
    """Parquet files that are read one row group after the other: a Dataset reads ahead, and holds more of more rows."""

    dataset: Any

    @property
    def schema(self) -> Any:
        """The columns of all files."""
        return self.dataset.schema

    def to_batches(self, *, columns: list[str], batch_size: int, batch_readahead: int) -> Iterator[Any]:
        """Read as a Dataset does."""
        for file in self.dataset.get_fragments():
            for group in file.split_by_row_group():
                yield from group.to_batches(
                    schema=self.schema, columns=columns, batch_size=batch_size, batch_readahead=batch_readahead
                )


def _text(path: Path) -> Any:
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
    first = csv.open_csv(path, **how, convert_options=csv.ConvertOptions(**empty)).read_next_batch()
    whole = [field.name for field in first.schema if pa.types.is_integer(field.type)]
    names: set[str] = set()
    if whole and path.stat().st_size <= LOOKED_THROUGH and has_padding(path, head):
        as_text = csv.ConvertOptions(include_columns=whole, column_types=dict.fromkeys(whole, pa.string()), **empty)
        names = _padded(csv.open_csv(path, **how, convert_options=as_text))
    kinds = [pa.string() if field.name in names else _wide_type(first[field.name]) for field in first.schema]
    written = dataset.CsvFileFormat(**how, convert_options=csv.ConvertOptions(**empty))
    return dataset.dataset(path, format=written, schema=pa.schema(list(zip(first.schema.names, kinds, strict=True))))


def _padded(blocks: Any) -> set[str]:
    """Return the columns of text that have a name such as "001"."""
    from pyarrow import compute

    found: set[str] = set()
    for block in blocks:
        for name in set(block.schema.names) - found:
            if compute.any(compute.match_substring_regex(block[name], r"^[+-]?0[0-9]")).as_py():
                found.add(name)
    return found


def _wide_type(column: Any) -> Any:
    """Return a type that has room for what may stand further down.

    Whole numbers become floats, since there may be decimals, unless they are too long for that; a column without values
    may be text.
    """
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_null(column.type):
        return pa.string()
    if not pa.types.is_integer(column.type):
        return column.type
    ends = compute.min_max(column).as_py()
    long = any(end is not None and abs(end) > _EXACT for end in ends.values())
    return pa.int64() if long else pa.float64()


def read_columns(table: Scan, names: Sequence[str]) -> pd.DataFrame:
    """Read columns of a table, piece by piece.

    Parameters
    ----------
    table : Scan
    names : sequence of str
        Some of its columns.

    Returns
    -------
    pandas.DataFrame
        Labels are Categoricals, all else as pandas has it.

    Raises
    ------
    DataError
        The table cannot be read.
    """
    parts: dict[str, list[Any]] = {name: [] for name in names}
    levels: dict[str, dict[Any, int]] = {}
    ordered: dict[str, bool] = {}
    try:
        for piece in coded_pieces(table, list(names), levels, ordered):
            for name in names:
                parts[name].append(piece[name])
    except Exception as error:  # pyarrow and polars raise almost anything for a damaged file
        raise unreadable(table.name, error) from error
    # One column after the other: the pieces of each are gone before those of the next are put together.
    columns = {name: whole_column(parts.pop(name), levels.get(name), ordered.get(name, False)) for name in names}
    return told_frame(columns, ordered)


def told_frame(columns: Mapping[str, Any], ordered: Mapping[str, bool]) -> pd.DataFrame:
    """Make a table that tells, in `.attrs[SORTED]`, whose levels came as categories without an order."""
    frame = pd.DataFrame(columns)
    if not all(ordered.values()):
        frame.attrs[SORTED] = tuple(name for name, is_own in ordered.items() if not is_own)
    return frame


def coded_pieces(
    table: Scan, names: list[str], levels: dict[str, dict[Any, int]], ordered: dict[str, bool]
) -> Iterator[dict[str, Any]]:
    """Go through a table by pieces of some columns: labels as numbers (rows,), all else as pandas has it.

    The labels' numbers are those of `levels`, by column, which grows on the way; `ordered` tells of each
    dictionary whether its levels have an order of their own.
    """
    from pyarrow import types

    for piece in _pieces(table, names):
        found: dict[str, Any] = {}
        for name in names:
            column = piece.column(name)
            if _holds_labels(column.type):
                if types.is_dictionary(column.type):
                    ordered[name] = not has_no_order(piece.schema.field(name))
                found[name] = _codes(column, levels.setdefault(name, {}))
            else:
                found[name] = numbers_of(column)
        yield found


def numbers_of(column: Any) -> pd.Series:
    """Return a pyarrow column that holds no labels in pandas; whole numbers stay whole beside missing ones."""
    from pyarrow import types

    if not (types.is_integer(column.type) and column.null_count):
        found: pd.Series = column.to_pandas()
        return found
    kind = pd.UInt64Dtype() if types.is_unsigned_integer(column.type) else pd.Int64Dtype()
    return pd.Series(column.to_pandas(types_mapper=lambda _: kind))


def _pieces(table: Scan, names: list[str]) -> Iterator[Any]:
    """Go through a table as pyarrow's tables of a few columns."""
    import pyarrow as pa

    if hasattr(table.source, "collect_batches"):
        for frame in table.source.select(names).collect_batches(chunk_size=table.rows, maintain_order=True):
            yield frame.to_arrow()
    else:
        for batch in table.source.to_batches(columns=names, batch_size=table.rows, batch_readahead=1):
            yield pa.Table.from_batches([batch])


def _holds_labels(kind: Any) -> bool:
    from pyarrow import types

    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(text or types.is_dictionary(kind))


def _codes(column: Any, levels: dict[Any, int]) -> np.ndarray:
    """Return the levels' numbers (rows,), -1 for a missing one; new levels are added to the list."""
    import pyarrow as pa

    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    found = []
    for chunk in encoded.chunks:
        known = [
            -1 if level is None else levels.setdefault(level, len(levels)) for level in chunk.dictionary.to_pylist()
        ]
        indices = chunk.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        found.append(np.array([*known, -1], dtype=np.int32)[indices])
    return np.concatenate(found) if found else np.empty(0, dtype=np.int32)


def whole_column(parts: list[Any], levels: dict[Any, int] | None, ordered: bool) -> Any:
    """Put the pieces of one column together; text has its levels in order, a dictionary its own."""
    if levels is None:
        return pd.concat(parts, ignore_index=True) if parts else pd.Series(dtype=float)
    codes, names = np.concatenate(parts), list(levels)
    if not ordered:
        order = sorted(range(len(names)), key=names.__getitem__)
        places = np.empty(len(names) + 1, dtype=np.int32)
        places[order], places[-1] = np.arange(len(names)), -1
        codes, names = places[codes], [names[place] for place in order]
    return pd.Categorical.from_codes(codes, categories=pd.Index(names), ordered=False)


def unreadable(name: str, error: Exception) -> DataError:
    """Word the error of a table that cannot be read; the first line of what the reader says is enough."""
    said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return DataError(f"{name} cannot be read: {said}.", _SOURCES, "Check the file, or convert it to Parquet.")
