"""Each finding appears where it should, with its exact words, and none where a design is sound."""

import time

import numpy as np
import pandas as pd
import pytest

from speclet_formula.design import build_design
from speclet_formula.formula.parse import parse_formula
from speclet_formula.model import Finding, inspect_design
from speclet_formula.model.findings import listed
from tests.fakes import sleepstudy_data


def findings(formula, data, **settings):
    parsed = parse_formula(formula, functions=tuple(settings.get("functions", ())))
    return inspect_design(build_design(parsed, data, **settings))


def table(n=48):
    """Twelve groups of four rows; whatever else the cases need is beside them."""
    rng = np.random.default_rng(4)
    row = np.arange(n)
    group = row // 4
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "group": [f"g{code:02d}" for code in group],
            "twin": [f"t{code:02d}" for code in group],
            "pool": np.where(group < 6, "low", "high"),
            "batch": [f"b{code}" for code in row % 3],
            "row": [f"r{code:02d}" for code in row],
            "pair": [f"p{code:02d}" for code in row // 2],
            "only": "one",
            "three": 3.0,
            "zero": 0.0,
            "same": 7.0,
            "count": 2,
            "rest": 3,
            "tumours": row % 3,
            "total": 5,
            "Unnamed: 0": row,
            "age": group * 1.5,
            "wide": 1e6 * rng.normal(size=n),
            "thin": 1e-6 * rng.normal(size=n),
            "dose": [f"d{code}" for code in np.minimum(row // 12, 2)],
            "rare": np.where(row == 5, "odd", np.where(row < 20, "a", "b")),
            "mostly": [f"m{code:02d}" if code < 30 else "shared" for code in row],
        }
    )
    data["year"] = 2000.0 + row % 4 + row // 8
    data["remote"] = 3000 + rng.normal(size=n)
    data["twice"] = 2 * data["x"] + 1
    data["huge"] = data["wide"].abs() + data["wide"].max()
    data["far"] = 1e7 + data["y"]
    data["age_squared"] = data["age"] ** 2
    data["guide"] = [f"s{code:02d}" for code in row // 2]
    data["gene"] = [f"g{code}" for code in row // 8]
    data.loc[data.index[:1], "gene"] = "g5"  # the first guide now occurs in two genes
    return data


CASES = {
    "y ~ x + (1 | row)": (
        "as_many_effects_as_rows",
        "'row' has as many levels as rows (48). Its SD and the residual SD share one variance: lme4 refuses this, and "
        "here the priors split it. Leave the group term of 'row' out, or take a factor with several rows in each "
        "level.",
    ),
    "y ~ x + (1 + x | pair)": (
        "as_many_effects_as_rows",
        "'pair' has 48 effects (24 levels x 2) for 48 rows. Its SD and the residual SD share one variance: lme4 "
        "refuses this, and here the priors split it. Leave the group term of 'pair' out in part, for example its "
        "slopes.",
    ),
    "y ~ x + (1 | only)": (
        "one_level",
        "The grouping factor 'only' has one level, 'one'. One effect says nothing of an SD, and it cannot be told "
        "from the intercept; lme4 refuses this. Leave the group term of 'only' out.",
    ),
    "cbind(tumours, total) ~ x + (1 | group)": (
        "total_for_failures",
        "'total' stands where cbind() takes failures. By its name it is how many were tried: every share would then be "
        "too small. Write cbind(tumours, total - tumours) if it is; else leave it.",
    ),
    "y ~ `Unnamed: 0` + (1 | group)": (
        "row_numbers",
        "'Unnamed: 0' is a column without a name in the file, as row names are written by R and pandas. The number of "
        "a row is seldom a predictor. Read the file with index_col=0, or name the terms instead of '.'.",
    ),
    "y ~ x + (1 | batch)": (
        "few_levels",
        "'batch' has 3 levels. So few effects determine an SD weakly: its posterior is wide and follows its prior. "
        "Choose that prior with care, priors={'1|batch_sigma': ...}, or make 'batch' a fixed term if only these "
        "levels matter.",
    ),
    "y ~ x + (1 | mostly)": (
        "singletons",
        "30 of the 31 levels of 'mostly' have one row (97%). In those levels the effect and the residual are one "
        "number: what splits them is the other levels, and leave-one-out from the draws can be far off. Read those "
        "effects as shrunken guesses, and mind the count of high Pareto k in a comparison.",
    ),
    "y ~ (1 | gene) + (1 | guide)": (
        "nested_in_two_parents",
        "1 of the 24 levels of 'guide' occur in several levels of 'gene': 's00'. All others occur in one, so that "
        "'guide' seems nested in 'gene': by itself it gives such a level one effect, 'gene:guide' gives it one in "
        "each. Check those labels. If they name different things, write (1 | gene/guide); if the same thing, (1 | "
        "gene) + (1 | guide).",
    ),
    "y ~ rare": (
        "fixed_level_of_one_row",
        "One level of 'rare' with one row only: 'rare[odd]'. Such a coefficient rests on that row alone, residual "
        "included. Do not read much into it, merge the level with another, or make the factor a group term.",
    ),
    "y ~ 0 + dose:pool": (
        "empty_cells",
        "3 of the 6 columns of 'dose:pool' are zero in every row: 'dose[d0]:pool[high]', 'dose[d1]:pool[high]', "
        "'dose[d2]:pool[low]'. No row has that combination, so that the posterior of its coefficient is its prior; "
        "lme4 drops it. Read the other coefficients only, or paste the columns into one factor of the observed "
        "combinations.",
    ),
    "y ~ x + twice": (
        "collinear",
        "Fixed columns can be computed from other ones: 'twice' from 'x' and the intercept. The data cannot tell "
        "their coefficients apart: the priors split them, and what no row shows, such as the mean of an empty cell, "
        "is the priors' alone. By REML, ML and Laplace the first-named is dropped, as in R. Leave the first-named "
        "column out, or the others.",
    ),
    "y ~ 0 + x + group + pool": (
        "collinear",
        "Fixed columns can be computed from other ones: 'pool[low]' from 'group[g00]', 'group[g01]', 'group[g02]', "
        "'group[g03]', 'group[g04]', .... The data cannot tell their coefficients apart: the priors split them, and "
        "what no row shows, such as the mean of an empty cell, is the priors' alone. By REML, ML and Laplace the "
        "first-named is dropped, as in R. Leave the first-named column out, or the others.",
    ),
    "y ~ 0 + row": (
        "saturated",
        "There are 48 fixed coefficients for 48 rows. They can reproduce every row, so that the priors alone say "
        "how large the residual SD is. Make the factor with most levels a group term, (1 | factor), or leave terms "
        "out.",
    ),
    "y ~ group + (1 | group)": (
        "fixed_and_group",
        "'group' is both a fixed term and a grouping factor. Each of its levels has two coefficients that only "
        "enter as a sum, so that the priors split them. Keep (1 | group) to have its levels shrunk towards each "
        "other, or group to compare them one by one.",
    ),
    "y ~ C(group, sum) + (1 | group)": (
        "fixed_and_group",
        "'group' is both a fixed term and a grouping factor. Each of its levels has two coefficients that only "
        "enter as a sum, so that the priors split them. Keep (1 | group) to have its levels shrunk towards each "
        "other, or group to compare them one by one.",
    ),
    "y ~ x + (1 + age | group)": (
        "slope_constant_within_levels",
        "Within every level of 'group', 'age' is constant. No level shows a slope of its own: its intercept and "
        "its slope only enter as a sum. Write (1 | group), with the column as a fixed term.",
    ),
    "y ~ x + (1 + age + age_squared | group)": (
        "slope_constant_within_levels",
        "Within every level of 'group', 'age', 'age_squared' are constant. No level shows a slope of its own: its "
        "intercept and its slope only enter as a sum. Write (1 | group), with the column as a fixed term.",
    ),
    "y ~ x + (1 + three | group)": (
        "constant_slope",
        "The column 'three' of the group term of 'group' is 3 in every row. Its effects are those of an intercept, "
        "(1 | group), times that number. Leave 'three' out of the group term.",
    ),
    "y ~ x + (1 + zero | group)": (
        "constant_slope",
        "The column 'zero' of the group term of 'group' is 0 in every row. No row informs its effects and their "
        "SD, which follow their priors. Leave 'zero' out of the group term.",
    ),
    "y ~ wide + (1 | group)": (
        "extreme_scale",
        "The column 'wide' has an SD of 9.6e+05. Its coefficient is then far from the size of the others: lme4 asks to "
        "rescale, and a sampler takes long to find its step. Write scale(wide) for it in the formula, or change its "
        "unit.",
    ),
    "y ~ thin + (1 + thin | group)": (
        "extreme_scale",
        "The column 'thin' has an SD of 9.7e-07. Its coefficient is then far from the size of the others: lme4 asks to "
        "rescale, and a sampler takes long to find its step. Write scale(thin) for it in the formula, or change its "
        "unit.",
    ),
    "same ~ x + (1 | group)": (
        "constant_response",
        "'same' is 7 in every row. There is no variation to explain, and the posterior of every SD piles up at "
        "zero. Check that the column is the one that was meant.",
    ),
    "cbind(count, rest) ~ x + (1 | group)": (
        "constant_response",
        "'cbind(count, rest)' is 2 in every row. There is no variation to explain, and the posterior of every SD "
        "piles up at zero. Check that the column is the one that was meant.",
    ),
    "y ~ log(huge) + exp(20 * x) + (1 | group)": (
        "extreme_scale",
        "The column 'exp(20 * x)' has an SD of 1.7e+20. Its coefficient is then far from the size of the others: lme4 "
        "asks to rescale, and a sampler takes long to find its step. Standardise it, with scale() in the formula, or "
        "change its unit.",
    ),
    "huge ~ x + (1 | group)": (
        "extreme_response",
        "'huge' has an SD of 6.5e+05. The default priors follow its scale, but the numbers of priors that you write, "
        "or of a preset with fixed ones, will not; and a sampler takes long to find its step. Change its unit, for "
        "example I(huge / 1e+06) ~ ....",
    ),
    "far ~ x + (1 | group)": (
        "response_far_from_zero",
        "'far' has a mean of 1e+07 and an SD of 0.99. So far from zero its differences lose digits to rounding, and an "
        "intercept's prior that you write is hard to place. Take the mean off: center(far) ~ ....",
    ),
    "y ~ year + (year | group)": (
        "slope_far_from_zero",
        "Slopes of 'year' differ between levels of 'group', and its mean, 2004, lies 982 SDs from zero. The "
        "intercepts are those at year = 0, far from all rows: their SD grows with the distance, their correlation with "
        "the slopes nears 1 or -1, and the priors of both, which hold there, draw them back. Centre it: write "
        "center(year) for year wherever it stands in the formula.",
    ),
    "y ~ x + (1 | group) + (1 | twin)": (
        "same_partition",
        "'group' and 'twin' put the same rows together. Their effects only enter as sums, so that the priors split "
        "one variance between two SDs. Leave the group term of 'twin' out.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("formula", "expected"), CASES.items())
def test_a_finding_has_its_exact_words(formula, expected):
    found = findings(formula, table())
    assert [(finding.kind, str(finding)) for finding in found] == [expected]


SOUND = [
    "y ~ x + (1 | group)",
    "y ~ x + (1 + x | group)",
    "y ~ x + (1 + x || group)",
    "y ~ x + (1 | group) + (0 + x | twin)",  # one partition, but different columns
    "y ~ x + (0 + age | group)",  # an SD that grows with age, not a second intercept
    "y ~ x + (0 + pool | group)",  # one SD for each pool
    "y ~ 0 + dose:batch",  # as many columns as cells, each with rows
    "y ~ rare:x + x",
    "y ~ scale(wide) + poly(x, 3) + (1 | group)",
    "y ~ x + group",
    "y ~ 1",
]


@pytest.mark.parametrize("formula", SOUND)
def test_a_sound_design_gives_no_finding(formula):
    data = table().query("rare != 'odd'") if "rare" in formula else table()
    assert findings(formula, data) == ()


def test_the_notebook_and_sleepstudy_give_no_finding():
    rows = [(f"gene_{g}", f"gene_{g}_{s}", f"cell_{c}") for g in range(10) for s in range(5) for c in range(20)]
    screen = pd.DataFrame(rows, columns=["gene", "sgRNA", "cell_line"])
    screen["log_fc"] = np.random.default_rng(1).normal(size=len(rows))
    assert findings("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", screen) == ()
    assert findings("log_fc ~ (1 | gene) + (1 | sgRNA) + (1 | cell_line)", screen) == ()
    assert findings("Reaction ~ Days + (Days | Subject)", sleepstudy_data()) == ()


def test_each_kind_names_itself_in_several_ways():
    assert {expected[0] for expected in CASES.values()} == {
        "as_many_effects_as_rows", "collinear", "constant_response", "constant_slope", "empty_cells",
        "extreme_response", "extreme_scale", "few_levels", "fixed_and_group", "fixed_level_of_one_row",
        "nested_in_two_parents", "one_level", "response_far_from_zero", "row_numbers", "same_partition",
        "saturated", "singletons", "slope_constant_within_levels", "slope_far_from_zero", "total_for_failures",
    }  # fmt: skip


def test_a_label_in_two_parents_is_found_when_it_is_crossed_with_a_third():
    found = findings("y ~ (1 | gene:batch) + (1 | guide:batch)", table())
    assert "nested_in_two_parents" in [finding.kind for finding in found]


def test_numeric_labels_in_a_combination_are_named():
    data = table().assign(gene=lambda d: d["gene"].str[1:].astype(int), guide=lambda d: d["guide"].str[1:].astype(int))
    found = [finding.what for finding in findings("y ~ (1 | gene/guide)", data) if "parents" in finding.kind]
    assert found == ["1 of the 24 levels of 'guide' occur in several levels of 'gene': '0'."]


def test_unequal_weights_tell_a_level_per_row_from_the_residual():
    data = table().assign(w=np.linspace(1, 2, 48), flat=2.0)
    assert findings("y ~ x + (1 | row)", data, weights="w") == ()
    assert [f.kind for f in findings("y ~ x + (1 | row)", data, weights="flat")] == ["as_many_effects_as_rows"]


@pytest.mark.parametrize(
    ("support", "kinds"), [("count", []), ("proportion", []), ("binary", ["as_many_effects_as_rows"])]
)
def test_a_level_per_row_is_overdispersion_in_counts(support, kinds):
    data = table().assign(y=lambda d: (d["y"] > 0).astype(float))
    found = inspect_design(build_design(parse_formula("y ~ x + (1 | row)"), data), support=support)
    assert [finding.kind for finding in found] == kinds
    assert all("A single 0 or 1 says nothing of an effect of its own" in finding.why for finding in found)


@pytest.mark.parametrize("n", [50, 5000])
@pytest.mark.slow
def test_orthogonal_polynomials_and_rare_levels_have_no_extreme_scale(n):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=n * 400), "x": rng.normal(size=n * 400)})
    data["rare"] = np.where(np.arange(len(data)) < 2, "odd", "usual")
    assert findings("y ~ poly(x, 2) + rare", data) == ()


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("y ~ year + (year || group)", ["year"]),
        ("y ~ year + (log(year) + x | group)", ["log(year)"]),
        ("y ~ `a year` + (`a year` | group)", ["a year"]),
        ("y ~ year * x + (year * x | group)", ["year"]),
        ("y ~ year + (1 | group) + (0 + year | group)", ["year"]),
        ("y ~ year + (0 + year | group)", []),  # lines through the origin
        ("y ~ year + (1 | group) + (0 + year | batch)", ["few"]),
        ("y ~ year + (center(year) | group)", []),
        ("y ~ x + (poly(x, 2) | group)", []),
        ("y ~ x + (pool | batch)", ["few"]),
        ("y ~ near + (near | group)", []),
        ("y ~ year + (1 | group)", []),
        ("y ~ x\nsigma ~ x + (year | group)", ["year"]),
    ],
)
def test_only_slopes_beside_intercepts_have_to_be_centred(formula, columns):
    data = table().assign(**{"a year": lambda d: d["year"], "near": lambda d: d["x"] + 4 * d["x"].std()})
    found = [finding for finding in findings(formula, data) if finding.kind in ("slope_far_from_zero", "few_levels")]
    names = ["few" if finding.kind == "few_levels" else finding.what.split("'")[1] for finding in found]
    assert names == columns


