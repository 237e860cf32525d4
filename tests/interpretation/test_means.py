"""Marginal means, contrasts and slopes of draws, against arithmetic by hand; what they print and refuse."""

import doctest
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import speclet_formula as sf
from speclet_formula.common.table import WIDTH
from speclet_formula.errors import EstimateError
from speclet_formula.interpretation.means import shown_table
from speclet_formula.model import Model
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data


def data():
    """An unbalanced table with two factors, two covariates and an exposure."""
    rng = np.random.default_rng(6)
    n = 60
    return pd.DataFrame(
        {
            "f": pd.Categorical(rng.choice(["b", "a", "c"], n, p=[0.2, 0.5, 0.3]), categories=["b", "a", "c"]),
            "h": rng.choice(["u", "v"], n),
            "x": rng.normal(2, 1, n),
            "e": rng.uniform(1, 4, n),
            "g": rng.choice(["g1", "g2", "g3", "g4"], n),
            "y": rng.normal(size=n),
            "k": rng.poisson(3, n),
            "s": rng.integers(0, 2, n),
        }
    )


def column(fit, name, place=0):
    values = fit.idata["posterior"][name].stack(sample=("chain", "draw")).values
    return values[place] if values.ndim > 1 else values


def summary(draws):
    return [draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.055, 0.945])]


def rows(found):
    return found.table[["estimate", "std_error", "conf_low", "conf_high"]].to_numpy()


def test_means_of_draws_weigh_levels_equally():
    table = data()
    fit = fake_fit(Model("y ~ f + h + x + (1 + x | g)", table))
    found = sf.marginal_means(fit, "f")
    base = column(fit, "Intercept") + column(fit, "h") / 2 + column(fit, "x") * table["x"].mean()
    expected = [base, base + column(fit, "f", 0), base + column(fit, "f", 1)]
    np.testing.assert_allclose(rows(found), [summary(draws) for draws in expected], rtol=1e-9)
    assert found.table["f"].to_list() == ["b", "a", "c"]
    differences = sf.pairs(found)
    by_hand = [expected[0] - expected[1], expected[0] - expected[2], expected[1] - expected[2]]
    np.testing.assert_allclose(rows(differences), [summary(draws) for draws in by_hand], rtol=1e-9)
    np.testing.assert_allclose(differences.table["p_negative"], [np.mean(draws < 0) for draws in by_hand])


def test_responses_of_draws():
    table = data()
    fit = fake_fit(Model("s ~ f + x + (1 | g)", table, family="bernoulli"), {"Intercept": -0.5, "f": 0.8, "x": -0.2})
    eta = column(fit, "Intercept") + column(fit, "x") * table["x"].mean()
    etas = [eta, eta + column(fit, "f", 0), eta + column(fit, "f", 1)]
    found = sf.marginal_means(fit, "f", type="response")
    np.testing.assert_allclose(rows(found), [summary(expit(draws)) for draws in etas], rtol=1e-9)
    ratios = sf.contrasts(found, "reference", reference="c")
    by_hand = [np.exp(etas[0] - etas[2]), np.exp(etas[1] - etas[2])]
    np.testing.assert_allclose(rows(ratios), [summary(draws) for draws in by_hand], rtol=1e-9)
    assert ratios.table["contrast"].to_list() == ["b / c", "a / c"]
    steep = sf.slopes(fit, "x", by="f", type="response")
    by_hand = [column(fit, "x") * expit(draws) * (1 - expit(draws)) for draws in etas]
    np.testing.assert_allclose(rows(steep), [summary(draws) for draws in by_hand], rtol=1e-5)


def test_slopes_of_a_curve_where_they_are_asked_for():
    fit = fake_fit(Model("y ~ (x + I(x^2)) * h + (1 | g)", data()))
    found = sf.slopes(fit, "x", by="h", at={"x": [0, 3]})
    names = [label for term in fit.model.design.mean.fixed for label in term.columns]
    draws = dict(zip(names, np.hstack([*_coefficients(fit)]).T, strict=True))
    assert found.table[["h", "x"]].to_numpy().tolist() == [["u", 0], ["v", 0], ["u", 3], ["v", 3]]
    for row, (h, x) in enumerate([("u", 0), ("v", 0), ("u", 3), ("v", 3)]):
        by_hand = draws["x"] + 2 * x * draws["I(x^2)"]
        if h == "v":
            by_hand = by_hand + draws["x:h[v]"] + 2 * x * draws["I(x^2):h[v]"]
        np.testing.assert_allclose(rows(found)[row], summary(by_hand), rtol=1e-6)
    assert sf.pairs(found).table["contrast"].to_list()[0] == "u 0 - v 0"


