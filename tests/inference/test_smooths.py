"""Smooths by REML against mgcv and gamm4: effective degrees of freedom, scores, curves and their standard errors.

tests/data/r/smooths.R made the figures.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.smooths import whole_coefficients, whole_covariance
from speclet_formula.posterior.draws import values_of

FOLDER = Path(__file__).parents[1] / "data" / "r"
ANSWERS = json.loads((FOLDER / "smooths.json").read_text())


@cache
def table(name):
    if name == "sleepstudy":
        return pd.read_csv(FOLDER / "textbook" / "sleepstudy.csv").astype({"Subject": str})
    return pd.DataFrame(ANSWERS[name])


@cache
def fit_of(name, formula):
    return sf.lmer(formula, table(name), method="reml")


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
