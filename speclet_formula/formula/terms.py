"""The records that a formula is made of go in; their canonical R text and the columns that they use come out.

`parse` makes the records from text, with the algebra of terms that stands at the end here (`crossed`, `nested`...).
What the columns hold is left to `design`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from speclet_formula.common.structures import Structure

FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "C": "a factor with another coding, C(f, sum)",
        "I": "the arithmetic inside, as it is",
        "abs": "absolute value",
        "bs": "B-spline basis",
        "c": "several values as one, for arguments such as knots = c(1, 2)",
        "cbind": "successes and failures of a binomial response, or counts of levels",
        "ceiling": "rounded up",
        "censored": "a response that is only a bound in some rows",
        "center": "minus the mean",
        "cos": "cosine",
        "dummy": "1 in the rows of a level, else 0",
        "exp": "exponential",
        "expm1": "exp(x) - 1",
        "factor": "categories instead of numbers",
        "floor": "rounded down",
        "gp": "a Gaussian process: a curve with an SD and a length-scale",
        "hsgp": "the same as gp, as Bambi calls it",
        "interaction": "one factor of all observed combinations",
        "log": "natural logarithm",
        "log10": "logarithm to base 10",
        "log1p": "log(1 + x)",
        "log2": "logarithm to base 2",
        "mo": "a monotonic effect, whose steps from level to level all go one way",
        "ns": "natural cubic spline basis",
        "offset": "a term whose coefficient is 1",
        "pmax": "the larger of two, row by row",
        "pmin": "the smaller of two, row by row",
        "poly": "orthogonal polynomials",
        "relevel": "a factor with another reference level",
        "round": "rounded",
        "s": "a smooth curve, of which a penalty keeps the wiggles small",
        "scale": "minus the mean, divided by the standard deviation",
        "se": "a response with the standard errors of its values",
        "sin": "sine",
        "sqrt": "square root",
        "t2": "a smooth surface of two variables with units of their own",
        "tanh": "hyperbolic tangent",
        "truncated": "a response that is never seen outside its bounds",
    }
)
"""The functions that every formula can call, with what each gives."""
LIMITED = ("censored", "truncated", "se")
"""Those that say how a response was observed; `cbind` and they are whole responses, never terms."""


LOGICAL = frozenset({"==", "!=", "<", "<=", ">", ">=", "&", "|", "!", "%in%"})
"""Operators that give TRUE and FALSE: 1 and 0 here; R makes a factor of them, unless told that they are numbers."""

CODINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sum": ("contr.sum", "Sum"),
        "helmert": ("contr.helmert", "Helmert"),
        "poly": ("contr.poly", "Poly"),
        "sdif": ("contr.sdif", "Diff"),
    }
)
"""The codings of C(f, sum) besides treatment contrasts, with R's word (sdif is MASS') and patsy's for each."""


@dataclass(frozen=True)
class Name:
    """A column."""

    name: str


@dataclass(frozen=True)
class Number:
    """A number inside a call or a response."""

    value: int | float


@dataclass(frozen=True)
class Text:
    """A string inside a call."""

    value: str


@dataclass(frozen=True)
class Flag:
    """TRUE or FALSE inside a call."""

    value: bool


@dataclass(frozen=True)
class Coding:
    """The coding of a factor inside `C(f, sum)`, one of `CODINGS`."""

    word: str


@dataclass(frozen=True)
class Operation:
    """Arithmetic, a comparison or logic: one operand for a sign and for `!`, else two."""

    operator: str
    operands: tuple["Expression", ...]


@dataclass(frozen=True)
class Argument:
    """One argument of a call; `name` is None for a positional one."""

    name: str | None
    value: "Expression"


@dataclass(frozen=True)
class Call:
    """A function's call, such as `poly(x, 2)`."""

    function: str
    arguments: tuple[Argument, ...]


type Expression = Name | Number | Text | Flag | Coding | Operation | Call


@dataclass(frozen=True)
class Term:
    """One factor for a main effect, several for an interaction, none twice."""

    factors: tuple[Name | Call, ...]


@dataclass(frozen=True)
class GivenMatrix:
    """`cov = A` or `precision = Q`: how the levels of a grouping factor vary together, in a matrix of that name."""

    argument: Literal["cov", "precision"]
    name: str


MATRIX_ARGUMENTS = ("cov", "precision")


@dataclass(frozen=True)
class GroupTerm:
    """`(1 + x | a:b)`: effects that vary over the levels of one grouping factor; `||` gives `correlated=False`.

    `cs(f | g)`, `ar1(0 + f | g)` and `diag(f | g, hom = TRUE)` have a structure besides; `(1 | gr(g, cov = A))` has a
    matrix of the levels.
    """

    intercept: bool
    terms: tuple[Term, ...]
    group: Term
    correlated: bool
    structure: Structure | None = None
    matrix: GivenMatrix | None = None


