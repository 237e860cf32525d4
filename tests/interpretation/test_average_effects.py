"""Effects over rows: marginaleffects' and lme4's numbers, draws by brute force, closed forms, and what is refused."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special

import speclet_formula as sf
from tests.fakes import fake_fit

DATA = Path(__file__).resolve().parents[1] / "data" / "marginaleffects"
CLOSE = 1e-4


@cache
def rows():
    return pd.read_csv(DATA / "data.csv")


@cache
def single_level(name):
    """Models without groups, which marginaleffects takes from statsmodels."""
    if name == "ols":
        return sf.lmer("y ~ x * f + I(x^2) + z", rows(), method="reml")
    if name == "logit":
        return sf.glmer("h ~ x * f + z", rows(), family="bernoulli", method="laplace")
    return sf.glmer("k ~ x * f + log(n)", rows(), family="poisson", method="laplace")


@cache
def mixed(name):
    if name == "lmer":
        return sf.lmer("y ~ x * f + I(x^2) + (1 + x | g)", rows(), method="reml")
    if name == "bernoulli":
        return sf.glmer("h ~ x * f + z + (1 | g)", rows(), family="bernoulli", method="laplace")
    return sf.glmer("k ~ x * f + offset(log(n)) + (1 | g)", rows(), family="poisson", method="laplace")


ASKED = {
    "slopes": lambda fit, **more: sf.avg_slopes(fit, "x", **more).table,
    "slopes by f": lambda fit, **more: sf.avg_slopes(fit, "x", by="f", **more).table,
    "differences": lambda fit, **more: sf.avg_comparisons(fit, "f", **more).table,
    "pairwise": lambda fit, **more: sf.avg_comparisons(fit, {"f": "pairwise"}, **more).table,
    "one unit": lambda fit, **more: sf.avg_comparisons(fit, "x", **more).table,
    "two values": lambda fit, **more: sf.avg_comparisons(fit, {"x": [0, 2]}, **more).table,
    "sd": lambda fit, **more: sf.avg_comparisons(fit, {"x": "sd"}, **more).table,
    "ratio": lambda fit, **more: sf.avg_comparisons(fit, {"x": [0, 2]}, comparison="ratio", **more).table,
    "lift": lambda fit, **more: sf.avg_comparisons(fit, {"f": ["a", "b"]}, comparison="lift", **more).table,
    "binary": lambda fit, **more: sf.avg_comparisons(fit, "z", **more).table,
    "predictions by f": lambda fit, **more: sf.avg_predictions(fit, by="f", **more).table,
    "counterfactual": lambda fit, **more: sf.avg_predictions(fit, at={"f": ["a", "b", "c"]}, **more).table,
    "rows": lambda fit, **more: sf.comparisons(fit, {"x": [0, 2]}, **more).head(),
}


@pytest.mark.parametrize("name", ["ols", "logit", "poisson"])
def test_single_level_models_have_the_numbers_of_marginaleffects(name):
    """Estimates and standard errors; those of marginaleffects have normal quantiles."""
    answers = json.loads((DATA / "answers.json").read_text())[name]
    for asked, expected in answers.items():
        if asked != "log odds ratio":
            found = ASKED[asked](single_level(name), df="asymptotic" if name == "ols" else None)
            numbers = np.array([row[1:] for row in expected], dtype=float)
            np.testing.assert_allclose(found[["estimate", "std_error"]], numbers, rtol=CLOSE, atol=CLOSE, err_msg=asked)


def test_odds_ratios_are_those_of_marginaleffects():
    """It gives the logarithm: the interval is that one's, taken through the exponential, and so is the test."""
    ((_, log, error),) = json.loads((DATA / "answers.json").read_text())["logit"]["log odds ratio"]
    found = sf.avg_comparisons(single_level("logit"), {"x": [0, 2]}, comparison="odds_ratio").table.iloc[0]
    reach = 1.959963985 * error
    expected = [np.exp(log), np.exp(log) * error, np.exp(log - reach), np.exp(log + reach), log / error]
    columns = ["estimate", "std_error", "conf_low", "conf_high", "statistic"]
    np.testing.assert_allclose(found[columns].to_numpy(dtype=float), expected, rtol=2e-4)


