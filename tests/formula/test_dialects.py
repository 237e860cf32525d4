"""Formulas as lme4, brms and bambi write them."""

import pytest
from formulae import model_description

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.spelling import spell_formula


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
            "cbind(s, n - s) ~ 1 + (1 + x || g)",
            "s | trials(s + (n - s)) ~ 1 + (1 + x || g)",
            "p(s, s + (n - s)) ~ 1 + (1 | g) + (0 + x | g)",
        ),
        (
            "y ~ 0 + (0 + x:z || g)",
            "y ~ 0 + (0 + x:z || g)",
            "y ~ 0 + (0 + x:z || g)",
            "y ~ 0 + (0 + x:z | g)",
        ),
        (
            "log(a/b) ~ I(x^-2) + poly(x, 2, raw = TRUE):factor(f) + offset(log(n))",
            "log(a / b) ~ 1 + I(x^-2) + poly(x, 2, raw = TRUE):factor(f) + offset(log(n))",
            "log(a / b) ~ 1 + I(x^-2) + poly(x, 2, raw = TRUE):factor(f) + offset(log(n))",
            "np.log(a / b) ~ 1 + I(x**(-2)) + poly(x, 2, raw=True):C(f) + offset(np.log(n))",
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
            'y ~ 1 + I(!a & b == "x") + pmax(x, -z)',
            'y ~ 1 + I(!a & b == "x") + pmax(x, -z)',
            'y ~ 1 + I(np.logical_and(np.logical_not(a), b == "x")) + np.maximum(x, -z)',
        ),
        (
            "y ~ I(g %in% h | x + (y1 - y2) > 0)",
            "y ~ 1 + I(g %in% h | x + (y1 - y2) > 0)",
            "y ~ 1 + I(g %in% h | x + (y1 - y2) > 0)",
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
