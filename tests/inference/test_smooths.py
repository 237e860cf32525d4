"""Smooths by REML against mgcv and gamm4: effective degrees of freedom, scores, curves, standard errors and tests.

By maximum likelihood against lme4. tests/data/r/smooths.R and smooth_tests.R made the figures.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import speclet_formula as sf
from speclet_formula.inference.chi_squares import tail_of_chi_squares
from speclet_formula.inference.smooths import smooth_tests, whole_coefficients, whole_covariance
from speclet_formula.posterior.draws import values_of

FOLDER = Path(__file__).parents[1] / "data" / "r"
ANSWERS = json.loads((FOLDER / "smooths.json").read_text())
TESTS = json.loads((FOLDER / "smooth_tests.json").read_text())
FAMILIES = {"gaussian": "gaussian", "poisson": "poisson", "binomial": "bernoulli"}


@cache
def table(name):
    if name == "sleepstudy":
        return pd.read_csv(FOLDER / "textbook" / "sleepstudy.csv").astype({"Subject": str})
    made = pd.DataFrame(ANSWERS[name])
    return made.assign(hit=(made["y2"] > 0.8).astype(int)) if name == "made" else made


@cache
def fit_of(name, formula, method="reml", family="gaussian"):
    return sf.glmer(formula, table(name), family=family, method=method)


def unpenalised(fit):
    X = fit.model.design.mean.X
    return 0.5 * np.linalg.slogdet(X.T @ X)[1]


@pytest.mark.parametrize("answer", ANSWERS["models"], ids=lambda answer: answer["formula"])
def test_fits_are_mgcvs(answer):
    fit = fit_of(answer["data"], answer["formula"])
    spread = fit.model.design.response.std()
    # Both searches end a little beside the maximum: curves differ by less than 1e-6 SDs on any machine that was tried.
    np.testing.assert_allclose(sf.fitted(fit)["estimate"], answer["fitted"], atol=1e-5 * spread)
    np.testing.assert_allclose(
        sf.predict(fit, pd.DataFrame(answer["new"]))["estimate"], answer["predicted"], atol=1e-5 * spread
    )
    # REML scores belong to the coordinates of the fixed columns: in one unit of volume they agree.
    ours, theirs = fit.log_likelihood + unpenalised(fit), answer["score"] + np.log(answer["scale"])
    assert ours == pytest.approx(theirs, rel=1e-8)
    assert fit.estimates.sigma == pytest.approx(answer["sigma"], rel=1e-5)
    expected = sum(number for label, number in answer["edf"].items() if label not in ("s(Subject)", "s(g)"))
    assert sf.smooths(fit)["edf"].sum() == pytest.approx(expected, rel=1e-4)


ALONE = [answer for answer in ANSWERS["models"] if "(1 |" not in answer["formula"]]  # else mgcv's have the levels' too


@pytest.mark.parametrize("answer", ALONE, ids=lambda answer: answer["formula"])
def test_bands_are_mgcvs(answer):
    """Its standard errors are for given smoothing parameters."""
    fit = fit_of(answer["data"], answer["formula"])
    made = sf.predict(fit, pd.DataFrame(answer["new"]), interval="confidence", re_form="~0")
    np.testing.assert_allclose(made["std_error"], answer["se"], rtol=1e-4)


def test_beside_group_terms_a_fit_is_gamm4s():
    fit, answer = fit_of("made", 'y ~ s(x) + s(z, bs = "cr", k = 7) + (1 | g)'), ANSWERS["gamm4"]
    ours, theirs = fit.log_likelihood + unpenalised(fit), answer["logLik"] + np.log(answer["scale"])
    assert ours == pytest.approx(theirs, rel=1e-8)
    assert fit.estimates.sigma == pytest.approx(answer["sigma"], rel=1e-4)
    sds = sf.varcorr(fit).set_index("grp")["sdcor"]
    assert sds["g"] == pytest.approx(answer["sd_g"], rel=1e-3)
    assert list(sds.index) == ["g", "s(x)", "s(z)", "Residual"]


def test_covariances_are_those_of_dense_algebra():
    fit = fit_of("made", 'y ~ s(x) + s(z, bs = "cr", k = 7) + (1 | g)')
    mean, points = fit.model.design.mean, fit.estimates
    (groups, *smooths), C = mean.groups, mean.whole
    V = np.eye(len(C)) * points.sigma**2
    V += points.covariances[0][0, 0] * (groups.codes[:, None] == groups.codes)
    precision = C.T @ np.linalg.solve(V, C)
    sds = [matrix[0, 0] for matrix in points.covariances[1:]]
    priors = np.concatenate(
        [np.zeros(mean.X.shape[1]), *(np.full(len(b.columns), 1 / s) for b, s in zip(smooths, sds, strict=True))]
    )
    covariance = np.linalg.inv(precision + np.diag(priors))
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(whole_covariance(fit) / scale, covariance / scale, atol=1e-7)
    coefficients = covariance @ (C.T @ np.linalg.solve(V, fit.model.design.response))
    np.testing.assert_allclose(whole_coefficients(fit), coefficients, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["laplace", "hmc"])
def test_counts_have_the_weights_of_their_means(method):
    """Given the variances the precision is C'WC + P, with W the means of the counts; dense algebra."""
    how = {"random_seed": 1, "draws": 500, "progress": False} if method == "hmc" else {}
    fit = sf.glmer("k ~ s(x, k = 7) + (1 | g)", table("made"), family="poisson", method=method, **how)
    mean, values = fit.model.design.mean, values_of(fit)
    groups, smooth = mean.groups
    center = values.mean()
    eta = (center.whole(mean) @ mean.whole.T)[0] + center.effects(groups)[0][0][groups.codes]
    C = np.column_stack([mean.whole, np.equal.outer(groups.codes, np.arange(len(groups.levels)))])
    tau, spread = (np.median(values.covariances(block)[:, 0, 0]) for block in (smooth, groups))
    P = np.diag(np.concatenate([np.zeros(2), np.full(5, 1 / tau), np.full(len(groups.levels), 1 / spread)]))
    covariance = np.linalg.inv(C.T @ (np.exp(eta)[:, None] * C) + P)
    if method == "laplace":
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))[:7, :7]
        np.testing.assert_allclose(whole_covariance(fit) / scale, covariance[:7, :7] / scale, atol=1e-5)
    expected = 1 + 5 - np.trace(covariance[2:7, 2:7]) / tau
    assert sf.smooths(fit)["edf"][0] == pytest.approx(expected, rel=1e-5)


