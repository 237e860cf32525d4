"""The density with the coefficients integrated out against the dense normal density of the response."""

from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.inference.algebra import equations, forest, patterned
from speclet_formula.inference.algebra.equations import moved
from speclet_formula.inference.algebra.solutions import draw, left_out_densities, solve
from speclet_formula.inference.exact.density import (
    correlation_factors,
    log_likelihood,
    log_posterior,
    marginal_of,
    natural,
    prior_precisions,
    sloped_log_posterior,
    why_not_exact,
)

N = 40
RNG = np.random.default_rng(21)
TABLE = pd.DataFrame(
    {
        "y": RNG.normal(3.0, 1.5, N),
        "x": RNG.normal(2.0, 1.0, N),
        "z": RNG.normal(0.0, 0.7, N),
        "f": RNG.choice(["u", "v", "w"], N),
        "g": RNG.choice(list("abcde"), N),
        "h": RNG.choice(list("pqr"), N),
        "w": RNG.uniform(0.5, 3.0, N),
    }
)
MEAN = sf.Prior("Normal", mu=sf.Prior("Normal", mu=-1, sigma=0.7), sigma=sf.Prior("Exponential", lam=1))
NUMBER = sf.Prior("Normal", mu=1.5, sigma=sf.Prior("HalfNormal", sigma=1))

# formula, arguments of the model, and how many correlations it has
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "crossed": ("y ~ x + f + (1 | g) + (1 | h)", {}, 0),
    "interaction": ("y ~ 1 + (1 | g) + (1 | g:h)", {}, 0),
    "correlated slope": ("y ~ x + (x | g)", {}, 1),
    "three correlated columns": ("y ~ x + (x + z | g) + (1 | h)", {}, 3),
    "diagonal slopes": ("y ~ x + (x || g)", {}, 0),
    "weights and offset": ("y ~ x + offset(z) + (1 | g)", {"weights": "w"}, 0),
    "hyper-means": ("y ~ 0 + (1 | g) + (1 | h)", {"priors": {"1|g": MEAN, "1|h": MEAN}}, 0),
    "a known mean": ("y ~ 0 + (1 + x | g)", {"priors": {"1|g": MEAN, "x|g": NUMBER}}, 1),
    "no groups": ("y ~ x + f", {}, 0),
    "no intercept": ("y ~ 0 + f + (1 | g)", {}, 0),
}


