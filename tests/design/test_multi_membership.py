"""The levels of mm(a, b) and what rows have of them, from first rows and from new ones."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design import build_design, replay_design
from speclet_formula.design.design import take_rows
from speclet_formula.design.merged import rows_in_levels
from speclet_formula.design.multi_membership import level_pairs
from speclet_formula.formula.parse import parse_formula


def design_of(group, data, left="1"):
    return build_design(parse_formula(f"y ~ 1 + ({left} | {group})"), data)


def block_of(group, data, left="1"):
    return design_of(group, data, left).mean.groups[0]


WEIGHTED = "mm(a, b, weights = cbind(u, v))"


def dense(block):
    """Return Z (n, levels * k), level by level, from the block's own numbers."""
    n, k = block.values.shape
    Z = np.zeros((n, len(block.levels), k))
    for codes, values in block.members():
        np.add.at(Z, (np.arange(n), codes), values)
    return Z.reshape(n, -1)


DATA = pd.DataFrame(
    {
        "y": [1.0, 2, 3, 4],
        "x": [2.0, 3, 4, 5],
        "a": list("cabb"),
        "b": list("dabc"),
        "u": [1.0, 2, 0, 3],
        "v": [3.0, 2, 4, 0],
    }
)


def test_levels_are_the_union_and_equal_parts_are_the_default():
    block = block_of("mm(a, b)", DATA)
    assert (block.group, block.label, block.factors) == ("mm(a, b)",) * 2 + (("mm(a, b)",),)
    assert block.levels == ("a", "b", "c", "d")
    np.testing.assert_array_equal(
        dense(block), [[0, 0, 0.5, 0.5], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0.5, 0.5, 0]]
    )  # a level that a row names twice has both parts
    rows, codes = block.belongings
    assert [*zip(rows.tolist(), codes.tolist(), strict=True)] == [(0, 2), (0, 3), (1, 0), (2, 1), (3, 1), (3, 2)]


