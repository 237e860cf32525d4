"""Intervals of a fit's parameters, as lme4's `confint`: of its draws, Wald's, by profiles, or by a bootstrap."""

from typing import Any, Literal

import pandas as pd

from speclet_formula.common.arguments import is_among
from speclet_formula.errors import EstimateError, nearest
from speclet_formula.inference.profiles import profile_intervals
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.degrees_of_freedom import Freedom
from speclet_formula.posterior.estimates import IntervalKind, interval_of
from speclet_formula.posterior.tidy import tidy
from speclet_formula.studies.bootstrap import BootInterval, Bootstrap, bootstrap

type ConfintMethod = Literal["posterior", "wald", "profile", "boot"]
CONFINT = ("effect", "group", "term", "estimate", "conf_low", "conf_high")
OF_POINTS = ("wald", "profile", "boot")


def confint(
    fit: Fit | PointFit | Bootstrap,
    method: ConfintMethod | None = None,
    *,
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
    nsim: int | None = None,
    interval: BootInterval | None = None,
    random_seed: int | None = None,
    cores: int | None = None,
) -> pd.DataFrame:
    """Tabulate the intervals of all parameters, as lme4's `confint`.

    Parameters
    ----------
    fit : Fit, PointFit or Bootstrap
    method : {"posterior", "wald", "profile", "boot"}, optional
        What intervals are made of: "posterior" for a Fit; for a PointFit "wald" (the default), "profile": all values
        at which the likelihood, maximised over all other parameters, is not too small; or "boot": a parametric
        bootstrap with new group effects, as `bootstrap` makes it. The profile is of the full likelihood, for fits by
        REML too, as in lme4; of a fit by Laplace's approximation it is of that, or of quadrature by `nAGQ`.
    df : {"asymptotic", "satterthwaite", "kenward-roger"}, optional
        Degrees of freedom of "wald" intervals, as for `fixef`; by default "asymptotic", as lme4's `confint` has them.
    ci_prob, ci_kind : optional
        As for `fixef`.
    nsim, interval, random_seed, cores : optional
        Of "boot" alone, as for `bootstrap`: 1,000 data sets and percentile intervals by default, lme4's `boot.type`.

    Returns
    -------
    pandas.DataFrame
        Standard deviations and correlations first, then fixed effects, as lme4 has them, in the columns of `tidy`:
        `effect`, `group`, `term`, `estimate`, `conf_low`, `conf_high`, on the link's scale; of a bootstrap of a
        statistic of your own its names alone, in `term`. `.attrs["interval"]` names the interval. Wald's are of fixed
        effects alone: those of standard deviations are missing, as in lme4. A profile that does not rise up to a bound
        (a standard deviation of 0, a correlation of 1) ends there.

    Raises
    ------
    EstimateError
        The fit has no intervals of that method (profiles need at most two correlated effects in a block), an argument
        is of another method; or as for `fixef` and `bootstrap`.

    References
    ----------
    Bates, Mächler, Bolker and Walker (2015), doi:10.18637/jss.v067.i01, section 5.1.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.confint(fit)["term"].to_list()[-2:]  # fit: Reaction ~ Days + (1 + Days | Subject)
    ['Intercept', 'Days']
    """
    of_bootstrap: dict[str, Any] = {"nsim": nsim, "interval": interval, "random_seed": random_seed, "cores": cores}
    given = {name: value for name, value in of_bootstrap.items() if value is not None}
    if isinstance(fit, Bootstrap):
        _refuse(given, ("interval",), "a bootstrap that is done")
        _refuse_freedom(df, "boot")
        if method not in (None, "boot"):
            raise _no_method(method, ("boot",))
        return _shown(fit.intervals(interval or "percentile", ci_prob=ci_prob))
    methods = OF_POINTS if isinstance(fit, PointFit) else ("posterior",)
    if method is not None and not is_among(method, methods):
        raise _no_method(method, methods)
    if method in ("profile", "boot"):
        _refuse_freedom(df, method)
    if method == "boot" and isinstance(fit, PointFit):
        return _shown(bootstrap(fit, ci_prob=ci_prob, **given).table)
    _refuse(given, (), f"method={method or methods[0]!r}")
    freedom = df or ("asymptotic" if isinstance(fit, PointFit) else None)
    frame = tidy(fit, ("ran_pars", "fixed"), df=freedom, ci_prob=ci_prob, ci_kind=ci_kind)[list(CONFINT)]
    if method == "profile" and isinstance(fit, PointFit):
        chosen = interval_of(fit, ci_prob, ci_kind)
        low, high = profile_intervals(fit, chosen.probability)
        frame = frame.assign(conf_low=low, conf_high=high)
        frame.attrs.update(interval=f"{100 * chosen.probability:g}% profile interval")
    return frame


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of intervals, those of lme4's parameters where there are such."""
    frame = table[[name for name in CONFINT if name in table]]
    return frame.query("effect != 'family'") if "effect" in frame else frame


def _refuse(given: dict[str, Any], allowed: tuple[str, ...], beside: str) -> None:
    """Refuse arguments that would change nothing."""
    unused = [f"{name}={value!r}" for name, value in given.items() if name not in allowed]
    if unused:
        raise EstimateError(
            f"{', '.join(unused)} beside {beside} would change nothing.",
            "nsim=, interval=, random_seed= and cores= are of method='boot'.",
            "Leave them out, or write method='boot'.",
        )


def _refuse_freedom(df: object, method: str) -> None:
    """Refuse degrees of freedom where there are none."""
    if df is not None:
        raise EstimateError(
            f"{'a profile' if method == 'profile' else 'a bootstrap'} has no degrees of freedom df={df!r}.",
            "They are for the intervals of method='wald'.",
            "Leave df= out, or write method='wald'.",
        )


def _no_method(method: object, methods: tuple[str, ...]) -> EstimateError:
    near = nearest(str(method), methods) or methods[0]
    return EstimateError(
        f"this fit has no intervals by method={method!r}.",
        "Fits with draws have 'posterior' intervals, fits by maximum likelihood 'wald', 'profile' and 'boot'.",
        f"Write method='{near}', or leave it out.",
    )
