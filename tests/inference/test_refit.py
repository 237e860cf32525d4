"""A model of another response is the model that the other response would have made."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from speclet_formula.inference.refit import with_response
from speclet_formula.priors import slot_frame


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 5), "x": rng.normal(size=40), "w": rng.uniform(1, 2, 40)})
    table["y"] = rng.normal(size=8).repeat(5) + table["x"] + rng.normal(size=40)
    return table


def other(data):
    return 3.0 + 2.0 * data["y"].to_numpy()[::-1]


def test_a_refit_is_a_fit_of_the_new_response(data):
    fit = sf.lmer("y ~ x + (x|g)", data, draws=50, chains=2, random_seed=1)
    again = sf.refit(fit, other(data), random_seed=2)
    anew = sf.lmer("y ~ x + (x|g)", data.assign(y=other(data)), draws=50, chains=2, random_seed=2)
    assert again.method == "exact"
    for name, variable in anew.idata["posterior"].data_vars.items():
        np.testing.assert_array_equal(again.idata["posterior"][name].to_numpy(), variable.to_numpy())
    np.testing.assert_array_equal(again.idata["observed_data"]["y"], other(data))


def test_priors_of_a_preset_follow_the_response_and_those_of_the_user_stay(data):
    model = sf.Model("y ~ x + (1|g)", data, priors={"x": sf.Prior("Normal", mu=0, sigma=7)})
    anew = sf.Model("y ~ x + (1|g)", data.assign(y=other(data)), priors={"x": sf.Prior("Normal", mu=0, sigma=7)})
    pd.testing.assert_frame_equal(slot_frame(with_response(model, other(data)).slots), slot_frame(anew.slots))
    kept = with_response(model, other(data), keep_priors=True)
    pd.testing.assert_frame_equal(slot_frame(kept.slots), slot_frame(model.slots))
    assert (model.data["y"] == data["y"]).all(), "the first model is as it was"


def test_a_point_fit_stays_one(data):
    again = sf.refit(sf.lmer("y ~ x + (1|g)", data, method="ml", weights="w"), other(data))
    anew = sf.lmer("y ~ x + (1|g)", data.assign(y=other(data)), method="ml", weights="w")
    assert again.method == "ml"
    assert again.log_likelihood == pytest.approx(anew.log_likelihood, abs=1e-9)


def test_rows_left_out_stay_left_out(data):
    holed = data.assign(y=data["y"].where(data.index != 3))
    model = sf.Model("y ~ x + (1|g)", holed, missing="drop")
    for response in (other(data), np.delete(other(data), 3)):
        again = with_response(model, response)
        np.testing.assert_array_equal(again.design.response, np.delete(other(data), 3))
        assert np.isnan(again.data["y"][3])
        assert again.n_dropped == 1


def test_findings_are_those_of_the_new_response(data):
    model = sf.Model("y ~ x + (1|g)", data)
    constant = with_response(model, np.ones(40))
    assert [finding.kind for finding in constant.findings] == ["constant_response"] + [f.kind for f in model.findings]
    assert with_response(constant, other(data)).findings == model.findings


@pytest.mark.parametrize(
    ("formula", "response", "text"),
    [
        (
            "y ~ x + (1|g)", np.ones(39),
            "the new 'y' has the shape (39,).\nThe model uses 40 rows, and each has one number.\n"
            "Give an array of that length, in the order of the table.",
        ),
        (
            "y ~ x + (1|g)", np.where(np.arange(40) == 7, np.nan, 1.0),
            "the new 'y' is nan in row 7, and not finite in 1 rows.\n"
            "Every row that the model uses has a finite response.\n"
            "Leave these rows out by fitting a new Model with missing='drop'.",
        ),
        (
            "y ~ x + (1|g)", ["a"] * 40,
            "the new 'y' does not hold numbers: it has 'a'.\n"
            "A response is one number for each row.\nConvert it to numbers first.",
        ),
        (
            "exp(y) ~ x + (1|g)", np.ones(40),
            "the response is 'exp(y)', which a new column cannot replace.\n"
            "The response of a model to be fitted again is a plain name: 'y ~ ...', or cbind() of such.\n"
            "Put the transformed response into a column of its own, or fit a new Model.",
        ),
        (
            "y ~ x + offset(y) + (1|g)", np.ones(40),
            "'y' is the response and is also used right of the ~, or as weights.\n"
            "A new response changes nothing else in the model.\n"
            "Copy the column under a second name for its other use.",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_the_response_is_refused(data, formula, response, text):
    with pytest.raises(DataError) as caught:
        with_response(sf.Model(formula, data), response)
    assert str(caught.value) == text


def test_the_family_still_judges_the_response(data):
    model = sf.Model("y ~ (1|g)", data.assign(y=(data["y"] > 0).astype(int)), family="bernoulli")
    with pytest.raises(DataError, match="bernoulli response cannot take"):
        with_response(model, np.full(40, 2.0))


@pytest.mark.parametrize(
    "response",
    [
        ["1.5"] * 6,
        np.array([1 + 2j] * 6),
        pd.to_datetime(["2020-01-01"] * 6),
        pd.Series(["1", 2, 3, 4, 5, 6], dtype=object),
    ],
)
def test_what_only_looks_like_numbers_is_no_response(response):
    model = sf.Model("y ~ x", {"y": [1.0, 2, 4, 3, 5, 6], "x": [0.0, 1, 2, 3, 4, 5]})
    with pytest.raises(sf.DataError, match="the new 'y' does not hold numbers: it has '"):
        sf.refit(model, response, method="reml")


@pytest.fixture(scope="module")
def trials():
    """Twelve subjects in five rows of 12 trials, one of them without any."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"id": np.repeat(np.arange(12), 5), "tr": np.tile(list("abcab"), 12), "n": 12})
    table["s"] = rng.binomial(12, 1 / (1 + np.exp(-rng.normal(0, 0.8, 12).repeat(5))))
    return table.assign(f=12 - table["s"], p=table["s"] / 12, b=(table["s"] > 6).astype(int))


