"""A block or a parameter of a recovery goes in; its panel is drawn on axes, and named in words.

What a picture is made of is left to `recovering`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speclet_formula.recovery.recover import Recovery
from speclet_formula.reporting.plots.pictures import (
    CYCLE,
    ESTIMATE,
    LINE,
    MANY_LEVELS,
    MISSED,
    OTHER,
    TRUTH,
    bare,
    label_rows,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def fill_panels(axes: np.ndarray, recovery: Recovery) -> None:
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
    axis.set_title(plain(title_of(row)), fontsize=9)
    axis.set_xlabel("true effect")
    axis.set_ylabel("estimate, 90 % interval")
    axis.legend(fontsize=7, frameon=False, loc="upper left")
    bare(axis)


def draw_intervals(axis: "Axes", levels: pd.DataFrame, row: pd.Series) -> None:
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
    label_rows(axis, levels["level"].tolist())
    axis.set_xlabel("effect, centred")
    axis.set_ylabel(plain(row["group"] if few else f"{row['group']} ({len(levels)} levels)"))
    axis.set_title(plain(title_of(row)), fontsize=9)
    axis.legend(fontsize=7, frameon=False, loc="lower right")
    bare(axis)


def draw_parameter(axis: "Axes", row: pd.Series) -> None:
    """Draw one parameter on a scale of its own."""
    axis.hlines(0, row["lo"], row["hi"], color=ESTIMATE, linewidth=2, label="estimate, 90 % interval")
    axis.plot(row["median"], 0, "o", color=ESTIMATE, markersize=6)
    marks = (
        ("truth", "D", TRUTH, "truth"),
        ("realized", "s", OTHER, "realized"),
        ("lme4", "x", "black", "lme4 (REML)"),
    )
    for column, marker, colour, text in marks:
        if np.isfinite(row[column]):
            axis.plot(row[column], 0, marker, color=colour, markersize=5, label=text)
    axis.set_yticks([0], [plain(parameter_of(row))])
    axis.tick_params(axis="x", labelsize=7)
    axis.margins(x=0.08, y=0.5)
    axis.spines[["top", "right", "left"]].set_visible(False)


def draw_fit(
    axis: "Axes", frame: pd.DataFrame, place: Mapping[str, float], shift: float, number: int, name: str
) -> None:
    """Draw one fit's intervals, a little above or below the levels' rows."""
    there = frame[frame["level"].isin(list(place))]
    rows = there["level"].map(place) + 0.8 * shift
    colour, marker = CYCLE[number % len(CYCLE)], "osv^P*X"[number % 7]
    axis.hlines(rows, there["lo"], there["hi"], color=colour, linewidth=1.2)
    axis.plot(there["median"], rows, marker, color=colour, markersize=4, label=plain(name))


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
