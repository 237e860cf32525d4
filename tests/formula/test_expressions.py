"""Text that cannot be read, and arithmetic, calls and names without a meaning, are refused before they are expanded."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import MAX_CHARACTERS, parse_formula
from speclet_formula.formula.terms import text_of
from tests.formula.messages import CALLABLE, each_message, refusal

# Each block is a formula with its whole message, which begins with that formula.
MESSAGES = r"""
y ~ os.system('x')
    ^
'os.system' is not a function that a formula can call.
A formula can call ....
Pass your own function in functions=.

y ~ lgo(x)
    ^
'lgo' is not a function that a formula can call.
A formula can call ....
Write 'log', or pass your own function in functions=.

y ~ x (1|g)
    ^
'x' is not a function that a formula can call.
A formula can call ....
Write x + (1|g) for a term and a group term.

y ~ 1e999*x
    ^
'1e999' is too large.
Numbers go up to 1.8e308.
Write a smaller number.

y ~ I(x == 'a\q')
             ^
'\q' has no meaning.
A backslash stands before a quote, a backslash, n, r or t.
Write '\\'.

y ~ TRUE
    ^
'TRUE' is a word of R, not a column.
A column may have any name in back-quotes.
Write `TRUE` if that is the column's name.

y ~ NULL
    ^
'NULL' is a word of R, not a column.
A column may have any name in back-quotes.
Write `NULL` if that is the column's name.

y ~ log(2)
    ^
'log(2)' uses no column of the data.
Responses, terms, groups and offsets are computed from columns.
Name a column.

1 ~ x
^
'1' uses no column of the data.
Responses, terms, groups and offsets are computed from columns.
Name a column.

. ~ x
^
'.' is not a column.
'.' stands for all other columns as a term of its own, y ~ .
Name the column.

y ~ I(a:b)
       ^
':' has no meaning in arithmetic.
Arithmetic is made of + - * / ^ %in% ! & |, comparisons, calls and parentheses.
Write interaction(a, b) for combinations of factors.

y ~ I(a || b)
        ^
'||' has no meaning in arithmetic.
Arithmetic is made of + - * / ^ %in% ! & |, comparisons, calls and parentheses.
Write '|' for a logical or.

y ~ log(.)
        ^
'.' is not a column.
'.' stands for all other columns as a term of its own, y ~ .
Name the column.

y ~ log(x, base = 2, base = 3)
                     ^
the argument 'base' is given twice to 'log'.
Each argument is given once.
Take one 'base' out.

y ~ poly(FALSE = x, degree = 2)
         ^
'FALSE' is a word of R's own and names no argument of 'poly'.
An argument is named by a plain word: poly(x, degree = 2).
Write '==' to compare, or take 'FALSE =' out.

y ~ I(cbind(a, b))
      ^
'cbind(a, b)' stands where cbind has no meaning.
cbind(successes, failures) is a whole response, on the left of '~'.
Write the columns as terms of their own.

y ~ log(offset(x))
        ^
'offset(x)' is not an offset.
offset takes one argument without a name and is added to the formula with '+'.
Write y ~ x + offset(log(n)).

y ~ (1|.)
       ^
'.' is not a column.
'.' stands for all other columns as a term of its own, y ~ .
Name the column.
"""


@each_message(MESSAGES)
def test_messages(message):
    assert refusal(message) == message.replace("...", CALLABLE)


WITH_CONTROL_CHARACTERS = {
    "": ("the formula is empty.\nA formula is text such as 'y ~ x + (1 | g)'.\nWrite the response, '~' and the terms."),
    "y ~ x\nlog(z) ~ q": (
        "log(z) ~ q\n"
        "^\n"
        "'log' follows 'x' without an operator.\n"
        "An operator such as + - * / : is expected here.\n"
        "Write the operator, or back-quotes around a column whose name has a blank."
    ),
    "y ~ \u200bx": (
        "y ~ \u200bx\n"
        "    ^\n"
        "U+200B has no meaning in a formula.\n"
        "A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||.\n"
        "Put a column whose name holds this character in back-quotes."
    ),
    "y ~ \u202ex": (
        "y ~  x\n"
        "    ^\n"
        "the character U+202E at position 4 cannot be seen.\n"
        "A formula has no control characters and none that change the direction of text.\n"
        "Delete it and type the place anew."
    ),
    "y ~ \u0000": (
        "y ~  \n"
        "    ^\n"
        "the character U+0000 at position 4 cannot be seen.\n"
        "A formula has no control characters and none that change the direction of text.\n"
        "Delete it and type the place anew."
    ),
}


@pytest.mark.parametrize(("text", "message"), WITH_CONTROL_CHARACTERS.items())
def test_messages_of_texts_that_are_not_one_line(text, message):
    with pytest.raises(FormulaError) as error:
        parse_formula(text)
    assert str(error.value) == message


@pytest.mark.parametrize("text", [None, 3, b"y ~ x", ["y ~ x"]])
def test_only_text_is_a_formula(text):
    with pytest.raises(FormulaError) as error:
        parse_formula(text)
    assert str(error.value) == (
        f"the formula is of type '{type(text).__name__}'.\n"
        "A formula is text such as 'y ~ x + (1 | g)'.\n"
        "Pass it as a str."
    )


DEEP = 2000  # twice the depth at which Python gives up recursion
EXPLOSIVE = {
    "parentheses": "y ~ " + "(" * DEEP + "x" + ")" * DEEP,
    "open parentheses": "y ~ " + "(" * 10 * DEEP,
    "calls": "y ~ " + "log(" * DEEP + "x" + ")" * DEEP,
    "signs": "y ~ " + "-" * 5 * DEEP + "x",
    "powers": "y ~ I(" + "^".join("x" * DEEP) + ")",
    "sum in a call": "y ~ I(" + "+".join("x" * DEEP) + ")",
    "sum in the response": "+".join("y" * DEEP) + " ~ x",
    "crossing": "y ~ " + "*".join(f"x{i}" for i in range(40)),
    "interaction": "y ~ " + ":".join(f"x{i}" for i in range(2000)),
    "power": "y ~ (" + "+".join(f"x{i}" for i in range(60)) + ")^60",
    "nesting": "y ~ (1|" + "/".join(f"x{i}" for i in range(3000)) + ")",
    "group terms": "y ~ (" + "+".join(f"x{i}" for i in range(3000)) + "|" + "/".join(f"g{i}" for i in range(40)) + ")",
    "digits": "y ~ " + "9" * 10_000 + "*x",
    "length": "y ~ " + "x" * MAX_CHARACTERS,
}


@pytest.mark.parametrize("what", EXPLOSIVE)
@pytest.mark.mostly_slow(
    "crossing",
    "powers",
    "power",
    "digits",
    "length",
    "signs",
    "sum in a call",
    "sum in the response",
    "open parentheses",
)
def test_what_would_explode_is_refused(what):
    with pytest.raises(FormulaError):
        parse_formula(EXPLOSIVE[what])


@pytest.mark.slow
def test_long_flat_formulas_are_read():
    formula = parse_formula("y ~ " + " + ".join(f"x{i}" for i in range(3000)))
    assert len(formula.terms) == 3000
    assert parse_formula(text_of(formula)) == formula
