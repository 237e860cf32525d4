"""Given the variances, combinations of coefficients are those of the joint normal distribution in dense matrices."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, stats

import speclet_formula as sf
from speclet_formula.design import centre_of
from speclet_formula.inference.algebra.dense import DenseMatrix
from speclet_formula.inference.algebra.patterned import PatternedEquations
from speclet_formula.inference.algebra.sparse import SparseMatrix
from speclet_formula.inference.exact import given_variances as given_module
from speclet_formula.inference.exact.given_variances import Addend, given_variances, log_signs, moments
from speclet_formula.priors import Prior
from tests.fakes import fake_fit


def table(genes, repeats, seed=5):
    """Guides in genes, each in every replicate; x and w are free numbers, x is 0 for one gene."""
    rng = np.random.default_rng(seed)
    rows = [(g, f"{g}_{s}", r) for g in range(genes) for s in range(3) for r in range(repeats)]
    data = pd.DataFrame(rows, columns=["gene", "guide", "rep"]).astype(str)
    data["x"] = np.where(data["gene"] == "1", 0.0, rng.normal(2, 1, len(data)))
    data["w"] = rng.uniform(0.5, 2, len(data))
    data["y"] = 3 + data["x"] + rng.normal(0, 1, genes)[data["gene"].astype(int)] + rng.normal(0, 0.5, len(data))
    return data


HYPER = {"1|gene": Prior("Normal", mu=Prior("Normal", mu=-0.5, sigma=0.7), sigma=Prior("HalfNormal", sigma=2))}
CASES = {
    "dense": (DenseMatrix, "y ~ x + (1 + x | gene)", table(6, 2), {}),
    "hyper": (DenseMatrix, "y ~ x + (1 | gene) + (1 | rep)", table(6, 2), {"priors": HYPER}),
    "sparse": (SparseMatrix, "y ~ x + (1 + x | gene) + (1 | rep)", table(90, 3), {"weights": "w"}),
    "patterned": (PatternedEquations, "y ~ (1 | gene) + (1 | gene:guide) + (1 | rep)", table(40, 3), {}),
}


def known_fit(formula, data, settings, draws=3):
    """A fit of which nothing is drawn but variances."""
    model = sf.Model(formula, data, **settings)
    centres = {name: 0.6 for block in model.design.mean.groups for name in block.sds} | {"sigma": 0.8}
    centres |= {block.correlation: 0.3 for block in model.design.mean.groups if block.correlated}
    return fake_fit(model, centres, chains=1, draws=draws, method="exact")


def dense_posterior(fit, draw):
    """Means and covariance of all named coefficients, fixed effects first, then each slot's levels."""
    model, posterior = fit.model, fit.idata["posterior"].isel(chain=0, draw=draw)
    mean, slots = model.design.mean, {slot.slot: slot.prior for slot in model.slots}
    weights = np.ones(len(model.design.response)) if model.design.weights is None else model.design.weights
    X = mean.X - centre_of(model.design)
    columns, means = [X], [np.broadcast_to(slots[t.name].parameters["mu"], t.stop - t.start) for t in mean.fixed]
    sds = [np.broadcast_to(slots[t.name].parameters["sigma"], t.stop - t.start) for t in mean.fixed]
    covariance = np.diag(np.square(np.concatenate(sds)))
    for block in mean.groups:
        own = np.outer(*[[float(posterior[name]) for name in block.sds]] * 2)
        own[~np.eye(len(own), dtype=bool)] *= float(posterior[block.correlation][0]) if block.correlated else 0.0
        indicators = np.eye(len(block.levels))[block.codes]
        columns += [indicators * block.values[:, [k]] for k in range(len(block.slots))]
        added = np.kron(own, np.eye(len(block.levels)))
        for k, slot in enumerate(block.slots):
            prior = slots[slot].parameters["mu"]
            known = prior.parameters if isinstance(prior, Prior) else {"mu": prior, "sigma": 0.0}
            means.append(np.full(len(block.levels), known["mu"]))
            part = slice(k * len(block.levels), (k + 1) * len(block.levels))
            added[part, part] += float(known["sigma"]) ** 2
        covariance = linalg.block_diag(covariance, added)
    W, m = np.hstack(columns), np.concatenate(means)
    joint = W @ covariance @ W.T + np.diag(float(posterior["sigma"]) ** 2 / weights)
    gain = np.linalg.solve(joint, W @ covariance).T
    means, covariance = m + gain @ (model.design.response - W @ m), covariance - gain @ W @ covariance
    shift = np.eye(len(m))
    if mean.fixed[0].kind == "intercept":
        shift[0, 1 : X.shape[1]] = -centre_of(model.design)[1:]
    return shift @ means, shift @ covariance @ shift.T


