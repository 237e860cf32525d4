"""A screen's table goes in; the formula to fit goes out, and of its ranked genes what is printed.

Reading, fitting and ranking are left to `screens` and `inference`.
"""

from typing import TYPE_CHECKING, Any

import pandas as pd

from speclet_formula.common.table import text_table
from speclet_formula.errors import DataError, nearest
from speclet_formula.formula.terms import text_of
from speclet_formula.posterior import PointFit
from speclet_formula.screens.controls import control_separation, scale_effects

if TYPE_CHECKING:
    from speclet_formula.model import Model

DIRECTIONS = ("negative", "positive", "both")
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


def check_ranked(model: "Model", guides: bool) -> None:
    """Refuse, before it is fitted, a model whose fit would have no genes, or no guides, to rank."""
    groups = {block.group for block in model.design.mean.groups if "1" in block.columns}
    if "gene" not in groups:
        raise DataError(
            f"'{text_of(model.formula)}' has no effects of genes to rank.",
            "A screen's formula has the term (1 | gene).",
            "Write --formula 'log_fc ~ (1 | gene) + ...', or leave it out.",
        )
    if guides and not groups & {"sgRNA", "gene:sgRNA", "sgRNA:gene"}:
        raise DataError(
            f"'{text_of(model.formula)}' has no effects of guides for --out-guides.",
            "Guides are compared by the term (1 | gene:sgRNA).",
            "Add it to --formula, or leave --out-guides out.",
        )


def check_choices(direction: str, top: int, guides: bool, method: str) -> None:
    """Refuse, before anything is read, what would be refused after the fit."""
    if direction not in DIRECTIONS:
        near = nearest(direction, DIRECTIONS)
        raise DataError(
            f"--direction '{direction}' is no direction.",
            "It is negative (losses first), positive (gains first) or both.",
            f"Nearest: {near}." if near else "Leave it out for losses first.",
        )
    if top < 1:
        raise DataError(f"--top {top} is out of range.", "It is a whole number of at least 1.", "Leave it out for 20.")
    if guides and method in ("reml", "ml"):
        raise DataError(
            f"--out-guides has no use for a fit by {method}.",
            "Guides are compared draw by draw, which a fit without draws has not.",
            "Leave --method out, or --out-guides.",
        )
    if method == "laplace":
        raise DataError(
            "a screen's log fold changes are not fitted by --method laplace.",
            "They are gaussian: auto, exact and nuts draw from the posterior, reml and ml are exact without it.",
            "Write --method reml.",
        )


def fit_line(fitted: Any) -> str:
    """Say what was fitted, and whether it can be trusted."""
    sentence = fitted.sentence if isinstance(fitted, PointFit) else fitted.diagnostics.sentence
    return f"{text_of(fitted.model.formula)}: {fitted.seconds:.0f} seconds. {sentence}"


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
    numbers = {name: shown[name].map("{:.3f}".format) for name in shown if shown[name].dtype.kind == "f"}
    return [*lines, text_table(shown.assign(**numbers), labels=3).text()]
