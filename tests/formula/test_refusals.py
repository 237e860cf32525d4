"""What cannot be read is refused in plain words under a caret, and words of other packages are answered by name."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.refusals import ADDED, COVARIANCES, FOREIGN, LOOKALIKES
from speclet_formula.formula.terms import FUNCTIONS, Call, Name
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
Write response ~ x + y with the response's column for response.

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


# Each block is a formula and the last line of its message; the columns are y, x and g.
REMEDIES = r"""
y ~ as.factor(x)
Write factor(x).

y ~ as.numeric(x)
Make the column before the fit: data['new'] = data['x'].astype(float).

y ~ as.integer(x)
Make the column before the fit: data['new'] = data['x'].astype(int).

y ~ ordered(x)
Order it before the fit: data['x'] = pandas.Categorical(data['x'], categories=[...], ordered=True).

y ~ contr.sum(x)
Write C(x, sum).

y ~ contr.treatment(x)
Write factor(x), or relevel(x, 'control') for another reference.

y ~ contr.helmert(x)
Write C(x, helmert).

y ~ contr.poly(x)
Write C(x, poly).

y ~ contr.sdif(x)
Write C(x, sdif).

y ~ Treatment(x)
Write factor(x), or relevel(x, 'control') for another reference.

y ~ Sum(x)
Write C(x, sum).

y ~ S(x)
Write C(x, sum).

y ~ T(x)
Write factor(x), or relevel(x, 'control') for another reference.

y ~ Q(x)
Write `x`.

y ~ cut(x)
Make the column before the fit: data['new'] = pandas.cut(data['x'], 3).

y ~ ifelse(x)
Make the column before the fit: data['new'] = numpy.where(condition, a, b).

y ~ ave(x)
Make the column before the fit: data['new'] = data.groupby('g')['x'].transform('mean').

y ~ rank(x)
Make the column before the fit: data['new'] = data['x'].rank().

y ~ lag(x)
Make the column before the fit: data['new'] = data['x'].shift().

y ~ diff(x)
Make the column before the fit: data['new'] = data['x'].diff().

y ~ cumsum(x)
Make the column before the fit: data['new'] = data['x'].cumsum().

y ~ is.na(x)
Make the column before the fit: data['new'] = data['x'].isna().

y ~ mean(x)
Write center(x) for x minus its mean.

y ~ sd(x)
Write scale(x) for x minus its mean, divided by its SD.

y ~ min(x)
Write pmin(a, b) for the smaller of two, row by row.

y ~ max(x)
Write pmax(a, b) for the larger of two, row by row.

y ~ logit(x)
Write log(x / (1 - x)).

y ~ qlogis(x)
Write log(x / (1 - x)).

y ~ plogis(x)
Write I(1 / (1 + exp(-x))).

y ~ standardize(x)
Write scale(x).

y ~ paste(x)
Write interaction(a, b).

y ~ rcs(x)
Write ns(x, df = 3).

y ~ cr(x)
Write ns(x, df = 3).

y ~ lspline(x)
Write bs(x, df = 3, degree = 1).

y ~ te(x)
Write t2 instead.

y ~ ti(x)
Write t2 instead.

y ~ mi(x)
Write x.

y ~ me(x)
Write x; fits with more and more error added to it show what its own error costs (SIMEX).

y ~ gr(x)
Write the column alone: (1 | x).

y ~ mm(x)
Write (1 | mm(x, ...)).

y ~ mmc(x)
Write (x | mm(a, b)); what differs between the levels goes into weights = cbind(u, v), scale = FALSE.

y ~ ar(x)
Add a group term for what rows share, (1 | x).

y ~ arma(x)
Add a group term for what rows share.

y ~ cosy(x)
Add a group term for what rows share, (1 | g).

y ~ cens(x)
Write censored(y, x) ~ ...

y ~ trunc(x)
Write truncated(y, lb = 0) ~ ..., or floor(x) for R's trunc().

y ~ trials(x)
Write cbind(successes, x - successes) ~ ...

y ~ weights(x)
Give weights='x' outside the formula.

y ~ se(x)
Write the columns as terms of their own.

y ~ bf(x)
Write the formulas as texts in a list.

y ~ nl(x)
Write a smooth, s(x), or I() where all rates are known: I(exp(-x / 2)). brms and nlme estimate them.

y ~ SSlogis(x)
Write a smooth, s(x), or I() where all rates are known: I(exp(-x / 2)). brms and nlme estimate them.

y ~ SSasymp(x)
Write a smooth, s(x), or I() where all rates are known: I(exp(-x / 2)). brms and nlme estimate them.

y ~ SSfpl(x)
Write a smooth, s(x), or I() where all rates are known: I(exp(-x / 2)). brms and nlme estimate them.

