"""What a fit predicts for rows, averaged within cells of them: from draws, or with derivatives by the fixed effects.

Rows may be those that were fitted, others, or the same ones with a variable changed. Which averages are compared, and
how, is left to `average_effects`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.design import Design, replay_design
from speclet_formula.errors import EstimateError, listed, nearest
from speclet_formula.families import expected_response, has_levels, inverse_link, specification_of
from speclet_formula.families.links import FORWARD_LINKS
from speclet_formula.formula.terms import columns_of, text_of
from speclet_formula.interpretation.combinations import Function, Values, derivative, known_values
from speclet_formula.interpretation.scales import Scale, back_of
from speclet_formula.posterior.draws import Fitted, draws_of
from speclet_formula.posterior.estimates import Array, PointEstimates, points_of
from speclet_formula.prediction.linear_predictors import (
    ModelDraws,
    at_rows,
    gather,
    predictors_at,
    refuse_new_levels,
    row_blocks,
)
from speclet_formula.prediction.new_data import keep_groups, new_rows
from speclet_formula.prediction.predict import point_mean, point_predictor

FEWEST_DRAWS = 4_000  # a block of rows is no larger than with so many, since the covariance of its values is a square

type GroupEffects = str | Literal[False] | None


@dataclass(frozen=True, eq=False)
class RowTable:
    """Rows to be predicted, and what is done with their predictions.

    Attributes
    ----------
    fit : Fit or PointFit
    frame : pandas.DataFrame
        The columns that the model uses, one row each; those of `by` too.
    weights : ndarray of float, shape (n,)
        How many rows each stands for.
    index : pandas.Index
        Their labels.
    re_form : str, False or None
        Which group effects are added.
    scale : {"link", "response"}
    missing : int
        Rows that were left out since a column is missing that is needed.
    places : slice
        Where these are among all rows, of a block of them.
    """

    fit: Fitted
    frame: pd.DataFrame
    weights: Array
    index: pd.Index
    re_form: GroupEffects
    scale: Scale
    missing: int = 0
    places: slice = slice(None)

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels whose probabilities or linear predictors are predicted; none of a response with a mean."""
        design = self.fit.model.design
        if self.scale == "response" and has_levels(self.fit.model.family):
            return tuple(map(str, design.levels))
        if design.is_per_level:  # the reference has no linear predictor
            return tuple(map(str, design.levels[len(design.levels) - len(design.predictors) :]))
        return ()


@dataclass(frozen=True, eq=False)
class Averages:
    """Averages of predictions, cell by cell, and where there are levels level by level within each.

    Attributes
    ----------
    draws : ndarray of float, shape (draws of all chains, averages), or None
    estimates : ndarray of float, shape (averages,)
        Of maximum likelihood; empty where there are draws.
    L : ndarray of float, shape (averages, p)
        Their derivatives by the fixed effects.
    """

    draws: Array | None
    estimates: Array
    L: Array

    @property
    def numbers(self) -> Array:
        """All draws, or the estimates."""
        return self.estimates if self.draws is None else self.draws

    def through(self, function: Function, inverse: Function) -> "Averages":
        """Return a function of each; its slope is one over that of its inverse, which bears small steps anywhere."""
        if self.draws is not None:
            return replace(self, draws=function(self.draws))
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = function(self.estimates)
            return Averages(None, moved, self.L / derivative(inverse, moved)[:, None])

    def less(self, other: "Averages", step: float = 1.0) -> "Averages":
        """Return the differences to others, divided by a step."""
        if self.draws is not None and other.draws is not None:
            return replace(self, draws=(self.draws - other.draws) / step)
        return Averages(None, (self.estimates - other.estimates) / step, (self.L - other.L) / step)

    def values(self, fit: Fitted, df: str | None) -> Values:
        """Return them with their uncertainty."""
        if self.draws is not None:
            return Values(np.empty(0), np.empty((0, 0)), self.draws, "")
        return known_values(fit, self.L, self.estimates, df)


def bounded(rows: RowTable, made: Averages) -> tuple[Averages, Function | None]:
    """Return averages on the scale where their intervals are made, and the way back: that of the link.

    So that no interval of a probability or of a count reaches to where it cannot be; that of a single row is the one of
    its linear predictor, taken through the link. Draws stay as they are.
    """
    family, link = rows.fit.model.family, rows.fit.model.family.link
    if made.draws is not None or rows.scale == "link":
        return made, None
    back = back_of(rows.fit)
    if back is not None and not specification_of(family).logarithm_of:
        plain = back.base is not None and back.inside == back.response
        return (made.through(np.log, np.exp), np.exp) if plain else (made, None)
    if link == "identity" or specification_of(family).expectation is not None:
        return made, None

    def inverse(values: Array) -> Array:
        return inverse_link(family, values)

    moved = made.through(FORWARD_LINKS[link], inverse)
    return (moved, inverse) if np.isfinite(moved.L).all() else (made, None)