@dataclass(frozen=True)
class Formula:
    """What a formula says, expanded: `a*b` has become three terms, `(1 | a/b)` two group terms.

    `response` is None in the formulas of family parameters (`sigma ~ x`), which `parameters` holds by name.
    Terms stand in R's order: by degree, then as written.
    """

    response: Expression | None
    intercept: bool
    terms: tuple[Term, ...]
    group_terms: tuple[GroupTerm, ...]
    offsets: tuple[Expression, ...]
    parameters: tuple[tuple[str, "Formula"], ...]

    def __str__(self) -> str:
        """Spell the formula as canonical R text."""
        return text_of(self)


type Node = Expression | Argument | Term | GroupTerm | Formula

SYNTACTIC_NAME = re.compile(r"(?:[^\W\d_]|\.(?!\d))[\w.]*")
_READ_NAME = re.compile(r"(?:[^\W\d]|\.(?!\d))[\w.]*")  # what the grammar reads without back-quotes
RESERVED = frozenset(
    {"TRUE", "FALSE", "NULL", "NA", "NA_integer_", "NA_real_", "NA_character_", "Inf", "NaN"}
    | {"if", "else", "for", "while", "repeat", "function", "next", "break", "in"}
)
"""Words that R does not read as names."""
_PRECEDENCE = {
    "|": 1, "&": 2, "!": 3, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "%in%": 7, "^": 10,
}  # fmt: skip
_COMPARISON, _SIGN, _POWER, _ATOM = 4, 9, 10, 11
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def text_of(node: Node) -> str:  # noqa: C901, PLR0911 - one case for each record
    """Spell a record as canonical R text.

    Parameters
    ----------
    node : Expression, Argument, Term, GroupTerm or Formula
        Any record of this module.

    Returns
    -------
    str
        One line. Parsing the text of a Formula gives an equal Formula. The text of a Term, such as ``"cn:control"``,
        is the term's name everywhere in the package.

    Examples
    --------
    >>> text_of(Term((Name("cn"), Call("poly", (Argument(None, Name("x")), Argument(None, Number(2)))))))
    'cn:poly(x, 2)'
    """
    match node:
        case Formula():
            return _formula_text(node)
        case GroupTerm():
            return _group_text(node)
        case Term():
            return ":".join(text_of(factor) for factor in node.factors)
        case Argument():
            return text_of(node.value) if node.name is None else f"{_argument_text(node.name)} = {text_of(node.value)}"
        case Operation():
            return _operation_text(node)
        case Call():
            return f"{node.function}({', '.join(text_of(argument) for argument in node.arguments)})"
        case Name():
            return _name_text(node.name)
        case Flag():
            return "TRUE" if node.value else "FALSE"
        case Coding():
            return node.word
        case Text():
            return _quoted(node.value, '"')
        case Number():
            return repr(node.value)


def columns_of(node: Node) -> tuple[str, ...]:
    """List the data columns that a record uses.

    Parameters
    ----------
    node : Expression, Argument, Term, GroupTerm or Formula
        Any record of this module.

    Returns
    -------
    tuple of str
        Names in order of first use, none twice; those of parameter formulas are among them.

    Examples
    --------
    >>> columns_of(Operation("/", (Name("treated"), Name("control"))))
    ('treated', 'control')
    """
    return tuple(dict.fromkeys(_columns(node)))


def coding_of(factor: Name | Call) -> str | None:
    """Return the coding that a factor of a term asks for; None for the usual one, of each level against the first.

    Examples
    --------
    >>> coding_of(Call("C", (Argument(None, Name("f")), Argument(None, Coding("sum")))))
    'sum'
    """
    last = factor.arguments[-1].value if isinstance(factor, Call) and factor.arguments else None
    return last.word if isinstance(last, Coding) else None


def trials_of(response: Call) -> Operation:
    """Add up the successes and failures of `cbind(successes, failures)`, or the counts of more levels."""
    first, second, *others = (argument.value for argument in response.arguments)
    total = Operation("+", (first, second))
    for other in others:
        total = Operation("+", (total, other))
    return total


def calls_in(node: Node) -> Iterator[Call]:
    """Yield each call of a record, those inside other calls too."""
    if isinstance(node, Call):
        yield node
    for part in _parts(node):
        yield from calls_in(part)


def _columns(node: Node) -> Iterator[str]:
    """Yield every column in order of use, repeats included."""
    if isinstance(node, Name):
        yield node.name
    for part in _parts(node):
        yield from _columns(part)


def _parts(node: Node) -> Iterable[Node]:  # noqa: PLR0911 - one case for each record
    """Give the records directly inside a record, in the order of its text."""
    match node:
        case Formula():
            response = () if node.response is None else (node.response,)
            parameters = (formula for _, formula in node.parameters)
            return (*response, *node.terms, *node.group_terms, *node.offsets, *parameters)
        case GroupTerm():
            return (*node.terms, node.group)
        case Term():
            return node.factors
        case Call():
            return node.arguments
        case Argument():
            return (node.value,)
        case Operation():
            return node.operands
        case _:
            return ()


def _group_text(node: GroupTerm) -> str:
    """Spell a group term, with the function of its structure."""
    bar = "|" if node.correlated or node.structure else "||"
    inside = f"{_sum_text(node.intercept, node.terms)} {bar} {grouping_text(node)}"
    return f"({inside})" if node.structure is None else f"{node.structure.function}({inside}{node.structure.text})"


