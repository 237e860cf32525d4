"""One row that sums up a fit: broom.mixed's `glance`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.comparison.compare import check_comparable
from speclet_formula.comparison.loo import loo as leave_one_out
from speclet_formula.errors import ComparisonError
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import nobs
from speclet_formula.posterior.variances import has_residual, sigma

REML_APART = "REML likelihoods of different fixed effects cannot be compared: fit the models with method='ml'."
NODES_APART = "Likelihoods by different numbers of nodes cannot be compared: fit the models with one nAGQ=."


def glance(fit: Fit | PointFit | Mapping[str, Fit | PointFit], *, loo: bool = False) -> pd.DataFrame:
    """Sum a fit up in one row, as broom.mixed's `glance`, or several fits in one row each.

    Parameters
    ----------
    fit : Fit or PointFit, or mapping of str to such
        Several fits are of the same rows and response.
    loo : bool
        Whether to add leave-one-out, of fits with draws.

    Returns
    -------
    pandas.DataFrame
        One row for each fit; of several under their names, "model", the lowest AIC first:

        * `nobs`: rows that were fitted;
        * `sigma`: the residual standard deviation, 1 for a family without one, missing where it has a formula;
        * of a PointFit `logLik`, `AIC`, `BIC`, `REMLcrit` (by "reml") or `deviance` (-2 logLik, by "ml"), and
          `df_residual`, rows less parameters;
        * of a Fit with `loo` also `elpd_loo`, `looic` (-2 elpd_loo), `p_loo`, `se_elpd_loo`, `kind` ("integrated", "own
          level" or "conditional", as `loo` explains) and `caveat`: why these cannot be trusted and what to do, empty
          where they can;
        * of several fits without draws `dAIC`, `dBIC`, what they are above the lowest, and `AIC_weight`, the model's
          share of exp(-dAIC / 2), bbmle's `AICtab`. They are missing where a fit is by REML and the fixed effects
          differ, since such likelihoods cannot be compared; `.attrs["note"]` says so.

    Raises
    ------
    ComparisonError
        `loo` of a fit that has no draws; several fits that are not of the same rows, or with draws and without.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.glance(sf.lmer("log_fc ~ (1 | gene)", data, method="reml")).columns.to_list()
    ['nobs', 'sigma', 'logLik', 'AIC', 'BIC', 'REMLcrit', 'df_residual']
    """
    if not isinstance(fit, Fit | PointFit):
        return _several(fit, loo)
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


def _several(fits: Mapping[str, Any], loo: bool) -> pd.DataFrame:
    """Put the rows of several fits below each other, and compare them by AIC."""
    wrong = [name for name, fit in fits.items() if not isinstance(fit, Fit | PointFit)]
    if wrong or not fits:
        raise ComparisonError(
            f"'{wrong[0]}' is no fit." if wrong else "there is no fit to sum up.",
            "Each row sums up what sf.fit, sf.lmer or sf.glmer returned.",
            'Write glance({"a": fit_a, "b": fit_b}).',
        )
    if len({isinstance(fit, Fit) for fit in fits.values()}) > 1:
        raise ComparisonError(
            "some fits have draws, and others have none.",
            "AIC is of fits without draws, leave-one-out of fits with draws.",
            "Sum them up apart; table({...}) sets both side by side.",
        )
    check_comparable({str(name): fit.model for name, fit in fits.items()})
    frame = pd.concat([glance(fit, loo=loo) for fit in fits.values()], ignore_index=True)
    frame.index = pd.Index(map(str, fits), name="model")
    if "AIC" not in frame:
        return frame
    deltas = {f"d{name}": frame[name] - frame[name].min() for name in ("AIC", "BIC")}
    shares = np.exp(-deltas["dAIC"] / 2)
    frame = frame.assign(**deltas, AIC_weight=shares / shares.sum()).sort_values("AIC", kind="stable")
    if note := _apart(list(fits.values())):
        frame[["dAIC", "dBIC", "AIC_weight"]] = np.nan
        frame.attrs["note"] = note
    return frame


def _apart(fits: Sequence[Fit | PointFit]) -> str:
    """Say why likelihoods are of different things: by REML, and fixed effects differ or others are by ML; or ""."""
    if len({fit.estimates.nodes for fit in fits if isinstance(fit, PointFit)}) > 1:
        return NODES_APART
    by_reml = {fit.method == "reml" for fit in fits}
    differ = len(by_reml) > 1 or (by_reml == {True} and len({fit.model.design.mean.columns for fit in fits}) > 1)
    return REML_APART if differ else ""
