"""What a design gives cause to say, before it is fitted: each part is looked at in its own file, and here in order."""

from collections.abc import Iterator, Sequence

import numpy as np

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import Design
from speclet_formula.design.design import Predictor
from speclet_formula.model.collinearity import collinear_columns, separation
from speclet_formula.model.findings import (
    Finding,
    Findings,
    Support,
    extreme_response,
    extreme_scales,
    fixed_and_group,
    inspect_fixed,
    inspect_response,
    listed,
    ordered_factors,
    row_numbers,
    sorted_levels,
    text_of_numbers,
    total_for_failures,
)
from speclet_formula.model.groups import (
    FEW_LEVELS,
    far_slopes,
    inspect_factors,
    inspect_group,
    still_slopes,
)

FEWEST_ROWS = 3  # of a level whose spread is to be known: with two its interval spans a factor of 70


@in_one_blas_thread
def inspect_design(
    design: Design, *, support: Support = "real", unordered: Sequence[str] = (), ordered: Sequence[str] = ()
) -> Findings:
    """Look for what lme4 would warn of or refuse, and for what makes a posterior follow its prior.

    Parameters
    ----------
    design : Design
        As `build_design` makes it.
    support : {"real", "binary", "count", "proportion", "ordinal", "levels", "other"}
        What the response's family takes: real numbers, 0 and 1, counts, successes out of trials, ordered levels, or
        other numbers.
    unordered : sequence of str
        Columns that came as categories without an order, and whose levels were sorted.
    ordered : sequence of str
        Columns that came as ordered factors, which R codes by polynomials.

    Returns
    -------
    Findings
        A tuple, empty for a design that gives no cause for words. In the order: response, fixed terms, group terms,
        formulas of parameters. Collinear columns are looked for in designs of up to 1,000 columns, combinations of
        columns that separate a response of 0 and 1 in those of up to 100,000 entries.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "batch": ["a", "a", "b", "b"]}
    >>> [finding.kind for finding in sf.Model("y ~ (1 | batch)", data).findings]
    ['few_levels']
    """
    return Findings(
        (
            *inspect_response(design),
            *extreme_response(design, support),
            *total_for_failures(design),
            *row_numbers(design),
            *text_of_numbers(design),
            *sorted_levels(design, unordered),
            *ordered_factors(design, ordered),
            *inspect_fixed(design),
            *collinear_columns(design, design.mean),
            *extreme_scales(design, design.mean),
            *separation(design, support),
            *(finding for block in design.mean.factors for finding in inspect_group(block, design, support)),
            *inspect_factors(design),
            *inspect_parameters(design),
        )
    )


def inspect_parameters(design: Design) -> Iterator[Finding]:
    """Look at the formulas of sigma and of other parameters."""
    for name, predictor in design.varying.items():
        if predictor.formula is design.formula:  # of unordered levels: what was said of the first holds for all
            continue
        yield from collinear_columns(design, predictor)
        yield from extreme_scales(design, predictor)
        yield from _few_rows(name, predictor)
        for term in predictor.fixed:
            yield from fixed_and_group(term, predictor)
        for block in predictor.factors:
            yield from still_slopes(block, predictor)
            yield from far_slopes(block, design, predictor)


def _few_rows(name: str, predictor: Predictor) -> Iterator[Finding]:
    """Look for coefficients and levels that one or two rows inform."""
    counts = np.count_nonzero(predictor.X, axis=0)
    columns = [column for term in predictor.fixed if term.kind == "categorical" for column in term.columns]
    places = [place for term in predictor.fixed if term.kind == "categorical" for place in range(term.start, term.stop)]
    thin = [column for column, place in zip(columns, places, strict=True) if counts[place] < FEWEST_ROWS]
    why = f"So few rows say next to nothing of '{name}', so that the posterior there is the prior's."
    if thin:
        remedy = "Merge those levels with others."
        yield Finding("parameter_of_few_rows", f"Fewer than {FEWEST_ROWS} rows inform {listed(thin)}.", why, remedy)
    for block in predictor.factors:
        rows = np.bincount(block.belongings[1], minlength=len(block.levels))
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
                f"Choose that prior with care, priors={{'{block.sds[0]}': ...}}, or make '{block.group}' a "
                f"fixed term of '{name}'.",
            )