def test_a_design_without_response_is_not_said_to_be_constant():
    assert findings("y ~ x + (1 | group)", table(), needs_response=False) == ()


@pytest.mark.parametrize("noise", [1e-3, 1e-5])
def test_columns_that_are_merely_close_are_not_collinear(noise):
    data = table().assign(close=lambda d: 1e4 * (d["x"] + noise * np.random.default_rng(2).normal(size=48)))
    assert findings("y ~ x + scale(close)", data) == ()


@pytest.mark.parametrize("side", ["year * pool", "year * x", "year + I(year^2)", "year * pool * x"])
def test_one_calendar_year_costs_no_digits_that_matter(side):
    assert {finding.kind for finding in findings(f"y ~ {side}", table())} <= {"extreme_scale"}


def test_a_product_of_two_far_numbers_costs_the_digits():
    found = next(f for f in findings("y ~ year * remote * pool", table()) if f.kind == "nearly_collinear")
    assert str(found) == (
        "So far from zero, products or powers of 'year', 'remote' are nearly sums of the other fixed columns. Doubles "
        "cannot tell them apart: coefficients, and what is made of them, have few right digits or none. Centre them: "
        "write center(year) and center(remote) wherever they stand."
    )
    centred = findings("y ~ center(year) * center(remote) * pool", table())
    assert [finding.kind for finding in centred] == []


