"""A formula goes in, with or without data; what it means comes out in words, as an equation and in other spellings.

With data the model's own description is added: groups with their levels, priors and findings. Nothing is fitted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from speclet_formula.design.tables import Missing
from speclet_formula.families import resolve_family
from speclet_formula.formula.dialects import Dialect
from speclet_formula.formula.parse import joined_text, parse_formula
from speclet_formula.formula.spelling import equation, explain_formula, spell_formula
from speclet_formula.formula.terms import Formula
from speclet_formula.model import Model, Priors, check_parameters, describe_model

DIALECTS: tuple[Dialect, ...] = ("lme4", "brms", "bambi")


@dataclass(frozen=True)
class Explanation:
    """What a formula means; prints itself."""

    words: str  # a sentence for each part of the formula
    equation: str
    spellings: Mapping[str, str]  # "lme4", "brms", "bambi" -> the formula as written there
    model: str  # the model's description; empty without data

    def __repr__(self) -> str:
        width = max(map(len, self.spellings)) + 1
        indent = "\n" + " " * width
        spelled = "\n".join(
            f"{dialect:<{width}}{text.replace('\n', indent)}" for dialect, text in self.spellings.items()
        )
        return "\n\n".join(part for part in (self.words, self.equation, spelled, self.model) if part)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


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
) -> Explanation:
    """Say what a formula means before anything is fitted.

    Parameters
    ----------
    formula : str, sequence of str, or Formula
        The model in lme4's grammar; formulas of the family's parameters may follow.
    data : table, optional
        Its data; then groups with their levels, priors and findings are shown as well.
    family, link, priors, weights, missing, functions
        As in `Model`.

    Returns
    -------
    Explanation
        With `words`, `equation`, `spellings` (lme4's, brms' and Bambi's) and `model`.

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
    if data is None:
        text = formula if isinstance(formula, Formula) else joined_text(formula)
        parsed = text if isinstance(text, Formula) else parse_formula(text, functions=tuple(functions or ()))
        check_parameters(parsed, chosen)
        described = ""
    else:
        model = Model(
            formula,
            data,
            family=family,
            link=link,
            priors=priors,
            weights=weights,
            missing=missing,
            functions=functions,
        )
        parsed, described = model.formula, describe_model(model)
    return Explanation(
        words=explain_formula(parsed),
        equation=equation(parsed, family=chosen.name, link=chosen.link),
        spellings={dialect: spell_formula(parsed, dialect) for dialect in DIALECTS},
        model=described,
    )
