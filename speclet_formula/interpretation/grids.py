"""Reference grids: every combination of factor levels, covariates at their means."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design, replay_design
from speclet_formula.design.design import Predictor
from speclet_formula.design.evaluation import Scope, evaluate, is_labels
from speclet_formula.design.merged import column_means
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import EstimateError, listed, nearest
from speclet_formula.formula.terms import Call, bare_name, columns_of
from speclet_formula.posterior.draws import Fitted
from speclet_formula.posterior.estimates import Array

LARGEST_GRID = 20_000_000  # numbers in the columns of its rows, 160 MB
_FEW = 2  # emmeans' cov.keep: a covariate with two values is a factor


@dataclass(frozen=True, eq=False)
class Grid:
    """Rows at which a model is looked at.

    Attributes
    ----------
    predictor : Predictor
        The linear predictor that it belongs to.
    whole : Design
        The model's design, which replays itself on new rows.
    frame : pandas.DataFrame
        One row per combination, one column per variable of the fixed part: factors as ordered Categoricals.
    parameter : str or None
        The parameter whose linear predictor it is; None for the mean.
    mean_offset : float or None
        What offsets add, the mean of theirs over the fitted rows; None where there are none, or where the caller gave
        values of a column that they use, so that they are computed from the grid's rows.
    """

    predictor: Predictor
    whole: Design
    frame: pd.DataFrame
    parameter: str | None
    mean_offset: float | None


def reference_grid(fit: Fitted, *, at: Mapping[str, Any] | None = None, parameter: str | None = None) -> pd.DataFrame:
    """Tabulate the rows at which marginal means are taken, as emmeans' `ref_grid`.

    Parameters
    ----------
    fit : Fit or PointFit
    at : mapping of str to value or sequence of values, optional
        Values of some variables instead of the usual ones: `{"cn": [1, 2]}`, `{"control": "essential"}`.
    parameter : str, optional
        A parameter that has a formula of its own, "sigma"; by default the mean.

    Returns
    -------
    pandas.DataFrame
        One row per combination, one column per variable of the fixed terms and offsets, the first varying fastest; a
        variable of an offset alone is at its mean. Of a model with offsets also `.offset.`, what they add: as in
        emmeans the mean of the offset over the fitted rows, so that of offset(log(n)) the mean of log(n), unless `at`
        names one of its variables.
        Factors take all their levels; numbers are at their mean over the fitted rows, but those with two values take
        both, as in emmeans (so do booleans, as 0 and 1). A number that stands inside `factor()` takes all its values.

    Raises
    ------
    EstimateError
        `at` names a variable that the fixed part lacks, or a level that was not fitted; or the grid is too large.

    References
    ----------
    Searle, Speed and Milliken (1980), doi:10.1080/00031305.1980.10483031, and R's emmeans.

    Examples
    --------
    >>> from speclet_formula.interpretation import reference_grid
    >>> reference_grid(fit, at={"Days": [0, 9]})["Days"].to_list()  # fit: Reaction ~ Days + (1 + Days | Subject)
    [0.0, 9.0]
    """
    grid = make_grid(fit, at, parameter)
    if not grid.predictor.formula.offsets:
        return grid.frame
    return grid.frame.assign(**{".offset.": matrix_of(grid, grid.frame)[1]})


def make_grid(fit: Fitted, at: Mapping[str, Any] | None, parameter: str | None) -> Grid:
    """Cross the values that each variable of the fixed part takes.

    Parameters
    ----------
    fit : Fit or PointFit
    at : mapping, optional
    parameter : str, optional
        As for `reference_grid`.
    """
    whole = fit.model.design
    predictor = predictor_of(whole, parameter)
    known = fixed_variables(predictor)
    chosen = {bare_name(name, known): values for name, values in (at or {}).items()}
    terms = {name for term in predictor.formula.terms for name in columns_of(term)}
    names = [name for name in known if name in terms or name in chosen or _is_number(whole, name)]
    for name in chosen:
        check_variable(name, predictor)
    discrete = inside_factors(whole, predictor)
    values = [
        _given(whole.frame[name], name, chosen[name], name in discrete)
        if name in chosen
        else _usual(whole, whole.frame[name], name in discrete)
        if name in terms
        else [float(column_means(whole, whole.frame[name].to_numpy(dtype=float)))]
        for name in names
    ]
    _check_size(dict(zip(names, values, strict=True)), predictor)
    # The first varies fastest, as in R; a model without fixed variables has one row.
    rows = [row[::-1] for row in itertools.product(*reversed(values))]
    frame = pd.DataFrame(index=range(len(rows)))
    for position, name in enumerate(names):
        frame[name] = _column([row[position] for row in rows], whole.frame[name])
    return Grid(predictor, whole, frame, parameter, _mean_offset(whole, predictor, chosen))


def _is_number(design: Design, name: str) -> bool:
    return not isinstance(design.frame[name].dtype, pd.CategoricalDtype)


def _mean_offset(whole: Design, predictor: Predictor, chosen: Mapping[str, Any]) -> float | None:
    """Return the mean of the offsets, unless the caller gave values of one of their columns."""
    used = [name for offset in predictor.formula.offsets for name in columns_of(offset)]
    return None if not used or any(name in chosen for name in used) else float(column_means(whole, predictor.offset))


def fixed_variables(predictor: Predictor) -> list[str]:
    """Return the columns of the data that fixed terms and offsets use.

    Returns
    -------
    list of str
        In the formula's order.
    """
    nodes = (*predictor.formula.terms, *predictor.formula.offsets)
    return list(dict.fromkeys(name for node in nodes for name in columns_of(node)))


def check_variable(name: str, predictor: Predictor) -> None:
    """Refuse a variable that the fixed part does not have.

    Raises
    ------
    EstimateError
    """
    names = fixed_variables(predictor)
    if name in names:
        return
    near = nearest(name, names)
    remedy = f"Nearest: '{near}'." if near else "Add it to the formula, or name one of these."
    if any(name in (block.group, *block.factors) for block in predictor.groups):
        remedy = f"The effects of the levels of '{name}' are in level_effects(fit, '{name}')."
    raise EstimateError(
        f"'{name}' is in no fixed term of the model.",
        f"Variables of its fixed terms: {listed(names) or 'none'}.",
        remedy,
    )


def matrix_of(grid: Grid, frame: pd.DataFrame) -> tuple[Array, Array]:
    """Return the fixed columns, behind them those of smooths, and the offset of rows of a grid.

    Parameters
    ----------
    grid : Grid
    frame : pandas.DataFrame
        Its rows, perhaps with other values.

    Returns
    -------
    X : ndarray of float, shape (rows, p)
    offset : ndarray of float, shape (rows,)
        Its mean over the fitted rows, as in emmeans, unless the grid says otherwise of a column that it uses.
    """
    # What group terms need is filled in from the first row: their effects are zero here.
    others = grid.whole.frame.iloc[np.zeros(len(frame), dtype=int)].reset_index(drop=True)
    replayed = replay_design(grid.whole, others.assign(**{name: frame[name].array for name in frame}))
    predictor = predictor_of(replayed, grid.parameter)
    return predictor.whole, predictor.offset if grid.mean_offset is None else np.full(len(frame), grid.mean_offset)


def predictor_of(design: Design, parameter: str | None) -> Predictor:
    """Return the linear predictor of the mean, or of a parameter."""
    if parameter is None and not design.is_per_level:
        return design.mean
    varying = {predictor.name: predictor for predictor in design.predictors if predictor.name}
    if parameter is None:
        raise EstimateError(
            f"each level of '{design.response_name}' has a linear predictor of its own, and none is named.",
            f"Linear predictors: {listed(varying)}.",
            f"Write parameter='{next(iter(varying))}'; avg_predictions(fit) has the probability of each level.",
        )
    if parameter in varying:
        return varying[parameter]
    raise EstimateError(
        f"'{parameter}' has no formula in this model.",
        f"Parameters with one: {listed(varying) or 'none'}.",
        "Leave parameter= out for the mean.",
    )


def _check_size(values: Mapping[str, Sequence[Any]], predictor: Predictor) -> None:
    """Refuse a grid whose columns would fill the memory."""
    rows = math.prod(len(taken) for taken in values.values())
    columns = predictor.X.shape[1] + sum(len(block.levels) * len(block.columns) for block in predictor.smooths)
    if rows * columns > LARGEST_GRID:
        widest = max(values, key=lambda name: len(values[name]))
        raise EstimateError(
            f"the reference grid has {rows:,} rows with {columns:,} columns.",
            f"Rows times columns may be {LARGEST_GRID:,}; '{widest}' alone has {len(values[widest]):,} levels.",
            f"Choose some of them, at={{'{widest}': [...]}}, or make '{widest}' a group term.",
        )


def inside_factors(design: Design, predictor: Predictor) -> set[str]:
    """Return the columns of numbers that calls such as factor(k) make labels of."""
    calls = [node for term in predictor.formula.terms for node in term.factors if isinstance(node, Call)]
    scope = Scope(design.frame, predictor.recipe.memory, predictor.recipe.functions)
    return {name for call in calls if is_labels(evaluate(call, scope)) for name in columns_of(call)}


def _usual(design: Design, column: pd.Series, discrete: bool) -> Sequence[Any]:
    """Return the levels of a factor, or a number's mean."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    values = np.unique(column.to_numpy() if discrete else column.to_numpy(dtype=float))
    if discrete:
        return list(values)  # as the column has them, so that they are labelled as they were
    if len(values) <= _FEW:
        return list(values.tolist())
    return [float(column_means(design, column.to_numpy(dtype=float)))]


