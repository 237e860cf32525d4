"""Pictures of a screen: a volcano of genes, genes in order, and what tells the controls apart."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed
from speclet_formula.reporting.plots.picture import (
    ESTIMATE,
    LINE,
    MANY_ROWS,
    TRUTH,
    Picture,
    grid_figure,
    legend,
    plain,
    points,
    short,
    single_figure,
    title,
)
from speclet_formula.screens.controls import Separation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Losses, other genes and the genes that nothing should happen to: by colour and by shape.
_CLASSES = (("other", "#9A9A9A", "o"), ("nonessential", ESTIMATE, "D"), ("essential", TRUTH, "^"))
_BINS = 40
_LINE_HEIGHT = 11  # pixels from one name to the next
_LETTER = 7  # pixels, of a name
_CROWD = 500  # genes: with more, marks cover each other


def plot_volcano(table: pd.DataFrame, *, label: int = 10, ax: "Axes | None" = None) -> Picture:
    """Draw how large each gene's effect is against how sure its sign is.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `rank_genes` or `level_effects`.
    label : int
        How many genes are named: those of the first ranks.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one point per gene, its effect across and -log10 of its local false sign rate up; rates that counted
        draws cannot tell from 0 stand on a dashed line at half of one draw, which tables of exact fits do not need, as
        they count none. Controls have colours and shapes of their
        own. `alt`: how many genes are sure, and which are first.

    Raises
    ------
    DataError
        The table lacks a column, or has no rows.
    """
    frame = _checked(table, "estimate", "lfsr", "rank")
    draws = int(table.attrs.get("draws") or 0)
    floor = 0.5 / draws if draws else float(frame["lfsr"][frame["lfsr"] > 0].min())
    height = -np.log10(np.maximum(frame["lfsr"].to_numpy(dtype=float), floor))
    figure, axis = single_figure(5.4, 4.6, ax=ax)
    for rows, style in _by_class(frame):
        points(axis, frame["estimate"].to_numpy()[rows], height[rows], **style)
    axis.axvline(0, color=LINE, linewidth=0.8)
    axis.margins(x=0.12)
    if draws:
        axis.axhline(-np.log10(floor), color=LINE, linewidth=0.8, linestyle="--")
        # Above the axes, where no name runs over it.
        axis.annotate(f"dashed: surer than {draws:,} draws can tell", (1, 1), (0, 3), fontsize=7, ha="right",
                      va="bottom", color="#555555", xycoords="axes fraction", textcoords="offset points")  # fmt: skip
    axis.set_ylim(0, -np.log10(floor) * 1.35)
    axis.set_xlabel(plain(_effect(table)))
    axis.set_ylabel("sureness of the sign, −log10 local false sign rate")
    _legend(axis, frame, "lower left" if -frame["estimate"].min() > frame["estimate"].max() else "lower right")
    first = frame.assign(height=height).nsmallest(label, "rank")
    at_top = first["height"] == height.max()
    on_line = draws > 0 and height.max() >= -np.log10(floor)
    at_top &= on_line or int(at_top.sum()) > 1  # a single one below the line is named as all others are
    _name_above(axis, first[at_top], "estimate", "height")
    _name_right(axis, first[~at_top], "estimate", "height")
    sure = frame["lfsr"] < 0.05  # noqa: PLR2004
    losses, gains = int((sure & (frame["estimate"] < 0)).sum()), int((sure & (frame["estimate"] > 0)).sum())
    return Picture(
        figure,
        f"Effects of {_counted(table)} against the local false sign rate of each. {losses:,} are below zero and "
        f"{gains:,} above it with a rate under 0.05. First in rank: {listed(first['name'], 5)}.",
    )


def plot_ranks(table: pd.DataFrame, *, label: int = 8, ax: "Axes | None" = None) -> Picture:
    """Draw the genes' effects in order, with their intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `rank_genes` or `level_effects`.
    label : int
        How many genes are named at either end.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: effects with their intervals, the smallest first; controls in colours of their own, of more than 500
        genes as two strips above the curve, which would be covered by them. `alt`: the smallest and largest effects,
        and how many intervals exclude zero.

    Raises
    ------
    DataError
        The table lacks a column, or has no rows.
    """
    import seaborn

    frame = _checked(table, "estimate", "conf_low", "conf_high").sort_values("estimate", ignore_index=True)
    figure, axis = single_figure(5.8, 4.6, ax=ax)
    places = np.arange(1, len(frame) + 1)
    crowded = len(frame) > _CROWD
    width = 0.6 * min(1.0, _CROWD / len(frame))  # so that a crowd shades by how many intervals reach there
    axis.vlines(places, frame["conf_low"], frame["conf_high"], color="#BDBDBD", linewidth=width, rasterized=True)
    axis.axhline(0, color=LINE, linewidth=0.8)
    axis.set_xlim(-0.02 * len(frame), 1.25 * len(frame))
    if crowded:
        seaborn.lineplot(x=places, y=frame["estimate"].to_numpy(), color="#333333", linewidth=1.2, ax=axis)
        _strips(axis, frame, places)
    else:
        for rows, style in _by_class(frame):
            points(axis, places[rows], frame["estimate"].to_numpy()[rows], **style)
        _legend(axis, frame, "upper left")
    ends = frame.assign(place=places)
    axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= len(frame)])
    axis.set_xlabel(plain(f"{_counted(table)} in order"))
    axis.set_ylabel(plain(f"{_effect(table)}, {table.attrs.get('interval', 'interval')}"))
    # Names come last: their places are counted in pixels, which everything else moves.
    for end in (ends.head(label), ends.tail(label).drop(ends.head(label).index, errors="ignore")):
        _name_right(axis, end, "place", "estimate")
    apart = int(((frame["conf_low"] > 0) | (frame["conf_high"] < 0)).sum())
    low, high = frame.iloc[0], frame.iloc[-1]
    return Picture(
        figure,
        f"Effects of {_counted(table)} in order. Smallest: {low['name']} {low['estimate']:.2f}; largest: "
        f"{high['name']} {high['estimate']:.2f}. {apart:,} intervals exclude zero.",
    )


def plot_separation(separation: Separation) -> Picture:
    """Draw how well the controls are told apart: their scores, the ROC curve and the precision-recall curve.

    Parameters
    ----------
    separation : Separation
        Of `control_separation`.

    Returns
    -------
    Picture
        `figure`: three panels. `alt`: both areas.
    """
    import seaborn

    figure, axes = grid_figure(3, height=3.0, width=3.0)
    scores = separation.scores
    bins = np.linspace(scores["score"].min(), scores["score"].max() + 1e-12, _BINS).tolist()
    for name, colour, style in (("nonessential", ESTIMATE, "-"), ("essential", TRUTH, "--")):
        chosen = scores.loc[scores["control"] == name, "score"].to_numpy()
        shares = np.full(len(chosen), 1 / len(chosen))
        seaborn.histplot(
            x=chosen, bins=bins, weights=shares, element="step", color=colour, alpha=0.35, linestyle=style, label=name,
            ax=axes[0],
        )  # fmt: skip
    axes[0].set(xlabel="score", ylabel="share of the controls")
    legend(axes[0], "best")
    roc, pr = separation.roc, separation.pr
    curve: dict[str, Any] = {"color": TRUTH, "estimator": None, "sort": False}
    axes[1].plot([0, 1], [0, 1], color=LINE, linewidth=0.8, linestyle=":")
    seaborn.lineplot(x=roc["false_positive_rate"], y=roc["true_positive_rate"], ax=axes[1], **curve)
    axes[1].set(xlabel="false positive rate", ylabel="true positive rate")
    title(axes[1], f"ROC, area {separation.auc_roc:.3f}")
    share = separation.n_essential / (separation.n_essential + separation.n_nonessential)
    axes[2].axhline(share, color=LINE, linewidth=0.8, linestyle=":")
    seaborn.lineplot(x=pr["recall"], y=pr["precision"], drawstyle="steps-pre", ax=axes[2], **curve)
    axes[2].set(xlabel="recall", ylabel="precision", xlim=(-0.03, 1.03), ylim=(0, 1.03))
    title(axes[2], f"precision and recall, {separation.auc_pr:.3f}")
    return Picture(
        figure,
        f"Scores of {separation.n_essential:,} essential and {separation.n_nonessential:,} nonessential controls, "
        f"their medians {separation.distance:.2f} apart. Area under the ROC curve {separation.auc_roc:.3f}, average "
        f"precision {separation.auc_pr:.3f} (by chance {share:.3f}).",
    )


def _checked(table: pd.DataFrame, *needed: str) -> pd.DataFrame:
    """Return the table with the names of its levels, after a look at its columns."""
    absent = next((name for name in needed if name not in table), None)
    label = next((name for name in ("gene", "level", "sgRNA") if name in table), None)
    if absent is not None or label is None or table.empty:
        raise DataError(
            "the table has no rows." if table.empty else f"the table has no column '{absent or 'gene'}'.",
            "It is one of rank_genes or level_effects.",
            "Hand over sf.rank_genes(fit).",
        )
    return table.assign(name=table[label].astype(str)).reset_index(drop=True)


def _counted(table: pd.DataFrame) -> str:
    """Return how many rows there are, and of what: "18,000 genes", "12 levels of batch"."""
    what = "genes" if "gene" in table else "guides" if "sgRNA" in table else "levels"
    factors = list(table["group"].unique()) if "group" in table else []
    return f"{len(table):,} {what}{f' of {factors[0]}' if what == 'levels' and len(factors) == 1 else ''}"


def _effect(table: pd.DataFrame) -> str:
    """Name what the effects are: of a factor's levels, and of which term, or of genes."""
    factors, terms = (list(table[name].unique()) if name in table else [] for name in ("group", "term"))
    factor = str(factors[0]) if len(factors) == 1 else "the gene" if "gene" in table else "each level"
    return f"effect of {factor}{f' ({terms[0]})' if len(terms) == 1 and terms[0] != 'Intercept' else ''}"


