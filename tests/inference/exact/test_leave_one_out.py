"""Densities of left-out rows are those of the joint normal distribution of all rows, written out in dense matrices."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from speclet_formula.errors import EstimateError
from speclet_formula.inference.exact import leave_one_out as integrated
from speclet_formula.inference.exact.density import (
    correlation_factors,
    log_likelihood,
    log_posterior,
    marginal_of,
    natural,
    theta_of,
)
from speclet_formula.inference.exact.drawn_variances import (
    DrawnVariances,
    partial_correlations,
    read_variances,
    variance_names,
)
from speclet_formula.inference.exact.leave_one_out import left_out_blocks, redraw, refit_without, without_rows
from speclet_formula.inference.fit import fit
from speclet_formula.model import Model
from speclet_formula.posterior.draws import draws_in
from speclet_formula.priors import Prior
from tests.fakes import fake_fit

N = 48


def table():
    rng = np.random.default_rng(4)
    row = np.arange(N)
    data = pd.DataFrame({"g": [f"g{i}" for i in row // 6], "h": [f"h{i}" for i in row % 4], "one": row.astype(str)})
    data["x"] = np.tile([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], 8)  # sums to exactly 0 in each level of g
    data["z"] = rng.normal(size=N)
    data["w"] = rng.uniform(0.3, 3, N)
    data["y"] = 2 + 0.5 * data["x"] + rng.normal(0, 0.7, 8)[row // 6] + rng.normal(0, 0.8, N)
    return data


DATA = table()
HYPER = {"1|g": Prior("Normal", mu=Prior("Normal", mu=0.3, sigma=0.6), sigma=Prior("HalfNormal", sigma=1))}
SHIFTED = {"1|g": Prior("Normal", mu=0.4, sigma=Prior("HalfNormal", sigma=1)), "x": Prior("Normal", mu=1, sigma=0.5)}
MODELS = {
    "balanced slope": ("y ~ x + (1 | g)", {}),
    "crossed": ("y ~ x + z + (1 | g) + (1 | h)", {}),
    "weights": ("y ~ x + (1 | g)", {"weights": "w"}),
    "offset": ("y ~ z + offset(x) + (1 | g)", {}),
    "correlated": ("y ~ x + (1 + x | g)", {}),
    "three correlated": ("y ~ 1 + (1 + x + z | g) + (1 | h)", {"weights": "w"}),
    "uncorrelated": ("y ~ x + (1 + x || g)", {}),
    "a row in each level": ("y ~ 1 + (1 | g) + (1 | one)", {}),
    "group mean": ("y ~ 0 + (1 | g) + (1 | h)", {"priors": HYPER}),
    "known means": ("y ~ x + (1 | g)", {"priors": SHIFTED}),
    "no group": ("y ~ x + z", {"weights": "w"}),
}


def model_of(name):
    formula, settings = MODELS[name]
    return Model(formula, DATA, **settings)


def centres(model):
    return {f"cor|{block.label}": 0.3 for block in model.design.mean.groups} | {"sigma": 0.8, "1|g_sigma": 0.7}


def normal_of_rows(model, posterior, chain, draw):
    """Mean and covariance of all rows given one draw of the variances; every coefficient has its prior."""
    design, slots = model.design, {slot.slot: slot.prior.parameters for slot in model.slots}
    weights = np.ones(N) if design.weights is None else design.weights
    covariance = np.diag(float(posterior["sigma"][chain, draw]) ** 2 / weights)
    mean = design.mean.offset.copy()
    X = design.mean.X.copy()
    if design.mean.fixed and design.mean.fixed[0].kind == "intercept":
        X[:, 1:] -= X[:, 1:].mean(axis=0)  # the intercept's prior is at the predictors' means
    for term in design.mean.fixed:
        for column in range(term.start, term.stop):
            mean += slots[term.name]["mu"] * X[:, column]
            covariance += slots[term.name]["sigma"] ** 2 * np.outer(X[:, column], X[:, column])
    for block in design.mean.groups:
        same = block.codes[:, None] == block.codes[None, :]
        sds = [float(posterior[f"{slot}_sigma"][chain, draw]) for slot in block.slots]
        correlation = np.eye(len(sds))
        if block.correlated:
            for k, (i, j) in enumerate(combinations(range(len(sds)), 2)):
                correlation[i, j] = correlation[j, i] = float(posterior[f"cor|{block.label}"][chain, draw, k])
        covariance += same * (block.values @ (np.outer(sds, sds) * correlation) @ block.values.T)
        for column, slot in enumerate(block.slots):
            known = slots[slot]["mu"]
            values = block.values[:, column]
            if isinstance(known, Prior):
                covariance += known.parameters["sigma"] ** 2 * np.outer(values, values)
                known = known.parameters["mu"]
            mean += known * values
    return mean, covariance


def left_out(y, mean, covariance):
    """log p(y_i | the other rows), row by row, from the conditional of the joint normal distribution."""
    values = []
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        slopes = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, i])
        variance = covariance[i, i] - slopes @ covariance[others, i]
        values.append(stats.norm.logpdf(y[i], mean[i] + slopes @ (y - mean)[others], np.sqrt(variance)))
    return np.array(values)


@pytest.fixture(params=MODELS)
def case(request):
    model = model_of(request.param)
    posterior = fake_fit(model, centres(model), chains=2, draws=3).idata["posterior"]
    return model, posterior, marginal_of(model)


@pytest.mark.mostly_slow(every=3)
def test_densities_are_those_of_the_joint_normal(case):
    model, posterior, marginal = case
    ((rows, found, leverages),) = left_out_blocks(marginal, read_variances(model, draws_in(posterior)))
    assert rows == slice(0, N)
    for k, (chain, draw) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]):
        expected = left_out(model.design.response, *normal_of_rows(model, posterior, chain, draw))
        np.testing.assert_allclose(found[k], expected, atol=1e-8)
    assert ((leverages > 0) & (leverages < 1)).all()


def test_leverages_are_those_of_the_fitted_values(case):
    """They are the diagonal of I - S V^-1, with V the rows' covariance and S the residuals'."""
    model, posterior, marginal = case
    draws = read_variances(model, draws_in(posterior))
    one = DrawnVariances(draws.sds[:1], draws.partial[:1])
    ((_, _, leverages),) = left_out_blocks(marginal, one)
    _, covariance = normal_of_rows(model, posterior, 0, 0)
    residual = one.sds[0, 0] ** 2 / marginal.system.weights
    np.testing.assert_allclose(leverages, 1 - residual * np.diag(np.linalg.inv(covariance)), atol=1e-9)


def test_the_likelihood_without_a_row_is_that_of_the_others(case):
    """log p(y) = log p(y_-i) + log p(y_i | y_-i), the first from the system without the row."""
    model, posterior, marginal = case
    draws = read_variances(model, draws_in(posterior))
    ((_, densities, _),) = left_out_blocks(marginal, draws)
    whole = log_likelihood(marginal, draws.sds, draws.partial)
    for row in (0, 17, N - 1):
        rest = integrated.replace(marginal, system=without_rows(marginal.system, np.array([row])))
        np.testing.assert_allclose(log_likelihood(rest, draws.sds, draws.partial) + densities[:, row], whole, atol=1e-8)


def test_threads_and_blocks_change_nothing(monkeypatch):
    model = model_of("crossed")
    draws = read_variances(model, draws_in(fake_fit(model, centres(model)).idata["posterior"]))
    ((_, whole, leverages),) = left_out_blocks(marginal_of(model), draws)
    monkeypatch.setattr(integrated, "BLOCK_BYTES", 7 * 8 * len(draws.sds))
    parts = list(left_out_blocks(marginal_of(model, threads=3), draws))
    assert [part[0] for part in parts] == [slice(start, min(start + 7, N)) for start in range(0, N, 7)]
    np.testing.assert_array_equal(np.hstack([part[1] for part in parts]), whole)
    np.testing.assert_allclose(np.hstack([part[2] for part in parts]), leverages, rtol=1e-12)


def test_variances_are_read_under_their_names():
    model = model_of("three correlated")
    assert variance_names(model) == ("sigma", "1|g_sigma", "x|g_sigma", "z|g_sigma", "1|h_sigma", "cor|g")
    posterior = fake_fit(model, centres(model)).idata["posterior"]
    draws = read_variances(model, draws_in(posterior))
    names = variance_names(model)[:-1]
    for k, name in enumerate(names):
        np.testing.assert_array_equal(draws.sds[:, k], posterior[name].values.ravel())
    factors = correlation_factors(marginal_of(model).variances, 0, draws.partial)
    matrices = factors @ np.swapaxes(factors, 1, 2)
    for k, (i, j) in enumerate(combinations(range(3), 2)):
        np.testing.assert_allclose(matrices[:, i, j], posterior["cor|g"].values.reshape(-1, 3)[:, k], rtol=1e-12)


@pytest.mark.parametrize("name", ["three correlated", "a row in each level"])
def test_vectors_are_turned_back_into_the_same_variances(name):
    """The second has its SD as a share of the total with the residual's."""
    model = model_of(name)
    variances = marginal_of(model).variances
    assert (variances.shared is not None) == (name == "a row in each level")
    draws = read_variances(model, draws_in(fake_fit(model, centres(model)).idata["posterior"]))
    sds, partial, _ = natural(variances, theta_of(variances, draws.sds, draws.partial))
    np.testing.assert_allclose(sds, draws.sds, rtol=1e-12)
    np.testing.assert_allclose(partial, draws.partial, atol=1e-12)


