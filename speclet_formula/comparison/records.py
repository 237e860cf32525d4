"""What a comparison is: a table, a sentence, and what both were made from. It prints itself and computes nothing."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from speclet_formula.posterior import Fit

SHOWN = {  # columns that are printed, with their decimals
    "rank": 0, "elpd": 1, "se": 1, "elpd_diff": 1, "dse": 1, "p": 1, "weight": 2, "n_high_k": 0, "kind": None,
    "verdict": None,
}  # fmt: skip

WIDTH = 100  # of printed sentences


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Fits of the same rows, ranked by how well they predict rows that were left out.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each fit, the best first, by name:

        * `rank`: 0 is the best;
        * `elpd_diff`, `dse`: difference of `elpd` to the best (negative or 0), and its standard error;
        * `p_worse`: probability of being worse than the best, by a normal approximation;
        * `diag_diff`, `diag_elpd`: ArviZ's own remarks on the difference and on the Pareto k;
        * `p`: effective number of parameters;
        * `elpd`, `se`: sum of the rows' log predictive densities, and its standard error;
        * `weight`: weight in the stack of models that predicts best;
        * `n_high_k`: rows whose Pareto k is high or could not be estimated;
        * `n_redone`: rows, or levels, whose Pareto k was high, for which the variances were drawn anew without them;
        * `kind`: "integrated" or "conditional", as `loo` explains, or "refitted", as `kfold`;
        * `verdict`: that of the fit's diagnostics: "converged", "doubtful" or "failed".
    sentence : str
        What the table means.
    fits : mapping of str to Fit
    estimates : mapping of str to arviz.ELPDData
        What `loo`, or `kfold`, gave for each fit.
    """

    table: pd.DataFrame
    sentence: str
    fits: Mapping[str, Fit]
    estimates: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{wrapped(self.sentence)}\n\n{shown_table(self.table).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>\n{shown_table(self.table).to_html(escape=True)}"


def wrapped(sentence: str) -> str:
    """Break a text into lines that a terminal shows whole."""
    return textwrap.fill(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)


def shown_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that are printed, as text with few decimals.

    Parameters
    ----------
    table : pandas.DataFrame
        That of a `Comparison`.

    Returns
    -------
    pandas.DataFrame
        The columns `rank`, `elpd`, `se`, `elpd_diff`, `dse`, `p`, `weight`, `n_high_k`, `kind` and
        `verdict`.
    """
    return pd.DataFrame(
        {
            column: [str(value) if decimals is None else f"{value + 0.0:,.{decimals}f}" for value in table[column]]
            for column, decimals in SHOWN.items()
        },
        index=table.index,
    )
