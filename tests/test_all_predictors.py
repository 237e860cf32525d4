"""What is said of group terms and factors holds for the formulas of parameters as for that of the mean."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.comparison.sentence import sparse_parts
from speclet_formula.errors import ComparisonError, EstimateError
from speclet_formula.posterior.draws import draws_of
from speclet_formula.posterior.prior_draws import log_prior, truth_from_priors
from speclet_formula.reporting.fit_report import about_data
from speclet_formula.reporting.page import Boxes
from tests.fakes import fake_fit


def table(n=240):
    rng = np.random.default_rng(11)
    guide = np.repeat(np.arange(24), n // 24)
    return pd.DataFrame({
        "y": rng.normal(size=n), "x": rng.normal(size=n), "batch": np.tile(["a", "b", "c"], n // 3),
        "guide": pd.Series(guide).map("g{:02d}".format), "gene": pd.Series(guide // 2).map("gene{:02d}".format),
        "row": [f"r{place:03d}" for place in range(n)],
    })  # fmt: skip


def kinds(formula, data):
    return [finding.kind for finding in sf.Model(formula, data).findings]


def test_one_partition_under_two_names_is_found_in_the_formula_of_sigma():
    data = table().assign(same=lambda frame: frame["gene"].str.upper())
    assert "same_partition" in kinds(["y ~ x", "sigma ~ (1 | gene) + (1 | same)"], data)
    # One in each formula: their effects are never added up.
    assert "same_partition" not in kinds(["y ~ x + (1 | gene)", "sigma ~ (1 | same)"], data)


def test_a_label_in_two_parents_is_found_whichever_formula_has_the_factors():
    data = table()
    data.loc[0, "gene"] = "gene11"
    for formula in (["y ~ x", "sigma ~ (1 | gene) + (1 | guide)"], ["y ~ (1 | gene)", "sigma ~ (1 | guide)"]):
        assert "nested_in_two_parents" in kinds(formula, data)


@pytest.mark.parametrize(
    ("formula", "kind"),
    [
        ("sigma ~ batch + (1 | batch)", "fixed_and_group"),
        ("sigma ~ (1 + still | gene)", "constant_slope"),
        ("sigma ~ (1 + dose | gene)", "slope_constant_within_levels"),
    ],
)
def test_terms_that_cannot_be_told_apart_are_found_in_the_formula_of_sigma(formula, kind):
    data = table().assign(still=2.0, dose=lambda frame: frame["gene"].str[4:].astype(float) ** 2)
    assert kind in kinds(["y ~ x", formula], data)


def test_factors_are_related_across_formulas():
    model = sf.Model(["y ~ x + (1 | gene)", "sigma ~ (1 | guide)"], table())
    assert "guide is nested in gene: each of its 24 levels lies within one level of gene, 2 in each." in repr(model)


def test_a_report_lists_the_factors_of_every_formula():
    model = sf.Model(["y ~ x + (1 | gene)", "sigma ~ (1 | guide)"], table())
    text = about_data(model, Boxes())
    assert ">gene<" in text
    assert ">guide<" in text


def test_levels_of_one_row_are_named_whichever_formula_has_them():
    model = sf.Model(["y ~ x", "sigma ~ (1 | row)"], table())
    assert sparse_parts(model.design) == ["'row' (100% of the rows)"]
    cells = table().assign(cell=lambda frame: frame["row"].str[:4])
    assert sparse_parts(sf.Model(["y ~ x", "sigma ~ 0 + cell"], cells).design) == ["'cell' (100% of the rows)"]


def test_folds_that_leave_nothing_to_a_flat_prior_of_sigma_are_refused():
    fit = fake_fit(sf.Model(["y ~ x", "sigma ~ batch"], table(), priors="brms"))
    with pytest.raises(ComparisonError, match="without the fold 'b' the coefficients with flat priors"):
        sf.kfold(fit, group="batch")


def test_effects_that_were_not_kept_are_told_from_none():
    fit = fake_fit(sf.Model(["y ~ x", "sigma ~ (1 | gene)"], table()))
    fit.idata["posterior"] = fit.idata["posterior"].to_dataset().drop_vars("sigma_1|gene")
    with pytest.raises(EstimateError, match="kept no"):
        sf.plot_effects(fit)


def test_the_picture_of_a_fit_is_that_of_its_effects_whichever_formula_has_them():
    fit = fake_fit(sf.Model(["y ~ x", "sigma ~ (1 | gene)"], table()))
    assert sf.plot(fit).alt.startswith("Effects of 12 levels of gene")


def test_uncentred_levels_have_the_intercept_of_their_own_formula():
    fit = fake_fit(sf.Model(["y ~ x", "sigma ~ (1 | gene)"], table()), {"sigma_Intercept": -0.7})
    levels = fit.model.design.predictors[1].groups[0].levels
    truth = {"Intercept": 0.0, "x": 0.0, "sigma_Intercept": -0.7, "sigma_1|gene": dict.fromkeys(levels, 0.25)}
    found = sf.recover(fit, truth, centred=False).levels
    np.testing.assert_allclose(found["truth"], -0.45)


def test_a_factor_of_many_coefficients_of_sigma_is_a_block_of_a_recovery():
    fit = fake_fit(sf.Model(["y ~ x", "sigma ~ 0 + guide"], table()))
    labels = fit.model.design.predictors[1].columns
    truth = {"Intercept": 0.0, "x": 0.0, **dict.fromkeys(labels, 0.1)}
    assert sf.recover(fit, truth).groups["group"].tolist() == ["sigma_guide"]


def test_a_truth_is_drawn_for_every_formula():
    model = sf.Model("y ~ x + (1 | gene); sigma ~ x + (1 | batch)", table())
    truth = truth_from_priors(model, np.random.default_rng(1))
    assert set(truth) == {
        "Intercept", "x", "1|gene_sigma", "sigma_Intercept", "sigma_x", "sigma_1|batch_sigma",
    }  # fmt: skip


def test_the_prior_of_an_intercept_holds_at_the_means_of_the_single_rows():
    data = pd.DataFrame({"y": [1.0, 2.0, 3.0, 5.0, 4.0], "x": [0.0, 0.0, 0.0, 0.0, 1.0]})
    single = sf.Model("y ~ x", data, priors="notebook")
    draws = draws_of(fake_fit(single))
    merged = pd.DataFrame({
        "y": [2.75, 4.0], "x": [0.0, 1.0], "(rows)": [4, 1], "(within y)": [8.75, 0.0],
    })  # fmt: skip
    same = sf.Model("y ~ x", merged, priors="notebook")
    np.testing.assert_allclose(log_prior(same, draws), log_prior(single, draws), rtol=1e-12)


@pytest.mark.slow
def test_a_model_with_a_formula_for_sigma_is_calibrated():
    found = sf.calibrate(
        "y ~ x; sigma ~ x + (1 | batch)", table(72), nsim=2, method="nuts", draws=100, tune=200, random_seed=1,
    )  # fmt: skip
    assert {"sigma_Intercept", "sigma_x", "sigma_1|batch_sigma"} <= set(found.table["parameter"])
