"""A seed goes in; formulas come out without end: valid ones, valid ones with a few edits, and garbage.

Built from strings alone, so that what is generated shares nothing with the parser that reads it.
"""

import random
from collections.abc import Callable, Iterator

COLUMNS = (
    "y",
    "x",
    "z",
    "f",
    "h",
    "g",
    "a",
    "b",
    "k",
    "n",
    "`my col`",
    "`a/b|c`",
    ".x_1",
    "größe",
    "`import os`",
    "`x`",
)
FUNCTIONS = ("log", "exp", "I", "sqrt", "scale", "poly", "ns", "bs", "factor", "relevel", "pmin", "center", "hill", "C")
OPERATORS = (" + ", "+", " - ", "*", " * ", "/", ":", " %in% ", " | ", " || ", "^", "**", " & ", " == ", "<", " ~ ", "")
STRINGS = ("'u'", '"w"', "'__import__'", '"a\\"b"', "'{x.__class__}'", "'%s'")
NUMBERS = ("0", "1", "2", "3", "0.5", "1e-3", "1e308", "1e309", "007", "-1", "2L", "1_000")
STRANGE = (
    "__import__('os').system('x')", "x.__class__", "lambda: x", "f'{x}'", "exec('x')", "y[0]", "x$y", "{x}", "@x",
    "base::log(x)", "function(x) x", "\\(x) x", "x := 2", "x -> y", "`", "'", '"', "#", "\\", "\0", "\u202e",
    "\u2066", "\ud800", "\u00a0", "\u3000", "\ufeff", "²", "ñ", "e\u0301", "\U0001d499", "\r", "\n", "\t", ";",
    "...", "..", "%", "%%", "%o%", "TRUE", "NULL", "NA", "Inf", "if", "s(x)", "mo(x)", "(1 | g", "|g)", "((((",
    "))))", "sigma ~ ", "; phi ~ x", "~",
)  # fmt: skip


def formulas(seed: int) -> Iterator[str]:
    """Yield formulas: five in ten by the grammar, three edited, two of pieces in any order."""
    rng = random.Random(seed)
    while True:
        kind = rng.random()
        text = _formula(rng) if kind < 0.8 else _pieces(rng)
        yield _edited(text, rng) if 0.5 <= kind < 0.8 else text


def _formula(rng: random.Random) -> str:
    """Write a formula by the grammar; its meaning may still be refused."""
    response = rng.choice(
        ("y", "y", "y", "log(n)", "cbind(k, n)", "I(y / n)", "`my col`", "-y", "y^2", _arithmetic(rng, 2))
    )
    text = f"{response} ~ {_side(rng)}"
    if rng.random() < 0.05:
        text += rng.choice(("; ", "\n")) + f"sigma ~ {_side(rng)}"
    return text


def _side(rng: random.Random) -> str:
    parts = [_part(rng) for _ in range(rng.randint(1, 4))]
    return rng.choice((" + ", "+", "\n  + ")).join(parts) + rng.choice(("", "", "", " - 1", " - x", " + 0"))


def _part(rng: random.Random) -> str:
    """Write one part of a sum: an intercept, a term, a group term, an offset, a dot."""
    kind = rng.random()
    if kind < 0.4:
        return _terms(rng, 2)
    if kind < 0.8:
        return _group_term(rng)
    return rng.choice(("1", "0", "-1", ".", f"offset({_arithmetic(rng, 1)})", _call(rng, 2)))


def _group_term(rng: random.Random) -> str:
    columns = rng.choice(
        ("1", "1", "x", "f", f"1 + {_terms(rng, 1)}", f"0 + {_terms(rng, 1)}", f"{_terms(rng, 2)} - 1")
    )
    names = rng.sample(COLUMNS, rng.randint(1, 3))
    group = rng.choice((":", "/", "/", " : ")).join(names) if rng.random() < 0.9 else _call(rng, 1)
    return f"({columns}{rng.choice(('|', ' | ', '||', ' || '))}{group})"


