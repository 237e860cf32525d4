"""A fit goes in; the fitted mean of each row comes out with its uncertainty: lme4's `fitted`.

It goes by blocks of rows. Other rows than those of the fit are left to `predicting`.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from speclet_formula.families import expected_response, inverse_link, inverse_parameter_link, is_ordinal
from speclet_formula.posterior.draws import Fitted, FittedModel
from speclet_formula.posterior.intervals import ESTIMATES, Array, stack, summarise
from speclet_formula.posterior.points import PointEstimates, interval_of, points_of
from speclet_formula.prediction.gathering import at_rows, gather, gather_side, predictor_of, row_blocks
from speclet_formula.prediction.predictors import side_of


def fitted(
    fit: Fitted, *, parameter: str | None = None, ci_prob: float | None = None, ci_kind: str | None = None
) -> pd.DataFrame:
    """Summarise the mean of each observation: lme4's `fitted`, with its uncertainty.

    Parameters
    ----------
    fit : Fit or PointFit
    parameter : str, optional
        A parameter that has a formula of its own, such as "sigma", instead of the mean.
    ci_prob : float, optional
        Credible mass; ArviZ's setting by default.
    ci_kind : {"eti", "hdi"}, optional
        Equal-tailed or highest-density interval; ArviZ's setting by default.

    Returns
    -------
    pandas.DataFrame
        One row per observation, the index its row in the given table, on the scale of the response: E[y], with the
        zeros that a zero-inflated family or a hurdle adds (`psi * mu` and so on), and before a response was censored or
        truncated; or on the parameter's. For a proportion it is the probability of a success, for the family "t" its
        centre. An ordinal response has no mean: there is one row per observation and level, with the level's
        probability, and a column `level` that names it.

        * `estimate`: the posterior mean of the observation's mean;
        * `std_error`: its posterior standard deviation;
        * `conf_low`, `conf_high`: its interval, which `.attrs["interval"]` names. It is narrower than that of a new
          observation, since the residual is left out.

        Of a fit by maximum likelihood: the mean at the estimates and conditional modes, as lme4 has it; the other
        columns are missing.

    Raises
    ------
    DataError
        The posterior lacks a variable of the design, or the parameter has no formula.

    Examples
    --------
    >>> from speclet_formula.prediction import fitted
    >>> fitted(fit).columns.to_list()
    ['estimate', 'std_error', 'conf_low', 'conf_high']
    """
    interval, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    design, family = fit.model.design, fit.model.family
    if points is not None and parameter is None:
        return _fitted_point(fit.model, points)
    levels = 1 if parameter is not None else len(design.levels) or 1
    rows = _expectations(fit, levels) if parameter is None else _parameter_values(fit, parameter)
    frame = stack([summarise(part.reshape(len(part), -1), interval) for part in rows], ESTIMATES, interval)
    frame.index = pd.Index(np.repeat(design.rows, levels), name="row")
    if is_ordinal(family) and parameter is None:
        frame.insert(0, "level", np.tile(np.asarray(design.levels, dtype=object), len(design.rows)))
    return frame


def _fitted_point(model: FittedModel, points: PointEstimates) -> pd.DataFrame:
    """Tabulate the means at estimates of maximum likelihood."""
    eta = model.design.offset + model.design.X @ points.coefficients
    for block, modes in zip(model.design.groups, points.modes, strict=True):
        eta = eta + (block.values * modes[block.codes]).sum(axis=1)
    frame = pd.DataFrame({"estimate": inverse_link(model.family, eta)}, index=pd.Index(model.design.rows, name="row"))
    frame = frame.reindex(columns=list(ESTIMATES))
    frame.attrs.update(interval="none", point_estimate=points.criterion)
    return frame


def _expectations(fit: Fitted, levels: int) -> Iterator[Array]:
    """Go through the expectations of blocks of rows, of each level for an ordinal response."""
    design, family = fit.model.design, fit.model.family
    drawn = gather(fit.model, fit.idata["posterior"])
    for rows in row_blocks(len(design.response), levels * len(drawn.sides[0].coefficients)):
        yield expected_response(family, *at_rows(drawn, design, family, rows))


def _parameter_values(fit: Fitted, parameter: str) -> Iterator[Array]:
    """Go through the values of a parameter that has a formula, by blocks of rows."""
    side = side_of(fit.model.design, parameter)
    drawn = gather_side(side, fit.idata["posterior"])
    for rows in row_blocks(len(side.response), len(drawn.coefficients)):
        yield inverse_parameter_link(fit.model.family, parameter, predictor_of(drawn, side, rows))
