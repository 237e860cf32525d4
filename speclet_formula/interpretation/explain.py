"""What a formula means, with or without data: in words, as an equation and in other spellings.

With data come groups with their levels, priors, findings, and what a fit would cost. Nothing is fitted.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from speclet_formula.common.arguments import answers_r, check_functions
from speclet_formula.common.table import Worded, line_width, preformatted
from speclet_formula.design.design import FixedTerm
from speclet_formula.design.tables import Missing
from speclet_formula.errors import FormulaError
from speclet_formula.families import (
    DEFAULT_FAMILY,
    Family,
    family_of_response,
    is_ordinal,
    is_unordered,
    resolve_family,
)
from speclet_formula.formula.contrasts import with_contrasts
from speclet_formula.formula.dialects import Dialect, Levels, spell_formula
from speclet_formula.formula.parse import joined_text, parse_formula
from speclet_formula.formula.terms import Formula, text_of
from speclet_formula.interpretation.equations import equation as write_equation, explain_formula
from speclet_formula.interpretation.spelling import Spelled, named_formula, spell_call
from speclet_formula.model import Model, Priors, check_parameters, describe_model
from speclet_formula.model.findings import listed

DIALECTS: tuple[Dialect, ...] = ("lme4", "brms", "bambi")


@dataclass(frozen=True)
class Explanation(Worded):
    """What a formula means; prints itself."""

    words: str  # a sentence for each part of the formula
    equation: str
    spellings: Mapping[str, str]  # "lme4", "brms", "bambi" -> the formula as written there
    code: Mapping[str, str]  # the same names -> code that fits the model there
    model: str  # the model's description; empty without data
    costs: str  # parameters, and time and memory of each engine; empty without data

    def __repr__(self) -> str:
        parts = {
            "In words": _wrapped(self.words),
            "As an equation": self.equation,
            "In these data": _wrapped(self.model),
            "What a fit costs": _wrapped(self.costs),
            "Elsewhere": "\n".join(f"{dialect}:\n{_indented(code)}" for dialect, code in self.code.items()),
        }
        return "\n\n".join(f"{title}\n{_indented(text)}" for title, text in parts.items() if text)


class Equation(str):
    """The equations of a model: text that prints its lines as such, and LaTeX that a notebook sets."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str | None:
        return None if self.startswith("\\begin") else preformatted(self)

    def _repr_latex_(self) -> str | None:
        return f"$$\n{self}\n$$" if self.startswith("\\begin") else None


@answers_r(error=FormulaError)
def explain(
    formula: str | Sequence[str] | Formula,
    data: Any = None,
    *,
    family: str = "gaussian",
    link: str | None = None,
    priors: Priors = None,
    weights: Any = None,
    missing: Missing = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    contrasts: Mapping[str, str] | None = None,
    matrices: Mapping[str, Any] | None = None,
) -> Explanation:
    """Say what a formula means, and what is known of a fit, before anything is fitted.

    Parameters
    ----------
    formula : str, sequence of str, or Formula
        The model in lme4's grammar; formulas of the family's parameters may follow.
    data : table, optional
        Its data; then levels and their order, how groups lie to each other, priors, findings, numbers of parameters and
        each engine's time and memory are shown as well.
    family, link, priors, weights, missing, functions, contrasts, matrices
        As in `Model`.

    Returns
    -------
    Explanation
        With `words`, `equation`, `spellings` (the formula as lme4, brms and Bambi write it), `code` (the call that fits
        it there), `model` and `costs` (texts; empty without data).

    Raises
    ------
    FormulaError, DataError, PriorError
        As `Model`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> print(sf.explain("log_fc ~ (1 | gene/sgRNA)").spellings["brms"])
    log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA)
    """
    chosen = resolve_family(family, link)
    settings = {"family": family, "link": link, "priors": priors, "weights": weights}
    if data is None:
        _check_use(priors, missing, matrices)
        check_functions(functions)
        text = formula if isinstance(formula, Formula) else joined_text(formula)
        parsed = text if isinstance(text, Formula) else parse_formula(text, functions=tuple(functions or ()))
        parsed = with_contrasts(parsed, contrasts)
        chosen = family_of_response(chosen, parsed.response)
        check_parameters(parsed, chosen)
        words = explain_formula(parsed, ordinal=is_ordinal(chosen), per_level=is_unordered(chosen))
        described, cost, levels = "", "", None
    else:
        # Here, since it brings the engines along: a formula alone is explained at once.
        from speclet_formula.inference.costs import costs

        model = Model(
            formula, data, missing=missing, functions=functions, contrasts=contrasts, matrices=matrices, **settings
        )
        parsed, words, described, cost = model.formula, words_of(model), describe_model(model), repr(costs(model))
        levels = _levels(model)
    return Explanation(
        words=words,
        equation=write_equation(parsed, family=chosen.name, link=chosen.link),
        spellings={
            dialect: spell_formula(named_formula(parsed, dialect, chosen.name), dialect, levels=levels)
            for dialect in DIALECTS
        },
        code={dialect: _code(parsed, dialect, chosen, weights, levels) for dialect in DIALECTS},
        model=described,
        costs=cost,
    )


