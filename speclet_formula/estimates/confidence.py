"""A fit goes in; the intervals of its parameters come out: R's `confint`.

Estimates are those of `tidy`.
"""

import pandas as pd

from speclet_formula.estimates.fitted import Fitted
from speclet_formula.estimates.intervals import EstimateError
from speclet_formula.estimates.points import points_of
from speclet_formula.estimates.tidying import tidy

CONFINT = ("effect", "group", "term", "estimate", "conf_low", "conf_high")


def confint(
    fit: Fitted, method: str | None = None, *, ci_prob: float | None = None, ci_kind: str | None = None
) -> pd.DataFrame:
    """Tabulate the intervals of all parameters, as lme4's `confint`.

    Parameters
    ----------
    fit : Fit or PointFit
    method : {"posterior", "wald"}, optional
        What intervals are made of; "posterior" is that of a Fit, "wald" that of a PointFit.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        Standard deviations and correlations first, then fixed effects, as lme4 has them, in the columns of `tidy`:
        `effect`, `group`, `term`, `estimate`, `conf_low`, `conf_high`, on the link's scale. `.attrs["interval"]` names
        the interval. Wald's are of fixed effects alone: those of standard deviations are missing, as in lme4.

    Raises
    ------
    EstimateError
        The fit has no intervals of that method; or as for `fixef`.

    Examples
    --------
    >>> from speclet_formula.estimates import confint
    >>> confint(fit)["term"].to_list()[-2:]  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['Intercept', 'Days']
    """
    own = "posterior" if points_of(fit) is None else "wald"
    if method not in (None, own):
        raise EstimateError(
            f"this fit has no intervals by method={method!r}.",
            "Fits with draws have posterior intervals, fits by maximum likelihood Wald's: 'posterior' and 'wald'.",
            f"Write method='{own}', or leave it out.",
        )
    frame = tidy(fit, ("ran_pars", "fixed"), ci_prob=ci_prob, ci_kind=ci_kind)
    return frame[list(CONFINT)]
