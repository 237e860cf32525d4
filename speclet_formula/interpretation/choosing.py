"""A fit and the names of a grouping factor and of what to add go in; draws of each level's total effect come out.

Levels are gone through in blocks, so that memory beside the posterior stays small. Summaries are left to `levels`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speclet_formula.design.records import Design, FixedTerm, GroupBlock, effect_label, sides
from speclet_formula.errors import listed, nearest
from speclet_formula.posterior.draws import Fitted, draws_of, pooled
from speclet_formula.posterior.intervals import Array, EstimateError
from speclet_formula.prediction import BLOCK_BYTES

# A fixed column over a block's own: what a level adds to its coefficient is one number, up to rounding.
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Chosen:
    """One column of a group block, and what is added to the effect of each of its levels.

    Attributes
    ----------
    block : GroupBlock
    place : int
        The column's place in the block.
    term : str
        Its label: "Intercept", "Days", "sigma_Intercept".
    others : tuple of (str, ndarray of int, shape (levels,))
        Variables of other group effects, with the element that belongs to each level.
    fixed : tuple of (str, ndarray of float, shape (levels, columns))
        Variables of fixed terms, with each level's weights of their columns.
    added : tuple of str
        What was added: slots of group effects, and names of fixed terms.
    """

    block: GroupBlock
    place: int
    term: str
    others: tuple[tuple[str, np.ndarray], ...]
    fixed: tuple[tuple[str, Array], ...]
    added: tuple[str, ...]


def choose_effects(fit: Fitted, group: str, term: str = "Intercept", add: str | Sequence[str] = ()) -> Chosen:
    """Find a group effect, and settle what each of its levels gets added.

    Parameters
    ----------
    fit : Fit or PointFit
    group : str
        The grouping factor: "gene", "gene:cell_line".
    term : str
        The column: "Intercept", "Days", "control[other]".
    add : str or sequence of str
        Other grouping factors ("gene" for the levels of "gene:cell_line") and fixed terms ("Intercept", "control").

    Returns
    -------
    Chosen

    Raises
    ------
    EstimateError
        The model has no such group effect, or what is added has not one value for each level.
    """
    side, block, place = _find(fit.model.design, group, term)
    names = (add,) if isinstance(add, str) else tuple(add)
    others: list[tuple[str, np.ndarray]] = []
    fixed: list[tuple[str, Array]] = []
    added: list[str] = []
    for name in names:
        other = _same_column(side, name, block.columns[place])
        term_found = next((found for found in side.fixed if name in (found.name, *found.columns)), None)
        if other is not None and other[0] is not block:
            others.append((other[1], _codes_of_levels(block, other[0])))
            added.append(other[1])
        elif term_found is not None:
            fixed.append((term_found.variable, _weights(side, block, place, term_found, name)))
            added.append(name)
        else:
            raise _cannot_add(side, block, name, effect_label(block, block.columns[place]))
    label = effect_label(block, block.columns[place])
    return Chosen(block, place, label, tuple(others), tuple(fixed), tuple(added))


def effect_blocks(fit: Fitted, chosen: Chosen) -> Iterator[tuple[slice, Array]]:
    """Go through the levels in blocks, with the draws of their total effects.

    Parameters
    ----------
    fit : Fit
    chosen : Chosen
        As `choose_effects` gives it.

    Yields
    ------
    levels : slice
        Places in the block's levels.
    draws : ndarray of float, shape (draws of all chains, levels)
        At most BLOCK_BYTES, unless one level alone takes more.
    """
    own = pooled(draws_of(fit, chosen.block.slots[chosen.place]))
    others = [(pooled(draws_of(fit, slot)), codes) for slot, codes in chosen.others]
    fixed = [(pooled(draws_of(fit, variable)), weights) for variable, weights in chosen.fixed]
    size = max(1, BLOCK_BYTES // (8 * len(own)))
    for start in range(0, own.shape[1], size):
        levels = slice(start, min(start + size, own.shape[1]))
        total = own[:, levels].copy()
        for draws, codes in others:
            total += draws[:, codes[levels]]
        for draws, weights in fixed:
            total += draws @ weights[levels].T
        yield levels, total


def sum_label(chosen: Chosen) -> str:
    """Spell a level's total effect by the names of its parts: "1|gene:cell_line + 1|gene + Intercept".

    Parameters
    ----------
    chosen : Chosen

    Returns
    -------
    str
    """
    return " + ".join((chosen.block.slots[chosen.place], *chosen.added))


def _find(design: Design, group: str, term: str) -> tuple[Design, GroupBlock, int]:
    """Return the side, the block and the place of a group effect."""
    blocks = [(side, block) for side in sides(design) for block in side.groups]
    of_group = [(side, block) for side, block in blocks if group in (block.group, block.label)]
    if not of_group:
        raise _no_group(group, list(dict.fromkeys(block.group for _, block in blocks)))
    labels = [
        (effect_label(block, column), side, block, place)
        for side, block in of_group
        for place, column in enumerate(block.columns)
    ]
    for label, side, block, place in labels:
        if label == term:
            return side, block, place
    names = [label for label, *_ in labels]
    near = nearest(term, names)
    raise EstimateError(
        f"'{group}' has no effect of '{term}'.",
        f"Effects that vary by {group}: {listed(names)}.",
        f"Nearest: term='{near}'." if near else f"Write term='{names[0]}'.",
    )


def _no_group(group: str, groups: list[str]) -> EstimateError:
    near = nearest(group, groups)
    problem = f"the model has no group effects of '{group}'."
    if not groups:
        return EstimateError(problem, "It has no group term.", "Its fixed effects are in sf.fixef(fit).")
    return EstimateError(
        problem,
        f"Grouping factors: {listed(groups)}.",
        f"Nearest: '{near}'." if near else "Name one of these.",
    )


def _same_column(side: Design, group: str, column: str) -> tuple[GroupBlock, str] | None:
    """Return the block, and the slot, of another grouping factor's effect of the same column."""
    return next(
        (
            (block, block.slots[block.columns.index(column)])
            for block in side.groups
            if group == block.group and column in block.columns
        ),
        None,
    )


