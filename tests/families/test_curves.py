"""The curves of every family against differences of its own log density; a new family's are covered by themselves."""

import numpy as np
import pytest
from scipy import special

from speclet_formula.families import FAMILIES, draw_response, inverse_link, log_density, resolve_family
from speclet_formula.families.links import FORWARD_LINKS, MEANS, Observations

STEP = 1e-4  # of central differences, whose error is its square; exact derivatives differ by far less than TOLERANCE
TOLERANCE = 1e-5  # relative to one plus the derivative
TRIALS = np.array([3.0, 5.0, 1.0, 7.0, 4.0, 6.0])
WEIGHTS = np.array([0.5, 1.0, 2.0, 1.5, 0.7, 1.1])
CURVES = {(name, link): curve for name, known in FAMILIES.items() for link, curve in known.curves.items()}


def case(name, link):
    """Return a family's curve, predictors that its link takes, a response that the family drew there, its numbers."""
    family, known = resolve_family(name, link), FAMILIES[name]
    eta = np.array([-1.2, -0.3, 0.1, 0.4, 0.9, 1.6])
    if link.startswith("inverse"):
        eta = np.array([0.6, 0.8, 1.0, 1.2, 1.5, 1.9])
    if link == "identity" and known.support != "real":
        eta = np.array([0.15, 0.3, 0.45, 0.6, 0.75, 0.9])
    numbers = np.array([2.2 + 1.7 * place if parameter.link == "log" else 0.6
                        for place, parameter in enumerate(known.own_parameters)])  # fmt: skip
    trials = TRIALS if known.support == "proportion" else None
    weights = WEIGHTS if known.weights == "variance" else None
    mean, named = inverse_link(family, eta), dict(zip(known.parameters, numbers, strict=True))
    y = draw_response(family, np.random.default_rng(7), mean, named, trials=trials, weights=weights)
    return known.curves[link], eta, Observations(y, trials, 1.0 if weights is None else weights), numbers, weights


def density(name, link, eta, observed, numbers, weights):
    """The log density of the family's own definition."""
    family, named = resolve_family(name, link), dict(zip(FAMILIES[name].parameters, numbers, strict=True))
    mean = inverse_link(family, eta)
    return log_density(family, observed.response, mean, named, trials=observed.trials, weights=weights)


@pytest.mark.parametrize(("name", "link"), list(CURVES))
def test_value_and_slopes_are_those_of_the_density(name, link):
    curve, eta, observed, parameters, weights = case(name, link)

    def of(x):
        return density(name, link, x, observed, parameters, weights)

    found = curve.slopes(eta, observed, parameters)
    assert np.sum(found.value) + curve.constant(observed, parameters) == pytest.approx(of(eta).sum(), rel=1e-11)
    first = (of(eta + STEP) - of(eta - STEP)) / (2 * STEP)
    np.testing.assert_allclose(np.broadcast_to(found.first, 6), first, rtol=TOLERANCE, atol=TOLERANCE)
    ahead, behind = (curve.slopes(eta + step, observed, parameters) for step in (STEP, -STEP))
    for order in (2, 3):
        slope = (np.broadcast_to(ahead[order - 1], 6) - behind[order - 1]) / (2 * STEP)
        np.testing.assert_allclose(np.broadcast_to(found[order], 6), slope, rtol=TOLERANCE * 10, atol=TOLERANCE)


WITH_PARAMETERS = [(name, link, place) for name, link in CURVES for place in range(len(FAMILIES[name].own_parameters))]


@pytest.mark.parametrize(("name", "link", "place"), WITH_PARAMETERS)
def test_drifts_are_derivatives_by_the_logarithm_of_a_parameter(name, link, place):
    curve, eta, observed, parameters, _ = case(name, link)
    moved = [parameters * np.exp(np.where(np.arange(len(parameters)) == place, step, 0)) for step in (STEP, -STEP)]
    ahead, behind = (curve.slopes(eta, observed, one) for one in moved)
    total = [np.sum(s.value) + curve.constant(observed, one) for s, one in zip((ahead, behind), moved, strict=True)]
    drift = curve.drifts(eta, observed, parameters)[place]
    assert np.sum(drift.value) == pytest.approx((total[0] - total[1]) / (2 * STEP), rel=TOLERANCE, abs=TOLERANCE)
    for order in (1, 2):
        slope = (np.broadcast_to(ahead[order], 6) - behind[order]) / (2 * STEP)
        np.testing.assert_allclose(np.broadcast_to(drift[order], 6), slope, rtol=TOLERANCE * 10, atol=TOLERANCE)


def test_every_family_has_its_usual_link():
    rows = {(name, FAMILIES[name].links[0]) for name in ("bernoulli", "binomial", "poisson", "negativebinomial", "t")}
    assert rows <= set(CURVES)
    assert ("gaussian", "identity") not in CURVES  # its likelihood is known exactly


@pytest.mark.parametrize("link", list(MEANS))
def test_a_link_undoes_its_inverse(link):
    eta = np.array([0.2, 0.4, 0.7])
    np.testing.assert_allclose(FORWARD_LINKS[link](MEANS[link](eta).value), eta, rtol=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_shares_near_0_and_1_keep_their_digits(link):
    eta = np.array([-30.0, 5.0]) if link != "cloglog" else np.array([-30.0, 3.0])
    observed = Observations(np.array([1.0, 0.0]), None, 1.0)
    found = CURVES["bernoulli", link].slopes(eta, observed, np.zeros(0))
    lower = {"logit": special.log_expit, "probit": special.log_ndtr, "cloglog": lambda x: x}[link](-30.0)
    upper = {"logit": lambda: special.log_expit(-5.0), "probit": lambda: special.log_ndtr(-5.0),
             "cloglog": lambda: -np.exp(3.0)}[link]()  # fmt: skip
    np.testing.assert_allclose(found.value, [lower, upper], rtol=1e-11)
    assert (found.second <= 0).all()


def test_a_negative_binomial_with_a_huge_alpha_is_a_poisson_response():
    eta, observed = np.array([0.3, 2.0, 8.0]), Observations(np.array([0.0, 9.0, 3000.0]), None, 1.0)
    for alpha in (1e7, 1e10, 1e13):
        curve, poisson = CURVES["negativebinomial", "log"], CURVES["poisson", "log"]
        total = np.sum(curve.slopes(eta, observed, np.array([alpha])).value) + curve.constant(
            observed, np.array([alpha])
        )
        expected = np.sum(poisson.slopes(eta, observed, np.zeros(0)).value) + poisson.constant(observed, np.zeros(0))
        assert total == pytest.approx(expected, abs=1e-7 + 1e7 / alpha)
        (drift,) = curve.drifts(eta, observed, np.array([alpha]))
        # d log density / d log alpha = ((y - mean)^2 - y) / (2 alpha) + O(1 / alpha^2), by Taylor's series
        mean = np.exp(eta)
        by_hand = -((observed.response - mean) ** 2 - observed.response) / (2 * alpha)
        np.testing.assert_allclose(drift.value, by_hand, atol=1e-10 + 1e11 / alpha**2 * 3)
