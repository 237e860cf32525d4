"""The picture of a fit's smooths: the partial effect of each, with its band, over partial residuals.

As plot.gam of mgcv and draw of gratia have it: what the smooth adds to the linear predictor, without the intercept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.design import Predictor, replay_design
from speclet_formula.errors import EstimateError, SpecletError, listed, nearest
from speclet_formula.formula.smooths import Smooth, smooth_in
from speclet_formula.formula.terms import Expression, columns_of, text_of
from speclet_formula.inference.smooths import (
    SmoothTerm,
    effective_freedom,
    no_smooth,
    smooth_terms,
    whole_coefficients,
    whole_covariance,
)
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import values_of
from speclet_formula.posterior.estimates import Array, IntervalKind, interval_of, points_of, summarise, with_interval
from speclet_formula.prediction.residuals import refuse_without_residuals
from speclet_formula.reporting.plots.picture import (
    COLOURS,
    CYCLE,
    ESTIMATE,
    LINE,
    MANY_ROWS,
    PANELS_IN_A_ROW,
    Picture,
    grid_figure,
    legend,
    plain,
    points,
    short,
    title,
)
from speclet_formula.reporting.plots.predictions import BAND, FAINT, STEPS, check_rows, working_residuals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 40  # points of a surface along each variable
FAR = 0.1  # of the ranges, from the nearest row, beyond which a surface is not drawn; mgcv's too.far
MOST_CURVES = len(CYCLE)
CONTOURS = 9


@dataclass(frozen=True, eq=False)
class _Partial:
    """What a smooth adds to the linear predictor over a grid."""

    label: str
    variables: tuple[str, ...]  # the columns of the data that it runs over
    table: pd.DataFrame  # them, `curve` (levels of bs = "fs"), `estimate`, `conf_low`, `conf_high`
    rows: pd.DataFrame  # them, and `height` of partial residuals; missing without
    freedom: float  # effective degrees of freedom; missing where they are not known


def plot_smooths(
    fit: Fit | PointFit,
    smooth: str | None = None,
    *,
    rows: Literal["partial", "none"] | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> Picture:
    """Draw the partial effect of each smooth, as mgcv's `plot.gam`.

    Parameters
    ----------
    fit : Fit or PointFit
    smooth : str, optional
        One of them, by its label in `smooths`: "s(x)", "s(x, by = f)[a]"; by default all.
    rows : {"partial", "none"}, optional
        Whether partial residuals are drawn beneath curves: the curve at the row's own value and its working residual,
        of the rows in which the curve is at work, but not where a number is `by`. By default they are, where rows have
        residuals.
    ci_prob, ci_kind : optional
        As for `fixef`. After REML, ML and Laplace's approximation the band is for given variances, as mgcv's.

    Returns
    -------
    Picture
        `figure`, a panel for each smooth, on the link's scale, curves with one scale: a line with its band, of `by` a
        number its factor; of two variables a surface, where rows are near; of bs = "fs", and of gp() with `by`, a line
        for each level, seven at most. In the titles stand the effective degrees of freedom. `alt`: from where to where
        each curve goes.

    Raises
    ------
    EstimateError
        The model has no smooth, or none of that label, or a variable of one is made of several columns.
    DataError
        `rows` is no choice.

    References
    ----------
    Wood (2017). Generalized Additive Models: An Introduction with R, 2nd edition, section 7.1.
    doi:10.1201/9781315370279.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, _ = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ s(log_rna) + (1 | gene)", data, method="reml")  # doctest: +SKIP
    >>> sf.plot_smooths(fit).alt[:18]  # doctest: +SKIP
    'Partial effects of'
    """
    found = list(_partials(fit, _asked(fit, smooth), _shows_rows(fit, rows), ci_prob, ci_kind))
    figure, axes = grid_figure(len(found))
    for axis, partial in zip(axes, found, strict=True):
        draw = _draw_surface if len(partial.variables) > 1 else _draw_curves
        draw(axis, partial)
        freedom = f", edf {partial.freedom:.1f}" if np.isfinite(partial.freedom) else ""
        title(axis, f"{partial.label}{freedom}")
    curves = [axis for axis, partial in zip(axes, found, strict=True) if len(partial.variables) == 1]
    lowest, highest = zip(*(axis.get_ylim() for axis in curves), strict=True) if curves else ((0.0,), (1.0,))
    for axis in curves:
        axis.set_ylim(min(lowest), max(highest))
    scale = "" if fit.model.family.link == "identity" else f" ({fit.model.family.link} scale)"
    for place, axis in enumerate(axes):
        if axis in curves and (place % PANELS_IN_A_ROW == 0 or axis is curves[0]):
            axis.set_ylabel(plain(f"effect on {short(fit.model.design.response_name)}{scale}"))
    return Picture(figure, _told(found, interval_text(fit, ci_prob, ci_kind)))


def interval_text(fit: Fit | PointFit, ci_prob: float | None, ci_kind: IntervalKind | None) -> str:
    """Name the interval of a band."""
    interval = interval_of(fit, ci_prob, ci_kind)
    return str(interval) if points_of(fit) is None else f"{100 * interval.probability:g}% Wald interval"


def _asked(fit: Fit | PointFit, label: str | None) -> list[tuple[Predictor, Smooth, SmoothTerm]]:
    """Return the smooths that are asked for, each with its linear predictor and what it says."""
    known = [
        (predictor, smooth, term)
        for predictor in fit.model.design.predictors
        for term in smooth_terms(predictor)
        for smooth in [_smooth_of(predictor, term)]
    ]
    if not known:
        raise no_smooth()
    chosen = [one for one in known if label in (None, one[2].label, one[1].label)]
    if not chosen:
        labels = [term.label for _, _, term in known]
        near = nearest(str(label), labels)
        raise EstimateError(
            f"the model has no smooth {label!r}.",
            f"Its smooths: {listed(labels, 7)}.",
            f"Nearest: {near!r}." if near else "Leave smooth= out for all of them.",
        )
    return chosen


def _smooth_of(predictor: Predictor, term: SmoothTerm) -> Smooth:
    """Return what the formula says of a smooth."""
    return next(
        smooth
        for one in predictor.formula.terms
        if (smooth := smooth_in(one)) is not None and smooth.label == term.parts[0].smooth
    )


def _shows_rows(fit: Fit | PointFit, asked: object) -> bool:
    """Tell whether partial residuals are drawn."""
    if asked is not None:
        check_rows(asked, ("partial", "none"))
    if asked == "none":
        return False
    try:
        refuse_without_residuals(fit.model.design)
    except SpecletError:
        if asked is not None:
            raise
        return False
    return fit.model.design.merged is None


def _partials(
    fit: Fit | PointFit,
    asked: Sequence[tuple[Predictor, Smooth, SmoothTerm]],
    shows_rows: bool,
    ci_prob: float | None,
    ci_kind: IntervalKind | None,
) -> Iterator[_Partial]:
    interval, freedom = interval_of(fit, ci_prob, ci_kind), effective_freedom(fit)
    residuals = working_residuals(fit) if shows_rows else None
    for predictor, smooth, term in asked:
        frame, variables = _grid(fit, smooth, term)
        replayed = replay_design(fit.model.design, frame)
        number = fit.model.design.predictors.index(predictor)
        columns = replayed.predictors[number].whole[:, term.places]
        estimates = _estimates(fit, predictor, term.places, columns, interval)
        table = pd.concat([frame[list(variables)].reset_index(drop=True), estimates], axis=1)
        if (several := _levels_of(fit, smooth, term)) is not None:
            table = table.assign(curve=frame[several].astype(str).to_numpy())
        known = [freedom.get(block.label, np.nan) for block in term.parts]
        yield _Partial(
            f"{predictor.name}: {term.label}" if predictor.name else term.label,
            variables,
            table,
            _rows(fit, predictor, term, variables, None if _scaled(fit, smooth) else residuals),
            np.nan if predictor.name else len(term.fixed) + sum(known),
        )


def _scaled(fit: Any, smooth: Smooth) -> bool:
    """Tell whether a number multiplies a curve, which is drawn at one of it, so that its rows have other heights."""
    by = None if smooth.by is None else fit.model.design.frame[_column(smooth.by, smooth)]
    return by is not None and not isinstance(by.dtype, pd.CategoricalDtype)


def _estimates(fit: Any, predictor: Predictor, places: Array, columns: Array, interval: Any) -> pd.DataFrame:
    """Return the effect of columns (rows, k) with its interval."""
    if points_of(fit) is None:
        return summarise(values_of(fit).whole(predictor)[:, places] @ columns.T, interval)
    known = whole_covariance(fit)[np.ix_(places, places)]
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", columns, known, columns), 0.0))
    return with_interval(columns @ whole_coefficients(fit)[places], errors, interval)


def _rows(
    fit: Any, predictor: Predictor, term: SmoothTerm, variables: tuple[str, ...], residuals: Array | None
) -> pd.DataFrame:
    """Return the rows in which a curve is at work, with the heights of their partial residuals."""
    frame = fit.model.design.frame[list(variables)].reset_index(drop=True)
    own = predictor.whole[:, term.places]
    mine = np.abs(own).max(axis=1) > 0
    if residuals is None or predictor.name:
        return frame[mine].assign(height=np.nan)
    points, values = points_of(fit), values_of(fit)
    center = whole_coefficients(fit) if points is not None else values.whole(predictor).mean(axis=0)
    return frame.assign(height=own @ center[term.places] + residuals)[mine]


def _grid(fit: Any, smooth: Smooth, term: SmoothTerm) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return rows over the range of a smooth's variables, with the level of its curve; all else as in the first row."""
    frame = fit.model.design.frame
    numbers = smooth.variables[:-1] if smooth.basis == "fs" else smooth.variables
    variables = tuple(_column(variable, smooth) for variable in numbers)
    values: dict[str, Any]
    if len(variables) > 1:
        ends = [np.linspace(float(frame[name].min()), float(frame[name].max()), SIDE) for name in variables]
        values = dict(zip(variables, (part.ravel() for part in np.meshgrid(*ends)), strict=True))
    else:
        values = {variables[0]: np.linspace(float(frame[variables[0]].min()), float(frame[variables[0]].max()), STEPS)}
    count = len(values[variables[0]])
    if (several := _levels_of(fit, smooth, term)) is not None:
        levels = list(frame[several].cat.categories)
        values = {name: np.tile(column, len(levels)) for name, column in values.items()}
        values[several] = np.repeat(np.array(levels, dtype=object), count)
    elif smooth.by is not None:
        factor, level = _column(smooth.by, smooth), term.label.partition("[")[2].removesuffix("]")
        of_level = frame[factor][frame[factor].astype(str) == level] if level else None
        values[factor] = 1.0 if of_level is None else of_level.iloc[0]
    made = pd.concat([frame.iloc[:1]] * len(next(iter(values.values()))), ignore_index=True)
    return made.assign(**values), variables


