"""Tables that are read in pieces, and only the columns that are used: files, pyarrow Datasets, polars LazyFrames.

Labels are held as whole numbers with one list of levels, so that a piece's text is gone before the next is read. Files
are read part by part, in as many processes as are asked for, and what the parts came to is put together in their own
order: the table does not depend on who read what. Which parts there are is told by `sources`; rows that agree in all
but the response are merged by `cells`; what the columns mean is left to `tables`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import batched
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from speclet_formula.common.batch import configured_cores, each_outcome
from speclet_formula.common.files import SORTED, has_no_order
from speclet_formula.common.table import Worded
from speclet_formula.design.cells import LEFT, MEAN, Pile, merged_pieces, pile, single_rows, whole_pile
from speclet_formula.design.merged import ROWS, WITHIN
from speclet_formula.design.sources import SOURCES, TEXT, FilePart, Files, is_text, open_files, read_part, unreadable
from speclet_formula.errors import DataError, SamplingError


@dataclass(frozen=True, eq=False)
class Scan(Worded):
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
        Files, a pyarrow Dataset, or what is read like one, or a polars LazyFrame.
    merge : bool
        Whether rows that agree in all but the response become one.
    cores : int, optional
        Processes that read files; None for those of joblib's configuration.
    """

    columns: tuple[str, ...]
    rows: int
    name: str
    source: Any
    merge: bool = False
    cores: int | None = None

    def __repr__(self) -> str:
        return f"Scan of {self.name}{', rows merged' if self.merge else ''}: {', '.join(self.columns)}"


def scan(source: Any, *, chunksize: int = 1_000_000, merge: bool = False, cores: int | None = None) -> Scan:
    """Prepare a table to be read in pieces, for data that are larger than memory.

    Parameters
    ----------
    source : str, Path, list of them, pyarrow.dataset.Dataset or polars.LazyFrame
        A file (Parquet, Feather, Arrow IPC, or text of separated columns: CSV, TSV and the like, also .gz), a folder of
        Parquet files, a pattern such as ``"screens/*.parquet"``, a list of these, or what pyarrow or polars made of
        them: filters and computed columns of a LazyFrame are carried out piece by piece. Files of a folder and of a
        pattern are read in the order of their names.
    chunksize : int
        How many rows to read at a time.
    merge : bool
        Whether rows that agree in every column of the formula but the response, weights included, are merged into one
        as they are read: replicates, or all guides of a gene where the formula does not name the guide. It holds their
        number, the mean of the response and the sum of squares around it, which is all that a Gaussian model of one
        residual SD sees of them: variances, coefficients and likelihoods are those of the single rows, and the memory
        that is needed is that of the merged ones. What looks at single rows, such as `loo` and `residuals`, is refused.
    cores : int, optional
        Processes that read and merge files, a file or some million rows of a Parquet file each; by default those of
        joblib's configuration (`joblib.parallel_config(backend="dask")` for a cluster, whose workers find the files
        under the same paths), and this process alone without one. The table is the same to the last digit, whatever
        their number, and a worker that is lost costs what it was reading, which another one reads again.

    Returns
    -------
    Scan
        For the argument `data` of `Model`, `lmer` and all that take a table. Of a Model only the columns that its
        formula names are read, 4 bytes a row for labels and 8 for numbers; `fit.model.data` has those. Text columns
        have their levels in alphabetical order, dictionary columns in their own, as in memory; of several files those
        of the first come first. The data of a model with merged rows also have the columns "(rows)" and, for a response
        y, "(within y)"; another model of the response y can be fitted to that table, or to some of its rows.

    Raises
    ------
    DataError
        There is no such file, its format is not known, or it is no table. By `Model` where a file lacks a column that
        another one has, or has it in another type (whole numbers may stand beside decimals, and what holds nothing but
        missing values beside anything). By `Model` where rows are to be merged: the
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
    ...     merged = sf.scan(f"{folder}/*.parquet", merge=True)
    ...     len(sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", merged).data)
    1100
    200
    """
    for name, value in (("chunksize", chunksize), ("cores", cores)):
        if value is not None and (type(value) is not int or value < 1):
            raise DataError(
                f"{name}={value!r} is out of range.",
                f"{name} is a whole number of at least 1.",
                f"Leave {name}= out.",
            )
    if isinstance(source, str | Path | list | tuple):
        files, name = open_files(source)
        return Scan(files.columns, chunksize, name, files, merge, cores)
    if hasattr(source, "collect_schema") and hasattr(source, "collect_batches"):
        return Scan(tuple(source.collect_schema().names()), chunksize, "a polars LazyFrame", source, merge)
    if hasattr(source, "get_fragments") and hasattr(source, "to_batches") and hasattr(source, "schema"):
        return Scan(tuple(source.schema.names), chunksize, "a pyarrow Dataset", source, merge)
    raise DataError(
        f"a {type(source).__name__} cannot be read in pieces.",
        SOURCES,
        "Hand a table in memory to Model as it is.",
    )


