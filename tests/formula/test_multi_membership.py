"""mm(a, b) in formulas: how it reads and prints, and what is refused."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.multi_membership import (
    is_scaled,
    members_of,
    membership_of,
    memberships_in,
    plain_group,
    weights_of,
    without_memberships,
)
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Name, columns_of, text_of

WEIGHTED = "(1 + x | mm(a, b, weights = cbind(u, v), scale = FALSE))"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("(1 | mm(a, b))", "(1 | mm(a, b))"),
        ("(x || mm(a, b, c))", "(1 + x || mm(a, b, c))"),
        ("(1 | mm(a, b, weights = cbind(u, v)))", "(1 | mm(a, b, weights = cbind(u, v)))"),
        ("(1 | mm(weights = cbind(u, I(v / 2)), a, b))", "(1 | mm(a, b, weights = cbind(u, I(v / 2))))"),
        ("(x | mm(a, b, scale = FALSE, weights = cbind(u, v)))", WEIGHTED),
        ("(1 | mm(a, b, weights = cbind(u, 1), scale = TRUE))", "(1 | mm(a, b, weights = cbind(u, 1)))"),
        ("(1 | mm(a, b, scale = FALSE))", "(1 | mm(a, b))"),  # as in brms: without weights there is nothing to scale
        ("(1 | mm(factor(a), `b c`))", "(1 | mm(factor(a), `b c`))"),
        ("cs(f | mm(a, b))", "cs(1 + f | mm(a, b))"),
    ],
)
def test_it_reads_as_in_brms(written, read):
    formula = parse_formula(f"y ~ {written}")
    assert text_of(formula.group_terms[0]) == read
    assert parse_formula(str(formula)) == formula


def test_its_parts_are_told():
    formula = parse_formula(f"y ~ x + {WEIGHTED} + (1 | a:b); sigma ~ (1 | mm(a, c))")
    call = membership_of(formula.group_terms[0].group)
    assert call is not None
    assert members_of(call) == (Name("a"), Name("b"))
    assert text_of(weights_of(call)) == "cbind(u, v)"
    assert not is_scaled(call)
    assert text_of(plain_group(formula.group_terms[0].group)) == "mm(a, b)"
    assert membership_of(formula.group_terms[1].group) is None
    assert plain_group(formula.group_terms[1].group) is formula.group_terms[1].group
    assert columns_of(formula) == ("y", "x", "a", "b", "u", "v", "c")
    assert memberships_in(formula) == [WEIGHTED, "(1 | mm(a, c))"]
    assert str(without_memberships(formula)) == "y ~ 1 + x + (1 | a:b); sigma ~ 1"
    equal = membership_of(formula.parameters[0][1].group_terms[0].group)
    assert weights_of(equal) is None
    assert is_scaled(equal)


def test_a_function_of_the_users_of_that_name_is_called():
    formula = parse_formula("y ~ (1 | mm(a))", functions=["mm"])
    assert text_of(formula.group_terms[0]) == "(1 | mm(a))"


@pytest.mark.parametrize(
    ("group", "problem"),
    [
        ("mm(a)", "'mm(a)' is not how mm is written: these are not two columns or more, each once."),
        ("mm(a, a)", "'mm(a, a)' is not how mm is written: these are not two columns or more, each once."),
        ("mm(a + b, c)", "'mm(a + b, c)' is not how mm is written: 'a + b' is not a column."),
        ("mm(a, b, by = f)", "'mm(a, b, by = f)' is not how mm is written: it has no argument 'by'."),
        ("mm(a, b, scale = x)", "'mm(a, b, scale = x)' is not how mm is written: scale is TRUE or FALSE, not 'x'."),
        (
            "mm(a, b, scale = TRUE, scale = TRUE)",
            "'mm(a, b, scale = TRUE, scale = TRUE)' is not how mm is written: it has two arguments 'scale'.",
        ),
        ("mm(a, b, weights = u)", "'mm(a, b, weights = u)' is not how mm is written: 'u' is not cbind(u, v)."),
        (
            "mm(a, b, weights = cbind(u))",
            "'mm(a, b, weights = cbind(u))' is not how mm is written: it has 2 columns, and weights for 1.",
        ),
        ("mm(a, b):c", "'mm(a, b):c' crosses mm() with another factor."),
        ("c/mm(a, b)", "'c:mm(a, b)' crosses mm() with another factor."),
        ("c * mm(a, b)", "'c:mm(a, b)' crosses mm() with another factor."),
    ],
)
def test_what_is_not_mm_is_refused(group, problem):
    with pytest.raises(FormulaError) as error:
        parse_formula(f"y ~ (1 | {group})")
    assert error.value.problem == problem
    assert "mm(" in error.value.remedy


def test_it_is_no_term_of_its_own():
    with pytest.raises(FormulaError, match=r"Write \(1 \| mm\(a, ...\)\)"):
        parse_formula("y ~ mm(a, b)")