def named(answer):
    return f"{answer['method']}: {answer['formula']}"


@pytest.mark.parametrize("answer", TESTS, ids=named)
def test_tests_are_mgcvs(answer):
    """Its p-values are below 1e-11 not known to it; an edf beside a straight line ends where the searches do."""
    fit = fit_of(answer["data"], answer["formula"], answer["method"], FAMILIES[answer.get("family", "gaussian")])
    found = smooth_tests(fit)
    for test, expected in zip(found, answer["tests"], strict=True):
        assert test.edf == pytest.approx(expected["edf"], rel=1e-4)
        assert test.ref_df == pytest.approx(expected["ref_df"], rel=1e-4)
        assert test.statistic == pytest.approx((expected["statistic"] + expected["other"]) / 2, rel=1e-4)
        assert test.p_value == pytest.approx(expected["p_value"], rel=1e-4, abs=1e-10)
        assert test.residual_df == pytest.approx(answer.get("residual_df", test.residual_df), rel=1e-6)
    assert all(np.isinf(test.residual_df) == (answer["method"] == "laplace") for test in found)


@pytest.mark.parametrize("answer", [answer for answer in TESTS if answer["method"] != "reml"], ids=named)
def test_maximum_likelihood_is_lme4s(answer):
    """Of the same columns: gamm4's carry some of the straight line, which is another model by ML, but not by REML."""
    fit = fit_of(answer["data"], answer["formula"], answer["method"], FAMILIES[answer.get("family", "gaussian")])
    assert fit.log_likelihood == pytest.approx(answer["loglik"], rel=1e-9)
    spread = np.std(answer["fitted"])
    np.testing.assert_allclose(sf.fitted(fit)["estimate"], answer["fitted"], atol=1e-4 * spread)
    np.testing.assert_allclose(sf.smooths(fit)["estimate"], answer["sds"], rtol=1e-3, atol=1e-3)


