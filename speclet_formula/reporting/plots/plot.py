"""The picture that a result has: `plot` chooses it by what the result is."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.arguments import unknown_keyword
from speclet_formula.comparison import Comparison
from speclet_formula.comparison.influence import Influence
from speclet_formula.errors import DataError, SpecletError, listed, nearest
from speclet_formula.interpretation import Means
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import values_of
from speclet_formula.prediction.predictive import Predictive, posterior_predictive
from speclet_formula.recovery import Recoveries, Recovery
from speclet_formula.reporting.check_model import ModelCheck
from speclet_formula.reporting.plots.bootstrap import plot_bootstrap
from speclet_formula.reporting.plots.calls import plot_calls
from speclet_formula.reporting.plots.checks import plot_predictive, plot_priors, plot_residuals
from speclet_formula.reporting.plots.comparison import plot_compare, plot_pareto_k
from speclet_formula.reporting.plots.effects import plot_effects, plot_fixed, plot_shrinkage, plot_variances
from speclet_formula.reporting.plots.influence import plot_influence
from speclet_formula.reporting.plots.means import plot_matrix, plot_means
from speclet_formula.reporting.plots.picture import ESTIMATE, LINE, WIDTH, Picture, plain, single_figure
from speclet_formula.reporting.plots.plan import plot_plan
from speclet_formula.reporting.plots.quality import plot_quality
from speclet_formula.reporting.plots.recovery import (
    plot_coverage,
    plot_intervals,
    plot_parameters,
    plot_recoveries,
    plot_recovery,
)
from speclet_formula.reporting.plots.screens import plot_ranks, plot_separation, plot_volcano
from speclet_formula.reporting.plots.smooths import plot_smooths
from speclet_formula.reporting.plots.study import plot_calibration, plot_study
from speclet_formula.screens.calls import GeneCalls
from speclet_formula.screens.controls import Separation
from speclet_formula.screens.plan import ScreenPlan
from speclet_formula.screens.quality import ScreenQuality
from speclet_formula.studies import Bootstrap, Calibration, Study

type Draw = Callable[..., Picture]


def plot(result: Any, kind: str | None = None, **options: Any) -> Picture:
    """Draw a result by the picture that shows it.

    Parameters
    ----------
    result : Fit, PointFit, Comparison, Recovery, Recoveries, Means, Predictive, Separation, Study or the like
        Also a ScreenQuality, a ScreenPlan, a Calibration, a Bootstrap, what `influence`, `check_model`, `call_genes` or
        `loo` returned, a table of `rank_genes` or `level_effects`, a matrix of `effect_matrix`, or the Series of
        `residuals`.
    kind : str, optional
        Which of the result's pictures; by default the first one that it has. Of a fit "effects" (of levels), "fixed",
        "variances", "residuals", "predictive", of smooths "smooths", and where it has draws "shrinkage", "priors" or
        "pareto_k"; of a recovery "recovery", "parameters", "intervals" or "coverage"; of ranked genes
        "volcano" or "ranks".
    **options
        Arguments of that picture's own function, `plot_effects` for "effects" and so on: group="gene".

    Returns
    -------
    Picture
        `figure`, and `alt`, which says what it shows.

    Raises
    ------
    DataError
        There is no picture of such a result, or no such kind; or as the picture's function.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml")
    >>> sf.plot(fit, group="cell_line").alt[:33]
    'Effects of 20 levels of cell_line'
    """
    kinds = _kinds(result)
    name = next(iter(kinds)) if kind is None else kind
    if name not in kinds and name in _OF_DRAWS and isinstance(result, PointFit):
        result.idata  # noqa: B018 - it says that there are no draws, and what to do
    if name not in kinds:
        near = next((new for new in _OTHER_PICTURES.get(str(name), ()) if new in kinds), nearest(str(name), kinds))
        raise DataError(
            f"there is no picture {name!r} of a {type(result).__name__}.",
            f"Its pictures: {', '.join(map(repr, kinds))}.",
            f"Nearest: '{near}'." if near else "Choose one of these, or leave kind= out.",
        )
    known = _arguments(kinds[name])
    for option, value in options.items():
        if option not in known:
            raise _unknown_option(option, value, name, kinds)
    return kinds[name](result, **options)


# Other words for pictures, from the names of verbs and of other packages; the first that a result has is meant.
_OTHER_PICTURES: Mapping[str, tuple[str, ...]] = {
    "ranef": ("effects",), "random": ("effects",), "coef": ("effects", "fixed"), "caterpillar": ("effects",),
    "fixef": ("fixed",), "forest": ("fixed",), "varcorr": ("variances",), "sd": ("variances",), "ppc": ("predictive",),
    "pp_check": ("predictive",), "loo": ("pareto_k",), "khat": ("pareto_k",), "qq": ("residuals",),
    "gam": ("smooths",), "conditional_smooths": ("smooths",),
}  # fmt: skip


def _arguments(draw: Draw) -> list[str]:
    """Return the arguments of a picture's function after the result."""
    return list(inspect.signature(draw).parameters)[1:]


