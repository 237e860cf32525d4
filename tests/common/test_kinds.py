"""Each public verb refuses what it cannot take by naming what it takes and what to write."""

import inspect
import pickle
from functools import cache

import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.common.arguments import public
from tests.fakes import crossed_fit

# These have no argument of one kind, or take objects of other packages; each words its own errors.
OWN_WORDS = {
    "anova", "calibrate", "compare", "diagnose", "fit_by", "from_bambi", "glmer", "lmer", "pedigree", "plan_screen",
    "plot", "power", "read_fold_changes", "read_pairs", "read_screen", "render_table", "report", "scan", "simulate",
    "simulate_pairs", "simulate_screen", "study", "table",
}  # fmt: skip
VERBS = sorted(name for name in sf.__all__ if inspect.isfunction(getattr(sf, name)) and name not in OWN_WORDS)


@cache
def given():
    """Return objects of every kind that a user may mistake for another."""
    fit = crossed_fit(draws=5)
    return {
        "fit": fit, "model": fit.model, "text": "log_fc ~ (1 | gene)", "table": fit.model.data, "none": None,
        "list": [fit], "dict": {"a": fit}, "number": 3, "summary": sf.fixef,
    }  # fmt: skip


def _right(verb):
    """Return the kinds that a verb takes as its first argument, and may refuse for another reason."""
    first = next(iter(inspect.signature(getattr(sf, verb)).parameters))
    by_name = {"fit": {"fit"}, "model": {"model"}, "formula": {"text", "list"}, "path": {"text"}}
    by_verb = {
        "equation": {"text", "list", "model"}, "spelling": {"text", "list", "model"}, "refit": {"fit", "model"},
        "update": {"fit", "model", "text", "list"}, "plot_pareto_k": {"fit"}, "recover": {"fit", "dict"},
        "plot_recoveries": {"dict"}, "glance": {"fit", "dict"}, "call_genes": {"fit", "table"},
    }  # fmt: skip
    tables = {"table", "effects", "matrix"}
    return by_verb.get(verb, {"table"} if first in tables else by_name.get(first, set()))


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_kind_is_named(verb):
    needed = [
        p for p in inspect.signature(getattr(sf, verb)).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]  # fmt: skip
    wrong = [name for name in given() if name not in _right(verb)]
    assert len(wrong) >= 5
    for name in wrong:
        with pytest.raises(sf.DataError, match=rf"^sf\.{verb}\(\): {needed[0].name} is ") as caught:
            getattr(sf, verb)(given()[name], *["gene"] * (len(needed) - 1))
        assert f"sf.{verb}(" in caught.value.remedy or verb == "load"


