"""Laplace's approximation against R's answers, dense and one-dimensional brute force, and closed forms."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite import hermgauss
from scipy import optimize, stats

import speclet_formula as sf
from speclet_formula.errors import ComparisonError, EstimateError, SamplingError
from speclet_formula.families import FAMILIES as KNOWN, inverse_link, log_density, resolve_family
from speclet_formula.inference.laplace import fit as laplace_fit, rows as laplace_rows
from speclet_formula.inference.laplace.criterion import Point, find_mode, gradient, numbers_of, problem_of
from speclet_formula.inference.minimum import Minimum

# Densities with a kink have no derivatives, and levels without an order have a linear predictor each.
DERIVED = [name for name, known in KNOWN.items() if not name.endswith("laplace") and known.per_level is None]

FOLDER = Path(__file__).resolve().parents[2] / "data" / "laplace"
ANSWERS = json.loads((FOLDER / "answers.json").read_text())["fits"]
# Both searches stop short of the maximum by about 1e-8 of a log-likelihood; lme4's by 1e-5.
TMB_ERRORS, TMB_LOG_LIKELIHOOD = 1e-3, 1e-6
LME4_ERRORS, LME4_DEVIATIONS, LME4_LOG_LIKELIHOOD = 0.02, 0.01, 1e-3
SAME_INFORMATION = {("bernoulli", "logit"), ("binomial", "logit"), ("poisson", "log")}  # observed is expected


def responses():
    return pd.read_csv(FOLDER / "responses.csv")


def deviations(answer):
    """SDs and correlations, by the formula's order of blocks."""
    names = sorted(answer["varcorr"], key=lambda name: (":" in name, name))
    blocks = [answer["varcorr"][name] for name in names]
    return [np.atleast_1d(block["sd"]) for block in blocks], [np.atleast_1d(block["cor"]) for block in blocks]


def name_of(answer):
    return f"{answer['family']}-{answer['link']}-{answer['formula']}"


# --- R's answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [one for one in ANSWERS if one["glmmTMB"]], ids=name_of)
@pytest.mark.mostly_slow(every=3)
def test_estimates_are_those_of_glmmtmb(answer):
    fit = sf.glmer(answer["formula"], responses(), family=answer["family"], link=answer["link"], method="laplace")
    expected, estimates = answer["glmmTMB"], fit.estimates
    errors = np.sqrt(np.diagonal(estimates.covariance))
    assert fit.verdict == "converged"
    assert fit.log_likelihood == pytest.approx(expected["logLik"], abs=TMB_LOG_LIKELIHOOD)
    assert (fit.aic, fit.bic) == pytest.approx((expected["AIC"], expected["BIC"]), abs=4 * TMB_LOG_LIKELIHOOD)
    np.testing.assert_allclose((estimates.coefficients - expected["fixef"]) / errors, 0, atol=TMB_ERRORS)
    np.testing.assert_allclose(errors, expected["se"], rtol=TMB_ERRORS)
    sds, correlations = deviations(expected)
    for covariance, sd, correlation in zip(estimates.covariances, sds, correlations, strict=True):
        found = np.sqrt(np.diagonal(covariance))
        np.testing.assert_allclose(found, sd, rtol=TMB_ERRORS)
        if len(correlation):
            assert covariance[0, 1] / found.prod() == pytest.approx(correlation[0], abs=TMB_ERRORS)
    shape = {"gamma": lambda sigma: sigma**-2}.get(answer["family"], lambda sigma: sigma)(expected["sigma"])
    parameters = sf.family_parameters(fit)
    assert len(parameters) == (answer["family"] in ("negativebinomial", "gamma", "beta"))
    np.testing.assert_allclose(parameters["estimate"], [shape] * len(parameters), rtol=TMB_ERRORS)
    assert (parameters["conf_low"] < parameters["estimate"]).all()


@pytest.mark.parametrize(
    "answer", [one for one in ANSWERS if (one["family"], one["link"]) in SAME_INFORMATION], ids=name_of
)
def test_estimates_are_those_of_lme4_where_its_information_is_the_same(answer):
    fit = sf.glmer(answer["formula"], responses(), family=answer["family"], link=answer["link"], method="laplace")
    expected, estimates = answer["lme4"], fit.estimates
    errors = np.sqrt(np.diagonal(estimates.covariance))
    assert fit.log_likelihood == pytest.approx(expected["logLik"], abs=LME4_LOG_LIKELIHOOD)
    np.testing.assert_allclose((estimates.coefficients - expected["fixef"]) / errors, 0, atol=LME4_ERRORS)
    np.testing.assert_allclose(errors, expected["se"], rtol=LME4_DEVIATIONS)
    for covariance, sd in zip(estimates.covariances, deviations(expected)[0], strict=True):
        np.testing.assert_allclose(np.sqrt(np.diagonal(covariance)), sd, rtol=LME4_DEVIATIONS)
    np.testing.assert_allclose(sf.fitted(fit)["estimate"].head(5), expected["fitted"], rtol=0.01)
    modes = pd.DataFrame(expected["ranef"]).replace({"term": {"(Intercept)": "Intercept"}})
    if modes["grpvar"].str.contains(":").any():  # lme4 calls g:s s:g
        swapped = modes["grp"].str.replace(r"^(\w+):(\w+)$", r"\2:\1", regex=True)
        modes = modes.assign(grp=swapped, grpvar=modes["grpvar"].replace({"s:g": "g:s"}))
    both = sf.ranef(fit).merge(modes, on=["grpvar", "term", "grp"], suffixes=("", "_r"))
    assert len(both) == len(modes)
    np.testing.assert_allclose(both["condval"], both["condval_r"], atol=0.01)
    np.testing.assert_allclose(both["condsd"], both["condsd_r"], rtol=LME4_DEVIATIONS, atol=1e-3)


FAMILY_ANSWERS = json.loads((FOLDER / "families.json").read_text())["fits"]
MEANS = json.loads((FOLDER / "means.json").read_text())  # glmmTMB's predict(type = "response") of the first rows
ORDINAL_ERRORS, ORDINAL_STANDARD_ERRORS = 1e-2, 5e-3  # clmm stops at a gradient, and its Hessian is of differences


