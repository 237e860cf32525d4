"""A screen's table goes in; the formula to fit goes out, and of its ranked genes what is printed.

Reading, fitting and ranking are left to `screens` and `inference`.
"""

from typing import Any

import pandas as pd

from speclet_formula.formula.terms import text_of
from speclet_formula.screens import control_separation
from speclet_formula.screens.separating import scale_effects

_PRINTED = ("rank", "gene", "control", "n_guides", "n_rows", "estimate", "conf_low", "conf_high", "p_negative", "lfsr")


def default_formula(table: pd.DataFrame) -> str:
    """Return the formula for a table: genes and guides, and lines and replicates if there are several.

    Examples
    --------
    >>> default_formula(pd.DataFrame({"sgRNA": ["a", "b"], "gene": "g", "cell_line": "c", "sample": ["1", "2"]}))
    'log_fc ~ (1 | gene) + (1 | gene:sgRNA) + (1 | sample)'
    """
    terms = ["(1 | gene)"]
    if table["sgRNA"].nunique() > table["gene"].nunique():
        terms.append("(1 | gene:sgRNA)")
    if table["cell_line"].nunique() > 1:
        terms.append("(1 | gene:cell_line)")
    if table["sample"].nunique() > 1:
        terms.append("(1 | sample)")
    return "log_fc ~ " + " + ".join(terms)


def fit_line(fitted: Any) -> str:
    """Say what was fitted, and whether it can be trusted."""
    return f"{text_of(fitted.model.formula)}: {fitted.seconds:.0f} seconds. {fitted.diagnostics.sentence}"


def ranked_lines(ranked: pd.DataFrame, top: int) -> list[str]:
    """Return the first genes as text, with how well the controls are told apart where there are both kinds."""
    kinds = set(ranked["control"].dropna())
    lines = ["", f"The first {min(top, len(ranked)):,} of {len(ranked):,} genes ({ranked.attrs['interval']}):"]
    shown = ranked.head(top)[list(_PRINTED)]
    if {"essential", "nonessential"} <= kinds:
        separation = control_separation(ranked)
        lines = ["", repr(separation), *lines]
        if separation.distance > 0:
            shown = shown.assign(scaled=scale_effects(ranked)["estimate"].head(top))
            lines[-1] = lines[-1][:-2] + "; scaled: nonessential 0, essential -1):"
    return [*lines, shown.to_string(index=False, float_format=lambda value: f"{value:.3f}")]
