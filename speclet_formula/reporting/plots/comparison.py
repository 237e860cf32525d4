"""Pictures of models beside each other by leave-one-out, and of how far it can be trusted in each row."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from speclet_formula.comparison import loo
from speclet_formula.errors import ComparisonError
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.reporting.plots.picture import (
    ESTIMATE,
    LINE,
    MANY_ROWS,
    TRUTH,
    WIDTH,
    Picture,
    intervals,
    label_rows,
    legend_below,
    points,
    rows_figure,
    single_figure,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from speclet_formula.comparison import Comparison


def plot_compare(comparison: "Comparison", *, ax: "Axes | None" = None) -> Picture:
    """Draw each model's expected log predictive density with its standard error, and its distance to the best.

    Parameters
    ----------
    comparison : Comparison
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one row for each model, the best on top: elpd and one standard error; below it, in another colour, the
        difference to the best with the standard error of the difference, drawn from the best's elpd. `alt`: the same in
        numbers.
    """
    table = comparison.table.iloc[::-1]
    figure, axis = rows_figure(2 * len(table), ax=ax)
    places = np.arange(len(table))
    best, others = float(comparison.table["elpd"].iloc[0]), (table["elpd_diff"] != 0).to_numpy()
    axis.axvline(best, color=LINE, linewidth=0.8, linestyle="--")
    elpd, se = table["elpd"].to_numpy(dtype=float), table["se"].to_numpy(dtype=float)
    intervals(axis, elpd, places, (elpd - se, elpd + se), colour=ESTIMATE, size=6, label="elpd ± SE")
    if others.any():
        # From the best's elpd, so that the bar shows whether the difference could be none.
        middle, dse = (best + table["elpd_diff"].to_numpy(dtype=float)), table["dse"].to_numpy(dtype=float)
        ends = ((middle - dse)[others], (middle + dse)[others])
        intervals(
            axis, middle[others], places[others] - 0.25, ends,
            colour=TRUTH, marker="D", size=4, label="difference to the best ± SE",
        )  # fmt: skip
    label_rows(axis, list(table.index))
    axis.set_xlabel("expected log predictive density\nof left-out rows (higher is better)")
    legend_below(figure, [axis])
    words = "; ".join(
        f"{name} {row['elpd']:.1f} (SE {row['se']:.1f}), {abs(row['elpd_diff']):.1f} below the best "
        f"(SE {row['dse']:.1f})"
        for name, row in comparison.table.iterrows()
    )
    return Picture(figure, f"Models by expected log predictive density: {words}.")


def plot_pareto_k(estimate: Any, name: str = "", *, ax: "Axes | None" = None) -> Picture:
    """Draw each row's Pareto k, which says how far leave-one-out can be trusted.

    Parameters
    ----------
    estimate : Fit or arviz.ELPDData
        A fit, of which `loo` is taken, or what `loo` returned.
    name : str
        The model's name, for the title.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

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
    figure, axis = single_figure(WIDTH, 2.6, ax=ax)
    rows = np.arange(len(k))
    axis.axhline(limit, color=LINE, linewidth=1, linestyle="--")
    below = f"{int((~high).sum()):,} rows below"
    points(axis, rows[~high], k[~high], colour=ESTIMATE, size=3, label=below, rasterized=len(k) > MANY_ROWS)
    if high.any():
        shown = np.where(np.isfinite(k[high]), k[high], top)
        points(axis, rows[high], shown, colour=TRUTH, marker="D", size=4, label=f"{int(high.sum()):,} rows above")
    axis.set_xlabel("row, in the data's order")
    axis.set_ylabel("Pareto k")
    title(axis, name)
    legend_below(figure, [axis])
    of = f" of {name}" if name else ""
    return Picture(figure, f"Pareto k of {len(k):,} rows{of}: {int(high.sum()):,} above the limit of {limit:.2f}.")