def _levels_of(fit: Any, smooth: Smooth, term: SmoothTerm) -> str | None:
    """Return the factor whose levels have the curves of one smooth: that of bs = "fs", or `by` of a process."""
    if smooth.basis == "fs":
        return _column(smooth.variables[-1], smooth)
    of_level = smooth.by is None or term.label != smooth.label or _scaled(fit, smooth)
    return None if of_level or smooth.by is None else _column(smooth.by, smooth)


def _column(variable: Expression, smooth: Smooth) -> str:
    """Return the only column that a variable is made of."""
    columns = columns_of(variable)
    if len(columns) == 1:
        return columns[0]
    raise EstimateError(
        f"'{text_of(variable)}' of {smooth.label} is made of {len(columns)} columns.",
        "A curve is drawn over one column of the data.",
        "Make the variable a column of the table, and write its name.",
    )


def _draw_curves(axis: "Axes", partial: _Partial) -> None:
    """Draw a curve with its band, or the curves of levels."""
    import seaborn

    (x,) = partial.variables
    own = partial.rows[np.isfinite(partial.rows["height"])]
    points(axis, own[x], own["height"], colour=LINE, size=3.0, alpha=FAINT, zorder=1, rasterized=len(own) > MANY_ROWS)
    axis.axhline(0, color=LINE, linewidth=0.6, zorder=0)
    curves = partial.table.groupby("curve", sort=False) if "curve" in partial.table else [("", partial.table)]
    for number, (name, table) in zip(range(MOST_CURVES), curves, strict=False):
        colour = CYCLE[number] if name else ESTIMATE
        along = table[x].to_numpy(dtype=float)
        if not name:
            axis.fill_between(along, table["conf_low"], table["conf_high"], color=colour, alpha=BAND, linewidth=0)
        seaborn.lineplot(
            x=along, y=table["estimate"].to_numpy(), ax=axis, color=colour, linewidth=1.6, errorbar=None, zorder=4,
            label=short(name) if name else None, legend=False,
        )  # fmt: skip
    if "curve" in partial.table:
        legend(axis, "best")
    axis.set_xlabel(plain(x))
    axis.set_ylabel("")


