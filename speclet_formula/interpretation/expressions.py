"""What a hypothesis' text says of a fit's parameters: draws of its two sides and, of sums of parameters, their weights.

Nothing in a text is evaluated but numbers, names of parameters, + - * / and parentheses.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from speclet_formula.design.design import GroupBlock, Predictor, sd_name
from speclet_formula.errors import FormulaError, listed, nearest
from speclet_formula.formula.terms import bare_name
from speclet_formula.posterior.draws import Draws, Fitted, values_of
from speclet_formula.posterior.estimates import Array

type Operator = Literal["<", ">", "="]
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_COMPARISON = re.compile(r"<=|>=|==|<|>|=")
_GOES_ON = re.compile(r"[\w.\[|:]")  # a name that is followed by one of these is not over
_WORD = re.compile(r"[^\s+*/()<>=-][^\s+*/<>=-]*")
_SUMS, _PRODUCTS = ("+", "-"), ("*", "/")
MOST_CHARACTERS, MOST_DEPTH = 10_000, 100
"""Longest text of a hypothesis, and deepest nesting of its parentheses and signs."""
_ALLOWED = "A hypothesis compares two expressions of parameters and numbers, with + - * / and parentheses."
type Take = partial[Array]


@dataclass(frozen=True, eq=False)
class Expression:
    """What stands for a part of a hypothesis.

    Attributes
    ----------
    draws : ndarray of float, shape (draws,)
    weights : dict of (str, int) to float, or None
        By variable and element, what a sum of parameters has of each; None of what is no such sum.
    constant : float
        What is added to the sum.
    """

    draws: Array
    weights: Mapping[tuple[str, int], float] | None = field(default_factory=dict)
    constant: float = 0.0

    def plus(self, other: "Expression", sign: float = 1.0) -> "Expression":
        """Add another one, or take it off."""
        draws, weights = self.draws + sign * other.draws, None
        if self.weights is not None and other.weights is not None:
            keys = dict.fromkeys((*self.weights, *other.weights))
            weights = {key: self.weights.get(key, 0.0) + sign * other.weights.get(key, 0.0) for key in keys}
        return Expression(draws, weights, self.constant + sign * other.constant)

    def times(self, other: "Expression") -> "Expression":
        """Multiply by another one; the product is a sum of parameters where one of both is a number."""
        draws = self.draws * other.draws
        for number, rest in ((self, other), (other, self)):
            if number.weights == {} and rest.weights is not None:
                weights = {key: number.constant * weight for key, weight in rest.weights.items()}
                return Expression(draws, weights, number.constant * rest.constant)
        return Expression(draws, None)

    def over(self, other: "Expression") -> "Expression":
        """Divide by another one."""
        with np.errstate(divide="ignore", invalid="ignore"):
            draws = self.draws / other.draws
        if self.weights is None or other.weights != {} or not other.constant:
            return Expression(draws, None)
        weights = {key: weight / other.constant for key, weight in self.weights.items()}
        return Expression(draws, weights, self.constant / other.constant)


@dataclass(frozen=True)
class Token:
    """A piece of a hypothesis."""

    kind: Literal["value", "sign", "relation", "end"]
    text: str
    position: int
    value: Expression = field(default_factory=lambda: Expression(np.empty(0)))


@dataclass(frozen=True, eq=False)
class Compared:
    """A hypothesis that was read.

    Attributes
    ----------
    difference : Expression
        Left side less right side.
    relation : {"<", ">", "="}
    """

    difference: Expression
    relation: Operator


class _Reader:
    """Reads one side of a hypothesis from its tokens, by recursive descent."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text, self.tokens, self.place = text, tokens, 0

    def whole(self) -> Expression:
        """Read all tokens."""
        value = self.sum()
        if self.next.kind != "end":
            raise self.misplaced()
        return value

    @property
    def next(self) -> Token:
        """The token that was not yet read."""
        return self.tokens[self.place]

    def sum(self) -> Expression:
        """Read terms between + and -."""
        value = self.product()
        while self.next.kind == "sign" and self.next.text in _SUMS:
            sign = 1.0 if self.take().text == "+" else -1.0
            value = value.plus(self.product(), sign)
        return value

    def product(self) -> Expression:
        """Read factors between * and /."""
        value = self.factor()
        while self.next.kind == "sign" and self.next.text in _PRODUCTS:
            times = self.take().text == "*"
            value = value.times(self.factor()) if times else value.over(self.factor())
        return value

    def factor(self) -> Expression:
        """Read a value, one in parentheses, or one with a sign before it."""
        if self.next.kind == "value":
            return self.take().value
        if self.next.text in ("+", "-"):
            sign = 1.0 if self.take().text == "+" else -1.0
            value = self.factor()
            return value.times(Expression(np.full(len(value.draws), sign), {}, sign))
        if self.next.text != "(":
            raise self.misplaced()
        self.take()
        value = self.sum()
        if self.next.text != ")":
            raise self.misplaced()
        self.take()
        return value

    def take(self) -> Token:
        """Go past a token."""
        self.place += 1
        return self.tokens[self.place - 1]

    def misplaced(self) -> FormulaError:
        """Say which token does not belong where it stands."""
        token = self.next
        found = f"'{token.text}' does not belong here." if token.text else "something is missing here."
        return FormulaError(
            found, _ALLOWED, "Write for example 'x - 0.5 < 0' or '(x + z) / 2 > sigma'.", self.text, token.position
        )