@pytest.mark.parametrize("answer", FAMILY_ANSWERS, ids=lambda answer: f"{answer['family']}-{answer['link']}")
def test_families_with_zeros_levels_or_a_varying_probability_have_rs_estimates(answer):
    """By glmmTMB, and by ordinal's clmm for ordered levels, whose thresholds stand before the fixed effects."""
    table, expected = pd.read_csv(FOLDER / "families.csv"), answer["of"]
    response, weights = answer["response"], None
    if "/" in response:  # a share of trials
        response, weights = "share", "n"
        table["share"] = table["zib"] / table["n"]
    if response == "level":
        table["level"] = pd.Categorical(table["level"], ordered=True)
    fit = sf.glmer(
        f"{response} ~ x + (1 | g) + (1 | h)", table, family=answer["family"], link=answer["link"], weights=weights,
        method="laplace",
    )  # fmt: skip
    ordinal = response == "level"
    frame, tolerance = sf.fixef(fit), ORDINAL_ERRORS if ordinal else TMB_ERRORS
    assert fit.verdict == "converged"
    assert fit.log_likelihood == pytest.approx(expected["logLik"], abs=TMB_LOG_LIKELIHOOD)
    np.testing.assert_allclose((frame["estimate"] - expected["fixef"]) / frame["std_error"], 0, atol=tolerance)
    np.testing.assert_allclose(
        frame["std_error"], expected["se"], rtol=ORDINAL_STANDARD_ERRORS if ordinal else TMB_ERRORS
    )
    sds = sf.varcorr(fit)["sdcor"][:2]
    np.testing.assert_allclose(sds, expected["sd"], rtol=ORDINAL_ERRORS if ordinal else TMB_ERRORS)
    parameters = {name: value for name, value, _ in fit.estimates.others}
    if expected.get("psi"):
        assert parameters["psi"] == pytest.approx(expected["psi"], rel=TMB_ERRORS)
    shape = parameters.get("alpha", parameters.get("kappa", fit.estimates.sigma))
    if shape is not None:
        turned = expected["sigma"] ** -2 if answer["family"] == "hurdle_gamma" else expected["sigma"]
        assert shape == pytest.approx(turned, rel=TMB_ERRORS)
    check_means(fit, table.head(3), MEANS.get(answer["family"]))
    if answer["family"] == "zero_inflated_negativebinomial":  # glmmTMB's confint(full = TRUE); zi is logit(1 - psi)
        found = sf.family_parameters(fit).set_index("term")[["conf_low", "conf_high"]]
        np.testing.assert_allclose(found.loc["alpha"], [1.22352736249, 3.3792718615], rtol=1e-3)
        ends = 1 / (1 + np.exp([-0.3904626772, -1.16468125023]))
        np.testing.assert_allclose(found.loc["psi"], ends, rtol=1e-3)


def check_means(fit, rows, expected):
    """E[y], with zeros of their own and of a logarithm's family; of ordered levels the logistic differences."""
    fitted, fixed = sf.fitted(fit), sf.predict(fit, rows, re_form="~0")
    if expected:
        np.testing.assert_allclose(fitted["estimate"].head(3), expected["fitted"], rtol=1e-4)
        np.testing.assert_allclose(fixed["estimate"], expected["fixed"], rtol=1e-4)
    elif fit.model.family.name == "cumulative" and fit.model.family.link == "logit":
        eta = sf.predict(fit, type="link")["estimate"].iloc[0]
        below = np.r_[0, 1 / (1 + np.exp(eta - fit.estimates.thresholds)), 1]
        np.testing.assert_allclose(fitted["estimate"].head(4), np.diff(below))
        assert fitted["level"].to_list()[:5] == ["0", "1", "2", "3", "0"]
        with pytest.raises(sf.EstimateError, match="have no intervals in a fit by Laplace"):
            sf.predict(fit, re_form="~0", interval="confidence")


def test_thresholds_are_printed_and_kept(tmp_path):
    table = pd.read_csv(FOLDER / "families.csv")
    table["level"] = pd.Categorical(table["level"], ordered=True)
    fit = sf.glmer("level ~ x + (1 | g)", table, family="cumulative", method="laplace")
    assert sf.fixef(fit)["term"].to_list() == ["0|1", "1|2", "2|3", "x"]
    assert "0|1" in repr(fit)
    again = sf.load(sf.save(fit, tmp_path / "fit"))
    np.testing.assert_array_equal(again.estimates.thresholds, fit.estimates.thresholds)
    assert repr(again) == repr(fit)
    effects = sf.ranef(fit)["condval"].to_numpy()[table["g"].factorize(sort=True)[0]]
    locations = sf.fixef(fit)["estimate"].iloc[-1] * table["x"] + effects
    np.testing.assert_allclose(sf.predict(fit, type="link")["estimate"], locations, rtol=1e-10)


REFERENCES = {
    "cbpp": ("binomial", {"herd": str, "period": str, "obs": str}),
    "grouseticks": ("poisson", {"INDEX": str, "BROOD": str, "YEAR": str, "LOCATION": str}),
}


@pytest.mark.parametrize("name", list(REFERENCES))
def test_textbook_data_have_lme4s_estimates(name, shared_data):
    family, types = REFERENCES[name]
    reference = json.loads((shared_data / "lme4" / "reference.json").read_text())["fits"][name][0]
    table = pd.read_csv(shared_data / "lme4" / f"{name}.csv", dtype=types)
    fit = sf.glmer(reference["formula"], table, family=family, method="laplace")
    expected = reference["ML"]
    error = np.sqrt(np.diagonal(fit.estimates.covariance))
    estimates = [row["estimate"] for row in expected["fixef"]]
    np.testing.assert_allclose((fit.estimates.coefficients - estimates) / error, 0, atol=LME4_ERRORS)
    sds = {row["grp"]: row["sdcor"] for row in expected["varcomp"]}
    frame = sf.varcorr(fit).set_index("grp")["sdcor"]
    np.testing.assert_allclose(frame, [sds[group] for group in frame.index], rtol=LME4_DEVIATIONS)
    assert fit.log_likelihood == pytest.approx(expected["logLik"], abs=LME4_LOG_LIKELIHOOD)
    assert (fit.df, fit.verdict) == (expected["df"], "converged")