@pytest.mark.parametrize("name", ["bernoulli", "poisson"])
def test_intervals_of_means_are_made_on_the_links_scale(name):
    """That of a row is `predict`'s, where it has one; that of an average is Wald's of the average's link."""
    fit, link = mixed(name), {"bernoulli": special.logit, "poisson": np.log}[name]
    columns = ["estimate", "conf_low", "conf_high"]
    expected = sf.predict(fit, re_form="~0", interval="confidence")
    np.testing.assert_allclose(sf.predictions(fit, re_form="~0")[columns], expected[columns], rtol=1e-6)
    found = sf.avg_predictions(fit, by="f").table
    ends = link(found[["conf_low", "conf_high"]].to_numpy())
    np.testing.assert_allclose(ends.mean(axis=1), link(found["estimate"]), rtol=1e-9)
    slope = 1 / found["estimate"] / ((1 - found["estimate"]) if name == "bernoulli" else 1)
    np.testing.assert_allclose(np.diff(ends)[:, 0], 2 * 1.959963985 * slope * found["std_error"], rtol=1e-6)


def test_ratios_of_rare_events_have_their_standard_errors():
    """Steps of a difference would be as large as the probabilities. Of a mean m a logarithm has an SE over m."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"f": np.repeat(["a", "b"], 4000), "y": rng.binomial(1, np.repeat([0.004, 0.008], 4000))})
    fit = sf.glmer("y ~ f", table, family="bernoulli", method="laplace")
    found = sf.avg_comparisons(fit, "f", comparison="ratio").table.iloc[0]
    low, high = table.groupby("f")["y"].mean()
    assert found["estimate"] == pytest.approx(high / low, rel=1e-6)
    error = np.sqrt((1 - low) / low / 4000 + (1 - high) / high / 4000)
    assert found["std_error"] == pytest.approx(high / low * error, rel=1e-4)


@pytest.mark.parametrize("group_effects", ["all", "none"])
@pytest.mark.parametrize("name", ["lmer", "bernoulli", "poisson"])
def test_mixed_models_have_the_numbers_of_lme4(name, group_effects):
    """Its own predictions of the rows, with group effects at their levels or at zero, differentiated.

    Of standard errors the covariance is glmmTMB's: lme4's is by differences.
    """
    answers = json.loads((DATA / "lme4.json").read_text())[name][group_effects]
    for asked, expected in answers.items():
        found = ASKED[asked.replace("_", " ")](
            mixed(name), re_form=None if group_effects == "all" else "~0", df="asymptotic" if name == "lmer" else None
        )
        np.testing.assert_allclose(found[["estimate", "std_error"]], expected, rtol=CLOSE, atol=CLOSE, err_msg=asked)


def by_hand(fit, **changed):
    """The mean of the response for each draw and row, from the draws' own names."""
    draws, table = fit.idata["posterior"], rows().assign(**changed)
    flat = {name: draws[name].values.reshape(-1, *draws[name].shape[2:]) for name in draws.data_vars}
    levels = [list(map(str, range(20))).index(str(level)) for level in table["g"]]
    eta = flat["Intercept"][:, None] + flat["x"][:, None] * table["x"].to_numpy() + flat["1|g"][:, levels]
    for place, level in enumerate(["b", "c"]):
        eta = eta + flat["f"][:, [place]] * (table["f"] == level).to_numpy()
    return np.exp(eta + np.log(table["n"].to_numpy()))


@cache
def drawn():
    return fake_fit(
        sf.Model("k ~ x + f + offset(log(n)) + (1 | g)", rows(), family="poisson"),
        {"Intercept": -1.0, "x": 0.3}, draws=40, chains=2,
    )  # fmt: skip


