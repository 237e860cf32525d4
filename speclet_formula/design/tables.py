"""A pandas frame of just the columns that a formula uses, cleaned and checked, from any table.

Factors become ordered Categoricals of their observed levels in the analyst's order. Nothing is filled in; rows with
missing values are an error or, when asked for, dropped and counted.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.arguments import is_among, kind_word
from speclet_formula.common.files import has_no_order, without_order
from speclet_formula.design.merged import count_rows
from speclet_formula.design.numbers import numeric_text, refuse_infinite, refuse_lost_digits
from speclet_formula.design.scans import Scan, numbers_of, read_columns, read_merged
from speclet_formula.design.transforms import as_factor, label_of, observed_levels_of
from speclet_formula.errors import DataError, FormulaError, listed, nearest

Missing = Literal["error", "drop"]
EXACT = 2**53  # beyond it a double has no room for every whole number


def as_pandas(data: Any) -> pd.DataFrame:
    """Return any table as a pandas frame with a fresh index: an eager one, a mapping of arrays, or a whole Scan.

    Raises
    ------
    DataError
        If it is not a table, has no rows, its columns differ in length, or its rows are to be merged.
    """
    if isinstance(data, pd.DataFrame):
        frame = data
    elif isinstance(data, Scan):
        frame = read_columns(_unmerged(data), data.columns)
    elif isinstance(data, Mapping):
        frame = _from_mapping(data)
    else:
        frame = _from_narwhals(data)
    if isinstance(frame.columns, pd.MultiIndex):
        first = listed(map(repr, frame.columns), 3)
        raise DataError(
            f"the data's columns have {frame.columns.nlevels} levels of names each: {first}.",
            "A formula names columns by one text each.",
            'Join the levels: data.columns = ["_".join(map(str, names)) for names in data.columns].',
        )
    if frame.shape[0] == 0:
        raise DataError(
            "the data have no rows.", "A model needs at least one row.", "Check the filter or the file that made them."
        )
    return frame.reset_index(drop=True)


def row_labels(data: Any, rows: int) -> pd.Index:
    """Return what a table calls its rows: a pandas frame's index, that of a dictionary's Series, or their numbers."""
    if isinstance(data, pd.DataFrame):
        return data.index
    if isinstance(data, Mapping):
        return next((column.index for column in data.values() if _is_labelled(column, rows)), pd.RangeIndex(rows))
    return pd.RangeIndex(rows)


def _is_labelled(column: Any, rows: int) -> bool:
    return isinstance(column, pd.Series) and len(column) == rows


def in_row_order(values: Any, labels: pd.Index, argument: str) -> Any:
    """Return values for the rows of a table in the order of its rows: the one rule for every argument that has them.

    Parameters
    ----------
    values : array or Series
        A pandas Series is matched by its index, as pandas itself does; anything else is taken as it stands.
    labels : pandas.Index
        The rows' labels, as `row_labels` returns them.
    argument : str
        What the values are called in the message.

    Returns
    -------
    array or Series
        A Series has a fresh index.

    Raises
    ------
    DataError
        A Series lacks some of the labels, or has one of them twice and is not in the order of the table.
    """
    if not isinstance(values, pd.Series):
        return values
    if values.index.equals(labels):
        return values.reset_index(drop=True)
    if values.index.is_unique and labels.isin(values.index).all():
        return values.reindex(labels).reset_index(drop=True)
    absent = labels[~labels.isin(values.index)]
    problem = (
        f"its index lacks {len(absent):,} of the table's {len(labels):,} rows: {listed(absent, 4)}"
        if len(absent)
        else "its index has a label several times, and is not that of the table"
    )
    raise DataError(
        f"{argument}= is a pandas Series, and {problem}.",
        "A Series is matched with the table's rows by its index, as pandas does; an array is taken in their order.",
        f"Give it the table's index or, if its values are in the order of its rows, {argument}=series.to_numpy().",
    )


def _unmerged(table: Scan) -> Scan:
    """Refuse to merge rows where no formula says what they have to agree in."""
    if table.merge:
        raise DataError(
            f"{table.name} is to be read whole, and its rows are to be merged.",
            "Rows are merged where they agree in the columns of a model's formula.",
            "Hand sf.scan(..., merge=True) to Model or lmer; leave merge= out for all else.",
        )
    return table


def read_used(
    table: Scan, names: Sequence[str], text: str | None = None, *, response: str | None = None
) -> pd.DataFrame:
    """Read the columns of a Scan that a formula names, `text` being the formula; merge rows into means of a response.

    Raises
    ------
    FormulaError
        If a column does not exist.
    DataError
        If the table cannot be read, or has no rows.
    """
    for name in names:
        if name not in table.columns:
            raise _no_column(name, list(table.columns), text)
    if table.merge and response is not None:
        return as_pandas(read_merged(table, response, names))
    # A formula without any column has a row for each of the table's all the same.
    return as_pandas(read_columns(table, names or table.columns[:1]))


def ordered_columns(data: Any) -> tuple[str, ...]:
    """Return the ordered Categoricals of a pandas table: elsewhere an order says no more than which level is first."""
    kinds = data.dtypes.items() if isinstance(data, pd.DataFrame) else ()
    return tuple(str(name) for name, kind in kinds if isinstance(kind, pd.CategoricalDtype) and kind.ordered)


def number_columns(table: pd.DataFrame) -> frozenset[str]:
    """Return the names of the columns that hold numbers; truth values are none."""
    kinds = pd.api.types
    return frozenset(
        str(name)
        for name, kind in zip(table.columns, table.dtypes, strict=True)
        if kinds.is_numeric_dtype(kind) and not kinds.is_bool_dtype(kind)
    )


def _from_mapping(data: Mapping[Any, Any]) -> pd.DataFrame:
    try:
        return pd.DataFrame(dict(data))
    except (TypeError, ValueError) as error:
        single = next((name for name, value in data.items() if isinstance(value, str) or not np.iterable(value)), None)
        raise DataError(
            f"the columns do not make a table: {error}."
            if single is None
            else f"the columns do not make a table: '{single}' is a single value.",
            "A dictionary of columns needs arrays of equal length.",
            "Give every column one value for each row."
            if single is None
            else f"Write a list, {{'{single}': [{data[single]!r}]}}, also for one row.",
        ) from error


def _from_narwhals(data: Any) -> pd.DataFrame:
    import narwhals as nw

    try:
        table = nw.from_native(data, eager_only=True)
    except TypeError as error:
        raise DataError(
            f"{kind_word(data)} is not a table.",
            "A pandas, polars or pyarrow table is, or a dictionary of arrays.",
            _to_table(data),
        ) from error
    frame = _to_pandas(table)
    for name, kind in table.schema.items():
        if kind.is_integer() and table[name].null_count():  # which makes floats of them, without their last digits
            frame[name] = numbers_of(table[name].to_arrow())
    return without_order(frame, _unordered(table))


def _to_table(data: Any) -> str:
    """Say how to make a table of what is none."""
    if isinstance(data, str) and "~" in data:
        return "The formula comes first, the table after it: sf.lmer('y ~ x + (1 | g)', data)."
    if isinstance(data, str | Path):
        parquet = str(data).endswith((".parquet", ".pq"))
        read = f"pandas.read_{'parquet' if parquet else 'csv'}('{data}')"
        return f"Write {read}, or sf.scan('{data}') for a file that memory does not hold."
    if type(data).__name__ == "Screen":
        return "Write screen.table, the rows of the screen."
    if isinstance(data, list | tuple | np.ndarray):
        return "Write pandas.DataFrame(data), with a name for each column."
    return "Convert it first; a lazy frame with its collect(), or sf.scan(it) for its pieces."


def _to_pandas(table: Any) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = table.to_pandas()
    except Exception as error:  # pyarrow and polars raise almost anything for types that the other lacks
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(
            f"the table has a column whose type cannot be read: {said}.",
            "Columns hold numbers of up to 64 bits, truth values, text or factors.",
            "Cast it to one of these, or leave it out of the table.",
        ) from error
    return frame


def _unordered(table: Any) -> list[str]:
    """Return the columns of polars' Categorical, whose levels stand as they first occurred."""
    import narwhals as nw

    if table.implementation.is_polars():
        return [name for name, kind in table.schema.items() if kind == nw.Categorical]
    fields = nw.to_native(table).schema if table.implementation.is_pyarrow() else ()
    return [field.name for field in fields if has_no_order(field)]