def _by_class(frame: pd.DataFrame) -> "Iterator[tuple[np.ndarray, dict[str, Any]]]":
    """Go through the control classes that are there, the frequent one first so that controls lie above it."""
    given = frame["control"].astype(object) if "control" in frame else pd.Series(None, index=frame.index, dtype=object)
    kinds = given.where(given.notna(), "other").to_numpy()
    few = len(frame) <= _CROWD
    for name, colour, marker in _CLASSES:
        rows = np.flatnonzero(kinds == name)
        if len(rows):
            size = (4.5 if few else 2.0) + (0.0 if name == "other" else 0.8)
            style = {"marker": marker, "colour": colour, "size": size, "alpha": 0.8, "label": name}
            yield rows, {**style, "rasterized": len(rows) > MANY_ROWS}


def _strips(axis: "Axes", frame: pd.DataFrame, places: np.ndarray) -> None:
    """Draw where the controls stand in the order as two strips of lines above the curve."""
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.12 * (high - low))
    kinds = frame["control"].astype(object).to_numpy() if "control" in frame else np.full(len(frame), None)
    for (name, colour, _), bottom in zip(_CLASSES[1:], (0.9, 0.95), strict=True):
        rows = np.flatnonzero(kinds == name)
        if len(rows):
            across = axis.get_xaxis_transform()
            axis.vlines(places[rows], bottom, bottom + 0.04, color=colour, linewidth=0.4, alpha=0.7, transform=across,
                        label=name, rasterized=True)  # fmt: skip
            axis.text(1.01 * len(frame), bottom + 0.02, f"{name} ({len(rows):,})", fontsize=7, va="center",
                      color=colour, transform=across)  # fmt: skip


