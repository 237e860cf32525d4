"""One look at a fit: panels that show what they should, tests that hold for right models, car's inflation factors."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.reporting.check_model import _residual_panels, variance_inflation
from tests.fakes import correlated_fit, fake_fit


@cache
def rows(n_levels=20, seed=3):
    rng, group = np.random.default_rng(seed), np.repeat(np.arange(n_levels), 8)
    x = rng.normal(size=len(group))
    y = 1 + x + rng.normal(0, 1, n_levels)[group] + rng.normal(size=len(group))
    return pd.DataFrame({"y": y, "x": x, "g": group.astype(str), "k": rng.poisson(np.exp(0.5 + 0.3 * x))})


def test_a_right_model_gets_its_panels_and_calm_sentences():
    found = sf.check_model(sf.lmer("y ~ x + (x | g)", rows(), method="reml"))
    titles = [axis.get_title() for axis in found.picture.figure.axes if axis.get_visible()]
    assert titles == [
        "The response and those of the model", "Linearity", "Homogeneity", "Quantiles of the residuals", "Effects of g",
        "Influence on the fixed effects",
    ]  # fmt: skip
    assert found.tests.index.to_list() == [
        "uniformity", "dispersion", "outliers", "linearity", "homogeneity", "tails",
    ]  # fmt: skip
    assert repr(found).startswith("Checks of y ~ 1 + x + (1 + x | g)\n* ")
    assert "Influence. No row has a Cook's distance above 1" in repr(found)
    assert found.picture.alt.startswith("6 panels of checks.")
    html = found._repr_html_()
    assert html.index("<img") < html.index("Checks of")


def test_a_right_model_is_seldom_doubted():
    """Of 200 right models each test doubts one in twenty; the bounds are exceeded by chance once in 1e5 each."""
    p = []
    for seed in range(200):
        fit = sf.lmer("y ~ x + (1 | g)", rows(8, seed), method="reml")
        p.append({panel.test[0]: panel.test[2] for panel in _residual_panels(fit, 1) if panel.test})
    assert list(p[0]) == ["linearity", "homogeneity", "tails"]
    assert (pd.DataFrame(p) < 0.05).sum().max() <= stats.binom.ppf(1 - 1e-5, 200, 0.05)


@pytest.mark.parametrize(("change", "test"), [
    (lambda data: data["y"] + 1.5 * data["x"] ** 2, "linearity"),
    (lambda data: data["y"] + data["x"].clip(lower=0) * np.random.default_rng(1).normal(0, 3, 160), "homogeneity"),
    (lambda data: data["y"] + np.random.default_rng(2).standard_t(1.2, len(data)), "tails"),
])  # fmt: skip
def test_what_is_amiss_comes_first(change, test):
    data = rows().assign(y=change)
    found = sf.check_model(sf.lmer("y ~ x + (1 | g)", data, method="reml"))
    assert found.tests.loc[test, "p_value"] < 0.01
    doubts = ["Doubtful" in text for text in found.sentences]
    assert found.tests.loc[test, "sentence"] in found.sentences[: sum(doubts)]


def test_inflation_is_that_of_car():
    """vif of lm(y ~ x + z + f) with correlated predictors is det ratios of the correlations; of two numbers closed."""
    data = rows().assign(z=lambda frame: frame["x"] + np.random.default_rng(5).normal(0, 0.5, len(frame)))
    fit = sf.lmer("y ~ x + z", data, method="ml")
    r = np.corrcoef(data["x"], data["z"])[0, 1]
    assert variance_inflation(fit)["vif"].to_numpy() == pytest.approx([1 / (1 - r**2)] * 2, rel=1e-6)
    found = sf.check_model(fit)
    assert any(text.startswith("Collinearity. ") for text in found.sentences)


def test_inflation_of_factors_is_that_of_car(shared_data):
    """car::vif(glmer(TICKS ~ YEAR * cHEIGHT + (1 | BROOD), grouseticks, poisson)), car 3.1."""
    ticks = pd.read_csv(shared_data / "lme4" / "grouseticks.csv", dtype={"BROOD": str, "YEAR": str})
    fit = sf.glmer("TICKS ~ YEAR * cHEIGHT + (1 | BROOD)", ticks, family="poisson", method="laplace")
    assert variance_inflation(fit)["vif"].to_numpy() == pytest.approx([1.039146, 3.451440, 3.564239], rel=1e-3)


def test_every_kind_of_fit_has_what_it_can_have():
    counts = fake_fit(sf.Model("k ~ x + (1 | g)", rows(), family="poisson"), {"Intercept": 0.5, "x": 0.3})
    assert "zeros" in sf.check_model(counts).tests.index
    assert sf.check_model(correlated_fit()).tests.index.to_list()[-3:] == ["linearity", "homogeneity", "tails"]
    constant = sf.check_model(sf.lmer("y ~ 1 + (1 | g)", rows(), method="reml"))
    assert "Linearity and homogeneity are not tested: the fixed effects give all rows one mean." in constant.sentences
    limited = fake_fit(sf.Model("censored(y, left) ~ x + (1 | g)", rows().assign(left="none")))
    assert any("left out, 'censored(y, left)' is censored" in text for text in sf.check_model(limited).sentences)
    unknown = fake_fit(sf.Model("k ~ x", rows(), family="zero_inflated_poisson"), {"Intercept": 0.5, "psi": 0.5})
    assert sf.check_model(unknown).collinearity["term"].to_list() == ["x"]