def select_columns(frame: pd.DataFrame, names: Sequence[str], text: str | None = None) -> pd.DataFrame:
    """Return the columns that the formula names.

    Raises
    ------
    FormulaError
        If a column does not exist; `text` is the formula, for the caret.
    DataError
        If a name stands for several columns.
    """
    for name in names:
        if name not in frame.columns:
            raise _no_column(name, [str(column) for column in frame.columns], text)
    duplicated = [] if frame.columns.is_unique else [name for name in names if (frame.columns == name).sum() > 1]
    if duplicated:
        raise DataError(
            f"the data have several columns named '{duplicated[0]}'.",
            "Each column that a formula uses must have a name of its own.",
            "Rename or drop one: data.loc[:, ~data.columns.duplicated()].",
        )
    return frame[list(names)]


def _no_column(name: str, columns: list[str], text: str | None) -> FormulaError:
    if name in columns:
        raise DataError(
            f"column '{name}' has a name that is not text.",
            "A formula names columns by text.",
            "Rename it, or all at once: data.columns = data.columns.astype(str).",
        )
    same = next((column for column in columns if column.strip() == name), None)
    near = nearest(name, columns)
    spelled = re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text) if text else None
    return FormulaError(
        f"no column '{name}' in the data.",
        f"Columns: {listed(map(_shown, columns))}.",
        f"Nearest: {_shown(same)}, with white space: data = data.rename(columns=str.strip)."
        if same
        else f"Nearest: {_shown(near)}."
        if near
        else "Check the spelling, or add the column to the data.",
        text if spelled else None,
        spelled.start() if spelled else None,
    )


