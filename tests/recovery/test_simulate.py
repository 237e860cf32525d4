"""Simulated data have the moments that were asked for, and follow their own truth exactly.

Bounds are Z standard errors wide: a false alarm has probability 7e-6 for each, below 1e-4 for a whole test.
"""

from typing import Any, get_overloads, get_type_hints

import numpy as np
import pandas as pd
import polars as pl
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.formula.terms import Formula
from speclet_formula.recovery import implied_truth
from speclet_formula.recovery.simulate import simulate
from speclet_formula.screens.datasets import m7, screen_design

Z = 4.5
SUBJECTS = 2000
SLOPES = {
    "Intercept": 250.0,
    "Days": 10.0,
    "1|Subject_sigma": 25.0,
    "Days|Subject_sigma": 6.0,
    "cor|Subject": -0.4,
    "sigma": 3.0,
}


def days(subjects=SUBJECTS):
    return pd.DataFrame({"Subject": np.repeat(np.arange(subjects), 4), "Days": np.tile([0.0, 1.0, 2.0, 3.0], subjects)})


def layout(**columns):
    return pd.DataFrame({"g": ["a", "b"] * 3, "x": np.arange(6.0)} | columns)


@pytest.fixture(scope="module")
def slopes():
    return simulate("Reaction ~ Days + (Days | Subject)", days(), SLOPES, random_seed=1)


def test_drawn_effects_have_the_stated_sds(slopes):
    _, truth = slopes
    for slot in ("1|Subject", "Days|Subject"):
        sd = SLOPES[f"{slot}_sigma"]
        assert abs(truth[slot].std() / sd - 1) < Z / np.sqrt(2 * (SUBJECTS - 1))
        assert abs(truth[slot].mean()) < Z * sd / np.sqrt(SUBJECTS)


def test_drawn_slopes_have_the_stated_correlation(slopes):
    _, truth = slopes
    found = np.corrcoef(truth["1|Subject"], truth["Days|Subject"])[0, 1]
    assert abs(np.arctanh(found) - np.arctanh(-0.4)) < Z / np.sqrt(SUBJECTS - 3)


def test_residuals_about_the_truth_are_normal_with_sigma(slopes):
    data, truth = slopes
    subject = data["Subject"].astype(str)
    mean = 250 + subject.map(truth["1|Subject"]) + (10 + subject.map(truth["Days|Subject"])) * data["Days"]
    residual = data["Reaction"] - mean
    n = len(data)
    assert abs(residual.mean()) < Z * 3 / np.sqrt(n)
    assert abs(residual.std() / 3 - 1) < Z / np.sqrt(2 * n)
    assert abs((residual.abs() < 3 * 0.6745).mean() - 0.5) < Z * 0.5 / np.sqrt(n)


def test_a_matrix_of_correlations_is_reproduced():
    wanted = np.array([[1, 0.5, -0.3], [0.5, 1, 0.2], [-0.3, 0.2, 1]])
    table = days().assign(x=np.tile([1.0, -1.0, -1.0, 1.0], SUBJECTS))
    params = {"Intercept": 0, "sigma": 1} | {f"{column}|Subject_sigma": 1.0 for column in ("1", "Days", "x")}
    found = {}
    for name, given in (("matrix", wanted), ("pairs", wanted[np.triu_indices(3, 1)])):
        _, truth = simulate("y ~ (Days + x | Subject)", table, params | {"cor|Subject": given}, random_seed=3)
        found[name] = np.corrcoef([truth[f"{column}|Subject"] for column in ("1", "Days", "x")])
    np.testing.assert_array_equal(found["matrix"], found["pairs"])
    error = np.arctanh(found["matrix"][np.triu_indices(3, 1)]) - np.arctanh(wanted[np.triu_indices(3, 1)])
    assert np.abs(error).max() < Z / np.sqrt(SUBJECTS - 3)


def test_a_seed_reproduces_and_another_does_not():
    first, again, other = (
        simulate("y ~ (1|g)", layout(), {"Intercept": 0, "1|g_sigma": 1, "sigma": 1}, random_seed=seed)
        for seed in (5, 5, 6)
    )
    pd.testing.assert_frame_equal(first[0], again[0])
    pd.testing.assert_series_equal(first[1]["1|g"], again[1]["1|g"])
    assert (first[0]["y"] != other[0]["y"]).all()


