"""A Design goes in; the findings of every check come out, in a fixed order.

The checks stand in the files beside this one. All but collinearity take a time that is linear in the rows.
"""

from speclet_formula.design import Design
from speclet_formula.preflight.collinearity import collinear_columns
from speclet_formula.preflight.columns import extreme_scales, inspect_fixed, inspect_response
from speclet_formula.preflight.factors import inspect_factors
from speclet_formula.preflight.groups import inspect_group
from speclet_formula.preflight.parameters import inspect_parameters
from speclet_formula.preflight.records import Finding


def inspect_design(design: Design) -> tuple[Finding, ...]:
    """Look for what lme4 would warn of or refuse, and for what makes a posterior follow its prior.

    Parameters
    ----------
    design : Design
        As `build_design` makes it.

    Returns
    -------
    tuple of Finding
        Empty for a design that gives no cause for words. In the order: response, fixed terms, group terms, formulas of
        parameters. Collinear
        columns are looked for among the first 1,000 columns at most.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "batch": ["a", "a", "b", "b"]}
    >>> [finding.kind for finding in sf.Model("y ~ (1 | batch)", data).findings]
    ['few_levels']
    """
    return (
        *inspect_response(design),
        *inspect_fixed(design),
        *collinear_columns(design),
        *extreme_scales(design),
        *(finding for block in design.groups for finding in inspect_group(block, design)),
        *inspect_factors(design),
        *inspect_parameters(design),
    )
