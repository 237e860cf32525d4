"""New rows: their columns, the group terms that R's `re.form` asks for, and effects of levels that were not fitted.

Columns that only group effects need which are not asked for get any fitted value: their effects are left out later.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design, GroupBlock, Predictor
from speclet_formula.design.design import FixedPart
from speclet_formula.design.tables import as_pandas, select_columns
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.formula.multi_membership import plain_group
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import GroupTerm, columns_of, grouping_text, text_of
from speclet_formula.model import Model
from speclet_formula.posterior.draws import Draws
from speclet_formula.posterior.estimates import Array, PointEstimates
from speclet_formula.prediction.linear_predictors import ModelDraws, PredictorDraws
from speclet_formula.priors import Prior, matrices_of

NO_GROUPS = ("~0", "~NA", "NA")


@dataclass(frozen=True, eq=False)
class NewRows:
    """New rows, those with missing values apart."""

    complete: pd.DataFrame  # the rows without missing values in what is needed
    keep: np.ndarray  # (n,) bool, which of the given rows these are
    index: pd.Index  # (n,) of the given table; 0, 1, ... of one without an index


def new_rows(model: Model, newdata: Any, re_form: Any, *, weighted: bool) -> NewRows:
    """Take the rows of a new table that have all that a prediction needs.

    Parameters
    ----------
    model : Model
    newdata : table
    re_form : str, False or None
        As in `keep_groups`.
    weighted : bool
        Whether the columns of trials and weights are needed too, where the table has them.

    Raises
    ------
    FormulaError
        A column is missing, or `re_form` is none.
    DataError
        The table has no row without a missing value.
    """
    table = as_pandas(newdata)
    needed = needed_columns(model, re_form)
    selected = select_columns(table, needed)
    extra = [name for name in _weight_columns(model) if weighted and name in table.columns]
    keep = ~pd.concat([selected, table[extra]], axis=1).isna().any(axis=1).to_numpy()
    if not keep.any():
        raise DataError(
            "no row can be predicted: each has a missing value.",
            f"Columns that are needed: {', '.join(needed)}.",
            "Fill in the missing values of one row or more.",
        )
    complete = table[keep]
    others = [name for name in needed_columns(model, None) if name not in needed]
    filled = {name: [model.design.frame[name].iloc[0]] * len(complete) for name in others}
    index = newdata.index if isinstance(newdata, pd.DataFrame) else pd.RangeIndex(len(table))
    return NewRows(complete.assign(**filled), keep, index)


def keep_groups(model: Model, design: Design, re_form: Any) -> Design:
    """Return a design with the group terms that are asked for, in each of its linear predictors.

    Parameters
    ----------
    model : Model
    design : Design
        The model's, or a replayed one.
    re_form : str, False or None
        None for all, "~0", "NA" or False for none, or a formula of group terms: "~(1 | gene)".

    Raises
    ------
    FormulaError
        If it is no formula of group terms, or has one that the model has not.
    """
    wanted = _wanted(model, re_form)
    return design if wanted is None else _with_terms(design, wanted)


def without_groups(design: Design) -> Design:
    """Return a design and its parameters' designs without group terms."""
    return _with_terms(design, ())


def needed_columns(model: Model, re_form: Any) -> tuple[str, ...]:
    """List the columns that a prediction with some of the group terms needs.

    Parameters
    ----------
    model : Model
    re_form : str, False or None
        As in `keep_groups`.

    Returns
    -------
    tuple of str
        Of the fixed part, the offsets, and the group terms that are asked for; those of parameters' formulas too.

    Raises
    ------
    FormulaError
        As `keep_groups`.
    """
    wanted = _wanted(model, re_form)
    formulas = [model.formula, *(part for _, part in model.formula.parameters)]
    nodes = [node for formula in formulas for node in (*formula.terms, *formula.offsets)]
    for term in (term for formula in formulas for term in formula.group_terms):
        chosen = None if wanted is None else _asked(term, wanted)
        if chosen is None or chosen:
            columns = [part for part in term.terms if chosen is None or frozenset(part.factors) in chosen]
            nodes += [term.group, *columns]
    return tuple(dict.fromkeys(name for node in nodes for name in columns_of(node)))


def add_new_levels(
    model: Model, draws: Draws, design: Design, drawn: ModelDraws, rng: np.random.Generator
) -> tuple[Design, ModelDraws]:
    """Draw effects of the levels that were not fitted.

    Parameters
    ----------
    model : Model
        Its priors say what is known of a group's mean.
    draws : Draws
    design : Design
        A replayed one.
    drawn : ModelDraws
        All draws of its fitted levels.
    rng : numpy.random.Generator

    Returns
    -------
    design : Design
        Each new level has the code of its place behind the fitted ones.
    drawn : ModelDraws
        With the effects of the new levels behind the others.

    Raises
    ------
    DataError
        The effects of a group have a prior that is not normal.
    """
    extended = [
        _extended(model, draws, predictor, known, rng)
        for predictor, known in zip(design.predictors, drawn.predictors, strict=True)
    ]
    predictors, extended_draws = zip(*extended, strict=True)
    return replace(design, predictors=predictors), replace(drawn, predictors=extended_draws)