@dataclass(frozen=True, eq=False)
class Nameable:
    """What can be named.

    Attributes
    ----------
    scalars : mapping of str to callable
        By name, what returns the draws of all chains, shape (draws,): fixed effects, thresholds, the family's
        parameters and the standard deviations of group effects.
    effects : mapping of str to (GroupBlock, callable)
        By slot, "1|gene": the block, and what returns the draws of all levels, shape (draws, levels).
    """

    scalars: Mapping[str, Take]
    effects: Mapping[str, tuple[GroupBlock, Take]]


def read_hypothesis(text: str, parameters: Nameable, n_draws: int) -> Compared:
    """Read a hypothesis and compute its two sides, draw by draw.

    Parameters
    ----------
    text : str
    parameters : Nameable
    n_draws : int
        Draws of all chains.

    Raises
    ------
    FormulaError
        The text is no hypothesis, or names what the model lacks.
    """
    text = _without_quotes(text, parameters)
    if len(text) > MOST_CHARACTERS:
        problem = f"the hypothesis has {len(text):,} characters."
        raise FormulaError(problem, f"A hypothesis has at most {MOST_CHARACTERS:,}.", "Give several hypotheses.")
    tokens = list(_tokens(text, parameters, n_draws))
    _check_depth(text, tokens)
    places = [place for place, token in enumerate(tokens) if token.kind == "relation"]
    if len(places) != 1:
        raise _not_one_comparison(text, [tokens[place] for place in places])
    middle = places[0]
    end = Token("end", "", tokens[middle].position)
    left = _Reader(text, [*tokens[:middle], end]).whole()
    right = _Reader(text, tokens[middle + 1 :]).whole()
    relation: Operator = "<" if "<" in tokens[middle].text else ">" if ">" in tokens[middle].text else "="
    return Compared(left.plus(right, -1.0), relation)


def _check_depth(text: str, tokens: list[Token]) -> None:
    """Refuse deep nesting before it is read by recursion."""
    depth = signs = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        signs = signs + 1 if token.text in _SUMS else 0
        if depth + signs > MOST_DEPTH:
            problem = f"the hypothesis is nested more than {MOST_DEPTH} deep here."
            raise FormulaError(problem, _ALLOWED, "Take parentheses and signs out.", text, token.position)


def _without_quotes(text: str, parameters: Nameable) -> str:
    """Take the back-quotes off columns' names, unless a parameter or a level has such signs of its own."""
    names = [*parameters.scalars, *(level for block, _ in parameters.effects.values() for level in block.levels)]
    return text if any("`" in name for name in names) else bare_name(text)


def _tokens(text: str, parameters: Nameable, n_draws: int) -> Iterator[Token]:
    """Cut the text into names, numbers and signs."""
    names = sorted(parameters.scalars, key=len, reverse=True)
    slots = sorted(parameters.effects, key=len, reverse=True)
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        token = (
            _named(text, position, names, parameters)
            or _level(text, position, slots, parameters)
            or _plain(text, position, n_draws)
        )
        if token is None:
            raise _unknown(text, position, parameters)
        yield token
        position += len(token.text)
    yield Token("end", "", len(text))


def _named(text: str, position: int, names: list[str], parameters: Nameable) -> Token | None:
    """Read the longest parameter that stands here whole."""
    for name in names:
        end = position + len(name)
        if text.startswith(name, position) and not _GOES_ON.match(text, end):
            take = parameters.scalars[name]
            return Token("value", name, position, Expression(take(), {(take.args[1], take.args[2]): 1.0}))
    return None


