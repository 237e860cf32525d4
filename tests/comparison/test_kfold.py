"""Left-out groups are predicted as the joint normal distribution of all rows says, and as fits without them do."""

from importlib import import_module

import arviz
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.comparison.kfold import make_folds
from speclet_formula.inference.algebra import equations
from speclet_formula.inference.exact.density import log_likelihood, log_posterior, marginal_of
from speclet_formula.inference.exact.drawn_variances import read_variances
from speclet_formula.inference.exact.leave_one_out import predict_without
from speclet_formula.inference.refit import with_rows
from speclet_formula.inference.translation.to_bambi import to_bambi
from speclet_formula.posterior.draws import draws_of
from tests.fakes import fake_fit

N_GENES = 10


def screen():
    """Ten genes with three guides in four cell lines."""
    rng = np.random.default_rng(11)
    rows = [(g, s, c) for g in range(N_GENES) for s in range(3) for c in range(4)]
    data = pd.DataFrame(rows, columns=["gene", "guide", "line"]).astype(str)
    data["sgRNA"] = data["gene"] + "_" + data["guide"]
    data["x"] = rng.normal(size=len(data))
    data["w"] = rng.uniform(0.5, 2, len(data))
    effects = rng.normal(0, 0.6, N_GENES), rng.normal(0, 0.3, 3 * N_GENES), rng.normal(0, 0.4, 4)
    data["y"] = 1 + 0.4 * data["x"] + rng.normal(0, 0.5, len(data))
    data["y"] += effects[0][data["gene"].astype(int)] + effects[2][data["line"].astype(int)]
    data["y"] += effects[1][pd.factorize(data["sgRNA"])[0]]
    return data


DATA = screen()
FORMULA = "y ~ x + (1 + x | gene) + (1 | sgRNA) + (1 | line)"


def fit_of(formula="y ~ x + (1 | gene)", data=DATA, **settings):
    return sf.lmer(formula, data, random_seed=3, draws=250, cores=1, **settings)


@pytest.mark.parametrize("algebra", ["dense", "sparse"])
@pytest.mark.parametrize("by", ["gene", "line"])
def test_densities_given_variances_are_those_of_a_dense_normal(by, algebra, monkeypatch):
    """To 1e-7 of rounding: two log densities of 120 rows are subtracted."""
    if algebra == "sparse":
        monkeypatch.setattr(equations, "MOST_DENSE", 0)
    model = sf.Model(FORMULA, DATA, weights="w")
    marginal, design = marginal_of(model), model.design
    fit = fake_fit(model, {"cor|gene": 0.3, "sigma": 0.5}, chains=1, draws=3)
    draws = read_variances(model, draws_of(fit))
    whole = log_likelihood(marginal, draws.sds, draws.partial)
    folds = make_folds(model, group=by)
    posterior = fit.idata["posterior"]
    for draw in range(3):
        mean, covariance = normal_of_rows(model, posterior.isel(chain=0, draw=draw))
        for number in (0, 3):
            out = folds.codes == number
            found = predict_without(marginal, np.flatnonzero(out), draws, whole)
            slopes = np.linalg.solve(covariance[np.ix_(~out, ~out)], covariance[np.ix_(~out, out)]).T
            centre = mean[out] + slopes @ (design.response - mean)[~out]
            spread = covariance[np.ix_(out, out)] - slopes @ covariance[np.ix_(~out, out)]
            expected = stats.multivariate_normal.logpdf(design.response[out], centre, spread)
            assert found.joint[draw] == pytest.approx(expected, abs=1e-7)
            each = stats.norm.logpdf(design.response[out], centre, np.sqrt(np.diag(spread)))
            np.testing.assert_allclose(found.each[draw], each, atol=1e-7)


def normal_of_rows(model, draw):
    """Mean and covariance of all rows given the variances of one draw, written out."""
    slots = {slot.slot: slot.prior.parameters for slot in model.slots}
    X = model.design.mean.X.copy()
    X[:, 1:] -= X[:, 1:].mean(axis=0)
    mean = X @ [float(slots["Intercept"]["mu"]), float(slots["x"]["mu"])]
    covariance = (X * np.square([float(slots["Intercept"]["sigma"]), float(slots["x"]["sigma"])])) @ X.T
    for block in model.design.mean.groups:
        sds = np.array([float(draw[f"{slot}_sigma"]) for slot in block.slots])
        between = np.outer(sds, sds)
        if block.correlated:
            between *= np.where(np.eye(2) == 1, 1.0, float(draw[f"cor|{block.label}"].values.item()))
        same = block.codes[:, None] == block.codes[None, :]
        covariance += same * (block.values @ between @ block.values.T)
    weights = np.ones(len(X)) if model.design.weights is None else model.design.weights
    return mean, covariance + np.diag(float(draw["sigma"]) ** 2 / weights)


