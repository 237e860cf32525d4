"""One frame with all estimates, in broom.mixed's columns."""

import doctest
import sys

import numpy as np
import pandas as pd
import pytest

from speclet_formula.errors import EstimateError
from speclet_formula.model import Model
from speclet_formula.posterior.effects import fixef, ranef
from speclet_formula.posterior.tidy import TIDY, tidy
from speclet_formula.posterior.variances import varcorr
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data
from tests.rdata import answers, fit_of


def test_it_holds_what_the_other_frames_hold():
    fit = correlated_fit()
    frame = tidy(fit)
    assert list(frame) == ["effect", "group", "level", "term", "estimate", "std_error", "conf_low", "conf_high"]
    assert frame["effect"].value_counts().to_dict() == {"fixed": 2, "ran_pars": 4, "ran_vals": 36}
    parts = dict(iter(frame.groupby("effect")))
    np.testing.assert_array_equal(parts["fixed"].iloc[:, 4:], fixef(fit).iloc[:, 1:5])
    np.testing.assert_array_equal(parts["ran_vals"].iloc[:, 4:], ranef(fit).iloc[:, 3:])
    order = [0, 1, 2, 3]
    np.testing.assert_array_equal(
        parts["ran_pars"][["estimate", "conf_low", "conf_high"]], varcorr(fit).iloc[order, 4:]
    )
    assert parts["ran_vals"]["level"].to_list() == ranef(fit)["grp"].to_list()
    assert parts["fixed"][["group", "level"]].isna().all(axis=None)


@pytest.mark.parametrize("name", ["crossed", "poisson"])
def test_tests_of_fixed_effects_are_those_of_broom(name):
    """A thousandth of a standard error; glmer's errors are second differences, good to some thousandths."""
    fit, expected = fit_of(name), answers(name)["tests"]
    fixed = tidy(fit).query("effect == 'fixed'")
    np.testing.assert_allclose(fixed["statistic"], expected["statistic"], rtol=1e-3 if name == "crossed" else 5e-3)
    assert ("df" in fixed) == (name == "crossed")
    if "p.value" in expected:
        np.testing.assert_allclose(np.log(fixed["p_value"]), np.log(expected["p.value"]), rtol=0.01)
    assert tidy(fit, "ran_vals").columns.to_list() == list(TIDY)


def test_rows_of_standard_deviations():
    assert tidy(crossed_fit(), effects=["ran_pars"])[["group", "term"]].to_numpy().tolist() == [
        ["gene", "sd__Intercept"],
        ["cell_line", "sd__Intercept"],
        ["Residual", "sd__Observation"],
    ]


def test_effects_come_as_asked():
    fit = correlated_fit()
    assert tidy(fit, "fixed")["effect"].unique().tolist() == ["fixed"]
    assert tidy(fit, ("ran_vals", "fixed"))["effect"].unique().tolist() == ["ran_vals", "fixed"]
    assert tidy(fit, ci_prob=0.5).attrs["interval"] == "50% equal-tailed interval"


def test_what_a_model_lacks_adds_no_rows():
    fit = fake_fit(Model("log_fc ~ control", screen_data()))
    assert tidy(fit)["term"].to_list() == ["Intercept", "control[other]", "sd__Observation"]
    assert len(tidy(fit, "ran_vals")) == 0
    counts = fake_fit(Model("n ~ (1 | gene)", screen_data().assign(n=np.arange(48) % 5), family="poisson"))
    assert tidy(counts, "ran_pars")["term"].to_list() == ["sd__Intercept"]
    assert isinstance(tidy(fit, ()), pd.DataFrame)


@pytest.mark.parametrize(
    ("effects", "text"),
    [
        (
            "ran_val",
            "there is no effect 'ran_val'.\nEffects: fixed, ran_pars, ran_vals.\nNearest: 'ran_vals'.",
        ),
        (
            ["fixed", "all"],
            "there is no effect 'all'.\nEffects: fixed, ran_pars, ran_vals.\nLeave effects= out for all of them.",
        ),
    ],
)
def test_error_texts(effects, text):
    with pytest.raises(EstimateError) as caught:
        tidy(correlated_fit(), effects)
    assert str(caught.value) == text


def test_examples_run():
    assert doctest.testmod(sys.modules[tidy.__module__], extraglobs={"fit": correlated_fit()}).failed == 0


def test_fixed_effects_are_exponentiated_by_the_delta_method_and_nothing_else_is():
    fit = fake_fit(Model("n ~ control + (1 | gene)", screen_data().assign(n=np.arange(48) % 5), family="poisson"))
    plain, ratios = tidy(fit), tidy(fit, exponentiate=True)
    fixed = plain["effect"] == "fixed"
    ends = ["estimate", "conf_low", "conf_high"]
    np.testing.assert_allclose(ratios.loc[fixed, ends], np.exp(plain.loc[fixed, ends]), rtol=1e-14)
    errors = plain.loc[fixed, "std_error"] * np.exp(plain.loc[fixed, "estimate"])
    np.testing.assert_allclose(ratios.loc[fixed, "std_error"], errors, rtol=1e-14)
    pd.testing.assert_frame_equal(ratios[~fixed], plain[~fixed])
    assert ratios.attrs == plain.attrs


def test_without_ends_of_intervals():
    frame = tidy(correlated_fit(), None, conf_int=False, exponentiate=True)
    assert list(frame) == ["effect", "group", "level", "term", "estimate", "std_error"]
    pd.testing.assert_frame_equal(tidy(correlated_fit(), conf_int=False), tidy(correlated_fit()).iloc[:, :6])
