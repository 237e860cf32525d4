"""A table's pieces go in; one row for each distinct row of its columns comes out, with what a Gaussian density needs.

    sum_i (y_i - mu)^2 = n (mean - mu)^2 + within,  within = sum_i (y_i - mean)^2

so that n rows with one mean mu count as the mean of their responses, n and `within`. What is made of them is left to
`merged`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.finite import refuse_infinite
from speclet_formula.design.merged import ROWS, WITHIN
from speclet_formula.design.scanning import Scan, coded_pieces, told_frame, unreadable, whole_column
from speclet_formula.design.strays import numeric_text
from speclet_formula.errors import DataError

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
    found = numeric_text(values, np.arange(seen, seen + len(values)))
    return DataError(
        f"the response '{response}' is text, but of the rows that were read {found.said}."
        if found
        else f"the response '{response}' holds labels, not numbers.",
        "Rows are merged into the mean of a numeric response.",
        found.remedy(response)
        if found
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
