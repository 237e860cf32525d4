"""What the grammar stumbled over goes in; a FormulaError comes out that says in plain words what is wrong there.

The parser knows only which tokens it could have taken; what the user meant is guessed here from the text around.
Formulas that read well and mean nothing are left to `refusals`.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

from lark import Token, Tree, UnexpectedInput, UnexpectedToken

from speclet_formula.errors import FormulaError
from speclet_formula.formula.foreign import LOOKALIKES
from speclet_formula.formula.refusals import unknown_function
from speclet_formula.formula.tree import Context, TreeNode, error_at, source_of

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
    remedy = f"Write y ~ {text.strip()} with the response's column for y."
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