def draw_anew(model: Model, draws: Draws, predictor: Predictor, rng: np.random.Generator) -> PredictorDraws:
    """Draw effects of all levels of a linear predictor as if they were new ones; none that was fitted is needed.

    Smooths are not drawn anew: they are what the predictors explain.

    Parameters
    ----------
    model : Model
    draws : Draws
    predictor : Predictor
        Of the mean, or of a parameter.
    rng : numpy.random.Generator

    Raises
    ------
    DataError
        The effects of a group have a prior that is not normal.
    """
    effects = []
    for block in predictor.groups:
        if block.smooth:  # a curve stays as it is
            effects.append(draws.effects(block))
            continue
        new = _new_effects(model, draws, block, len(block.levels), rng)
        effects.append(tuple(new[:, :, column] for column in range(new.shape[2])))
    return PredictorDraws(draws.coefficients(predictor), tuple(effects))


def draw_point_anew(
    predictor: Predictor, points: PointEstimates, count: int, rng: np.random.Generator
) -> tuple[tuple[Array, ...], ...]:
    """Draw effects of all levels at the estimates of maximum likelihood.

    Parameters
    ----------
    predictor : Predictor
    points : PointEstimates
    count : int
        How many draws of all effects.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of tuple of ndarray of float, shape (count, levels)
        For each block and column.
    """
    effects = []
    for block, covariance, modes in zip(predictor.groups, points.covariances, points.modes, strict=True):
        if block.smooth:
            effects.append(tuple(np.tile(column, (count, 1)) for column in modes.T))
            continue
        variances, axes = np.linalg.eigh(covariance)  # not Cholesky's, since an estimate may be singular
        root = axes * np.sqrt(np.maximum(variances, 0.0))
        new = block.between_levels(rng.standard_normal((count, len(block.levels), len(covariance)))) @ root.T
        effects.append(tuple(new[:, :, column] for column in range(new.shape[2])))
    return tuple(effects)


def _weight_columns(model: Model) -> tuple[str, ...]:
    """Return the columns that hold the weights or the trials."""
    named = (model.weights,) if isinstance(model.weights, str) else ()
    response = () if model.formula.response is None else columns_of(model.formula.response)
    return (*named, *response)


def _wanted(model: Model, re_form: Any) -> tuple[GroupTerm, ...] | None:
    """Return the group terms that are asked for; None for all."""
    if re_form is None:
        return None
    if re_form is False or (isinstance(re_form, str) and re_form.replace(" ", "") in NO_GROUPS):
        return ()
    wanted = tuple(own for term in _parsed(model, re_form) for own in _with_matrices(model, term))
    _check_known(model, wanted)
    return wanted


def _with_matrices(model: Model, term: GroupTerm) -> list[GroupTerm]:
    """Read (1 | line) as (1 | gr(line, cov = A)), with any matrix, where the model has no term of the factor alone."""
    known = {own.matrix for own in _group_terms(model) if _grouping(own) == _grouping(term)}
    if term.matrix is not None or None in known or not known:
        return [term]
    return [replace(term, matrix=matrix) for matrix in known]


def _group_terms(model: Model) -> Iterator[GroupTerm]:
    """Go through the group terms of all linear predictors."""
    for formula in (model.formula, *(part for _, part in model.formula.parameters)):
        yield from formula.group_terms


def _asked(term: GroupTerm, wanted: tuple[GroupTerm, ...]) -> set[frozenset[Any]]:
    """Return the columns of a group term that are asked for, each by its factors; the intercept has none."""
    own = _grouping(term), term.matrix
    asked = [asked_term for asked_term in wanted if (_grouping(asked_term), asked_term.matrix) == own]
    chosen = {frozenset(column.factors) for asked_term in asked for column in asked_term.terms}
    return chosen | {frozenset() for asked_term in asked if asked_term.intercept}


def _parsed(model: Model, re_form: Any) -> tuple[GroupTerm, ...]:
    """Read a one-sided formula of group terms."""
    text = re_form.strip() if isinstance(re_form, str) else ""
    example = f"For example re_form='~(1 | {_first_group(model.design)})'."
    if not text.startswith("~"):
        raise FormulaError(
            f"re_form={re_form!r} is no formula of group terms.",
            "None stands for all group terms, '~0' or False for none, '~(1 | g)' for some.",
            example,
        )
    formula = parse_formula(f"response {text}", functions=tuple(model.functions))
    if formula.terms or formula.offsets or not formula.group_terms:
        raise FormulaError(
            f"re_form={re_form!r} has {'more than' if formula.group_terms else 'no'} group terms.",
            "It chooses among the group terms; the fixed part is always there.",
            example,
        )
    return formula.group_terms


def _first_group(design: Design) -> str:
    return design.factors[0].group if design.factors else "g"