def grouping_text(node: GroupTerm) -> str:
    """Spell what stands right of a group term's bar: "line", "gr(line, cov = A)"."""
    group, matrix = text_of(node.group), node.matrix
    return group if matrix is None else f"gr({group}, {matrix.argument} = {_name_text(matrix.name)})"


def _formula_text(formula: Formula) -> str:
    """Spell a whole formula, its parameter formulas after semicolons."""
    fixed = _sum_text(formula.intercept, formula.terms)
    offsets = (f"offset({text_of(offset)})" for offset in formula.offsets)
    right = " + ".join((fixed, *(text_of(term) for term in formula.group_terms), *offsets))
    main = f"~ {right}" if formula.response is None else f"{text_of(formula.response)} ~ {right}"
    return "; ".join((main, *(f"{_name_text(name)} {text_of(part)}" for name, part in formula.parameters)))


def _sum_text(intercept: bool, terms: Sequence[Term]) -> str:
    """Spell the intercept as 1 or 0, then the terms."""
    return " + ".join(("1" if intercept else "0", *(text_of(term) for term in terms)))


def _operation_text(operation: Operation) -> str:
    """Spell an operation with the fewest parentheses that keep its meaning."""
    operator, level = operation.operator, _level(operation)
    if len(operation.operands) == 1:
        return operator + _within(operation.operands[0], level)
    left, right = operation.operands
    if operator == "^":  # binds to the right, and takes a sign without parentheses: 2^-1
        signed = isinstance(right, Operation) and _level(right) == _SIGN
        return f"{_within(left, _ATOM)}^{text_of(right) if signed else _within(right, _POWER)}"
    lowest_left = level + 1 if level == _COMPARISON else level  # a < b < c is not a formula
    return f"{_within(left, lowest_left)} {operator} {_within(right, level + 1)}"


def _within(node: Expression, lowest: int) -> str:
    """Spell an operand, in parentheses when it binds less tightly than `lowest`."""
    text = text_of(node)
    return f"({text})" if isinstance(node, Operation) and _level(node) < lowest else text


def _level(operation: Operation) -> int:
    """Tell how tightly an operation binds."""
    if len(operation.operands) == 1 and operation.operator != "!":
        return _SIGN
    return _PRECEDENCE[operation.operator]


def _name_text(name: str) -> str:
    """Spell a column's name, in back-quotes unless R reads it without."""
    return name if SYNTACTIC_NAME.fullmatch(name) and name not in RESERVED | {"."} else _quoted(name, "`")


def bare_name(name: str, known: Collection[str] = ()) -> str:
    """Return a name as the data have it: without the back-quotes that a formula needs, unless it is known with them.

    Examples
    --------
    >>> bare_name("`a b`"), bare_name("`a b`:x"), bare_name("`a b`", ["`a b`"])
    ('a b', 'a b:x', '`a b`')
    """
    given: object = name
    if not isinstance(given, str) or name in known or "`" not in name:  # what is no text is refused by its own error
        return name
    return re.sub(r"`((?:[^`\\]|\\.)+)`", lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), name)


def _argument_text(name: str) -> str:
    """Spell an argument's name, which may begin with Python's underscore."""
    return name if _READ_NAME.fullmatch(name) else _name_text(name)


def _quoted(value: str, quote: str) -> str:
    """Put text in quotes, with backslashes before what would end it."""
    return quote + "".join(_ESCAPES.get(char, "\\" + quote if char == quote else char) for char in value) + quote


def distinct(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Drop repeated terms: `b:a` repeats `a:b`, and the first spelling stays."""
    kept: dict[frozenset[Name | Call], Term] = {}
    for term in terms:
        kept.setdefault(frozenset(term.factors), term)
    return tuple(kept.values())


def by_degree(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Put main effects first, then second-order interactions and so on, as R does."""
    return tuple(sorted(terms, key=lambda term: len(term.factors)))


def interacted(left: Iterable[Term], right: Sequence[Term]) -> tuple[Term, ...]:
    """`left:right`: each term of the one with each of the other."""
    return distinct(_joined(one, other) for one in left for other in right)


def crossed(left: Sequence[Term], right: Sequence[Term]) -> tuple[Term, ...]:
    """`left*right`: both, and their interactions."""
    return distinct((*left, *right, *interacted(left, right)))


def nested(left: Sequence[Term], right: Sequence[Term]) -> tuple[Term, ...]:
    """`left/right`: the left, and each right term within all of the left."""
    return distinct((*left, *(_joined(*left, term) for term in right)))


def within(left: Sequence[Term], right: Sequence[Term]) -> tuple[Term, ...]:
    """`left %in% right`: each left term with all of the right."""
    return distinct(_joined(term, *right) for term in left)


def _joined(*terms: Term) -> Term:
    """Make one interaction of several terms, no factor twice."""
    return Term(tuple(dict.fromkeys(factor for term in terms for factor in term.factors)))
