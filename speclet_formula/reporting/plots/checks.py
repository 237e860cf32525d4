"""Pictures that check a model: replicates beside the observed response, residuals, priors beside the posterior."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.design.tables import in_row_order
from speclet_formula.errors import DataError, nearest
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import draws_in, draws_of
from speclet_formula.prediction import fitted, residuals
from speclet_formula.prediction.predictive import (
    TITLES,
    Predictive,
    check_of_rows,
    describe_check,
    of_levels,
    statistic_of,
)
from speclet_formula.reporting.plots.picture import (
    ESTIMATE,
    LINE,
    MANY_ROWS,
    TRUTH,
    WIDTH,
    Picture,
    counted,
    grid_figure,
    label_rows,
    legend_below,
    plain,
    points,
    short,
    single_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 12
MOST_VALUES = 60  # different values of a count that get a bar each
MOST_BARS = 25  # of a statistic's distribution
MOST_LINES = 50  # replicates that are drawn as lines
TAIL = 0.01  # share of the replicates' values on either side that may lie outside of the picture
MOST_LABELS = 20  # levels that have a label beside a panel
TWO_SDS = 2  # a standard normal number lies beyond them in 4.6 % of rows
EXPECTED_BEYOND = 4.6  # per cent, of a standard normal number
MOST_PRIORS = 12  # panels of parameters
PRIOR_DRAWS = 4000
SPREAD = 6.0  # posterior SDs on either side that a panel shows at least


def plot_predictive(check: Predictive, *, statistic: str | None = None, group: Any = None) -> Picture:
    """Draw the observed response among those that the model makes.

    Parameters
    ----------
    check : Predictive
        From `prior_predictive` or `posterior_predictive`.
    statistic : str, optional
        One of the check's statistics, "mean", "share of zeros", or one of your own: instead of the responses its
        values among the replicates are drawn, and the observed one.
    group : array of shape (n,), optional
        A label for each row that the model uses, such as `data["cell_line"]`: a panel for each level, at most 12. A
        pandas Series is matched by its index, so that it may have the labels of other rows too.

    Returns
    -------
    Picture
        `figure`: for real numbers the cumulative shares of the observed response and of up to 50 replicates; for counts
        a hanging rootogram: bars of the square root of the observed numbers hang from the replicates' mean, with their
        90 % range, so that a bar that does not end at zero shows a misfit; for unordered levels the share of each on
        the replicates' 90 % range. `alt`: which of mean, SD, smallest and
        largest value the replicates do not reach, by level where there are groups.

    Raises
    ------
    DataError
        There is not one label for each row, one is missing, there are more than 12 levels, or the check has no such
        statistic.

    References
    ----------
    Rootograms: Kleiber and Zeileis (2016), doi:10.1080/00031305.2016.1173590.
    """
    if group is None:
        parts = {"": check}
        figure, axis = single_figure(WIDTH, 3.2)
        axes = [axis]
    else:
        parts = _by_level(check, group)
        figure, axes = grid_figure(len(parts), height=2.4)
    for axis, (level, part) in zip(axes, parts.items(), strict=True):
        predictive_panel(axis, part, short(level) if level else TITLES[check.kind], statistic)
    legend_below(figure, axes)
    n = len(check.replicates)
    found = [describe_check(check), *(f"{level}: {describe_check(part)}" for level, part in parts.items() if level)]
    return Picture(
        figure,
        f"{TITLES[check.kind]}: the observed {check.response} among {n:,} replicates. {' '.join(found)}",
    )


def _by_level(check: Predictive, group: Any) -> dict[str, Predictive]:
    """Part a check by the labels of its rows; levels in the analyst's order."""
    if check.index is not None:
        group = in_row_order(group, check.index, "group")
    labels = group.reset_index(drop=True) if isinstance(group, pd.Series) else pd.Series(list(group))
    if len(labels) != len(check.observed) or labels.isna().any():
        raise DataError(
            f"group= has {int(labels.notna().sum()):,} labels for {len(check.observed):,} rows.",
            "Each row that the model uses has one.",
            "Give a column of the table, without the rows that were dropped: group=data['cell_line'].",
        )
    if not isinstance(labels.dtype, pd.CategoricalDtype):
        labels = pd.Series(pd.Categorical(labels, categories=labels.unique()))
    levels = [level for level in labels.cat.categories if (labels == level).any()]
    if len(levels) > MOST_PANELS:
        raise DataError(
            f"group= has {len(levels):,} levels, too many to look at.",
            f"There are up to {MOST_PANELS} panels, one for each level.",
            "Choose a factor with fewer levels, or merge some.",
        )
    places = {str(level): np.flatnonzero(labels == level) for level in levels}
    return {level: check_of_rows(check, rows) for level, rows in places.items()}


