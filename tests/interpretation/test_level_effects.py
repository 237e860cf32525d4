"""Effects of levels, their sums and how sure their signs are, against plain numpy on the same draws."""

import doctest
from dataclasses import replace
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.errors import EstimateError
from speclet_formula.model import Model
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data

levels = import_module("speclet_formula.interpretation.level_effects")  # the package has the verb of that name

COLUMNS = ["group", "level", "term", "estimate", "std_error", "conf_low", "conf_high", "p_negative", "lfsr"]


def flat(fit, name):
    """Draws by levels, taken by another road than the package's."""
    values = fit.idata["posterior"][name].stack(sample=("chain", "draw")).values
    return values[None] if values.ndim == 1 else values


def expected(draws):
    negative, positive = np.mean(draws < 0), np.mean(draws > 0)
    summary = [draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.055, 0.945])]
    return [*summary, negative, min(1 - negative, 1 - positive)]


def classed_data():
    """Each gene belongs to one class."""
    data = screen_data()
    essential = data["gene"].isin(["TP53", "KRAS"])
    return data.assign(
        control=pd.Categorical(np.where(essential, "essential", "other"), categories=["other", "essential"])
    )


def test_effects_of_levels():
    fit = fake_fit(Model("log_fc ~ 1 + (1 | gene)", screen_data()), {"1|gene": 0.0})
    fit.idata["posterior"]["1|gene"][:] = np.random.default_rng(3).normal(0.1, 0.1, (4, 250, 6))
    frame = sf.level_effects(fit, "gene")
    assert frame.columns.to_list() == [*COLUMNS, "s_value", "rank"]
    assert frame["group"].unique().tolist() == ["gene"]
    assert frame["term"].unique().tolist() == ["Intercept"]
    assert frame["level"].to_list()[:2] == ["TP53", "KRAS"]
    for row, draws in enumerate(flat(fit, "1|gene")):
        np.testing.assert_allclose(frame.iloc[row, 3:9].astype(float), expected(draws), rtol=1e-12)
    assert frame.attrs == {"interval": "89% equal-tailed interval", "point_estimate": "mean", "draws": 1000}


def test_sums_with_a_coarser_factor_and_fixed_terms_are_made_by_draw():
    fit = fake_fit(Model("log_fc ~ control + (1 | gene) + (1 | gene:cell_line)", classed_data()), {"control": -2.0})
    frame = sf.level_effects(fit, "gene:cell_line", add=("gene", "Intercept", "control"))
    assert frame["term"].iloc[0] == "1|gene:cell_line + 1|gene + Intercept + control"
    labels = frame["level"].str.split(":", n=1, expand=True)
    genes = ["TP53", "KRAS", "BRAF", "MYC", "SOX10", "<script>alert(1)</script>"]
    for row in (0, 7, 23):
        gene = labels.loc[row, 0]
        draws = flat(fit, "1|gene:cell_line")[row] + flat(fit, "1|gene")[genes.index(gene)] + flat(fit, "Intercept")[0]
        draws = draws + (flat(fit, "control")[0] if gene in ("TP53", "KRAS") else 0)
        np.testing.assert_allclose(frame.iloc[row, 3:9].astype(float), expected(draws), rtol=1e-12)


def test_one_name_can_be_added_as_text():
    fit = correlated_fit()
    one, several = (sf.level_effects(fit, "Subject", term="Days", add=add) for add in ("Days", ["Days"]))
    pd.testing.assert_frame_equal(one, several)
    draws = flat(fit, "Days|Subject")[4] + flat(fit, "Days")[0]
    np.testing.assert_allclose(one.iloc[4, 3:9].astype(float), expected(draws), rtol=1e-12)


def test_the_fixed_effect_of_one_level_is_added_to_its_own_column():
    fit = fake_fit(Model("log_fc ~ cell_line + (0 + cell_line | gene)", screen_data()))
    frame = sf.level_effects(fit, "gene", term="cell_line[HEL]", add="cell_line[HEL]")
    draws = flat(fit, "cell_line[HEL]|gene")[2] + flat(fit, "cell_line")[0]
    np.testing.assert_allclose(frame.iloc[2, 3:9].astype(float), expected(draws), rtol=1e-12)


def test_effects_on_a_parameter_with_a_formula():
    fit = fake_fit(Model(["log_fc ~ 1", "sigma ~ 1 + (1 | gene)"], screen_data()))
    frame = sf.level_effects(fit, "gene", term="sigma_Intercept", add="sigma_Intercept")
    draws = flat(fit, "sigma_1|gene")[3] + flat(fit, "sigma_Intercept")[0]
    np.testing.assert_allclose(frame.iloc[3, 3:9].astype(float), expected(draws), rtol=1e-12)