def test_weights_are_made_parts_of_one_unless_told_otherwise():
    scaled = dense(block_of(WEIGHTED, DATA))
    np.testing.assert_allclose(scaled, [[0, 0, 0.25, 0.75], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
    plain = block_of("mm(a, b, weights = cbind(u, -1), scale = FALSE)", DATA)
    np.testing.assert_allclose(dense(plain), [[0, 0, 1, -1], [1, 0, 0, 0], [0, -1, 0, 0], [0, 3, -1, 0]])
    np.testing.assert_allclose(plain.summed[:, 0], [0, 1, -1, 2])
    np.testing.assert_allclose(plain.loads[:, 0] ** 2, [2, 1, 1, 10])


def test_columns_are_multiplied():
    block = block_of(WEIGHTED, DATA, "x")
    assert block.slots == ("1|mm(a, b)", "x|mm(a, b)")
    Z = dense(block).reshape(4, 4, 2)
    np.testing.assert_allclose(Z[:, :, 1], Z[:, :, 0] * DATA["x"].to_numpy()[:, None])


@pytest.mark.parametrize(
    ("first", "second", "levels"),
    [
        ([10, 2], [9, 2], ("2", "9", "10")),
        (["b", "a"], ["c", "c"], ("a", "b", "c")),
        (pd.Categorical(["lo", "hi"], ["lo", "hi"]), ["mid", "mid"], ("lo", "hi", "mid")),
        (pd.Categorical(["lo", "hi"], ["hi", "lo"]), pd.Categorical(["lo", "no"], ["no", "lo"]), ("hi", "lo", "no")),
    ],
)
def test_levels_are_in_order(first, second, levels):
    assert block_of("mm(a, b)", pd.DataFrame({"y": [1.0, 2], "a": first, "b": second})).levels == levels


def test_a_weight_of_zero_is_no_membership():
    data = DATA.assign(b=["none", "a", "none", "c"], v=[0.0, 1, 0, 1], u=1.0)
    block = block_of(WEIGHTED, data)
    assert block.levels == ("a", "b", "c")
    np.testing.assert_allclose(dense(block), [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]])
    again = replay_design(design_of(WEIGHTED, data), data.assign(b="never seen", v=0.0))
    assert again.mean.groups[0].new_levels == ()


def test_new_rows_get_the_same_columns_and_new_levels_places_below_zero():
    design = design_of(WEIGHTED, DATA)
    again = replay_design(design, DATA).mean.groups[0]
    np.testing.assert_array_equal(dense(again), dense(design.mean.groups[0]))
    new = replay_design(design, DATA.head(2).assign(a=["zz", "a"], b=["c", "yy"])).mean.groups[0]
    assert new.new_levels == ("yy", "zz")
    assert [new.places[0].tolist(), new.places[1].tolist()] == [[-2, 2], [0, -1]]
    part = take_rows(design, np.array([3, 0])).mean.groups[0]
    np.testing.assert_array_equal(dense(part), dense(design.mean.groups[0])[[3, 0]])


def test_rows_are_counted_at_each_of_their_levels():
    design = design_of("mm(a, b)", DATA)
    np.testing.assert_array_equal(rows_in_levels(design, design.mean.groups[0]), [1, 2, 2, 1])


def test_pairs_of_levels_that_meet_are_those_of_single_rows():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({name: rng.choice(list("pqrst"), 30) for name in "abc"}).assign(y=0.0)
    groups = build_design(parse_formula("y ~ (1 | mm(a, b)) + (1 | c) + (1 | a:b)"), data).mean.groups
    for one in groups:
        for other in groups:
            met = {
                (int(i), int(j))
                for row in range(30)
                for i in np.unique(one.belongings[1][one.belongings[0] == row])
                for j in np.unique(other.belongings[1][other.belongings[0] == row])
            }
            found = level_pairs(one, other)
            assert len(set(found.tolist())) == len(found)
            assert {divmod(int(pair), len(other.levels)) for pair in found} == met


def test_one_level_a_row_is_refused_by_name():
    block = block_of("mm(a, b)", DATA)
    with pytest.raises(sf.DataError, match=r"each row belongs to several levels of 'mm\(a, b\)'"):
        _ = block.codes


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (DATA.assign(u=[-1.0, 1, 1, 1]), f"weights of '{WEIGHTED}' are below zero in 1 of 4 rows (counted from 0: 0)."),
        (DATA.assign(u=0.0), f"weights of '{WEIGHTED}' are all zero in 1 of 4 rows (counted from 0: 3)."),
        (DATA.assign(u=list("wxyz")), f"the weights 'u' of '{WEIGHTED}' are not numbers."),
    ],
)
def test_weights_that_cannot_be_scaled_are_refused(data, problem):
    with pytest.raises(sf.DataError) as error:
        design_of(WEIGHTED, data)
    assert error.value.problem == problem


def test_a_column_of_members_that_lacks_a_value_is_refused():
    with pytest.raises(sf.DataError, match="'b'"):
        design_of("mm(a, b)", DATA.assign(b=["a", None, "b", "c"]))


FOLDER = Path(__file__).parents[1] / "data" / "r"


@pytest.mark.parametrize(
    "known", json.loads((FOLDER / "multi_membership_brms.json").read_text()), ids=lambda known: known["group"]
)
def test_rows_have_of_each_level_what_brms_gives_them(known):
    """What brms 2.18 hands to Stan: levels in the same order, counted from 1, and weights."""
    data = pd.read_csv(FOLDER / "multi_membership.csv")
    Z = np.zeros((len(data), 20))
    for codes, weights in zip(known["J"], known["W"], strict=True):
        np.add.at(Z, (np.arange(len(data)), np.array(codes) - 1), weights)
    np.testing.assert_allclose(dense(block_of(known["group"], data)), Z, atol=1e-6)
