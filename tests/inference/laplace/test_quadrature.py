"""Adaptive Gauss-Hermite quadrature against glmer's numbers, integrals by scipy, and differences."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import speclet_formula as sf
from speclet_formula.families import inverse_link, log_density, resolve_family
from speclet_formula.inference.laplace.criterion import Point, find_mode, numbers_of, problem_of
from speclet_formula.inference.laplace.quadrature import quadrature, quadrature_gradient
from tests.inference.laplace.test_fit import responses

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
# glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial, nAGQ = k, control = glmerControl(
# optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9), tolPwrss = 1e-10)) by lme4 1.1-31: fixef, SD, logLik, which for
# nAGQ > 1 leaves out the log-likelihood of the saturated model; standard errors by vcov(use.hessian = TRUE).
GLMER = {
    1: ([-1.39853212, -0.99233271, -1.12867208, -1.58031380], 0.64226145, -92.02628187,
        [0.2324719, 0.3066422, 0.3266375, 0.4274360]),
    2: ([-1.39794477, -0.99268360, -1.12906211, -1.58084722], 0.64158930, -50.05701573,
        [0.2322926, 0.3066685, 0.3266689, 0.4274745]),
    5: ([-1.39919379, -0.99143812, -1.12785326, -1.57950894], 0.64736462, -50.00568408,
        [0.2334775, 0.3067642, 0.3267648, 0.4275903]),
    10: ([-1.39923049, -0.99140365, -1.12781942, -1.57947071], 0.64751850, -50.00501498,
         [0.2335116, 0.3067679, 0.3267683, 0.4275944]),
    25: ([-1.39923050, -0.99140362, -1.12781950, -1.57947068], 0.64751847, -50.00501527,
         [0.2335116, 0.3067679, 0.3267683, 0.4275944]),
}  # fmt: skip


@pytest.fixture(scope="module")
def cbpp(shared_data):
    return pd.read_csv(shared_data / "lme4" / "cbpp.csv", dtype={"herd": str, "period": str})


@pytest.mark.parametrize("nodes", list(GLMER))
def test_cbpp_has_glmers_numbers(nodes, cbpp):
    fixed, sd, log_likelihood, errors = GLMER[nodes]
    fit = sf.glmer(CBPP, cbpp, family="binomial", method="laplace", nAGQ=nodes)
    saturated = stats.binom.logpmf(cbpp["incidence"], cbpp["size"], cbpp["incidence"] / cbpp["size"]).sum()
    assert fit.log_likelihood - (saturated if nodes > 1 else 0) == pytest.approx(log_likelihood, abs=1e-7)
    np.testing.assert_allclose(fit.estimates.coefficients, fixed, atol=1e-5)  # their search stops there
    assert sf.varcorr(fit)["sdcor"][0] == pytest.approx(sd, abs=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diagonal(fit.estimates.covariance)), errors, rtol=1e-4)
    assert (fit.verdict, fit.estimates.nodes) == ("converged", nodes)


def test_a_fit_says_by_what_it_was_made_and_is_made_again_so(cbpp, tmp_path):
    fit = sf.glmer(CBPP, cbpp, family="binomial", method="laplace", nAGQ=5)
    assert "fit by maximum likelihood (Adaptive Gauss-Hermite Quadrature, nAGQ = 5)" in repr(fit)
    assert fit.sentence == "The likelihood by quadrature is at its maximum, to within a thousandth of a standard error."
    assert "Laplace" not in repr(fit)
    assert sf.load(sf.save(fit, tmp_path / "fit")).estimates.nodes == 5
    assert sf.update(fit, ". ~ . - period").estimates.nodes == 5
    assert sf.update(fit, nAGQ=1).estimates.nodes == 1
    assert sf.refit(fit, cbpp["incidence"].to_numpy()[::-1] % 2).estimates.nodes == 5
    with pytest.raises(sf.SamplingError, match=r"needs no approximation|gaussian"):
        sf.update(fit, method="ml")  # and not that it has no use for nAGQ


CASES = [
    ("b ~ x + (1 | g)", "bernoulli", "logit"), ("z ~ x + offset(o) + (1 | g)", "negativebinomial", "log"),
    ("r ~ x + (0 + x | g)", "gamma", "log"), ("z ~ x + (1 | g)", "zero_inflated_poisson", "log"),
    ("r ~ x + (1 | g)", "t", "identity"), ("q ~ x + (1 | g)", "beta", "probit"),
]  # fmt: skip


def at_a_point(formula, family, link):
    """A problem, a point from numbers as they are searched for, and the numbers."""
    design = sf.Model(formula, responses(), family=family, link=link).design
    p = design.mean.X.shape[1]
    problem = problem_of(design, resolve_family(family, link), np.zeros(p))
    rng = np.random.default_rng(4)
    x = np.concatenate([[0.5], [0.4], rng.normal(0, 0.1, p - 1), rng.uniform(0, 1, len(problem.parameters))])
    return design, problem, lambda x: Point(x[:1], x[1 : 1 + p], numbers_of(problem, x[1 + p :])), x


@pytest.mark.parametrize(("formula", "family", "link"), CASES)
def test_the_gradient_is_that_of_differences(formula, family, link):
    _, problem, point, x = at_a_point(formula, family, link)

    def value(x):
        return quadrature(problem, point(x), find_mode(problem, point(x)), 7)

    found = quadrature_gradient(problem, point(x), find_mode(problem, point(x)), 7)
    for place, shift in enumerate(1e-4 * np.eye(len(x))):
        assert found[place] == pytest.approx((value(x + shift) - value(x - shift)) / 2e-4, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("formula", "family", "link"), CASES)
def test_many_nodes_give_the_integral_and_one_gives_laplaces_approximation(formula, family, link):
    design, problem, point, x = at_a_point(formula, family, link)
    here = point(x)
    mode = find_mode(problem, here)
    assert quadrature(problem, here, mode, 1) == pytest.approx(mode.criterion, rel=1e-12)
    (block,), model = design.mean.groups, resolve_family(family, link)
    fixed = problem.X @ here.beta + problem.offset
    named, total = dict(zip(problem.parameters, here.others, strict=True)), 0.0
    for level in range(len(block.levels)):
        rows = block.codes == level

        def integrand(u, rows=rows):
            mean = inverse_link(model, fixed[rows] + problem.Z[rows, 0] * here.theta[0] * u)
            density = log_density(model, design.response[rows], mean, named).sum()
            return np.exp(density + stats.norm.logpdf(u) + 50)  # which keeps it from vanishing

        total += np.log(integrate.quad(integrand, -9, 9, epsabs=0, epsrel=1e-11, limit=400)[0]) - 50
    assert quadrature(problem, here, mode, 60) == pytest.approx(-2 * total, rel=1e-9)


NODES = "nAGQ= counts the nodes of quadrature of method='laplace'; 1 is Laplace's approximation."
SERVES = (
    "Quadrature is for a single group term of one column, such as (1 | g), as in lme4.\n"
    "Leave nAGQ= out for Laplace's approximation, or use method='hmc', which needs none."
)


@pytest.mark.parametrize(
    ("formula", "settings", "text"),
    [
        ("b ~ x + (x | g)", {"method": "laplace", "nAGQ": 5},
         f"nAGQ=5 does not serve this model, whose levels have these group effects: 2 by g.\n{SERVES}"),
        ("b ~ x + (1 | g) + (1 | h)", {"method": "laplace", "nAGQ": 5},
         f"nAGQ=5 does not serve this model, whose levels have these group effects: 1 by g, 1 by h.\n{SERVES}"),
        ("b ~ x + (1 | g)", {"method": "laplace", "nAGQ": 0},
         "nAGQ=0 is out of range.\nnAGQ is a whole number of at least 1.\nLeave nAGQ= out for its default."),
        ("b ~ x + (1 | g)", {"method": "laplace", "nAGQ": 101},
         "nAGQ=101 is out of range.\nnAGQ is a whole number of at least 1 and at most 100.\n"
         "Leave nAGQ= out for its default."),
        ("b ~ x + (1 | g)", {"nAGQ": 5},
         f"method='auto' has no use for nAGQ=5.\n{NODES}\nLeave it out, or write method='laplace'."),
        ("b ~ x + (1 | g)", {"method": "nuts", "nAGQ": 5},
         f"method='nuts' has no use for nAGQ=5.\n{NODES}\nLeave it out, or write method='laplace'."),
    ],
)  # fmt: skip
def test_what_has_no_quadrature_is_said(formula, settings, text):
    with pytest.raises(sf.SamplingError) as raised:
        sf.glmer(formula, responses(), family="bernoulli", **settings)
    assert str(raised.value) == text