@pytest.mark.parametrize(
    ("formula", "weights", "columns"),
    [
        ("cbind(s, f) ~ tr + (1 | id)", None, ["s", "f"]),
        ("cbind(s, n - s) ~ tr + (1 | id)", None, ["s"]),
        ("p ~ tr + (1 | id)", "n", ["p"]),
        ("b ~ tr + (1 | id)", None, ["b"]),
    ],
)
@pytest.mark.mostly_slow(every=2)
def test_a_simulated_binomial_response_is_fitted_as_the_table_with_it(trials, formula, weights, columns):
    """The oracle is a new Model of a table in which each column was replaced by hand."""
    settings = {"family": "binomial", "weights": weights, "method": "laplace"}
    fit = sf.glmer(formula, trials, **settings)
    new = sf.simulate(fit, random_seed=4)["sim_1"]
    again = sf.refit(fit, new)
    table = trials.assign(**{columns[0]: new})
    if "f" in columns:
        table = table.assign(f=12 - new)
    expected = sf.glmer(formula, table, **settings)
    assert again.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-7)
    pd.testing.assert_frame_equal(again.model.data[columns], table[columns], check_dtype=False)
    assert expected.log_likelihood != pytest.approx(fit.log_likelihood, abs=0.1)


def test_more_successes_than_trials_are_refused(trials):
    model = sf.Model("cbind(s, f) ~ tr + (1 | id)", trials, family="binomial")
    with pytest.raises(DataError) as caught:
        with_response(model, np.where(np.arange(60) == 4, 13, 5))
    assert str(caught.value) == (
        "the new 's' has 1 values that are no successes of their row's trials, such as 13 of 12.\n"
        "Successes are whole numbers from 0 to the row's trials, which stay those of the model.\n"
        "Give successes, as simulate(fit) does; for other trials fit a new Model."
    )


def test_simulated_responses_have_the_table_s_labels(data):
    """A Series is matched by its index, so that a shuffled table's new response must not be taken by place."""
    shuffled = data.sample(frac=1, random_state=1)
    fit = sf.lmer("y ~ x + (1|g)", shuffled, method="ml")
    new = sf.simulate(fit, random_seed=1)["sim_1"]
    assert new.index.equals(shuffled.index)
    np.testing.assert_array_equal(sf.refit(fit, new).model.design.response, new)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_many_responses_of_one_design_are_fitted_as_each_by_itself(method, weights):
    """What a design comes to is made once; a slope's column far from zero is searched centred."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat([f"g{k}" for k in range(12)], 8), "x": np.tile(np.arange(8.0), 12) + 40})
    data["w"] = rng.uniform(0.5, 2, 96)
    data["y"] = rng.normal(0, 1, 12).repeat(8) + 0.2 * data["x"] + rng.normal(0, 0.6, 96)
    fit = sf.lmer("y ~ x + (x | g)", data, method=method, weights=weights)
    for _ in range(3):
        response = data["y"] + rng.normal(0, 0.3, 96) + 0.1 * data["x"] * rng.normal(0, 1, 12).repeat(8)
        again = sf.refit(fit, response)
        alone = sf.lmer("y ~ x + (x | g)", data.assign(y=response), method=method, weights=weights)
        assert again.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-9)
        np.testing.assert_allclose(again.estimates.coefficients, alone.estimates.coefficients, rtol=1e-8)
        np.testing.assert_allclose(again.estimates.mode_sds[0], alone.estimates.mode_sds[0], rtol=1e-6)


def test_weights_that_are_no_column_stay_with_their_rows():
    table = pd.DataFrame({"y": np.arange(24) % 7.0, "x": np.arange(24) % 5.0, "g": np.repeat(list("abcdef"), 4)})
    weights, new = np.linspace(0.5, 2, 24), np.sin(np.arange(24.0))
    again = sf.refit(sf.lmer("y ~ x + (1 | g)", table, weights=weights, method="ml"), new)
    expected = sf.lmer("y ~ x + (1 | g)", table.assign(y=new), weights=weights, method="ml")
    assert again.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-8)
