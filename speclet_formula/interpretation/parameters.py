"""A fit goes in; its draws come out by the names that users know: those of `fixef`, of slots, and of levels.

Reading expressions of them is left to `expressions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from speclet_formula.design.design import Design, GroupBlock, sides
from speclet_formula.posterior.draws import Fitted, draws_of, pooled
from speclet_formula.posterior.intervals import Array

type Take = partial[Array]


@dataclass(frozen=True, eq=False)
class Nameable:
    """What can be named.

    Attributes
    ----------
    scalars : mapping of str to callable
        By name, what returns the draws of all chains, shape (draws,): fixed effects, thresholds, the family's
        parameters and the standard deviations of group effects.
    effects : mapping of str to (GroupBlock, callable)
        By slot, "1|gene": the block, and what returns the draws of all levels, shape (draws, levels).
    """

    scalars: Mapping[str, Take]
    effects: Mapping[str, tuple[GroupBlock, Take]]


def parameters_of(fit: Fitted) -> Nameable:
    """List what can be named in a fit; nothing is copied before it is asked for.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    Nameable
    """
    scalars: dict[str, Take] = {}
    effects: dict[str, tuple[GroupBlock, Take]] = {}
    for side in sides(fit.model.design):
        scalars |= _coefficients(fit, side)
        for block in side.groups:
            for column, slot in zip(block.columns, block.slots, strict=True):
                name = f"{block.prefix}{column}|{block.group}"
                effects[name] = block, partial(_whole, fit, slot)
                scalars[f"{name}_sigma"] = partial(_element, fit, f"{slot}_sigma", 0)
    varying = {"threshold", *dict(fit.model.design.parameters)}
    own = {name: partial(_element, fit, name, 0) for name in fit.model.family.parameters if name not in varying}
    # A prior may have no standard deviation to draw.
    known = {name: take for name, take in scalars.items() if take.args[1] in fit.idata["posterior"].data_vars}
    return Nameable(known | own, effects)


def _coefficients(fit: Fitted, side: Design) -> dict[str, Take]:
    """Return thresholds and fixed effects by label."""
    thresholds = {label: partial(_element, fit, "threshold", place) for place, label in enumerate(side.thresholds)}
    fixed = {
        label: partial(_element, fit, term.variable, place)
        for term in side.fixed
        for place, label in enumerate(term.columns)
    }
    return thresholds | fixed


def _element(fit: Fitted, variable: str, place: int) -> Array:
    return np.asarray(pooled(draws_of(fit, variable))[:, place])


def _whole(fit: Fitted, variable: str) -> Array:
    return pooled(draws_of(fit, variable))