def test_a_screen_by_a_negative_binomial_has_lme4s_estimates_but_for_its_information(shared_data):
    """lme4 takes the expected information and holds alpha fixed, which moves its estimates by a few per cent."""
    reference = json.loads((shared_data / "screens" / "lme4.json").read_text())["hap1_nb"]
    table = pd.read_csv(shared_data / "screens" / "hap1.csv")
    table["control"] = pd.Categorical(table["control"], categories=["nonessential", "other", "essential"])
    formula = "count ~ control + offset(log(count_initial_adj)) + (1 | gene) + (1 | gene:sgRNA)"
    fit = sf.glmer(formula, table, family="negativebinomial", method="laplace")
    assert fit.estimates.coefficients[2] == pytest.approx(reference["fixed"][2]["estimate"], abs=0.003)
    assert fit.estimates.others[0][1] == pytest.approx(reference["theta_nb"], rel=0.05)
    sds = {row["grp"]: row["sdcor"] for row in reference["varcomp"]}
    frame = sf.varcorr(fit).set_index("grp")["sdcor"]
    np.testing.assert_allclose(frame, [sds[group] for group in frame.index], rtol=0.05)


# --- brute force ------------------------------------------------------------------------------------------------------

ONE_FACTOR = [
    ("c ~ x + offset(o) + (1 | g)", "poisson", "log", None),
    ("b ~ x + (1 | g)", "bernoulli", "logit", None),
    ("b ~ x + (1 | g)", "bernoulli", "cloglog", None),
    ("cbind(k, f) ~ x + (1 | g)", "binomial", "probit", None),
    ("z ~ x + offset(o) + (1 | g)", "negativebinomial", "log", None),
    ("r ~ x + (1 | g)", "gaussian", "log", "w"),
    ("r ~ x + (1 | g)", "t", "identity", "w"),
]


def level_terms(fit):
    """For each level the log of density times prior as a function of its effect, by the package's families."""
    model, estimates = fit.model, fit.estimates
    design, block = model.design, model.design.mean.groups[0]
    sd = float(np.sqrt(estimates.covariances[0][0, 0]))
    fixed = design.mean.X @ estimates.coefficients + design.mean.offset
    parameters = {name: value for name, value, _ in estimates.others} | {"sigma": estimates.sigma}
    for level in range(len(block.levels)):
        rows = block.codes == level
        trials = None if design.trials is None else design.trials[rows]
        weights = None if design.weights is None else design.weights[rows]

        def height(b, rows=rows, trials=trials, weights=weights):
            mean = inverse_link(model.family, fixed[rows] + b)
            density = log_density(model.family, design.response[rows], mean, parameters, trials=trials, weights=weights)
            return float(density.sum() + stats.norm.logpdf(b, 0, sd))

        yield height


@pytest.mark.parametrize(("formula", "family", "link", "weights"), ONE_FACTOR)
@pytest.mark.mostly_slow(every=3)
def test_the_likelihood_of_one_factor_is_a_sum_over_its_levels(formula, family, link, weights):
    """Laplace's by scipy in one dimension; 25 adaptive Gauss-Hermite nodes differ by what the approximation errs."""
    table = responses().assign(w=np.linspace(0.5, 2, 240))
    fit = sf.glmer(formula, table, family=family, link=link, weights=weights, method="laplace")
    nodes, node_weights = hermgauss(25)
    total, errors, modes = 0.0, [], []
    for height in level_terms(fit):
        found = optimize.minimize_scalar(lambda b, of=height: -of(b), bracket=(-0.5, 0.5), tol=1e-12)
        mode, top, step = found.x, -found.fun, 1e-3
        bend = -(height(mode + step) - 2 * top + height(mode - step)) / step**2
        total += top + 0.5 * np.log(2 * np.pi / bend)
        scale = np.sqrt(2 / bend)
        inner = [height(mode + scale * node) - top + node**2 for node in nodes]
        errors.append(np.log(scale * (node_weights @ np.exp(inner))) - 0.5 * np.log(2 * np.pi / bend))
        modes.append(mode)
    assert fit.log_likelihood == pytest.approx(total, abs=1e-3)  # differences of step 1e-3 in 20 levels
    np.testing.assert_allclose(sf.ranef(fit)["condval"], modes, atol=1e-5)
    # The next term of Laplace's expansion is of the order of one over the rows of a level, of which there are twelve.
    assert np.abs(errors).max() < 1 / 12


@pytest.mark.parametrize(
    ("formula", "family"),
    [("c ~ x + (x | g) + (1 | h)", "poisson"), ("b ~ x + (1 | g/s) + (0 + x | h)", "bernoulli"),
     ("c ~ h + (x || g)", "negativebinomial")],
)  # fmt: skip
def test_the_likelihood_is_that_of_dense_matrices(formula, family):
    fit = sf.glmer(formula, responses(), family=family, method="laplace")
    model, design, estimates = fit.model, fit.model.design, fit.estimates
    parameters = {name: value for name, value, _ in estimates.others}
    Z, prior, effects = [], 0.0, []
    for block, covariance, modes in zip(design.mean.groups, estimates.covariances, estimates.modes, strict=True):
        values, axes = np.linalg.eigh(covariance)
        used = values > 1e-12
        for level in range(len(block.levels)):
            root = axes[:, used] * np.sqrt(values[used])
            Z.append(np.where((block.codes == level)[:, None], block.values, 0.0) @ root)
            u = np.linalg.lstsq(root, modes[level], rcond=None)[0]
            prior += 0.5 * float(u @ u)
            effects.append(u)
    Z, effects, step = np.hstack(Z), np.concatenate(effects), 1e-3
    eta = design.mean.X @ estimates.coefficients + Z @ effects

    def density(x):
        return log_density(model.family, design.response, inverse_link(model.family, x), parameters)

    weights = -(density(eta + step) - 2 * density(eta) + density(eta - step)) / step**2
    slope = (density(eta + step) - density(eta - step)) / (2 * step)
    np.testing.assert_allclose(Z.T @ slope - effects, 0, atol=1e-4)  # it is the mode
    log_determinant = np.linalg.slogdet(Z.T @ (weights[:, None] * Z) + np.eye(Z.shape[1]))[1]
    assert fit.log_likelihood == pytest.approx(density(eta).sum() - prior - 0.5 * log_determinant, abs=1e-3)


