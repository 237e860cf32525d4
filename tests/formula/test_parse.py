"""Formulas mean what R and lme4 mean by them, and print so that they read back."""

import pickle
import subprocess
import sys

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import (
    Argument,
    Call,
    Flag,
    Formula,
    GroupTerm,
    Name,
    Number,
    Operation,
    Term,
    Text,
    text_of,
)
from tests.formula.messages import each_message, refusal

CANONICAL = [
    # intercept
    ("y ~ x", "y ~ 1 + x"),
    ("y~1", "y ~ 1"),
    ("y ~ 0", "y ~ 0"),
    ("y ~ 0 + x", "y ~ 0 + x"),
    ("y ~ x + 0", "y ~ 0 + x"),
    ("y ~ x - 1", "y ~ 0 + x"),
    ("y ~ -1 + x", "y ~ 0 + x"),
    ("y ~ x - 0", "y ~ 1 + x"),
    ("y ~ 0 + x + 1", "y ~ 1 + x"),
    ("y ~ x - (z - 1)", "y ~ 1 + x"),
    ("y ~ +x", "y ~ 1 + x"),
    # + - : * / ^ %in%
    ("y ~ x + z + x", "y ~ 1 + x + z"),
    ("y ~ x + z - x", "y ~ 1 + z"),
    ("y ~ -x + x", "y ~ 1 + x"),
    ("y ~ a:b", "y ~ 1 + a:b"),
    ("y ~ b:a + a:b + a", "y ~ 1 + a + b:a"),
    ("y ~ a:a", "y ~ 1 + a"),
    ("y ~ a:b + c", "y ~ 1 + c + a:b"),
    ("y ~ a*b", "y ~ 1 + a + b + a:b"),
    ("y ~ a*b*c", "y ~ 1 + a + b + c + a:b + a:c + b:c + a:b:c"),
    ("y ~ a*b*c - a:b:c", "y ~ 1 + a + b + c + a:b + a:c + b:c"),
    ("y ~ a*b - a", "y ~ 1 + b + a:b"),
    ("y ~ (a + b)*c", "y ~ 1 + a + b + c + a:c + b:c"),
    ("y ~ (1 + a)*b", "y ~ 1 + a + b + a:b"),
    ("y ~ a/b", "y ~ 1 + a + a:b"),
    ("y ~ a/b/c", "y ~ 1 + a + a:b + a:b:c"),
    ("y ~ (a + b)/c", "y ~ 1 + a + b + a:b:c"),
    ("y ~ a/(b + c)", "y ~ 1 + a + a:b + a:c"),
    ("y ~ a*b/c", "y ~ 1 + a + b + a:b + a:b:c"),
    ("y ~ a %in% b", "y ~ 1 + a:b"),
    ("y ~ a + b %in% a", "y ~ 1 + a + b:a"),
    ("y ~ a %in% (b + c)", "y ~ 1 + a:b:c"),
    ("y ~ a^2", "y ~ 1 + a"),
    ("y ~ (a + b + c)^2", "y ~ 1 + a + b + c + a:b + a:c + b:c"),
    ("y ~ (a + b + c)**2 - a:b", "y ~ 1 + a + b + c + a:c + b:c"),
    ("y ~ (a + b + c)^3", "y ~ 1 + a + b + c + a:b + a:c + b:c + a:b:c"),
    ("y ~ (a + b)^1000000", "y ~ 1 + a + b + a:b"),
    ("y ~ (a*b + c)^1", "y ~ 1 + a + b + c + a:b"),
    # precedence
    ("y ~ a + b*c:d", "y ~ 1 + a + b + c:d + b:c:d"),
    ("y ~ a*b %in% c", "y ~ 1 + a + b:c + a:b:c"),
    ("y ~ a:(b + c)^2", "y ~ 1 + a:b + a:c + a:b:c"),
    # group terms
    ("y ~ (1|g)", "y ~ 1 + (1 | g)"),
    ("y ~ 0 + (1|g)", "y ~ 0 + (1 | g)"),
    ("y ~ (1|g) + x", "y ~ 1 + x + (1 | g)"),
    ("y ~ ((1|g))", "y ~ 1 + (1 | g)"),
    ("y ~ (x + (1|g))", "y ~ 1 + x + (1 | g)"),
    ("Reaction ~ Days + (Days|Subject)", "Reaction ~ 1 + Days + (1 + Days | Subject)"),
    ("y ~ (0 + x|g)", "y ~ 1 + (0 + x | g)"),
    ("y ~ (x - 1|g)", "y ~ 1 + (0 + x | g)"),
    ("y ~ (-1 + x|g)", "y ~ 1 + (0 + x | g)"),
    ("y ~ (x||g)", "y ~ 1 + (1 + x || g)"),
    ("y ~ (0 + x + z||g)", "y ~ 1 + (0 + x + z || g)"),
    ("y ~ (a*b|g)", "y ~ 1 + (1 + a + b + a:b | g)"),
    ("y ~ (a:b + c|g)", "y ~ 1 + (1 + c + a:b | g)"),
    ("y ~ (1|a/b)", "y ~ 1 + (1 | a) + (1 | a:b)"),
    ("y ~ (1|a/b/c)", "y ~ 1 + (1 | a) + (1 | a:b) + (1 | a:b:c)"),
    ("y ~ (x|a/b)", "y ~ 1 + (1 + x | a) + (1 + x | a:b)"),
    ("y ~ (x||a/b)", "y ~ 1 + (1 + x || a) + (1 + x || a:b)"),
    ("y ~ (1|a:b)", "y ~ 1 + (1 | a:b)"),
    ("y ~ (1|a:b/c)", "y ~ 1 + (1 | a:b) + (1 | a:b:c)"),
    ("y ~ (1|(g))", "y ~ 1 + (1 | g)"),
    ("y ~ (1|factor(g))", "y ~ 1 + (1 | factor(g))"),
    ("y ~ (1|g) + (0 + x|g) + (1|h)", "y ~ 1 + (1 | g) + (0 + x | g) + (1 | h)"),
    # response, offsets, calls
    ("log(treated/control) ~ 1", "log(treated / control) ~ 1"),
    ("y1 - y2 ~ x", "y1 - y2 ~ 1 + x"),
    ("(y) ~ x", "y ~ 1 + x"),
    ("cbind(s, f) ~ x", "cbind(s, f) ~ 1 + x"),
    ("(cbind(s, n - s)) ~ x", "cbind(s, n - s) ~ 1 + x"),
    ("y ~ offset(log(n)) + x", "y ~ 1 + x + offset(log(n))"),
    ("y ~ offset(n) + offset( n )", "y ~ 1 + offset(n)"),
    ("y ~ poly(x,2,raw=TRUE):z", "y ~ 1 + poly(x, 2, raw = TRUE):z"),
    ("y ~ log(x) + log( x )", "y ~ 1 + log(x)"),
    ("y ~ bs(x, knots = c(1, .5))", "y ~ 1 + bs(x, knots = c(1, 0.5))"),
    ("y ~ I((a - b) - (c - d)) + I(((a)))", "y ~ 1 + I(a - b - (c - d)) + I(a)"),
    ("y ~ I(-a**-2*3.0)", "y ~ 1 + I(-a^-2 * 3)"),
    ("y ~ I(2^3^x) + I((2^3)^x)", "y ~ 1 + I(2^3^x) + I((2^3)^x)"),
    ("y ~ I(!a&b|c==2)", "y ~ 1 + I(!a & b | c == 2)"),
    ("y ~ I(g %in% c('a','b\\'c'))", 'y ~ 1 + I(g %in% c("a", "b\'c"))'),
    ("y ~ f(x, n=3, 'a', FALSE)", 'y ~ 1 + f(x, n = 3, "a", FALSE)'),
    ("y ~ np.sign(x)", "y ~ 1 + np.sign(x)"),
    # names
    ("`log fc` ~ `sgRNA id` + (1|`cell line`)", "`log fc` ~ 1 + `sgRNA id` + (1 | `cell line`)"),
    ("y ~ `x` + `TRUE` + `.` + `gene:sgRNA`", "y ~ 1 + x + `TRUE` + `.` + `gene:sgRNA`"),
    (r"y ~ `a\`b` + `a\\b`", r"y ~ 1 + `a\`b` + `a\\b`"),
    ("y ~ _x + .y + x.1 + größe + T", "y ~ 1 + `_x` + .y + x.1 + größe + T"),
    # several formulas, lines, blanks
    ("y ~ x; sigma ~ z", "y ~ 1 + x; sigma ~ 1 + z"),
    ("y ~ x\nsigma ~ 0 + z\n\n nu ~ (1|g)\n", "y ~ 1 + x; sigma ~ 0 + z; nu ~ 1 + (1 | g)"),
    ("y ~ x\r\nsigma ~ z;", "y ~ 1 + x; sigma ~ 1 + z"),
    ("\n y ~\n x\n + (1 |\n g)\n", "y ~ 1 + x + (1 | g)"),
    ("y\n ~ x", "y ~ 1 + x"),
    ("\ty\u00a0~\u2003x", "y ~ 1 + x"),
]
FUNCTIONS_HERE = ("f", "np.sign")


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_formulas_mean_what_r_means_and_read_back(text, canonical):
    formula = parse_formula(text, functions=FUNCTIONS_HERE)
    assert text_of(formula) == canonical
    assert parse_formula(canonical, functions=FUNCTIONS_HERE) == formula


