"""The draws of each linear predictor's coefficients, and their sums at rows.

All work goes by blocks of rows, so that memory beside the posterior and the result is a few arrays of BLOCK_BYTES.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from speclet_formula.design import Design, Predictor
from speclet_formula.errors import DataError
from speclet_formula.families import Family, inverse_link, inverse_parameter_link
from speclet_formula.posterior.draws import Draws, FittedModel
from speclet_formula.posterior.estimates import Array

BLOCK_BYTES = 32 * 2**20  # of an array of draws x rows; four of them exist at a time here, nine in leave-one-out
OBSERVATION_DIM = "__obs__"  # Bambi's name for it
_MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class PredictorDraws:
    """The draws that one linear predictor needs."""

    coefficients: Array  # (draws, p), in the order of X
    effects: tuple[tuple[Array, ...], ...]  # for each block and column (draws, levels)


@dataclass(frozen=True, eq=False)
class ModelDraws:
    """The draws of all linear predictors, and of the parameters that are one number."""

    predictors: tuple[PredictorDraws, ...]  # the mean's, then those of the design's parameters
    parameters: dict[str, Array]  # the family's other parameters, (draws, 1); thresholds (draws, levels - 1)


def linear_predictor(
    model: FittedModel,
    draws: Draws,
    rows: slice | np.ndarray | None = None,
    *,
    parameter: str | None = None,
    design: Design | None = None,
) -> Array:
    """Compute the linear predictor of each row for each draw.

    Parameters
    ----------
    model : Model
        The model that the draws belong to.
    draws : Draws
        Of a posterior or of priors, or some of them.
    rows : slice or array of int, optional
        Rows of the design; all by default. The result takes draws x rows x 8 bytes: give blocks of rows for large data.
    parameter : str, optional
        A parameter that has a formula of its own, "sigma"; by default the mean.
    design : Design, optional
        Other rows, as `replay_design` makes them; the model's own by default.

    Returns
    -------
    ndarray of float, shape (draws, rows)
        On the link scale, offset included.

    Raises
    ------
    DataError
        A row has a group level that was not fitted, or the parameter has no formula.
    EstimateError
        The posterior lacks a variable of the design.

    Examples
    --------
    >>> from speclet_formula.posterior.draws import draws_of
    >>> from speclet_formula.prediction.linear_predictors import linear_predictor
    >>> linear_predictor(fit.model, draws_of(fit), slice(0, 10)).shape  # 4 chains of 1,000 draws
    (4000, 10)
    """
    used = named_predictor(model.design if design is None else design, parameter)
    refuse_new_levels(used)
    gathered = gather_predictor(used, draws)
    return predictor_of(gathered, used, slice(None) if rows is None else rows)


def gather(model: FittedModel, draws: Draws, design: Design | None = None) -> ModelDraws:
    """Take what the density of an observation needs out of draws; a design of other rows may be given."""
    used = model.design if design is None else design
    constant = [name for name in model.family.parameters if name not in used.varying]
    sizes = {"threshold": len(model.design.levels) - 1}
    return ModelDraws(
        tuple(gather_predictor(predictor, draws) for predictor in used.predictors),
        {name: draws.variable(name, sizes.get(name, 1)) for name in constant},
    )


def gather_predictor(predictor: Predictor, draws: Draws) -> PredictorDraws:
    """Take what a linear predictor needs out of draws; whole variables are views, not copies."""
    return PredictorDraws(draws.coefficients(predictor), tuple(map(draws.effects, predictor.groups)))


def at_rows(
    drawn: ModelDraws, design: Design, family: Family, rows: slice | np.ndarray
) -> tuple[Array, dict[str, Array]]:
    """Return the mean of each row for each draw, and the family's other parameters there."""
    return from_predictors(drawn, design, family, predictors_at(drawn, design, rows))


def predictors_at(drawn: ModelDraws, design: Design, rows: slice | np.ndarray) -> tuple[Array, ...]:
    """Return all linear predictors (draws, rows), the mean's first."""
    return tuple(
        predictor_of(part, predictor, rows) for part, predictor in zip(drawn.predictors, design.predictors, strict=True)
    )


def from_predictors(
    drawn: ModelDraws, design: Design, family: Family, predictors: tuple[Array, ...]
) -> tuple[Array, dict[str, Array]]:
    """Return the mean and the family's other parameters from the linear predictors (draws, rows)."""
    mean, *others = predictors
    varying = {
        name: inverse_parameter_link(family, name, eta) for name, eta in zip(design.varying, others, strict=True)
    }
    return inverse_link(family, mean), drawn.parameters | varying


def predictor_of(draws: PredictorDraws, predictor: Predictor, rows: slice | np.ndarray) -> Array:
    """Add up fixed part, group effects and offset: (draws, rows)."""
    total: Array = draws.coefficients @ predictor.X[rows].T
    total += predictor.offset[rows]
    for block, effects in zip(predictor.groups, draws.effects, strict=True):
        if block.smooth and len(block.levels) == 1:
            total += np.hstack(effects) @ block.values[rows].T
            continue
        for codes, own in block.members(rows):
            for column, values in enumerate(effects):
                part = values[:, codes]
                part *= own[:, column]
                total += part
    return total


def row_blocks(n: int, n_draws: int) -> Iterator[slice]:
    """Cut n rows so that draws x rows stays below BLOCK_BYTES."""
    size = max(1, BLOCK_BYTES // (8 * n_draws))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def named_predictor(design: Design, parameter: str | None) -> Predictor:
    """Return the linear predictor of the mean, or of a parameter."""
    if parameter is None:
        return design.mean
    varying = {predictor.name: predictor for predictor in design.predictors if predictor.name}
    if parameter not in varying:
        raise DataError(
            f"'{parameter}' has no formula in this model.",
            f"Parameters with one: {', '.join(varying) or 'none'}.",
            "Leave parameter= out for the mean.",
        )
    return varying[parameter]


def refuse_new_levels(predictor: Predictor) -> None:
    """Raise a DataError that names the levels without a fitted effect."""
    for block in predictor.groups:
        if block.new_levels:
            raise DataError(
                f"'{block.group}' has levels that were not fitted: {_named(block.new_levels)}.",
                "Group effects are known for the fitted levels.",
                "Leave those rows out, fit the model with them, or write predict(..., allow_new_levels=True).",
            )


def _named(levels: tuple[str, ...]) -> str:
    """Name the first few levels."""
    return ", ".join(f"'{level}'" for level in levels[:_MOST_NAMED]) + (", ..." if len(levels) > _MOST_NAMED else "")
