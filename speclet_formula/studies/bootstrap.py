"""The bootstrap of a fit by maximum likelihood: what its estimates would be in other data of the same kind.

Data are drawn from the fit (parametric), from its own residuals and effects, or by sampling whole levels; each is
fitted anew. Running replicates and keeping them is left to `common.replicates`.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.arguments import check_value
from speclet_formula.common.checkpoints import FolderKind, fingerprint, seed_of
from speclet_formula.common.replicates import replicate
from speclet_formula.common.table import Printed, Sheet, formatted, text_table
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import EstimateError, SamplingError
from speclet_formula.formula.terms import text_of
from speclet_formula.inference.plans import at_least
from speclet_formula.inference.refit import fit_like
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.draws import values_of
from speclet_formula.posterior.estimates import WALD_MASS, Array, choose_interval, stated_coefficients
from speclet_formula.posterior.tidy import tidy
from speclet_formula.posterior.variances import has_residual
from speclet_formula.studies.resampling import ResamplingKind, draw_model, resampling_of

type BootInterval = Literal["percentile", "basic", "normal"]
type Statistic = Callable[[Any], Any]

INTERVALS = ("percentile", "basic", "normal")
NUMBERS = ("estimate", "bias", "bias_se", "std_error", "conf_low", "conf_high")
LABELS = ("effect", "group", "term")
FEWEST, MOST = 2, 1_000_000
MOST_REASONS = 3
VERDICTS = ("converged", "singular", "doubtful")
FOLDER = FolderKind(
    manifest="bootstrap.json",
    work="bootstrap",
    writer="a bootstrap",
    own="A bootstrap keeps its replicates in a folder of its own.",
    files="A bootstrap writes small files of replicates.",
    same="Only the same bootstrap can be taken up again; nsim alone may change.",
    says="It says what bootstrap the folder's replicates belong to.",
)


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap(Printed):
    """Estimates of many data sets like the one that was fitted.

    Attributes
    ----------
    formula, method : str
        The model, and how each data set was fitted: "reml", "ml" or "laplace".
    kind : {"parametric", "residual", "cases"}
        How data sets were made.
    nsim : int
        How many.
    random_seed : int
        The same seed gives the same bootstrap.
    table : pandas.DataFrame
        As `intervals` makes it, with the interval that was asked for.
    replicates : pandas.DataFrame
        One row per data set, one column per number of the statistic; NaN throughout where a fit failed.
    labels : pandas.DataFrame
        What names the numbers of the statistic, one row each: `effect`, `group`, `term` as in `tidy`, or of a statistic
        of your own `term` alone.
    observed : pandas.Series
        The statistic of the fit itself.
    verdicts : pandas.Series
        Of each refit, "converged", "singular", "doubtful" or "failed".
    failures : pandas.DataFrame
        `replicate` and `reason` of those that failed.
    """

    formula: str
    method: str
    kind: ResamplingKind
    nsim: int
    random_seed: int
    table: pd.DataFrame
    replicates: pd.DataFrame
    labels: pd.DataFrame
    observed: pd.Series
    verdicts: pd.Series
    failures: pd.DataFrame

    def intervals(self, interval: BootInterval = "percentile", *, ci_prob: float | None = None) -> pd.DataFrame:
        """Tabulate estimates with bias, standard error and an interval.

        Parameters
        ----------
        interval : {"percentile", "basic", "normal"}
            The quantiles of the replicates; the estimate minus their distances to it, turned round; or the estimate
            less its bias and so many standard errors to each side.
        ci_prob : float, optional
            Coverage that is aimed at, 0.95 by default.

        Returns
        -------
        pandas.DataFrame
            The columns of `labels`; `estimate`, of the fit; `bias`, mean of the replicates minus the estimate, and
            `bias_se`, its Monte Carlo standard error; `std_error`, the replicates' standard deviation; `conf_low`,
            `conf_high`. `.attrs["interval"]` names the interval, and `.attrs["note"]` says where there are too few
            replicates for it.

        Raises
        ------
        EstimateError
            The interval does not exist, or `ci_prob` is no mass.
        """
        return _intervals(self.labels, self.observed, self.replicates, interval, ci_prob)

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        method = {"reml": "REML", "ml": "maximum likelihood", "laplace": "Laplace's approximation"}[self.method]
        title = f"{_KINDS[self.kind]} of {self.formula}: {self.nsim:,} fits by {method}, seed {self.random_seed}"
        shown = self.table.drop(columns="bias_se").copy()
        columns = [name for name in NUMBERS if name in shown]
        cells = formatted(shown[columns], shown["std_error"])
        for position, name in enumerate(columns):
            shown[name] = [row[position] for row in cells]
        labels = len(self.labels.columns)
        foot = f"bias is the replicates' mean less the estimate, std_error their standard deviation; conf_low and " \
               f"conf_high bound the {self.table.attrs['interval']}."  # fmt: skip
        note = self.table.attrs.get("note")
        feet = (foot, note[0].upper() + note[1:]) if note else (foot,)
        return Sheet(title, tuple(self._told()), (text_table(shown, labels=labels),), feet)

    def _told(self) -> Iterator[str]:
        """Say what became of the refits."""
        counts = self.verdicts.value_counts()
        if len(self.failures):
            reasons = self.failures["reason"].value_counts().head(MOST_REASONS)
            told = "; ".join(f"{reason} ({count:,})" for reason, count in reasons.items())
            yield f"{len(self.failures):,} of {self.nsim:,} refits failed and are in no number here: {told}."
        if counts.get("singular", 0):
            yield (
                f"{counts['singular']:,} of {self.nsim:,} refits are singular (a variance of zero, or a correlation of "
                "1 or -1): they are counted, as what happens in data like these."
            )
        if counts.get("doubtful", 0):
            yield (
                f"{counts['doubtful']:,} of {self.nsim:,} refits are doubtful: their maximum was not found for sure, "
                "and they are counted. Estimates may be far out there; look at `replicates`, and take quantiles."
            )


def bootstrap(
    fit: PointFit,
    nsim: int = 1000,
    *,
    statistic: Statistic | None = None,
    kind: ResamplingKind = "parametric",
    use_u: bool = False,
    group: str | None = None,
    interval: BootInterval = "percentile",
    ci_prob: float | None = None,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
    folder: str | Path | None = None,
) -> Bootstrap:
    """Draw many data sets like the one that was fitted, fit each, and tabulate any statistic of the fits: `bootMer`.

    Parameters
    ----------
    fit : PointFit
        By `method="reml"`, `"ml"` or `"laplace"`. A fit with draws needs no bootstrap: its intervals are in the draws.
    nsim : int
        Number of data sets. Of 1,000 a standard error is known to about 2 %, and an end of a 95 % interval to about a
        twelfth of the standard error.
    statistic : callable, optional
        Takes a fit and returns a number, an array, a dictionary or a Series of them, or a frame with a column
        `estimate`; as many for each data set, with the same names. By default standard deviations, correlations, the
        family's parameters and fixed effects.
    kind : {"parametric", "residual", "cases"}
        "parametric": responses are drawn from the fitted model, as `bootMer(type = "parametric")` does. "residual", of
        a gaussian response: from its own effects and residuals, brought to their estimated variances and drawn with
        replacement (Carpenter, Goldstein and Rasbash), so that they need not be normal. "cases": the levels of `group`
        are drawn with replacement, with all their rows, each time as a new level.
    use_u : bool
        Of "parametric": False draws new group effects for each data set, as `bootMer` does by default; True keeps the
        fitted ones, so that data sets differ by their residuals alone.
    group : str, optional
        Of "cases": the grouping factor.
    interval : {"percentile", "basic", "normal"}
        As in `Bootstrap.intervals`.
    ci_prob : float, optional
        Coverage that is aimed at, 0.95 by default.
    random_seed : int, optional
        The same seed gives the same bootstrap, whatever the number of processes; more data sets begin with the same.
    cores : int, optional
        Processes; by default this one alone where a second would not pay (some seconds of work), else one for each
        core, or those of `joblib.parallel_config`.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal.
    folder : str or Path, optional
        Where replicates are kept as they come in: the same call goes on where an earlier one was stopped.

    Returns
    -------
    Bootstrap
        With `table`, `replicates`, and the failures with their reasons.

    Raises
    ------
    EstimateError
        The fit has draws, an argument has no use or does not exist, or the statistic is not made of numbers.
    DataError
        The rows were merged, or the folder belongs to another bootstrap.
    SamplingError
        Every refit failed.

    References
    ----------
    Davison and Hinkley (1997). Bootstrap Methods and their Application. doi:10.1017/CBO9780511802843. Carpenter,
    Goldstein and Rasbash (2003). A novel bootstrap procedure for assessing the relationship between class size and
    achievement. doi:10.1111/1467-9876.00415.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml")
    >>> boot = sf.bootstrap(fit, 20, random_seed=1)
    >>> boot.table["term"].to_list()
    ['sd__Intercept', 'sd__Intercept', 'sd__Observation', 'Intercept']
    """
    _check_fit(fit)
    at_least("nsim", nsim, FEWEST, MOST)
    check_value("interval", interval, INTERVALS, INTERVALS[0])
    resampling = resampling_of(fit, kind, use_u, group)
    names, numbers = named_numbers(_usual(fit) if statistic is None else statistic(fit))
    observed = pd.Series(numbers, index=pd.Index(names, name="term"))
    labels = _labels(fit, observed) if statistic is None else pd.DataFrame({"term": observed.index})
    directory = None if folder is None else Path(folder)
    seed = seed_of(random_seed, directory, FOLDER)
    made = replicate(
        _refitted,
        (fit, resampling, statistic, names),
        nsim,
        what="fits",
        seed=seed,
        cores=None if cores is None else at_least("cores", cores, 1),
        progress=progress,
        folder=directory,
        kind=FOLDER,
        manifest=_manifest(fit, (kind, use_u, group), observed, seed),
    )
    failed = [place for place, reason in enumerate(made.reasons) if reason]
    failures = pd.DataFrame({"replicate": failed, "reason": [made.reasons[place] for place in failed]})
    if len(failed) == nsim:
        raise SamplingError(
            f"all {nsim:,} refits failed: {made.reasons[0]}",
            "A bootstrap needs fits to tabulate.",
            "Fit one response of sf.simulate(fit) with sf.refit, and look at the statistic there.",
        )
    *columns, verdict = made.values.T
    verdicts = pd.Series([VERDICTS[int(code)] if np.isfinite(code) else "failed" for code in verdict], name="verdict")
    replicates = pd.DataFrame(np.array(columns).T, columns=observed.index).rename_axis(index="replicate")
    return Bootstrap(
        formula=text_of(fit.model.formula),
        method=fit.method,
        kind=kind,
        nsim=nsim,
        random_seed=seed,
        table=_intervals(labels, observed, replicates, interval, ci_prob),
        replicates=replicates,
        labels=labels,
        observed=observed,
        verdicts=verdicts.rename_axis("replicate"),
        failures=failures,
    )


_KINDS = {
    "parametric": "Parametric bootstrap",
    "residual": "Residual bootstrap",
    "cases": "Case bootstrap",
}


def _refitted(
    rng: np.random.Generator, fit: PointFit, resampling: Any, statistic: Statistic | None, names: tuple[str, ...]
) -> Sequence[float]:
    """Draw a data set, fit it, and return the statistic and the verdict, in a worker."""
    again = fit_like(fit, draw_model(fit, resampling, rng, tables=statistic is not None))
    found, numbers = named_numbers(_usual(again) if statistic is None else statistic(again))
    if found != names:
        raise SamplingError(
            f"the statistic has other names than in the fit: {', '.join(found[:5])}.",
            "It has the same ones in every data set.",
            "Leave out what some data sets lack.",
        )
    return [*numbers, VERDICTS.index(again.verdict)]


def named_numbers(value: Any) -> tuple[tuple[str, ...], list[float]]:
    """Return the names and the numbers of a statistic.

    Raises
    ------
    EstimateError
        It is not made of numbers, or two of them have one name.

    Examples
    --------
    >>> named_numbers([1, 2])
    (('statistic[1]', 'statistic[2]'), [1.0, 2.0])
    """
    try:
        if isinstance(value, pd.DataFrame):
            named = value.select_dtypes(exclude="floating").astype(str)
            names = tuple(named.agg(" ".join, axis=1) if len(named.columns) else value.index.map(str))
            numbers = [float(number) for number in value["estimate"]]
        elif isinstance(value, pd.Series | Mapping):
            names, numbers = tuple(map(str, value.keys())), [float(number) for _, number in value.items()]
        else:
            array = np.asarray(value, dtype=np.float64)
            numbers = [float(number) for number in np.atleast_1d(array)]
            names = ("statistic",) if not array.ndim else tuple(f"statistic[{k + 1}]" for k in range(len(numbers)))
    except (TypeError, ValueError, KeyError) as error:
        raise _no_statistic(f"a {type(value).__name__} of other things than numbers") from error
    if not names or len(set(names)) < len(names):
        raise _no_statistic("two numbers of one name" if names else "nothing")
    return names, numbers


def _no_statistic(what: str) -> EstimateError:
    return EstimateError(
        f"the statistic gives {what}.",
        "It is a number, an array of one dimension, a dictionary or Series of numbers, or a frame with 'estimate'.",
        'For example statistic=lambda fit: sf.fixef(fit).set_index("term")["estimate"].',
    )


def _usual(fit: PointFit) -> dict[str, float]:
    """Return all estimates, in the order of `tidy`: standard deviations, correlations, the residual's, fixed effects.

    By the names of a posterior; the family's own parameters come last.
    """
    known, design, points = values_of(fit), fit.model.design, fit.estimates
    named: dict[str, float] = {}
    for block in design.blocks:
        pairs = block.correlations if block.correlated else ()
        values = np.hstack([known.sds(block)[0], known.correlation(block)[0]])
        named |= dict(zip((*block.sds, *pairs), values, strict=True))
        if block.stretches:
            named[block.length_scale] = float(known.length_scale(block)[0, 0])
    others = {name: value for name, value, _ in points.others}
    if has_residual(fit.model):
        named["sigma"] = float(known.parameter("sigma")[0, 0])
        others.pop("sigma", None)
    fixed = [*points.thresholds, *stated_coefficients(points)]
    labels = [*_threshold_names(fit), *design.mean.columns]
    return named | dict(zip(labels, fixed, strict=True)) | others


def _threshold_names(fit: PointFit) -> list[str]:
    return [f"threshold[{place + 1}]" for place in range(len(fit.estimates.thresholds))]


def _labels(fit: PointFit, observed: pd.Series) -> pd.DataFrame:
    """Return effect, group and term of each estimate; those of the family's own parameters have no group."""
    frame = tidy(fit, ("ran_pars", "fixed"))[list(LABELS)]
    own = pd.DataFrame({"effect": "family", "group": None, "term": observed.index[len(frame) :]})
    return pd.concat([frame, own.astype(frame.dtypes)], ignore_index=True) if len(own) else frame