GRADIENTS = [
    ("c ~ x + (x | g) + (1 | h)", "poisson", "log"), ("c ~ x + (x || g) + (1 | g:s)", "negativebinomial", "log"),
    ("i ~ x + (1 | g)", "poisson", "identity"), ("b ~ x + (0 + x | g) + (1 | h)", "bernoulli", "logit"),
    ("cbind(k, f) ~ x + (x | g)", "binomial", "cloglog"), ("r ~ x + (1 | g) + (1 | h)", "gamma", "log"),
    ("q ~ x + (x | g)", "beta", "probit"), ("r ~ x + (1 | g) + (1 | h)", "t", "identity"), ("c ~ x", "poisson", "log"),
    ("z ~ x + (1 | g)", "zero_inflated_negativebinomial", "log"), ("z ~ x + (1 | g)", "hurdle_negativebinomial", "log"),
    ("cbind(k, f) ~ x + (1 | g)", "beta_binomial", "logit"), ("k ~ x + (1 | g)", "cumulative", "probit"),
    ("k ~ x + (1 | g)", "sratio", "logit"), ("r ~ x + (1 | g)", "wald", "log"), ("r ~ x + (1 | g)", "weibull", "log"),
]  # fmt: skip


@pytest.mark.parametrize("most_dense", [300, 0])
@pytest.mark.parametrize(("formula", "family", "link"), GRADIENTS)
def test_the_gradient_is_that_of_differences(formula, family, link, most_dense, monkeypatch):
    monkeypatch.setattr(laplace_rows, "MOST_DENSE", most_dense)
    table = responses()
    if KNOWN[family].is_ordinal:
        table["k"] = pd.Categorical(table["k"].clip(0, 3), ordered=True)
    design = sf.Model(formula, table, family=family, link=link).design
    p = design.mean.X.shape[1]
    problem = problem_of(design, resolve_family(family, link), np.zeros(p))
    m, e = problem.relative.size, len(problem.parameters)
    rng = np.random.default_rng(4)
    level = 6.0 if link == "identity" and family == "poisson" else 0.4
    searched = np.sort(rng.uniform(0, 1, e)) if design.thresholds else rng.uniform(0, 1, e)
    x = np.concatenate([rng.uniform(0.2, 0.6, m), [level], rng.normal(0, 0.1, p - 1), searched])

    def point(x):
        return Point(x[:m], x[m : m + p], numbers_of(problem, x[m + p :]))

    mode = find_mode(problem, point(x))
    found = gradient(problem, point(x), mode)
    for place in range(len(x)):
        step = 1e-4 * np.eye(len(x))[place]
        ahead, behind = (find_mode(problem, point(x + shift), mode.u).criterion for shift in (step, -step))
        assert found[place] == pytest.approx((ahead - behind) / 2e-4, rel=1e-5, abs=1e-5)


ALGEBRA = [
    ("c ~ x + (x | g) + (1 | h)", "poisson"), ("b ~ x + (1 | g) + (0 + x | h) + (1 | g:s)", "bernoulli"),
    ("z ~ x + offset(o) + (x || g) + (1 | g:h)", "negativebinomial"),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "family"), ALGEBRA)
