"""What a model checks when it is made, and how it prints."""

import copy
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design.design import take_rows
from speclet_formula.model import replace_parts

TABLE = pd.DataFrame(
    {
        "y": [1.0, 2.5, 3.0, 4.5, 2.0, 1.5],
        "x": [0.0, 1.0, 2.0, 0.5, 1.5, 2.5],
        "sigma": [1.0, 2.0, 1.5, 1.0, 0.5, 3.0],
        "g": ["a", "a", "b", "b", "c", "c"],
        "hit": [True, False, True, True, False, True],
        "gap": [1.0, np.nan, 2.0, 3.0, 4.0, 5.0],
    }
)

MESSAGES: list[tuple[str, dict[str, Any], type[sf.SpecletError], str]] = [
    (
        "y ~ x; sigm ~ x",
        {},
        sf.FormulaError,
        "'sigm' is not a parameter of the gaussian family.\n"
        "Parameters of the gaussian family that can have a formula: sigma.\nNearest: sigma.",
    ),
    (
        "y ~ x; nu ~ x",
        {},
        sf.FormulaError,
        "'nu' is not a parameter of the gaussian family.\n"
        "Parameters of the gaussian family that can have a formula: sigma.\nWrite sigma ~ ..., or leave it out.",
    ),
    (
        "hit ~ x; sigma ~ x",
        {"family": "bernoulli"},
        sf.FormulaError,
        "'sigma' is not a parameter of the bernoulli family.\n"
        "Parameters of the bernoulli family that can have a formula: none.\nLeave 'sigma ~ ...' out.",
    ),
    (
        "y ~ x; mu ~ x",
        {},
        sf.FormulaError,
        "'mu ~ ...' is a second formula for the mean.\n"
        "Parameters of the gaussian family that can have a formula: sigma.\n"
        "The first formula is that of 'mu': write its terms there.",
    ),
    (
        "y ~ x; sigma ~ 0",
        {},
        sf.FormulaError,
        "the formula of 'sigma' has no terms.\n"
        "A formula models 'sigma' by an intercept, fixed terms or group terms.\nWrite sigma ~ 1, or leave it out.",
    ),
    (
        "y ~ x; sigma ~ x; sigma ~ g",
        {},
        sf.FormulaError,
        "y ~ x; sigma ~ x; sigma ~ g\n                  ^\n"
        "'sigma' stands on the left of '~' in two formulas.\n"
        "The response and each of the family's parameters have one formula.\n"
        "Join the two right-hand sides with '+'.",
    ),
    (
        "censored(y, x) ~ g",
        {},
        sf.DataError,
        "'x' holds numbers (0, 0.5, 1 and 3 more), which are no statuses.\n"
        "In censored(y, x) a status is 'none', 'left' (the true value is at most y) or 'right' (at least y).\n"
        "Convert it: data['x'] = data['x'].map({0: 'none', 1: 'right'}).",
    ),
    (
        "censored(y, g) ~ x",
        {},
        sf.DataError,
        "'g' has the value 'a', which is no status.\n"
        "In censored(y, g) a status is 'none', 'left' (the true value is at most y) or 'right' (at least y).\n"
        "Convert it: data['g'] = data['g'].map({0: 'none', 1: 'right'}).",
    ),
    (
        "truncated(y, 2) ~ x",
        {},
        sf.DataError,
        "2 values of 'truncated(y, 2)' lie outside its bounds, such as 1 in row 0.\n"
        "Nothing beyond the bounds is ever seen: here from 2 to inf.\n"
        "Mend the bounds, drop those rows, or write censored(y, status) for values known only as a bound.",
    ),
    (
        "truncated(y, 9, 0) ~ x",
        {},
        sf.DataError,
        "'truncated(y, 9, 0)' has a lower bound of 9 and an upper one of 0.\n"
        "The lower bound, lb, is below the upper one, ub.\n"
        "Exchange them, or name the one that is meant: truncated(y, ub = 10).",
    ),
    (
        "truncated(hit, -1) ~ x",
        {"family": "bernoulli"},
        sf.DataError,
        "'truncated(hit, -1)' has no meaning for the family 'bernoulli'.\n"
        "A response can be censored or truncated in the families gaussian, t, laplace, poisson, negativebinomial.\n"
        "Write the response as a plain column, or choose another family.",
    ),
    (
        "hit ~ x",
        {"family": "bernoulli", "weights": "x"},
        sf.DataError,
        "weights have no meaning for the family 'bernoulli'.\n"
        "They divide the residual variance of a gaussian or t response, and count the trials of a proportion.\n"
        "Leave weights= out, or choose family='binomial' for a proportion.",
    ),
    (
        "y ~ x",
        {"family": "poisson"},
        sf.DataError,
        "'y' has 3 values that a poisson response cannot take, such as 2.5.\n"
        "A poisson response takes whole numbers from 0 on.\nChoose another family than 'poisson', or mend the column.",
    ),
    (
        "y ~ x",
        {"priors": {"z": sf.Prior("Normal", mu=0, sigma=1)}},
        sf.PriorError,
        "the model has no slot 'z'.\n"
        "Its slots are Intercept, x, sigma; b, sd and cor stand for all fixed terms, group SDs and correlations.\n"
        "Use one of these as the key.",
    ),
]


