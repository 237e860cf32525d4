"""The picture of a screen's plan: the power of each design, a panel for each effect."""

import numpy as np

from speclet_formula.reporting.plots.picture import (
    CYCLE,
    LINE,
    MARKS,
    PANELS_IN_A_ROW,
    Picture,
    grid_figure,
    legend_below,
    title,
)
from speclet_formula.screens.plan import ENOUGH, ScreenPlan

_MOST_EFFECTS = 2 * PANELS_IN_A_ROW


def plot_plan(plan: ScreenPlan) -> Picture:
    """Draw the power of each design.

    Parameters
    ----------
    plan : ScreenPlan
        Of `plan_screen`.

    Returns
    -------
    Picture
        `figure`: a panel for each effect (the first six), power against the number of replicates, a curve for each
        number of guides and of lines; the power of 80 % is dashed, and what simulated screens gave are marks with bars
        of two standard errors. `alt`: the plan's sentences.
    """
    effects = list(dict.fromkeys(plan.table["effect"]))[:_MOST_EFFECTS]
    figure, axes = grid_figure(len(effects), height=3.0, width=3.2)
    several = plan.table["lines"].nunique() > 1
    for axis, effect in zip(axes, effects, strict=True):
        rows = plan.table[plan.table["effect"] == effect]
        axis.axhline(ENOUGH, color=LINE, linewidth=0.8, linestyle="--")
        for place, ((guides, lines), part) in enumerate(rows.groupby(["guides", "lines"], sort=False)):
            curve = part.sort_values("replicates")
            label = f"{guides} guides" + (f", {lines} line{'s' if lines > 1 else ''}" if several else "")
            colour, mark = CYCLE[place % len(CYCLE)], MARKS[place % len(MARKS)]
            simulated = "sim_power" in curve
            axis.plot(curve["replicates"], curve["power"], color=colour, marker=None if simulated else mark,
                      markersize=5, label=label)  # fmt: skip
            if simulated:
                error = 2 * np.nan_to_num(curve["sim_power_se"].to_numpy(dtype=float))
                axis.errorbar(curve["replicates"], curve["sim_power"], yerr=error, color=colour, marker=mark,
                              markersize=4.5, linestyle="none", linewidth=1)  # fmt: skip
        axis.set(ylim=(-0.03, 1.03), xlabel="replicates", ylabel="power")
        axis.set_xticks(sorted(set(plan.table["replicates"])))
        title(axis, f"effect {effect:g}")
    legend_below(figure, axes)
    return Picture(figure, " ".join(plan.sentences))
