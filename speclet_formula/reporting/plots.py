"""Recoveries go in; figures with a text that says what they show come out.

Figures are made without pyplot, so that nothing global changes and no window opens. Every number shown is computed in
`recovery`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError
from speclet_formula.recovery.records import Recovery
from speclet_formula.simulation import some_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with any colour vision; the marks differ in shape as well.
ESTIMATE = "#0072B2"
TRUTH = "#D55E00"
MISSED = "#CC79A7"
LINE = "#767676"

MANY_LEVELS = 40  # labels of more levels than this would overlap
PANEL = 3.4  # inches
TITLE = 0.4  # inches
PANELS_IN_A_ROW = 3


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure and the text that stands for it where it cannot be seen."""

    figure: "Figure"
    alt: str

    def _repr_html_(self) -> str:
        from base64 import b64encode
        from html import escape

        encoded = b64encode(_png(self.figure)).decode("ascii")
        return f'<img alt="{escape(self.alt, quote=True)}" src="data:image/png;base64,{encoded}">'


def plot_recovery(recovery: Recovery) -> Picture:
    """Draw estimates against true effects, one panel for each block of group effects.

    Parameters
    ----------
    recovery : Recovery
        With at least one block.

    Returns
    -------
    Picture
        `figure`: in each panel every level's median and 90 % interval over its true effect (centred within the block),
        the line of perfect recovery and the line that shrinkage leads to expect, whose slope is the block's
        reliability. `alt`: the same in a sentence per panel.

    Raises
    ------
    DataError
        If the recovery has no block.

    Examples
    --------
    >>> import pandas as pd
    >>> levels = pd.DataFrame({
    ...     "group": "gene", "term": "Intercept", "level": ["a", "b"], "truth": [-1.0, 1.0], "median": [-0.9, 0.9],
    ...     "sd": 0.1, "lo": [-1.1, 0.7], "hi": [-0.7, 1.1], "covered": True,
    ... })
    >>> groups = pd.DataFrame({
    ...     "group": ["gene"], "term": ["Intercept"], "n_levels": [2], "coverage": [1.0], "reliability": [0.9],
    ...     "slope": [0.9],
    ... })
    >>> picture = plot_recovery(Recovery("y ~ (1 | gene)", "converged", "", pd.DataFrame(), groups, levels, ()))
    >>> picture.alt
    'Estimates against true effects for y ~ (1 | gene). gene: 2 levels, 100 % of the intervals cover, slope 0.90.'
    """
    _require_blocks(recovery)
    from matplotlib.figure import Figure

    n = len(recovery.groups)
    columns, rows = min(n, PANELS_IN_A_ROW), -(-n // PANELS_IN_A_ROW)
    figure = Figure(figsize=(PANEL * columns, PANEL * rows + TITLE), layout="constrained")
    _fill(figure.subplots(rows, columns, squeeze=False).ravel(), recovery)
    figure.suptitle(recovery.formula, fontsize=11)
    sentences = " ".join(_describe(row) for _, row in recovery.groups.iterrows())
    return Picture(figure, f"Estimates against true effects for {recovery.formula}. {sentences}")


def plot_intervals(recovery: Recovery, group: str, term: str | None = None) -> Picture:
    """Draw each level's interval with its true effect, sorted by the estimate.

    Parameters
    ----------
    recovery : Recovery
        With a block for that group.
    group : str
        The grouping factor: "gene".
    term : str, optional
        Which of the factor's blocks, as in the column `term`: "Intercept", "Days", "gene + gene:sgRNA". The first
        one by default.

    Returns
    -------
    Picture
        `figure`: one line per level with median, 90 % interval and truth, all centred within the block; intervals
        that miss the truth stand out. `alt`: how many levels there are and which intervals miss.

    Raises
    ------
    DataError
        If the recovery has no such block.
    """
    from matplotlib.figure import Figure

    row = _block_row(recovery, group, term)
    levels = _levels_of(recovery, row["group"], row["term"]).sort_values("median", ignore_index=True)
    figure = Figure(figsize=(6, 1.4 + 0.2 * min(len(levels), MANY_LEVELS)), layout="constrained")
    axis = figure.subplots()
    _draw_intervals(axis, levels, row)
    missed = levels.loc[~levels["covered"].astype(bool), "level"].tolist()
    return Picture(
        figure,
        f"90 % intervals of {len(levels)} levels of {_title(row)}, sorted by the estimate, with the true effects. "
        + (f"{len(missed)} miss the truth: {some_of(missed)}." if missed else "All hold the truth."),
    )


def save_pictures(recoveries: Mapping[str, Recovery], path: str | Path) -> Path:
    """Write one PNG with a strip of panels for each recovery.

    Parameters
    ----------
    recoveries : dict of str to Recovery
        By the name that its strip of panels gets.
    path : str or Path
        The file; folders on the way are made.

    Returns
    -------
    Path
        The file, whose PNG metadata hold the alternative text under `Description`.

    Raises
    ------
    DataError
        If no recovery has a block of group effects.
    """
    from matplotlib.figure import Figure

    shown = {name: recovery for name, recovery in recoveries.items() if len(recovery.groups)}
    if not shown:
        raise DataError(
            "there is nothing to draw: no recovery has a block of group effects.",
            "A picture shows the levels of group effects whose truth is known.",
            "Recover a model with group terms, from a truth that has their effects.",
        )
    heights = [-(-len(recovery.groups) // PANELS_IN_A_ROW) for recovery in shown.values()]
    size = (PANEL * PANELS_IN_A_ROW, sum(PANEL * rows + TITLE for rows in heights))
    figure = Figure(figsize=size, layout="constrained")
    strips = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=[PANEL * rows + TITLE for rows in heights])
    sentences = []
    for strip, rows, (name, recovery) in zip(strips[:, 0], heights, shown.items(), strict=True):
        axes = strip.subplots(rows, PANELS_IN_A_ROW, squeeze=False).ravel()
        strip.suptitle(f"{name}: {recovery.formula}", fontsize=11, x=0.01, ha="left", fontweight="bold")
        _fill(axes, recovery)
        sentences.append(f"{name}: {' '.join(_describe(row) for _, row in recovery.groups.iterrows())}")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    alt = f"Estimates against true effects. {' '.join(sentences)}"
    figure.savefig(target, format="png", dpi=110, metadata={"Description": alt})
    return target


# --- panels -----------------------------------------------------------------------------------------------------------


def _fill(axes: np.ndarray, recovery: Recovery) -> None:
    """Draw one panel per block, and hide the panels that are left."""
    for axis in axes[len(recovery.groups) :]:
        axis.set_visible(False)
    for axis, (_, row) in zip(axes, recovery.groups.iterrows(), strict=False):
        _draw_recovery(axis, _levels_of(recovery, row["group"], row["term"]), row)


def _draw_recovery(axis: "Axes", levels: pd.DataFrame, row: pd.Series) -> None:
    """Draw one block's estimates against the truth."""
    covered = levels["covered"].astype(bool)
    crowded = len(levels) > MANY_LEVELS
    for mask, colour, marker, label in ((covered, ESTIMATE, "o", "covered"), (~covered, TRUTH, "D", "missed")):
        part = levels[mask]
        if part.empty:
            continue
        axis.errorbar(
            part["truth"],
            part["median"],
            yerr=np.vstack([part["median"] - part["lo"], part["hi"] - part["median"]]),
            fmt=marker,
            color=colour,
            markersize=3 if crowded else 5,
            elinewidth=0.6 if crowded else 1.0,
            alpha=0.6 if crowded else 0.9,
            label=label,
        )
    ends = np.array([min(levels["truth"].min(), levels["lo"].min()), max(levels["truth"].max(), levels["hi"].max())])
    axis.plot(ends, ends, color=LINE, linewidth=1, label="perfect")
    axis.plot(ends, row["reliability"] * ends, color=LINE, linewidth=1, linestyle="--", label="shrunken")
    axis.set_title(_title(row), fontsize=9)
    axis.set_xlabel("true effect")
    axis.set_ylabel("estimate, 90 % interval")
    axis.legend(fontsize=7, frameon=False, loc="upper left")
    _bare(axis)


def _draw_intervals(axis: "Axes", levels: pd.DataFrame, row: pd.Series) -> None:
    """Draw one block's sorted intervals with the truth."""
    places = np.arange(len(levels))
    covered = levels["covered"].astype(bool).to_numpy()
    for mask, colour, label in ((covered, ESTIMATE, "90 % interval"), (~covered, MISSED, "interval that misses")):
        if mask.any():
            part = levels[mask]
            axis.hlines(places[mask], part["lo"], part["hi"], color=colour, linewidth=1.6, label=label)
    axis.plot(levels["median"], places, "o", color=ESTIMATE, markersize=4, label="median")
    axis.plot(levels["truth"], places, "D", color=TRUTH, markersize=4, label="truth")
    axis.axvline(0, color=LINE, linewidth=0.8)
    few = len(levels) <= MANY_LEVELS
    axis.set_yticks(places if few else [], levels["level"].tolist() if few else [])
    axis.set_ylim(-0.7, len(levels) - 0.3)
    axis.set_xlabel("effect, centred")
    axis.set_ylabel(row["group"] if few else f"{row['group']} ({len(levels)} levels)")
    axis.set_title(_title(row), fontsize=9)
    axis.legend(fontsize=7, frameon=False, loc="lower right")
    _bare(axis)


def _bare(axis: "Axes") -> None:
    """Take away the frame's upper and right side."""
    axis.spines[["top", "right"]].set_visible(False)


def _png(figure: "Figure") -> bytes:
    """Return a figure as the bytes of a PNG."""
    from io import BytesIO

    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


# --- words ------------------------------------------------------------------------------------------------------------


def _title(row: pd.Series) -> str:
    """Return a block's name: the factor, with the column unless that is the intercept, or the sum."""
    if " + " in row["term"]:
        return str(row["term"])
    return str(row["group"]) if row["term"] == "Intercept" else f"{row['group']} ({row['term']})"


def _describe(row: pd.Series) -> str:
    """Return a panel in one sentence."""
    return (
        f"{_title(row)}: {row['n_levels']} levels, {100 * row['coverage']:.0f} % of the intervals cover, slope "
        f"{row['slope']:.2f}."
    )


def _levels_of(recovery: Recovery, group: str, term: str) -> pd.DataFrame:
    """Return the levels of one block."""
    levels = recovery.levels
    return levels[(levels["group"] == group) & (levels["term"] == term)].reset_index(drop=True)


def _require_blocks(recovery: Recovery) -> None:
    if not len(recovery.groups):
        raise DataError(
            f"the recovery of {recovery.formula} has no block of group effects to draw.",
            "A picture shows the levels of group effects whose truth is known.",
            "Give the true effects by level: truth['1|gene'].",
        )


def _block_row(recovery: Recovery, group: str, term: str | None) -> pd.Series:
    """Return the row of a block by its factor and column."""
    _require_blocks(recovery)
    groups = recovery.groups
    chosen = groups[(groups["group"] == group) & ((groups["term"] == term) | (term is None))]
    if chosen.empty:
        wanted = f"'{group}'" if term is None else f"'{group}' with the term '{term}'"
        there = ", ".join(f"'{row['group']}' ({row['term']})" for _, row in groups.iterrows())
        raise DataError(f"the recovery has no block {wanted}.", f"Its blocks: {there}.", "Name one of these.")
    return chosen.iloc[0]
