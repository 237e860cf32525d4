"""What a formula is said to mean."""

import bambi as bmb
import numpy as np
import pandas as pd
import pytest
from matplotlib.mathtext import MathTextParser

import speclet_formula as sf


def test_explain_gives_words_equation_and_spellings() -> None:
    explained = sf.explain("y ~ x + (x | g)")
    assert "each g has its own intercept and effect of x" in explained.words
    assert "yᵢ ~ Normal(μᵢ, σ)" in explained.equation
    assert list(explained.spellings) == ["lme4", "brms", "bambi"]
    assert explained.spellings["lme4"] == "y ~ 1 + x + (1 + x | g)"
    assert explained.model == ""


def test_with_data_the_model_is_described_too() -> None:
    table = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "<b>", "<b>"]})
    explained = sf.explain("y ~ (1 | g)", table)
    assert explained.model == repr(sf.Model("y ~ (1 | g)", table))
    assert explained.costs == repr(sf.costs(sf.Model("y ~ (1 | g)", table)))
    assert "<b>" not in explained._repr_html_()


def test_the_parts_stand_under_their_titles() -> None:
    data, _ = sf.datasets.m7()
    printed = repr(sf.explain("log_fc ~ (1 | gene/sgRNA)", data))
    titles = [line for line in printed.split("\n") if line and not line.startswith(" ")]
    assert titles == ["In words", "As an equation", "In these data", "What a fit costs", "Elsewhere"]
    assert "gene:sgRNA is nested in gene: each of its 55 levels lies within one level of gene" in printed
    alone = repr(sf.explain("log_fc ~ (1 | gene/sgRNA)")).split("\n")
    assert [line for line in alone if line and not line.startswith(" ")] == ["In words", "As an equation", "Elsewhere"]


def test_terms_are_explained_with_their_levels() -> None:
    table = pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 6], "f": list("abcabc"), "x": [1.0, 2, 3, 4, 5, 7]})
    words = sf.explain("y ~ f + x + f:x", table).words.split("\n")
    assert words[2:] == [
        "f: a factor of 3 levels: the difference of b, c from a, the first.",
        "x: its slope, the change by one unit; from 1 to 7 in these data.",
        "f:x: how the effect of f changes with x (an interaction).",
    ]
    assert sf.explain("y ~ 0 + f", table).words.endswith("f: a mean for each of its 3 levels: a, b, c.")
    assert sf.explain("log(x) ~ log(y)", table).words.split("\n")[2].startswith("log(y): its effect, a slope")


def test_code_is_that_of_the_family_and_the_weights() -> None:
    table = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"], "w": [1.0, 2.0, 1.0, 2.0]})
    explained = sf.explain("y ~ (1 | g)", table, weights="w")
    assert explained.code["lme4"].endswith("lmer(y ~ 1 + (1 | g), data = data, weights = w)")
    assert "bernoulli()" in sf.explain("y ~ (1 | g)", family="bernoulli").code["brms"]


SPELLED = [
    ("log_fc ~ 1 + (1 | gene)", {}, "lme4", "library(lme4)\nlmer(log_fc ~ 1 + (1 | gene), data = data)"),
    (
        ["log_fc ~ 1 + (1 | gene)", "sigma ~ control"], {}, "brms",
        "library(brms)\nbrm(bf(log_fc ~ 1 + (1 | gene), sigma ~ 1 + control), data = data, family = gaussian())",
    ),
    (
        "y ~ x", {"family": "poisson"}, "bambi",
        'import bambi as bmb\nbmb.Model("y ~ 1 + x", data, family="poisson").fit()',
    ),
    ("y ~ x", {"weights": "w"}, "lme4", "lm(y ~ 1 + x, data = data, weights = w)"),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "settings", "dialect", "code"), SPELLED)
def test_spelling_is_code_that_runs_there(formula, settings, dialect, code) -> None:
    assert sf.spelling(formula, dialect, **settings) == code


def test_the_data_say_which_columns_are_factors() -> None:
    table = pd.DataFrame(
        {"y": [1.0, 2, 4, 3, 5, 6], "f": list("abcabc"), "g": list("uuuvvv"), "x": [1.0, 2, 3, 4, 5, 7]}
    )
    code = sf.explain("y ~ (f || g)", table).code["lme4"].split("\n")
    assert code[1].endswith('in lme4 1.1: (1 | g) + (0 + dummy(f, "b") | g) + (0 + dummy(f, "c") | g)')
    assert code[2] == "lmer(y ~ 1 + diag(1 + f | g), data = data)"
    assert sf.spelling(sf.Model("y ~ (x || g)", table), "lme4").endswith("lmer(y ~ 1 + (1 + x || g), data = data)")


