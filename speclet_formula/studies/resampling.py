"""Data sets like the one that was fitted: drawn from the fit, from its own residuals and effects, or level by level."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.errors import EstimateError, listed
from speclet_formula.families import is_linear
from speclet_formula.formula.terms import columns_of
from speclet_formula.inference.refit import with_drawn
from speclet_formula.model import Model
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.estimates import Array
from speclet_formula.prediction.predict import point_predictor
from speclet_formula.prediction.responses import draw_design_response

type ResamplingKind = Literal["parametric", "residual", "cases"]

KINDS = ("parametric", "residual", "cases")


@dataclass(frozen=True, eq=False)
class Cases:
    """How whole levels of a grouping factor are drawn."""

    group: str
    nested: tuple[str, ...]  # other grouping columns, each level of which lies in one level of the group
    rows: tuple[np.ndarray, ...]  # of the table, for each level


@dataclass(frozen=True, eq=False)
class Residuals:
    """A gaussian fit's own effects and residuals, brought to their estimated variances."""

    centre: Array  # (n,) fixed part and offset
    effects: tuple[Array, ...]  # (levels, columns) for each block
    residuals: Array  # (n,) of unit weight


@dataclass(frozen=True)
class Parametric:
    """Responses drawn from the model itself."""

    use_u: bool


type Resampling = Parametric | Residuals | Cases


def resampling_of(fit: PointFit, kind: ResamplingKind, use_u: bool, group: str | None) -> Resampling:
    """Return how data sets are made, checked.

    Parameters
    ----------
    fit : PointFit
    kind, use_u, group
        As in `bootstrap`.

    Raises
    ------
    EstimateError
        The kind does not exist or does not serve the fit, or an argument has no use beside it.
    """
    if kind not in KINDS:
        raise EstimateError(
            f"kind={kind!r} does not exist.",
            f"kind= is one of {', '.join(map(repr, KINDS))}.",
            "Write kind='parametric', or leave it out.",
        )
    if not isinstance(use_u, bool):
        raise EstimateError(
            f"use_u={use_u!r} is no choice.",
            "use_u is False, effects are drawn anew, or True, they are those of the fit.",
            "Leave it out to draw them anew.",
        )
    if (use_u and kind != "parametric") or (group is not None and kind != "cases"):
        name = "use_u=True" if use_u else f"group={group!r}"
        raise EstimateError(
            f"{name} beside kind={kind!r} would change nothing.",
            "use_u= is of kind='parametric', group= of kind='cases'.",
            "Leave it out, or choose the other kind.",
        )
    if kind == "parametric":
        return Parametric(use_u)
    related = next((block for block in fit.model.design.blocks if block.relation is not None), None)
    if related is not None:
        raise EstimateError(
            f"kind={kind!r} draws levels again, and those of '{related.label}' vary together as a matrix says.",
            "Levels that are drawn again are independent of each other.",
            "Write kind='parametric'.",
        )
    return _residuals(fit) if kind == "residual" else _cases(fit, group)


def draw_model(fit: PointFit, resampling: Resampling, rng: np.random.Generator, *, tables: bool) -> Model:
    """Return the model of a new data set; its table is that of the data set where `tables` says so."""
    if isinstance(resampling, Cases):
        return _with_levels(fit.model, resampling, rng)
    if isinstance(resampling, Parametric):
        return with_drawn(fit.model, draw_design_response(fit, rng, use_u=resampling.use_u), tables=tables)
    total, design = resampling.centre.copy(), fit.model.design
    for block, effects in zip(design.mean.groups, resampling.effects, strict=True):
        drawn = effects[rng.integers(len(effects), size=len(effects))]
        for codes, values in block.members():
            total += (values * drawn[codes]).sum(axis=1)
    residuals = resampling.residuals[rng.integers(len(total), size=len(total))]
    weights = np.ones(len(total)) if design.weights is None else design.weights
    return with_drawn(fit.model, total + residuals / np.sqrt(weights), tables=tables)


