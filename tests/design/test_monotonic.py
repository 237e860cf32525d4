"""The columns of monotonic effects: one for each step, from whole numbers or an ordered factor."""

import numpy as np
import pandas as pd
import pytest

from speclet_formula.design import build_design, replay_design
from speclet_formula.design.monotonic import condensed
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.formula.parse import parse_formula

LEVELS = ["low", "mid", "high"]
TABLE = pd.DataFrame({"y": np.arange(6.0), "d": [3, 4, 5, 3, 4, 5], "x": [0.1, 0.2, 0.4, 0.3, 0.0, 0.5]})
TABLE["o"] = pd.Categorical(np.array(LEVELS)[[0, 1, 2, 2, 1, 0]], LEVELS, ordered=True)
TABLE["text"] = list("abcabc")


def _design(formula):
    return build_design(parse_formula(formula), TABLE)


@pytest.mark.parametrize("formula", ["y ~ mo(d) + x", "y ~ mo(d) + d:x"])
def test_a_step_is_a_column_and_new_rows_have_the_same(formula):
    design = _design(formula)
    (term,) = design.monotonic
    assert term.columns == ("mo(d)[4-3]", "mo(d)[5-4]")
    assert (term.simplex, term.shares) == ("mo(d)_simplex", ("mo(d)_simplex[4-3]", "mo(d)_simplex[5-4]"))
    expected = np.column_stack([TABLE["d"] > 3, TABLE["d"] > 4]).astype(float)
    np.testing.assert_array_equal(design.mean.X[:, term.start : term.stop], expected)
    again = replay_design(design, TABLE.iloc[[5, 0]])
    np.testing.assert_array_equal(again.mean.X[:, term.start : term.stop], expected[[5, 0]])
    one = condensed(design)
    np.testing.assert_array_equal(one.mean.X[:, one.monotonic[0].start], TABLE["d"] - 3)
    assert one.mean.columns == ("Intercept", "mo(d)", design.mean.columns[-1])


def test_an_ordered_factor_has_its_own_order():
    design = _design("y ~ mo(o)")
    np.testing.assert_array_equal(design.mean.X[:3, 1:], [[0, 0], [1, 0], [1, 1]])
    assert condensed(_design("y ~ x")).mean.columns == ("Intercept", "x")


@pytest.mark.parametrize("value", [6, 3.5])
def test_a_level_that_was_not_seen_is_refused(value):
    for formula, kind in (("y ~ mo(d)", DataError), ("y ~ mo(d) + d:x", FormulaError)):
        with pytest.raises(kind, match=r"has levels that the model has not seen|has not seen the level|whole numbers"):
            replay_design(_design(formula), TABLE.head(1).assign(d=value))


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ("x", "the numbers of 'x' in mo(x) are not 0, 1, 2, ... or some such: 0, 0.1, 0.2, 0.3, 0.4 and 1 more."),
        ("gap", "the numbers of 'gap' in mo(gap) are not 0, 1, 2, ... or some such: 0, 1, 3."),
        ("text", "the levels of 'text' in mo(text) have no order: a, b, c."),
        ("kinds", "the levels of 'kinds' in mo(kinds) have no order: a, b, c."),
    ],
)
def test_levels_without_an_order_are_refused(column, problem):
    table = TABLE.assign(gap=[0, 1, 3, 0, 1, 3], kinds=TABLE["text"].astype("category"))
    with pytest.raises(DataError) as caught:
        build_design(parse_formula(f"y ~ mo({column})"), table)
    assert caught.value.problem == problem


def test_two_levels_have_one_step():
    with pytest.raises(FormulaError, match="it has 2 levels, and its steps differ from three on"):
        build_design(parse_formula("y ~ mo(d)"), TABLE[TABLE["d"] < 5])
