"""One row equals broom.mixed's."""

import numpy as np
import pytest

import speclet_formula as sf
from speclet_formula.errors import ComparisonError
from tests.fakes import correlated_fit, crossed_fit, sleepstudy_data
from tests.rdata import answers, fit_of


@pytest.mark.parametrize("name", ["intercept", "slope", "crossed", "poisson", "binomial"])
def test_a_row_is_that_of_broom(name):
    """A thousandth of sigma; likelihoods within 0.01, what lme4's optimisers leave."""
    found, expected = sf.glance(fit_of(name)).iloc[0], answers(name)["glance"]
    assert found["nobs"] == expected["nobs"]
    assert found["df_residual"] == expected["df.residual"]
    assert found["sigma"] == pytest.approx(expected["sigma"], rel=1e-3)
    for column in {"logLik", "AIC", "BIC", "REMLcrit"} & set(expected):
        assert found[column] == pytest.approx(expected[column], abs=0.01)


def test_leave_one_out_joins_the_row_of_a_posterior():
    fit = crossed_fit()
    assert sf.glance(fit).columns.to_list() == ["nobs", "sigma"]
    row, found = sf.glance(fit, loo=True).iloc[0], sf.loo(fit)
    assert row[["elpd_loo", "looic", "p_loo"]].to_list() == [found.elpd, -2 * found.elpd, found.p]


def test_a_point_fit_has_no_leave_one_out():
    with pytest.raises(sf.ComparisonError) as caught:
        sf.glance(fit_of("intercept"), loo=True)
    assert str(caught.value) == (
        "a fit by maximum likelihood has no leave-one-out.\n"
        "It is made from draws; glance(fit) has logLik, AIC and BIC of such a fit.\n"
        "Leave loo= out, or fit the model with method='exact' or 'hmc'."
    )


def test_several_fits_are_ranked_by_aic():
    """AIC weights are exp(-dAIC / 2) over their sum."""
    data = sleepstudy_data()
    formulas = {"null": "Reaction ~ 1", "days": "Reaction ~ Days", "square": "Reaction ~ Days + I(Days**2)"}
    fits = {name: sf.lmer(formula, data, method="ml") for name, formula in formulas.items()}
    table = sf.glance(fits)
    assert table.index.name == "model"
    assert table["AIC"].is_monotonic_increasing
    aic = np.array([fits[name].aic for name in table.index])
    np.testing.assert_allclose(table["dAIC"], aic - aic.min())
    np.testing.assert_allclose(
        table["AIC_weight"], np.exp(-aic / 2 + aic.min() / 2) / np.exp((aic.min() - aic) / 2).sum()
    )
    assert table["dBIC"].min() == 0


def test_reml_likelihoods_of_different_fixed_effects_get_no_differences():
    data = sleepstudy_data()
    fits = {text: sf.lmer(f"Reaction ~ {text} + (1 | Subject)", data, method="reml") for text in ("1", "Days")}
    table = sf.glance(fits)
    assert table[["dAIC", "dBIC", "AIC_weight"]].isna().all(axis=None)
    assert "fit the models with method='ml'" in table.attrs["note"]
    same = {
        name: sf.lmer(f"Reaction ~ Days + {name}", data, method="reml")
        for name in ("(1 | Subject)", "(Days || Subject)")
    }
    assert sf.glance(same)["dAIC"].notna().all()


def test_what_cannot_stand_in_one_table_is_refused():
    data = sleepstudy_data()
    fit = sf.lmer("Reaction ~ Days + (1 | Subject)", data, method="ml")
    with pytest.raises(ComparisonError, match="some fits have draws, and others have none"):
        sf.glance({"a": fit, "b": correlated_fit()})
    with pytest.raises(ComparisonError, match="'b' is no fit"):
        sf.glance({"a": fit, "b": "y ~ x"})
    with pytest.raises(ComparisonError):
        sf.glance({"a": fit, "b": sf.lmer("Reaction ~ Days", data.head(100), method="ml")})
