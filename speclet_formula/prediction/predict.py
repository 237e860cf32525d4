"""Predictions with intervals for fitted or new rows, R's `predict`, and the fitted mean of each row, R's `fitted`.

Both go by blocks of rows.
"""

from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.arguments import check_value
from speclet_formula.common.seeds import generator
from speclet_formula.design import Design, replay_design
from speclet_formula.errors import EstimateError
from speclet_formula.families import (
    expected_response,
    has_levels,
    inverse_link,
    inverse_parameter_link,
    specification_of,
)
from speclet_formula.inference.smooths import whole_covariance
from speclet_formula.posterior.draws import Fitted, FittedModel, draws_of
from speclet_formula.posterior.estimates import (
    ESTIMATES,
    NOT_ESTIMABLE,
    Array,
    Interval,
    IntervalKind,
    PointEstimates,
    estimable,
    interval_of,
    point_estimates,
    points_of,
    stack,
    summarise,
    wald,
    without_intervals,
)
from speclet_formula.prediction.linear_predictors import (
    ModelDraws,
    at_rows,
    gather,
    gather_predictor,
    named_predictor,
    predictor_of,
    predictors_at,
    refuse_new_levels,
    row_blocks,
)
from speclet_formula.prediction.new_data import NewRows, add_new_levels, keep_groups, new_rows
from speclet_formula.prediction.responses import draw_rows, with_weights

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit, PointFit

TYPES = ("response", "link")
INTERVALS = (None, "confidence", "prediction")


def predict(
    fit: "Fit | PointFit",
    newdata: Any = None,
    *,
    re_form: str | Literal[False] | None = None,
    type: Literal["response", "link"] = "response",  # noqa: A002  R's name
    interval: Literal["confidence", "prediction"] | None = None,
    allow_new_levels: bool = False,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
    random_seed: int | None = None,
) -> pd.DataFrame:
    """Predict the mean of each row: lme4's `predict`, with the posterior's uncertainty.

    Parameters
    ----------
    fit : Fit or PointFit
    newdata : table, optional
        New rows: a pandas, polars or pyarrow table, or a dictionary of arrays, with the predictors and those grouping
        factors whose effects are added; the rows that were fitted by default.
    re_form : str or False, optional
        Which group effects are added, lme4's `re.form`: None for all, "~0", "NA" or False for none, or some of the
        model's group terms, "~(1 | gene)". A part of a term may be asked for: "~(1 | gene)" of `(1 + x | gene)`.
    type : {"response", "link"}
        The scale: E[y] (of a proportion the probability of a success; see `fitted`), or the linear predictor.
    interval : {"confidence", "prediction"}, optional
        Of the mean, or of a new response. "prediction" needs the weights or numbers of trials of new rows in the
        columns that the model named; a new response of a fitted level has that level's effects.
    allow_new_levels : bool
        Whether rows may have group levels that were not fitted. A new level's effects are then drawn from the
        distribution of its group, anew for each draw of the posterior (brms' `sample_new_levels="gaussian"`), columns
        of a correlated block together, and all rows of the level share them. In a PointFit they are 0, as in lme4.
    ci_prob, ci_kind : optional
        Mass and kind of the interval, as for `fixef`.
    random_seed : int, optional
        The same seed gives the same new levels and new responses.

    Returns
    -------
    pandas.DataFrame
        One row per row of `newdata`, under its index (the rows of the fitted table, named "row", without it). A row in
        which a column that is needed is missing has missing numbers, and `.attrs["missing"]` counts these rows:

        * `level`: only of an ordinal response on the response's scale, and of unordered levels, which have one row per
          row and level (on the link's scale not for the reference);
        * `estimate`: the posterior mean (or rcParams["stats.point_estimate"]) of the row's mean, where there are levels
          of the level's probability; of a proportion the probability of a success;
        * `std_error`, `conf_low`, `conf_high`: only with an interval; standard deviation and ends for the row's mean
          or for a new response (of a proportion: its share of successes). `.attrs["interval"]` names it.

        Of a PointFit the estimate is at the estimates and conditional modes. Its "confidence" interval is Wald's and
        there is one where no group effect is added; on the response's scale its ends are those of the link's, the
        family's other parameters at their estimates, and `std_error` is missing unless the mean is the linear
        predictor.

    Raises
    ------
    DataError
        A level was not fitted, a fixed factor has a new level, a column or the weights of new rows are missing.
    FormulaError
        `re_form` has a term that the model has not, or is none.
    EstimateError
        `type`, `interval`, `ci_prob` or `ci_kind` cannot be used, or the fit has no such interval.

    Notes
    -----
    A censored or truncated response is predicted as it is before that happens.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.predict(fit, {"Days": [10], "Subject": [1]}, allow_new_levels=True, random_seed=1).columns.to_list()
    ['estimate']
    """
    check_value("type", type, TYPES, TYPES[-1])
    check_value("interval", interval, INTERVALS, INTERVALS[-1])
    chosen, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    new = None if newdata is None else new_rows(fit.model, newdata, re_form, weighted=interval == "prediction")
    design = fit.model.design if new is None else replay_design(fit.model.design, new.complete)
    design = keep_groups(fit.model, design, re_form)
    if not allow_new_levels:
        for predictor in design.predictors:
            refuse_new_levels(predictor)
    if points is not None:
        frame = _predict_point(fit, points, design, type, interval, chosen)
    else:
        _check_ordinal(fit.model.family, type, interval)
        if new is not None and interval == "prediction":
            design = with_weights(fit.model, design, new.complete)
        frame = _predict_draws(fit, design, type, interval, chosen, generator(random_seed))
    return _labelled(frame, fit.model.design, new)