@pytest.mark.parametrize(
    ("verb", "kind", "text"),
    [
        (
            "varcorr",
            "model",
            "sf.varcorr(): fit is a Model.\nIt is a fit.\nFit it first: fit = sf.fit(model), then sf.varcorr(fit).",
        ),
        (
            "predict",
            "text",
            "sf.predict(): fit is a str.\nIt is a fit.\n"
            "Fit a model first: fit = sf.lmer('y ~ x + (1 | g)', data), then sf.predict(fit).",
        ),
        (
            "tidy",
            "dict",
            "sf.tidy(): fit is a dict.\nIt is a fit.\nGive one fit at a time: [sf.tidy(fit) for fit in fits.values()].",
        ),
        ("costs", "fit", "sf.costs(): model is a Fit.\nIt is a Model.\nWrite sf.costs(fit.model)."),
        (
            "to_pymc",
            "text",
            "sf.to_pymc(): model is a str.\nIt is a Model.\nWrite sf.to_pymc(sf.Model('y ~ x + (1 | g)', data)).",
        ),
        (
            "fit",
            "none",
            "sf.fit(): model is None.\nIt is a Model.\nWrite sf.fit(sf.Model('y ~ x + (1 | g)', data)).",
        ),
        (
            "plot_means",
            "model",
            "sf.plot_means(): means is a Model.\nIt is what sf.marginal_means returns.\n"
            "Write sf.plot_means(sf.marginal_means(fit, 'treatment')) with a fit.",
        ),
        (
            "plot_predictive",
            "model",
            "sf.plot_predictive(): check is a Model.\n"
            "It is what sf.prior_predictive or sf.posterior_predictive returns.\n"
            "Write sf.plot_predictive(sf.prior_predictive(model)).",
        ),
        (
            "plot_predictive",
            "fit",
            "sf.plot_predictive(): check is a Fit.\n"
            "It is what sf.prior_predictive or sf.posterior_predictive returns.\n"
            "Write sf.plot_predictive(sf.posterior_predictive(fit)).",
        ),
        (
            "plot_matrix",
            "fit",
            "sf.plot_matrix(): matrix is a Fit.\nIt is a pandas DataFrame.\n"
            "Write sf.plot_matrix(sf.effect_matrix(fit, 'gene', 'cell_line')).",
        ),
        (
            "plot_pareto_k",
            "table",
            "sf.plot_pareto_k(): estimate is a DataFrame.\nIt is a fit or what sf.loo returns.\n"
            "Fit a model first: fit = sf.lmer('y ~ x + (1 | g)', data), then sf.plot_pareto_k(fit).",
        ),
        (
            "explain",
            "model",
            "sf.explain(): formula is a Model.\nIt is a formula.\nWrite sf.explain(model.formula).",
        ),
    ],
)
def test_the_words(verb, kind, text):
    with pytest.raises(sf.DataError) as caught:
        getattr(sf, verb)(given()[kind])
    assert str(caught.value) == text


def test_a_truth_that_is_no_dictionary():
    with pytest.raises(sf.DataError) as caught:
        sf.recover(given()["fit"], "truth.json")
    assert str(caught.value) == (
        "sf.recover(): truth is a str.\nIt is a dictionary.\n"
        "Write truth={'Intercept': 1.0, 'sigma': 0.5}, a number for each parameter."
    )


def test_recoveries_are_of_fits():
    with pytest.raises(sf.DataError) as caught:
        sf.recover({"a": "y ~ x"}, {"Intercept": 0.0})
    assert str(caught.value) == (
        "'a' is a str.\nRecoveries are of fits with draws, by name.\n"
        "Write sf.recover({'with guides': fit, 'without': other}, truth)."
    )


def test_fits_by_group_are_taken_one_by_one():
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0] * 6, "g": list("aabbccdd") * 3, "part": ["u"] * 12 + ["v"] * 12})
    found = sf.fit_by("y ~ (1 | g)", data, "part", method="reml", cores=1, progress=False)
    with pytest.raises(sf.DataError) as caught:
        sf.ranef(found)
    assert str(caught.value) == (
        "sf.ranef(): fit is a GroupedFits.\nIt is a fit.\n"
        "Give one of its fits, or all in turn: [sf.ranef(fit) for fit in found.fits.values()]."
    )
    assert [len(sf.ranef(fit)) for fit in found.fits.values()] == [4, 4]


def test_keywords_and_pickling_work_as_before():
    assert sf.nobs(fit=given()["fit"]) == len(given()["table"])
    with pytest.raises(sf.DataError, match=r"^sf\.nobs\(\): fit is None\.\n"):
        sf.nobs(fit=None)
    with pytest.raises(sf.DataError, match=r"^sf\.nobs\(\): missing a required argument: 'fit'\.\n"):
        sf.nobs()
    assert pickle.loads(pickle.dumps(sf.nobs)) is sf.nobs
    assert inspect.signature(sf.fixef) == inspect.signature(sf.fixef.__wrapped__)


def test_later_arguments_are_the_verbs_own():
    assert list(sf.tidy(given()["fit"], effects="fixed")["effect"].unique()) == ["fixed"]


def test_what_takes_anything_is_handed_on():
    assert public(len_of_anything)([1, 2]) == 2
    assert inspect.signature(public(len_of_anything)) == inspect.signature(len_of_anything)


def len_of_anything(value):
    return len(value)
