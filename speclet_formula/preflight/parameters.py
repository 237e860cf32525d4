"""The formulas of a model's parameters go in; terms that too few rows inform come out."""

from collections.abc import Iterator

import numpy as np

from speclet_formula.design import Design
from speclet_formula.preflight.collinearity import collinear_columns
from speclet_formula.preflight.columns import extreme_scales
from speclet_formula.preflight.groups import far_slopes
from speclet_formula.preflight.records import Finding, listed

FEWEST_ROWS = 3  # of a level whose spread is to be known: with two its interval spans a factor of 70
FEW_LEVELS = 5


def inspect_parameters(design: Design) -> Iterator[Finding]:
    """Look at the formulas of sigma and of other parameters.

    Parameters
    ----------
    design : Design

    Yields
    ------
    Finding
    """
    for name, side in design.parameters:
        yield from collinear_columns(side)
        yield from extreme_scales(side)
        yield from _few_rows(name, side)
        for block in side.groups:
            yield from far_slopes(block, side)


def _few_rows(name: str, side: Design) -> Iterator[Finding]:
    """Look for coefficients and levels that one or two rows inform."""
    counts = np.count_nonzero(side.X, axis=0)
    columns = [column for term in side.fixed if term.kind == "categorical" for column in term.columns]
    places = [place for term in side.fixed if term.kind == "categorical" for place in range(term.start, term.stop)]
    thin = [column for column, place in zip(columns, places, strict=True) if counts[place] < FEWEST_ROWS]
    why = f"So few rows say next to nothing of '{name}', so that the posterior there is the prior's."
    if thin:
        remedy = "Merge those levels with others."
        yield Finding("parameter_of_few_rows", f"Fewer than {FEWEST_ROWS} rows inform {listed(thin)}.", why, remedy)
    for block in side.groups:
        rows = np.bincount(block.codes, minlength=len(block.levels))
        few = [block.levels[level] for level in np.flatnonzero(rows < FEWEST_ROWS)]
        if few:
            what = f"{len(few):,} of the {len(rows):,} levels of '{block.group}' have fewer than {FEWEST_ROWS} rows: "
            remedy = (
                f"Read those effects on '{name}' as shrunken guesses, or take a factor with more rows in each level."
            )
            yield Finding("parameter_of_few_rows", f"{what}{listed(few)}.", why, remedy)
        if len(block.levels) <= FEW_LEVELS:
            yield Finding(
                "few_levels",
                f"'{block.group}' has {len(block.levels)} levels in the formula of '{name}'.",
                "So few effects determine an SD weakly: its posterior is wide and follows its prior.",
                f"Choose that prior with care, priors={{'{block.slots[0]}_sigma': ...}}, or make '{block.group}' a "
                f"fixed term of '{name}'.",
            )
