"""The picture of a screen's quality: depth, evenness, how alike samples are, what they differ by, outgrown clones."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speclet_formula.reporting.plots.picture import (
    CYCLE,
    ESTIMATE,
    LINE,
    MANY_LEVELS,
    MARKS,
    TRUTH,
    Picture,
    grid_figure,
    label_rows,
    legend,
    points,
    short,
    title,
)
from speclet_formula.screens.quality import FEWEST_READS, GAP, MOST_GINI, RISE, ScreenQuality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = len(CYCLE)  # levels with a colour of their own
_ROOM = 160.0  # points, of all rows of a panel
_CLONES = 3  # that are named
_WRITTEN = 6  # samples whose correlations are written out


def plot_quality(quality: ScreenQuality) -> Picture:
    """Draw the quality of a screen.

    Parameters
    ----------
    quality : ScreenQuality
        Of `screen_quality`.

    Returns
    -------
    Picture
        `figure`: a panel for each thing that is known: reads for a guide and the Gini index of each sample (references
        as triangles, bounds dashed), correlations of fold changes between samples, their first two principal
        components coloured by what these go with most, the share of variance of each factor beside what noise would
        have, and the clones that took off. `alt`: the sentences that ask for a look.
    """
    draws = [draw for draw, there in _panels(quality) if there] or [_nothing]
    figure, axes = grid_figure(len(draws), height=3.0, width=3.6)
    for axis, draw in zip(axes, draws, strict=True):
        draw(axis)
    lead = f"Quality of a screen of {len(quality.samples):,} samples."
    return Picture(figure, " ".join([lead, *(quality.amiss or ("Nothing is amiss.",))]))


def _panels(quality: ScreenQuality) -> "list[tuple[Callable[[Axes], None], bool]]":
    """Return the panels, and whether there is something to draw."""
    samples = quality.samples
    counted = bool(samples["total"].notna().any())
    return [
        (lambda axis: _by_sample(axis, samples, "reads_per_guide", "reads for a guide", FEWEST_READS), counted),
        (lambda axis: _by_sample(axis, samples, "gini", "Gini index of log reads", MOST_GINI), counted),
        (lambda axis: _correlations(axis, quality.correlations), len(quality.correlations) > 1),
        (lambda axis: _components(axis, quality), quality.scores.shape[1] > 1),
        (lambda axis: _factors(axis, quality.factors), len(quality.factors) > 0),
        (lambda axis: _clones(axis, quality.outgrowths), len(quality.outgrowths) > 0),
    ]


def _by_sample(axis: "Axes", samples: pd.DataFrame, column: str, label: str, bound: float) -> None:
    """Draw a number of each sample, the first on top."""
    shown = samples[::-1].reset_index(drop=True)
    is_reference = shown["outgrowths"].isna().to_numpy()
    places = np.arange(len(shown))
    for rows, colour, marker in ((~is_reference, ESTIMATE, "o"), (is_reference, TRUTH, "^")):
        if rows.any():
            points(axis, shown[column].to_numpy(dtype=float)[rows], places[rows], colour=colour, marker=marker)
    axis.axvline(bound, color=LINE, linewidth=0.8, linestyle="--")
    axis.set_xlim(0, max(float(shown[column].max()), bound) * 1.08)
    label_rows(axis, list(shown["sample"]))
    axis.set_xlabel(label)
    if len(shown) > MANY_LEVELS:
        axis.set_ylabel(f"{len(shown):,} samples")


def _correlations(axis: "Axes", correlations: pd.DataFrame) -> None:
    import seaborn

    values = correlations.to_numpy(dtype=float)
    off = values[~np.eye(len(values), dtype=bool)]
    few = len(values) <= MANY_LEVELS
    names = [short(name) for name in correlations.index] if few else False
    seaborn.heatmap(values, ax=axis, cbar=False, cmap="Blues", vmin=float(np.nanmin(off)) - 0.05, vmax=1,
                    rasterized=True, xticklabels=False, yticklabels=names,
                    annot=len(values) <= _WRITTEN, fmt=".2f")  # fmt: skip
    axis.tick_params(axis="y", rotation=0, labelsize=min(8.0, _ROOM / len(values)))
    title(axis, f"correlations, {np.nanmin(off):.2f} to {np.nanmax(off):.2f}")


def _components(axis: "Axes", quality: ScreenQuality) -> None:
    """Draw the samples' first two scores, coloured by the factor that the first component goes with."""
    scores, components = quality.scores, quality.components
    factor = components["factor"].iloc[0]
    labels = quality.samples.set_index("sample").loc[scores.index]
    kinds = labels[factor].astype(str) if factor in labels else pd.Series("", index=scores.index)
    names = list(dict.fromkeys(kinds))
    for place, name in enumerate(names):
        rows = (kinds == name).to_numpy()
        points(axis, scores.iloc[rows, 0], scores.iloc[rows, 1], label=short(name), colour=CYCLE[place % _NAMED],
               marker=MARKS[place % len(MARKS)])  # fmt: skip
    if len(scores) <= _WRITTEN:
        _name(axis, scores.index, scores.iloc[:, 0], scores.iloc[:, 1])
    axis.margins(0.15)
    axis.set_xlabel(f"PC1, {components['share'].iloc[0]:.0%} of the variance")
    axis.set_ylabel(f"PC2, {components['share'].iloc[1]:.0%}")
    if 1 < len(names) <= _NAMED:
        legend(axis, "best")
    elif len(names) > _NAMED:
        title(axis, f"coloured by {factor}, {len(names)} levels")


def _factors(axis: "Axes", factors: pd.DataFrame) -> None:
    shown = factors[::-1].reset_index(drop=True)
    places = np.arange(len(shown))
    axis.barh(places, shown["share"], color=ESTIMATE, alpha=0.6, height=0.6)
    axis.scatter(shown["chance"], places, marker="|", color="black", s=120, zorder=3, label="of noise")
    label_rows(axis, list(shown["factor"]))
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of the variance between samples")
    legend(axis, "lower right")


def _clones(axis: "Axes", clones: pd.DataFrame) -> None:
    points(axis, clones["next"], clones["log_fc"], colour=TRUTH)
    low, high = min(float(clones["next"].min()), RISE - GAP) - 0.3, float(clones["log_fc"].max()) + 0.5
    axis.plot([low, RISE - GAP, high - GAP], [RISE, RISE, high], color=LINE, linewidth=0.8, linestyle="--")
    axis.set(xlim=(low, high - GAP), ylim=(RISE - 0.3, high))
    first = clones.head(_CLONES)
    _name(axis, first["gene"], first["next"], first["log_fc"])
    axis.set_xlabel("next of its gene and line, log2")
    axis.set_ylabel("guide that took off, log2")


def _name(axis: "Axes", names: Iterable[object], x: pd.Series, y: pd.Series) -> None:
    """Write names beside points, on either side in turn."""
    for place, (name, across, up) in enumerate(zip(names, x, y, strict=True)):
        side = 1 if place % 2 else -1
        axis.annotate(short(name), (float(across), float(up)), (5 * side, 2), textcoords="offset points", fontsize=7,
                      ha="left" if side > 0 else "right")  # fmt: skip


def _nothing(axis: "Axes") -> None:
    axis.set_axis_off()
    axis.text(0.5, 0.5, "one sample of fold changes:\nnothing to compare", ha="center", va="center", fontsize=8)
