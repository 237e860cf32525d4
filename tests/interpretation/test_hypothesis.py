"""Hypotheses about parameters, against numpy on the same draws; every refusal's text."""

import doctest
from dataclasses import replace
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

import speclet_formula as sf
from speclet_formula.errors import EstimateError, FormulaError
from speclet_formula.model import Model
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data
from tests.lmertest import fit_of

hypotheses = import_module("speclet_formula.interpretation.hypothesis")  # the package has the verb of that name

FIT = crossed_fit()
PARAMETERS = (
    "Parameters: Intercept, control[other], 1|gene_sigma, 1|cell_line_sigma, sigma, 1|gene[TP53], 1|cell_line[A375]."
)


def flat(name, level=None, fit=FIT):
    values = fit.idata["posterior"][name].stack(sample=("chain", "draw")).values
    return values[level or 0] if values.ndim > 1 else values


CASES = {
    "control[other] > 0.2": lambda: flat("control") - 0.2,
    "  1|gene_sigma<sigma ": lambda: flat("1|gene_sigma") - flat("sigma"),
    "1|gene[KRAS] + 1|cell_line[RVH421] > 2": lambda: flat("1|gene", 1) + flat("1|cell_line", 3) - 2,
    "1|gene[<script>alert(1)</script>] > 1|gene[TP53]": lambda: flat("1|gene", 5) - flat("1|gene", 0),
    "-(Intercept + .5) / 2 >= 2.5e-1 * +1": lambda: -(flat("Intercept") + 0.5) / 2 - 0.25,
    "Intercept - sigma - sigma < -2": lambda: flat("Intercept") - 2 * flat("sigma") + 2,
    "Intercept / sigma / 2 * 3 <= -3 - -0": lambda: flat("Intercept") / flat("sigma") * 1.5 + 3,
}


@pytest.mark.parametrize("text", CASES)
def test_sides_are_computed_draw_by_draw(text):
    frame, draws = sf.hypothesis(FIT, text, rope=(-0.1, 0.1)), CASES[text]()
    holds = np.mean(draws < 0 if "<" in text.replace("<script", "").replace("</script", "") else draws > 0)
    expected = [draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.055, 0.945]), holds, holds / (1 - holds)]
    np.testing.assert_allclose(frame.iloc[0, 1:7].astype(float), expected, rtol=1e-9, atol=1e-12)
    assert frame["p_rope"].item() == np.mean(np.abs(draws) <= 0.1)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["sigma", "Intercept", "2", "0.5"]), min_size=2, max_size=6), st.data())
def test_arithmetic_is_pythons(names, data):
    """Random expressions without names' traps, read by Python itself."""
    signs = data.draw(st.lists(st.sampled_from("+-*/"), min_size=len(names) - 1, max_size=len(names) - 1))
    text = names[0] + "".join(f" {sign} {name}" for sign, name in zip(signs, names[1:], strict=True))
    values = {name: flat(name) for name in ("sigma", "Intercept")}
    expected = np.mean(eval(text, values) * np.ones(1000))
    assert sf.hypothesis(FIT, f"({text}) > 0")["estimate"].item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_several_hypotheses_keep_their_names():
    frame = sf.hypothesis(FIT, {"class": "control[other] > 0", "guides": "sigma > 0"})
    assert frame["hypothesis"].to_list() == ["class", "guides"]
    assert frame["evidence_ratio"].to_list() == [np.inf, np.inf]
    assert frame.columns.to_list() == list(hypotheses.HYPOTHESES)
    listed = sf.hypothesis(FIT, ["control[other] > 0", "sigma > 0"])
    assert listed["hypothesis"].to_list() == ["control[other] > 0", "sigma > 0"]
    assert frame.attrs == {"interval": "89% equal-tailed interval", "point_estimate": "mean", "draws": 1000}


