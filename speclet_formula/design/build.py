"""From a formula and a table to a `Design`, and from a design to the same columns for other rows.

A column is called by its own name. Where the package itself needs that name (Intercept, chain, sigma, 1|g), or another
term spells the same (the interaction a:b beside a column a:b), it stands in back-quotes, as it would in a formula.
Whether the design is a sensible one is left to `model`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from speclet_formula.design.design import (
    CodedFactor,
    Design,
    FixedPart,
    FixedTerm,
    GroupBlock,
    Merged,
    Predictor,
    Recipe,
    variable_name,
)
from speclet_formula.design.evaluation import Scope, evaluate, is_labels
from speclet_formula.design.fixed import (
    TermFactor,
    fixed_part,
    replay_fixed,
    report_not_finite,
    respelled,
    without_intercept,
)
from speclet_formula.design.groups import group_blocks, replayed_block, replayed_smooths, smooth_blocks
from speclet_formula.design.level_matrices import LevelMatrix
from speclet_formula.design.merged import count_rows, merged_columns, merged_of, refuse_merged
from speclet_formula.design.monotonic import check_order, numbers_as_levels
from speclet_formula.design.numbers import numeric_text
from speclet_formula.design.response import (
    PerLevel,
    ResponseColumn,
    check_one_column,
    observed_counts,
    observed_levels,
    observed_response,
    out_of_trials,
    refuse_no_intercept,
    response_name,
    unknown_response,
)
from speclet_formula.design.tables import (
    Missing,
    align_levels,
    as_pandas,
    clean_columns,
    handle_missing,
    level_orders,
    select_columns,
)
from speclet_formula.errors import DataError, listed
from speclet_formula.formula.given_matrices import factors_apart
from speclet_formula.formula.monotonic import MONOTONIC, stepped_columns
from speclet_formula.formula.terms import (
    SYNTACTIC_NAME,
    Expression,
    Formula,
    Name,
    columns_of,
    text_of,
)


def build_design(  # noqa: PLR0913 - all that a formula may mean depends on
    formula: Formula,
    data: Any,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    weights: Any = None,
    missing: Missing = "error",
    binary: bool = False,
    ordinal: bool = False,
    proportion: bool = False,
    per_level: PerLevel | None = None,
    needs_response: bool = True,
    text: str | None = None,
    reserved: Iterable[str] = (),
    matrices: Mapping[str, LevelMatrix] | None = None,
) -> Design:
    """Make the arrays that a formula means for a table.

    Parameters
    ----------
    formula : Formula
        The parsed formula.
    data : table
        A pandas, polars or pyarrow table, or a dictionary of arrays, with n rows.
    functions : mapping of str to callable, optional
        The user's own functions that the formula may call; each returns one value, or row of values, per row.
    weights : str or array of shape (n,), optional
        Positive weights of the rows, or the name of the column that holds them.
    missing : {"error", "drop"}
        What to do with rows that lack a value in a column that is used.
    binary : bool
        Whether a factor of two levels can be the response; its second level is then 1.
    ordinal : bool
        Whether the response has ordered levels; X then has no column for the intercept, though factors are coded as
        beside one.
    proportion : bool
        Whether the response is successes out of trials: the weights are then numbers of trials, and without them (or
        cbind) 0 and 1 are single trials.
    per_level : PerLevel, optional
        How the linear predictors of a response with unordered levels are called; each follows its own formula or, where
        there is none, the first one.
    needs_response : bool
        False for a table to simulate from: the response is NaN then, and need not be a column.
    text : str, optional
        The formula as it was written, for the caret in messages.
    reserved : iterable of str, optional
        Names of the family's parameters; a column of that name stands in back-quotes.
    matrices : mapping of str to LevelMatrix, optional
        How levels vary together, by the names that gr(g, cov = A) has for them.

    Raises
    ------
    FormulaError
        If a column does not exist, a call cannot be computed, or a group column appears twice.
    DataError
        If the table or a column cannot serve the formula.
    """
    table = as_pandas(data)
    if not needs_response:
        refuse_merged(table)
    table, weights = _with_weights(table, weights)
    used = columns_of(formula if needs_response else _without_response(formula))
    names = [*used, *([weights] if weights is not None and weights not in used else [])]
    chosen = select_columns(table, [*names, *merged_columns(table)], text)
    selected, keep = handle_missing(chosen, missing)
    with _dropped_rows_said(count_rows(chosen, ~keep)):
        own = selected if selected.shape[1] == len(names) else selected[names]
        frame = clean_columns(own) if names else pd.DataFrame(index=table.index)
        if MONOTONIC not in (functions or {}):
            check_order(formula, selected)
            frame = numbers_as_levels(frame, stepped_columns(formula))
        scope = Scope(frame, {}, dict(functions or {}))
        merged = merged_of(table, keep)
        rows = np.flatnonzero(keep)
        if ordinal:
            refuse_no_intercept(formula)
        name = response_name(formula.response)
        if not needs_response:
            observed = replace(unknown_response(rows), levels=() if per_level is None else per_level.levels)
        else:
            observed = _observed(formula, scope, selected, binary=binary, ordinal=ordinal, per_level=per_level)
        parts = _parts(formula, observed.levels, per_level)
        predictors = [
            _predictor(part, scope, name, matrices or {}, factors_apart(formula), ordinal=ordinal and not name)
            for name, part in parts
        ]
        if proportion and needs_response and observed.trials is None:
            column = None if weights is None else frame[weights]
            observed, weights = out_of_trials(observed, name, column, weights), None
        name, predictors = _with_own_names_all(name, predictors, OWN | frozenset(reserved))
        return Design(
            formula=formula,
            response=observed.values,
            response_name=name,
            trials=observed.trials,
            predictors=tuple(predictors),
            weights=_weights_of_rows(
                observed.precisions if weights is None else _weights(frame[weights], weights), merged
            ),
            frame=frame,
            rows=rows,
            levels=observed.levels,
            limits=observed.limits,
            merged=merged,
        )


def _observed(
    formula: Formula, scope: Scope, table: pd.DataFrame, *, binary: bool, ordinal: bool, per_level: PerLevel | None
) -> ResponseColumn:
    """Read the response."""
    if per_level is not None and per_level.counts:
        return observed_counts(formula.response, scope)
    if ordinal or per_level is not None:
        return observed_levels(formula.response, scope, table, ordered=ordinal)
    return observed_response(formula.response, scope, binary=binary)


def _parts(formula: Formula, levels: Sequence[str], per_level: PerLevel | None) -> list[tuple[str, Formula]]:
    """Return the formula of each linear predictor by the parameter's name, the mean's first."""
    if per_level is None:
        return [("", formula), *formula.parameters]
    own = dict(formula.parameters)
    return [(name, own.get(name, formula)) for name in per_level.parameters(levels)]


def _with_own_names_all(
    response: str, predictors: Sequence[Predictor], taken: frozenset[str]
) -> tuple[str, list[Predictor]]:
    """Put columns in back-quotes whose names the model needs for something else; the parameters' terms come first."""
    blocks = [block for predictor in predictors for block in predictor.groups]
    _check_names_of_blocks(blocks)
    taken |= names_of_blocks(blocks)
    varying = []
    for predictor in predictors[1:]:
        varying.append(_named(predictor, taken))
        taken |= names_of(varying[-1].recipe.fixed)
    if variable_name(response) in taken:
        response = f"`{response}`"
    return response, [_named(predictors[0], taken), *varying]