def test_a_correlation_that_was_rounded_to_one_stays_finite():
    partial = partial_correlations(np.array([[1.0, 0.5, 0.5], [-1.0, 0.0, 0.0]]), 3)
    assert np.isfinite(partial).all()
    assert (np.abs(partial) < 1).all()


def on_a_grid(model, row):
    """log p(y_i | y_-i) of a one-way model, sigma and the group's SD integrated over a grid of their logs."""
    marginal = marginal_of(model)
    logs = np.linspace(-4.5, 2.5, 161)
    theta = np.array(np.meshgrid(logs, logs, indexing="ij")).reshape(2, -1).T
    target, sds = log_posterior(marginal, theta), np.exp(theta)
    ((_, densities, _),) = left_out_blocks(marginal, DrawnVariances(sds, np.empty((len(sds), 0))))
    inside = target - densities[:, row]
    weights = np.exp(inside - inside.max())
    return np.log((weights * np.exp(densities[:, row])).sum() / weights.sum())


ONE_WAY = Model("y ~ 1 + (1 | g)", DATA)


@pytest.mark.parametrize("row", [0, 20, 47])
@pytest.mark.mostly_slow("0")
def test_refits_and_new_draws_are_those_of_a_grid(row):
    """Within 4.5 standard errors of 4,000 weighted draws: a false alarm in 7 of a million, and the seed is fixed."""
    marginal = marginal_of(ONE_WAY)
    draws = read_variances(ONE_WAY, draws_in(fit(ONE_WAY, draws=200, random_seed=3).idata["posterior"]))
    expected = on_a_grid(ONE_WAY, row)
    log_weights, left_out = refit_without(marginal, np.array([row]), draws, np.random.default_rng(5), proposals=4000)
    redrawn = redraw(marginal, np.array([row, 3]), draws, np.random.default_rng(5), proposals=4000)
    for all_ratios, all_densities in ((log_weights[:, None], left_out.each), redrawn):
        log_ratios, log_densities = all_ratios[:, 0], all_densities[:, 0]
        weights = np.exp(log_ratios - log_ratios.max())
        weights /= weights.sum()
        densities = np.exp(log_densities)
        estimate = weights @ densities
        error = np.sqrt((weights**2 * (densities - estimate) ** 2).sum()) / estimate
        assert error < 0.03
        assert abs(np.log(estimate) - expected) < 4.5 * error


def test_a_posterior_without_variances_is_refused():
    posterior = fake_fit(ONE_WAY).idata["posterior"].to_dataset().drop_vars("1|g_sigma")
    with pytest.raises(EstimateError) as caught:
        read_variances(ONE_WAY, draws_in(posterior))
    assert str(caught.value) == (
        "the posterior holds no variable '1|g_sigma'.\n"
        "It holds: Intercept, 1|g, sigma.\n"
        "Fit the model again, or hand over the fit that these draws belong to."
    )
