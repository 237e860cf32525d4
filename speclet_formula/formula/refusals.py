"""What cannot be read, or reads well and has no meaning: the FormulaError whose remedy is the text to write instead.

The user's text stands beside the syntax tree, so that every error quotes it and puts a caret under the right character.
Words of R, lme4, brms, mgcv, glmmTMB, patsy and Bambi that have no place here are answered by name: the nearest of our
own words is no help to who means another thing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from lark import Token, Tree, UnexpectedInput, UnexpectedToken

from speclet_formula.common.arguments import is_among
from speclet_formula.errors import FormulaError, nearest
from speclet_formula.formula.terms import Expression

type TreeNode = Token | Tree[Token]


@dataclass(frozen=True)
class Context:
    """The user's text and what it may refer to."""

    text: str
    columns: Sequence[object] | None  # a data frame may have columns whose names are not text
    functions: frozenset[str]
    former: Expression | None = None  # the response that '.' stands for, where a formula is changed
    own: frozenset[str] = frozenset()  # those of the functions that are the user's
    numbers: frozenset[str] | None = None  # the columns that hold numbers, where the data are known


def children_of(node: TreeNode) -> list[TreeNode]:
    """Give what a tree is made of."""
    return cast("Tree[Token]", node).children


def kind_of(node: TreeNode) -> str:
    """Name a node: its rule, or its terminal."""
    return str(node.type if isinstance(node, Token) else node.data)


def unwrapped(node: TreeNode) -> TreeNode:
    """Take parentheses off."""
    while kind_of(node) == "parentheses":
        node = children_of(node)[1]
    return node


def position_of(node: TreeNode) -> int:
    """Find where a node begins in the text."""
    return (node.start_pos or 0) if isinstance(node, Token) else node.meta.start_pos


def source_of(context: Context, node: TreeNode) -> str:
    """Quote the user's own text for a node."""
    end = (node.end_pos or 0) if isinstance(node, Token) else node.meta.end_pos
    return context.text[position_of(node) : end]


def error_at(context: Context, position: int, problem: str, allowed: str, remedy: str) -> FormulaError:
    """Word an error with a caret at a position."""
    return FormulaError(problem, allowed, remedy, context.text, position)


def error_under(context: Context, node: TreeNode, problem: str, allowed: str, remedy: str) -> FormulaError:
    """Word an error with a caret under the first character of a node."""
    return error_at(context, position_of(node), problem, allowed, remedy)


@dataclass(frozen=True)
class Advice:
    """What is so here, and what to do; `{x}` stands for the text of the call's first argument."""

    allowed: str
    remedy: str


_CODING = "A factor is compared with its first level, or coded as C() says."
_NO_TENSOR = Advice("Smooths are s(x), s(x, z) and t2(x, z), whose penalties can be SDs.", "Write t2 instead.")
_NOT_LINEAR = Advice(
    "A model is linear in its coefficients.",
    "Write a smooth, s({x}), or I() where all rates are known: I(exp(-{x} / 2)). brms and nlme estimate them.",
)
_NO_STRUCTURE = Advice(
    "The effects of a group term are correlated freely, (x | g), not at all, (x || g), or by cs(x | g) or ar1(x | g).",
    "Write ({x}), ({bars}), cs({x}) or ar1({x}).",
)
_NOT_YET = "A column is made before the fit, or by a function of your own in functions=."
_BEFORE = "Make the column before the fit: data['new'] = "
_RESPONSE = "What is known of a response stands on the left of '~', and weights outside the formula."
_FORMULAS = "Further formulas follow in a list: ['y ~ x', 'sigma ~ x']."

