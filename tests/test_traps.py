"""What the stack below lets through in silence, row by row, and what the package answers: the exact text or number.

An index: each row has one test here. Where a room's own tests go further, they are named beside it; rows that need a
posterior are marked slow.
"""

import re
from dataclasses import replace

import arviz
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pymc as pm
import pytest
import xarray as xr

import speclet_formula as sf
from speclet_formula.comparison.loo import count_high_k
from speclet_formula.design import replay_design
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import FUNCTIONS
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction import linear_predictor, log_likelihood
from tests.fakes import correlated_fit, crossed_fit, fake_fit
from tests.fuzz.checks import watched

N = 48
_RNG = np.random.default_rng(3)
DATA = pd.DataFrame(
    {
        "y": _RNG.normal(size=N), "x": _RNG.gamma(2.0, size=N), "z": _RNG.normal(size=N), "f": np.tile(list("uvw"), 16),
        "g": np.repeat(list("abcdef"), 8), "gene": np.repeat(list("ABCDEF"), 8), "treated": _RNG.gamma(5.0, size=N),
        "sgRNA": [f"{'ABCDEF'[row // 8]}{row % 2}" for row in range(N)],
    }
)  # fmt: skip
COLUMNS = "Columns: y, x, z, f, g, gene, treated, sgRNA."


def answer(act):
    """Give the text of the package's own error."""
    with pytest.raises(sf.SpecletError) as error:
        act()
    assert all((error.value.problem, error.value.allowed, error.value.remedy))
    return f"{type(error.value).__name__}: {error.value}"


def blocks(formula, data=DATA):
    return [block.columns for block in sf.Model(formula, data).design.mean.groups]


# --- formula: further texts in tests/formula and tests/design/test_errors.py ------------------------------------------

REFUSED = {
    "y ~ x|g": (
        "y ~ x|g\n     ^\n'|' stands outside parentheses.\nA group term stands in parentheses: (x | g).\n"
        "Write (x | g) for correlated effects, (x || g) for uncorrelated ones."
    ),
    "y ~ x, z": (
        "y ~ x, z\n     ^\n',' does not join terms.\n"
        "Terms are joined by an operator; ',' separates the arguments of a call.\nWrite '+' in its place."
    ),
    "y ~ x + 1e-3*z + (1|g)": (
        "y ~ x + 1e-3*z + (1|g)\n        ^\n'1e-3' is a number, not a term.\n"
        "The only numbers among the terms are 1 and 0, with and without intercept.\n"
        "Write arithmetic inside I(), such as I(1e-3 * x)."
    ),
    "y ~ x +": (
        "y ~ x +\n       ^\nthe formula ends after '+'.\nA column, a call, 0, 1 or '(' is expected here.\n"
        "Add what belongs after '+', or take '+' out."
    ),
    "(1|": (
        "(1|\n   ^\nthe formula ends before the '(' of '(1|' is closed.\n"
        "A column, a call, 0, 1 or '(' is expected here.\nWrite what belongs there, and close the parenthesis with ')'."
    ),
    "y ~ (1|g": (
        "y ~ (1|g\n        ^\nthe formula ends before the '(' of '(1|g' is closed.\n')' is expected here.\n"
        "Close the parenthesis with ')'."
    ),
    "y ~ zz": f"y ~ zz\n    ^\nno column 'zz' in the data.\n{COLUMNS}\nNearest: z.",
    "y ~ x + (1|sgrna)": (
        f"y ~ x + (1|sgrna)\n           ^\nno column 'sgrna' in the data.\n{COLUMNS}\nNearest: sgRNA."
    ),
    "y ~ x + (1|nope)": (
        f"y ~ x + (1|nope)\n           ^\nno column 'nope' in the data.\n{COLUMNS}\n"
        "Check the spelling, or add the column to the data."
    ),
    "y ~ lambda x: x": (
        "y ~ lambda x: x\n           ^\n'x' follows 'lambda' without an operator.\n"
        "An operator such as + - * / : is expected here.\n"
        "Write the operator, or back-quotes around a column whose name has a blank."
    ),
    "y ~ x.__class__": (
        f"y ~ x.__class__\n    ^\nno column 'x.__class__' in the data.\n{COLUMNS}\n"
        "Check the spelling, or add the column to the data."
    ),
}