def predictive_panel(axis: "Axes", check: Predictive, name: str, statistic: str | None = None) -> None:
    """Draw the observed response among the replicates, or one of its statistics."""
    if statistic is not None:
        _statistic(axis, check, statistic)
    elif check.levels:
        _level_shares(axis, check)
    elif check.discrete:
        _rootogram(axis, check)
    else:
        _shares(axis, check)
    of = statistic or ("share" if check.levels else "")
    axis.set_xlabel(plain(f"{of} of {check.response}" if of else check.response))
    axis.set_title(name, fontsize=9)


def _statistic(axis: "Axes", check: Predictive, name: str) -> None:
    """Draw a statistic of the replicates as bars, with a line at that of the observed response."""
    import seaborn

    seen, drawn = statistic_of(check, name)
    values = len(np.unique(drawn))
    if values > 1:
        bins = np.linspace(drawn.min(), drawn.max(), min(values, MOST_BARS) + 1).tolist()
        seaborn.histplot(x=drawn, bins=bins, color=ESTIMATE, alpha=0.5, edgecolor="white", label="replicates", ax=axis)
    else:  # all replicates agree
        axis.axvline(drawn[0], color=ESTIMATE, linewidth=5, alpha=0.5, label="replicates")
    axis.axvline(seen, color=TRUTH, linewidth=1.8, label="observed")
    axis.set_ylabel("replicates")


def _shares(axis: "Axes", check: Predictive) -> None:
    """Draw cumulative shares, which need no choice of a bandwidth."""
    import seaborn

    n = min(len(check.replicates), MOST_LINES)
    drawn = check.replicates[np.linspace(0, len(check.replicates) - 1, n).astype(int)]
    frame = pd.DataFrame({"value": drawn.ravel(), "replicate": np.repeat(np.arange(n), drawn.shape[1])})
    seaborn.ecdfplot(
        frame, x="value", hue="replicate", palette=[ESTIMATE] * n, linewidth=0.6, alpha=0.35, legend=False, ax=axis
    )
    axis.lines[-1].set_label("replicates")
    seaborn.ecdfplot(x=check.observed, color=TRUTH, linewidth=1.8, label="observed", ax=axis)
    lo, hi = np.quantile(drawn, (TAIL, 1 - TAIL))
    lo, hi = min(lo, check.observed.min()), max(hi, check.observed.max())
    axis.set_xlim(lo - 0.03 * (hi - lo), hi + 0.03 * (hi - lo))
    axis.set_ylabel("share of rows at or below")


def _level_shares(axis: "Axes", check: Predictive) -> None:
    """Draw the observed share of each level on the middle 90 % of the replicates' shares."""
    shares = of_levels(check.levels).values()
    observed = np.array([share(check.observed) for share in shares])
    drawn = np.array([[share(response) for share in shares] for response in check.replicates])
    places = np.arange(len(observed))
    low, middle, high = np.quantile(drawn, (0.05, 0.5, 0.95), axis=0)
    axis.hlines(places, low, high, color=ESTIMATE, linewidth=5, alpha=0.35, label="replicates, middle 90 %")
    points(axis, middle, places, colour=ESTIMATE, marker="|", size=9, linewidth=2, label="replicates, median")
    points(axis, observed, places, colour=TRUTH, size=4, label="observed")
    label_rows(axis, list(check.levels), most=MOST_LABELS)