FOREIGN: Mapping[str, Advice] = {
    # R, patsy, statsmodels, Bambi: factors and their coding
    "as.factor": Advice("Numbers become categories by factor().", "Write factor({x})."),
    "as.numeric": Advice(_NOT_YET, _BEFORE + "data['{x}'].astype(float)."),
    "as.integer": Advice(_NOT_YET, _BEFORE + "data['{x}'].astype(int)."),
    "ordered": Advice(
        "A factor keeps the order of an ordered Categorical column.",
        "Order it before the fit: data['{x}'] = pandas.Categorical(data['{x}'], categories=[...], ordered=True).",
    ),
    "contr.sum": Advice(_CODING, "Write C({x}, sum)."),
    "contr.helmert": Advice(_CODING, "Write C({x}, helmert)."),
    "contr.poly": Advice(_CODING, "Write C({x}, poly)."),
    "contr.sdif": Advice(_CODING, "Write C({x}, sdif)."),
    "contr.treatment": Advice(_CODING, "Write factor({x}), or relevel({x}, 'control') for another reference."),
    "Treatment": Advice(_CODING, "Write factor({x}), or relevel({x}, 'control') for another reference."),
    "Sum": Advice(_CODING, "Write C({x}, sum)."),
    "S": Advice(_CODING, "Write C({x}, sum)."),
    "T": Advice(_CODING, "Write factor({x}), or relevel({x}, 'control') for another reference."),
    "Q": Advice("A column of any name stands in back-quotes.", "Write `{x}`."),
    # R: functions of a column
    "cut": Advice(_NOT_YET, _BEFORE + "pandas.cut(data['{x}'], 3)."),
    "ifelse": Advice(_NOT_YET, _BEFORE + "numpy.where(condition, a, b)."),
    "ave": Advice(_NOT_YET, _BEFORE + "data.groupby('g')['{x}'].transform('mean')."),
    "rank": Advice(_NOT_YET, _BEFORE + "data['{x}'].rank()."),
    "lag": Advice(_NOT_YET, _BEFORE + "data['{x}'].shift()."),
    "diff": Advice(_NOT_YET, _BEFORE + "data['{x}'].diff()."),
    "cumsum": Advice(_NOT_YET, _BEFORE + "data['{x}'].cumsum()."),
    "is.na": Advice(_NOT_YET, _BEFORE + "data['{x}'].isna()."),
    "mean": Advice(_NOT_YET, "Write center({x}) for {x} minus its mean."),
    "sd": Advice(_NOT_YET, "Write scale({x}) for {x} minus its mean, divided by its SD."),
    "min": Advice(_NOT_YET, "Write pmin(a, b) for the smaller of two, row by row."),
    "max": Advice(_NOT_YET, "Write pmax(a, b) for the larger of two, row by row."),
    "logit": Advice(_NOT_YET, "Write log({x} / (1 - {x}))."),
    "qlogis": Advice(_NOT_YET, "Write log({x} / (1 - {x}))."),
    "plogis": Advice(_NOT_YET, "Write I(1 / (1 + exp(-{x})))."),
    "standardize": Advice("R's scale() divides by the SD.", "Write scale({x})."),
    "paste": Advice("Factors are crossed by ':' or interaction().", "Write interaction(a, b)."),
    "rcs": Advice("Splines are ns() and bs().", "Write ns({x}, df = 3)."),
    "cr": Advice("Splines are ns() and bs().", "Write ns({x}, df = 3)."),
    "lspline": Advice("Splines are ns() and bs().", "Write bs({x}, df = 3, degree = 1)."),
    # mgcv, brms, Bambi: smooths and processes
    "te": _NO_TENSOR,
    "ti": _NO_TENSOR,
    # brms
    "mi": Advice("Missing values are dropped, by missing='drop', or filled in before the fit.", "Write {x}."),
    "me": Advice(
        "A column is taken without an error of measurement.",
        "Write {x}; fits with more and more error added to it show what its own error costs (SIMEX).",
    ),
    "gr": Advice("A grouping factor is a column, or a:b.", "Write the column alone: (1 | {x})."),
    "mm": Advice("mm() is a grouping factor, to the right of a bar.", "Write (1 | mm({x}, ...))."),
    "mmc": Advice(
        "A column of a group term has one value in a row, the same for all of the row's levels.",
        "Write ({x} | mm(a, b)); what differs between the levels goes into weights = cbind(u, v), scale = FALSE.",
    ),
    "ar": Advice("Residuals are independent.", "Add a group term for what rows share, (1 | {x})."),
    "arma": Advice("Residuals are independent.", "Add a group term for what rows share."),
    "cosy": Advice("Residuals are independent.", "Add a group term for what rows share, (1 | g)."),
    "cens": Advice(_RESPONSE, "Write censored(y, {x}) ~ ..."),
    "trunc": Advice(_RESPONSE, "Write truncated(y, lb = 0) ~ ..., or floor({x}) for R's trunc()."),
    "trials": Advice(_RESPONSE, "Write cbind(successes, {x} - successes) ~ ..."),
    "weights": Advice(_RESPONSE, "Give weights='{x}' outside the formula."),
    "bf": Advice(_FORMULAS, "Write the formulas as texts in a list."),
    "nl": _NOT_LINEAR,
    "SSlogis": _NOT_LINEAR,
    "SSasymp": _NOT_LINEAR,
    "SSfpl": _NOT_LINEAR,
    # glmmTMB
    "ou": _NO_STRUCTURE,
    "toep": _NO_STRUCTURE,
    "mat": _NO_STRUCTURE,
    "gau": _NO_STRUCTURE,
    "rr": _NO_STRUCTURE,
    # Bambi
    "p": Advice(_RESPONSE, "Write cbind(successes, trials - successes) ~ ..."),
    "prop": Advice(_RESPONSE, "Write cbind(successes, trials - successes) ~ ..."),
    "proportion": Advice(_RESPONSE, "Write cbind(successes, trials - successes) ~ ..."),
    "weighted": Advice(_RESPONSE, "Give weights= outside the formula: they divide the residual variance."),
    "constrained": Advice(_RESPONSE, "Write truncated({x}, lb = 0) ~ ..."),
    "Surv": Advice(_RESPONSE, "Write censored({x}, status) ~ ..., where status is 'none', 'left' or 'right'."),
}
"""What to write for words of other packages."""

