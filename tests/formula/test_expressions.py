"""Arithmetic, calls and names that have no meaning are refused with what to write instead."""

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