@pytest.mark.parametrize(("formula", "arguments", "kind", "message"), MESSAGES, ids=[row[3][:30] for row in MESSAGES])
def test_message(formula: str, arguments: dict[str, Any], kind: type[sf.SpecletError], message: str) -> None:
    with pytest.raises(kind) as caught:
        sf.Model(formula, TABLE, **arguments)
    assert str(caught.value) == message


def test_a_model_is_frozen() -> None:
    model = sf.Model("y ~ x", TABLE)
    with pytest.raises(FrozenInstanceError):
        model.family = None  # type: ignore[misc,assignment]


def test_dropped_rows_are_counted_and_said() -> None:
    model = sf.Model("y ~ gap + (1 | g)", TABLE, missing="drop")
    assert model.n_dropped == 1
    assert "Rows: 5 (1 dropped: missing values)" in repr(model)


def test_the_print_shows_groups_priors_and_findings() -> None:
    text = repr(sf.Model("y ~ x + (1 + x | g)", TABLE))
    assert "Formula: y ~ 1 + x + (1 + x | g)" in text
    assert "Group: g   Levels: 3   Effects: 1, x" in text
    assert "cor|g" in text
    assert "Findings:" in text


def test_a_factor_of_two_levels_is_a_bernoulli_response() -> None:
    table = TABLE.assign(outcome=pd.Categorical(["no", "yes"] * 3, categories=["no", "yes"]))
    design = sf.Model("outcome ~ x", table, family="bernoulli").design
    assert design.response.tolist() == [0.0, 1.0] * 3


def test_booleans_serve_as_response_and_predictor() -> None:
    assert sf.Model("hit ~ x", TABLE, family="bernoulli").design.response.sum() == 4
    assert sf.Model("y ~ hit", TABLE).design.mean.fixed[1].columns == ("hit",)


def test_several_formulas_can_come_as_a_list() -> None:
    model = sf.Model(["y ~ x", "sigma ~ 0 + g"], TABLE)
    ((name, side),) = model.design.varying.items()
    assert (name, side.fixed[0].columns) == ("sigma", ("sigma_g[a]", "sigma_g[b]", "sigma_g[c]"))
    assert [slot.slot for slot in model.slots] == ["Intercept", "x", "sigma_g"]


def test_new_rows_get_the_columns_of_every_formula() -> None:
    from speclet_formula.design import replay_design

    design = sf.Model(["y ~ scale(x)", "sigma ~ scale(x) + (1 | g)"], TABLE).design
    again = replay_design(design, TABLE.iloc[3:5].assign(g=["b", "new"]))
    np.testing.assert_allclose(again.varying["sigma"].X, design.varying["sigma"].X[3:5])
    assert again.predictors[1].groups[0].codes.tolist() == [1, -1]


def test_the_given_table_is_not_changed() -> None:
    before = TABLE.copy()
    sf.Model("y ~ scale(x) + (1 | g)", TABLE, missing="drop")
    pd.testing.assert_frame_equal(TABLE, before)


def test_dropped_rows_are_said_by_a_fit_and_by_messages_that_count_rows() -> None:
    data = pd.DataFrame({"y": [1.0, 2, 4, 3, 6, 7], "g": list("aabbcc"), "x": [None, 1.0, 2, -3, 4, 5]})
    fit = sf.lmer("y ~ x + (1 | g)", data, missing="drop", method="ml", cores=1)
    assert "Data: 5 rows (1 of 6 dropped: missing values)" in repr(fit)
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ log(x) + (1 | g)", data, missing="drop")
    assert caught.value.problem == (
        "'log(x)' is not a finite number in 1 of 5 rows (counted from 0: 2). Only the kept rows are counted: 1 dropped "
        "for missing values."
    )


@pytest.mark.slow
def test_a_wide_table_is_a_model_of_all_its_columns() -> None:
    rng = np.random.default_rng(5)
    wide = pd.DataFrame(rng.normal(size=(30, 2000)), columns=[f"gene {place}" for place in range(2000)])
    model = sf.Model("y ~ .", wide.assign(y=rng.normal(size=30)))
    assert model.design.mean.X.shape == (30, 2001)
    np.testing.assert_array_equal(model.design.mean.X[:, 1:], wide.to_numpy())


def test_a_model_with_other_parts_is_made_without_reading_anything_again() -> None:
    model = sf.Model("y ~ x + (1 | g)", TABLE)
    design = take_rows(model.design, np.arange(3))
    again = replace_parts(model, design=design)
    assert again.design is design
    assert (again.data is model.data, again.slots is model.slots, type(again)) == (True, True, sf.Model)
    assert len(model.design.rows) == len(TABLE)
    for same in (copy.copy(again), pickle.loads(pickle.dumps(again))):
        assert repr(same) == repr(again)
    with pytest.raises(FrozenInstanceError):
        model.design = design
