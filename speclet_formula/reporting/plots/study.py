"""Pictures of simulation studies: bias and coverage of each parameter, and ranks beside those of uniform numbers."""

from typing import TYPE_CHECKING

import numpy as np

from speclet_formula.errors import DataError, some_of
from speclet_formula.reporting.plots.picture import (
    ESTIMATE,
    LINE,
    MANY_LEVELS,
    ROW,
    TRUTH,
    WIDTH,
    Picture,
    grid_figure,
    intervals,
    label_rows,
    legend_below,
    points,
    single_figure,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from speclet_formula.studies import Calibration, Study

TWO_SDS = 1.96


def plot_study(study: "Study") -> Picture:
    """Draw how far off estimates are on average, and how often intervals hold the truth.

    Parameters
    ----------
    study : Study
        As from `study` or `power`.

    Returns
    -------
    Picture
        `figure`: one row for each parameter, and design; on the left the bias in posterior SDs with twice its Monte
        Carlo error, on the right the share of 90 % intervals that hold the truth, with the 99 % range that chance
        allows; what lies outside stands out. `alt`: how many parameters are covered as often as they should be.

    Raises
    ------
    DataError
        No data set was fitted.
    """
    table = study.table[np.isfinite(study.table["cover90"].astype(float))].iloc[::-1].reset_index(drop=True)
    if table.empty:
        raise DataError(
            "the study has no parameter to draw.",
            "A picture shows parameters of data sets that were fitted.",
            "study.data_sets has the reasons of those that failed.",
        )
    names = [", ".join(map(str, row)) for row in table[["parameter", *study.designs]].itertuples(index=False)]
    figure, (left, right) = grid_figure(2, height=0.8 + ROW * min(max(len(table), 2), MANY_LEVELS), width=4.2)
    left.axvline(0, color=LINE, linewidth=0.8)
    bias, error = table["bias"] / table["mean_sd"], TWO_SDS * table["bias_se"] / table["mean_sd"]
    intervals(left, bias, table.index, (bias - error, bias + error), colour=ESTIMATE)
    left.set_xlabel("bias in posterior SDs, ± twice its Monte Carlo error")
    right.axvline(0.9, color=LINE, linewidth=1, linestyle="--")
    right.hlines(
        table.index, table["cover90_lo"], table["cover90_hi"], color=LINE, linewidth=7, alpha=0.35, label="chance, 99 %"
    )
    inside = ((table["cover90_lo"] <= table["cover90"]) & (table["cover90"] <= table["cover90_hi"])).to_numpy()
    for mask, colour, marker, text in ((inside, ESTIMATE, "o", "inside"), (~inside, TRUTH, "D", "outside")):
        if mask.any():
            points(right, table["cover90"][mask], table.index[mask], colour=colour, marker=marker, label=text)
    right.set_xlabel("share of 90 % intervals that hold the truth")
    label_rows(left, names)
    label_rows(right, [""] * len(names))
    left.set_ylabel("" if len(names) <= MANY_LEVELS else f"{len(names):,} parameters")
    legend_below(figure, [left, right])
    outside = [name for name, is_inside in zip(names, inside, strict=True) if not is_inside]
    words = f" Outside: {some_of(outside)}." if outside else ""
    return Picture(
        figure,
        f"Bias and coverage of {len(names):,} parameters in {study.n_sims:,} data sets of {study.formula}. "
        f"{int(inside.sum()):,} have 90 % intervals that hold the truth as often as chance allows.{words}",
    )


def plot_calibration(calibration: "Calibration", *, ax: "Axes | None" = None) -> Picture:
    """Draw the ranks of the true values among the draws against those of uniform numbers.

    Parameters
    ----------
    calibration : Calibration
        As from `calibrate`.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: for each quantity the share of ranks at or below each share of the draws, less that share, which is 0
        where posteriors are right, with the band in which it stays by chance; quantities that leave it stand out.
        `alt`: how many quantities stay inside.

    References
    ----------
    Säilynoja, Bürkner and Vehtari (2022), doi:10.1007/s11222-022-10090-6.
    """
    import seaborn

    frame, table = calibration.ecdf, calibration.table.dropna(subset=["gap"])
    outside = table.loc[~table["inside"].astype(bool), "parameter"].astype(str).tolist()
    figure, axis = single_figure(WIDTH, 3.4, ax=ax)
    band = frame.drop_duplicates("share").sort_values("share")
    axis.fill_between(
        band["share"], band["lower"] - band["share"], band["upper"] - band["share"], color=LINE, alpha=0.25,
        linewidth=0, label=f"chance, {100 * calibration.level:g} %",
    )  # fmt: skip
    axis.axhline(0, color=LINE, linewidth=0.8)
    left = frame["parameter"].isin(outside)
    for rows, colour, text in ((frame[~left], ESTIMATE, "inside"), (frame[left], TRUTH, "outside")):
        if len(rows):
            seaborn.lineplot(
                rows,
                x="share",
                y="difference",
                units="parameter",
                estimator=None,
                color=colour,
                linewidth=1,
                legend=False,
                ax=axis,
            )
            axis.lines[-1].set_label(text)
    axis.set(xlabel="rank of the truth, as a share of the draws", ylabel="share of ranks at or below, less that")
    title(axis, f"{calibration.n_sims:,} data sets")
    legend_below(figure, [axis])
    words = f" Outside: {some_of(outside)}." if outside else ""
    return Picture(
        figure,
        f"Ranks of {len(table):,} quantities in {calibration.n_sims:,} data sets of {calibration.formula}: "
        f"{len(table) - len(outside):,} stay inside the band of uniform ranks.{words}",
    )
