"""Summaries of draws, against ArviZ; settings and errors."""

import doctest

import arviz_base
import numpy as np
import pytest
from arviz_stats.base import array_stats

from speclet_formula.errors import EstimateError
from speclet_formula.posterior import estimates as intervals
from speclet_formula.posterior.effects import fixef
from speclet_formula.posterior.estimates import Interval, choose_interval, summarise
from speclet_formula.posterior.variances import sigma, varcorr
from tests.fakes import correlated_fit

DRAWS = np.random.default_rng(3).gamma(2.0, size=(501, 4))


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.89, 0.999])
def test_intervals_are_those_of_arviz(probability):
    for kind, theirs in (("eti", array_stats.eti), ("hdi", array_stats.hdi)):
        found = summarise(DRAWS, Interval(probability, kind, "mean"))
        np.testing.assert_allclose(found[["conf_low", "conf_high"]], theirs(DRAWS, probability, axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("point", "theirs"),
    [("mean", np.mean), ("median", np.median), ("mode", lambda draws, axis: array_stats.mode(draws, axis=axis))],
)
def test_point_estimates(point, theirs):
    found = summarise(DRAWS, Interval(0.5, "eti", point))
    np.testing.assert_allclose(found["estimate"], theirs(DRAWS, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["std_error"], np.sqrt(((DRAWS - DRAWS.mean(0)) ** 2).sum(0) / 500), rtol=1e-12)


@pytest.mark.parametrize("kind", ["eti", "hdi"])
@pytest.mark.parametrize("point", ["mean", "median", "mode"])
def test_a_draw_that_is_nan_makes_its_own_summary_nan(kind, point):
    draws = DRAWS.copy()
    draws[3, 1] = np.nan
    found = summarise(draws, Interval(0.89, kind, point))
    assert found.loc[1, ["conf_low", "conf_high", "std_error"]].isna().all()
    assert found.drop(index=1).notna().all(axis=None)


def test_one_draw_has_no_standard_error():
    found = summarise(DRAWS[:1], Interval(0.89, "eti", "mean"))
    assert found["std_error"].isna().all()
    np.testing.assert_array_equal(found["estimate"], DRAWS[0])


def test_settings_come_from_arviz_and_are_left_as_they_were():
    fit = correlated_fit()
    before = dict(arviz_base.rcParams)
    usual = fixef(fit)
    settings = {"stats.ci_prob": 0.5, "stats.ci_kind": "hdi", "stats.point_estimate": "median"}
    with arviz_base.rc_context(settings):
        frame, residual = fixef(fit), sigma(fit)
        assert frame.attrs == {"interval": "50% highest-density interval", "point_estimate": "median"}
        assert "low 50%" in repr(fit)
        assert "Estimates are posterior medians" in repr(fit)
    draws = fit.idata["posterior"]["Days"].values.ravel()
    assert frame["estimate"][1] == np.median(draws)
    np.testing.assert_allclose(frame.loc[1, ["conf_low", "conf_high"]].astype(float), array_stats.hdi(draws, 0.5))
    assert residual == np.median(fit.idata["posterior"]["sigma"].values)
    assert dict(arviz_base.rcParams) == before
    assert fixef(fit).equals(usual)


def test_arguments_win_over_settings():
    assert varcorr(correlated_fit(), ci_prob=0.95, ci_kind="hdi").attrs["interval"] == "95% highest-density interval"


MASS = "It is a number above 0 and below 1."
LEAVE = "Write ci_prob=0.89, or leave it out for ArviZ's setting."


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"ci_prob": 89}, f"ci_prob=89 is not a credible mass.\n{MASS}\nWrite ci_prob=0.89."),
        ({"ci_prob": 0}, f"ci_prob=0 is not a credible mass.\n{MASS}\n{LEAVE}"),
        ({"ci_prob": 1}, f"ci_prob=1 is not a credible mass.\n{MASS}\n{LEAVE}"),
        ({"ci_prob": 1.5}, f"ci_prob=1.5 is not a credible mass.\n{MASS}\n{LEAVE}"),
        ({"ci_prob": "0.9"}, f"ci_prob='0.9' is not a credible mass.\n{MASS}\n{LEAVE}"),
        ({"ci_prob": float("nan")}, f"ci_prob=nan is not a credible mass.\n{MASS}\n{LEAVE}"),
        (
            {"ci_kind": "HPD"},
            "there is no interval of the kind ci_kind='HPD'.\nKinds: 'eti' (equal-tailed) and 'hdi' (highest density)."
            "\nWrite ci_kind='eti', or leave it out for ArviZ's setting.",
        ),
    ],
)
def test_error_texts(settings, text):
    with pytest.raises(EstimateError) as caught:
        choose_interval(**settings)
    assert str(caught.value) == text


def test_examples_run():
    assert doctest.testmod(intervals).failed == 0
