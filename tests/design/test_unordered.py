"""Responses whose levels have no order: their places or counts, a linear predictor for each, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

RNG = np.random.default_rng(5)
N = 40
ROWS = pd.DataFrame({"x": RNG.normal(size=N), "g": np.repeat(list("pqrs"), 10)})
ROWS["way"] = pd.Categorical(np.array(["train", "bus", "New car"])[np.arange(N) % 3], ["train", "bus", "New car"])
ROWS[["a", "b", "c"]] = RNG.multinomial(9, [0.3, 0.3, 0.4], N)


def test_each_level_but_the_first_has_a_linear_predictor():
    design = sf.Model("way ~ x + (1 | g)", ROWS, family="categorical").design
    assert design.levels == ("train", "bus", "New car")
    assert design.response.tolist() == (np.arange(N) % 3).tolist()
    assert [predictor.name for predictor in design.predictors] == ["mubus", "muNewcar"]
    assert [predictor.columns for predictor in design.predictors] == [
        ("mubus_Intercept", "mubus_x"), ("muNewcar_Intercept", "muNewcar_x"),
    ]  # fmt: skip
    assert [block.slots for block in design.blocks] == [("mubus_1|g",), ("muNewcar_1|g",)]
    assert design.thresholds == ()


def test_counts_are_a_column_for_each_level():
    design = sf.Model("cbind(a, b, c) ~ x", ROWS, family="multinomial").design
    assert np.array_equal(design.response, ROWS[["a", "b", "c"]])
    assert np.array_equal(design.trials, np.full(N, 9.0))
    assert [predictor.name for predictor in design.predictors] == ["mub", "muc"]
    design = sf.Model("cbind(a, b, c) ~ x", ROWS, family="dirichlet_multinomial").design
    assert [predictor.name for predictor in design.predictors] == ["aa", "ab", "ac"]


def test_whole_numbers_booleans_and_text_are_levels():
    for values, levels in (
        (np.arange(N) % 3 + 4, ("4", "5", "6")),
        (np.arange(N) % 2 == 0, ("0", "1")),
        (np.array(["b", "a"])[np.arange(N) % 2], ("a", "b")),
    ):
        model = sf.Model("y ~ x", ROWS.assign(y=values), family="categorical")
        assert model.design.levels == levels
        assert len(model.family.parameters) == len(levels) - 2


def test_a_level_can_have_a_formula_of_its_own():
    design = sf.Model(["way ~ x + (1 | g)", "mubus ~ 1"], ROWS, family="categorical").design
    assert [predictor.columns for predictor in design.predictors] == [
        ("mubus_Intercept",), ("muNewcar_Intercept", "muNewcar_x"),
    ]  # fmt: skip


def test_new_rows_get_the_same_columns():
    fit = sf.glmer("way ~ x + (1 | g)", ROWS, family="categorical", draws=50, random_seed=1)
    frame = sf.predict(fit, ROWS.head(3)[["x", "g"]])
    assert frame["level"].tolist() == ["train", "bus", "New car"] * 3
    assert frame.groupby(level=0)["estimate"].sum().to_numpy() == pytest.approx(np.ones(3))
    assert frame["estimate"].to_numpy() == pytest.approx(sf.fitted(fit)["estimate"].to_numpy()[:9])
    linear = sf.predict(fit, ROWS.head(1), type="link")
    assert linear["level"].tolist() == ["bus", "New car"]


@pytest.mark.parametrize(
    ("formula", "family", "changes", "problem"),
    [
        ("cbind(a, b, c) ~ x", "categorical", {}, "the response 'cbind(a, b, c)' is not one level in each row."),
        ("way ~ x", "multinomial", {}, "the response is 'way', which does not count levels."),
        ("cbind(a, b) ~ x", "multinomial", {}, "'cbind(a, b)' counts two levels."),
        ("cbind(a, b, c) ~ x", "binomial", {}, "'cbind(a, b, c)' counts 3 levels."),
        ("cbind(a, b, c) ~ x", "multinomial", {"c": 0}, "no row of 'cbind(a, b, c)' counts any of c."),
        ("cbind(a, b, c) ~ x", "multinomial", {"c": 0.5}, "'cbind(a, b, c)' has values that are not counts."),
        ("way ~ x", "categorical", {"way": "bus"}, "'way' has the level 'bus' alone."),
        (
            "x ~ 1", "categorical", {"x": np.arange(N) + 0.5},
            "'x' has 40 values that are not whole numbers, such as 0.5.",
        ),
        (
            "way ~ x", "categorical", {"way": pd.Categorical(["bus", "car"] * 20, ["bus", "car", "train"])},
            "no row of 'way' has the level train.",
        ),
        (
            "way ~ x", "categorical", {"way": ["a b", "ab"] * 20},
            "the level 'ab' of the response has no letters and digits of its own.",
        ),
        ("way ~ x; mutram ~ x", "categorical", {}, "'mutram' is not a parameter of the categorical family."),
        ("way ~ x; mubus ~ 0", "categorical", {}, "the formula of 'mubus' has no terms."),
    ],
)  # fmt: skip
def test_what_has_no_such_levels_is_refused(formula, family, changes, problem):
    with pytest.raises(sf.SpecletError) as raised:
        sf.Model(formula, ROWS.assign(**changes), family=family)
    assert raised.value.problem == problem
    assert raised.value.allowed
    assert raised.value.remedy


def test_engines_without_such_levels_say_so():
    model = sf.Model("way ~ x", ROWS, family="categorical")
    for method in ("exact", "reml", "ml", "laplace"):
        with pytest.raises(sf.SamplingError):
            sf.fit(model, method=method)
    assert "4 fixed coefficients, 0 group effects, 0 SDs" in repr(sf.costs(model))


def test_averages_are_those_of_the_rows_probabilities():
    fit = sf.glmer("way ~ x + (1 | g)", ROWS, family="categorical", draws=50, random_seed=1)
    table = sf.avg_predictions(fit).table.set_index("level")["estimate"]
    assert table.to_dict() == pytest.approx(sf.fitted(fit).groupby("level")["estimate"].mean().to_dict())
    slopes = sf.avg_slopes(fit, "x").table["estimate"]
    assert slopes.sum() == pytest.approx(0, abs=1e-9)
    linear = sf.avg_predictions(fit, type="link").table.set_index("level")["estimate"]
    rows = sf.predict(fit, type="link").groupby("level")["estimate"].mean()
    assert linear.to_dict() == pytest.approx(rows.to_dict())
    with pytest.raises(sf.EstimateError, match="has a linear predictor of its own"):
        sf.slopes(fit, "x")
    assert np.isfinite(sf.slopes(fit, "x", parameter="mubus").table["estimate"]).all()


def test_a_summary_has_all_levels_in_one_table():
    fit = sf.glmer("way ~ x + (1 | g)", ROWS, family="categorical", draws=50, random_seed=1)
    text = repr(fit)
    assert "Categorical mixed model fit by Hamiltonian Monte Carlo" in text
    assert text.count("Fixed effects:") == text.count("Group effects:") == 1
    assert sf.fixef(fit)["term"].tolist() == ["mubus_Intercept", "mubus_x", "muNewcar_Intercept", "muNewcar_x"]
    assert sf.varcorr(fit)["var1"].tolist() == ["mubus_Intercept", "muNewcar_Intercept"]
