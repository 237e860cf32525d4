"""Draws of a Gaussian model's variances, read from a posterior, whichever engine made it."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from speclet_formula.common.correlations import share_of
from speclet_formula.design import GroupBlock
from speclet_formula.families import has_known_errors
from speclet_formula.model import Model
from speclet_formula.posterior.draws import Draws

NEAREST = 1 - 1e-12  # a correlation that was rounded to 1 is taken for this


@dataclass(frozen=True, eq=False)
class DrawnVariances:
    """Draws of a model's variances, in their natural scale."""

    sds: np.ndarray  # (N, m) the residual's first, 1 where known, then each block's columns, or their only one
    partial: np.ndarray  # (N, q) partial correlations and shares, as theta has them


def variance_names(model: Model) -> tuple[str, ...]:
    """Name the posterior's variables that hold the variances: SDs first, in `density`'s order, then the others."""
    blocks = model.design.mean.groups
    sds = [name for block in blocks for name in block.sds]
    shapes = [block.length_scale if block.stretches else block.correlation for block in blocks if _has_shape(block)]
    own = () if has_known_errors(model.family) else ("sigma",)
    return (*own, *sds, *shapes)


def read_variances(model: Model, draws: Draws) -> DrawnVariances:
    """Take the variances out of draws, whichever engine made them.

    Parameters
    ----------
    model : Model
    draws : Draws
        SDs on the response's scale.

    Raises
    ------
    EstimateError
        There are no draws of one of them.
    """
    blocks = model.design.mean.groups
    own = (draws.sds(block)[:, :1] if block.hom else draws.sds(block) for block in blocks)
    residual = np.ones((len(draws), 1)) if has_known_errors(model.family) else draws.parameter("sigma")
    sds = np.hstack([residual, *own])
    parts = [_partials(block, draws) for block in blocks if _has_shape(block)]
    return DrawnVariances(sds, np.hstack([np.empty((len(sds), 0)), *parts]))


def _has_shape(block: GroupBlock) -> bool:
    return block.correlated or block.stretches


def _partials(block: GroupBlock, draws: Draws) -> np.ndarray:
    """Return what theta holds of a block beside SDs: partial correlations (N, pairs), or the share of one number."""
    width = len(block.slots)
    if block.structure is None:
        return partial_correlations(draws.correlation(block), width)
    number = draws.length_scale(block) if block.stretches else draws.correlation(block)[:, :1]
    return np.asarray(np.clip(share_of(block.structure, number, width), -NEAREST, NEAREST))


def partial_correlations(correlations: np.ndarray, width: int) -> np.ndarray:
    """Return the partial correlations (N, pairs) that correlations (N, pairs) of so many columns are made of.

    The inverse of `density.correlation_factors`, column by column of the Cholesky factor.
    """
    pairs = list(combinations(range(width), 2))
    known = {pair: correlations[:, k] for k, pair in enumerate(pairs)}
    factor = np.zeros((len(correlations), width, width))
    factor[:, 0, 0] = 1.0
    partial = {}
    for j in range(1, width):
        left = np.ones(len(correlations))
        for i in range(j):
            rest = known[i, j] - (factor[:, j, :i] * factor[:, i, :i]).sum(axis=1)
            partial[i, j] = np.clip(rest / (factor[:, i, i] * left), -NEAREST, NEAREST)
            factor[:, j, i] = partial[i, j] * left
            left = left * np.sqrt(1 - partial[i, j] ** 2)
        factor[:, j, j] = left
    return np.column_stack([partial[pair] for pair in pairs])


def thinned(model: Model, draws: Draws, count: int) -> Draws:
    """Return the variances alone, of about so many of the draws."""
    return draws.only(variance_names(model)).thinned(max(1, len(draws) // count))
