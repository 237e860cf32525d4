"""The picture of a bootstrap: how each number of the statistic is spread over the data sets."""

from typing import TYPE_CHECKING

import numpy as np

from speclet_formula.errors import DataError
from speclet_formula.reporting.plots.picture import (
    ESTIMATE,
    LINE,
    TRUTH,
    Picture,
    grid_figure,
    legend_below,
    plain,
    title,
)
from speclet_formula.studies import Bootstrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 12
BAND = 0.12  # opacity


def plot_bootstrap(boot: Bootstrap) -> Picture:
    """Draw the replicates of each number of a bootstrap, with its estimate and its interval.

    Parameters
    ----------
    boot : Bootstrap

    Returns
    -------
    Picture
        `figure`: a histogram for each number, at most 12, with lines at the estimate and at the replicates' mean, and
        the interval behind; `alt` names the numbers with their intervals.

    Raises
    ------
    DataError
        No number has two different replicates.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml")
    >>> sf.plot_bootstrap(sf.bootstrap(fit, 20, random_seed=1)).alt[:32]
    '20 data sets of log_fc ~ 1 + (1 '
    """
    import seaborn

    known = [place for place in range(len(boot.table)) if len(_finite(boot, place)) > 1]
    if not known:
        raise DataError(
            "no number of the bootstrap has two replicates to draw.",
            "A picture shows how they are spread.",
            "Ask for more data sets: nsim=1000.",
        )
    figure, axes = grid_figure(len(known[:MOST_PANELS]), height=2.3, width=2.9)
    for axis, place in zip(axes, known, strict=False):
        row = boot.table.iloc[place]
        axis.axvspan(row["conf_low"], row["conf_high"], color=LINE, alpha=BAND, linewidth=0, label="interval")
        seaborn.histplot(
            x=_finite(boot, place), stat="count", bins=30, color=ESTIMATE, alpha=0.6, edgecolor="white", ax=axis
        )
        axis.axvline(row["estimate"], color=TRUTH, linewidth=1.4, label="estimate")
        axis.axvline(row["estimate"] + row["bias"], color=LINE, linewidth=1.2, linestyle=":", label="replicates' mean")
        title(axis, _name(boot, place))
        _label(axis)
    legend_below(figure, axes)
    told = [
        f"{_name(boot, place)} {row['estimate']:.3g} ({row['conf_low']:.3g} to {row['conf_high']:.3g})"
        for place, row in zip(known, boot.table.iloc[known].to_dict("records"), strict=True)
    ]
    return Picture(
        figure,
        f"{boot.nsim:,} data sets of {boot.formula}; estimates with the {boot.table.attrs['interval']}: "
        f"{'; '.join(told)}.",
    )


def _finite(boot: Bootstrap, place: int) -> np.ndarray:
    """Return the replicates of a number that are known."""
    values = boot.replicates.iloc[:, place].to_numpy(dtype=float)
    return np.asarray(values[np.isfinite(values)])


def _name(boot: Bootstrap, place: int) -> str:
    row = boot.labels.iloc[place].to_dict()
    return " ".join(str(row[name]) for name in ("term", "group") if isinstance(row.get(name), str))


def _label(axis: "Axes") -> None:
    axis.set_xlabel("")
    axis.set_ylabel(plain("data sets"))