# --- whole tables -----------------------------------------------------------------------------------------------------


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
    order = _Order()
    parts: dict[int, dict[str, Any]] = {}
    for place, found in _parts_read(table, _Wanted(tuple(names), table.rows, None)):
        parts[place] = order.renumbered(place, found)
    # One column after the other: the pieces of each are gone before those of the next are put together.
    columns = {name: order.whole(name, [parts[place].pop(name) for place in sorted(parts)]) for name in names}
    return _told_frame(columns, order)


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
    order = _Order()
    parts: Pile = {}
    for place, found in _parts_read(table, _Wanted(tuple(names), table.rows, response)):
        pile(parts, place, pd.DataFrame(order.renumbered(place, found), copy=False), keys)
    cells = whole_pile(parts, keys)
    columns = {name: order.whole(name, [cells.pop(name)]) for name in keys}
    made = {response: cells[MEAN].to_numpy(), ROWS: cells[ROWS].to_numpy()}
    made[WITHIN.format(response)] = cells[LEFT].to_numpy()
    return _told_frame({name: columns.get(name, made.get(name)) for name in (*names, *list(made)[1:])}, order)


def _told_frame(columns: Mapping[str, Any], order: "_Order") -> pd.DataFrame:
    """Make a table that tells, in `.attrs[SORTED]`, whose levels came as categories without an order."""
    frame = pd.DataFrame(columns)
    if not all(order.own.values()):
        frame.attrs[SORTED] = tuple(name for name, is_own in order.own.items() if not is_own)
    return frame


# --- parts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """What is read of each part."""

    names: tuple[str, ...]
    rows: int  # at a time
    response: str | None  # whose rows are merged
    types: Mapping[str, Any] = field(default_factory=dict)  # that columns are read as; of files alone
    several: bool = False  # whether there are several files


@dataclass(frozen=True, eq=False)
class _Coded:
    """What a part of a table came to."""

    columns: dict[str, Any]  # labels as numbers (rows,), all else as pandas has it
    levels: dict[str, list[Any]]  # of the columns of labels, in the order of first occurrence
    own: dict[str, bool]  # of dictionaries: whether their levels have an order of their own


def _parts_read(table: Scan, wanted: _Wanted) -> Iterator[tuple[int, _Coded]]:
    """Read a table part by part: the place of each that has rows, else of the first, and what it came to."""
    empty: list[tuple[int, _Coded]] = []
    some = False
    for place, part in _all_parts_read(table, wanted):
        if any(map(len, part.columns.values())):
            some = True
            yield place, part
        else:
            empty.append((place, part))
    if not some:
        yield min(empty, key=itemgetter(0))


def _all_parts_read(table: Scan, wanted: _Wanted) -> Iterator[tuple[int, _Coded]]:
    """Read a table part by part, in this process or in others."""
    files = table.source
    if not isinstance(files, Files):
        yield 0, _read_pieces(_pieces(table, list(wanted.names)), wanted, table.name)
        return
    wanted = replace(wanted, types=files.types_of(wanted.names), several=files.several)
    filled = [part for part in files.parts if not part.empty] or files.parts[:1]
    tasks = {place: (part, wanted) for place, part in enumerate(filled)}
    cores = configured_cores(table.cores)
    if cores == 1 or len(tasks) == 1:
        yield from ((place, _read_part(*task)) for place, task in tasks.items())
        return
    # As many at a time as workers are busy with: parts that wait here to be put together take memory.
    for some in batched(tasks, 2 * cores):
        try:
            for outcome in each_outcome(_read_part, {place: tasks[place] for place in some}, table.cores, stop=True):
                yield outcome.key, cast(_Coded, outcome.result)
        except SamplingError as error:
            raise DataError(
                f"{table.name} cannot be read: the processes that read a part of it were killed.",
                "Each holds chunksize= rows and, of a table whose rows are merged, the distinct ones of its part.",
                "Often they want more memory: give fewer cores=, or workers with more of it.",
            ) from error


def _read_part(part: FilePart, wanted: _Wanted) -> _Coded:
    """Read a part of a table; what is wrong in it is told with its file where there are several."""
    try:
        pieces = read_part(part, list(wanted.names), wanted.rows)
        return _read_pieces(pieces, wanted, f"'{part.path}'", part.start)
    except DataError as error:
        if not wanted.several or part.path in error.problem:
            raise
        raise DataError(f"in '{part.path}' {error.problem}", error.allowed, error.remedy) from error