COVARIANCES = frozenset({"ou", "toep", "mat", "gau", "rr"})
"""Those that stand before the parentheses of a group term."""

ADDED: Mapping[str, str] = {
    "cens": "Write censored({y}, {x}): the statuses are 'none', 'left' and 'right'.",
    "trunc": "Write truncated({y}, lb = 0) with the bounds, lb and ub.",
    "trials": "Write cbind({y}, {x} - {y}) for successes and failures.",
    "weights": "Write {y} ~ ... and give weights='{x}' outside the formula.",
    "se": "Write se({y}, {x}) ~ ...: the SDs of the residuals are known.",
    "mi": "Write {y} ~ ...: rows without a response are left out by missing='drop'.",
}
"""What to write for brms' additions to a response, y | cens(c)."""

LOOKALIKES: Mapping[str, str] = {
    "\u223c": "~", "\u02dc": "~", "\uff5e": "~", "\u301c": "~", "\u2053": "~", "\u2212": "-", "\u2013": "-",
    "\u2014": "-", "\u2010": "-", "\u2011": "-", "\ufe63": "-", "\uff0d": "-", "\uff0b": "+", "\u00d7": "*",
    "\u2217": "*", "\u22c5": ":", "\uff0a": "*", "\u2223": "|", "\uff5c": "|", "\u00a6": "|", "\uff1a": ":",
    "\u2236": ":", "\u2044": "/", "\u2215": "/", "\uff0f": "/", "\u2018": "'", "\u2019": "'", "\u201c": '"',
    "\u201d": '"', "\u00b4": "`", "\u2032": "'", "\uff08": "(", "\uff09": ")", "\uff0c": ",", "\uff1d": "=",
}  # fmt: skip
"""Characters that look like those of a formula, as word processors and PDF files have them, and what is meant."""