def test_whole_and_sparse_matrices_give_the_same_fit(formula, family, monkeypatch):
    whole = sf.glmer(formula, responses(), family=family, method="laplace")
    monkeypatch.setattr(laplace_rows, "MOST_DENSE", 0)
    loose = sf.glmer(formula, responses(), family=family, method="laplace")
    assert loose.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-9)
    np.testing.assert_allclose(loose.estimates.covariance, whole.estimates.covariance, rtol=1e-3, atol=1e-9)
    for name in ("condval", "condsd"):
        np.testing.assert_allclose(sf.ranef(loose)[name], sf.ranef(whole)[name], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(sf.coef(loose)["std_error"], sf.coef(whole)["std_error"], rtol=1e-3)


# --- closed forms and edges -------------------------------------------------------------------------------------------


def test_without_groups_it_is_the_generalized_linear_model():
    y = np.array([3.0, 0, 2, 7, 5, 4])
    fit = sf.glmer("y ~ 1", {"y": y}, family="poisson", method="laplace")
    assert fit.estimates.coefficients[0] == pytest.approx(np.log(y.mean()), rel=1e-6)
    assert fit.estimates.covariance[0, 0] == pytest.approx(1 / y.sum(), rel=1e-4)
    assert fit.log_likelihood == pytest.approx(stats.poisson.logpmf(y, y.mean()).sum(), rel=1e-9)
    assert "Generalized linear model fit by maximum likelihood (Laplace Approximation)" in repr(fit)


def noise():
    rng = np.random.default_rng(4)  # between levels the counts vary half as much as by chance
    return pd.DataFrame({
        "y": rng.poisson(4.0, 120), "x": rng.normal(size=120), "g": np.tile(np.arange(10), 12).astype(str),
        "row": np.arange(120).astype(str),
    })  # fmt: skip


def test_a_variance_of_nothing_is_exactly_zero_and_said_in_words():
    fit = sf.glmer("y ~ 1 + (1 | g)", noise(), family="poisson", method="laplace")
    assert (fit.verdict, fit.singular) == ("singular", True)
    assert fit.sentence == "The SD of 'Intercept' by g is estimated as zero."
    assert sf.varcorr(fit)["sdcor"].to_list() == [0.0]
    assert np.isnan(sf.tidy(fit, "ran_pars")["std_error"]).all()
    y = noise()["y"]
    assert fit.log_likelihood == pytest.approx(stats.poisson.logpmf(y, y.mean()).sum(), rel=1e-9)


def test_counts_that_vary_no_more_than_poisson_have_an_infinite_alpha():
    table = noise().assign(y=lambda d: np.minimum(d["y"], 6))
    fit = sf.glmer("y ~ 1", table, family="negativebinomial", method="laplace")
    assert fit.sentence == "The counts vary no more than a poisson response would: alpha is estimated as infinite."
    assert fit.estimates.others[0][:2] == ("alpha", np.inf)
    poisson = sf.glmer("y ~ 1", table, family="poisson", method="laplace")
    assert fit.log_likelihood == pytest.approx(poisson.log_likelihood, abs=1e-6)
    assert "alpha: inf (Std.Error -)" in repr(fit)


@pytest.mark.parametrize(
    ("family", "response", "sentence"),
    [
        (
            "zero_inflated_poisson",
            "y",
            "There are no more zeros than the distribution itself has: psi is estimated as 1.",
        ),
        ("hurdle_poisson", "above", "No row is 0: psi is estimated as 1."),
    ],
)
def test_zeros_that_need_no_share_of_their_own_are_told(family, response, sentence):
    table = noise().assign(y=lambda d: np.maximum(d["y"], 1), above=lambda d: d["y"])
    fit = sf.glmer(f"{response} ~ 1", table, family=family, method="laplace")
    assert (fit.verdict, fit.singular, fit.sentence) == ("singular", True, sentence)
    if family == "zero_inflated_poisson":
        poisson = sf.glmer("y ~ 1", table, family="poisson", method="laplace")
        assert fit.log_likelihood == pytest.approx(poisson.log_likelihood, abs=1e-6)


def test_successes_that_vary_no_more_than_binomial_ones_have_an_infinite_kappa():
    table = pd.DataFrame({"k": [3, 4, 3, 5, 4, 4, 3, 5], "f": [7, 6, 7, 5, 6, 6, 7, 5]})
    fit = sf.glmer("cbind(k, f) ~ 1", table, family="beta_binomial", method="laplace")
    assert fit.sentence == "The successes vary no more than binomial ones would: kappa is estimated as infinite."
    binomial = sf.glmer("cbind(k, f) ~ 1", table, family="binomial", method="laplace")
    assert fit.log_likelihood == pytest.approx(binomial.log_likelihood, abs=1e-6)


def test_a_response_without_outliers_has_an_infinite_nu(tmp_path):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": rng.normal(size=120), "g": np.repeat(list("abcdef"), 20)})
    effects = np.repeat(rng.normal(size=6), 20)
    table["y"] = 1 + table["x"] + effects + rng.uniform(-1, 1, 120)
    fit = sf.glmer("y ~ x + (1 | g)", table, family="t", method="laplace")
    assert (fit.verdict, fit.singular) == ("singular", True)
    assert fit.sentence == (
        "The response strays no farther from its means than a gaussian one would: nu is estimated as infinite."
    )
    assert fit.remedy == (
        "Write family='gaussian', which has one parameter less, or use method='hmc': a posterior also says how large "
        "it may be."
    )
    assert "nu: inf (Std.Error -)" in repr(fit)
    gaussian = sf.lmer("y ~ x + (1 | g)", table, method="ml")
    assert fit.log_likelihood == pytest.approx(gaussian.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(sf.fixef(fit)["estimate"], sf.fixef(gaussian)["estimate"], rtol=1e-4)
    assert fit.estimates.sigma == pytest.approx(gaussian.estimates.sigma, rel=1e-4)
    ratios = sf.anova(gaussian, fit)
    assert ratios.table["Chisq"].iloc[1] == pytest.approx(0, abs=1e-5)
    assert ratios.notes[0] == (
        "A gaussian model is a t one at its edge, with an infinite nu, so that the p-value is too large (about twice)."
    )
    drawn = sf.simulate(sf.load(sf.save(fit, tmp_path / "t.fit")), nsim=20, random_seed=1, use_u=True)
    rest = drawn.to_numpy() - sf.fitted(fit)["estimate"].to_numpy()[:, None]
    assert np.std(rest) == pytest.approx(gaussian.estimates.sigma, rel=0.05)


def counts_of(seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=200), "c": rng.poisson(3, size=200)})


def test_a_parameter_that_the_data_hardly_tell_from_infinity_is_doubtful():
    tables = [counts_of(seed) for seed in range(30)]
    fits = [sf.glmer("c ~ x", table, family="negativebinomial", method="laplace") for table in tables]
    doubtful = [place for place, fit in enumerate(fits) if fit.verdict == "doubtful"]
    assert doubtful
    for place in doubtful:
        fit = fits[place]
        poisson = sf.glmer("c ~ x", tables[place], family="poisson", method="laplace")
        lost = fit.log_likelihood - poisson.log_likelihood
        ((_, alpha, error),) = fit.estimates.others
        assert error / alpha > 5
        assert 0 < lost < 0.02
        assert fit.sentence == (
            "The likelihood is flat in 'alpha': with an infinite one, as of a poisson response, its logarithm is lower "
            f"by {lost:.2g} only."
        )
        assert fit.remedy == (
            "Write family='poisson', which has one parameter less, or use method='hmc', where priors keep it finite."
        )
    for fit in (fit for fit in fits if fit.verdict == "converged"):
        ((_, alpha, error),) = fit.estimates.others
        assert error / alpha < 5


def test_a_shape_that_grows_without_end_is_doubtful():
    table = noise().assign(r=lambda d: np.exp(0.2 * d["x"]))
    fit = sf.glmer("r ~ x", table, family="gamma", link="log", method="laplace")
    assert fit.verdict == "doubtful"


