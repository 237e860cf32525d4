"""Pictures of marginal means, contrasts and slopes with their intervals, and of tables of effects as coloured tiles."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.design.transforms import text_of_value
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
    intervals,
    label_rows,
    legend,
    plain,
    rows_figure,
    short,
    single_figure,
    theme,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from speclet_formula.interpretation import Means

SPREAD = 0.5  # of a row's height, that the levels of `by` share
CELL = 0.32  # inches
CELL_WIDTH = 0.5  # inches
LABELS = 2.6  # inches for labels and the colours' scale
WIDEST = 12.0  # inches
MISSING = "#D9D9D9"
PROBABILITY_VALUES = ("p_negative", "lfsr")
LFSR = {"cmap": "Blues_r", "vmin": 0.0, "vmax": 0.5}  # the surer, the darker
_MEASURES = {
    "estimate": "effect",
    "std_error": "standard error of the effect",
    "conf_low": "lower end of the interval",
    "conf_high": "upper end of the interval",
    "p_negative": "probability of an effect below zero",
    "lfsr": "local false sign rate",
}


def plot_means(means: "Means", *, ax: "Axes | None" = None) -> Picture:
    """Draw marginal means, contrasts or slopes with their intervals.

    Parameters
    ----------
    means : Means
        As from `marginal_means`, `contrasts`, `pairs` or `slopes`.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one row per level, or contrast, the first at the top, on the table's scale; the levels of `by` side by
        side in colours and marks. A line stands where nothing differs: at 0, or at 1 for ratios. `alt`: what is
        estimated, and the smallest and the largest estimate.

    Raises
    ------
    DataError
        There is nothing to draw.

    Examples
    --------
    >>> from speclet_formula.interpretation import marginal_means
    >>> from speclet_formula.reporting.plots.means import plot_means
    >>> plot_means(marginal_means(fit, "Days", at={"Days": [0, 9]})).alt[:27]  # fit: Reaction ~ Days + (...)
    'Marginal means of Reaction '
    """
    table = means.table
    if table.empty:
        raise DataError(
            "there are no means to draw.", "A picture has one row for each mean.", "Name a variable with levels."
        )
    rows = [name for name in means.names if name not in means.by]
    labels, within = _texts(table, rows), _texts(table, means.by)
    order, groups = list(dict.fromkeys(labels)), list(dict.fromkeys(within))
    figure, axis = rows_figure(len(order) * (1 + len(groups) // 2), width=5.4, ax=ax)
    for number, group in enumerate(groups):
        mine = [place for place, other in enumerate(within) if other == group]
        shift = (number - (len(groups) - 1) / 2) * SPREAD / max(len(groups) - 1, 1) if len(groups) > 1 else 0.0
        at = np.array([len(order) - 1 - order.index(labels[place]) - shift for place in mine])
        _draw(axis, table.iloc[mine], at, number, group)
    label_rows(axis, order[::-1])
    _reference_line(axis, means)
    axis.set_xlabel(plain(f"{_quantity(means)},\n{table.attrs['interval']}"))
    axis.set_ylabel("" if rows in ([], ["contrast"]) else counted(" and ".join(rows), len(order), order=""))
    if means.by:
        # Beside the rows, so that it hides no interval.
        legend(axis, "upper left", title=plain(" and ".join(means.by)), bbox_to_anchor=(1, 1))
    low, high = table.loc[table["estimate"].idxmin()], table.loc[table["estimate"].idxmax()]
    return Picture(
        figure,
        f"{means.sentence} Smallest: {_named(low, means)} {low['estimate']:.3g}; largest: {_named(high, means)} "
        f"{high['estimate']:.3g}.",
    )


def _numbers(matrix: pd.DataFrame) -> np.ndarray:
    """Return the cells as numbers, or raise a DataError that names a column without."""
    text = [str(name) for name in matrix.columns if not pd.api.types.is_numeric_dtype(matrix[name].dtype)]
    if text:
        raise DataError(
            f"column '{text[0]}' of the table of effects holds no numbers.",
            "Each cell is a number, or NaN where the combination is not in the data.",
            "Make it with effect_matrix(fit, 'gene', 'cell_line'), or put labels into the index: table.set_index(...).",
        )
    return np.asarray(matrix.to_numpy(dtype=np.float64))


def plot_matrix(matrix: pd.DataFrame, *, ax: "Axes | None" = None) -> Picture:
    """Draw a table of effects as coloured tiles: genes by cell lines.

    Parameters
    ----------
    matrix : pandas.DataFrame
        As from `effect_matrix`; choose rows and columns as of any frame. Names of index and columns label the axes.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one tile per cell in the table's order. Effects are blue below zero, white at zero and red above, the
        same distance from zero the same depth; probabilities and standard errors go from light to dark, the local false
        sign rate from dark, where a sign is sure, to light. Combinations that are not in the data are grey.
        `alt`: the size of the table, and its smallest and largest cell.

    Raises
    ------
    DataError
        The table has no cell with a number, or a column of something else.

    Examples
    --------
    >>> from speclet_formula.interpretation import effect_matrix
    >>> from speclet_formula.reporting.plots.means import plot_matrix
    >>> plot_matrix(effect_matrix(crossed, "gene", "cell_line")).alt[:31]  # crossed: log_fc ~ 1 + (1 | gene/cell_line)
    'Table of estimate of 6 levels o'
    """
    import seaborn

    values = _numbers(matrix)
    if not np.isfinite(values).any():
        raise DataError(
            "the table of effects has no number.",
            "A picture needs one combination that is in the data, or more.",
            "Make it with effect_matrix(fit, 'gene', 'cell_line').",
        )
    value = str(matrix.attrs.get("value", "estimate"))
    rows, columns = str(matrix.index.name or "rows"), str(matrix.columns.name or "columns")
    size = (min(LABELS + CELL_WIDTH * values.shape[1], WIDEST), 1.4 + min(CELL * len(values), ROW * MANY_LEVELS))
    figure, axis = single_figure(*size, ax=ax)
    with theme():
        seaborn.heatmap(
            values, ax=axis, cbar_kws={"label": plain(_MEASURES.get(value, value))}, rasterized=True,
            xticklabels=_labels(matrix.columns), yticklabels=_labels(matrix.index), **_colours(values, value),
        )  # fmt: skip
    axis.set_facecolor(MISSING)
    axis.tick_params(axis="x", rotation=45)
    for label in axis.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    axis.tick_params(length=0)
    axis.set_xlabel(counted(columns, values.shape[1], order=""))
    axis.set_ylabel(counted(rows, len(values), order=""))
    low, high = (np.unravel_index(pick(values), values.shape) for pick in (np.nanargmin, np.nanargmax))
    absent = int(np.isnan(values).sum())
    return Picture(
        figure,
        f"Table of {value} of {len(values):,} levels of {rows} in {values.shape[1]:,} levels of {columns}. Smallest: "
        f"{_cell(matrix, low)}; largest: {_cell(matrix, high)}."
        + (f" Combinations that are not in the data: {absent:,}." if absent else ""),
    )


def _draw(axis: "Axes", table: pd.DataFrame, at: np.ndarray, number: int, label: str) -> None:
    """Draw some rows in one colour."""
    intervals(
        axis, table["estimate"], at, (table["conf_low"], table["conf_high"]),
        colour=CYCLE[number % len(CYCLE)] if label else ESTIMATE, marker=MARKS[number % len(MARKS)],
        label=short(label) or None,
    )  # fmt: skip


def _reference_line(axis: "Axes", means: "Means") -> None:
    """Mark where nothing differs, but for means, whose zero is a number like any other."""
    if means.kind != "means":
        axis.axvline(1.0 if _is_ratio(means) else 0.0, color=LINE, linewidth=0.8)


def _is_ratio(means: "Means") -> bool:
    return means.kind == "contrasts" and "atio" in means.sentence.partition(" of: ")[0]


def _quantity(means: "Means") -> str:
    """Return what the axis shows, in the data's words."""
    scale = "" if means.scale == "response" else _link(means)
    if means.kind == "means":
        return f"{means.response}{scale}"
    if means.kind == "slopes":
        return f"slope of {means.response}{scale}"
    return f"{means.sentence.partition(' of: ')[0].lower().rstrip('s')} of {means.response}{scale}"