RESPONSES = {
    "cbind": "cbind(successes, failures)",
    "censored": "censored(y, status)",
    "truncated": "truncated(y, lb, ub)",
    "se": "se(y, sei)",
}
"""The calls that are a whole response, as they are written."""
_SHORTEST = 3  # letters of a word whose misspelling can be told from another word
_TERMS = "Terms are joined by + - * / : ^ and %in%; group terms stand in parentheses, (1 | g)."


def not_a_term(node: TreeNode, context: Context) -> FormulaError:
    """Refuse text and comparisons among the terms."""
    source = source_of(context, node)
    remedy = f"Write I({source}) to compute it first."
    if kind_of(node) == "STRING":
        remedy = f"Write `{source[1:-1]}` if that is a column."
    return error_under(context, node, f"'{source}' is not a term.", _TERMS, remedy)


def bare_bar(node: TreeNode, context: Context) -> FormulaError:
    """Refuse `y ~ x | g`."""
    left, bar, right, *_ = children_of(node)
    columns = children_of(left)[-1] if kind_of(left) == "sum" else left
    inside = f"{source_of(context, columns)} | {source_of(context, right)}"
    problem = f"'{bar}' stands outside parentheses."
    remedy = f"Write ({inside}) for correlated effects, ({inside.replace('|', '||', 1)}) for uncorrelated ones."
    return error_under(context, bar, problem, "A group term stands in parentheses: (x | g).", remedy)


def misplaced_response(node: TreeNode, context: Context) -> FormulaError:
    """Refuse cbind, censored and truncated anywhere but as the response."""
    function = str(children_of(node)[0])
    problem = f"'{source_of(context, node)}' stands where {function} has no meaning."
    allowed = f"{RESPONSES[function]} is a whole response, on the left of '~'."
    return error_under(context, node, problem, allowed, "Write the columns as terms of their own.")


def misplaced_offset(node: TreeNode, context: Context) -> FormulaError:
    """Refuse offset anywhere but as a term of its own."""
    problem = f"'{source_of(context, node)}' is not an offset."
    allowed = "offset takes one argument without a name and is added to the formula with '+'."
    return error_under(context, node, problem, allowed, "Write y ~ x + offset(log(n)).")


def unknown_function(node: TreeNode, inside: Sequence[TreeNode], context: Context) -> FormulaError:
    """Refuse a call: by name where it is a word of another package, with our name for a slip of the keys."""
    function = cast("Token", node)
    problem = f"'{function}' is not a function that a formula can call."
    bars = kind_of(children_of(inside[0])[-1]) == "bars" if len(inside) == 1 else False
    if function in FOREIGN and bars == (function in COVARIANCES and bool(inside)):
        answer = FOREIGN[function]
        return error_under(context, node, problem, answer.allowed, _filled(answer.remedy, inside, context))
    allowed = f"A formula can call {', '.join(sorted(context.functions, key=alphabetical))}."
    bare = function.rpartition(".")[2]
    near = bare if "." in function and bare in context.functions else _misspelled(function, context.functions)
    remedy = f"Write '{near}', or pass" if near else "Pass"
    remedy = f"{remedy} your own function in functions=."
    if bars:
        group = f"({source_of(context, inside[0])})"
        column = context.columns is None or function in context.columns
        remedy = f"Write {function} + {group} for a term and a group term." if column else f"Write {group} alone."
    return error_under(context, node, problem, allowed, remedy)


def alphabetical(word: str) -> tuple[str, str]:
    """Order words as a dictionary does, a capital letter before the same small one."""
    return word.lower(), word


def _filled(remedy: str, inside: Sequence[TreeNode], context: Context) -> str:
    """Put the call's first argument into what to write."""
    first = source_of(context, children_of(inside[0])[-1]) if inside else "x"
    return remedy.format(x=first, bars=first.replace("||", "|").replace("|", "||"))