def _coefficients(fit):
    for term in fit.model.design.mean.fixed:
        yield fit.idata["posterior"][term.variable].values.reshape(1000, -1)


def test_an_offset_is_held_at_its_mean_unless_told():
    table = data()
    fit = fake_fit(Model("k ~ f + offset(log(e))", table, family="poisson"))
    found = sf.marginal_means(fit, "f").table["estimate"][0]
    assert found == pytest.approx(column(fit, "Intercept").mean() + np.log(table["e"]).mean(), rel=1e-9)
    one = sf.marginal_means(fit, "f", at={"e": 1}).table["estimate"][0]
    assert one == pytest.approx(column(fit, "Intercept").mean(), rel=1e-9)


def even_table():
    """A table that R makes from the same arithmetic, for the numbers of emmeans below."""
    i = np.arange(60)
    table = pd.DataFrame({"y": ((i * 37) % 91) / 10 + 0.2, "ex": 1 + ((i * 23) % 17) / 2, "z": 1 + ((i * 11) % 7) / 5})
    return table.assign(f=np.where(i % 3 == 0, "hi", "lo"), k=(i * 29) % 13)


TAKEN_BACK = {  # emmeans 1.8.4-1: emmeans(lm(response ~ f), "f", type = "response")
    "log(y + 5)": (4.23306503335, 4.3537436381),
    "log2(y)": (3.45072667404, 3.66104011428),
    "log(y, 2)": (3.45072667404, 3.66104011428),
    "log10(y + 1)": (3.84792431206, 3.99344245915),
    "sqrt(y + 5)": (4.43830561857, 4.54462332425),
    "log1p(y)": (3.84792431206, 3.99344245915),
    "2 * sqrt(y)": (4.11916628104, 4.2563628207),
    "(y + 1)^-1": (1 / 0.250823699725 - 1, 1 / 0.240273108774 - 1),  # emmeans leaves it: by hand
    "1 / (1 + y)": (1 / 0.250823699725 - 1, 1 / 0.240273108774 - 1),
}


@pytest.mark.parametrize(("response", "expected"), TAKEN_BACK.items())
def test_a_computed_response_is_taken_back_as_emmeans_does(response, expected):
    fit = sf.lmer(f"{response} ~ f", even_table(), method="ml")
    found = sf.marginal_means(fit, "f", type="response")
    np.testing.assert_allclose(found.table["estimate"], expected, rtol=1e-9)
    assert found.sentence == f"Marginal means of y by f, taken back from {fit.model.design.response_name}."
    assert (found.table["conf_low"] < found.table["conf_high"]).all()
    assert sf.marginal_means(fit, "f").sentence == f"Marginal means of {fit.model.design.response_name} by f."


def test_differences_of_logarithms_are_ratios_and_others_stay():
    """emmeans 1.8.4-1: pairs(emmeans(lm(log2(y + 5) ~ f), "f", type = "response"))."""
    logarithms = sf.lmer("log2(y + 5) ~ f", even_table(), method="ml")
    found = sf.pairs(sf.marginal_means(logarithms, "f", type="response"))
    assert found.table.loc[0, "contrast"] == "hi / lo"
    assert found.table.loc[0, "estimate"] == pytest.approx(0.987098363, rel=1e-8)
    assert found.sentence == "Ratios of: Marginal means of y + 5 by f. Degrees of freedom are Satterthwaite's."
    roots = sf.pairs(sf.marginal_means(sf.lmer("sqrt(y) ~ f", even_table(), method="ml"), "f", type="response"))
    assert (roots.scale, roots.table.loc[0, "contrast"]) == ("link", "hi - lo")
    assert roots.sentence == "Differences of: Marginal means of sqrt(y) by f. Degrees of freedom are Satterthwaite's."


def test_a_quotient_of_columns_is_what_its_logarithm_is_taken_back_to():
    found = sf.marginal_means(sf.lmer("log(y / ex) ~ f", even_table(), method="ml"), "f", type="response")
    assert found.sentence == "Marginal means of y / ex by f, taken back from log(y / ex)."


def test_slopes_are_of_the_response_that_was_taken_back():
    fit = sf.lmer("log(y) ~ ex", even_table(), method="ml")
    intercept, slope = sf.fixef(fit)["estimate"]
    found = sf.slopes(fit, "ex", type="response").table["estimate"][0]
    assert found == pytest.approx(slope * np.exp(intercept + slope * even_table()["ex"].mean()), rel=1e-6)


