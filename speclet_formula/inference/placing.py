"""Draws whose group intercepts are meant at the means of their block's columns go in; those at zero come out.

The engines sample where the priors hold (`priors.places`). A posterior's names mean what lme4's do: intercepts, their
SDs and correlations where all columns are zero.
"""

from typing import Any

import numpy as np

from speclet_formula.design import GroupBlock
from speclet_formula.design.records import correlation_name
from speclet_formula.model import Model
from speclet_formula.priors import matrices_of, move_spread, pairs_of, places_of


def at_zero(model: Model, variables: dict[str, Any], *, effects: bool = True) -> dict[str, Any]:
    """Move the intercepts of all blocks to zero.

    Parameters
    ----------
    model : Model
    variables : dict of str to xarray.DataArray
        Draws under the names of the posterior.
    effects : bool
        Whether the effects are still meant at the means; else only their SDs and correlations are.

    Returns
    -------
    dict of str to xarray.DataArray
        The same names in the same order.
    """
    moved = dict(variables)
    for block, place in zip(model.design.groups, places_of(model.design, model.slots), strict=True):
        if place.any():
            moved |= _spread(block, place, variables)
            if effects and block.slots[0] in variables:
                moved |= _intercept(block, place, variables)
    return moved


def _intercept(block: GroupBlock, place: np.ndarray, variables: dict[str, Any]) -> dict[str, Any]:
    slot = block.slots[block.columns.index("1")]
    slopes = zip(place, block.slots, strict=True)
    return {slot: variables[slot] - sum(mean * variables[other] for mean, other in slopes if mean)}


def _spread(block: GroupBlock, place: np.ndarray, variables: dict[str, Any]) -> dict[str, Any]:
    names, correlation = [f"{slot}_sigma" for slot in block.slots], correlation_name(block)
    sds = np.stack([variables[name].to_numpy() for name in names], axis=-1)
    matrices = matrices_of(variables[correlation].to_numpy())
    sds, matrices = move_spread(sds, matrices, block.columns, -place)
    found = {name: variables[name].copy(data=sds[..., column]) for column, name in enumerate(names)}
    return found | {correlation: variables[correlation].copy(data=pairs_of(matrices))}