def test_stated_effects_are_used_as_they_are():
    table = layout(f=["u", "v", "w"] * 2)
    params = {
        "Intercept": 1.0, "x": 2.0, "f[v]": 10.0, "f[w]": 20.0, "1|g": {"b": -0.5, "a": 0.5}, "sigma": 1e-9,
    }  # fmt: skip
    data, truth = simulate("y ~ x + f + offset(log(z)) + (1|g)", table.assign(z=np.e), params, random_seed=1)
    expected = 1 + 2 * np.arange(6.0) + np.tile([0, 10, 20], 2) + 1 + np.tile([0.5, -0.5], 3)
    np.testing.assert_allclose(data["y"], expected, atol=1e-7)
    assert truth["1|g"].to_dict() == {"a": 0.5, "b": -0.5}


def test_means_of_effects_are_added_to_them():
    params = {"1|g_sigma": 0.0, "1|g_mu": -1.0, "sigma": 1e-9}
    data, truth = simulate("y ~ 0 + (1|g)", layout(), params, random_seed=1)
    assert truth["1|g"].to_list() == [-1.0, -1.0]
    np.testing.assert_allclose(data["y"], -1.0, atol=1e-7)


def test_the_truth_of_m7_simulates_m7_again():
    data, truth = m7()
    again, _ = simulate("log_fc ~ (1|gene/sgRNA) + (1|cell_line)", data, truth, random_seed=1)
    residual = again["log_fc"] - data["mu_sc"]
    assert abs(residual.mean()) < Z * 0.3 / np.sqrt(len(data))
    assert abs(residual.std() / 0.3 - 1) < Z / np.sqrt(2 * len(data))


@pytest.mark.parametrize(
    ("family", "link", "own", "eta", "mean", "variance"),
    [
        ("gaussian", None, {"sigma": 2.0}, 0.7, 0.7, 4.0),
        ("gaussian", "log", {"sigma": 2.0}, 0.7, np.exp(0.7), 4.0),
        ("t", None, {"sigma": 2.0, "nu": 10.0}, 0.7, 0.7, 4.0 * 10 / 8),
        ("bernoulli", None, {}, 0.7, 1 / (1 + np.exp(-0.7)), np.exp(-0.7) / (1 + np.exp(-0.7)) ** 2),
        ("binomial", "cloglog", {}, -1.0, 1 - np.exp(-np.exp(-1)), (1 - np.exp(-np.exp(-1))) * np.exp(-np.exp(-1))),
        ("poisson", None, {}, 0.7, np.exp(0.7), np.exp(0.7)),
        ("negativebinomial", None, {"alpha": 3.0}, 0.7, np.exp(0.7), np.exp(0.7) + np.exp(1.4) / 3),
    ],
)
def test_families_have_their_mean_and_variance(family, link, own, eta, mean, variance):
    n = 40_000
    table = pd.DataFrame({"g": np.zeros(n)})
    data, _ = simulate("y ~ 1", table.assign(x=0.0), {"Intercept": eta} | own, family=family, link=link, random_seed=11)
    y = data["y"].to_numpy()
    assert abs(y.mean() - mean) < Z * np.sqrt(variance / n)
    squares = (y - mean) ** 2
    assert abs(squares.mean() - variance) < Z * squares.std() / np.sqrt(n)


def test_a_polars_table_and_other_columns_come_back():
    data, _ = simulate(
        "y ~ 1", pl.DataFrame({"y": [9.0, 9.0], "note": ["p", "q"]}), {"Intercept": 0, "sigma": 1}, random_seed=1
    )
    assert data["note"].to_list() == ["p", "q"]
    assert (data["y"] != 9.0).all()


def test_functions_of_the_user_are_called():
    data, _ = simulate(
        "y ~ double(x)",
        layout(),
        {"Intercept": 0, "double(x)": 1, "sigma": 1e-9},
        functions={"double": lambda x: 2 * x},
    )
    np.testing.assert_allclose(data["y"], 2 * np.arange(6.0), atol=1e-7)


GOOD = {"Intercept": 0.0, "x": 1.0, "1|g_sigma": 1.0, "sigma": 1.0}
NEEDS = "This model needs 'Intercept', 'x', '1|g_sigma', 'sigma'."


