"""A design goes in; what is taken off its columns before anything is solved comes out."""

from dataclasses import replace

import numpy as np

from speclet_formula.design.merged import column_means
from speclet_formula.design.records import Design, GroupBlock

FAR = 5.0  # SDs of a column from zero to its mean, from which on it is centred for a search


def centre_of(design: Design) -> np.ndarray:
    """Return what is taken off each fixed column: its mean when there is an intercept, else nothing."""
    centre = np.zeros(design.X.shape[1])
    if design.fixed and design.fixed[0].kind == "intercept":
        centre[1:] = column_means(design, design.X[:, 1:])
    return centre


def centred_blocks(design: Design) -> tuple[Design, tuple[np.ndarray | None, ...]]:
    """Take the means off the columns of correlated blocks with an intercept, where one lies far from zero.

    There intercepts and slopes are all but perfectly correlated, and no search gets along the ridge: a calendar year.

    Parameters
    ----------
    design : Design

    Returns
    -------
    design : Design
        The same model: the intercepts are those at the means. The same where no column is far from zero.
    moves : tuple of ndarray of float, shape (k, k), or None
        For each block what turns its effects back into those of the given columns.
    """
    groups: list[GroupBlock] = []
    moves: list[np.ndarray | None] = []
    for block in design.groups:
        means, spread = block.values.mean(axis=0), block.values.std(axis=0)
        if not block.correlated or "1" not in block.columns or not (np.abs(means) > FAR * spread)[spread > 0].any():
            groups.append(block)
            moves.append(None)
            continue
        place = block.columns.index("1")
        means[place] = 0.0
        back = np.eye(len(means))
        back[place] -= means
        groups.append(replace(block, values=block.values - means))
        moves.append(back)
    return (design if all(move is None for move in moves) else replace(design, groups=tuple(groups))), tuple(moves)
