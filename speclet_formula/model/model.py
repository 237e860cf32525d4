"""A `Model`: what a formula means for a table, with a family and the prior of every parameter, checked and frozen.

All that a fit needs is settled here, before anything runs. Fitting is left to `inference`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.common.arguments import answers_r, check_functions
from speclet_formula.common.files import SORTED
from speclet_formula.common.habits import Answering
from speclet_formula.common.table import Sheet, text_table, wrapped
from speclet_formula.design import Design, GroupBlock, LevelMatrix, Scan, build_design
from speclet_formula.design.level_matrices import given_matrices
from speclet_formula.design.merged import (
    check_merged,
    count_rows,
    merged_columns,
    merged_response,
    row_count,
    rows_in_levels,
)
from speclet_formula.design.tables import (
    Missing,
    as_pandas,
    in_row_order,
    number_columns,
    ordered_columns,
    read_used,
    row_labels,
)
from speclet_formula.errors import DataError, FormulaError, nearest
from speclet_formula.families import (
    Family,
    check_response,
    family_of_levels,
    family_of_response,
    has_known_errors,
    is_linear,
    is_of_levels,
    is_ordinal,
    is_unordered,
    parameter_link,
    resolve_family,
    specification_of,
)
from speclet_formula.formula.contrasts import with_contrasts
from speclet_formula.formula.parse import check_kind, joined_text, parse_formula
from speclet_formula.formula.terms import Call, Formula, columns_of, text_of
from speclet_formula.model.findings import (
    Findings,
    Support,
)
from speclet_formula.model.groups import (
    relate_groups,
)
from speclet_formula.model.inspection import inspect_design
from speclet_formula.model.observation import check_limits
from speclet_formula.priors import Slot, resolve_priors, slot_frame
from speclet_formula.priors.scales import LINKS

Priors = str | Path | Mapping[str, Any] | None


@dataclass(frozen=True, eq=False, repr=False)
class ModelParts(Answering):
    """What a model holds; `Model` says what each is."""

    formula: Formula
    data: pd.DataFrame
    family: Family
    design: Design
    n_dropped: int
    weights: Any
    functions: dict[str, Callable[..., Any]]
    index: pd.Index
    matrices: dict[str, LevelMatrix]
    ordered: tuple[str, ...]  # columns that came as ordered factors

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The default priors; of a model with priors of its user they were made, and checked, with the model."""
        return resolve_priors(self.design, family=self.family)

    @cached_property
    def findings(self) -> Findings:
        """What the design gives cause to say, looked for when it is asked for: a small fit takes no longer."""
        support, unordered = _support(self.family, self.design), self.data.attrs.get(SORTED, ())
        return inspect_design(self.design, support=support, unordered=unordered, ordered=self.ordered)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Model(ModelParts):
    """What a formula means for a table: design, family and the prior of every parameter.

    Parameters
    ----------
    formula : str, sequence of str, or Formula
        The model in lme4's grammar, ``"log_fc ~ control + (1 | gene)"``. Further formulas are for the family's other
        parameters, each on its own link: ``["log_fc ~ control + (1 | gene)", "sigma ~ control"]`` lets the logarithm of
        sigma differ between the controls. The response can be ``cbind(successes, failures)``, ``censored(y, status)``,
        ``truncated(y, lb, ub)`` or, with known standard errors, ``se(y, sei)``. Levels without an order have a linear
        predictor each, but the first, with the terms of the first formula unless another is theirs, ``["way ~ x",
        "mucar ~ 1"]``; ``cbind(a, b, c)`` counts them.
    data : table
        A pandas, polars or pyarrow table, or a dictionary of arrays, one row per observation; or a `scan` of a file,
        of which only the columns that are used are read, piece by piece.
    family : str
        One of Bambi's: "gaussian", "t", "binomial", "poisson", "negativebinomial", "gamma", "beta", "cumulative",
        "zero_inflated_poisson", ...; `families.resolve_family` lists them all.
    link : str, optional
        The link of the mean; the family's usual one by default.
    priors : dict, str or Path, optional
        Priors by slot (the attribute `slots` lists them), a preset's name ("weak", "bambi", "brms", "rstanarm",
        "notebook"), a TOML file's path, or a dict with the key "preset" and changes to it.
    weights : str or array of shape (n,), optional
        A column's name or an array, as in lme4; a pandas Series is matched by its index. Of a gaussian or t response:
        weights that divide the residual variance, sigma**2 / weight. Of a binomial, beta_binomial or
        zero_inflated_binomial response that is a proportion, successes / trials: the numbers of trials.
        `design.response` then holds the successes.
    missing : {"error", "drop"}
        Whether rows with missing values are an error, or are left out and counted in `n_dropped`.
    functions : dict of str to callable, optional
        Functions of your own that the formula may call by these names.
    contrasts : dict of str to str, optional
        How factors of the fixed terms are coded, as lme4's argument: ``{"control": "sum"}`` makes ``control`` of the
        formula ``C(control, sum)``, whose coefficients are called ``C(control, sum)[nonessential]``. Codings are "sum"
        (each level but the last against the mean of the levels), "helmert" (each level against the mean of those before
        it), "poly" (orthogonal polynomials of the levels' order), "sdif" (each level against the one before it, MASS'
        contr.sdif) and "treatment" (each level against the first, as without an argument; ``"Treatment('other')"``
        against another), or R's and patsy's words for them. Group terms are not concerned, as in lme4: write
        ``(C(f, sum) | g)`` there. Means, predictions and likelihoods are the same under every coding; so are posteriors
        where the priors are flat, and nearly so where the data outweigh the priors, which are on the coefficients.
    matrices : dict of str to matrix, optional
        How the levels of grouping factors vary together, by the names that the formula has for them: with
        ``(1 | gr(line, cov = A))`` the effects of lines have the covariance A times the square of their SD, with
        ``gr(line, precision = Q)`` that of Q's inverse; those of ``(x | gr(line, cov = A))`` A times the covariance of
        the columns (Kronecker). Each is a DataFrame whose index and columns are the levels, a `LevelMatrix`, or a pair
        of a matrix, which may be sparse, and its labels. Levels are found by their labels. A level that only the matrix
        has is kept, as in MCMCglmm: its effect follows from its relatives', and new rows may have it. (A covariance
        without its row and column is the same model without that effect, as in brms and lme4qtl; a precision is not.)

    Attributes
    ----------
    formula : Formula
        The parsed formula.
    data : pandas.DataFrame
        The table as it was given, in pandas; of a `scan` with merge=True the merged rows.
    family : Family
    design : Design
        The arrays that the engines read.
    slots : tuple of Slot
        Everything that has a prior, with the prior and where it came from.
    findings : Findings
        What is worth knowing about the design before it is fitted.
    n_dropped : int
        Rows left out for missing values.
    index : pandas.Index
        The labels of the rows in the table as it was given, whose order `data` has: what a Series is matched by.
    matrices : dict of str to LevelMatrix

    Raises
    ------
    FormulaError, DataError, PriorError
        If the parts do not fit together; each says what is wrong, what is allowed and what to do.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", data).design.blocks[0].levels[:2]
    ('gene_0', 'gene_1')
    """

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
        contrasts: Mapping[str, str] | None = None,
        matrices: Mapping[str, Any] | None = None,
    ) -> None:
        check_kind(formula)
        check_functions(functions)
        table = data if isinstance(data, Scan) else as_pandas(data)
        parsed, text, table = _read(formula, table, weights, functions or {}, contrasts)
        chosen = family_of_response(resolve_family(family, link), parsed.response)
        _check_formula(parsed, table, chosen, weights, functions or {})
        labels = row_labels(data, len(table))
        ordered = in_row_order(weights, labels, "weights")
        weights = ordered.to_numpy() if isinstance(ordered, pd.Series) else ordered
        known = given_matrices(matrices)
        design = _design_of(
            parsed, table, text, chosen, weights=weights, missing=missing, functions=functions, matrices=known
        )
        chosen = family_of_levels(chosen, design)
        super().__init__(
            formula=design.formula,
            data=table,
            family=chosen,
            design=design,
            n_dropped=count_rows(table) - row_count(design),
            weights=weights,
            functions=dict(functions or {}),
            index=labels,
            matrices=known,
            ordered=ordered_columns(data),
        )
        if priors is not None or chosen.link not in LINKS:
            vars(self)["slots"] = resolve_priors(design, family=chosen, priors=priors)

    def __repr__(self) -> str:
        return describe_model(self)

    def _repr_html_(self) -> str:
        priors = text_table(slot_frame(self.slots), "Priors", labels=5)
        found = [self.findings._repr_html_()] if self.findings else []
        return "\n".join([Sheet("", _described(self), (priors,)).html(), *found])