y ~ ou(x | g)
Write (x | g), (x || g), cs(x | g) or ar1(x | g).

y ~ toep(x | g)
Write (x | g), (x || g), cs(x | g) or ar1(x | g).

y ~ mat(x | g)
Write (x | g), (x || g), cs(x | g) or ar1(x | g).

y ~ gau(x | g)
Write (x | g), (x || g), cs(x | g) or ar1(x | g).

y ~ rr(x | g)
Write (x | g), (x || g), cs(x | g) or ar1(x | g).

y ~ p(x)
Write cbind(successes, trials - successes) ~ ...

y ~ prop(x)
Write cbind(successes, trials - successes) ~ ...

y ~ proportion(x)
Write cbind(successes, trials - successes) ~ ...

y ~ weighted(x)
Give weights= outside the formula: they divide the residual variance.

y ~ constrained(x)
Write truncated(x, lb = 0) ~ ...

y ~ Surv(x)
Write censored(x, status) ~ ..., where status is 'none', 'left' or 'right'.

y | cens(c) ~ x
Write censored(y, c): the statuses are 'none', 'left' and 'right'.

y | trunc(c) ~ x
Write truncated(y, lb = 0) with the bounds, lb and ub.

y | trials(c) ~ x
Write cbind(y, c - y) for successes and failures.

y | weights(c) ~ x
Write y ~ ... and give weights='c' outside the formula.

y | se(c) ~ x
Write se(y, c) ~ ...: the SDs of the residuals are known.

y | mi(c) ~ x
Write y ~ ...: rows without a response are left out by missing='drop'.

y ~ np.log(x)
Write 'log', or pass your own function in functions=.

y ~ lgo(x)
Write 'log', or pass your own function in functions=.

y ~ logg(x)
Write 'log', or pass your own function in functions=.

y ~ scal(x)
Write 'scale', or pass your own function in functions=.

y ~ ifelse(x > 0, 1, 0)
Make the column before the fit: data['new'] = numpy.where(condition, a, b).

y ~ cut(x, 3)
Make the column before the fit: data['new'] = pandas.cut(data['x'], 3).

y ~ stats.poly(x, 2)
Write 'poly', or pass your own function in functions=.

y ~ k(x)
Pass your own function in functions=.

y ~ xx(x)
Pass your own function in functions=.

y ~ foo(x|g)
Write (x|g) alone.

y ~ s (1|g)
Write (1|g) alone.

y ~ spline(x)
Pass your own function in functions=.

y ~ Log(x)
Write 'log', or pass your own function in functions=.
"""


def refused(text: str) -> FormulaError:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text, columns=["y", "x", "g"])
    return caught.value


@pytest.mark.parametrize("block", REMEDIES.strip().split("\n\n"), ids=lambda block: block.split("\n")[0])
def test_the_remedy_is_that_of_the_word(block: str) -> None:
    text, remedy = block.split("\n")
    assert refused(text).remedy == remedy


def test_every_word_has_a_row() -> None:
    rows = {block.split("\n")[0] for block in REMEDIES.strip().split("\n\n")}
    wanted = {f"y ~ {word}(x | g)" if word in COVARIANCES else f"y ~ {word}(x)" for word in FOREIGN}
    assert wanted | {f"y | {word}(c) ~ x" for word in ADDED} <= rows
    assert not set(FOREIGN) & set(FUNCTIONS)


def test_a_word_of_one_s_own_is_called() -> None:
    assert isinstance(parse_formula("y ~ s(x)", functions={"s"}).terms[0].factors[0], Call)
    assert parse_formula("y ~ s + (1 | g)", columns=["y", "s", "g"]).terms[0].factors == (Name("s"),)


@pytest.mark.parametrize(("char", "key"), LOOKALIKES.items())
def test_a_character_that_only_looks_like_a_key_is_told(char: str, key: str) -> None:
    error = refused(f"y {char} x")
    assert error.problem == f"'{char}' (U+{ord(char):04X}) only looks like '{key}'."
    assert error.remedy == f"Type the key {key} in its place."
    assert error.position == 2


def test_constants_of_r_are_known_where_no_column_has_their_name() -> None:
    formula = parse_formula("y ~ I(sin(2 * pi * x)) + poly(x, 2, raw = T)", columns=["y", "x"])
    assert "3.141592653589793" in str(formula)
    assert "raw = TRUE" in str(formula)
    own = parse_formula("y ~ I(x * pi)", columns=["y", "x", "pi"])
    assert str(own) == "y ~ 1 + I(x * pi)"


def test_an_argument_s_name_is_written_as_it_is_read() -> None:
    formula = parse_formula("y ~ own(x, _knots = 2)", functions={"own"})
    assert str(formula) == "y ~ 1 + own(x, _knots = 2)"
    assert parse_formula(str(formula), functions={"own"}) == formula
