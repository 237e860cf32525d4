"""Code for other packages: its exact text."""

import pytest

from speclet_formula.formula.parse import parse_formula
from speclet_formula.interpretation.spelling import spell_call

CASES = {
    ("y ~ x + (x | g)", "gaussian", "identity", "lme4"): "library(lme4)\nlmer(y ~ 1 + x + (1 + x | g), data = data)",
    ("y ~ cs(f | g)", "gaussian", "identity", "lme4"): "library(lme4)\n"
    "# cs(1 + f | g) needs lme4 2.0; glmmTMB has it as cs(1 + f | g)\n"
    "lmer(y ~ 1 + cs(1 + f | g), data = data)",
    ("y ~ ar1(0 + f | g, hom = FALSE)", "gaussian", "identity", "lme4"): "library(lme4)\n"
    "# ar1(0 + f | g, hom = FALSE) needs lme4 2.0; glmmTMB has it as hetar1(0 + f | g)\n"
    "lmer(y ~ 1 + ar1(0 + f | g, hom = FALSE), data = data)",
    ("y ~ diag(f | g, hom = TRUE)", "t", "identity", "lme4"): "library(glmmTMB)\n"
    "# homdiag() needs a recent glmmTMB: version 1.1.5 lacks it\n"
    "glmmTMB(y ~ 1 + homdiag(1 + f | g), data = data, family = t_family())",
    ("y ~ x; sigma ~ ar1(0 + f | g)", "gaussian", "identity", "lme4"): "library(glmmTMB)\n"
    "# group terms in dispformula need glmmTMB 1.1.9 or a newer one\n"
    "glmmTMB(y ~ 1 + x, data = data, dispformula = ~ 1 + ar1(0 + f | g))",
    ("y ~ cs(0 + f | g, hom = TRUE)", "gaussian", "identity", "brms"): "library(brms)\n"
    "# brms has no cs(0 + f | g, hom = TRUE): this is another model, without its structure\n"
    "brm(y ~ 1 + (0 + f | g), data = data, family = gaussian())",
    ("y ~ ar1(0 + f | g)", "gaussian", "identity", "bambi"): "import bambi as bmb\n"
    "# Bambi has no ar1(0 + f | g): this is another model, without its structure; sf.to_bambi(model) keeps it\n"
    'bmb.Model("y ~ 1 + (0 + f | g)", data).fit()',
    ("y ~ x + (1 | mm(a, b)) + (1 | a:b)", "gaussian", "identity", "lme4"): (
        "# lme4 has no mm(): this is another model, without (1 | mm(a, b))\n"
        "# brms has it, and lme4 where its matrix Zt is replaced by hand, between the steps of help(modular)\n"
        "library(lme4)\nlmer(y ~ 1 + x + (1 | a:b), data = data)"
    ),
    ("y ~ (x | mm(a, b, weights = cbind(u, v)))", "poisson", "log", "brms"): (
        "library(brms)\nbrm(y ~ 1 + (1 + x | mm(a, b, weights = cbind(u, v))), data = data, family = poisson())"
    ),
    ("y ~ (1 | mm(a, b))", "gaussian", "identity", "bambi"): (
        "# Bambi has no mm(): this is another model, without (1 | mm(a, b))\n"
        'import bambi as bmb\nbmb.Model("y ~ 1", data).fit()'
    ),
    ("y ~ x", "gaussian", "identity", "lme4"): "lm(y ~ 1 + x, data = data)",
    ("y ~ x", "gaussian", "log", "lme4"): 'glm(y ~ 1 + x, data = data, family = gaussian(link = "log"))',
    ("y ~ (1 | g)", "bernoulli", "probit", "lme4"): "library(lme4)\n"
    'glmer(y ~ 1 + (1 | g), data = data, family = binomial(link = "probit"))',
    ("n ~ (1 | g)", "negativebinomial", "log", "lme4"): "library(lme4)\nglmer.nb(n ~ 1 + (1 | g), data = data)",
    ("n ~ x", "negativebinomial", "identity", "lme4"): "library(MASS)\nglm.nb(n ~ 1 + x, data = data, link = identity)",
    ("y ~ (1 | g)", "t", "identity", "lme4"): "library(glmmTMB)\n"
    "glmmTMB(y ~ 1 + (1 | g), data = data, family = t_family())",
    ("n ~ (1 | g)", "negativebinomial", "identity", "lme4"): "library(glmmTMB)\n"
    'glmmTMB(n ~ 1 + (1 | g), data = data, family = nbinom2(link = "identity"))',
    ("y ~ (1 | g)", "lognormal", "identity", "lme4"): "# a lognormal response is the gaussian model of its logarithm\n"
    "library(lme4)\nlmer(log(y) ~ 1 + (1 | g), data = data)",
    (
        "y ~ (1 | g)",
        "bernoulli",
        "identity",
        "lme4",
    ): "# neither lme4 nor glmmTMB has the link identity for this family",
    ("y ~ (1 | g); sigma ~ x", "gaussian", "identity", "lme4"): "library(glmmTMB)\n"
    "glmmTMB(y ~ 1 + (1 | g), data = data, dispformula = ~ 1 + x)",
    ("y ~ (1 | g); kappa ~ x + (1 | g)", "beta", "logit", "lme4"): "library(glmmTMB)\n"
    "# group terms in dispformula need glmmTMB 1.1.9 or a newer one\n"
    "glmmTMB(y ~ 1 + (1 | g), data = data, family = beta_family(), dispformula = ~ 1 + x + (1 | g))",
    ("y ~ (1 | g); lam ~ x", "wald", "log", "lme4"): "library(lme4)\n"
    "# lme4 has no formula for a parameter: lam ~ 1 + x\n"
    'glmer(y ~ 1 + (1 | g), data = data, family = inverse.gaussian(link = "log"))',
    ("y ~ x", "hurdle_gamma", "log", "lme4"): "library(glmmTMB)\n"
    'glmmTMB(y ~ 1 + x, data = data, family = ziGamma(link = "log"), ziformula = ~1)',
    ("y ~ x; psi ~ z + offset(w)", "hurdle_gamma", "inverse", "lme4"): "library(glmmTMB)\n"
    "# ziformula is of 1 - psi: its coefficients have the opposite sign\n"
    "glmmTMB(y ~ 1 + x, data = data, family = ziGamma(), ziformula = ~ 1 + z + offset(-w))",
    ("truncated(n, 1) ~ x", "zero_inflated_poisson", "log", "lme4"): "library(glmmTMB)\n"
    "# glmmTMB has no truncated responses: truncated(n, 1)\n"
    "glmmTMB(n ~ 1 + x, data = data, family = poisson(), ziformula = ~1)",
    ("y ~ ns(x, 3) + (1 | g)", "gaussian", "identity", "lme4"): "library(splines)\nlibrary(lme4)\n"
    "lmer(y ~ 1 + ns(x, 3) + (1 | g), data = data)",
    ("y ~ C(f, Sum) + (C(f, Diff) | g)", "gaussian", "identity", "lme4"): "library(MASS)\nlibrary(lme4)\n"
    "lmer(y ~ 1 + C(f, contr.sum) + (1 + C(f, contr.sdif) | g), data = data)",
    ("y ~ C(log(f), poly)", "gaussian", "identity", "brms"): "library(brms)\n"
    "brm(y ~ 1 + C(log(f), contr.poly), data = data, family = gaussian())",
    ("y ~ C(f, sum) + C(h, poly) + relevel(k, 'b')", "gaussian", "identity", "bambi"): "import bambi as bmb\n"
    "# Bambi has no coding poly: sf.to_bambi(model) keeps it\n"
    'bmb.Model("y ~ 1 + C(f, Sum) + C(h, poly) + C(k, Treatment(\\"b\\"))", data).fit()',
    ("y ~ x; sigma ~ bs(x, 4)", "gaussian", "identity", "brms"): "library(splines)\nlibrary(brms)\n"
    "brm(bf(y ~ 1 + x, sigma ~ 1 + bs(x, 4)), data = data, family = gaussian())",
    ("y ~ x; kappa ~ z", "beta", "logit", "brms"): "library(brms)\n"
    "brm(bf(y ~ 1 + x, phi ~ 1 + z), data = data, family = Beta())",
    ("y ~ x; kappa ~ z", "vonmises", "identity", "brms"): "library(brms)\n"
    'brm(bf(y ~ 1 + x, kappa ~ 1 + z), data = data, family = von_mises(link = "identity"))',
    ("n ~ x; alpha ~ z; psi ~ z + offset(w)", "hurdle_negativebinomial", "log", "brms"): "library(brms)\n"
    "# hu is 1 - psi: its coefficients have the opposite sign\n"
    "brm(bf(n ~ 1 + x, shape ~ 1 + z, hu ~ 1 + z + offset(-w)), data = data, family = hurdle_negbinomial())",
    ("n ~ x; psi ~ z", "zero_inflated_poisson", "log", "brms"): "library(brms)\n"
    "# zi is 1 - psi: its coefficients have the opposite sign\n"
    "brm(bf(n ~ 1 + x, zi ~ 1 + z), data = data, family = zero_inflated_poisson())",
    ("y ~ x; nu ~ z", "t", "identity", "brms"): "library(brms)\n"
    "# not the same model: nu is 1 + exp(...) in brms where it has a formula, and exp(...) here\n"
    "brm(bf(y ~ 1 + x, nu ~ 1 + z), data = data, family = student())",
    ("y ~ x", "binomial", "logit", "brms"): "# of single trials: brms has the family bernoulli for them\n"
    "library(brms)\nbrm(y ~ 1 + x, data = data, family = binomial())",
    ("y ~ x", "lognormal", "log", "brms"): "library(brms)\n# brms has no link log for this family\n"
    'brm(y ~ 1 + x, data = data, family = lognormal(link = "log"))',
    ("log(`a/b` / x) ~ I(x / z)", "gaussian", "identity", "bambi"): "import bambi as bmb\nimport numpy as np\n"
    'data = data.rename(columns={"a/b": "a_b"})\n'
    'bmb.Model("np.log(np.divide(a_b, x)) ~ 1 + I(np.divide(x, z))", data).fit()',
    ("y ~ ns(x, 3) + (1 | g) + (0 + f | g)", "gaussian", "identity", "bambi"): "import bambi as bmb\n"
    "# Bambi has no ns(): put its columns into the table first\n"
    "# with a factor in it, f has other columns in Bambi's group terms than in R; sf.to_bambi(model) keeps R's\n"
    'bmb.Model("y ~ 1 + ns(x, 3) + (1 | g) + (0 + f | g)", data).fit()',
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
    "# of a factor Bambi models the first level, and not the second: write y['its second level'] then\n"
    'bmb.Model("y ~ 1 + (1 | g)", data, family="bernoulli", link="probit").fit()',
}