def test_nothing_is_printed_by_libraries(capfd):
    sf.glmer("c ~ x", responses(), family="poisson", method="laplace")
    assert capfd.readouterr() == ("", "")


def test_separated_trials_are_doubtful():
    table = noise().assign(b=lambda d: (d["x"] > 0).astype(int))
    fit = sf.glmer("b ~ x + (1 | g)", table, family="bernoulli", method="laplace")
    assert fit.verdict == "doubtful"
    assert "The likelihood is flat in 'x': it may grow without end." in fit.sentence
    assert "method='hmc'" in fit.remedy


def test_two_names_for_one_grouping_are_doubtful():
    table = responses().assign(g2=lambda d: d["g"])
    fit = sf.glmer("c ~ x + (1 | g) + (1 | g2)", table, family="poisson", method="laplace")
    assert fit.verdict == "doubtful"
    assert re.fullmatch(
        r"(The likelihood is flat in the SD of 'Intercept' by g2?, which the data cannot tell\. ?)+", fit.sentence
    )


def test_a_search_that_stopped_is_never_hidden(monkeypatch):
    def stopped(criterion, value, x, guess, sizes, units):
        return Minimum(x, value(x), 0.5, hessian=guess, free=np.ones(len(x), dtype=bool))

    monkeypatch.setattr(laplace_fit, "descend", stopped)
    fit = sf.glmer("c ~ x + (1 | g)", responses(), family="poisson", method="laplace")
    assert fit.verdict == "doubtful"
    assert repr(fit).startswith("Doubtful: The search stopped before the maximum: the likelihood could still rise.")


def test_predictors_far_from_zero_and_of_any_size_do_not_matter():
    table = responses().assign(far=lambda d: 1e5 + 1e3 * d["x"])
    near, far = (sf.glmer(f"c ~ {x} + (1 | g)", table, family="poisson", method="laplace") for x in ("x", "far"))
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-6)
    assert 1e3 * far.estimates.coefficients[1] == pytest.approx(near.estimates.coefficients[1], rel=1e-4)


# --- what the verbs show ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slopes():
    return sf.glmer("c ~ x + offset(o) + (x | g)", responses(), family="poisson", method="laplace")


@pytest.fixture(scope="module")
def overdispersed():
    return sf.glmer("z ~ x + offset(o) + (1 | g)", responses(), family="negativebinomial", method="laplace")


def test_frames_have_z_values_and_no_residual(slopes):
    frame = sf.fixef(slopes)
    assert list(frame) == ["term", "estimate", "std_error", "conf_low", "conf_high", "statistic", "p_value"]
    np.testing.assert_allclose(frame["p_value"], 2 * stats.norm.sf(abs(frame["statistic"])), rtol=1e-10)
    for table in (frame, sf.tidy(slopes)):
        assert table.attrs["tests"] == "statistic is a z value; p_value is asymptotic, by the normal distribution."
    assert sf.varcorr(slopes)["grp"].to_list() == ["g", "g", "g"]
    assert sf.sigma(slopes) == 1.0
    assert (sf.nobs(slopes), sf.ngrps(slopes), slopes.df) == (240, {"g": 20}, 5)
    table = sf.tidy(slopes, "ran_pars")
    assert table["term"].to_list() == ["sd__Intercept", "sd__x", "cor__Intercept.x"]
    assert (table["std_error"] > 0).all()
    sums = sf.coef(slopes).query("term == 'x'")["estimate"].to_numpy()
    np.testing.assert_allclose(sums, frame["estimate"][1] + slopes.estimates.modes[0][:, 1], rtol=1e-12)
    fitted = sf.fitted(slopes)
    assert fitted["std_error"].isna().all()
    # Each mode gathers its rows: sum of residuals is the mode over its variance (the score of a level).
    table = responses()
    rest = table["c"].to_numpy() - fitted["estimate"].to_numpy()
    X = np.column_stack([np.ones(240), table["x"]])
    codes = slopes.model.design.mean.groups[0].codes
    scores = np.array([X[codes == k].T @ rest[codes == k] for k in range(20)])
    pulled = np.linalg.solve(slopes.estimates.covariances[0], slopes.estimates.modes[0].T).T
    np.testing.assert_allclose(scores, pulled, atol=1e-5)


def test_standard_errors_of_deviations_follow_the_likelihood(overdispersed):
    """Along one SD alone the criterion bends more than with the rest free, and so bounds the standard error."""
    error = sf.tidy(overdispersed, "ran_pars")["std_error"][0]
    design = overdispersed.model.design
    problem = problem_of(design, resolve_family("negativebinomial"), np.zeros(2))
    sd = float(np.sqrt(overdispersed.estimates.covariances[0][0, 0]))
    alpha = overdispersed.estimates.others[0][1]

    def criterion(value):
        lengths = np.sqrt(np.mean(design.mean.X**2, axis=0))
        point = Point(np.array([value]), overdispersed.estimates.coefficients * lengths, np.array([alpha]))
        return find_mode(problem, point).criterion

    assert criterion(sd) == pytest.approx(overdispersed.deviance, abs=1e-8)
    bend = (criterion(sd + 0.01) - 2 * criterion(sd) + criterion(sd - 0.01)) / 0.01**2
    alone = np.sqrt(2 / bend)
    assert alone < error < 1.2 * alone


PRINTED = """\
Converged: The likelihood by Laplace's approximation is at its maximum, to within a thousandth of a
  standard error.
Generalized linear mixed model fit by maximum likelihood (Laplace Approximation)
 Family: negativebinomial (log link)
Formula: z ~ 1 + x + (1 | g) + offset(o)
   Data: 240 rows, SECONDS seconds
"""


def test_a_fit_prints_as_glmer_does(overdispersed):
    text = repr(overdispersed)
    seconds = f"{overdispersed.seconds:,.1f}"
    assert text.startswith(PRINTED.replace("SECONDS", seconds))
    lines = text.splitlines()
    assert any(line.split() == ["Estimate", "Std.Error", "z", "value", "Pr(>|z|)"] for line in lines)
    alpha, error = overdispersed.estimates.others[0][1:]
    assert f"  alpha: {alpha:.4g} (Std.Error {error:.3g})" in lines
    assert "Laplace's approximation is a first look" in " ".join(lines)
    assert "Residual" not in text
    assert "Pr(&gt;|z|)" in overdispersed._repr_html_()


