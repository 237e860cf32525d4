"""Stated parameters: the numbers that a model needs, and the effects of its blocks, as given or drawn."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.correlations import structured_pairs, wave_sds
from speclet_formula.common.structures import Structure
from speclet_formula.design import Design, FixedTerm, GroupBlock
from speclet_formula.design.design import mean_name, sd_name
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, nearest, some_of
from speclet_formula.families import Family
from speclet_formula.formula.terms import bare_name

_SUM = 1e-6  # how far shares may add up to something else than 1

type Effects = Mapping[Any, float] | pd.Series


def in_own_names(design: Design, truth: Mapping[str, Any]) -> dict[str, Any]:
    """Return a truth by a design's own names: columns without back-quotes, a block's correlations as one, "cor|g".

    The one number that a structure makes its correlations of becomes these.

    Parameters
    ----------
    design : Design
    truth : mapping of str to object
        A correlation may be called as a recovery calls it, "cor|g[1, x]". Where some of a block's are given so, and
        others not at all, they stay as they are.

    Raises
    ------
    DataError
        A block's correlations are given under both names.
    """
    blocks = design.blocks
    known = [name for predictor in design.predictors for name in predictor.columns]
    known += [name for block in blocks for name in (*block.slots, *block.sds, *block.means, *block.correlations)]
    known += [name for term in design.monotonic for name in (term.name, term.simplex)]
    known += [block.length_scale for block in blocks if block.stretches]
    joined = {bare_name(name, known): value for name, value in truth.items()}
    for term in design.monotonic:
        _as_steps(term, joined)
    for block in blocks:
        named = [name for name in block.correlations if name in joined] if block.correlated else []
        if named and block.correlation in joined:
            raise DataError(
                f"truth has '{block.correlation}' and '{named[0]}'.",
                f"The correlations of a block are '{block.correlation}', all of them, or are named one by one.",
                "Leave one of them out.",
            )
        if named and len(named) == len(block.correlations):
            joined[block.correlation] = [joined.pop(name) for name in named]
        number = finite(joined.get(block.correlation))
        if block.structure is not None and block.correlated and number is not None:
            joined[block.correlation] = _pairs(block.structure, number, block)
    return joined


def _as_steps(term: FixedTerm, truth: dict[str, Any]) -> None:
    """Replace the average step and the shares of a monotonic effect by its steps, in place."""
    given = [name for name in (term.name, term.simplex) if name in truth]
    if not given:
        return
    twice = [label for label in term.columns if label in truth]
    average, shares = finite(truth.get(term.name)), floats(truth.get(term.simplex, np.nan)).ravel()
    valid = len(shares) == len(term.columns) and (shares >= 0).all() and abs(shares.sum() - 1) < _SUM
    if twice or average is None or not valid:
        raise DataError(
            f"truth has '{given[0]}' and '{twice[0]}'."
            if twice
            else f"truth does not give the steps of '{term.name}'.",
            f"They are '{term.name}', the average step, with '{term.simplex}', {len(term.columns)} shares that add up "
            f"to 1; or {', '.join(map(repr, term.columns))}.",
            "Give them one way.",
        )
    truth |= dict(zip(term.columns, (average * len(shares) * shares).tolist(), strict=True))
    del truth[term.name], truth[term.simplex]


def steps_known(design: Design, scalars: Mapping[str, float]) -> dict[str, float]:
    """Return average steps and shares that follow from known steps of monotonic effects."""
    found: dict[str, float] = {}
    for term in design.monotonic:
        steps = np.array([scalars.get(label, np.nan) for label in term.columns])
        if np.isfinite(steps).all():
            found[term.name] = float(steps.mean())
            if steps.all() and (np.sign(steps) == np.sign(steps[0])).all():
                found |= dict(zip(term.shares, (steps / steps.sum()).tolist(), strict=True))
    return found


def _pairs(structure: Structure, number: float, block: GroupBlock) -> list[float]:
    """Return the correlations that a structure makes of one number."""
    k = len(block.columns)
    if not structure.lowest(k) < number < 1:
        raise DataError(
            f"truth['{block.correlation}'] is {number:g}.",
            f"The correlation of {structure.function}() over {k} columns lies between {structure.lowest(k):.3g} and 1.",
            "Move it towards 0.",
        )
    return [float(value) for value in structured_pairs(structure, np.array([number]), k)[0]]


def check_truth(layout: Design, family: Family, truth: Mapping[str, Any]) -> None:
    """Raise a DataError unless `truth` has each number that is needed and nothing else."""
    truth = in_own_names(layout, truth)
    extras = tuple(name for name in family.parameters if name not in layout.varying)
    needed = [label for predictor in layout.predictors for label in predictor.columns]
    accepted = [*needed, *extras]
    missing = [name for name in (*needed, *extras) if name not in truth]
    for block in layout.blocks:
        correlation = block.correlation
        drawn = [slot for slot in block.slots if slot not in truth]
        own = zip(block.slots, block.sds, strict=True)
        missing += dict.fromkeys(name for slot, name in own if slot in drawn and name not in truth)
        needed += dict.fromkeys(block.sds)
        accepted += [name for names in zip(block.slots, block.sds, block.means, strict=True) for name in names]
        if block.stretches:
            needed.append(block.length_scale)
            accepted.append(block.length_scale)
            missing += [block.length_scale] if drawn and block.length_scale not in truth else []
        if block.correlated:
            needed.append(correlation)
            named = [name for name in block.correlations if name in truth]
            accepted += [correlation, *named]
            absent = [name for name in block.correlations if name not in truth] if named else [correlation]
            missing += absent if drawn and correlation not in truth else []
    listing = f"This model needs {', '.join(map(repr, [*needed, *extras]))}."
    unknown = [name for name in truth if name not in accepted]
    if unknown:
        near = nearest(unknown[0], accepted)
        raise DataError(
            f"truth names '{unknown[0]}', which this model does not have.",
            listing,
            f"Nearest: '{near}'." if near else "Leave it out, or add its term to the formula.",
        )
    if missing:
        raise DataError(
            f"truth lacks {', '.join(map(repr, missing))}.",
            f"{listing} The effects themselves, by level, may stand in for an SD.",
            f"Add truth['{missing[0]}'].",
        )


def block_effects(block: GroupBlock, truth: Mapping[str, Any], rng: np.random.Generator) -> dict[str, pd.Series]:
    """Return the effects of each column of a block: as given, or else drawn."""
    given = {slot: _given_effects(truth[slot], slot, block) for slot in block.slots if slot in truth}
    drawn = [column for column, slot in enumerate(block.slots) if slot not in given]
    if block.correlated and given and drawn:
        raise DataError(
            f"truth gives the effects of '{next(iter(given))}' but not of '{block.slots[drawn[0]]}'.",
            f"The columns of a correlated block are drawn together: give all of {', '.join(map(repr, block.slots))}, "
            "or none.",
            f"Add truth['{block.slots[drawn[0]]}'], or write (... || {block.group}).",
        )
    if not drawn:
        return given
    factor = _covariance_factor(block, drawn, truth)
    standard = block.between_levels(rng.standard_normal((len(block.levels), len(drawn))))
    values = standard @ factor.T
    for position, column in enumerate(drawn):
        slot = block.slots[column]
        mean = number_of(truth, mean_name(slot)) if mean_name(slot) in truth else 0.0
        given[slot] = pd.Series(mean + values[:, position], index=list(block.levels), name=slot)
    return given


def number_of(truth: Mapping[str, Any], name: str, *, positive: bool = False) -> float:
    """Return a parameter as a finite number, above zero where it must be."""
    value = truth[name]
    number = finite(value)
    if number is None or (positive and number <= 0):
        kind = "a number above 0" if positive else "a finite number"
        raise DataError(f"truth['{name}'] is {value!r}.", f"'{name}' is {kind}.", "Give one number on the link scale.")
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


def _given_effects(effects: Effects, slot: str, block: GroupBlock) -> pd.Series:
    """Return stated effects in the order of the block's levels."""
    if not isinstance(effects, Mapping | pd.Series):
        raise DataError(
            f"truth['{slot}'] is {effects!r}.",
            f"'{slot}' holds an effect for each level of '{block.group}', as a Series or a dict.",
            f"For the SD of effects to be drawn write truth['{sd_name(slot)}'].",
        )
    by_level = {label_of(level): _effect(effect, slot, level) for level, effect in effects.items()}
    absent = [level for level in block.levels if level not in by_level]
    foreign = [level for level in by_level if level not in set(block.levels)]
    if absent or foreign:
        problem = "lacks the levels" if absent else "has levels that the design does not:"
        raise DataError(
            f"truth['{slot}'] {problem} {some_of(absent or foreign)}.",
            f"'{block.group}' has {len(block.levels)} levels, such as '{block.levels[0]}'.",
            "Give exactly one effect for each level.",
        )
    return pd.Series([by_level[level] for level in block.levels], index=list(block.levels), name=slot)


