"""Degrees of freedom and tests of fixed effects against lmerTest and pbkrtest, and what is said without any."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.errors import EstimateError
from speclet_formula.posterior.degrees_of_freedom import (
    SmallSample,
    degrees,
    joint_test,
    quantile_of_t,
    small_sample,
    tail_of_t,
)
from tests.fakes import crossed_fit
from tests.lmertest import MODELS, fit_of, label_of


def test_the_models_are_many_and_some_are_singular():
    assert len(MODELS) >= 25
    assert sum(answer["singular"] for answer in MODELS.values()) >= 5
    assert all(fit_of(name).singular == answer["singular"] for name, answer in MODELS.items())


@pytest.mark.parametrize("name", MODELS)
def test_fixed_effects_are_tested_as_in_lmertest(name):
    """Degrees of freedom to a thousandth, p-values to 1e-4: R's numeric derivatives are good to five digits or so."""
    for expected in MODELS[name]["fixed"]:
        terms = expected["term"]
        found = sf.fixef(fit_of(name), df=expected["method"]).dropna(subset="estimate")
        found = found.set_axis(found["term"].map(label_of)).loc[terms]
        error = np.atleast_1d(expected["se"])
        np.testing.assert_allclose(found["estimate"] / error, np.atleast_1d(expected["estimate"]) / error, atol=1e-4)
        np.testing.assert_allclose(found["std_error"], error, rtol=1e-4)
        np.testing.assert_allclose(found["df"], np.atleast_1d(expected["df"]), rtol=1e-3)
        np.testing.assert_allclose(found["statistic"], np.atleast_1d(expected["t"]), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(found["p_value"], np.atleast_1d(expected["p"]), atol=1e-4, rtol=0)


def test_an_interval_has_the_quantile_of_its_degrees_of_freedom():
    for name in ("machines, unbalanced", "blocks by ML, unbalanced"):
        frame = sf.fixef(fit_of(name), ci_prob=0.9)
        reach = stats.t.ppf(0.95, frame["df"]) * frame["std_error"]
        np.testing.assert_allclose(frame["conf_high"] - frame["estimate"], reach, rtol=1e-9)
        np.testing.assert_allclose(frame["estimate"] - frame["conf_low"], reach, rtol=1e-9)
        assert frame.attrs["interval"] == "90% t interval (Satterthwaite)"


def test_confint_has_normal_quantiles_as_lme4_unless_others_are_asked_for():
    fit = fit_of("machines")
    normal, t = (sf.confint(fit, df=df).query("effect == 'fixed'") for df in (None, "kenward-roger"))
    exact = sf.fixef(fit, df="kenward-roger")
    width = normal["conf_high"] - normal["conf_low"]
    np.testing.assert_allclose(width, 2 * 1.959963984540054 * sf.fixef(fit)["std_error"], rtol=1e-9)
    np.testing.assert_allclose(t["conf_low"], exact["conf_low"], rtol=1e-12)
    with pytest.raises(EstimateError, match="a profile has no degrees of freedom df='satterthwaite'"):
        sf.confint(fit, "profile", df="satterthwaite")


def test_tidy_has_them_of_fixed_effects_alone():
    fit = fit_of("machines")
    frame = sf.tidy(fit, df="Kenward-Roger")
    fixed, exact = frame.query("effect == 'fixed'"), sf.fixef(fit, df="kenward-roger")
    np.testing.assert_array_equal(fixed[["df", "statistic", "p_value"]], exact[["df", "statistic", "p_value"]])
    assert frame.query("effect != 'fixed'")[["df", "statistic", "p_value"]].isna().all(axis=None)
    assert "Kenward-Roger" in frame.attrs["tests"]


def test_asymptotic_tests_are_called_so():
    frame = sf.fixef(fit_of("machines"), df="asymptotic")
    assert np.isinf(frame["df"]).all()
    assert frame.attrs["tests"] == "statistic is a z value; p_value is asymptotic, by the normal distribution."
    np.testing.assert_allclose(frame["p_value"], 2 * stats.norm.sf(np.abs(frame["statistic"])), rtol=1e-9)


def test_without_group_terms_they_are_those_of_least_squares():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=20), "y": rng.normal(size=20)})
    line = stats.linregress(data["x"], data["y"])
    for df in ("satterthwaite", "kenward-roger"):
        row = sf.fixef(sf.lmer("y ~ x", data, method="reml"), df=df).iloc[1]
        assert row["df"] == pytest.approx(18, rel=1e-9)
        assert (row["std_error"], row["p_value"]) == pytest.approx((line.stderr, line.pvalue), rel=1e-9)


def test_they_survive_saving(tmp_path):
    fit = fit_of("slopes, unbalanced")
    again = sf.load(sf.save(fit, tmp_path / "slopes.fit"))
    for df in ("satterthwaite", "kenward-roger"):
        pd.testing.assert_frame_equal(sf.fixef(again, df=df), sf.fixef(fit, df=df), rtol=1e-12)


