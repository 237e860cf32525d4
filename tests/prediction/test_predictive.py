"""Replicates have the model's mean and spread, their statistics the place that they say, and scaling finds priors."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError, PriorError
from tests.fakes import correlated_fit, crossed_fit, fake_fit


def counts():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"x": rng.normal(size=200), "g": np.repeat(list("abcdefghij"), 20)})
    return data.assign(n=rng.poisson(np.exp(1 + 0.3 * data["x"])))


def test_posterior_replicates_have_the_fits_mean_and_spread():
    fit = crossed_fit(draws=250)
    check = sf.posterior_predictive(fit, 400, random_seed=1)
    assert check.replicates.shape == (400, 48)
    mean = sf.fitted(fit)["estimate"].to_numpy()
    # Residual SD 0.5, parameters' spread below 0.2: an average over 400 replicates of 48 rows strays by less than 0.01.
    assert check.replicates.mean() == pytest.approx(mean.mean(), abs=0.05)
    assert (check.replicates - mean).std() == pytest.approx(0.53, abs=0.05)


def test_statistics_are_numpys():
    check = sf.posterior_predictive(correlated_fit(), 50, random_seed=1)
    row = check.table.set_index("statistic").loc["largest"]
    largest = check.replicates.max(axis=1)
    assert row["observed"] == check.observed.max()
    assert row["median"] == np.median(largest)
    assert row["tail"] == np.mean(largest > check.observed.max())


def test_a_model_of_other_data_is_found_out():
    fit = crossed_fit()  # its effects are drawn around 1, the data lie around -1
    assert "Outside the middle 90 % of the replicates lie the observed mean" in repr(
        sf.posterior_predictive(fit, 50, random_seed=1)
    )


def test_prior_replicates_spread_wider_than_the_posterior():
    model = crossed_fit().model
    wide = sf.prior_predictive(model, 200, random_seed=1)
    assert wide.kind == "prior"
    assert wide.replicates.std() > 2 * model.design.response.std()
    assert np.array_equal(wide.replicates, sf.prior_predictive(model, 200, random_seed=1).replicates)


def test_counts_are_whole_numbers():
    model = sf.Model("n ~ x + (1 | g)", counts(), family="poisson")
    check = sf.posterior_predictive(fake_fit(model, {"Intercept": 1.0, "x": 0.3, "1|g": 0.0}), 30, random_seed=1)
    assert check.discrete
    assert np.array_equal(check.replicates, check.replicates.round())


def test_impossible_draws_are_counted():
    priors = {"Intercept": sf.Prior("Normal", mu=0, sigma=60), "x": sf.Prior("Normal", mu=0, sigma=1)}
    check = sf.prior_predictive(sf.Model("n ~ x", counts(), family="poisson", priors=priors), 100, random_seed=1)
    assert check.impossible + len(check.replicates) == 100
    assert 10 < check.impossible < 50  # a mean above 2^63 needs an intercept above 43: P = 0.24
    assert f"{check.impossible} draws have a mean that the family cannot have." in repr(check).replace("\n", " ")


def test_no_possible_draw_is_an_error():
    priors = {"Intercept": sf.Prior("Normal", mu=900, sigma=1)}
    with pytest.raises(PriorError) as caught:
        sf.prior_predictive(sf.Model("n ~ x", counts(), family="poisson", priors=priors), 10, random_seed=1)
    assert str(caught.value) == (
        "none of 10 prior draws has a mean that a poisson response can have.\n"
        "A probability lies between 0 and 1, and the mean of a count is finite and not negative.\n"
        "Give the coefficients narrower priors, or choose another link."
    )


def test_power_scaling_tells_a_strong_prior_from_a_weak_one():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"y": rng.normal(1, 1, 30)})
    fits = {
        sigma: sf.lmer(
            "y ~ 1", data, priors={"Intercept": sf.Prior("Normal", mu=0, sigma=sigma)}, random_seed=1, progress=False
        )
        for sigma in (0.2, 100)
    }
    tables = {sigma: sf.sensitivity(fit).set_index("parameter") for sigma, fit in fits.items()}
    assert tables[0.2].loc["Intercept", "prior"] > 0.05 > tables[100].loc["Intercept", "prior"]
    assert tables[0.2].loc["Intercept", "diagnosis"] == "prior and data disagree"  # the data say 1, the prior 0 +- 0.2
    assert set(tables[100]["diagnosis"]) == {"ok"}
    assert list(tables[100].index) == ["Intercept", "sigma"]


def test_sensitivity_names_every_scalar():
    assert sf.sensitivity(correlated_fit())["parameter"].to_list() == [
        "Intercept", "Days", "1|Subject_sigma", "Days|Subject_sigma", "cor|Subject[1, Days]", "sigma",
    ]  # fmt: skip


def counts_with_zeros():
    """Return counts of which a third are zero beside those of a Poisson distribution."""
    rng, group = np.random.default_rng(2), np.repeat(np.arange(10), 20)
    y = np.where(rng.random(200) < 0.35, 0, rng.poisson(4, 200))
    return pd.DataFrame({"y": y, "g": group.astype(str)})


def test_a_share_of_zeros_and_statistics_of_your_own_are_compared():
    data = counts_with_zeros()
    fit = sf.glmer("y ~ 1 + (1 | g)", data, family="poisson", method="laplace")
    found = sf.posterior_predictive(fit, 400, statistics={"above 9": lambda y: (y > 9).mean()}, random_seed=1)
    table = found.table.set_index("statistic")
    assert table.index.to_list() == ["mean", "sd", "smallest", "largest", "share of zeros", "above 9"]
    assert table.loc["share of zeros", "observed"] == (data["y"] == 0).mean()
    # exp(-mean) of the rows: 400 replicates of 200 rows leave an error of 0.5 / sqrt(80,000), 0.0018.
    expected = np.exp(-sf.fitted(fit)["estimate"]).mean()
    assert table.loc["share of zeros", "median"] == pytest.approx(expected, abs=0.012)
    assert table.loc["share of zeros", "tail"] == 0
    assert "share of zeros" in repr(found).splitlines()[-2] + repr(found).splitlines()[-1]
    assert repr(found).startswith("Predictive check at the estimates of y: 400 replicates")


def test_new_effects_make_level_means_that_vary_as_those_of_other_levels():
    """Twelve groups with an SD of 3 beside a residual of 1: kept effects repeat their means, new ones do not."""
    rng, group = np.random.default_rng(6), np.repeat(np.arange(12), 10)
    data = pd.DataFrame({"y": rng.normal(0, 3, 12)[group] + rng.normal(size=120), "g": group.astype(str)})
    fit = sf.lmer("y ~ 1 + (1 | g)", data, method="reml")
    kept, new = (sf.posterior_predictive(fit, 100, use_u=use_u, random_seed=1) for use_u in (True, False))
    spread = [check.replicates[:, :10].mean(axis=1).std() for check in (kept, new)]
    assert spread[0] < 0.5  # 1 / sqrt(10), 0.32, with an error of 7 %
    assert spread[1] > 1.5  # 3 and more, with an error of 7 %
    assert kept.kind == new.kind == "estimates"


def test_a_statistic_that_is_no_number_is_refused():
    fit = sf.glmer("y ~ 1 + (1 | g)", counts_with_zeros(), family="poisson", method="laplace")
    with pytest.raises(DataError, match="the statistic 'range' is no number"):
        sf.posterior_predictive(fit, 5, statistics={"range": lambda y: (y.min(), y.max())})
    check = sf.posterior_predictive(fit, 5, random_seed=1)
    with pytest.raises(DataError, match=r"the check has no statistic 'zeros'[\s\S]*Nearest: 'share of zeros'"):
        sf.plot_predictive(check, statistic="zeros")
