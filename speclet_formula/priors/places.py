"""Slots and a design go in; where the priors of a group intercept hold, and how to move SDs from there, come out.

With (1 + x | g) the intercepts are effects at x = 0, which may lie far from all data: their SD, and their correlation
with the slopes, change with where x is measured from. The default priors speak of effects at the mean of x, so that
adding a constant to x changes no prediction; a stated prior, or another package's, speaks of x = 0, as in brms.

    u_c = A u,  A = I with A[intercept, x] = mean x;  Sigma_c = A Sigma A'
"""

from collections.abc import Sequence

import numpy as np

from speclet_formula.design import Design, FixedTerm, GroupBlock
from speclet_formula.design.merged import column_means
from speclet_formula.priors.records import Slot, has_mean

AT_THE_MEANS = "weak"  # the preset whose priors of group intercepts hold at the means of the block's columns


def places_of(design: Design, slots: Sequence[Slot]) -> tuple[np.ndarray, ...]:
    """Return where the priors of each group block hold.

    Parameters
    ----------
    design : Design
    slots : sequence of Slot
        The slot table of a model with that design.

    Returns
    -------
    tuple of ndarray, each of shape (k,)
        One for each block: the means of its numeric columns over the rows, 0 for all others. All are 0 where the block
        is not correlated, has no intercept, means other than 0, or where the prior of its intercept's SD was stated.
    """
    of_slot = {slot.slot: slot for slot in slots}
    return tuple(
        _place(design, block, part.terms, [of_slot[slot] for slot in block.slots])
        for block, part in zip(design.groups, design.recipe.blocks, strict=True)
    )


def place_of(design: Design, slots: Sequence[Slot], block: GroupBlock) -> np.ndarray:
    """Return where one block's priors hold; all 0 for a block of another parameter, as of `sigma ~ (x | g)`."""
    pairs = zip(design.groups, places_of(design, slots), strict=True)
    return next((place for other, place in pairs if other is block), np.zeros(len(block.columns)))


def _place(design: Design, block: GroupBlock, terms: Sequence[FixedTerm], slots: list[Slot]) -> np.ndarray:
    place = np.zeros(len(block.columns))
    if not block.correlated or "1" not in block.columns:
        return place
    if slots[block.columns.index("1")].source != AT_THE_MEANS or any(has_mean(slot.prior) for slot in slots):
        return place
    numeric = [term.kind == "numeric" for term in terms for _ in term.columns]
    place[numeric] = column_means(design, block.values[:, numeric])
    return place


def move_spread(
    sds: np.ndarray, correlations: np.ndarray, columns: Sequence[str], place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return SDs and correlations of a block's effects with the intercepts moved to a place.

    Parameters
    ----------
    sds : ndarray of shape (..., k)
    correlations : ndarray of shape (..., k, k)
        Of intercepts at 0.
    columns : sequence of str
        The block's columns, "1" among them where the place is not 0.
    place : ndarray of shape (k,)
        As `places_of` returns it; its negative moves the intercepts back to 0.

    Returns
    -------
    sds : ndarray of shape (..., k)
    correlations : ndarray of shape (..., k, k)
    """
    if not place.any():
        return sds, correlations
    mover = _mover(columns, place)
    covariance = mover @ (correlations * sds[..., :, np.newaxis] * sds[..., np.newaxis, :]) @ mover.T
    moved = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    scaled = covariance / moved[..., :, np.newaxis] / moved[..., np.newaxis, :]
    scaled[..., np.arange(len(place)), np.arange(len(place))] = 1.0
    return moved, scaled


def _mover(columns: Sequence[str], place: np.ndarray) -> np.ndarray:
    mover = np.eye(len(place))
    mover[list(columns).index("1")] += place
    return mover
