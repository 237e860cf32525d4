"""What Bambi hands its prior hook goes in (name, SD, mean, dims); PyMC variables of group effects come out.

Bambi itself knows uncorrelated effects with mean zero. Here are those with a mean and those that share a correlation:
`u = mu + diag(sigma) L z` with `L` the Cholesky factor of an LKJ correlation, either from standard normals z
(non-centred) or column by column given the earlier ones (centred).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pymc as pm
import pytensor.tensor as pt

Hook = Callable[..., Any]


@dataclass(frozen=True)
class CorrelatedBlock:
    """What the hooks of one correlated block share."""

    correlation: str  # "cor|Subject"
    pair_dim: str  # "Subject__pair_dim"
    pairs: dict[str, tuple[int, int]]  # "1, Days", and which two of the slots it means
    slots: tuple[str, ...]  # "1|Subject", "Days|Subject"
    means: tuple[float, ...]  # each column's mean where it is a number; a hyper-mean is a variable of the model
    eta: float  # of the LKJ prior
    centred: bool


def shifted_effects(*, centred: bool) -> Hook:
    """Return a hook for uncorrelated effects around a mean, which Bambi leaves out when it samples non-centred."""

    def build(name: str, *, sigma: Any, mu: Any = 0.0, dims: Sequence[str]) -> Any:
        if centred:
            return pm.Normal(name, mu=mu, sigma=sigma, dims=dims)
        offset = pm.Normal(f"{name}_offset", dims=dims)
        return pm.Deterministic(name, mu + sigma * offset, dims=dims)

    return build


def correlated_effects(block: CorrelatedBlock, column: int) -> Hook:
    """Return the hook for one column of a correlated block; Bambi calls the columns' hooks in order."""

    def build(name: str, *, sigma: Any, mu: Any = 0.0, dims: Sequence[str]) -> Any:
        rows = _cholesky_rows(block)
        if block.centred:
            return _centred_column(block, column, name, sigma, mu, rows, dims)
        scores = [_scores(slot, dims) for slot in block.slots[: column + 1]]
        effect = mu + sigma * sum(weight * score for weight, score in zip(rows[column], scores, strict=True))
        return pm.Deterministic(name, effect, dims=dims)

    return build


def _scores(slot: str, dims: Sequence[str]) -> Any:
    """Return the standard normals of one column, made by whichever hook asks first."""
    name = f"{slot}_offset"
    model = pm.modelcontext(None)
    return model[name] if name in model.named_vars else pm.Normal(name, dims=dims)


def _centred_column(
    block: CorrelatedBlock, column: int, name: str, sigma: Any, mu: Any, rows: list[list[Any]], dims: Sequence[str]
) -> Any:
    """Make one column given the earlier ones: its conditional normal under the shared correlation."""
    model = pm.modelcontext(None)
    scores: list[Any] = []
    for slot, number, row in zip(block.slots[:column], block.means, rows, strict=False):
        mean = model.named_vars.get(f"{slot}_mu", number)
        standard = (model[slot] - mean) / model[f"{slot}_sigma"]
        scores.append((standard - _weighted(row, scores)) / row[-1])
    row = rows[column]
    return pm.Normal(name, mu=mu + sigma * _weighted(row, scores), sigma=sigma * row[-1], dims=dims)


def _weighted(weights: list[Any], scores: list[Any]) -> Any:
    """Return the sum of the scores so far, each by its weight; 0 when there is none."""
    return sum((weight * score for weight, score in zip(weights, scores, strict=False)), 0.0)


def _cholesky_rows(block: CorrelatedBlock) -> list[list[Any]]:
    """Return the rows of the Cholesky factor of an LKJ(eta) correlation, by its partial correlations.

    The partial correlations of the canonical vine are independent under LKJ(eta), each 2 Beta(b, b) - 1 with
    b = eta + (k - 2 - i) / 2 for the i-th conditioning column (Lewandowski, Kurowicka & Joe 2009,
    doi:10.1016/j.jmva.2009.04.008), so that no Jacobian and no matrix decomposition is needed: a generic Cholesky
    takes a minute to compile.
    """
    size = len(block.slots)
    pairs = list(combinations(range(size), 2))
    partial = dict(zip(pairs, _partial_correlations(block, pairs), strict=True))
    rows: list[list[Any]] = []
    for j in range(size):
        row, left = [], pt.constant(1.0)
        for i in range(j):
            row.append(partial[i, j] * left)
            left = left * pt.sqrt(1 - partial[i, j] ** 2)
        rows.append([*row, left])
    _register_correlations(block, rows)
    return rows


def _partial_correlations(block: CorrelatedBlock, pairs: list[tuple[int, int]]) -> list[Any]:
    """Return one partial correlation for each pair of columns, made by whichever hook asks first."""
    model = pm.modelcontext(None)
    name = f"{block.correlation}_partial"
    if name in model.named_vars:
        halves = model[name]
    else:
        shape = [block.eta + (len(block.slots) - 2 - i) / 2 for i, _ in pairs]
        model.add_coords({block.pair_dim: tuple(block.pairs)})
        halves = pm.Beta(name, alpha=shape, beta=shape, dims=block.pair_dim)
    return [2 * halves[position] - 1 for position in range(len(pairs))]


def _register_correlations(block: CorrelatedBlock, rows: list[list[Any]]) -> None:
    if block.correlation not in pm.modelcontext(None).named_vars:
        entries = [sum(a * b for a, b in zip(rows[i], rows[j], strict=False)) for i, j in block.pairs.values()]
        pm.Deterministic(block.correlation, pt.stack(entries), dims=block.pair_dim)