def _codes_of_levels(block: GroupBlock, other: GroupBlock) -> np.ndarray:
    """Return the other factor's level that each level of the block lies in."""
    codes = np.empty(len(block.levels), dtype=np.int64)
    codes[block.codes] = other.codes
    several = np.flatnonzero(codes[block.codes] != other.codes)
    if len(several):
        raise _not_determined(block, other.group, block.levels[block.codes[several[0]]], other.factors)
    return codes


def _weights(side: Design, block: GroupBlock, place: int, term: FixedTerm, name: str) -> Array:
    """Return what each column of a fixed term, or the one of that name, adds to the coefficient of each level."""
    kept = np.array([name in (term.name, label) for label in term.columns])
    weights = np.zeros((len(block.levels), len(kept)))
    if [label for label, keep in zip(term.columns, kept, strict=True) if keep] == [
        effect_label(block, block.columns[place])
    ]:
        weights[:, kept] = 1.0  # the fixed effect of the same column
        return weights
    values, actual = block.values[:, [place]], side.X[:, term.start : term.stop] * kept
    there = np.flatnonzero(values)
    weights[:] = np.nan
    weights[block.codes[there]] = actual[there] / values[there]
    differ = ~(np.abs(weights[block.codes] * values - actual) <= _SAME * (1 + np.abs(actual))).all(axis=1)
    if differ.any():
        raise _not_determined(block, name, block.levels[block.codes[np.flatnonzero(differ)[0]]], ())
    return weights


def _not_determined(block: GroupBlock, name: str, level: str, factors: tuple[str, ...]) -> EstimateError:
    finer = ":".join(dict.fromkeys((*block.factors, *factors)))
    return EstimateError(
        f"'{name}' cannot be added to the effects of '{block.group}': it is not the same in all rows of '{level}'.",
        f"What is added has one value for each level of '{block.group}'.",
        f"Leave '{name}' out" + (f", or ask for the levels of '{finer}'." if factors else "."),
    )


def _cannot_add(side: Design, block: GroupBlock, name: str, label: str) -> EstimateError:
    groups = [
        other.group for other in side.groups if other is not block and any(c in block.columns for c in other.columns)
    ]
    fixed = [term.name for term in side.fixed]
    near = nearest(name, [*groups, *fixed])
    return EstimateError(
        f"'{name}' cannot be added to the effects of '{block.group}' ({label}).",
        f"Grouping factors with such an effect: {listed(groups) or 'none'}. Fixed terms: {listed(fixed) or 'none'}.",
        f"Nearest: '{near}'." if near else f"Leave '{name}' out.",
    )
