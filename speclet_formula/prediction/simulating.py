"""A fit goes in; new responses of its rows come out, each from one draw of the posterior: R's `simulate`.

Data from stated parameters are left to `simulation`.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speclet_formula.design.merged import require_rows
from speclet_formula.errors import DataError
from speclet_formula.families import FAMILIES, is_ordinal
from speclet_formula.observation import draw_between
from speclet_formula.prediction.gathering import at_rows, gather_fit
from speclet_formula.prediction.replicates import draw_rows

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit, PointFit


def simulate_responses(fit: "Fit | PointFit", nsim: int = 1, *, random_seed: int | None = None) -> pd.DataFrame:
    """Draw new responses of the rows that were fitted.

    Parameters
    ----------
    fit : Fit or PointFit
    nsim : int
        Number of new responses, each of all rows.
    random_seed : int, optional
        The same seed gives the same responses.

    Returns
    -------
    pandas.DataFrame
        One row per row that was fitted, one column per response, "sim_1", "sim_2", ..., each from another draw of the
        posterior (draws are used again where there are fewer). Group effects are as drawn: R's `use.u=TRUE`. Of a
        PointFit all are at the estimates and conditional modes. On the scale of the response: of cbind() the
        successes, of a weighted proportion the share, of an ordinal response its levels; a truncated response lies
        between its bounds, a censored one is not censored.

    Raises
    ------
    DataError
        `nsim` is no positive whole number, or the family cannot have such means.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.simulate(fit, nsim=2, random_seed=1).columns.to_list()
    ['sim_1', 'sim_2']
    """
    if nsim < 1 or nsim != int(nsim):
        raise DataError(f"nsim={nsim!r} is no number of responses.", "It is a whole number above 0.", "Write nsim=1.")
    require_rows(fit.model.design, "simulate()")
    rng = np.random.default_rng(random_seed)
    total = len(gather_fit(fit).sides[0].coefficients)
    chosen = rng.choice(total, size=nsim, replace=nsim > total)
    drawn = [_one_response(fit, int(place), rng) for place in chosen]
    names = [f"sim_{number}" for number in range(1, nsim + 1)]
    return pd.DataFrame(dict(zip(names, drawn, strict=True)), index=pd.Index(fit.model.design.rows, name="row"))


def _one_response(fit: "Fit | PointFit", place: int, rng: np.random.Generator) -> np.ndarray | pd.Categorical:
    """Draw a response of all rows from one draw of the parameters."""
    design, family = fit.model.design, fit.model.family
    every = slice(0, len(design.rows))
    mean, parameters = at_rows(gather_fit(fit, slice(place, place + 1)), design, family, every)
    if design.limits is not None and design.limits.status is None:
        single = {name: values[0] for name, values in parameters.items()}
        return draw_between(family, rng, mean[0], single, design.limits, weights=design.weights)
    response = draw_rows(family, design, every, mean, parameters, rng)[0]
    if is_ordinal(family):
        return pd.Categorical.from_codes(response.astype(np.int64), list(design.levels), ordered=True)
    by_share = FAMILIES[family.name].weights == "trials" and fit.model.weights is not None
    return np.asarray(response / design.trials if by_share and design.trials is not None else response)