@pytest.mark.parametrize("formula", REFUSED)
def test_what_has_no_meaning_points_at_the_place(formula):
    assert answer(lambda: sf.Model(formula, DATA)) == f"FormulaError: {REFUSED[formula]}"


CODE = ["__import__('os').system('true')", "x.mean()", "eval('x')", "getattr(x, '__class__')", "open('x')"]


@pytest.mark.parametrize("code", CODE)
def test_code_is_not_run(code):
    parse_formula("y ~ x")
    function = code.split("(")[0]
    for formula, place in [(f"y ~ {code}", 4), (f"{code} ~ x", 0), (f"y ~ (1 | {code})", 9), (f"y ~ I({code})", 6)]:
        with watched():
            text = answer(lambda formula=formula: parse_formula(formula))
        callable_ = ", ".join(sorted(FUNCTIONS, key=lambda word: (word.lower(), word)))
        head = f"FormulaError: {formula}\n{' ' * place}^\n'{function}' is not a function that a formula can call.\n"
        assert text.startswith(f"{head}A formula can call {callable_}.\n")
        assert text.endswith("your own function in functions=.")


MEANINGS = {  # as lme4 and R expand it
    "y ~ (x||g)": "y ~ 1 + (1 + x || g)",
    "y ~ (x + z + f)^2": "y ~ 1 + x + z + f + x:z + x:f + z:f",
    "y ~ (x - 1|g)": "y ~ 1 + (0 + x | g)",
    "y ~ factor(x) + log(x)": "y ~ 1 + factor(x) + log(x)",
    "y ~ f %in% g": "y ~ 1 + f:g",
    "y ~ (1 + x|g)": "y ~ 1 + (1 + x | g)",
    "y ~ (1|gene/sgRNA)": "y ~ 1 + (1 | gene) + (1 | gene:sgRNA)",
}


@pytest.mark.parametrize("formula", MEANINGS)
def test_it_means_what_it_means_in_lme4(formula):
    assert str(sf.Model(formula, DATA).formula) == MEANINGS[formula]


def test_cbind_and_the_dot_mean_what_they_mean_in_lme4():
    counts = pd.DataFrame({"s": [1, 2, 3, 4], "f": [3, 2, 1, 0], "x": [1.0, 2, 4, 3], "w": [0.0, 1, 1, 2]})
    model = sf.Model("cbind(s, f) ~ .", counts, family="binomial")
    assert str(model.formula) == "cbind(s, f) ~ 1 + x + w"
    np.testing.assert_array_equal(model.design.response, counts["s"])
    np.testing.assert_array_equal(model.design.trials, [4, 4, 4, 4])


CODED = {  # numbers against lme4 in tests/inference/test_odd_formulas.py
    "y ~ (x:f|g)": [("1", "x:f[u]", "x:f[v]", "x:f[w]")],
    "y ~ (1|g) + (0 + f|g)": [("1",), ("f[u]", "f[v]", "f[w]")],
    "y ~ (f|g)": [("1", "f[v]", "f[w]")],
    "y ~ (0 + f|g)": [("f[u]", "f[v]", "f[w]")],
}


@pytest.mark.parametrize("formula", CODED)
def test_factors_in_a_block_have_rs_coding(formula):
    assert blocks(formula) == CODED[formula]


def test_an_intercept_and_a_slope_are_correlated():
    (block,) = sf.Model("y ~ (1 + x|g)", DATA).design.mean.groups
    assert block.correlated
    assert [slot.slot for slot in sf.Model("y ~ (1 + x|g)", DATA).slots][1:4] == ["1|g", "x|g", "cor|g"]
    assert "cor|g" in sf.to_pymc(sf.Model("y ~ (1 + x|g)", DATA)).named_vars


