"""The table is ArviZ's with two columns more, the sentence says what it means; what cannot be compared is refused."""

from dataclasses import FrozenInstanceError, replace

import arviz
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import speclet_formula.inference.fit
from speclet_formula.comparison import Comparison, compare, glance, loo
from speclet_formula.comparison.sentence import describe, sparse_parts
from speclet_formula.errors import ComparisonError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.inference.fit import lmer
from speclet_formula.model import Model
from speclet_formula.prediction import log_likelihood
from speclet_formula.priors import Prior
from tests.fakes import crossed_fit, fake_fit, screen_data


def screen(n_guides=5):
    """Four genes, each with guides, in six lines; the truth has genes and lines."""
    rng = np.random.default_rng(11)
    rows = [(g, s, c) for g in range(4) for s in range(n_guides) for c in range(6)]
    data = pd.DataFrame(rows, columns=["gene", "guide", "line"])
    data["sgRNA"] = data["gene"] * n_guides + data["guide"]
    effects = np.array([-1.0, -0.4, 0.3, 1.1])[data["gene"]] + np.linspace(-0.5, 0.5, 6)[data["line"]]
    data["log_fc"] = effects + rng.normal(0, 0.4, len(data))
    data["x"] = rng.normal(size=len(data))
    data["hits"] = rng.poisson(3, len(data))
    data["misses"] = rng.poisson(3, len(data)) + 1
    return data


SCREEN = screen()
CONDITIONAL = {"Intercept": Prior("Laplace", mu=0, b=2)}  # a prior that neither exact nor hmc serves
WHY = "the prior of 'Intercept' is Laplace, not Normal"


def ridge_fit(formula, data=SCREEN, *, spread=1.0, seed=5, **settings):
    """A fit whose draws are from the normal posterior of all coefficients, for known SDs: cheap and near the truth.

    There are no draws of the SDs, so that no level's effect can be integrated.
    """
    model = Model(formula, data, priors=CONDITIONAL)
    fit = fake_fit(model, seed=seed, **settings)
    design = model.design
    Z = np.hstack([design.mean.X, *(np.eye(len(block.levels))[block.codes] for block in design.mean.groups)])
    covariance = np.linalg.inv(Z.T @ Z / 0.16 + np.eye(Z.shape[1]) / spread**2)
    mean = covariance @ Z.T @ design.response / 0.16
    posterior = fit.idata["posterior"].to_dataset()
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    draws = np.random.default_rng(seed).multivariate_normal(mean, covariance, size=shape)
    names = [term.variable for term in design.mean.fixed] + [
        slot for block in design.mean.groups for slot in block.slots
    ]
    start = 0
    for name in names:
        size = posterior[name].sizes.get(f"{name.split('|')[-1]}__factor_dim", 1)
        values = draws[:, :, start : start + size]
        posterior[name] = (posterior[name].dims, values if posterior[name].ndim > 2 else values[:, :, 0])
        start += size
    posterior["sigma"] = (("chain", "draw"), np.full(shape, 0.4))
    posterior = posterior.drop_vars([name for block in design.blocks for name in block.sds])
    return replace(fit, idata=xr.DataTree.from_dict({"posterior": posterior}))


@pytest.fixture(scope="module")
def fits():
    return {
        "m7a": ridge_fit("log_fc ~ (1 | gene)"),
        "m7c": ridge_fit("log_fc ~ (1 | gene) + (1 | line)"),
        "m7x": ridge_fit("log_fc ~ x + (1 | gene) + (1 | line)"),
    }


def test_the_columns_are_those_of_arviz(fits):
    trees = {
        name: fit.idata.assign({"log_likelihood": xr.DataTree(log_likelihood(fit).to_dataset())})
        for name, fit in fits.items()
    }
    expected = arviz.compare(trees, round_to="none")
    table = compare(fits).table
    assert table.columns.to_list() == [*expected.columns, "n_high_k", "n_redone", "kind", "verdict"]
    pd.testing.assert_frame_equal(table[expected.columns], expected, rtol=1e-7, check_dtype=False)
    assert set(expected.columns) >= {"rank", "elpd", "p", "elpd_diff", "weight", "se", "dse"}


