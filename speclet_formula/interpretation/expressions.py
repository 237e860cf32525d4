"""The text of a hypothesis and the parameters that it may name go in; the draws of both its sides come out.

Nothing is evaluated but numbers, names, + - * / and parentheses. Summarising is left to `hypotheses`.
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from speclet_formula.errors import FormulaError, listed, nearest
from speclet_formula.interpretation.parameters import Nameable
from speclet_formula.posterior.intervals import Array

type Relation = Literal["<", ">", "="]

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_COMPARISON = re.compile(r"<=|>=|==|<|>|=")
_GOES_ON = re.compile(r"[\w.\[|:]")  # a name that is followed by one of these is not over
_WORD = re.compile(r"[^\s+*/()<>=-][^\s+*/<>=-]*")
_SUMS: dict[str, Callable[[Array, Array], Array]] = {"+": operator.add, "-": operator.sub}
_PRODUCTS: dict[str, Callable[[Array, Array], Array]] = {"*": operator.mul, "/": operator.truediv}
MOST_CHARACTERS, MOST_DEPTH = 10_000, 100
"""Longest text of a hypothesis, and deepest nesting of its parentheses and signs."""
_ALLOWED = "A hypothesis compares two expressions of parameters and numbers, with + - * / and parentheses."


@dataclass(frozen=True)
class Token:
    """A piece of a hypothesis."""

    kind: Literal["value", "sign", "relation", "end"]
    text: str
    position: int
    value: Array = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False)
class Compared:
    """A hypothesis that was read.

    Attributes
    ----------
    difference : ndarray of float, shape (draws,)
        Left side less right side.
    relation : {"<", ">", "="}
    """

    difference: Array
    relation: Relation


def read_hypothesis(text: str, parameters: Nameable, n_draws: int) -> Compared:
    """Read a hypothesis and compute its two sides, draw by draw.

    Parameters
    ----------
    text : str
    parameters : Nameable
    n_draws : int
        Draws of all chains.

    Returns
    -------
    Compared

    Raises
    ------
    FormulaError
        The text is no hypothesis, or names what the model lacks.
    """
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
    relation: Relation = "<" if "<" in tokens[middle].text else ">" if ">" in tokens[middle].text else "="
    return Compared(left - right, relation)


def _check_depth(text: str, tokens: list[Token]) -> None:
    """Refuse deep nesting before it is read by recursion."""
    depth = signs = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        signs = signs + 1 if token.text in _SUMS else 0
        if depth + signs > MOST_DEPTH:
            problem = f"the hypothesis is nested more than {MOST_DEPTH} deep here."
            raise FormulaError(problem, _ALLOWED, "Take parentheses and signs out.", text, token.position)


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
            return Token("value", name, position, parameters.scalars[name]())
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
        return Token("value", f"{slot}[{label}]", position, take()[:, codes[label]])
    return None


def _plain(text: str, position: int, n_draws: int) -> Token | None:
    """Read a number, a sign or a comparison."""
    number = _NUMBER.match(text, position)
    if number and np.isfinite(float(number[0])) and not _GOES_ON.match(text, number.end()):
        return Token("value", number[0], position, np.full(n_draws, float(number[0])))
    comparison = _COMPARISON.match(text, position)
    if comparison:
        return Token("relation", comparison[0], position)
    return Token("sign", text[position], position) if text[position] in "+-*/()" else None


class _Reader:
    """Reads one side of a hypothesis from its tokens, by recursive descent."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text, self.tokens, self.place = text, tokens, 0

    def whole(self) -> Array:
        """Read all tokens."""
        value = self.sum()
        if self.next.kind != "end":
            raise self.misplaced()
        return value

    @property
    def next(self) -> Token:
        """The token that was not yet read."""
        return self.tokens[self.place]

    def sum(self) -> Array:
        """Read terms between + and -."""
        value = self.product()
        while self.next.kind == "sign" and self.next.text in _SUMS:
            apply = _SUMS[self.take().text]
            value = apply(value, self.product())
        return value

    def product(self) -> Array:
        """Read factors between * and /."""
        value = self.factor()
        while self.next.kind == "sign" and self.next.text in _PRODUCTS:
            apply = _PRODUCTS[self.take().text]
            with np.errstate(divide="ignore", invalid="ignore"):
                value = apply(value, self.factor())
        return value

    def factor(self) -> Array:
        """Read a value, one in parentheses, or one with a sign before it."""
        if self.next.kind == "value":
            return self.take().value
        if self.next.text in ("+", "-"):
            return self.factor() if self.take().text == "+" else -self.factor()
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