@pytest.mark.parametrize("formula", ["log_fc ~ (1|gene:sgRNA)", "log_fc ~ (1|gene/sgRNA)"])
def test_only_observed_combinations_are_levels(formula):
    data, _ = sf.datasets.m7()
    model = sf.Model(formula, data)
    assert len(model.design.mean.groups[-1].levels) == 55
    effects = sf.to_pymc(model)["1|gene:sgRNA"]
    assert effects.type.ndim == 1
    assert effects.eval().shape == (55,)


@pytest.mark.slow
def test_names_with_a_slash_work_in_both_engines():
    data = DATA.assign(control=DATA["x"], **{"plate/well": DATA["g"]})
    model = sf.Model("log(treated/control) ~ I(z / 2) + (1|`plate/well`)", data)
    assert model.design.response_name == "log(treated / control)"
    assert {"I(z ÷ 2)", "1|plate÷well"} <= set(sf.to_pymc(model).named_vars)
    fit = sf.fit(model, draws=100, chains=2, random_seed=1, progress=False, method="exact")
    assert sf.fixef(fit)["term"].to_list() == ["Intercept", "I(z / 2)"]


# --- data: further texts in tests/design/test_errors.py and tests/model -----------------------------------------------


def test_the_analysts_order_of_categories_stands():
    arm = pd.Categorical(np.where(DATA["x"] > 2, "treated", "vehicle"), categories=["vehicle", "treated"])
    model = sf.Model("y ~ arm", DATA.assign(arm=arm))
    assert model.design.mean.fixed[1].columns == ("arm[treated]",)
    np.testing.assert_array_equal(model.design.mean.X[:, 1], DATA["x"] > 2)


GAP = DATA.assign(x=DATA["x"].where(DATA.index % 24 != 3))
INFINITE = DATA.assign(x=DATA["x"].where(DATA.index != 3, np.inf))
BAD_DATA = {
    "a missing value": ("y ~ x", GAP, (
        "2 of 48 rows have missing values, in 'x' (2).\nEvery column that the formula uses must be complete.\n"
        "Write missing='drop' to leave these rows out, or fill the values in yourself before the fit."
    )),
    "made by the formula": ("y ~ log(q)", DATA.assign(q=np.where(DATA.index % 24 == 3, -1.0, 1 + DATA["x"])), (
        "'log(q)' is not a finite number in 2 of 48 rows (counted from 0: 3, 27).\n"
        "Every value that the formula makes must be finite.\n"
        "Often a log of zero or of a negative number: add a pseudo-count, or drop those rows first."
    )),
    "infinite": ("y ~ x", INFINITE, (
        "column 'x' has 1 infinite values, the first in row 3.\nNumbers must be finite.\n"
        "Often a log of zero: add a pseudo-count before the log, or drop those rows."
    )),
    "text as response": ("g ~ x", DATA, (
        "the response 'g' holds labels (a, b, c and 3 more), not numbers.\n"
        "The response is numeric; a factor of two levels serves a bernoulli family.\n"
        "Convert the column to numbers, or choose the family that fits it."
    )),
    "no rows": ("y ~ x", DATA.iloc[:0], (
        "the data have no rows.\nA model needs at least one row.\nCheck the filter or the file that made them."
    )),
    "a column twice": ("y ~ x", pd.concat([DATA, DATA[["x"]]], axis=1), (
        "the data have several columns named 'x'.\nEach column that a formula uses must have a name of its own.\n"
        "Rename or drop one: data.loc[:, ~data.columns.duplicated()]."
    )),
    "mixed types": ("y ~ (1|g)", DATA.assign(g=pd.Series([1, "1"] * 24, dtype=object)), (
        "column 'g' mixes values of the types int, str.\nA column holds numbers, or labels that are all text.\n"
        "Convert it: data['g'] = data['g'].astype(str)."
    )),
    "a column of zeros": ("y ~ w", DATA.assign(w=0.0), (
        "'w' is constant: it is 0 in every row.\n"
        "A fixed term must vary, since a constant one cannot be told from the intercept.\n"
        "Leave 'w' out, or write 1 for an intercept."
    )),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_DATA)
