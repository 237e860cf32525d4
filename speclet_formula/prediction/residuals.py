"""What is left of each observation after its mean, R's `residuals`, and broom's `augment`.

Response residuals, those in units of the model's SD, signed roots of the deviance, and randomised quantile residuals.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.special import ndtri

from speclet_formula.common.seeds import generator
from speclet_formula.design import Design
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import EstimateError, nearest
from speclet_formula.families import (
    Family,
    expected_response,
    families_with,
    is_ordinal,
    specification_of,
)
from speclet_formula.families.registry import weighted
from speclet_formula.families.specification import Parameters
from speclet_formula.posterior.draws import values_of
from speclet_formula.posterior.estimates import Array, IntervalKind
from speclet_formula.prediction.linear_predictors import at_rows, gather, row_blocks
from speclet_formula.prediction.predict import fitted, predict
from speclet_formula.prediction.responses import draw_rows

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit, PointFit

TYPES = ("response", "pearson", "deviance", "quantile")
FEWEST_REPLICATES = 1000  # a point fit is one draw, from which so many responses are drawn
_NAMES = {"estimate": ".fitted", "std_error": ".se.fit", "conf_low": ".lower", "conf_high": ".upper"}


def residuals(
    fit: "Fit | PointFit",
    type: Literal["response", "pearson", "deviance", "quantile"] = "response",  # noqa: A002  R's name
    *,
    random_seed: int | None = None,
) -> pd.Series:
    r"""Take the fitted mean from each observation: R's `residuals`.

    Parameters
    ----------
    fit : Fit or PointFit
    type : {"response", "pearson", "deviance", "quantile"}
        "response": y minus its fitted mean (of a proportion, shares). "pearson": the same divided by the SD that the
        model gives the row, weights and residual SD included (of a linear mixed model lme4's with `scaled=TRUE`).
        "deviance": the signed root of the row's deviance, weights and numbers of trials included: what R gives for a
        `glmer` that is asked for no type.
        "quantile": the normal quantile of the probability of a smaller new response, where ties are broken at random;
        if the model holds they are standard normal, whatever the family.
    random_seed : int, optional
        The same seed gives the same quantile residuals, and the same simulated variances.

    Returns
    -------
    pandas.Series
        Named "residual", one for each row that was fitted, under its place in the given table.

    Raises
    ------
    EstimateError
        `type` does not exist; the response is ordinal, which has quantile residuals only; its levels have no order; it
        is censored or truncated; or its family has no deviance.

    Notes
    -----
    With draws, means and variances are averaged over them, given the group effects. Families whose variance has no
    short form (zero-inflated ones, hurdles, t, ...) have it from responses that are simulated, one for each draw.
    A deviance is that of the averaged mean.
    Quantile residuals compare an observation with S simulated responses, one for each draw (1,000 of a PointFit):
    :math:`r = \Phi^{-1}((\#\{y^{rep} < y\} + u(\#\{y^{rep} = y\} + 1)) / (S + 1))`, u uniform on (0, 1).

    References
    ----------
    Dunn and Smyth (1996), doi:10.1080/10618600.1996.10474708.

    Examples
    --------
    >>> from speclet_formula.prediction import residuals
    >>> abs(residuals(fit).mean()) < 5  # fit: Reaction ~ Days + (1 + Days | Subject)
    True
    """
    design, family = fit.model.design, fit.model.family
    _check_type(type, design, family)
    require_rows(design, "residuals()")
    rng = generator(random_seed)
    kinds = {"response": _response, "pearson": _pearson, "deviance": _deviance, "quantile": _quantile}
    of_rows = kinds[type]
    drawn = gather(fit.model, values_of(fit))
    n_draws = max(len(drawn.predictors[0].coefficients), FEWEST_REPLICATES)
    parts = []
    for rows in row_blocks(len(design.rows), n_draws):
        mean, parameters = at_rows(drawn, design, family, rows)
        parts.append(of_rows(design, family, rows, mean, parameters, rng))
    return pd.Series(np.concatenate(parts), index=pd.Index(design.rows, name="row"), name="residual")


def augment(
    fit: "Fit | PointFit", *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None
) -> pd.DataFrame:
    """Put fitted values and residuals beside the data, as broom.mixed's `augment`.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        The rows of the given table that were fitted, all of its columns, under the table's place ("row"), and

        * `.fitted`, `.se.fit`, `.lower`, `.upper`: as `fitted` has them (the last three are missing for a PointFit);
        * `.resid`: observation minus `.fitted`; of a proportion, shares;
        * `.std.resid`: `.resid` divided by the SD that the model gives the row;
        * `.fixed`: the linear predictor without group effects.

    Raises
    ------
    EstimateError
        The response is ordinal, censored or truncated, which has no such residuals; or as for `fixef`.

    Examples
    --------
    >>> from speclet_formula.prediction import augment
    >>> augment(fit).columns[-4:].to_list()
    ['.upper', '.resid', '.std.resid', '.fixed']
    """
    require_rows(fit.model.design, "augment()")
    added = {".resid": residuals(fit), ".std.resid": residuals(fit, "pearson", random_seed=0)}
    means = fitted(fit, ci_prob=ci_prob, ci_kind=ci_kind).rename(columns=_NAMES)
    added[".fixed"] = predict(fit, re_form="~0", type="link")["estimate"]
    data = fit.model.data.iloc[fit.model.design.rows]
    frame = pd.concat([data.set_axis(means.index), means, pd.DataFrame(added)], axis=1)
    frame.attrs.update(means.attrs)
    return frame


def _check_type(kind: str, design: Design, family: Family) -> None:
    """Refuse residuals that do not exist."""
    if kind not in TYPES:
        near = nearest(str(kind), TYPES)
        raise EstimateError(
            f"there are no residuals of type='{kind}'.",
            f"Types: {', '.join(TYPES)}.",
            f"Nearest: '{near}'." if near else "Leave type= out for observation minus mean.",
        )
    refuse_without_residuals(design)
    if is_ordinal(family) and kind != "quantile":
        raise EstimateError(
            f"an ordinal response has no residuals of type='{kind}'.",
            "Its levels have no distances.",
            "Write type='quantile'.",
        )
    if kind == "deviance" and specification_of(family).deviance is None:
        raise EstimateError(
            f"the family '{family.name}' has no deviance.",
            f"Families with one: {families_with('deviance')}.",
            "Write type='quantile', which every family has.",
        )


def refuse_without_residuals(design: Design) -> None:
    """Raise an EstimateError for a response that was not seen as it is, or whose levels have no order."""
    if design.is_per_level:
        raise EstimateError(
            f"the levels of '{design.response_name}' have no order, so that a response has no residual.",
            "Residuals are of numbers, and quantile residuals of numbers and ordered levels.",
            "Compare the shares of the levels with posterior_predictive(fit) instead.",
        )
    if design.limits is not None:
        raise EstimateError(
            f"'{design.response_name}' is censored or truncated, so that it has no residuals here.",
            "Residuals are of responses that were seen as they are.",
            "Compare the observed response with simulate(fit) instead.",
        )


def _observed(design: Design, rows: slice) -> Array:
    """Return the observations, of proportions as shares."""
    y = design.response[rows]
    return np.asarray(y if design.trials is None else y / _counted(design.trials[rows]))


def _counted(trials: Array) -> Array:
    """Return numbers of trials, NaN where there are none: 0 of 0 have no share."""
    return np.where(trials > 0, trials, np.nan)


def _response(
    design: Design, family: Family, rows: slice, mean: Array, parameters: Parameters, _rng: np.random.Generator
) -> Array:
    return np.asarray(_observed(design, rows) - expected_response(family, mean, parameters).mean(axis=0))


def _pearson(
    design: Design, family: Family, rows: slice, mean: Array, parameters: Parameters, rng: np.random.Generator
) -> Array:
    trials = None if design.trials is None else design.trials[rows]
    weights = None if design.weights is None else design.weights[rows]
    of_family = specification_of(family).variance
    if of_family is not None:
        variance = of_family(mean, weighted(parameters, weights), trials)
    else:
        mean, parameters = _repeated(mean, parameters)
        new = draw_rows(family, design, rows, mean, parameters, rng) / (1 if trials is None else np.maximum(trials, 1))
        variance = (new - expected_response(family, mean, parameters)) ** 2
    left = _response(design, family, rows, mean, parameters, rng)
    return np.asarray(left / np.sqrt(variance.mean(axis=0)))


def _deviance(
    design: Design, family: Family, rows: slice, mean: Array, parameters: Parameters, _rng: np.random.Generator
) -> Array:
    y, expected = _observed(design, rows), expected_response(family, mean, parameters).mean(axis=0)
    averages = {name: values.mean(axis=0) for name, values in parameters.items()}
    of_family = specification_of(family).deviance
    assert of_family is not None
    deviances = of_family(y, expected, averages)
    for factor in (design.weights, design.trials):
        if factor is not None:
            deviances = deviances * factor[rows]
    return np.asarray(np.sign(y - expected) * np.sqrt(np.maximum(deviances, 0)))


def _quantile(
    design: Design, family: Family, rows: slice, mean: Array, parameters: Parameters, rng: np.random.Generator
) -> Array:
    mean, parameters = _repeated(mean, parameters)
    new = draw_rows(family, design, rows, mean, parameters, rng)
    y = design.response[rows]
    below, ties = (new < y).sum(axis=0), (new == y).sum(axis=0)
    return np.asarray(ndtri((below + rng.uniform(size=len(y)) * (ties + 1)) / (len(new) + 1)))


def _repeated(mean: Array, parameters: Parameters) -> tuple[Array, Parameters]:
    """Repeat the one draw of a point fit, so that many responses are drawn from it."""
    if len(mean) > 1:
        return mean, parameters
    repeated = {name: np.repeat(values, FEWEST_REPLICATES, axis=0) for name, values in parameters.items()}
    return np.repeat(mean, FEWEST_REPLICATES, axis=0), repeated
