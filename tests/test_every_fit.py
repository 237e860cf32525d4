"""Every public verb that takes a fit or a model, by every kind of fit: it answers, or says in our words why it cannot.

Fits by NUTS are made by hand here; the other engines are quick enough to be run.
"""

import inspect
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.refit import with_response
from tests.fakes import fake_fit

ROWS, LEVELS = 72, 6
QUICK = {"random_seed": 1, "progress": False, "draws": 60, "chains": 2}


@cache
def rows():
    """Return rows with a response for each family, crossed factors, weights, and a factor whose name has a slash."""
    rng = np.random.default_rng(3)
    place = np.arange(ROWS)
    table = pd.DataFrame({"x": rng.normal(size=ROWS), "g": np.array(list("pqrstu"))[place % LEVELS]})
    table["f"] = np.array(list("abc"))[place // 24]
    table["h"] = np.array(list("mnopq"))[(place // LEVELS) % 5]
    table["y"] = 1 + 0.5 * table["x"] + rng.normal(size=LEVELS)[place % LEVELS] + rng.normal(0, 0.5, ROWS)
    table["a/b"], table["w"] = table["g"], rng.uniform(0.5, 2, ROWS)
    table["k"] = rng.poisson(np.exp(0.5 + 0.3 * table["x"]))
    table["s"] = rng.binomial(5, 0.4, ROWS)
    table["d"] = place % 3
    table["left"] = np.where(table["y"] < 0, "left", "none")
    levels = ["low", "mid", "high"]
    table["u"] = pd.Categorical(np.array(["bus", "car", "train"])[place % 7 % 3])
    table[["n1", "n2", "n3"]] = rng.multinomial(9, [0.3, 0.3, 0.4], ROWS)
    table["o"] = pd.Categorical(np.array(levels)[np.digitize(table["y"], [0.5, 1.5])], levels, ordered=True)
    return table


def _merged(folder):
    table = pd.DataFrame({"f": np.tile(list("aabbcc"), 12), "g": np.repeat(list("pqrstu"), 12)})
    table["y"] = np.random.default_rng(4).normal(size=len(table))
    table.to_csv(folder / "rows.csv", index=False)
    return sf.lmer("y ~ f + (1|g)", sf.scan(folder / "rows.csv", merge=True), **QUICK)


def _by_hand(formula, family="gaussian", centres=None, matrices=None):
    return lambda _: fake_fit(sf.Model(formula, rows(), family=family, matrices=matrices), centres, chains=2, draws=60)


# seven levels, one of which has no row
RELATED = {"A": pd.DataFrame(0.4 + 0.6 * np.eye(7), list("pqrstuv"), list("pqrstuv"))}


FITS: dict[str, Callable] = {
    "exact": lambda _: sf.lmer("y ~ x + f + (1|g)", rows(), **QUICK),
    "slopes": lambda _: sf.lmer("y ~ x + f + (x|`a/b`)", rows(), **QUICK),
    "no group": lambda _: sf.lmer("y ~ x + f", rows(), **QUICK),
    "no term": lambda _: sf.lmer("y ~ 1", rows(), **QUICK),
    "crossed": lambda _: sf.lmer("y ~ x * f + (1|g/h)", rows(), **QUICK),
    "keep none": lambda _: sf.lmer("y ~ x + f + (1|g)", rows(), keep=(), **QUICK),
    "weights": lambda _: sf.lmer("y ~ x + f + (1|g)", rows(), weights="w", **QUICK),
    "merged": _merged,
    "structure": lambda _: sf.lmer("y ~ x + f + cs(f|g)", rows(), **QUICK),
    "reml structure": lambda _: sf.lmer("y ~ x + f + ar1(0 + f|g, hom = FALSE)", rows(), method="reml"),
    "laplace structure": lambda _: sf.glmer("k ~ x + f + cs(f|g)", rows(), family="poisson", method="laplace"),
    "poisson structure": _by_hand("k ~ x + f + cs(f|g)", "poisson", {"Intercept": 0.1, "cor|g": 0.3}),
    "relatives": lambda _: sf.lmer("y ~ x + f + (1|gr(g, cov = A))", rows(), matrices=RELATED, **QUICK),
    "reml relatives": lambda _: sf.lmer(
        "y ~ x + f + (x|gr(g, cov = A)) + (1|g)", rows(), matrices=RELATED, method="reml"
    ),
    "laplace relatives": lambda _: sf.glmer(
        "k ~ x + f + (1|gr(g, cov = A))", rows(), family="poisson", matrices=RELATED, method="laplace"
    ),
    "poisson relatives": _by_hand("k ~ x + f + (1|gr(g, cov = A)) + (1|g)", "poisson", {"Intercept": 0.1}, RELATED),
    "smooth": lambda _: sf.lmer("y ~ s(x, k=6) + f + (1|g)", rows(), **QUICK),
    "curves": lambda _: sf.lmer('y ~ f + s(x, by=f, k=4) + s(x, g, bs="fs", k=4)', rows(), **QUICK),
    "reml smooth": lambda _: sf.lmer("y ~ s(x, k=6) + f + (1|g)", rows(), method="reml"),
    "laplace smooth": lambda _: sf.glmer("k ~ s(x, k=6) + f + (1|g)", rows(), family="poisson", method="laplace"),
    "poisson smooth": _by_hand("k ~ s(x, k=6) + f + (1|g)", "poisson", {"Intercept": 0.1}),
    "process": lambda _: sf.lmer("y ~ gp(x, m=5) + f + (1|g)", rows(), **QUICK),
    "reml processes": lambda _: sf.lmer("y ~ gp(x, m=5, by=f) + f + (1|g)", rows(), method="reml"),
    "laplace process": lambda _: sf.glmer("k ~ gp(x, m=5) + f + (1|g)", rows(), family="poisson", method="laplace"),
    "poisson process": _by_hand("k ~ gp(x, m=5) + f + (1|g)", "poisson", {"Intercept": 0.1, "ell|gp(x)": 1.0}),
    "monotonic": _by_hand("y ~ mo(d) + x + f + (1|g)", centres={"mo(d)": 0.3}),
    "members": lambda _: sf.lmer("y ~ x + f + (x|mm(g, h)) + (1|g)", rows(), **QUICK),
    "reml members": lambda _: sf.lmer("y ~ x + f + (1|mm(g, h)) + (1|g:h)", rows(), method="reml"),
    "poisson members": _by_hand("k ~ x + f + (1|mm(g, h))", "poisson", {"Intercept": 0.1}),
    "errors": lambda _: sf.lmer("se(y, w) ~ x + f + (1|g)", rows(), **QUICK),
    "reml errors": lambda _: sf.lmer("se(y, w) ~ x + f + (1|g)", rows(), method="reml"),
    "reml": lambda _: sf.lmer("y ~ x + f + (1|g)", rows(), method="reml"),
    "reml slopes": lambda _: sf.lmer("y ~ x + f + (x|`a/b`)", rows(), method="reml"),
    "ml": lambda _: sf.lmer("y ~ x + f + (1|g)", rows(), method="ml"),
    "laplace": lambda _: sf.glmer("k ~ x + f + (1|g)", rows(), family="poisson", method="laplace"),
    "poisson": _by_hand("k ~ x + f + (x|`a/b`)", "poisson", {"Intercept": 0.1, "cor|a÷b": 0.3}),
    "sigma": _by_hand(["y ~ x + f + (1|g)", "sigma ~ x + (x|`a/b`)"], "gaussian", {"sigma_cor|a÷b": 0.3}),
    "alpha": _by_hand(["k ~ x + (1|g)", "alpha ~ f"], "negativebinomial", {"Intercept": 0.1}),
    "cumulative": _by_hand("o ~ x + (1|g)", "cumulative", {"threshold": np.array([-1.0, 1.0])}),
    "sratio": _by_hand("o ~ x", "sratio", {"threshold": np.array([-1.0, 1.0])}),
    "categorical": _by_hand("u ~ x + f + (1|g)", "categorical"),
    "multinomial": _by_hand("cbind(n1, n2, n3) ~ x + f + (x|g)", "multinomial", {"mun2_cor|g": 0.3, "mun3_cor|g": 0.3}),
    "Dirichlet-multinomial": _by_hand("cbind(n1, n2, n3) ~ x + (1|g)", "dirichlet_multinomial"),
    "cbind": _by_hand("cbind(s, 5 - s) ~ x + (1|g)", "binomial", {"Intercept": 0.1}),
    "zero-inflated": _by_hand("k ~ x + (1|g)", "zero_inflated_poisson", {"Intercept": 0.1, "psi": 0.5}),
    "t": _by_hand("y ~ x + (1|g)", "t", {"nu": 5.0}),
    "censored": _by_hand("censored(y, left) ~ x + (1|g)"),
    "coded": lambda _: sf.lmer("y ~ C(f, sum) * x + (C(f, sdif)|g)", rows(), **QUICK),
    "coded reml": lambda _: sf.lmer("y ~ f * x + (1|g)", rows(), method="reml", contrasts={"f": "poly"}),
}

TRUTH = {"Intercept": 0.0, "x": 0.5, "1|g": dict(zip("pqrstu", range(6), strict=True))}


@cache
def _means(fit):
    return sf.marginal_means(fit, "f")


@cache
def _recovered(fit):
    return sf.recover(fit, TRUTH)


@cache
def _compared(fit):
    return sf.compare({"a": fit, "b": fit})


@cache
def _ranked(fit):
    return sf.rank_genes(fit, gene="g")


# Each takes a fit and a folder to write to; verbs of a model are given the fit's.
VERBS: dict[str, Callable] = {
    "anova": lambda fit, _: sf.anova(fit, fit),
    "avg_comparisons": lambda fit, _: sf.avg_comparisons(fit, "x"),
    "avg_predictions": lambda fit, _: sf.avg_predictions(fit),
    "avg_slopes": lambda fit, _: sf.avg_slopes(fit),
    "bootstrap": lambda fit, _: sf.bootstrap(fit, 2, random_seed=1),
    "compare": lambda fit, _: _compared(fit),
    "comparisons": lambda fit, _: sf.comparisons(fit, "x"),
    "contrasts": lambda fit, _: sf.contrasts(_means(fit), "pairwise"),
    "costs": lambda fit, _: sf.costs(fit.model),
    "drop1": lambda fit, _: sf.drop1(fit),
    "effect_matrix": lambda fit, _: sf.effect_matrix(fit, "g", "h"),
    "equation": lambda fit, _: sf.equation(fit.model),
    "explain": lambda fit, _: sf.explain(
        fit.model.formula, fit.model.data, family=fit.model.family.name, matrices=fit.model.matrices or None
    ),
    "guide_table": lambda fit, _: sf.guide_table(fit, gene="g", guide="h"),
    "hypothesis": lambda fit, _: sf.hypothesis(fit, "Intercept > 0"),
    "level_effects": lambda fit, _: sf.level_effects(fit, "g"),
    "marginal_means": lambda fit, _: _means(fit),
    "pairs": lambda fit, _: sf.pairs(_means(fit)),
    "call_genes": lambda fit, _: sf.call_genes(fit, gene="g", guide="h"),
    "plan_screen": lambda fit, _: sf.plan_screen(guides=2, like=fit, gene="g", guide="h"),
    "plot_compare": lambda fit, _: sf.plot_compare(_compared(fit)),
    "plot_coverage": lambda fit, _: sf.plot_coverage(_recovered(fit)),
    "plot_influence": lambda fit, _: sf.plot_influence(sf.influence(fit)),
    "plot_intervals": lambda fit, _: sf.plot_intervals(_recovered(fit), "g"),
    "plot_matrix": lambda fit, _: sf.plot_matrix(sf.effect_matrix(fit, "g", "h")),
    "plot_means": lambda fit, _: sf.plot_means(_means(fit)),
    "plot_parameters": lambda fit, _: sf.plot_parameters(_recovered(fit)),
    "plot_predictions": lambda fit, _: sf.plot_predictions(fit, "x"),
    "plot_predictive": lambda fit, _: sf.plot_predictive(sf.posterior_predictive(fit, 10, random_seed=1)),
    "plot_ranks": lambda fit, _: sf.plot_ranks(_ranked(fit)),
    "plot_recoveries": lambda fit, _: sf.plot_recoveries(sf.recover({"a": fit, "b": fit}, TRUTH), "g"),
    "plot_recovery": lambda fit, _: sf.plot_recovery(_recovered(fit)),
    "plot_volcano": lambda fit, _: sf.plot_volcano(_ranked(fit)),
    "posterior_predictive": lambda fit, _: sf.posterior_predictive(fit, 10, random_seed=1),
    "predict": lambda fit, _: sf.predict(fit, fit.model.data.head(3)),
    "predictions": lambda fit, _: sf.predictions(fit, newdata=fit.model.data.head(3)),
    "prior_predictive": lambda fit, _: sf.prior_predictive(fit.model, 10, random_seed=1),
    "rank_genes": lambda fit, _: _ranked(fit),
    "rank_pairs": lambda fit, _: sf.rank_pairs(fit, genes=("g", "h")),
    "recover": lambda fit, _: _recovered(fit),
    "refit": lambda fit, _: sf.refit(fit, fit.model.design.response),
    "render_table": lambda fit, _: sf.render_table(fit),
    "report": lambda fit, folder: sf.report(fit, folder / "report.html"),
    "save": lambda fit, folder: sf.save(fit, folder / "fit.sf"),
    "selectivity": lambda fit, _: sf.selectivity(fit, "g", "h"),
    "simulate": lambda fit, _: sf.simulate(fit, random_seed=1),
    "slopes": lambda fit, _: sf.slopes(fit, "x"),
    "table": lambda fit, folder: sf.table({"a": fit, "b": fit}, folder / "models.md", loo=False),
    "spelling": lambda fit, _: sf.spelling(fit.model, "brms"),
    "to_arviz": lambda fit, _: sf.to_arviz(fit, prior_draws=20, random_seed=1),
    "to_bambi": lambda fit, _: sf.to_bambi(fit.model),
    "to_pymc": lambda fit, _: sf.to_pymc(fit.model),
    "update": lambda fit, _: sf.update(fit.model, ". ~ . - x"),
}  # fmt: skip
ALONE = (
    "augment", "check_model", "check_residuals", "coef", "confint", "diagnose", "family_parameters", "fitted", "fixef",
    "glance", "icc", "influence", "is_singular", "kfold", "log_likelihood", "loo", "monotonic", "near_singular",
    "ngrps", "nobs",
    "plot", "plot_effects", "plot_fixed", "plot_pareto_k", "plot_priors", "plot_residuals", "plot_shrinkage",
    "plot_smooths", "plot_variances", "r2", "ranef", "reference_grid", "residuals", "sensitivity", "sigma", "smooths",
    "tidy", "varcorr",
)  # fmt: skip
VERBS |= {name: lambda fit, _, verb=name: getattr(sf, verb)(fit) for name in ALONE}

NOT_OF_A_FIT = {
    "Model", "fit", "fit_by", "from_bambi", "glmer", "lmer", "load", "pedigree", "scan", "study", "power", "calibrate",
    "plot_bootstrap", "plot_plan", "plot_quality", "read_pairs", "screen_quality", "to_anndata",
    "plot_calibration", "plot_study", "control_separation", "plot_separation", "read_fold_changes", "read_screen",
    "scale_effects", "simulate_pairs", "simulate_screen", "adjust_fold_changes", "plot_calls",
}  # fmt: skip
LONG = ("kfold", "refit", "report", "to_bambi", "to_pymc")  # these sample, compile or draw many pictures

_CROSSED = {"effect_matrix", "guide_table", "plan_screen", "plot_matrix", "selectivity"}
_OF_G = {*_CROSSED, "level_effects", "plot_intervals", "plot_ranks", "plot_recoveries", "plot_volcano", "rank_genes"}
_GROUPS = {*_OF_G, "plot_coverage", "plot_effects", "plot_recovery", "plot_shrinkage"}
_OVER_ROWS = {"avg_comparisons", "avg_predictions", "avg_slopes", "comparisons", "predictions"}
_MEANS = {"contrasts", "marginal_means", "pairs", "plot_means"}
_COMPARED = {"compare", "loo", "log_likelihood", "plot_compare", "plot_pareto_k", "kfold"}
_SINGLE = {"augment", "influence", "plot_influence", "plot_residuals", "residuals"}
# Each level has a linear predictor of its own, which has to be named; it has no order, and so no residuals.
_LEVELS = {
    *_OF_G,
    *_MEANS,
    *_SINGLE,
    "anova",
    "check_residuals",
    "hypothesis",
    "icc",
    "plot_predictions",
    "plot_shrinkage",
    "r2",
    "reference_grid",
    "refit",
    "slopes",
}
_DRAWS = {
    *_COMPARED, "diagnose", "near_singular", "plot_coverage", "plot_intervals", "plot_parameters",
    "plot_priors", "plot_recoveries", "plot_recovery", "plot_shrinkage", "recover", "sensitivity", "to_arviz",
}  # fmt: skip
# What each kind refuses, all else answers: it lacks the term that is asked for, the draws, or single rows.
REFUSED = {
    "exact": _CROSSED,
    "slopes": _OF_G,
    "no group": _GROUPS,
    "no term": {
        *_GROUPS, *_MEANS, "avg_comparisons", "avg_slopes", "comparisons", "plot_predictions", "slopes", "update",
    },
    "crossed": set(),
    "keep none": {
        *_GROUPS, *_OVER_ROWS, *_SINGLE, "fitted", "kfold", "log_likelihood", "plot_parameters", "plot_predictive",
        "posterior_predictive", "predict", "recover", "sensitivity", "to_arviz",
    },
    "weights": _CROSSED,
    "merged": {
        "avg_comparisons", "comparisons", "plot_predictions",
        *_CROSSED, *_COMPARED, *_SINGLE, "anova", "check_residuals", "plot_predictive", "plot_recoveries",
        "posterior_predictive", "prior_predictive", "refit", "sensitivity", "simulate", "slopes",
        "to_arviz", "to_bambi", "to_pymc", "update",
    },
    "relatives": _CROSSED,
    "reml relatives": {*_CROSSED, *_DRAWS},
    "laplace relatives": {*_CROSSED, *_DRAWS},
    "poisson relatives": {*_CROSSED, "plot_shrinkage"},
    "structure": _CROSSED,
    "reml structure": {*_OF_G, *_DRAWS},
    "laplace structure": {*_CROSSED, *_DRAWS},
    "poisson structure": {*_CROSSED, "plot_shrinkage"},
    "smooth": {*_CROSSED, "update"},
    "curves": {*_GROUPS, "update"},
    "reml smooth": {*_CROSSED, *_DRAWS, "update"},
    "laplace smooth": {*_CROSSED, *_DRAWS, "update"},
    "poisson smooth": {*_CROSSED, "plot_shrinkage", "update"},
    "monotonic": {*_CROSSED, "anova"},
    "process": {*_CROSSED, "update"},
    "reml processes": {*_CROSSED, *_DRAWS, "update"},
    "laplace process": {*_CROSSED, *_DRAWS, "update"},
    "poisson process": {*_CROSSED, "plot_shrinkage", "update"},
    "members": {*_CROSSED, "to_bambi", "plot_shrinkage"},
    "reml members": {*_OF_G, *_DRAWS, "to_bambi"},
    "poisson members": {*_OF_G, "to_bambi", "plot_coverage", "plot_recovery", "plot_shrinkage"},
    "errors": {*_CROSSED, "icc", "r2"},
    "reml errors": {*_CROSSED, *_DRAWS, "icc", "r2"},
    "reml": {*_CROSSED, *_DRAWS},
    "reml slopes": {*_OF_G, *_DRAWS},
    "ml": {*_CROSSED, *_DRAWS},
    "laplace": {*_CROSSED, *_DRAWS},
    "poisson": {*_OF_G, "plot_shrinkage"},
    "sigma": {*_CROSSED, "anova", "icc", "r2", "sigma"},
    "alpha": {*_CROSSED, *_MEANS, "anova", "icc", "plot_shrinkage", "r2"},
    "cumulative": {*_CROSSED, *_MEANS, *_SINGLE, "hypothesis", "plot_predictions", "plot_shrinkage", "refit"},
    "sratio": {*_GROUPS, *_MEANS, *_SINGLE, "hypothesis", "icc", "plot_predictions", "plot_variances", "r2", "refit"},
    "categorical": _LEVELS - {"plot_intervals", "plot_recoveries"},
    "multinomial": _LEVELS - {"plot_intervals", "plot_recoveries"},
    "Dirichlet-multinomial": _LEVELS - {"plot_intervals", "plot_recoveries"},
    "cbind": {*_CROSSED, *_MEANS, "plot_shrinkage", "refit"},
    "zero-inflated": {*_CROSSED, *_MEANS, "icc", "plot_shrinkage", "r2"},
    "t": {*_CROSSED, *_MEANS, "icc", "r2"},
    "censored": {*_CROSSED, *_MEANS, *_SINGLE, "anova", "check_residuals", "refit"},
    "coded": _CROSSED,
    "coded reml": {*_CROSSED, *_DRAWS},
}  # fmt: skip
POINTS = ("reml", "reml slopes", "reml structure", "laplace structure", "reml members", "ml", "laplace", "coded reml")
POINTS += ("reml errors", "reml smooth", "laplace smooth", "reml relatives", "laplace relatives")
POINTS += ("reml processes", "laplace process")
SMOOTHS = ("smooth", "curves", "reml smooth", "laplace smooth", "poisson smooth")
SMOOTHS += ("process", "reml processes", "laplace process", "poisson process")
REFUSED = {kind: refused | (set() if kind in POINTS else {"bootstrap", "drop1"}) for kind, refused in REFUSED.items()}
REFUSED = {kind: refused | (set() if kind == "reml members" else {"rank_pairs"}) for kind, refused in REFUSED.items()}
REFUSED = {kind: refused | {"call_genes"} for kind, refused in REFUSED.items()}  # of fifty genes or more only
REFUSED = {kind: refused | (set() if kind == "monotonic" else {"monotonic"}) for kind, refused in REFUSED.items()}
REFUSED = {
    kind: refused | (set() if kind in SMOOTHS else {"plot_smooths", "smooths"}) for kind, refused in REFUSED.items()
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return each kind of fit, made when it is first asked for, and a folder."""
    fits = {}

    def give(kind):
        if kind not in fits:
            fits[kind] = FITS[kind](tmp_path_factory.mktemp("fits"))
        return fits[kind], tmp_path_factory.getbasetemp()

    return give


def test_no_verb_is_left_out():
    functions = {name for name in sf.__all__ if inspect.isfunction(getattr(sf, name))}
    assert functions - set(VERBS) == NOT_OF_A_FIT - {"Model"}


def _refused(call, fit, folder):
    """Return whether a verb refuses; any error but ours, and any warning, ends the test."""
    try:
        call(fit, folder)
    except sf.SpecletError:
        return True
    return False


@pytest.mark.mostly_slow("exact")
@pytest.mark.parametrize("kind", FITS)
def test_every_verb_answers_or_says_why_not(made, kind):
    fit, folder = made(kind)
    refused = {verb for verb, call in VERBS.items() if verb not in LONG and _refused(call, fit, folder)}
    assert refused == REFUSED[kind] - set(LONG)
    assert repr(fit)
    assert fit._repr_html_()


@pytest.mark.parametrize(("number", "kind"), list(enumerate(FITS)))
def test_some_verbs_answer_or_say_why_not(made, number, kind):
    """A first look, with five verbs or so of each kind."""
    fit, folder = made(kind)
    some = [verb for verb in VERBS if verb not in LONG][number % 12 :: 12]
    assert {verb for verb in some if _refused(VERBS[verb], fit, folder)} == REFUSED[kind] & set(some)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FITS)
def test_every_long_verb_answers_or_says_why_not(made, kind):
    fit, folder = made(kind)
    sampled = {"kfold", "refit"} if fit.method == "nuts" else set()
    tried = [verb for verb in LONG if verb not in sampled]
    assert {verb for verb in tried if _refused(VERBS[verb], fit, folder)} == REFUSED[kind] & set(tried)


def test_priors_of_a_factor_with_a_slash_are_named_as_it_is():
    changes = {"1|a/b": sf.Prior("Normal", mu=0, sigma=sf.Prior("Exponential", lam=2)),
               "x | `a/b`_sigma": sf.Prior("Exponential", lam=3), "cor|a/b": sf.Prior("LKJ", eta=4)}  # fmt: skip
    slots = {slot.slot: slot for slot in sf.Model("y ~ x + (x | `a/b`)", rows(), priors=changes).slots}
    assert {name for name, slot in slots.items() if slot.source == "user"} == {"1|a÷b", "x|a÷b", "cor|a÷b"}
    assert str(slots["cor|a÷b"].prior) == "LKJ(eta=4)"


def test_a_response_is_replaced_where_sigma_has_a_formula(made):
    fit, _ = made("sigma")
    again = with_response(fit.model, fit.model.design.response)
    assert [(slot.slot, slot.prior) for slot in again.slots] == [(slot.slot, slot.prior) for slot in fit.model.slots]