def test_they_do_not_depend_on_units_or_on_where_a_number_is_zero():
    """lmerTest's do, from a residual SD of some hundred thousand on: findings/lmertest-large-units.sh."""
    data = sf.datasets.m7()[0].assign(x=lambda d: (d.index * 7 % 13) / 13)
    plain = sf.lmer("log_fc ~ x + (x | cell_line)", data, method="reml")
    moved = sf.lmer(
        "log_fc ~ x + (x | cell_line)",
        data.assign(log_fc=1e7 * data["log_fc"], x=1e-3 * data["x"] + 2_000),
        method="reml",
    )
    for df in ("satterthwaite", "kenward-roger"):
        rows = [sf.fixef(fit, df=df).iloc[1] for fit in (plain, moved)]
        assert rows[1]["df"] == pytest.approx(rows[0]["df"], rel=1e-3)
        assert rows[1]["p_value"] == pytest.approx(rows[0]["p_value"], abs=1e-5)


# --- the formulas -----------------------------------------------------------------------------------------------------


def two_variances():
    """Two means whose variances are known as well as those of 5 and of 12 normal numbers."""
    plain = np.diag([2.0, 3.0])
    gradients = np.array([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])])
    uncertainty = np.diag([2 * 2.0**2 / 5, 2 * 3.0**2 / 12])
    return SmallSample("satterthwaite", plain, plain, gradients, uncertainty)


def test_welchs_degrees_of_freedom_are_satterthwaites():
    known = two_variances()
    L = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    np.testing.assert_allclose(degrees(known, L), [5, 12, 25 / (4 / 5 + 9 / 12)], rtol=1e-12)


def test_a_joint_test_of_independent_sums_has_the_mean_of_its_squared_t_values():
    known = two_variances()
    found = joint_test(known, np.eye(2), np.array([2.0, 3.0]))
    mean = (5 / 3 + 12 / 10) / 2  # of F: that of the two squared t values
    assert found.statistic == pytest.approx((4 / 2 + 9 / 3) / 2)
    assert found.den_df / (found.den_df - 2) == pytest.approx(mean)
    assert found.p_value == pytest.approx(stats.f.sf(found.statistic, 2, found.den_df))


def test_rows_that_follow_from_others_add_nothing():
    known = two_variances()
    once = joint_test(known, np.eye(2), np.array([2.0, 3.0]))
    again = joint_test(known, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([2.0, 3.0]))
    assert (again.num_df, again.statistic) == (2, pytest.approx(once.statistic))
    nothing = joint_test(known, np.zeros((1, 2)), np.array([2.0, 3.0]))
    assert nothing.num_df == 0
    assert np.isnan(nothing.p_value)


def test_tails_and_quantiles():
    df = np.array([1.0, 3.3, 40.0, np.inf])
    np.testing.assert_allclose(tail_of_t(np.full(4, 2.5), df), 2 * stats.t.sf(2.5, df), rtol=1e-9)
    np.testing.assert_allclose(quantile_of_t(0.95, df), stats.t.ppf(0.975, df), rtol=1e-9)


# --- what is said -----------------------------------------------------------------------------------------------------


def test_what_is_no_method_is_told():
    with pytest.raises(EstimateError) as error:
        sf.fixef(fit_of("machines"), df="kenwardroger2")
    assert str(error.value) == (
        "there are no degrees of freedom df='kenwardroger2'.\n"
        "Methods: 'satterthwaite', 'kenward-roger', 'asymptotic'.\n"
        "Write df='kenward-roger'."
    )


def test_kenward_and_rogers_are_for_reml():
    with pytest.raises(EstimateError) as error:
        sf.fixef(fit_of("slopes by ML"), df="kenward-roger")
    assert str(error.value) == (
        "there are no degrees of freedom by df='kenward-roger' here: Kenward and Roger's method is for fits by "
        "method='reml'.\nThis fit has 'satterthwaite' and 'asymptotic'.\nWrite df='satterthwaite'."
    )


def test_laplace_has_z_values():
    counts = pd.DataFrame({"k": [0, 1, 3, 2, 5, 4, 1, 0, 2, 6, 3, 1], "g": list("abcd") * 3, "x": range(12)})
    fit = sf.glmer("k ~ x + (1 | g)", counts, family="poisson", method="laplace")
    assert "df" not in sf.fixef(fit)
    assert sf.fixef(fit).attrs["tests"] == "statistic is a z value; p_value is asymptotic, by the normal distribution."
    with pytest.raises(EstimateError, match="This fit has 'asymptotic'"):
        sf.fixef(fit, df="satterthwaite")


def test_draws_have_none():
    with pytest.raises(EstimateError, match="a fit with draws has no degrees of freedom, df='satterthwaite'"):
        sf.fixef(crossed_fit(), df="satterthwaite")


def test_what_was_wanted_first_and_why_it_is_not_is_said(monkeypatch):
    monkeypatch.setattr("speclet_formula.inference.reml.degrees_of_freedom.USUAL_CUBES", 10)
    fit = fit_of("machines")
    known = small_sample(fit, usual="kenward-roger")
    assert known.method == "satterthwaite"
    assert known.why == "Kenward and Roger's method takes matrices of all 18 group effects that hang together"
    means = sf.marginal_means(fit, "Machine")
    assert means.table.attrs["degrees"] == f"df are by Satterthwaite's method ({known.why})."
    assert known.why in repr(means).replace("\n", " ")
    monkeypatch.setattr("speclet_formula.inference.reml.degrees_of_freedom.MOST_WORK", 10)
    assert small_sample(fit).method == "asymptotic"
    assert small_sample(fit).why == "df='satterthwaite' takes 145 evaluations of a large model"
    assert "Pr(>|z|) is asymptotic" in repr(fit)
    assert sf.fixef(fit, df="satterthwaite")["df"].notna().all()  # where it is asked for, it is made
