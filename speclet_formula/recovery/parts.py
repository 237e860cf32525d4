"""The parts of the true linear predictor of the mean, one vector over the rows each, and where each goes in a model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import GroupBlock, Predictor
from speclet_formula.design.design import sd_name, slot_of_mean
from speclet_formula.design.tables import as_pandas
from speclet_formula.design.transforms import as_factor, interaction, label_of
from speclet_formula.errors import DataError, some_of
from speclet_formula.model import Model
from speclet_formula.priors import Prior, pairs_of


@dataclass(frozen=True, eq=False)
class Part:
    """One coefficient or one set of effects of the truth, and what it adds to each row."""

    key: str  # "Intercept", "cn", "1|gene", "Days|Subject"
    column: str  # the column that it multiplies: "1", "cn", "Days"
    codes: np.ndarray  # (n,) int, the level of each row; all 0 for a coefficient; (levels,) of mm()
    effects: np.ndarray  # (levels,) float, NaN where the truth names no effect
    column_values: np.ndarray  # (n,) float
    contribution: np.ndarray  # (n,) float, what it adds to the linear predictor
    value: float | None  # the coefficient; None for a set of effects
    sd: float | None  # the SD that the effects were drawn with, if it is stated


def parts_of(model: Model, stated: Mapping[str, Any]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the parts of the true linear predictor, and the keys that are none."""
    table = as_pandas(model.data).iloc[model.design.rows]
    parts, others = [], []
    for key, value in stated.items():
        if isinstance(value, Mapping | pd.Series):
            part = _effects_part(model, table, key, value, stated.get(sd_name(key)))
        else:
            part = _coefficient_part(model, table, key, value)
        if part is None:
            others.append(key)
        else:
            parts.append(part)
    return tuple(parts), tuple(others)


def residual_variance(part: Part) -> float:
    """Return what a part adds to the variance of the residuals if the model leaves it out."""
    if part.value is not None:
        return float(np.var(part.contribution))
    if part.sd is not None:
        return float(part.sd**2 * np.mean(part.column_values**2))
    return float(np.nanmean(part.contribution**2))


def model_means(model: Model) -> tuple[str, ...]:
    """Return the slots of group effects whose mean is learnt (`1|gene_mu` in the posterior)."""
    return tuple(
        slot.slot for slot in model.slots if slot.kind == "group" and isinstance(slot.prior.parameters.get("mu"), Prior)
    )


def means_moved(model: Model, truth: Mapping[str, Any]) -> dict[str, Any]:
    """Return the truth without the means of effects that the model lacks: they go into the coefficients."""
    kept = model_means(model)
    moved = dict(truth)
    for key in truth:
        slot = slot_of_mean(key)
        if slot is None or slot in kept:
            continue
        mean = float(moved.pop(key))
        label = coefficient_of(slot.split("|", 1)[0])
        moved[label] = float(moved.get(label, 0.0)) + mean
        if slot in moved:
            moved[slot] = {level: effect - mean for level, effect in moved[slot].items()}
    return moved


def coefficient_of(column: str) -> str:
    """Return the fixed coefficient that goes with a column of a group block."""
    return "Intercept" if column == "1" else column


def _coefficient_part(model: Model, table: pd.DataFrame, key: str, value: Any) -> Part | None:
    """Return a fixed coefficient as a part, or None if the data have no such column."""
    values = None if np.ndim(value) else _column_values(model, table, key)
    if values is None:
        return None
    column = "1" if key == "Intercept" else key
    codes = np.zeros(len(values), dtype=np.int64)
    return Part(key, column, codes, np.array([float(value)]), values, float(value) * values, float(value), None)


