"""R's keywords, and what is answered to them."""

import inspect

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.common.arguments import ANSWERS, OTHER_WORDS, answers_r
from tests.fakes import correlated_fit, crossed_fit

DATA = pd.DataFrame({"y": [1.0, 2, 3, 4, 5, 7], "g": list("aabbcc")})
LMER = "lmer() has no argument "
MISSING = "missing='error' refuses rows with missing values, missing='drop' leaves them out and counts them."
ENGINES = "The engine is chosen by method=: 'reml' and 'ml' are lme4's fits, the others draw from the posterior."
QUADRATURE = "nAGQ= counts the nodes of quadrature of method='laplace'; 1 is Laplace's approximation."
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
        {"drws": 10},
        sf.SamplingError,
        f"{LMER}drws=.\nArguments: formula, data, method, priors, weights, missing, functions, contrasts, matrices, "
        "draws, tune, chains, cores, target_accept, random_seed, progress, sampler, keep, nAGQ.\nNearest: draws=.",
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
        "By name: family=, link=, method=, priors=, weights=, missing=, functions=, contrasts=, matrices=.\n"
        "Write what comes after data by name, for example family='poisson'."
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda fit: sf.ranef(fit, "g"),
            "sf.ranef(): too many positional arguments.\nBy place: fit. By name: ci_prob=, ci_kind=.\n"
            "Write what comes after fit by name, for example ci_prob=0.9.",
        ),
        (
            lambda fit: sf.confint(fit, "profile", 0.9),
            "sf.confint(): too many positional arguments.\nBy place: fit, method. By name: df=, ci_prob=, ci_kind=, "
            "nsim=, interval=, random_seed=, cores=.\n"
            "Write what comes after method by name, for example ci_prob=0.9.",
        ),
        (
            sf.save,
            "sf.save(): missing a required argument: 'path'.\nBy place: fit, path. By name: none.\n"
            "Write sf.save(fit, path).",
        ),
        (
            lambda fit: sf.save(fit, "a.fit", "b.fit"),
            "sf.save(): too many positional arguments.\nBy place: fit, path. By name: none.\n"
            "Leave out what comes after path.",
        ),
        (
            sf.recover,
            "sf.recover(): missing a required argument: 'truth'.\nBy place: fit, truth. By name: centred=.\n"
            "Write sf.recover(fit, truth).",
        ),
        (
            lambda fit: sf.plot(fit, "effects", "g"),
            "sf.plot(): too many positional arguments.\nBy place: result, kind. By name: **options.\n"
            "Write what comes after kind by name.",
        ),
        (
            lambda fit: sf.load("a.fit", path="b.fit"),
            "sf.load(): multiple values for argument 'path'.\nBy place: path. By name: functions=.\n"
            "Give it once, by place or by name.",
        ),
        (
            lambda fit: sf.anova(fit, fit, refit=False),
            "sf.anova() has no argument refit=.\nArguments: type, df, nsim, random_seed, cores, progress.\n"
            "Leave it out: fits by REML are fitted again by ML only where R does it.",
        ),
    ],
)
def test_a_miscalled_verb_says_how_it_is_called(call, message):
    with pytest.raises(sf.DataError) as caught:
        call(crossed_fit(draws=5))
    assert str(caught.value) == message


GOOD_CALLS = {("anova", True), ("plan_screen", False), ("simulate_pairs", False), ("simulate_screen", False)}


@pytest.mark.parametrize("name", [name for name in sf.__all__ if inspect.isfunction(getattr(sf, name))])
def test_no_verb_answers_a_wrong_call_by_a_type_error(name):
    fit, verb = crossed_fit(draws=5), getattr(sf, name)
    for given in ((), (fit,) * 12):
        if (name, bool(given)) not in GOOD_CALLS:
            with pytest.raises(sf.SpecletError):
                verb(*given)


FORMULA = "A formula is text such as 'y ~ x + (1 | g)'."


@pytest.mark.parametrize(
    "call",
    [
        sf.lmer,
        lambda formula, data: sf.glmer(formula, data, family="poisson"),
        sf.Model,
        lambda formula, data: sf.fit_by(formula, data, "g"),
        lambda formula, data: sf.study(formula, data, {"sigma": 1.0}),
    ],
)
@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda _: None, f"the formula is of type 'NoneType'.\n{FORMULA}\nPass it as a str."),
        (lambda _: 1, f"the formula is of type 'int'.\n{FORMULA}\nPass it as a str."),
        (lambda _: b"y ~ x", f"the formula is of type 'bytes'.\n{FORMULA}\nPass it as a str."),
        (
            lambda fit: fit,
            f"the formula is of type 'Fit'.\n{FORMULA}\n"
            "Take the fit's formula, fit.model.formula, or change it: sf.update(fit, ...).",
        ),
        (
            lambda fit: fit.model,
            f"the formula is of type 'Model'.\n{FORMULA}\n"
            "Fit the model by sf.fit(model), or take its formula: model.formula.",
        ),
        (
            lambda _: DATA,
            f"the formula is of type 'DataFrame'.\n{FORMULA}\n"
            "The formula comes first, the table after it: sf.lmer('y ~ x + (1 | g)', data).",
        ),
    ],
)
def test_what_is_no_formula_is_named(call, formula, message):
    with pytest.raises(sf.FormulaError) as caught:
        call(formula(crossed_fit(draws=5)), DATA)
    assert str(caught.value) == message