def replace_parts(model: Model, **parts: Any) -> Model:
    """Return the same model with other parts, by the names of its attributes; nothing is read or checked again."""
    kept = {"slots", "findings"} - set(parts) if set(parts) - {"slots", "findings"} else ()
    made = {name: getattr(model, name) for name in kept}  # what was known of the model as it was
    again = Model.__new__(Model)
    vars(again).update(vars(model) | made | parts)
    return again


def in_order_of(model: Model, values: Any, argument: str) -> Any:
    """Return values for the rows that a model uses, or for all of its table, in the order of these rows.

    Raises
    ------
    DataError
        They are a Series whose index is not that of the rows.
    """
    used = model.index[model.design.rows]
    are_used = isinstance(values, pd.Series) and len(values) == len(used)
    return in_row_order(values, used if are_used else model.index, argument)


def describe_model(model: Model) -> str:
    """Return the formula, the groups with their levels, how they lie to each other, the slot table and the findings."""
    lines = [*_described(model), "", text_table(slot_frame(model.slots), "Priors", labels=5).text()]
    if model.findings:
        lines += ["", "Findings:", *(wrapped(f"* {finding}") for finding in model.findings)]
    return "\n".join(lines)


def _described(model: Model) -> list[str]:
    """Return a line each for formula, family, levels, groups, smooths and how groups lie to each other."""
    design = model.design
    rows = f"{row_count(design):,}" + (f" ({model.n_dropped:,} dropped: missing values)" if model.n_dropped else "")
    rows += "" if design.merged is None else f", merged into {len(design.response):,}"
    return [
        f"Formula: {text_of(model.formula)}",
        f"Family: {model.family.name} ({model.family.link} link)   Rows: {rows}",
        *([f"Levels: {(' < ' if is_ordinal(model.family) else ', ').join(design.levels)}"] if design.levels else []),
        *(_describe_group(block, design) for block in design.factors),
        *(_describe_smooth(block) for block in design.smooths),
        *(relation.words for relation in relate_groups(design)),
    ]