ONE_WAY = "y ~ 1 + (1 | gene)"


def on_a_grid(model, rows):
    """Joint and row-wise log densities of left-out rows, integrated over a grid of both variances without them."""
    others = np.setdiff1d(np.arange(len(DATA)), rows)
    logs = np.linspace(-4, 2, 81)
    theta = np.array(np.meshgrid(logs, logs, indexing="ij")).reshape(2, -1).T
    target = log_posterior(marginal_of(with_rows(model, others)), theta)
    weights = np.exp(target - target.max())
    weights /= weights.sum()
    kept = weights > 1e-9
    y, codes = model.design.response, model.design.mean.groups[0].codes
    slot = next(slot.prior.parameters for slot in model.slots if slot.slot == "Intercept")
    joint, each = 0.0, np.zeros(len(rows))
    for weight, (log_sigma, log_tau) in zip(weights[kept], theta[kept], strict=True):
        covariance = np.full((len(y), len(y)), float(slot["sigma"]) ** 2)
        covariance += np.exp(2 * log_tau) * (codes[:, None] == codes) + np.exp(2 * log_sigma) * np.eye(len(y))
        slopes = np.linalg.solve(covariance[np.ix_(others, others)], covariance[np.ix_(others, rows)]).T
        centre = float(slot["mu"]) + slopes @ (y[others] - float(slot["mu"]))
        spread = covariance[np.ix_(rows, rows)] - slopes @ covariance[np.ix_(others, rows)]
        joint += weight * stats.multivariate_normal.pdf(y[rows], centre, spread)
        each += weight * stats.norm.pdf(y[rows], centre, np.sqrt(np.diag(spread)))
    return np.log(joint), np.log(each)


@pytest.mark.slow
def test_a_left_out_gene_is_predicted_as_by_a_fit_without_it():
    """1,000 nearly independent draws: a log mean density has an SE below 0.02 here, 0.1 is five of them."""
    fit = fit_of(ONE_WAY)
    by_row, by_gene = sf.kfold(fit, group="gene"), sf.kfold(fit, group="gene", joint=True)
    for number in (0, 5):
        rows = np.flatnonzero(fit.model.design.mean.groups[0].codes == number)
        joint, each = on_a_grid(fit.model, rows)
        assert float(by_gene.elpd_i[number]) == pytest.approx(joint, abs=0.1)
        np.testing.assert_allclose(by_row.elpd_i[rows], each, atol=0.1)
    assert by_row.elpd_i.attrs["kind"] == "integrated"
    assert by_row.n_folds == by_gene.n_data_points == N_GENES
    assert by_row.elpd_i.groupby("fold").sum().sizes == {"fold": N_GENES}
    assert by_row.elpd == pytest.approx(float(by_row.elpd_i.sum()))
    assert not by_row.warning


@pytest.mark.slow
def test_a_fold_with_a_high_k_is_predicted_from_new_draws(monkeypatch):
    """The same numbers from new draws of the variances without the fold as from weighted ones, within five SEs."""
    fit = fit_of(ONE_WAY)
    weighted = sf.kfold(fit, group="gene", joint=True)
    module = import_module("speclet_formula.comparison.kfold")  # as an attribute of its room it is the verb
    monkeypatch.setattr(module, "good_pareto_k", lambda n: -1.0)
    monkeypatch.setattr(module, "REFITS", (1000,))
    monkeypatch.setattr(module, "MOST_REFITS", 3)
    redone = sf.kfold(fit, group="gene", joint=True)
    assert redone.elpd_i.attrs["n_redone"] == 3
    assert redone.warning
    assert weighted.elpd_i.attrs["n_redone"] == 0
    assert weighted.caveat == ""
    assert redone.caveat.startswith(
        f"This estimate cannot be trusted: the Pareto k of {N_GENES} of {N_GENES} folds is above -1.00 ("
    )
    assert redone.caveat in " ".join(str(redone).split())
    assert "There has been a warning" not in str(redone)
    np.testing.assert_allclose(redone.elpd_i, weighted.elpd_i, atol=0.1)


