"""A pandas Series is matched by its index wherever values for rows are taken; an array goes by the rows' order."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import speclet_formula as sf
from tests.fakes import fake_fit

N = 60


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"g": rng.choice(list("abcdef"), N), "x": rng.normal(size=N), "w": rng.choice([0.25, 1, 16], N)}
    )
    frame["y"] = 1 + 0.5 * frame["x"] + rng.normal(size=N) / np.sqrt(frame["w"])
    return frame.set_axis([f"row {i}" for i in range(N)])


def slope(fit):
    return sf.fixef(fit)["estimate"][1]


FORMULA = "y ~ x + (1 | g)"


def test_weights_in_another_order_are_the_same_weights(table):
    expected = sf.lmer(FORMULA, table, weights="w", method="reml")
    more = pd.concat([table["w"], pd.Series({"another row": 9.0})])
    for weights in (table["w"], table["w"].sort_values(), more.sort_values(), table["w"].to_numpy()):
        found = sf.lmer(FORMULA, table, weights=weights, method="reml")
        assert found.log_likelihood == expected.log_likelihood
        assert isinstance(found.model.weights, np.ndarray)


def test_weights_of_other_tables_go_by_the_rows_numbers(table):
    plain = table.reset_index(drop=True)
    expected = sf.Model(FORMULA, plain, weights="w").design.weights
    for data in (pl.from_pandas(plain), {name: plain[name].to_numpy() for name in plain}, plain):
        found = sf.Model(FORMULA, data, weights=plain["w"].sort_values()).design.weights
        np.testing.assert_array_equal(found, expected)
    by_name = {name: table[name] for name in table}
    np.testing.assert_array_equal(sf.Model(FORMULA, by_name, weights=table["w"].sort_values()).design.weights, expected)


def test_a_response_in_another_order_is_the_same_response(table):
    fit = sf.lmer(FORMULA, table, method="reml")
    for response in (table["y"], table["y"].sort_values(), table["y"].to_numpy()):
        assert slope(sf.refit(fit, response)) == slope(fit)
        assert slope(sf.refit(fit.model, response, method="reml")) == slope(fit)


def test_a_response_of_the_rows_that_are_used_is_matched_too(table):
    gaps = table.assign(x=table["x"].where(table["x"] < 1))
    fit = sf.lmer(FORMULA, gaps, method="reml", missing="drop")
    used = gaps["y"][gaps["x"].notna()]
    assert len(used) < N
    for response in (used, used.sort_values(), gaps["y"].sort_values()):
        assert slope(sf.refit(fit, response)) == slope(fit)


def test_an_updated_model_matches_new_weights_with_the_rows_of_the_first_table(table):
    model = sf.update(sf.Model(FORMULA, table), ". ~ .", weights=table["w"].sort_values())
    np.testing.assert_array_equal(model.design.weights, table["w"])
    again = sf.update(model, ". ~ . - x")
    np.testing.assert_array_equal(again.design.weights, table["w"])


def test_simulated_weights_are_matched(table):
    truth = {"Intercept": 1.0, "x": 0.5, "1|g_sigma": 0.4, "sigma": 1.0}
    one, other = (
        sf.simulate(FORMULA, table, truth, weights=weights, random_seed=1)[0]["y"]
        for weights in (table["w"].to_numpy(), table["w"].sort_values())
    )
    pd.testing.assert_series_equal(one, other)


def test_folds_are_those_of_the_labels(table):
    from speclet_formula.comparison.kfold import make_folds

    model = sf.Model(FORMULA, table)
    one, other = make_folds(model, group="g"), make_folds(model, group=table["g"].sort_values())
    labels = [[folds.labels[code] for code in folds.codes] for folds in (one, other)]
    assert labels[0] == labels[1] == table["g"].tolist()


@pytest.mark.slow
def test_a_picture_by_group_matches_the_labels(table):
    check = sf.posterior_predictive(fake_fit(sf.Model(FORMULA, table), draws=20), 5, random_seed=1)
    one, other = (
        sf.plot_predictive(check, group=group).alt for group in (table["g"].tolist(), table["g"].sort_values())
    )
    sentences = [sorted(text.partition(" replicates. ")[2].split(". ")) for text in (one, other)]
    assert sentences[0] == sentences[1]


def test_what_a_users_function_returns_is_matched(table):
    def ordered(x):
        return pd.Series(x).sort_values()

    expected = sf.Model(FORMULA, table).design.mean.X
    np.testing.assert_array_equal(
        sf.Model("y ~ ordered(x) + (1 | g)", table, functions={"ordered": ordered}).design.mean.X, expected
    )


LACKS = (
    "{}= is a pandas Series, and its index lacks 60 of the table's 60 rows: row 0, row 1, row 2, row 3 and 56 more.\n"
    "A Series is matched with the table's rows by its index, as pandas does; an array is taken in their order.\n"
    "Give it the table's index or, if its values are in the order of its rows, {}=series.to_numpy()."
)


def test_a_series_of_other_rows_is_refused(table):
    fit = sf.lmer(FORMULA, table, method="reml")
    other = table.reset_index(drop=True)
    with pytest.raises(sf.DataError) as caught:
        sf.refit(fit, other["y"])
    assert str(caught.value) == LACKS.format("newresp", "newresp")
    with pytest.raises(sf.DataError) as caught:
        sf.Model(FORMULA, table, weights=other["w"])
    assert str(caught.value) == LACKS.format("weights", "weights")


def test_a_repeated_label_is_taken_in_the_tables_own_order_alone(table):
    twice = pd.concat([table, table.iloc[:5]])
    assert sf.Model(FORMULA, twice, weights=twice["w"]).design.weights.sum() == twice["w"].sum()
    np.testing.assert_array_equal(sf.Model(FORMULA, twice, weights=table["w"]).design.weights, twice["w"])
    with pytest.raises(sf.DataError, match="its index has a label several times, and is not that of the table"):
        sf.Model(FORMULA, twice, weights=twice["w"].sort_values())