def _residuals(fit: PointFit) -> Residuals:
    """Return effects and residuals whose empirical variances are the estimated ones."""
    design, points = fit.model.design, fit.estimates
    if not is_linear(fit.model.family) or points.sigma is None:
        raise EstimateError(
            f"a residual bootstrap is of gaussian models, and the family is {fit.model.family.name}.",
            "Residuals of other families depend on the mean.",
            "Write kind='parametric', or kind='cases'.",
        )
    if design.smooths:
        raise EstimateError(
            f"a residual bootstrap draws effects of levels, and '{design.smooths[0].label}' is a smooth.",
            "A smooth has one curve, which cannot be drawn from others.",
            "Write kind='parametric', or kind='cases'.",
        )
    weights = np.ones(len(design.response)) if design.weights is None else design.weights
    left = (design.response - point_predictor(fit.model, points, design)) * np.sqrt(weights)
    left = left - left.mean()
    effects = [_reflated(modes, matrix) for modes, matrix in zip(points.modes, points.covariances, strict=True)]
    centre = design.mean.offset + design.mean.X @ points.coefficients
    return Residuals(centre, tuple(effects), left * points.sigma / np.sqrt(np.mean(left**2)))


def _reflated(modes: Array, covariance: Array) -> Array:
    """Centre the modes of a block's effects, and give them the estimated covariance: they are shrunken."""
    centred = modes - modes.mean(axis=0)
    return np.asarray(centred @ _power(centred.T @ centred / len(modes), -0.5) @ _power(covariance, 0.5))


def _power(matrix: Array, power: float) -> Array:
    """Return a power of a symmetric matrix; along directions without variance it is zero."""
    values, axes = np.linalg.eigh(matrix)
    known = values > 1e-12 * max(values.max(initial=0.0), np.finfo(float).tiny)
    powers = np.where(known, np.where(known, values, 1.0) ** power, 0.0)
    return np.asarray((axes * powers) @ axes.T)


def _cases(fit: PointFit, group: str | None) -> Cases:
    """Find the rows of each level, and the factors that lie within them."""
    model = fit.model
    shared = next((block.group for block in model.design.blocks if block.shares is not None), None)
    if shared is not None:
        raise EstimateError(
            f"each row belongs to several levels of '{shared}', and levels are to be drawn with all their rows.",
            "Of kind='cases' a row has one level of each grouping factor.",
            "Write kind='parametric', or kind='residual'.",
        )
    columns = list(dict.fromkeys(name for block in model.design.blocks for name in block.factors))
    if group not in columns:
        raise EstimateError(
            f"group={group!r} is no grouping factor of the model." if group else "group= is missing.",
            f"Its grouping factors: {listed(columns) or 'none'}.",
            f"Write group='{columns[0]}'." if columns else "Write kind='parametric'.",
        )
    table = model.data.iloc[model.design.rows].reset_index(drop=True)
    codes = pd.factorize(table[group])[0]
    nested = tuple(
        name for name in columns if name != group and pd.Series(codes).groupby(table[name].array).nunique().max() == 1
    )
    predictors = model.design.predictors
    fixed = {name for part in predictors for term in part.formula.terms for name in columns_of(term)}
    if taken := [name for name in (group, *nested) if name in fixed]:
        raise EstimateError(
            f"'{taken[0]}' is a grouping factor and in the fixed part.",
            "Of kind='cases' each level that is drawn becomes a new one, which has no fixed effect.",
            "Write kind='parametric', or kind='residual'.",
        )
    return Cases(str(group), nested, tuple(np.flatnonzero(codes == code) for code in range(codes.max() + 1)))


def _with_levels(model: Model, cases: Cases, rng: np.random.Generator) -> Model:
    """Draw levels with all their rows, each time under a new name."""
    drawn = rng.integers(len(cases.rows), size=len(cases.rows))
    places = np.concatenate([cases.rows[level] for level in drawn])
    copies = np.repeat(np.arange(len(drawn)), [len(cases.rows[level]) for level in drawn]).astype(str)
    table = model.data.iloc[model.design.rows[places]].reset_index(drop=True)
    table = table.assign(
        **{cases.group: copies}, **{name: copies + np.array(":" + table[name].astype(str)) for name in cases.nested}
    )
    weights = model.weights if model.weights is None or isinstance(model.weights, str) else None
    if model.weights is not None and weights is None:
        weights = np.asarray(model.weights)[model.design.rows[places]]
    return Model(
        model.formula,
        table,
        family=model.family.name,
        link=model.family.link,
        weights=weights,
        functions=model.functions,
        matrices=model.matrices,
    )
