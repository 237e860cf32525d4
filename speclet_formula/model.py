"""A formula, a table, a family and priors go in; a `Model` comes out, checked and frozen.

All that a fit needs is settled here, before anything runs. Fitting is left to `inference.fitting`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from speclet_formula.design import Design, GroupBlock, build_design
from speclet_formula.design.tables import Missing, as_pandas
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.families import FAMILIES, Family, check_response, is_ordinal, resolve_family
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Call, Formula, text_of
from speclet_formula.keywords import answers_r
from speclet_formula.preflight import Finding, inspect_design, relate_groups
from speclet_formula.preflight.records import Support
from speclet_formula.priors import Slot, resolve_priors, slot_frame

Priors = str | Path | Mapping[str, Any] | None


@dataclass(frozen=True, init=False, eq=False)
class Model:
    """What a formula means for a table: design, family and the prior of every parameter.

    Parameters
    ----------
    formula : str, sequence of str, or Formula
        The model in lme4's grammar, ``"log_fc ~ control + (1 | gene)"``.
    data : table
        A pandas, polars or pyarrow table, or a dictionary of arrays, one row per observation.
    family : str
        One of Bambi's: "gaussian", "t", "binomial", "poisson", "negativebinomial", "gamma", "beta", "cumulative",
        "zero_inflated_poisson", ...; `families.resolve_family` lists them all.
    link : str, optional
        The link of the mean; the family's usual one by default.
    priors : dict, str or Path, optional
        Priors by slot (the attribute `slots` lists them), a preset's name ("weak", "bambi", "brms", "rstanarm",
        "notebook"), a TOML file's path, or a dict with the key "preset" and changes to it.
    weights : str or array of shape (n,), optional
        A column's name or an array, as in lme4. Of a gaussian or t response: weights that divide the residual
        variance, sigma**2 / weight. Of a binomial, beta_binomial or zero_inflated_binomial response that is a
        proportion, successes / trials: the numbers of trials. `design.response` then holds the successes.
    missing : {"error", "drop"}
        Whether rows with missing values are an error, or are left out and counted in `n_dropped`.
    functions : dict of str to callable, optional
        Functions of your own that the formula may call by these names.

    Attributes
    ----------
    formula : Formula
        The parsed formula.
    data : pandas.DataFrame
        The table as it was given, in pandas.
    family : Family
    design : Design
        The arrays that the engines read.
    slots : tuple of Slot
        Everything that has a prior, with the prior and where it came from.
    findings : tuple of Finding
        What is worth knowing about the design before it is fitted.
    n_dropped : int
        Rows left out for missing values.

    Raises
    ------
    FormulaError, DataError, PriorError
        If the parts do not fit together; each says what is wrong, what is allowed and what to do.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", data).design.groups[0].levels[:2]
    ('gene_0', 'gene_1')
    """

    formula: Formula
    data: pd.DataFrame
    family: Family
    design: Design
    slots: tuple[Slot, ...]
    findings: tuple[Finding, ...]
    n_dropped: int
    weights: Any
    functions: dict[str, Callable[..., Any]]

    @answers_r(error=DataError)
    def __init__(
        self,
        formula: str | Sequence[str] | Formula,
        data: Any,
        *,
        family: str = "gaussian",
        link: str | None = None,
        priors: Priors = None,
        weights: Any = None,
        missing: Missing = "error",
        functions: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        table = as_pandas(data)
        chosen = resolve_family(family, link)
        parsed, text = _parsed(formula, table, functions or {})
        _check_weights(weights, chosen, parsed)
        specification = FAMILIES[chosen.name]
        design = build_design(
            parsed,
            table,
            functions=functions,
            weights=weights,
            missing=missing,
            binary=specification.support == "binary" or (chosen.name == "binomial" and weights is None),
            ordinal=is_ordinal(chosen),
            proportion=specification.weights == "trials" and (weights is not None or chosen.name == "binomial"),
            text=text,
        )
        _check_names(design, chosen)
        check_response(chosen, design.response, design.response_name, design.trials)
        slots = resolve_priors(
            design, family=chosen.name, link=chosen.link, parameters=chosen.parameters, priors=priors
        )
        values = {
            "formula": design.formula,
            "data": table,
            "family": chosen,
            "design": design,
            "slots": slots,
            "findings": inspect_design(design, support=_preflight_support(chosen, design)),
            "n_dropped": len(table) - len(design.rows),
            "weights": weights,
            "functions": dict(functions or {}),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return describe_model(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(describe_model(self))}</pre>"


def describe_model(model: Model) -> str:
    """Return the formula, the groups with their levels, how they lie to each other, the slot table and the findings."""
    design = model.design
    rows = f"{len(design.response):,}" + (f" ({model.n_dropped:,} dropped: missing values)" if model.n_dropped else "")
    lines = [
        f"Formula: {text_of(model.formula)}",
        f"Family: {model.family.name} ({model.family.link} link)   Rows: {rows}",
        *([f"Levels: {' < '.join(design.levels)}"] if design.levels else []),
        *(_describe_group(block) for block in design.groups),
        *(relation.words for relation in relate_groups(design)),
        "",
        "Priors:",
        slot_frame(model.slots).to_string(index=False),
    ]
    if model.findings:
        lines += ["", "Findings:", *(f"* {finding}" for finding in model.findings)]
    return "\n".join(lines)


_PREFLIGHT: Mapping[str, Support] = {
    "real": "real",
    "binary": "binary",
    "count": "count",
    "proportion": "proportion",
    "ordinal": "ordinal",
}


def _preflight_support(family: Family, design: Design) -> Support:
    """Return what the findings depend on: single trials are 0 and 1, whatever the family is called."""
    support = FAMILIES[family.name].support
    if support == "proportion" and design.trials is not None and (design.trials == 1).all():
        return "binary"
    return _PREFLIGHT.get(support, "other")


def _describe_group(block: GroupBlock) -> str:
    rows = np.bincount(block.codes, minlength=len(block.levels))
    each = f"{rows.min():,}" if rows.min() == rows.max() else f"{rows.min():,} to {rows.max():,}"
    effects = ", ".join(block.columns)
    return f"Group: {block.label}   Levels: {len(block.levels):,}   Effects: {effects}   Rows in a level: {each}"


def _parsed(
    formula: str | Sequence[str] | Formula, table: pd.DataFrame, functions: Mapping[str, Any]
) -> tuple[Formula, str | None]:
    """Return the parsed formula and its text, refusing what no engine here can fit."""
    if isinstance(formula, Formula):
        parsed, text = formula, None
    else:
        several = isinstance(formula, list | tuple) and all(isinstance(one, str) for one in formula)
        text = "; ".join(formula) if several else cast("str", formula)  # what is not text is refused by the parser
        columns = [str(column) for column in table.columns]
        parsed = parse_formula(text, columns=columns, functions=tuple(functions))
    if parsed.parameters:
        name = parsed.parameters[0][0]
        raise FormulaError(
            f"'{name} ~ ...' models a parameter other than the mean.",
            "This version fits a formula for the mean alone; the other parameters are one number each.",
            f"Leave the formula of '{name}' out.",
        )
    return parsed, text


def _check_weights(weights: Any, family: Family, formula: Formula) -> None:
    if weights is None:
        return
    meaning = FAMILIES[family.name].weights
    if meaning is None:
        raise DataError(
            f"weights have no meaning for the family '{family.name}'.",
            "They divide the residual variance of a gaussian or t response, and count the trials of a proportion.",
            "Leave weights= out, or choose family='binomial' for a proportion.",
        )
    if meaning == "trials" and isinstance(formula.response, Call) and formula.response.function == "cbind":
        raise DataError(
            f"'{text_of(formula.response)}' has its own numbers of trials, and weights= gives others.",
            "Weights count the trials of a response that is a proportion, successes / trials.",
            "Leave weights= out.",
        )


def _check_names(design: Design, family: Family) -> None:
    """Refuse terms that would share their name in the posterior with something else."""
    taken = {family.parent, *family.parameters, design.response_name}
    clash = next((term.name for term in design.fixed if term.name in taken), None)
    if clash is None:
        return
    kind = "the response" if clash == design.response_name else f"a parameter of the {family.name} family"
    raise DataError(
        f"the term '{clash}' has the name of {kind}.",
        f"These names are taken: {', '.join(sorted(taken))}.",
        "Rename the column, or leave the term out.",
    )
