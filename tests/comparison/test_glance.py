"""One row equals broom.mixed's."""

import pytest

import speclet_formula as sf
from tests.fakes import crossed_fit
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
