"""The picture of what a fit predicts along a variable: a line with its band, over rows or partial residuals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.arguments import is_among
from speclet_formula.design.transforms import text_of_value
from speclet_formula.errors import DataError, nearest
from speclet_formula.families import inverse_link
from speclet_formula.interpretation.combinations import derivative
from speclet_formula.interpretation.grids import make_grid, matrix_of
from speclet_formula.interpretation.means import Means, marginal_means, offset_words, variables_of
from speclet_formula.interpretation.scales import Scale, response_function
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import draws_of
from speclet_formula.posterior.estimates import Array, IntervalKind, points_of
from speclet_formula.prediction.linear_predictors import linear_predictor, row_blocks
from speclet_formula.prediction.predict import point_predictor
from speclet_formula.prediction.residuals import refuse_without_residuals
from speclet_formula.reporting.plots.picture import (
    CYCLE,
    ESTIMATE,
    LINE,
    MANY_ROWS,
    MARKS,
    Picture,
    intervals,
    legend,
    plain,
    points,
    short,
    single_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

type ShownRows = Literal["raw", "partial", "none"]

STEPS = 80  # points of a line
SHOWN_ROWS = ("raw", "partial", "none")
JITTER = 0.12  # of the distance between levels, to both sides, that rows are strewn over
SPREAD = 0.5  # of that distance, that the levels of `by` share
BAND = 0.18  # opacity
FAINT = 0.35
MOST_LINES = len(CYCLE)


def plot_predictions(
    fit: Fit | PointFit,
    x: str,
    *,
    by: str | None = None,
    at: Mapping[str, Any] | None = None,
    rows: ShownRows | None = None,
    type: Scale = "response",  # noqa: A002 - R's name
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
    ax: "Axes | None" = None,
) -> Picture:
    """Draw what is predicted along a variable, with its interval, over the rows: marginaleffects' `plot_predictions`.

    Lines are marginal means: other factors' levels count alike, other covariates are at their means unless `at` says
    otherwise, group effects and offsets as for `marginal_means`.

    Parameters
    ----------
    fit : Fit or PointFit
    x : str
        A variable of the fixed terms: a number becomes a line with a band over its range, a factor one point for each
        level.
    by : str, optional
        A second one, a line for each of its levels, in colours; of a number at its mean and an SD to both sides, unless
        `at` has values, and rows belong to the nearest of these.
    at : mapping of str to value or sequence of values, optional
        Values of the variables that are not drawn, or of `by`.
    rows : {"raw", "partial", "none"}, optional
        What is drawn beneath: the observed responses, where there are offsets brought to the exposure of the lines (of
        identity and log links); or partial residuals, what a row's response would be with the other variables and
        groups as they are on the line: the line at the row's own `x` and `by`, and the row's working residual. By
        default "raw" on the response's scale, else "partial"; "none" where rows were merged.
    type : {"response", "link"}
        As for `marginal_means`; a computed response, log(y), is taken back to y.
    ci_prob, ci_kind : optional
        As for `fixef`.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`; `alt` says what the lines are, at which exposure, and where they begin and end.

    Raises
    ------
    EstimateError
        A variable is in no fixed term, or as for `marginal_means`.
    DataError
        `rows` is no choice, cannot be drawn on that scale, or `by` has more levels than there are colours.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.plot_predictions(fit, "Days").alt[:28]  # fit: Reaction ~ Days + (1 + Days | Subject)
    'Marginal means of Reaction b'
    """
    predictor = fit.model.design.mean
    (x,) = variables_of(x, predictor)
    within = variables_of(by, predictor)
    shown = _shown_rows(fit, rows, type)
    points_at = _values(fit, x, within, at or {})
    made = {name: marginal_means(fit, x, by=within, at=points_at, type=name, ci_prob=ci_prob, ci_kind=ci_kind)
            for name in dict.fromkeys((type, "link"))}  # fmt: skip
    means = made[type]
    lines = _lines(means, x, within)
    figure, axis = single_figure(5.4 if within else 4.8, 3.4, ax)
    under = None if shown == "none" else _rows_of(fit, x, within, made["link"], points_at, shown, type)
    is_number = not isinstance(fit.model.design.frame[x].dtype, pd.CategoricalDtype) and len(points_at[x]) == STEPS
    for number, (label, table) in enumerate(lines.items()):
        colour = CYCLE[number] if within else ESTIMATE
        shift = 0.0 if is_number or len(lines) == 1 else (number / (len(lines) - 1) - 0.5) * SPREAD
        if under is not None:
            _draw_rows(axis, under, label, within, colour, MARKS[number % len(MARKS)], shift)
        draw = _draw_line if is_number else _draw_levels
        draw(axis, table, x, colour, MARKS[number % len(MARKS)], shift, short(label) if within else None)
    if not is_number:
        levels = list(dict.fromkeys(text_of_value(value) for value in means.table[x]))
        axis.set_xticks(range(len(levels)), [short(level) for level in levels])
    _label(axis, fit, means, x, within, shown, points_at)
    return Picture(figure, _told(means, lines, x, shown))


def check_rows(rows: object, choices: Sequence[str]) -> None:
    """Refuse what is no choice of what is drawn beneath a line.

    Raises
    ------
    DataError
    """
    if not is_among(rows, choices):
        near = nearest(str(rows), choices)
        raise DataError(
            f"rows={rows!r} is no choice.",
            f"rows= is one of {', '.join(map(repr, choices))}.",
            f"Nearest: rows='{near}'." if near else "Leave it out.",
        )


def _shown_rows(fit: Fit | PointFit, rows: object, scale: Scale) -> str:
    """Return what is drawn beneath the lines, checked."""
    direct = scale == "response" or fit.model.family.link == "identity"
    if rows is None:
        return "none" if fit.model.design.merged is not None else "raw" if direct else "partial"
    check_rows(rows, SHOWN_ROWS)
    if rows != "none" and fit.model.design.merged is not None:
        raise DataError(
            f"rows={rows!r} needs each row by itself, and the rows of this model are merged.",
            "The lines need none.",
            "Write rows='none', or leave it out.",
        )
    if rows == "raw" and not direct:
        raise DataError(
            f"observed responses are not on the scale of the {fit.model.family.link} link.",
            "They are drawn with type='response'; partial residuals on either scale.",
            "Write rows='partial', or type='response'.",
        )
    return str(rows)


def _values(fit: Fit | PointFit, x: str, within: tuple[str, ...], at: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the grid: of a number a range, of a number in `by` three of them."""
    frame, values = fit.model.design.frame, dict(at)
    make_grid(fit, at, None)  # which refuses values that cannot be
    grid = make_grid(fit, None, None)
    for name in (x, *within):
        column = frame[name]
        taken = list(dict.fromkeys(grid.frame[name])) if name in grid.frame else []
        if isinstance(column.dtype, pd.CategoricalDtype) or len(taken) > 1:
            values.setdefault(name, taken)
        elif name == x:
            low, high = np.min(values.get(x, column)), np.max(values.get(x, column))
            values[x] = np.linspace(float(low), float(high), STEPS)
        else:
            centre, spread = float(column.mean()), float(column.std())
            values.setdefault(name, [centre - spread, centre, centre + spread])
    return values


def _lines(means: Means, x: str, within: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """Return the means of each line, by its name."""
    if not within:
        return {"": means.table}
    lines = {_line_name(value): part for value, part in means.table.groupby(within[0], sort=False, observed=True)}
    if len(lines) > MOST_LINES:
        raise DataError(
            f"'{within[0]}' has {len(lines):,} levels, and there are colours for {MOST_LINES}.",
            "Each line has a colour of its own.",
            f"Choose some of them: at={{'{within[0]}': [...]}}.",
        )
    return lines


def _rows_of(
    fit: Fit | PointFit, x: str, within: tuple[str, ...], link: Means, at: Mapping[str, Any], shown: str, scale: Scale
) -> pd.DataFrame:
    """Return where rows are drawn: their values of `x`, their line, and their height."""
    design, family = fit.model.design, fit.model.family
    frame = design.frame.reset_index(drop=True)
    response = design.response if design.trials is None else design.response / np.maximum(design.trials, 1)
    lines = _lines(link, x, within)
    is_level = isinstance(frame[x].dtype, pd.CategoricalDtype) or len(at[x]) != STEPS
    grid = make_grid(fit, {name: at[name] for name in (x, *within)} | dict(at), None)
    back = response_function(fit, grid, scale)
    heights = np.full(len(frame), np.nan)
    names = _line_names(frame[within[0]], at[within[0]]) if within else np.full(len(frame), "")
    places = _places(frame[x], at[x]) if is_level else frame[x].to_numpy(dtype=float)
    if shown == "partial":
        refuse_without_residuals(design)
        working = working_residuals(fit)
        for label, table in lines.items():
            mine = names == label
            ends = np.arange(len(table)) if is_level else table[x].to_numpy(dtype=float)
            heights[mine] = np.interp(places[mine], ends, table["estimate"]) + working[mine]
        heights = heights if back is None else np.asarray(back(heights))
    else:
        moved = matrix_of(grid, grid.frame.iloc[:1])[1][0] - design.mean.offset  # to the exposure of the lines
        if family.link == "identity":
            heights = response + moved
            heights = heights if back is None else np.asarray(back(heights))
        else:
            heights = response * np.exp(moved) if family.link == "log" else response
    return pd.DataFrame({"x": places, "line": names, "height": heights})


def _line_name(value: Any) -> str:
    """Name a line: a level, or a number of few digits."""
    return f"{value:.4g}" if isinstance(value, float) else text_of_value(value)


def _line_names(column: pd.Series, drawn: Any) -> np.ndarray:
    """Return the line of each row: that of its level, or of a number the nearest."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return np.array([text_of_value(value) for value in column])
    at = np.sort(np.atleast_1d(np.asarray(drawn, dtype=float)))
    nearest_at = np.abs(column.to_numpy(dtype=float)[:, None] - at).argmin(axis=1)
    return np.asarray(np.array([_line_name(float(value)) for value in at])[nearest_at])


def _places(column: pd.Series, levels: Any) -> Array:
    """Return the places of a column's values among the levels that are drawn; NaN of others."""
    known = {text_of_value(level): place for place, level in enumerate(levels)}
    return np.array([known.get(text_of_value(value), np.nan) for value in column], dtype=float)


def working_residuals(fit: Fit | PointFit) -> Array:
    """Return what each row's response is off its mean (n,), on the link's scale."""
    design, family, eta = fit.model.design, fit.model.family, _predictor(fit)
    response = design.response if design.trials is None else design.response / np.maximum(design.trials, 1)
    off = response - inverse_link(family, eta)
    return np.asarray(off / derivative(lambda values: inverse_link(family, values), eta))


def _predictor(fit: Fit | PointFit) -> Array:
    """Return the linear predictor of each row, group effects included: at the estimates, or the posterior mean."""
    points_known, design = points_of(fit), fit.model.design
    if points_known is not None:
        return point_predictor(fit.model, points_known, design)
    draws = draws_of(fit)
    blocks = row_blocks(len(design.rows), len(draws))
    return np.concatenate([linear_predictor(fit.model, draws, block).mean(axis=0) for block in blocks])


def _draw_rows(
    axis: "Axes", rows: pd.DataFrame, label: str, within: tuple[str, ...], colour: str, marker: str, shift: float
) -> None:
    """Draw the rows of one line, strewn where they share a level."""
    mine = rows[rows["line"] == label]
    mine = mine[np.isfinite(mine["x"]) & np.isfinite(mine["height"])]
    if not len(mine):
        return
    strewn = np.zeros(len(mine))
    if len(mine) > mine["x"].nunique() * 2 and mine["x"].nunique() < STEPS // 4:
        width = JITTER * float(np.diff(np.sort(mine["x"].unique())).min()) if mine["x"].nunique() > 1 else JITTER
        strewn = np.random.default_rng(1).uniform(-width, width, len(mine))
    points(
        axis, mine["x"] + strewn + shift, mine["height"], colour=colour if within else LINE, marker=marker, size=3.0,
        alpha=FAINT, zorder=1, rasterized=len(mine) > MANY_ROWS,
    )  # fmt: skip


def _draw_line(
    axis: "Axes", table: pd.DataFrame, x: str, colour: str, _marker: str, _shift: float, label: str | None
) -> None:
    """Draw a line and its band."""
    import seaborn

    along = table[x].to_numpy(dtype=float)
    axis.fill_between(along, table["conf_low"], table["conf_high"], color=colour, alpha=BAND, linewidth=0)
    seaborn.lineplot(
        x=along, y=table["estimate"].to_numpy(), ax=axis, color=colour, linewidth=1.6, label=label, legend=False,
        errorbar=None, zorder=4,
    )  # fmt: skip


def _draw_levels(
    axis: "Axes", table: pd.DataFrame, x: str, colour: str, marker: str, shift: float, label: str | None
) -> None:
    """Draw the means of levels with their intervals."""
    intervals(
        axis, np.arange(len(table)) + shift, table["estimate"], (table["conf_low"], table["conf_high"]), colour=colour,
        marker=marker, upright=True, label=label, size=6.0, zorder=4,
    )  # fmt: skip


def _label(
    axis: "Axes", fit: Fit | PointFit, means: Means, x: str, within: tuple[str, ...], shown: str, at: Mapping[str, Any]
) -> None:
    """Name both axes, the interval and the exposure."""
    link = "" if means.scale == "response" or means.family is None else f" ({means.family.link} scale)"
    link = "" if means.family is not None and means.family.link == "identity" else link
    exposure = offset_words(make_grid(fit, dict(at), None))
    under = {"raw": "", "partial": "partial residuals", "none": ""}[shown]
    notes = [means.table.attrs["interval"], *exposure, *([under] if under else [])]
    axis.set_xlabel(plain("\n".join([x, *notes])))
    axis.set_ylabel(plain(f"{means.response}{link}"))
    if within:
        legend(axis, "upper left", title=plain(within[0]), bbox_to_anchor=(1, 1))


def _told(means: Means, lines: Mapping[str, pd.DataFrame], x: str, shown: str) -> str:
    """Say what the picture shows."""
    parts = []
    for label, table in lines.items():
        first, last = table.iloc[0], table.iloc[-1]
        name = f"{label}: from" if label else "From"
        parts.append(
            f"{name} {first['estimate']:.4g} at {x} = {text_of_value(first[x])} to {last['estimate']:.4g} at {x} = "
            f"{text_of_value(last[x])}"
        )
    under = {"raw": " The rows are drawn beneath.", "partial": " Partial residuals are drawn beneath.", "none": ""}
    return f"{means.sentence} {'; '.join(parts)}.{under[shown]}"