@pytest.mark.parametrize(
    ("formula", "params", "text"),
    [
        (
            "y ~ x + (1|g)", GOOD | {"1|gg_sigma": 2.0},
            f"truth names '1|gg_sigma', which this model does not have.\n{NEEDS}\nNearest: '1|g_sigma'.",
        ),
        (
            "y ~ x + (1|g)", {"Intercept": 0.0, "1|g_sigma": 1.0},
            f"truth lacks 'x', 'sigma'.\n{NEEDS} The effects themselves, by level, may stand in for an SD.\n"
            "Add truth['x'].",
        ),
        (
            "y ~ x + (1|g)", GOOD | {"1|g_sigma": -1.0},
            "truth['1|g_sigma'] is -1.0.\nAn SD is at least 0.\nGive the SD, not the variance.",
        ),
        (
            "y ~ x + (1|g)", GOOD | {"sigma": 0},
            "truth['sigma'] is 0.\n'sigma' is a number above 0.\nGive one number on the link scale.",
        ),
        (
            "y ~ x + (1|g)", GOOD | {"x": 10**400},
            f"truth['x'] is 1{'0' * 400}.\n'x' is a finite number.\nGive one number on the link scale.",
        ),
        (
            "y ~ x + (1|g)", GOOD | {"1|g": {"a": 1.0, "b": "much"}},
            "truth['1|g'] has 'much' at the level 'b'.\nAn effect is a finite number.\n"
            "Give one number for each level, on the link scale.",
        ),
        (
            "y ~ x + (x|g)", GOOD | {"x|g_sigma": 1.0, "cor|g": "much"},
            "truth['cor|g'] is 'much'.\n'cor|g' is one correlation, or a symmetric 2 x 2 matrix with ones on "
            "its diagonal.\nGive the pairs in the order (1, 2), (1, 3), ..., (2, 3), ...",
        ),
        (
            "y ~ x + (1|g)", GOOD | {"1|g": {"a": 1.0, "c": 2.0}},
            "truth['1|g'] lacks the levels 'b'.\n'g' has 2 levels, such as 'a'.\n"
            "Give exactly one effect for each level.",
        ),
        (
            "y ~ x + (1|g)", GOOD | {"1|g": {"a": 1.0, "b": 1.0, "c": 2.0}},
            "truth['1|g'] has levels that the design does not: 'c'.\n'g' has 2 levels, such as 'a'.\n"
            "Give exactly one effect for each level.",
        ),
        (
            "y ~ x + (1|g)", GOOD | {"1|g": 0.5},
            "truth['1|g'] is 0.5.\n'1|g' holds an effect for each level of 'g', as a Series or a dict.\n"
            "For the SD of effects to be drawn write truth['1|g_sigma'].",
        ),
        (
            "y ~ x + (x|g)", GOOD | {"x|g_sigma": 1.0, "cor|g": 1.5},
            "truth['cor|g'] is not positive definite: 1.5.\n"
            "A covariance matrix is positive definite; with two columns that is a correlation between -1 and 1.\n"
            "Move the correlations towards 0.",
        ),
        (
            "y ~ x + (x|g)", GOOD | {"x|g_sigma": 1.0, "cor|g": [0.1, 0.2]},
            "truth['cor|g'] is [0.1, 0.2].\n'cor|g' is one correlation, or a symmetric 2 x 2 matrix with ones on "
            "its diagonal.\nGive the pairs in the order (1, 2), (1, 3), ..., (2, 3), ...",
        ),
        (
            "y ~ x + (x|g)", GOOD | {"x|g": {"a": 0.0, "b": 0.0}, "cor|g": 0.1},
            "truth gives the effects of 'x|g' but not of '1|g'.\nThe columns of a correlated block are drawn "
            "together: give all of '1|g', 'x|g', or none.\nAdd truth['1|g'], or write (... || g).",
        ),
    ],
)  # fmt: skip
def test_parameters_that_do_not_fit_are_refused(formula, params, text):
    with pytest.raises(DataError) as caught:
        simulate(formula, layout(), params)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (
            "log(y) ~ 1",
            "the response is 'log(y)', which is not a column that draws can fill.\n"
            "The response of simulated data is a plain name: 'y ~ ...'.\n"
            "Simulate the transformed response under a name of its own.",
        ),
        (
            Formula(None, True, (), (), (), ()),
            "the response is nothing, which is not a column that draws can fill.\n"
            "The response of simulated data is a plain name: 'y ~ ...'.\n"
            "Simulate the transformed response under a name of its own.",
        ),
        (
            "y ~ 1; tau ~ x",
            "'tau' is not a parameter of the gaussian family.\n"
            "Parameters of the gaussian family that can have a formula: sigma.\n"
            "Write sigma ~ ..., or leave it out.",
        ),
    ],
)
def test_a_formula_that_cannot_be_drawn_from_is_refused(formula, text):
    with pytest.raises(FormulaError) as caught:
        simulate(formula, layout(y=1.0), {"Intercept": 0, "sigma": 1})
    assert str(caught.value) == text


