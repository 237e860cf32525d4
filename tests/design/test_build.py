"""What the columns of a design are, whatever the order of rows and the names of levels."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from speclet_formula.design import Design, build_design, replay_design
from speclet_formula.formula.parse import parse_formula


def make_table(seed: int = 0, n: int = 40) -> pd.DataFrame:
    """Return a small table with numbers, factors in the analyst's order, and nested labels."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.gamma(2.0, size=n),
            "f": pd.Categorical(
                rng.choice(["vehicle", "treated", "other"], n), categories=["vehicle", "treated", "other"]
            ),
            "g": rng.choice(list("pqrs"), n),
            "h": rng.integers(0, 3, n),
            "flag": rng.random(n) < 0.5,
        }
    )
    table["gene"] = np.where(np.arange(n) % 2 == 0, "A", "B")
    table["sgRNA"] = table["gene"] + "_" + (np.arange(n) % 6).astype(str)
    return table


def design_of(text: str, table: object) -> Design:
    columns = list(table.columns) if hasattr(table, "columns") else list(table)  # type: ignore[call-overload]
    return build_design(parse_formula(text, columns=[str(c) for c in columns]), table, text=text)


def test_a_factor_keeps_the_analysts_order_and_its_observed_levels_only() -> None:
    table = make_table()
    table["f"] = table["f"].cat.add_categories(["never seen"])
    design = design_of("y ~ f", table)
    assert design.mean.fixed[1].columns == ("f[treated]", "f[other]")
    assert np.array_equal(design.mean.X[:, 1], (table["f"] == "treated").to_numpy(dtype=float))


def test_nested_groups_have_the_observed_combinations_only() -> None:
    table = make_table()
    design = design_of("y ~ (1 | gene/sgRNA)", table)
    nested = design.mean.groups[1]
    assert nested.group == "gene:sgRNA"
    assert set(nested.levels) == set(table["gene"] + ":" + table["sgRNA"])
    assert [nested.levels[code] for code in nested.codes] == list(table["gene"] + ":" + table["sgRNA"])


# R's coding: written with model.matrix and lme4's mkReTrms in mind. Columns of each group block.
CODINGS = [
    ("y ~ (f | g)", [("1", "f[treated]", "f[other]")]),
    ("y ~ (0 + f | g)", [("f[vehicle]", "f[treated]", "f[other]")]),
    ("y ~ (1 | g) + (0 + f | g)", [("1",), ("f[vehicle]", "f[treated]", "f[other]")]),
    ("y ~ (x:f | g)", [("1", "x:f[vehicle]", "x:f[treated]", "x:f[other]")]),
    ("y ~ (x * f | g)", [("1", "x", "f[treated]", "f[other]", "x:f[treated]", "x:f[other]")]),
    ("y ~ (x || g)", [("1", "x")]),
    ("y ~ (x - 1 | g)", [("x",)]),
    ("y ~ (poly(x, 2) | g)", [("1", "poly(x, 2)[0]", "poly(x, 2)[1]")]),
    ("y ~ (flag | g)", [("1", "flag")]),
]


@pytest.mark.parametrize(("text", "columns"), CODINGS)
def test_group_blocks_are_coded_as_in_r(text: str, columns: list[tuple[str, ...]]) -> None:
    assert [block.columns for block in design_of(text, make_table()).mean.groups] == columns


RELEVEL = 'relevel(f, ref = "other")'
FIXED = [
    ("y ~ f", ("Intercept", "f[treated]", "f[other]")),
    ("y ~ 0 + f", ("f[vehicle]", "f[treated]", "f[other]")),
    ("y ~ x + x:f", ("Intercept", "x", "x:f[treated]", "x:f[other]")),
    # Within a term the last factor varies fastest, as in Bambi; in R it is the first.
    (
        "y ~ f %in% gene + gene",
        (
            "Intercept",
            "gene[B]",
            "f[treated]:gene[A]",
            "f[treated]:gene[B]",
            "f[other]:gene[A]",
            "f[other]:gene[B]",
        ),
    ),
    ("y ~ 0 + gene:flag", ("gene[A]:flag", "gene[B]:flag")),
    ("y ~ I(x^2) + log(x)", ("Intercept", "I(x^2)", "log(x)")),
    ("y ~ factor(h)", ("Intercept", "factor(h)[1]", "factor(h)[2]")),
    ("y ~ relevel(f, ref = 'other')", ("Intercept", f"{RELEVEL}[vehicle]", f"{RELEVEL}[treated]")),
]


@pytest.mark.parametrize(("text", "columns"), FIXED)
def test_fixed_columns_are_coded_as_in_r(text: str, columns: tuple[str, ...]) -> None:
    design = design_of(text, make_table())
    assert tuple(column for term in design.mean.fixed for column in term.columns) == columns
    assert np.linalg.matrix_rank(design.mean.X) == design.mean.X.shape[1]


def test_calls_that_differ_in_parentheses_only_are_different_terms() -> None:
    table = make_table()
    design = design_of("y ~ I((x + 1) * 2) + I(x + 1 * 2)", table)
    x = table["x"].to_numpy()
    assert np.allclose(design.mean.X[:, 1:], np.column_stack([(x + 1) * 2, x + 2]))