def fitted(
    fit: Fitted, *, parameter: str | None = None, ci_prob: float | None = None, ci_kind: IntervalKind | None = None
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
        centre. A response of levels has no mean: there is one row per observation and level, with the level's
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
        The parameter has no formula.
    EstimateError
        The posterior lacks a variable of the model.

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
    if has_levels(family) and parameter is None:
        frame.insert(0, "level", np.tile(np.asarray(design.levels, dtype=object), len(design.rows)))
    return frame


def point_predictor(model: Any, points: PointEstimates, design: Design) -> Array:
    """Return the linear predictor at estimates of maximum likelihood; a new level's effects are 0.

    Parameters
    ----------
    model : Model
    points : PointEstimates
    design : Design
        Rows of the model's terms, perhaps without some blocks.

    Returns
    -------
    ndarray of float, shape (n,)
    """
    modes = dict(zip((block.label for block in model.design.mean.groups), points.modes, strict=True))
    eta = design.mean.offset + design.mean.X @ points.coefficients
    for block in design.mean.groups:
        for codes, values in block.members():
            effects = modes[block.label][np.maximum(codes, 0)] * (codes >= 0)[:, None]
            eta = eta + (values * effects).sum(axis=1)
    return np.asarray(eta)


def point_mean(model: FittedModel, points: PointEstimates) -> Callable[[Array], Array]:
    """Return what leads from the linear predictor (n,) to E[y], the family's other parameters at their estimates.

    Parameters
    ----------
    model : Model
    points : PointEstimates

    Returns
    -------
    callable
        Gives an array (n,), for a response of levels the probability of each, (n, K).
    """
    others = {name: np.asarray(value) for name, value, _ in points.others}
    if points.sigma is not None:
        others["sigma"] = np.asarray(points.sigma)
    if model.design.thresholds:
        others["threshold"] = np.asarray(points.thresholds)
    return lambda eta: expected_response(model.family, inverse_link(model.family, eta), others)


def _check_ordinal(family: Any, scale: str, interval: str | None) -> None:
    """Refuse intervals for new responses where there are none."""
    if interval == "prediction" and (scale == "link" or has_levels(family)):
        what = "of the linear predictor" if scale == "link" else "of a response of levels"
        raise EstimateError(
            f"there is no interval for new values {what}.",
            "A new response is a number on the response's scale; levels have probabilities.",
            "Write interval='confidence'.",
        )


def _predict_draws(
    fit: Any, design: Design, scale: str, interval: str | None, chosen: Interval, rng: np.random.Generator
) -> pd.DataFrame:
    """Summarise the draws of each row."""
    draws = draws_of(fit)
    drawn = gather(fit.model, draws, design)
    design, drawn = add_new_levels(fit.model, draws, design, drawn, rng)
    width = len(drawn.predictors[0].coefficients) * max(len(design.levels), 1)
    summary = _summary_of(interval, chosen)
    frames = []
    for rows in row_blocks(len(design.rows), width):
        means, new = _values(fit.model.family, design, drawn, rows, scale, rng if interval == "prediction" else None)
        frames.append(summary(means, new))
    columns = ESTIMATES if interval else ESTIMATES[:1]
    frame = stack(frames, columns, chosen)
    if interval is None:
        frame.attrs["interval"] = "none"
    return frame


def _summary_of(interval: str | None, chosen: Interval) -> Callable[[Array, Array | None], pd.DataFrame]:
    """Return how means and new responses, (draws, rows), become columns."""

    def summary(means: Array, new: Array | None) -> pd.DataFrame:
        if interval is None:
            return pd.DataFrame({"estimate": point_estimates(means, chosen)})
        frame = summarise(means if new is None else new, chosen)
        return frame if new is None else frame.assign(estimate=point_estimates(means, chosen))

    return summary


def _values(
    family: Any, design: Design, drawn: ModelDraws, rows: slice, scale: str, rng: np.random.Generator | None
) -> tuple[Array, Array | None]:
    """Return the means of some rows draw by draw, flat over levels, and new responses if they are to be drawn."""
    if scale == "link":
        etas = np.stack(predictors_at(drawn, design, rows)[: None if design.is_per_level else 1], axis=-1)
        return etas.reshape(len(etas), -1), None
    mean, parameters = at_rows(drawn, design, family, rows)
    expected = expected_response(family, mean, parameters)
    flat = expected.reshape(len(expected), -1)
    if rng is None:
        return flat, None
    new = draw_rows(family, design, rows, mean, parameters, rng)
    return flat, new if design.trials is None else new / np.maximum(design.trials[rows], 1)  # 0 of 0 is 0


def _predict_point(
    fit: Any, points: PointEstimates, design: Design, scale: str, interval: str | None, chosen: Interval
) -> pd.DataFrame:
    """Tabulate predictions at the estimates, with Wald intervals of the fixed part."""
    model, mean = fit.model, design.mean
    eta = point_predictor(model, points, design)
    back = (lambda value: value) if scale == "link" else point_mean(model, points)
    unknown = ~estimable(points, design.mean.X)
    eta[unknown] = np.nan
    frame = pd.DataFrame({"estimate": back(eta).reshape(-1)})
    if interval is not None:
        _check_point_interval(design, interval)
        if scale == "response" and has_levels(model.family):
            raise EstimateError(
                "probabilities of levels have no intervals in a fit by Laplace's approximation.",
                "Of such a fit the location of the latent response has one, type='link'.",
                "Write type='link', or fit the model with draws (method='hmc').",
            )
        known = whole_covariance(fit) if mean.smooths else points.covariance
        errors = np.sqrt(np.einsum("ij,jk,ik->i", mean.whole, known, mean.whole))
        reach = NormalDist().inv_cdf((1 + chosen.probability) / 2) * errors
        ends = np.sort([back(eta - reach), back(eta + reach)], axis=0)  # an inverse link turns them round
        linear = model.family.link == "identity" and specification_of(model.family).expectation is None
        frame = frame.assign(
            std_error=errors if linear or scale == "link" else np.nan, conf_low=ends[0], conf_high=ends[1]
        )
    frame.attrs.update(interval=str(wald(points, chosen)) if interval else "none", point_estimate=points.criterion)
    if unknown.any():
        frame.attrs["note"] = NOT_ESTIMABLE
    return frame


def _check_point_interval(design: Design, interval: str) -> None:
    """Refuse intervals that estimates of maximum likelihood do not have."""
    if interval == "prediction" or design.mean.factors:
        raise EstimateError(
            f"a fit by maximum likelihood has no interval='{interval}' "
            + ("for new responses." if interval == "prediction" else "for means with group effects."),
            "Its covariances are those of the fixed effects: interval='confidence' is for the fixed part alone.",
            "Write interval='confidence', re_form='~0'; or fit the model with draws (method='exact' or 'hmc')."
            if interval == "prediction"
            else "Write re_form='~0', or sf.predictions(fit), which takes group effects as known; or fit the model "
            "with draws (method='exact' or 'hmc').",
        )


def _labelled(frame: pd.DataFrame, fitted: Design, new: NewRows | None) -> pd.DataFrame:
    """Give the predictions the index of the rows, and an ordinal response's probabilities their levels."""
    n = len(fitted.rows) if new is None else int(new.keep.sum())
    index = pd.Index(fitted.rows, name="row") if new is None else new.index
    each = len(frame) // n if n else 1
    if new is not None and not new.keep.all():  # a row without its predictors has no prediction
        places = np.flatnonzero(np.repeat(new.keep, each))
        attributes = {**frame.attrs, "missing": int((~new.keep).sum())}
        frame = frame.set_axis(places).reindex(range(each * len(new.keep)))
        frame.attrs.update(attributes)
    if each > 1 or fitted.is_per_level:
        levels = fitted.levels[len(fitted.levels) - each :]  # the reference has no linear predictor
        frame.insert(0, "level", np.tile(np.asarray(levels, dtype=object), len(index)))
        index = index.repeat(each)
    frame.index = index
    return frame


def _fitted_point(model: FittedModel, points: PointEstimates) -> pd.DataFrame:
    """Tabulate the means at estimates of maximum likelihood."""
    design = model.design
    means = point_mean(model, points)(point_predictor(model, points, design))
    index = pd.Index(np.repeat(design.rows, means.size // max(len(means), 1)), name="row")
    frame = without_intervals(pd.DataFrame({"estimate": means.reshape(-1)}, index=index), points, *ESTIMATES[1:])
    if has_levels(model.family):
        frame.insert(0, "level", np.tile(np.asarray(design.levels, dtype=object), len(means)))
    return frame


def _expectations(fit: Fitted, levels: int) -> Iterator[Array]:
    """Go through the expectations of blocks of rows, of each level for a response of levels."""
    design, family = fit.model.design, fit.model.family
    drawn = gather(fit.model, draws_of(fit))
    for rows in row_blocks(len(design.response), levels * len(drawn.predictors[0].coefficients)):
        yield expected_response(family, *at_rows(drawn, design, family, rows))


def _parameter_values(fit: Fitted, parameter: str) -> Iterator[Array]:
    """Go through the values of a parameter that has a formula, by blocks of rows."""
    predictor = named_predictor(fit.model.design, parameter)
    drawn = gather_predictor(predictor, draws_of(fit))
    for rows in row_blocks(len(fit.model.design.rows), len(drawn.coefficients)):
        yield inverse_parameter_link(fit.model.family, parameter, predictor_of(drawn, predictor, rows))