def _read_pieces(pieces: Iterator[Any], wanted: _Wanted, name: str, seen: int = 0) -> _Coded:
    """Put the pieces of one part together, or merge their rows."""
    levels: dict[str, dict[Any, int]] = {}
    own: dict[str, bool] = {}
    try:
        coded = _coded_pieces(pieces, wanted, levels, own)
        columns = _columns_of(coded, wanted) if wanted.response is None else _cells_of(coded, wanted, levels, seen)
    except DataError:
        raise
    except Exception as error:  # pyarrow and polars raise almost anything for a damaged file
        raise unreadable(name, error) from error
    return _Coded(columns, {name: list(known) for name, known in levels.items()}, own)


def _columns_of(coded: Iterator[dict[str, Any]], wanted: _Wanted) -> dict[str, Any]:
    parts: dict[str, list[Any]] = {name: [] for name in wanted.names}
    for piece in coded:
        for name in wanted.names:
            parts[name].append(piece[name])
    return {name: _joined(parts.pop(name)) for name in wanted.names}


def _cells_of(
    coded: Iterator[dict[str, Any]], wanted: _Wanted, levels: Mapping[str, Mapping[Any, int]], seen: int
) -> dict[str, Any]:
    keys, response = [name for name in wanted.names if name != wanted.response], str(wanted.response)

    def singles() -> Iterator[pd.DataFrame]:
        before = seen
        for piece in coded:
            yield single_rows(piece, keys, response, levels.get(response), before)
            before += len(piece[response])

    cells = merged_pieces(singles(), keys, wanted.rows)
    return {name: cells[name] for name in cells}


def _joined(parts: list[Any]) -> Any:
    """Put pieces of a column together: numbers of labels (rows,), or a Series."""
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts) if parts else pd.Series(dtype=float)
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


# --- labels -----------------------------------------------------------------------------------------------------------


class _Order:
    """The levels of all parts' labels, numbered as the parts come in, and put in order when all have come."""

    def __init__(self) -> None:
        self.own: dict[str, bool] = {}
        self._numbers: dict[str, dict[Any, int]] = {}
        self._of_parts: dict[str, dict[int, np.ndarray]] = {}

    def renumbered(self, place: int, part: _Coded) -> dict[str, Any]:
        """Return a part's columns, with labels by the numbers that all parts share."""
        for name, is_own in part.own.items():
            self.own[name] = self.own.get(name, True) and is_own
        columns = dict(part.columns)
        for name, levels in part.levels.items():
            known = self._numbers.setdefault(name, {})
            numbers = np.array([*(known.setdefault(level, len(known)) for level in levels), -1], dtype=np.int32)
            self._of_parts.setdefault(name, {})[place] = numbers[:-1]
            if name in columns:  # not a response, whose labels were refused
                columns[name] = numbers[np.asarray(columns[name])]
        return columns

    def whole(self, name: str, parts: list[Any]) -> Any:
        """Put the parts of one column together; text has its levels in order, a dictionary its own."""
        if name not in self._numbers:
            return _joined(parts)
        names = list(self._numbers[name])
        if self.own.get(name, False):
            of_parts = self._of_parts[name]
            order = pd.unique(np.concatenate([of_parts[place] for place in sorted(of_parts)]))
        else:
            order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
        places = np.full(len(names) + 1, -1, dtype=np.int32)
        places[order] = np.arange(len(names))
        codes = places[_joined([np.asarray(part) for part in parts])]
        return pd.Categorical.from_codes(codes, categories=pd.Index([names[place] for place in order]), ordered=False)


def _coded_pieces(
    pieces: Iterator[Any], wanted: _Wanted, levels: dict[str, dict[Any, int]], own: dict[str, bool]
) -> Iterator[dict[str, Any]]:
    """Go through pieces of some columns: labels as numbers (rows,), all else as pandas has it.

    The labels' numbers are those of `levels`, by column, which grows on the way; `own` tells of each dictionary whether
    its levels have an order of their own.
    """
    from pyarrow import types

    for piece in pieces:
        coded: dict[str, Any] = {}
        for name in wanted.names:
            column, kind = piece.column(name), wanted.types.get(name)
            if _holds_labels(column.type) or _holds_labels(kind):
                if types.is_dictionary(column.type) and kind != TEXT:
                    own[name] = not has_no_order(piece.schema.field(name))
                coded[name] = _codes(column, levels.setdefault(name, {}))
            else:
                coded[name] = numbers_of(column if kind is None else column.cast(kind))
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

    return kind is not None and (kind == TEXT or is_text(kind) or types.is_dictionary(kind))


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