@given(st.integers(0, 10_000))
def test_row_order_changes_nothing(seed: int) -> None:
    table = make_table()
    order = np.random.default_rng(seed).permutation(len(table))
    text = "y ~ f * poly(x, 2) + (1 + x | gene/sgRNA) + (0 + f || g:h)"
    straight, shuffled = design_of(text, table), design_of(text, table.iloc[order])
    assert np.allclose(straight.mean.X[order], shuffled.mean.X)
    for before, after in zip(straight.mean.groups, shuffled.mean.groups, strict=True):
        assert before.levels == after.levels
        assert np.array_equal(before.codes[order], after.codes)
        assert np.allclose(before.values[order], after.values)


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), min_size=4, max_size=4, unique=True))
@pytest.mark.slow
def test_names_of_levels_change_nothing_but_their_labels(names: list[str]) -> None:
    table = make_table()
    renamed = dict(zip("pqrs", names, strict=True))
    table["g"] = pd.Categorical(table["g"], categories=list("pqrs"))
    other = table.assign(g=table["g"].cat.rename_categories(renamed))
    before, after = design_of("y ~ g + (1 | g)", table), design_of("y ~ g + (1 | g)", other)
    assert np.array_equal(before.mean.X, after.mean.X)
    assert np.array_equal(before.mean.groups[0].codes, after.mean.groups[0].codes)
    assert after.mean.groups[0].levels == tuple(names)


def test_every_kind_of_table_gives_the_same_design() -> None:
    table = make_table().drop(columns="f")
    text = "y ~ x + flag + (1 + x | g)"
    wanted = design_of(text, table)
    tables = [pl.from_pandas(table), pa.Table.from_pandas(table), {name: table[name].to_numpy() for name in table}]
    for given_table in tables:
        design = build_design(parse_formula(text), given_table)
        assert np.allclose(design.mean.X, wanted.mean.X)
        assert design.mean.groups[0].levels == wanted.mean.groups[0].levels
        assert np.array_equal(design.mean.groups[0].codes, wanted.mean.groups[0].codes)


def test_replay_gives_new_rows_the_columns_learnt_from_the_first() -> None:
    table = make_table(n=60)
    design = design_of(
        "y ~ f + scale(x) + poly(x, 2) + bs(x, df = 4) + ns(x, df = 3) + factor(h) + (1 + scale(x) | g)", table
    )
    few = replay_design(design, table.iloc[[5, 2, 9]].drop(columns="y"))
    assert np.allclose(few.mean.X, design.mean.X[[5, 2, 9]])
    assert np.allclose(few.mean.groups[0].values, design.mean.groups[0].values[[5, 2, 9]])
    assert np.array_equal(few.mean.groups[0].codes, design.mean.groups[0].codes[[5, 2, 9]])


def test_replay_marks_levels_that_were_not_seen() -> None:
    table = make_table()
    design = design_of("y ~ (1 | gene/sgRNA)", table)
    new = replay_design(design, pd.DataFrame({"gene": ["A", "A", "C"], "sgRNA": ["A_0", "A_99", "C_1"]}))
    assert [block.codes.tolist() for block in new.mean.groups] == [
        [0, 0, -1],
        [0, -1, -2],
    ]  # unseen levels keep numbers of their own


def test_a_second_block_over_a_factor_is_labelled_as_lme4_does() -> None:
    design = design_of("y ~ (1 | g) + (0 + x | g)", make_table())
    assert [block.label for block in design.mean.groups] == ["g", "g.1"]


def test_offsets_add_up_and_weights_are_kept() -> None:
    table = make_table()
    weights = np.arange(1.0, len(table) + 1)
    design = build_design(parse_formula("y ~ 1 + offset(x) + offset(log(x))"), table, weights=weights)
    x = table["x"].to_numpy()
    assert np.allclose(design.mean.offset, x + np.log(x))
    assert np.array_equal(design.weights, weights)  # type: ignore[arg-type]


def test_dropped_rows_are_known() -> None:
    table = make_table()
    table.loc[[3, 7], "x"] = np.nan
    design = build_design(parse_formula("y ~ x"), table, missing="drop")
    assert len(design.response) == len(table) - 2
    assert set(range(len(table))) - set(design.rows) == {3, 7}


def test_the_dot_stands_for_all_other_columns() -> None:
    table = make_table()[["y", "x", "h"]]
    assert [term.name for term in design_of("y ~ .", table).mean.fixed] == ["Intercept", "x", "h"]


def test_names_that_a_tree_cannot_hold_are_replaced_in_the_posterior_only() -> None:
    table = make_table().rename(columns={"g": "plate/well"})
    design = design_of("log(exp(y) / 2) ~ I(x / 2) + (1 | `plate/well`)", table)
    assert design.mean.fixed[1].name == "I(x / 2)"
    assert design.mean.fixed[1].variable == "I(x ÷ 2)"
    assert design.mean.groups[0].dim == "plate÷well__factor_dim"