def _support(family: Family, design: Design) -> Support:
    """Return what the findings depend on: single trials are 0 and 1, whatever the family is called."""
    support = specification_of(family).responses.findings
    if support == "proportion" and design.trials is not None and (design.trials == 1).all():
        return "binary"
    return support


def _describe_group(block: GroupBlock, design: Design) -> str:
    rows = rows_in_levels(design, block)
    each = f"{rows.min():,}" if rows.min() == rows.max() else f"{rows.min():,} to {rows.max():,}"
    effects = ", ".join(block.columns)
    label = f"{block.label} (of {block.prefix.removesuffix('_')})" if block.prefix else block.label
    return f"Group: {label}   Levels: {len(block.levels):,}   Effects: {effects}   Rows in a level: {each}"


def _describe_smooth(block: GroupBlock) -> str:
    label = f"{block.label} (of {block.prefix.removesuffix('_')})" if block.prefix else block.label
    levels = f" for each of {len(block.levels):,} levels" if len(block.levels) > 1 else ""
    count = len(block.columns)
    return f"Smooth: {label}   Penalised columns: {count}{levels}"


def _read(
    formula: str | Sequence[str] | Formula,
    table: pd.DataFrame | Scan,
    weights: Any,
    functions: Mapping[str, Any],
    contrasts: Mapping[str, str] | None,
) -> tuple[Formula, str | None, pd.DataFrame]:
    """Return the parsed formula, its text where it has one, and the table; of a scan the columns that are used."""
    if isinstance(table, Scan):
        parsed, text = _parsed(formula, table.columns, functions, None)
        parsed = with_contrasts(parsed, contrasts)
        table = _read_scan(table, parsed, text, weights)
    else:
        added = merged_columns(table)
        columns = [name for name in table.columns if name not in added]
        parsed, text = _parsed(formula, columns, functions, number_columns(table))
        parsed = with_contrasts(parsed, contrasts)
    _refuse_numbers(contrasts or {}, table)
    return parsed, text, table


def _refuse_numbers(contrasts: Mapping[str, str], table: pd.DataFrame) -> None:
    """Refuse to make a factor of a number only because it is named among those to be coded."""
    for name in contrasts:
        kind = table[name].dtype if name in table.columns and table.columns.is_unique else None
        if kind is not None and pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind):
            raise DataError(
                f"contrasts= names '{name}', which holds numbers.",
                "Factors are coded: columns of text or of categories, and factor(k).",
                f"Write C({name}, {contrasts[name]}) in the formula to make a factor of its values, or leave it out.",
            )


def _parsed(
    formula: str | Sequence[str] | Formula,
    columns: Iterable[Any],
    functions: Mapping[str, Any],
    numbers: Collection[str] | None,
) -> tuple[Formula, str | None]:
    """Return the parsed formula and its text; the columns are those that '.' means."""
    if isinstance(formula, Formula):
        return formula, None
    text = joined_text(formula)
    known = None if numbers is None else frozenset(numbers)
    return _read_text(text, tuple(map(str, columns)), tuple(functions), known), text


