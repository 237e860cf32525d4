"""A fit goes in; new responses of its rows come out, each from one draw of the posterior: R's `simulate`.

Data from stated parameters are left to `simulation`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.design.design import sides
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import DataError
from speclet_formula.families import FAMILIES, is_ordinal
from speclet_formula.model.observation import draw_between
from speclet_formula.posterior.points import points_of
from speclet_formula.prediction.gathering import Draws, ModelDraws, at_rows, gather, gather_fit
from speclet_formula.prediction.group_terms import without_groups
from speclet_formula.prediction.new_levels import draw_anew, draw_point_anew
from speclet_formula.prediction.replicates import draw_rows

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit, PointFit

Effects = Literal["anew", "kept"]


def simulate_responses(
    fit: "Fit | PointFit", nsim: int = 1, *, effects: Effects = "anew", random_seed: int | None = None
) -> pd.DataFrame:
    """Draw new responses of the rows that were fitted.

    Parameters
    ----------
    fit : Fit or PointFit
    nsim : int
        Number of new responses, each of all rows.
    effects : {"anew", "kept"}
        Group effects: "anew" draws new ones for each response from their estimated distribution, as R's `simulate` and
        `bootMer` (`use.u=FALSE`, `re.form=NA`), so that the responses differ as those of other levels would. "kept"
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
        ordinal response its levels; a truncated response lies between its bounds, a censored one is not censored.

    Raises
    ------
    DataError
        `nsim` is no positive whole number, `effects` is no choice, a group's effects have a prior that new ones cannot
        be drawn from, or the family cannot have such means.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.simulate(fit, nsim=2, random_seed=1).columns.to_list()
    ['sim_1', 'sim_2']
    """
    if nsim < 1 or nsim != int(nsim):
        raise DataError(f"nsim={nsim!r} is no number of responses.", "It is a whole number above 0.", "Write nsim=1.")
    if effects not in ("anew", "kept"):
        raise DataError(
            f"effects={effects!r} is no choice.",
            "effects is 'anew' (R's use.u=FALSE) or 'kept' (use.u=TRUE).",
            "Leave it out to draw them anew.",
        )
    require_rows(fit.model.design, "simulate()")
    rng = generator(random_seed)
    parameters = _parameters(fit, nsim, effects, rng)
    drawn = [_one_response(fit, _draw_of(parameters, place), rng) for place in range(nsim)]
    names = [f"sim_{number}" for number in range(1, nsim + 1)]
    labels = fit.model.index[fit.model.design.rows]
    return pd.DataFrame(dict(zip(names, drawn, strict=True)), index=labels.rename(labels.name or "row"))


def _parameters(fit: "Fit | PointFit", nsim: int, effects: Effects, rng: np.random.Generator) -> ModelDraws:
    """Return the parameters of each response."""
    points, model = points_of(fit), fit.model
    if points is not None:
        alone = _draw_of(gather_fit(fit), np.zeros(nsim, dtype=int))
        if effects == "kept":
            return alone
        new = draw_point_anew(model.design, points, nsim, rng)
        return replace(alone, sides=(replace(alone.sides[0], effects=new),))
    posterior = fit.idata["posterior"]
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    chosen = rng.choice(total, size=nsim, replace=nsim > total)
    if effects == "kept":
        return gather(model, posterior, chosen)
    fixed = gather(model, posterior, chosen, without_groups(model.design))
    return replace(fixed, sides=tuple(draw_anew(model, posterior, side, chosen, rng) for side in sides(model.design)))


def _draw_of(drawn: ModelDraws, place: int | np.ndarray) -> ModelDraws:
    """Take draws out of others, one or several."""
    where = np.atleast_1d(place)
    return ModelDraws(
        tuple(
            Draws(one.coefficients[where], tuple(tuple(column[where] for column in block) for block in one.effects))
            for one in drawn.sides
        ),
        {name: values[where] for name, values in drawn.parameters.items()},
    )


def _one_response(fit: "Fit | PointFit", drawn: ModelDraws, rng: np.random.Generator) -> np.ndarray | pd.Categorical:
    """Draw a response of all rows from one draw of the parameters."""
    design, family = fit.model.design, fit.model.family
    every = slice(0, len(design.rows))
    mean, parameters = at_rows(drawn, design, family, every)
    if design.limits is not None and design.limits.status is None:
        single = {name: values[0] for name, values in parameters.items()}
        return draw_between(family, rng, mean[0], single, design.limits, weights=design.weights)
    response = draw_rows(family, design, every, mean, parameters, rng)[0]
    if is_ordinal(family):
        return pd.Categorical.from_codes(response.astype(np.int64), list(design.levels), ordered=True)
    by_share = FAMILIES[family.name].weights == "trials" and fit.model.weights is not None
    return np.asarray(response / design.trials if by_share and design.trials is not None else response)