def test_draws_are_taken_back_one_by_one():
    fit = fake_fit(Model("log(y + 9) ~ f", data()))
    found = sf.marginal_means(fit, "f", type="response").table["estimate"][0]
    assert found == pytest.approx((np.exp(column(fit, "Intercept")) - 9).mean(), rel=1e-9)
    lognormal = fake_fit(Model("e ~ f", data(), family="lognormal"))
    found = sf.marginal_means(lognormal, "f", type="response")
    assert found.table["estimate"][0] == pytest.approx(np.exp(column(lognormal, "Intercept")).mean(), rel=1e-9)
    assert found.sentence == "Marginal means of e by f, taken back from log(e)."


def test_a_response_without_an_inverse_is_refused_by_name():
    fit = sf.lmer("round(y) ~ f", even_table(), method="ml")
    with pytest.raises(EstimateError) as caught:
        sf.marginal_means(fit, "f", type="response")
    assert str(caught.value) == (
        "the response 'round(y)' cannot be taken back: 'round' has no inverse here.\n"
        "Taken back: log, log2, log10, log1p, sqrt, exp, expm1, and arithmetic with numbers.\n"
        "Write type='link' for means of 'round(y)' itself."
    )


def test_responses_that_are_no_measurements_stay():
    """A probability of I(y > 3) and a mean of a count that is computed have no other scale."""
    table = data().assign(n=lambda d: d["k"] + 1)
    binary = fake_fit(Model("I(y > 0) ~ f", table, family="bernoulli"))
    found = sf.marginal_means(binary, "f", type="response")
    assert found.sentence == "Marginal means of I(y > 0) by f."
    assert found.table["estimate"][0] == pytest.approx(expit(column(binary, "Intercept")).mean(), rel=1e-9)
    counted = sf.marginal_means(fake_fit(Model("round(n * 1) ~ f", table, family="poisson")), "f", type="response")
    assert counted.sentence == "Marginal means of round(n * 1) by f."
    plain = sf.marginal_means(fake_fit(Model("I(y) ~ f", table)), "f", type="response")
    assert plain.sentence == "Marginal means of I(y) by f."


def test_an_offset_is_told_where_it_is_held():
    """emmeans 1.8.4-1: its ref_grid has ex 4.925, z 1.59333333333, .offset. 1.42457510143 and 3.01790843476."""
    fit = sf.glmer("k ~ f + offset(log(ex))", even_table(), family="poisson", method="laplace")
    found = sf.marginal_means(fit, "f")
    np.testing.assert_allclose(found.table["estimate"], [1.63986667753, 1.60203046858], rtol=1e-6)
    assert found.sentence == "Marginal means of k (log scale) by f; offset(log(ex)) at its mean, 1.425."
    grid = sf.reference_grid(fit)
    assert grid.columns.to_list() == ["f", "ex", ".offset."]
    np.testing.assert_allclose(grid[["ex", ".offset."]].iloc[0], [4.925, 1.42457510143], rtol=1e-9)
    told = sf.marginal_means(fit, "f", at={"ex": 1})
    assert told.sentence == "Marginal means of k (log scale) by f; at ex = 1."
    assert sf.reference_grid(fit, at={"ex": 1})[".offset."].to_list() == [0.0, 0.0]


def test_a_covariate_that_an_offset_uses_too_leaves_the_offset_at_its_mean():
    fit = sf.glmer("k ~ f + ex + offset(log(ex) + z)", even_table(), family="poisson", method="laplace")
    np.testing.assert_allclose(sf.marginal_means(fit, "f").table["estimate"], [1.60863211414, 1.72342863818], rtol=1e-6)
    grid = sf.reference_grid(fit)
    np.testing.assert_allclose(grid[["ex", "z", ".offset."]].iloc[0], [4.925, 1.59333333333, 3.01790843476], rtol=1e-9)


