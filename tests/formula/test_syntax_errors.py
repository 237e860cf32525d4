"""What the grammar cannot read is refused in plain words, with a caret under the place."""

from tests.formula.messages import CALLABLE, each_message, refusal

# Each block is a formula with its whole message, which begins with that formula.
MESSAGES = r"""
y ~ x, z
     ^
',' does not join terms.
Terms are joined by an operator; ',' separates the arguments of a call.
Write '+' in its place.

y ~ x +
       ^
the formula ends after '+'.
A column, a call, 0, 1 or '(' is expected here.
Add what belongs after '+', or take '+' out.

y ~ (1|
       ^
the formula ends before the '(' of '(1|' is closed.
A column, a call, 0, 1 or '(' is expected here.
Write what belongs there, and close the parenthesis with ')'.

y ~ (1|g
        ^
the formula ends before the '(' of '(1|g' is closed.
')' is expected here.
Close the parenthesis with ')'.

y ~ log(x
         ^
the formula ends before the '(' of '(x' is closed.
')' is expected here.
Close the parenthesis with ')'.

y ~ a %in%
          ^
the formula ends after '%in%'.
A column, a call, 0, 1 or '(' is expected here.
Add what belongs after '%in%', or take '%in%' out.

x + y
     ^
the formula has no '~'.
A formula has a response, '~' and terms.
Write y ~ x + y with the response's column for y.

y = x
  ^
'=' has no meaning here.
'=' gives the value of an argument inside a call: poly(x, degree = 2).
Write '~' after the response, '==' to compare.

y ~ x ~ z
      ^
this '~' is one too many.
A formula has one '~', outside parentheses; another formula begins after ';' or on a new line.
Write y ~ x; sigma ~ z for two formulas.

y ~ a b
      ^
'b' follows 'a' without an operator.
An operator such as + - * / : is expected here.
Write the operator, or back-quotes around a column whose name has a blank.

y ~ (a + b)(c)
           ^
'(' follows ')' without an operator.
An operator such as + - * / : is expected here.
Write the operator, or back-quotes around a column whose name has a blank.

y ~ a + * b
        ^
'*' stands where a term is expected.
A column, a call, 0, 1 or '(' is expected here.
Write a term before it, or take it out.

y ~ ()
     ^
')' stands where a term is expected.
A column, a call, 0, 1 or '(' is expected here.
Write a term before it, or take it out.

y ~ x)
     ^
')' closes no '('.
Each ')' has its '('.
Take it out, or open the parenthesis.

y ~ I(x, =3)
         ^
'=' has no meaning here.
'=' gives the value of an argument inside a call: poly(x, degree = 2).
Write '~' after the response, '==' to compare.

y ~ I(a < b < c)
            ^
'<' cannot stand here.
An operator or ')' is expected here.
Use parentheses to say what belongs together.

y ~ log(,x)
        ^
',' stands where a term is expected.
A column, a call, 0, 1 or '(' is expected here.
Write a term before it, or take it out.

y ~ x;;
      ^
';' stands where a term is expected.
A column, a call, 0, 1 or '(' is expected here.
Write a term before it, or take it out.

y ~ __import__('os').system('x')
    ^
'__import__' is not a function that a formula can call.
A formula can call ....
Pass your own function in functions=.

y ~ lambda x: x
           ^
'x' follows 'lambda' without an operator.
An operator such as + - * / : is expected here.
Write the operator, or back-quotes around a column whose name has a blank.

y ~ a$b
     ^
'$' has no meaning in a formula.
A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||.
Write the column alone: b rather than a$b.

y ~ a@b
     ^
'@' has no meaning in a formula.
A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||.
Write the column alone: b rather than a@b.

y ~ a[1]
     ^
'[' has no meaning in a formula.
A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||.
Make the column before fitting, or pass a function that does it in functions=.

y ~ {a}
    ^
'{' has no meaning in a formula.
A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||.
Use parentheses.

y ~ a %% b
      ^
'%' has no meaning in a formula.
A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||.
The operator in percent signs is %in%; for a remainder make the column before fitting.

y ~ a # b
      ^
'#' has no meaning in a formula.
A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||.
Write comments outside the formula.

y ~ base::log(x)
         ^
'::' has no meaning in a formula.
A formula is made of columns, numbers, calls, parentheses and the operators ~ + - * / : ^ %in% | ||.
Write the function alone: log(x), not base::log(x).

y ~ `ab
    ^
the quote ` that opens here is not closed.
Quotes come in pairs.
Close the quote.

y ~ ``
    ^
these back-quotes are empty.
Back-quotes hold the name of a column.
Write the name, or take them out.

y ~ 'ab
    ^
the quote ' that opens here is not closed.
Quotes come in pairs.
Close the quote.

y ~ 2L
    ^
'2L' is neither a number nor a name.
Names begin with a letter or a dot.
Write `2L` if it is a column.
"""


@each_message(MESSAGES)
def test_messages(message):
    assert refusal(message) == message.replace("...", CALLABLE)
