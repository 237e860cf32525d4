"""Rows that stand for several: which models can use them, and counts and means of the rows as they were before.

`scans` merges rows as it reads them. A merged table has columns of its own, so that it can be filtered, saved and
fitted again.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.design import Design, GroupBlock, Merged, Moments
from speclet_formula.errors import DataError
from speclet_formula.formula.terms import Call, Formula, Name, Term, calls_in, text_of

ROWS = "(rows)"  # how many rows became one, ...
WITHIN = "(within {})"  # ... and the sum of squares of the response around their mean
LEARNING = (
    "bs",
    "center",
    "ns",
    "poly",
    "s",
    "scale",
    "t2",
)  # functions whose values depend on how often each value occurs


def merged_columns(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns that a merged table has beside those of its file; none of any other table."""
    if ROWS not in table.columns:
        return ()
    within = [str(name) for name in table.columns if _response_of(str(name)) is not None]
    return (ROWS, *within) if len(within) == 1 else ()


def _response_of(column: str) -> str | None:
    """Return the response whose squares a column of the name `WITHIN` holds; None for any other column."""
    before, after = WITHIN.split("{}")
    is_within = column.startswith(before) and column.endswith(after)
    return column.removeprefix(before).removesuffix(after) if is_within else None


def count_rows(table: pd.DataFrame, keep: np.ndarray | None = None) -> int:
    """Count the rows of a table, or those that are kept, as they were before they were merged."""
    if not merged_columns(table):
        return len(table) if keep is None else int(np.count_nonzero(keep))
    counts = table[ROWS].to_numpy()
    return int((counts if keep is None else counts[keep]).sum())


def merged_response(formula: Formula, weights: Any) -> str:
    """Return the column that rows are merged into the mean of, before anything is read.

    Raises
    ------
    DataError
        The response is computed, or the weights are no column.
    """
    if not isinstance(formula.response, Name):
        what = f"the response '{text_of(formula.response)}' is computed" if formula.response else "there is no response"
        raise DataError(
            f"{what}, and the rows of the table are to be merged.",
            "Rows are merged into the mean of a column, which is not what the mean of its values would become.",
            "Compute the column first, such as polars.scan_parquet(path).with_columns(...), and scan that.",
        )
    if weights is not None and not isinstance(weights, str):
        raise DataError(
            "weights= is an array, and the rows of the table are to be merged.",
            "Rows are merged where their weights agree, which are a column for that.",
            "Name the weights' column.",
        )
    return formula.response.name


def check_merged(formula: Formula, table: pd.DataFrame, *, plain: bool, functions: Sequence[str]) -> None:
    """Refuse a model for which merged rows do not hold all that the single ones said.

    Parameters
    ----------
    formula : Formula
    table : pandas.DataFrame
        With `merged_columns`.
    plain : bool
        Whether the family is gaussian with the identity link.
    functions : sequence of str
        The user's own functions.
    """
    counted, within = merged_columns(table)
    made_for = _response_of(within)
    name = formula.response.name if isinstance(formula.response, Name) else text_of(formula.response or Name(""))
    if name != made_for:
        raise DataError(
            f"the rows of the table are merged into the means of '{made_for}', and the response is '{name}'.",
            f"'{counted}' and '{within}' belong to the response '{made_for}'.",
            f"Write {made_for} ~ ..., or read the table again for '{name}'.",
        )
    if not plain or formula.parameters:
        varying = f"'{formula.parameters[0][0]}' has a formula of its own" if formula.parameters else ""
        raise DataError(
            f"the rows of the table are merged, and {varying or 'the model is not gaussian with the identity link'}.",
            "A count, a mean and a sum of squares say everything of rows with one mean and one residual SD alone.",
            "Read the table without merge=True.",
        )
    learning = [call for call in _calls(formula) if call.function in (*LEARNING, *functions)]
    if learning:
        raise DataError(
            f"'{text_of(learning[0])}' would learn from the merged rows, not from the single ones.",
            "Functions that treat each row alone give merged rows what they gave the single ones.",
            "Compute the column first, such as polars.scan_parquet(path).with_columns(...), and scan that.",
        )


def _calls(formula: Formula) -> list[Call]:
    terms: list[Term] = [*formula.terms]
    for group in formula.group_terms:
        terms += [*group.terms, group.group]
    nodes = [*(factor for term in terms for factor in term.factors), *formula.offsets]
    return [call for node in nodes for call in calls_in(node)]


def require_rows(design: Design, caller: str) -> None:
    """Refuse what needs each row by itself, where rows are merged."""
    if design.merged is not None:
        raise DataError(
            f"{caller} needs each row by itself, and this model's {row_count(design):,} rows are merged into "
            f"{len(design.rows):,}.",
            "Merged rows hold all that estimates, group effects, likelihoods and tests of nested models need.",
            "Read the table without merge=True, or only some of it.",
        )


def refuse_merged(table: pd.DataFrame) -> None:
    """Refuse a merged table where responses are to be drawn for its rows."""
    if merged_columns(table):
        raise DataError(
            f"the {count_rows(table):,} rows of the table are merged into {len(table):,}, and responses are to be "
            "drawn.",
            "A response is drawn for each row by itself.",
            "Hand over the table of the single rows.",
        )


def merged_of(table: pd.DataFrame, keep: np.ndarray) -> Merged | None:
    """Return what a table says of merged rows; None of any other table."""
    names = merged_columns(table)
    if not names:
        return None
    return Merged(*(table[name].to_numpy(dtype=float)[keep] for name in names))


def moments_of(design: Design) -> Moments:
    """Return what a Gaussian density takes of the rows as they were before they were merged."""
    merged = design.merged
    if merged is None:
        logs = 0.0 if design.weights is None else float(np.log(design.weights).sum())
        return Moments(len(design.response), 0.0, logs)
    each = np.ones(len(merged.rows)) if design.weights is None else design.weights / merged.rows
    return Moments(int(merged.rows.sum()), float(each @ merged.within), float(merged.rows @ np.log(each)))


def row_count(design: Design, chosen: np.ndarray | None = None) -> int:
    """Count the rows of a design, or those that a mask chooses, as they were before they were merged."""
    if design.merged is None:
        return len(design.rows) if chosen is None else len(design.rows[chosen])
    return int((design.merged.rows if chosen is None else design.merged.rows[chosen]).sum())


def rows_by_level(design: Design, codes: np.ndarray, levels: int) -> np.ndarray:
    """Count the rows (levels,) at each level of a factor, as they were before they were merged."""
    counts = None if design.merged is None else design.merged.rows
    return np.bincount(codes, counts, levels).astype(np.int64)


def rows_in_levels(design: Design, block: GroupBlock) -> np.ndarray:
    """Count the rows (levels,) that belong to each level of a block, as they were before they were merged."""
    rows, codes = block.belongings
    counts = None if design.merged is None else design.merged.rows[rows]
    return np.bincount(codes, counts, len(block.levels)).astype(np.int64)


def column_means(design: Design, columns: np.ndarray) -> np.ndarray:
    """Return the means (p,) of columns (n, p) over the rows, as they were before they were merged."""
    if design.merged is None:
        return np.asarray(columns.mean(axis=0))
    return np.asarray(design.merged.rows @ columns / design.merged.rows.sum())