def _level(text: str, position: int, slots: list[str], parameters: Nameable) -> Token | None:
    """Read a level's effect, "1|gene[BRAF]"; the level may hold brackets of its own."""
    for slot in slots:
        start = position + len(slot) + 1
        if not text.startswith(f"{slot}[", position):
            continue
        block, take = parameters.effects[slot]
        ends = [found.start() for found in re.finditer(r"\]", text[start:])]
        codes = {label: code for code, label in enumerate(block.levels)}
        label = next((text[start : start + end] for end in ends if text[start : start + end] in codes), None)
        if label is None:
            raise _no_level(text, start, text[start : start + ends[0]] if ends else text[start:], slot, block.levels)
        effect = Expression(take()[:, codes[label]], {(take.args[1], codes[label]): 1.0})
        return Token("value", f"{slot}[{label}]", position, effect)
    return None


def _plain(text: str, position: int, n_draws: int) -> Token | None:
    """Read a number, a sign or a comparison."""
    number = _NUMBER.match(text, position)
    if number and np.isfinite(float(number[0])) and not _GOES_ON.match(text, number.end()):
        constant = float(number[0])
        return Token("value", number[0], position, Expression(np.full(n_draws, constant), {}, constant))
    comparison = _COMPARISON.match(text, position)
    if comparison:
        return Token("relation", comparison[0], position)
    return Token("sign", text[position], position) if text[position] in "+-*/()" else None


def _not_one_comparison(text: str, found: list[Token]) -> FormulaError:
    problem = f"'{text}' has {len(found)} comparisons." if found else f"'{text}' compares nothing."
    remedy = "Give each as a hypothesis of its own." if found else f"Write '{text.strip() or 'Intercept'} > 0'."
    position = found[1].position if found else None
    return FormulaError(problem, "A hypothesis has one of <, > and =.", remedy, text if found else None, position)


def _unknown(text: str, position: int, parameters: Nameable) -> FormulaError:
    found = _WORD.match(text, position)
    word = found[0] if found else text[position]
    word = word.rstrip(")") if word.count("(") < word.count(")") else word
    slots = [f"{slot}[{block.levels[0]}]" for slot, (block, _) in parameters.effects.items()]
    near = word if word in parameters.effects else nearest(word, [*parameters.scalars, *parameters.effects])
    if near is not None and near in parameters.effects:
        remedy = f"Name a level: '{near}[{parameters.effects[near][0].levels[0]}]'."
    else:
        remedy = f"Nearest: '{near}'." if near else "Name one of these."
    return FormulaError(
        f"'{word}' is no parameter of the model.",
        f"Parameters: {listed([*parameters.scalars, *slots], 20)}.",
        remedy,
        text,
        position,
    )


def _no_level(text: str, position: int, label: str, slot: str, levels: tuple[str, ...]) -> FormulaError:
    near = nearest(label, levels)
    return FormulaError(
        f"'{slot}' has no level '{label}'.",
        f"Levels: {listed(levels)}.",
        f"Nearest: '{slot}[{near}]'." if near else "Name one of these.",
        text,
        position,
    )


def parameters_of(fit: Fitted) -> Nameable:
    """List what can be named in a fit; nothing is copied before it is asked for."""
    draws, design = values_of(fit), fit.model.design
    scalars: dict[str, Take] = {
        label: partial(_element, draws, "threshold", place) for place, label in enumerate(design.thresholds)
    }
    effects: dict[str, tuple[GroupBlock, Take]] = {}
    for predictor in design.predictors:
        scalars |= _coefficients(draws, predictor)
        for block in predictor.smooths:
            effects |= {slot: (block, partial(_whole, draws, slot)) for slot in block.slots}
            scalars[block.sds[0]] = partial(_element, draws, block.sds[0], 0)
        for block in predictor.factors:
            for column, slot in zip(block.columns, block.slots, strict=True):
                name = f"{block.prefix}{column}|{block.group}"
                effects[name] = block, partial(_whole, draws, slot)
                scalars[sd_name(name)] = partial(_element, draws, sd_name(slot), 0)
    varying = {"threshold", *fit.model.design.varying}
    own = {name: partial(_element, draws, name, 0) for name in fit.model.family.parameters if name not in varying}
    # A prior may have no standard deviation to draw.
    known = {name: take for name, take in scalars.items() if take.args[1] in draws}
    return Nameable(known | own, effects)


def _coefficients(draws: Draws, predictor: Predictor) -> dict[str, Take]:
    """Return fixed effects by label."""
    return {
        label: partial(_element, draws, term.variable, place)
        for term in predictor.fixed
        for place, label in enumerate(term.columns)
    }


def _element(draws: Draws, variable: str, place: int) -> Array:
    return draws.variable(variable)[:, place]


def _whole(draws: Draws, variable: str) -> Array:
    return draws.variable(variable)
