"""Draws from the priors have a posterior's names and the priors' moments; the log prior is scipy's."""

import numpy as np
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.checks import prior_draws
from speclet_formula.checks.sensitivity import log_prior
from tests.fakes import correlated_fit, crossed_fit, screen_data, sleepstudy_data

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
    np.testing.assert_allclose(log_prior(model, found), expected, rtol=1e-12)


def test_log_prior_of_correlations_is_a_beta_density():
    # Of two columns LKJ(eta) is 2 Beta(eta, eta) - 1.
    fit = correlated_fit()
    change = {"cor|Subject": sf.Prior("LKJ", eta=3)}
    posterior = fit.idata["posterior"].to_dataset()
    r = posterior["cor|Subject"].values[..., 0]
    totals = [log_prior(sf.Model(FORMULA, sleepstudy_data(), priors=priors), posterior)
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