def _effect(effect: Any, slot: str, level: Any) -> float:
    number = finite(effect)
    if number is None:
        raise DataError(
            f"truth['{slot}'] has {effect!r} at the level '{level}'.",
            "An effect is a finite number.",
            "Give one number for each level, on the link scale.",
        )
    return number


def _covariance_factor(block: GroupBlock, drawn: list[int], truth: Mapping[str, Any]) -> np.ndarray:
    """Return L with Sigma = L L' for the columns to be drawn."""
    sds = np.array([_standard_deviation(truth, block.sds[column]) for column in drawn])
    if block.hom and np.ptp(sds):
        raise DataError(
            f"truth gives {', '.join(f'{sd!r}: {truth[sd]!r}' for sd in block.sds)}.",
            f"The term of '{block.label}' has one SD for all its columns, hom = TRUE.",
            "Give each the same number, or write hom = FALSE.",
        )
    if block.structure is not None and block.stretches:
        length = positive_length(truth, block.length_scale)
        return np.diag(sds * wave_sds(block.structure, np.array([length]), len(block.columns))[0, drawn])
    if not block.correlated:
        return np.diag(sds)
    name = block.correlation
    correlation = _correlation_matrix(truth[name], len(drawn), name)
    _check_structure(block, correlation, truth[name])
    try:
        lower = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        raise DataError(
            f"truth['{name}'] is not positive definite: {np.asarray(truth[name]).tolist()}.",
            "A covariance matrix is positive definite; with two columns that is a correlation between -1 and 1.",
            "Move the correlations towards 0.",
        ) from None
    factor: np.ndarray = sds[:, np.newaxis] * lower
    return factor


