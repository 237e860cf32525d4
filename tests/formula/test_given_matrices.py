"""gr(line, cov = A) is read, spelled and refused; its matrix is no column."""

import pytest

import speclet_formula as sf
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import GivenMatrix, columns_of, text_of
from tests.formula.messages import each_message, refusal

MESSAGES = r"""
y ~ (1 | gr(line, A))
         ^
'gr(line, A)' is not how gr is written.
gr() takes a grouping factor and a matrix of its levels by name: cov = A, or precision = Q, its inverse.
Write gr(line, cov = A), and hand the matrix over by its name: matrices={'A': A}.

y ~ (1 | gr(line, cov = solve(Q)))
         ^
'gr(line, cov = solve(Q))' is not how gr is written.
gr() takes a grouping factor and a matrix of its levels by name: cov = A, or precision = Q, its inverse.
Write gr(line, cov = A), and hand the matrix over by its name: matrices={'A': A}.

y ~ (1 | gr(line, cov = A, precision = Q))
         ^
'gr(line, cov = A, precision = Q)' is not how gr is written.
gr() takes a grouping factor and a matrix of its levels by name: cov = A, or precision = Q, its inverse.
Write gr(line, cov = A), and hand the matrix over by its name: matrices={'A': A}.

y ~ (1 | gr(line, by = sex))
         ^
'gr(line, by = sex)' is not how gr is written.
gr() takes a grouping factor and a matrix of its levels by name: cov = A, or precision = Q, its inverse.
For an SD in each level of sex write (0 + sex || line); for a matrix gr(line, cov = A).

y ~ (1 | gr(a:b, cov = A))
            ^
'a:b' is not one grouping factor.
gr() takes a grouping factor and a matrix of its levels by name: cov = A, or precision = Q, its inverse.
Make a column of what has a level in the matrix, and write gr(column, cov = A).

y ~ (1 | gr(line, cov = A)/plot)
         ^
'gr(line, cov = A)' stands beside another grouping factor.
The matrix of gr() has all levels of its group term.
Write (1 | gr(line, cov = A)), and another group term for the rest.

y ~ (1 | gr(line, cov = A)) + (x | line) + (0 + x | gr(line, cov = A)) + (1 | gr(line, cov = A))
                                                                         ^
the intercept of 'line' appears twice, in (1 | gr(line, cov = A)) and in (1 | gr(line, cov = A)).
Each column of a grouping factor belongs to one group term.
Write (1 | gr(line, cov = A)) alone.
"""


@each_message(MESSAGES)
def test_messages(message):
    assert refusal(message) == message


@pytest.mark.parametrize(("text", "matrix"), [
    ("(1 | gr(line, cov = A))", GivenMatrix("cov", "A")),
    ("(1 + x | gr(line, precision = Q))", GivenMatrix("precision", "Q")),
    ("(1 + x || gr(line, cov = `my A`))", GivenMatrix("cov", "my A")),
    ("ar1(0 + f | gr(factor(line), cov = A))", GivenMatrix("cov", "A")),
])  # fmt: skip
def test_a_matrix_is_read_and_spelled(text, matrix):
    formula = parse_formula(f"y ~ x + {text}")
    (term,) = formula.group_terms
    assert term.matrix == matrix
    assert text_of(term) == text
    assert parse_formula(text_of(formula)) == formula
    assert not {"A", "Q", "my A"} & set(columns_of(formula))


def test_the_same_term_is_taken_away_and_another_is_not():
    text = "y ~ x + (1 | gr(line, cov = A))"
    assert str(sf.update(text, ". ~ . - (1 | gr(line, cov = A))")) == "y ~ 1 + x"
    with pytest.raises(sf.FormulaError, match="'\\(1 \\| line\\)' is not in the formula that is changed"):
        sf.update(text, ". ~ . - (1 | line)")


def test_a_function_of_ones_own_is_called():
    formula = parse_formula("y ~ (1 | gr(line, cov = A))", functions=("gr",))
    assert formula.group_terms[0].matrix is None
    assert set(columns_of(formula)) == {"y", "line", "A"}


@pytest.mark.parametrize(("text", "code"), [
    ("(x | gr(line, cov = A))", "brm(y ~ 1 + x + (1 + x | gr(line, cov = A)), data = data, family = gaussian(), "
     "data2 = list(A = A))"),
    ("(1 | gr(line, precision = Q))", "brm(y ~ 1 + x + (1 | gr(line, cov = Q_inverse)), data = data, family = "
     "gaussian(), data2 = list(Q_inverse = solve(Q)))"),
    ("(1 | line) + (1 | gr(line, cov = A)) + (0 + x | line)", "data$line_A <- with(data, line)  # brms takes an effect "
     "of a column once\nbrm(y ~ 1 + x + (1 | line) + (1 | gr(line_A, cov = A)) + (0 + x | line), data = data, family = "
     "gaussian(), data2 = list(A = A))"),
])  # fmt: skip
def test_brms_has_covariances_alone(text, code):
    assert sf.spelling(f"y ~ x + {text}", "brms") == f"library(brms)\n{code}"


@pytest.mark.parametrize(("dialect", "package"), [("lme4", "lme4"), ("bambi", "Bambi")])
def test_others_are_said_to_lack_it(dialect, package):
    text = sf.spelling("y ~ x + (1 | gr(line, cov = A))", dialect)
    assert f"# {package} has no gr(line, cov = A): this is another model, with independent levels" in text


def test_words_and_equation_have_the_matrix():
    explained = sf.explain("y ~ x + (x | gr(line, precision = Q))")
    assert "their covariances from line to line are those of the inverse of the matrix Q" in explained.words
    assert "Q⁻¹ ⊗ (diag(τ₀[line], τ₁[line]) R diag(τ₀[line], τ₁[line]))" in explained.equation
    assert "u₀[line] ~ Normal(0, τ₀[line]² A)" in sf.equation("y ~ (1 | gr(line, cov = A))")