def test_means_that_a_family_cannot_have_are_refused():
    with pytest.raises(DataError) as caught:
        simulate("y ~ 1", layout(), {"Intercept": -2.0}, family="poisson", link="identity")
    assert str(caught.value) == (
        "truth gives means from -2 to -2, which 'poisson' cannot have.\n"
        "A probability lies between 0 and 1, and the mean of a count is finite and not negative.\n"
        "Make the coefficients smaller, or choose another link than 'identity'."
    )


def test_a_screen_can_be_simulated_from_its_layout():
    screen = screen_design(genes=4, guides_per_gene=3, cell_lines=5)
    params = {"Intercept": -1, "1|gene_sigma": 0.5, "1|gene:sgRNA_sigma": 0.2, "1|cell_line_sigma": 1, "sigma": 0.3}
    data, truth = simulate("log_fc ~ (1|gene/sgRNA) + (1|cell_line)", screen, params, random_seed=1)
    assert data["log_fc"].notna().all()
    assert set(truth) == {*params, "1|gene", "1|gene:sgRNA", "1|cell_line"}
    assert len(truth["1|gene:sgRNA"]) == 12


def test_what_comes_back_is_typed_by_what_is_given():
    of_fit, of_formula = (get_type_hints(overload)["return"] for overload in get_overloads(simulate))
    assert of_fit is pd.DataFrame
    assert of_formula == tuple[pd.DataFrame, dict[str, Any]]


QUOTED = pd.DataFrame({"a b": np.linspace(-1, 1, 48), "g h": np.repeat([f"l{k}" for k in range(8)], 6)})
QUOTED_FORMULA = "y ~ `a b` + (`a b` | `g h`)"
QUOTED_TRUTH = {
    "Intercept": 1.0, "a b": 0.5, "1|g h_sigma": 1.0, "a b|g h_sigma": 0.5, "cor|g h": 0.4, "sigma": 0.3,
}  # fmt: skip


def test_a_truth_names_columns_with_the_formulas_back_quotes_or_without():
    quoted = {
        "Intercept": 1.0, "`a b`": 0.5, "1|`g h`_sigma": 1.0, "`a b`|`g h`_sigma": 0.5, "cor|`g h`[1, `a b`]": 0.4,
        "sigma": 0.3,
    }  # fmt: skip
    plain, _ = sf.simulate(QUOTED_FORMULA, QUOTED, QUOTED_TRUTH, random_seed=1)
    same, _ = sf.simulate(QUOTED_FORMULA, QUOTED, quoted, random_seed=1)
    pd.testing.assert_frame_equal(plain, same)


def test_a_correlation_may_have_the_name_that_a_recovery_gives_it():
    by_pair = {key: value for key, value in QUOTED_TRUTH.items() if key != "cor|g h"} | {"cor|g h[1, a b]": 0.4}
    plain, _ = sf.simulate(QUOTED_FORMULA, QUOTED, QUOTED_TRUTH, random_seed=1)
    same, _ = sf.simulate(QUOTED_FORMULA, QUOTED, by_pair, random_seed=1)
    pd.testing.assert_frame_equal(plain, same)
    with pytest.raises(sf.DataError) as caught:
        sf.simulate(QUOTED_FORMULA, QUOTED, QUOTED_TRUTH | by_pair, random_seed=1)
    assert str(caught.value) == (
        "truth has 'cor|g h' and 'cor|g h[1, a b]'.\n"
        "The correlations of a block are 'cor|g h', all of them, or are named one by one.\nLeave one of them out."
    )


def test_of_three_correlations_each_may_be_named_and_none_may_lack():
    table = QUOTED.assign(x=np.cos(np.arange(48)))
    whole = {"Intercept": 0.0, "1|g h_sigma": 1.0, "x|g h_sigma": 1.0, "a b|g h_sigma": 1.0, "sigma": 0.1}
    pairs = {"cor|g h[1, x]": 0.1, "cor|g h[1, a b]": 0.2, "cor|g h[x, a b]": 0.3}
    formula = "y ~ 1 + (x + `a b` | `g h`)"
    plain, _ = sf.simulate(formula, table, whole | {"cor|g h": [0.1, 0.2, 0.3]}, random_seed=1)
    same, _ = sf.simulate(formula, table, whole | pairs, random_seed=1)
    pd.testing.assert_frame_equal(plain, same)
    del pairs["cor|g h[1, a b]"]
    with pytest.raises(sf.DataError, match=r"^truth lacks 'cor\|g h\[1, a b\]'\."):
        sf.simulate(formula, table, whole | pairs, random_seed=1)
    implied = implied_truth(sf.Model(formula, plain), pairs)
    assert implied.scalars == pairs
