"""Whether one model is a special case of another: pairs whose answer algebra tells."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.comparison.nesting import why_not_nested


@cache
def data():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": np.tile(np.arange(10.0), 18), "g": np.repeat(list("abcdefghijklmnopqr"), 10)})
    table["f"] = np.tile(list("uvuvuvuvuv"), 18)
    table["h"] = np.tile(list("12345"), 36)
    table["y"], table["k"] = rng.normal(size=180), rng.poisson(3, 180)
    table["w"] = rng.uniform(1, 2, 180)
    return table


def model(formula, **settings):
    return sf.Model(formula, data(), **settings)


@pytest.mark.parametrize(("smaller", "larger"), [
    ("y ~ (1 | g)", "y ~ x + (1 | g)"),
    ("y ~ x + (1 | g)", "y ~ poly(x, 2) + (1 | g)"),
    ("y ~ x + (1 | g)", "y ~ x + (x || g)"),
    ("y ~ x + (x || g)", "y ~ x + (x | g)"),
    ("y ~ x + (1 | g)", "y ~ x + (scale(x) | g)"),
    ("y ~ x", "y ~ x + (1 | g)"),
    ("y ~ (1 | g) + (1 | g:f)", "y ~ (0 + f | g)"),  # compound symmetry lies within any covariance
    ("y ~ f", "y ~ f * h"),
    ("y ~ x + offset(x) + (1 | g)", "y ~ x + (1 | g)"),  # x's coefficient takes the offset up
    ("y ~ (1 | g)", "y ~ cs(0 + h | g, hom = TRUE)"),
    ("y ~ diag(0 + h | g, hom = TRUE)", "y ~ ar1(0 + h | g)"),
    ("y ~ ar1(0 + h | g)", "y ~ ar1(0 + h | g, hom = FALSE)"),
    ("y ~ (0 + h || g)", "y ~ cs(0 + h | g)"),
    ("y ~ cs(0 + h | g)", "y ~ (0 + h | g)"),
])  # fmt: skip
def test_special_cases_are_found(smaller, larger):
    assert why_not_nested(model(smaller), model(larger)) == ""
    assert why_not_nested(model(larger), model(larger)) == ""


@pytest.mark.parametrize(("smaller", "larger", "reason"), [
    ("y ~ x + (1 | g)", "y ~ f + h + (1 | g)", "fixed column 'x'"),
    ("y ~ x", "y ~ exp(x) + f", "fixed column 'x'"),
    ("y ~ (1 | h)", "y ~ x + (1 | g)", "group term by 'h'"),
    ("y ~ (1 | g)", "y ~ f + (0 + x | g)", "group term by 'g'"),
    ("y ~ x + (x | g)", "y ~ x + f + (x || g)", "group term by 'g'"),
    ("y ~ (1 | g:h)", "y ~ (1 | g) + (1 | h)", "group term by 'g:h'"),
    ("y ~ offset(x) + (1 | g)", "y ~ f + (1 | g)", "their offsets differ"),
    ("y ~ (0 + h | g)", "y ~ cs(0 + h | g)", "group term by 'g'"),
    ("y ~ cs(0 + h | g)", "y ~ cs(0 + h | g, hom = TRUE)", "group term by 'g'"),
    ("y ~ cs(0 + h | g, hom = TRUE)", "y ~ ar1(0 + h | g)", "group term by 'g'"),
    ("y ~ ar1(0 + h | g)", "y ~ cs(0 + h | g)", "group term by 'g'"),
    ("y ~ (0 + h || g)", "y ~ diag(0 + h | g, hom = TRUE)", "group term by 'g'"),
])  # fmt: skip
def test_what_is_no_special_case_is_named(smaller, larger, reason):
    assert reason in why_not_nested(model(smaller), model(larger))


def test_a_count_has_no_residual_to_hide_a_variance_in():
    """In each row alone, a variance by row is a residual of a gaussian response; of a count it is not."""
    table = data().assign(row=np.arange(180).astype(str))
    for response, family, answer in (("y", "gaussian", ""), ("k", "poisson", "group term by 'row'")):
        one, two = (sf.Model(f"{response} ~ {right}", table, family=family) for right in ("(1 | row)", "x + (1 | g)"))
        assert answer in why_not_nested(one, two)
        assert bool(why_not_nested(one, two)) == bool(answer)


def test_weights_of_the_smaller_model_are_proportional_to_those_of_the_larger():
    plain, weighted, scaled = (model("y ~ (1 | g)", weights=w) for w in (None, "w", data()["w"] * 3))
    assert why_not_nested(weighted, scaled) == ""
    for pair in ((plain, weighted), (weighted, plain)):
        assert why_not_nested(*pair) == "their weights differ"


def test_the_more_general_family_is_no_special_case_of_its_limit():
    counts, spread = (model("k ~ (1 | g)", family=family) for family in ("poisson", "negativebinomial"))
    assert why_not_nested(counts, spread) == ""
    assert why_not_nested(spread, counts) == "its family 'negativebinomial' is no special case of 'poisson'"


def test_likelihoods_by_other_numbers_of_nodes_are_not_compared():
    settings = {"family": "poisson", "method": "laplace"}
    fits = [sf.glmer("k ~ (1 | g)", data(), **settings), sf.glmer("k ~ x + (1 | g)", data(), **settings, nAGQ=5)]
    with pytest.raises(sf.ComparisonError, match="in different ways: nAGQ=1, 5") as caught:
        sf.anova(*fits)
    assert "Fit all of them with nAGQ=5" in str(caught.value)
    assert sf.glance({"one": fits[0], "five": fits[1]})["dAIC"].isna().all()


def test_anova_leaves_out_a_test_of_nothing():
    small, large = (sf.fit(model(text), method="ml") for text in ("y ~ x + (1 | g)", "y ~ f + h + (1 | g)"))
    found = sf.anova(small, large)
    assert found.table[["Chisq", "Pr(>Chisq)"]].isna().all(axis=None)
    assert found.table["AIC"].notna().all()
    assert "y ~ 1 + x + (1 | g) is no special case of y ~ 1 + f + h + (1 | g): its fixed column 'x'" in found.notes[0]


def test_a_process_holds_itself_and_no_other():
    """Of other covariance functions or waves it is not made; with another term beside it, it is."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.uniform(size=40), "g": np.arange(40) % 5, "y": rng.normal(size=40)})
    gp, wider, rougher, more = (
        sf.Model(f"y ~ {text}", data)
        for text in ("gp(x, m = 5)", "gp(x, m = 5) + (1 | g)", 'gp(x, m = 5, cov = "matern32")', "gp(x, m = 7)")
    )
    assert not why_not_nested(gp, wider)
    for other in (rougher, more):
        assert "its group term by 'gp(x)' is none of the other's" in why_not_nested(gp, other)