def every_kind(fit):
    """Combinations within rows of the data and across them, as parts, and as weights of all named coefficients."""
    mean = fit.model.design.mean
    block, start = mean.groups[0], mean.X.shape[1]
    levels = np.array([0, 1, 2, 5])
    intercept, ones = mean.fixed[0].variable, np.ones(4)
    other = np.array([0, 0, 3, 4])
    parts = [
        Addend(block.slots[0], levels, ones),
        Addend(intercept, np.zeros(4, dtype=int), np.array([1.0, 1.0, 0.0, 2.0])),
        Addend(block.slots[0], other, np.array([0.0, 0.0, -1.0, -0.5])),
    ]
    size = start + sum(len(one.slots) * len(one.levels) for one in mean.groups)
    L = np.zeros((4, size))
    for k in range(4):
        L[k, start + levels[k]] += 1
        L[k, 0] += parts[1].weights[k]
        L[k, start + other[k]] += parts[2].weights[k]
    first = np.array([np.flatnonzero(block.codes == level)[0] for level in levels])
    return parts, L, first


@pytest.mark.parametrize("name", CASES)
def test_moments_are_those_of_the_joint_distribution(name):
    kind, formula, data, settings = CASES[name]
    fit = known_fit(formula, data, settings)
    given = given_variances(fit)
    equations = given.marginal.system.equations
    assert isinstance(equations if kind is PatternedEquations else equations.matrix, kind)
    parts, L, rows = every_kind(fit)
    means, sds = moments(given, parts)
    negative, positive = np.zeros((2, 4))
    for draw in range(3):
        expected, covariance = dense_posterior(fit, draw)
        np.testing.assert_allclose(means[draw], L @ expected, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(sds[draw], np.sqrt(np.diag(L @ covariance @ L.T)), rtol=1e-7)
        normal = stats.norm(L @ expected, np.sqrt(np.diag(L @ covariance @ L.T)))
        negative, positive = negative + normal.cdf(0) / 3, positive + normal.sf(0) / 3
    for known in (None, rows):
        logs = log_signs(given, parts, known)
        np.testing.assert_allclose(np.exp(logs), [negative, positive], rtol=1e-6)


def test_one_that_meets_in_no_row_is_solved_by_itself():
    """x is 0 for a whole gene, whose slope meets the intercept in no row: the entries of the inverse are not there."""
    _, formula, data, settings = CASES["sparse"]
    fit = known_fit(formula, data, settings)
    block = fit.model.design.mean.groups[0]
    level, intercept = block.levels.index("1"), fit.model.design.mean.fixed[0].variable
    first = np.array([np.flatnonzero(block.codes == level)[0]])
    parts = [
        Addend(block.slots[1], np.array([level]), np.ones(1)),
        Addend(intercept, np.zeros(1, dtype=int), np.ones(1)),
    ]
    given = given_variances(fit)
    assert given_module._combine(given, parts, first).apart.tolist() == [0]
    np.testing.assert_allclose(log_signs(given, parts, first), log_signs(given, parts), rtol=1e-12)
    expected, covariance = dense_posterior(fit, 0)
    place = 2 + len(block.levels) + level
    variance = covariance[0, 0] + covariance[place, place] + 2 * covariance[0, place]
    np.testing.assert_allclose(moments(given, parts)[1][0], np.sqrt(variance), rtol=1e-7)
    np.testing.assert_allclose(moments(given, parts)[0][0], expected[0] + expected[place], rtol=1e-7)


def test_draws_are_thinned_where_there_are_many_coefficients(monkeypatch):
    _, formula, data, settings = CASES["dense"]
    fit = known_fit(formula, data, settings, draws=400)
    assert len(given_variances(fit).draws.sds) == 400
    monkeypatch.setattr(given_module, "NUMBERS", 1.0)
    assert len(given_variances(fit).draws.sds) == 100


def test_threads_change_nothing():
    _, formula, data, settings = CASES["patterned"]
    fit = known_fit(formula, data, settings, draws=40)
    given, (parts, _, rows) = given_variances(fit), every_kind(fit)
    alone = replace(given, marginal=replace(given.marginal, threads=1))
    several = replace(given, marginal=replace(given.marginal, threads=3))
    np.testing.assert_allclose(log_signs(several, parts, rows), log_signs(alone, parts, rows), rtol=1e-12)
    np.testing.assert_allclose(moments(several, parts), moments(alone, parts), rtol=1e-12)


def test_only_exact_fits_have_it():
    _, formula, data, settings = CASES["dense"]
    fit = known_fit(formula, data, settings)
    assert given_variances(replace(fit, method="nuts")) is None
    assert given_variances(sf.lmer(formula, data, method="reml")) is None