def test_bad_data_are_refused_before_anything_is_fitted(what):
    formula, data, text = BAD_DATA[what]
    assert answer(lambda: sf.Model(formula, data)) == f"DataError: {text}"


def test_missing_rows_are_dropped_when_asked_for_and_counted():
    model = sf.Model("y ~ x", GAP, missing="drop")
    assert (model.n_dropped, len(model.design.response)) == (2, 46)
    assert "Rows: 46 (2 dropped: missing values)" in repr(model)


def test_booleans_work():
    model = sf.Model("hit ~ flag", DATA.assign(hit=DATA["y"] > 0, flag=DATA["z"] > 0), family="bernoulli")
    np.testing.assert_array_equal(model.design.response, DATA["y"] > 0)
    np.testing.assert_array_equal(model.design.mean.X[:, 1], DATA["z"] > 0)


DOUBTFUL = {  # the words in tests/model/test_inspection.py
    "as_many_effects_as_rows": ("y ~ (1|r)", DATA.assign(r=[f"r{row}" for row in range(N)])),
    "one_level": ("y ~ (1|r)", DATA.assign(r="a")),
    "singletons": ("y ~ (1|r)", DATA.assign(r=["a"] * 36 + [f"r{row}" for row in range(12)])),
    "nested_in_two_parents": ("y ~ (1|gene) + (1|r)", DATA.assign(r=[*DATA["sgRNA"][:-1], "A0"])),
    "collinear": ("y ~ x + w", DATA.assign(w=2 * DATA["x"])),
    "empty_cells": ("y ~ 0 + gene:sgRNA", DATA),
}  # fmt: skip


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_what_is_doubtful_is_a_finding(kind):
    formula, data = DOUBTFUL[kind]
    finding = {finding.kind: finding for finding in sf.Model(formula, data).findings}[kind]
    assert all((finding.what, finding.why, finding.remedy))
    assert str(finding) in " ".join(repr(sf.Model(formula, data)).split())


@pytest.mark.parametrize(
    "convert", [pl.from_pandas, pa.Table.from_pandas, lambda t: {name: t[name].to_numpy() for name in t}]
)
def test_other_tables_are_taken(convert):
    formula = "y ~ x + f + (1|gene/sgRNA)"
    np.testing.assert_array_equal(sf.Model(formula, convert(DATA)).design.mean.X, sf.Model(formula, DATA).design.mean.X)


# --- priors: further texts in tests/priors/test_prior_errors.py -------------------------------------------------------