def _shown(column: str) -> str:
    """Return a column's name, in quotes where it has what cannot be seen at its ends or in it."""
    return column if column == column.strip() and column.isprintable() else repr(column)


def _absent(frame: pd.DataFrame) -> pd.DataFrame:
    """Tell missing values; a signalling Decimal cannot even be asked."""
    try:
        return frame.isna()
    except ArithmeticError as error:
        raise DataError(
            "a column holds a Decimal that cannot be computed with: sNaN.",
            "A missing Decimal is None, or NaN.",
            "Replace it before the fit.",
        ) from error


def handle_missing(frame: pd.DataFrame, missing: Missing) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the complete rows and a mask of those kept.

    Raises
    ------
    DataError
        If values are missing and `missing` is "error".
    """
    if not is_among(missing, ("error", "drop")):
        raise DataError(
            f"missing={missing!r} is not a way to treat missing values.",
            "missing='error' refuses them, missing='drop' leaves their rows out and counts them.",
            "Choose one of the two.",
        )
    absent = _absent(frame)
    keep = ~absent.any(axis=1).to_numpy()
    if keep.all():
        return frame, keep
    counted = {name: count_rows(frame, absent[name].to_numpy()) for name in frame.columns}
    counts = ", ".join(f"'{name}' ({count})" for name, count in counted.items() if count)
    if missing == "error":
        raise DataError(
            f"{count_rows(frame, ~keep)} of {count_rows(frame)} rows have missing values, in {counts}.",
            "Every column that the formula uses must be complete.",
            "Write missing='drop' to leave these rows out, or fill the values in yourself before the fit.",
        )
    if not keep.any():
        raise DataError(
            f"every row has a missing value, in {counts}.",
            "At least one complete row is needed.",
            "Leave the emptiest column out of the formula.",
        )
    return frame[keep].reset_index(drop=True), keep


def clean_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers and booleans as they are, and everything else as ordered Categoricals.

    Raises
    ------
    DataError
        If a column holds infinite values, a mixture of types, or neither numbers nor labels.
    """
    return pd.DataFrame({name: _clean(column) for name, column in frame.items()}, index=frame.index)


def _clean(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _clean_categories(column)
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype(bool)
    if pd.api.types.is_complex_dtype(column.dtype):
        raise _wrong_type(column)
    if pd.api.types.is_integer_dtype(column.dtype):
        return _clean_whole(column)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _clean_numbers(column)
    if pd.api.types.is_object_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype):
        return _clean_objects(column)
    raise _wrong_type(column)


def _clean_numbers(column: pd.Series) -> pd.Series:
    """Return numbers as doubles; shorter ones stay as they are, since a level prints as it was given."""
    short = isinstance(column.dtype, np.dtype) and column.dtype.kind == "f" and column.dtype.itemsize < 8  # noqa: PLR2004
    values = column.to_numpy() if short else column.to_numpy(dtype=float)
    refuse_infinite(values, str(column.name))
    return pd.Series(values, index=column.index)


def _clean_whole(column: pd.Series) -> pd.Series:
    """Return whole numbers as doubles, or as they are where a double has no room for them: ids need all digits."""
    values = np.asarray(column)
    if values.dtype == object:  # of pandas' own types, some of which cannot be arrays of numbers
        values = _integers(values, str(column.name))
    if len(values) and max(abs(int(values.min())), abs(int(values.max()))) > EXACT:
        return pd.Series(values, index=column.index)
    return pd.Series(values.astype(float), index=column.index)


def _integers(values: np.ndarray, name: str) -> np.ndarray:
    """Return Python's whole numbers as an array of 64 bits."""
    least, most = min(map(int, values), default=0), max(map(int, values), default=0)
    for kind in (np.int64, np.uint64):
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return values.astype(kind)
    raise DataError(
        f"column '{name}' holds whole numbers that 64 bits have no room for, such as "
        f"{most if most > np.iinfo(np.int64).max else least}.",
        f"Whole numbers lie between {np.iinfo(np.int64).min} and {np.iinfo(np.uint64).max}.",
        f"Names of levels are text: data['{name}'] = data['{name}'].astype(str); measurements are .astype(float).",
    )