def test_the_record_of_a_formula():
    text = "log(a/2) ~ 0 + x*z + poly(x, 2, raw = TRUE) + (w||g:h) + offset(o) + relevel(f, 'b'); sigma ~ (1|g)"
    x, z, w, g, h = (Name(name) for name in "xzwgh")
    poly = Call("poly", (Argument(None, x), Argument(None, Number(2)), Argument("raw", Flag(value=True))))
    relevel = Call("relevel", (Argument(None, Name("f")), Argument(None, Text("b"))))
    sigma = Formula(None, True, (), (GroupTerm(True, (), Term((g,)), True),), (), ())
    assert parse_formula(text) == Formula(
        response=Call("log", (Argument(None, Operation("/", (Name("a"), Number(2)))),)),
        intercept=False,
        terms=(Term((x,)), Term((z,)), Term((poly,)), Term((relevel,)), Term((x, z))),
        group_terms=(GroupTerm(True, (Term((w,)),), Term((g, h)), False),),
        offsets=(Name("o"),),
        parameters=(("sigma", sigma),),
    )


def test_own_functions_can_be_called_and_are_offered():
    assert parse_formula("y ~ zscore(x)", functions={"zscore"}).terms[0].factors[0].function == "zscore"
    with pytest.raises(FormulaError) as error:
        parse_formula("y ~ zscor(x)", functions={"zscore"})
    assert error.value.remedy == "Write 'zscore', or pass your own function in functions=."
    assert error.value.allowed.endswith(", truncated, zscore.")


