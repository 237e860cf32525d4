"""The mixture of effects against loops over scipy's densities, and against the distributions that made the data."""

import numpy as np
import pytest
from scipy import stats

from speclet_formula.screens import gene_mixture
from speclet_formula.screens.gene_mixture import (
    EFFICACIES,
    OFF_TARGETS,
    EffectMixture,
    GuideData,
    effect_grid,
    fit_mixture,
    log_effects,
)


def made(n_genes=40, guides=3, seed=1, off=0.0):
    rng = np.random.default_rng(seed)
    effects = np.where(rng.random(n_genes) < 0.3, -3.0, 0.0)
    genes = np.repeat(np.arange(n_genes), guides)
    noise = rng.uniform(0.3, 0.6, len(genes))
    shown = rng.choice([0.25, 1.0], len(genes), p=[0.3, 0.7])
    elsewhere = np.where(rng.random(len(genes)) < off, -2.0, 0.0)
    order = rng.permutation(len(genes))
    values = shown * effects[genes] + elsewhere + noise * rng.normal(size=len(genes))
    return GuideData(values[order], noise[order], genes[order], n_genes)


def brute(data, mixture):
    """Log-likelihood of each gene at each effect: over guides the product of mean densities over what a guide does."""
    found = np.zeros((data.n_genes, len(mixture.grid)))
    for value, noise, gene in zip(data.values, data.noise, data.genes, strict=True):
        for place, effect in enumerate(mixture.grid):
            scaled = (value - EFFICACIES[:, None] * effect - OFF_TARGETS) / (mixture.scale * noise)
            densities = stats.t.pdf(scaled, mixture.df) / (mixture.scale * noise)
            found[gene, place] += np.log(mixture.efficacies @ densities @ mixture.off_targets)
    return found


def test_likelihood_and_posterior_are_those_of_loops():
    data = made(n_genes=6)
    grid = effect_grid(data.values)
    prior = np.random.default_rng(2).dirichlet(np.ones(len(grid)))
    off = np.random.default_rng(4).dirichlet(np.where(OFF_TARGETS == 0, 20.0, 0.2))
    mixture = EffectMixture(grid, prior, np.random.default_rng(3).dirichlet(np.ones(9)), off, 10.0, 1.1, 0.0)
    likelihood, logs = log_effects(data, mixture)
    expected = brute(data, mixture)
    near = expected > expected.max(axis=1, keepdims=True) - 12
    # The densities are interpolated between means 0.3 noise SDs apart: at most 0.3^2 / 8 of the curvature.
    np.testing.assert_allclose(likelihood[near], expected[near], atol=0.15)
    joint = np.exp(expected - expected.max(axis=1, keepdims=True)) * prior
    np.testing.assert_allclose(np.exp(logs), joint / joint.sum(axis=1, keepdims=True), atol=0.005)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)


def test_blocks_of_guides_change_nothing(monkeypatch):
    data = made()
    mixture = fit_mixture(data, df=10.0)
    whole = log_effects(data, mixture)[1]
    monkeypatch.setattr(gene_mixture, "_BLOCK", 17)
    np.testing.assert_allclose(np.exp(log_effects(data, mixture)[1]), np.exp(whole), atol=0.005)


def test_no_other_weights_of_the_effects_are_likelier(monkeypatch):
    """At the maximum the gradient by each weight is at most that of the used ones: the condition of a mixture."""
    monkeypatch.setattr(gene_mixture, "_TOLERANCE", 1e-9)
    monkeypatch.setattr(gene_mixture, "_ROUNDS", 3000)
    data = made()
    mixture = fit_mixture(data, df=10.0)
    likelihood, _ = log_effects(data, mixture)
    marginal = np.exp(likelihood) @ mixture.prior
    assert np.log(marginal).sum() == pytest.approx(mixture.log_likelihood, abs=1e-6)
    parts = gene_mixture._parts(mixture.grid)
    np.testing.assert_allclose(parts.sum(axis=1), 1)
    gradients = ((np.exp(likelihood) @ parts.T) / marginal[:, None]).mean(axis=0)
    assert gradients.max() < 1.01


def test_the_distributions_that_made_the_data_are_found_again():
    """Of 1,500 genes 30 % have the effect -3; three of ten guides show a quarter of it, the others all."""
    data = made(n_genes=1500)
    mixture = fit_mixture(data, df=30.0)
    assert mixture.prior[mixture.grid < -1.5].sum() == pytest.approx(0.3, abs=0.05)  # 4 SEs of a share of 1,500
    mean = mixture.efficacies @ EFFICACIES
    strong = mixture.grid < -1.5
    effect = mean * (mixture.prior[strong] @ mixture.grid[strong]) / mixture.prior[strong].sum()
    assert effect == pytest.approx(-3.0 * (0.3 * 0.25 + 0.7), abs=0.15)  # what a mean guide shows: 0.07 is 4 SEs
    assert mixture.efficacies[:5].sum() == pytest.approx(0.3, abs=0.1)


def test_one_strong_guide_tells_little_where_guides_hit_something_else():
    """Of guides without and with 6 % that fall by 2 elsewhere; the same one strong guide of three is judged."""
    shares, odds = [], []
    for off in (0.0, 0.06):
        data = made(n_genes=1500, off=off)
        mixture = fit_mixture(data, df=30.0)
        shares.append(mixture.off_targets[OFF_TARGETS < -1].sum())
        alone = GuideData(np.array([-2.2, 0.1, 0.0]), np.full(3, 0.45), np.zeros(3, dtype=int), 1)
        chances = np.exp(log_effects(alone, mixture)[1][0])
        odds.append(chances[mixture.grid < -1].sum())
    assert shares[0] < 0.01
    assert shares[1] == pytest.approx(0.06, abs=0.02)  # 5 SEs of a share of 4,500 guides are 0.018
    assert odds[1] < 0.3 * odds[0]
