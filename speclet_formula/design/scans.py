"""Tables that are read in pieces, and only the columns that are used: files, pyarrow Datasets, polars LazyFrames.

Labels are held as whole numbers with one list of levels, so that a piece's text is gone before the next is read. Rows
that agree in all but the response can be merged as they are read into one, with what a Gaussian density needs:

    sum_i (y_i - mu)^2 = n (mean - mu)^2 + within,  within = sum_i (y_i - mean)^2

so that n rows with one mean mu count as the mean of their responses, n and `within`. What the columns mean is left to
`tables`, what is made of merged rows to `merged`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.delimited import has_padding, head_of
from speclet_formula.common.files import SORTED, has_no_order, promised_separator
from speclet_formula.design.merged import ROWS, WITHIN
from speclet_formula.design.numbers import numeric_text, refuse_infinite
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


def scan(source: Any, *, chunksize: int = 1_000_000, merge: bool = False) -> Scan:
    """Prepare a table to be read in pieces, for data that are larger than memory.

    Parameters
    ----------
    source : str, Path, pyarrow.dataset.Dataset or polars.LazyFrame
        A file (Parquet, Feather, Arrow IPC, or text of separated columns: CSV, TSV and the like, also .gz), a folder of
        Parquet files, or what pyarrow or polars made of them: filters and computed columns of a LazyFrame are carried
        out piece by piece.
    chunksize : int
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
    if type(chunksize) is not int or chunksize < 1:
        raise DataError(
            f"chunksize={chunksize!r} is out of range.",
            "chunksize is a whole number of at least 1.",
            "Leave chunksize= out.",
        )
    if isinstance(source, str | Path):
        dataset = _dataset(Path(source))
        return Scan(tuple(dataset.schema.names), chunksize, f"'{source}'", dataset, merge)
    if hasattr(source, "collect_schema") and hasattr(source, "collect_batches"):
        return Scan(tuple(source.collect_schema().names()), chunksize, "a polars LazyFrame", source, merge)
    if hasattr(source, "schema") and hasattr(source, "to_batches") and hasattr(source, "get_fragments"):
        return Scan(tuple(source.schema.names), chunksize, "a pyarrow Dataset", source, merge)
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

    padded: set[str] = set()
    for block in blocks:
        for name in set(block.schema.names) - padded:
            if compute.any(compute.match_substring_regex(block[name], r"^[+-]?0[0-9]")).as_py():
                padded.add(name)
    return padded


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
        coded: dict[str, Any] = {}
        for name in names:
            column = piece.column(name)
            if _holds_labels(column.type):
                if types.is_dictionary(column.type):
                    ordered[name] = not has_no_order(piece.schema.field(name))
                coded[name] = _codes(column, levels.setdefault(name, {}))
            else:
                coded[name] = numbers_of(column)
        yield coded


def numbers_of(column: Any) -> pd.Series:
    """Return a pyarrow column that holds no labels in pandas; whole numbers stay whole beside missing ones."""
    from pyarrow import types

    if not (types.is_integer(column.type) and column.null_count):
        numbers: pd.Series = column.to_pandas()
        return numbers
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
    codes = []
    for chunk in encoded.chunks:
        known = [
            -1 if level is None else levels.setdefault(level, len(levels)) for level in chunk.dictionary.to_pylist()
        ]
        indices = chunk.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        codes.append(np.array([*known, -1], dtype=np.int32)[indices])
    return np.concatenate(codes) if codes else np.empty(0, dtype=np.int32)


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


FEWEST_WAITING = 2**17  # rows that are worth merging at once
_MEAN, _LEFT = "(mean)", "(left)"  # of the response, and the sum of squares around it, while rows are merged


