"""Formulas in plain words."""

import pytest

from speclet_formula.formula.parse import parse_formula
from speclet_formula.interpretation.equations import explain_formula

DRAWN = "drawn from a normal distribution"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "log_fc ~ control + (1 | gene/sgRNA) + (1 | cell_line)",
            [
                "log_fc: the response.",
                "1: an intercept, shared by all rows.",
                "control: its effect, a slope for a number, a difference from the first level for each other level of "
                "a factor.",
                f"(1 | gene): each gene has its own intercept, {DRAWN} whose SD is estimated.",
                "(1 | gene:sgRNA): each combination of gene and sgRNA has its own intercept, "
                f"{DRAWN} whose SD is estimated.",
                f"(1 | cell_line): each cell_line has its own intercept, {DRAWN} whose SD is estimated.",
                "gene:sgRNA is nested in gene: each level lies within one of gene.",
                "gene and cell_line may be crossed or nested: that is for the data to say.",
                "gene:sgRNA and cell_line may be crossed or nested: that is for the data to say.",
            ],
        ),
        (
            "cbind(s, f) ~ 0 + a:b:c + poly(x, 2) + offset(log(n)) + (x + z | g) + (x || h)",
            [
                "cbind(s, f): the response, s successes out of s + f trials.",
                "0: no intercept.",
                "poly(x, 2): a curve, with one coefficient for each of its columns.",
                "a:b:c: how the effect of a changes with b and c (an interaction).",
                "offset(log(n)): added as it is, with a coefficient of 1.",
                f"(1 + x + z | g): each g has its own intercept and effects of x and z, {DRAWN} whose SDs and "
                "correlations are estimated.",
                f"(1 + x || h): each h has its own intercept and effect of x, {DRAWN} whose SDs are estimated and "
                "which has no correlations.",
                "g and h may be crossed or nested: that is for the data to say.",
            ],
        ),
        (
            "y ~ C(f, sum) + C(f, sdif):x",
            [
                "y: the response.",
                "1: an intercept, shared by all rows.",
                "C(f, sum): a factor, each level but the last compared with the mean of all levels.",
                "C(f, sdif):x: how the effect of C(f, sdif) changes with x (an interaction).",
            ],
        ),
        (
            "a - b ~ 1; sigma ~ 0 + (0 + x | g)",
            [
                "a - b: the response, computed from the data.",
                "1: an intercept, shared by all rows.",
                "sigma: this parameter is not one number, but has a formula of its own:",
                "  0: no intercept.",
                f"  (0 + x | g): each g has its own effect of x, {DRAWN} whose SD is estimated.",
            ],
        ),
    ],
)
def test_explanations(text, lines):
    assert explain_formula(parse_formula(text)).split("\n") == lines


def test_explanation_of_a_parameters_formula_alone():
    formula = parse_formula("y ~ 1; sigma ~ 1").parameters[0][1]
    assert explain_formula(formula).split("\n")[0] == "No response: the formula of a parameter."
