"""Tests by simulated responses: R's DHARMa, ranks that hold under dependence, and data that break a model."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.errors import DataError, EstimateError
from tests.fakes import fake_fit

DHARMA = json.loads((Path(__file__).parents[1] / "data" / "r" / "dharma.json").read_text())
NSIM = 5000  # of DHARMa's answers, and of ours


def lme4_fits(shared_data):
    """The models of tests/data/r/dharma.R."""
    folder = shared_data / "lme4"
    sleep = pd.read_csv(folder / "sleepstudy.csv")
    cbpp = pd.read_csv(folder / "cbpp.csv", dtype={"herd": str, "period": str})
    ticks = pd.read_csv(folder / "grouseticks.csv", dtype={"BROOD": str, "YEAR": str})
    of_cbpp = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return {
        "sleepstudy": sf.lmer("Reaction ~ Days + (Days | Subject)", sleep, method="reml"),
        "intercepts": sf.lmer("Reaction ~ Days + (1 | Subject)", sleep, method="reml"),
        "cbpp": sf.glmer(of_cbpp, cbpp, family="binomial", method="laplace"),
        "grouseticks": sf.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson", method="laplace"),
    }


def test_statistics_and_p_values_are_those_of_dharma(shared_data):
    """Of 5,000 simulated responses each: within 4.5 Monte Carlo errors, about 20 numbers, false alarms below 2e-4.

    A two-sided p-value is twice a share q, with an error of 2 sqrt(q (1 - q) / 5,000) on either side. The relative
    error of a mean of variances or zeros is stated by case: it is large where counts have a long tail. A D lies within
    the errors of shares. DHARMa subtracts probabilities from counts of successes, so that its dispersion of cbpp is not
    a variance around the mean; its Kolmogorov test holds for kept effects alone.
    """
    ratios = {"sleepstudy": 0.004, "intercepts": 0.004, "cbpp": 0.006, "grouseticks": 0.05}  # one error of a mean
    for name, fit in lme4_fits(shared_data).items():
        for effects, answers in DHARMA[name].items():
            found = sf.check_residuals(fit, nsim=NSIM, use_u=effects == "kept", random_seed=2).table
            for test, row in found.iterrows():
                if (name, test) == ("cbpp", "dispersion"):
                    continue
                expected, p = answers[test]["statistic"], answers[test]["p_value"]
                size = {"uniformity": 0.007, "outliers": 0.7}.get(test, ratios[name] * expected)
                size *= 3 if name in ("cbpp", "grouseticks") and test in ("uniformity", "outliers") else 1  # ties
                assert abs(row["statistic"] - expected) < 4.5 * np.sqrt(2) * size, (name, effects, test)
                if test in ("dispersion", "zeros"):
                    error = 2 * np.sqrt(2 * (p / 2) * (1 - p / 2) / NSIM)
                    assert abs(row["p_value"] - p) < 4.5 * error + 1e-3, (name, effects, test)


def test_a_right_model_is_seldom_doubted_though_rows_of_a_level_go_together():
    """Eight levels with a large variance: of 300 right models not more than 1 in 20 has a p-value below 0.05.

    The bound is exceeded by chance once in 1e5. Kolmogorov's own p-values of the same residuals are below 0.05 in a
    quarter of them or more: rows of a level lie all high or all low.
    """
    rng, group = np.random.default_rng(5), np.repeat(np.arange(8), 20)
    p, naive = [], []
    for _ in range(300):
        y = rng.normal(0, 3, 8)[group] + rng.normal(size=len(group))
        fit = sf.lmer("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": group.astype(str)}), method="reml")
        checks = sf.check_residuals(fit, nsim=99, random_seed=1)
        p.append(checks.table["p_value"])
        naive.append(stats.kstest(checks.scaled, "uniform").pvalue)
    assert (pd.DataFrame(p) < 0.05).sum().max() <= stats.binom.ppf(1 - 1e-5, 300, 0.05)
    assert np.mean(np.array(naive) < 0.05) > 0.25


def counts(zeros=0.0, alpha=np.inf, seed=1):
    """Return counts of 400 rows in 20 levels, some of them set to zero, or overdispersed."""
    rng, group = np.random.default_rng(seed), np.repeat(np.arange(20), 20)
    mean = np.exp(1 + rng.normal(0, 0.3, 20)[group])
    mean = mean if np.isinf(alpha) else rng.gamma(alpha, mean / alpha)
    y = np.where(rng.random(400) < zeros, 0, rng.poisson(mean))
    return pd.DataFrame({"y": y, "g": group.astype(str)})


@pytest.mark.parametrize(("made", "test", "word"), [
    ({"zeros": 0.35}, "zeros", "more zeros"), ({"alpha": 1.0}, "dispersion", "overdispersion"),
])  # fmt: skip
def test_counts_that_are_no_poisson_counts_are_told(made, test, word):
    """The statistic lies far beyond each of 1,000 simulated ones, kept or new effects."""
    fit = sf.glmer("y ~ 1 + (1 | g)", counts(**made), family="poisson", method="laplace")
    for use_u in (False, True):
        row = sf.check_residuals(fit, use_u=use_u, random_seed=1).table.loc[test]
        assert row["statistic"] > 1.3
        assert row["p_value"] < 0.01
        assert word in row["sentence"]
        assert row["sentence"].startswith(f"{test.capitalize()}. Doubtful")


def test_scaled_residuals_are_ranks_among_the_simulated_responses():
    data = counts()
    fit = sf.glmer("y ~ 1 + (1 | g)", data, family="poisson", method="laplace")
    checks = sf.check_residuals(fit, nsim=499, use_u=True, random_seed=3)
    quantiles = stats.norm.cdf(sf.residuals(fit, "quantile", random_seed=4))
    assert checks.scaled.index.to_list() == list(range(400))
    # Both are ranks among simulated responses, of a count whose ties are broken at random.
    mean = np.exp(sf.predict(fit, type="link")["estimate"].to_numpy())
    low, high = stats.poisson.cdf(data["y"] - 1, mean), stats.poisson.cdf(data["y"], mean)
    slack = 5.5 * 0.5 / np.sqrt(499)
    for ranks in (checks.scaled.to_numpy(), quantiles):
        assert (ranks > low - slack).all()
        assert (ranks < high + slack).all()


def test_fits_with_draws_and_few_outliers_are_told():
    fit = fake_fit(sf.Model("y ~ 1 + (1 | g)", counts(), family="poisson"), {"Intercept": 1.0, "1|g_sigma": 0.3})
    checks = sf.check_residuals(fit, nsim=50, random_seed=1)
    assert checks.table.index.to_list() == ["uniformity", "dispersion", "zeros", "outliers"]
    assert "new group effects (use_u=False)" in repr(checks)
    assert "Checks of 400 scaled residuals by 50 simulated responses" in repr(checks)
    again = sf.check_residuals(fit, nsim=50, random_seed=1)
    assert again.table.equals(checks.table)


def test_what_cannot_be_tested_is_refused():
    fit = sf.glmer("y ~ 1 + (1 | g)", counts(), family="poisson", method="laplace")
    with pytest.raises(DataError, match=r"nsim=5 is no number of simulated responses."):
        sf.check_residuals(fit, nsim=5)
    table = counts().assign(left="none")
    limited = fake_fit(sf.Model("censored(y, left) ~ 1 + (1 | g)", table.astype({"y": float})))
    with pytest.raises(EstimateError, match="censored or truncated"):
        sf.check_residuals(limited)
