"""A fit goes in; the picture of its residuals comes out: against the fitted means, their quantiles, by group.

The residuals are those of `prediction`; which of them matter is left to the reader.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, nearest
from speclet_formula.prediction import fitted, residuals
from speclet_formula.reporting.plots.pictures import (
    ESTIMATE,
    LINE,
    TRUTH,
    Picture,
    bare,
    grid_figure,
    label_rows,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from speclet_formula.posterior import Fit, PointFit

TWO_SDS = 2  # a standard normal number lies beyond them in 4.6 % of rows
EXPECTED_BEYOND = 4.6  # per cent, of a standard normal number


def plot_residuals(fit: "Fit | PointFit", group: str | None = None, *, random_seed: int | None = 0) -> Picture:
    """Draw the residuals against the fitted means, and their quantiles against those of a normal distribution.

    Parameters
    ----------
    fit : Fit or PointFit
        Not of an ordinal, censored or truncated response.
    group : str, optional
        A column of the model's table: a further panel shows the quantile residuals of each of its values, by their
        median.
    random_seed : int, optional
        Of the quantile residuals.

    Returns
    -------
    Picture
        `figure`: residuals (`residuals(fit)`, on the response's scale) against `fitted(fit)`; quantile residuals
        (`residuals(fit, "quantile")`), sorted, against normal quantiles, on the line if the model holds whatever its
        family; with `group` those by its values. `alt`: how many quantile residuals lie beyond 2 SDs, and which is the
        largest.

    Raises
    ------
    EstimateError
        As `residuals`.
    DataError
        The table has no column `group`, or the response is ordinal.

    References
    ----------
    Dunn and Smyth (1996), doi:10.1080/10618600.1996.10474708.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml")
    >>> len(sf.plot_residuals(fit, "cell_line").figure.axes)
    3
    """
    levels = None if group is None else _column(fit, group)
    if fit.model.design.levels:
        raise DataError(
            "an ordinal response has no fitted mean to draw residuals against.",
            "plot_residuals shows a response of numbers.",
            "Its quantile residuals are sf.residuals(fit, 'quantile').",
        )
    plain_residuals = residuals(fit)
    quantiles = residuals(fit, "quantile", random_seed=random_seed)
    figure, axes = grid_figure(2 if levels is None else 3)
    _against_fitted(axes[0], fitted(fit)["estimate"].to_numpy(), plain_residuals.to_numpy())
    _normal_quantiles(axes[1], quantiles.to_numpy())
    if levels is not None:
        _by_level(axes[2], quantiles, levels)
    return Picture(figure, _words(quantiles))


def _column(fit: "Fit | PointFit", group: str) -> pd.Series:
    """Return a column's values in the rows that were fitted."""
    data = fit.model.data
    if group not in data.columns:
        near = nearest(str(group), map(str, data.columns))
        raise DataError(
            f"the model's table has no column '{group}'.",
            f"Its columns: {', '.join(map(str, data.columns))}.",
            f"Nearest: '{near}'." if near else "Leave group= out.",
        )
    return data[group].iloc[fit.model.design.rows]


def _against_fitted(axis: "Axes", means: Any, left: Any) -> None:
    axis.axhline(0, color=LINE, linewidth=1)
    axis.plot(means, left, "o", color=ESTIMATE, markersize=3, alpha=0.6)
    axis.set_xlabel("fitted mean")
    axis.set_ylabel("residual")
    bare(axis)


def _normal_quantiles(axis: "Axes", quantiles: Any) -> None:
    from scipy.special import ndtri

    expected = ndtri((np.arange(len(quantiles)) + 0.5) / len(quantiles))
    reach = expected[[0, -1]]
    axis.plot(reach, reach, color=LINE, linewidth=1)
    axis.plot(expected, np.sort(quantiles), "o", color=ESTIMATE, markersize=3, alpha=0.6)
    axis.set_xlabel("standard normal quantile")
    axis.set_ylabel("quantile residual")
    bare(axis)


def _by_level(axis: "Axes", quantiles: pd.Series, levels: pd.Series) -> None:
    parts = {level: quantiles.to_numpy()[(levels == level).to_numpy()] for level in levels.unique()}
    ordered = sorted(parts, key=lambda level: float(np.median(parts[level])))
    axis.axvline(0, color=LINE, linewidth=1)
    for place, level in enumerate(ordered):
        axis.plot(parts[level], np.full(len(parts[level]), place), "o", color=ESTIMATE, markersize=3, alpha=0.4)
        axis.plot(np.median(parts[level]), place, "|", color=TRUTH, markersize=9, markeredgewidth=2)
    label_rows(axis, ordered)
    axis.set_ylabel(plain(levels.name))
    axis.set_xlabel("quantile residual, median")
    bare(axis)


def _words(quantiles: pd.Series) -> str:
    """Say what the picture shows."""
    beyond = int((quantiles.abs() > TWO_SDS).sum())
    largest = quantiles.abs().idxmax()
    return (
        f"Residuals of {len(quantiles):,} rows. Quantile residuals beyond {TWO_SDS} SDs: {beyond:,} "
        f"({100 * beyond / len(quantiles):.1f} %, where {EXPECTED_BEYOND:.1f} % are expected). The largest: "
        f"{quantiles[largest]:.2f} in row {largest}."
    )
