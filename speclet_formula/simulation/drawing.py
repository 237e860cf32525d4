"""A formula is read against a table once; then parameters go in, and a drawn response with its effects comes out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design, build_design
from speclet_formula.design.design import sides
from speclet_formula.errors import DataError
from speclet_formula.families import (
    FAMILIES,
    Family,
    draw_response,
    inverse_link,
    inverse_parameter_link,
    is_ordinal,
    resolve_family,
)
from speclet_formula.formula.parse import joined_text, parse_formula
from speclet_formula.formula.terms import Formula
from speclet_formula.model import check_parameters
from speclet_formula.observation import draw_between
from speclet_formula.responses import Censor, bounds_of_rows, response_to_draw
from speclet_formula.simulation.effects import block_effects
from speclet_formula.simulation.parameters import check_params, fixed_labels, floats, number_of
from speclet_formula.simulation.records import Simulator


def simulator_of(
    formula: str | Sequence[str] | Formula,
    table: pd.DataFrame,
    *,
    family: str = "gaussian",
    link: str | None = None,
    weights: Any = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    censor: Censor = None,
) -> Simulator:
    """Read a formula against a table once, so that many responses can be drawn; arguments and errors of `simulate`."""
    text = formula if isinstance(formula, Formula) else joined_text(formula)
    parsed = text if isinstance(text, Formula) else parse_formula(text, functions=tuple(functions or ()))
    chosen = resolve_family(family, link)
    check_parameters(parsed, chosen)
    response = response_to_draw(parsed.response, censor)
    layout = build_design(
        parsed,
        table,
        functions=dict(functions or {}),
        weights=weights,
        ordinal=is_ordinal(chosen),
        needs_response=False,
        reserved=(chosen.parent, *chosen.parameters),
    )
    _check_weights(layout.weights, chosen)
    return Simulator(response, layout, chosen, bounds_of_rows(parsed.response, table))


def draw_data(
    simulator: Simulator, params: Mapping[str, Any], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, pd.Series]]:
    """Draw a response, and the effects of each column of each group block by level; errors of `simulate`."""
    layout, chosen = simulator.layout, simulator.family
    check_params(simulator, params)
    varying = dict(layout.parameters)
    blocks = [block for side in sides(layout) for block in side.groups]
    effects = {slot: drawn for block in blocks for slot, drawn in block_effects(block, params, rng).items()}
    mean = inverse_link(chosen, linear_predictor(layout, params, effects))
    own = {name: _own_parameter(params, name, chosen) for name in chosen.parameters if name not in varying}
    own |= {
        name: inverse_parameter_link(name, linear_predictor(side, params, effects)) for name, side in varying.items()
    }
    if simulator.limits is None:
        return _draw(chosen, rng, mean, own, layout.weights), effects
    return draw_between(chosen, rng, mean, own, simulator.limits, weights=layout.weights), effects


def _check_weights(weights: np.ndarray | None, family: Family) -> None:
    """Refuse weights that mean nothing, and numbers of trials that are no whole numbers."""
    meaning = FAMILIES[family.name].weights
    if weights is not None and meaning is None:
        raise DataError(
            f"weights have no meaning for the family '{family.name}'.",
            "They divide the residual variance of a gaussian or t response, and count the trials of a proportion.",
            "Leave weights= out.",
        )
    if weights is not None and meaning == "trials" and (weights != np.round(weights)).any():
        raise DataError(
            f"the weights hold {weights[weights != np.round(weights)][0]:g}, which is no number of trials.",
            f"The weights of a {family.name} response are whole numbers of trials.",
            "Round them first.",
        )


def _own_parameter(params: Mapping[str, Any], name: str, family: Family) -> Any:
    """Return a parameter of the family: a number above 0, a share, or increasing thresholds."""
    if name == "threshold":
        return _thresholds(params[name], increasing=family.name == "cumulative")
    value = number_of(params, name, positive=True)
    if name == "psi" and value > 1:
        raise DataError(f"params['psi'] is {value!r}.", "'psi' is a share, at most 1.", "Give a number up to 1.")
    return value


def _thresholds(given: Any, *, increasing: bool) -> np.ndarray:
    values = floats(given)
    if (
        values.ndim != 1
        or not len(values)
        or not np.isfinite(values).all()
        or (increasing and np.any(np.diff(values) <= 0))
    ):
        raise DataError(
            f"params['threshold'] is {given!r}.",
            f"Thresholds are a list of {'increasing ' if increasing else ''}numbers, one between each two levels.",
            "For four levels write three numbers, such as [-1, 0, 1].",
        )
    return values


def _draw(
    family: Family, rng: np.random.Generator, mean: np.ndarray, own: dict[str, Any], weights: np.ndarray | None
) -> np.ndarray:
    """Draw one response per row: a share of the trials where weights say how many, whole numbers for levels."""
    by_trials = FAMILIES[family.name].weights == "trials"
    trials = np.ones(len(mean)) if weights is None else weights
    try:
        drawn = draw_response(family, rng, mean, own, trials=trials, weights=None if by_trials else weights)
        if is_ordinal(family):
            return drawn.astype(int) + 1
        return drawn / trials if by_trials else drawn
    except ValueError as error:
        raise DataError(
            f"params give means from {mean.min():.4g} to {mean.max():.4g}, which '{family.name}' cannot have.",
            "A probability lies between 0 and 1, and the mean of a count is finite and not negative.",
            f"Make the coefficients smaller, or choose another link than '{family.link}'.",
        ) from error


def linear_predictor(layout: Design, params: Mapping[str, Any], effects: dict[str, pd.Series]) -> np.ndarray:
    """Return X beta + sum of Z b + offset, one number per row."""
    beta = np.array([number_of(params, label) for label in fixed_labels(layout)])
    total: np.ndarray = layout.offset + (layout.X @ beta if len(beta) else 0.0)
    for block in layout.groups:
        by_column = np.column_stack([effects[slot].to_numpy() for slot in block.slots])
        total = total + (block.values * by_column[block.codes]).sum(axis=1)
    return total