def _rootogram(axis: "Axes", check: Predictive) -> None:
    """Hang the observed bars from the expected ones, on the scale of square roots."""
    import seaborn

    top = int(max(check.observed.max(), np.quantile(check.replicates, 1 - TAIL)))
    step = max(1, -(-(top + 1) // MOST_VALUES))
    edges = np.arange(0, top + step + 1, step) - 0.5
    observed = np.sqrt(np.histogram(check.observed, edges)[0])
    drawn = np.sqrt([np.histogram(values, edges)[0] for values in check.replicates])
    expected, (lo, hi) = drawn.mean(axis=0), np.quantile(drawn, (0.05, 0.95), axis=0)
    middles = edges[:-1] + step / 2
    axis.bar(
        middles, -observed, bottom=expected, width=0.8 * step, color=ESTIMATE, alpha=0.5, label="observed, hanging"
    )
    axis.fill_between(middles, lo, hi, color=TRUTH, alpha=0.2, step="mid", label="replicates, middle 90 %")
    seaborn.lineplot(
        x=middles, y=expected, color=TRUTH, marker="o", markersize=3, markeredgewidth=0, linewidth=1,
        label="replicates, mean", legend=False, ax=axis,
    )  # fmt: skip
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_ylabel("square root of the\nnumber of rows" + (f", in steps of {step}" if step > 1 else ""))


if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from speclet_formula.posterior import Fit, PointFit


def plot_residuals(fit: "Fit | PointFit", group: str | None = None, *, random_seed: int | None = 0) -> Picture:
    """Draw the residuals against the fitted means, and their quantiles against those of a normal distribution.

    Parameters
    ----------
    fit : Fit or PointFit
        Not of an ordinal, censored or truncated response.
    group : str, optional
        A column of the model's table: a further panel shows the quantile residuals of each of its values, by their
        median.
    random_seed : int, optional
        Of the quantile residuals.

    Returns
    -------
    Picture
        `figure`: residuals (`residuals(fit)`, on the response's scale) against `fitted(fit)`; quantile residuals
        (`residuals(fit, "quantile")`), sorted, against normal quantiles, on the line if the model holds whatever its
        family; with `group` those by its values. `alt`: how many quantile residuals lie beyond 2 SDs, and which is the
        largest.

    Raises
    ------
    EstimateError
        As `residuals`.
    DataError
        The table has no column `group`, or the response is ordinal.

    References
    ----------
    Dunn and Smyth (1996), doi:10.1080/10618600.1996.10474708.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml")
    >>> len(sf.plot_residuals(fit, "cell_line").figure.axes)
    3
    """
    levels = None if group is None else _column(fit, group)
    if fit.model.design.levels:
        raise DataError(
            f"{'a' if fit.model.design.is_per_level else 'an ordinal'} response"
            f"{' of levels' if fit.model.design.is_per_level else ''} has no fitted mean to draw residuals against.",
            "plot_residuals shows a response of numbers.",
            "Compare the shares of its levels with sf.posterior_predictive(fit)."
            if fit.model.design.is_per_level
            else "Its quantile residuals are sf.residuals(fit, 'quantile').",
        )
    plain_residuals = residuals(fit)
    quantiles = residuals(fit, "quantile", random_seed=random_seed)
    figure, axes = grid_figure(2 if levels is None else 3)
    _against_fitted(
        axes[0], fitted(fit)["estimate"].to_numpy(), plain_residuals.to_numpy(), fit.model.design.response_name
    )
    draw_normal_quantiles(axes[1], quantiles.to_numpy())
    if levels is not None:
        _residuals_by_level(axes[2], quantiles, levels)
    return Picture(figure, _words(quantiles))


def _column(fit: "Fit | PointFit", group: str) -> pd.Series:
    """Return a column's values in the rows that were fitted."""
    data = fit.model.data
    if group not in data.columns:
        near = nearest(str(group), map(str, data.columns))
        raise DataError(
            f"the model's table has no column '{group}'.",
            f"Its columns: {', '.join(map(str, data.columns))}.",
            f"Nearest: '{near}'." if near else "Leave group= out.",
        )
    return data[group].iloc[fit.model.design.rows]


def _against_fitted(axis: "Axes", means: Any, left: Any, response: str) -> None:
    axis.axhline(0, color=LINE, linewidth=1)
    points(axis, means, left, colour=ESTIMATE, size=3, alpha=0.6, rasterized=len(left) > MANY_ROWS)
    axis.set_xlabel(plain(f"fitted mean of {response}"))
    axis.set_ylabel(plain(f"residual of {response}"))


def draw_normal_quantiles(axis: "Axes", quantiles: Any, *, through_quartiles: bool = False) -> None:
    """Draw sorted numbers against standard normal quantiles, with the line on which they lie if they are normal.

    The line is that of mean 0 and SD 1, or it goes through the quartiles, whatever mean and SD are.
    """
    from scipy.special import ndtri

    expected = ndtri((np.arange(len(quantiles)) + 0.5) / len(quantiles))
    reach, line = expected[[0, -1]], expected[[0, -1]]
    if through_quartiles:
        low, high = np.quantile(quantiles, [0.25, 0.75])
        line = (low + high) / 2 + reach * (high - low) / (2 * ndtri(0.75))
    axis.plot(reach, line, color=LINE, linewidth=1)
    points(
        axis, expected, np.sort(quantiles), colour=ESTIMATE, size=3, alpha=0.6, rasterized=len(quantiles) > MANY_ROWS
    )
    axis.set_xlabel("standard normal quantile")
    axis.set_ylabel("quantile residual, in SDs")


def _residuals_by_level(axis: "Axes", quantiles: pd.Series, levels: pd.Series) -> None:
    import seaborn

    frame = pd.DataFrame({"residual": quantiles.to_numpy(), "level": levels.astype(object).to_numpy()})
    medians = frame.groupby("level", sort=False)["residual"].median().sort_values(kind="stable")
    places = {level: place for place, level in enumerate(medians.index)}
    axis.axvline(0, color=LINE, linewidth=1)
    seaborn.stripplot(
        x=frame["residual"], y=frame["level"].map(places), order=range(len(places)), orient="h", jitter=False,
        color=ESTIMATE, size=3, alpha=0.4, ax=axis,
    )  # fmt: skip
    points(axis, medians, range(len(places)), colour=TRUTH, marker="|", size=9, linewidth=2)
    label_rows(axis, list(places), most=MOST_LABELS)
    axis.set_ylabel(counted(levels.name, len(places), most=MOST_LABELS))
    axis.set_xlabel("quantile residual, median")


def _words(quantiles: pd.Series) -> str:
    """Say what the picture shows."""
    beyond = int((quantiles.abs() > TWO_SDS).sum())
    largest = quantiles.abs().idxmax()
    return (
        f"Residuals of {len(quantiles):,} rows. Quantile residuals beyond {TWO_SDS} SDs: {beyond:,} "
        f"({100 * beyond / len(quantiles):.1f} %, where {EXPECTED_BEYOND:.1f} % are expected). The largest: "
        f"{quantiles[largest]:.2f} in row {largest}."
    )


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
    from speclet_formula.posterior.prior_draws import prior_draws

    prior, posterior = draws_in(prior_draws(fit.model, PRIOR_DRAWS, random_seed=random_seed)), draws_of(fit)
    effects = fit.model.design.effect_variables
    drawn = {
        name: (before, after)
        for variable in prior.names
        if variable not in effects
        for name, before, after in zip(
            prior.elements(variable), prior.variable(variable).T, posterior.variable(variable).T, strict=True
        )
    }
    shown = dict(list(drawn.items())[:MOST_PRIORS])
    figure, axes = grid_figure(len(shown), height=1.7, width=2.0)
    for axis, (name, (before, after)) in zip(axes, shown.items(), strict=True):
        _draw_prior(axis, name, before, after)
    legend_below(figure, axes)
    words = "; ".join(f"{name}: {_narrowing(before, after)}" for name, (before, after) in shown.items())
    more = f" {len(drawn) - len(shown)} more parameters are not shown." if len(drawn) > len(shown) else ""
    return Picture(
        figure,
        f"Prior and posterior of {len(shown)} parameters, distance of quartiles over the prior's. {words}.{more}",
    )


def _draw_prior(axis: "Axes", name: str, before: np.ndarray, after: np.ndarray) -> None:
    """Draw one parameter's two densities as histograms of the same bins."""
    import seaborn

    centre, spread = float(np.mean(after)), float(np.std(after)) or 1.0
    wide = float(np.quantile(np.abs(before - np.median(before)), 0.9))
    reach = max(SPREAD * spread, min(wide, 25 * spread))
    lowest = 0.0 if before.min() >= 0 else -np.inf
    bins = np.linspace(max(centre - reach, lowest), centre + reach, 61)
    for values, colour, style, text in ((before, TRUTH, "--", "prior"), (after, ESTIMATE, "-", "posterior")):
        weights = np.full(len(values), 1 / (len(values) * (bins[1] - bins[0])))
        seaborn.histplot(
            x=values, bins=bins.tolist(), weights=weights, element="step", fill=False, color=colour, linestyle=style,
            linewidth=1.3, label=text, ax=axis,
        )  # fmt: skip
    axis.set_title(short(name), fontsize=8)
    axis.set(yticks=[], xlabel="", ylabel="")
    axis.tick_params(axis="x", labelsize=7)
    axis.spines["left"].set_visible(False)


def _narrowing(before: np.ndarray, after: np.ndarray) -> str:
    """Compare the distances of the quartiles: a prior with heavy tails has no SD."""
    prior, posterior = (float(np.subtract(*np.quantile(values, [0.75, 0.25]))) for values in (before, after))
    return f"{posterior / prior:.2g}" if prior > 0 else "unknown"
