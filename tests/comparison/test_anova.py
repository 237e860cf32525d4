"""Likelihood ratios against least squares in closed form, and against lme4's own tables."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.errors import ComparisonError
from speclet_formula.prediction.responses import draw_design_response
from tests.fakes import crossed_fit, fake_fit, screen_data, sleepstudy_data

SMALL, LARGE = "Reaction ~ 1 + (1 | Subject)", "Reaction ~ 1 + Days + (1 | Subject)"

ASYMPTOTIC = "Pr(>Chisq) is asymptotic, by the chi-square distribution: too small where there are few groups."


def fits(*formulas, method="ml", data=None):
    data = sleepstudy_data() if data is None else data
    return [sf.lmer(formula, data, method=method) for formula in formulas]


def test_least_squares_have_their_closed_form():
    data = sleepstudy_data()
    table = sf.anova(*fits("Reaction ~ 1", "Reaction ~ Days")).table
    y, x = data["Reaction"].to_numpy(), data["Days"].to_numpy()
    squares = [((y - y.mean()) ** 2).sum(), ((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).sum()]
    expected = [-90 * (np.log(2 * np.pi * square / 180) + 1) for square in squares]
    np.testing.assert_allclose(table["logLik"], expected, rtol=1e-12)
    ratio = 180 * np.log(squares[0] / squares[1])
    assert table["Chisq"].iloc[1] == pytest.approx(ratio, rel=1e-9)
    assert table["Pr(>Chisq)"].iloc[1] == pytest.approx(stats.chi2.sf(ratio, 1), rel=1e-6)
    np.testing.assert_allclose(table["AIC"], table["deviance"] + 2 * table["npar"])
    np.testing.assert_allclose(table["BIC"], table["deviance"] + np.log(180) * table["npar"])


def test_the_smallest_model_stands_first():
    table = sf.anova(*fits(LARGE, SMALL)).table
    assert table["npar"].to_list() == [3, 4]
    assert list(table.columns) == ["npar", "AIC", "BIC", "logLik", "deviance", "Chisq", "Df", "Pr(>Chisq)"]
    assert table.iloc[0][["Chisq", "Df", "Pr(>Chisq)"]].isna().all()


def test_reml_fits_are_fitted_again_and_the_table_says_so():
    by_reml, by_ml = (sf.anova(*fits(SMALL, LARGE, method=method)) for method in ("reml", "ml"))
    pd.testing.assert_frame_equal(by_reml.table, by_ml.table)
    assert by_reml.notes == ("2 of 2 models fitted again by maximum likelihood instead of REML.", *by_ml.notes)


def test_an_sd_of_zero_is_noted():
    zero = "The SD of 'Intercept' by Subject is estimated as zero."
    assert sf.anova(*fits(SMALL, LARGE)).notes == (f"{SMALL}: {zero}", f"{LARGE}: {zero}", ASYMPTOTIC)


def test_a_test_of_a_variance_is_said_to_be_conservative():
    found = sf.anova(*fits("Reaction ~ Days", "Reaction ~ Days + (1 | Subject)"))
    assert found.notes[0] == (
        "Models differ in variances: a variance cannot be below zero, so that its p-value is too large (for a single "
        "variance about twice)."
    )


def test_a_correlation_of_zero_is_inside_what_is_possible():
    found = sf.anova(*fits("Reaction ~ Days + (Days || Subject)", "Reaction ~ Days + (Days | Subject)"))
    assert found.table["Df"].iloc[1] == 1
    assert not any("p-value" in note for note in found.notes)
    assert ASYMPTOTIC in found.notes


def test_models_of_one_size_have_no_p_value():
    found = sf.anova(*fits("Reaction ~ Days", "Reaction ~ exp(Days / 10)"))
    assert ASYMPTOTIC not in found.notes
    assert found.table["Df"].iloc[1] == 0
    assert np.isnan(found.table["Pr(>Chisq)"].iloc[1])


def test_one_formula_twice_keeps_two_rows():
    assert sf.anova(*fits(SMALL, SMALL)).table.index.to_list() == [SMALL, f"{SMALL} [2]"]


def test_it_prints():
    found = sf.anova(*fits("Reaction ~ 1", "Reaction ~ Days"))
    lines = repr(found).splitlines()
    assert lines[0].split() == ["model", "npar", "AIC", "BIC", "logLik", "deviance", "Chisq", "Df", "Pr(>Chisq)"]
    assert "nan" not in repr(found).lower()
    assert lines[1].split()[-3:] == ["-", "-", "-"]
    table = found.table.assign(**{"Pr(>Chisq)": [1e-39, 1.23456e-5]})
    assert [line.split()[-1] for line in repr(replace(found, table=table)).splitlines()[1:3]] == ["2.2e-16", "1.23e-05"]
    assert "<table" in found._repr_html_()


def refused():
    data = sleepstudy_data()
    one = fits(SMALL)[0]
    example = 'For example anova(lmer("y ~ (1 | g)", data, method="ml"), lmer("y ~ x + (1 | g)", data, method="ml")).'
    rows = "Models are compared on the same rows.\n"
    yield (
        [],
        "there are no fits to compare.\nA likelihood ratio takes two fits or more, one after the other; one fit has "
        f"its terms tested.\n{example}",
    )
    yield (
        [one, crossed_fit()],
        "fit 2 is of the type Fit.\nA likelihood ratio is of fits by method='ml', 'reml' or 'laplace'; fits with draws "
        "are "
        f"ranked by compare.\n{example}",
    )
    yield (
        [one, *fits(LARGE, data=data.iloc[1:])],
        f"'{SMALL}' has 180 rows, '{LARGE}' has 179.\n{rows}Fit both to one table.",
    )
    yield (
        [one, *fits(LARGE, data=data.assign(Reaction=data["Reaction"] + 1.0))],
        f"the values of 'Reaction' differ between '{SMALL}' and '{LARGE}'.\n"
        "Models are compared on the same values, in the same order.\nFit both to one table.",
    )
    yield (
        [one, *fits("log_fc ~ (1 | gene)", data=screen_data())],
        f"'{SMALL}' has the response 'Reaction', 'log_fc ~ 1 + (1 | gene)' has 'log_fc'.\n"
        "Densities are compared for the same response; another scale of it is another response.\n"
        "Give all models the same left-hand side.",
    )


def test_what_cannot_be_compared_is_refused():
    for given, text in refused():
        with pytest.raises(ComparisonError) as error:
            sf.anova(*given)
        assert str(error.value) == text


def test_lme4s_own_tables(shared_data):
    reference = json.loads((shared_data / "lme4" / "reference.json").read_text())
    for anchor in reference["anchors"]["anova"]:
        data = pd.read_csv(shared_data / "lme4" / f"{anchor['data']}.csv")
        table = sf.anova(*fits(anchor["f0"], anchor["f1"], method="reml", data=data)).table
        for column in ("npar", "AIC", "BIC", "logLik", "deviance"):
            np.testing.assert_allclose(table[column], anchor[column], rtol=1e-7)
        last = table.iloc[1]
        assert last["Df"] == anchor["Df"]
        assert last["Chisq"] == pytest.approx(anchor["Chisq"], abs=1e-4)  # lme4 stopped 2.6e-6 short on crispr_sim
        assert last["Pr(>Chisq)"] == pytest.approx(anchor["p"], rel=1e-4)


@pytest.mark.slow
def test_fits_with_draws_have_both_questions_answered():
    data = sleepstudy_data()
    posteriors = [sf.lmer(one, data, draws=100, chains=2, random_seed=1) for one in (LARGE, SMALL)]
    found, points = sf.anova(*posteriors), sf.anova(*fits(SMALL, LARGE))
    pd.testing.assert_frame_equal(found.table[points.table.columns], points.table)
    assert list(found.table.columns[8:]) == ["elpd", "elpd_diff", "dse"]
    ranked = sf.compare(posteriors).table
    row = found.table.iloc[1]
    assert row["elpd"] == pytest.approx(ranked["elpd"].iloc[0])
    assert row["elpd_diff"] == pytest.approx(-ranked["elpd_diff"].iloc[1])
    assert row["dse"] == pytest.approx(ranked["dse"].iloc[1], rel=1e-9)
    assert found.table.iloc[0][["elpd_diff", "dse"]].isna().all()
    assert found.notes[0].startswith("Pr(>Chisq) asks whether the data would be this much likelier")
    assert "elpd_diff" in repr(found).splitlines()[0]


def test_gaussian_fits_with_another_link_are_maximised_by_laplace():
    data = sleepstudy_data()
    models = [sf.Model(formula, data, family="gaussian", link="log") for formula in (SMALL, LARGE)]
    centres = {"Intercept": 5.7, "sigma": 40.0}
    found = sf.anova(*(fake_fit(model, centres, draws=50) for model in models))
    points = sf.anova(*(sf.fit(model, method="laplace") for model in models))
    pd.testing.assert_frame_equal(found.table[points.table.columns], points.table)


def between_groups(means, side, within=6):
    """Groups of equal size with these means exactly, and what lies on either side of a contrast between them."""
    noise = np.random.default_rng(3).normal(0, 0.3, (len(means), within))
    table = pd.DataFrame({"g": np.repeat(np.arange(len(means)), within), "x": np.repeat(side, within)})
    return table.assign(y=np.repeat(means, within) + (noise - noise.mean(axis=1, keepdims=True)).ravel())


def test_a_bootstrap_counts_the_ratios_of_responses_of_the_smaller_model():
    """Made again one by one, from the seed and the number of each."""
    table = between_groups(np.array([0.0, 1.1, 2.0, 3.6, 2.6]), np.array([0, 0, 0, 1, 1]))
    small, large = (sf.lmer(f"y ~ {fixed} + (1 | g)", table, method="ml") for fixed in ("1", "x"))
    found = sf.anova(large, small, nsim=12, random_seed=5)
    ratios = []
    for number in range(12):
        rng = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(number,)))
        new = draw_design_response(small, rng)
        ratios.append(2 * (sf.refit(large, new).log_likelihood - sf.refit(small, new).log_likelihood))
    observed = found.table["Chisq"].iloc[1]
    assert found.table["Pr(boot)"].iloc[1] == (1 + np.sum(np.array(ratios) >= observed)) / 13
    assert found.notes[-1].startswith("Pr(boot) is by 12 data sets drawn from the smaller model, seed 5;")


@pytest.mark.slow
def test_a_bootstrap_of_few_groups_gives_the_exact_test():
    """Five groups of equal size: the ratio of a contrast between them is a function of the t test of their means.

    Its p-value is 0.0895, the asymptotic one 0.018. Of 600 data sets such a share has an error of 0.0117: 4.5 of them
    leave 0.037 to 0.142, and a false alarm of 1e-5.
    """
    means, side = np.array([0.0, 1.1, 2.0, 3.6, 2.6]), np.array([0, 0, 0, 1, 1])
    expected = stats.ttest_ind(means[side == 0], means[side == 1]).pvalue
    table = between_groups(means, side)
    fits = [sf.lmer(f"y ~ {fixed} + (1 | g)", table, method="ml") for fixed in ("1", "x")]
    found = sf.anova(*fits, nsim=600, random_seed=1)
    assert found.table["Pr(>Chisq)"].iloc[1] < 0.03
    assert found.table["Pr(boot)"].iloc[1] == pytest.approx(expected, abs=0.0525)


@pytest.mark.slow
def test_a_bootstrap_of_a_variance_has_half_the_asymptotic_value_and_each_pair_its_own():
    """A variance of zero is at the edge of what is possible: half of the ratios are about zero.

    Of 300 data sets a share of 0.08 has an error of 0.016, and the asymptotic value, 0.17, is five of them away; a
    covariate's is the asymptotic one, 0.30, with an error of 0.026.
    """
    rng = np.random.default_rng(6)
    table = pd.DataFrame({"g": np.repeat(np.arange(15), 4), "x": np.tile(np.arange(4.0), 15)})
    table["y"] = rng.normal(0, 0.25, 15)[table["g"]] + rng.normal(size=60)
    fits = [sf.lmer(formula, table, method="ml") for formula in ("y ~ 1", "y ~ (1 | g)", "y ~ x + (1 | g)")]
    found = sf.anova(*fits, nsim=300, random_seed=1).table
    asymptotic, drawn = found["Pr(>Chisq)"], found["Pr(boot)"]
    assert np.isnan(drawn.iloc[0])
    assert drawn.iloc[1] < asymptotic.iloc[1]
    assert drawn.iloc[2] == pytest.approx(asymptotic.iloc[2], abs=0.15)


def test_a_bootstrap_takes_glmms_and_refuses_what_is_no_number():
    rng = np.random.default_rng(6)
    table = pd.DataFrame({"g": np.repeat(np.arange(10), 4), "x": np.tile(np.arange(4.0), 10)})
    table["y"] = rng.poisson(np.exp(1 + 0.2 * table["x"] + rng.normal(0, 0.5, 10)[table["g"]]))
    fits = [sf.glmer(f"y ~ {f} + (1 | g)", table, family="poisson", method="laplace") for f in ("1", "x")]
    assert 0 < sf.anova(*fits, nsim=9, random_seed=1).table["Pr(boot)"].iloc[1] <= 1
    with pytest.raises(sf.SamplingError, match="nsim=0 is out of range"):
        sf.anova(*fits, nsim=0)
