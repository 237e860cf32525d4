"""The names that Bambi is told for a model's columns, and the texts made of them.

formulae, which reads Bambi's formulas, parses names: a column's may be anything. So it is told a column's own name only
where that is a plain word that cannot mean something else, and v1, v2, ... for all others; what is computed is call1,
call2, ... of such columns. No other text of a user stands in a formula that Bambi reads.
"""

import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from bambi.transformations import transformations_namespace
from formulae.categorical import ENCODINGS, CategoricalBox, ContrastMatrix, Encoding, Treatment
from formulae.transforms import TRANSFORMS

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.coding import coding_labels, coding_matrix
from speclet_formula.design.design import CodedFactor, FixedTerm, Predictor
from speclet_formula.design.evaluation import Scope
from speclet_formula.design.fixed import factor_values
from speclet_formula.families import FAMILIES
from speclet_formula.formula.terms import Call, Name, coding_of, columns_of

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_OURS = re.compile(r"(?:v|call)[0-9]+|observed_.*", re.ASCII)
# What Python, formulae, Bambi or PyMC read as something else than a column.
_TAKEN = frozenset(
    {*keyword.kwlist, *keyword.softkwlist, *TRANSFORMS, *ENCODINGS, *transformations_namespace}
    | {"Intercept", "common", "group_specific", "hsgp", "np", "chain", "draw", "mu", "p", "sigma"}
    | {name for family in FAMILIES.values() for name in family.parameters}
)
_FLAT = 50  # terms that are written one after the other; more are bracketed, so that reading them nests less
type Key = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class BambiNames:
    """What Bambi is told."""

    names: dict[Key, str]
    calls: dict[Call, str]
    functions: dict[str, Callable[..., Any]]  # what call1, call2, ... compute

    def column(self, name: str) -> str:
        """Return the name of a column of the design's frame."""
        return self.names["column", name]

    def group(self, block: GroupBlock) -> str:
        """Return the name of a block's grouping factor."""
        return self.names["group", block.group]

    def effect(self, block: GroupBlock, column: str) -> str:
        """Return the name of one of a block's columns of values."""
        return self.names["effect", block.prefix, block.label, column]

    def offset(self, predictor: Predictor) -> str:
        """Return the name of a linear predictor's offset."""
        return self.names["offset", predictor.name]

    @property
    def response(self) -> str:
        """Return the name of a response that is a column."""
        return self.names[("response",)]

    def term(self, coded: Sequence[CodedFactor]) -> str:
        """Spell a fixed term; its single columns of numbers in one order, since to formulae x:z is no part of z:x:f."""
        told = [
            self.column(one.factor.name) if isinstance(one.factor, Name) else self._call(one.factor) for one in coded
        ]
        single = [place for place, one in enumerate(coded) if one.levels is None and one.width == 1]
        for place, name in zip(single, sorted(told[place] for place in single), strict=True):
            told[place] = name
        return ":".join(told)

    def _call(self, call: Call) -> str:
        return f"{self.calls[call]}({', '.join(map(self.column, columns_of(call)))})"

    def fixed(self, predictor: Predictor) -> dict[str, FixedTerm]:
        """Return the fixed terms of a linear predictor, the intercept too, by the names that formulae gives them."""
        part = predictor.recipe.fixed
        own = {"Intercept": part.terms[0]} if part.intercept else {}
        rest = part.terms[len(part.terms) - len(part.coded) :]
        return own | {self.term(coded): record for coded, record in zip(part.coded, rest, strict=True)}


def bambi_names(design: Design) -> BambiNames:
    """Choose the names for a design; the same for every design that was made by the same recipe."""
    calls = dict.fromkeys(
        one.factor
        for predictor in design.predictors
        for term in predictor.recipe.fixed.coded
        for one in term
        if isinstance(one.factor, Call)
    )
    wanted: dict[Key, str] = {("column", str(name)): str(name) for name in design.frame.columns}
    for predictor in design.predictors:
        wanted["offset", predictor.name] = ""
        for block in predictor.groups:
            wanted["group", block.group] = block.group
            wanted |= {("effect", block.prefix, block.label, column): column for column in block.columns}
    wanted["response",] = design.response_name
    names = {
        key: name if is_plain(name) else f"v{number}" for number, (key, name) in enumerate(wanted.items(), start=1)
    }
    called = {call: f"call{number}" for number, call in enumerate(calls, start=1)}
    return BambiNames(names, called, {name: _as_function(call, design) for call, name in called.items()})


def is_plain(name: str) -> bool:
    """Tell whether a column's name is a word that can only be a column's."""
    return bool(_WORD.fullmatch(name)) and not _OURS.fullmatch(name) and name not in _TAKEN


def group_term_name(names: BambiNames, block: GroupBlock, column: str) -> str:
    """Return the name that formulae gives to one column of a block."""
    return f"{'1' if column == '1' else names.effect(block, column)}|{names.group(block)}"


def summed(parts: Sequence[str]) -> str:
    """Write a sum of terms, with brackets around halves of a long one, since formulae reads sums by recursion."""
    if len(parts) <= _FLAT:
        return " + ".join(parts)
    half = len(parts) // 2
    return f"({summed(parts[:half])}) + ({summed(parts[half:])})"


def _as_function(call: Call, design: Design) -> Callable[..., Any]:
    """Return a function of the call's columns that computes it for any rows, with what the recipe has learnt.

    Labels with a coding come as formulae's box of both, so that its own rule says where they take all their levels.
    """
    coding = coding_of(call)
    columns, recipe = columns_of(call), design.mean.recipe

    def compute(*values: Any) -> Any:
        index = values[0].index if isinstance(values[0], pd.Series) else None
        frame = pd.DataFrame(dict(zip(columns, values, strict=True)), index=index)
        found = factor_values(call, Scope(frame, recipe.memory, recipe.functions))
        if not isinstance(found, pd.Categorical):
            return found
        labels = pd.Series(found)
        return labels if coding is None else CategoricalBox(labels, _OwnEncoding(coding), list(found.categories))

    return compute


class _OwnEncoding(Encoding):  # type: ignore[misc]
    """A coding of this package as formulae takes one."""

    def __init__(self, coding: str) -> None:
        self.coding = coding

    def code_with_intercept(self, levels: list[str]) -> ContrastMatrix:
        """Return the columns of a factor that takes all its levels."""
        return Treatment().code_with_intercept(levels)

    def code_without_intercept(self, levels: list[str]) -> ContrastMatrix:
        """Return those that stand beside an intercept, or beside the factor's margin."""
        return ContrastMatrix(coding_matrix(self.coding, len(levels)), coding_labels(self.coding, levels))