def test_the_columns_are_plain(fits):
    table = compare(fits).table
    assert {str(kind) for kind in table.dtypes} == {"int64", "float64", "str"}


def test_a_comparison_holds_all_that_it_was_made_from(fits):
    comparison = compare(fits)
    assert isinstance(comparison, Comparison)
    assert comparison.fits == fits
    assert comparison.table["n_high_k"].to_list() == [0, 0, 0]
    assert comparison.table["verdict"].to_list() == ["converged"] * 3
    for name, fit in fits.items():
        np.testing.assert_array_equal(comparison.estimates[name].elpd_i, loo(fit).elpd_i)
    with pytest.raises(FrozenInstanceError):
        comparison.sentence = ""


def test_it_prints_its_sentence_and_its_table(fits):
    comparison = compare({name: fits[name] for name in ("m7a", "m7c")})
    difference = comparison.table.loc["m7a"]
    assert comparison.sentence == (
        f"'m7c' predicts left-out rows better than 'm7a': the elpd of 'm7a' is {-difference['elpd_diff']:.1f} lower "
        f"(SE {difference['dse']:.1f}, {-difference['elpd_diff'] / difference['dse']:.1f} standard errors)."
    )
    first, second, empty, header, *rows = repr(comparison).split("\n")
    assert f"{first} {second}" == comparison.sentence
    assert empty == ""
    columns = ["rank", "elpd", "se", "elpd_diff", "dse", "p", "weight", "n_high_k", "kind", "verdict"]
    assert header.split() == ["model", *columns]
    assert [row.split()[0] for row in rows] == ["m7c", "m7a"]
    assert rows[0].split()[4:6] == ["0.0", "0.0"]


def test_names_are_escaped_in_html(fits):
    html = compare({"<script>alert(1)</script>": fits["m7a"], "b & c": fits["m7c"]})._repr_html_()
    assert "<script>" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3  # twice in the sentence, once in the table
    assert "b &amp; c" in html


def test_the_order_of_the_models_does_not_matter(fits):
    pd.testing.assert_frame_equal(
        compare(fits).table, compare(dict(reversed(fits.items()))).table, rtol=1e-4, atol=1e-4, check_dtype=False
    )


def test_a_list_is_named_by_its_formulas(fits):
    assert compare(list(fits.values())).table.index.to_list()[-1] == "log_fc ~ 1 + (1 | gene)"


