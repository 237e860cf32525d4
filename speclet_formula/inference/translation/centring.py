"""A block of group effects goes in; whether to sample its effects centred comes out.

Where the data say much about each level, effects mix best as themselves (centred); where they say little, as multiples
of their SD (non-centred). Betancourt & Girolami (2013), doi:10.48550/arXiv.1312.0906.
"""

import numpy as np

from speclet_formula.design import Design, GroupBlock

# From this on, the data about a level weigh more than its prior: both ways mix alike near 1.
WEIGHT_OF_DATA = 1.0
FEWEST_ROWS = 3  # of a level whose SD is looked at


def prefers_centred(design: Design, block: GroupBlock) -> bool:
    """Say whether the block's effects mix better centred, judged by a one-way analysis of variance.

    The response's variance within levels also holds what other terms explain, so that the data's weight comes out too
    small rather than too large. Effects on sigma are judged by the logarithms of the levels' SDs, those on other
    parameters are not centred: the data say little about them.
    """
    if block.prefix:
        return block.prefix == "sigma_" and _spreads_differ(design, block)
    codes, sizes = _observed(block)
    spare = sizes.sum() - len(sizes)
    if spare <= 0:
        return False  # one row per level: nothing but the prior tells effect and residual apart
    y = design.response if design.trials is None else design.response / np.maximum(design.trials, 1)
    means = np.bincount(codes, weights=y) / sizes
    within = float(((y - means[codes]) ** 2).sum() / spare)
    typical = float(np.median(sizes))
    between = float(np.var(means)) - within / typical
    return typical * between > WEIGHT_OF_DATA * within


def _spreads_differ(design: Design, block: GroupBlock) -> bool:
    """Compare the variance of log SDs between levels with their sampling variance, 1 / (2 (n - 1)) each."""
    codes, sizes = _observed(block)
    if sizes.min() < FEWEST_ROWS:
        return False
    means = np.bincount(codes, weights=design.response) / sizes
    squares = np.bincount(codes, weights=(design.response - means[codes]) ** 2)
    if squares.min() <= 0:
        return False
    error = 1 / (2 * (float(np.median(sizes)) - 1))
    between = float(np.var(0.5 * np.log(squares / (sizes - 1)))) - error
    return between > WEIGHT_OF_DATA * error


def _observed(block: GroupBlock) -> tuple[np.ndarray, np.ndarray]:
    """Return codes among the levels that have rows, and their numbers of rows: a fold leaves some levels none."""
    _, codes, sizes = np.unique(block.codes, return_inverse=True, return_counts=True)
    return codes, sizes.astype(float)
