"""Pictures of a fit's effects: each level's interval, how far pooling moved it, and the standard deviations."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.design.merged import rows_in_levels
from speclet_formula.errors import DataError
from speclet_formula.posterior import Fit
from speclet_formula.posterior.draws import draws_of
from speclet_formula.posterior.effects import fixef, ranef
from speclet_formula.posterior.variances import varcorr
from speclet_formula.reporting.plots.picture import (
    ESTIMATE,
    LINE,
    MANY_LEVELS,
    TRUTH,
    Picture,
    counted,
    intervals,
    label_rows,
    legend_below,
    plain,
    points,
    rows_figure,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from speclet_formula.design.design import GroupBlock
    from speclet_formula.posterior import Fit, PointFit


def plot_effects(
    fit: "Fit | PointFit", group: str | None = None, term: str | None = None, *, ax: "Axes | None" = None
) -> Picture:
    """Draw the effect of every level with its interval, sorted: a caterpillar.

    Parameters
    ----------
    fit : Fit or PointFit
        With at least one group term.
    group : str, optional
        The grouping factor: "gene". The first one by default.
    term : str, optional
        The column: "Intercept", "Days". The factor's first one by default.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one line per level on the link's scale, with the interval of `ranef`. `alt`: how many levels there
        are, which effects are the largest and the smallest, and how many intervals exclude zero.

    Raises
    ------
    DataError
        The model has no such group term.

    Examples
    --------
    >>> from speclet_formula.reporting.plots.effects import plot_effects
    >>> plot_effects(fit, "Subject", "Days").alt[:38]  # fit: Reaction ~ Days + (1 + Days | Subject)
    'Effects of 18 levels of Subject (Days)'
    """
    effects, group, term = chosen_effects(fit, group, term)
    interval = effects.attrs["interval"]
    frame = effects.sort_values("condval", ignore_index=True)
    figure, axis = rows_figure(len(frame), ax=ax)
    thin = len(frame) > MANY_LEVELS
    axis.axvline(0, color=LINE, linewidth=0.8)
    intervals(
        axis, frame["condval"], frame.index, (frame["conf_low"], frame["conf_high"]),
        colour=ESTIMATE, line=0.7 if thin else 1.2, marks="black", size=2 if thin else 4,
    )  # fmt: skip
    label_rows(axis, frame["grp"].tolist())
    axis.set_ylabel(counted(group, len(frame)))
    axis.set_xlabel(plain(f"effect on {fit.model.design.response_name}{_scale(fit)},\n{interval}"))
    title(axis, _title(group, term))
    apart = int(((frame["conf_low"] > 0) | (frame["conf_high"] < 0)).sum())
    first, last = frame.iloc[0], frame.iloc[-1]
    return Picture(
        figure,
        f"Effects of {len(frame):,} levels of {_title(group, term)} with their {interval}. Smallest: {first['grp']} "
        f"{first['condval']:.2f}; largest: {last['grp']} {last['condval']:.2f}. {apart:,} intervals exclude zero.",
    )


def plot_fixed(fit: "Fit | PointFit", *, ax: "Axes | None" = None) -> Picture:
    """Draw the fixed effects with their intervals.

    Parameters
    ----------
    fit : Fit or PointFit
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one row for each coefficient of the mean, in the table's order, on the link's scale, with the interval
        of `fixef`, and a line at zero. An intercept is drawn only where it stands alone: it is no difference, and often
        far from the others. `alt`: the same in numbers.

    Raises
    ------
    DataError
        The model has no fixed effect.

    Examples
    --------
    >>> from speclet_formula.reporting.plots.effects import plot_fixed
    >>> plot_fixed(fit).alt[:31]  # fit: Reaction ~ Days + (1 + Days | Subject)
    'Fixed effects on Reaction with '
    """
    table = fixef(fit)
    if table.empty:
        raise DataError(
            "the model has no fixed effect to draw.",
            "Fixed effects are those of terms outside of (... | group).",
            "Its group effects are in sf.ranef(fit).",
        )
    slopes = table[table["term"] != "Intercept"]
    frame = (slopes if len(slopes) else table).iloc[::-1].reset_index(drop=True)
    figure, axis = rows_figure(len(frame), ax=ax)
    axis.axvline(0, color=LINE, linewidth=0.8)
    intervals(axis, frame["estimate"], frame.index, (frame["conf_low"], frame["conf_high"]), colour=ESTIMATE, line=2)
    label_rows(axis, frame["term"].tolist())
    axis.set_ylabel("" if len(frame) <= MANY_LEVELS else f"{len(frame):,} coefficients")
    axis.set_xlabel(plain(f"effect on {fit.model.design.response_name}{_scale(fit)},\n{table.attrs['interval']}"))
    words = "; ".join(
        f"{row.term} {row.estimate:.3g} ({row.conf_low:.3g} to {row.conf_high:.3g})"
        for row in frame.iloc[::-1].head(MANY_LEVELS).itertuples()
    )
    of = fit.model.design.response_name
    return Picture(figure, f"Fixed effects on {of} with their {table.attrs['interval']}: {words}.")


def plot_shrinkage(fit: "Fit", group: str | None = None, *, ax: "Axes | None" = None) -> Picture:
    """Draw how far pooling moves each level from its own rows' mean towards the others.

    Parameters
    ----------
    fit : Fit
        Of a family with the identity link, with an intercept for each level of the group.
    group : str, optional
        The grouping factor; the first one by default.
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: for each level the mean of what the rest of the model leaves of its rows (no pooling) and the
        estimated effect (partial pooling), joined by a line. `alt`: how far the levels are moved, in numbers.

    Raises
    ------
    DataError
        The model has no such group term, or its link is not the identity.
    """
    frame = shrinkage(fit, group).sort_values("alone", ignore_index=True)
    label = str(frame.attrs["group"])
    figure, axis = rows_figure(len(frame), ax=ax)
    axis.axvline(0, color=LINE, linewidth=0.8)
    axis.hlines(frame.index, frame["alone"], frame["pooled"], color=LINE, linewidth=1)
    points(axis, frame["alone"], frame.index, colour=TRUTH, marker="D", size=4, label="own rows alone")
    points(axis, frame["pooled"], frame.index, colour=ESTIMATE, size=4, label="partially pooled")
    label_rows(axis, frame["level"].tolist())
    axis.set_ylabel(counted(label, len(frame)))
    axis.set_xlabel(plain(f"effect on {fit.model.design.response_name}"))
    legend_below(figure, [axis])
    moved = (frame["alone"] - frame["pooled"]).abs()
    most = frame.loc[moved.idxmax()]
    return Picture(
        figure,
        f"Effects of {len(frame):,} levels of {label} from their own rows alone and partially pooled. Pooling moves "
        f"them by {moved.mean():.2f} on average, most {most['level']} ({int(most['rows'])} rows), from "
        f"{most['alone']:.2f} to {most['pooled']:.2f}.",
    )


def shrinkage(fit: "Fit", group: str | None = None) -> pd.DataFrame:
    """Tabulate each level's mean residual from the rest of the model beside its estimated effect.

    Returns
    -------
    pandas.DataFrame
        One row for each level: `level`, `rows`, `alone` (mean of the response less the posterior mean of all but
        this effect and those of factors nested in the group),
        `pooled` (posterior mean of the effect).
    """
    from speclet_formula.prediction.linear_predictors import linear_predictor  # pictures of recoveries need none

    block = _intercepts(fit, group)
    if fit.model.family.link != "identity":
        raise DataError(
            f"the link is {fit.model.family.link}: a level's own rows have no mean on its scale.",
            "Shrinkage is drawn of models with the identity link.",
            "plot_effects draws the estimated effects of any model.",
        )
    draws = draws_of(fit)
    draws.require(fit.model.design.mean.factors)
    means = draws.mean()
    effects = means.effects(block)[block.columns.index("1")][0]
    left = fit.model.design.response - linear_predictor(fit.model, means)[0] + effects[block.codes]
    for finer in fit.model.design.mean.factors:
        alone = finer is not block and finer.shares is None
        if alone and len(np.unique(finer.codes * len(block.levels) + block.codes)) == len(finer.levels):
            for column, own in enumerate(means.effects(finer)):  # nested within the levels: part of what their rows say
                left = left + own[0, finer.codes] * finer.values[:, column]
    counts = rows_in_levels(fit.model.design, block)
    rows = 1.0 if fit.model.design.merged is None else fit.model.design.merged.rows
    sums = np.bincount(block.codes, weights=rows * left, minlength=len(block.levels))
    seen = counts > 0  # a matrix may have levels without a row
    levels = np.array(block.levels, dtype=object)[seen]
    alone = sums[seen] / counts[seen]
    frame = pd.DataFrame({"level": levels, "rows": counts[seen], "alone": alone, "pooled": effects[seen]})
    frame.attrs["group"] = block.group
    return frame


def chosen_effects(fit: "Fit | PointFit", group: str | None, term: str | None) -> tuple[pd.DataFrame, str, str]:
    """Return one block's rows of `ranef`, its factor and its column."""
    effects = ranef(fit)
    if effects.empty:
        draws_of(fit).require(fit.model.design.blocks)
        raise _no_groups()
    pairs = list(dict.fromkeys(zip(effects["grpvar"], effects["term"], strict=True)))
    found = [pair for pair in pairs if group in (None, pair[0]) and term in (None, pair[1])]
    if not found:
        raise DataError(
            f"the model has no group term '{group or '...'}'" + (f" with '{term}'." if term else "."),
            f"Its group terms: {', '.join(f"'{one}' ({column})" for one, column in pairs)}.",
            "Name one of these.",
        )
    chosen = effects[(effects["grpvar"] == found[0][0]) & (effects["term"] == found[0][1])].reset_index(drop=True)
    chosen.attrs.update(effects.attrs)
    return chosen, str(found[0][0]), str(found[0][1])


