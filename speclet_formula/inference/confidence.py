"""A fit goes in; the intervals of its parameters come out: R's `confint`.

Estimates are those of `tidy`; finding profile intervals is left to `profiling`.
"""

import pandas as pd

from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.intervals import EstimateError
from speclet_formula.posterior.points import interval_of
from speclet_formula.posterior.tidy import tidy

CONFINT = ("effect", "group", "term", "estimate", "conf_low", "conf_high")


def confint(
    fit: Fit | PointFit, method: str | None = None, *, ci_prob: float | None = None, ci_kind: str | None = None
) -> pd.DataFrame:
    """Tabulate the intervals of all parameters, as lme4's `confint`.

    Parameters
    ----------
    fit : Fit or PointFit
    method : {"posterior", "wald", "profile"}, optional
        What intervals are made of: "posterior" for a Fit; for a PointFit "wald" (the default) or, for gaussian fits,
        "profile": all values at which the likelihood, maximised over all other parameters, is not too small. The
        profile is of the full likelihood, for fits by REML too, as in lme4.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        Standard deviations and correlations first, then fixed effects, as lme4 has them, in the columns of `tidy`:
        `effect`, `group`, `term`, `estimate`, `conf_low`, `conf_high`, on the link's scale. `.attrs["interval"]` names
        the interval. Wald's are of fixed effects alone: those of standard deviations are missing, as in lme4. A profile
        that does not rise up to a bound (a standard deviation of 0, a correlation of 1) ends there.

    Raises
    ------
    EstimateError
        The fit has no intervals of that method (profiles need a gaussian fit by 'reml' or 'ml', at most two correlated
        effects in a block); or as for `fixef`.

    References
    ----------
    Bates, Mächler, Bolker and Walker (2015), doi:10.18637/jss.v067.i01, section 5.1.

    Examples
    --------
    >>> from speclet_formula.inference.confidence import confint
    >>> confint(fit)["term"].to_list()[-2:]  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['Intercept', 'Days']
    """
    methods = ("wald", "profile") if isinstance(fit, PointFit) else ("posterior",)
    if method is not None and method not in methods:
        raise EstimateError(
            f"this fit has no intervals by method={method!r}.",
            "Fits with draws have 'posterior' intervals, fits by maximum likelihood 'wald' and 'profile'.",
            f"Write method='{methods[0]}', or leave it out.",
        )
    frame = tidy(fit, ("ran_pars", "fixed"), ci_prob=ci_prob, ci_kind=ci_kind)[list(CONFINT)]
    if method == "profile" and isinstance(fit, PointFit):
        from speclet_formula.inference.profiling import profile_intervals  # here, since it compiles

        interval = interval_of(fit, ci_prob, ci_kind)
        low, high = profile_intervals(fit, interval.probability)
        frame = frame.assign(conf_low=low, conf_high=high)
        frame.attrs.update(interval=f"{100 * interval.probability:g}% profile interval")
    return frame
