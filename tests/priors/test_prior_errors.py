"""The exact text of every error that a prior can meet."""

import pytest

from speclet_formula.errors import PriorError
from speclet_formula.families import resolve_family
from speclet_formula.priors import Prior, read_priors, resolve_priors

NAMES = (
    "The distributions are Beta, Cauchy, Dirichlet, Exponential, Flat, Gamma, HalfCauchy, HalfFlat, HalfNormal, "
    "HalfStudentT, InverseGamma, LKJ, Laplace, LogNormal, Logistic, Normal, StudentT, Uniform."
)
SLOTS = (
    "Its slots are Intercept, x, f, 1|g, z|g, cor|g, sigma; "
    "b, sd and cor stand for all fixed terms, group SDs and correlations."
)
POSITIVE = (
    "Only positive numbers are possible: HalfNormal, HalfStudentT, HalfCauchy, Exponential, Gamma, InverseGamma, "
    "LogNormal, or Uniform from 0."
)
TABLE = 'A prior is a Prior, or a table such as {"name": "Normal", "mu": 0, "sigma": 1}.'
NAMED = 'A prior\'s table has a name and that distribution\'s parameters: {"name": "Normal", "mu": 0, "sigma": 1}.'
UNNAMED = 'Add the name; in a TOML file that is a line such as name = "Normal".'
LAYOUT = 'Write ["1|gene"] on one line, name = "Normal" below it, then one line for each parameter.'
LKJ_PLACE = "LKJ is for the correlations of group terms, slots such as 'cor|gene'."

NORMAL = Prior("Normal", mu=0, sigma=3)
HALF = Prior("HalfNormal", sigma=1)
LKJ = Prior("LKJ", eta=2)
VECTOR = Prior("Normal", mu=0, sigma=[1, 2, 3])
NESTED = Prior("Normal", mu=0, sigma=HALF)

