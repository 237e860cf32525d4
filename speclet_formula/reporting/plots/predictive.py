"""A predictive check goes in; a picture of the observed response among the replicates comes out."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.checks.predictive import Predictive, check_of_rows, describe_check
from speclet_formula.design.tables import in_row_order
from speclet_formula.errors import DataError
from speclet_formula.reporting.plots.pictures import ESTIMATE, TRUTH, WIDTH, Picture, bare, grid_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 12
MOST_VALUES = 60  # different values of a count that get a bar each
MOST_LINES = 50  # replicates that are drawn as lines
TAIL = 0.01  # share of the replicates' values on either side that may lie outside of the picture


def plot_predictive(check: Predictive, *, group: Any = None) -> Picture:
    """Draw the observed response among those that the model makes.

    Parameters
    ----------
    check : Predictive
        From `prior_predictive` or `posterior_predictive`.
    group : array of shape (n,), optional
        A label for each row that the model uses, such as `data["cell_line"]`: a panel for each level, at most 12. A
        pandas Series is matched by its index, so that it may have the labels of other rows too.

    Returns
    -------
    Picture
        `figure`: for real numbers the cumulative shares of the observed response and of up to 50 replicates; for counts
        a hanging rootogram: bars of the square root of the observed numbers hang from the replicates' mean, with their
        90 % range, so that a bar that does not end at zero shows a misfit. `alt`: which of mean, SD, smallest and
        largest value the replicates do not reach, by level where there are groups.

    Raises
    ------
    DataError
        There is not one label for each row, one is missing, or there are more than 12 levels.

    References
    ----------
    Rootograms: Kleiber and Zeileis (2016), doi:10.1080/00031305.2016.1173590.
    """
    from matplotlib.figure import Figure

    if group is None:
        parts = {"": check}
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = [figure.subplots()]
    else:
        parts = _by_level(check, group)
        figure, axes = grid_figure(len(parts), height=2.4)
    for axis, (level, part) in zip(axes, parts.items(), strict=True):
        _panel(axis, part, plain(level) if level else f"{check.kind} predictive check")
    axes[0].legend(fontsize=7, frameon=False, loc="best")
    n = len(check.replicates)
    found = [describe_check(check), *(f"{level}: {describe_check(part)}" for level, part in parts.items() if level)]
    return Picture(
        figure,
        f"{check.kind.capitalize()} predictive check: the observed {check.response} among {n:,} replicates. "
        f"{' '.join(found)}",
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


def _panel(axis: "Axes", check: Predictive, title: str) -> None:
    if check.discrete:
        _rootogram(axis, check)
    else:
        _shares(axis, check)
    axis.set_xlabel(plain(check.response))
    axis.set_title(title, fontsize=9)
    bare(axis)


def _shares(axis: "Axes", check: Predictive) -> None:
    """Draw cumulative shares, which need no choice of a bandwidth."""
    share = (np.arange(len(check.observed)) + 1) / len(check.observed)
    drawn = check.replicates[
        np.linspace(0, len(check.replicates) - 1, min(len(check.replicates), MOST_LINES)).astype(int)
    ]
    for place, values in enumerate(drawn):
        axis.step(
            np.sort(values),
            share,
            color=ESTIMATE,
            linewidth=0.6,
            alpha=0.35,
            label="replicates" if place == 0 else None,
        )
    axis.step(np.sort(check.observed), share, color=TRUTH, linewidth=1.8, label="observed")
    lo, hi = np.quantile(drawn, (TAIL, 1 - TAIL))
    lo, hi = min(lo, check.observed.min()), max(hi, check.observed.max())
    axis.set_xlim(lo - 0.03 * (hi - lo), hi + 0.03 * (hi - lo))
    axis.set_ylabel("share of rows at or below")


def _rootogram(axis: "Axes", check: Predictive) -> None:
    """Hang the observed bars from the expected ones, on the scale of square roots."""
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
    axis.plot(middles, expected, "o-", color=TRUTH, markersize=3, linewidth=1, label="replicates, mean")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_ylabel("square root of the number of rows" + (f" (in steps of {step})" if step > 1 else ""))
