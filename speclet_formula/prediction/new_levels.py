"""A design with levels that were not fitted goes in, and the draws; out come draws that have effects for these too.

An effect of a new level is drawn from the distribution of the group's effects, once for each draw of the posterior, so
that all rows of the level share it. So are effects of the fitted levels where they stand for others like
them. What a point fit predicts for a new level is left to `predicting`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.design import sides
from speclet_formula.errors import DataError
from speclet_formula.model import Model
from speclet_formula.posterior.intervals import Array
from speclet_formula.posterior.points import PointEstimates
from speclet_formula.prediction.gathering import Draws, ModelDraws, gather_side, variable_draws
from speclet_formula.priors import Prior, matrices_of


def add_new_levels(
    model: Model, posterior: Any, design: Design, drawn: ModelDraws, rng: np.random.Generator
) -> tuple[Design, ModelDraws]:
    """Draw effects of the levels that were not fitted.

    Parameters
    ----------
    model : Model
        Its priors say what is known of a group's mean.
    posterior : xarray.Dataset
    design : Design
        A replayed one.
    drawn : ModelDraws
        All draws of the posterior for its fitted levels.
    rng : numpy.random.Generator

    Returns
    -------
    design : Design
        Each new level has the code of its place behind the fitted ones.
    drawn : ModelDraws
        With the effects of the new levels behind the others.

    Raises
    ------
    DataError
        The effects of a group have a prior that is not normal.
    """
    parts = sides(design)
    extended = [_extended(model, posterior, side, draws, rng) for side, draws in zip(parts, drawn.sides, strict=True)]
    (main, _), *others = extended
    parameters = tuple((name, side) for (name, _), (side, _) in zip(design.parameters, others, strict=True))
    return replace(main, parameters=parameters), replace(drawn, sides=tuple(draws for _, draws in extended))


def _extended(
    model: Model, posterior: Any, side: Design, drawn: Draws, rng: np.random.Generator
) -> tuple[Design, Draws]:
    """Extend one linear predictor."""
    blocks, effects = [], []
    for block, known in zip(side.groups, drawn.effects, strict=True):
        if not block.new_levels:
            blocks.append(block)
            effects.append(known)
            continue
        new = _new_effects(model, posterior, block, len(block.new_levels), rng)
        effects.append(tuple(np.hstack([old, new[:, :, k]]) for k, old in enumerate(known)))
        codes = np.where(block.codes < 0, len(block.levels) - 1 - block.codes, block.codes)
        blocks.append(replace(block, codes=codes, levels=(*block.levels, *block.new_levels), new_levels=()))
    return replace(side, groups=tuple(blocks)), replace(drawn, effects=tuple(effects))


def draw_anew(model: Model, posterior: Any, side: Design, draws: Array, rng: np.random.Generator) -> Draws:
    """Draw effects of all levels of a linear predictor as if they were new ones; none that was fitted is needed.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
    side : Design
        Of the mean, or of a parameter.
    draws : ndarray of int
        The draws to use, counted over all chains.
    rng : numpy.random.Generator

    Returns
    -------
    Draws

    Raises
    ------
    DataError
        The effects of a group have a prior that is not normal.
    """
    effects = []
    for block in side.groups:
        new = _new_effects(model, posterior, block, len(block.levels), rng, draws)
        effects.append(tuple(new[:, :, column] for column in range(new.shape[2])))
    return replace(gather_side(replace(side, groups=()), posterior, draws), effects=tuple(effects))


def draw_point_anew(
    side: Design, points: PointEstimates, count: int, rng: np.random.Generator
) -> tuple[tuple[Array, ...], ...]:
    """Draw effects of all levels at the estimates of maximum likelihood.

    Parameters
    ----------
    side : Design
    points : PointEstimates
    count : int
        How many draws of all effects.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of tuple of ndarray of float, shape (count, levels)
        For each block and column.
    """
    effects = []
    for block, covariance in zip(side.groups, points.covariances, strict=True):
        variances, axes = np.linalg.eigh(covariance)  # not Cholesky's, since an estimate may be singular
        root = axes * np.sqrt(np.maximum(variances, 0.0))
        new = rng.standard_normal((count, len(block.levels), len(covariance))) @ root.T
        effects.append(tuple(new[:, :, column] for column in range(new.shape[2])))
    return tuple(effects)


def _new_effects(
    model: Model,
    posterior: Any,
    block: GroupBlock,
    count: int,
    rng: np.random.Generator,
    draws: slice | Array = slice(None),
) -> Array:
    """Draw mu + diag(sigma) L z for each draw and level: (draws, levels, columns)."""
    moments = [_moments(model, posterior, slot) for slot in block.slots]
    means, deviations = zip(*((mean[draws], deviation[draws]) for mean, deviation in moments), strict=True)
    factor = _correlation_factors(posterior, block, draws)
    z = rng.standard_normal((len(means[0]), count, len(block.slots)))
    shared = z if factor is None else z @ np.swapaxes(factor, 1, 2)
    return np.asarray(np.stack(means, axis=-1)[:, None] + shared * np.stack(deviations, axis=-1)[:, None])


def _moments(model: Model, posterior: Any, slot: str) -> tuple[Array, Array]:
    """Return mean and SD of a column's effects, draw by draw; a number that the prior states is the same in all."""
    prior = next((row.prior for row in model.slots if row.slot == slot), None)
    stated = {} if prior is None else prior.parameters
    if prior is None or prior.name != "Normal":
        raise DataError(
            f"new levels of '{slot}' cannot be drawn: its prior is {prior}.",
            "New levels are drawn from a Normal prior of the group's effects.",
            "Leave the rows with new levels out (of simulate(): write effects='kept'), or choose a Normal prior.",
        )
    total = posterior.sizes["chain"] * posterior.sizes["draw"]

    def known(name: str, what: str) -> Array:
        value = stated[what]
        if isinstance(value, Prior) or name in posterior:
            return variable_draws(posterior, name, 1)[:, 0]
        return np.full(total, float(np.asarray(value)))

    return known(f"{slot}_mu", "mu"), known(f"{slot}_sigma", "sigma")


def _correlation_factors(posterior: Any, block: GroupBlock, draws: slice | Array) -> Array | None:
    """Return the Cholesky factors of a block's correlations, (draws, columns, columns)."""
    if not block.correlated:
        return None
    k = len(block.slots)
    pairs = variable_draws(posterior, block.correlation, k * (k - 1) // 2)[draws]
    return np.asarray(np.linalg.cholesky(matrices_of(pairs)))