@pytest.mark.parametrize("call", [sf.lmer, sf.Model, lambda formula, data: sf.simulate(formula, data, {})])
@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (None, f"the formula is of type 'NoneType'.\n{FORMULA}\nPass it as a str."),
        (
            ["y ~ g", None],
            "formula 2 of 2 is of type 'NoneType'.\nIn a list the mean's formula comes first, after it those of the "
            'family\'s parameters, each a text.\nFor example ["y ~ x", "sigma ~ x"].',
        ),
        ([], f"there is no formula in the list.\n{FORMULA}\nWrite the response, '~' and the terms."),
    ],
)
def test_what_is_no_list_of_formulas_is_named(call, formula, message):
    with pytest.raises(sf.FormulaError) as caught:
        call(formula, DATA)
    assert str(caught.value) == message


def test_table_and_formula_in_each_others_place():
    for call in (sf.lmer, lambda *given: sf.fit_by(*given, "g"), lambda *given: sf.simulate(*given, {})):
        with pytest.raises(sf.SpecletError) as caught:
            call(DATA, "y ~ (1 | g)")
        assert str(caught.value).endswith(
            "\nThe formula comes first, the table after it: sf.lmer('y ~ x + (1 | g)', data)."
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda functions: sf.lmer("y ~ g", DATA, functions=functions),
        lambda functions: sf.Model("y ~ g", DATA, functions=functions),
        lambda functions: sf.explain("y ~ g", functions=functions),
        lambda functions: sf.equation("y ~ g", functions=functions),
        lambda functions: sf.simulate("y ~ g", DATA, {}, functions=functions),
        lambda functions: sf.update("y ~ g", ". ~ .", functions=functions),
    ],
)
@pytest.mark.parametrize(
    ("functions", "problem"),
    [
        (1, "functions is an int."),
        ({"f": 1}, "functions['f'] is an int, not a function."),
        ({1: abs}, "functions has the name 1, which is an int."),
    ],
)
def test_functions_are_functions_by_name(call, functions, problem):
    with pytest.raises(sf.DataError) as caught:
        call(functions)
    assert str(caught.value) == (
        f"{problem}\nIt is a dictionary of the functions that the formula calls, by name.\n"
        "For example functions={'double': double}, and double(x) in the formula."
    )


