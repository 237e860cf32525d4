"""Rows that agree in all but the response, merged: how many they are, their mean, and what is left around it.

    sum_i (y_i - mu)^2 = n (mean - mu)^2 + within,  within = sum_i (y_i - mean)^2

so that n rows with one mean mu count as the mean of their responses, n and `within`: all that a Gaussian density needs.
Cells of parts of a table are merged again. Which models can use them is left to `design.merged`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.merged import ROWS
from speclet_formula.design.numbers import numeric_text, refuse_infinite
from speclet_formula.errors import DataError

FEWEST_WAITING = 2**17  # rows that are worth merging at once
MEAN, LEFT = "(mean)", "(left)"  # of the response, and the sum of squares around it, while rows are merged
_MOST = 2**62  # combinations of values that a whole number tells apart

type Pile = dict[tuple[int, int], pd.DataFrame]  # by level and place in a binary tree whose leaves are the parts


def single_rows(
    piece: Mapping[str, Any], keys: Sequence[str], response: str, labels: Mapping[Any, int] | None, seen: int
) -> pd.DataFrame:
    """Return a piece of a table as cells of one row each.

    Parameters
    ----------
    piece : mapping
        Its columns: labels as numbers (rows,), -1 for a missing one, all else as pandas has it.
    keys : sequence of str
        The columns in which rows have to agree.
    response : str
    labels : mapping, optional
        Those of a response that is none, by their numbers.
    seen : int
        How many rows came before.

    Raises
    ------
    DataError
        The response is no number, or infinite.
    """
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
    made = {MEAN: values, LEFT: np.zeros(len(values)), ROWS: np.ones(len(values), dtype=np.int64)}
    return pd.DataFrame({**{key: piece[key] for key in keys}, **made}, copy=False)


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


def merged_pieces(pieces: Iterable[pd.DataFrame], keys: Sequence[str], rows: int) -> pd.DataFrame:
    """Merge cells as they come; `rows` are the most of a piece.

    As many new rows wait as there are cells: each row is then looked at a few times, however small the pieces.
    """
    cells: list[pd.DataFrame] = []
    waiting: list[pd.DataFrame] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(map(len, waiting)) >= max(min(rows, FEWEST_WAITING), sum(map(len, cells))):
            cells, waiting = [merged([*cells, *waiting], keys)], []
    return merged([*cells, *waiting], keys) if waiting or not cells else cells[0]


def pile(cells: Pile, place: int, part: pd.DataFrame, keys: Sequence[str]) -> None:
    """Add the cells of one part of a table, and merge what lies beside each other.

    Who is merged with whom is told by the places alone: the sums are the same to the last digit in whatever order the
    parts come in. Of m parts that have come in, the cells of about log2(m) are held.
    """
    level = 0
    while (level, place ^ 1) in cells:
        beside = cells.pop((level, place ^ 1))
        part = merged([beside, part] if place & 1 else [part, beside], keys)
        level, place = level + 1, place >> 1
    cells[level, place] = part


def whole_pile(cells: Pile, keys: Sequence[str]) -> pd.DataFrame:
    """Merge what is left of a pile, when all parts have come in."""
    in_order = sorted(cells, key=lambda key: key[1] << key[0])
    return merged([cells.pop(key) for key in in_order], keys)


def merged(parts: Sequence[pd.DataFrame], keys: Sequence[str]) -> pd.DataFrame:
    """Merge cells, in the order in which they first occur, as in Chan, Golub & LeVeque (1983).

    doi:10.1080/00031305.1983.10483115
    """
    if not parts:
        return pd.DataFrame({name: np.empty(0) for name in (*keys, MEAN, LEFT, ROWS)})

    def whole(name: str) -> pd.Series:
        return parts[0][name] if len(parts) == 1 else pd.concat([part[name] for part in parts], ignore_index=True)

    means = whole(MEAN).to_numpy()
    cells, first = _distinct([*map(whole, keys), pd.Series(np.isnan(means))], len(means))
    if len(first) == len(means):
        return parts[0] if len(parts) == 1 else pd.DataFrame({name: whole(name) for name in parts[0]}, copy=False)
    rows = whole(ROWS).to_numpy()
    counts = np.bincount(cells, rows, len(first))
    origins = means[first]  # one for each cell: nothing cancels, however far from zero the response is
    apart = means - origins[cells]
    shifts = np.bincount(cells, rows * apart, len(first)) / counts
    apart -= shifts[cells]
    left = np.nan_to_num(np.bincount(cells, whole(LEFT).to_numpy() + rows * apart**2, len(first)))
    made = {MEAN: origins + shifts, LEFT: left, ROWS: counts.astype(np.int64)}
    kept = {key: whole(key).iloc[first].reset_index(drop=True) for key in keys}
    return pd.DataFrame({**kept, **made}, copy=False)


def _distinct(columns: Sequence[pd.Series], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each row's combination of values, in the order of first occurrence, and where each is first.

    A missing value is a value of its own.
    """
    packed, combinations = np.zeros(rows, dtype=np.int64), 1
    for column in columns:
        codes, count = _codes_of(column)
        if combinations > _MOST // count:  # never more combinations than rows, so that no product overflows
            packed, seen = pd.factorize(packed)
            combinations = max(len(seen), 1)
        packed, combinations = packed * count + codes, combinations * count
    # Stable, so that the first row of each cell stands first, and quick where the rows are in some order.
    order = np.argsort(packed, kind="stable")
    is_new = np.ones(rows, dtype=bool)
    packed = packed[order]
    np.not_equal(packed[1:], packed[:-1], out=is_new[1:])
    first = order[is_new]
    places = np.argsort(first, kind="stable")
    number = np.empty(len(first), dtype=np.int64)
    number[places] = np.arange(len(first))
    cells = np.empty(rows, dtype=np.int64)
    cells[order] = number[np.cumsum(is_new) - 1]
    return cells, first[places]


def _codes_of(column: pd.Series) -> tuple[Any, int]:
    """Return whole numbers from zero for a column's values, and one more than the largest of them."""
    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else None
    if values is not None and values.dtype.kind in "bi" and len(values):
        low, high = int(values.min()), int(values.max())
        if high - low < np.iinfo(np.int32).max:  # such as labels, which have their numbers already
            return values.astype(np.int64) - low, high - low + 1
    codes, seen = pd.factorize(column, use_na_sentinel=False)
    return codes, max(len(seen), 1)
