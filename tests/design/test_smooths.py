"""The columns of smooth terms: size, centring, levels, and the same again for other rows."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design import build_design, replay_design
from speclet_formula.formula.parse import parse_formula


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(8)
    data = pd.DataFrame(
        {"x": rng.uniform(0, 5, 90), "z": rng.normal(size=90), "f": np.array(list("abc"))[np.arange(90) % 3]}
    )
    data["few"] = np.arange(90) % 4
    data["y"] = np.sin(data["x"]) + rng.normal(0, 0.3, 90)
    return data


def design_of(text, table):
    return build_design(parse_formula(text), table)


@pytest.mark.parametrize("basis", ["tp", "cr", "ps", "cc"])
def test_the_sd_is_that_of_the_curve_around_its_line(table, basis):
    design = design_of(f'y ~ s(x, bs = "{basis}")', table)
    (block,), x = design.mean.groups, design.mean.X
    assert np.square(block.values).sum(axis=1).mean() == pytest.approx(1)
    np.testing.assert_allclose(x.T @ block.values, 0, atol=1e-8)
    assert design.mean.columns == (("Intercept",) if basis == "cc" else ("Intercept", "line(x)"))
    assert block.sds == ("1|s(x)_sigma",) * 8
    assert len(block.slots) == 8


def test_other_rows_get_the_same_columns(table):
    for text in ("s(x)", "s(x, by = f)", "s(x, by = z)", "s(x, z, k = 12)", "t2(x, z)", 's(x, f, bs = "fs")'):
        design = design_of(f"y ~ f + {text}", table)
        shuffled = table.iloc[[40, 3, 77, 8]]
        other = replay_design(design, shuffled)
        np.testing.assert_allclose(other.mean.X, design.mean.X[[40, 3, 77, 8]], atol=1e-12)
        for block, again in zip(design.mean.groups, other.mean.groups, strict=True):
            np.testing.assert_allclose(again.values, block.values[[40, 3, 77, 8]], atol=1e-12)
            np.testing.assert_array_equal(again.codes, block.codes[[40, 3, 77, 8]])


def test_each_level_has_a_curve_of_its_own(table):
    design = design_of("y ~ f + s(x, by = f, k = 5)", table)
    assert [block.label for block in design.mean.groups] == [f"s(x, by = f)[{level}]" for level in "abc"]
    assert design.mean.columns[-3:] == tuple(f"line(x, by = f)[{level}]" for level in "abc")
    for block, level in zip(design.mean.groups, "abc", strict=True):
        assert (np.abs(block.values).sum(axis=1) > 0).tolist() == (table["f"] == level).tolist()


def test_a_factor_smooth_has_three_sds_and_no_fixed_column(table):
    design = design_of('y ~ s(x, f, bs = "fs", k = 5)', table)
    assert design.mean.columns == ("Intercept",)
    assert [(block.label, len(block.columns), block.levels) for block in design.mean.groups] == [
        ("s(x, f)", 3, ("a", "b", "c")),
        ("s(x, f).1", 1, ("a", "b", "c")),
        ("s(x, f).2", 1, ("a", "b", "c")),
    ]


def test_a_mirrored_and_shifted_variable_gives_the_same_model(table):
    for text in ("s(x)", "t2(x, z)", 's(x, f, bs = "fs")'):
        first, then = design_of(f"y ~ {text}", table), design_of(f"y ~ {text}", table.assign(x=12 - table["x"]))
        for block, other in zip(first.mean.groups, then.mean.groups, strict=True):
            np.testing.assert_allclose(block.values @ block.values.T, other.values @ other.values.T, atol=1e-7)


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("s(few)", "s(few) has k = 10, and few takes 4 distinct values.", "Write s(few, k = 4) or a smaller k."),
        ("s(f)", "'f' of s(f) holds labels, not numbers.", "Write (1 | f) for effects of its levels."),
        (
            's(x, few, bs = "fs")',
            "'few' of s(x, few) holds numbers, and bs = \"fs\" gives each level of a factor a curve.",
            "Write factor(few) for it, or leave bs out for a surface.",
        ),
        (
            "s(log(z))",
            "s(log(z)) is not a finite number",
            "Often a log of zero or of a negative number: add a pseudo-count, or drop those rows first.",
        ),
        ("gp(f)", "'f' of gp(f) holds labels, not numbers.", "Write (1 | f) for effects of its levels."),
        ("gp(x, by = z)", "'z' of gp(x, by = z) holds numbers.", "Write factor(z) for it."),
        ("gp(I(few > 1))", "'I(few > 1)' of gp(I(few > 1)) takes 2 distinct values.", "Write factor(I(few > 1))."),
        ("gp(log(z))", "gp(log(z)) is not a finite number", None),
        ("s(x) + s(x, k = 5)", "two smooths of the formula are 's(x)'.", None),
    ],
)
def test_what_cannot_be_a_curve_is_refused(table, text, problem, remedy):
    with pytest.raises(sf.SpecletError) as caught:
        sf.Model(f"y ~ {text}", table)
    assert caught.value.problem.startswith(problem)
    assert remedy is None or caught.value.remedy == remedy


def test_a_level_that_was_not_fitted_has_no_curve(table):
    design = design_of("y ~ s(x, by = f)", table)
    with pytest.raises(sf.DataError, match="levels that the model has not seen: d"):
        replay_design(design, table.head(2).assign(f="d"))


def test_a_function_of_ones_own_called_s_is_a_column_like_any(table):
    model = sf.Model("y ~ s(x, 2)", table, functions={"s": lambda x, power: x**power})
    assert model.design.mean.columns == ("Intercept", "s(x, 2)")
    assert not model.design.smooths
    np.testing.assert_allclose(model.design.mean.X[:, 1], table["x"] ** 2)


def test_waves_end_at_their_box_and_are_the_same_for_other_rows(table):
    design = design_of("y ~ f + gp(x, m = 6, c = 1.5, by = f)", table)
    (block,), x = design.mean.groups, table["x"].to_numpy()
    middle, distance = (x.max() + x.min()) / 2, np.abs(x - x.mean()).max()
    assert design.mean.columns == ("Intercept", "f[b]", "f[c]")
    assert (block.levels, block.length_scale) == (tuple("abc"), "ell|gp(x, by = f)")
    assert (block.structure.distance, block.structure.reach) == pytest.approx((distance, 1.5 * distance))
    expected = np.sin(np.pi / 2 * np.arange(1, 7) * ((x - middle) / (1.5 * distance) + 1)[:, None])
    np.testing.assert_allclose(block.values, expected, atol=1e-12)
    again = replay_design(design, table.iloc[[40, 3, 77]]).mean.groups[0]
    np.testing.assert_allclose(again.values, block.values[[40, 3, 77]], atol=1e-12)
    np.testing.assert_array_equal(again.codes, block.codes[[40, 3, 77]])
    edge = middle + 1.5 * distance * (1 - 1e-12)
    np.testing.assert_allclose(replay_design(design, table.head(1).assign(x=edge)).mean.groups[0].values, 0, atol=1e-9)
    with pytest.raises(sf.DataError, match=r"'x' of gp\(x, by = f\) lies outside the process's box in 1 of 1 rows"):
        replay_design(design, table.head(1).assign(x=edge + 0.1))