ROWS = {
    "far": {"elpd_diff": [0.0, -30.0], "dse": [0.0, 5.0]},
    "thousands": {"elpd_diff": [0.0, -1229.0], "dse": [0.0, 5.0]},
    "near in errors": {"elpd_diff": [0.0, -8.0], "dse": [0.0, 5.0]},
    "small": {"elpd_diff": [0.0, -3.9], "dse": [0.0, 0.5]},
    "equal": {"elpd_diff": [0.0, 0.0], "dse": [0.0, 0.0]},
    "three": {"elpd_diff": [0.0, -1.0, -2.0, -30.0, -50.0], "dse": [0.0, 2.0, 2.0, 5.0, 6.0]},
    "two behind": {"elpd_diff": [0.0, -20.0, -30.0], "dse": [0.0, 5.0, 5.0]},
    "near and far": {"elpd_diff": [0.0, -0.6, -24.0], "dse": [0.0, 1.0, 12.2]},
    "printed as 2.0 errors": {"elpd_diff": [0.0, -9.8], "dse": [0.0, 5.0]},
    "1.9 errors": {"elpd_diff": [0.0, -9.7], "dse": [0.0, 5.0]},
}
SENTENCES = {
    "far": "'a' predicts left-out rows better than 'b': the elpd of 'b' is 30.0 lower (SE 5.0, 6.0 standard errors).",
    "thousands": "'a' predicts left-out rows better than 'b': the elpd of 'b' is 1,229.0 lower (SE 5.0, 245.8 standard "
    "errors).",
    "near in errors": "The data do not tell 'a', the highest elpd, from 'b': the elpd of 'b' is 8.0 lower (SE 5.0, 1.6 "
    "standard errors).",
    "small": "The data do not tell 'a', the highest elpd, from 'b': the elpd of 'b' is 3.9 lower (SE 0.5, 7.8 standard "
    "errors).",
    "equal": "The data do not tell 'a', the highest elpd, from 'b': the elpd of 'b' is 0.0 lower (SE 0.0).",
    "three": "The data do not tell 'a', the highest elpd, from 'b' or 'c': the elpd of 'b' is 1.0 lower (SE 2.0, 0.5 "
    "standard errors), that of 'c' 2.0 lower (SE 2.0, 1.0 standard errors). 'a' predicts left-out rows better than 'd' "
    "and 'e': the elpd of 'd' is 30.0 lower (SE 5.0, 6.0 standard errors), that of 'e' 50.0 lower (SE 6.0, 8.3 "
    "standard errors).",
    "two behind": "'a' predicts left-out rows better than 'b' and 'c': the elpd of 'b' is 20.0 lower (SE 5.0, 4.0 "
    "standard errors), that of 'c' 30.0 lower (SE 5.0, 6.0 standard errors).",
    "near and far": "The data do not tell 'a', the highest elpd, from 'b': the elpd of 'b' is 0.6 lower (SE 1.0, 0.6 "
    "standard errors). 'a' predicts left-out rows better than 'c': the elpd of 'c' is 24.0 lower (SE 12.2, 2.0 "
    "standard errors).",
    "printed as 2.0 errors": "'a' predicts left-out rows better than 'b': the elpd of 'b' is 9.8 lower (SE 5.0, 2.0 "
    "standard errors).",
    "1.9 errors": "The data do not tell 'a', the highest elpd, from 'b': the elpd of 'b' is 9.7 lower (SE 5.0, 1.9 "
    "standard errors).",
}  # fmt: skip


def described(fit, columns, kind="conditional", **verdicts):
    table = pd.DataFrame(columns, index=list("abcde")[: len(columns["dse"])])
    table[["n_high_k", "n_redone"]] = 0
    table["kind"] = kind
    fits = {
        name: replace(fit, diagnostics=replace(fit.diagnostics, verdict=verdicts.get(name, "converged")))
        for name in table.index
    }
    return table, fits


@pytest.mark.parametrize("case", ROWS)
def test_the_sentence_says_how_far_apart_the_fits_are(fits, case):
    assert describe(*described(fits["m7c"], ROWS[case]), {}) == SENTENCES[case]


NO_RANKING = "Which model predicts left-out rows best cannot be told from these numbers."
NOT_INTEGRATED = f"The integrated estimate, which can be trusted, is not to be had: {WHY}."


def test_the_sentence_says_which_fit_did_not_converge(fits):
    table, candidates = described(fits["m7c"], ROWS["far"], a="doubtful", b="failed")
    assert describe(table, candidates, {}) == (
        "It is doubtful whether 'a' converged: read its row with care. 'b' did not converge: its row is unreliable. "
        + NO_RANKING
    )


def test_the_verdict_of_a_bad_fit_is_in_the_table(fits):
    failed = replace(fits["m7a"], diagnostics=replace(fits["m7a"].diagnostics, verdict="failed"))
    comparison = compare({"m7c": fits["m7c"], "m7b": failed})
    assert comparison.table.loc["m7b", "verdict"] == "failed"
    assert comparison.sentence == f"'m7b' did not converge: its row is unreliable. {NO_RANKING}"


def test_no_claim_rests_on_high_k(fits):
    table, candidates = described(fits["m7c"], ROWS["far"])
    table["n_high_k"] = [0, 214]
    estimate = loo(fits["m7c"])
    assert describe(table, candidates, {"a": estimate, "b": estimate}) == (
        "The elpd of 'b' cannot be trusted: 214 of 120 rows have a high Pareto k (above 0.67), and its elpd is usually "
        f"too high. {NOT_INTEGRATED} Leave out whole levels instead, group='gene' in compare() or kfold(); or a tenth "
        f"of the rows at a time, kfold(fit, k=10). {NO_RANKING}"
    )


