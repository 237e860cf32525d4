"""The levels of mm(a, b) and how much of each a row has: the union of its columns' levels, and weights as in brms.

Without weights each of a row's m levels counts 1 / m; with them they are divided by their sum in the row, unless the
term says scale = FALSE. What a row names twice is added up, and of a weight of zero nothing is left: a level that all
rows name with that weight is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from speclet_formula.design.design import GroupBlock
from speclet_formula.design.evaluation import Scope, evaluate, evaluate_labels, is_labels
from speclet_formula.design.fixed import report_no_level, report_not_finite
from speclet_formula.design.response import check_one_column
from speclet_formula.design.transforms import as_factor
from speclet_formula.errors import DataError, listed
from speclet_formula.formula.multi_membership import is_scaled, members_of, weights_of
from speclet_formula.formula.terms import Call, Name, text_of


@dataclass(frozen=True, eq=False)
class Memberships:
    """What rows have of the levels of a grouping factor."""

    levels: tuple[str, ...]  # those that some row has
    places: np.ndarray  # (n, m) int64, index into levels; (n,) of a factor of which a row has one level
    shares: np.ndarray | None  # (n, m) float64; a level that a row names twice has its sum once, and 0 once


def level_pairs(one: GroupBlock, other: GroupBlock) -> np.ndarray:
    """Return which levels of two factors occur in a row together, each pair once, as level of one * q + level of other.

    q are the levels of the other one. The time is linear in the rows.
    """
    count = np.int64(len(other.levels))
    if one.shares is None and other.shares is None:
        return np.asarray(pd.unique(one.codes * count + other.codes))  # a hash table: linear, where np.unique sorts
    first, second = (_indicators(block) for block in (one, other))
    found = (first.T @ second).tocoo()
    return np.asarray(found.row * count + found.col)


def _indicators(block: GroupBlock) -> Any:
    """Return where rows belong to levels, sparse (n, levels)."""
    rows, codes = block.belongings
    return sparse.csr_array((np.ones(len(rows)), (rows, codes)), shape=(len(block.places), len(block.levels)))


def memberships_of(call: Call, scope: Scope) -> Memberships:
    """Return the levels of mm(a, b) and what each row has of them.

    Raises
    ------
    DataError
        A column is no labels, or weights are no finite numbers, or cannot be divided by their sum.
    """
    factors = [_factor(node, scope) for node in members_of(call)]
    shares = _shares(call, scope, len(factors))
    every = _union([list(factor.categories) for factor in factors])
    position = {level: place for place, level in enumerate(every)}
    places = np.column_stack([
        np.array([position[level] for level in factor.categories], dtype=np.int64)[factor.codes] for factor in factors
    ])  # fmt: skip
    places, shares = _added_up(places, shares)
    seen = np.zeros(len(every), dtype=bool)
    seen[places[shares != 0]] = True
    largest = np.take_along_axis(places, np.abs(shares).argmax(axis=1)[:, None], axis=1)
    compact = np.maximum(np.cumsum(seen) - 1, 0)
    return Memberships(
        tuple(level for level, there in zip(every, seen, strict=True) if there),
        compact[np.where(shares != 0, places, largest)],  # what has no part meets no level that the row does not meet
        shares,
    )


def _factor(node: Name | Call, scope: Scope) -> pd.Categorical:
    values = evaluate_labels(node, scope)
    check_one_column(values, node, "a grouping factor")
    if not is_labels(values):
        report_not_finite(np.asarray(values, dtype=float), text_of(node))
    factor = as_factor(values)
    report_no_level(factor, text_of(node))
    return factor


def _union(levels: Sequence[list[str]]) -> list[str]:
    """Return all levels: numbers and text in order where each column's are, else the first column's levels first."""
    every = list(dict.fromkeys(level for one in levels for level in one))
    numbers = {level: _number(level) for level in every}
    size = numbers.__getitem__
    if not np.isnan(list(numbers.values())).any() and all(one == sorted(one, key=size) for one in levels):
        return sorted(every, key=size)
    return sorted(every) if all(one == sorted(one) for one in levels) else every


def _number(level: str) -> float:
    try:
        return float(level)
    except ValueError:
        return float("nan")


def _shares(call: Call, scope: Scope, count: int) -> np.ndarray:
    """Return how much of each of its levels a row has, (n, m)."""
    n, given = len(scope.frame), weights_of(call)
    if given is None:
        return np.full((n, count), 1.0 / count)
    columns = []
    for argument in given.arguments:
        values, name = evaluate(argument.value, scope), text_of(argument.value)
        if is_labels(values) or np.ndim(values) > 1:
            raise DataError(
                f"the weights '{name}' of '{text_of(call)}' are not numbers.",
                "Weights are a number for each row and column of mm().",
                "Name a numeric column.",
            )
        numbers = np.broadcast_to(np.asarray(values, dtype=float), (n,))
        report_not_finite(numbers, name)
        columns.append(numbers)
    weights = np.column_stack(columns)
    return _scaled(weights, call) if is_scaled(call) else weights


def _scaled(weights: np.ndarray, call: Call) -> np.ndarray:
    """Divide weights by their sum in each row."""
    negative, nothing = (weights < 0).any(axis=1), weights.sum(axis=1) == 0
    for bad, what in ((negative, "below zero"), (nothing, "all zero")):
        if bad.any():
            rows = np.flatnonzero(bad)
            raise DataError(
                f"weights of '{text_of(call)}' are {what} in {len(rows)} of {len(bad)} rows (counted from 0: "
                f"{listed(rows, 5)}).",
                "Weights are divided by their sum in the row, as in brms, unless the term says scale = FALSE.",
                "Correct them, or write scale = FALSE for weights that are taken as they are.",
            )
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _added_up(places: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give what a row names twice to the first place."""
    shares = shares.copy()
    for later in range(1, places.shape[1]):
        for earlier in range(later):
            same = places[:, earlier] == places[:, later]
            shares[same, earlier] += shares[same, later]
            shares[same, later] = 0.0
    return places, shares