@pytest.mark.parametrize(("case", "code"), CASES.items())
def test_code_has_its_exact_text(case, code):
    text, family, link, dialect = case
    assert spell_call(parse_formula(text), dialect, family=family, link=link) == code


UNCORRELATED = [
    ({"f": ("a", "b", "c")}, "y ~ (f || g)", "lmer(y ~ 1 + diag(1 + f | g), data = data)",
     '(1 | g) + (0 + dummy(f, "b") | g) + (0 + dummy(f, "c") | g)'),
    ({"f": ("a", "b"), "x": ()}, "y ~ (0 + x + f || g)", "lmer(y ~ 1 + diag(0 + x + f | g), data = data)",
     '(0 + x | g) + (0 + dummy(f, "a") | g) + (0 + dummy(f, "b") | g)'),
    ({"x": ()}, "y ~ (log(x) + x || g)", "lmer(y ~ 1 + (1 + log(x) + x || g), data = data)", None),
    (None, "y ~ (f || g)", "lmer(y ~ 1 + diag(1 + f | g), data = data)",
     "(1 + f || g) where all are numbers"),
    (None, "y ~ (poly(x, 2) || g)", "lmer(y ~ 1 + diag(1 + poly(x, 2) | g), data = data)",
     "(0 + column | g) for each column of poly(x, 2)"),
]  # fmt: skip