def dense(model: sf.Model, sds: np.ndarray, partial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of the response, each term added by hand from the table."""
    design = model.design
    slots = {slot.slot: slot.prior.parameters for slot in model.slots}
    weights = np.ones(N) if design.weights is None else design.weights
    mean, covariance = design.mean.offset.copy(), np.diag(sds[0] ** 2 / weights)
    means = design.mean.X.mean(axis=0)
    for term in design.mean.fixed:
        prior = slots[term.name]
        for j, column in enumerate(range(term.start, term.stop)):
            x = design.mean.X[:, column]
            if term.kind != "intercept" and design.mean.fixed[0].kind == "intercept":
                x = x - means[column]
            mean += x * np.broadcast_to(prior["mu"], term.stop - term.start)[j]
            covariance += np.outer(x, x) * np.broadcast_to(prior["sigma"], term.stop - term.start)[j] ** 2
    used = 0
    first = 1
    for block in design.mean.groups:
        k = len(block.columns)
        same = block.codes[:, None] == block.codes[None, :]
        correlation = np.eye(k)
        if block.correlated:
            pairs = list(combinations(range(k), 2))
            values = dict(zip(pairs, partial[used : used + len(pairs)], strict=True))
            used += len(pairs)
            for i, j in pairs:  # from partial correlations to correlations, one condition at a time
                value = values[i, j]
                for m in range(i - 1, -1, -1):
                    rest = np.sqrt((1 - values[m, i] ** 2) * (1 - values[m, j] ** 2))
                    value = value * rest + values[m, i] * values[m, j]
                correlation[i, j] = correlation[j, i] = value
        spread = sds[first : first + k]
        sigma = correlation * np.outer(spread, spread)
        covariance += same * (block.values @ sigma @ block.values.T)
        for j, slot in enumerate(block.slots):
            mu = slots[slot]["mu"]
            column = block.values[:, j]
            if isinstance(mu, sf.Prior):
                mean += column * mu.parameters["mu"]
                covariance += np.outer(column, column) * mu.parameters["sigma"] ** 2
            else:
                mean += column * mu
        first += k
    return mean, covariance


def random_variances(model: sf.Model, correlations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n_sds = 1 + sum(len(block.columns) for block in model.design.mean.groups)
    return rng.uniform(0.2, 2.0, (3, n_sds)), rng.uniform(-0.8, 0.8, (3, correlations))


@pytest.mark.parametrize("name", CASES)
def test_log_likelihood_is_the_dense_normal_density(name: str) -> None:
    formula, arguments, correlations = CASES[name]
    model = sf.Model(formula, TABLE, **arguments)
    sds, partial = random_variances(model, correlations, seed=1)
    ours = log_likelihood(marginal_of(model), sds, partial)
    for k in range(3):
        mean, covariance = dense(model, sds[k], partial[k])
        assert ours[k] == pytest.approx(stats.multivariate_normal(mean, covariance).logpdf(TABLE["y"]), rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_leaving_a_row_out_is_conditioning_on_the_others(name: str) -> None:
    formula, arguments, correlations = CASES[name]
    model = sf.Model(formula, TABLE, **arguments)
    sds, partial = random_variances(model, correlations, seed=2)
    marginal = marginal_of(model)
    numbers, _ = prior_precisions(marginal.variances, sds, partial)
    ours, _ = left_out_densities(marginal.system, sds[:, 0] ** 2, numbers)
    mean, covariance = dense(model, sds[0], partial[0])
    for row in (0, 17, N - 1):
        others = np.delete(np.arange(N), row)
        gain = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, row])
        centre = mean[row] + gain @ (TABLE["y"].to_numpy()[others] - mean[others])
        spread = np.sqrt(covariance[row, row] - gain @ covariance[others, row])
        assert ours[0, row] == pytest.approx(stats.norm.logpdf(TABLE["y"][row], centre, spread), rel=1e-9)


@pytest.mark.parametrize("name", ["correlated slope", "hyper-means", "weights and offset"])
def test_where_coefficients_are_measured_from_changes_nothing(name: str) -> None:
    """The density of the response, that of each row left out, and the coefficients' means, from any centre."""
    formula, arguments, correlations = CASES[name]
    model = sf.Model(formula, TABLE, **arguments)
    here = marginal_of(model)
    sds, partial = random_variances(model, correlations, seed=5)
    numbers, s2 = prior_precisions(here.variances, sds, partial)[0], sds[:, 0] ** 2
    step = np.random.default_rng(6).normal(0, 3, here.system.layout.size)
    there = replace(here, system=moved(here.system, step))
    assert log_likelihood(there, sds, partial) == pytest.approx(log_likelihood(here, sds, partial), rel=1e-9)
    left, other = (left_out_densities(one.system, s2, numbers)[0] for one in (here, there))
    assert other == pytest.approx(left, rel=1e-8, abs=1e-8)
    means = solve(here.system, s2, numbers) + here.system.centre
    assert solve(there.system, s2, numbers) + there.system.centre == pytest.approx(means, rel=1e-8, abs=1e-8)


def test_draws_have_the_conditional_mean_and_covariance() -> None:
    """Means of 20,000 draws lie within 4.5 standard errors, 7e-6 each; covariances within 6 % of the largest."""
    model = sf.Model("y ~ x + (x | g)", TABLE)
    marginal = marginal_of(model)
    sds, partial = np.array([[0.8, 1.1, 0.5]]), np.array([[0.4]])
    numbers, _ = prior_precisions(marginal.variances, sds, partial)
    count = 20_000
    drawn = draw(marginal.system, np.full(count, 0.64), np.repeat(numbers, count, axis=0), np.array([3, 4]), threads=2)
    W = marginal.system.W.toarray()
    prior = np.zeros((W.shape[1], W.shape[1]))
    prior[:2, :2] = np.diag(marginal.variances.precisions)
    factor = correlation_factors(marginal.variances, 0, partial)[0] * sds[0, 1:, None]
    block = np.linalg.inv(factor @ factor.T)
    prior[2:, 2:] = np.kron(np.eye(5), block)
    covariance = np.linalg.inv(W.T @ W / 0.64 + prior)
    mean = covariance @ W.T @ marginal.system.response / 0.64
    error = np.sqrt(np.diag(covariance) / count)
    assert (np.abs(drawn.mean(axis=0) - mean) < 4.5 * error).all()
    assert np.abs(np.cov(drawn.T) - covariance).max() < 0.06 * covariance.max()


def test_the_jacobian_is_that_of_the_natural_parameters() -> None:
    """Against central differences, where every row is a level of its own and the shared coordinates are used."""
    table = TABLE.assign(each=[f"e{i}" for i in range(N)])
    model = sf.Model("y ~ (1 | each) + (x | g)", table)
    variances = marginal_of(model).variances
    assert variances.shared == 1
    theta = np.array([0.2, -0.7, 0.4, -0.3, 0.5])
    step = 1e-6 * np.eye(5)

    def whole(points: np.ndarray) -> np.ndarray:
        sds, partial, _ = natural(variances, points)
        return np.concatenate([sds, partial], axis=1)

    slopes = (whole(theta + step) - whole(theta - step)) / 2e-6
    _, _, jacobian = natural(variances, theta[None])
    assert jacobian[0] == pytest.approx(np.linalg.slogdet(slopes)[1], abs=1e-6)


@pytest.mark.parametrize("kind", ["whole", "sparse", "classes"])
@pytest.mark.parametrize("name", list(CASES))
def test_the_gradient(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against differences of the density of whole matrices; from a centre too, which the prior then draws away from."""
    formula, arguments, _ = CASES[name]
    model = sf.Model(formula, TABLE, **arguments)
    plain = marginal_of(model)
    if kind != "whole":
        monkeypatch.setattr(equations, "MOST_DENSE", 0)
        monkeypatch.setattr(patterned, "forest_of", partial(forest.forest_of, most=1.0 if kind == "classes" else -1.0))
    built = marginal_of(model)
    by_classes = isinstance(built.system.equations, patterned.PatternedEquations)
    assert by_classes == (kind == "classes" and "|" in formula)
    step = np.random.default_rng(2).normal(size=built.system.layout.size)
    theta = np.random.default_rng(3).normal(0.1, 0.3, plain.variances.size)
    for marginal in (built, replace(built, system=moved(built.system, step))):
        value, slope = sloped_log_posterior(marginal, theta)
        near, far = (
            (log_posterior(plain, theta + h) - log_posterior(plain, theta - h)) / (2 * h[0, 0])
            for h in (1e-3 * np.eye(len(theta)), 2e-3 * np.eye(len(theta)))
        )
        assert value == pytest.approx(log_posterior(plain, theta[None])[0], rel=1e-11)
        assert slope == pytest.approx((4 * near - far) / 3, rel=1e-6, abs=1e-5)


def test_far_out_there_is_no_gradient() -> None:
    marginal = marginal_of(sf.Model("y ~ x + (x | g)", TABLE))
    value, slope = sloped_log_posterior(marginal, np.full(4, 400.0))
    assert value == -np.inf
    assert (slope == 0).all()


def test_points_far_out_have_no_density() -> None:
    marginal = marginal_of(sf.Model("y ~ (x | g)", TABLE))
    far = np.array([[800.0, 0, 0, 0], [-800.0, 0, 0, 0], [0, 0, 0, 60.0], [0.1, 0, 0, 0]])
    density = log_posterior(marginal, far)
    assert (density[:3] == -np.inf).all()
    assert np.isfinite(density[3])


REASONS = [
    ("count ~ 1", {"family": "poisson"}, "the family is poisson with the log link, not gaussian with identity"),
    ("y ~ x", {"link": "log"}, "the family is gaussian with the log link, not gaussian with identity"),
    (
        "y ~ x",
        {"priors": {"x": sf.Prior("Cauchy", alpha=0, beta=1)}},
        "the prior of 'x' is Cauchy, not Normal",
    ),
    (
        "y ~ 0 + (1 | g)",
        {
            "priors": {
                "1|g": sf.Prior(
                    "Normal", mu=sf.Prior("StudentT", nu=3, mu=0, sigma=1), sigma=sf.Prior("HalfNormal", sigma=1)
                )
            }
        },
        "the prior of the mean of '1|g' is StudentT, not Normal",
    ),
]


@pytest.mark.parametrize(("formula", "arguments", "reason"), REASONS)
def test_what_the_engine_cannot_serve_is_said(formula: str, arguments: dict[str, Any], reason: str) -> None:
    table = TABLE.assign(y=TABLE["y"].abs() + 0.1, count=np.arange(N))
    model = sf.Model(formula, table, **arguments)
    assert why_not_exact(model) == reason
    with pytest.raises(sf.SamplingError) as caught:
        sf.fit(model, method="exact")
    assert str(caught.value) == (
        f"the exact engine cannot serve this model: {reason}.\n"
        "It serves gaussian models with the identity link and Normal priors of the coefficients.\n"
        "Write method='nuts', or leave method= out for the engine that serves the model."
    )