def _check_structure(block: GroupBlock, matrix: np.ndarray, given: Any) -> None:
    """Raise unless a correlation matrix has the structure of a block."""
    if block.structure is None:
        return
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    if not np.allclose(pairs, structured_pairs(block.structure, pairs[:1], len(matrix))[0]):
        raise DataError(
            f"truth['{block.correlation}'] is {np.asarray(given).tolist()!r}, which {block.structure.function}() "
            "cannot be.",
            f"The correlations of {block.structure.function}() are made of one number.",
            "Give that number.",
        )


def positive_length(truth: Mapping[str, Any], name: str) -> float:
    """Return a length-scale: a number above zero."""
    value = number_of(truth, name)
    if not value > 0:
        allowed = "A length-scale is above 0, in the unit of the process's variable."
        raise DataError(f"truth['{name}'] is {value!r}.", allowed, "Give the length-scale, not its logarithm.")
    return value


def _standard_deviation(truth: Mapping[str, Any], name: str) -> float:
    """Return an SD: a number, zero allowed (a block without effect)."""
    value = number_of(truth, name)
    if value < 0:
        raise DataError(f"truth['{name}'] is {value!r}.", "An SD is at least 0.", "Give the SD, not the variance.")
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
        f"truth['{name}'] is {np.asarray(given).tolist()!r}.",
        f"'{name}' is {count}, or a symmetric {k} x {k} matrix with ones on its diagonal.",
        "Give the pairs in the order (1, 2), (1, 3), ..., (2, 3), ...",
    )