def test_a_parameter_is_spelled_by_its_name_there() -> None:
    explained = sf.explain(["y ~ x", "kappa ~ x"], family="beta")
    assert explained.spellings["brms"] == "bf(y ~ 1 + x, phi ~ 1 + x)"
    assert explained.spellings["bambi"] == 'bmb.Formula("y ~ 1 + x", "kappa ~ 1 + x")'


@pytest.mark.filterwarnings("ignore:For backward compatibility")  # of pandas, at what formulae does
@pytest.mark.filterwarnings("ignore:'Model.response_component' is deprecated")
def test_a_factor_as_response_is_spelled_by_its_second_level_for_bambi() -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"x": rng.normal(size=40)})
    table["y"] = np.where(table["x"] + rng.normal(size=40) > 0, "yes", "no")
    model = sf.Model("y ~ x", table, family="bernoulli")
    code = sf.spelling(model, "bambi")
    assert code == ('import bambi as bmb\nbmb.Model("y[\\"yes\\"] ~ 1 + x", data, family="bernoulli").fit()')
    built = eval(code.split("\n")[1].removesuffix(".fit()"), {"data": table, "bmb": bmb})
    np.testing.assert_array_equal(built.response_component.term.data, model.design.response)
    other = sf.spelling(sf.Model("`my y` ~ x", table.rename(columns={"y": "my y"}), family="bernoulli"), "bambi")
    assert other.split("\n")[1] == (
        "# not the same model: Bambi takes the first level, and 'yes' only of a column with a plain name"
    )
    assert sf.spelling("y ~ x", "bambi", family="bernoulli").split("\n")[1] == (
        "# of a factor Bambi models the first level, and not the second: write y['its second level'] then"
    )


def test_what_only_data_use_is_refused_without_them() -> None:
    with pytest.raises(sf.FormulaError) as caught:
        sf.explain("y ~ x", priors="brms", missing="drop")
    assert str(caught.value) == (
        "priors=, missing= would change nothing without data.\n"
        "Priors and missing values are told of where the data are given too.\n"
        "Give the table as the second argument, or leave it out."
    )


BUILT = [
    ("log(count/depth) ~ x", "gaussian"),
    ("`a/b` ~ I(x / depth) + (1 | g)", "gaussian"),
    ("count ~ pmax(x, depth, 2) + log(depth, 2)", "poisson"),
    (["count ~ x", "psi ~ x"], "zero_inflated_poisson"),
]


@pytest.mark.filterwarnings("ignore:For backward compatibility")  # of pandas, at what formulae does
@pytest.mark.parametrize(("formula", "family"), BUILT)
def test_bambi_builds_what_is_spelled_for_it(formula, family) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"count": rng.poisson(3, 30) + 1, "depth": rng.uniform(1, 2, 30), "x": rng.normal(size=30)})
    table["a/b"], table["g"] = table["count"] / table["depth"], np.tile(list("uvw"), 10)
    *before, call = sf.spelling(formula, "bambi", family=family).split("\n")
    names = {"data": table}
    exec("\n".join(before), names)
    model = eval(call.removesuffix(".fit()"), names)
    model.build()
    assert model.built


def test_a_model_brings_its_family_and_weights() -> None:
    table = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"], "w": [1.0, 2.0, 1.0, 2.0]})
    model = sf.Model("y ~ (1 | g)", table, weights="w")
    assert sf.spelling(model, "lme4") == "library(lme4)\nlmer(y ~ 1 + (1 | g), data = data, weights = w)"
    assert sf.equation(model) == sf.equation("y ~ (1 | g)")
    with pytest.raises(sf.FormulaError) as caught:
        sf.spelling(model, "lme4", link="log", weights="w")
    assert str(caught.value) == (
        "link=, weights= beside a Model would change nothing.\n"
        "A Model has its family, link, weights and functions.\n"
        "Leave them out, or give the formula's text."
    )


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("Reaction ~ Days + (Days | Subject)", "gaussian"),
        (["log_fc ~ control + (1 | gene/sgRNA)", "sigma ~ control"], "gaussian"),
        ("cbind(s, f) ~ x:z + (1 | g)", "binomial"),
        ("n ~ offset(log(total)) + (x || g)", "negativebinomial"),
    ],
)
def test_each_line_in_latex_is_one_that_a_mathematics_parser_reads(formula, family) -> None:
    lines = sf.equation(formula, family=family, latex=True).split("\n")
    assert (lines[0], lines[-1]) == (r"\begin{aligned}", r"\end{aligned}")
    for line in lines[1:-1]:
        MathTextParser("path").parse(f"${line.removesuffix(chr(92) * 2).replace('&', '')}$")
