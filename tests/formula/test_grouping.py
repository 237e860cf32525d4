"""Grouping factors that are none, and columns of two group terms, are refused with a remedy; others are expanded."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from tests.formula.messages import each_message, refusal

# Each block is a formula with its whole message, which begins with that formula.
MESSAGES = r"""
y ~ (1|g) + (1|g)
            ^
the intercept of 'g' appears twice, in (1 | g) and in (1 | g).
Each column of a grouping factor belongs to one group term.
Write (1 | g) alone.

y ~ (1|g) + (x|g)
            ^
the intercept of 'g' appears twice, in (1 | g) and in (1 + x | g).
Each column of a grouping factor belongs to one group term.
Write (1 + x | g), or (1 | g) + (0 + x | g) without correlation between them.

y ~ (x|g) + (0 + x|g)
            ^
the column 'x' of 'g' appears twice, in (1 + x | g) and in (0 + x | g).
Each column of a grouping factor belongs to one group term.
Write (1 + x | g) alone.

y ~ (1|a/b) + (1|b:a)
              ^
the intercept of 'b:a' appears twice, in (1 | a:b) and in (1 | b:a).
Each column of a grouping factor belongs to one group term.
Write (1 | a/b) alone: it means (1 | a) + (1 | a:b).

y ~ x + (1|g) + (1|g/f)
                ^
the intercept of 'g' appears twice, in (1 | g) and in (1 | g).
Each column of a grouping factor belongs to one group term.
Write (1 | g/f) alone: it means (1 | g) + (1 | g:f).

y ~ (1 + x|g) + (1|g/f)
                ^
the intercept of 'g' appears twice, in (1 + x | g) and in (1 | g).
Each column of a grouping factor belongs to one group term.
Write (1 + x | g) + (1 | g:f).

y ~ (x|gr(g))
       ^
'gr' has no matrix.
A grouping factor is a column, or a:b.
Write (x | g), or (x | gr(g, cov = A)) for levels that are related.

y ~ (1|a+b)
       ^
'a+b' is not a grouping factor.
A grouping factor is a column, a call, a:b, a/b for b within a, or a*b for a, b and a:b.
Write (1 | a) + (1 | b).

y ~ us(x || g)
    ^
'us(x || g)' is not how us is written.
us(x | g), diag(x | g), cs(x | g) and ar1(x | g) have one bar; all but us take hom = TRUE or FALSE.
Write us(x | g).

y ~ us(x | g, hom = TRUE)
    ^
'us(x | g, hom = TRUE)' is not how us is written.
us(x | g), diag(x | g), cs(x | g) and ar1(x | g) have one bar; all but us take hom = TRUE or FALSE.
Write us(x | g).

y ~ cs(x | g, het = TRUE)
    ^
'cs(x | g, het = TRUE)' is not how cs is written.
us(x | g), diag(x | g), cs(x | g) and ar1(x | g) have one bar; all but us take hom = TRUE or FALSE.
Write cs(x | g).

y ~ hetar1(x | g, hom = TRUE)
    ^
'hetar1(x | g, hom = TRUE)' is not how hetar1 is written.
us(x | g), diag(x | g), cs(x | g) and ar1(x | g) have one bar; all but us take hom = TRUE or FALSE.
Write hetar1(x | g).

y ~ cs(f | g) + (0 + f | g)
                ^
the column 'f' of 'g' appears twice, in cs(1 + f | g) and in (0 + f | g).
Each column of a grouping factor belongs to one group term.
Write cs(1 + f | g) alone.

y ~ (1|a %in% b)
       ^
'a %in% b' is not a grouping factor.
A grouping factor is a column, a call, a:b, a/b for b within a, or a*b for a, b and a:b.
Name a column; make it before fitting if it has to be computed.

y ~ (1|1)
       ^
'1' is not a grouping factor.
A grouping factor is a column, a call, a:b, a/b for b within a, or a*b for a, b and a:b.
Name a column; make it before fitting if it has to be computed.
"""


@each_message(MESSAGES)
def test_messages(message):
    assert refusal(message) == message


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("y ~ us(1 + x | g)", "y ~ (x | g)"),
        ("y ~ x + diag(0 + x | a/b)", "y ~ x + (0 + x || a) + (0 + x || a:b)"),
        ("y ~ diag(f | g) - 1", "y ~ 0 + (f || g)"),
        ("y ~ (1 | a*b)", "y ~ (1 | a) + (1 | b) + (1 | a:b)"),
        ("y ~ (x | a/b*c)", "y ~ (x | a) + (x | c) + (x | a:b) + (x | a:c) + (x | a:b:c)"),
        ("y ~ (1 | a*a)", "y ~ (1 | a)"),
        ("y ~ diag(f | g, hom = FALSE)", "y ~ (f || g)"),
        ("y ~ homdiag(f | g)", "y ~ diag(f | g, hom = TRUE)"),
        ("y ~ homcs(0 + f | a/b)", "y ~ cs(0 + f | a, hom = TRUE) + cs(0 + f | a:b, hom = TRUE)"),
        ("y ~ hetar1(0 + t | g)", "y ~ ar1(t - 1 | g, hom = FALSE)"),
        ("y ~ ar1(0 + t | g, hom = TRUE)", "y ~ ar1(0 + t | g)"),
    ],
)
def test_words_of_lme4_for_group_terms(text, meant):
    assert parse_formula(text) == parse_formula(meant)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ 1 + cs(1 + f | g)",
        "y ~ 1 + cs(0 + f | g, hom = TRUE)",
        "y ~ 1 + ar1(0 + t | g)",
        "y ~ 1 + ar1(0 + t | g, hom = FALSE)",
        "y ~ 1 + diag(1 + f | g, hom = TRUE)",
    ],
)
def test_structures_are_spelled_as_they_are_read(text):
    assert str(parse_formula(text)) == text


def test_a_change_of_a_formula_tells_structures_apart():
    former = parse_formula("y ~ x + cs(f | g)")
    assert str(parse_formula(". ~ . - cs(f | g) + (f | g)", former=former)) == "y ~ 1 + x + (1 + f | g)"
    with pytest.raises(FormulaError, match="is not in the formula that is changed"):
        parse_formula(". ~ . - (f | g)", former=former)


def test_a_word_of_one_s_own_may_have_lme4_s_name():
    assert parse_formula("y ~ diag(x)", functions={"diag"}).terms[0].factors[0].function == "diag"