def _intervals(
    labels: pd.DataFrame, observed: pd.Series, replicates: pd.DataFrame, interval: BootInterval, ci_prob: float | None
) -> pd.DataFrame:
    """Tabulate estimates, bias, standard errors and intervals, as `Bootstrap.intervals`."""
    check_value("interval", interval, INTERVALS, INTERVALS[0])
    probability = choose_interval(WALD_MASS if ci_prob is None else ci_prob).probability
    estimate, values = observed.to_numpy(), replicates.dropna(how="all").to_numpy()
    with warnings.catch_warnings():  # numpy's of columns that hold nothing
        warnings.simplefilter("ignore", RuntimeWarning)
        spread, bias = np.nanstd(values, axis=0, ddof=1), np.nanmean(values, axis=0) - estimate
        low, high = _ends(estimate, values, bias, spread, interval, probability)
    count = np.isfinite(values).sum(axis=0)
    columns = (estimate, bias, spread / np.sqrt(np.maximum(count, 1)), spread, low, high)
    table = labels.assign(**dict(zip(NUMBERS, columns, strict=True)))
    table.attrs.update(interval=f"{100 * probability:g}% {interval} bootstrap interval")
    if interval != "normal" and (len(values) + 1) * (1 - probability) / 2 < 1:
        table.attrs["note"] = f"{len(values):,} replicates are too few for it: its ends are the outermost ones."
    return table