def joined(parts: Sequence[Averages]) -> Averages:
    """Return averages one after the other."""
    if parts[0].draws is not None:
        return replace(parts[0], draws=np.hstack([part.numbers for part in parts]))
    return Averages(None, np.concatenate([part.estimates for part in parts]), np.vstack([part.L for part in parts]))


def row_table(fit: Fitted, newdata: Any, re_form: GroupEffects, scale: Scale, by: Sequence[str]) -> RowTable:
    """Return the rows that are asked for.

    Parameters
    ----------
    fit : Fit or PointFit
    newdata : table, optional
        The rows that were fitted by default.
    re_form : str, False or None
        As for `predict`.
    scale : {"link", "response"}
    by : sequence of str
        Columns of the table that are kept.

    Raises
    ------
    EstimateError
        A column of `by` is not there; or levels of an ordinal response have no standard errors.
    FormulaError, DataError
        As `predict`.
    """
    model: Any = fit.model
    if points_of(fit) is not None and has_levels(model.family) and scale == "response":
        raise EstimateError(
            "probabilities of levels have no standard errors in a fit by Laplace's approximation.",
            "Of such a fit the location of the latent response is averaged, type='link'.",
            "Write type='link', or fit the model with draws (method='hmc').",
        )
    if newdata is None:
        design = model.design
        table = model.data.iloc[design.rows].reset_index(drop=True)
        frame = design.frame.reset_index(drop=True)
        weights = np.ones(len(frame)) if design.merged is None else np.asarray(design.merged.rows, dtype=float)
        index, missing = pd.Index(design.rows, name="row"), 0
    else:
        new = new_rows(model, newdata, re_form, weighted=False)
        table = frame = new.complete.reset_index(drop=True)
        weights, index, missing = np.ones(len(frame)), new.index[new.keep], int((~new.keep).sum())
    for name in by:
        if name not in frame and name not in table:
            near = nearest(name, table.columns)
            raise EstimateError(
                f"by='{name}' is no column of the rows.",
                f"Columns: {listed(map(str, table.columns), 20)}.",
                f"Nearest: '{near}'." if near else "Name one of these, or leave by= out.",
            )
    frame = frame.assign(**{name: table[name].array for name in by if name not in frame})
    return RowTable(fit, frame, weights, index, re_form, scale, missing)


