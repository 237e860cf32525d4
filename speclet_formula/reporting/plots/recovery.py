"""Pictures of estimates beside the truth: by level, by parameter, by share of intervals that hold it, by model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speclet_formula.common.files import replacing, unwritable
from speclet_formula.errors import DataError, some_of
from speclet_formula.recovery.recover import Recoveries, Recovery
from speclet_formula.reporting.plots.picture import (
    CYCLE,
    DPI,
    ESTIMATE,
    LINE,
    MANY_LEVELS,
    MARKS,
    MISSED,
    OTHER,
    PANEL,
    PANELS_IN_A_ROW,
    TITLE,
    TRUTH,
    WIDTH,
    Picture,
    counted,
    empty_figure,
    grid_figure,
    intervals,
    label_rows,
    legend_below,
    panels,
    plain,
    points,
    rows_figure,
    short,
    single_figure,
    title,
)


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
    figure, axes = grid_figure(len(recovery.groups))
    fill_panels(axes, recovery)
    legend_below(figure, axes)
    figure.suptitle(plain(fill(recovery.formula, round(14 * figure.get_figwidth()))), fontsize=9)
    sentences = " ".join(sentence_of(row) for _, row in recovery.groups.iterrows())
    return Picture(figure, f"Estimates against true effects for {recovery.formula}. {sentences}")


def plot_intervals(recovery: Recovery, group: str, term: str | None = None, *, ax: "Axes | None" = None) -> Picture:
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
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

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
    row = _block_row(recovery, group, term)
    levels = levels_of(recovery, row["group"], row["term"]).sort_values("median", ignore_index=True)
    figure, axis = single_figure(WIDTH, 1.4 + 0.2 * min(len(levels), MANY_LEVELS), ax=ax)
    draw_intervals(axis, levels, row)
    legend_below(figure, [axis])
    missed = levels.loc[~levels["covered"].astype(bool), "level"].tolist()
    return Picture(
        figure,
        f"90 % intervals of {len(levels)} levels of {title_of(row)}, sorted by the estimate, with the true effects. "
        + (f"{len(missed)} miss the truth: {some_of(missed)}." if missed else "All hold the truth."),
    )


def plot_parameters(recovery: Recovery) -> Picture:
    """Draw each scalar parameter's estimate beside its truth, the realized value and lme4's estimate.

    Parameters
    ----------
    recovery : Recovery
        With at least one scalar parameter.

    Returns
    -------
    Picture
        `figure`: one row for each parameter, on a scale of its own: median and 90 % interval, true value, what the
        drawn effects came to (their SD or mean), and the REML estimate where there is one. `alt`: the same in numbers.

    Raises
    ------
    DataError
        If the recovery has no scalar parameter.
    """
    frame = recovery.parameters
    if not len(frame):
        raise DataError(
            f"the recovery of {recovery.formula} has no single parameter to draw.",
            "A picture shows the parameters whose truth is known.",
            "Give their true values: truth['sigma'].",
        )
    figure = empty_figure(WIDTH, 0.6 + 0.62 * len(frame))
    axes = panels(figure, len(frame), 1)
    for axis, (_, row) in zip(axes, frame.iterrows(), strict=True):
        draw_parameter(axis, row)
    legend_below(figure, axes)
    sentences = " ".join(
        f"{parameter_of(row)}: truth {row['truth']:.3g}, estimate {row['median']:.3g} "
        f"({row['lo']:.3g} to {row['hi']:.3g})."
        for _, row in frame.iterrows()
    )
    return Picture(figure, f"Parameters of {recovery.formula} beside their true values. {sentences}")


def plot_coverage(recovery: Recovery, *, ax: "Axes | None" = None) -> Picture:
    """Draw how many levels' intervals hold the truth, with the range that chance allows.

    Parameters
    ----------
    recovery : Recovery
        With at least one block.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one row for each block of effects: the share of 90 % intervals that hold the truth, the binomial 95 %
        range of such a share, and the line at 0.9. `alt`: the same in numbers.

    Raises
    ------
    DataError
        If the recovery has no block.
    """
    _require_blocks(recovery)
    groups = recovery.groups.iloc[::-1].reset_index(drop=True)
    figure, axis = rows_figure(len(groups), ax=ax)
    places = np.arange(len(groups))
    inside = ((groups["coverage_lo"] <= groups["coverage"]) & (groups["coverage"] <= groups["coverage_hi"])).to_numpy()
    axis.hlines(
        places, groups["coverage_lo"], groups["coverage_hi"], color=LINE, linewidth=7, alpha=0.35, label="chance"
    )
    for mask, colour, marker, text in ((inside, ESTIMATE, "o", "inside"), (~inside, TRUTH, "D", "outside")):
        if mask.any():
            points(axis, groups["coverage"][mask], places[mask], colour=colour, marker=marker, size=6, label=text)
    axis.axvline(0.9, color=LINE, linewidth=1, linestyle="--")
    label_rows(axis, [name_of(row) for _, row in groups.iterrows()])
    axis.set_xlim(min(0.5, float(groups["coverage"].min())) - 0.03, 1.03)
    axis.set_xlabel("share of levels whose\n90 % interval holds the truth")
    legend_below(figure, [axis])
    sentences = " ".join(
        f"{name_of(row)}: {row['coverage']:.2f} of {row['n_levels']} levels, chance {row['coverage_lo']:.2f} to "
        f"{row['coverage_hi']:.2f}."
        for _, row in recovery.groups.iterrows()
    )
    return Picture(figure, f"Coverage of the 90 % intervals of {recovery.formula}. {sentences}")


def _rows_of(recovery: Recovery, group: str) -> pd.DataFrame:
    """Return the blocks of a group; a recovery without group effects has a table without columns."""
    return recovery.groups if recovery.groups.empty else recovery.groups[recovery.groups["group"] == group]


def plot_recoveries(
    recoveries: Recoveries | Mapping[str, Recovery], group: str, *, ax: "Axes | None" = None
) -> Picture:
    """Draw several fits' estimates of the same levels side by side: no pooling, partial pooling, hierarchical.

    Parameters
    ----------
    recoveries : Recoveries, or mapping of str to Recovery
        What `recover` returned for several fits, or recoveries of the same data by name; those
        without a block of that group are left out, and the text says so.
    group : str
        The factor whose levels are compared; where a model crosses it with another, its mean over the other.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one row for each level, sorted by the truth: the true effect and each fit's median with its 90 %
        interval. `alt`: which fits there are, with the root mean square of their errors.

    Raises
    ------
    DataError
        If no recovery has a block of that group.
    """
    if isinstance(recoveries, Recoveries):
        recoveries = recoveries.recoveries
    rows = {name: _rows_of(found, group) for name, found in recoveries.items()}
    shown = {name: found.iloc[0] for name, found in rows.items() if len(found)}
    if not shown:
        there = sorted({str(label) for found in recoveries.values() for label in found.groups.get("group", ())})
        raise DataError(
            f"no recovery has a block '{group}'.",
            f"Their blocks: {', '.join(map(repr, there)) or 'none'}.",
            "Name one of these.",
        )
    levels = {name: levels_of(recoveries[name], row["group"], row["term"]) for name, row in shown.items()}
    first = next(iter(levels.values())).sort_values("truth", ignore_index=True)
    place = {level: float(number) for number, level in enumerate(first["level"])}
    figure, axis = rows_figure(round(len(place) * max(1.0, 0.55 * len(shown))), ax=ax)
    for number, (name, frame) in enumerate(levels.items()):
        draw_fit(axis, frame, place, (number + 1) / (len(levels) + 1) - 0.5, number, name)
    points(axis, first["truth"], range(len(first)), colour="black", marker="D", size=4, label="truth", zorder=5)
    label_rows(axis, first["level"].tolist())
    axis.set_ylabel(counted(group, len(first)))
    axis.set_xlabel("effect, centred")
    legend_below(figure, [axis])
    errors = ", ".join(f"{name} {row['rmse']:.3f}" for name, row in shown.items())
    absent = [name for name in recoveries if name not in shown]
    left_out = f" Without such effects: {', '.join(absent)}." if absent else ""
    return Picture(
        figure,
        f"Effects of {len(first)} levels of {group} by {len(shown)} models beside the truth. Root mean square errors: "
        f"{errors}.{left_out}",
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
        If no recovery has a block of group effects, or the file cannot be written.
    """
    shown = {name: recovery for name, recovery in recoveries.items() if len(recovery.groups)}
    if not shown:
        raise DataError(
            "there is nothing to draw: no recovery has a block of group effects.",
            "A picture shows the levels of group effects whose truth is known.",
            "Recover a model with group terms, from a truth that has their effects.",
        )
    heights = [-(-len(recovery.groups) // PANELS_IN_A_ROW) for recovery in shown.values()]
    figure = empty_figure(PANEL * PANELS_IN_A_ROW, sum(PANEL * rows + TITLE for rows in heights))
    strips = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=[PANEL * rows + TITLE for rows in heights])
    sentences = []
    for strip, rows, (name, recovery) in zip(strips[:, 0], heights, shown.items(), strict=True):
        axes = panels(strip, rows, PANELS_IN_A_ROW)
        strip.suptitle(plain(f"{name}: {recovery.formula}"), fontsize=11, x=0.01, ha="left", fontweight="bold")
        fill_panels(axes, recovery)
        legend_below(strip, axes)
        sentences.append(f"{name}: {' '.join(sentence_of(row) for _, row in recovery.groups.iterrows())}")
    target = Path(path)
    alt = f"Estimates against true effects. {' '.join(sentences)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as stream:
            figure.savefig(stream, format="png", dpi=DPI, metadata={"Description": alt})
    except OSError as error:
        raise unwritable(target, error) from error
    return target


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


if TYPE_CHECKING:
    from matplotlib.axes import Axes


def fill_panels(axes: "Sequence[Axes]", recovery: Recovery) -> None:
    """Draw one panel per block, and hide the panels that are left."""
    for axis in axes[len(recovery.groups) :]:
        axis.set_visible(False)
    for axis, (_, row) in zip(axes, recovery.groups.iterrows(), strict=False):
        draw_recovery(axis, levels_of(recovery, row["group"], row["term"]), row)


def draw_recovery(axis: "Axes", levels: pd.DataFrame, row: pd.Series) -> None:
    """Draw one block's estimates against the truth."""
    covered = levels["covered"].astype(bool)
    crowded = len(levels) > MANY_LEVELS
    for mask, colour, marker, label in ((covered, ESTIMATE, "o", "covered"), (~covered, TRUTH, "D", "missed")):
        part = levels[mask]
        if part.empty:
            continue
        intervals(
            axis, part["truth"], part["median"], (part["lo"], part["hi"]), upright=True, colour=colour, marker=marker,
            line=0.6 if crowded else 1.0, size=3 if crowded else 5, alpha=0.6 if crowded else 0.9, label=label,
        )  # fmt: skip
    ends = np.array([min(levels["truth"].min(), levels["lo"].min()), max(levels["truth"].max(), levels["hi"].max())])
    axis.plot(ends, ends, color=LINE, linewidth=1, label="perfect")
    axis.plot(ends, row["reliability"] * ends, color=LINE, linewidth=1, linestyle="--", label="shrunken")
    title(axis, title_of(row))
    axis.set_xlabel("true effect")
    axis.set_ylabel("estimate, 90 % interval")


def draw_intervals(axis: "Axes", levels: pd.DataFrame, row: pd.Series) -> None:
    """Draw one block's sorted intervals with the truth."""
    places = np.arange(len(levels))
    covered = levels["covered"].astype(bool).to_numpy()
    for mask, colour, label in ((covered, ESTIMATE, "90 % interval"), (~covered, MISSED, "interval that misses")):
        if mask.any():
            part = levels[mask]
            axis.hlines(places[mask], part["lo"], part["hi"], color=colour, linewidth=1.6, label=label)
    points(axis, levels["median"], places, colour=ESTIMATE, size=4, label="median")
    points(axis, levels["truth"], places, colour=TRUTH, marker="D", size=4, label="truth")
    axis.axvline(0, color=LINE, linewidth=0.8)
    label_rows(axis, levels["level"].tolist())
    axis.set_xlabel("effect, centred")
    axis.set_ylabel(counted(row["group"], len(levels)))
    title(axis, title_of(row))


def draw_parameter(axis: "Axes", row: pd.Series) -> None:
    """Draw one parameter on a scale of its own."""
    intervals(
        axis, row["median"], 0, (row["lo"], row["hi"]), colour=ESTIMATE, line=2, size=6, label="estimate, 90 % interval"
    )
    marks = (
        ("truth", "D", TRUTH, "truth"),
        ("realized", "s", OTHER, "realized"),
        ("lme4", "x", "black", "lme4 (REML)"),
    )
    for column, marker, colour, text in marks:
        if np.isfinite(row[column]):
            points(axis, row[column], 0, colour=colour, marker=marker, label=text)
    axis.set_yticks([0], [short(parameter_of(row))])
    axis.tick_params(axis="x", labelsize=7)
    axis.margins(x=0.08, y=0.5)
    axis.spines["left"].set_visible(False)


def draw_fit(
    axis: "Axes", frame: pd.DataFrame, place: Mapping[str, float], shift: float, number: int, name: str
) -> None:
    """Draw one fit's intervals, a little above or below the levels' rows."""
    there = frame[frame["level"].isin(list(place))]
    rows = there["level"].map(place) + 0.8 * shift
    colour, marker = CYCLE[number % len(CYCLE)], MARKS[number % len(MARKS)]
    intervals(
        axis, there["median"], rows, (there["lo"], there["hi"]), colour=colour, line=1.2, marker=marker, size=4,
        label=short(name),
    )  # fmt: skip


# --- words ------------------------------------------------------------------------------------------------------------


def title_of(row: pd.Series) -> str:
    """Return a block's name: the factor, with the column unless that is the intercept, or the sum."""
    if " + " in row["term"]:
        return str(row["term"])
    return str(row["group"]) if row["term"] == "Intercept" else f"{row['group']} ({row['term']})"


def parameter_of(row: pd.Series) -> str:
    """Name a scalar parameter: its kind where that is not its name, and the group that it belongs to."""
    kind = {"sd": "SD of ", "cor": "correlation of ", "sigma": "", "b": "", "family": ""}.get(str(row["class"]), "")
    if kind and row["term"] == "Intercept":
        return f"{kind}{row['group']}"
    return f"{kind}{row['term']}" + (f" by {row['group']}" if row["group"] else "")


def name_of(row: pd.Series) -> str:
    """Name a block so that no two have the same name."""
    return f"{row['group']}: {row['term']}"


def sentence_of(row: pd.Series) -> str:
    """Return a panel in one sentence."""
    return (
        f"{title_of(row)}: {row['n_levels']} levels, {100 * row['coverage']:.0f} % of the intervals cover, slope "
        f"{row['slope']:.2f}."
    )


def levels_of(recovery: Recovery, group: str, term: str) -> pd.DataFrame:
    """Return the levels of one block."""
    levels = recovery.levels
    return levels[(levels["group"] == group) & (levels["term"] == term)].reset_index(drop=True)