def test_blocks_of_levels_change_nothing(monkeypatch):
    fit = crossed_fit()
    whole = sf.level_effects(fit, "gene", add="Intercept")
    monkeypatch.setattr(levels, "BLOCK_BYTES", 8 * 1000 * 4)
    pd.testing.assert_frame_equal(sf.level_effects(fit, "gene", add="Intercept"), whole)


def test_s_values_are_means_of_the_smaller_rates():
    lfsr = np.array([0.3, 0.01, 0.01, 0.2, 0.0])
    by_hand = [np.mean(lfsr[lfsr <= value]) for value in lfsr]
    np.testing.assert_allclose(levels.s_values(lfsr), by_hand, rtol=1e-12)


def test_ranks_break_ties_by_size_against_error():
    fit = fake_fit(Model("log_fc ~ 1 + (1 | gene)", screen_data()))
    rng = np.random.default_rng(5)
    centres = np.array([9.0, -20.0, 0.1, 5.0, -0.3, 30.0])
    fit.idata["posterior"]["1|gene"][:] = centres + rng.normal(size=(4, 250, 6))
    frame = sf.level_effects(fit, "gene")
    assert (frame["lfsr"].iloc[[0, 1, 3, 5]] == 0).all()
    assert frame["rank"].to_list() == [3, 2, 6, 4, 5, 1]


def test_modes_of_reml_are_normal():
    data = sleepstudy_data()
    shifts, slopes = np.random.default_rng(8).normal(0, [[30], [6]], (2, 18))
    data["Reaction"] += np.repeat(shifts, 10) + np.repeat(slopes, 10) * data["Days"]
    fit = sf.lmer("Reaction ~ Days + (1 + Days | Subject)", data, method="reml")
    frame, modes = sf.level_effects(fit, "Subject"), sf.ranef(fit).query("term == 'Intercept'")
    np.testing.assert_allclose(frame["estimate"], modes["condval"], rtol=1e-12)
    distribution = stats.norm(modes["condval"], modes["condsd"])
    np.testing.assert_allclose(frame["p_negative"], distribution.cdf(0), rtol=1e-9)
    np.testing.assert_allclose(frame["lfsr"], np.minimum(distribution.cdf(0), distribution.sf(0)), rtol=1e-9)
    assert frame.attrs == {"interval": "95% Wald interval", "point_estimate": "REML", "draws": 0}
    sums, expected_sums = sf.level_effects(fit, "Subject", term="Days", add="Days"), sf.coef(fit)
    expected_sums = expected_sums.query("term == 'Days'").reset_index(drop=True)
    pd.testing.assert_frame_equal(sums.iloc[:, 3:7], expected_sums.iloc[:, 3:7], check_exact=False, rtol=1e-12)


def known_fit():
    """Every draw has the same variances, so that the effects are normal; three genes lie ever further from zero."""
    data = pd.DataFrame({"gene": np.repeat(list("abcde"), 40), "y": np.random.default_rng(3).normal(0, 1, 200)})
    data["y"] += data["gene"].map({"a": -1.0, "b": -3.0, "c": 4.0, "d": 0.0, "e": 40.0})
    fit = fake_fit(sf.Model("y ~ 1 + (1 | gene)", data), {"1|gene": 0.0}, method="exact")
    fit.idata["posterior"]["sigma"][:], fit.idata["posterior"]["1|gene_sigma"][:] = 1.0, 30.0
    return fit


def test_signs_of_an_exact_fit_are_normal_probabilities():
    """1e-4 is told from 1e-40, by the closed form for known variances; what underflows is no zero, and is ranked."""
    fit = known_fit()
    y, prior = fit.model.design.response, fit.model.slots[0].prior.parameters
    Z = np.hstack([np.ones((200, 1)), np.kron(np.eye(5), np.ones((40, 1)))])
    precision = Z.T @ Z + np.diag(np.r_[float(prior["sigma"]), *np.full(5, 30.0)].astype(float) ** -2)
    right = Z.T @ y + np.r_[float(prior["mu"]) / float(prior["sigma"]) ** 2, np.zeros(5)]
    L = np.hstack([np.ones((5, 1)), np.eye(5)])
    means = L @ np.linalg.solve(precision, right)
    z = means / np.sqrt(np.diag(L @ np.linalg.solve(precision, L.T)))
    frame = sf.level_effects(fit, "gene", add="Intercept")
    np.testing.assert_allclose(frame["lfsr"], np.maximum(stats.norm.cdf(-np.abs(z)), np.exp(-700)), rtol=1e-6)
    np.testing.assert_allclose(frame["p_negative"], np.maximum(stats.norm.cdf(-z), np.exp(-700)), rtol=1e-6)
    assert frame["lfsr"].iloc[1] < 1e-60
    assert 0 < frame["lfsr"].iloc[4] < 1e-300
    assert frame["rank"].to_list() == [4, 3, 2, 5, 1]
    assert frame.attrs["draws"] == 0
    ordered = frame.sort_values("lfsr")
    np.testing.assert_allclose(ordered["s_value"], ordered["lfsr"].expanding().mean(), rtol=1e-12)