def _name_right(axis: "Axes", rows: pd.DataFrame, x: str, y: str) -> None:
    """Write names on the right of points, those of a pile below each other so that none covers another."""
    pixel = _pixels(axis, rows, x, y)
    order = np.argsort(-pixel[:, 1], kind="stable")
    heights, height = np.empty(len(rows)), np.inf
    for place in order:
        heights[place] = height = min(pixel[place, 1], height - _LINE_HEIGHT)
    floor = axis.get_window_extent().y0 + _LINE_HEIGHT / 2
    for row, place in enumerate(order[::-1]):  # a pile that would end below the axes is pushed up from its foot
        heights[place] = max(heights[place], floor + row * _LINE_HEIGHT)
        shift = (heights[place] - pixel[place, 1]) * 72 / axis.figure.dpi
        _name(axis, rows.iloc[place], x, y, (14, shift), {"ha": "left", "va": "center"})


def _name_above(axis: "Axes", rows: pd.DataFrame, x: str, y: str) -> None:
    """Write names above points of one height: upright and apart from each other where they would meet."""
    pixel = _pixels(axis, rows, x, y)
    order = np.argsort(pixel[:, 0], kind="stable")
    longest = max((len(short(name)) for name in rows["name"]), default=0)
    if np.diff(pixel[order, 0]).min(initial=np.inf) > _LETTER * (longest + 1):
        for place in order:
            _name(axis, rows.iloc[place], x, y, (0, 12), {"ha": "center", "va": "bottom"})
        return
    across = -np.inf
    for place in order:
        across = max(pixel[place, 0], across + _LINE_HEIGHT)
        shift = (across - pixel[place, 0]) * 72 / axis.figure.dpi
        _name(axis, rows.iloc[place], x, y, (shift, 12), {"ha": "center", "va": "bottom", "rotation": 90})


def _pixels(axis: "Axes", rows: pd.DataFrame, x: str, y: str) -> np.ndarray:
    axis.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]  # settles where the axes lie
    return np.asarray(axis.transData.transform(rows[[x, y]].to_numpy(dtype=float)))


def _name(axis: "Axes", row: pd.Series, x: str, y: str, shift: tuple[float, float], style: dict[str, Any]) -> None:
    axis.annotate(
        short(row["name"]),
        (row[x], row[y]),
        xytext=shift,
        textcoords="offset points",
        fontsize=7,
        arrowprops={"arrowstyle": "-", "color": LINE, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
        **style,
    )


def _legend(axis: "Axes", frame: pd.DataFrame, place: Literal["upper left", "lower left", "lower right"]) -> None:
    """Explain the colours, where there are controls."""
    if "control" in frame and frame["control"].notna().any():
        legend(axis, place, markerscale=1 if len(frame) <= _CROWD else 2)
