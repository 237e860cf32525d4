"""Smooth terms in formulas: what they say, how they are spelled, and what is not one."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.smooths import smooth_in
from speclet_formula.formula.terms import text_of


@pytest.mark.parametrize(
    ("text", "label", "bases", "sizes"),
    [
        ("s(x)", "s(x)", ("tp",), (10,)),
        ("s(x, k = 20, bs = 'cr')", "s(x)", ("cr",), (20,)),
        ("s(log(x), by = f)", "s(log(x), by = f)", ("tp",), (10,)),
        ("s(x, z)", "s(x, z)", ("tp",), (30,)),
        ("s(x, g, bs = 'fs')", "s(x, g)", ("fs",), (10,)),
        ("t2(x, z)", "t2(x, z)", ("cr", "cr"), (5, 5)),
        ("gp(x)", "gp(x)", ("exp_quad",), (20,)),
        ("hsgp(x, m=10, c=2, cov='Matern52', scale=False)", "gp(x)", ("matern52",), (10,)),
        ("gp(x, k = 15, c = 5 / 4, by = f)", "gp(x, by = f)", ("exp_quad",), (15,)),
        ("t2(x, z, k = c(4, 7), bs = c('cr', 'ps'))", "t2(x, z)", ("cr", "ps"), (4, 7)),
    ],
)
def test_a_smooth_says_its_basis_and_size(text, label, bases, sizes):
    formula = parse_formula(f"y ~ a + {text} + (1|g)")
    smooth = smooth_in(formula.terms[-1])
    assert (smooth.label, smooth.bases, smooth.sizes) == (label, bases, sizes)
    assert parse_formula(text_of(formula)) == formula
    assert smooth_in(formula.terms[0]) is None


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("s(x):f", "stands next to ':'", "Write s(x, by = f) + f for a curve of each level of f."),
        ("s(x)*f", "stands next to '*'", "Write s(x, by = f) + f for a curve of each level of f."),
        ("(s(x)|g)", "stands inside a group term", 'Write s(x, g, bs = "fs") for a curve of each level of g.'),
        ("log(s(x))", "stands inside something else", "Write s(x, by = f) + f for a curve of each level of f."),
        ("(1|s(x))", "stands inside something else", "Write s(x, by = f) + f for a curve of each level of f."),
        ("s(g, bs = 'mrf')", "has a basis that there is not", "There are tp, cr, cc, ps, fs."),
        ("s(x, bs = 'ad')", "has a basis that there is not", "There are tp, cr, cc, ps, fs."),
        ("s(x, m = 1)", "has the argument m", "It takes k, bs and by."),
        ("s(x, k = 2)", "has k = 2", "k is from 3 to 500 here."),
        ("s(x, k = 2.5)", "has a k that is no whole number", "Write k = 10."),
        ("s(x, z, bs = 'cr')", 'has 2 variables for bs = "cr"', "Write t2(x, z), or s(x, z) with bs left out."),
        ("s(x, z, w)", "has 3 variables", "s() takes one or two; add smooths of fewer variables."),
        ("s(x, bs = 'fs')", "has 1 variables", 'Write s(x, g, bs = "fs") with one variable and a factor.'),
        ("t2(x)", "has 1 variables", "t2() takes two; write s(x) for one."),
        ("t2(x, z, by = f)", "has by", "Write s(x, z, by = f), or t2(x, z) alone."),
        ("t2(x, z, bs = 'cc')", "has other bases", 'Write bs = "cr", "ps" or "tp", or bs = c("cr", "ps").'),
        ("s(k = 5)", "names no variable", "Write s(x), and s(x, k = 20) for another k."),
        ("te(x, z)", "'te' is not a function", "Write t2 instead."),
        ("gp(x):f", "stands next to ':'", "Write gp(x, by = f) for a curve of each level of f."),
        ("(gp(x)|g)", "stands inside a group term", "Write gp(x, by = g) for a curve of each level of g."),
        ("gp(x, z)", "has 2 variables", "Write t2(x, z) for a surface."),
        ("gp(m = 5)", "names no variable", "Write gp(x)."),
        ("gp(x, m = 2)", "has m = 2", "It is from 3 to 500 here."),
        ("gp(x, m = 5, k = 5)", "has m and k", "They are the same number: write m."),
        ("gp(x, c = 0.9)", "has a box that", "Write c = 2.5: a box that is much wider than the data."),
        ("gp(x, k = 9, c = 0.4)", "has a box", "Write c = 1.25: a box that is much wider than the data."),
        ("gp(x, c = z)", "has a c that is no number", "Write c = 2.5."),
        ("gp(x, cov = 'exponential')", "has a covariance function", "There are exp_quad, matern52, matern32."),
        ("hsgp(x, m=9, L=3)", "has the argument L", "It takes m, c, cov and by."),
        ("hsgp(x, scale=True)", "scales its variable", "The length-scale is in the unit of x: leave scale out."),
    ],
)
def test_what_is_no_smooth_is_told_what_to_write(text, problem, remedy):
    with pytest.raises(FormulaError) as caught:
        parse_formula(f"y ~ a + {text}")
    assert problem in caught.value.problem
    assert caught.value.remedy == remedy


def test_a_function_of_ones_own_of_that_name_is_no_smooth():
    formula = parse_formula("y ~ s(x):f", functions=("s",))
    assert [text_of(term) for term in formula.terms] == ["s(x):f"]


def test_a_smooth_is_taken_out_and_put_in_by_a_change():
    former = parse_formula("y ~ s(x) + z")
    assert text_of(parse_formula(". ~ . - s(x)", former=former)) == "y ~ 1 + z"
    assert text_of(parse_formula(". ~ . + s(w, k = 5)", former=former)) == "y ~ 1 + s(x) + z + s(w, k = 5)"


def test_brms_measures_its_box_by_the_whole_range():
    terms = parse_formula("y ~ gp(x, m = 9, c = 2) + gp(x, k = 9, c = 1)").terms
    assert [smooth_in(term).box for term in terms] == [2, 2]