def _misspelled(word: str, functions: Iterable[str]) -> str | None:
    """Return the function that a word of three letters or more is a slip of the keys away from."""
    if len(word) < _SHORTEST:
        return None
    close = [known for known in sorted(functions) if len(known) >= _SHORTEST and _is_slip(word.lower(), known.lower())]
    return min(close, key=lambda known: (not word.startswith(known), abs(len(known) - len(word))), default=None)


def _is_slip(word: str, known: str) -> bool:
    """Tell whether one letter more, less, other or two exchanged make a word of another."""
    if word == known:
        return True
    start = next((k for k, (a, b) in enumerate(zip(word, known, strict=False)) if a != b), min(len(word), len(known)))
    left, right = word[start:], known[start:]
    exchanged = left[:2] == right[1::-1] and left[2:] == right[2:]
    return left[1:] == right[1:] or left[1:] == right or left == right[1:] or (len(left) > 1 and exchanged)


_OPERAND = "A column, a call, 0, 1 or '(' is expected here."
_CHARACTERS = "A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||."
_CALLED = ("NAME", "LEFT")
_HINTS = {
    "$": "Write the column alone: b rather than a$b.",
    "@": "Write the column alone: b rather than a@b.",
    "[": "Make the column before fitting, or pass a function that does it in functions=.",
    "{": "Use parentheses.",
    "%": "The operator in percent signs is %in%; for a remainder make the column before fitting.",
    "#": "Write comments outside the formula.",
}


def unexpected_character(error: UnexpectedInput, context: Context) -> FormulaError:
    """Word the error for a character that begins no token."""
    position = cast("int", error.pos_in_stream)
    char = context.text[position]
    if context.text.startswith("``", position):
        allowed = "Back-quotes hold the name of a column."
        return error_at(context, position, "these back-quotes are empty.", allowed, "Write the name, or take them out.")
    if char in "\"'`":
        problem = f"the quote {char} that opens here is not closed."
        return error_at(context, position, problem, "Quotes come in pairs.", "Close the quote.")
    word = re.compile(r"[\w.]+").match(context.text, position)
    if word:
        problem, remedy = f"'{word[0]}' is neither a number nor a name.", f"Write `{word[0]}` if it is a column."
        return error_at(context, position, problem, "Names begin with a letter or a dot.", remedy)
    shown = f"'{char}'" if char.isprintable() else f"U+{ord(char):04X}"
    if char in LOOKALIKES:
        meant = LOOKALIKES[char]
        problem = f"{shown} (U+{ord(char):04X}) only looks like '{meant}'."
        return error_at(context, position, problem, _CHARACTERS, f"Type the key {meant} in its place.")
    remedy = _HINTS.get(char, "Put a column whose name holds this character in back-quotes.")
    return error_at(context, position, f"{shown} has no meaning in a formula.", _CHARACTERS, remedy)


def unexpected_token(error: UnexpectedToken, context: Context) -> FormulaError:
    """Word the error for a token that cannot stand where it stands."""
    stack = list(error.interactive_parser.parser_state.value_stack)
    for function in _called(stack):
        if function not in context.functions:
            return unknown_function(function, (), context)
    token, text = error.token, context.text
    at_end = token.type == "$END"
    position = len(text.rstrip()) if at_end else token.start_pos or 0
    opened = [item for item in stack if isinstance(item, Token) and item.type == "LEFT"]
    before = next((item for item in reversed(stack) if isinstance(item, Token | Tree)), None)
    expects_operand = "NAME" in error.expected
    if at_end:
        return error_at(context, position, *_ends_early(expects_operand, opened, text))
    return error_at(context, position, *_misplaced(token, before, expects_operand, bool(opened), context))


