"""Densities of censored and truncated responses against scipy's distributions, far tails included."""

import numpy as np
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.model.observation import draw_between, observed_log_density

Y = np.array([0.0, 1.0, 2.0, 5.0, 7.0, 3.0])
STATUS = ["none", "left", "right", "right", "none", "left"]
MEAN = np.array([[0.5, 1.0, 1.5, 2.0, 2.5, 40.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]])  # two draws
TABLE = {"y": Y, "status": STATUS, "lb": Y - 1, "ub": Y + np.array([1.0, 2.0, 0.0, 1.0, 3.0, 1.0])}

FAMILIES = {
    "gaussian": (lambda m, p: stats.norm(m, p["sigma"]), {"sigma": np.array([[0.7], [2.0]])}, 0),
    "t": (
        lambda m, p: stats.t(p["nu"], m, p["sigma"]),
        {"sigma": np.linspace(0.5, 2, 12).reshape(2, 6), "nu": np.array([[3.0], [8.0]])},
        0,
    ),
    "poisson": (lambda m, p: stats.poisson(m), {}, 1),
    "negativebinomial": (
        lambda m, p: stats.nbinom(p["alpha"], p["alpha"] / (p["alpha"] + m)),
        {"alpha": np.array([[1.5], [4.0]])},
        1,
    ),
}


def density(formula, family, parameters, **arguments):
    model = sf.Model(formula, TABLE, family=family, **arguments)
    return observed_log_density(model.family, model.design, slice(None), MEAN, parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bound_counts_with_its_probability(family):
    made, parameters, step = FAMILIES[family]
    known = made(MEAN, parameters)
    value = known.logpmf(Y) if step else known.logpdf(Y)
    expected = np.where(np.array(STATUS) == "left", known.logcdf(Y), value)
    expected = np.where(np.array(STATUS) == "right", known.logsf(Y - step), expected)
    np.testing.assert_allclose(density("censored(y, status) ~ 1", family, parameters), expected, rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("formula", "lower", "upper"),
    [
        ("truncated(y, lb, ub) ~ 1", TABLE["lb"], TABLE["ub"]),
        ("truncated(y, lb = 0) ~ 1", 0.0, np.inf),
        ("truncated(y, ub = 8) ~ 1", -np.inf, 8.0),
    ],
)
def test_what_is_never_seen_is_divided_out(family, formula, lower, upper):
    made, parameters, step = FAMILIES[family]
    known = made(MEAN, parameters)
    value = known.logpmf(Y) if step else known.logpdf(Y)
    mass = known.cdf(upper) - known.cdf(np.asarray(lower) - step)
    # scipy's difference of probabilities near 1e-6 (a mean of 40 beside a bound of 4) keeps ten digits
    keep = mass > 1e-6
    found = density(formula, family, parameters)
    np.testing.assert_allclose(found[keep], (value - np.log(np.where(keep, mass, 1)))[keep], rtol=1e-8, atol=1e-9)


def test_far_tails_keep_their_digits():
    table = {"y": [12.5, -12.5], "z": [12.0, -13.0], "lo": [12.0, -13.0], "hi": [13.0, -12.0]}
    model = sf.Model("truncated(y, lo, hi) ~ 1", table)
    found = observed_log_density(model.family, model.design, slice(None), np.zeros(2), {"sigma": 1.0})
    # log of the density over sf(12) - sf(13), from the asymptotic series that scipy's log_ndtr sums
    mass = stats.norm.sf(12) - stats.norm.sf(13)
    np.testing.assert_allclose(found, stats.norm.logpdf(12.5) - np.log(mass), rtol=1e-10)


def test_weights_divide_the_sd_of_bounds_too():
    weights = np.array([1.0, 4.0, 9.0, 1.0, 4.0, 9.0])
    found = density("censored(y, status) ~ 1", "gaussian", {"sigma": 2.0}, weights=weights)
    known = stats.norm(MEAN, 2.0 / np.sqrt(weights))
    expected = np.select([np.array(STATUS) == "left", np.array(STATUS) == "right"], [known.logcdf(Y), known.logsf(Y)])
    expected = np.where(np.array(STATUS) == "none", known.logpdf(Y), expected)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_draws_between_bounds_have_the_truncated_mean():
    n = 20_000
    model = sf.Model("truncated(y, 0, 2) ~ 1", {"y": [0.5, 1.0]})
    limits = type(model.design.limits)(None, np.zeros(n), np.full(n, 2.0))
    drawn = draw_between(model.family, np.random.default_rng(1), np.full(n, -1.0), {"sigma": 1.0}, limits)
    truth = stats.truncnorm(1, 3, loc=-1)
    assert drawn.min() >= 0
    assert drawn.max() <= 2
    # 4 standard errors of the mean: a false alarm in 16,000
    assert drawn.mean() == pytest.approx(truth.mean(), abs=4 * truth.std() / np.sqrt(n))
