"""The truth in the terms of a model: what each of its parts would be if it were known.

The truth may have been stated for another model of the same rows: blocks are then summed, and fixed cells averaged.
Comparing with draws is left to `parameters` and `blocks`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.correlations import wave_sds
from speclet_formula.design import Design, GroupBlock, Predictor
from speclet_formula.design.design import is_correlation, mean_name, sd_name, slot_of_sd
from speclet_formula.design.level_matrices import LevelRelation
from speclet_formula.errors import DataError
from speclet_formula.families import is_linear
from speclet_formula.model import Model
from speclet_formula.recovery.parts import (
    Part,
    Placement,
    coefficient_of,
    correlations_by_key,
    effects_by_level,
    means_moved,
    model_means,
    parts_of,
    place_parts,
    placed_effects,
    project,
    residual_variance,
)
from speclet_formula.recovery.stated import in_own_names, positive_length, steps_known

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
    truth = in_own_names(model.design, truth)
    mean, others = model.design.mean, model.design.predictors[1:]
    by_name = {name for predictor in others for name in _names(predictor)}
    stated = means_moved(model, {key: value for key, value in truth.items() if key not in by_name})
    parts, unused = parts_of(model, stated)
    placement = place_parts(mean, parts)
    slots = [(block, slot) for block in mean.groups for slot in block.slots if slot in placement.slots]
    effects = {slot: placed_effects(block, slot, placement.slots[slot]) for block, slot in slots}
    coefficients = _coefficients(mean, placement)
    scalars = dict(coefficients)
    scalars |= _total_mean(model, stated, coefficients)
    scalars |= _means_and_sds(model, stated, placement, effects)
    scalars |= _correlations(mean, stated, placement)
    scalars |= _length_scales(mean, stated)
    scalars |= _family_parameters(model, stated, placement)
    realized = _realized(model, scalars, coefficients, effects, placement)
    used = {part.key for group in placement.slots.values() for part in group}
    own = _of_parameters(others, truth)
    scalars |= own.scalars
    steps = steps_known(model.design, scalars)
    return ImpliedTruth(
        scalars=scalars | steps,
        realized=realized | own.realized | dict.fromkeys(steps, float("nan")),
        effects=effects | own.effects,
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


def _coefficients(mean: Predictor, placement: Placement) -> dict[str, float]:
    """Return the true fixed coefficients: as stated, or projected when X takes up other parts."""
    if not placement.absorbed:
        return dict(placement.named)
    carried = mean.X @ np.array([placement.named.get(label, 0.0) for label in mean.columns])
    for part in (*placement.absorbed, *placement.left):
        carried = carried + part.contribution
    coefficients = project(mean.X, carried) if np.isfinite(carried).all() else None
    return {} if coefficients is None else dict(zip(mean.columns, coefficients.tolist(), strict=True))


# --- scalars ----------------------------------------------------------------------------------------------------------


def _total_mean(model: Model, stated: Mapping[str, Any], coefficients: dict[str, float]) -> dict[str, float]:
    """Return the sum of the means as `Intercept`, for a model that has means and no intercept."""
    means = [slot for slot in model_means(model) if slot.startswith("1|")]
    if "Intercept" in model.design.mean.columns or "Intercept" not in stated or not means or coefficients:
        return {}
    return {"Intercept": float(stated["Intercept"]) + sum(float(stated.get(mean_name(slot), 0.0)) for slot in means)}


def _means_and_sds(
    model: Model, stated: Mapping[str, Any], placement: Placement, effects: dict[str, pd.Series]
) -> dict[str, float]:
    """Return the mean (if stated) and the SD of each slot with a truth, and of slots with a stated SD alone."""
    moments: dict[str, float] = {}
    for slot in (slot for block in model.design.mean.groups for slot in block.slots):
        if slot in model_means(model) and mean_name(slot) in stated:
            moments[mean_name(slot)] = float(stated[mean_name(slot)])
        varying = [part for part in placement.slots.get(slot, ()) if part.value is None]
        if not varying and sd_name(slot) in stated:
            moments[sd_name(slot)] = float(stated[sd_name(slot)])
        elif varying and all(part.sd is not None for part in varying):
            moments[sd_name(slot)] = float(np.sqrt(sum(part.sd**2 for part in varying if part.sd is not None)))
        elif varying and len(effects[slot]) > 1:
            moments[sd_name(slot)] = float(effects[slot].std())
    return moments


def _correlations(mean: Predictor, stated: Mapping[str, Any], placement: Placement) -> dict[str, float]:
    """Return the stated correlations of blocks that hold no other part than their own."""
    correlations: dict[str, float] = {}
    for block in mean.groups:
        name = block.correlation
        extra = [part for slot in block.slots for part in placement.slots.get(slot, ()) if part.key != slot]
        if not block.correlated or any(part.value is None for part in extra):
            continue
        correlations |= {key: float(stated[key]) for key in block.correlations if key in stated}
        correlations |= correlations_by_key(block, stated[name]) if name in stated else {}
    return correlations


def _length_scales(predictor: Predictor, stated: Mapping[str, Any]) -> dict[str, float]:
    """Return the stated length-scales of Gaussian processes."""
    names = (block.length_scale for block in predictor.smooths if block.stretches)
    return {name: positive_length(stated, name) for name in names if name in stated}


def _family_parameters(model: Model, stated: Mapping[str, Any], placement: Placement) -> dict[str, float]:
    """Return the family's own parameters; a Gaussian residual SD with what the model leaves out."""
    varying = model.design.varying
    constant = (name for name in model.family.parameters if name not in varying)
    parameters = {name: float(stated[name]) for name in constant if np.ndim(stated.get(name, [])) == 0}
    if "threshold" in model.family.parameters and len(stated.get("threshold", ())) == len(model.design.levels) - 1:
        parameters |= {f"threshold[{number}]": float(value) for number, value in enumerate(stated["threshold"])}
    if "sigma" in parameters and is_linear(model.family):
        parameters["sigma"] = float(np.sqrt(parameters["sigma"] ** 2 + sum(map(residual_variance, placement.left))))
    return parameters