def _given(column: pd.Series, name: str, wanted: Any, discrete: bool) -> Sequence[Any]:
    """Return the values that the caller wants, checked; of what a call makes levels of, as the column has them."""
    values = [wanted] if isinstance(wanted, str) or np.ndim(wanted) == 0 else list(wanted)
    if not values:
        raise EstimateError(
            f"at={{'{name}': []}} leaves no row.", "It holds one value or more.", f"Leave '{name}' out."
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = list(column.cat.categories)
        labels = [label_of(value) for value in values]
        unknown = next((label for label in labels if label not in known), None)
        if unknown is not None:
            near = nearest(unknown, known)
            raise EstimateError(
                f"'{name}' has no level '{unknown}'.",
                f"Levels: {listed(known)}.",
                f"Nearest: '{near}'." if near else "Name one of these.",
            )
        return labels
    numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(numbers).all():
        raise EstimateError(
            f"at={{'{name}': {wanted!r}}} holds what is no number.", f"'{name}' holds numbers.", "Give finite numbers."
        )
    if discrete:
        return list(np.asarray(values).astype(column.dtype))
    return [float(number) for number in numbers]


def _column(values: list[Any], like: pd.Series) -> Any:
    if isinstance(like.dtype, pd.CategoricalDtype):
        return pd.Categorical(values, categories=like.cat.categories, ordered=True)
    # What a call makes levels of comes as it is, everything else as floats.
    return np.asarray(values, dtype=float if any(isinstance(value, float) for value in values) else like.dtype)
