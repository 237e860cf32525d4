"""New responses of rows, each from one draw of the posterior, and the columns that an analyst would have measured.

Data from stated parameters are left to `recovery`.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.design import Design
from speclet_formula.design.design import Limits
from speclet_formula.design.evaluation import Scope
from speclet_formula.design.merged import require_rows
from speclet_formula.design.response import observed_response, precisions_of, truncation_of
from speclet_formula.design.tables import as_pandas, clean_columns, select_columns
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.families import FAMILIES, Family, draw_response, has_known_errors, has_levels, is_ordinal
from speclet_formula.families.specification import Parameters
from speclet_formula.formula.terms import LIMITED, Call, Expression, Name, columns_of, text_of
from speclet_formula.model import Model
from speclet_formula.model.observation import draw_between
from speclet_formula.posterior.draws import draws_of, values_of
from speclet_formula.posterior.estimates import Array, points_of
from speclet_formula.prediction.linear_predictors import ModelDraws, PredictorDraws, at_rows, gather
from speclet_formula.prediction.new_data import draw_anew, draw_point_anew, without_groups

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit, PointFit

type Censor = tuple[float | None, float | None] | None


@dataclass(frozen=True)
class DrawnResponse:
    """What draws fill."""

    column: str
    status: str | None  # the column of the statuses of a censored response
    lowest: float  # that can be measured
    highest: float


def simulate_responses(
    fit: "Fit | PointFit", nsim: int = 1, *, use_u: bool = False, random_seed: int | None = None
) -> pd.DataFrame:
    """Draw new responses of the rows that were fitted.

    Parameters
    ----------
    fit : Fit or PointFit
    nsim : int
        Number of new responses, each of all rows.
    use_u : bool
        Group effects: False draws new ones for each response from their estimated distribution, as R's `simulate` and
        `bootMer` (`use.u=FALSE`, `re.form=NA`), so that the responses differ as those of other levels would. True
        uses the fitted ones (`use.u=TRUE`, `re.form=NULL`): other measurements of the same levels, as brms'
        `posterior_predict`.
    random_seed : int, optional
        The same seed gives the same responses.

    Returns
    -------
    pandas.DataFrame
        One row per row that was fitted, under its label in the table; one column per response, "sim_1", "sim_2", ...,
        each from another draw of the posterior (draws are used again where there are fewer), of a PointFit all at the
        estimates. On the scale of the response: of cbind() the successes, of a weighted proportion the share, of an
        ordinal or categorical response its levels, of counts of levels a column for each, "sim_1[a]"; a truncated
        response lies between its bounds, a censored one is not censored.

    Raises
    ------
    DataError
        `nsim` is no positive whole number, `use_u` is no choice, a group's effects have a prior that new ones cannot
        be drawn from, or the family cannot have such means.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.simulate(fit, nsim=2, random_seed=1).columns.to_list()
    ['sim_1', 'sim_2']
    """
    if nsim < 1 or nsim != int(nsim):
        raise DataError(f"nsim={nsim!r} is no number of responses.", "It is a whole number above 0.", "Write nsim=1.")
    if not isinstance(use_u, bool):
        raise DataError(
            f"use_u={use_u!r} is no choice.",
            "use_u is False, effects are drawn anew, or True, they are those of the fit.",
            "Leave it out to draw them anew.",
        )
    require_rows(fit.model.design, "simulate()")
    rng = generator(random_seed)
    parameters = response_parameters(fit, nsim, use_u, rng)
    drawn: dict[str, Any] = {}
    for number in range(1, nsim + 1):
        response = _as_given(fit.model, _one_response(fit, _draw_of(parameters, number - 1), rng))
        if response.ndim == 1:
            drawn[f"sim_{number}"] = response
        else:
            names = (f"sim_{number}[{level}]" for level in fit.model.design.levels)
            drawn |= dict(zip(names, response.T, strict=True))
    labels = fit.model.index[fit.model.design.rows]
    return pd.DataFrame(drawn, index=labels.rename(labels.name or "row"))


def draw_design_response(fit: "PointFit", rng: np.random.Generator, *, use_u: bool = False) -> Array:
    """Draw one new response of all rows as a design has it: successes of trials, the levels' places.

    Parameters
    ----------
    fit : PointFit
        Without merged rows.
    rng : numpy.random.Generator
    use_u : bool
        As in `simulate_responses`.

    Returns
    -------
    ndarray of float, shape (n,)

    Raises
    ------
    DataError
        The family cannot have such means.
    """
    return _one_response(fit, response_parameters(fit, 1, use_u, rng), rng)


def draw_rows(
    family: Family, design: Design, rows: slice, mean: Array, parameters: Parameters, rng: np.random.Generator
) -> Array:
    """Draw one response for each draw and row, before it is censored or truncated.

    Parameters
    ----------
    family : Family
    design : Design
        With the trials and weights of its rows.
    rows : slice
        r of its rows.
    mean : ndarray of float, shape (draws, r)
    parameters : mapping of str to array
        The family's other parameters.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float, shape (draws, r)
        Successes for a proportion, the levels' places for a response of levels; of counts of levels (draws, r, K).

    Raises
    ------
    DataError
        The family cannot have such a mean.
    """
    trials = None if design.trials is None else design.trials[rows]
    weights = None if design.weights is None else design.weights[rows]
    if design.merged is not None and weights is not None:
        weights = weights / design.merged.rows[rows]  # a new row is a single one
    try:
        return draw_response(family, rng, mean, parameters, trials=trials, weights=weights)
    except ValueError as error:
        raise DataError(
            f"some draws have means from {mean.min():.4g} to {mean.max():.4g}, which '{family.name}' cannot have.",
            "A probability lies between 0 and 1, and the mean of a count is finite and not negative.",
            "Choose the family's usual link, or rows nearer to those that were fitted.",
        ) from error


def with_weights(model: Model, design: Design, newdata: Any) -> Design:
    """Give a replayed design the trials or weights of its rows, which drawing new responses needs.

    Parameters
    ----------
    model : Model
    design : Design
        Replayed on the new rows.
    newdata : table
        The new rows.

    Raises
    ------
    DataError
        The new rows do not say how many trials or which weights they have.
    """
    if has_known_errors(model.family):
        return replace(design, weights=precisions_of_rows(model.formula.response, as_pandas(newdata)))
    meaning = FAMILIES[model.family.name].weights
    if meaning == "trials":
        return replace(design, trials=_trials(model, newdata, len(design.rows)))
    if meaning == "variance" and model.weights is not None:
        return replace(design, weights=_weights(model, newdata))
    return design


def response_to_draw(node: Expression | None, censor: Censor) -> DrawnResponse:
    """Return the columns that draws will fill.

    Parameters
    ----------
    node : Expression or None
        The response, as the formula has it.
    censor : (float, float), optional
        Lowest and highest value that can be measured, None for no limit; for a censored response only.

    Raises
    ------
    FormulaError
        If the response is not made of plain names.
    DataError
        If `censor` is missing, of no use here, or not two limits in order.
    """
    call = node if isinstance(node, Call) and node.function in LIMITED else None
    names = [argument.value for argument in call.arguments] if call else [node]
    plain = names if call is not None and call.function == "censored" else names[:1]
    if not all(isinstance(name, Name) for name in plain):
        written = "nothing" if node is None else f"'{text_of(node)}'"
        raise FormulaError(
            f"the response is {written}, which is not a column that draws can fill.",
            "The response of simulated data is a plain name: 'y ~ ...'.",
            "Write the successes as a share, 'p ~ ...', and the column of the trials as weights=."
            if isinstance(node, Call) and node.function == "cbind"
            else "Simulate the transformed response under a name of its own.",
        )
    column, *status = [name.name for name in plain if isinstance(name, Name)]
    lowest, highest = _limits(column, censor, censored=bool(status))
    return DrawnResponse(column, status[0] if status else None, lowest, highest)


def bounds_of_rows(node: Expression | None, table: pd.DataFrame) -> Limits | None:
    """Return the bounds of a truncated response for the rows of a table; None for any other response.

    Raises
    ------
    FormulaError, DataError
        If a bound is a column that does not exist or is not numeric.
    """
    if not isinstance(node, Call) or node.function != "truncated":
        return None
    names = list(dict.fromkeys(name for bound in node.arguments[1:] for name in columns_of(bound)))
    frame = clean_columns(select_columns(table, names)) if names else pd.DataFrame(index=table.index)
    return truncation_of(node, Scope(frame, {}, {}))


def precisions_of_rows(node: Expression | None, table: pd.DataFrame) -> Array | None:
    """Return one over the squares of the standard errors that se(y, sei) gives the rows of a table.

    Raises
    ------
    DataError
        If the column does not exist, or holds other numbers.
    """
    if not isinstance(node, Call) or node.function != "se":
        return None
    names = columns_of(node.arguments[1].value)
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise _unknown_weights("standard errors", absent[0])
    return precisions_of(node, Scope(clean_columns(select_columns(table, names)), {}, {}))


def observed_columns(response: DrawnResponse, drawn: np.ndarray) -> dict[str, Any]:
    """Return the response as it is measured, and what is known of each value where that is not all."""
    if response.status is None:
        return {response.column: drawn}
    status = np.select([drawn < response.lowest, drawn > response.highest], ["left", "right"], "none")
    return {response.column: np.clip(drawn, response.lowest, response.highest), response.status: status}


def response_parameters(fit: "Fit | PointFit", nsim: int, use_u: bool, rng: np.random.Generator) -> ModelDraws:
    """Return the parameters of each of so many new responses, of new levels unless `use_u`."""
    points, model = points_of(fit), fit.model
    if points is not None:
        alone = _draw_of(gather(model, values_of(fit)), np.zeros(nsim, dtype=int))
        if use_u:
            return alone
        new = draw_point_anew(model.design.mean, points, nsim, rng)
        return replace(alone, predictors=(replace(alone.predictors[0], effects=new),))
    draws = draws_of(fit)
    chosen = draws.take(rng.choice(len(draws), size=nsim, replace=nsim > len(draws)))
    if use_u:
        return gather(model, chosen)
    fixed = gather(model, chosen, without_groups(model.design))
    return replace(fixed, predictors=tuple(draw_anew(model, chosen, part, rng) for part in model.design.predictors))


def _draw_of(drawn: ModelDraws, place: int | np.ndarray) -> ModelDraws:
    """Take draws out of others, one or several."""
    where = np.atleast_1d(place)
    return ModelDraws(
        tuple(
            PredictorDraws(
                side.coefficients[where],
                tuple(tuple(column[where] for column in block) for block in side.effects),
            )
            for side in drawn.predictors
        ),
        {name: values[where] for name, values in drawn.parameters.items()},
    )


def _one_response(fit: "Fit | PointFit", drawn: ModelDraws, rng: np.random.Generator) -> Array:
    """Draw a response of all rows from one draw of the parameters, as the design has it."""
    design, family = fit.model.design, fit.model.family
    every = slice(0, len(design.rows))
    mean, parameters = at_rows(drawn, design, family, every)
    if design.limits is not None and design.limits.status is None:
        single = {name: values[0] for name, values in parameters.items()}
        return draw_between(family, rng, mean[0], single, design.limits, weights=design.weights)
    return np.asarray(draw_rows(family, design, every, mean, parameters, rng)[0])


def _as_given(model: Model, response: Array) -> Array | pd.Categorical:
    """Return a response as the formula names it: shares of weighted proportions, the levels of an ordinal one."""
    design, family = model.design, model.family
    if has_levels(family) and response.ndim == 1:
        return pd.Categorical.from_codes(response.astype(np.int64), list(design.levels), ordered=is_ordinal(family))
    by_share = FAMILIES[family.name].weights == "trials" and model.weights is not None
    if not by_share or design.trials is None:
        return response
    return np.asarray(response / np.maximum(design.trials, 1))  # 0 of 0 is written as 0


def _trials(model: Model, newdata: Any, n: int) -> Array:
    """Return the numbers of trials of new rows."""
    if model.weights is not None:
        return _weights(model, newdata)
    if not (isinstance(model.formula.response, Call) and model.formula.response.function == "cbind"):
        return np.ones(n)
    table, names = as_pandas(newdata), columns_of(model.formula.response)
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise _unknown_weights("trials", absent[0])
    scope = Scope(clean_columns(select_columns(table, names)), {}, dict(model.functions))
    return np.asarray(observed_response(model.formula.response, scope, binary=False).trials)


def _weights(model: Model, newdata: Any) -> Array:
    """Return the column that holds the weights of new rows."""
    table = as_pandas(newdata)
    if not isinstance(model.weights, str) or model.weights not in table.columns:
        name = model.weights if isinstance(model.weights, str) else "weights"
        raise _unknown_weights("weights", name)
    return np.asarray(table[model.weights], dtype=np.float64)


def _unknown_weights(what: str, name: str) -> DataError:
    return DataError(
        f"the new rows have no column '{name}', so that their {what} are unknown.",
        f"An interval for new responses depends on the {what} of the rows; one for means does not.",
        "Add the column (a model's weights= then names it), or write interval='confidence'.",
    )


def _limits(column: str, censor: Censor, *, censored: bool) -> tuple[float, float]:
    if not censored and censor is None:
        return -np.inf, np.inf
    allowed = "censor=(lowest, highest) are the limits of measurement of a response 'censored(y, status)'."
    if not censored:
        raise DataError(
            f"censor={censor!r} has no use for the response '{column}'.",
            allowed,
            f"Write censored({column}, status) ~ ..., or leave censor= out.",
        )
    if censor is None:
        raise DataError(
            f"the response '{column}' is censored, and nothing says where.",
            allowed,
            "Write, for example, censor=(-5, None): what is lower is marked 'left'.",
        )
    lowest, highest = (
        limit if given is None else float(given) for given, limit in zip(censor, (-np.inf, np.inf), strict=True)
    )
    if not lowest < highest:
        raise DataError(f"censor={censor!r} leaves no room between its limits.", allowed, "Exchange the two limits.")
    return lowest, highest
