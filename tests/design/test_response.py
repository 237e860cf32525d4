"""Ordered levels and proportions: what a design makes of them, and the exact text of each error."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design import replay_design

ORDER = ["low", "middle", "top"]
TABLE = pd.DataFrame(
    {
        "grade": pd.Categorical(["low", "top", "middle", "low", "top", "middle"], categories=ORDER, ordered=True),
        "loose": pd.Categorical(["low", "top", "middle", "low", "top", "middle"], categories=ORDER),
        "text": ["low", "top", "middle", "low", "top", "middle"],
        "gaps": pd.Categorical(["low", "top", "top", "low", "top", "low"], categories=ORDER, ordered=True),
        "stars": [1, 5, 3, 1, 5, 3],
        "score": [1.0, 2.5, 3.0, 1.0, 2.0, 3.0],
        "same": [2, 2, 2, 2, 2, 2],
        "n": [4, 2, 5, 10, 3, 1],
        "half": [4, 2, 5.5, 10, 3, 1],
        "share": [0.25, 0.5, 0.6, 0.0, 1 / 3, 1.0],
        "rounded": [0.25, 0.5, 0.6, 0.0, 0.33, 1.0],
        "hit": ["no", "yes", "no", "no", "yes", "yes"],
        "zeros": [0, 1, 0, 0, 1, 1],
        "below": [4, 2, -1, 10, 3, 1],
        "x": [0.3, 0.1, 0.4, 0.7, 0.2, 0.9],
        "f": ["a", "b", "c", "a", "b", "c"],
    }
)


def test_levels_keep_the_analysts_order() -> None:
    design = sf.Model("grade ~ x", TABLE, family="cumulative").design
    assert design.levels == ("low", "middle", "top")
    assert design.response.tolist() == [0, 2, 1, 0, 2, 1]
    backwards = TABLE.assign(grade=TABLE["grade"].cat.reorder_categories(ORDER[::-1]))
    assert sf.Model("grade ~ x", backwards, family="cumulative").design.response.tolist() == [2, 0, 1, 2, 0, 1]


def test_whole_numbers_are_levels() -> None:
    design = sf.Model("stars ~ x", TABLE, family="cumulative").design
    assert design.levels == ("1", "3", "5")
    assert design.response.tolist() == [0, 2, 1, 0, 2, 1]


def test_factors_are_coded_as_beside_an_intercept() -> None:
    design = sf.Model("grade ~ f + x", TABLE, family="cumulative").design
    assert [term.columns for term in design.mean.fixed] == [("f[b]", "f[c]"), ("x",)]
    assert design.mean.X[:, 0].tolist() == [0, 1, 0, 0, 1, 0]
    assert replay_design(design, TABLE[["f", "x"]].iloc[::-1]).mean.X.tolist() == design.mean.X[::-1].tolist()
    assert "Levels: low < middle < top" in repr(sf.Model("grade ~ f", TABLE, family="cumulative"))


def test_a_proportion_with_weights_is_its_counts() -> None:
    for family in ("binomial", "beta_binomial", "zero_inflated_binomial"):
        given = sf.Model("share ~ x", TABLE, family=family, weights="n").design
        assert given.response.tolist() == [1, 1, 3, 0, 1, 1]
        assert given.trials is not None
        assert given.trials.tolist() == TABLE["n"].tolist()
        assert given.weights is None
    array = sf.Model("share ~ x", TABLE, family="binomial", weights=TABLE["n"].to_numpy()).design
    assert np.array_equal(array.response, given.response)


@pytest.mark.parametrize("column", ["hit", "zeros"])
def test_single_trials_may_be_called_binomial(column: str) -> None:
    design = sf.Model(f"{column} ~ x", TABLE, family="binomial").design
    assert design.response.tolist() == [0, 1, 0, 0, 1, 1]
    assert design.trials is not None
    assert design.trials.tolist() == [1] * 6


MESSAGES: list[tuple[str, dict[str, Any], type[sf.SpecletError], str]] = [
    (
        "text ~ x",
        {"family": "cumulative"},
        sf.DataError,
        "the levels of 'text' have no order: low, top, middle.\n"
        "An ordinal response is an ordered factor, the lowest level first, or whole numbers.\n"
        "Write data['text'] = pandas.Categorical(data['text'], categories=[...], ordered=True).",
    ),
    (
        "loose ~ x",
        {"family": "sratio"},
        sf.DataError,
        "the levels of 'loose' have no order: low, top, middle.\n"
        "An ordinal response is an ordered factor, the lowest level first, or whole numbers.\n"
        "Write data['loose'] = pandas.Categorical(data['loose'], categories=[...], ordered=True).",
    ),
    (
        "gaps ~ x",
        {"family": "cumulative"},
        sf.DataError,
        "no row of 'gaps' has the level middle.\n"
        "A threshold between two levels is known from rows on both sides of it.\n"
        "Write data['gaps'] = data['gaps'].cat.remove_unused_categories() to leave empty levels out.",
    ),
    (
        "score ~ x",
        {"family": "cumulative"},
        sf.DataError,
        "'score' has 1 values that are not whole numbers, such as 2.5.\n"
        "The levels of an ordinal response are whole numbers, or an ordered factor.\n"
        "Cut the numbers into levels first: pandas.cut(data['score'], bins).",
    ),
    (
        "same ~ x",
        {"family": "cumulative"},
        sf.DataError,
        "'same' has the level '2' alone.\n"
        "An ordinal response has two levels or more.\n"
        "Check the column, or fit the rows before they were filtered.",
    ),
    (
        "grade ~ 0 + x",
        {"family": "cumulative"},
        sf.FormulaError,
        "the formula leaves out the intercept, which an ordinal model has not.\n"
        "Thresholds between the levels stand in its place, and are always there.\n"
        "Leave '0 +' or '- 1' out.",
    ),
    (
        "rounded ~ x",
        {"family": "binomial", "weights": "n"},
        sf.DataError,
        "'rounded' times 'n' is no whole number in 1 of 6 rows, such as 0.33 * 3 = 0.99.\n"
        "A proportion is successes / trials, both whole numbers, to within 1e-06.\n"
        "Compute it without rounding, or write cbind(successes, failures).",
    ),
    (
        "share ~ x",
        {"family": "binomial", "weights": "half"},
        sf.DataError,
        "'share' times 'half' is no whole number in 1 of 6 rows, such as 0.6 * 5.5 = 3.3.\n"
        "A proportion is successes / trials, both whole numbers, to within 1e-06.\n"
        "Compute it without rounding, or write cbind(successes, failures).",
    ),
    (
        "stars ~ x",
        {"family": "binomial", "weights": "n"},
        sf.DataError,
        "'stars' has 4 values that are no proportion, such as 5.\n"
        "With numbers of trials as weights ('n') the response is successes / trials, between 0 and 1.\n"
        "For counts of successes write cbind(stars, n - stars) without weights.",
    ),
    (
        "share ~ x",
        {"family": "binomial", "weights": "below"},
        sf.DataError,
        "the weights 'below' are not all numbers of trials.\n"
        "The weights of a proportion count its trials; a row of none says nothing, and not all can have none.\n"
        "Mend the column, or write cbind(successes, failures).",
    ),
    (
        "cbind(zeros, n) ~ x",
        {"family": "binomial", "weights": "n"},
        sf.DataError,
        "'cbind(zeros, n)' has its own numbers of trials, and weights= gives others.\n"
        "Weights count the trials of a response that is a proportion, successes / trials.\n"
        "Leave weights= out.",
    ),
    (
        "share ~ x",
        {"family": "binomial"},
        sf.DataError,
        "'share' says nothing of the numbers of trials.\n"
        "A binomial response is cbind(successes, failures), or a proportion with the numbers of trials as weights, "
        "or single trials of 0 and 1.\n"
        "Write cbind(share, trials - share) for successes, or add weights='trials' for a proportion.",
    ),
    (
        "grade ~ x",
        {"family": "cumulative", "priors": {"threshold": sf.Prior("HalfNormal", sigma=1)}},
        sf.PriorError,
        "HalfNormal(sigma=1) cannot be the prior of 'threshold'.\n"
        "Thresholds lie anywhere on the link's scale: Normal, StudentT, ...\n"
        'Write Prior("Normal", mu=0, sigma=2.5).',
    ),
    (
        "grade ~ x",
        {"family": "cumulative", "priors": {"threshold": sf.Prior("Normal", mu=[-1, 0, 1], sigma=1)}},
        sf.PriorError,
        "the prior of 'threshold' has 3 values, Normal(mu=[-1, 0, 1], sigma=1).\n"
        "There are 2 thresholds: low|middle, middle|top.\n"
        "Give one number for all of them, or one for each in this order.",
    ),
    (
        "n ~ x",
        {"family": "zero_inflated_poisson", "priors": {"psi": sf.Prior("HalfNormal", sigma=1)}},
        sf.PriorError,
        "HalfNormal(sigma=1) cannot be the prior of 'psi'.\n"
        "psi is a share of the rows, so that its prior lies between 0 and 1.\n"
        'Write Prior("Beta", alpha=2, beta=2).',
    ),
]


@pytest.mark.parametrize(("formula", "arguments", "kind", "message"), MESSAGES)
def test_messages(formula: str, arguments: dict[str, Any], kind: type[sf.SpecletError], message: str) -> None:
    with pytest.raises(kind) as caught:
        sf.Model(formula, TABLE, **arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("formula", "params", "settings", "message"),
    [
        (
            "y ~ 1",
            {"Intercept": 0, "psi": 1.5},
            {"family": "hurdle_poisson"},
            "truth['psi'] is 1.5.\n'psi' is a share, at most 1.\nGive a number up to 1.",
        ),
        (
            "y ~ 1",
            {"threshold": [1, 0]},
            {"family": "cumulative"},
            "truth['threshold'] is [1, 0].\n"
            "Thresholds are a list of increasing numbers, one between each two levels.\n"
            "For four levels write three numbers, such as [-1, 0, 1].",
        ),
        (
            "y ~ 1",
            {"Intercept": 0},
            {"family": "poisson", "weights": "n"},
            "weights have no meaning for the family 'poisson'.\n"
            "They divide the residual variance of a gaussian or t response, and count the trials of a proportion.\n"
            "Leave weights= out.",
        ),
        (
            "y ~ 1",
            {"Intercept": 0},
            {"family": "binomial", "weights": "half"},
            "the weights hold 5.5, which is no number of trials.\n"
            "The weights of a binomial response are whole numbers of trials.\nRound them first.",
        ),
    ],
)
def test_messages_of_simulate(formula: str, params: Any, settings: Any, message: str) -> None:
    with pytest.raises(sf.DataError) as caught:
        sf.simulate(formula, TABLE, params, **settings)
    assert str(caught.value) == message
