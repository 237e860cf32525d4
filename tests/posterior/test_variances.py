"""Standard deviations and correlations, against plain numpy."""

import doctest

import numpy as np

from speclet_formula.model import Model
from speclet_formula.posterior import variances
from speclet_formula.posterior.variances import sigma, varcorr
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data


def flat(fit, name):
    return fit.idata["posterior"][name].values.ravel()


def labels(frame):
    return [tuple(row) for row in frame[["grp", "var1", "var2"]].astype(object).fillna("").to_numpy()]


def test_rows_are_lme4s():
    frame = varcorr(correlated_fit())
    assert list(frame) == ["grp", "var1", "var2", "vcov", "sdcor", "conf_low", "conf_high"]
    assert labels(frame) == [
        ("Subject", "Intercept", ""),
        ("Subject", "Days", ""),
        ("Subject", "Intercept", "Days"),
        ("Residual", "", ""),
    ]
    assert frame["var2"].isna().to_list() == [True, True, False, True]


def test_numbers_are_summaries_of_the_variance_the_deviation_and_the_correlation():
    fit = correlated_fit()
    first, second = flat(fit, "1|Subject_sigma"), flat(fit, "Days|Subject_sigma")
    correlation, residual = flat(fit, "cor|Subject"), flat(fit, "sigma")
    rows = [
        (first**2, first),
        (second**2, second),
        (correlation * first * second, correlation),
        (residual**2, residual),
    ]
    wanted = [[vcov.mean(), sdcor.mean(), *np.quantile(sdcor, [0.055, 0.945])] for vcov, sdcor in rows]
    np.testing.assert_allclose(varcorr(fit).iloc[:, 3:].to_numpy(dtype=float), wanted, rtol=1e-12)
    assert sigma(fit) == residual.mean()


def test_blocks_stand_in_the_formulas_order():
    assert varcorr(crossed_fit())["grp"].to_list() == ["gene", "cell_line", "Residual"]


def test_pairs_go_by_rows_of_the_upper_triangle():
    data = screen_data().assign(x=np.linspace(0, 1, 48), z=np.sin(np.arange(48)))
    fit = fake_fit(Model("log_fc ~ 1 + (1 + x + z | gene)", data))
    frame = varcorr(fit)
    assert labels(frame)[3:6] == [("gene", "Intercept", "x"), ("gene", "Intercept", "z"), ("gene", "x", "z")]
    draws = fit.idata["posterior"]["cor|gene"].values
    np.testing.assert_allclose(frame["sdcor"][3:6], draws.mean(axis=(0, 1)), rtol=1e-12)


def test_a_second_block_over_a_factor_has_its_own_name():
    fit = fake_fit(Model("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", sleepstudy_data()))
    assert varcorr(fit)["grp"].to_list() == ["Subject", "Subject.1", "Residual"]


def test_uncorrelated_blocks_have_no_correlation():
    fit = fake_fit(Model("Reaction ~ Days + (1 + Days || Subject)", sleepstudy_data()))
    assert varcorr(fit)["var2"].isna().all()


def test_families_without_a_residual_scale():
    data = screen_data().assign(n=np.arange(48) % 5)
    fit = fake_fit(Model("n ~ (1 | gene)", data, family="poisson"))
    assert varcorr(fit)["grp"].to_list() == ["gene"]
    assert sigma(fit) == 1.0
    assert len(varcorr(fake_fit(Model("n ~ control", data, family="poisson")))) == 0


def test_examples_run():
    assert doctest.testmod(variances, extraglobs={"fit": correlated_fit()}).failed == 0