def _unknown_option(option: str, value: Any, name: str, kinds: Mapping[str, Draw]) -> SpecletError:
    """Word what to do about an argument that a picture does not have: the pictures that do, or the nearest."""
    known = _arguments(kinds[name])
    having = [f"'{kind}'" for kind, draw in kinds.items() if option in _arguments(draw)]
    if having:
        remedy = f"Leave it out, or draw a picture that has it: {listed(having)}."
    elif option == "figsize" and "ax" in known:
        remedy = f"Draw into an axis of that size: ax=matplotlib.pyplot.subplots(figsize={value!r})[1]."
    else:
        remedy = unknown_keyword(option, value, "plot", known, DataError).remedy
    allowed = f"Arguments: {listed(known)}." if known else "It has no arguments by name."
    return DataError(f"the picture '{name}' has no argument {option}=.", allowed, remedy)


def _kinds(result: Any) -> Mapping[str, Draw]:
    """Return the pictures of a result by name, the first one being its own."""
    kinds = next((pictures(result) for kind, pictures in _PICTURES.items() if isinstance(result, kind)), None)
    if not kinds and hasattr(result, "pareto_k"):
        kinds = {"pareto_k": plot_pareto_k}
    if kinds:
        return kinds
    what = f"a {type(result).__name__}"
    if isinstance(result, pd.DataFrame):
        what = f"a table with the columns {', '.join(map(repr, map(str, result.columns[:6])))}"
    raise DataError(
        f"there is no picture of {what}.",
        "Pictures are made of a Fit, a PointFit, a Comparison, what loo returned, a Recovery or Recoveries, Means, a "
        "Predictive, a Separation, a ScreenQuality, a ScreenPlan, a Study, a Calibration, a Bootstrap, an Influence, a "
        "ModelCheck, ranked or called genes, a matrix of effects, and residuals.",
        "Hand over one of these.",
    )


def _of_fit(fit: Fit | PointFit) -> dict[str, Draw]:
    effects: dict[str, Draw] = {"effects": plot_effects}
    fixed: dict[str, Draw] = {"fixed": plot_fixed}
    both = effects | fixed if _has_effects(fit) else fixed | effects
    more: dict[str, Draw] = {"variances": plot_variances, "residuals": plot_residuals, "predictive": _predictive}
    more |= {"smooths": plot_smooths} if fit.model.design.smooths else {}
    return both | more | ({} if isinstance(fit, PointFit) else dict(_OF_DRAWS))


def _has_effects(fit: Fit | PointFit) -> bool:
    """Tell whether a fit knows the effects of levels: it may have kept no draws of them."""
    return any(map(values_of(fit).keeps, fit.model.design.factors))


