"""Fixed effects, group effects and their sums, against plain numpy."""

import doctest
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from speclet_formula.errors import EstimateError
from speclet_formula.model import Model
from speclet_formula.posterior import draws as reader, effects
from speclet_formula.posterior.convergence import mixing
from speclet_formula.posterior.draws import ngrps, nobs
from speclet_formula.posterior.effects import coef, fixef, ranef
from tests.fakes import SUBJECTS, correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data


def flat(fit, name):
    """A scalar's draws, or levels by draws, taken by another road than the package's."""
    return fit.idata["posterior"][name].stack(sample=("chain", "draw")).values


def expected(draws):
    return [draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.055, 0.945])]


def numbers(frame, row):
    return frame.iloc[row][frame.columns[3:7]].astype(float).to_list()


def test_fixef_against_numpy():
    fit = crossed_fit()
    frame = fixef(fit)
    assert list(frame) == ["term", "estimate", "std_error", "conf_low", "conf_high", "r_hat", "ess_bulk"]
    assert frame["term"].to_list() == ["Intercept", "control[other]"]
    for row, draws in enumerate((flat(fit, "Intercept"), flat(fit, "control")[0])):
        np.testing.assert_allclose(frame.iloc[row, 1:5].astype(float), expected(draws), rtol=1e-12)
    found = mixing(fit.idata["posterior"]["Intercept"].values[None])
    assert frame.loc[0, ["r_hat", "ess_bulk"]].to_list() == [found.r_hat[0], found.ess_bulk[0]]
    assert frame.attrs == {"interval": "89% equal-tailed interval", "point_estimate": "mean"}


def test_ranef_has_a_row_for_every_level_in_the_analysts_order():
    fit = crossed_fit()
    frame = ranef(fit)
    assert list(frame) == ["grpvar", "term", "grp", "condval", "condsd", "conf_low", "conf_high"]
    genes = ["TP53", "KRAS", "BRAF", "MYC", "SOX10", "<script>alert(1)</script>"]
    assert frame["grp"].to_list() == [*genes, "A375", "HEL", "KU812", "RVH421"]
    assert frame["grpvar"].to_list() == ["gene"] * 6 + ["cell_line"] * 4
    assert set(frame["term"]) == {"Intercept"}
    for row, draws in enumerate([*flat(fit, "1|gene"), *flat(fit, "1|cell_line")]):
        np.testing.assert_allclose(numbers(frame, row), expected(draws), rtol=1e-12)


def test_ranef_takes_columns_before_levels():
    frame = ranef(correlated_fit())
    assert frame["term"].to_list() == ["Intercept"] * 18 + ["Days"] * 18
    assert frame["grp"].to_list() == [str(subject) for subject in SUBJECTS] * 2


def test_coef_adds_draw_by_draw():
    fit = correlated_fit()
    frame = coef(fit)
    assert list(frame) == ["grpvar", "term", "grp", "estimate", "std_error", "conf_low", "conf_high"]
    assert frame["term"].to_list() == ["Intercept"] * 18 + ["Days"] * 18
    for row in range(18):
        intercept = flat(fit, "Intercept") + flat(fit, "1|Subject")[row]
        slope = flat(fit, "Days") + flat(fit, "Days|Subject")[row]
        np.testing.assert_allclose(numbers(frame, row), expected(intercept), rtol=1e-12)
        np.testing.assert_allclose(numbers(frame, row + 18), expected(slope), rtol=1e-12)


def test_coef_repeats_a_fixed_term_that_the_group_lacks():
    fit = crossed_fit()
    frame = coef(fit).query("grpvar == 'cell_line' and term == 'control[other]'")
    assert frame["grp"].to_list() == ["A375", "HEL", "KU812", "RVH421"]
    for row in range(4):
        np.testing.assert_allclose(numbers(frame, row), expected(flat(fit, "control")[0]), rtol=1e-12)


def test_coef_without_a_fixed_part_is_the_group_effect():
    fit = fake_fit(Model("log_fc ~ 0 + (1 | gene)", screen_data()))
    pd.testing.assert_frame_equal(coef(fit).iloc[:, 3:], ranef(fit).iloc[:, 3:].set_axis(coef(fit).columns[3:], axis=1))
    assert list(fixef(fit)) == list(fixef(crossed_fit()))
    assert len(fixef(fit)) == 0


def test_nested_factors_stand_for_themselves():
    fit = fake_fit(Model("log_fc ~ 1 + (1 | gene/cell_line)", screen_data()))
    frame = coef(fit)
    assert frame["grpvar"].drop_duplicates().to_list() == ["gene", "gene:cell_line"]
    nested = frame.query("grpvar == 'gene:cell_line'")
    total = flat(fit, "Intercept") + flat(fit, "1|gene:cell_line")[0]
    assert nested["grp"].iloc[0] == "TP53:A375"
    np.testing.assert_allclose(numbers(nested, 0), expected(total), rtol=1e-12)


def test_two_blocks_of_one_factor_are_one_factor_of_coef():
    fit = fake_fit(Model("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", sleepstudy_data()))
    frame = coef(fit)
    assert len(frame) == 36
    slope = flat(fit, "Days") + flat(fit, "Days|Subject")[17]
    np.testing.assert_allclose(numbers(frame, 35), expected(slope), rtol=1e-12)
    assert ranef(fit)["grpvar"].unique().tolist() == ["Subject"]


def test_a_model_without_groups_has_empty_frames():
    fit = fake_fit(Model("log_fc ~ control", screen_data()))
    assert ngrps(fit) == {}
    assert len(ranef(fit)) == len(coef(fit)) == 0
    assert list(ranef(fit)) == list(ranef(crossed_fit()))


def test_counts():
    assert (nobs(crossed_fit()), ngrps(crossed_fit())) == (48, {"gene": 6, "cell_line": 4})
    assert (nobs(correlated_fit()), ngrps(correlated_fit())) == (180, {"Subject": 18})


def test_any_object_with_a_model_and_draws_will_do():
    fit = crossed_fit()
    model = SimpleNamespace(formula=fit.model.formula, design=fit.model.design, family=fit.model.family)
    pd.testing.assert_frame_equal(ranef(SimpleNamespace(model=model, idata=fit.idata)), ranef(fit))


def test_the_draws_are_left_as_they_were():
    fit = correlated_fit()
    before = fit.idata.copy(deep=True)
    for estimate in (fixef, ranef, coef):
        estimate(fit)
    assert fit.idata.identical(before)


def test_draws_of_another_model_are_an_error():
    fit = crossed_fit()
    other = SimpleNamespace(model=correlated_fit().model, idata=fit.idata)
    with pytest.raises(EstimateError) as caught:
        fixef(other)
    assert str(caught.value) == (
        "the posterior holds no variable 'Days'.\n"
        "It holds: Intercept, control, 1|gene, 1|gene_sigma, 1|cell_line, 1|cell_line_sigma, sigma.\n"
        "Fit the model again, or hand over the fit that these draws belong to."
    )


@pytest.mark.parametrize("module", [effects, reader])
def test_examples_run(module):
    assert doctest.testmod(module, extraglobs={"fit": correlated_fit()}).failed == 0
