"""A block and stated parameters go in; the effects of its levels come out, as given or drawn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import GroupBlock
from speclet_formula.design.design import correlation_name
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, some_of
from speclet_formula.simulation.parameters import finite, floats, number_of

type Effects = Mapping[Any, float] | pd.Series


def block_effects(block: GroupBlock, params: Mapping[str, Any], rng: np.random.Generator) -> dict[str, pd.Series]:
    """Return the effects of each column of a block: as given, or else drawn."""
    given = {slot: _given_effects(params[slot], slot, block) for slot in block.slots if slot in params}
    drawn = [column for column, slot in enumerate(block.slots) if slot not in given]
    if block.correlated and given and drawn:
        raise DataError(
            f"params gives the effects of '{next(iter(given))}' but not of '{block.slots[drawn[0]]}'.",
            f"The columns of a correlated block are drawn together: give all of {', '.join(map(repr, block.slots))}, "
            "or none.",
            f"Add params['{block.slots[drawn[0]]}'], or write (... || {block.group}).",
        )
    if not drawn:
        return given
    factor = _covariance_factor(block, drawn, params)
    standard = rng.standard_normal((len(block.levels), len(drawn)))
    values = standard @ factor.T
    for position, column in enumerate(drawn):
        slot = block.slots[column]
        mean = number_of(params, f"{slot}_mu") if f"{slot}_mu" in params else 0.0
        given[slot] = pd.Series(mean + values[:, position], index=list(block.levels), name=slot)
    return given


def _given_effects(effects: Effects, slot: str, block: GroupBlock) -> pd.Series:
    """Return stated effects in the order of the block's levels."""
    if not isinstance(effects, Mapping | pd.Series):
        raise DataError(
            f"params['{slot}'] is {effects!r}.",
            f"'{slot}' holds an effect for each level of '{block.group}', as a Series or a dict.",
            f"For the SD of effects to be drawn write params['{slot}_sigma'].",
        )
    by_level = {label_of(level): _effect(effect, slot, level) for level, effect in effects.items()}
    absent = [level for level in block.levels if level not in by_level]
    foreign = [level for level in by_level if level not in set(block.levels)]
    if absent or foreign:
        problem = "lacks the levels" if absent else "has levels that the design does not:"
        raise DataError(
            f"params['{slot}'] {problem} {some_of(absent or foreign)}.",
            f"'{block.group}' has {len(block.levels)} levels, such as '{block.levels[0]}'.",
            "Give exactly one effect for each level.",
        )
    return pd.Series([by_level[level] for level in block.levels], index=list(block.levels), name=slot)


def _effect(effect: Any, slot: str, level: Any) -> float:
    number = finite(effect)
    if number is None:
        raise DataError(
            f"params['{slot}'] has {effect!r} at the level '{level}'.",
            "An effect is a finite number.",
            "Give one number for each level, on the link scale.",
        )
    return number


def _covariance_factor(block: GroupBlock, drawn: list[int], params: Mapping[str, Any]) -> np.ndarray:
    """Return L with Sigma = L L' for the columns to be drawn."""
    sds = np.array([_standard_deviation(params, f"{block.slots[column]}_sigma") for column in drawn])
    if not block.correlated:
        return np.diag(sds)
    name = correlation_name(block)
    correlation = _correlation_matrix(params[name], len(drawn), name)
    try:
        lower = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        raise DataError(
            f"params['{name}'] is not positive definite: {np.asarray(params[name]).tolist()}.",
            "A covariance matrix is positive definite; with two columns that is a correlation between -1 and 1.",
            "Move the correlations towards 0.",
        ) from None
    factor: np.ndarray = sds[:, np.newaxis] * lower
    return factor


def _standard_deviation(params: Mapping[str, Any], name: str) -> float:
    """Return an SD: a number, zero allowed (a block without effect)."""
    value = number_of(params, name)
    if value < 0:
        raise DataError(f"params['{name}'] is {value!r}.", "An SD is at least 0.", "Give the SD, not the variance.")
    return value


def _correlation_matrix(given: Any, k: int, name: str) -> np.ndarray:
    """Return a k x k correlation matrix from a number, its pairs, or itself."""
    values = floats(given)
    matrix = np.eye(k)
    rows, columns = np.triu_indices(k, 1)
    if values.shape == (k, k) and np.allclose(values, values.T) and np.allclose(np.diag(values), 1):
        return values
    if values.shape in ((), (len(rows),)) and values.size == len(rows) and np.isfinite(values).all():
        matrix[rows, columns] = matrix[columns, rows] = np.ravel(values)
        return matrix
    count = "one correlation" if len(rows) == 1 else f"{len(rows)} correlations"
    raise DataError(
        f"params['{name}'] is {np.asarray(given).tolist()!r}.",
        f"'{name}' is {count}, or a symmetric {k} x {k} matrix with ones on its diagonal.",
        "Give the pairs in the order (1, 2), (1, 3), ..., (2, 3), ...",
    )