def _predictive(
    fit: Fit | PointFit, *, statistic: str | None = None, group: Any = None, random_seed: int | None = 0
) -> Picture:
    return plot_predictive(posterior_predictive(fit, random_seed=random_seed), statistic=statistic, group=group)


_OF_DRAWS: Mapping[str, Draw] = {
    "shrinkage": plot_shrinkage,
    "priors": plot_priors,
    "pareto_k": plot_pareto_k,
}


def _of_recovery(recovery: Recovery) -> dict[str, Draw]:
    scalars: dict[str, Draw] = {"parameters": plot_parameters}
    blocks: dict[str, Draw] = {"recovery": plot_recovery, "intervals": _intervals, "coverage": plot_coverage}
    return blocks | scalars if len(recovery.groups) else scalars | blocks


@wraps(plot_intervals)
def _intervals(recovery: Recovery, group: str | None = None, term: str | None = None, **options: Any) -> Picture:
    named = group or (str(recovery.groups["group"].iloc[0]) if len(recovery.groups) else "")
    return plot_intervals(recovery, named, term, **options)


@wraps(plot_recoveries)
def _recoveries(recoveries: Recoveries, group: str | None = None, **options: Any) -> Picture:
    named = group or next((str(name) for found in recoveries.recoveries.values() for name in found.groups["group"]), "")
    return plot_recoveries(recoveries, named, **options)


def _of_frame(frame: pd.DataFrame) -> dict[str, Draw]:
    if {"estimate", "lfsr", "rank"} <= set(frame.columns):
        return {"volcano": plot_volcano, "ranks": plot_ranks}
    is_numeric = all(pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes)
    return {"matrix": plot_matrix} if "value" in frame.attrs or (is_numeric and frame.index.name) else {}


def _histogram(values: pd.Series) -> Picture:
    """Draw how numbers, such as residuals, are distributed."""
    import seaborn

    numbers = values.dropna()
    if numbers.empty or not pd.api.types.is_numeric_dtype(values.dtype):
        raise DataError(
            "the series has no number to draw.", "Residuals are numbers.", "Hand over what sf.residuals returned."
        )
    figure, axis = single_figure(WIDTH, 3.0)
    is_spread = len(numbers) > 2 and float(np.ptp(numbers)) > 0  # noqa: PLR2004 - a density takes that many
    seaborn.histplot(x=numbers.to_numpy(), kde=is_spread, stat="density", color=ESTIMATE, edgecolor="white", ax=axis)
    axis.axvline(0, color=LINE, linewidth=0.8)
    axis.set(xlabel=plain(values.name or "value"), ylabel="density")
    low, middle, high = np.quantile(numbers, [0.05, 0.5, 0.95])
    return Picture(
        figure,
        f"Distribution of {len(numbers):,} numbers: median {middle:.3g}, 90 % from {low:.3g} to {high:.3g}.",
    )


_PICTURES: Mapping[Any, Callable[[Any], Mapping[str, Draw]]] = {
    (Fit, PointFit): _of_fit,
    Comparison: lambda _: {"compare": plot_compare},
    Influence: lambda _: {"influence": plot_influence},
    ModelCheck: lambda _: {"checks": lambda check: check.picture},
    Recovery: _of_recovery,
    Recoveries: lambda _: {"recoveries": _recoveries},
    Means: lambda _: {"means": plot_means},
    Predictive: lambda _: {"predictive": plot_predictive},
    Separation: lambda _: {"separation": plot_separation},
    GeneCalls: lambda _: {"calls": plot_calls},
    ScreenQuality: lambda _: {"quality": plot_quality},
    ScreenPlan: lambda _: {"plan": plot_plan},
    Study: lambda _: {"study": plot_study},
    Calibration: lambda _: {"calibration": plot_calibration},
    Bootstrap: lambda _: {"bootstrap": plot_bootstrap},
    pd.DataFrame: _of_frame,
    pd.Series: lambda _: {"histogram": _histogram},
}