SUMS = {
    "1|gene[TP53] - 1|gene[KRAS] < 0": "2 * 1|gene[TP53] < 2 * 1|gene[KRAS]",
    "-(Intercept + control[other]) / 4 > -1": "3 * (Intercept + control[other]) < 12",
    "control[other] > 0": "control[other] * (1 + 1) / 2 - 0 * Intercept > 0",
    "0.5 < Intercept - -1": "Intercept > -0.5",
}


@pytest.fixture(scope="module")
def exact():
    data = screen_data()
    data["log_fc"] -= 2 * (data["control"] == "other") + 1.5 * (data["gene"] == "TP53")
    return sf.lmer("log_fc ~ control + (1 | gene)", data, random_seed=1, draws=200, chains=2)


@pytest.mark.parametrize(("text", "same"), SUMS.items())
def test_sums_of_coefficients_are_normal_given_the_variances(exact, text, same):
    """However a sum is written; and near what is counted: 400 draws, five standard errors of a half."""
    frame = sf.hypothesis(exact, [text, same], rope=(-1, 1))
    for name in ("post_prob", "evidence_ratio"):
        first, second = frame[name]
        assert first == pytest.approx(second, rel=1e-9)
    counted = sf.hypothesis(replace(exact, method="nuts"), text, rope=(-1, 1)).iloc[0]
    for name in ("post_prob", "p_rope"):
        assert frame[name].iloc[0] == pytest.approx(counted[name], abs=5 * 0.5 / np.sqrt(400))


def test_contrasts_have_the_same_probabilities(exact):
    """Of a model with other columns beside, and of one without group terms; counted ones are near."""
    table = sf.pairs(sf.marginal_means(exact, "control")).table
    row = sf.hypothesis(exact, "control[other] > 0").iloc[0]
    assert table["p_negative"].item() == pytest.approx(row["post_prob"], rel=1e-9)
    counted = sf.pairs(sf.marginal_means(replace(exact, method="nuts"), "control")).table
    assert table["p_negative"].item() == pytest.approx(counted["p_negative"].item(), abs=5 * 0.5 / np.sqrt(400))
    assert 0 < table["p_negative"].item() < 1e-6 or 0 < row["evidence_ratio"] < 1e-6


def test_a_sure_sum_has_a_ratio(exact):
    row = sf.hypothesis(exact, "control[other] < 0").iloc[0]
    assert 1e6 < row["evidence_ratio"] < np.inf


@pytest.mark.parametrize("text", ["Intercept * control[other] < 0", "Intercept / sigma < 0", "sigma < 5", "1 < 2"])
def test_all_else_is_counted(exact, text):
    found, counted = (sf.hypothesis(fit, text) for fit in (exact, replace(exact, method="nuts")))
    assert found.equals(counted)


def test_equality_is_judged_by_the_rope_alone():
    frame = sf.hypothesis(FIT, "Intercept = -1", rope=(-0.05, 0.1))
    assert frame[["post_prob", "evidence_ratio"]].isna().all(axis=None)
    draws = flat("Intercept") + 1
    assert frame["p_rope"].item() == np.mean((draws >= -0.05) & (draws <= 0.1))


def test_names_with_calls_and_slopes():
    fit = fake_fit(Model("Reaction ~ poly(Days, 2) + (1 + Days | Subject)", correlated_fit().model.data))
    found = sf.hypothesis(fit, "poly(Days, 2)[1] + Days|Subject[309] > 0")["estimate"].item()
    by_hand = flat("poly(Days, 2)", 1, fit) + flat("Days|Subject", 1, fit)
    assert found == pytest.approx(by_hand.mean(), rel=1e-12)


