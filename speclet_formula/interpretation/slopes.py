"""Slopes of a covariate by the levels of factors: emmeans' emtrends."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.errors import EstimateError, listed
from speclet_formula.formula.terms import bare_name
from speclet_formula.inference.smooths import whole_coefficients
from speclet_formula.interpretation.combinations import (
    Function,
    Values,
    combined,
    derivative,
    known_values,
    tabulate,
    tested_by,
    tests_against_zero,
    told_of,
)
from speclet_formula.interpretation.grids import Grid, make_grid, matrix_of, predictor_of
from speclet_formula.interpretation.means import Means, Names, averaging, offset_words, variables_of
from speclet_formula.interpretation.scales import Scale, check_type, response_function, way_back
from speclet_formula.posterior.degrees_of_freedom import Freedom, no_degrees
from speclet_formula.posterior.draws import Fitted, draws_of
from speclet_formula.posterior.estimates import Array, IntervalKind, interval_of, points_of

_STEP = 1e-3  # of the covariate's range, emmeans' delta.var


def slopes(
    fit: Fitted,
    var: str,
    *,
    by: Names = None,
    at: Mapping[str, Any] | None = None,
    type: Literal["link", "response"] = "link",  # noqa: A002 - R's name
    parameter: str | None = None,
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> Means:
    """Estimate how steeply the mean rises with a covariate: emmeans' `emtrends`.

    The slope is the difference of the linear predictor a thousandth of the covariate's range apart, around its value in
    the reference grid, divided by that distance; it is averaged over the grid as marginal means are. `avg_slopes`
    averages over the rows of the data instead, as marginaleffects: another number where slopes differ between them.

    Parameters
    ----------
    fit : Fit or PointFit
    var : str
        The covariate, a column of numbers.
    by : str or sequence of str, optional
        Factors for whose levels slopes are wanted; one slope for all by default.
    at : mapping of str to value or sequence of values, optional
        As for `reference_grid`. Values of `var` itself are where its slope is taken, its mean by default.
    type : {"link", "response"}
        "response": the slope of the mean response, averaged over the grid, as `emtrends(regrid = "response")`.
    parameter : str, optional
        A parameter that has a formula of its own, "sigma"; by default the mean. Of unordered levels one of theirs,
        "muB", on the link's scale alone.
    df : {"kenward-roger", "satterthwaite", "asymptotic"}, optional
        Degrees of freedom of a fit by REML or ML, as for `marginal_means`.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    Means
        Its `table` has one row per combination of `by` (and of several values of `var`): their columns, `estimate`,
        `std_error`, `conf_low`, `conf_high`, and the tests against zero of `contrasts`. In units of the linear
        predictor, or of the response, by unit of `var`.

    Raises
    ------
    EstimateError
        `var` is in no fixed term or is a factor, a variable of `by` is in none, or `type` is not a scale.

    References
    ----------
    R's emmeans.

    Examples
    --------
    >>> from speclet_formula.interpretation import slopes
    >>> slopes(fit, "Days").table.columns.to_list()  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['estimate', 'std_error', 'conf_low', 'conf_high', 'p_negative']
    """
    interval = interval_of(fit, ci_prob, ci_kind)
    check_type(type)
    (var,) = variables_of(var, predictor_of(fit.model.design, parameter))
    grid, step = _sloped_grid(fit, var, at, parameter)
    function = response_function(fit, grid, type)
    names = _names(grid, var, variables_of(by, grid.predictor), at)
    low, high = (matrix_of(grid, grid.frame.assign(**{var: grid.frame[var] + sign * step / 2})) for sign in (-1, 1))
    cells, average = averaging(grid.frame, names)
    if function is None:
        L, offset = (average @ (above - below) / step for below, above in zip(low, high, strict=True))
        values = combined(fit, grid.predictor, L, offset, df)
    else:
        values = _of_responses(fit, grid, (low, high), average / step, function, df)
    summary = tabulate(values, interval)
    table = pd.concat([cells, summary], axis=1).assign(**tests_against_zero(values))
    table.attrs.update(summary.attrs, **told_of(values))
    back = way_back(fit, grid, type)
    response = back.response if back else parameter or fit.model.design.response_name
    return Means(
        table=table,
        sentence=_sentence(fit, grid, var, names, type, response) + tested_by(values),
        kind="slopes",
        names=names,
        by=(),
        scale=type,
        values=values,
        family=None,
        interval=interval,
        response=response,
    )


def _sloped_grid(fit: Fitted, var: str, at: Mapping[str, Any] | None, parameter: str | None) -> tuple[Grid, float]:
    """Return the grid with the covariate at its mean or where the caller wants it, and the step."""
    whole = fit.model.design
    column = whole.frame[var]
    if isinstance(column.dtype, pd.CategoricalDtype):
        raise EstimateError(
            f"'{var}' is a factor and has no slope.",
            "A slope is that of a column of numbers.",
            f"Its levels are compared by pairs(marginal_means(fit, '{var}')).",
        )
    given = {bare_name(name, [var]): values for name, values in (at or {}).items()}
    grid = make_grid(fit, {var: float(column.mean()), **given}, parameter)
    return grid, _STEP * (float(column.max()) - float(column.min()))


def _names(grid: Grid, var: str, by: tuple[str, ...], at: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the columns that name a slope: those of `by`, and the covariate where it has several values."""
    given = {bare_name(name, [var]) for name in at or {}}
    return (*by, var) if var in given and var not in by and grid.frame[var].nunique() > 1 else by


def _of_responses(
    fit: Fitted, grid: Grid, ends: tuple[tuple[Array, Array], ...], average: Array, function: Function, df: str | None
) -> Values:
    """Average the differences of responses; by the delta method where there are no draws."""
    points = points_of(fit)
    no_degrees(fit, df)
    if points is None:
        draws = draws_of(fit).whole(grid.predictor)
        low, high = (function(draws @ X.T + offset) for X, offset in ends)
        return Values(np.empty(0), np.empty((0, 0)), (high - low) @ average.T, "")
    coefficients = whole_coefficients(fit) if grid.predictor.smooths else points.coefficients
    etas = [X @ coefficients + offset for X, offset in ends]
    low, high = (function(eta) for eta in etas)
    jacobians = [derivative(function, eta)[:, None] * X for eta, (X, _) in zip(etas, ends, strict=True)]
    jacobian = average @ (jacobians[1] - jacobians[0])
    return known_values(fit, jacobian, average @ (high - low), df)


def _sentence(fit: Fitted, grid: Grid, var: str, names: tuple[str, ...], scale: Scale, response: str) -> str:
    identity = grid.parameter is None and fit.model.family.link == "identity"
    link = "" if scale == "response" or identity else " (link scale)"
    averaged = [name for name in grid.frame if name not in (*names, var) and grid.frame[name].nunique() > 1]
    parts = [f"Slopes of {response}{link} in {var}" + (f" by {' and '.join(names)}" if names else "")]
    parts += [f"averaged over {listed(averaged)} with equal weights"] if averaged else []
    parts += [f"at {var} = {grid.frame[var].iloc[0]:.4g}"] if var not in names else []
    parts += offset_words(grid) if scale == "response" and fit.model.family.link != "identity" else []
    return "; ".join(parts) + "."