@lru_cache(maxsize=256)
def _read_text(
    text: str, columns: tuple[str, ...], functions: tuple[str, ...], numbers: frozenset[str] | None
) -> Formula:
    """Read a text once: the same formula is fitted to many tables."""
    return parse_formula(text, columns=columns, functions=functions, numbers=numbers)


def _read_scan(table: Scan, formula: Formula, text: str | None, weights: Any) -> pd.DataFrame:
    """Read the columns of a scan that a formula and the weights name, merged where that is asked for."""
    named = (weights,) if isinstance(weights, str) else ()
    response = merged_response(formula, weights) if table.merge else None
    return read_used(table, tuple(dict.fromkeys([*columns_of(formula), *named])), text, response=response)


def _check_formula(
    formula: Formula, table: pd.DataFrame, family: Family, weights: Any, functions: Mapping[str, Any]
) -> None:
    """Refuse a formula that the family, the merged rows of a table, or the weights cannot serve."""
    check_parameters(formula, family)
    if merged_columns(table):
        check_merged(formula, table, plain=is_linear(family), functions=tuple(functions))
    _check_weights(weights, family, formula)


def _design_of(
    formula: Formula,
    table: pd.DataFrame,
    text: str | None,
    family: Family,
    *,
    weights: Any,
    missing: Missing,
    functions: Mapping[str, Callable[..., Any]] | None,
    matrices: Mapping[str, LevelMatrix],
) -> Design:
    """Build the design that the family wants, and check its response."""
    specification = specification_of(family)
    single = bool(specification.single_trials)  # without weights the response may be 0 and 1
    design = build_design(
        formula,
        table,
        functions=functions,
        weights=weights,
        missing=missing,
        binary=specification.support == "binary" or (single and weights is None),
        ordinal=is_ordinal(family),
        proportion=specification.weights == "trials" and (single or weights is not None),
        per_level=specification.per_level,
        text=text,
        reserved=(family.parent, *family.parameters),
        matrices=matrices,
    )
    if is_unordered(family):
        check_parameters(formula, family_of_levels(family, design))
    _check_names(design)
    check_response(family, design.response, design.response_name, design.trials)
    check_limits(family, design)
    return design


def check_parameters(formula: Formula, family: Family) -> None:
    """Refuse a formula of what the family does not have, or of what cannot vary."""
    if is_unordered(family) and not is_of_levels(family):
        return  # its parameters are known when the levels are
    known = [name for name in family.parameters if parameter_link(family, name)]
    known = [family.parent, *known] if is_unordered(family) else known
    for name, part in formula.parameters:
        if name not in known:
            raise _unknown_parameter(name, known, family)
        if not (part.intercept or part.terms or part.group_terms):
            raise FormulaError(
                f"the formula of '{name}' has no terms.",
                f"A formula models '{name}' by an intercept, fixed terms or group terms.",
                f"Write {name} ~ 1, or leave it out.",
            )


def _unknown_parameter(name: str, known: list[str], family: Family) -> FormulaError:
    """Word the error of a formula for what is no parameter of the family."""
    allowed = f"Parameters of the {family.name} family that can have a formula: {', '.join(known) or 'none'}."
    problem = f"'{name}' is not a parameter of the {family.name} family."
    if name == family.parent and not is_unordered(family):
        problem = f"'{name} ~ ...' is a second formula for the mean."
        remedy = f"The first formula is that of '{name}': write its terms there."
    elif near := nearest(name, known):
        remedy = f"Nearest: {near}."
    else:
        remedy = f"Write {known[0]} ~ ..., or leave it out." if known else f"Leave '{name} ~ ...' out."
    return FormulaError(problem, allowed, remedy)


def _check_weights(weights: Any, family: Family, formula: Formula) -> None:
    if weights is None:
        return
    if has_known_errors(family):
        raise DataError(
            f"'{text_of(formula.response)}' says the SDs of the residuals, and weights= would divide their squares."
            if formula.response is not None
            else "weights= would divide known variances.",
            "Of a response with standard errors nothing is left for weights.",
            "Leave weights= out.",
        )
    meaning = specification_of(family).weights
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


def _check_names(design: Design) -> None:
    """Refuse a term that is the response."""
    clash = next(
        (term.name for predictor in design.predictors for term in predictor.fixed if term.name == design.response_name),
        "",
    )
    if clash:
        raise DataError(
            f"the term '{clash}' has the name of the response.",
            "A response is not explained by itself.",
            "Rename the column, or leave the term out.",
        )
