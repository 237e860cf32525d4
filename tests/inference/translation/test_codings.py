"""Codings of factors in Bambi: the same columns there, and its own codings read."""

from functools import cache
from pathlib import Path

import bambi
import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.translation.names import bambi_names


@cache
def odd_data():
    """The table of tests/data/r, with plain objects as text: Bambi warns of pandas' own text."""
    data = pd.read_csv(Path(__file__).parents[2] / "data" / "r" / "odd_formulas.csv")
    return data.astype(dict.fromkeys(("f", "h", "a", "g"), object))


BAMBI = [
    "y ~ C(f, sum) * x + (1 | g)",
    "y ~ C(f, helmert) * h",
    "y ~ x + C(f, sdif):h",
    "y ~ 0 + C(f, poly) + h + h:C(f, poly)",
    "y ~ h + h:C(a, sum)",
    "y ~ C(f, sum):C(a, poly) + (C(f, sum) | g)",
]


@pytest.mark.parametrize("formula", BAMBI)
def test_bambi_gets_the_same_columns(formula):
    model = sf.Model(formula, odd_data())
    translated = sf.to_bambi(model)
    component = translated.conditional_parameters["mu"]
    named = bambi_names(model.design).fixed(model.design.mean)
    assert {name for name in component.terms if "|" not in name} - {"Intercept"} == set(named) - {"Intercept"}
    for name, term in named.items():
        if name != "Intercept":
            found = np.asarray(component.terms[name].data).reshape(len(model.design.response), -1)
            np.testing.assert_allclose(found, model.design.mean.X[:, term.start : term.stop], atol=1e-14)
    assert sf.from_bambi(translated).formula == model.formula


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("y ~ C(f, Sum) + x", "y ~ 1 + C(f, sum) + x"),
        ("y ~ S(f)*x", "y ~ 1 + C(f, sum) + x + C(f, sum):x"),
        ("y ~ C(f, Treatment('v'))", 'y ~ 1 + relevel(f, "v")'),
        ("y ~ T(f, 'w') + x", 'y ~ 1 + relevel(f, "w") + x'),
        ("y ~ C(f, Treatment)", "y ~ 1 + factor(f)"),
        ("y ~ C(f, Sum())", "y ~ 1 + C(f, sum)"),
    ],
)
def test_codings_of_bambi_are_read(there, here):
    assert str(sf.from_bambi(bambi.Model(there, odd_data()[["y", "f", "x"]])).formula) == here


@pytest.mark.parametrize("formula", ["y ~ C(f, Sum('v'))", "y ~ S(f, 'v')"])
def test_codings_of_bambi_that_are_not_here_are_refused(formula):
    with pytest.raises(sf.FormulaError, match="no counterpart"):
        sf.from_bambi(bambi.Model(formula, odd_data()[["y", "f"]]))