def test_high_k_is_counted_where_it_arises(fits):
    wild = fake_fit(Model("log_fc ~ (1 | gene)", SCREEN, priors=CONDITIONAL), {"sigma": 0.1, "1|gene": 3.0})
    comparison = compare({"m7c": fits["m7c"], "wild": wild})
    count = comparison.table.loc["wild", "n_high_k"]
    assert count > 10
    assert f"'wild' cannot be trusted: {count} of 120 rows have a high Pareto k (above 0.67)" in comparison.sentence


def test_no_claim_rests_on_levels_of_one_row(fits):
    fit = ridge_fit("log_fc ~ (1 | gene:line) + (1 | sgRNA:line)")
    comparison = compare({"m7b": fit, "m7a": fits["m7a"], "m7c": fits["m7c"]})
    doubt, *rest = comparison.sentence.partition("; ")
    assert doubt == (
        "The elpd of 'm7b' cannot be trusted: the effects of 'sgRNA:line' (100% of the rows) rest on one or two rows "
        "each, where leave-one-out from the draws favours the model"
    )
    two = compare({name: fits[name] for name in ("m7a", "m7c")}).sentence
    assert "".join(rest).endswith(f"{NOT_INTEGRATED} Leave out a tenth of the rows at a time, kfold(fit, k=10). {two}")
    assert compare({"m7b": fit, "m7c": fits["m7c"]}).sentence.endswith(NO_RANKING)


def test_one_fits_estimate_says_that_it_cannot_be_trusted(fits):
    fit = ridge_fit("log_fc ~ (1 | line) + (1 | sgRNA:line)")
    estimate = loo(fit)
    start = (
        "This estimate cannot be trusted: the effects of 'sgRNA:line' (100% of the rows) rest on one or two rows each, "
        "where leave-one-out from the draws favours the model"
    )
    assert estimate.warning
    assert estimate.caveat.startswith(start)
    assert estimate.caveat.endswith(
        f"{NOT_INTEGRATED} Leave out whole levels instead, group='line' in compare() or kfold(); or a tenth of the "
        "rows at a time, kfold(fit, k=10)."
    )
    assert start in repr(estimate).replace("\n", " ")
    assert glance(fit, loo=True).loc[0, "caveat"] == estimate.caveat
    sampled = loo(fit, observations=40, random_seed=1)
    assert start in repr(sampled).replace("\n", " ")
    assert (loo(fits["m7c"]).caveat, loo(fits["m7c"]).warning) == ("", False)


def test_an_integrated_estimate_can_be_trusted_with_levels_of_one_row(fits):
    table, candidates = described(fits["m7c"], ROWS["far"], kind="integrated")
    assert describe(table, candidates, {}) == SENTENCES["far"]
    table["n_high_k"] = [0, 3]
    table["n_redone"] = [0, 5]
    estimate = loo(fits["m7c"])
    assert describe(table, candidates, {"a": estimate, "b": estimate}) == (
        "The elpd of 'b' cannot be trusted: 3 of 120 rows have a high Pareto k (above 0.67). More draws, or a model "
        f"without the rows that stand out, may serve. {NO_RANKING} For 5 of 120 rows with a high Pareto k the "
        "variances of 'b' were drawn anew without the row."
    )


def test_own_levels_with_a_high_k_are_said_to_be_fitted_anew_or_not_to_be_trusted(fits):
    table, candidates = described(fits["m7c"], ROWS["far"], kind="own level")
    table["n_high_k"] = [0, 3]
    table["n_redone"] = [5, 0]
    estimate = loo(fits["m7c"])
    assert describe(table, candidates, {"a": estimate, "b": estimate}) == (
        "The elpd of 'b' cannot be trusted: 3 of 120 rows have a high Pareto k (above 0.67), and its elpd is usually "
        "too high. Leave out whole levels instead, group='gene' in compare() or kfold(); or a tenth of the rows at a "
        f"time, kfold(fit, k=10). {NO_RANKING} For 5 of 120 rows with a high Pareto k 'a' was fitted anew without the "
        "row."
    )