def cells_of(rows: RowTable, by: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the cells that the columns of `by` make, those with rows, and the cell of each row."""
    if not by:
        return pd.DataFrame(index=range(1)), np.zeros(len(rows.frame), dtype=np.int64)
    grouped = rows.frame.groupby(list(by), observed=True, sort=True, dropna=False)
    codes = grouped.ngroup().to_numpy()
    first = pd.Series(np.arange(len(codes))).groupby(codes).first().to_numpy()
    return rows.frame.iloc[first][list(by)].reset_index(drop=True), codes


def averages(rows: RowTable, changed: Mapping[str, Any], codes: np.ndarray, n_cells: int) -> Averages:
    """Average the predictions of rows within cells, some columns having other values.

    Parameters
    ----------
    rows : RowTable
    changed : mapping of str to value or array of shape (n,)
        Columns of the rows that are replaced.
    codes : ndarray of int, shape (n,)
        The cell of each row.
    n_cells : int

    Returns
    -------
    Averages
        Cell by cell; within each, level by level of a response of levels.

    Raises
    ------
    DataError
        A row has a group level that was not fitted, and its effects are asked for.
    """
    model: Any = rows.fit.model
    design = replay_design(model.design, with_columns(rows.frame, changed))
    design = keep_groups(model, design, rows.re_form)
    for predictor in design.predictors:
        refuse_new_levels(predictor)
    totals = np.bincount(codes, rows.weights, minlength=n_cells)
    points = points_of(rows.fit)
    if points is not None:
        return _of_points(rows, points, design, codes, totals)
    drawn = gather(model, draws_of(rows.fit), design)
    count, width = len(drawn.predictors[0].coefficients), max(len(rows.levels), 1)
    sums = np.zeros((count, n_cells, width))
    for block in row_blocks(len(codes), count * width):
        shares = np.zeros((len(codes[block]), n_cells))
        shares[np.arange(len(shares)), codes[block]] = rows.weights[block]
        predicted = _predicted(rows, drawn, design, block)
        sums += np.einsum("drk,rc->dck", predicted, shares, optimize=True)
    sums /= totals[:, None]
    return Averages(sums.reshape(count, -1), np.empty(0), np.empty((0, 0)))


def with_columns(frame: pd.DataFrame, changed: Mapping[str, Any]) -> pd.DataFrame:
    """Return rows with other values in some columns, in the types that these have."""
    made = {}
    for name, values in changed.items():
        kind = frame[name].dtype
        if isinstance(kind, pd.CategoricalDtype):
            made[name] = pd.Categorical(np.broadcast_to(values, len(frame)), dtype=kind)
        else:
            made[name] = np.broadcast_to(np.asarray(values), len(frame))
    return frame.assign(**made)


def row_values(rows: RowTable, of: Callable[[RowTable, np.ndarray, int], Averages]) -> Iterator[Averages]:
    """Go through rows by blocks, each row a cell of its own.

    Parameters
    ----------
    rows : RowTable
    of : callable
        Makes the averages of some rows, from them, their cells and how many cells there are.
    """
    draws = 1 if points_of(rows.fit) is not None else len(draws_of(rows.fit))
    for block in row_blocks(len(rows.frame), max(draws * max(len(rows.levels), 1), FEWEST_DRAWS)):
        part = replace(
            rows,
            frame=rows.frame.iloc[block].reset_index(drop=True),
            weights=rows.weights[block],
            index=rows.index[block],
            places=block,
        )
        yield of(part, np.arange(len(part.frame)), len(part.frame))


def _predicted(rows: RowTable, drawn: ModelDraws, design: Design, block: slice) -> Array:
    """Return the predictions of some rows, (draws, rows, levels or 1)."""
    if rows.scale == "link":
        etas = predictors_at(drawn, design, block)
        return np.stack(etas if design.is_per_level else etas[:1], axis=-1)
    family = rows.fit.model.family
    mean, parameters = at_rows(drawn, design, family, block)
    expected = _taken_back(rows.fit, expected_response(family, mean, parameters))
    return expected if expected.ndim == 3 else expected[:, :, None]  # noqa: PLR2004


def _taken_back(fit: Fitted, expected: Array) -> Array:
    """Take the mean of a computed response back; families of a logarithm have the mean of what was measured."""
    back = None if specification_of(fit.model.family).logarithm_of else back_of(fit)
    return expected if back is None else back.inverse(expected)


def _of_points(rows: RowTable, points: PointEstimates, design: Design, codes: np.ndarray, totals: Array) -> Averages:
    """Average at estimates of maximum likelihood; group effects are taken as known."""
    eta = point_predictor(rows.fit.model, points, design)
    function = _identity if rows.scale == "link" else _mean_function(rows.fit, points)
    slopes = derivative(function, eta)[:, None] * design.mean.whole * rows.weights[:, None]
    estimates = np.bincount(codes, function(eta) * rows.weights, minlength=len(totals)) / totals
    L = np.stack([np.bincount(codes, column, minlength=len(totals)) / totals for column in slopes.T], axis=-1)
    return Averages(None, estimates, L)


def _identity(values: Array) -> Array:
    return values


def _mean_function(fit: Fitted, points: PointEstimates) -> Function:
    """Return what leads from the linear predictor to the mean, the family's other parameters at their estimates."""
    mean = point_mean(fit.model, points)
    return lambda eta: _taken_back(fit, mean(eta))


# --- words ------------------------------------------------------------------------------------------------------------


def predicted_response(rows: RowTable) -> str:
    """Name what is predicted: of a computed response what it was computed from."""
    name = rows.fit.model.design.response_name
    back = back_of(rows.fit) if rows.scale == "response" else None
    are_probabilities = rows.levels and rows.scale == "response"
    return back.response if back else f"the probability of {name}" if are_probabilities else name


def scale_words(rows: RowTable) -> str:
    """Say how a computed response was taken back, or on which scale averages are."""
    family = rows.fit.model.family
    back = back_of(rows.fit) if rows.scale == "response" else None
    if back is not None:
        return f", taken back from {back.text}"
    return f" ({family.link} scale)" if rows.scale == "link" and family.link != "identity" else ""


def header_words(rows: RowTable, changed: Any) -> Iterator[str]:
    """Say which rows, at which exposure, and which group effects."""
    count = round(float(rows.weights.sum()))
    yield f"over {count:,} rows" + (f" ({rows.missing:,} with missing values are left out)" if rows.missing else "")
    predictors = rows.fit.model.design.predictors
    for offset in (offset for predictor in predictors for offset in predictor.formula.offsets):
        held = [name for name in columns_of(offset) if name in changed]
        own = ", ".join(f"{name} as stated" for name in held) if held else "of each row"
        yield f"offset({text_of(offset)}) {own}"
    if not rows.fit.model.design.factors:
        return
    if rows.re_form is None:
        known = ", taken as known" if points_of(rows.fit) is not None else ""
        yield f"group effects of each row's levels{known}"
    elif isinstance(rows.re_form, str) and "|" in rows.re_form:
        yield f"group effects of {rows.re_form.strip().removeprefix('~')}"
    else:
        yield "group effects at zero"