def _check_names_of_blocks(blocks: Sequence[GroupBlock]) -> None:
    """Refuse grouping factors such as g and g_sigma, whose effects would have the name of the other's SD."""
    names = Counter(name for block in blocks for name in set(block.names))
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise DataError(
            f"two things of the model's group terms have the name '{twice}'.",
            "In the posterior an effect of g is called '1|g', its SD '1|g_sigma' and its mean '1|g_mu'.",
            "Rename a column that ends in _sigma, _mu or _offset.",
        )


def _named(predictor: Predictor, taken: frozenset[str]) -> Predictor:
    fixed = with_own_names(predictor.recipe.fixed, taken, predictor.prefix)
    return replace(predictor, fixed=fixed.terms, recipe=replace(predictor.recipe, fixed=fixed))


@contextmanager
def _dropped_rows_said(count: int) -> Iterator[None]:
    """Let a message that counts rows say that some were left out before."""
    try:
        yield
    except DataError as error:
        if not count or " row" not in error.problem:
            raise
        without = f" Only the kept rows are counted: {count:,} dropped for missing values."
        raise DataError(error.problem + without, error.allowed, error.remedy) from error


def _predictor(
    formula: Formula,
    scope: Scope,
    name: str,
    matrices: Mapping[str, LevelMatrix],
    apart: frozenset[frozenset[TermFactor]],
    *,
    ordinal: bool = False,
) -> Predictor:
    """Make the columns of one linear predictor."""
    # One memory for all of them: what poly(x, 2) learnt is the same wherever it stands.
    memory = cast(dict[str, Any], scope.memory)
    prefix = f"{name}_" if name else ""
    # Beside an intercept a constant column is one of those that others make up; thresholds are no column.
    constant = "refuse" if ordinal else "beside"
    fixed = fixed_part(formula.intercept, formula.terms, scope, constant=constant, prefix=prefix)
    if ordinal:
        fixed = without_intercept(fixed)
    parts = tuple(
        with_own_names(fixed_part(t.intercept, t.terms, scope, constant="allow"), ("Intercept", "1"))
        for t in formula.group_terms
    )
    return Predictor(
        name=name,
        formula=formula,
        X=fixed.X,
        fixed=fixed.terms,
        groups=(
            *group_blocks(formula.group_terms, parts, scope, prefix, matrices, apart),
            *smooth_blocks(formula.terms, scope, prefix),
        ),
        offset=_offset(formula.offsets, scope),
        recipe=Recipe(fixed, parts, memory, dict(scope.functions), level_orders(scope.frame)),
    )


