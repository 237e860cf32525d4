"""Formulas as lme4, brms and bambi write them."""

import pytest
from formulae import model_description

from speclet_formula.errors import FormulaError
from speclet_formula.formula.dialects import spell_formula
from speclet_formula.formula.parse import parse_formula


@pytest.mark.parametrize(
    ("text", "lme4", "brms", "bambi"),
    [
        (
            "y ~ x + (x | g/h)",
            "y ~ 1 + x + (1 + x | g) + (1 + x | g:h)",
            "y ~ 1 + x + (1 + x | g) + (1 + x | g:h)",
            "y ~ 1 + x + (1 + x | g) + (1 + x | g:h)",
        ),
        (
            "cbind(s, n - s) ~ (x || g)",
            "cbind(s, n - s) ~ 1 + diag(1 + x | g)\n"
            "# diag(1 + x | g) needs lme4 2.0; lme4 1.1 takes (1 + x || g) where all are numbers, and else a term "
            '(0 + column | g) for each column of x, such as dummy(f, "level")',
            "s | trials(s + (n - s)) ~ 1 + (1 + x || g)",
            "p(s, s + (n - s)) ~ 1 + (1 | g) + (0 + x | g)",
        ),
        (
            "y ~ 0 + (0 + log(x):z || g)",
            "y ~ 0 + diag(0 + log(x):z | g)\n"
            "# diag(0 + log(x):z | g) needs lme4 2.0; lme4 1.1 takes (0 + log(x):z || g) where all are numbers, and "
            'else a term (0 + column | g) for each column of log(x):z, such as dummy(f, "level")',
            "y ~ 0 + (0 + log(x):z || g)",
            "y ~ 0 + (0 + np.log(x):z | g)",
        ),
        (
            "log(a/b) ~ I(x^-2) + poly(x, 2, raw = TRUE):factor(f) + offset(log(n))",
            "log(a / b) ~ 1 + I(x^-2) + poly(x, 2, raw = TRUE):factor(f) + offset(log(n))",
            "log(a / b) ~ 1 + I(x^-2) + poly(x, 2, raw = TRUE):factor(f) + offset(log(n))",
            "np.log(np.divide(a, b)) ~ 1 + I(x**(-2)) + poly(x, 2, raw=True):C(f) + offset(np.log(n))",
        ),
        (
            "a - b ~ center(x) + I(center(x)^2); sigma ~ center(z)",
            "a - b ~ 1 + scale(x, scale = FALSE) + I(scale(x, scale = FALSE)^2)\n"
            "# lme4 has no formula for a parameter: sigma ~ 1 + scale(z, scale = FALSE)",
            "bf(a - b ~ 1 + scale(x, scale = FALSE) + I(scale(x, scale = FALSE)^2), "
            "sigma ~ 1 + scale(z, scale = FALSE))",
            'bmb.Formula("I(a - b) ~ 1 + center(x) + I(center(x)**2)", "sigma ~ 1 + center(z)")',
        ),
        (
            "y ~ I(!a & b == 'x') + pmax(x, -z)",
            'y ~ 1 + as.numeric(!a & b == "x") + pmax(x, -z)',
            'y ~ 1 + as.numeric(!a & b == "x") + pmax(x, -z)',
            'y ~ 1 + I(np.logical_and(np.logical_not(a), b == "x")) + np.maximum(x, -z)',
        ),
        (
            "y ~ I(g %in% h | x + (y1 - y2) > 0)",
            "y ~ 1 + as.numeric(g %in% h | x + (y1 - y2) > 0)",
            "y ~ 1 + as.numeric(g %in% h | x + (y1 - y2) > 0)",
            "y ~ 1 + I(np.logical_or(np.isin(g, h), (x + (y1 - y2)) > 0))",
        ),
    ],
)
def test_spellings_of_other_packages(text, lme4, brms, bambi):
    formula = parse_formula(text)
    assert spell_formula(formula, "lme4") == lme4
    assert spell_formula(formula, "brms") == brms
    assert spell_formula(formula, "bambi") == bambi
    assert parse_formula(lme4.split("\n")[0]) is not None  # R text for lme4 is text that is read here, too
    if "bmb.Formula" not in bambi:
        model_description(bambi)  # raises where Bambi's parser does not read it


@pytest.mark.parametrize(
    ("text", "levels", "bambi"),
    [
        ("y ~ log(x, 2)", None, "y ~ 1 + np.divide(np.log(x), np.log(2))"),
        ("y ~ pmin(x, z, 3)", None, "y ~ 1 + np.minimum(np.minimum(x, z), 3)"),
        ("`a/b` ~ (1 | `g/h`)", None, "a_b ~ 1 + (1 | g_h)"),
        ("`a/b` ~ a_b + `2/3`", None, "a_b_ ~ 1 + a_b + v2_3"),
    ],
)
def test_bambi_takes_every_name(text, levels, bambi):
    assert spell_formula(parse_formula(text), "bambi", levels=levels) == bambi
    model_description(bambi)


def test_spelling_of_a_parameters_formula_alone():
    formula = parse_formula("y ~ 1; sigma ~ x").parameters[0][1]
    assert [spell_formula(formula, dialect) for dialect in ("lme4", "brms", "bambi")] == ["~ 1 + x"] * 3


def test_unknown_dialect():
    with pytest.raises(FormulaError) as error:
        spell_formula(parse_formula("y ~ x"), "Brms ")
    assert str(error.value) == "'Brms ' is not a dialect.\nChoices: lme4, brms, bambi.\nWrite 'brms'."
    with pytest.raises(FormulaError) as error:
        spell_formula(parse_formula("y ~ x"), "q")
    assert str(error.value).endswith("Choose one of them for dialect=.")


@pytest.mark.parametrize(
    ("text", "r", "bambi"),
    [
        (
            "y ~ dummy(f, 'b') + (1 + dummy(k, 2) || g)",
            'y ~ 1 + as.numeric(f == "b") + (1 + as.numeric(k == 2) || g)',
            'y ~ 1 + I(f == "b") + (1 | g) + (0 + I(k == 2) | g)',
        ),
        (
            "y ~ dummy(f) + (0 + dummy(f, c('a', 'b')) | g)",
            'y ~ 1 + lme4::dummy(f) + (0 + lme4::dummy(f, c("a", "b")) | g)',
            'y ~ 1 + dummy(f) + (0 + dummy(f, c("a", "b")) | g)',
        ),
    ],
)
def test_dummies_are_comparisons_elsewhere(text, r, bambi):
    formula = parse_formula(text)
    assert [spell_formula(formula, dialect) for dialect in ("lme4", "brms", "bambi")] == [r, r, bambi]


def test_r_s_words_for_a_comparison_as_a_number_are_read():
    read = parse_formula("y ~ as.numeric(f == 'b') + (1 + as.integer(k > 2) | g)")
    assert read == parse_formula("y ~ I(f == 'b') + (1 + I(k > 2) | g)")