NAMES = (
    "Beta, Cauchy, Dirichlet, Exponential, Flat, Gamma, HalfCauchy, HalfFlat, HalfNormal, HalfStudentT, InverseGamma, "
    "LKJ, Laplace, LogNormal, Logistic, Normal, StudentT, Uniform"
)
POSITIVE = "HalfNormal, HalfStudentT, HalfCauchy, Exponential, Gamma, InverseGamma, LogNormal, or Uniform from 0"
BAD_PRIORS = {
    "mean": (lambda: sf.Prior("Normal", mean=50), (
        "Normal has no parameter 'mean'.\nNormal takes mu, sigma.\nWrite mu=50 in place of mean=50."
    )),
    "sd": (lambda: sf.Prior("Normal", mu=0, sd=10), (
        "Normal has no parameter 'sd'.\nNormal takes mu, sigma.\nWrite sigma=10 in place of sd=10."
    )),
    "rate": (lambda: sf.Prior("Exponential", rate=1), (
        "Exponential has no parameter 'rate'.\nExponential takes lam.\nWrite lam=1 in place of rate=1."
    )),
    "a slip in the name": (lambda: sf.Prior("Nrmal"), (
        f"'Nrmal' is not a distribution that a prior can have.\nThe distributions are {NAMES}.\nDid you mean 'Normal'?"
    )),
    "a negative SD": (lambda: sf.Prior("Normal", mu=0, sigma=-1), (
        "sigma=-1 is not possible for Normal.\n"
        "sigma in Normal is a number above 0, an array of such numbers, or a Prior.\nWrite, for example, sigma=1."
    )),
    "a Normal prior of an SD": (
        lambda: sf.Model("y ~ (1|g)", DATA, priors={"1|g_sigma": sf.Prior("Normal", mu=0, sigma=1)}), (
        "Normal(mu=0, sigma=1) cannot be the prior of the standard deviation of '1|g': it reaches below 0.\n"
        f"Only positive numbers are possible: {POSITIVE}.\nWrite Prior(\"HalfNormal\", sigma=1)."
    )),
    "no such term": (lambda: sf.Model("y ~ x + (1|g)", DATA, priors={"1|gg": sf.Prior("Normal", mu=0, sigma=1)}), (
        "the model has no slot '1|gg'.\nIts slots are Intercept, x, 1|g, sigma; "
        "b, sd and cor stand for all fixed terms, group SDs and correlations.\nDid you mean '1|g'?"
    )),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_PRIORS)
def test_a_prior_that_cannot_be_is_refused_at_once(what):
    act, text = BAD_PRIORS[what]
    assert answer(act) == f"PriorError: {text}"


MEAN_OF_GROUP = {"1|g": sf.Prior("Normal", mu=7, sigma=sf.Prior("HalfNormal", sigma=0.1))}


@pytest.mark.slow
@pytest.mark.parametrize("noncentered", [False, True])
def test_a_group_mean_is_honoured_by_nuts(noncentered):
    """Seven, and not zero, is the mean of the prior's draws, whether the group is centred or not."""
    prior = sf.Prior("Normal", mu=7, sigma=sf.Prior("HalfNormal", sigma=0.1), noncentered=noncentered)
    model = sf.to_pymc(sf.Model("y ~ 0 + x + (1|g)", DATA, priors={"1|g": prior}))
    with model:
        draws = pm.draw(model["1|g"], draws=200, random_seed=1)
    assert abs(draws.mean() - 7) < 0.1  # its SD is 0.1 at most, its error over 1,200 draws a tenth of the tolerance


@pytest.mark.slow
def test_a_group_mean_is_honoured_by_the_exact_engine():
    """Data that say nothing leave the prior's mean: seven."""
    data = DATA.assign(y=7 + DATA["y"])
    fit = sf.lmer(
        "y ~ 0 + (1|g)", data, priors=MEAN_OF_GROUP, draws=200, tune=200, chains=2, random_seed=1, progress=False
    )
    assert fit.method == "exact"
    assert sf.ranef(fit)["condval"].mean() == pytest.approx(7, abs=0.5)


def test_the_default_of_a_group_sd_never_depends_on_a_predictors_mean():
    near, far = (sf.Model("y ~ x + (x|g)", DATA.assign(x=DATA["x"] + shift)) for shift in (0, 2000))
    for a, b in zip(near.slots, far.slots, strict=True):
        if a.kind == "group":
            scales = [slot.prior.parameters["sigma"].parameters["beta"] for slot in (a, b)]
            assert scales[0] == pytest.approx(scales[1], rel=1e-9)
    assert near.slots[2].prior.parameters["sigma"].parameters["beta"] == pytest.approx(2 * DATA["y"].std(), rel=0.05)


# --- posterior, prediction, comparison --------------------------------------------------------------------------------