def test_a_smooth_without_unseen_columns_is_tested_as_random_effects_are():
    """Beside levels of a group its coefficients spread over data sets as those levels do, too; dense algebra."""
    fit = fit_of("made", 'y ~ s(x, bs = "cc", k = 6) + (1 | g)')
    (test,), (groups, smooth) = smooth_tests(fit), fit.model.design.mean.groups
    points, X, y = fit.estimates, fit.model.design.mean.whole, fit.model.design.response
    between, wiggles = (matrix[0, 0] / points.sigma**2 for matrix in points.covariances)
    Z = np.equal.outer(groups.codes, np.arange(len(groups.levels))).astype(float)
    C = np.column_stack([X, Z])
    prior = np.diag([0.0, *[1 / wiggles] * len(smooth.columns), *[1 / between] * Z.shape[1]])
    estimator = np.linalg.solve(C.T @ C + prior, C.T)[1 : X.shape[1]]
    V = np.linalg.inv(C.T @ C + prior)[1 : X.shape[1], 1 : X.shape[1]]
    plain = estimator @ (np.eye(len(y)) + between * Z @ Z.T) @ estimator.T
    residual = len(y) - np.trace(np.linalg.solve(C.T @ C + prior, C.T @ C))
    b = estimator @ y
    statistic, weights = b @ np.linalg.solve(V, b) / points.sigma**2, np.linalg.eigvals(np.linalg.solve(V, plain)).real
    assert test.statistic == pytest.approx(statistic / 4, rel=1e-6)
    assert test.ref_df == 4
    whole = round(residual)
    p = tail_of_chi_squares(0.0, np.append(weights, -statistic / whole), np.append(np.ones(4), whole))
    assert test.p_value == pytest.approx(p, rel=1e-5)


def test_a_surface_has_the_degrees_of_freedom_of_its_smoother():
    """tr(2 F - F F) over all parts of t2(), with F from dense algebra."""
    fit = fit_of("made", "y3 ~ t2(x, z)")
    mean, (test,) = fit.model.design.mean, smooth_tests(fit)
    C, priors = mean.whole, np.zeros(4)
    for block, matrix in zip(mean.smooths, fit.estimates.covariances, strict=True):
        priors = np.append(priors, np.full(len(block.columns), fit.estimates.sigma**2 / matrix[0, 0]))
    F = np.linalg.solve(C.T @ C + np.diag(priors), C.T @ C)
    assert test.ref_df == pytest.approx(np.trace(2 * F - F @ F) - 1, rel=1e-6)
    assert test.edf == pytest.approx(np.trace(F) - 1, rel=1e-6)


def test_a_straight_line_is_tested_as_one():
    """Where the wiggles' SD is zero the test is that of the line's slope, with the residual degrees of freedom."""
    fit, line = fit_of("made", "z ~ s(x, k = 5)"), fit_of("made", "z ~ x")
    (test,), known = smooth_tests(fit), sf.anova(line).table.iloc[0]
    assert test.statistic == pytest.approx(known["F value"], rel=1e-4)
    assert test.p_value == pytest.approx(known["Pr(>F)"], rel=1e-4)


def unlikely(fit, sd):
    """Return the least -2 log likelihood with the SD of the only smooth held, by dense algebra."""
    mean, y = fit.model.design.mean, fit.model.design.response
    X, Z = mean.X, mean.whole[:, mean.X.shape[1] :]
    if fit.method == "laplace":
        a = np.log(np.mean(y))

        def height(b):
            u = np.zeros(Z.shape[1])
            for _ in range(50):
                mu = np.exp(X @ b + sd * Z @ u)
                H = np.eye(len(u)) + sd**2 * (Z.T * mu) @ Z
                u = u + np.linalg.solve(H, sd * Z.T @ (y - mu) - u)
            eta = X @ b + sd * Z @ u
            return -2 * stats.poisson.logpmf(y, np.exp(eta)).sum() + u @ u + np.linalg.slogdet(H)[1]

        return optimize.minimize(height, [a, *fit.estimates.coefficients[1:]], method="Nelder-Mead", tol=1e-9).fun

    def height(log_sigma):
        V = np.exp(2 * log_sigma[0]) * np.eye(len(y)) + sd**2 * Z @ Z.T
        r = y - X @ np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, y))
        return r @ np.linalg.solve(V, r) + np.linalg.slogdet(V)[1] + len(y) * np.log(2 * np.pi)

    return optimize.minimize(height, [np.log(fit.estimates.sigma)], method="Nelder-Mead", tol=1e-9).fun


@pytest.mark.parametrize(("response", "method", "family"), [("y", "ml", "gaussian"), ("k", "laplace", "poisson")])
def test_at_the_ends_of_its_profile_an_sd_is_as_unlikely_as_meant(response, method, family):
    fit = fit_of("made", f"{response} ~ s(x, k = 5)", method, family)
    row = sf.confint(fit, "profile", ci_prob=0.9).query("term == 'sd__wiggles'").iloc[0]
    for end in (row["conf_low"], row["conf_high"]):
        assert unlikely(fit, end) - fit.deviance == pytest.approx(stats.norm.ppf(0.95) ** 2, rel=2e-3)


def test_what_is_not_tested_has_no_test():
    data = table("made").assign(w=lambda frame: frame["x"] * 2)
    assert smooth_tests(sf.lmer("y ~ s(x) + w", data, method="reml")) == ()