# Each block is a formula with its whole message, which begins with that formula.
MESSAGES = r"""
~ x
^
the formula has no response before '~'.
The first formula has its response on the left of '~'; '~ x' alone is not a model.
Write y ~ x with the response's column for y.

cbind(a) ~ x
^
'cbind(a)' is not successes and failures.
cbind takes two arguments or more without names, on the left of '~' only.
Write cbind(successes, failures).

cbind(a, n = b) ~ x
^
'cbind(a, n = b)' is not successes and failures.
cbind takes two arguments or more without names, on the left of '~' only.
Write cbind(successes, failures).

y | trials(n) ~ x
  ^
'y | trials(n)' is not a response.
A response is a column, arithmetic, cbind(s, f), censored(y, status), truncated(y, lb, ub) or se(y, se).
Write cbind(y, n - y) for successes and failures.

y | n ~ x
  ^
'y | n' is not a response.
A response is a column, arithmetic, cbind(s, f), censored(y, status), truncated(y, lb, ub) or se(y, se).
Write cbind(successes, failures) for counts out of trials; give weights outside the formula.

y ~ x; y ~ z
       ^
'y' stands on the left of '~' in two formulas.
The response and each of the family's parameters have one formula.
Join the two right-hand sides with '+'.

y ~ x; sigma ~ 1; sigma ~ x
                  ^
'sigma' stands on the left of '~' in two formulas.
The response and each of the family's parameters have one formula.
Join the two right-hand sides with '+'.

y ~ x; log(s) ~ z
       ^
'log(s) ~ z' does not say which parameter it is for.
The formulas after the first are for the family's parameters, such as sigma ~ x.
Write the parameter's name alone before '~'.

y ~ x; ~ z
       ^
'~ z' does not say which parameter it is for.
The formulas after the first are for the family's parameters, such as sigma ~ x.
Write the parameter's name alone before '~'.
"""


@each_message(MESSAGES)
def test_messages(message):
    assert refusal(message) == message


def test_errors_survive_pickling():
    with pytest.raises(FormulaError) as error:
        parse_formula("y ~ x|g")
    copy = pickle.loads(pickle.dumps(error.value))
    assert str(copy) == str(error.value)
    assert (copy.text, copy.position) == ("y ~ x|g", 5)


def test_parsing_needs_neither_numpy_nor_pandas():
    code = "import sys, speclet_formula.formula.parse; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "speclet_formula.formula.parse" in loaded
    assert loaded.isdisjoint({"numpy", "pandas"})