def test_a_caveat_names_the_folds_and_what_to_do():
    module = import_module("speclet_formula.comparison.kfold")
    assert module._caveat(["BRAF"], [], 40, 0.7) == (
        "This estimate cannot be trusted: the Pareto k of 1 of 40 folds is above 0.70 (BRAF): draws of the variances "
        "with these rows say too little of what they are without them. Fit the model with more draws, or make other "
        "folds."
    )
    assert module._caveat([], [str(k) for k in range(12)], 20, 0.7) == (
        "This estimate cannot be trusted: the fit without 12 of 20 folds did not converge (0, 1, 2, 3, 4, 5, 6, 7 and "
        "4 more). Give kfold() more draws= or tune=, which its fits take."
    )
    assert module._caveat([], [], 20, 0.7) == ""


def test_folds_of_single_rows_are_leave_one_out():
    """Both smooth the same ratios of the same draws, where these serve; elsewhere each draws the variances anew."""
    data = DATA[::5].reset_index(drop=True)
    fit = fit_of(ONE_WAY, data)
    found, expected = sf.kfold(fit, k=len(data)), sf.loo(fit)
    same = np.isclose(found.elpd_i, expected.elpd_i, atol=1e-8, rtol=0)
    same &= np.isclose(found.pareto_k, expected.pareto_k, atol=1e-6, rtol=0)
    assert (~same).sum() <= expected.elpd_i.attrs["n_redone"] < 4
    np.testing.assert_allclose(found.elpd_i, expected.elpd_i, atol=0.2)


def test_rows_are_dealt_evenly():
    model = sf.Model(ONE_WAY, DATA)
    folds = make_folds(model, k=7, random_seed=1)
    assert sorted(np.bincount(folds.codes)) == [17] * 6 + [18]
    assert folds.labels == ("1", "2", "3", "4", "5", "6", "7")
    strata = make_folds(model, k=4, stratify="gene", random_seed=1)
    assert (pd.crosstab(DATA["gene"], strata.codes) == 3).all(axis=None)
    whole = make_folds(model, group="gene", k=3, random_seed=2)
    assert (pd.crosstab(DATA["gene"], whole.codes) > 0).sum(axis=1).eq(1).all()
    assert len(make_folds(model, group=DATA["line"].to_numpy()).labels) == 4
    assert make_folds(sf.Model("y ~ (1 | gene:line)", DATA), group="gene:line").labels[0] == "0:0"


def test_levels_and_columns_stay_where_their_rows_are_left_out():
    model = sf.Model("y ~ line + (1 | gene)", DATA)
    others = with_rows(model, np.flatnonzero((DATA["gene"] != "3") & (DATA["line"] != "2")))
    translated = to_bambi(others)
    terms = {name: term.data.shape for name, term in translated.parameters["mu"].common_terms.items()}
    assert terms["line"] == (81, 3)
    assert len(translated.parameters["mu"].group_specific_terms["1|gene"].groups) == N_GENES


@pytest.mark.slow
def test_arviz_compares_it():
    fits = {"gene": fit_of(ONE_WAY), "none": fit_of("y ~ x")}
    estimates = {name: sf.kfold(fit, group="gene") for name, fit in fits.items()}
    assert set(arviz.compare(estimates).index) == set(fits)