def _effects_part(
    model: Model, table: pd.DataFrame, key: str, effects: Mapping[Any, float] | pd.Series, sd: float | None
) -> Part | None:
    """Return a set of effects as a part, or None if the data have no such factor or column."""
    column, _, group = key.partition("|")
    own = _own_block(model, key)
    if own is not None and own.shares is not None:
        return _shared_part(own, key, effects, sd)
    factor = data_factor(table, group) if own is None else (own.codes, own.levels)
    values = None if factor is None else _column_values(model, table, coefficient_of(column), key)
    if factor is None or values is None:
        return None
    codes, levels = factor
    by_level = effects_by_level(key, group, effects, levels)
    aligned = np.array([by_level.get(level, math.nan) for level in levels])
    return Part(key, column, codes, aligned, values, aligned[codes] * values, None, None if sd is None else float(sd))


def _shared_part(block: GroupBlock, key: str, effects: Mapping[Any, float] | pd.Series, sd: float | None) -> Part:
    """Return a set of effects of mm(), which a row has of several levels: it goes to the slot of its name alone."""
    by_level = effects_by_level(key, block.group, effects, block.levels)
    aligned = np.array([by_level.get(level, math.nan) for level in block.levels])
    place = block.slots.index(key)
    added = np.zeros(len(block.places))
    for codes, values in block.members():
        added += np.where(values[:, place] == 0, 0.0, values[:, place] * aligned[codes])
    stated = None if sd is None else float(sd)
    return Part(key, block.columns[place], np.arange(len(aligned)), aligned, block.loads[:, place], added, None, stated)


def _own_block(model: Model, key: str) -> GroupBlock | None:
    """Return the model's own block of that name."""
    return next((block for block in model.design.mean.groups if key in block.slots), None)


def data_factor(table: pd.DataFrame, group: str) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Return codes and levels of a factor of the data: a column, or columns crossed with ':'."""
    columns = [group] if group in table else group.split(":")
    if any(column not in table or table[column].isna().any() for column in columns):
        return None
    factors = [_factor(table[column]) for column in columns]
    crossed = factors[0] if len(factors) == 1 else interaction(*factors)
    return crossed.codes.astype(np.int64), tuple(map(label_of, crossed.categories))


def _factor(column: pd.Series) -> pd.Categorical:
    return as_factor(column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy())


def effects_by_level(
    key: str, group: str, effects: Mapping[Any, float] | pd.Series, levels: tuple[str, ...]
) -> dict[str, float]:
    """Return stated effects by the labels of their levels, or raise if the data do not have one of these."""
    by_level, known = {label_of(level): float(effect) for level, effect in effects.items()}, set(levels)
    foreign = [level for level in by_level if level not in known]
    if foreign:
        raise DataError(
            f"the truth's '{key}' has levels that the model's data do not have: {some_of(foreign)}.",
            f"'{group}' has {len(levels)} levels there, such as {', '.join(map(repr, levels[:3]))}.",
            "Label the effects as the data do ('gene:sgRNA' has levels such as 'gene_0:sgRNA_0'), and leave out levels "
            "that were not observed.",
        )
    return by_level


def _column_values(model: Model, table: pd.DataFrame, label: str, slot: str | None = None) -> np.ndarray | None:
    """Return the values of a column by its label: the model's, the data's, an indicator, or a product of these."""
    for block in model.design.mean.groups:
        if slot in block.slots:
            own: np.ndarray = block.values[:, block.slots.index(str(slot))]
            return own
    for term in model.design.mean.fixed:
        if label in term.columns:
            fixed: np.ndarray = model.design.mean.X[:, term.start + term.columns.index(label)]
            return fixed
    if label == "Intercept":
        return np.ones(len(table))
    if label in table and pd.api.types.is_numeric_dtype(table[label].dtype):
        return np.asarray(table[label], dtype=float)
    return _indicator(table, label)


def _indicator(table: pd.DataFrame, label: str) -> np.ndarray | None:
    """Return where a factor has a level, for a label such as "control[other]"."""
    name, bracket, rest = label.partition("[")
    if not bracket or name not in table:
        return None
    hits: np.ndarray = (table[name].map(label_of) == rest.removesuffix("]")).to_numpy(dtype=float)
    return hits if hits.any() else None


def placed_effects(block: GroupBlock, slot: str, parts: tuple[Part, ...]) -> pd.Series:
    """Return the true effects of a block's levels: the sum of its parts, for the levels where all are known."""
    if block.shares is not None:
        return pd.Series(sum(part.effects for part in parts), index=list(block.levels), name=slot).dropna()
    levels, rows = np.unique(block.codes, return_index=True)
    total = np.zeros(len(levels))
    for part in parts:
        total = total + part.effects[part.codes[rows]]
    series = pd.Series(total, index=[block.levels[level] for level in levels], name=slot)
    return series.dropna()