def test_a_column_far_from_zero_is_not_the_intercept():
    data = table().assign(year=lambda d: 1e6 + d["x"], half=lambda d: 5e5 + d["x"] ** 2)
    assert findings("y ~ year + half", data) == ()
    assert [f.kind for f in findings("y ~ year + x", data)] == ["collinear"]


def test_a_constant_column_of_a_basis_is_the_intercept():
    functions = {"basis": lambda x: np.column_stack([np.full(len(x), 2.0), x])}
    (finding,) = findings("y ~ basis(x)", table(), functions=functions)
    assert finding.what == "Fixed columns can be computed from other ones: 'basis(x)[0]' from the intercept."


def test_many_collinear_columns_make_one_finding():
    data = table().assign(**{f"c{power}": (lambda d, power=power: power * d["x"]) for power in range(2, 8)})
    (finding,) = findings("y ~ x + c2 + c3 + c4 + c5 + c6 + c7", data)
    assert finding.what == (
        "Fixed columns can be computed from other ones: 'c2' from 'x' and the intercept; 'c3' from 'x' and the "
        "intercept; 'c4' from 'x' and the intercept; and 3 more."
    )


@pytest.mark.parametrize("seed", range(5))
def test_collinear_columns_are_as_many_as_the_rank_lacks(seed):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"y": rng.normal(size=60), "a": rng.integers(0, 4, 60).astype(str)})
    for j in range(4):
        data[f"x{j}"] = rng.normal(size=60)
    data["s"] = data["x0"] - 3 * data["x2"] + (data["a"] == "2")
    data["u"] = data["x1"] + data["s"]
    design = build_design(parse_formula("y ~ a + x0 + x1 + x2 + x3 + s + u"), data)
    lacking = design.mean.X.shape[1] - np.linalg.matrix_rank(design.mean.X)
    (finding,) = inspect_design(design)
    assert finding.what.count(";") + 1 == lacking == 2


@pytest.mark.slow
def test_rows_in_another_order_give_the_same_findings():
    data = table()
    shuffled = data.sample(frac=1, random_state=3)
    for formula in CASES:
        assert findings(formula, data) == findings(formula, shuffled), formula


def test_a_genome_wide_screen_is_inspected_in_a_moment():
    n, guides = 200_000, 70_000
    rng = np.random.default_rng(1)
    guide = np.arange(n) % guides
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "guide": guide,
            "gene": guide // 4,
            "line": rng.integers(0, 9, n),
        }
    )
    design = build_design(parse_formula("y ~ x + (1 + x | gene) + (1 | guide) + (1 | line)"), data)
    started = time.process_time()
    assert inspect_design(design) == ()
    assert time.process_time() - started < 1.0  # 0.1 s on an idle core


def test_long_lists_are_cut():
    assert listed(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c', 'd', 'e'"
    assert listed(["a", "b", "c", "d", "e", "f"], quoted=False) == "a, b, c, d, e, ..."


def test_a_finding_is_a_record():
    finding = Finding("few_levels", "What.", "Why.", "Remedy.")
    assert str(finding) == "What. Why. Remedy."
    with pytest.raises(AttributeError):
        finding.kind = "other"
