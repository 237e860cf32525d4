"""Code for other packages: its exact text."""

import pytest

from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.spelling import spell_call

CASES = {
    ("y ~ x + (x | g)", "gaussian", "identity", "lme4"): "library(lme4)\nlmer(y ~ 1 + x + (1 + x | g), data = data)",
    ("y ~ x", "gaussian", "identity", "lme4"): "lm(y ~ 1 + x, data = data)",
    ("y ~ x", "gaussian", "log", "lme4"): 'glm(y ~ 1 + x, data = data, family = gaussian(link = "log"))',
    ("y ~ (1 | g)", "bernoulli", "probit", "lme4"): "library(lme4)\n"
    'glmer(y ~ 1 + (1 | g), data = data, family = binomial(link = "probit"))',
    ("n ~ (1 | g)", "negativebinomial", "log", "lme4"): "library(lme4)\nglmer.nb(n ~ 1 + (1 | g), data = data)",
    ("n ~ x", "negativebinomial", "identity", "lme4"): "library(MASS)\nglm.nb(n ~ 1 + x, data = data, link = identity)",
    ("y ~ (1 | g)", "t", "identity", "lme4"): "library(lme4)\n# lme4 has no t family: this is the gaussian model\n"
    "lmer(y ~ 1 + (1 | g), data = data)",
    ("y ~ (1 | g); sigma ~ x", "gaussian", "identity", "lme4"): "library(lme4)\n"
    "# lme4 has no formula for a parameter: sigma ~ 1 + x\nlmer(y ~ 1 + (1 | g), data = data)",
    ("cbind(s, f) ~ (1 | g)", "binomial", "logit", "brms"): "library(brms)\n"
    "brm(s | trials(s + f) ~ 1 + (1 | g), data = data, family = binomial())",
    (
        "y ~ (1 | g)",
        "t",
        "log",
        "brms",
    ): 'library(brms)\nbrm(y ~ 1 + (1 | g), data = data, family = student(link = "log"))',
    ("y ~ log(x) + (x | g)", "gaussian", "identity", "bambi"): "import bambi as bmb\nimport numpy as np\n"
    "# Bambi has no correlated group effects: this leaves the correlation out; sf.to_bambi(model) keeps it\n"
    'bmb.Model("y ~ 1 + np.log(x) + (1 + x | g)", data).fit()',
    ("y ~ (1 | g)", "bernoulli", "probit", "bambi"): "import bambi as bmb\n"
    'bmb.Model("y ~ 1 + (1 | g)", data, family="bernoulli", link="probit").fit()',
}


@pytest.mark.parametrize(("case", "code"), CASES.items())
def test_code_has_its_exact_text(case, code):
    text, family, link, dialect = case
    assert spell_call(parse_formula(text), dialect, family=family, link=link) == code


def test_weights_are_written_where_they_mean_the_same():
    formula = parse_formula("y ~ (1 | g)")
    written = {
        dialect: spell_call(formula, dialect, family="gaussian", link="identity", weights="w").split("\n")
        for dialect in ("lme4", "brms", "bambi")
    }
    assert written["lme4"][-1] == "lmer(y ~ 1 + (1 | g), data = data, weights = w)"
    assert written["brms"][1:] == [
        "# b_s_Intercept is sigma, with brms' own prior of it; a row's SD is sigma / sqrt(w)",
        'of_sigma <- subset(get_prior(y ~ 1 + (1 | g), data = data, family = gaussian()), class == "sigma")$prior',
        "brm(bf(y ~ 1 + (1 | g), nlf(sigma ~ log(s) - 0.5 * log(w)), s ~ 1), data = data, family = gaussian(),",
        '    prior = set_prior(of_sigma, nlpar = "s", lb = 0))',
    ]
    assert written["bambi"][1] == "# Bambi's own families have no weights that divide the variance: w is left out"


def test_weights_of_brms_do_not_take_a_columns_name():
    code = spell_call(parse_formula("y ~ s; nu ~ x"), "brms", family="t", link="identity", weights="sd0").split("\n")
    assert code[3] == (
        "brm(bf(y ~ 1 + s, nu ~ 1 + x, nlf(sigma ~ log(sd1) - 0.5 * log(sd0)), sd1 ~ 1), data = data, "
        "family = student(),"
    )


def test_weights_of_a_sigma_with_a_formula_are_its_offset():
    code = spell_call(parse_formula("y ~ x; sigma ~ z"), "brms", family="gaussian", link="identity", weights="my w")
    assert code.split("\n")[1] == (
        "brm(bf(y ~ 1 + x, sigma ~ 1 + z + offset(-0.5 * log(`my w`))), data = data, family = gaussian())"
    )
