"""One row that sums up a fit: broom.mixed's `glance`."""

import pandas as pd

from speclet_formula.comparison.loo import loo as leave_one_out
from speclet_formula.errors import ComparisonError
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import nobs
from speclet_formula.posterior.variances import has_residual, sigma


def glance(fit: Fit | PointFit, *, loo: bool = False) -> pd.DataFrame:
    """Sum a fit up in one row, as broom.mixed's `glance`.

    Parameters
    ----------
    fit : Fit or PointFit
    loo : bool
        Whether to add leave-one-out, of a fit with draws.

    Returns
    -------
    pandas.DataFrame
        One row:

        * `nobs`: rows that were fitted;
        * `sigma`: the residual standard deviation, 1 for a family without one, missing where it has a formula;
        * of a PointFit `logLik`, `AIC`, `BIC`, `REMLcrit` (by "reml") or `deviance` (-2 logLik, by "ml"), and
          `df_residual`, rows less parameters;
        * of a Fit with `loo` also `elpd_loo`, `looic` (-2 elpd_loo), `p_loo`, `se_elpd_loo`, `kind` ("integrated", "own
          level" or "conditional", as `loo` explains) and `caveat`: why these cannot be trusted and what to do, empty
          where they can.

    Raises
    ------
    ComparisonError
        `loo` of a fit that has no draws.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.glance(sf.lmer("log_fc ~ (1 | gene)", data, method="reml")).columns.to_list()
    ['nobs', 'sigma', 'logLik', 'AIC', 'BIC', 'REMLcrit', 'df_residual']
    """
    single = has_residual(fit.model) or "sigma" not in fit.model.family.parameters
    row: dict[str, float | str] = {"nobs": nobs(fit), "sigma": sigma(fit) if single else float("nan")}
    if isinstance(fit, PointFit):
        if loo:
            raise ComparisonError(
                "a fit by maximum likelihood has no leave-one-out.",
                "It is made from draws; glance(fit) has logLik, AIC and BIC of such a fit.",
                "Leave loo= out, or fit the model with method='exact' or 'hmc'.",
            )
        row |= {"logLik": fit.log_likelihood, "AIC": fit.aic, "BIC": fit.bic}
        if fit.method != "laplace":
            row["REMLcrit" if fit.method == "reml" else "deviance"] = fit.deviance
        row["df_residual"] = nobs(fit) - fit.df
    elif loo:
        elpd = leave_one_out(fit)
        row |= {"elpd_loo": elpd.elpd, "looic": -2 * elpd.elpd, "p_loo": elpd.p, "se_elpd_loo": elpd.se}
        row |= {"kind": elpd.elpd_i.attrs["kind"], "caveat": elpd.caveat}
    return pd.DataFrame([row])
