"""The Gaussian around which chains run: exact where the model is Gaussian, kernels as numpy has them."""

import numpy as np
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.inference.exact.density import log_posterior as exact_log_posterior, marginal_of
from speclet_formula.inference.hmc import surrogate as made
from speclet_formula.inference.hmc.centre import centred, eta_moments, surrogate_slopes
from speclet_formula.inference.hmc.parameters import first_theta, natural_of
from tests.inference.exact.test_fit import TABLE
from tests.inference.hmc.test_fit import FAMILIES, family_model

OF_ONE_PREDICTOR = [name for name, (formula, _) in FAMILIES.items() if isinstance(formula, str)]


def test_of_a_gaussian_model_it_has_the_exact_density() -> None:
    model = sf.Model("y ~ x + (x | g) + (1 | h)", TABLE)
    surrogate = made.surrogate_of(model)
    own = first_theta(model, surrogate.parameters)
    surrogate, _ = centred(surrogate, own)
    rng = np.random.default_rng(1)
    thetas = rng.normal(0.0, 0.5, (6, surrogate.parameters.size))
    # The exact engine has sigma first; here the family's parameters come last.
    turned = np.column_stack([thetas[:, -1], thetas[:, :-1]])
    ours, theirs = made.log_posterior(surrogate, thetas), exact_log_posterior(marginal_of(model), turned)
    np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], rtol=0, atol=1e-7)


def test_points_far_out_have_no_density_and_stop_nothing() -> None:
    """An SD that is rounded to zero, and a correlation to one: such covariances have no inverse."""
    model = sf.Model("y ~ x + (x | g) + (1 | h)", TABLE)
    surrogate = made.surrogate_of(model)
    thetas = np.repeat(first_theta(model, surrogate.parameters)[None], 3, axis=0)
    thetas[0, 0], thetas[1, 3] = -800.0, 60.0
    assert np.isfinite(made.log_posterior(surrogate, thetas)).tolist() == [False, False, True]


@pytest.mark.parametrize("name", OF_ONE_PREDICTOR)
def test_compiled_kernels_have_the_slopes_of_the_densities(name: str) -> None:
    model = family_model(name)
    surrogate = made.surrogate_of(model)
    known = natural_of(surrogate.parameters, first_theta(model, surrogate.parameters)[None])
    eta = np.random.default_rng(2).normal(0.2, 0.5, (1, len(model.design.response)))
    out, differences = np.empty((4, eta.shape[1])), np.empty((3, eta.shape[1]))
    surrogate_slopes(surrogate, eta, surrogate.owns(known.own)[0], out)
    made._differences(model)(eta, known.own[0], differences)
    constant = surrogate.constant(known.own[0])
    assert out[0].sum() + constant == pytest.approx(differences[0].sum(), rel=1e-10)
    # Differences over 1e-3: their own error is of the order of its square, times the fourth derivative of the second.
    np.testing.assert_allclose(out[1], differences[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(out[2], differences[2], rtol=1e-3, atol=1e-3)


def test_sigma_has_the_slopes_of_the_density() -> None:
    model = family_model("sigma")
    surrogate, differences = made.surrogate_of(model), made._differences(model)
    eta = np.random.default_rng(3).normal(0.0, 0.5, (2, len(model.design.response)))
    out, expected = np.empty((5, eta.shape[1])), np.empty((5, eta.shape[1]))
    surrogate_slopes(surrogate, eta, surrogate.owns(np.empty((1, 0)))[0], out)
    differences(eta, np.empty(0), expected)
    np.testing.assert_allclose(out[0], expected[0] + 0.5 * np.log(2 * np.pi), rtol=1e-10)
    np.testing.assert_allclose(out[1:3], expected[1:3], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(out[3:], expected[3:], rtol=1e-3, atol=1e-3)


def test_it_is_centred_where_its_own_moments_are() -> None:
    model = family_model("poisson with a level for each row")
    surrogate = made.surrogate_of(model)
    surrogate, theta = centred(surrogate, first_theta(model, surrogate.parameters))
    _, gaussian, _, _ = made.at_theta(surrogate, theta)
    middle, spread = eta_moments(surrogate, gaussian)
    np.testing.assert_allclose(middle, surrogate.problem.centre.middle, atol=0.05)
    np.testing.assert_allclose(spread, surrogate.problem.centre.spread, atol=0.05)


def test_thresholds_are_a_density_of_ordered_numbers() -> None:
    model = family_model("cumulative")
    parameters = made.surrogate_of(model).parameters
    theta = np.array([-0.5, 0.1, 0.2, -0.3])  # an SD, then a threshold and the logs of two steps
    known = natural_of(parameters, theta[None])
    np.testing.assert_allclose(known.own[0], [0.1, 0.1 + np.exp(0.2), 0.1 + np.exp(0.2) + np.exp(-0.3)])
    prior = next(slot.prior for slot in model.slots if slot.slot == "threshold")
    own = stats.norm.logpdf(known.own[0], np.asarray(prior.parameters["mu"]), prior.parameters["sigma"]).sum()
    of_sd = next(slot.prior for slot in model.slots if slot.slot == "1|g").parameters["sigma"]
    sd = stats.halfnorm.logpdf(np.exp(-0.5), scale=of_sd.parameters["sigma"])
    assert known.log_prior[0] == pytest.approx(own + 0.2 - 0.3 + sd - 0.5)
