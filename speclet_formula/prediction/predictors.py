"""A model and its draws go in; the linear predictor of each row comes out, draw by draw.

Group effects are taken as drawn: a level that was not fitted is refused. Other answers to it are left to `levels`.
"""

from typing import Any

from speclet_formula.design import Design
from speclet_formula.errors import DataError
from speclet_formula.posterior.draws import FittedModel
from speclet_formula.posterior.intervals import Array
from speclet_formula.prediction.gathering import Rows, gather_side, predictor_of

_MOST_NAMED = 5


def linear_predictor(
    model: FittedModel,
    posterior: Any,
    rows: Rows = None,
    *,
    parameter: str | None = None,
    design: Design | None = None,
    draws: Rows = None,
) -> Array:
    """Compute the linear predictor of each row for each draw.

    Parameters
    ----------
    model : Model
        The model that the posterior belongs to.
    posterior : xarray.Dataset
        Its draws, under the names of the design.
    rows : slice or array of int, optional
        Rows of the design; all by default. The result takes draws x rows x 8 bytes: give blocks of rows for large data.
    parameter : str, optional
        A parameter that has a formula of its own, "sigma"; by default the mean.
    design : Design, optional
        Other rows, as `replay_design` makes them; the model's own by default.
    draws : slice or array of int, optional
        Draws to use, counted over all chains, the first chain's first; all by default.

    Returns
    -------
    ndarray of float, shape (draws, rows)
        On the link scale, offset included.

    Raises
    ------
    DataError
        A row has a group level that was not fitted, the posterior lacks a variable of the design, or the parameter has
        no formula.

    Examples
    --------
    >>> from speclet_formula.prediction import linear_predictor
    >>> linear_predictor(fit.model, fit.idata["posterior"], slice(0, 10)).shape  # 4 chains of 1,000 draws
    (4000, 10)
    """
    used = side_of(model.design if design is None else design, parameter)
    refuse_new_levels(used)
    gathered = gather_side(used, posterior, slice(None) if draws is None else draws)
    return predictor_of(gathered, used, slice(None) if rows is None else rows)


def side_of(design: Design, parameter: str | None) -> Design:
    """Return the linear predictor of the mean, or of a parameter."""
    if parameter is None:
        return design
    varying = dict(design.parameters)
    if parameter not in varying:
        raise DataError(
            f"'{parameter}' has no formula in this model.",
            f"Parameters with one: {', '.join(varying) or 'none'}.",
            "Leave parameter= out for the mean.",
        )
    return varying[parameter]


def refuse_new_levels(design: Design) -> None:
    """Raise a DataError that names the levels without a fitted effect."""
    for block in design.groups:
        if block.new_levels:
            raise DataError(
                f"'{block.group}' has levels that were not fitted: {_named(block.new_levels)}.",
                "Group effects are known for the fitted levels.",
                "Leave those rows out, fit the model with them, or write predict(..., allow_new_levels=True).",
            )


def _named(levels: tuple[str, ...]) -> str:
    """Name the first few levels."""
    return ", ".join(f"'{level}'" for level in levels[:_MOST_NAMED]) + (", ..." if len(levels) > _MOST_NAMED else "")