@pytest.mark.parametrize(
    ("df", "sentence", "told"),
    [
        (
            None,
            " Degrees of freedom are Kenward-Roger's.",
            "statistic is a t value; df and p_value are by Kenward-Roger's method, std_error is adjusted.",
        ),
        (
            "satterthwaite",
            " Degrees of freedom are Satterthwaite's.",
            "statistic is a t value; df and p_value are by Satterthwaite's method.",
        ),
        (
            "asymptotic",
            " Tests are asymptotic (z).",
            "statistic is a z value; p_value is asymptotic, by the normal distribution.",
        ),
    ],
)
def test_tests_of_fits_by_maximum_likelihood_say_what_they_are(df, sentence, told):
    fit = sf.lmer("y ~ f", even_table(), method="reml")
    slope = sf.slopes(sf.lmer("y ~ ex", even_table(), method="reml"), "ex", df=df)
    for found in (sf.pairs(sf.marginal_means(fit, "f", df=df)), slope):
        assert found.table.attrs["tests"] == told
        assert found.sentence.endswith(sentence)
        assert repr(found).replace("\n", " ").endswith(told)
        assert max(map(len, repr(found).split("\n"))) <= WIDTH


def test_it_is_said_once():
    fit = sf.lmer("y ~ f*ex", even_table(), method="reml")
    by_level = sf.pairs(sf.slopes(fit, "ex", by="f", df="asymptotic"))
    assert by_level.sentence.count("asymptotic") == 1
    drawn = sf.pairs(sf.marginal_means(fake_fit(Model("y ~ f", data())), "f"))
    assert "tests" not in drawn.table.attrs
    assert "asymptotic" not in repr(drawn)


def test_means_of_a_parameter_with_a_formula():
    fit = fake_fit(Model(["y ~ x", "sigma ~ f + (1 | g)"], data()), {"sigma_Intercept": 0.3, "sigma_f": -0.4})
    found = sf.marginal_means(fit, "f", parameter="sigma", type="response")
    by_hand = [np.exp(column(fit, "sigma_Intercept")), np.exp(column(fit, "sigma_Intercept") + column(fit, "sigma_f"))]
    np.testing.assert_allclose(rows(found)[:2], [summary(draws) for draws in by_hand], rtol=1e-9)
    assert found.sentence == "Marginal means of sigma by f; group effects at zero."


def test_the_grid_takes_both_values_of_a_boolean_and_the_mean_of_a_number():
    table = data().assign(b=lambda d: d["x"] > 2)
    fit = fake_fit(Model("y ~ f + b + x + factor(k)", table))
    grid = sf.reference_grid(fit, at={"f": "a"})
    assert grid.columns.to_list() == ["f", "b", "x", "k"]
    assert grid["f"].astype(str).unique().tolist() == ["a"]
    assert grid["b"].unique().tolist() == [0, 1]
    assert grid["x"].unique() == pytest.approx([table["x"].mean()])
    assert grid["k"].unique().tolist() == sorted(table["k"].unique())
    assert len(grid) == 2 * table["k"].nunique()


@pytest.mark.slow
def test_reml_and_draws_of_flat_priors_agree():
    """Draws from the sampling distribution that REML states: 4,000 of them err by 0.016 SE, 5 of which are 8e-2."""
    table = data()
    point = sf.lmer("y ~ f * h + x + (1 | g)", table, method="ml")
    fit = fake_fit(Model("y ~ f * h + x + (1 | g)", table), chains=4, draws=1000)
    drawn = np.random.default_rng(9).multivariate_normal(
        point.estimates.coefficients, point.estimates.covariance, (4, 1000)
    )
    for term in fit.model.design.mean.fixed:
        array = fit.idata["posterior"][term.variable]
        array[:] = drawn[..., term.start : term.stop].reshape(array.shape)
    for make in (
        lambda fit: sf.marginal_means(fit, "f", by="h"),
        lambda fit: sf.pairs(sf.marginal_means(fit, "f")),
        lambda fit: sf.slopes(fit, "x"),
    ):
        ours, theirs = make(fit).table, make(point).table
        assert (np.abs(ours["estimate"] - theirs["estimate"]) < 0.08 * theirs["std_error"]).all()
        np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=0.06)


def test_printed():
    found = sf.marginal_means(crossed_fit(), "control")
    assert repr(found) == (
        "Marginal means of log_fc by control; group effects at zero.\n\n"
        "control       estimate  std_error  conf_low  conf_high\n"
        "nonessential   -1.0072     0.0942   -1.1593    -0.8530\n"
        "other          -0.8074     0.0967   -0.9619    -0.6519\n\n"
        "conf_low and conf_high bound the 89% equal-tailed interval."
    )
    assert ">-1.0072</td>" in found._repr_html_()
    table = pd.DataFrame([[1.0, 0.1, 0.8, 1.2, 10.0, 1.5e-23], [1.0, 0.5, 0.0, 2.0, 2.0, 0.0455]])
    table.columns = ["estimate", "std_error", "conf_low", "conf_high", "statistic", "p_value"]
    assert shown_table(table)["p_value"].to_list() == ["< 2.2e-16", "0.0455"]
    fit = fake_fit(Model("log_fc ~ gene + (1 | cell_line)", screen_data()))
    assert "<script>" not in sf.marginal_means(fit, "gene")._repr_html_()


