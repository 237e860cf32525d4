"""How two grouping factors are said to lie to each other."""

import pandas as pd
import pytest

from speclet_formula.design import build_design
from speclet_formula.formula.parse import parse_formula
from speclet_formula.model import relate_groups

PAIRS = {
    "same": (
        [("a", "s"), ("a", "s"), ("b", "t")],
        "g and h are the same division of the rows, into 2 levels.",
    ),
    "nested": (
        [("a", "s"), ("b", "s"), ("b", "s"), ("c", "t")],
        "g is nested in h: each of its 3 levels lies within one level of h, 1 to 2 in each.",
    ),
    "nested the other way": (
        [("a", "s"), ("a", "t"), ("b", "u"), ("b", "v")],
        "h is nested in g: each of its 4 levels lies within one level of g, 2 in each.",
    ),
    "crossed": (
        [("a", "s"), ("a", "t"), ("b", "s"), ("b", "t"), ("b", "t")],
        "g and h are crossed: each of the 4 combinations of their levels occurs.",
    ),
    "partially crossed": (
        [("a", "s"), ("a", "t"), ("b", "s"), ("c", "t")],
        "g and h are partially crossed: 4 of the 6 combinations of their levels occur, so that a level of g meets 1 to "
        "2 of the 2 of h.",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_has_its_exact_words(name):
    rows, words = PAIRS[name]
    data = pd.DataFrame(rows, columns=["g", "h"]).assign(y=1.0)
    (relation,) = relate_groups(build_design(parse_formula("y ~ (1 | g) + (1 | h)"), data))
    assert relation.words == words
    assert relation.kind == name.removesuffix(" the other way")
    (mirrored,) = relate_groups(build_design(parse_formula("y ~ (1 | h) + (1 | g)"), data))
    assert mirrored.kind == relation.kind


def test_each_pair_of_factors_is_told_once():
    data = pd.DataFrame({"y": [1.0] * 4, "x": [1.0, 2, 3, 4], "a": list("ssut"), "b": list("vvww"), "c": list("xyxy")})
    design = build_design(parse_formula("y ~ (1 | a) + (0 + x | a) + (1 | b) + (1 | c)"), data)
    pairs = [(relation.one, relation.other) for relation in relate_groups(design)]
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
    assert relate_groups(build_design(parse_formula("y ~ x"), data)) == ()
