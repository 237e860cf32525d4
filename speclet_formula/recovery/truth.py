"""The truth in the terms of a model: what each of its parts would be if it were known.

The truth may have been stated for another model of the same rows: blocks are then summed, and fixed cells averaged.
Comparing with draws is left to `parameters` and `blocks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.design import is_correlation, mean_name, sd_name, slot_of_sd
from speclet_formula.errors import DataError
from speclet_formula.families import is_linear
from speclet_formula.model import Model
from speclet_formula.recovery.parts import (
    Part,
    coefficient_of,
    correlations_by_key,
    means_moved,
    model_means,
    parts_of,
    placed_effects,
    residual_variance,
    varying_truth,
)

MOST_QUOTED = 200  # characters of a value in a message


@dataclass(frozen=True, eq=False)
class ImpliedTruth:
    """The true values of a model's parameters, by the keys of a truth dict."""

    scalars: dict[str, float]  # "Intercept", "cn", "1|gene_sigma", "1|gene_mu", "cor|Subject[1, Days]", "sigma"
    realized: dict[str, float]  # the same for the effects that were in fact drawn; NaN where there is no such thing
    effects: dict[str, pd.Series]  # slot of a group block -> true effect by level, in the levels' order
    sources: dict[str, tuple[str, ...]]  # slot -> the keys of the truth that were summed to it
    left_out: tuple[str, ...]  # effects that no part of the model can take up
    unused: tuple[str, ...]  # keys that mean nothing for this model


@dataclass(frozen=True, eq=False)
class Placement:
    """Where each part of the true linear predictor goes in the model."""

    slots: dict[str, tuple[Part, ...]]  # slot of a group block -> its parts
    named: dict[str, float]  # label of a column of X -> its coefficient
    absorbed: tuple[Part, ...]  # parts that the columns of X take up
    left: tuple[Part, ...]  # parts that nothing takes up


def implied_truth(model: Model, truth: Mapping[str, Any]) -> ImpliedTruth:
    r"""State the truth in the terms of a model, which need not be the model that it was stated for.

    The true linear predictor of the model's rows is a sum of parts: one per fixed coefficient of the truth and one per
    set of effects (`1|gene`). Each part goes to one place, the first that fits:

    1. the column or block of the same name;
    2. the fixed columns, if the part is a linear combination of them (gene effects in a model with `0 + gene`). All
       coefficients are then the least-squares projection of what the fixed columns have to carry (parts 1, 2 and 4) on
       them, so that a cell of `0 + gene:cell_line` is the mean of the true linear predictor over its rows;
    3. the group block with the fewest levels among those with the same column whose levels determine the part's
       level: `1|gene` and `1|cell_line` both go to `1|gene:cell_line`, whose truth is their sum. A mean (`Intercept`)
       goes there too if the model has no intercept;
    4. nowhere: it is left out. In a Gaussian model with identity link it then makes part of the true residual SD,
       :math:`\sqrt{\sigma^2 + \sum_k \sigma_k^2\,\overline{z_k^2}}`.

    The truth of a parameter's own formula is taken by name: `sigma_Intercept`, `sigma_1|gene`.

    Means of effects (`1|gene_mu`) that the model does not have are moved into the coefficient of the same column, and
    the effects reduced by them. A model with means and no intercept gets the sum of its means judged as `Intercept`,
    since only their sum is known.

    Parameters
    ----------
    model : Model
        The model that was fitted.
    truth : dict
        As `simulate` returns it and takes it: numbers by name, effects as Series or dict by level.

    Returns
    -------
    ImpliedTruth
        `scalars`: coefficients, means, SDs (for a sum of blocks the root of the summed variances; where no SD is
        stated, the SD of the effects), correlations, residual SD and the family's parameters. `realized`: what
        the drawn effects came to: their SD (divisor n - 1) for an SD, their correlation, the coefficient plus the
        means of the effects on the same column, and the root mean square of the true residuals. `effects` by slot
        and level. `sources`, `left_out`, `unused`: what became of each key of the truth.

    Raises
    ------
    DataError
        If effects have levels that the model's data do not have, or a value is no number.

    Examples
    --------
    >>> from speclet_formula import Model, datasets
    >>> data, truth = datasets.m7()
    >>> implied = implied_truth(Model("log_fc ~ (1|gene:cell_line)", data), truth)
    >>> implied.sources["1|gene:cell_line"], round(implied.scalars["1|gene:cell_line_sigma"], 3)
    (('1|gene', '1|cell_line'), 1.118)
    """
    _check_numbers(truth)
    design = model.design
    varying = varying_truth(model, truth)
    stated = means_moved(model, {key: value for key, value in truth.items() if key not in varying.keys})
    parts, unused = parts_of(model, stated)
    placement = _place(design, parts)
    effects = {slot: placed_effects(block, slot, placement.slots[slot]) for block, slot in _slots(design, placement)}
    coefficients = _coefficients(design, placement)
    scalars = dict(coefficients)
    scalars |= _total_mean(model, stated, coefficients)
    scalars |= _means_and_sds(model, stated, placement, effects)
    scalars |= _correlations(design, stated, placement)
    scalars |= _family_parameters(model, stated, placement)
    used = {part.key for group in placement.slots.values() for part in group}
    return ImpliedTruth(
        scalars=scalars | varying.scalars,
        realized=_realized(model, scalars, coefficients, effects, placement) | varying.realized,
        effects=effects | varying.effects,
        sources={slot: tuple(part.key for part in group) for slot, group in placement.slots.items()},
        left_out=tuple(part.key for part in placement.left if part.key not in used),
        unused=tuple(key for key in unused if key not in _explained(parts, scalars)),
    )


