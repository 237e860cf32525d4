"""Equations in the coordinates of one block of related levels say what the plain ones say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design.merged import row_count
from speclet_formula.inference.algebra import equations
from speclet_formula.inference.algebra.rotated import RotatedEquations
from speclet_formula.inference.algebra.solutions import draw, left_out_densities, slopes, solve, without_rows
from speclet_formula.inference.exact.density import log_likelihood, marginal_of, prior_precisions

Q = 170
PRIORS = {"1|line": sf.Prior("Normal", mu=sf.Prior("Normal", mu=2, sigma=1), sigma=sf.Prior("HalfNormal", sigma=1))}


def covariance():
    root = np.random.default_rng(1).normal(size=(Q, 2 * Q))
    return root @ root.T / Q


@pytest.fixture(scope="module", params=["", " + (1 | other)", "mean"])
def both(request):
    rng, n = np.random.default_rng(2), 260
    data = pd.DataFrame({
        "x": rng.normal(3, 1, n), "line": rng.integers(0, Q - 3, n), "other": rng.integers(0, 6, n).astype(str),
        "w": rng.uniform(0.5, 2, n),
    })  # fmt: skip
    data["y"] = 50 + data["x"] + rng.normal(size=n)
    extra, priors = ("", PRIORS) if request.param == "mean" else (request.param, None)
    formula = f"y ~ 0 + x + (1 | gr(line, cov = A)){extra}"
    model = sf.Model(formula, data, matrices={"A": (covariance(), range(Q))}, priors=priors, weights="w")
    rotated = marginal_of(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equations, "MOST_ROTATED", 0)
        plain = marginal_of(model)
    assert isinstance(rotated.system.equations, RotatedEquations)
    assert not isinstance(plain.system.equations, RotatedEquations)
    return rotated, plain


def variances(marginal):
    rng = np.random.default_rng(3)
    sds = rng.uniform(0.3, 1.5, (7, len(marginal.variances.sd_priors)))
    partial = np.zeros((7, 0))
    return sds, partial, prior_precisions(marginal.variances, sds, partial)[0]


def test_densities_and_solutions_are_the_same(both):
    rotated, plain = both
    sds, partial, numbers = variances(plain)
    np.testing.assert_allclose(log_likelihood(rotated, sds, partial), log_likelihood(plain, sds, partial), rtol=1e-11)
    s2 = sds[:, 0] ** 2
    np.testing.assert_allclose(solve(rotated.system, s2, numbers), solve(plain.system, s2, numbers), atol=1e-8)
    for ours, theirs in zip(
        left_out_densities(rotated.system, s2, numbers), left_out_densities(plain.system, s2, numbers), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)
    for ours, theirs in zip(
        slopes(rotated.system, s2[0], numbers[0]), slopes(plain.system, s2[0], numbers[0]), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def test_any_combinations_have_the_same_variance(both):
    rotated, plain = both
    sds, _, numbers = variances(plain)
    vectors = np.random.default_rng(4).normal(size=(5, plain.system.layout.size))
    found = []
    for system in (rotated.system, plain.system):
        s2 = sds[:1, 0] ** 2 / system.units.response**2
        ((_, factors),) = system.equations.factored(s2, numbers[:1] * system.units.numbers)
        scaled = vectors * system.units.coefficients
        several = equations.matrices.csr_array(scaled)
        found.append([factors.squares(scaled)[0], factors.spreads(system.equations.prepared(several))[0]])
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-8)
    np.testing.assert_allclose(found[0][1], found[0][0], rtol=1e-8)


def test_draws_have_the_moments_of_the_posterior(both):
    """20,000 draws of one posterior: means within 5 standard errors, variances within 5 % (5 of theirs)."""
    rotated, plain = both
    sds, _, numbers = variances(plain)
    s2, known = np.repeat(sds[:1, 0] ** 2, 20_000), np.repeat(numbers[:1], 20_000, axis=0)
    some = np.array([0, 1, 2, 40, plain.system.layout.size - 1])
    drawn = draw(rotated.system, s2, known, np.array([5]), columns=some)
    means = solve(plain.system, s2[:1], known[:1])[0][some]
    units = np.eye(plain.system.layout.size)[some] * plain.system.units.coefficients
    scaled = s2[:1] / plain.system.units.response**2
    ((_, factors),) = plain.system.equations.factored(scaled, known[:1] * plain.system.units.numbers)
    expected = np.sqrt(np.array([factors.squares(unit[None])[0, 0] for unit in units]))
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - means) / expected, 5 / np.sqrt(20_000))
    np.testing.assert_allclose(drawn.std(axis=0), expected, rtol=0.025)


def test_rows_are_taken_out_of_the_plain_equations(both):
    _, plain = both
    sds, partial, _ = variances(plain)
    rows = np.array([3, 77, 200])
    ours, theirs = (replace(one, system=without_rows(one.system, rows)) for one in both)
    assert ours.system.count == plain.system.count - 3
    np.testing.assert_allclose(log_likelihood(ours, sds, partial), log_likelihood(theirs, sds, partial), rtol=1e-10)


def test_it_is_for_one_block_of_one_column():
    rng, n = np.random.default_rng(5), 200
    data = pd.DataFrame({"x": rng.normal(size=n), "y": rng.normal(size=n), "line": rng.integers(0, Q, n)})
    data["again"] = data["line"]
    given = {"A": (covariance(), range(Q))}
    for terms in ("(x | gr(line, cov = A))", "(1 | gr(line, cov = A)) + (0 + x | gr(again, cov = A))"):
        model = sf.Model(f"y ~ x + {terms}", data, matrices=given)
        assert not isinstance(marginal_of(model).system.equations, RotatedEquations)
        assert row_count(model.design) == n