def test_a_saved_fit_comes_back_whole(overdispersed, tmp_path):
    again = sf.load(sf.save(overdispersed, tmp_path / "counts.fit"))
    assert repr(again) == repr(overdispersed)
    pd.testing.assert_frame_equal(sf.tidy(again), sf.tidy(overdispersed))
    assert again.estimates.others == overdispersed.estimates.others


def test_likelihood_ratios_of_nested_models():
    table = responses()
    small, large = (sf.glmer(f"c ~ {x} + (1 | g)", table, family="poisson", method="laplace") for x in ("1", "x"))
    found = sf.anova(small, large)
    ratio = 2 * (large.log_likelihood - small.log_likelihood)
    assert found.table["Chisq"].iloc[1] == pytest.approx(ratio, rel=1e-12)
    assert found.table["Pr(>Chisq)"].iloc[1] == pytest.approx(stats.chi2.sf(ratio, 1), rel=1e-9)
    told = "Pr(>Chisq) is asymptotic, by the chi-square distribution: too small where there are few groups."
    assert found.notes == (told,)
    wide = sf.glmer("c ~ x + (1 | g)", table, family="negativebinomial", method="laplace")
    assert sf.anova(large, wide).notes == (
        "A poisson model is a negative binomial one at its edge, with an infinite alpha, so that the p-value is too "
        "large (about twice).",
        told,
    )


@pytest.mark.parametrize("family", ["binomial", "beta_binomial", "zero_inflated_binomial"])
@pytest.mark.parametrize("response", ["cbind(k, f)", "share"])
def test_a_row_without_trials_counts_for_nothing(family, response):
    """As in glmer the row is an observation still: of BIC's count, and of nothing else."""
    table = responses()
    table.loc[7, ["n", "k", "f"]] = 0
    table["share"] = (table["k"] / table["n"]).fillna(0)
    settings = {"family": family, "method": "laplace", "weights": "n" if response == "share" else None}
    fit = sf.glmer(f"{response} ~ x + (1 | g)", table, **settings)
    without = sf.glmer(f"{response} ~ x + (1 | g)", table.drop(index=7), **settings)
    assert fit.log_likelihood == pytest.approx(without.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(sf.fixef(fit)["estimate"], sf.fixef(without)["estimate"], rtol=1e-5)
    assert (sf.nobs(fit), sf.nobs(without)) == (240, 239)
    assert np.isfinite(sf.fitted(fit)["estimate"]).all()
    drawn = sf.simulate(fit, nsim=1, random_seed=1)
    assert drawn.iloc[7, 0] == 0
    assert sf.refit(fit, drawn.iloc[:, 0]).verdict in ("converged", "singular", "doubtful")


# --- errors -----------------------------------------------------------------------------------------------------------

SERVES = (
    "It serves generalized linear mixed models whose variances the data can tell apart.\n"
    "Leave method= out for the engine that serves the model."
)
ERRORS = [
    ("r ~ x + (1 | g)", {"family": "gaussian"},
     "Laplace's approximation cannot serve this model: a gaussian response with the identity link needs no "
     f"approximation: method='ml' has its exact likelihood.\n{SERVES}"),
    ("b ~ x + (1 | row)", {"family": "bernoulli"},
     "Laplace's approximation cannot serve this model: 'row' has 240 levels for 240 rows, and single trials say "
     f"nothing of its variance.\n{SERVES}"),
    ("c ~ x + (1 | all)", {"family": "poisson"},
     "Laplace's approximation cannot serve this model: 'all' has a single level, which says nothing of a variance.\n"
     f"{SERVES}"),
    ("r ~ x + (1 | g)", {"family": "asymmetriclaplace"},
     "Laplace's approximation cannot serve this model: it lacks the derivatives of the family asymmetriclaplace with "
     f"the identity link (it has {', '.join(DERIVED)}).\n{SERVES}"),
    (["z ~ x + (1 | g)", "alpha ~ x"], {"family": "negativebinomial"},
     "Laplace's approximation cannot serve this model: it has no formulas of other parameters than the mean, here of "
     f"alpha.\n{SERVES}"),
    ("truncated(c, ub = 99) ~ x + (1 | g)", {"family": "poisson"},
     "Laplace's approximation cannot serve this model: it lacks the derivatives of censored and truncated responses.\n"
     f"{SERVES}"),
    ("c ~ 0", {"family": "poisson"},
     f"Laplace's approximation cannot serve this model: the model has no coefficients.\n{SERVES}"),
    ("c ~ 0 + x + (1 | g)", {"family": "poisson", "link": "identity"},
     "no parameters were found at which every row is possible.\n"
     "The link must be able to reach the observed means: 'identity' and 'inverse' also reach impossible ones.\n"
     "Choose the family's usual link, or add an intercept, or use method='hmc'."),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "settings", "text"), ERRORS)
def test_what_cannot_be_served_is_said(formula, settings, text):
    table = responses().assign(all="one", row=np.arange(240).astype(str))
    with pytest.raises(SamplingError) as raised:
        sf.glmer(formula, table, method="laplace", **settings)
    assert str(raised.value) == text


def test_there_are_no_draws(slopes):
    with pytest.raises(EstimateError) as raised:
        sf.log_likelihood(slopes)
    assert str(raised.value) == (
        "a fit by maximum likelihood (Laplace Approximation) has no draws.\n"
        "Leave-one-out, recovery, diagnostics and prediction intervals are made from draws; sf.predict, "
        "sf.residuals, checks and pictures of estimates need none.\n"
        "Fit the model with method='hmc'; likelihoods are compared by sf.anova."
    )


