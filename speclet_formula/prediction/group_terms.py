"""A design and R's `re.form` go in; the same design with some of its group terms comes out.

A column that was not asked for counts as zero; a block without any is left out. Summing up is left to `gathering`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.design import FixedPart
from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Formula, GroupTerm, columns_of, text_of
from speclet_formula.model import Model

NO_GROUPS = ("~0", "~NA", "NA")


def keep_groups(model: Model, design: Design, re_form: Any) -> Design:
    """Return a design with the group terms that are asked for, in each of its linear predictors.

    Parameters
    ----------
    model : Model
    design : Design
        The model's, or a replayed one.
    re_form : str, False or None
        None for all, "~0", "NA" or False for none, or a formula of group terms: "~(1 | gene)".

    Returns
    -------
    Design

    Raises
    ------
    FormulaError
        If it is no formula of group terms, or has one that the model has not.
    """
    wanted = _wanted(model, re_form)
    return design if wanted is None else _with_terms(design, wanted)


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


def _wanted(model: Model, re_form: Any) -> tuple[GroupTerm, ...] | None:
    """Return the group terms that are asked for; None for all."""
    if re_form is None:
        return None
    if re_form is False or (isinstance(re_form, str) and re_form.replace(" ", "") in NO_GROUPS):
        return ()
    wanted = _parsed(model, re_form)
    _check_known(model, wanted)
    return wanted


def _asked(term: GroupTerm, wanted: tuple[GroupTerm, ...]) -> set[frozenset[Any]]:
    """Return the columns of a group term that are asked for, each by its factors; the intercept has none."""
    asked = [one for one in wanted if text_of(one.group) == text_of(term.group)]
    chosen = {frozenset(column.factors) for one in asked for column in one.terms}
    return chosen | {frozenset() for one in asked if one.intercept}


def without_groups(design: Design) -> Design:
    """Return a design and its parameters' designs without group terms.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Design
    """
    return _with_terms(design, ())


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
    return design.groups[0].group if design.groups else "g"


def _columns(term: GroupTerm) -> set[str]:
    """Spell the terms left of the bar."""
    return {text_of(part) for part in term.terms} | ({"Intercept"} if term.intercept else set())


def _check_known(model: Model, wanted: tuple[GroupTerm, ...]) -> None:
    """Refuse a group term, or a part of one, that no linear predictor of the model has."""
    formulas = [model.formula, *(part for _, part in model.formula.parameters)]
    for term in wanted:
        group = text_of(term.group)
        known = {name for formula in formulas for name in _wanted_columns(formula, group)}
        missing = sorted(_columns(term) - known)
        if missing:
            told = "1" if missing[0] == "Intercept" else missing[0]
            every = [text_of(found) for formula in formulas for found in formula.group_terms]
            raise FormulaError(
                f"the model has no group term ({told} | {group}).",
                f"Its group terms: {', '.join(every) or 'none'}.",
                "Choose among them in re_form, or leave it out for all.",
            )


def _wanted_columns(formula: Formula, group: str) -> set[str]:
    """Collect what varies over one grouping factor in a formula."""
    return set().union(*(_columns(term) for term in formula.group_terms if text_of(term.group) == group))


def _with_terms(design: Design, wanted: tuple[GroupTerm, ...]) -> Design:
    """Keep some group terms of a design and of its parameters' designs."""
    kept = (
        _masked(block, term, part, wanted)
        for block, term, part in zip(design.groups, design.formula.group_terms, design.recipe.blocks, strict=True)
    )
    parameters = tuple((name, _with_terms(side, wanted)) for name, side in design.parameters)
    return replace(design, groups=tuple(block for block in kept if block is not None), parameters=parameters)


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