def replay_design(design: Design, data: Any) -> Design:
    """Make the same columns from other rows, with the levels, knots and means of the first ones.

    Parameters
    ----------
    design : Design
        The design to follow.
    data : table
        New rows; the response's columns may be absent.

    Returns
    -------
    Design
        Its `response` is NaN; `codes` are below zero where a group level was not seen before, -1 - its place among
        the `new_levels` of the block.

    Raises
    ------
    FormulaError
        If a column is missing from the new table.
    DataError
        If a fixed factor has a level that was not seen, or a value is missing or not finite.
    """
    recipe = design.mean.recipe
    names = columns_of(_without_response(design.formula))
    table = as_pandas(data)
    selected, keep = handle_missing(select_columns(table, names), "error")
    frame = pd.DataFrame(index=table.index)
    if names:
        cleaned = numbers_as_levels(clean_columns(selected), set(stepped_columns(design.formula)) & set(recipe.levels))
        frame = align_levels(cleaned, recipe.levels)
    _check_kinds(frame, recipe.levels)
    scope, rows = Scope(frame, recipe.memory, recipe.functions), np.flatnonzero(keep)
    return replace(
        design,
        response=unknown_response(rows).values,
        trials=None,
        predictors=tuple(_replayed(predictor, scope) for predictor in design.predictors),
        weights=None,
        frame=frame,
        rows=rows,
        limits=None,
        merged=None,
    )


def _replayed(predictor: Predictor, scope: Scope) -> Predictor:
    """Make the columns of one linear predictor for new rows."""
    formula, recipe = predictor.formula, predictor.recipe
    _check_known_levels(formula, scope.frame, recipe.levels)
    values = [replay_fixed(part, scope) for part in recipe.blocks]
    blocks = zip(predictor.factors, formula.group_terms, values, strict=True)
    grouped = tuple(replayed_block(block, term, value, scope) for block, term, value in blocks)
    return replace(
        predictor,
        X=replay_fixed(recipe.fixed, scope),
        groups=(*grouped, *replayed_smooths(predictor.smooths, formula.terms, scope)),
        offset=_offset(formula.offsets, scope),
    )


def _without_response(formula: Formula) -> Formula:
    return Formula(None, formula.intercept, formula.terms, formula.group_terms, formula.offsets, formula.parameters)


def _with_weights(table: pd.DataFrame, weights: Any) -> tuple[pd.DataFrame, str | None]:
    """Return the table with the weights as a column, and that column's name."""
    if weights is None or isinstance(weights, str):
        return table, weights
    values = np.asarray(weights)
    if values.shape != (len(table),):
        raise DataError(
            f"weights have the shape {values.shape} for {len(table)} rows.",
            "There is one weight for each row of the data.",
            "Give an array of that length, or a column's name.",
        )
    name = "(weights)"
    while name in table.columns:
        name = f"({name})"
    return table.assign(**{name: values}), name


def _weights_of_rows(weights: np.ndarray | None, merged: Merged | None) -> np.ndarray | None:
    """Return the sums of the weights of merged rows, each of which has the same; else the weights as they are."""
    if merged is None:
        return weights
    return merged.rows if weights is None else weights * merged.rows


def _weights(column: pd.Series, name: str) -> np.ndarray:
    are_labels = isinstance(column.dtype, pd.CategoricalDtype)
    if are_labels or not (column > 0).all():
        strays = numeric_text(column) if are_labels else None
        raise DataError(
            f"the weights '{name}' are text, but {strays.said}."
            if strays
            else f"the weights '{name}' are not all positive numbers.",
            "A row's weight divides its variance, so it is greater than zero.",
            strays.remedy(name) if strays else "Drop the rows of weight zero; leave equal weights out.",
        )
    return np.asarray(column, dtype=float)


