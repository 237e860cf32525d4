"""A Design goes in; the findings of every check come out, in a fixed order.

The checks stand in the files beside this one. All but collinearity take a time that is linear in the rows; the linear
program of `separation` has a limit of its own.
"""

from collections.abc import Sequence

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import Design
from speclet_formula.preflight.collinearity import collinear_columns
from speclet_formula.preflight.columns import (
    extreme_response,
    extreme_scales,
    inspect_fixed,
    inspect_response,
    sorted_levels,
    text_of_numbers,
)
from speclet_formula.preflight.factors import inspect_factors
from speclet_formula.preflight.groups import inspect_group
from speclet_formula.preflight.parameters import inspect_parameters
from speclet_formula.preflight.records import Finding, Support
from speclet_formula.preflight.separation import separation


@in_one_blas_thread
def inspect_design(design: Design, *, support: Support = "real", unordered: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Look for what lme4 would warn of or refuse, and for what makes a posterior follow its prior.

    Parameters
    ----------
    design : Design
        As `build_design` makes it.
    support : {"real", "binary", "count", "proportion", "ordinal", "other"}
        What the response's family takes: real numbers, 0 and 1, counts, successes out of trials, ordered levels, or
        other numbers.
    unordered : sequence of str
        Columns that came as categories without an order, and whose levels were sorted.

    Returns
    -------
    tuple of Finding
        Empty for a design that gives no cause for words. In the order: response, fixed terms, group terms, formulas of
        parameters. Collinear columns are looked for in designs of up to 1,000 columns, combinations of columns that
        separate a response of 0 and 1 in those of up to 100,000 entries.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "batch": ["a", "a", "b", "b"]}
    >>> [finding.kind for finding in sf.Model("y ~ (1 | batch)", data).findings]
    ['few_levels']
    """
    return (
        *inspect_response(design),
        *extreme_response(design, support),
        *text_of_numbers(design),
        *sorted_levels(design, unordered),
        *inspect_fixed(design),
        *collinear_columns(design),
        *extreme_scales(design),
        *separation(design, support),
        *(finding for block in design.groups for finding in inspect_group(block, design, support)),
        *inspect_factors(design),
        *inspect_parameters(design),
    )
