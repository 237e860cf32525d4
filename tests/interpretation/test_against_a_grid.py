"""What the posterior says, against sums over a grid of the two standard deviations, with all else in closed form."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf

GROUPS, ROWS = 12, 6
SD_INTERCEPT, SD_SLOPE, SD_GROUP, SD_ROW = 5.0, 3.0, 2.0, 2.0


@dataclass(frozen=True)
class Grid:
    """Weights and conditional moments, (sigmas, taus, ...)."""

    weights: np.ndarray
    sigma: np.ndarray
    tau: np.ndarray
    means: np.ndarray  # of intercept and slope
    covariances: np.ndarray
    first: np.ndarray  # mean effect of the first group, and its variance
    first_variance: np.ndarray

    def moments(self, values, variances=0.0):
        mean = (self.weights * values).sum()
        return mean, np.sqrt((self.weights * (variances + values**2)).sum() - mean**2)

    def of(self, contrast):
        """Conditional means and variances of a sum of intercept and slope."""
        return self.means @ contrast, np.einsum("a,ijab,b->ij", contrast, self.covariances, contrast)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    x = np.tile(np.arange(ROWS) - (ROWS - 1) / 2, GROUPS)  # its mean is 0, where the intercept's prior holds
    g = np.repeat([f"g{j:02d}" for j in range(GROUPS)], ROWS)
    y = 1 + 0.4 * x + np.repeat(rng.normal(0, 0.8, GROUPS), ROWS) + rng.normal(0, 1, GROUPS * ROWS)
    return pd.DataFrame({"y": y, "x": x, "g": g})


@pytest.fixture(scope="module")
def fit(data):
    priors = {
        "Intercept": sf.Prior("Normal", mu=0, sigma=SD_INTERCEPT),
        "x": sf.Prior("Normal", mu=0, sigma=SD_SLOPE),
        "1|g_sigma": sf.Prior("HalfNormal", sigma=SD_GROUP),
        "sigma": sf.Prior("HalfNormal", sigma=SD_ROW),
    }
    return sf.lmer("y ~ x + (1 | g)", data, priors=priors, random_seed=2)


@pytest.fixture(scope="module")
def grid(data):
    """Groups of equal size: the inverse of s^2 I + t^2 ZZ' is (I - t^2 / (s^2 + m t^2) ZZ') / s^2."""
    y, X = data["y"].to_numpy(), np.column_stack([np.ones(len(data)), data["x"]])
    ys, Xs = y.reshape(GROUPS, ROWS).sum(axis=1), X.reshape(GROUPS, ROWS, 2).sum(axis=1)
    prior = np.diag([SD_INTERCEPT**-2, SD_SLOPE**-2])
    s, t = np.meshgrid(np.linspace(0.6, 2.0, 80), np.linspace(0.005, 6.0, 300), indexing="ij")
    share = t**2 / (s**2 + ROWS * t**2)
    precision = (X.T @ X - share[..., None, None] * (Xs.T @ Xs)) / s[..., None, None] ** 2 + prior
    right = (X.T @ y - share[..., None] * (Xs.T @ ys)) / s[..., None] ** 2
    covariances = np.linalg.inv(precision)
    means = np.einsum("ijab,ijb->ija", covariances, right)
    squares = (y @ y - share * (ys @ ys)) / s**2 - np.einsum("ija,ija->ij", right, means)
    log = -len(y) * np.log(s) - GROUPS / 2 * np.log1p(ROWS * t**2 / s**2) - 0.5 * np.linalg.slogdet(precision)[1]
    log = log - 0.5 * squares + stats.norm.logpdf(s, scale=SD_ROW) + stats.norm.logpdf(t, scale=SD_GROUP)
    weights = np.exp(log - log.max())
    variances = share * s**2 + share**2 * np.einsum("a,ijab,b->ij", Xs[0], covariances, Xs[0])
    return Grid(weights / weights.sum(), s, t, means, covariances, share * (ys[0] - means @ Xs[0]), variances)


def agree(found, expected, spread):
    """Five Monte Carlo errors of 1,000 effective draws: a false alarm in 10^6, for each number that is compared."""
    assert abs(found - expected) < 5 * spread / np.sqrt(1000)


def test_every_parameter_has_a_thousand_effective_draws(fit):
    assert min(fit.diagnostics.ess_bulk_min, fit.diagnostics.ess_tail_min) > 1000


def test_standard_deviations_and_the_share_of_groups(fit, grid):
    group, row = sf.varcorr(fit)["sdcor"]
    agree(group, *grid.moments(grid.tau))
    agree(row, *grid.moments(grid.sigma))
    agree(sf.icc(fit)["estimate"].iloc[0], *grid.moments(grid.tau**2 / (grid.tau**2 + grid.sigma**2)))


def test_coefficients_means_and_predictions(fit, grid):
    fixed = sf.fixef(fit).set_index("term")
    at_two = sf.marginal_means(fit, "x", at={"x": [2.0]}).table.iloc[0]
    new = sf.predict(fit, {"x": [2.0], "g": ["g00"]}, re_form="~0", interval="confidence").iloc[0]
    pairs = [
        (fixed.loc["Intercept"], (1, 0)),
        (fixed.loc["x"], (0, 1)),
        (at_two, (1, 2)),
        (new, (1, 2)),
        (sf.slopes(fit, "x").table.iloc[0], (0, 1)),
    ]
    for row, contrast in pairs:
        mean, sd = grid.moments(*grid.of(np.array(contrast, dtype=float)))
        agree(row["estimate"], mean, sd)
        agree(row["std_error"], sd, sd / np.sqrt(2))


def test_probabilities_and_ends_of_intervals(fit, grid):
    mean, variance = grid.of(np.array([0.0, 1.0]))

    def below(limit):
        return float((grid.weights * stats.norm.cdf((limit - mean) / np.sqrt(variance))).sum())

    found = sf.hypothesis(fit, "x > 0.4")["post_prob"].item()
    agree(found, 1 - below(0.4), np.sqrt(below(0.4) * (1 - below(0.4))))
    low, high = sf.fixef(fit, ci_prob=0.9, ci_kind="eti").set_index("term").loc["x", ["conf_low", "conf_high"]]
    agree(below(low), 0.05, np.sqrt(0.05 * 0.95))
    agree(below(high), 0.95, np.sqrt(0.05 * 0.95))


def test_effects_of_groups(fit, grid):
    first = sf.ranef(fit).iloc[0]
    agree(first["condval"], (grid.weights * grid.first).sum(), first["condsd"])


@pytest.mark.parametrize("limit", [0.4, 0.0, -1.5])
def test_probabilities_are_averages_of_normal_ones(fit, grid, limit):
    """Far below what 4,000 draws could be counted to tell; the average over draws of the variances has no other error.

    Five standard errors of 500 effective draws of 1,000: a false alarm in 10^6.
    """
    mean, variance = grid.of(np.array([0.0, 1.0]))
    fails = stats.norm.cdf((limit - mean) / np.sqrt(variance))
    expected, spread = grid.moments(fails)
    row = sf.hypothesis(fit, f"x > {limit}", rope=(-9, 0)).iloc[0]
    assert abs(1 / (1 + row["evidence_ratio"]) - expected) < 5 * spread / np.sqrt(500)
    assert row["post_prob"] == pytest.approx(1 - expected, abs=5 * spread / np.sqrt(500))
    assert row["p_rope"] == pytest.approx(expected, abs=5 * spread / np.sqrt(500) + 1e-12)
    assert limit > -1 or expected < 1e-20


@pytest.mark.parametrize("at", [0.0, -2.5, 2.5])
def test_signs_of_means_and_slopes_are_averages_of_normal_ones(fit, grid, at):
    for found, contrast in (
        (sf.contrasts(sf.marginal_means(fit, "x", at={"x": [at, 0.5]}), {"first": [1, -2]}), (-1, at - 1)),
        (sf.slopes(fit, "x"), (0, 1)),
    ):
        mean, variance = grid.of(np.array(contrast, dtype=float))
        expected, spread = grid.moments(stats.norm.cdf(-mean / np.sqrt(variance)))
        assert abs(found.table["p_negative"].iloc[0] - expected) < 5 * spread / np.sqrt(500)


def test_signs_of_groups_are_averages_of_normal_ones(fit, grid):
    below, spread = grid.moments(stats.norm.cdf(-grid.first / np.sqrt(grid.first_variance)))
    first = sf.level_effects(fit, "g").iloc[0]
    assert abs(first["p_negative"] - below) < 5 * spread / np.sqrt(500)
    assert first["lfsr"] == min(first["p_negative"], 1 - first["p_negative"])