def _ends(
    estimate: Array, values: Array, bias: Array, spread: Array, interval: BootInterval, probability: float
) -> tuple[Array, Array]:
    """Return both ends of the intervals."""
    if interval == "normal":
        reach = NormalDist().inv_cdf((1 + probability) / 2) * spread
        return estimate - bias - reach, estimate - bias + reach
    tail = (1 - probability) / 2
    low, high = (np.array([_quantile(column, share) for column in values.T]) for share in (tail, 1 - tail))
    return (low, high) if interval == "percentile" else (2 * estimate - high, 2 * estimate - low)


def _quantile(values: Array, share: float) -> float:
    """Return a quantile of what is known: the k-th of n replicates is the k/(n + 1) quantile, as R's boot has it."""
    ordered = np.sort(values[~np.isnan(values)])
    return (
        float(np.interp((len(ordered) + 1) * share, np.arange(1, len(ordered) + 1), ordered))
        if len(ordered)
        else np.nan
    )


def _check_fit(fit: object) -> None:
    """Refuse what is not bootstrapped."""
    if not isinstance(fit, PointFit):
        raise EstimateError(
            f"a bootstrap is of a fit by maximum likelihood, and this is a {type(fit).__name__}.",
            "Fits by method='reml', 'ml' or 'laplace' are bootstrapped; the draws of other fits are their intervals.",
            "Write sf.confint(fit), or fit the model by method='reml' or 'laplace'.",
        )
    require_rows(fit.model.design, "bootstrap()")


def _manifest(fit: PointFit, settings: tuple[Any, ...], observed: pd.Series, seed: int) -> dict[str, Any]:
    """Return what settles the replicates; a statistic is known by its names and its values at the fit."""
    used = fit.model.data.iloc[fit.model.design.rows]
    return {
        "formula": text_of(fit.model.formula),
        "family": f"{fit.model.family.name} ({fit.model.family.link})",
        "method": f"{fit.method}, nAGQ={fit.estimates.nodes}",
        "table": fingerprint(used),
        "weights": repr(None if fit.model.design.weights is None else fit.model.design.weights.tolist()),
        "resampling": repr(settings),
        "statistic": {str(name): repr(float(value)) for name, value in observed.items()},
        "random_seed": seed,
    }
