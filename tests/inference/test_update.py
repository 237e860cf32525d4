"""An updated model is the model that its formula and its settings would have made anew."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import SamplingError
from speclet_formula.priors import slot_frame
from tests.fakes import fake_fit


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 5), "h": list("pqrst") * 8, "w": rng.uniform(1, 2, 40)})
    table["x"] = rng.normal(size=40)
    table["y"] = rng.normal(size=8).repeat(5) + table["x"] + rng.normal(size=40)
    return table


def test_a_formula_is_changed_as_text_or_record():
    formula = sf.update("y ~ x + (1|g)", ". ~ . - x")
    assert str(formula) == "y ~ 1 + (1 | g)"
    assert sf.update(formula, ". ~ . + x") == sf.update("y ~ (1|g)", ". ~ x + .")
    assert str(sf.update("y ~ cut(x)", ". ~ . + cut(z)", functions={"cut": np.sign})) == "y ~ 1 + cut(x) + cut(z)"


def test_a_model_keeps_what_is_not_changed(data):
    own = {"x": sf.Prior("Normal", mu=0, sigma=7), "1|g_sigma": sf.Prior("Exponential", lam=3), "preset": "brms"}
    model = sf.Model("y ~ x + (1|g)", data, priors=own, weights="w", family="t")
    changed = sf.update(model, ". ~ . - x + (1|h)")
    del own["x"]
    anew = sf.Model("y ~ (1|g) + (1|h)", data, priors=own, weights="w", family="t")
    pd.testing.assert_frame_equal(slot_frame(changed.slots), slot_frame(anew.slots))
    np.testing.assert_array_equal(changed.design.weights, data["w"])
    assert str(changed.formula) == str(anew.formula)
    assert {slot.slot for slot in model.slots if slot.source == "user"} == {"x", "1|g"}, "the first is as it was"


def test_settings_and_data_can_be_changed(data):
    model = sf.Model("y ~ x + (1|g)", data, priors={"x": sf.Prior("Normal", mu=0, sigma=7)})
    counts = data.assign(y=data["y"].abs().round())
    changed = sf.update(model, data=counts, family="poisson", priors="rstanarm")
    anew = sf.Model("y ~ x + (1|g)", counts, family="poisson", priors="rstanarm")
    pd.testing.assert_frame_equal(slot_frame(changed.slots), slot_frame(anew.slots))
    assert changed.family.link == "log"


def test_matrices_stay_and_join(data):
    related = pd.DataFrame(0.5 + 0.5 * np.eye(8), list("abcdefgh"), list("abcdefgh"))
    model = sf.Model("y ~ x + (1|gr(g, cov = A))", data, matrices={"A": related})
    changed = sf.update(model, ". ~ . - x - (1|gr(g, cov = A)) + (1|gr(g, cov = B))", matrices={"B": 2 * related})
    assert str(changed.formula) == "y ~ 1 + (1 | gr(g, cov = B))"
    assert changed.matrices["A"] is model.matrices["A"]
    assert changed.design.mean.groups[0].relation.variances == pytest.approx(np.full(8, 2.0))
    again = sf.update(model, matrices={"A": 3 * related})
    assert again.design.mean.groups[0].relation.variances == pytest.approx(np.full(8, 3.0))


def test_missing_rows_stay_left_out_and_come_back_with_the_term(data):
    holed = data.assign(x=data["x"].where(data.index > 1))
    model = sf.Model("y ~ x + (1|g)", holed, missing="drop")
    assert sf.update(model, "log(. + 9) ~ .").n_dropped == 2
    assert sf.update(model, ". ~ . - x").n_dropped == 0


def test_a_point_fit_is_fitted_again_by_its_method(data):
    again = sf.update(sf.lmer("y ~ x + (1|g)", data, method="ml", weights="w"), ". ~ . - (1|g) + (x|h)")
    anew = sf.lmer("y ~ x + (x|h)", data, method="ml", weights="w")
    assert again.method == "ml"
    assert again.log_likelihood == pytest.approx(anew.log_likelihood, abs=1e-9)
    assert sf.update(anew, method="reml").method == "reml"


@pytest.mark.slow
def test_a_fit_is_fitted_again_with_its_draws(data):
    fit = sf.lmer("y ~ x + (1|g) + (1|h)", data, draws=40, chains=2, random_seed=1, keep="g")
    again = sf.update(fit, ". ~ . - x", random_seed=2)
    anew = sf.lmer("y ~ (1|g) + (1|h)", data, draws=40, chains=2, random_seed=2, keep="g")
    assert set(again.idata["posterior"]) == set(anew.idata["posterior"])
    for name, variable in anew.idata["posterior"].data_vars.items():
        np.testing.assert_array_equal(again.idata["posterior"][name].to_numpy(), variable.to_numpy())


@pytest.mark.slow
def test_a_fit_is_fitted_again_as_carefully(data, monkeypatch, tmp_path):
    """Also from a file, by another engine, and by refit; a new argument still wins."""
    plans = []

    def noted(model, plan):
        plans.append(plan)
        return fake_fit(model, draws=plan.draws, chains=plan.chains).idata

    monkeypatch.setattr("speclet_formula.inference.nuts.sample_nuts", noted)
    asked = {"draws": 40, "tune": 30, "chains": 2, "target_accept": 0.97, "sampler": "pymc"}
    fit = sf.lmer("y ~ x + (1|g)", data, **asked, random_seed=1)
    assert fit.method == "exact"
    loaded = sf.load(sf.save(fit, tmp_path / "a.fit"))
    again = sf.update(loaded, family="t", random_seed=2)
    sf.update(again, ". ~ . - x", tune=31)
    sf.refit(again, data["y"] + 1)
    found = [{name: getattr(plan, name) for name in asked} for plan in plans]
    assert found == [asked, asked | {"tune": 31}, asked]
    assert [plan.random_seed for plan in plans] == [2, None, None], "another fit, other draws"


def test_draws_that_say_nothing_of_themselves_have_the_defaults(data, monkeypatch):
    plans = []
    monkeypatch.setattr("speclet_formula.inference.nuts.sample_nuts", lambda model, plan: plans.append(plan) or draws)
    fit = fake_fit(sf.Model("y ~ x", data, family="t"), draws=30, chains=3)
    draws = fit.idata
    sf.update(fit)
    assert (plans[0].draws, plans[0].chains, plans[0].tune, plans[0].sampler) == (30, 3, 1000, "nutpie")


def test_messages(data):
    with pytest.raises(SamplingError) as error:
        sf.update("y ~ x", ". ~ .", familly="poisson")
    assert str(error.value) == (
        "update() of a formula has no argument familly=.\nArguments: functions.\nLeave familly= out."
    )
    with pytest.raises(SamplingError) as error:
        sf.update(sf.Model("y ~ x", data), ". ~ .", familly="poisson")
    assert str(error.value) == (
        "update() of a model has no argument familly=.\n"
        "Arguments: data, family, link, priors, weights, missing, functions, contrasts, matrices.\nNearest: family=."
    )