def _terms(rng: random.Random, depth: int) -> str:
    """Write terms: a column, a call, or an operator between terms."""
    if depth == 0 or rng.random() < 0.4:
        return rng.choice(COLUMNS) if rng.random() < 0.8 else _call(rng, 1)
    if rng.random() < 0.2:
        return f"({' + '.join(_terms(rng, depth - 1) for _ in range(rng.randint(1, 3)))})^{rng.randint(1, 4)}"
    joined = rng.choice((" + ", "*", ":", "/", " %in% ", " - ")).join((_terms(rng, depth - 1), _terms(rng, depth - 1)))
    return f"({joined})" if rng.random() < 0.5 else joined


def _call(rng: random.Random, depth: int) -> str:
    function = rng.choice(FUNCTIONS)
    extra = {
        "poly": (", 2", ", degree = 2", ", 3, raw = TRUE"), "ns": (", 3", ", df = 3", ", knots = c(2, 4)"),
        "bs": (", df = 4", ", knots = 2", ", 5, degree = 2"), "relevel": (", ref = 'u'", ", 'w'", ", ref = \"q\""),
        "scale": ("", ", scale = FALSE", ", TRUE, FALSE"), "pmin": (", 2", ", x", ", y + 1"), "hill": ("", ", 2"),
        "C": ("", ", sum", ", contr.helmert", ", 'poly'", ", Diff()", ", Treatment('w')", ", Treatment(0)", ", x"),
    }.get(function, ("",))  # fmt: skip
    return f"{function}({_arithmetic(rng, depth)}{rng.choice(extra)})"


def _arithmetic(rng: random.Random, depth: int) -> str:
    """Write arithmetic on columns."""
    if depth == 0 or rng.random() < 0.4:
        return rng.choice(COLUMNS) if rng.random() < 0.75 else rng.choice(NUMBERS + STRINGS + ("TRUE", "FALSE"))
    if rng.random() < 0.25:
        return rng.choice(("-{}", "+{}", "!{}", "({})", "log({})", "c({}, 2)")).format(_arithmetic(rng, depth - 1))
    operator = rng.choice((" + ", "-", " * ", "/", "^", "**", " %in% ", " == ", " != ", "<", ">=", " & ", " | "))
    return operator.join((_arithmetic(rng, depth - 1), _arithmetic(rng, depth - 1)))


def _edited(text: str, rng: random.Random) -> str:
    """Change a formula in one to three places: a slip of the keys, or something strange put in."""
    for _ in range(rng.randint(1, 3)):
        text = rng.choice(_EDITS)(text, rng)
    return text


def _place(text: str, rng: random.Random) -> tuple[int, int]:
    start = rng.randint(0, len(text))
    return start, min(len(text), start + rng.choice((1, 1, 1, 2, 5)))


def _cut(text: str, rng: random.Random) -> str:
    start, end = _place(text, rng)
    return text[:start] + text[end:]


def _repeat(text: str, rng: random.Random) -> str:
    start, end = _place(text, rng)
    return text[:end] + text[start:end] + text[end:]


def _move(text: str, rng: random.Random) -> str:
    start, end = _place(text, rng)
    rest = text[:start] + text[end:]
    target = rng.randint(0, len(rest))
    return rest[:target] + text[start:end] + rest[target:]


def _insert(text: str, rng: random.Random) -> str:
    start = rng.randint(0, len(text))
    return text[:start] + rng.choice(STRANGE + OPERATORS + COLUMNS + NUMBERS + STRINGS) + text[start:]


def _character(text: str, rng: random.Random) -> str:
    start, end = _place(text, rng)
    code = rng.choice((rng.randint(0, 0x7F), rng.randint(0, 0xFFFF), rng.randint(0, 0x10FFFF)))
    return text[:start] + chr(code) + text[end:]


_EDITS: tuple[Callable[[str, random.Random], str], ...] = (_cut, _cut, _repeat, _move, _insert, _insert, _character)


def _pieces(rng: random.Random) -> str:
    """Put pieces of formulas, strange ones too, in any order."""
    every = (STRANGE, OPERATORS, COLUMNS, NUMBERS, STRINGS, ("(", ")", "(1|g)", ",", "=", "log(", "poly(x, 2)"))
    parts = [rng.choice(rng.choice(every)) for _ in range(rng.randint(0, 8))]
    return rng.choice(("y ~ ", "y ~ ", "y~x+", "")) + rng.choice(("", " ")).join(parts)
