"""What marginal means, contrasts and slopes are: a table with the draws, or the covariance, behind it.

It prints itself and computes nothing; contrasts are made from it by `contrasting`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.common.table import formatted, number, share
from speclet_formula.families import Family
from speclet_formula.posterior.intervals import ESTIMATES, Array, Interval
from speclet_formula.posterior.points import NOT_ESTIMABLE

type Scale = Literal["link", "response"]
_SMALL_P = 1e-4


@dataclass(frozen=True, eq=False)
class Values:
    """Numbers with their uncertainty; either draws or a normal approximation.

    Attributes
    ----------
    estimates : ndarray of float, shape (rows,)
        Of maximum likelihood; empty where there are draws.
    covariance : ndarray of float, shape (rows, rows)
        Theirs; empty where there are draws.
    draws : ndarray of float, shape (draws of all chains, rows), or None
    criterion : str
        What was maximised, "REML", "ML"; "" where there are draws.
    """

    estimates: Array
    covariance: Array
    draws: Array | None
    criterion: str


@dataclass(frozen=True, eq=False)
class Back:
    """The way back from a computed response, log(y + 5), to what it was computed from.

    Attributes
    ----------
    text : str
        The response as the formula spells it.
    response : str
        What it was computed from, "y".
    inverse : callable
        From values of the one to values of the other.
    base : float or None
        Of a logarithm that was taken last: differences are logarithms of ratios to this base.
    inside : str
        What that logarithm is of, "y + 5"; the ratios are of this.
    """

    text: str
    response: str
    inverse: Callable[[Array], Array]
    base: float | None
    inside: str


@dataclass(frozen=True, repr=False, eq=False)
class Means:
    """Marginal means, or contrasts or slopes, with what they were made from.

    Attributes
    ----------
    table : pandas.DataFrame
        One row each: the columns that name it, then `estimate`, `std_error`, `conf_low` and `conf_high`. The function
        that made it describes them.
    sentence : str
        What the rows are, on which scale, and what was averaged over.
    kind : {"means", "contrasts", "slopes"}
    names : tuple of str
        The columns that name a row.
    by : tuple of str
        Those among them within which contrasts are made.
    scale : {"link", "response"}
        That of the table.
    values : Values
        On the link scale, but for slopes of the response.
    family : Family or None
        Whose link leads to the response; None for the linear predictor of a parameter, and for slopes.
    interval : Interval
        How draws are summarised; its mass is that of a Wald interval too.
    response : str
        The response's name, or the parameter's.
    back : Back or None
        Of means of a computed response with type="response": how they were taken back.
    """

    table: pd.DataFrame
    sentence: str
    kind: Literal["means", "contrasts", "slopes"]
    names: tuple[str, ...]
    by: tuple[str, ...]
    scale: Scale
    values: Values
    family: Family | None
    interval: Interval
    response: str
    back: Back | None = None

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{shown_table(self.table, self._draws()).to_string(index=False)}\n\n{self._foot()}"

    def _repr_html_(self) -> str:
        table = shown_table(self.table, self._draws()).to_html(escape=True, index=False)
        return f"<p>{escape(self.sentence)}</p>\n{table}\n<p><small>{escape(self._foot())}</small></p>"

    def _draws(self) -> int:
        return 0 if self.values.draws is None else len(self.values.draws)

    def _foot(self) -> str:
        bounds = f"conf_low and conf_high bound the {self.table.attrs['interval']}."
        unknown = self.values.draws is None and bool(np.isnan(self.values.estimates).any())
        return " ".join(filter(None, (bounds, self.table.attrs.get("tests"), NOT_ESTIMABLE if unknown else "")))


def shown_table(table: pd.DataFrame, draws: int = 0) -> pd.DataFrame:
    """Return a table's numbers as text with few decimals.

    Parameters
    ----------
    table : pandas.DataFrame
        That of a `Means`.
    draws : int
        Over how many its probabilities were counted; 0 for a point fit.

    Returns
    -------
    pandas.DataFrame
    """
    cells = formatted(table[list(ESTIMATES)], table["std_error"])
    shown = table.copy()
    for place, name in enumerate(ESTIMATES):
        shown[name] = [row[place] for row in cells]
    if "statistic" in shown:
        shown["statistic"] = [number(value, ".3f") for value in table["statistic"]]
    if "p_negative" in shown:
        shown["p_negative"] = [share(value, ".4f", draws) for value in table["p_negative"]]
    if "p_value" in shown:  # below 1e-4 with an exponent, as R prints it
        shown["p_value"] = [number(value, ".2e" if value < _SMALL_P else ".4f") for value in table["p_value"]]
    return shown