@pytest.mark.parametrize(("levels", "text", "call", "older"), UNCORRELATED)
def test_the_levels_of_a_factor_are_uncorrelated_in_lme4_too(levels, text, call, older):
    code = spell_call(parse_formula(text), "lme4", family="gaussian", link="identity", levels=levels).split("\n")
    assert code[-1] == call
    assert code[1:-1] == [] if older is None else older in code[1]


def test_single_trials_of_data_are_bernoulli_elsewhere():
    formula = parse_formula("y ~ x")
    written = [spell_call(formula, to, family="binomial", link="logit", levels={"y": ()}) for to in ("brms", "bambi")]
    assert written == [
        "library(brms)\nbrm(y ~ 1 + x, data = data, family = bernoulli())",
        'import bambi as bmb\nbmb.Model("y ~ 1 + x", data, family="bernoulli").fit()',
    ]


def test_functions_of_ones_own_are_told_to_r():
    code = spell_call(parse_formula("y ~ dose(x)", functions=("dose",)), "brms", family="gaussian", link="identity")
    assert code.split("\n")[0] == "# dose() is a function of your own: define it in R too"


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
    assert code[4] == (
        "brm(bf(y ~ 1 + s, nu ~ 1 + x, nlf(sigma ~ log(sd1) - 0.5 * log(sd0)), sd1 ~ 1), data = data, "
        "family = student(),"
    )


def test_weights_of_a_sigma_with_a_formula_are_its_offset():
    code = spell_call(parse_formula("y ~ x; sigma ~ z"), "brms", family="gaussian", link="identity", weights="my w")
    assert code.split("\n")[1] == (
        "brm(bf(y ~ 1 + x, sigma ~ 1 + z + offset(-0.5 * log(`my w`))), data = data, family = gaussian())"
    )
