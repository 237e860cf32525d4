"""Pictures of influence: how much rows and levels move the fixed effects."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speclet_formula.comparison.influence import Influence
from speclet_formula.errors import DataError
from speclet_formula.reporting.plots.picture import (
    CYCLE,
    ESTIMATE,
    LINE,
    MANY_LEVELS,
    MARKS,
    ROW,
    Picture,
    counted,
    grid_figure,
    label_rows,
    legend_below,
    points,
    short,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 3  # rows that are named beside their lines


def plot_influence(influence: Influence) -> Picture:
    """Draw how much each row, and each level that was left out, moves the fixed effects.

    Parameters
    ----------
    influence : Influence
        From the function `influence`.

    Returns
    -------
    Picture
        `figure`: Cook's distance of each row, the three largest with their row's place in the table; of levels the
        change of each fixed effect without the level over its standard error (`dfbetas`), by level, the most
        influential on top. `alt`: which are the largest.

    Raises
    ------
    DataError
        No Cook's distance is known, and no level was left out.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml")
    >>> len(sf.plot_influence(sf.influence(fit, "gene")).figure.axes)
    2
    """
    distances, levels = influence.rows["cooks_distance"], influence.levels
    has_rows, has_levels = bool(distances.notna().any()), len(levels) > 0
    if not has_rows and not has_levels:
        raise DataError(
            "no Cook's distance is known, and no level was left out.",
            "The variance of this family has no short form, so that rows have no leverage.",
            "Leave levels out: influence(fit, 'group').",
        )
    height = max(2.6, 1.2 + ROW * min(len(levels), MANY_LEVELS)) if has_levels else 2.6
    figure, axes = grid_figure(has_rows + has_levels, height=height, width=3.6)
    if has_rows:
        draw_distances(axes[0], distances)
    if has_levels:
        _draw_changes(axes[-1], influence)
        legend_below(figure, axes)
    return Picture(figure, " ".join([influence.sheet().title + ".", *influence.sheet().head]))


def draw_distances(axis: "Axes", distances: pd.Series) -> None:
    """Draw Cook's distance of each row as a line, the largest named."""
    axis.vlines(np.arange(len(distances)), 0, distances, color=ESTIMATE, linewidth=0.9)
    for row in distances.nlargest(NAMED).index:
        place = distances.index.get_loc(row)
        axis.annotate(str(row), (place, distances[row]), fontsize=7, ha="center", va="bottom")
    axis.set(xlabel="row", ylabel="Cook's distance", ylim=(0, 1.15 * float(distances.max())))
    title(axis, "Influence on the fixed effects")


def _draw_changes(axis: "Axes", found: Influence) -> None:
    """Draw the changes of the fixed effects without each level, over their standard errors."""
    order = found.levels.sort_values("cooks_distance", kind="stable")["level"].tolist()
    places = {level: place for place, level in enumerate(order)}
    axis.axvline(0, color=LINE, linewidth=1)
    for number, (term, rows) in enumerate(found.changes.groupby("term", sort=False)):
        if number < len(MARKS):
            points(
                axis, rows["dfbetas"], rows["level"].map(places), colour=CYCLE[number], marker=MARKS[number], size=4,
                label=short(term),
            )  # fmt: skip
    label_rows(axis, order)
    group = str(found.levels["group"].iloc[0])
    axis.set_ylabel(counted(group, len(order)))
    axis.set_xlabel("change without the level,\nin standard errors")
    title(axis, f"Without each {group}")