def test_parameters_of_sigma_and_of_the_family():
    fit = fake_fit(Model(["log_fc ~ 1", "sigma ~ control + (1 | gene)"], screen_data()))
    text = "sigma_control[other] + sigma_1|gene[MYC] - sigma_1|gene_sigma > 0"
    by_hand = flat("sigma_control", 0, fit) + flat("sigma_1|gene", 3, fit) - flat("sigma_1|gene_sigma", 0, fit)
    assert sf.hypothesis(fit, text)["estimate"].item() == pytest.approx(by_hand.mean(), rel=1e-9)
    robust = fake_fit(Model("log_fc ~ 1", screen_data(), family="t"))
    assert sf.hypothesis(robust, "nu > 0")["post_prob"].item() == 1


ALLOWED = "A hypothesis compares two expressions of parameters and numbers, with + - * / and parentheses.\n"
EXAMPLE = "Write for example 'x - 0.5 < 0' or '(x + z) / 2 > sigma'."
MESSAGES = {
    "control[othr] > 0": f"^\n'control[othr]' is no parameter of the model.\n{PARAMETERS}\nNearest: 'control[other]'.",
    "0 < 1|gene": f"    ^\n'1|gene' is no parameter of the model.\n{PARAMETERS}\nName a level: '1|gene[TP53]'.",
    "1|gene[TP5] < 0": "       ^\n'1|gene' has no level 'TP5'.\nLevels: TP53, KRAS, BRAF, MYC, SOX10, "
    "<script>alert(1)</script>.\nNearest: '1|gene[TP53]'.",
    "Intercept > 0 > 1": "              ^\n'Intercept > 0 > 1' has 2 comparisons.\n"
    "A hypothesis has one of <, > and =.\nGive each as a hypothesis of its own.",
    "Intercept >": f"           ^\nsomething is missing here.\n{ALLOWED}{EXAMPLE}",
    "(Intercept > 0": f"           ^\nsomething is missing here.\n{ALLOWED}{EXAMPLE}",
    "Intercept 2 > 0": f"          ^\n'2' does not belong here.\n{ALLOWED}{EXAMPLE}",
    "__import__('os') > 0": f"^\n'__import__('os')' is no parameter of the model.\n{PARAMETERS}\nName one of these.",
    "2sigma > 0": f"^\n'2sigma' is no parameter of the model.\n{PARAMETERS}\nNearest: 'sigma'.",
}


@pytest.mark.parametrize("text", MESSAGES)
def test_unreadable(text):
    with pytest.raises(FormulaError) as error:
        sf.hypothesis(FIT, text)
    assert str(error.value) == f"{text}\n{MESSAGES[text]}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(" * 101 + "sigma" + ")" * 101 + " > 0", "the hypothesis is nested more than 100 deep here."),
        ("-" * 3000 + "sigma > 0", "the hypothesis is nested more than 100 deep here."),
        ("(" * 9000 + "sigma" + ")" * 9000 + " > 0", "the hypothesis has 18,009 characters."),
        ("sigma > 1e999", "'1e999' is no parameter of the model."),
    ],
)
def test_a_long_or_deep_hypothesis_is_refused(text, problem):
    with pytest.raises(sf.FormulaError) as error:
        sf.hypothesis(FIT, text)
    assert error.value.problem == problem


def test_what_nests_less_is_read():
    deep = sf.hypothesis(FIT, "(" * 99 + "sigma" + ")" * 99 + " > 0")
    assert deep["estimate"].item() == pytest.approx(flat("sigma").mean())


def test_nothing_compared():
    with pytest.raises(FormulaError) as error:
        sf.hypothesis(FIT, "Intercept")
    assert str(error.value) == (
        "'Intercept' compares nothing.\nA hypothesis has one of <, > and =.\nWrite 'Intercept > 0'."
    )