def _draw_surface(axis: "Axes", partial: _Partial) -> None:
    """Draw a surface by colours and contours, where rows are near."""
    first, second = partial.variables
    x, y = (partial.table[name].to_numpy(dtype=float).reshape(SIDE, SIDE) for name in partial.variables)
    ranges = [max(float(np.ptp(part)), 1e-300) for part in (x, y)]
    rows = partial.rows[list(partial.variables)].drop_duplicates().to_numpy(dtype=float)
    height = partial.table["estimate"].to_numpy(dtype=float).reshape(SIDE, SIDE)
    near = _distances(np.column_stack([x.ravel(), y.ravel()]) / ranges, rows / ranges).reshape(x.shape) <= FAR
    height = np.where(near, height, np.nan)
    reach = float(np.nanmax(np.abs(height)))
    tiles = axis.pcolormesh(x, y, height, cmap="RdBu_r", vmin=-reach, vmax=reach, shading="nearest", rasterized=True)
    lines = axis.contour(x, y, height, levels=CONTOURS, colors="black", linewidths=0.5)
    axis.clabel(lines, fontsize=6)
    points(axis, rows[:, 0], rows[:, 1], colour=LINE, size=1.5, alpha=FAINT, rasterized=len(rows) > MANY_ROWS)
    bar = axis.figure.colorbar(tiles, ax=axis)
    bar.ax.tick_params(labelsize=axis.yaxis.get_majorticklabels()[0].get_fontsize())
    bar.ax.set_label(COLOURS)
    axis.set(xlabel=plain(first), ylabel=plain(second))


def _distances(grid: Array, rows: Array) -> Array:
    """Return how far each point of a grid is from the nearest row."""
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(rows).query(grid)[0])


def _told(found: Sequence[_Partial], interval: str) -> str:
    """Say what the picture shows."""
    parts = []
    for partial in found:
        height = partial.table["estimate"]
        low, high = partial.table.loc[height.idxmin()], partial.table.loc[height.idxmax()]
        at = [", ".join(f"{name} = {row[name]:.4g}" for name in partial.variables) for row in (low, high)]
        parts.append(f"{partial.label} from {low['estimate']:.3g} at {at[0]} to {high['estimate']:.3g} at {at[1]}")
    beneath = any(partial.rows["height"].notna().any() for partial in found)
    under = " Partial residuals are drawn beneath." if beneath else ""
    return f"Partial effects of {len(found)} smooth{'s' * (len(found) > 1)} ({interval}): {'; '.join(parts)}.{under}"
