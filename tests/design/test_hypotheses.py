"""What each type of hypothesis says of the means that a design has, without a fit and without R."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design.hypotheses import deletions, marginal, partial, sequential


def design_of(formula, data):
    return sf.Model(formula, data).design


def table(seed=1, rows=80):
    """Two factors whose cells have different numbers of rows, and a number."""
    rng = np.random.default_rng(seed)
    f, h = rng.choice(list("abc"), rows, p=[0.5, 0.3, 0.2]), rng.choice(list("uv"), rows, p=[0.7, 0.3])
    return pd.DataFrame({"y": rng.normal(size=rows), "f": f, "h": h, "x": rng.normal(size=rows)})


def every(design):
    return np.arange(design.mean.X.shape[1])


def same_space(first, second):
    """Tell whether two matrices have the same rows' space."""
    rank = np.linalg.matrix_rank
    return rank(first) == rank(second) == rank(np.vstack([first, second]))


def test_type_three_compares_means_in_which_each_cell_counts_alike():
    data = table()
    design = design_of("y ~ f * h", data)
    grid = pd.DataFrame([(f, h) for f in "abc" for h in "uv"], columns=["f", "h"])
    cells = design.mean.X[[data.index[(data["f"] == row.f) & (data["h"] == row.h)][0] for row in grid.itertuples()]]
    means = np.array([cells[(grid["f"] == level).to_numpy()].mean(axis=0) for level in "abc"])
    other = np.array([cells[(grid["h"] == level).to_numpy()].mean(axis=0) for level in "uv"])
    found = marginal(design, every(design))
    assert same_space(found["f"], np.diff(means, axis=0))
    assert same_space(found["h"], np.diff(other, axis=0))


@pytest.mark.parametrize("kind", [sequential, partial])
def test_types_one_and_two_are_differences_of_residual_sums_of_squares(kind):
    """F of a term by L is that of models with and without it, which take it as the type says."""
    data = table(2)
    design = design_of("y ~ f + x + h + f:h", data)
    X, y = design.mean.X, design.response
    coefficients, inverse = np.linalg.lstsq(X, y, rcond=None)[0], np.linalg.inv(X.T @ X)
    without = {
        sequential: {"f": ("1", "1 + f"), "x": ("1 + f", "1 + f + x"), "h": ("1 + f + x", "1 + f + x + h")},
        partial: {"f": ("x + h", "x + h + f"), "h": ("x + f", "x + f + h"), "x": ("f * h", "f * h + x")},
    }[kind]

    def left(formula):
        columns = design_of(f"y ~ {formula}", data).mean.X
        return np.sum((y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]) ** 2)

    for term, (smaller, larger) in without.items():
        L = kind(design, every(design))[term]
        square = (L @ coefficients) @ np.linalg.solve(L @ inverse @ L.T, L @ coefficients)
        assert square == pytest.approx(left(smaller) - left(larger), rel=1e-8)


@pytest.mark.parametrize("kind", [sequential, partial, marginal, deletions])
def test_hypotheses_do_not_depend_on_which_level_is_first(kind):
    """What they say is of the means: rows of L times X's inverse are the same combinations of cells."""
    data = table(3)
    turned = data.assign(f=pd.Categorical(data["f"], categories=["c", "a", "b"]))
    spaces = []
    for frame in (data, turned):
        design = design_of("y ~ f * h + x", frame)
        found = kind(design, every(design))
        spaces.append({term: L @ np.linalg.pinv(design.mean.X) for term, L in found.items()})
    for term, rows in spaces[0].items():
        assert same_space(np.round(rows, 10), np.round(spaces[1][term], 10)) or np.allclose(
            np.linalg.pinv(rows) @ rows, np.linalg.pinv(spaces[1][term]) @ spaces[1][term], atol=1e-8
        )


def test_a_term_that_is_part_of_another_is_not_deleted():
    design = design_of("y ~ f * x + h", table())
    assert list(deletions(design, every(design))) == ["h", "f:x"]
    assert list(marginal(design, every(design))) == ["f", "x", "h", "f:x"]


def test_type_three_takes_numbers_at_zero():
    """So that of f beside f:x the lines are compared where they cross the axis."""
    design = design_of("y ~ f * x", table())
    found = marginal(design, every(design))["f"]
    names = design.mean.columns
    assert same_space(found, np.eye(len(names))[[names.index("f[b]"), names.index("f[c]")]])


def test_merged_rows_count_as_often_as_they_were(tmp_path):
    data = table(4)[["y", "f", "h"]]
    data.to_csv(tmp_path / "rows.csv", index=False)
    single = design_of("y ~ f * h", data)
    merged = sf.Model("y ~ f * h", sf.scan(tmp_path / "rows.csv", merge=True)).design
    assert len(merged.response) == 6
    for kind in (sequential, partial, marginal, deletions):
        for term, L in kind(single, every(single)).items():
            assert same_space(np.round(L, 9), np.round(kind(merged, every(merged))[term], 9))


@pytest.mark.parametrize("kind", [sequential, partial, marginal, deletions])
def test_thresholds_stand_for_the_intercept(kind):
    """The hypotheses of an ordinal model are those of a plain one, whose intercept has no part in them."""
    data = table(5).assign(level=lambda d: pd.cut(d["y"], [-9, -0.5, 0.5, 9], labels=["low", "mid", "high"]))
    ordinal = sf.Model("level ~ f * h + x", data, family="cumulative").design
    plain = design_of("y ~ f * h + x", data)
    assert ordinal.mean.columns == plain.mean.columns[1:]
    expected = kind(plain, every(plain))
    for term, L in kind(ordinal, every(ordinal)).items():
        np.testing.assert_allclose(expected[term][:, 0], 0, atol=1e-9)
        np.testing.assert_allclose(L, expected[term][:, 1:], atol=1e-9)


@pytest.mark.parametrize("kind", [sequential, partial, marginal, deletions])
def test_what_is_true_or_false_is_a_factor_of_two_levels(kind):
    """As in R, so that type III of f beside f:b is of f on average over both."""
    data = table(6).assign(b=lambda d: d["x"] > 0, t=lambda d: np.where(d["x"] > 0, "yes", "no"), k=lambda d: d["x"])
    texts, *truths = (design_of(f"y ~ f * {name} + h", data) for name in ("t", "b", "I(k > 0)"))
    expected = list(kind(texts, every(texts)).values())
    for design in truths:
        for L, other in zip(kind(design, every(design)).values(), expected, strict=True):
            np.testing.assert_allclose(L, other, atol=1e-9)


def test_a_factor_is_part_of_its_interaction_in_a_nested_formula_too():
    """lmerTest overlooks it: findings/lmertest-part-of-an-interaction.sh."""
    data = table(7)
    designs = [design_of(f"y ~ {text}", data) for text in ("f * h", "f / h")]
    rows = [marginal(design, every(design))["f"] @ np.linalg.pinv(design.mean.X) for design in designs]
    projections = [np.linalg.pinv(one) @ one for one in rows]
    np.testing.assert_allclose(projections[0], projections[1], atol=1e-8)