# --- what the drawn effects came to -----------------------------------------------------------------------------------


def _realized(
    model: Model,
    scalars: dict[str, float],
    coefficients: dict[str, float],
    effects: dict[str, pd.Series],
    placement: Placement,
) -> dict[str, float]:
    """Return for each scalar what it came to in the effects and residuals that were drawn."""
    realized = dict.fromkeys(scalars, float("nan"))
    columns = {
        slot: column
        for block in model.design.mean.groups
        for column, slot in zip(block.columns, block.slots, strict=True)
    }
    blocks = {slot: block for block in model.design.mean.groups for slot in block.slots}
    realized |= coefficients
    for slot, by_level in effects.items():
        label = coefficient_of(columns[slot])
        if label in coefficients:
            realized[label] += float(by_level.mean())
        if mean_name(slot) in scalars:
            realized[mean_name(slot)] = float(by_level.mean())
        if sd_name(slot) in scalars and len(by_level) > 1:
            realized[sd_name(slot)] = _spread(blocks[slot], by_level)
    for block in model.design.mean.smooths:
        if block.sds[0] in scalars and all(slot in effects for slot in block.slots):
            sds = np.ones(len(block.slots))
            if block.structure is not None and block.stretches:
                length = np.array([scalars.get(block.length_scale, np.nan)])
                sds = wave_sds(block.structure, length, len(block.slots))[0]
            drawn = np.concatenate([effects[slot].to_numpy() / sd for slot, sd in zip(block.slots, sds, strict=True)])
            realized[block.sds[0]] = float(np.sqrt(np.mean(drawn**2)))
    if "Intercept" in scalars and "Intercept" not in coefficients:
        realized["Intercept"] = float(sum(series.mean() for slot, series in effects.items() if columns[slot] == "1"))
    realized |= _realized_correlations(model.design.mean, scalars, effects)
    if "sigma" in scalars and is_linear(model.family):
        realized["sigma"] = _realized_sigma(model.design, coefficients, placement)
    return realized


