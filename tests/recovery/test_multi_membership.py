"""Data drawn from multi-membership terms, and how well their effects are found again."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import speclet_formula as sf
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction.linear_predictors import linear_predictor
from speclet_formula.recovery.recover import _averaged
from speclet_formula.studies.data_sets import _true_predictor

FORMULA = "y ~ x + (1 + x | mm(a, b, weights = cbind(u, v)))"
TRUTH = {
    "Intercept": 1.0,
    "x": 0.5,
    "1|mm(a, b)_sigma": 1.0,
    "x|mm(a, b)_sigma": 0.4,
    "cor|mm(a, b)": [0.3],
    "sigma": 0.3,
}


def layout(n=400):
    rng = np.random.default_rng(2)
    names = np.array([f"j{number:02d}" for number in range(25)])
    return pd.DataFrame({
        "a": names[rng.integers(25, size=n)], "b": names[rng.integers(25, size=n)], "x": rng.normal(size=n),
        "u": rng.uniform(0.5, 2, n), "v": rng.uniform(0.5, 2, n),
    })  # fmt: skip


@pytest.fixture(scope="module")
def simulated():
    return sf.simulate(FORMULA, layout(), TRUTH, random_seed=2)


def test_rows_are_drawn_with_the_weighted_sum_of_their_levels(simulated):
    data, truth = sf.simulate(FORMULA, layout(), TRUTH | {"sigma": 1e-9}, random_seed=2)
    share = data["u"] / (data["u"] + data["v"])
    one, slope = truth["1|mm(a, b)"], truth["x|mm(a, b)"]
    levels = [
        weight * (one[data[name]].to_numpy() + slope[data[name]].to_numpy() * data["x"])
        for name, weight in (("a", share), ("b", 1 - share))
    ]
    np.testing.assert_allclose(data["y"], 1 + 0.5 * data["x"] + sum(levels), atol=1e-6)
    assert len(one) == 25


@pytest.fixture(scope="module")
def recovered(simulated):
    data, truth = simulated
    return sf.recover(sf.lmer(FORMULA, data, random_seed=3, progress=False), truth)


def test_parameters_and_effects_are_found_again(simulated, recovered):
    """z of a parameter beyond 4.5 and correlations of 25 effects below .9 are not seen in 1 of 10,000 data sets."""
    _, truth = simulated
    table = recovered.parameters
    assert (table["z"].abs() < 4.5).all()
    assert set(table["truth"]) == {1.0, 0.5, 0.4, 0.3}
    realized = table.set_index(["term", "group", "class"])["realized"]
    assert realized["Intercept", "mm(a, b)", "sd"] == pytest.approx(truth["1|mm(a, b)"].std())
    groups = recovered.groups
    assert groups["group"].tolist() == ["mm(a, b)"] * 2
    assert (groups["corr"] > 0.9).all()
    rows = np.mean([sum((layout()[["a", "b"]] == level).any(axis=1)) for level in truth["1|mm(a, b)"].index])
    np.testing.assert_allclose(groups["rows_per_level"], rows)


def test_the_true_residuals_are_what_the_rows_levels_leave(simulated, recovered):
    data, truth = simulated
    share = data["u"] / (data["u"] + data["v"])
    eta = 1 + 0.5 * data["x"]
    for name, weight in (("a", share), ("b", 1 - share)):
        eta = eta + weight * (
            truth["1|mm(a, b)"][data[name]].to_numpy() + truth["x|mm(a, b)"][data[name]].to_numpy() * data["x"]
        )
    table = recovered.parameters.set_index("term")
    assert table.loc["sigma", "realized"] == pytest.approx(np.sqrt(np.mean((data["y"] - eta) ** 2)))


def test_predictors_of_a_truth_and_means_over_rows_are_those_of_single_rows(simulated):
    data, truth = simulated
    fit = sf.lmer(FORMULA, data, random_seed=3, progress=False, draws=50, chains=2)
    eta = linear_predictor(fit.model, draws_of(fit))
    average = sparse.csr_array(np.random.default_rng(1).uniform(size=(3, len(data))))
    np.testing.assert_allclose(_averaged(fit.model, draws_of(fit), average), (average @ eta.T).T, rtol=1e-9)
    exact, _ = sf.simulate(FORMULA, layout(), truth | {"sigma": 1e-9}, random_seed=5)
    np.testing.assert_allclose(_true_predictor(fit.model.design.mean, truth), exact["y"], atol=1e-6)


def test_another_model_lacks_the_effects_and_says_so(simulated):
    data, truth = simulated
    found = sf.recover(sf.lmer("y ~ x + (1 | a)", data, random_seed=3, progress=False), truth)
    assert "mm(a, b)" in repr(found)
    assert "1|a_sigma" not in truth


def test_it_stands_beside_its_own_columns():
    """Terms of one column and of both: each truth goes to its own."""
    formula = "y ~ 1 + (1 | a) + (1 | mm(a, b)) + (1 | a:b)"
    stated = {"Intercept": 0.0, "1|a_sigma": 1.0, "1|mm(a, b)_sigma": 1.0, "1|a:b_sigma": 0.5, "sigma": 0.5}
    data, truth = sf.simulate(formula, layout(), stated, random_seed=1)
    found = sf.recover(sf.lmer(formula, data, random_seed=1, draws=200), truth)
    assert {"a", "mm(a, b)", "a:b"} <= set(found.groups["group"])
    table = found.parameters.set_index(["term", "group", "class"])["truth"]
    assert [table["Intercept", group, "sd"] for group in ("a", "mm(a, b)", "a:b")] == [1.0, 1.0, 0.5]