def _intercepts(fit: "Fit", group: str | None) -> "GroupBlock":
    """Return the block that gives each level of a factor its intercept."""
    blocks = [block for block in fit.model.design.mean.factors if "1" in block.columns]
    found = [block for block in blocks if group in (None, block.group)]
    if found:
        return found[0]
    if not blocks:
        raise _no_groups()
    raise DataError(
        f"the model has no intercept for each level of '{group}'.",
        f"It has those of {', '.join(repr(block.group) for block in blocks)}.",
        "Name one of these.",
    )


def _no_groups() -> DataError:
    return DataError(
        "the model has no group term to draw.",
        "The effects of levels are those of terms such as (1 | gene).",
        "Its fixed effects are in sf.fixef(fit).",
    )


def _title(group: str, term: str) -> str:
    return group if term == "Intercept" else f"{group} ({term})"


def _scale(fit: "Fit | PointFit") -> str:
    link = fit.model.family.link
    return "" if link == "identity" else f" ({link} scale)"


def plot_variances(fit: "Fit | PointFit", *, ax: "Axes | None" = None) -> Picture:
    """Draw the standard deviations of group effects and residuals with their intervals.

    Parameters
    ----------
    fit : Fit or PointFit
    ax : matplotlib.axes.Axes, optional
        What is drawn on, instead of a figure of its own.

    Returns
    -------
    Picture
        `figure`: one row for each standard deviation, on the link's scale, with the interval of `varcorr`. `alt`: the
        same in numbers.

    Raises
    ------
    DataError
        The model has no standard deviation.
    """
    table = varcorr(fit)
    frame = table[table["var2"].isna()].iloc[::-1].reset_index(drop=True)
    if frame.empty:
        raise DataError(
            "the model has no standard deviation to draw.",
            "Standard deviations are those of group terms and of a gaussian residual.",
            "Its fixed effects are in sf.fixef(fit).",
        )
    figure, axis = rows_figure(len(frame), ax=ax)
    intervals(
        axis, frame["sdcor"], frame.index, (frame["conf_low"], frame["conf_high"]), colour=ESTIMATE, line=2, size=6
    )
    names = [_component(row.grp, row.var1) for row in frame.itertuples()]
    label_rows(axis, names)
    axis.set_xlim(left=0)
    bounded = table.attrs["interval"] != "none"  # of a fit without draws there is none
    what = f"standard deviation in {fit.model.design.response_name}{_scale(fit)}"
    axis.set_xlabel(plain(f"{what},\n{table.attrs['interval']}" if bounded else what))
    words = "; ".join(
        f"{name} {row.sdcor:.3g}" + (f" ({row.conf_low:.3g} to {row.conf_high:.3g})" if bounded else "")
        for name, row in zip(names[::-1], frame.iloc[::-1].itertuples(), strict=True)
    )
    with_ends = f" with their {table.attrs['interval']}" if bounded else ""
    return Picture(figure, f"Standard deviations{with_ends}: {words}.")


def _component(group: str, term: Any) -> str:
    """Name a standard deviation."""
    named = isinstance(term, str) and term not in ("", "Intercept")
    return f"{group} ({term})" if named else str(group)