def test_models_of_other_responses_or_rows_are_not_compared():
    data = DATA.assign(x=GAP["x"])
    text = answer(lambda: sf.compare(["y ~ 1", "treated ~ 1"], DATA))
    assert text == (
        "ComparisonError: 'y ~ 1' has the response 'y', 'treated ~ 1' has 'treated'.\n"
        "Densities are compared for the same response; another scale of it is another response.\n"
        "Give all models the same left-hand side."
    )
    assert answer(lambda: sf.compare(["y ~ 1", "y ~ x"], data, missing="drop")) == (
        "ComparisonError: 'y ~ 1' has 48 rows, 'y ~ x' has 46; for missing values they dropped 0 and 2.\n"
        "Models are compared on the same rows.\n"
        "Leave the same rows out for both: fit them to data.dropna(subset=['y', 'x'])."
    )


def test_a_pareto_k_that_is_no_number_counts_as_bad():
    """Also for draws that never move: tests/comparison/test_loo.py."""
    none = arviz.ELPDData(
        elpd=0.0, se=0.0, p=0.0, n_samples=4000, n_data_points=2, scale="log", warning=False, good_k=0.7,
        pareto_k=xr.DataArray([np.nan, np.nan]),
    )  # fmt: skip
    assert count_high_k(none) == 2


def test_new_levels_are_an_error_that_names_them():
    """More in tests/prediction/test_linear_predictors.py."""
    fit = crossed_fit()
    rows = fit.model.data.iloc[:2].assign(gene=["TP53", "NRAS"])
    with pytest.raises(sf.DataError) as error:
        linear_predictor(fit.model, draws_of(fit), design=replay_design(fit.model.design, rows))
    assert "'gene' has levels that were not fitted: 'NRAS'." in str(error.value)


def test_nothing_is_changed_in_place():
    fit = crossed_fit()
    table, draws = fit.model.data.copy(), fit.idata.copy(deep=True)
    once = sf.fitted(fit)
    pd.testing.assert_frame_equal(sf.fitted(fit), once)
    pd.testing.assert_frame_equal(fit.model.data, table)
    assert draws.equals(fit.idata)


def test_the_log_likelihood_of_many_rows_is_refused_or_comes_in_blocks():
    """100,000 rows by 4,000 draws; the peak of the blocks is held by tests/prediction/test_linear_predictors.py."""
    rows = 100_000
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=rows), "g": np.tile([f"g{k}" for k in range(50)], rows // 50)})
    fit = fake_fit(sf.Model("y ~ (1|g)", data), {"sigma": 1.0}, draws=1000)
    text = answer(lambda: log_likelihood(fit))
    assert text.startswith("DataError: the log-likelihood of 100,000 rows and 4,000 draws takes 3.0 GiB.\n")


def test_a_fit_that_did_not_converge_says_so_first():
    posterior = (fit := crossed_fit()).idata["posterior"].to_dataset()
    apart = fit.idata.copy()
    apart["posterior"] = type(apart["posterior"])(posterior + 10 * posterior["chain"])
    bad = replace(fit, idata=apart, diagnostics=sf.diagnose(apart))
    assert repr(bad).startswith("Failed: ")
    assert "What to do: " in repr(bad).split("Linear mixed model")[0]


def test_html_is_escaped():
    fit = crossed_fit()  # with a gene called <script>alert(1)</script>
    assert "<script>alert" not in fit._repr_html_()
    assert "<script>alert" not in fit.model._repr_html_()
    assert "<script>alert" not in sf.compare({"<script>alert(2)": fit, "b": fit})._repr_html_()


def test_a_damaged_or_foreign_saved_fit_is_an_error(tmp_path):
    """Any bytes at all in tests/posterior/test_validation.py."""
    path = sf.save(correlated_fit(draws=10), tmp_path / "whole.fit")
    path.write_bytes(path.read_bytes()[:-200])
    with watched(code=False):
        text = answer(lambda: sf.load(path))
    assert re.fullmatch(r"DataError: '.*whole\.fit' is damaged: it cannot be read to its end\.\n.*\n.*", text)