def test_likelihoods_of_different_families_are_not_compared(slopes):
    other = sf.lmer("c ~ x + (1 | g)", responses(), method="ml")
    with pytest.raises(ComparisonError) as raised:
        sf.anova(slopes, other)
    assert str(raised.value) == (
        "the fits are of different families: gaussian (identity link), poisson (log link).\n"
        "A likelihood ratio is of models of which one is a special case of the other: of one family and link, or "
        "gaussian beside t, binomial beside beta_binomial, poisson beside negativebinomial, or a family beside its "
        "zero_inflated one.\n"
        "Their AIC can be read side by side (fit.aic), or fit them by method='hmc' and rank them with compare."
    )


def test_a_family_is_compared_with_its_zero_inflated_one():
    settings = {"data": responses(), "method": "laplace"}
    plain, inflated = (
        sf.glmer("z ~ x + (1 | g)", family=name, **settings) for name in ("poisson", "zero_inflated_poisson")
    )
    ratios = sf.anova(plain, inflated)
    last = ratios.table.iloc[-1]
    assert last["Chisq"] == pytest.approx(2 * (inflated.log_likelihood - plain.log_likelihood), rel=1e-9)
    assert last["Df"] == 1
    assert "A poisson model is a zero_inflated_poisson one at its edge" in " ".join(str(ratios).split())
    with pytest.raises(ComparisonError, match="of different families"):
        sf.anova(sf.glmer("z ~ x + (1 | g)", family="negativebinomial", **settings), inflated)


def test_rows_of_no_trials_say_nothing():
    """The fit is that of the table without them, whole levels included but for their number; no warning either."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"tr": list("ab") * 30, "id": np.repeat(np.arange(15), 4)})
    data["s"] = rng.binomial(12, 1 / (1 + np.exp(-rng.normal(0, 0.8, 15).repeat(4))))
    data["f"] = 12 - data["s"]
    data.loc[[3, 17, 41], ["s", "f"]] = 0
    formula, settings = "cbind(s, f) ~ tr + (1 | id)", {"family": "binomial", "method": "laplace"}
    whole, without = (sf.glmer(formula, table, **settings) for table in (data, data.drop([3, 17, 41])))
    assert whole.log_likelihood == pytest.approx(without.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(sf.fixef(whole)["estimate"], sf.fixef(without)["estimate"], atol=1e-5)
    assert sf.residuals(whole).isna().sum() == sf.residuals(whole, "pearson").isna().sum() == 3


def lines_by_group(shift=0.0, x_unit=1.0, y_unit=1.0):
    """Twenty groups of eight: counts, positive numbers and noisy ones about an exponential of lines."""
    rng = np.random.default_rng(6)
    g, x = np.repeat(np.arange(20), 8), np.tile(np.arange(8.0) - 2, 20)
    mean = np.exp(0.7 + 0.2 * x + rng.normal(0, 0.6, 20)[g] + rng.normal(0, 0.1, 20)[g] * x)
    return pd.DataFrame({
        "g": g, "x": (x + shift) * x_unit, "count": rng.poisson(mean), "size": rng.gamma(5, mean / 5) * y_unit,
        "noisy": (mean + rng.normal(0, 0.3, 160)) * y_unit,
    })  # fmt: skip


FAMILIES = [("count", "poisson", 1.0), ("count", "negativebinomial", 1.0), ("size", "gamma", 1e12),
            ("size", "gamma", 1e-12), ("noisy", "gaussian", 1e-12), ("noisy", "gaussian", 1e12)]  # fmt: skip


@pytest.mark.parametrize("x_unit", [1e-12, 1e12])
@pytest.mark.parametrize(("response", "family", "y_unit"), FAMILIES)
@pytest.mark.mostly_slow("size-gamma-1e-12-1e-12", "count-poisson-1.0-1000000000000.0")
def test_units_change_nothing_but_the_units(response, family, y_unit, x_unit):
    """The log link's intercept takes a response's unit up; the likelihood is a density by each response."""
    formula, settings = f"{response} ~ x + (x | g)", {"family": family, "link": "log", "method": "laplace"}
    plain = sf.glmer(formula, lines_by_group(), **settings)
    scaled = sf.glmer(formula, lines_by_group(x_unit=x_unit, y_unit=y_unit), **settings)
    assert scaled.verdict == plain.verdict != "doubtful"
    assert scaled.log_likelihood == pytest.approx(plain.log_likelihood - 160 * np.log(y_unit), abs=2e-5)
    moved = scaled.estimates.coefficients * [1, x_unit] - plain.estimates.coefficients
    np.testing.assert_allclose(moved, [np.log(y_unit), 0], atol=2e-4)
    units = np.array([1, x_unit])
    found = scaled.estimates.covariances[0] * np.outer(units, units)
    np.testing.assert_allclose(found, plain.estimates.covariances[0], atol=2e-3)


@pytest.mark.parametrize("shift", [2000.0, -1e5])
def test_a_slope_far_from_zero_is_the_same_model(shift):
    """The intercepts of years are those of the year 0; the rest is that of the year less 2000."""
    near, far = (
        sf.glmer("count ~ x + (x | g)", lines_by_group(moved), family="poisson", method="laplace")
        for moved in (0.0, shift)
    )
    assert (far.verdict, near.verdict) == ("converged", "converged")
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-5)
    np.testing.assert_allclose(sf.fixef(far)["estimate"][1], sf.fixef(near)["estimate"][1], atol=2e-5)
    np.testing.assert_allclose(sf.fixef(far)["std_error"][1], sf.fixef(near)["std_error"][1], rtol=1e-3)
    np.testing.assert_allclose(sf.fitted(far)["estimate"], sf.fitted(near)["estimate"], rtol=1e-3)
    back = np.array([[1.0, -shift], [0.0, 1.0]])
    expected = back @ near.estimates.covariances[0] @ back.T
    np.testing.assert_allclose(far.estimates.covariances[0], expected, rtol=5e-3)
    np.testing.assert_allclose(far.estimates.mode_sds[0][:, 1], near.estimates.mode_sds[0][:, 1], rtol=5e-3)
    errors = [fit.estimates.deviation_errors[0][1] for fit in (far, near)]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)
