"""Each result's tables stand in four formats, with the numbers of the frames and every name escaped."""

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.common.table import WIDTH
from speclet_formula.errors import DataError
from speclet_formula.reporting.tables import render_table
from tests.fakes import correlated_fit, crossed_fit, fake_fit, sleepstudy_data


@cache
def fit():
    return crossed_fit()


@cache
def recovery():
    levels = fit().model.design.mean.groups[0].levels
    truth = {"Intercept": -1.0, "1|gene_sigma": 0.4, "1|gene": {level: 0.1 * n for n, level in enumerate(levels)}}
    return sf.recover(fit(), truth)


@cache
def ratios():
    data = sleepstudy_data()
    return sf.anova(
        *(sf.lmer(text, data, method="ml") for text in ("Reaction ~ (1|Subject)", "Reaction ~ Days + (1|Subject)"))
    )


@pytest.mark.parametrize("format_", ["text", "markdown", "html", "latex"])
@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (fit, ["control[other]", "Residual", "R-hat"]),
        (lambda: sf.lmer("Reaction ~ Days + (1|Subject)", sleepstudy_data(), method="reml"), ["Days", "t value"]),
        (lambda: fit().diagnostics, ["Largest R-hat", "4 x 250"]),
        (lambda: sf.compare({"one": fit(), "two": crossed_fit(seed=2)}), ["one", "two", "elpd"]),
        (ratios, ["Chisq", "Days"]),
        (lambda: sf.marginal_means(fit(), "control"), ["other", "std_error", "group effects at zero"]),
        (lambda: sf.posterior_predictive(fit(), 5, random_seed=1), ["largest", "median"]),
        (recovery, ["Truth", "Realized", "lme4 (REML)", "Reliability", "0.400"]),
        (lambda: sf.ranef(fit()), ["KRAS", "condval"]),
    ],
    ids=["fit", "reml", "diagnostics", "comparison", "anova", "means", "check", "recovery", "frame"],
)
@pytest.mark.mostly_slow(every=3)
def test_every_result_in_every_format(make, wanted, format_):
    text = render_table(make(), format_)
    plain = re.sub(r"\\(?=[^a-z])|[{}]", "", text) if format_ in ("markdown", "latex") else text
    for word in wanted:
        assert word.replace("^", "") in plain
    if format_ != "text":
        assert "<script" not in text.replace("\\<script", "")


def test_numbers_are_those_of_the_frames():
    frame = sf.fixef(fit())
    text = render_table(fit(), "markdown", part="fixed")
    for row in frame.itertuples():
        assert f"{row.estimate:.4f}" in text
    assert render_table(sf.varcorr(correlated_fit()), "text").splitlines()[0].split()[:3] == ["grp", "var1", "var2"]


def test_parts_stand_alone():
    assert render_table(fit(), part="diagnostics") == render_table(fit().diagnostics)
    assert "Reliability" not in render_table(recovery(), part="parameters")


def test_a_frame_keeps_an_index_that_says_something():
    frame = pd.DataFrame({"x": [1.0, float("nan")], "ok": [True, False]}, index=pd.Index(["a", "b"], name="gene"))
    assert render_table(frame, "markdown").split("\n")[2:] == ["| a | 1.000 | yes |", "| b | - | no |"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: render_table(fit(), "markdwn"),
            "there is no format 'markdwn'.\nThe formats are text, markdown, html, latex.\nNearest: 'markdown'.",
        ),
        (
            lambda: render_table(fit(), part="fixd"),
            "there is no part 'fixd'.\nThe parts are fixed, variances, diagnostics.\nNearest: 'fixed'.",
        ),
        (
            lambda: render_table(3),
            "there is no table of a int.\n"
            "Tables are made of a fit, its diagnostics, a DataFrame, and of all results that print tables: "
            "comparisons, recoveries, means, studies and others.\nHand over one of these.",
        ),
    ],
)
def test_what_has_no_table_is_refused(call, text):
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == text


