"""A formula goes in, with or without data; what it means comes out in words, as an equation and in other spellings.

With data the model's own description is added: groups with their levels, priors and findings. Nothing is fitted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from speclet_formula.design.tables import Missing
from speclet_formula.families import is_ordinal, resolve_family
from speclet_formula.formula.dialects import Dialect
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.spelling import equation, explain_formula, spell_family, spell_formula
from speclet_formula.formula.terms import Formula
from speclet_formula.model import Model, Priors, describe_model

DIALECTS: tuple[Dialect, ...] = ("lme4", "brms", "bambi")


@dataclass(frozen=True)
class Explanation:
    """What a formula means; prints itself."""

    words: str  # a sentence for each part of the formula
    equation: str
    spellings: Mapping[str, str]  # "lme4", "brms", "bambi" -> the formula as written there
    families: Mapping[str, str]  # the same -> the family's argument there, or where R has it
    model: str  # the model's description; empty without data

    def __repr__(self) -> str:
        width = max(map(len, self.spellings)) + 1
        spelled = "\n".join(
            f"{dialect:<{width}}{text}{self._family(dialect)}" for dialect, text in self.spellings.items()
        )
        return "\n\n".join(part for part in (self.words, self.equation, spelled, self.model) if part)

    def _family(self, dialect: str) -> str:
        """Return the family's argument after the formula; a gaussian one goes without saying."""
        text = self.families[dialect]
        return f", {text}" if text else ""

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def explain(
    formula: str | Formula,
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
    formula : str or Formula
        The model in lme4's grammar.
    data : table, optional
        Its data; then groups with their levels, priors and findings are shown as well.
    family, link, priors, weights, missing, functions
        As in `Model`.

    Returns
    -------
    Explanation
        With `words`, `equation`, `spellings` and `families` (lme4's, brms' and Bambi's) and `model`.

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
        parsed = formula if isinstance(formula, Formula) else parse_formula(formula, functions=tuple(functions or ()))
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
        words=explain_formula(parsed, ordinal=is_ordinal(chosen)),
        equation=equation(parsed, family=chosen.name, link=chosen.link),
        spellings={dialect: spell_formula(parsed, dialect) for dialect in DIALECTS},
        families={dialect: spell_family(chosen.name, chosen.link, dialect) for dialect in DIALECTS},
        model=described,
    )
