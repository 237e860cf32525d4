"""Stated parameters go in; each number that a model needs comes out, or an error that names what is wrong."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from speclet_formula.design import Design
from speclet_formula.design.design import correlation_name, sides
from speclet_formula.errors import DataError, nearest
from speclet_formula.simulation.records import Simulator


def check_params(simulator: Simulator, params: Mapping[str, Any]) -> None:
    """Raise a DataError unless `params` has each number that is needed and nothing else."""
    layout = simulator.layout
    extras = tuple(name for name in simulator.family.parameters if name not in dict(layout.parameters))
    needed = [label for side in sides(layout) for label in fixed_labels(side)]
    accepted = [*needed, *extras]
    missing = [name for name in (*needed, *extras) if name not in params]
    for block in (block for side in sides(layout) for block in side.groups):
        correlation = correlation_name(block)
        drawn = [slot for slot in block.slots if slot not in params]
        missing += [f"{slot}_sigma" for slot in drawn if f"{slot}_sigma" not in params]
        needed += [f"{slot}_sigma" for slot in block.slots]
        accepted += [name for slot in block.slots for name in (slot, f"{slot}_sigma", f"{slot}_mu")]
        if block.correlated:
            needed.append(correlation)
            accepted.append(correlation)
            missing += [correlation] if drawn and correlation not in params else []
    listing = f"This model needs {', '.join(map(repr, [*needed, *extras]))}."
    unknown = [name for name in params if name not in accepted]
    if unknown:
        near = nearest(unknown[0], accepted)
        raise DataError(
            f"params names '{unknown[0]}', which this model does not have.",
            listing,
            f"Nearest: '{near}'." if near else "Leave it out, or add its term to the formula.",
        )
    if missing:
        raise DataError(
            f"params lacks {', '.join(map(repr, missing))}.",
            f"{listing} The effects themselves, by level, may stand in for an SD.",
            f"Add params['{missing[0]}'].",
        )


def fixed_labels(layout: Design) -> tuple[str, ...]:
    """Return one label per column of X."""
    return tuple(label for term in layout.fixed for label in term.columns)


def number_of(params: Mapping[str, Any], name: str, *, positive: bool = False) -> float:
    """Return a parameter as a finite number, above zero where it must be."""
    value = params[name]
    number = finite(value)
    if number is None or (positive and number <= 0):
        kind = "a number above 0" if positive else "a finite number"
        raise DataError(f"params['{name}'] is {value!r}.", f"'{name}' is {kind}.", "Give one number on the link scale.")
    return number


def finite(value: Any) -> float | None:
    """Return a finite number; None of anything else, such as a whole number of hundreds of digits."""
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def floats(values: Any) -> np.ndarray:
    """Return an array of numbers; one of no shape that a parameter has where any of them is none."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return np.empty((0, 0))