MADE = [
    (
        "Nrmal",
        {"mu": 0, "sigma": 1},
        f"'Nrmal' is not a distribution that a prior can have.\n{NAMES}\nDid you mean 'Normal'?",
    ),
    (
        "student_t",
        {},
        f"'student_t' is not a distribution that a prior can have.\n{NAMES}\nDid you mean 'StudentT'?",
    ),
    (
        "LKJCorr",
        {"eta": 2},
        f"'LKJCorr' is not a distribution that a prior can have.\n{NAMES}\nDid you mean 'LKJ'?",
    ),
    (
        "qwxyz",
        {},
        f"'qwxyz' is not a distribution that a prior can have.\n{NAMES}\nChoose one of these; the names are PyMC's.",
    ),
    (
        3,
        {},
        f"3 is not a distribution that a prior can have.\n{NAMES}\nChoose one of these; the names are PyMC's.",
    ),
    (
        "Normal",
        {"mean": 50, "sigma": 1},
        "Normal has no parameter 'mean'.\nNormal takes mu, sigma.\nWrite mu=50 in place of mean=50.",
    ),
    (
        "Normal",
        {"mu": 0, "sd": 10},
        "Normal has no parameter 'sd'.\nNormal takes mu, sigma.\nWrite sigma=10 in place of sd=10.",
    ),
    (
        "Normal",
        {"mu": 0, "tau": 4},
        "Normal has no parameter 'tau'.\nNormal takes mu, sigma.\nWrite sigma=0.5 in place of tau=4.",
    ),
    (
        "Normal",
        {"mu": 0, "Sigma": 4},
        "Normal has no parameter 'Sigma'.\nNormal takes mu, sigma.\nWrite sigma=4 in place of Sigma=4.",
    ),
    (
        "Normal",
        {"mu": 0, "sigma": 1, "wibble": 2},
        "Normal has no parameter 'wibble'.\nNormal takes mu, sigma.\nWrite Prior(\"Normal\", mu=..., sigma=...).",
    ),
    (
        "Exponential",
        {"rate": 2},
        "Exponential has no parameter 'rate'.\nExponential takes lam.\nWrite lam=2 in place of rate=2.",
    ),
    (
        "Exponential",
        {"scale": 4},
        "Exponential has no parameter 'scale'.\nExponential takes lam.\nWrite lam=0.25 in place of scale=4.",
    ),
    (
        "Exponential",
        {"scale": 0},
        "Exponential has no parameter 'scale'.\nExponential takes lam.\nWrite lam=... in place of scale=....",
    ),
    (
        "Cauchy",
        {"loc": 0, "scale": 2},
        "Cauchy has no parameter 'loc'.\nCauchy takes alpha, beta.\nWrite alpha=0 in place of loc=0.",
    ),
    (
        "HalfCauchy",
        {"sigma": 2},
        "HalfCauchy has no parameter 'sigma'.\nHalfCauchy takes beta.\nWrite beta=2 in place of sigma=2.",
    ),
    (
        "Gamma",
        {"shape": 2, "rate": 0.1},
        "Gamma has no parameter 'shape'.\nGamma takes alpha, beta or mu, sigma.\nWrite alpha=2 in place of shape=2.",
    ),
    (
        "Gamma",
        {"alpha": 2, "scale": 10},
        (
            "Gamma has no parameter 'scale'.\n"
            "Gamma takes alpha, beta or mu, sigma.\n"
            "Write beta=0.1 in place of scale=10."
        ),
    ),
    (
        "HalfStudentT",
        {"df": 3, "scale": 2.5},
        "HalfStudentT has no parameter 'df'.\nHalfStudentT takes nu, sigma.\nWrite nu=3 in place of df=3.",
    ),
    (
        "LKJ",
        {"n": 2},
        "LKJ has no parameter 'n'.\nLKJ takes eta.\nWrite Prior(\"LKJ\", eta=...).",
    ),
    (
        "Flat",
        {"mu": 1},
        "Flat has no parameter 'mu'.\nFlat takes no parameters.\nWrite Prior(\"Flat\").",
    ),
    (
        "Normal",
        {"mu": 0},
        "Normal lacks its parameter 'sigma'.\nNormal takes mu, sigma.\nWrite Prior(\"Normal\", mu=..., sigma=...).",
    ),
    (
        "Normal",
        {},
        (
            "Normal lacks its parameters 'mu', 'sigma'.\n"
            "Normal takes mu, sigma.\n"
            'Write Prior("Normal", mu=..., sigma=...).'
        ),
    ),
    (
        "Gamma",
        {"alpha": 1, "sigma": 2},
        (
            "Gamma cannot be given by alpha, sigma together.\n"
            "Gamma takes alpha, beta or mu, sigma.\n"
            'Write Prior("Gamma", alpha=..., beta=...).'
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": -1},
        (
            "sigma=-1 is not possible for Normal.\n"
            "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\n"
            "Write, for example, sigma=1."
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": 0},
        (
            "sigma=0 is not possible for Normal.\n"
            "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\n"
            "Write, for example, sigma=1."
        ),
    ),
    (
        "Normal",
        {"mu": float("nan"), "sigma": 1},
        (
            "mu=nan is not possible for Normal.\n"
            "mu in Normal is a finite number, an array of such numbers, or a Prior.\n"
            "Write, for example, mu=0."
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": float("inf")},
        (
            "sigma=inf is not possible for Normal.\n"
            "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\n"
            "Write, for example, sigma=1."
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": [1, -2]},
        (
            "sigma=[1, -2] is not possible for Normal.\n"
            "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\n"
            "Write, for example, sigma=1."
        ),
    ),
    (
        "Beta",
        {"mu": 1, "sigma": 0.1},
        (
            "mu=1 is not possible for Beta.\n"
            "mu in Beta is a number between 0 and 1, an array of such numbers, or a Prior.\n"
            "Write, for example, mu=0.5."
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": "1"},
        (
            "sigma='1' is not a number.\n"
            "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\n"
            "Write sigma=1."
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": True},
        (
            "sigma=True is not a number.\n"
            "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\n"
            "Write sigma=1."
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": [[1, 2], [3, 4]]},
        (
            "sigma=[[1, 2], [3, 4]] is not a number.\n"
            "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\n"
            "Write sigma=1."
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": []},
        (
            "sigma=[] is not a number.\n"
            "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\n"
            "Write sigma=1."
        ),
    ),
    (
        "LKJ",
        {"eta": [1, 2]},
        "eta=[1, 2] is not a number.\neta in LKJ is a number above 0.\nWrite eta=1.",
    ),
    (
        "Normal",
        {"mu": [1, 2], "sigma": [1, 2, 3]},
        (
            "Normal(mu=[1, 2], sigma=[1, 2, 3]) has vectors of different lengths: 2, 3.\n"
            "Vectors of one prior have one value for each column of the term.\n"
            "Give all vectors the same length, or plain numbers."
        ),
    ),
    (
        "Uniform",
        {"lower": 2, "upper": 1},
        (
            "Uniform(lower=2, upper=1) has no room between its bounds.\n"
            "lower is below upper.\n"
            "Exchange the two bounds, or move them apart."
        ),
    ),
    (
        "Beta",
        {"mu": 0.5, "sigma": 0.6},
        (
            "Beta(mu=0.5, sigma=0.6) does not exist.\n"
            "sigma is below sqrt(mu (1 - mu)).\n"
            'Make sigma smaller, or write Prior("Beta", alpha=..., beta=...).'
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": NORMAL},
        (
            "Normal(mu=0, sigma=3) cannot be the prior of sigma in Normal: it reaches below 0.\n"
            f"{POSITIVE}\n"
            'Write Prior("HalfNormal", sigma=3).'
        ),
    ),
    (
        "HalfNormal",
        {"sigma": NESTED},
        (
            "Normal(mu=0, sigma=HalfNormal(sigma=1)) cannot be the prior of sigma in HalfNormal.\n"
            "A hyperprior is a distribution of single numbers whose own parameters are numbers.\n"
            "Write numbers: sigma=1."
        ),
    ),
    (
        "Normal",
        {"mu": LKJ, "sigma": 1},
        (
            "LKJ(eta=2) cannot be the prior of mu in Normal.\n"
            "A hyperprior is a distribution of single numbers whose own parameters are numbers.\n"
            "Write numbers: mu=0."
        ),
    ),
    (
        "LKJ",
        {"eta": HALF},
        (
            "HalfNormal(sigma=1) cannot be the prior of eta in LKJ.\n"
            "A hyperprior is a distribution of single numbers whose own parameters are numbers.\n"
            "Write numbers: eta=1."
        ),
    ),
    (
        "Normal",
        {"mu": 0, "sigma": 1, "noncentered": "no"},
        (
            "noncentered='no' is neither true nor false.\n"
            "noncentered is True, False or None (the engine chooses).\n"
            "Leave it out, unless the sampler reports divergences."
        ),
    ),
]


@pytest.mark.parametrize(("name", "parameters", "message"), MADE)
def test_a_prior_that_cannot_be_made(name, parameters, message):
    with pytest.raises(PriorError) as caught:
        Prior(name, **parameters)
    assert str(caught.value) == message


GIVEN = [
    (
        {"1|gg": NORMAL},
        f"the model has no slot '1|gg'.\n{SLOTS}\nDid you mean '1|g'?",
    ),
    (
        {"(Intercept)": NORMAL},
        f"the model has no slot '(Intercept)'.\n{SLOTS}\nDid you mean 'Intercept'?",
    ),
    (
        {"1|g_sgma": HALF},
        f"the model has no slot '1|g_sgma'.\n{SLOTS}\nDid you mean '1|g_sigma'?",
    ),
    (
        {"qqqqqq": NORMAL},
        f"the model has no slot 'qqqqqq'.\n{SLOTS}\nUse one of these as the key.",
    ),
    (
        {3: NORMAL},
        f"the model has no slot 3.\n{SLOTS}\nUse one of these as the key.",
    ),
    (
        {"sd": NORMAL},
        (
            "Normal(mu=0, sigma=3) cannot be the prior of the standard deviation of '1|g': it reaches below 0.\n"
            f"{POSITIVE}\n"
            'Write Prior("HalfNormal", sigma=3).'
        ),
    ),
    (
        {"1|g_sigma": NORMAL},
        (
            "Normal(mu=0, sigma=3) cannot be the prior of the standard deviation of '1|g': it reaches below 0.\n"
            f"{POSITIVE}\n"
            'Write Prior("HalfNormal", sigma=3).'
        ),
    ),
    (
        {"sigma": NORMAL},
        (
            "Normal(mu=0, sigma=3) cannot be the prior of 'sigma': it reaches below 0.\n"
            f"{POSITIVE}\n"
            'Write Prior("HalfNormal", sigma=3).'
        ),
    ),
    (
        {"sigma": LKJ},
        f"LKJ(eta=2) cannot be the prior of 'sigma'.\n{LKJ_PLACE}\nWrite Prior(\"HalfNormal\", sigma=1).",
    ),
    (
        {"sigma": NESTED},
        (
            "Normal(mu=0, sigma=HalfNormal(sigma=1)) cannot be the prior of 'sigma'.\n"
            "A family's parameter has a prior with plain numbers as parameters.\n"
            "Replace the inner priors by numbers, such as 1."
        ),
    ),
    (
        {"sigma": Prior("HalfNormal", sigma=[1, 2])},
        (
            "the prior of 'sigma' has 2 values, HalfNormal(sigma=[1, 2]).\n"
            "Only fixed terms of several columns have vector priors.\n"
            "Give single numbers."
        ),
    ),
    (
        {"x": LKJ},
        f"LKJ(eta=2) cannot be the prior of 'x'.\n{LKJ_PLACE}\nWrite Prior(\"Normal\", mu=0, sigma=1).",
    ),
    (
        {"b": NESTED},
        (
            "Normal(mu=0, sigma=HalfNormal(sigma=1)) cannot be the prior of 'x'.\n"
            "A fixed term has a prior with plain numbers as parameters.\n"
            "Replace the inner priors by numbers, or make it a group term to have its SD estimated."
        ),
    ),
    (
        {"x": VECTOR},
        "the prior of 'x' has 3 values, Normal(mu=0, sigma=[1, 2, 3]).\n'x' has 1 column: x.\nGive single numbers.",
    ),
    (
        {"f": VECTOR},
        (
            "the prior of 'f' has 3 values, Normal(mu=0, sigma=[1, 2, 3]).\n"
            "'f' has 2 columns: f[b], f[c].\n"
            "Give one number for all columns, or one for each in this order."
        ),
    ),
    (
        {"Intercept": VECTOR},
        (
            "the prior of 'Intercept' has 3 values, Normal(mu=0, sigma=[1, 2, 3]).\n"
            "'Intercept' has 1 column: Intercept.\n"
            "Give single numbers."
        ),
    ),
    (
        {"1|g": Prior("StudentT", nu=3, mu=0, sigma=1)},
        (
            "StudentT(nu=3, mu=0, sigma=1) cannot be the prior of '1|g'.\n"
            "Group effects are Normal, as in lme4, around a mean and with an SD that has a prior.\n"
            'Write Prior("Normal", mu=0, sigma=Prior("HalfNormal", sigma=1)).'
        ),
    ),
    (
        {"1|g": HALF},
        (
            "HalfNormal(sigma=1) cannot be the prior of '1|g'.\n"
            "Group effects are Normal, as in lme4, around a mean and with an SD that has a prior.\n"
            'For the prior of its SD, write {"1|g_sigma": Prior("HalfNormal", sigma=1)}.'
        ),
    ),
    (
        {"1|g": NORMAL},
        (
            "Normal(mu=0, sigma=3) cannot be the prior of '1|g': its sigma is no prior.\n"
            "The SD of a group term is estimated, so sigma has a prior of its own.\n"
            'Write sigma=Prior("HalfNormal", sigma=1), or 0 + g in the formula for effects that are not pooled.'
        ),
    ),
    (
        {"z|g": VECTOR},
        (
            "Normal(mu=0, sigma=[1, 2, 3]) cannot be the prior of 'z|g': its sigma is no prior.\n"
            "The SD of a group term is estimated, so sigma has a prior of its own.\n"
            'Write sigma=Prior("HalfNormal", sigma=1), or g:z in the formula for effects that are not pooled.'
        ),
    ),
    (
        {"1|g": Prior("Normal", mu=[0, 1], sigma=HALF)},
        (
            "the prior of '1|g' has 2 values, Normal(mu=[0, 1], sigma=HalfNormal(sigma=1)).\n"
            "Only fixed terms of several columns have vector priors.\n"
            "Give single numbers."
        ),
    ),
    (
        {"1|g_sigma": LKJ},
        (
            "LKJ(eta=2) cannot be the prior of the standard deviation of '1|g'.\n"
            f"{LKJ_PLACE}\n"
            'Write Prior("HalfNormal", sigma=1).'
        ),
    ),
    (
        {"1|g_mu": LKJ},
        (
            "LKJ(eta=2) cannot be the prior of the mean of '1|g'.\n"
            "The mean of a group term is a number: Normal, StudentT, ...\n"
            'Write Prior("Normal", mu=0, sigma=1).'
        ),
    ),
    (
        {"1|g_mu": -1},
        (
            "the prior of '1|g_mu' is -1.\n"
            f"{TABLE}\n"
            'Write Prior("Normal", mu=..., sigma=...) with the distribution that you mean.'
        ),
    ),
    (
        {"1|g_mu": NESTED},
        (
            'Prior("Normal", mu=0, sigma=Prior("HalfNormal", sigma=1)) cannot be the prior of the mean of \'1|g\'.\n'
            "A hyperprior has plain numbers as parameters, and nothing else.\n"
            'Write Prior("Normal", mu=0, sigma=1).'
        ),
    ),
    (
        {"1|g": Prior("Normal", mu=0, sigma=Prior("HalfNormal", sigma=1, noncentered=True))},
        (
            "a hyperprior of '1|g' sets noncentered.\n"
            "noncentered belongs to the group term's own prior.\n"
            'Write Prior("Normal", mu=..., sigma=..., noncentered=...).'
        ),
    ),
    (
        {"cor|g": NORMAL},
        (
            "Normal(mu=0, sigma=3) cannot be the prior of 'cor|g'.\n"
            "Correlations have an LKJ prior: eta=1 is uniform, a larger eta draws them towards 0.\n"
            'Write Prior("LKJ", eta=2).'
        ),
    ),
    (
        {"x": Prior("Normal", mu=0, sigma=1, noncentered=True)},
        "the prior of 'x' sets noncentered.\nOnly group terms can be centred or not.\nLeave noncentered out.",
    ),
    (
        {"1|g": NESTED, "1 | g": NESTED},
        "the keys '1|g' and '1 | g' name the same slot.\nEach slot takes one prior.\nKeep one of them.",
    ),
    (
        {"x": 3},
        (
            "the prior of 'x' is 3.\n"
            f"{TABLE}\n"
            'Write Prior("Normal", mu=..., sigma=...) with the distribution that you mean.'
        ),
    ),
    (
        {"x": {"mu": 0, "sigma": 1}},
        f"the prior of 'x' does not name its distribution: {{'mu': 0, 'sigma': 1}}.\n{NAMED}\n{UNNAMED}",
    ),
    (
        {"preset": "bmbi"},
        (
            "there is no preset 'bmbi'.\n"
            "The presets are weak, bambi, brms, rstanarm, notebook; a file of priors ends in .toml.\n"
            "Did you mean 'bambi'?"
        ),
    ),
    (
        "weka",
        (
            "there is no preset 'weka'.\n"
            "The presets are weak, bambi, brms, rstanarm, notebook; a file of priors ends in .toml.\n"
            "Did you mean 'weak'?"
        ),
    ),
    (
        "qqqqqq",
        (
            "there is no preset 'qqqqqq'.\n"
            "The presets are weak, bambi, brms, rstanarm, notebook; a file of priors ends in .toml.\n"
            "Choose one of these, or leave priors out."
        ),
    ),
    (
        3,
        (
            "priors is of type int.\n"
            "priors is a preset (weak, bambi, brms, rstanarm, notebook), a TOML file's path, "
            "or a dict from slots to Prior.\n"
            'Write, for example, priors={"sigma": Prior("Exponential", lam=1)}.'
        ),
    ),
]


@pytest.mark.parametrize(("priors", "message"), GIVEN)
def test_priors_that_a_model_cannot_have(slots_of, priors, message):
    with pytest.raises(PriorError) as caught:
        slots_of("y ~ x + f + (1 + z | g)", priors)
    assert str(caught.value) == message


OF_STRUCTURES = [
    (
        {"cor|g": LKJ},
        "LKJ(eta=2) cannot be the prior of 'cor|g'.\n"
        "The correlation of cs() or ar1() is uniform over all that it can be, Uniform(lower=-0.5, upper=1).\n"
        "Leave it out; a correlation with an LKJ prior is that of (x | g).",
    ),
    (
        {"cor": LKJ},
        "the key 'cor' stands for nothing: the model has no freely correlated group term.\n"
        "The model's slots are Intercept, f[a]|g, f[b]|g, f[c]|g, cor|g, sigma.\n"
        "Leave it out.",
    ),
    (
        {"f[b]|g_sigma": HALF, "f[a]|g_sigma": Prior("Exponential", lam=1), "f[c]|g_sigma": HALF},
        "the SD of 'g' has two priors, Exponential(lam=1) by 'f[a]|g' and HalfNormal(sigma=1) by 'f[b]|g'.\n"
        "A term with hom = TRUE has one SD for all its columns: 'f[a]|g', 'f[b]|g', 'f[c]|g'.\n"
        "Give 'sd', or each of these, the same prior.",
    ),
]


@pytest.mark.parametrize(("priors", "message"), OF_STRUCTURES)
def test_priors_that_a_structure_cannot_have(slots_of, priors, message):
    with pytest.raises(PriorError) as caught:
        slots_of("y ~ 1 + cs(0 + f | g, hom = TRUE)", priors)
    assert str(caught.value) == message


def test_one_sd_has_one_prior_and_the_correlation_is_uniform(slots_of):
    for priors, sd in ((None, None), ({"sd": HALF}, "HalfNormal(sigma=1)")):
        slots = slots_of("y ~ 1 + ar1(0 + f | g)", priors)
        own = {str(slots[f"f[{level}]|g"].prior.parameters["sigma"]) for level in "abc"}
        assert len(own) == 1
        assert sd in {None, *own}
        assert str(slots["cor|g"].prior) == "Uniform(lower=-1, upper=1)"


WITHOUT = [
    (
        "b",
        (
            "the key 'b' stands for nothing: the model has no fixed term besides the intercept.\n"
            "The model's slots are Intercept, sigma.\n"
            "Leave it out."
        ),
    ),
    (
        "sd",
        (
            "the key 'sd' stands for nothing: the model has no group term.\n"
            "The model's slots are Intercept, sigma.\n"
            "Leave it out."
        ),
    ),
    (
        "cor",
        (
            "the key 'cor' stands for nothing: the model has no freely correlated group term.\n"
            "The model's slots are Intercept, sigma.\n"
            "Leave it out."
        ),
    ),
]


@pytest.mark.parametrize(("key", "message"), WITHOUT)
def test_a_wildcard_that_stands_for_nothing(slots_of, key, message):
    with pytest.raises(PriorError) as caught:
        slots_of("y ~ 1", {key: NORMAL})
    assert str(caught.value) == message


FILES = [
    (
        b"[sigma]\nname = \n",
        f"'priors.toml' is not TOML: Invalid value (at line 2, column 8).\nA slot is a table.\n{LAYOUT}",
    ),
    (
        b"[1|g]\n",
        (
            "'priors.toml' is not TOML: Expected ']' at the end of a table declaration (at line 1, column 3).\n"
            "A slot is a table.\n"
            f"{LAYOUT}"
        ),
    ),
    (
        b"\xff",
        (
            "the priors' file 'FOLDER/priors.toml' cannot be read: it is not UTF-8 text.\n"
            "Priors can come from a TOML file, written in UTF-8.\n"
            "Check the file and its path, which is relative to the folder where Python runs."
        ),
    ),
    (
        b"[sigma]\nlam = 1\n",
        f"the prior of 'sigma' does not name its distribution: {{'lam': 1}}.\n{NAMED}\n{UNNAMED}",
    ),
    (
        b"sigma = 3\n",
        (
            "the prior of 'sigma' is 3.\n"
            f"{TABLE}\n"
            'Write Prior("Normal", mu=..., sigma=...) with the distribution that you mean.'
        ),
    ),
    (
        b'[cn.2]\nname = "Flat"\n',
        (
            "the prior of 'cn' does not name its distribution: {'2': {'name': 'Flat'}}.\n"
            f"{NAMED}\n"
            "If the slot is 'cn.2', put it in quotes: [\"cn.2\"]."
        ),
    ),
    (
        b'[sigma]\nname = "Exponential"\nrate = 2\n',
        "Exponential has no parameter 'rate'.\nExponential takes lam.\nWrite lam=2 in place of rate=2.",
    ),
    (
        b'[sigma]\nname = "Exponential"\nlam = 1%s\n' % (b"0" * 400),
        "lam=inf is not possible for Exponential.\n"
        "lam in Exponential is a number above 0, an array of such numbers, or a Prior.\nWrite, for example, lam=1.",
    ),
    *(
        (
            text,
            "'priors.toml' has tables or lists that nest too deeply, a number with too many digits, or no end.\n"
            "A slot is a table, a hyperprior is a table within it, and a parameter is a number.\n"
            f"{LAYOUT}",
        )
        for text in (
            b"x = " + b"[" * 50_000,
            b"x = " + b"{a = " * 50_000,
            b".".join([b"a"] * 30) + b" = 1",
            b"# a comment\n" * 100_000,
            b"x = " + b"9" * 5000,
            b"x = 0x" + b"f" * 5000,
            b"[x]\nlam = 0x" + b"f" * 5000,
        )
    ),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_files_that_are_no_priors(tmp_path, text, message):
    path = tmp_path / "priors.toml"
    path.write_bytes(text)
    with pytest.raises(PriorError) as caught:
        read_priors(path)
    assert str(caught.value).replace(str(tmp_path), "FOLDER") == message


def test_a_file_that_is_not_there(design_of):
    with pytest.raises(PriorError) as caught:
        resolve_priors(design_of("y ~ x"), family=resolve_family("gaussian", "identity"), priors="no/priors.toml")
    assert str(caught.value) == (
        "the priors' file 'no/priors.toml' cannot be read: No such file or directory.\n"
        "Priors can come from a TOML file, written in UTF-8.\n"
        "Check the file and its path, which is relative to the folder where Python runs."
    )
