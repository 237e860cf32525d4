"""What a model checks when it is made, and how it prints."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

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
        "y ~ x; sigma ~ x",
        {},
        sf.FormulaError,
        "'sigma ~ ...' models a parameter other than the mean.\n"
        "This version fits a formula for the mean alone; the other parameters are one number each.\n"
        "Leave the formula of 'sigma' out.",
    ),
    (
        "y ~ sigma",
        {},
        sf.DataError,
        "the term 'sigma' has the name of a parameter of the gaussian family.\n"
        "These names are taken: mu, sigma, y.\nRename the column, or leave the term out.",
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
    assert sf.Model("y ~ hit", TABLE).design.fixed[1].columns == ("hit",)


def test_several_formulas_can_come_as_a_list() -> None:
    with pytest.raises(sf.FormulaError, match="models a parameter other than the mean"):
        sf.Model(["y ~ x", "sigma ~ x"], TABLE)


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
