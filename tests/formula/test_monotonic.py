"""Monotonic effects in formulas: how they are spelled, and what is not one."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.monotonic import stepped_columns, with_free_steps
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import text_of

ALONE = "Write C(factor(x), sdif), a step to each level, which may stand there."


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("mo(x):f", "stands next to ':'", ALONE),
        ("mo(x)*f", "stands next to '*'", ALONE),
        ("(mo(x)|g)", "stands inside a group term", ALONE),
        ("log(mo(x))", "stands inside something else", ALONE),
        ("mo(log(x))", "is not a monotonic effect", "Make the column before the fit, and write mo() of it."),
        ("mo(x, z)", "is not a monotonic effect", "Make the column before the fit, and write mo() of it."),
        ("mo(x, id = 'a')", "is not a monotonic effect", "Leave id out: each mo() has steps of its own."),
    ],
)
def test_what_is_no_monotonic_effect_is_told_what_to_write(text, problem, remedy):
    with pytest.raises(FormulaError) as caught:
        parse_formula(f"y ~ a + {text}")
    assert problem in caught.value.problem
    assert caught.value.remedy == remedy


def test_a_function_of_ones_own_of_that_name_is_no_monotonic_effect():
    assert [text_of(term) for term in parse_formula("y ~ mo(x):f", functions=("mo",)).terms] == ["mo(x):f"]


def test_columns_that_stand_nowhere_else_are_levels():
    formula = parse_formula("y ~ mo(a) + mo(b) + mo(c) + (b|g); sigma ~ c + mo(d)")
    assert stepped_columns(formula) == ("a", "d")
    assert parse_formula(text_of(formula)) == formula


def test_for_others_the_steps_are_free():
    formula = parse_formula("y ~ x + mo(a); sigma ~ mo(b)")
    assert text_of(with_free_steps(formula)) == "y ~ 1 + x + C(factor(a), sdif); sigma ~ 1 + C(factor(b), sdif)"
    assert text_of(with_free_steps(formula, coded=False)) == "y ~ 1 + x + factor(a); sigma ~ 1 + factor(b)"
