"""Fits and comparisons go in; pictures of variance components, of priors and posteriors, and of rankings come out."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from speclet_formula.comparison import loo
from speclet_formula.design.records import effect_variables
from speclet_formula.errors import ComparisonError, DataError
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.variances import varcorr
from speclet_formula.reporting.plots.pictures import (
    ESTIMATE,
    LINE,
    TRUTH,
    WIDTH,
    Picture,
    bare,
    grid_figure,
    label_rows,
    plain,
    rows_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from speclet_formula.comparison import Comparison

MOST_PRIORS = 12  # panels of parameters
PRIOR_DRAWS = 4000
SPREAD = 6.0  # posterior SDs on either side that a panel shows at least


def plot_variances(fit: "Fit") -> Picture:
    """Draw the standard deviations of group effects and residuals with their intervals.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    Picture
        `figure`: one row for each standard deviation, on the link's scale, with the interval of `varcorr`. `alt`: the
        same in numbers.

    Raises
    ------
    DataError
        The model has no standard deviation.
    """
    table = varcorr(fit)
    frame = table[table["var2"].isna()].iloc[::-1].reset_index(drop=True)
    if frame.empty:
        raise DataError(
            "the model has no standard deviation to draw.",
            "Standard deviations are those of group terms and of a gaussian residual.",
            "Its fixed effects are in sf.fixef(fit).",
        )
    figure, axis = rows_figure(len(frame))
    places = np.arange(len(frame))
    if "conf_low" in frame:
        axis.hlines(places, frame["conf_low"], frame["conf_high"], color=ESTIMATE, linewidth=2)
    axis.plot(frame["sdcor"], places, "o", color=ESTIMATE, markersize=6)
    names = [_component(row.grp, row.var1) for row in frame.itertuples()]
    label_rows(axis, names)
    axis.set_xlim(left=0)
    axis.set_xlabel(plain(f"standard deviation in {fit.model.design.response_name},\n{table.attrs['interval']}"))
    bare(axis)
    words = "; ".join(
        f"{name} {row.sdcor:.3g} ({row.conf_low:.3g} to {row.conf_high:.3g})"
        for name, row in zip(names[::-1], frame.iloc[::-1].itertuples(), strict=True)
    )
    return Picture(figure, f"Standard deviations with their {table.attrs['interval']}: {words}.")


def plot_priors(fit: "Fit", *, random_seed: int | None = 0) -> Picture:
    """Draw prior against posterior of each coefficient, SD, correlation and family parameter.

    Parameters
    ----------
    fit : Fit
    random_seed : int, optional
        Of the draws from the priors.

    Returns
    -------
    Picture
        `figure`: one panel for each parameter, twelve at most, with the densities of posterior and prior near the
        posterior. `alt`: how much narrower the posterior is, and which parameters are not shown.

    Raises
    ------
    PriorError
        A prior is improper (flat), so that it has no draws.
    """
    from speclet_formula.checks import prior_draws

    prior = prior_draws(fit.model, PRIOR_DRAWS, random_seed=random_seed)
    posterior = fit.idata["posterior"].to_dataset()
    effects = effect_variables(fit.model.design)
    drawn = {
        name: (np.ravel(before), np.ravel(after))
        for variable in prior.data_vars
        if variable not in effects
        for name, before, after in _elements(str(variable), prior[variable], posterior[variable])
    }
    shown = dict(list(drawn.items())[:MOST_PRIORS])
    figure, axes = grid_figure(len(shown), height=1.7, width=2.0)
    for axis, (name, (before, after)) in zip(axes, shown.items(), strict=True):
        _draw_prior(axis, name, before, after)
    handles, texts = axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, fontsize=8, frameon=False, loc="outside upper center", ncols=2)
    words = "; ".join(f"{name}: {_narrowing(before, after)}" for name, (before, after) in shown.items())
    more = f" {len(drawn) - len(shown)} more parameters are not shown." if len(drawn) > len(shown) else ""
    return Picture(
        figure,
        f"Prior and posterior of {len(shown)} parameters, distance of quartiles over the prior's. {words}.{more}",
    )


def plot_compare(comparison: "Comparison") -> Picture:
    """Draw each model's expected log predictive density with its standard error, and its distance to the best.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    Picture
        `figure`: one row for each model, the best on top: elpd and one standard error; below it, in another colour, the
        difference to the best with the standard error of the difference, drawn from the best's elpd. `alt`: the same in
        numbers.
    """
    table = comparison.table.iloc[::-1]
    figure, axis = rows_figure(2 * len(table))
    places = np.arange(len(table))
    axis.errorbar(table["elpd"], places, xerr=table["se"], fmt="o", color=ESTIMATE, label="elpd ± SE")
    best, others = float(comparison.table["elpd"].iloc[0]), table["elpd_diff"] != 0
    if others.any():
        # From the best's elpd, so that the bar shows whether the difference could be none.
        axis.errorbar(
            (best + table["elpd_diff"])[others],
            places[others] - 0.25,
            xerr=table["dse"][others],
            fmt="D",
            markersize=4,
            color=TRUTH,
            label="difference to the best ± SE",
        )
    axis.axvline(best, color=LINE, linewidth=0.8, linestyle="--")
    label_rows(axis, list(table.index))
    axis.set_xlabel("expected log predictive density\nof left-out rows (higher is better)")
    axis.legend(fontsize=7, frameon=False, loc="best")
    bare(axis)
    words = "; ".join(
        f"{name} {row['elpd']:.1f} (SE {row['se']:.1f}), {abs(row['elpd_diff']):.1f} below the best "
        f"(SE {row['dse']:.1f})"
        for name, row in comparison.table.iterrows()
    )
    return Picture(figure, f"Models by expected log predictive density: {words}.")


def plot_pareto_k(estimate: Any, name: str = "") -> Picture:
    """Draw each row's Pareto k, which says how far leave-one-out can be trusted.

    Parameters
    ----------
    estimate : Fit or arviz.ELPDData
        A fit, of which `loo` is taken, or what `loo` returned.
    name : str
        The model's name, for the title.

    Returns
    -------
    Picture
        `figure`: k by row, with the limit; rows above it stand out, and one whose k is infinite is drawn at the top.
        `alt`: how many rows are above.

    Raises
    ------
    ComparisonError
        As `loo`; or the estimate has no Pareto k, as one by k-fold.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.plot_pareto_k(fit).alt[:21]  # fit: 180 rows
    'Pareto k of 180 rows:'
    """
    from matplotlib.figure import Figure

    if isinstance(estimate, Fit | PointFit):
        estimate = loo(cast(Fit, estimate))  # of a PointFit it says what is lacking
    if estimate.pareto_k is None:
        raise ComparisonError(
            "the estimate has no Pareto k.",
            "Pareto k is that of leave-one-out by importance sampling; folds that were fitted again need none.",
            "Write sf.plot_pareto_k(fit), or give what sf.loo returned.",
        )
    k, limit = np.asarray(estimate.pareto_k, dtype=float), float(estimate.good_k)
    top = max(1.1 * limit, float(np.max(k[np.isfinite(k)], initial=0.0)) * 1.05)
    high = ~(k <= limit)
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(k))
    axis.plot(rows[~high], k[~high], ".", color=ESTIMATE, markersize=3, label=f"{int((~high).sum()):,} rows below")
    if high.any():
        shown = np.where(np.isfinite(k[high]), k[high], top)
        axis.plot(rows[high], shown, "D", color=TRUTH, markersize=4, label=f"{int(high.sum()):,} rows above")
    axis.axhline(limit, color=LINE, linewidth=1, linestyle="--")
    axis.set_xlabel("row, in the data's order")
    axis.set_ylabel("Pareto k")
    if name:
        axis.set_title(plain(name), fontsize=9)
    axis.legend(fontsize=7, frameon=False, loc="upper right")
    bare(axis)
    of = f" of {name}" if name else ""
    return Picture(figure, f"Pareto k of {len(k):,} rows{of}: {int(high.sum()):,} above the limit of {limit:.2f}.")


def _component(group: str, term: Any) -> str:
    """Name a standard deviation."""
    named = isinstance(term, str) and term not in ("", "Intercept")
    return f"{group} ({term})" if named else str(group)


def _elements(name: str, prior: Any, posterior: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return each element's draws under its label."""
    dims = [dim for dim in prior.dims if dim not in ("chain", "draw")]
    if not dims:
        return [(name, prior.values, posterior.values)]
    return [
        (f"{name}[{label}]", prior.isel({dims[0]: place}).values, posterior.isel({dims[0]: place}).values)
        for place, label in enumerate(prior[dims[0]].values)
    ]