def _called(stack: Sequence[object]) -> Iterator[Token]:
    """Find the functions that were called before reading stopped, in finished calls and in unfinished ones."""
    for item, following in pairwise((*stack, None)):
        if isinstance(item, Tree):
            yield from (cast("Token", call.children[0]) for call in item.find_data("call"))
        elif isinstance(item, Token) and isinstance(following, Token) and (item.type, following.type) == _CALLED:
            yield item


def _ends_early(expects_operand: bool, opened: Sequence[Token], text: str) -> tuple[str, str, str]:
    """Word the error for a formula that stops too soon."""
    if opened:
        rest = text[opened[-1].start_pos :].strip()
        problem = f"the formula ends before the '(' of '{rest}' is closed."
        if expects_operand:
            return problem, _OPERAND, "Write what belongs there, and close the parenthesis with ')'."
        return problem, "')' is expected here.", "Close the parenthesis with ')'."
    if expects_operand:
        last = re.findall(r"%in%|\*\*|\|\||.", text.rstrip(), re.DOTALL)[-1]
        return f"the formula ends after '{last}'.", _OPERAND, f"Add what belongs after '{last}', or take '{last}' out."
    response = "response" if re.search(r"\by\b", text) else "y"
    remedy = f"Write {response} ~ {text.strip()} with the response's column for {response}."
    if re.search(r"\.(csv|tsv|txt|parquet|gz|zip|xz|bz2|zst)$", text.strip()):
        remedy = "That is a file's name; a formula is of its columns: y ~ x + (1 | g)."
    return "the formula has no '~'.", "A formula has a response, '~' and terms.", remedy


def _misplaced(  # noqa: PLR0911 - one return for each mistake
    token: Token, before: TreeNode | None, expects_operand: bool, opened: bool, context: Context
) -> tuple[str, str, str]:
    """Word the error for a token in the wrong place."""
    if token.type == "COMMA" and not opened:
        allowed = "Terms are joined by an operator; ',' separates the arguments of a call."
        return "',' does not join terms.", allowed, "Write '+' in its place."
    if token.type == "RIGHT" and not opened:
        return "')' closes no '('.", "Each ')' has its '('.", "Take it out, or open the parenthesis."
    if token.type == "EQUALS":
        allowed = "'=' gives the value of an argument inside a call: poly(x, degree = 2)."
        return "'=' has no meaning here.", allowed, "Write '~' after the response, '==' to compare."
    if token.type == "TILDE" and not expects_operand:
        allowed = "A formula has one '~', outside parentheses; another formula begins after ';' or on a new line."
        return "this '~' is one too many.", allowed, "Write y ~ x; sigma ~ z for two formulas."
    shown = context.text[token.start_pos : token.end_pos].strip() or "new line"
    if token.type == "COLON" and isinstance(before, Token) and before.type == "COLON":
        return "'::' has no meaning in a formula.", _CHARACTERS, "Write the function alone: log(x), not base::log(x)."
    if expects_operand:
        return f"'{shown}' stands where a term is expected.", _OPERAND, "Write a term before it, or take it out."
    if token.type in ("NAME", "QUOTED_NAME", "NUMBER", "STRING", "LEFT"):
        last = "" if before is None else f" '{source_of(context, before)}'"
        remedy = "Write the operator, or back-quotes around a column whose name has a blank."
        allowed = "An operator such as + - * / : is expected here."
        return f"'{shown}' follows{last} without an operator.", allowed, remedy
    allowed = "An operator, ')' or the end is expected here." if not opened else "An operator or ')' is expected here."
    return f"'{shown}' cannot stand here.", allowed, "Use parentheses to say what belongs together."


def check_choice(what: str, given: object, choices: tuple[str, ...]) -> None:
    """Refuse an argument that is not one of its choices."""
    if is_among(given, choices):
        return
    near = nearest(str(given), choices)
    problem = f"{given!r} is not a {what}."
    remedy = f"Write {near!r}." if near else f"Choose one of them for {what}=."
    raise FormulaError(problem, f"Choices: {', '.join(choices)}.", remedy)