def _link(means: "Means") -> str:
    if means.family is None or means.family.link == "identity":
        return "" if means.family or means.kind != "means" else " (its link's scale)"
    return f" ({means.family.link} scale)"


def _texts(table: pd.DataFrame, names: "list[str] | tuple[str, ...]") -> list[str]:
    """Return one label per row."""
    columns = [[text_of_value(value) for value in table[name]] for name in names]
    return [", ".join(parts) for parts in zip(*columns, strict=True)] if names else [""] * len(table)


def _named(row: pd.Series, means: "Means") -> str:
    return ", ".join(text_of_value(row[name]) for name in means.names)


def _colours(values: np.ndarray, value: str) -> dict[str, Any]:
    """Return the colours and what their ends stand for."""
    if value in PROBABILITY_VALUES:
        return {"cmap": "Blues", "vmin": 0.0, "vmax": 1.0} if value == "p_negative" else LFSR
    if value == "std_error":
        return {"cmap": "Blues", "vmin": 0.0}
    reach = float(np.nanmax(np.abs(values))) or 1.0
    return {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}


def _labels(labels: pd.Index) -> "list[str] | bool":
    """Return the labels of rows or columns; of too many only their number is told by the caller."""
    return [short(label) for label in labels] if len(labels) <= MANY_LEVELS else False


def _cell(matrix: pd.DataFrame, place: "tuple[np.intp, ...]") -> str:
    row, column = place
    return f"{matrix.index[row]} in {matrix.columns[column]} {matrix.iloc[row, column]:.3g}"