def _grouping(term: GroupTerm) -> str:
    """Spell a grouping factor; mm() without its weights, which are the model's."""
    return text_of(plain_group(term.group))


def _columns(term: GroupTerm) -> set[str]:
    """Spell the terms left of the bar."""
    return {text_of(part) for part in term.terms} | ({"Intercept"} if term.intercept else set())


def _check_known(model: Model, wanted: tuple[GroupTerm, ...]) -> None:
    """Refuse a group term, or a part of one, that no linear predictor of the model has."""
    for term in wanted:
        own = _grouping(term), term.matrix
        known = (_columns(one) for one in _group_terms(model) if (_grouping(one), one.matrix) == own)
        missing = sorted(_columns(term) - set().union(*known))
        if missing:
            told = "1" if missing[0] == "Intercept" else missing[0]
            every, group = (
                list(map(text_of, _group_terms(model))),
                own[0] if term.matrix is None else grouping_text(term),
            )
            raise FormulaError(
                f"the model has no group term ({told} | {group}).",
                f"Its group terms: {', '.join(every) or 'none'}.",
                "Choose among them in re_form, or leave it out for all.",
            )


def _with_terms(design: Design, wanted: tuple[GroupTerm, ...]) -> Design:
    """Keep some group terms of each linear predictor."""
    return replace(design, predictors=tuple(_chosen_terms(predictor, wanted) for predictor in design.predictors))


def _chosen_terms(predictor: Predictor, wanted: tuple[GroupTerm, ...]) -> Predictor:
    parts = zip(predictor.factors, predictor.formula.group_terms, predictor.recipe.blocks, strict=True)
    kept = (_masked(block, term, part, wanted) for block, term, part in parts)
    return replace(predictor, groups=(*(block for block in kept if block is not None), *predictor.smooths))


def _masked(block: GroupBlock, term: GroupTerm, part: FixedPart, wanted: tuple[GroupTerm, ...]) -> GroupBlock | None:
    """Set the columns that were not asked for to zero; without any that was, return nothing."""
    chosen = _asked(term, wanted)
    every = [*([frozenset()] if part.intercept else []), *(frozenset(c.factor for c in coded) for coded in part.coded)]
    kept = [
        place
        for columns, record in zip(every, part.terms, strict=True)
        if columns in chosen
        for place in range(record.start, record.stop)
    ]
    if not kept:
        return None
    values = np.zeros_like(block.values)
    values[:, kept] = block.values[:, kept]
    return replace(block, values=values)


def _extended(
    model: Model, draws: Draws, predictor: Predictor, drawn: PredictorDraws, rng: np.random.Generator
) -> tuple[Predictor, PredictorDraws]:
    """Extend one linear predictor."""
    blocks, effects = [], []
    for block, known in zip(predictor.groups, drawn.effects, strict=True):
        if not block.new_levels:
            blocks.append(block)
            effects.append(known)
            continue
        new = _new_effects(model, draws, block, len(block.new_levels), rng)
        effects.append(tuple(np.hstack([old, new[:, :, k]]) for k, old in enumerate(known)))
        places = np.where(block.places < 0, len(block.levels) - 1 - block.places, block.places)
        blocks.append(replace(block, places=places, levels=(*block.levels, *block.new_levels), new_levels=()))
    return replace(predictor, groups=tuple(blocks)), replace(drawn, effects=tuple(effects))


def _new_effects(model: Model, draws: Draws, block: GroupBlock, count: int, rng: np.random.Generator) -> Array:
    """Draw mu + diag(sigma) L z for each draw and level: (draws, levels, columns)."""
    moments = zip(block.slots, block.means, block.sds, strict=True)
    means, sds = zip(*(_moments(model, draws, *names) for names in moments), strict=True)
    z = block.between_levels(rng.standard_normal((len(draws), count, len(block.slots))))
    if block.correlated:
        factor = np.linalg.cholesky(matrices_of(draws.correlation(block)))
        z = z @ np.swapaxes(factor, 1, 2)
    return np.asarray(np.stack(means, axis=-1)[:, None] + z * np.stack(sds, axis=-1)[:, None])


def _moments(model: Model, draws: Draws, slot: str, mean: str, sd: str) -> tuple[Array, Array]:
    """Return mean and SD of a column's effects, draw by draw; a number that the prior states is the same in all."""
    prior = next((row.prior for row in model.slots if row.slot == slot), None)
    stated = {} if prior is None else prior.parameters
    if prior is None or prior.name != "Normal":
        raise DataError(
            f"new levels of '{slot}' cannot be drawn: its prior is {prior}.",
            "New levels are drawn from a Normal prior of the group's effects.",
            "Leave the rows with new levels out (of simulate(): write use_u=True), or choose a Normal prior.",
        )

    def known(name: str, what: str) -> Array:
        value = stated[what]
        if isinstance(value, Prior) or name in draws:
            return draws.variable(name, 1)[:, 0]
        return np.full(len(draws), float(np.asarray(value)))

    return known(mean, "mu"), known(sd, "sigma")
