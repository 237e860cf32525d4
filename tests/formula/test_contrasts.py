"""contrasts=, which codes factors of the fixed terms, and changed formulas, which keep their codings."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.contrasts import changed_formula, with_contrasts
from speclet_formula.formula.parse import parse_formula


@pytest.mark.parametrize(
    ("formula", "contrasts", "coded"),
    [
        ("y ~ f * x + (f | g)", {"f": "sum"}, "y ~ 1 + C(f, sum) + x + C(f, sum):x + (1 + f | g)"),
        ("y ~ f + h", {"f": "contr.poly", "h": "Sum"}, "y ~ 1 + C(f, poly) + C(h, sum)"),
        ("y ~ f", {"f": "Treatment('b')"}, 'y ~ 1 + relevel(f, "b")'),
        ("y ~ f", {"f": "treatment"}, "y ~ 1 + factor(f)"),
        ("y ~ factor(k) + f", {"factor(k)": "sdif"}, "y ~ 1 + C(factor(k), sdif) + f"),
        ("y ~ `a b` + x", {"a b": "sum"}, "y ~ 1 + C(`a b`, sum) + x"),
        ("y ~ x; sigma ~ f", {"f": "helmert"}, "y ~ 1 + x; sigma ~ 1 + C(f, helmert)"),
        ("y ~ f", None, "y ~ 1 + f"),
        ("y ~ f", {}, "y ~ 1 + f"),
    ],
)
def test_factors_of_fixed_terms_are_coded(formula, contrasts, coded):
    assert str(with_contrasts(parse_formula(formula), contrasts)) == coded


@pytest.mark.parametrize(
    ("contrasts", "message"),
    [
        ("sum", "contrasts is of type 'str'.\nIt is a dictionary: the coding of each factor.\n"),
        ({"f": 3}, "contrasts['f'] is of type 'int'.\nCodings: treatment, sum, helmert, poly, sdif;"),
        (
            {"f": [[-1, 1]]},
            "contrasts['f'] is of type 'list'.\n"
            "Codings: treatment, sum, helmert, poly, sdif; contr.sum and Sum mean sum, and so on.\n"
            "Contrasts of your own are given after the fit: sf.contrasts(",
        ),
        ({"f": "suum"}, "contrasts['f'] is 'suum', which is no coding.\nCodings: treatment, sum,"),
        ({"f": "sum) + z + (1 | h"}, "contrasts['f'] is 'sum) + z + (1 | h', which is no coding.\n"),
        ({"f": "sum) + (z"}, "contrasts['f'] is 'sum) + (z', which is no coding.\n"),
        ({"f": "sum):log(z"}, "contrasts['f'] is 'sum):log(z', which is no coding.\n"),
        ({"ff": "sum"}, "contrasts= names 'ff', which is in no fixed term.\nFactors of the fixed terms: f, x, "),
        ({"g": "sum"}, "contrasts= names 'g', which is in no fixed term.\n"),
        ({"C(h, sum)": "poly"}, "contrasts= names 'C(h, sum)', which is coded already.\n"),
    ],
)
def test_what_cannot_be_coded_is_refused(contrasts, message):
    with pytest.raises(FormulaError) as caught:
        with_contrasts(parse_formula("y ~ f * x + C(h, sum) + (1 | g)"), contrasts)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("former", "change", "contrasts", "formula"),
    [
        ("y ~ C(f, sum) + x", ". ~ . - x", None, "y ~ 1 + C(f, sum)"),
        ("y ~ C(f, sum) + x", ". ~ . - f", None, "y ~ 1 + x"),
        ("y ~ C(f, sum) + x", ". ~ . + f:x", None, "y ~ 1 + C(f, sum) + x + C(f, sum):x"),
        ("y ~ C(f, sum) + x", ". ~ . - C(f, sum)", None, "y ~ 1 + x"),
        ("y ~ C(f, sum) + x", ". ~ . + C(h, poly)", None, "y ~ 1 + C(f, sum) + x + C(h, poly)"),
        ("y ~ C(f, sum) + x", ". ~ .", {"f": "poly"}, "y ~ 1 + C(f, poly) + x"),
        ("y ~ f + x", ". ~ .", {"f": "poly"}, "y ~ 1 + C(f, poly) + x"),
        ("y ~ C(f, sum) + x", "log(.) ~ . + (f | g)", None, "log(y) ~ 1 + C(f, sum) + x + (1 + f | g)"),
        ("y ~ f + C(f, sum):x", ". ~ . + z", None, "y ~ 1 + f + z + C(f, sum):x"),
        ("y ~ x; sigma ~ C(f, sum)", ". ~ . - x", None, "y ~ 1; sigma ~ 1 + C(f, sum)"),
    ],
)
def test_a_changed_formula_keeps_its_codings(former, change, contrasts, formula):
    assert str(changed_formula(change, parse_formula(former), contrasts=contrasts)) == formula