def _realized_correlations(
    mean: Predictor, scalars: dict[str, float], effects: dict[str, pd.Series]
) -> dict[str, float]:
    """Return the correlations of the drawn effects."""
    correlations: dict[str, float] = {}
    for block in mean.groups:
        if (
            block.pairs
            and any(key in scalars for key in block.correlations)
            and all(slot in effects for slot in block.slots)
        ):
            drawn = pd.concat([effects[slot] for slot in block.slots], axis=1)
            matrix = drawn.corr().to_numpy() if block.relation is None else _related(block, block.relation, drawn)
            correlations |= correlations_by_key(block, matrix)
    return correlations


def _spread(block: GroupBlock, effects: pd.Series) -> float:
    """Return the SD of drawn effects; of levels that vary together that which they would have if they did not."""
    if block.relation is None:
        return float(effects.std())
    return float(np.sqrt(block.relation.mean_squares(effects.to_numpy()[:, None], _places(block, effects))[0, 0]))


def _places(block: GroupBlock, effects: pd.Series | pd.DataFrame) -> np.ndarray:
    """Return where the levels of some effects stand among a block's."""
    place = {level: code for code, level in enumerate(block.levels)}
    return np.array([place[level] for level in effects.index])


def _related(block: GroupBlock, relation: LevelRelation, effects: pd.DataFrame) -> np.ndarray:
    """Return the correlations (k, k) of drawn effects (p, k), as if their levels were independent."""
    squares = relation.mean_squares(effects.to_numpy(), _places(block, effects))
    return squares / np.sqrt(np.outer(np.diagonal(squares), np.diagonal(squares)))


def _realized_sigma(design: Design, coefficients: dict[str, float], placement: Placement) -> float:
    """Return the root mean square of response less true linear predictor; NaN if that is not known for all rows."""
    mean = design.mean
    slots = [slot for block in mean.groups for slot in block.slots]
    if any(label not in coefficients for label in mean.columns) or any(slot not in placement.slots for slot in slots):
        return float("nan")
    known = mean.offset + mean.X @ np.array([coefficients[label] for label in mean.columns])
    for parts in placement.slots.values():
        known = known + sum(part.contribution for part in parts)
    return float(np.sqrt(np.mean((design.response - known) ** 2)))


# --- formulas of parameters -------------------------------------------------------------------------------------------


def _of_parameters(predictors: Sequence[Predictor], truth: Mapping[str, Any]) -> ImpliedTruth:
    """Return what is true of the formulas of the family's parameters, taken by name.

    A truth that was stated for another formula of a parameter is not carried over, as that of the mean is.
    """
    scalars: dict[str, float] = {}
    realized: dict[str, float] = {}
    effects: dict[str, pd.Series] = {}
    for predictor in predictors:
        scalars |= {name: float(truth[name]) for name in predictor.columns if name in truth}
        for block in predictor.groups:
            stated = {slot: _stated_effects(block, slot, truth[slot]) for slot in block.slots if slot in truth}
            effects |= stated
            realized |= {sd_name(slot): _spread(block, s) for slot, s in stated.items() if sd_name(slot) in truth}
            scalars |= {name: float(truth[name]) for name in (*block.means, *block.sds) if name in truth}
            if block.correlated:
                scalars |= {name: float(truth[name]) for name in block.correlations if name in truth}
            if block.stretches and block.length_scale in truth:
                scalars[block.length_scale] = positive_length(truth, block.length_scale)
            if block.correlated and block.correlation in truth:
                scalars |= correlations_by_key(block, truth[block.correlation])
    realized = dict.fromkeys(scalars, float("nan")) | realized
    return ImpliedTruth(scalars, realized, effects, sources={}, left_out=(), unused=())


def _names(predictor: Predictor) -> Iterator[str]:
    """Go through all that a truth can say of a formula."""
    yield from predictor.columns
    for block in predictor.groups:
        yield from (*block.slots, *block.sds, *block.means, block.correlation, *block.correlations)
        yield from [block.length_scale] * block.stretches


def _stated_effects(block: GroupBlock, slot: str, stated: Mapping[Any, float] | pd.Series) -> pd.Series:
    """Return stated effects in the order of the block's levels, without those that the truth does not name."""
    by_level = effects_by_level(slot, block.group, stated, block.levels)
    known = [level for level in block.levels if level in by_level]
    return pd.Series([by_level[level] for level in known], index=known, name=slot)