def _check_use(priors: Priors, missing: Missing, matrices: Any) -> None:
    """Refuse arguments that only data have a use for."""
    asked = (("priors", priors is not None), ("missing", missing != "error"), ("matrices", matrices is not None))
    unused = [f"{name}=" for name, given in asked if given]
    if unused:
        raise FormulaError(
            f"{', '.join(unused)} would change nothing without data.",
            "Priors and missing values are told of where the data are given too.",
            "Give the table as the second argument, or leave it out.",
        )


def spelling(
    formula: str | Sequence[str] | Formula | Model,
    dialect: Spelled,
    *,
    family: str = "gaussian",
    link: str | None = None,
    weights: str | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> str:
    """Write the code that fits a model in lme4, mgcv, brms or Bambi.

    Parameters
    ----------
    formula : str, sequence of str, Formula or Model
        The model in lme4's grammar; formulas of the family's parameters may follow. A Model brings the rest along.
    dialect : {"lme4", "brms", "bambi", "mgcv"}
        Whose code to write.
    family, link
        As in `Model`.
    weights : str, optional
        The column of weights; the name "weights" for those of a Model that are an array.
    functions : dict of str to callable, optional
        Functions of your own that the formula calls.

    Returns
    -------
    str
        Code that runs there on a table of the name `data`, packages loaded: R for lme4, brms and mgcv, Python for
        Bambi. What the other package lacks stands in a comment. Priors are each package's own. Of smooths "lme4" is
        gamm4's or mgcv's `gam`; "mgcv" is `gam`, with group terms as smooths of bs = "re".

    Raises
    ------
    FormulaError, DataError
        The formula cannot be read, there is no such dialect or family, or a Model is given with arguments of its own.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> print(sf.spelling("log_fc ~ 1 + (1 | gene)", "lme4"))
    library(lme4)
    lmer(log_fc ~ 1 + (1 | gene), data = data)
    """
    given = {"family": None if family == DEFAULT_FAMILY else family, "link": link, "weights": weights}
    parsed, chosen, column = _read(formula, {**given, "functions": functions})
    return _code(parsed, dialect, chosen, column, _levels(formula) if isinstance(formula, Model) else None)


def equation(
    formula: str | Sequence[str] | Formula | Model,
    *,
    family: str = "gaussian",
    link: str | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    latex: bool = False,
) -> Equation:
    """Write a model as the equations of a hierarchical model.

    Parameters
    ----------
    formula, family, link, functions
        As for `spelling`.
    latex : bool
        LaTeX, an ``aligned`` environment for amsmath without dollar signs, instead of unicode.

    Returns
    -------
    Equation
        A str, one equation per line: the response, the linear predictors, then each group's effects, whose SDs are τ;
        R holds the correlations.

    Raises
    ------
    FormulaError, DataError
        As `spelling`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> print(sf.equation("log_fc ~ 1 + (1 | gene)"))
    log_fcᵢ ~ Normal(μᵢ, σ)
    μᵢ = β₀ + u₀[geneᵢ]
    u₀[gene] ~ Normal(0, τ₀[gene])
    """
    given = {"family": None if family == DEFAULT_FAMILY else family, "link": link, "functions": functions}
    parsed, chosen, _ = _read(formula, given)
    return Equation(write_equation(parsed, family=chosen.name, link=chosen.link, latex=latex))


def _read(formula: str | Sequence[str] | Formula | Model, given: Mapping[str, Any]) -> tuple[Formula, Family, Any]:
    """Return formula, family and weights, from a Model or from arguments; those that are None were not given."""
    if isinstance(formula, Model):
        unused = [name for name, value in given.items() if value is not None]
        if unused:
            raise FormulaError(
                f"{', '.join(f'{name}=' for name in unused)} beside a Model would change nothing.",
                "A Model has its family, link, weights and functions.",
                "Leave them out, or give the formula's text.",
            )
        return formula.formula, formula.family, formula.weights
    check_functions(given["functions"])
    chosen = resolve_family(given["family"] or DEFAULT_FAMILY, given["link"])
    text = formula if isinstance(formula, Formula) else joined_text(formula)
    parsed = text if isinstance(text, Formula) else parse_formula(text, functions=tuple(given["functions"] or ()))
    check_parameters(parsed, chosen)
    return parsed, chosen, given.get("weights")


def _code(formula: Formula, dialect: Spelled, family: Family, weights: Any, levels: Levels | None) -> str:
    """Write the call; weights that are no column's name get one."""
    column = weights if isinstance(weights, str) else None if weights is None else "weights"
    return spell_call(formula, dialect, family=family.name, link=family.link, weights=column, levels=levels)


def _levels(model: Model) -> Levels:
    """Return the levels of each column of a model's data; none for a number."""
    frame = model.design.frame
    return {
        str(name): tuple(map(str, column.cat.categories)) if isinstance(column.dtype, pd.CategoricalDtype) else ()
        for name, column in frame.items()
    }


def words_of(model: Model) -> str:
    """Explain a formula with what the data say: numbers or levels. The model's description says how groups lie."""
    terms = {text_of(term): words for term in model.formula.terms for words in _term_words(text_of(term), model)}
    family = model.family
    return explain_formula(
        model.formula, terms=terms, relations=(), ordinal=is_ordinal(family), per_level=is_unordered(family)
    )


def _term_words(text: str, model: Model) -> Iterator[str]:
    """Describe a term that is a single column."""
    plain = text.strip("`")
    if plain not in model.design.frame.columns:
        return
    column = model.design.frame[plain]
    term = next((term for term in model.design.mean.fixed if term.name == plain), None)
    if term is not None:
        yield (
            _factor_words(column, term)
            if isinstance(column.dtype, pd.CategoricalDtype)
            else f"its slope, the change by one unit; from {float(column.min()):g} to {float(column.max()):g} in these "
            "data."
        )


def _factor_words(column: pd.Series, term: FixedTerm) -> str:
    levels = [str(level) for level in column.cat.categories]
    if len(term.columns) == len(levels):
        return f"a mean for each of its {len(levels):,} levels: {listed(levels, quoted=False)}."
    others = listed(levels[1:], quoted=False)
    return f"a factor of {len(levels):,} levels: the difference of {others} from {levels[0]}, the first."


def _wrapped(text: str) -> str:
    """Wrap the lines that are sentences, not equations and code; a line that starts with a blank is of a table."""
    width = line_width()
    lines = (
        [line]
        if line.startswith(" ")
        else textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or [""]
        for line in text.split("\n")
    )
    return "\n".join(part for parts in lines for part in parts)


def _indented(text: str) -> str:
    return textwrap.indent(text, "  ")