def read_merged(table: Scan, response: str, names: Sequence[str]) -> pd.DataFrame:
    """Read columns of a table piece by piece, and merge the rows that agree in all of them but the response.

    Parameters
    ----------
    table : Scan
    response : str
        The column whose values are summed up.
    names : sequence of str
        All columns, the response among them.

    Returns
    -------
    pandas.DataFrame
        One row for each distinct row of the other columns, in the order in which they first occur, missing values
        among them: these columns, the mean of the response, "(rows)", how many rows these are, and "(within y)", the
        sum of the squares of the response y around its mean. Rows without a response are apart.

    Raises
    ------
    DataError
        The table cannot be read, or the response is no number or infinite.
    """
    keys = [name for name in names if name != response]
    levels: dict[str, dict[Any, int]] = {}
    ordered: dict[str, bool] = {}
    cells: pd.DataFrame | None = None
    waiting: list[pd.DataFrame] = []
    seen = held = 0
    try:
        for piece in coded_pieces(table, list(names), levels, ordered):
            frame = _single(piece, keys, response, levels.get(response), seen)
            waiting.append(frame)
            seen, held = seen + len(frame), held + len(frame)
            # As many new rows as there are old ones: each row is then looked at a few times, however small the pieces.
            if held >= max(min(table.rows, FEWEST_WAITING), 0 if cells is None else len(cells)):
                cells, waiting, held = _merged([cells, *waiting], keys), [], 0
    except DataError:
        raise
    except Exception as error:  # pyarrow and polars raise almost anything for a damaged file
        raise unreadable(table.name, error) from error
    cells = _merged([cells, *waiting], keys)
    columns = {name: whole_column([cells.pop(name)], levels.get(name), ordered.get(name, False)) for name in keys}
    made = {response: cells[_MEAN].to_numpy(), ROWS: cells[ROWS].to_numpy()}
    made[WITHIN.format(response)] = cells[_LEFT].to_numpy()
    return told_frame({name: columns.get(name, made.get(name)) for name in (*names, *list(made)[1:])}, ordered)


def _single(
    piece: Mapping[str, Any], keys: list[str], response: str, labels: Mapping[Any, int] | None, seen: int
) -> pd.DataFrame:
    """Return a piece whose rows are not merged yet; `labels` are those of a response that is none."""
    column = pd.Series(piece[response])
    decimal = column.dtype == object and labels is None
    if labels is not None:
        raise _no_numbers(response, pd.Categorical.from_codes(piece[response], pd.Index(list(labels))), seen)
    if not (decimal or pd.api.types.is_numeric_dtype(column.dtype)):
        raise DataError(
            f"the response '{response}' holds values of type {column.dtype}, not numbers.",
            "Rows are merged into the mean of a numeric response.",
            "Convert the column to numbers, or check that it is the one that was meant.",
        )
    values = column.to_numpy(dtype=float, na_value=np.nan)
    refuse_infinite(values, response, before=seen)
    made = {_MEAN: values, _LEFT: np.zeros(len(values)), ROWS: np.ones(len(values), dtype=np.int64)}
    return pd.DataFrame({**{key: pd.array(piece[key], copy=False) for key in keys}, **made})


def _no_numbers(response: str, values: pd.Categorical, seen: int) -> DataError:
    """Word the error of a response of labels, the first `seen` rows of which were read before."""
    numeric = numeric_text(values, np.arange(seen, seen + len(values)))
    return DataError(
        f"the response '{response}' is text, but of the rows that were read {numeric.said}."
        if numeric
        else f"the response '{response}' holds labels, not numbers.",
        "Rows are merged into the mean of a numeric response.",
        numeric.remedy(response)
        if numeric
        else "Convert the column to numbers, or check that it is the one that was meant.",
    )


def _merged(parts: Sequence[pd.DataFrame | None], keys: list[str]) -> pd.DataFrame:
    """Merge rows, some of which are merged already, as in Chan, Golub & LeVeque (1983).

    doi:10.1080/00031305.1983.10483115
    """
    given = [part for part in parts if part is not None]
    if not given:
        return pd.DataFrame({name: np.empty(0) for name in (*keys, _MEAN, _LEFT, ROWS)})
    table = given[0] if len(given) == 1 else pd.concat(given, ignore_index=True)
    means, left, rows = (table[name].to_numpy() for name in (_MEAN, _LEFT, ROWS))
    cells, first = _distinct([*(table[key] for key in keys), pd.Series(np.isnan(means))])
    counts = np.bincount(cells, rows, len(first))
    origins = means[first]  # one for each cell: nothing cancels, however far from zero the response is
    apart = means - origins[cells]
    shifts = np.bincount(cells, rows * apart, len(first)) / counts
    left = np.bincount(cells, left + rows * (apart - shifts[cells]) ** 2, len(first))
    merged = table.iloc[first][keys].reset_index(drop=True)
    return merged.assign(**{_MEAN: origins + shifts, _LEFT: np.nan_to_num(left), ROWS: counts.astype(np.int64)})


def _distinct(columns: Sequence[pd.Series]) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each row's combination of values, in the order of first occurrence, and where each is first.

    A missing value is a value of its own.
    """
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        own, seen = pd.factorize(column, use_na_sentinel=False)
        # Made dense again after each column, so that their product stays far below 2^63.
        codes, _ = pd.factorize(codes * max(len(seen), 1) + own)
    first = np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1)) if len(codes) else codes
    return codes, first