SETTINGS = {
    "equal": (
        {"hypotheses": "sigma = 0"},
        "'sigma = 0' has no probability: under a continuous posterior no two numbers are equal.\n"
        "A hypothesis with = is judged by the share of draws within a region of practical equivalence.\n"
        "Give the region: rope=(-0.1, 0.1), or write < or >.",
    ),
    "rope": (
        {"hypotheses": "sigma > 0", "rope": (1, 0)},
        "rope=(1, 0) is no region.\n"
        "It is two numbers, the lower first, in units of the difference between both sides.\n"
        "Write for example rope=(-0.1, 0.1).",
    ),
    "number": (
        {"hypotheses": [3]},
        "3 is no hypothesis.\nA hypothesis is text: two expressions of parameters with <, > or = between them.\n"
        "Write for example hypothesis(fit, 'Intercept > 0').",
    ),
    "none": (
        {"hypotheses": []},
        "no hypothesis is given.\nA hypothesis is text: two expressions of parameters with <, > or = between them.\n"
        "Write for example hypothesis(fit, 'Intercept > 0').",
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_messages(case):
    arguments, text = SETTINGS[case]
    with pytest.raises(EstimateError) as error:
        sf.hypothesis(FIT, **arguments)
    assert str(error.value) == text


def test_examples():
    assert doctest.testmod(hypotheses, extraglobs={"fit": correlated_fit()}).failed == 0


# --- of fits without draws --------------------------------------------------------------------------------------------


def test_hypotheses_about_a_fit_by_reml_are_tested():
    fit = fit_of("machines, unbalanced")
    fixed = sf.fixef(fit).set_index("term")
    found = sf.hypothesis(fit, {"up": "Machine[B] > 0", "down": "Machine[B] < 0", "none": "Machine[B] = 0"})
    columns = ["hypothesis", "estimate", "std_error", "conf_low", "conf_high", "df", "statistic", "p_value"]
    assert found.columns.to_list() == columns
    two_sided = fixed.loc["Machine[B]", "p_value"]
    np.testing.assert_allclose(found["p_value"], [two_sided / 2, 1 - two_sided / 2, two_sided], rtol=1e-9)
    for column in ("estimate", "std_error", "conf_low", "conf_high", "df", "statistic"):
        np.testing.assert_allclose(found[column], fixed.loc["Machine[B]", column], rtol=1e-9)
    assert found.attrs["tests"] == sf.fixef(fit).attrs["tests"]
    assert found.attrs["interval"] == "95% t interval (Satterthwaite)"


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "asymptotic"])
def test_sums_and_numbers_are_those_of_contrasts(df):
    fit = fit_of("machines, unbalanced")
    found = sf.hypothesis(fit, "2 * (Machine[C] - Machine[B]) = 4", df=df).iloc[0]
    pair = sf.pairs(sf.marginal_means(fit, "Machine", df=df), adjust="none").table.set_index("contrast").loc["B - C"]
    assert found["estimate"] == pytest.approx(-2 * pair["estimate"] - 4)
    assert (found["std_error"], found["df"]) == pytest.approx((2 * pair["std_error"], pair["df"]))
    assert found["statistic"] == pytest.approx(found["estimate"] / found["std_error"])


def test_what_is_no_sum_of_fixed_effects_needs_draws():
    fit = fit_of("machines")
    for text in ("sigma > 1", "1|Worker[1] > 0", "Machine[B] * Machine[C] > 0", "1|Worker_sigma > 1"):
        with pytest.raises(EstimateError, match="is no sum of fixed effects, and the fit has no draws"):
            sf.hypothesis(fit, text)
    with pytest.raises(EstimateError, match="is given, and the fit has no draws"):
        sf.hypothesis(fit, "Machine[B] = 0", rope=(-1, 1))


def test_laplace_has_z_values():
    counts = pd.DataFrame({"k": [0, 1, 3, 2, 5, 4, 1, 0, 2, 6, 3, 1], "g": list("abcd") * 3, "x": range(12)})
    fit = sf.glmer("k ~ x + (1 | g)", counts, family="poisson", method="laplace")
    found, fixed = sf.hypothesis(fit, "x = 0"), sf.fixef(fit)
    assert "df" not in found
    assert found["p_value"].item() == pytest.approx(fixed["p_value"].iloc[1])
    assert "z value" in found.attrs["tests"]
