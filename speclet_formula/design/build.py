"""A Formula and a table go in; a Design comes out, and the same columns for other rows.

Fixed columns come from `fixed`; group blocks are integer codes with a few columns of values, never a wide matrix.
Whether the design is a sensible one is left to `preflight`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from speclet_formula.design.evaluation import Scope, evaluate, evaluate_labels, is_labels
from speclet_formula.design.fixed import fixed_part, replay_fixed, report_no_level, report_not_finite, without_intercept
from speclet_formula.design.merged import count_rows, merged_columns, merged_of, refuse_merged
from speclet_formula.design.naming import OWN, names_of, names_of_blocks, with_own_names
from speclet_formula.design.observed import (
    check_one_column,
    observed_levels,
    observed_response,
    out_of_trials,
    response_name,
    unknown_response,
)
from speclet_formula.design.records import (
    Design,
    FixedPart,
    GroupBlock,
    Merged,
    Recipe,
    correlation_name,
    variable_name,
)
from speclet_formula.design.responses import refuse_no_intercept
from speclet_formula.design.strays import numeric_text
from speclet_formula.design.tables import (
    Missing,
    align_levels,
    as_pandas,
    clean_columns,
    handle_missing,
    level_orders,
    select_columns,
)
from speclet_formula.design.transforms import as_factor, interaction
from speclet_formula.errors import DataError, FormulaError, listed
from speclet_formula.formula.terms import Expression, Formula, GroupTerm, Name, Term, columns_of, text_of


def build_design(
    formula: Formula,
    data: Any,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    weights: Any = None,
    missing: Missing = "error",
    binary: bool = False,
    ordinal: bool = False,
    proportion: bool = False,
    needs_response: bool = True,
    text: str | None = None,
    reserved: Iterable[str] = (),
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
    needs_response : bool
        False for a table to simulate from: the response is NaN then, and need not be a column.
    text : str, optional
        The formula as it was written, for the caret in messages.
    reserved : iterable of str, optional
        Names of the family's parameters; a column of that name stands in back-quotes.

    Returns
    -------
    Design

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
        frame = clean_columns(selected[names]) if names else pd.DataFrame(index=table.index)
        scope = Scope(frame, {}, dict(functions or {}))
        merged = merged_of(table, keep)
        rows = np.flatnonzero(keep)
        if ordinal:
            refuse_no_intercept(formula)
        main = _side(formula, scope, rows, response_name(formula.response), prefix="", ordinal=ordinal)
        parameters = tuple(
            (name, _side(part, scope, rows, name, prefix=f"{name}_")) for name, part in formula.parameters
        )
        if not needs_response:
            observed = unknown_response(rows)
        elif ordinal:
            observed = observed_levels(formula.response, scope, selected)
        else:
            observed = observed_response(formula.response, scope, binary=binary)
        if proportion and needs_response and observed.trials is None:
            column = None if weights is None else frame[weights]
            observed, weights = out_of_trials(observed, main.response_name, column, weights), None
        main, parameters = _with_own_names(main, parameters, frozenset(reserved))
        return replace(
            main,
            response=observed.values,
            trials=observed.trials,
            limits=observed.limits,
            levels=observed.levels,
            weights=_weights_of_rows(None if weights is None else _weights(frame[weights], weights), merged),
            parameters=parameters,
            merged=merged,
        )


def _with_own_names(
    main: Design, parameters: tuple[tuple[str, Design], ...], reserved: frozenset[str]
) -> tuple[Design, tuple[tuple[str, Design], ...]]:
    """Put columns in back-quotes whose names the model needs for something else; the parameters' terms come first."""
    blocks = [block for side in (main, *(side for _, side in parameters)) for block in side.groups]
    _check_names_of_blocks(blocks)
    taken = OWN | reserved | names_of_blocks(blocks)
    named = []
    for name, side in parameters:
        named.append((name, _named(side, taken, f"{name}_")))
        taken |= names_of(named[-1][1].recipe.fixed)
    if variable_name(main.response_name) in taken:
        main = replace(main, response_name=f"`{main.response_name}`")
    return _named(main, taken, ""), tuple(named)


def _check_names_of_blocks(blocks: Sequence[GroupBlock]) -> None:
    """Refuse grouping factors such as g and g_sigma, whose effects would have the name of the other's SD."""
    names = Counter(
        f"{slot}{end}" for block in blocks for slot in block.slots for end in ("", "_sigma", "_mu", "_offset")
    )
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise DataError(
            f"two things of the model's group terms have the name '{twice}'.",
            "In the posterior an effect of g is called '1|g', its SD '1|g_sigma' and its mean '1|g_mu'.",
            "Rename a column that ends in _sigma, _mu or _offset.",
        )


def _named(side: Design, taken: frozenset[str], prefix: str) -> Design:
    fixed = with_own_names(side.recipe.fixed, taken, prefix)
    return replace(side, fixed=fixed.terms, recipe=replace(side.recipe, fixed=fixed))


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


