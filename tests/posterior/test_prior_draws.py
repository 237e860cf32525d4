"""Draws from the priors have a posterior's names and the priors' moments; the log prior is scipy's."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.posterior.draws import draws_in
from speclet_formula.posterior.prior_draws import prior_draws
from speclet_formula.prediction.sensitivity import log_prior
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data

PRIORS = {
    "Intercept": sf.Prior("Normal", mu=2, sigma=0.5),
    "Days": sf.Prior("Normal", mu=3, sigma=1),
    "1|Subject": sf.Prior("Normal", mu=0, sigma=sf.Prior("Exponential", lam=0.5)),
    "Days|Subject": sf.Prior("Normal", mu=0, sigma=sf.Prior("Exponential", lam=2)),
    "sigma": sf.Prior("Exponential", lam=1),
}
FORMULA = "Reaction ~ Days + (1 + Days | Subject)"


def test_names_and_coordinates_are_those_of_a_posterior():
    for fit in (correlated_fit(), crossed_fit()):
        found, posterior = prior_draws(fit.model, 3, random_seed=1), fit.idata["posterior"].to_dataset()
        assert set(found) == set(posterior)
        for name in found:
            assert found[name].dims == posterior[name].dims
            for dim in found[name].dims[2:]:
                assert list(found[dim].values) == list(posterior[dim].values)


def test_moments_are_those_of_the_priors():
    # 40,000 draws: means have a standard error of 1/200 SD, and a tolerance of 5 of them fails once in 2 million.
    found = prior_draws(sf.Model(FORMULA, sleepstudy_data(), priors=PRIORS), 40_000, random_seed=1)
    slopes = found["Days"].values.ravel()
    assert slopes.mean() == pytest.approx(3, abs=5 / 200)
    # The intercept's prior holds at the mean of Days, 4.5.
    assert (found["Intercept"].values.ravel() + 4.5 * slopes).mean() == pytest.approx(2, abs=5 * 0.5 / 200)
    assert found["1|Subject_sigma"].values.mean() == pytest.approx(2, abs=5 * 2 / 200)
    first, second = (found[name].values[0, :, 0] for name in ("1|Subject", "Days|Subject"))
    scaled = [
        effect / found[f"{name}_sigma"].values[0] for effect, name in ((first, "1|Subject"), (second, "Days|Subject"))
    ]
    assert np.std(scaled, axis=1) == pytest.approx(1, abs=5 / np.sqrt(2 * 40_000))
    # Given the correlation r, the product of two scaled effects has the mean r.
    r = found["cor|Subject"].values.ravel()
    assert np.mean(scaled[0] * scaled[1] - r) == pytest.approx(0, abs=5 * np.sqrt(2) / 200)
    assert np.mean(scaled[0] * scaled[1] * r) > 0.05


def test_the_same_seed_draws_the_same():
    model = crossed_fit().model
    assert prior_draws(model, 5, random_seed=1).equals(prior_draws(model, 5, random_seed=1))
    assert not prior_draws(model, 5, random_seed=1).equals(prior_draws(model, 5, random_seed=2))


def test_log_prior_is_the_sum_of_all_priors():
    model = sf.Model("log_fc ~ control + (1 | gene)", screen_data(), priors={
        "Intercept": sf.Prior("Normal", mu=1, sigma=2), "control": sf.Prior("Normal", mu=0, sigma=3),
        "1|gene": sf.Prior("Normal", mu=0, sigma=sf.Prior("Exponential", lam=2)),
        "sigma": sf.Prior("HalfNormal", sigma=1),
    })  # fmt: skip
    found = prior_draws(model, 7, random_seed=3)
    b, a = found["control"].values[..., 0], found["Intercept"].values
    expected = (
        stats.norm(1, 2).logpdf(a + 0.5 * b)
        + stats.norm(0, 3).logpdf(b)
        + stats.expon(scale=0.5).logpdf(found["1|gene_sigma"].values)
        + stats.halfnorm.logpdf(found["sigma"].values)
    )
    np.testing.assert_allclose(log_prior(model, draws_in(found)), expected, rtol=1e-12)


def test_log_prior_of_correlations_is_a_beta_density():
    # Of two columns LKJ(eta) is 2 Beta(eta, eta) - 1.
    fit = correlated_fit()
    change = {"cor|Subject": sf.Prior("LKJ", eta=3)}
    posterior = fit.idata["posterior"].to_dataset()
    r = posterior["cor|Subject"].values[..., 0]
    totals = [log_prior(sf.Model(FORMULA, sleepstudy_data(), priors=priors), draws_in(posterior))
              for priors in (change, {"cor|Subject": sf.Prior("LKJ", eta=1)})]  # fmt: skip
    expected = stats.beta(3, 3).logpdf((r + 1) / 2) - stats.beta(1, 1).logpdf((r + 1) / 2)
    np.testing.assert_allclose(totals[0] - totals[1], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda model: prior_draws(model, 0),
            sf.DataError,
            "draws=0 is out of range.\ndraws is a whole number of at least 1.\nLeave draws= out for its default.",
        ),
        (
            lambda model: prior_draws(
                sf.Model("log_fc ~ control", model.data, priors={"control": sf.Prior("Flat")}), 5
            ),
            sf.PriorError,
            "'control': Flat() is improper: it cannot be drawn from.\nDraws need a prior that integrates to 1.\n"
            'Give the slot a wide but proper prior, such as Prior("Normal", mu=0, sigma=100).',
        ),
    ],
)
def test_what_cannot_be_drawn(call, error, text):
    with pytest.raises(error) as caught:
        call(crossed_fit().model)
    assert str(caught.value) == text


def ordered_data():
    levels = ["low", "mid", "high"]
    x = np.random.default_rng(2).normal(1, 1, 60)
    return pd.DataFrame({"x": x, "o": pd.Categorical(np.tile(levels, 20), levels, ordered=True)})


SIDES = {
    "x": sf.Prior("Normal", mu=0, sigma=0.5), "sigma_Intercept": sf.Prior("Normal", mu=-1, sigma=0.25),
    "sigma_x": sf.Prior("Normal", mu=2, sigma=0.1), "sigma_1|gene": sf.Prior(
        "Normal", mu=0, sigma=sf.Prior("Exponential", lam=4)
    ),
}  # fmt: skip


def sides_model():
    data = screen_data().assign(x=np.linspace(0, 2, 48))
    return sf.Model(["log_fc ~ x + (1 | cell_line)", "sigma ~ x + (1 | gene)"], data, priors=SIDES)


def test_formulas_of_parameters_are_drawn_from_their_priors():
    # 40,000 draws: a tolerance of 5 standard errors of a mean fails once in 2 million.
    found = prior_draws(sides_model(), 40_000, random_seed=1)
    assert "sigma" not in found
    slope, intercept = found["sigma_x"].values.ravel(), found["sigma_Intercept"].values.ravel()
    assert slope.mean() == pytest.approx(2, abs=5 * 0.1 / 200)
    assert (intercept + slope).mean() == pytest.approx(-1, abs=5 * 0.25 / 200)  # the mean of x is 1
    assert found["sigma_1|gene_sigma"].values.mean() == pytest.approx(0.25, abs=5 * 0.25 / 200)
    effects = found["sigma_1|gene"].values[0, :, 0] / found["sigma_1|gene_sigma"].values[0]
    assert effects.std() == pytest.approx(1, abs=5 / np.sqrt(2 * 40_000))


def test_log_prior_has_the_priors_of_parameters_formulas():
    model = sides_model()
    found = prior_draws(model, 5, random_seed=3)
    changed = {
        "sigma_Intercept": sf.Prior("Normal", mu=0, sigma=3),
        "sigma_x": sf.Prior("Normal", mu=0, sigma=1),
        "sigma_1|gene": sf.Prior("Normal", mu=0, sigma=sf.Prior("HalfNormal", sigma=1)),
    }
    formulas = ["log_fc ~ x + (1 | cell_line)", "sigma ~ x + (1 | gene)"]
    other = sf.Model(formulas, model.data, priors=SIDES | changed)
    a, b, sd = (found[name].values for name in ("sigma_Intercept", "sigma_x", "sigma_1|gene_sigma"))
    expected = (
        stats.norm(-1, 0.25).logpdf(a + b) - stats.norm(0, 3).logpdf(a + b)
        + stats.norm(2, 0.1).logpdf(b) - stats.norm(0, 1).logpdf(b)
        + stats.expon(scale=0.25).logpdf(sd) - stats.halfnorm.logpdf(sd)
    )  # fmt: skip
    np.testing.assert_allclose(
        log_prior(model, draws_in(found)) - log_prior(other, draws_in(found)), expected, rtol=1e-9
    )


def test_thresholds_increase_and_hold_at_the_predictors_means():
    priors = {"threshold": sf.Prior("Normal", mu=0, sigma=2), "x": sf.Prior("Normal", mu=3, sigma=0.5)}
    data = ordered_data()
    found = prior_draws(sf.Model("o ~ x", data, family="cumulative", priors=priors), 40_000, random_seed=1)
    assert found["threshold"].dims == ("chain", "draw", "threshold_dim")
    at_means = found["threshold"].values[0] - found["x"].values.ravel()[:, None] * data["x"].mean()
    assert (np.diff(at_means, axis=1) > 0).all()
    # The smaller and the larger of two normal numbers have the means -+ 2 / sqrt(pi) for an SD of 2.
    np.testing.assert_allclose(at_means.mean(axis=0), [-2 / np.sqrt(np.pi), 2 / np.sqrt(np.pi)], atol=5 * 1.7 / 200)


def test_thresholds_of_a_stopping_ratio_need_not_increase():
    found = prior_draws(sf.Model("o ~ x", ordered_data(), family="sratio"), 200, random_seed=1)
    assert 40 < (np.diff(found["threshold"].values[0], axis=1) < 0).sum() < 160


def test_log_prior_of_thresholds_is_that_at_the_predictors_means():
    data = ordered_data()
    models = [
        sf.Model("o ~ x", data, family="cumulative", priors={"threshold": sf.Prior("Normal", mu=0, sigma=sigma)})
        for sigma in (1, 3)
    ]
    found = prior_draws(models[0], 6, random_seed=1)
    at_means = found["threshold"].values - found["x"].values[..., None] * data["x"].mean()
    expected = (stats.norm(0, 1).logpdf(at_means) - stats.norm(0, 3).logpdf(at_means)).sum(axis=-1)
    np.testing.assert_allclose(
        log_prior(models[0], draws_in(found)) - log_prior(models[1], draws_in(found)), expected, rtol=1e-9
    )


def test_replicates_follow_the_formula_of_sigma_and_the_bounds_of_a_response():
    data = pd.DataFrame({"x": np.repeat([0.0, 1.0], 40), "y": np.linspace(1, 3, 80)})
    centres = {"Intercept": 2.0, "x": 1e-9, "sigma_Intercept": np.log(0.1), "sigma_x": np.log(5)}
    model = sf.Model(["y ~ x", "sigma ~ x"], data)
    check = sf.posterior_predictive(fake_fit(model, {**centres, "Intercept": 1e-9}), 400, random_seed=1)
    narrow, wide = check.replicates[:, :40].std(), check.replicates[:, 40:].std()
    # log sigma is drawn with SDs of 0.23 and 0.16: E sigma^2 is exp(2 * var) above the square of the centre.
    assert narrow == pytest.approx(0.1 * np.exp(0.23**2), rel=0.15)
    assert wide / narrow == pytest.approx(5 * np.exp(0.161**2), rel=0.15)
    bounded = sf.Model("truncated(y, 0.5, 3.5) ~ x", data)
    drawn = sf.posterior_predictive(fake_fit(bounded, {"Intercept": 2.0, "x": 0.1, "sigma": 2.0}), 20, random_seed=1)
    assert drawn.replicates.min() >= 0.5
    assert drawn.replicates.max() <= 3.5