MODEL = sf.Model(ONE_WAY, DATA)
FLAT = sf.Model("y ~ line + (1 | gene)", DATA, priors={"line": sf.Prior("Flat")})
MISTAKES = [
    (MODEL, {"group": "gen"}, (
        "there is no column 'gen' to make folds of.",
        "group= names a column of the model's table: gene, guide, line, sgRNA, x, w, y, gene.",
        "Nearest: gene.",
    )),
    (MODEL, {"k": 1}, (
        "1 folds cannot be made of 120 rows.",
        "The number of folds is a whole number from 2 to that of the rows.",
        "For example k=10.",
    )),
    (MODEL, {"group": "gene", "k": 11}, (
        "11 folds cannot be made of 10 levels.",
        "The number of folds is a whole number from 2 to that of the levels.",
        "For example k=10.",
    )),
    (MODEL, {"group": "gene", "stratify": "line"}, (
        "stratify='line' is given beside group=.",
        "Rows are spread evenly by a column where they are dealt one by one; with group= whole levels are.",
        "Leave one of the two out.",
    )),
    (MODEL, {"group": ["a", "b"]}, (
        "group= has 2 values for 120 rows of the model.",
        "There is one for each row that the model uses, or for each row of its table.",
        "Give a column's name: group='gene'.",
    )),
    (MODEL, {"group": [None] * 20 + ["a", "b"] * 50}, (
        "'group' lacks a value in 20 rows.",
        "Each row belongs to one fold.",
        "Fill them in, or leave these rows out of the table.",
    )),
    (MODEL, {"group": "gene", "draws": 10}, (
        "draws= would change nothing: this model is not fitted again.",
        "Arguments of fit() are for models that are fitted anew for each fold; this one's coefficients are integrated "
        "out.",
        "Leave them out.",
    )),
    (FLAT, {"group": "line"}, (
        "without the fold '1' the coefficients with flat priors have no posterior.",
        "A coefficient with a flat prior needs rows in the other folds.",
        "Give 'line' a Normal prior, or make other folds.",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("model", "arguments", "message"), MISTAKES)
def test_mistakes(model, arguments, message):
    with pytest.raises(sf.ComparisonError) as caught:
        sf.kfold(fake_fit(model), **arguments)
    assert str(caught.value) == "\n".join(message)


def test_a_fit_without_draws_is_refused():
    with pytest.raises(sf.EstimateError, match=r"^a fit by REML has no draws"):
        sf.kfold(sf.lmer(ONE_WAY, DATA, method="reml"), group="gene")


@pytest.mark.slow
def test_refits_by_nuts_agree_with_the_integrated_estimate():
    """A StudentT prior keeps the intercept from being integrated out, and is as good as normal.

    2,000 draws, each with an effect of its own for the new gene, of which the SD of two genes leaves some hundreds
    effective: the log mean density of a row then has an SE of about 0.05. The tolerance is 5 of them for each of 12
    rows: 1e-5 of false alarms.
    """
    data = DATA[DATA["gene"].isin(["0", "1", "2"]) & (DATA["guide"] == "0")].reset_index(drop=True)
    priors = {"Intercept": sf.Prior("Normal", mu=1, sigma=2)}
    wide = {"Intercept": sf.Prior("StudentT", nu=1000, mu=1, sigma=2)}
    exact = sf.kfold(fit_of(ONE_WAY, data, priors=priors), group="gene")
    model = sf.Model(ONE_WAY, data, priors=wide)
    refitted = sf.kfold(
        fake_fit(model, chains=2, draws=1000), group="gene", cores=1, target_accept=0.95, random_seed=4, progress=False
    )
    assert refitted.elpd_i.attrs["kind"] == "refitted"
    assert refitted.pareto_k is None
    np.testing.assert_allclose(refitted.elpd_i, exact.elpd_i, atol=0.25)


@pytest.mark.slow
def test_compare_leaves_out_levels():
    fits = {"gene": fit_of(ONE_WAY), "none": fit_of("y ~ 1")}
    found = sf.compare(fits, group="gene", progress=False)
    assert found.table["kind"].to_list() == ["integrated", "integrated"]
    assert found.estimates["gene"].n_folds == N_GENES
    assert float(found.table.loc["gene", "elpd"]) == sf.kfold(fits["gene"], group="gene").elpd
    long = sf.compare(fits, group="gene", progress=False).sentence
    assert max(map(len, repr(found).split("\n\n")[0].split("\n"))) <= 100
    assert " ".join(repr(found).split("\n\n")[0].split()) == long


@pytest.mark.parametrize("by", [1, np.zeros((6, 2)), {"a"}])
def test_labels_of_rows_are_one_for_each(by):
    from speclet_formula.comparison.kfold import make_folds

    model = sf.Model("y ~ x", {"y": [1.0, 2, 4, 3, 5, 6], "x": [0.0, 1, 2, 3, 4, 5]})
    with pytest.raises(sf.ComparisonError, match="There is one label for each row that the model uses"):
        make_folds(model, group=by)