def check(table, draws, ends=(0.055, 0.945)):
    np.testing.assert_allclose(table["estimate"], draws.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(table["std_error"], draws.std(axis=0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(table[["conf_low", "conf_high"]].T, np.quantile(draws, ends, axis=0), rtol=1e-6)


def test_draws_are_averaged_one_by_one():
    fit, table = drawn(), rows()
    low, high = by_hand(fit, x=0.0), by_hand(fit, x=2.0)
    check(sf.avg_comparisons(fit, {"x": [0, 2]}, ci_prob=0.89).table, (high - low).mean(axis=1, keepdims=True))
    ratios = (high.mean(axis=1) / low.mean(axis=1))[:, None]
    found = sf.avg_comparisons(fit, {"x": [0, 2]}, comparison="ratio", ci_prob=0.89).table
    check(found, ratios)
    assert found["p_negative"].item() == (ratios < 1).mean()
    check(sf.avg_comparisons(fit, {"x": [0, 2]}, comparison="lift", ci_prob=0.89).table, ratios - 1)
    means = by_hand(fit)
    by_f = np.column_stack([means[:, table["f"] == level].mean(axis=1) for level in "abc"])
    check(sf.avg_predictions(fit, by="f", ci_prob=0.89).table, by_f)
    check(sf.predictions(fit, ci_prob=0.89), means)
    check(sf.comparisons(fit, {"x": [0, 2]}, ci_prob=0.89), high - low)
    check(sf.avg_predictions(fit, at={"n": 1}, ci_prob=0.89).table, by_hand(fit, n=1).mean(axis=1, keepdims=True))
    slope = (by_hand(fit) * fit.idata["posterior"]["x"].values.reshape(-1, 1)).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(sf.avg_slopes(fit, "x").table["estimate"], slope.mean(), rtol=1e-6)


def test_rows_by_blocks_are_the_same(monkeypatch):
    from speclet_formula.prediction import linear_predictors

    fit = drawn()
    calls = {
        "rows": lambda: sf.comparisons(fit, ["x", "f"]),
        "averages": lambda: sf.avg_comparisons(fit, ["x", "f"], by="f").table,
        "points": lambda: sf.comparisons(mixed("poisson"), "x"),
    }
    whole = {name: call() for name, call in calls.items()}
    monkeypatch.setattr(linear_predictors, "BLOCK_BYTES", 8 * 4000 * 7)
    for name, call in calls.items():
        pd.testing.assert_frame_equal(call(), whole[name], rtol=1e-9)


def test_a_computed_response_is_taken_back_and_the_header_says_so():
    table = rows().assign(size=np.exp(rows()["y"] / 10))
    fit = sf.lmer("log(size) ~ x + f + (1 | g)", table, method="reml")
    found = sf.avg_predictions(fit)
    assert found.table["estimate"].item() == pytest.approx(np.exp(sf.fitted(fit)["estimate"]).mean())
    assert found.sentence == (
        "Average predictions of size, taken back from log(size); over 240 rows; group effects of each row's levels, "
        "taken as known."
    )
    assert sf.avg_predictions(fit, type="link").table["estimate"].item() == pytest.approx(
        sf.fitted(fit)["estimate"].mean()
    )


def test_the_header_says_at_which_exposure_predictions_stand():
    fit = mixed("poisson")
    assert "; offset(log(n)) of each row; " in sf.avg_predictions(fit).sentence
    assert "; offset(log(n)) n as stated; " in sf.avg_predictions(fit, at={"n": 1}).sentence
    assert "; offset(log(n)) of each row; group effects at zero." in sf.avg_comparisons(fit, "x", re_form="~0").sentence


def test_levels_of_an_ordinal_response_have_averages_of_their_own():
    table = rows().assign(o=pd.cut(rows()["y"], 3, labels=["low", "mid", "high"]))
    fit = fake_fit(sf.Model("o ~ x + (1 | g)", table, family="cumulative"), {"threshold": np.array([-1.0, 1.0])})
    found = sf.avg_predictions(fit).table
    assert found["level"].to_list() == ["low", "mid", "high"]
    assert found["estimate"].sum() == pytest.approx(1)
    np.testing.assert_allclose(
        found["estimate"], sf.fitted(fit).groupby("level", sort=False)["estimate"].mean(), rtol=1e-7
    )
    assert sf.avg_comparisons(fit, "x").table["estimate"].sum() == pytest.approx(0, abs=1e-12)
    assert len(sf.comparisons(fit, "x", newdata=table.head(2))) == 6


def test_merged_rows_count_as_often_as_they_stand_for(tmp_path):
    table = pd.DataFrame({"x": [0.0, 1.0, 0.0, 1.0] * 9, "g": list("aaabbbccc") * 4, "y": np.arange(36) % 7})
    table = pd.concat([table, table[table["g"] == "a"]])
    table.to_csv(tmp_path / "t.csv", index=False)
    fits = [sf.lmer("y ~ x + (1 | g)", data, method="ml") for data in (table, sf.scan(tmp_path / "t.csv", merge=True))]
    whole, merged = (sf.avg_predictions(fit, by="g").table for fit in fits)
    np.testing.assert_allclose(merged["estimate"], whole["estimate"], rtol=1e-6)
    one, two = (sf.avg_predictions(fit).table["estimate"].item() for fit in fits)
    assert one == pytest.approx(two, rel=1e-6)
    assert "over 48 rows" in sf.avg_predictions(fits[1]).sentence


def test_averages_are_compared_by_pairs_and_drawn():
    found = sf.pairs(sf.avg_predictions(mixed("bernoulli"), at={"f": ["a", "b", "c"]}), adjust="none").table
    expected = sf.avg_comparisons(mixed("bernoulli"), {"f": "pairwise"}).table
    np.testing.assert_allclose(found["estimate"], -expected["estimate"], rtol=1e-9)
    np.testing.assert_allclose(found["std_error"], expected["std_error"], rtol=1e-9)
    assert sf.plot_means(sf.avg_comparisons(mixed("bernoulli"), "f", comparison="ratio")).alt.startswith("Ratios of: ")


def test_new_rows_with_missing_values_are_told():
    new = rows().head(10).copy()
    new.loc[3, "x"] = np.nan
    found = sf.avg_predictions(mixed("lmer"), newdata=new)
    assert "; over 9 rows (1 with missing values are left out); " in found.sentence
    assert sf.predictions(mixed("lmer"), newdata=new).attrs["missing"] == 1
    assert sf.predictions(mixed("lmer"), newdata=new).index.to_list() == [0, 1, 2, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sf.avg_slopes(mixed("lmer"), "g"),
         "'g' is in no fixed term of the model.\nVariables of its fixed terms: x, f.\nThe effects of the levels of 'g' "
         "are in level_effects(fit, 'g')."),
        (lambda: sf.avg_comparisons(mixed("lmer"), {"f": ["a", "d"]}),
         "'f' has no level 'd'.\nLevels: a, b, c.\nName one of these."),
        (lambda: sf.avg_comparisons(mixed("lmer"), {"x": "iqrr"}),
         "variables={'x': 'iqrr'} is no change of a number.\nA number goes by a width, between two values, or by 'sd', "
         "'2sd', 'iqr', 'minmax'.\nWrite {'x': 1} or {'x': [0, 1]}, or leave it out for one unit."),
        (lambda: sf.avg_comparisons(mixed("lmer"), "x", comparison="odds_ratio"),
         "predictions go from 6.93 to 7.45, of which there is no odds ratio.\nRatios are of numbers above zero, odds "
         "of probabilities between 0 and 1.\nWrite comparison='difference'."),
        (lambda: sf.avg_comparisons(mixed("lmer"), comparison="diference"),
         "comparison='diference' does not exist.\ncomparison= is one of 'difference', 'ratio', 'odds_ratio', 'lift', "
         "'slope'.\nNearest: comparison='difference'."),
        (lambda: sf.avg_predictions(mixed("lmer"), by="ff"),
         "by='ff' is no column of the rows.\nColumns: x, f, z, n, g, y, h, k.\nNearest: 'f'."),
        (lambda: sf.avg_predictions(mixed("lmer"), at={"x": []}),
         "at={'x': []} leaves no row.\nIt holds one value or more.\nLeave 'x' out."),
        (lambda: sf.avg_predictions(mixed("lmer"), at={"x": ["a"]}),
         "x = 'a' is no number.\n'x' holds numbers.\nGive finite numbers."),
        (lambda: sf.avg_slopes(sf.lmer("y ~ 1 + (1 | g)", rows(), method="ml")),
         "there is no variable to change.\nVariables of the fixed terms: none.\nEffects of groups' levels are in "
         "level_effects(fit, ...)."),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(call, message):
    with pytest.raises(sf.EstimateError) as caught:
        call()
    assert str(caught.value) == message
