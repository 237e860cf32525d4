"""Formulas as the equations of a hierarchical model."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.interpretation.equations import equation, explain_formula


@pytest.mark.parametrize(
    ("text", "family", "link", "lines"),
    [
        (
            "Reaction ~ Days + (Days | Subject)",
            "gaussian",
            "identity",
            [
                "Reactionᵢ ~ Normal(μᵢ, σ)",
                "μᵢ = β₀ + β₁·Daysᵢ + u₀[Subjectᵢ] + u₁[Subjectᵢ]·Daysᵢ",
                "(u₀[Subject], u₁[Subject]) ~ "
                "Normal(0, diag(τ₀[Subject], τ₁[Subject]) R diag(τ₀[Subject], τ₁[Subject]))",
            ],
        ),
        (
            "cbind(s, f) ~ 0 + a:b + (1 | g:h) + offset(n)",
            "binomial",
            "logit",
            [
                "sᵢ ~ Binomial((s + f)ᵢ, pᵢ)",
                "logit(pᵢ) = β₁·aᵢ·bᵢ + u₀[gᵢ:hᵢ] + nᵢ",
                "u₀[g:h] ~ Normal(0, τ₀[g:h])",
            ],
        ),
        (
            "y - z ~ (1 | g) + (0 + x | g) + (x || h); sigma ~ x + (1 | g)",
            "t",
            "inverse",
            [
                "(y - z)ᵢ ~ StudentT(ν, μᵢ, σᵢ)",
                "1/μᵢ = β₀ + u₀[gᵢ] + u₁[gᵢ]·xᵢ + u₀[hᵢ] + u₁[hᵢ]·xᵢ",
                "u₀[g] ~ Normal(0, τ₀[g])",
                "u₁[g] ~ Normal(0, τ₁[g])",
                "u₀[h] ~ Normal(0, τ₀[h])",
                "u₁[h] ~ Normal(0, τ₁[h])",
                "log(σᵢ) = γ₀ + γ₁·xᵢ + v₀[gᵢ]",
                "v₀[g] ~ Normal(0, ω₀[g])",
            ],
        ),
        (
            "y ~ cs(x | g) + ar1(0 + t | h)",
            "gaussian",
            "identity",
            [
                "yᵢ ~ Normal(μᵢ, σ)",
                "μᵢ = β₀ + u₀[gᵢ] + u₁[gᵢ]·xᵢ + u₀[hᵢ]·tᵢ",
                "(u₀[g], u₁[g]) ~ Normal(0, diag(τ₀[g], τ₁[g]) R diag(τ₀[g], τ₁[g]))",
                "R[j, k] = ρ, j ≠ k",
                "(u₀[h]) ~ Normal(0, τ₀[h]² R)",
                "R[j, k] = ρ^|j - k|",
            ],
        ),
        (
            "y ~ diag(x | g, hom = TRUE)",
            "gaussian",
            "identity",
            ["yᵢ ~ Normal(μᵢ, σ)", "μᵢ = β₀ + u₀[gᵢ] + u₁[gᵢ]·xᵢ", "(u₀[g], u₁[g]) ~ Normal(0, τ₀[g]² I)"],
        ),
        ("s ~ x", "binomial", "probit", ["sᵢ ~ Binomial(nᵢ, pᵢ)", "probit(pᵢ) = β₀ + β₁·xᵢ"]),
        ("y ~ 0", "poisson", "log", ["yᵢ ~ Poisson(μᵢ)", "log(μᵢ) = 0"]),
        ("y ~ 1", "negativebinomial", "log", ["yᵢ ~ NegativeBinomial(μᵢ, α)", "log(μᵢ) = β₀"]),
    ],
)
def test_equations(text, family, link, lines):
    assert equation(parse_formula(text), family=family, link=link).split("\n") == lines


def test_equation_in_latex():
    formula = parse_formula("log_fc ~ x + (1 + x | `a%b`:g)")
    diagonal = r"\mathrm{diag}(\tau_{0,\text{`a\%b`:g}}, \tau_{1,\text{`a\%b`:g}})"
    assert equation(formula, latex=True).split("\n") == [
        r"\begin{aligned}",
        r"\text{log\_fc}_i &\sim \mathrm{Normal}(\mu_i, \sigma) \\",
        r"\mu_i &= \beta_{0} + \beta_{1} \cdot \text{x}_i + u_{0,\text{`a\%b`}[i]:\text{g}[i]}"
        r" + u_{1,\text{`a\%b`}[i]:\text{g}[i]} \cdot \text{x}_i \\",
        r"(u_{0,\text{`a\%b`:g}}, u_{1,\text{`a\%b`:g}}) &\sim \mathrm{Normal}(0, " + f"{diagonal} R {diagonal})",
        r"\end{aligned}",
    ]


def test_equation_of_a_parameters_formula_alone():
    formula = parse_formula("y ~ 1; sigma ~ x").parameters[0][1]
    assert equation(formula).split("\n")[0] == "yᵢ ~ Normal(μᵢ, σ)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "gausian"}, "'gausian' is not a family."),
        ({"link": "cauchit"}, "'cauchit' is not a link."),
    ],
)
def test_equation_of_an_unknown_family_or_link(arguments, message):
    with pytest.raises(FormulaError) as error:
        equation(parse_formula("y ~ x"), **arguments)
    assert error.value.problem == message


def test_a_share_of_zeros_has_a_logit():
    formula = parse_formula("n ~ x; alpha ~ x; psi ~ x")
    lines = equation(formula, family="zero_inflated_negativebinomial", link="log").split("\n")
    assert lines[1:] == ["log(μᵢ) = β₀ + β₁·xᵢ", "log(αᵢ) = γ₀ + γ₁·xᵢ", "logit(ψᵢ) = δ₀ + δ₁·xᵢ"]


def test_rows_of_several_levels_have_weighted_sums():
    formula = parse_formula("y ~ (1 | mm(a, b)) + (x | mm(c, d, weights = cbind(u, v)))")
    assert equation(formula).split("\n")[1:] == [
        "μᵢ = β₀ + 1/2·u₀[aᵢ] + 1/2·u₀[bᵢ] + uᵢ/(uᵢ + vᵢ)·u₀[cᵢ] + uᵢ/(uᵢ + vᵢ)·u₁[cᵢ]·xᵢ + vᵢ/(uᵢ + vᵢ)·u₀[dᵢ]"
        " + vᵢ/(uᵢ + vᵢ)·u₁[dᵢ]·xᵢ",
        "u₀[mm(a, b)] ~ Normal(0, τ₀[mm(a, b)])",
        "(u₀[mm(c, d)], u₁[mm(c, d)]) ~ Normal(0, diag(τ₀[mm(c, d)], τ₁[mm(c, d)]) R diag(τ₀[mm(c, d)], τ₁[mm(c, d)]))",
    ]
    plain = parse_formula("y ~ (1 | mm(a, b, weights = cbind(u, v), scale = FALSE))")
    assert equation(plain).split("\n")[1] == "μᵢ = β₀ + uᵢ·u₀[aᵢ] + vᵢ·u₀[bᵢ]"


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("mm(a, b)", "A row has the mean of its 2 levels' effects."),
        (
            "mm(a, b, weights = cbind(u, v))",
            "A row has the sum of its 2 levels' effects, weighted by u and v, divided by their sum in the row.",
        ),
        (
            "mm(a, b, weights = cbind(u, v), scale = FALSE)",
            "A row has the sum of its 2 levels' effects, weighted by u and v.",
        ),
    ],
)
def test_words_say_how_much_of_each_level_a_row_has(group, words):
    text = " ".join(str(explain_formula(parse_formula(f"y ~ (1 | {group})"))).split())
    assert (
        "each level of a and b together has its own intercept, drawn from a normal distribution whose SD is estimated. "
        + words
    ) in text