def test_probabilities_that_no_draw_or_every_draw_has_are_bounds():
    fit = crossed_fit(draws=250)  # 4 x 250 draws of 'control[other]' around 0.2, a tenth of it wide
    sure = sf.hypothesis(fit, ["control[other] > 0", "control[other] < 0"])
    assert sure["post_prob"].to_list() == [1.0, 0.0]
    rows = [line.split() for line in sf.render_table(sure).splitlines() if "control" in line]
    assert [" ".join(row).count("> 1 - 1/1,000") for row in rows] == [1, 0]
    assert [" ".join(row).count("< 1/1,000") for row in rows] == [0, 1]
    text = repr(sf.pairs(sf.marginal_means(fit, "control")))
    assert "> 1 - 1/1,000" in text or "< 1/1,000" in text
    effects = sf.level_effects(fit, "gene")  # all draws of effects lie around 1
    assert (effects["lfsr"] == 0).all()
    assert sf.render_table(effects).count("< 1/1,000") >= len(effects)


def test_what_is_missing_is_a_dash_and_an_empty_table_has_its_header():
    frame = pd.DataFrame({"term": ["a", None], "estimate": [1.0, np.nan]})
    assert [line.split() for line in sf.render_table(frame).splitlines()][-1] == ["-", "-"]
    assert "estimate" in sf.render_table(frame.iloc[:0])


def test_a_table_names_its_interval():
    frame = sf.fixef(crossed_fit())
    assert sf.render_table(frame).splitlines()[-1] == "conf_low and conf_high bound the 89% equal-tailed interval."
    assert "conf_low and conf_high bound" not in sf.render_table(frame[["term", "estimate"]])


def test_parameters_of_the_family_and_their_formulas_have_tables():
    data = sleepstudy_data()
    fit = fake_fit(sf.Model(["Reaction ~ Days", "sigma ~ Days + (1 | Subject)"], data, family="t"), {"nu": 5.0})
    text = sf.render_table(fit)
    for piece in ("Family parameters", "nu", "sigma (log link), fixed effects", "sigma (log link), group effects"):
        assert piece in text


def test_a_frame_of_a_fit_without_draws_says_why_it_has_no_intervals():
    fit = sf.lmer("Reaction ~ Days + (1|Subject)", sleepstudy_data(), method="reml")
    why = "Standard deviations and correlations of a fit without draws have no conf_low and conf_high here;"
    text = render_table(sf.varcorr(fit))
    assert f"\n\n{why}\n" in text
    assert "bound the none" not in text
    text = render_table(sf.tidy(fit))
    assert "\n\nconf_low and conf_high bound the 95% t interval (Satterthwaite). Standard" in text
    assert max(map(len, text.split("\n\n")[-1].split("\n"))) <= WIDTH
    assert why.partition(" have")[0] not in render_table(sf.fixef(fit))


def test_numbers_of_a_column_share_their_decimals():
    frame = pd.DataFrame({
        "name": ["a", "b", ""], "sd": [11.2, 1.2333, np.nan], "ess_bulk": [3958.0, 12000.7, np.nan],
        "inside": [True, None, False], "p_value": [1e-61, 9.4e-9, 0.3],
    })  # fmt: skip
    rows = [line.split("|")[1:-1] for line in render_table(frame, "markdown").split("\n")[2:]]
    assert [[cell.strip().replace("\\", "") for cell in row] for row in rows] == [
        ["a", "11.200", "3,958", "yes", "< 2.2e-16"],
        ["b", "1.233", "12,000", "-", "9.40e-09"],
        ["-", "-", "-", "no", "0.3000"],
    ]


def test_a_frame_with_p_values_says_what_they_are():
    fit = sf.lmer("Reaction ~ Days + (1|Subject)", sleepstudy_data(), method="reml")
    for df, told in (
        ("satterthwaite", "df and p_value are by Satterthwaite's method."),
        ("asymptotic", "p_value is asymptotic, by the normal distribution."),
    ):
        for frame in (sf.fixef(fit, df=df), sf.hypothesis(fit, "Days > 0", df=df)):
            assert render_table(frame).replace("\n", " ").endswith(told)
    means = sf.marginal_means(fit, "Days", at={"Days": [0, 4, 9]})
    assert render_table(sf.pairs(means).table).replace("\n", " ").endswith("for a family of 3 estimates.")
    assert "asymptotic" not in render_table(sf.fixef(fit)[["term", "estimate"]])
