"""The picture of called genes: effects by class of control, and the stated rate of false calls beside the controls'."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speclet_formula.reporting.plots.picture import ESTIMATE, LINE, TRUTH, Picture, grid_figure, legend, title
from speclet_formula.screens.calls import GeneCalls

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 60
_WIDEST = 0.3  # the largest rate that is shown
_CLASSES = (("other", "#9A9A9A", "-"), ("nonessential", ESTIMATE, "-"), ("essential", TRUTH, "--"))


def plot_calls(calls: GeneCalls) -> Picture:
    """Draw the effects of called genes, and whether the stated rates are those of the controls.

    Parameters
    ----------
    calls : GeneCalls
        Of `call_genes`.

    Returns
    -------
    Picture
        `figure`: the distribution of estimated effects by class of control, with the limit that a call has to exceed;
        with nonessential controls also the rate of false calls by these controls against the stated one, rank by rank,
        which lies on the diagonal where the two agree. `alt`: how many are called, and what the controls say.
    """
    controlled = bool(calls.checks)
    figure, axes = grid_figure(2 if controlled else 1, height=3.2, width=4.0)
    _draw_effects(axes[0], calls)
    if controlled:
        _draw_rates(axes[1], calls)
    n_called = int(calls.table["called"].sum())
    return Picture(
        figure,
        f"{n_called:,} of {len(calls.table):,} genes called at a false discovery rate of {100 * calls.rate:g} %. "
        f"{calls.agreement()}",
    )


def _draw_effects(axis: "Axes", calls: GeneCalls) -> None:
    """Draw a histogram of each class, as shares, and the limits."""
    estimates = calls.table["estimate"].to_numpy()
    kinds = calls.table["control"].astype(object).where(calls.table["control"].notna(), "other").to_numpy()
    bins = np.linspace(estimates.min(), estimates.max() + 1e-9, _BINS).tolist()
    for name, colour, style in _CLASSES:
        chosen = estimates[kinds == name]
        if len(chosen):
            axis.hist(chosen, bins=bins, weights=np.full(len(chosen), 1 / len(chosen)), histtype="step", color=colour,
                      linestyle=style, label=f"{name} ({len(chosen):,})")  # fmt: skip
    sides = {"negative": (-1,), "positive": (1,), "both": (-1, 1)}[calls.direction]
    for side in sides:
        axis.axvline(side * calls.beyond, color=LINE, linewidth=0.8, linestyle=":")
    scale = "log2" if calls.unit == 1 else f"log2 per unit of {calls.term}"
    axis.set(xlabel=f"effect of a guide of mean efficacy, {scale}", ylabel="share of the class")
    axis.set_yscale("log")
    legend(axis, "best")
    title(axis, "effects of genes")


def _draw_rates(axis: "Axes", calls: GeneCalls) -> None:
    """Draw the rate by the controls against the stated one."""
    rates: pd.DataFrame = calls.table[["fdr", "control_fdr"]][calls.table["fdr"] <= _WIDEST]
    axis.plot([0, _WIDEST], [0, _WIDEST], color=LINE, linewidth=0.8, linestyle=":")
    axis.axvline(calls.rate, color=LINE, linewidth=0.8)
    axis.plot(rates["fdr"], rates["control_fdr"], color=TRUTH, linewidth=1.2, drawstyle="steps-post")
    highest = max(_WIDEST, float(rates["control_fdr"].max()) if len(rates) else 0.0)
    axis.set(xlabel="stated false discovery rate", ylabel="rate by nonessential controls")
    axis.set(xlim=(0, _WIDEST), ylim=(-0.03 * highest, 1.05 * highest))  # so that a rate of zero is seen
    title(axis, "stated and observed rates")