OF_STUDY = "Of Model there are family, link, priors, weights, functions, matrices; of fit method, draws, tune, chains, "
MODEL_SETTINGS = "data, family, link, priors, weights, missing, functions, contrasts, matrices"
FIT_SETTINGS = "draws, tune, chains, cores, target_accept, random_seed, progress, sampler, keep, nAGQ"
OF_MODEL = (
    "Of Model there are family, link, priors, weights, missing, functions, contrasts, matrices; of fit method, "
    "draws, tune, chains, "
)
STUDY = "sf.study() has no argument "
STUDY_ARGUMENTS = "formula, data, truth, nsim, fitted_formula, use_u, reml, random_seed, cores, progress, folder"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda _: sf.Model("y ~ g", DATA, REML=False),
            f"Model() has no argument REML=.\n{ENGINES}\nIt is of the fit: write sf.fit(model, method='ml').",
        ),
        (
            lambda _: sf.explain("y ~ g", REML=True),
            f"explain() has no argument REML=.\n{ENGINES}\nIt is of the fit: write sf.fit(model, method='reml').",
        ),
        (
            lambda fit: sf.fit(fit.model, na_action="na.omit"),
            f"fit() has no argument na_action=.\n{MISSING}\n"
            "It is of the model: write sf.Model(formula, data, missing='drop').",
        ),
        (
            lambda fit: sf.fit(fit.model, family="poisson"),
            "fit() has no argument family=.\nFamily and link belong to the model, not to its fit.\n"
            "It is of the model: write sf.Model(formula, data, family='poisson').",
        ),
        (
            lambda _: sf.compare(["y ~ g", "y ~ 1"], DATA, REML=False),
            "compare() has no argument REML=.\n"
            "Models are compared by draws from the posterior, which lme4's fits do not have.\n"
            "Leave it out, or compare likelihoods by sf.anova of fits by method='ml'.",
        ),
        (
            lambda _: sf.compare(["y ~ g", "y ~ 1"], DATA, seed=1),
            "compare() has no argument seed=.\nrandom_seed= makes the draws repeatable.\nWrite random_seed=1.",
        ),
        (
            lambda fit: sf.refit(fit, DATA["y"], REML=False),
            f"refit() has no argument REML=.\n{ENGINES}\nWrite method='ml'.",
        ),
        (
            lambda fit: sf.update(fit, REML=False),
            f"update() of a fit has no argument REML=.\nArguments: {MODEL_SETTINGS}, method, {FIT_SETTINGS}.\n"
            "Write method='ml'.",
        ),
        (
            lambda fit: sf.update(fit, nAGQ=0),
            f"method='nuts' has no use for nAGQ=0.\n{QUADRATURE}\nLeave it out, or write method='laplace'.",
        ),
        (
            lambda fit: sf.update(fit.model, REML=False),
            f"update() of a model has no argument REML=.\nArguments: {MODEL_SETTINGS}.\n"
            "It is of the fit: write sf.fit(model, method='ml').",
        ),
        (
            lambda _: sf.fit_by("y ~ 1", DATA, "g", REML=False),
            f"there is no setting 'REML'.\n{OF_MODEL}target_accept, sampler, keep, nAGQ.\nWrite method='ml'.",
        ),
        (
            lambda _: sf.calibrate("y ~ 1", DATA, REML=False),
            f"there is no setting 'REML'.\n{OF_STUDY}target_accept, sampler, keep, nAGQ.\nLeave it out.",
        ),
        (
            lambda _: sf.study("y ~ 1", DATA, {}, lme4=True),
            f"{STUDY}lme4=.\nArguments: {STUDY_ARGUMENTS}.\nWrite reml=True.",
        ),
        (
            lambda _: sf.study("y ~ 1", DATA, {}, REML=False),
            f"{STUDY}REML=.\nArguments: {STUDY_ARGUMENTS}.\nWrite reml=False.",
        ),
        (
            lambda fit: sf.save("a.fit", fit),
            "sf.save(): fit is a str.\nfit comes first, by place.\nWrite sf.save(fit, path).",
        ),
        (
            lambda _: sf.save("a.fit", "b.fit"),
            "sf.save(): fit is a str.\nIt is a fit.\n"
            "Fit a model first: fit = sf.lmer('y ~ x + (1 | g)', data), then sf.save(fit, ...).",
        ),
        (
            lambda fit: sf.refit(fit, fit.model.data["log_fc"][:3]),
            "newresp= is a pandas Series, and its index lacks",
        ),
        (
            lambda _: sf.lmer("y", DATA),
            "y\n ^\nthe formula has no '~'.\nA formula has a response, '~' and terms.\n"
            "Write response ~ y with the response's column for response.",
        ),
        (
            lambda _: sf.explain("d.csv"),
            "d.csv\n     ^\nthe formula has no '~'.\nA formula has a response, '~' and terms.\n"
            "That is a file's name; a formula is of its columns: y ~ x + (1 | g).",
        ),
        (lambda _: sf.glmer("y ~ g", DATA, family=None), "the family is of type 'NoneType'.\nFamilies: gaussian, t,"),
    ],
)
def test_each_verb_names_itself_and_what_works_there(call, message):
    with pytest.raises(sf.SpecletError) as caught:
        call(crossed_fit(draws=5))
    assert str(caught.value).startswith(message)


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
        (lambda: sf.refit(crossed_fit(draws=5), response=1), "refit() has no argument response=.", "Write newresp=1."),
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


@pytest.mark.parametrize("odd", [[1], {1: 2}, np.arange(3)], ids=["list", "dictionary", "array"])
@pytest.mark.parametrize(
    "call",
    [
        lambda fit, odd: sf.Model("n ~ x", {"n": [1, 2], "x": [0, 1]}, family="poisson", link=odd),
        lambda fit, odd: sf.Model("n ~ x", {"n": [1, 2], "x": [0, 1]}, missing=odd),
        lambda fit, odd: sf.lmer("Reaction ~ Days", fit.model.data, method=odd),
        lambda fit, odd: sf.Prior(odd),
        lambda fit, odd: sf.confint(fit, odd),
        lambda fit, odd: sf.predict(fit, type=odd),
        lambda fit, odd: sf.marginal_means(fit, odd),
        lambda fit, odd: sf.marginal_means(fit, "Days", at={"Days": odd, 0: odd}),
        lambda fit, odd: sf.avg_comparisons(fit, odd),
        lambda fit, odd: sf.slopes(fit, "Days", by=odd),
        lambda fit, odd: sf.plot_predictions(fit, "Days", rows=odd),
    ],
)
def test_what_is_no_word_is_refused_as_a_wrong_word_is(call, odd):
    with pytest.raises(sf.SpecletError):
        call(correlated_fit(), odd)