def _check_numbers(truth: Mapping[str, Any]) -> None:
    """Refuse what no float can be."""
    for name, value in truth.items():
        try:
            numbers = np.asarray(list(value.values()) if isinstance(value, Mapping) else value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise DataError(
                f"truth['{name}'] is {repr(value)[:MOST_QUOTED]}.",
                "True values are numbers, or effects by level: a Series or a dict.",
                "Give numbers that a float can hold.",
            ) from None
        spread = (name == "sigma" or slot_of_sd(name) is not None) and bool((numbers < 0).any())
        if spread or np.isinf(numbers).any():
            raise DataError(
                f"truth['{name}'] is {repr(value)[:MOST_QUOTED]}.",
                "A true SD is at least 0." if spread else "True values are finite.",
                "Give the SD, not its logarithm." if spread else "Leave it out where there is none.",
            )


def _explained(parts: tuple[Part, ...], scalars: dict[str, float]) -> set[str]:
    """Return the keys of the truth that are judged themselves, or that say how judged effects were drawn."""
    correlations = {key.split("[", 1)[0] for key in scalars if is_correlation(key) or key.startswith("threshold[")}
    drawn = {name(part.key) for part in parts for name in (sd_name, mean_name)}
    return {*scalars, *correlations, *drawn}


def _slots(design: Design, placement: Placement) -> list[tuple[GroupBlock, str]]:
    """Return each slot that has a truth, with its block."""
    return [(block, slot) for block in design.mean.groups for slot in block.slots if slot in placement.slots]


# --- where each part goes ---------------------------------------------------------------------------------------------


def _place(design: Design, parts: tuple[Part, ...]) -> Placement:
    """Give each part its place, by the rules of `implied_truth`."""
    labels = column_labels(design)
    slots: dict[str, tuple[Part, ...]] = {}
    absorbed: list[Part] = []
    left: list[Part] = []
    named = {part.key: part.value for part in parts if part.value is not None and part.key in labels}
    for part in (part for part in parts if part.key not in named):
        slot = _home(design, part)
        direct = slot == part.key
        if not direct and _in_span(design.mean.X, part.contribution):
            absorbed.append(part)
        elif slot is not None:
            slots[slot] = (*slots.get(slot, ()), part)
        else:
            left.append(part)
    return Placement(slots, named, tuple(absorbed), tuple(left))


def _home(design: Design, part: Part) -> str | None:
    """Return the slot that can hold a part: the one of its name, or the smallest block that determines its level."""
    fitting = []
    for block in design.mean.groups:
        for column, slot in zip(block.columns, block.slots, strict=True):
            if slot == part.key:
                return slot
            if column == part.column and determines(block.codes, part.codes):
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
    coefficients = _project(X, values)
    if coefficients is None:
        return False
    rest = values - X @ coefficients
    return bool(np.linalg.norm(rest) <= 1e-8 * max(np.linalg.norm(values), 1.0))


def _project(X: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return the least-squares coefficients of values on X (of indicators: means of cells), or None if not unique."""
    if ((X == 0) | (X == 1)).all() and (X.sum(axis=1) == 1).all():
        cells: np.ndarray = (X.T @ values) / X.sum(axis=0)
        return cells
    coefficients, _, rank, _ = np.linalg.lstsq(X, values, rcond=None)
    return coefficients if rank == X.shape[1] else None


def _coefficients(design: Design, placement: Placement) -> dict[str, float]:
    """Return the true fixed coefficients: as stated, or projected when X takes up other parts."""
    if not placement.absorbed:
        return dict(placement.named)
    labels = column_labels(design)
    carried = design.mean.X @ np.array([placement.named.get(label, 0.0) for label in labels])
    for part in (*placement.absorbed, *placement.left):
        carried = carried + part.contribution
    coefficients = _project(design.mean.X, carried) if np.isfinite(carried).all() else None
    return {} if coefficients is None else dict(zip(labels, coefficients.tolist(), strict=True))


def column_labels(design: Design) -> tuple[str, ...]:
    """Return one label per column of X."""
    return tuple(label for term in design.mean.fixed for label in term.columns)


# --- scalars ----------------------------------------------------------------------------------------------------------


def _total_mean(model: Model, stated: Mapping[str, Any], coefficients: dict[str, float]) -> dict[str, float]:
    """Return the sum of the means as `Intercept`, for a model that has means and no intercept."""
    means = [slot for slot in model_means(model) if slot.startswith("1|")]
    if "Intercept" in column_labels(model.design) or "Intercept" not in stated or not means or coefficients:
        return {}
    return {"Intercept": float(stated["Intercept"]) + sum(float(stated.get(mean_name(slot), 0.0)) for slot in means)}


def _means_and_sds(
    model: Model, stated: Mapping[str, Any], placement: Placement, effects: dict[str, pd.Series]
) -> dict[str, float]:
    """Return the mean (if stated) and the SD of each slot with a truth, and of slots with a stated SD alone."""
    found: dict[str, float] = {}
    for slot in (slot for block in model.design.mean.groups for slot in block.slots):
        if slot in model_means(model) and mean_name(slot) in stated:
            found[mean_name(slot)] = float(stated[mean_name(slot)])
        varying = [part for part in placement.slots.get(slot, ()) if part.value is None]
        if not varying and sd_name(slot) in stated:
            found[sd_name(slot)] = float(stated[sd_name(slot)])
        elif varying and all(part.sd is not None for part in varying):
            found[sd_name(slot)] = float(np.sqrt(sum(part.sd**2 for part in varying if part.sd is not None)))
        elif varying and len(effects[slot]) > 1:
            found[sd_name(slot)] = float(effects[slot].std())
    return found


def _correlations(design: Design, stated: Mapping[str, Any], placement: Placement) -> dict[str, float]:
    """Return the stated correlations of blocks that hold no other part than their own."""
    found: dict[str, float] = {}
    for block in design.mean.groups:
        name = block.correlation
        extra = [part for slot in block.slots for part in placement.slots.get(slot, ()) if part.key != slot]
        if not block.correlated or name not in stated or any(part.value is None for part in extra):
            continue
        found |= correlations_by_key(block, stated[name])
    return found


def _family_parameters(model: Model, stated: Mapping[str, Any], placement: Placement) -> dict[str, float]:
    """Return the family's own parameters; a Gaussian residual SD with what the model leaves out."""
    varying = model.design.varying
    constant = (name for name in model.family.parameters if name not in varying)
    found = {name: float(stated[name]) for name in constant if np.ndim(stated.get(name, [])) == 0}
    if "threshold" in model.family.parameters and len(stated.get("threshold", ())) == len(model.design.levels) - 1:
        found |= {f"threshold[{place}]": float(value) for place, value in enumerate(stated["threshold"])}
    if "sigma" in found and is_linear(model.family):
        found["sigma"] = float(np.sqrt(found["sigma"] ** 2 + sum(map(residual_variance, placement.left))))
    return found


# --- what the drawn effects came to -----------------------------------------------------------------------------------


def _realized(
    model: Model,
    scalars: dict[str, float],
    coefficients: dict[str, float],
    effects: dict[str, pd.Series],
    placement: Placement,
) -> dict[str, float]:
    """Return for each scalar what it came to in the effects and residuals that were drawn."""
    found = dict.fromkeys(scalars, float("nan"))
    columns = {
        slot: column
        for block in model.design.mean.groups
        for column, slot in zip(block.columns, block.slots, strict=True)
    }
    found |= coefficients
    for slot, by_level in effects.items():
        label = coefficient_of(columns[slot])
        if label in coefficients:
            found[label] += float(by_level.mean())
        if mean_name(slot) in scalars:
            found[mean_name(slot)] = float(by_level.mean())
        if sd_name(slot) in scalars and len(by_level) > 1:
            found[sd_name(slot)] = float(by_level.std())
    if "Intercept" in scalars and "Intercept" not in coefficients:
        found["Intercept"] = float(sum(series.mean() for slot, series in effects.items() if columns[slot] == "1"))
    found |= _realized_correlations(model.design, scalars, effects)
    if "sigma" in scalars and is_linear(model.family):
        found["sigma"] = _realized_sigma(model.design, coefficients, placement)
    return found


def _realized_correlations(
    design: Design, scalars: dict[str, float], effects: dict[str, pd.Series]
) -> dict[str, float]:
    """Return the correlations of the drawn effects."""
    found: dict[str, float] = {}
    for block in design.mean.groups:
        names = [f"{block.correlation}[{pair}]" for pair in block.pairs]
        if names and names[0] in scalars and all(slot in effects for slot in block.slots):
            matrix = pd.concat([effects[slot] for slot in block.slots], axis=1).corr().to_numpy()
            found |= correlations_by_key(block, matrix)
    return found


def _realized_sigma(design: Design, coefficients: dict[str, float], placement: Placement) -> float:
    """Return the root mean square of response less true linear predictor; NaN if that is not known for all rows."""
    labels = column_labels(design)
    slots = [slot for block in design.mean.groups for slot in block.slots]
    if any(label not in coefficients for label in labels) or any(slot not in placement.slots for slot in slots):
        return float("nan")
    known = design.mean.offset + design.mean.X @ np.array([coefficients[label] for label in labels])
    for parts in placement.slots.values():
        known = known + sum(part.contribution for part in parts)
    return float(np.sqrt(np.mean((design.response - known) ** 2)))