def test_normal_probabilities_are_near_counted_ones():
    """4,000 draws, five standard errors of a half, with twice the variance: a false alarm in 10^4 levels or more."""
    data = screen_data()
    fit = sf.lmer("log_fc ~ control + (1 | gene) + (1 | gene:cell_line)", data, random_seed=2)
    for group, add in (("gene", ()), ("gene", "Intercept"), ("gene:cell_line", ("gene", "Intercept"))):
        normal = sf.level_effects(fit, group, add=add)
        counted = sf.level_effects(replace(fit, method="nuts"), group, add=add)
        np.testing.assert_allclose(normal["p_negative"], counted["p_negative"], atol=5 * 0.5 * np.sqrt(2 / 4000))
        pd.testing.assert_frame_equal(normal.iloc[:, :7], counted.iloc[:, :7])


def test_a_saved_fit_is_as_sure(tmp_path):
    fit = sf.lmer("log_fc ~ 1 + (1 | gene)", screen_data(), random_seed=2, draws=100, chains=2)
    sf.save(fit, tmp_path / "fit.zip")
    again = sf.level_effects(sf.load(tmp_path / "fit.zip"), "gene", add="Intercept")
    pd.testing.assert_frame_equal(again, sf.level_effects(fit, "gene", add="Intercept"), check_exact=False, rtol=1e-9)


def test_an_effect_without_variance_has_no_sign():
    negative, lfsr = levels.normal_signs(np.array([1e-20, 0.0, 2.0]), np.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(negative, [0, 0.5, stats.norm.cdf(-2)])
    np.testing.assert_allclose(lfsr, [1, 0.5, stats.norm.cdf(-2)])


MESSAGES = {
    "gnee": (
        {"group": "gnee"},
        "the model has no group effects of 'gnee'.\nGrouping factors: gene, cell_line.\nNearest: 'gene'.",
    ),
    "zzz": (
        {"group": "zzz"},
        "the model has no group effects of 'zzz'.\nGrouping factors: gene, cell_line.\nName one of these.",
    ),
    "term": (
        {"group": "gene", "term": "cn"},
        "'gene' has no effect of 'cn'.\nEffects that vary by gene: Intercept.\nWrite term='Intercept'.",
    ),
    "crossed": (
        {"group": "gene", "add": "cell_line"},
        "'cell_line' cannot be added to the effects of 'gene': it is not the same in all rows of 'TP53'.\n"
        "What is added has one value for each level of 'gene'.\n"
        "Leave 'cell_line' out, or ask for the levels of 'gene:cell_line'.",
    ),
    "varies": (
        {"group": "gene", "add": "control"},
        "'control' cannot be added to the effects of 'gene': it is not the same in all rows of 'TP53'.\n"
        "What is added has one value for each level of 'gene'.\nLeave 'control' out.",
    ),
    "misspelt": (
        {"group": "gene", "add": "contrl"},
        "'contrl' cannot be added to the effects of 'gene' (Intercept).\n"
        "Grouping factors with such an effect: cell_line. Fixed terms: Intercept, control.\nNearest: 'control'.",
    ),
    "mass": (
        {"group": "gene", "ci_prob": 95},
        "ci_prob=95 is not a credible mass.\nIt is a number above 0 and below 1.\nWrite ci_prob=0.95.",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(case):
    arguments, text = MESSAGES[case]
    with pytest.raises(EstimateError) as error:
        sf.level_effects(crossed_fit(), **arguments)
    assert str(error.value) == text


def test_messages_without_groups_and_without_draws():
    with pytest.raises(EstimateError) as error:
        sf.level_effects(fake_fit(Model("log_fc ~ control", screen_data())), "gene")
    assert str(error.value) == (
        "the model has no group effects of 'gene'.\nIt has no group term.\nIts fixed effects are in sf.fixef(fit)."
    )
    fit = sf.lmer("log_fc ~ 1 + (1 | gene) + (1 | gene:cell_line)", screen_data(), method="ml")
    with pytest.raises(EstimateError) as error:
        sf.level_effects(fit, "gene:cell_line", add="gene")
    assert str(error.value) == (
        "the sum 1|gene:cell_line + 1|gene has no standard error in a fit by ML.\n"
        "Such a fit knows the spread of one group effect, alone or with the fixed effect of the same term: "
        "add='Intercept'.\n"
        "Fit the model with method='exact' or 'hmc': sums are then made draw by draw."
    )


def test_examples():
    assert doctest.testmod(levels, extraglobs={"fit": correlated_fit()}).failed == 0
