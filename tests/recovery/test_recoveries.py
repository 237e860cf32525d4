"""Fits side by side: their levels have the means that the rows have, and no model's parametrisation shifts them."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction import linear_predictor
from tests.fits import m7_fit
from tests.recovery.test_recover import fit_at_truth, fit_of


@pytest.fixture(scope="module")
def pooled():
    data, truth = sf.datasets.m7()
    formulas = {
        "none": "log_fc ~ 0 + gene:cell_line",
        "partial": "log_fc ~ (1|gene:cell_line)",
        "hierarchical": "log_fc ~ (1|gene/sgRNA) + (1|cell_line)",
    }
    fits = {name: fit_at_truth(sf.Model(formula, data), truth) for name, formula in formulas.items()}
    return data, fits, sf.recover(fits, truth)


@pytest.mark.slow
def test_the_truth_of_a_level_is_the_mean_of_its_rows(pooled):
    data, _, found = pooled
    data = data.assign(**{"gene:cell_line": data["gene"] + ":" + data["cell_line"]})
    for group in ("gene", "cell_line", "sgRNA", "gene:cell_line"):
        means = data.groupby(group)[["mu_sc", "log_fc"]].mean()
        for _, frame in found.levels[found.levels["group"] == group].groupby("fit"):
            levels = frame.set_index("level")
            assert set(levels.index) == set(means.index)
            np.testing.assert_allclose(levels["truth"], means.loc[levels.index, "mu_sc"], atol=1e-12)
            np.testing.assert_allclose(levels["observed"], means.loc[levels.index, "log_fc"], atol=1e-12)
            assert levels["n_rows"].to_list() == data[group].value_counts()[levels.index].to_list()


def test_the_draws_of_a_level_are_the_mean_of_its_rows_predictors(pooled):
    data, fits, found = pooled
    for name, fit in fits.items():
        predictor = pd.DataFrame(linear_predictor(fit.model, draws_of(fit)).T)
        draws = predictor.groupby(data["sgRNA"].to_numpy()).mean().T
        levels = found.levels[(found.levels["group"] == "sgRNA") & (found.levels["fit"] == name)].set_index("level")
        np.testing.assert_allclose(levels["median"], draws.median()[levels.index], atol=1e-10)
        np.testing.assert_allclose(levels["lo"], draws.quantile(0.05)[levels.index], atol=1e-10)


def test_a_comparison_has_each_factor_once_for_each_fit(pooled):
    _, fits, found = pooled
    table = found.comparison
    assert table["group"].unique().tolist() == ["gene", "cell_line", "sgRNA", "gene:cell_line"]
    assert (table.groupby("group", sort=False)["fit"].agg(list).map(tuple) == tuple(fits)).all()
    row = table.query("group == 'gene' and fit == 'partial'").iloc[0]
    levels = found.levels.query("group == 'gene' and fit == 'partial'")
    assert row["bias"] == pytest.approx((levels["median"] - levels["truth"]).mean())
    assert row["rmse"] == pytest.approx(np.sqrt(((levels["median"] - levels["truth"]) ** 2).mean()))
    assert row["width"] == pytest.approx((levels["hi"] - levels["lo"]).mean())
    assert row["coverage"] == levels["covered"].mean()


def test_all_scalars_stand_side_by_side(pooled):
    _, fits, found = pooled
    sigma = found.parameters.query("term == 'sigma'")
    assert sigma["fit"].to_list() == list(fits)
    assert len(found.parameters) == sum(len(one.parameters) for one in found.recoveries.values())
    text = repr(found)
    assert text.startswith("Recovery of the same truth by 3 fits\nnone: log_fc ~ 0 + gene:cell_line (")
    assert "Means of levels (90 % intervals):" in text
    assert "partial: The model leaves out 1|gene:sgRNA." in found.foot
    assert found._repr_html_().count("<table") == 2


def test_without_the_effects_there_are_no_levels_to_compare(pooled):
    _, fits, _ = pooled
    found = sf.recover(fits, {"sigma": 0.3, "1|gene_sigma": 0.5, "Intercept": -1.0})
    assert found.comparison.empty
    assert "Means of levels" not in repr(found)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (
            "rows",
            "'none' and 'other' are fits of different rows or responses.\n"
            "Fits side by side have the same rows in the same order, and the same response.\n"
            "Fit them to the same table; with missing='drop', leave the rows out of the table first.",
        ),
        (
            "nothing",
            "there is no fit to set beside the truth.\nrecover takes a fit, or fits by name.\nHand over a fit.",
        ),
    ],
)
def test_fits_that_cannot_stand_side_by_side_are_refused(pooled, wrong, text):
    data, fits, _ = pooled
    _, truth = sf.datasets.m7()
    model = sf.Model("log_fc ~ (1|gene/sgRNA) + (1|cell_line)", data.iloc[::-1])
    given = {"none": fits["none"], "other": fit_at_truth(model, truth)} if wrong == "rows" else {}
    with pytest.raises(DataError) as caught:
        sf.recover(given, truth)
    assert str(caught.value) == text


# --- the notebook's main effects of sgRNAs ----------------------------------------------------------------------------


@pytest.mark.slow
def test_main_effects_of_an_interaction_are_centred_on_the_truth():
    """The notebook averaged m7b's effects of sgRNA:cell_line by hand and was off by the intercept, about 1."""
    data, truth = sf.datasets.m7()
    fit = m7_fit("m7b")
    levels = sf.recover(fit, truth, centred=False).levels
    mine = levels.query("group == 'sgRNA' and term == 'Intercept + mean of gene:cell_line + sgRNA:cell_line'")
    true = data.groupby("sgRNA")["mu_sc"].mean()
    np.testing.assert_allclose(mine["truth"], true[mine["level"]], atol=1e-12)
    assert abs((mine["median"] - mine["truth"]).mean()) < 0.05
    by_hand = sf.recover(fit, truth).levels.query("group == 'sgRNA' and term == 'mean of sgRNA:cell_line'")
    assert abs((by_hand["median"].to_numpy() - true[by_hand["level"]].to_numpy()).mean()) > 0.8
    means = sf.recover({"m7b": fit}, truth).comparison.set_index("group")["bias"]
    assert abs(means["sgRNA"]) < 0.05


