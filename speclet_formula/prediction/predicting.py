"""A fit and perhaps new rows go in; predicted means or linear predictors come out, with intervals: R's `predict`.

It goes by blocks of rows. Effects of new levels are left to `new_levels`, those of chosen group terms to `group_terms`.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.design import Design, replay_design
from speclet_formula.design.design import sides
from speclet_formula.families import expected_response, inverse_link, is_ordinal
from speclet_formula.posterior.intervals import (
    ESTIMATES,
    Array,
    EstimateError,
    Interval,
    point_estimates,
    stack,
    summarise,
)
from speclet_formula.posterior.points import NOT_ESTIMABLE, PointEstimates, estimable, interval_of, points_of, wald
from speclet_formula.prediction.gathering import ModelDraws, at_rows, gather, predictor_of, row_blocks
from speclet_formula.prediction.group_terms import keep_groups
from speclet_formula.prediction.new_levels import add_new_levels
from speclet_formula.prediction.new_rows import NewRows, new_rows
from speclet_formula.prediction.predictors import refuse_new_levels
from speclet_formula.prediction.replicates import draw_rows, with_weights

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
    ci_kind: str | None = None,
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
        columns that the model named.
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

        * `level`: only of an ordinal response on the response's scale, which has one row per row and level;
        * `estimate`: the posterior mean (or rcParams["stats.point_estimate"]) of the row's mean, of an ordinal response
          of the level's probability; of a proportion the probability of a success;
        * `std_error`, `conf_low`, `conf_high`: only with an interval; standard deviation and ends for the row's mean
          or for a new response (of a proportion: its share of successes). `.attrs["interval"]` names it.

        Of a PointFit the estimate is at the estimates and conditional modes. Its "confidence" interval is Wald's and
        there is one where no group effect is added; on the response's scale its ends are those of the link's, and
        `std_error` is missing unless the link is the identity.

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
    _check_choice("type", type, TYPES)
    _check_choice("interval", interval, INTERVALS)
    chosen, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    new = None if newdata is None else new_rows(fit.model, newdata, re_form, weighted=interval == "prediction")
    design = fit.model.design if new is None else replay_design(fit.model.design, new.complete)
    design = keep_groups(fit.model, design, re_form)
    if not allow_new_levels:
        for side in sides(design):
            refuse_new_levels(side)
    if points is not None:
        frame = _predict_point(fit.model, points, design, type, interval, chosen)
    else:
        _check_ordinal(fit.model.family, type, interval)
        if new is not None and interval == "prediction":
            design = with_weights(fit.model, design, new.complete)
        frame = _predict_draws(fit, design, type, interval, chosen, generator(random_seed))
    return _labelled(frame, fit.model.design, new)


def _check_choice(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Refuse a keyword's value that does not exist."""
    if value not in allowed:
        raise EstimateError(
            f"{name}={value!r} does not exist.",
            f"{name}= is one of {', '.join(map(repr, allowed))}.",
            f"Write {name}={allowed[-1]!r}, or leave it out.",
        )


def _check_ordinal(family: Any, scale: str, interval: str | None) -> None:
    """Refuse intervals for new responses where there are none."""
    if interval == "prediction" and (scale == "link" or is_ordinal(family)):
        what = "of the linear predictor" if scale == "link" else "of an ordinal response"
        raise EstimateError(
            f"there is no interval for new values {what}.",
            "A new response is a number on the response's scale; levels have probabilities.",
            "Write interval='confidence'.",
        )


def _predict_draws(
    fit: Any, design: Design, scale: str, interval: str | None, chosen: Interval, rng: np.random.Generator
) -> pd.DataFrame:
    """Summarise the draws of each row."""
    posterior = fit.idata["posterior"]
    drawn = gather(fit.model, posterior, design=design)
    design, drawn = add_new_levels(fit.model, posterior, design, drawn, rng)
    width = len(drawn.sides[0].coefficients) * max(len(design.levels), 1)
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
        return predictor_of(drawn.sides[0], design, rows), None
    mean, parameters = at_rows(drawn, design, family, rows)
    expected = expected_response(family, mean, parameters)
    flat = expected.reshape(len(expected), -1)
    if rng is None:
        return flat, None
    new = draw_rows(family, design, rows, mean, parameters, rng)
    return flat, new if design.trials is None else new / design.trials[rows]


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
    modes = dict(zip((block.label for block in model.design.groups), points.modes, strict=True))
    eta = design.offset + design.X @ points.coefficients
    for block in design.groups:
        effects = modes[block.label][np.maximum(block.codes, 0)] * (block.codes >= 0)[:, None]
        eta = eta + (block.values * effects).sum(axis=1)
    return np.asarray(eta)


def _predict_point(
    model: Any, points: PointEstimates, design: Design, scale: str, interval: str | None, chosen: Interval
) -> pd.DataFrame:
    """Tabulate predictions at the estimates, with Wald intervals of the fixed part."""
    eta = point_predictor(model, points, design)
    back = (lambda value: value) if scale == "link" else (lambda value: inverse_link(model.family, value))
    unknown = ~estimable(points, design.X)
    eta[unknown] = np.nan
    frame = pd.DataFrame({"estimate": back(eta)})
    if interval is not None:
        _check_point_interval(design, interval)
        errors = np.sqrt(np.einsum("ij,jk,ik->i", design.X, points.covariance, design.X))
        reach = NormalDist().inv_cdf((1 + chosen.probability) / 2) * errors
        ends = np.sort([back(eta - reach), back(eta + reach)], axis=0)  # an inverse link turns them round
        straight = scale == "link" or model.family.link == "identity"
        frame = frame.assign(std_error=errors if straight else np.nan, conf_low=ends[0], conf_high=ends[1])
    frame.attrs.update(interval=str(wald(points, chosen)) if interval else "none", point_estimate=points.criterion)
    if unknown.any():
        frame.attrs["note"] = NOT_ESTIMABLE
    return frame


def _check_point_interval(design: Design, interval: str) -> None:
    """Refuse intervals that estimates of maximum likelihood do not have."""
    if interval == "prediction" or design.groups:
        raise EstimateError(
            f"a fit by maximum likelihood has no interval='{interval}' "
            + ("for new responses." if interval == "prediction" else "for means with group effects."),
            "Its covariances are those of the fixed effects: interval='confidence' is for the fixed part alone.",
            "Write interval='confidence', re_form='~0'; or fit the model with draws (method='exact' or 'nuts').",
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
    if each > 1:
        frame.insert(0, "level", np.tile(np.asarray(fitted.levels, dtype=object), len(index)))
        index = index.repeat(each)
    frame.index = index
    return frame
