"""Simulated levels: their names, their frequencies, and a fit that finds what they were made from."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

LAYOUT = pd.DataFrame({"x": np.tile(np.linspace(-1.5, 1.5, 30), 20), "g": np.repeat([f"g{k}" for k in range(20)], 30)})
COUNTED = LAYOUT.assign(a=12, b=0, c=0)
STATED = {"Intercept": (0.6, -0.4), "x": (1.0, -0.7), "1|g_sigma": (0.8, 0.5)}
OF_CONCENTRATIONS = {"Intercept": (0.5, 1.0, 0.2), "x": (0.2, -0.5, 0.6), "1|g_sigma": (0.4, 0.3, 0.4)}


def truth_of(names, stated=STATED):
    return {
        f"{name}_{term}": value for term, values in stated.items() for name, value in zip(names, values, strict=True)
    }


CASES = {
    "categorical": ("y ~ x + (1 | g)", LAYOUT, truth_of(("mu2", "mu3"))),
    "multinomial": ("cbind(a, b, c) ~ x + (1 | g)", COUNTED, truth_of(("mub", "muc"))),
    "dirichlet_multinomial": (
        "cbind(a, b, c) ~ x + (1 | g)", COUNTED, truth_of(("aa", "ab", "ac"), OF_CONCENTRATIONS)
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", CASES)
@pytest.mark.mostly_slow("categorical", "multinomial")
def test_what_was_simulated_is_found_again(family):
    """Each parameter within 4.5 posterior SDs of the truth (7e-6 for a calibrated posterior), after convergence."""
    formula, layout, stated = CASES[family]
    data, truth = sf.simulate(formula, layout, stated, family=family, random_seed=5)
    fit = sf.glmer(formula, data, family=family, draws=1000, random_seed=3)
    assert fit.method == "hmc"
    assert fit.diagnostics.verdict == "converged"
    posterior = fit.idata["posterior"]
    for name, value in stated.items():
        draws = posterior[name].to_numpy().ravel()
        assert abs(draws.mean() - value) < 4.5 * draws.std(), name
    table = sf.recover(fit, truth).parameters
    assert sorted(table["truth"]) == sorted(stated.values())
    assert np.isfinite(sf.loo(fit).elpd)
    totals = sf.fitted(fit).groupby("row")["estimate"].sum()
    assert totals.to_numpy() == pytest.approx(np.ones(len(layout)))


def test_numbered_levels_are_whole_numbers_and_others_those_of_the_column():
    truth = {"mu2_Intercept": 0.0, "mu3_Intercept": 9.0}
    data, _ = sf.simulate("y ~ 1", LAYOUT, truth, family="categorical", random_seed=1)
    assert set(data["y"]) <= {1, 2, 3}
    assert (data["y"] == 3).mean() > 0.9
    column = pd.Categorical(["p"] * len(LAYOUT), ["p", "q", "New one"])
    data, _ = sf.simulate(
        "y ~ 1",
        LAYOUT.assign(y=column),
        {"muq_Intercept": 0.0, "muNewone_Intercept": 4.0},
        family="categorical",
        random_seed=1,
    )
    assert data["y"].cat.categories.tolist() == ["p", "q", "New one"]
    assert (data["y"] == "New one").mean() > 0.9
    assert sf.Model("y ~ 1", data, family="categorical").design.levels == ("p", "q", "New one")


def test_counts_have_the_trials_of_the_table():
    layout = COUNTED.assign(b=np.arange(len(COUNTED)) % 3)
    data, _ = sf.simulate(
        "cbind(a, b, c) ~ 1", layout, {"mub_Intercept": 0.3, "muc_Intercept": 0.1}, family="multinomial", random_seed=2
    )
    assert (data[["a", "b", "c"]].sum(axis=1) == layout[["a", "b", "c"]].sum(axis=1)).all()


@pytest.mark.parametrize(
    ("formula", "layout", "family", "message"),
    [
        ("y ~ 1", LAYOUT, "categorical", "nothing says the levels of 'y'."),
        ("log(y) ~ 1", LAYOUT, "categorical", "the response is 'log(y)', which is not a column that draws can fill."),
        (
            "cbind(a, b, c) ~ 1", LAYOUT, "multinomial",
            "the response is 'cbind(a, b, c)', which does not say how many are counted in each row.",
        ),
        (
            "cbind(a, b, c) ~ 1", COUNTED.assign(b=-1), "multinomial", "the columns a, b, c hold what are no counts.",
        ),
    ],
)  # fmt: skip
def test_what_does_not_say_its_levels_is_refused(formula, layout, family, message):
    with pytest.raises(sf.SpecletError) as raised:
        sf.simulate(formula, layout, {}, family=family)
    assert raised.value.problem == message


def test_a_study_of_levels_is_refused():
    truth = {"mu2_Intercept": 0.0, "mu3_Intercept": 0.5}
    column = pd.Categorical(["1"] * len(LAYOUT), list("123"))
    with pytest.raises(sf.SpecletError) as raised:
        sf.study("y ~ 1", LAYOUT.assign(y=column), truth, family="categorical", nsim=2)
    assert "a study of levels is not made" in raised.value.problem