def _draw_prior(axis: "Axes", name: str, before: np.ndarray, after: np.ndarray) -> None:
    """Draw one parameter's two densities as histograms of the same bins."""
    centre, spread = float(np.mean(after)), float(np.std(after)) or 1.0
    wide = float(np.quantile(np.abs(before - np.median(before)), 0.9))
    reach = max(SPREAD * spread, min(wide, 25 * spread))
    lowest = 0.0 if before.min() >= 0 else -np.inf
    bins = np.linspace(max(centre - reach, lowest), centre + reach, 61)
    for values, colour, style, text in ((before, TRUTH, "--", "prior"), (after, ESTIMATE, "-", "posterior")):
        share = np.histogram(values, bins)[0] / (len(values) * (bins[1] - bins[0]))
        axis.stairs(share, bins, color=colour, linestyle=style, linewidth=1.3, label=text)
    axis.set_title(plain(name), fontsize=8)
    axis.set_yticks([])
    axis.tick_params(axis="x", labelsize=7)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _narrowing(before: np.ndarray, after: np.ndarray) -> str:
    """Compare the distances of the quartiles: a prior with heavy tails has no SD."""
    prior, posterior = (float(np.subtract(*np.quantile(values, [0.75, 0.25]))) for values in (before, after))
    return f"{posterior / prior:.2g}" if prior > 0 else "unknown"
