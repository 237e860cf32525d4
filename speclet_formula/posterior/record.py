"""What a fit is: a model, its draws, and what the draws say about themselves.

It computes nothing and prints itself by `layout` and `rendering`. Making the draws is left to `inference`.
"""

from dataclasses import dataclass
from typing import Any

from speclet_formula.diagnostics import Diagnostics
from speclet_formula.model import Model
from speclet_formula.posterior.layout import lay_out
from speclet_formula.posterior.rendering import render_html, render_text


@dataclass(frozen=True, repr=False, eq=False)
class Fit:
    """A fitted model.

    Attributes
    ----------
    model : Model
        Formula, data, family and priors.
    idata : xarray.DataTree
        ArviZ's tree: the group "posterior" in Bambi's variable names, "sample_stats" and, unless rows were merged,
        "observed_data".
    method : str
        The engine: "nuts", "exact".
    diagnostics : Diagnostics
        Whether the draws can be trusted.
    seconds : float
        How long the fit took.
    """

    model: Model
    idata: Any
    method: str
    diagnostics: Diagnostics
    seconds: float

    def __repr__(self) -> str:
        return render_text(lay_out(self))

    def _repr_html_(self) -> str:
        return render_html(lay_out(self))
