"""Grouping factors: what their levels and slopes cannot tell, and how they lie to each other, nested or crossed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.design import Design, FixedTerm, GroupBlock
from speclet_formula.design.design import Predictor
from speclet_formula.design.merged import column_means, row_count, rows_in_levels
from speclet_formula.design.multi_membership import level_pairs
from speclet_formula.design.transforms import as_factor
from speclet_formula.formula.terms import Name, text_of
from speclet_formula.model.findings import Finding, Support, listed

FEW_LEVELS = 5  # with so few levels an SD's posterior follows its prior; from eight on, usual priors agree
FAR_SLOPE = 5.0  # SDs between a slope's column and zero: from about there on the SD of intercepts is mostly the slopes'
MANY_UNSEEN = 50  # levels that a covariance has beside those of the data
SINGLETON_SHARE = 0.2  # of the levels; below it the others settle the SD


def inspect_group(block: GroupBlock, design: Design, support: Support = "real") -> Iterator[Finding]:
    """Look at one group block: how many levels, how many rows in each, what its slopes vary with.

    Parameters
    ----------
    block : GroupBlock
    design : Design
        The design that the block is part of.
    support : {"real", "binary", "count", "proportion", "ordinal", "levels", "other"}
        What the response's family takes.
    """
    n, q = row_count(design), len(block.levels)
    rows = rows_in_levels(design, block)
    if block.observed == 1:
        yield Finding(
            "one_level",
            f"The grouping factor '{block.group}' has one level, '{block.levels[0]}'.",
            "One effect says nothing of an SD, and it cannot be told from the intercept; lme4 refuses this.",
            f"Leave the group term of '{block.group}' out.",
        )
    elif block.relation is None and q * block.joint >= n:
        yield from _as_many_effects_as_rows(block, design, support)
    else:
        yield from _few_levels(block)
        if block.relation is not None:
            yield from _unobserved(block, rows)
        elif block.shares is None:  # else a row of several levels says something of each
            yield from _singletons(block, rows)
    yield from still_slopes(block, design.mean)
    yield from far_slopes(block, design, design.mean)


_ONE_ROW_EACH = {
    "real": "Its SD and the residual SD share one variance: lme4 refuses this, and here the priors split it.",
    "other": "Its SD and the family's own spread share one variance, and the priors split it.",
    "binary": "A single 0 or 1 says nothing of an effect of its own, so that its SD follows its prior.",
    "ordinal": "A single level says nothing of an effect of its own, so that its SD follows its prior.",
}


def _as_many_effects_as_rows(block: GroupBlock, design: Design, support: Support) -> Iterator[Finding]:
    """Look at a block that can reproduce every row; unequal weights tell it from the residual.

    Of counts and proportions it is overdispersion, as many write it on purpose, and sound.
    """
    n, q, k = row_count(design), len(block.levels), len(block.columns)
    weights = design.weights if design.merged is None or design.weights is None else design.weights / design.merged.rows
    unequal = weights is not None and np.ptp(weights) > 0
    if unequal or support in ("count", "proportion", "levels"):
        return
    counted = f"as many levels as rows ({n:,})" if k == 1 else f"{q * k:,} effects ({q:,} levels x {k}) for {n:,} rows"
    yield Finding(
        "as_many_effects_as_rows",
        f"'{block.group}' has {counted}.",
        _ONE_ROW_EACH[support],
        f"Leave the group term of '{block.group}' out"
        + (", or take a factor with several rows in each level." if k == 1 else " in part, for example its slopes."),
    )


def _few_levels(block: GroupBlock) -> Iterator[Finding]:
    q = block.observed
    if q <= FEW_LEVELS:
        yield Finding(
            "few_levels",
            f"'{block.group}' has {q} levels.",
            "So few effects determine an SD weakly: its posterior is wide and follows its prior.",
            f"Choose that prior with care, priors={{'{block.sds[0]}': ...}}, or make '{block.group}' a fixed "
            "term if only these levels matter.",
        )


def _singletons(block: GroupBlock, rows: np.ndarray) -> Iterator[Finding]:
    single = int((rows == 1).sum())
    if single > SINGLETON_SHARE * len(rows):
        yield Finding(
            "singletons",
            f"{single:,} of the {len(rows):,} levels of '{block.group}' have one row ({single / len(rows):.0%}).",
            "In those levels the effect and the residual are one number: what splits them is the other levels, and "
            "leave-one-out from the draws can be far off.",
            "Read those effects as shrunken guesses, and mind the count of high Pareto k in a comparison.",
        )


def _unobserved(block: GroupBlock, rows: np.ndarray) -> Iterator[Finding]:
    """Look for levels without a row, which a dense matrix holds at the cost of all its entries."""
    assert block.relation is not None
    given, unseen = block.relation.given, int((rows == 0).sum())
    if given.argument == "cov" and unseen > MANY_UNSEEN:
        yield Finding(
            "levels_of_the_matrix_alone",
            f"{unseen:,} of the {len(rows):,} levels of the matrix '{given.name}' have no row.",
            "Their effects follow from those of related levels; a fit takes them along, at a cost.",
            f"Leave them out of the covariance where they are not asked for: {given.name}.loc[seen, seen], the same "
            "model.",
        )


def _are_constant(columns: list[str]) -> str:
    return f"{listed(columns)} {'is' if len(columns) == 1 else 'are'} constant"


def still_slopes(block: GroupBlock, predictor: Predictor) -> Iterator[Finding]:
    """Look for columns that never vary, or never within a level.

    Parameters
    ----------
    block : GroupBlock
    predictor : Predictor
        The linear predictor that the block is part of.
    """
    slopes = [j for j, column in enumerate(block.columns) if column != "1"]
    still = [j for j in slopes if (block.values[:, j] == block.values[0, j]).all()]
    for j in still:
        yield Finding(
            "constant_slope",
            f"The column '{block.columns[j]}' of the group term of '{block.group}' is {block.values[0, j]:g} in every "
            "row.",
            "No row informs its effects and their SD, which follow their priors."
            if block.values[0, j] == 0
            else "Its effects are those of an intercept, (1 | group), times that number.",
            f"Leave '{block.columns[j]}' out of the group term.",
        )
    if block.shares is not None:  # a row's levels share its columns: there is no "within a level"
        return
    first = np.zeros(len(block.levels), dtype=np.int64)
    first[block.codes[::-1]] = np.arange(len(block.codes))[::-1]
    moving = [j for j in slopes if j not in still]
    within = [block.columns[j] for j in moving if (block.values[:, j] == block.values[first, j][block.codes]).all()]
    if within and any(b.group == block.group and "1" in b.columns for b in predictor.groups):
        yield Finding(
            "slope_constant_within_levels",
            f"Within every level of '{block.group}', {_are_constant(within)}.",
            "No level shows a slope of its own: its intercept and its slope only enter as a sum.",
            f"Write (1 | {block.group}), with the column as a fixed term.",
        )


def far_slopes(block: GroupBlock, design: Design, predictor: Predictor) -> Iterator[Finding]:
    """Look for slopes of numeric columns far from zero, beside intercepts of the same group.

    Parameters
    ----------
    block : GroupBlock
    design : Design
    predictor : Predictor
        The linear predictor that the block is part of.

    Yields
    ------
    Finding
        One for each such column.
    """
    if not any(sibling.group == block.group and "1" in sibling.columns for sibling in predictor.groups):
        return
    part = next(
        own for sibling, own in zip(predictor.factors, predictor.recipe.blocks, strict=True) if sibling is block
    )
    for term in part.terms:
        spelled = _spelled_alone(term, predictor)
        if term.kind != "numeric" or term.dim is not None or spelled is None:
            continue  # interactions are far from zero where their columns are
        values = block.values[:, term.start]
        mean = float(column_means(design, values))
        deviation = float(np.sqrt(column_means(design, (values - mean) ** 2)))
        if not 0 < FAR_SLOPE * deviation < abs(mean):
            continue
        yield Finding(
            "slope_far_from_zero",
            f"Slopes of '{term.columns[0]}' differ between levels of '{block.group}', and its mean, {mean:.4g}, lies "
            f"{abs(mean) / deviation:,.0f} SDs from zero.",
            f"The intercepts are those at {spelled} = 0, far from all rows: their SD grows with the distance, their "
            "correlation with the slopes nears 1 or -1, and the priors of both, which hold there, draw them back.",
            f"Centre it: write center({spelled}) for {spelled} wherever it stands in the formula.",
        )


def _spelled_alone(term: FixedTerm, predictor: Predictor) -> str | None:
    """Return how the formula spells a column of a group term, or None for an interaction."""
    factors = (own.factors for group in predictor.formula.group_terms for own in group.terms)
    alone = (factor for factor, *others in factors if not others)
    return next((text_of(f) for f in alone if (f.name if isinstance(f, Name) else text_of(f)) == term.name), None)


MISPLACED_SHARE = 0.25  # of a factor's repeated levels: with more of them in several parents it is a crossed factor

type LevelCodes = tuple[np.ndarray, Sequence[str]]  # a code for each row, and the levels


def inspect_factors(design: Design) -> Iterator[Finding]:
    """Look at the grouping factors by pairs."""
    pairs = (pair for predictor in design.predictors for pair in combinations(predictor.factors, 2))
    for first, second in pairs:
        shared = set(first.columns) & set(second.columns)
        if first.group != second.group and shared and _same_partition(first, second):
            yield Finding(
                "same_partition",
                f"'{first.group}' and '{second.group}' put the same rows together.",
                "Their effects only enter as sums, so that the priors split one variance between two SDs.",
                f"Leave the group term of '{second.group}' out.",
            )
    factors = {name: factor for block in design.factors for name, factor in _factors(block, design)}
    for pair in combinations(factors, 2):
        parent, child = sorted(pair, key=lambda name: len(factors[name][1]))
        yield from _nested_in_two(child, factors[child], parent, factors[parent])


def _same_partition(first: GroupBlock, second: GroupBlock) -> bool:
    if len(first.levels) != len(second.levels) or first.shares is not None or second.shares is not None:
        return False
    if first.relation is not None or second.relation is not None:
        return False  # relatives tell the two apart
    partner = np.empty(len(first.levels), dtype=np.int64)
    partner[first.codes] = second.codes
    return bool((partner[first.codes] == second.codes).all())


def _factors(block: GroupBlock, design: Design) -> Iterator[tuple[str, LevelCodes]]:
    """Yield the single columns that a grouping factor crosses: gene and sgRNA for gene:sgRNA."""
    for name in block.factors:
        if block.shares is not None:
            return
        if len(block.factors) == 1:
            yield name, (block.codes, block.levels)
        elif name in design.frame.columns:
            column = design.frame[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                yield name, (column.cat.codes.to_numpy(dtype=np.int64), tuple(column.cat.categories))
            else:
                factor = as_factor(column.to_numpy())
                yield name, (factor.codes.astype(np.int64), tuple(factor.categories))


def _nested_in_two(child: str, inner: LevelCodes, parent: str, outer: LevelCodes) -> Iterator[Finding]:
    """Look for levels of a nested factor that occur in several levels of the outer one."""
    codes, levels = inner
    partner = np.empty(len(levels), dtype=outer[0].dtype)
    partner[codes] = outer[0]
    in_several = np.zeros(len(levels), dtype=bool)
    in_several[codes[partner[codes] != outer[0]]] = True
    repeated = np.bincount(codes, minlength=len(levels)) > 1
    strays = np.flatnonzero(in_several).tolist()
    if len(strays) == 0 or len(strays) > MISPLACED_SHARE * repeated.sum():
        return
    named = listed([levels[code] for code in strays])
    yield Finding(
        "nested_in_two_parents",
        f"{len(strays):,} of the {len(levels):,} levels of '{child}' occur in several levels of '{parent}': {named}.",
        f"All others occur in one, so that '{child}' seems nested in '{parent}': by itself it gives such a level one "
        f"effect, '{parent}:{child}' gives it one in each.",
        f"Check those labels. If they name different things, write (1 | {parent}/{child}); if the same thing, "
        f"(1 | {parent}) + (1 | {child}).",
    )


Kind = Literal["same", "nested", "crossed", "partially crossed"]


@dataclass(frozen=True)
class Relation:
    """How two grouping factors lie to each other.

    Attributes
    ----------
    one, other : str
        The factors; of nested ones the inner first.
    kind : {"same", "nested", "crossed", "partially crossed"}
        "crossed" if each level of one occurs with each of the other, "partially crossed" if some pairs are absent.
    words : str
        The same in a sentence, with the numbers.
    """

    one: str
    other: str
    kind: Kind
    words: str


def relate_groups(design: Design) -> tuple[Relation, ...]:
    """Say for each pair of grouping factors whether they are crossed or nested in these data.

    Parameters
    ----------
    design : Design
        As `build_design` makes it. The time is linear in its rows, for each pair.

    Returns
    -------
    tuple of Relation
        One for each pair of different grouping factors, in the formulas' order.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> from speclet_formula.model import relate_groups
    >>> data, truth = sf.datasets.m7()
    >>> print(relate_groups(sf.Model("log_fc ~ (1 | gene/sgRNA)", data).design)[0].words)
    gene:sgRNA is nested in gene: each of its 55 levels lies within one level of gene, 5 to 6 in each.
    """
    blocks = {block.group: block for block in design.factors}
    return tuple(_relation(first, second) for first, second in combinations(blocks.values(), 2))


def _relation(first: GroupBlock, second: GroupBlock) -> Relation:
    inner, outer = (first, second) if first.observed >= second.observed else (second, first)
    q, p = inner.observed, outer.observed
    pairs = level_pairs(inner, outer)
    names, both = (inner.group, outer.group), f"{first.group} and {second.group}"
    if len(pairs) == q == p:
        words = f"{inner.group} and {outer.group} are the same division of the rows, into {q:,} levels."
        return Relation(*names, "same", words)
    if len(pairs) == q:
        within = np.unique(pairs % len(outer.levels), return_counts=True)[1]
        words = (
            f"{inner.group} is nested in {outer.group}: each of its {q:,} levels lies within one level of "
            f"{outer.group}, {_between(within)} in each."
        )
        return Relation(*names, "nested", words)
    if len(pairs) == q * p:
        words = f"{both} are crossed: each of the {q * p:,} combinations of their levels occurs."
        return Relation(first.group, second.group, "crossed", words)
    partners = np.unique(pairs // len(outer.levels), return_counts=True)[1]
    words = (
        f"{both} are partially crossed: {len(pairs):,} of the {q * p:,} combinations of their levels occur, so that a "
        f"level of {inner.group} meets {_between(partners)} of the {p:,} of {outer.group}."
    )
    return Relation(first.group, second.group, "partially crossed", words)


def _between(counts: np.ndarray) -> str:
    least, most = int(counts.min()), int(counts.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
