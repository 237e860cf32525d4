"""A fit and the name of a scale go in; the function from the linear predictor to that scale comes out."""

import numpy as np

from speclet_formula.errors import nearest
from speclet_formula.estimates.fitted import Fitted
from speclet_formula.estimates.intervals import EstimateError
from speclet_formula.families import inverse_link, inverse_parameter_link, is_ordinal
from speclet_formula.interpretation.grids import Grid
from speclet_formula.interpretation.records import Scale
from speclet_formula.interpretation.values import Function


def check_type(given: object) -> None:
    """Refuse what is no scale.

    Parameters
    ----------
    given : object

    Raises
    ------
    EstimateError
    """
    if given not in ("link", "response"):
        near = nearest(str(given), ("link", "response"))
        raise EstimateError(
            f"type={given!r} is not a scale.",
            "Scales: 'link', that of the linear predictor, and 'response'.",
            f"Nearest: type='{near}'." if near else "Write type='link'.",
        )


def response_function(fit: Fitted, grid: Grid, scale: Scale) -> Function | None:
    """Return what leads from the linear predictor to the wanted scale; None where it is that already.

    Parameters
    ----------
    fit : Fit or PointFit
    grid : Grid
    scale : {"link", "response"}

    Returns
    -------
    callable or None

    Raises
    ------
    EstimateError
        An ordinal response has no mean.
    """
    if scale == "link":
        return None
    if grid.parameter is not None:
        parameter = grid.parameter
        return lambda eta: np.asarray(inverse_parameter_link(parameter, eta))
    family = fit.model.family
    if is_ordinal(family):
        raise EstimateError(
            f"the levels of '{fit.model.design.response_name}' have no mean.",
            "Of an ordinal model the location of the latent response has means, type='link'.",
            "Write type='link'; sf.fitted(fit) has each level's probability.",
        )
    return None if family.link == "identity" else lambda eta: inverse_link(family, eta)