def test_estimates_of_both_kinds_are_told_apart(fits):
    table, candidates = described(fits["m7c"], ROWS["far"])
    table["kind"] = ["conditional", "integrated"]
    assert describe(table, candidates, {}) == (
        f"{SENTENCES['far']} The elpd of 'b' is integrated over the coefficients, that of 'a' is conditional on each "
        "draw of them: both estimate the same, but the second can be too high where effects rest on few rows."
    )


SPARSE = {
    "log_fc ~ (1 | gene) + (1 | line)": [],
    "log_fc ~ (1 | gene:line) + (1 | sgRNA:line)": ["'sgRNA:line' (100% of the rows)"],
    "log_fc ~ x + (1 + x | gene) + (0 + x | sgRNA:line)": ["'sgRNA:line' (100% of the rows)"],
    "log_fc ~ 0 + factor(sgRNA):factor(line)": ["'factor(sgRNA):factor(line)' (100% of the rows)"],
    "log_fc ~ 0 + factor(gene):factor(line)": [],
    "log_fc ~ (1 | part)": ["'part' (10% of the rows)"],
    "log_fc ~ (1 | few)": [],
}


@pytest.mark.parametrize(("formula", "parts"), SPARSE.items())
def test_parts_with_one_or_two_rows_a_level_are_found(formula, parts):
    row = np.arange(len(SCREEN))
    data = SCREEN.assign(part=np.where(row < 12, row // 2, 99), few=np.where(row < 5, row, 99))
    assert sparse_parts(Model(formula, data).design) == parts


@pytest.mark.slow
def test_a_lucky_best_of_many_is_remarked(fits):
    many = {f"m{seed}": ridge_fit("log_fc ~ (1 | gene) + (1 | line)", seed=seed) for seed in range(12)}
    assert compare(many).sentence.endswith("See https://doi.org/10.1007/s11222-024-10442-4 for details.")


def model(formula="log_fc ~ (1 | gene)", data=SCREEN, **settings):
    return Model(formula, data, **settings)


def counted(formula, family):
    return model(formula, family=family)


MISSING = SCREEN.assign(x=SCREEN["x"].where(np.arange(120) != 7), z=SCREEN["x"].where(np.arange(120) != 9))

REML = lmer("log_fc ~ x", SCREEN, method="reml")
REFUSED = {
    "none": (lambda: compare({}), (
        "there are no models to compare.",
        "A comparison takes two models or more, as a dictionary by name or as a list.",
        'For example compare({"a": fit_a, "b": fit_b}), or compare(["y ~ x + (1 | g)", "y ~ (1 | g)"], data).',
    )),
    "one": (lambda: compare([model()]), (
        "there is one model to compare.",
        "A comparison takes two models or more, as a dictionary by name or as a list.",
        'For example compare({"a": fit_a, "b": fit_b}), or compare(["y ~ x + (1 | g)", "y ~ (1 | g)"], data).',
    )),
    "a fit": (lambda: compare(crossed_fit(draws=5), crossed_fit(draws=5)), (
        "models is a Fit.",
        "A comparison takes two models or more, as a dictionary by name or as a list.",
        "Put them into a list: compare([first, second]).",
    )),
    "a table": (lambda: compare(SCREEN, ["log_fc ~ x", "log_fc ~ 1"]), (
        "models is a DataFrame.",
        "A comparison takes two models or more, as a dictionary by name or as a list.",
        'The models come first, the table after them: compare(["y ~ x + (1 | g)", "y ~ (1 | g)"], data).',
    )),
    "two kinds of fit": (lambda: compare([crossed_fit(draws=5), REML]), (
        "'log_fc ~ 1 + x' is a fit by REML, which has no draws.",
        "Models are ranked by leave-one-out, which needs draws from a posterior.",
        "Fit it by method='exact', or compare likelihoods by sf.anova.",
    )),
    "nothing twice": (lambda: compare([None, None], SCREEN), (
        "one of the models is of the type NoneType.",
        "What is compared is a Fit, a Model, or a formula's text.",
        "Fit it first: fit(Model(formula, data)), and give the result.",
    )),
    "another function's seed": (lambda: compare([model(), model()], sed=1), (
        "compare() has no argument sed=.",
        "Arguments: models, data, group, family, link, priors, weights, missing, functions, contrasts, matrices, "
        "progress, method, draws, tune, chains, cores, target_accept, random_seed, sampler, keep, nAGQ.",
        "Leave sed= out.",
    )),
    "a text": (lambda: compare("y ~ x"), (
        "models is a str.",
        "A comparison takes two models or more, as a dictionary by name or as a list.",
        'Put them into a list: compare(["y ~ x + (1 | g)", "y ~ (1 | g)"], data).',
    )),
    "unnamed": (lambda: compare({"a": model(), " ": model()}), (
        "model 2 has the name ' '.",
        "Each model has a name, a text that is not empty.",
        'For example compare({"a": fit_a, "b": fit_b}).',
    )),
    "numbered": (lambda: compare({1: model(), 2: model()}), (
        "model 1 has the name 1.",
        "Each model has a name, a text that is not empty.",
        'For example compare({"a": fit_a, "b": fit_b}).',
    )),
    "twice": (lambda: compare([model(), model()]), (
        "two models have the name 'log_fc ~ 1 + (1 | gene)'.",
        "Each model has a name of its own; in a list it is its formula.",
        'Name them in a dictionary: compare({"a": fit_a, "b": fit_b}).',
    )),
    "neither fit nor model": (lambda: compare({"a": model(), "b": 3}), (
        "'b' is of the type int.",
        "What is compared is a Fit, a Model, or a formula's text.",
        "Fit it first: fit(Model(formula, data)), and give the result as 'b'.",
    )),
    "no data": (lambda: compare({"a": model(), "b": "log_fc ~ x"}), (
        "'b' is a formula without data.",
        "A formula is fitted to data; a Fit or a Model brings its own.",
        "Give the table as the second argument: compare(models, data).",
    )),
    "data for nothing": (lambda: compare({"a": model(), "b": model()}, SCREEN), (
        "data are given, but no formula.",
        "Data are for formulas; each Fit or Model brings its own.",
        "Leave data out, or give formulas.",
    )),
    "another response": (lambda: compare(["log_fc ~ x", "x ~ 1"], SCREEN), (
        "'log_fc ~ x' has the response 'log_fc', 'x ~ 1' has 'x'.",
        "Densities are compared for the same response; another scale of it is another response.",
        "Give all models the same left-hand side.",
    )),
    "another scale": (lambda: compare(["hits ~ x", "log(hits + 1) ~ x"], SCREEN), (
        "'hits ~ x' has the response 'hits', 'log(hits + 1) ~ x' has 'log(hits + 1)'.",
        "Densities are compared for the same response; another scale of it is another response.",
        "Give all models the same left-hand side.",
    )),
    "fewer rows": (lambda: compare(["log_fc ~ 1", "log_fc ~ x"], MISSING, missing="drop"), (
        "'log_fc ~ 1' has 120 rows, 'log_fc ~ x' has 119; for missing values they dropped 0 and 1.",
        "Models are compared on the same rows.",
        "Leave the same rows out for both: fit them to data.dropna(subset=['log_fc', 'x']).",
    )),
    "other rows": (lambda: compare(["log_fc ~ z", "log_fc ~ x"], MISSING, missing="drop"), (
        "'log_fc ~ z' and 'log_fc ~ x' use different rows of the table: 2 of 119 differ; for missing values they "
        "dropped 1 and 1.",
        "Models are compared on the same rows.",
        "Leave the same rows out for both: fit them to data.dropna(subset=['log_fc', 'z', 'x']).",
    )),
    "other values": (lambda: compare({"a": model(), "b": model(data=SCREEN.assign(log_fc=SCREEN["log_fc"] + 1e-9))}), (
        "the values of 'log_fc' differ between 'a' and 'b'.",
        "Models are compared on the same values, in the same order.",
        "Fit both to one table.",
    )),
    "no draws": (lambda: compare(["log_fc ~ 1", "log_fc ~ x"], SCREEN, method="reml"), (
        "method='reml' makes no draws to compare by.",
        "Leave-one-out needs draws from a posterior; fits by 'reml', 'ml' and 'laplace' have estimates alone.",
        "Leave method= out, or compare likelihoods with anova().",
    )),
    "other order": (lambda: compare({"a": model(), "b": model(data=SCREEN.iloc[::-1])}), (
        "the values of 'log_fc' differ between 'a' and 'b'.",
        "Models are compared on the same values, in the same order.",
        "Fit both to one table.",
    )),
    "other trials": (lambda: compare({
        "a": counted("cbind(hits, misses) ~ 1", "binomial"),
        "b": Model("cbind(hits, misses) ~ 1", SCREEN.assign(misses=SCREEN["misses"] + 1), family="binomial"),
    }), (
        "the values of 'cbind(hits, misses)' differ between 'a' and 'b'.",
        "Models are compared on the same values, in the same order.",
        "Fit both to one table.",
    )),
    "density and probability": (lambda: compare({"a": model("hits ~ 1"), "b": counted("hits ~ 1", "poisson")}), (
        "'a' is gaussian, 'b' is poisson.",
        "The first gives a row a density, the second a probability, and the two have no common scale.",
        "Compare families of counts with each other, and families of real numbers with each other.",
    )),
}  # fmt: skip


@pytest.mark.parametrize(("act", "parts"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused_before_anything_is_fitted(act, parts, monkeypatch):
    monkeypatch.setattr(speclet_formula.inference.fit, "fit", lambda *_, **__: pytest.fail("it was fitted"))
    with pytest.raises(ComparisonError) as caught:
        act()
    assert str(caught.value) == "\n".join(parts)


def test_arguments_that_change_nothing_are_refused(fits):
    with pytest.raises(ComparisonError) as caught:
        compare(fits, draws=10, chains=2)
    assert str(caught.value) == (
        "draws=, chains= would change nothing: every model is fitted already.\n"
        "Arguments of fit() are for models and formulas that are yet to be fitted.\n"
        "Leave them out."
    )


def test_counts_of_two_families_are_compared():
    poisson = fake_fit(counted("hits ~ 1", "poisson"), {"Intercept": 1.1})
    negative = fake_fit(counted("hits ~ 1", "negativebinomial"), {"Intercept": 1.1, "alpha": 20.0})
    assert set(compare({"poisson": poisson, "nb": negative}).table.index) == {"poisson", "nb"}


def test_two_binomial_fits_are_compared():
    fits = {
        name: fake_fit(counted(f"cbind(hits, misses) ~ {name}", "binomial"), {"Intercept": 0.1, "x": 0.01})
        for name in ("1", "x")
    }
    assert set(compare(fits).table.index) == {"1", "x"}


def test_what_is_not_fitted_is_fitted_with_the_given_settings(monkeypatch, fits):
    calls = []

    def fit(model, **arguments):
        calls.append((model, arguments))
        return fake_fit(model, {"sigma": 0.8})

    monkeypatch.setattr(speclet_formula.inference.fit, "fit", fit)
    formulas = {
        "done": fits["m7c"],
        "text": "log_fc ~ x",
        "parsed": parse_formula("log_fc ~ (1 | line)"),
        "model": Model("log_fc ~ (1 | gene)", SCREEN),
    }
    comparison = compare(formulas, SCREEN, family="t", priors="brms", progress=False, draws=100, random_seed=3)
    assert [arguments for _, arguments in calls] == [{"progress": False, "draws": 100, "random_seed": 3}] * 3
    assert [model.family.name for model, _ in calls] == ["t", "t", "gaussian"]
    assert calls[2][0] is formulas["model"]
    assert comparison.fits["done"] is fits["m7c"]
    assert list(comparison.fits) == list(formulas)


def test_a_column_to_leave_out_is_looked_for_before_anything_is_fitted(monkeypatch):
    monkeypatch.setattr("speclet_formula.inference.fit.fit", lambda *_, **__: pytest.fail("it was fitted"))
    with pytest.raises(ComparisonError, match="there is no column 'genes' to make folds of"):
        compare(["log_fc ~ 1 + (1 | gene)", "log_fc ~ 1"], screen_data(), group="genes")