def _offset(nodes: tuple[Expression, ...], scope: Scope) -> np.ndarray:
    total = np.broadcast_to(np.float64(0.0), len(scope.frame))  # without an offset it takes no memory
    for node in nodes:
        values, name = evaluate(node, scope), f"offset({text_of(node)})"
        check_one_column(values, node, "an offset")
        if is_labels(values):
            raise DataError(
                f"'{name}' holds labels, not numbers.",
                "An offset is added to the linear predictor, row by row.",
                "Name a numeric column, or leave the offset out.",
            )
        numbers = np.asarray(values, dtype=float)
        report_not_finite(numbers, name)
        total = total + numbers
    return total


def _check_kinds(frame: pd.DataFrame, levels: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse labels where the model was built with numbers."""
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.CategoricalDtype) and name not in levels:
            raise DataError(
                f"column '{name}' holds labels here, but held numbers when the model was built.",
                "New data have the same kinds of columns as the data of the model.",
                f"Convert it: data['{name}'] = pandas.to_numeric(data['{name}']).",
            )


def _check_known_levels(formula: Formula, frame: pd.DataFrame, levels: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse levels of fixed factors that the model has no coefficient for."""
    nodes = [*formula.terms, *(term for group in formula.group_terms for term in group.terms)]
    for name in dict.fromkeys(column for node in nodes for column in columns_of(node)):
        known = levels.get(name)
        new = [] if known is None else [level for level in frame[name].cat.categories if level not in set(known)]
        if known is not None and new:
            raise DataError(
                f"column '{name}' has levels that the model has not seen: {listed(new, 5)}.",
                f"Levels: {listed(known)}.",
                "A fixed effect has no value for a new level: leave those rows out, or make the factor a group term.",
            )


OWN = frozenset({"Intercept", "chain", "draw", "__obs__"})
"""Names that every posterior has, or may get."""


def with_own_names(part: FixedPart, taken: Iterable[str], prefix: str = "") -> FixedPart:
    """Return the part with back-quotes around the columns whose name is taken.

    Parameters
    ----------
    part : FixedPart
    taken : iterable of str
        The names that the part's terms cannot have.
    prefix : str
        As for `fixed_part`.

    Raises
    ------
    DataError
        If two terms have the same name all the same.
    """
    taken, quoted = frozenset(taken), set[str]()
    while True:
        part = respelled(part, quoted, prefix) if quoted else part
        clash = _first_clash(part, taken)
        if clash is None:
            return part
        record, name, columns = clash
        more = _to_quote(columns, name.removeprefix(prefix), quoted)
        if not more:
            raise DataError(
                f"two terms of the formula, or a term and a parameter, have the name '{record.name}'.",
                "Each term has a name of its own in the tables and in the posterior.",
                "Rename a column.",
            )
        quoted |= more


def names_of(part: FixedPart) -> set[str]:
    """Return every name that the part's terms have: their own, those of their columns and of their dimensions."""
    return {name for record in part.terms for name in _names(record)}


def names_of_blocks(blocks: Iterable[GroupBlock]) -> set[str]:
    """Return every name that group blocks have in tables, truths and the posterior."""
    return {name for block in blocks for name in (*block.names, block.dim, block.correlation, block.pair_dim)}


def _names(record: FixedTerm) -> set[str]:
    own = {record.name, record.variable, *record.columns, *([] if record.dim is None else [record.dim])}
    return own | ({record.simplex} if record.levels else set())


def _first_clash(part: FixedPart, taken: frozenset[str]) -> tuple[FixedTerm, str, list[str]] | None:
    """Return the first term with a taken name, that name, and the columns of it and of the term that has it already."""
    owners: dict[str, tuple[CodedFactor, ...]] = {}
    records = part.terms[len(part.terms) - len(part.coded) :]
    for record, coded in zip(records, part.coded, strict=True):
        for name in sorted(_names(record)):
            if name in taken or name in owners:
                return record, name, [*_columns(coded), *_columns(owners.get(name, ()))]
        owners |= dict.fromkeys(_names(record), coded)
    return None


def _columns(coded: Sequence[CodedFactor]) -> list[str]:
    return [part.factor.name for part in coded if isinstance(part.factor, Name)]


def _to_quote(columns: Sequence[str], name: str, quoted: set[str]) -> set[str]:
    """Choose the columns to put in back-quotes: that of the name, else those that a formula has to quote anyway."""
    left = {column for column in columns if column not in quoted}
    odd = {column for column in left if not SYNTACTIC_NAME.fullmatch(column)}
    return ({name} & left) or odd or left