def _side(formula: Formula, scope: Scope, rows: np.ndarray, name: str, *, prefix: str, ordinal: bool = False) -> Design:
    """Make the columns of one linear predictor; the response is filled in for the mean's."""
    # One memory for all sides: what poly(x, 2) learnt is the same wherever it stands.
    memory = cast(dict[str, Any], scope.memory)
    fixed = fixed_part(formula.intercept, formula.terms, scope, prefix=prefix)
    if ordinal:
        fixed = without_intercept(fixed)
    parts = tuple(
        with_own_names(fixed_part(t.intercept, t.terms, scope, constant="allow"), ("Intercept", "1"))
        for t in formula.group_terms
    )
    return Design(
        formula=formula,
        response=unknown_response(rows).values,
        response_name=name,
        trials=None,
        X=fixed.X,
        fixed=fixed.terms,
        groups=_blocks(formula.group_terms, parts, scope, prefix),
        offset=_offset(formula.offsets, scope),
        weights=None,
        frame=scope.frame,
        rows=rows,
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
    formula, recipe = design.formula, design.recipe
    names = columns_of(_without_response(formula))
    table = as_pandas(data)
    selected, keep = handle_missing(select_columns(table, names), "error")
    frame = align_levels(clean_columns(selected), recipe.levels) if names else pd.DataFrame(index=table.index)
    scope = Scope(frame, recipe.memory, recipe.functions)
    _check_kinds(frame, recipe.levels)
    rows = np.flatnonzero(keep)
    parameters = tuple((name, _replayed_side(side, scope, rows)) for name, side in design.parameters)
    return replace(_replayed_side(design, scope, rows), parameters=parameters)


def _replayed_side(side: Design, scope: Scope, rows: np.ndarray) -> Design:
    """Make the columns of one linear predictor for new rows."""
    formula, recipe = side.formula, side.recipe
    _check_known_levels(formula, scope.frame, recipe.levels)
    values = [replay_fixed(part, scope) for part in recipe.blocks]
    return replace(
        side,
        response=unknown_response(rows).values,
        trials=None,
        X=replay_fixed(recipe.fixed, scope),
        groups=tuple(
            _replayed(block, term, value, scope)
            for block, term, value in zip(side.groups, formula.group_terms, values, strict=True)
        ),
        offset=_offset(formula.offsets, scope),
        weights=None,
        frame=scope.frame,
        rows=rows,
        limits=None,
        merged=None,
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


def _blocks(
    terms: tuple[GroupTerm, ...], parts: tuple[FixedPart, ...], scope: Scope, prefix: str
) -> tuple[GroupBlock, ...]:
    """Make the blocks, naming a further block over the same factor as lme4 does: gene, gene.1, gene.2."""
    seen: Counter[str] = Counter()
    blocks = []
    for term, part in zip(terms, parts, strict=True):
        group = ":".join(_factor_names(term.group))
        label = f"{group}.{seen[group]}" if seen[group] else group
        seen[group] += 1
        blocks.append(_block(term, part, label, _group_factor(term.group, scope), prefix))
    _check_distinct(blocks)
    return tuple(blocks)


def _block(term: GroupTerm, part: FixedPart, label: str, factor: pd.Categorical, prefix: str) -> GroupBlock:
    factors = _factor_names(term.group)
    group = ":".join(factors)
    columns = tuple("1" if t.kind == "intercept" else column for t in part.terms for column in t.columns)
    variable = variable_name(group)
    return GroupBlock(
        group=group,
        label=label,
        factors=factors,
        columns=columns,
        slots=tuple(f"{prefix}{variable_name(column)}|{variable}" for column in columns),
        correlated=term.correlated and len(columns) > 1,
        levels=tuple(factor.categories),
        dim=f"{variable}__factor_dim",
        codes=factor.codes.astype(np.int64),
        values=part.X,
        prefix=prefix,
    )


def _factor_names(group: Term) -> tuple[str, ...]:
    """Return the names of a grouping factor's parts; a column's own name needs no back-quotes here."""
    return tuple(part.name if isinstance(part, Name) else text_of(part) for part in group.factors)


def _group_factor(group: Term, scope: Scope) -> pd.Categorical:
    """Return a grouping factor with its observed levels; 'a:b' is one factor of the observed combinations."""
    parts = []
    for node in group.factors:
        values = evaluate_labels(node, scope)
        check_one_column(values, node, "a grouping factor")
        if not is_labels(values):
            report_not_finite(np.asarray(values, dtype=float), text_of(node))
        parts.append(as_factor(values))
        report_no_level(parts[-1], text_of(node))
    if len(parts) == 1:
        return parts[0]
    try:
        return interaction(*parts)
    except ValueError as error:
        raise DataError(
            f"the levels of '{text_of(group)}' cannot be told apart: {error}.",
            "Each combination of levels needs a label of its own, written 'a:b'.",
            "Rename the levels that contain ':'.",
        ) from error


def _check_distinct(blocks: list[GroupBlock]) -> None:
    correlations = (correlation_name(block) for block in blocks if block.correlated)
    slots = Counter([*(slot for block in blocks for slot in block.slots), *correlations])
    twice = [slot for slot, count in slots.items() if count > 1]
    if twice:
        raise FormulaError(
            f"the group effect '{twice[0]}' appears in two group terms.",
            "A column varies over a grouping factor once, since two such effects cannot be told apart.",
            "Write (x | g) for both together, or (1 | g) + (0 + x | g) for uncorrelated ones.",
        )


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


def _replayed(block: GroupBlock, term: GroupTerm, values: np.ndarray, scope: Scope) -> GroupBlock:
    """Return a block for new rows; levels that were not seen get the codes -1, -2, ..."""
    factor = _group_factor(term.group, scope)
    position = {level: code for code, level in enumerate(block.levels)}
    new = tuple(level for level in factor.categories if level not in position)
    position |= {level: -1 - place for place, level in enumerate(new)}
    codes = np.array([position[level] for level in factor.categories], dtype=np.int64)[factor.codes]
    return replace(block, codes=codes, values=values, new_levels=new)