def test_a_grid_that_is_too_large(monkeypatch):
    monkeypatch.setattr("speclet_formula.interpretation.grids.LARGEST_GRID", 3)
    with pytest.raises(EstimateError) as error:
        sf.marginal_means(crossed_fit(), "control")
    assert str(error.value) == (
        "the reference grid has 2 rows with 2 columns.\nRows times columns may be 3; 'control' alone has 2 levels.\n"
        "Choose some of them, at={'control': [...]}, or make 'control' a group term."
    )


FIT = crossed_fit()
FOUND = sf.marginal_means(FIT, "control")
MESSAGES = {
    "unknown": (
        lambda: sf.marginal_means(FIT, "contrl"),
        "'contrl' is in no fixed term of the model.\nVariables of its fixed terms: control.\nNearest: 'control'.",
    ),
    "group": (
        lambda: sf.marginal_means(FIT, "gene"),
        "'gene' is in no fixed term of the model.\nVariables of its fixed terms: control.\n"
        "The effects of the levels of 'gene' are in level_effects(fit, 'gene').",
    ),
    "twice": (
        lambda: sf.marginal_means(FIT, "control", by="control"),
        "'control' is in specs and in by=.\n"
        "specs names the variables to compare, by= those within which they are compared.\nTake 'control' out.",
    ),
    "none": (
        lambda: sf.marginal_means(FIT, []),
        "no variable is named whose means are wanted.\n"
        "specs names the variables to compare, by= those within which they are compared.\n"
        "Name a factor, for example marginal_means(fit, 'control').",
    ),
    "type": (
        lambda: sf.marginal_means(FIT, "control", type="respons"),
        "type='respons' is not a scale.\nScales: 'link', that of the linear predictor, and 'response'.\n"
        "Nearest: type='response'.",
    ),
    "level": (
        lambda: sf.marginal_means(FIT, "control", at={"control": ["othr"]}),
        "'control' has no level 'othr'.\nLevels: nonessential, other.\nNearest: 'other'.",
    ),
    "number": (
        lambda: sf.slopes(correlated_fit(), "Days", at={"Days": ["many"]}),
        "at={'Days': ['many']} holds what is no number.\n'Days' holds numbers.\nGive finite numbers.",
    ),
    "empty": (
        lambda: sf.marginal_means(FIT, "control", at={"control": []}),
        "at={'control': []} leaves no row.\nIt holds one value or more.\nLeave 'control' out.",
    ),
    "parameter": (
        lambda: sf.marginal_means(FIT, "control", parameter="sigma"),
        "'sigma' has no formula in this model.\nParameters with one: none.\nLeave parameter= out for the mean.",
    ),
    "factor": (
        lambda: sf.slopes(FIT, "control"),
        "'control' is a factor and has no slope.\nA slope is that of a column of numbers.\n"
        "Its levels are compared by pairs(marginal_means(fit, 'control')).",
    ),
    "method": (
        lambda: sf.contrasts(FOUND, "trt.vs.ctrl"),
        "there is no method='trt.vs.ctrl'.\n"
        "Methods: 'pairwise', 'revpairwise', 'reference', 'consec', 'eff', 'poly', or a dict of weights by the "
        "contrast's name.\n"
        "Write method='reference'.",
    ),
    "interaction of one": (
        lambda: sf.contrasts(FOUND, interaction="pairwise"),
        "interaction='pairwise' does not name a method for each of two variables or more.\nCompared are: control.\n"
        "Write interaction='pairwise' for all, or one for each: {'control': 'pairwise', 'another': 'pairwise'}.",
    ),
    "interaction and method": (
        lambda: sf.contrasts(FOUND, "eff", interaction="pairwise"),
        "method= and interaction= were both given.\ninteraction= names the method of each variable.\n"
        "Leave one of them out.",
    ),
    "reference": (
        lambda: sf.contrasts(FOUND, "reference", reference="othr"),
        "'othr' is not among what is compared.\nRows: nonessential, other.\nNearest: 'other'.",
    ),
    "weights": (
        lambda: sf.contrasts(FOUND, {"all": [1, -0.5, -0.5]}),
        "the contrast 'all' has 3 weights for 2 rows.\nRows: nonessential, other.\n"
        "Give one weight for each, or a dict of weights by name.",
    ),
    "alone": (
        lambda: sf.pairs(sf.slopes(correlated_fit(), "Days", at={"Days": [2]})),
        "by= leaves nothing to compare.\nTheir columns: none.\nName some of these, but not all.",
    ),
    "one": (
        lambda: sf.pairs(sf.marginal_means(FIT, "control", at={"control": "other"})),
        "'other' has nothing to be compared with.\nA contrast needs two rows or more.\n"
        "Name a factor, or give several values of a number: at={'x': [0, 1]}.",
    ),
    "again": (
        lambda: sf.pairs(sf.pairs(FOUND)),
        "these are contrasts already.\nMarginal means and slopes are compared.\nGive what contrasts() was given.",
    ),
    "by": (
        lambda: sf.pairs(FOUND, by="gene"),
        "by='gene' is no column of these means.\nTheir columns: control.\nName some of these, but not all.",
    ),
    "ordinal": (
        lambda: sf.marginal_means(
            fake_fit(Model("k ~ f", data().assign(k=lambda d: d["k"].clip(2, 4)), family="cumulative")),
            "f",
            type="response",
        ),
        "the levels of 'k' have no mean.\nOf an ordinal model the location of the latent response has means, "
        "type='link'.\nWrite type='link'; sf.fitted(fit) has each level's probability.",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(case):
    call, text = MESSAGES[case]
    with pytest.raises(EstimateError) as error:
        call()
    assert str(error.value) == text


@pytest.mark.parametrize("module", ["grids", "means", "contrasts", "slopes"])
def test_examples(module):
    assert (
        doctest.testmod(
            import_module(f"speclet_formula.interpretation.{module}"), extraglobs={"fit": correlated_fit()}
        ).failed
        == 0
    )


def test_variables_may_stand_in_the_formulas_back_quotes():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({
        "a b": np.repeat(["u", "v", "w"], 20), "c d": rng.normal(size=60), "g h": np.tile(list("abcde"), 12),
        "y": rng.normal(size=60),
    })  # fmt: skip
    fit = sf.lmer("y ~ `a b` * `c d` + (1 | `g h`)", table, draws=50, random_seed=1)
    pd.testing.assert_frame_equal(sf.marginal_means(fit, "`a b`").table, sf.marginal_means(fit, "a b").table)
    plain = sf.marginal_means(fit, "c d", by="a b", at={"c d": [0, 1]})
    quoted = sf.marginal_means(fit, "`c d`", by=["`a b`"], at={"`c d`": [0, 1]})
    pd.testing.assert_frame_equal(quoted.table, plain.table)
    pd.testing.assert_frame_equal(sf.pairs(quoted, by="`a b`").table, sf.pairs(plain, by="a b").table)
    pd.testing.assert_frame_equal(sf.slopes(fit, "`c d`", by="`a b`").table, sf.slopes(fit, "c d", by="a b").table)
    at = {"c d": [0.0, 1.0]}
    pd.testing.assert_frame_equal(
        sf.slopes(fit, "`c d`", at={"`c d`": at["c d"]}).table, sf.slopes(fit, "c d", at=at).table
    )
    pd.testing.assert_frame_equal(sf.level_effects(fit, "`g h`"), sf.level_effects(fit, "g h"))
    for text, same in {
        "`c d` > 0": "c d > 0", "`a b`[v] - `c d` < 0": "a b[v] - c d < 0", "1|`g h`[a] > 0": "1|g h[a] > 0",
    }.items():  # fmt: skip
        found, expected = (sf.hypothesis(fit, one).drop(columns="hypothesis") for one in (text, same))
        pd.testing.assert_frame_equal(found, expected)
    assert sf.hypothesis(fit, "`c d` > 0")["hypothesis"].item() == "`c d` > 0"


def test_values_of_a_variable_share_their_decimals_and_are_short():
    fit = sf.lmer("y ~ ex", even_table(), method="reml")
    rows = repr(sf.marginal_means(fit, "ex", at={"ex": [0.1, 1 / 3]})).split("\n")
    assert [row.split()[0] for row in rows if row.startswith("0.")] == ["0.1000", "0.3333"]
    assert [row.split()[0] for row in repr(sf.marginal_means(fit, "ex", at={"ex": [0, 10]})).split("\n")[3:5]] == [
        "0",
        "10",
    ]
