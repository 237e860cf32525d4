"""A model whose parameters have formulas and a truth go in; the true values of those formulas' terms come out.

They are taken by name: a truth that was stated for another formula of the parameter is not carried over, as `truth`
does for the mean.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.transforms import label_of
from speclet_formula.model import Model
from speclet_formula.recovery.parts import refuse_foreign
from speclet_formula.recovery.scalars import correlations_by_key


@dataclass(frozen=True, eq=False)
class VaryingTruth:
    """What is true of the formulas of a model's parameters."""

    scalars: dict[str, float] = field(default_factory=dict)
    realized: dict[str, float] = field(default_factory=dict)
    effects: dict[str, pd.Series] = field(default_factory=dict)
    keys: tuple[str, ...] = ()  # of the truth, that are used up here


def varying_truth(model: Model, truth: Mapping[str, Any]) -> VaryingTruth:
    """Return the true values of the terms of all parameters' formulas.

    Parameters
    ----------
    model : Model
    truth : dict

    Returns
    -------
    VaryingTruth

    Raises
    ------
    DataError
        If effects have levels that the model's data do not have.
    """
    scalars: dict[str, float] = {}
    realized: dict[str, float] = {}
    effects: dict[str, pd.Series] = {}
    keys: list[str] = []
    for _, side in model.design.parameters:
        for name in (label for term in side.fixed for label in term.columns):
            scalars |= {name: float(truth[name])} if name in truth else {}
        for block in side.groups:
            stated = {slot: _effects(block, slot, truth[slot]) for slot in block.slots if slot in truth}
            effects |= stated
            numbers = dict(_block_scalars(block, truth))
            scalars |= numbers
            realized |= {f"{slot}_sigma": float(s.std()) for slot, s in stated.items() if f"{slot}_sigma" in numbers}
        keys += [name for name in _names(side) if name in truth]
    return VaryingTruth(scalars, dict.fromkeys(scalars, float("nan")) | realized, effects, tuple(keys))


def _names(side: Design) -> Iterator[str]:
    """Go through all that a truth can say of a formula."""
    yield from (label for term in side.fixed for label in term.columns)
    for block in side.groups:
        yield from (name for slot in block.slots for name in (slot, f"{slot}_sigma", f"{slot}_mu"))
        yield block.correlation


def _block_scalars(block: GroupBlock, truth: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Give SDs, means and correlations that are stated."""
    for name in (f"{slot}{moment}" for slot in block.slots for moment in ("_mu", "_sigma")):
        if name in truth:
            yield name, float(truth[name])
    name = block.correlation
    if block.correlated and name in truth:
        yield from correlations_by_key(block, truth[name]).items()


def _effects(block: GroupBlock, slot: str, stated: Mapping[Any, float] | pd.Series) -> pd.Series:
    """Return stated effects in the order of the block's levels, without those that the truth does not name."""
    by_level = {label_of(level): float(effect) for level, effect in stated.items()}
    refuse_foreign(slot, block.group, by_level, block.levels)
    known = [level for level in block.levels if level in by_level]
    return pd.Series([by_level[level] for level in known], index=known, name=slot)
