"""R's keywords, and what is answered to them."""

import inspect

import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.common.arguments import ANSWERS, OTHER_WORDS, answers_r

DATA = pd.DataFrame({"y": [1.0, 2, 3, 4, 5, 7], "g": list("aabbcc")})
LMER = "lmer() has no argument "
MISSING = "missing='error' refuses rows with missing values, missing='drop' leaves them out and counts them."
ENGINES = "The engine is chosen by method=: 'reml' and 'ml' are lme4's fits, the others draw from the posterior."
QUADRATURE = (
    "method='laplace' is Laplace's approximation, nAGQ=1; nAGQ=0 and quadrature with more points are not offered."
)
OFFSET = "An offset is a term of the formula."
CASES = [
    ({"REML": False}, sf.SamplingError, f"{LMER}REML=.\n{ENGINES}\nWrite method='ml'."),
    ({"reml": True}, sf.SamplingError, f"{LMER}reml=.\n{ENGINES}\nWrite method='reml'."),
    (
        {"offset": "log(n)"},
        sf.FormulaError,
        f"{LMER}offset=.\n{OFFSET}\nWrite it into the formula: ... + offset(log(n)).",
    ),
    (
        {"control": None},
        sf.SamplingError,
        f"{LMER}control=.\nThere is no optimiser to tune: 'reml' and 'ml' find the maximum by themselves, the samplers "
        "take draws=, tune=, chains= and target_accept=.\nLeave control= out.",
    ),
    (
        {"start": [1.0]},
        sf.SamplingError,
        f"{LMER}start=.\nEvery engine finds its own start.\n"
        "Leave start= out; what is known beforehand goes into priors=.",
    ),
    ({"na.action": "na.omit"}, sf.DataError, f"{LMER}na.action=.\n{MISSING}\nWrite missing='drop'."),
    ({"na_action": "na.fail"}, sf.DataError, f"{LMER}na_action=.\n{MISSING}\nWrite missing='error'."),
    (
        {"subset": "dose > 0"},
        sf.DataError,
        f"{LMER}subset=.\nAll rows of the table are fitted.\nChoose the rows first, for example "
        "data[data['dose'] > 0], and give the result as the data.",
    ),
    (
        {"family": "poisson"},
        sf.DataError,
        f"{LMER}family=.\nlmer is for a gaussian response.\nWrite glmer(formula, data, family='poisson').",
    ),
    (
        {"iter": 2000},
        sf.SamplingError,
        f"{LMER}iter=.\ndraws= are kept, tune= are for adapting; brms' iter is their sum.\n"
        "Write draws=1000, tune=1000.",
    ),
    (
        {"nAGQ": 1},
        sf.SamplingError,
        f"{LMER}nAGQ=.\n{QUADRATURE}\nWrite method='laplace'.",
    ),
    (
        {"nAGQ": 10},
        sf.SamplingError,
        f"{LMER}nAGQ=.\n{QUADRATURE}\nWrite method='laplace', or leave nAGQ= out for draws from the posterior, which "
        "need no approximation.",
    ),
    (
        {"drws": 10},
        sf.SamplingError,
        f"{LMER}drws=.\nArguments: formula, data, method, priors, weights, missing, functions, draws, tune, chains, "
        "cores, target_accept, random_seed, progress, sampler, keep.\nNearest: draws=.",
    ),
]


@pytest.mark.parametrize(("keywords", "kind", "message"), CASES)
def test_a_keyword_has_its_exact_answer(keywords, kind, message):
    with pytest.raises(kind) as caught:
        sf.lmer("y ~ (1 | g)", DATA, **keywords)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_can_be_worded_for_any_value(name):
    for value in (None, True, 3, "a", [1.0], 0.9):
        assert ANSWERS[name][2](value).endswith(".")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sf.glmer("y ~ (1 | g)", DATA, "poisson"), "glmer(): too many positional arguments."),
        (lambda: sf.glmer("y ~ (1 | g)", DATA), "glmer(): missing a required keyword-only argument: 'family'."),
    ],
)
def test_what_goes_by_name_is_said(call, message):
    with pytest.raises(sf.SamplingError) as caught:
        call()
    assert str(caught.value) == (
        f"{message}\nBy place: formula, data. "
        "By name: family=, link=, method=, priors=, weights=, missing=, functions=.\n"
        "Write what comes after data by name, for example family='poisson'."
    )


def test_a_model_and_a_fit_answer_too():
    with pytest.raises(sf.FormulaError, match=r"^Model\(\) has no argument offset="):
        sf.Model("y ~ (1 | g)", DATA, offset=[1.0])
    with pytest.raises(sf.SamplingError, match=r"^fit\(\) has no argument REML="):
        sf.fit(sf.Model("y ~ (1 | g)", DATA), REML=True)


def test_the_signature_stays():
    def plain(a: int, *, b: int = 1) -> int:
        return a + b

    wrapped = answers_r()(plain)
    assert inspect.signature(wrapped) == inspect.signature(plain)
    assert wrapped(1, b=2) == 3


@pytest.mark.parametrize(
    ("call", "problem", "remedy"),
    [
        (lambda: sf.kfold(None, by="gene"), "sf.kfold() has no argument by=.", "Write group='gene'."),
        (lambda: sf.kfold(None, K=5), "sf.kfold() has no argument K=.", "Write k=5."),
        (lambda: sf.loo(None, rows=100), "sf.loo() has no argument rows=.", "Write observations=100."),
        (lambda: sf.scan("x.csv", rows=100), "sf.scan() has no argument rows=.", "Write chunksize=100."),
        (lambda: sf.fixef(None, level=0.9), "sf.fixef() has no argument level=.", "Write ci_prob=0.9."),
        (lambda: sf.predict(None, data=DATA), "sf.predict() has no argument data=.", "Write newdata=...."),
        (lambda: sf.predict(None, seed=1), "sf.predict() has no argument seed=.", "Write random_seed=1."),
        (lambda: sf.refit(None, response=1), "sf.refit() has no argument response=.", "Write newresp=1."),
        (lambda: sf.update("y ~ x", change="y ~ 1"), "sf.update() has no argument change=.", "Write formula='y ~ 1'."),
        (lambda: sf.fixef(None, ci_probe=0.9), "sf.fixef() has no argument ci_probe=.", "Nearest: ci_prob=."),
        (lambda: sf.nobs(None, colour="red"), "sf.nobs() has no argument colour=.", "Leave colour= out."),
    ],
)
def test_other_words_for_our_arguments_are_answered_by_ours(call, problem, remedy):
    with pytest.raises(sf.DataError) as caught:
        call()
    assert (caught.value.problem, caught.value.remedy) == (problem, remedy)
    assert caught.value.allowed.startswith("Arguments: ")


RETIRED = {  # one name for one thing: what each of these says is said by another word
    "workers", "n_jobs", "n_sims", "params", "newparams", "seed", "level", "conf_level", "prob", "layout", "design",
    "fitted", "response", "change", "score", "n_draws", "ndraws", "re_formula", "dpar", "n_folds",
}  # fmt: skip


def test_no_verb_has_a_word_of_its_own_for_what_others_call_otherwise():
    for name in sf.__all__:
        if inspect.isfunction(verb := getattr(sf, name)):
            assert not RETIRED & set(inspect.signature(verb).parameters), name


def test_no_other_word_is_an_argument_of_a_verb_that_has_ours():
    for name in sf.__all__:
        verb = getattr(sf, name)
        if inspect.isfunction(verb):
            own = inspect.signature(verb).parameters
            assert not [(old, new) for old in OTHER_WORDS if old in own for new in OTHER_WORDS[old][:1] if new in own]
