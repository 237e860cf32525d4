"""A model and a wish go in; its rows dealt into folds come out, each of them to be left out whole.

Folds are the levels of a factor, some of them together, or rows at random. What is predicted of them is `k_fold`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import ComparisonError, nearest
from speclet_formula.model import Model, in_order_of

FEWEST = 2
DEFAULT = 10  # folds of rows
_NAMED = 8


@dataclass(frozen=True, eq=False)
class Folds:
    """Which fold each row of a model is in. n rows."""

    labels: tuple[str, ...]  # of the folds: a factor's levels, or "1", "2", ...
    codes: np.ndarray  # (n,) int64, index into labels; every fold has a row


def make_folds(
    model: Model,
    *,
    group: str | Sequence[Any] | np.ndarray | None = None,
    k: int | None = None,
    stratify: str | None = None,
    random_seed: int | None = None,
) -> Folds:
    """Deal the rows of a model into folds.

    Parameters
    ----------
    model : Model
    group : str or array of shape (n,), optional
        A column of the model's table, a grouping factor such as "gene:sgRNA", or a label for each row: rows of one
        level are never parted; a pandas Series is matched by its index.
    k : int, optional
        Folds; a fold for each level by default, or 10 without `group`.
    stratify : str, optional
        A column whose levels are spread evenly over the folds; of rows, not of levels.
    random_seed : int, optional
        Which rows or levels go together.

    Returns
    -------
    Folds

    Raises
    ------
    ComparisonError
        There is no such column, it lacks values, or there are fewer than two folds or more than can be filled.
    """
    rng = generator(random_seed)
    n = len(model.design.response)
    if group is None:
        wanted = _checked(DEFAULT if k is None else k, n, "rows")
        strata = np.zeros(n, dtype=np.int64) if stratify is None else _levels(model, stratify, "stratify")[0]
        return _numbered(_dealt(strata, wanted, rng), wanted)
    if stratify is not None:
        raise ComparisonError(
            f"stratify={stratify!r} is given beside group=.",
            "Rows are spread evenly by a column where they are dealt one by one; with group= whole levels are.",
            "Leave one of the two out.",
        )
    codes, labels = _levels(model, group, "group")
    wanted = _checked(len(labels) if k is None else k, len(labels), "levels")
    if wanted == len(labels):
        return Folds(labels, codes)
    return _numbered(_dealt(np.zeros(len(labels), dtype=np.int64), wanted, rng)[codes], wanted)


def _numbered(codes: np.ndarray, count: int) -> Folds:
    return Folds(tuple(str(number + 1) for number in range(count)), codes)


def _dealt(strata: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Deal out places at random, those of one stratum after the other, so that each fold gets as many of it."""
    shuffled = rng.permutation(len(strata))
    in_turn = shuffled[np.argsort(strata[shuffled], kind="stable")]
    codes = np.empty(len(strata), dtype=np.int64)
    codes[in_turn] = np.arange(len(strata)) % k
    return codes


def _checked(k: Any, most: int, what: str) -> int:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not FEWEST <= k <= most:
        raise ComparisonError(
            f"{k!r} folds cannot be made of {most:,} {what}.",
            f"The number of folds is a whole number from {FEWEST} to that of the {what}.",
            f"For example k={min(DEFAULT, max(most, FEWEST))}.",
        )
    return int(k)


def _levels(model: Model, group: Any, argument: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return each row's level, and the observed levels in the analyst's order."""
    design = model.design
    if not isinstance(group, str):
        given = in_order_of(model, group, argument)
        if np.ndim(given) != 1:
            raise ComparisonError(
                f"{argument}= is {given!r}, which is no label for each row."
                if np.ndim(given) == 0
                else f"{argument}= has {np.ndim(given)} dimensions.",
                "There is one label for each row that the model uses, or for each row of its table.",
                f"Give a column's name: {argument}='gene'.",
            )
        column = given if isinstance(given, pd.Series) else pd.Series(list(given))
        if len(column) == len(model.data) != len(design.rows):
            column = column.iloc[design.rows].reset_index(drop=True)
    elif group in model.data.columns:
        column = model.data[group].iloc[design.rows].reset_index(drop=True)
    else:
        blocks = {block.group: block for block in design.blocks}
        if group not in blocks:
            raise _unknown(model, group, argument, [*map(str, model.data.columns), *blocks])
        return blocks[group].codes, blocks[group].levels
    if len(column) != len(design.rows):
        raise ComparisonError(
            f"{argument}= has {len(column):,} values for {len(design.rows):,} rows of the model.",
            "There is one for each row that the model uses, or for each row of its table.",
            f"Give a column's name: {argument}='gene'.",
        )
    if column.isna().any():
        raise ComparisonError(
            f"'{group if isinstance(group, str) else argument}' lacks a value in {int(column.isna().sum()):,} rows.",
            "Each row belongs to one fold.",
            "Fill them in, or leave these rows out of the table.",
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        return column.cat.codes.to_numpy(np.int64), tuple(map(label_of, column.cat.categories))
    codes, levels = pd.factorize(column)
    return codes.astype(np.int64), tuple(map(label_of, levels.tolist()))


def _unknown(model: Model, name: str, argument: str, known: list[str]) -> ComparisonError:
    near = nearest(name, known)
    return ComparisonError(
        f"there is no column '{name}' to make folds of.",
        f"{argument}= names a column of the model's table: "
        f"{', '.join(known[:_NAMED])}{', ...' if known[_NAMED:] else ''}.",
        f"Nearest: {near}." if near else f"For example {argument}={str(model.data.columns[0])!r}.",
    )