# --- centring, and a true SD of zero ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def line():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": list("abcd") * 5, "x": rng.normal(3.0, 1.0, 20), "y": rng.normal(size=20)})
    return sf.Model("y ~ x + (x|g)", data)


def test_uncentred_effects_are_the_coefficients_of_their_levels(line):
    effects = {"1|g": np.array([-1.0, 0.0, 0.5, 0.5]), "x|g": np.array([0.1, -0.1, 0.3, 0.2])}
    posteriors = {"Intercept": (2.0, 0.1), "x": (-1.0, 0.1), "sigma": (1.0, 0.1)}
    posteriors |= {slot: (values, 0.1) for slot, values in effects.items()}
    fit = fit_of(line, posteriors)
    truth = {"Intercept": 2.5, "x": -1.0} | {s: dict(zip("abcd", v, strict=True)) for s, v in effects.items()}
    found = sf.recover(fit, truth, centred=False)
    draws = fit.idata["posterior"]
    for term, slot, true in (("Intercept", "1|g", 2.5), ("x", "x|g", -1.0)):
        levels = found.levels.query("term == @term")
        total = (draws[term] + draws[slot]).median(("chain", "draw"))
        np.testing.assert_allclose(levels["median"], total, atol=1e-12)
        np.testing.assert_allclose(levels["truth"], true + effects[slot], atol=1e-12)
    assert found.groups["bias"].iloc[0] == pytest.approx(-0.5, abs=0.02)
    assert "Group effects (with their fixed coefficient):" in repr(found)
    assert not any("centred" in sentence for sentence in found.foot)


@pytest.mark.parametrize(
    ("shape", "expected", "covered"),
    [
        (lambda rng, size: np.abs(rng.normal(0, 0.3, size)), "boundary", True),
        (lambda rng, size: rng.uniform(0, 0.3, size), "boundary", True),
        (lambda rng, size: np.abs(rng.normal(1.3, 1.0, size)) * 0.1, "boundary", True),
        (lambda rng, size: np.abs(rng.normal(2.1, 1.0, size)) * 0.1, "edge", False),
        (lambda rng, size: np.abs(rng.normal(5.0, 1.0, size)) * 0.1, "miss", False),
    ],
)
def test_a_true_sd_of_zero_is_judged_by_the_density_at_zero(line, shape, expected, covered):
    fit = fit_of(line, {"1|g_sigma": (1.0, 0.1), "sigma": (1.0, 0.1), "x": (1.0, 0.05), "Intercept": (1.0, 0.1)})
    posterior = fit.idata["posterior"].to_dataset()
    posterior["1|g_sigma"] = (("chain", "draw"), shape(np.random.default_rng(3), (4, 500)))
    fit.idata["posterior"].ds = posterior
    found = sf.recover(fit, {"1|g_sigma": 0.0, "x": 1.0})
    row = found.parameters.set_index("class").loc["sd"]
    assert (row["verdict"], row["covered"]) == (expected, covered)
    assert found.foot[0].startswith("0 of 1 true values")
    assert found.foot[1] == "The SD of Intercept by g is truly 0, at the edge of what an SD can be; it is not counted."