def correlations_by_key(block: GroupBlock, correlations: Any) -> dict[str, float]:
    """Return a block's correlations, given as a matrix, as its pairs or as the only one, by their scalars' keys."""
    values, k = np.asarray(correlations, dtype=float), len(block.columns)
    pairs = pairs_of(values) if values.shape == (k, k) else np.ravel(values)
    return dict(zip(block.correlations, pairs.tolist(), strict=True))


# --- where each part goes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Placement:
    """Where each part of the true linear predictor goes in the model."""

    slots: dict[str, tuple[Part, ...]]  # slot of a group block -> its parts
    named: dict[str, float]  # label of a column of X -> its coefficient
    absorbed: tuple[Part, ...]  # parts that the columns of X take up
    left: tuple[Part, ...]  # parts that nothing takes up


def place_parts(mean: Predictor, parts: tuple[Part, ...]) -> Placement:
    """Give each part its place, by the rules of `implied_truth`."""
    labels = mean.columns
    slots: dict[str, tuple[Part, ...]] = {}
    absorbed: list[Part] = []
    left: list[Part] = []
    named = {part.key: part.value for part in parts if part.value is not None and part.key in labels}
    for part in (part for part in parts if part.key not in named):
        slot = _home(mean, part)
        direct = slot == part.key
        if not direct and _in_span(mean.X, part.contribution):
            absorbed.append(part)
        elif slot is not None:
            slots[slot] = (*slots.get(slot, ()), part)
        else:
            left.append(part)
    return Placement(slots, named, tuple(absorbed), tuple(left))


def _home(mean: Predictor, part: Part) -> str | None:
    """Return the slot that can hold a part: the one of its name, or the smallest block that determines its level."""
    fitting = []
    if any(part.key in block.slots for block in mean.groups):
        return part.key
    for block in mean.groups:
        for column, slot in zip(block.columns, block.slots, strict=True):
            if column == part.column and block.shares is None and determines(block.codes, part.codes):
                fitting.append((len(block.levels), slot))
    return min(fitting, key=lambda pair: pair[0])[1] if fitting else None


def determines(fine: np.ndarray, coarse: np.ndarray) -> bool:
    """Tell whether each level of one factor lies within a single level of the other."""
    pairs = pd.MultiIndex.from_arrays([fine, coarse]).nunique()
    return bool(pairs == len(np.unique(fine)))


def _in_span(X: np.ndarray, values: np.ndarray) -> bool:
    """Tell whether values are a linear combination of the columns of X."""
    if not X.shape[1] or not np.isfinite(values).all():
        return False
    coefficients = project(X, values)
    if coefficients is None:
        return False
    rest = values - X @ coefficients
    return bool(np.linalg.norm(rest) <= 1e-8 * max(np.linalg.norm(values), 1.0))


def project(X: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return the least-squares coefficients of values on X (of indicators: means of cells), or None if not unique."""
    if ((X == 0) | (X == 1)).all() and (X.sum(axis=1) == 1).all():
        cells: np.ndarray = (X.T @ values) / X.sum(axis=0)
        return cells
    coefficients, _, rank, _ = np.linalg.lstsq(X, values, rcond=None)
    return coefficients if rank == X.shape[1] else None