def _clean_objects(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.StringDtype):  # nothing but text: as it is, since Python's objects take long
        return pd.Series(_text_factor(column), index=column.index)
    types = {kind: _kind(kind) for kind in {type(value) for value in column}}
    kinds = set(types.values())
    if kinds == {"int"}:
        whole = _integers(column.to_numpy(), str(column.name))
        return _clean_whole(pd.Series(whole, index=column.index, name=column.name))
    if kinds <= {"int", "float", "Decimal"}:
        return _clean_numbers(_floats(column))
    if kinds == {"bool"}:
        return column.astype(bool)
    if kinds != {"str"}:
        raise _mixed(column, sorted(kinds)) if len(kinds) > 1 else _wrong_type(column, kinds.pop())
    return pd.Series(as_factor(column.to_numpy(dtype=object)), index=column.index)


def _kind(kind: type) -> str:
    """Name a type of values, numpy's as Python's."""
    plain = {"bool": (bool, np.bool_), "int": (int, np.integer), "float": (float, np.floating), "str": (str,)}
    return next((name for name, kinds in plain.items() if issubclass(kind, kinds)), kind.__name__)


def _floats(column: pd.Series) -> pd.Series:
    try:
        return column.astype(float)
    except (ValueError, OverflowError, TypeError) as error:
        raise DataError(
            f"column '{column.name}' holds a number that cannot be computed with: {error}.",
            "Numbers are those that a double can hold.",
            "Mend that cell, or leave it empty.",
        ) from error


def _mixed(column: pd.Series, kinds: list[str]) -> DataError:
    """Word the error of a column that is neither numbers nor text throughout."""
    numeric = numeric_text(column) if set(kinds) <= {"Decimal", "float", "int", "str"} else None
    plain = f"data['{column.name}'] = data['{column.name}'].astype(str)"
    return DataError(
        f"column '{column.name}' mixes values of the types {', '.join(kinds)}"
        + (f": {numeric.said}." if numeric else "."),
        "A column holds numbers, or labels that are all text.",
        numeric.remedy(str(column.name)) if numeric else f"Convert it: {plain}.",
    )


def _text_factor(column: pd.Series) -> pd.Categorical:
    """Return text as a factor with its levels in alphabetical order."""
    codes, seen = pd.factorize(column)
    names = np.asarray(seen, dtype=object)
    order = np.argsort(names)
    places = np.empty(len(names), dtype=np.int32)
    places[order] = np.arange(len(names))
    return pd.Categorical.from_codes(places[codes], categories=pd.Index(names[order], dtype=object), ordered=True)


def _clean_categories(column: pd.Series) -> pd.Series:
    """Keep the analyst's order of the observed categories, and make every label a string."""
    observed = observed_levels_of(column.array)
    if observed.categories.dtype.kind == "f":
        refuse_lost_digits(observed.categories.to_numpy(), str(column.name))
    labels = [label_of(category) for category in observed.categories]
    if len(set(labels)) < len(labels):
        raise DataError(
            f"column '{column.name}' has different categories that print alike: {listed(labels, 6)}.",
            "Each level needs a label of its own.",
            "Rename the categories with .cat.rename_categories.",
        )
    factor = pd.Categorical.from_codes(observed.codes, categories=pd.Index(labels, dtype=object), ordered=True)
    return pd.Series(factor, index=column.index)


def _wrong_type(column: pd.Series, kind: str | None = None) -> DataError:
    name = f"data['{column.name}']"
    return DataError(
        f"column '{column.name}' holds values of type {kind or column.dtype}, neither numbers nor labels.",
        "A formula uses numbers, booleans, text and Categoricals.",
        "Convert dates and durations to a number, such as days since the start; or, where each is a level, write "
        f"{name} = {name}.astype(str).",
    )


def level_orders(frame: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the levels of each factor column, in order."""
    return {
        str(name): tuple(column.dtype.categories)
        for name, column in frame.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }


def align_levels(frame: pd.DataFrame, levels: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Return new rows with the factors' remembered levels; levels that are new come last."""
    return frame.assign(**{name: _aligned(frame[name], known) for name, known in levels.items() if name in frame})


def _aligned(column: pd.Series, known: tuple[str, ...]) -> pd.Categorical:
    factor = as_factor(column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy())
    seen = set(known)
    order = [*known, *(level for level in factor.categories if level not in seen)]
    return pd.Categorical(np.asarray(factor, dtype=object), categories=pd.Index(order, dtype=object), ordered=True)
