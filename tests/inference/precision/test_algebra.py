"""Both kinds of algebra, sparse and whole, against plain dense linear algebra and each other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import sparse as matrices

from speclet_formula.inference.precision import bordered, dense, loops, patterns, sparse
from speclet_formula.inference.precision.records import Rows


def equations_of(W: Any, weights: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    """Return both kinds of equations of one system, its prior a diagonal with two numbers."""
    size = W.shape[1]
    gram, moment = W.T @ W.multiply(weights[:, None]), W.T @ (weights * y)
    prior = (np.arange(size), np.arange(size), np.arange(size) % 2)
    ones = matrices.csr_array((np.ones(W.nnz), W.indices, W.indptr), shape=W.shape)
    return dense.prepare(gram, moment, prior), sparse.prepare(gram, ones.T @ ones, moment, prior)


def system(seed: int, rows: int, parts: tuple[int, ...]) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return W with one entry of each part in each row, weights and a response."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(parts)])
    columns = np.column_stack([starts[k] + rng.integers(part, size=rows) for k, part in enumerate(parts)])
    entries = (rng.normal(1, 0.3, columns.size), (np.repeat(np.arange(rows), len(parts)), columns.ravel()))
    W = matrices.csr_array(entries, shape=(rows, sum(parts)))
    return W, rng.uniform(0.5, 2, rows), rng.normal(size=rows)


def rows_for(equations: Any, W: Any, weights: np.ndarray, y: np.ndarray) -> Rows:
    position = np.argsort(equations.order)
    return Rows(W.indptr.astype(np.int64), position[W.indices], W.data, weights, y)


def precision_of(W: Any, weights: np.ndarray, s2: float, prior: np.ndarray) -> np.ndarray:
    whole = W.toarray()
    return whole.T @ (weights[:, None] * whole) / s2 + np.diag(prior[np.arange(W.shape[1]) % 2])


# Nested and crossed; two large crossed factors; one factor, no corner to speak of; cells of two factors (thin parts).
SHAPES = [(1, 3, 12, 5), (30, 25), (20,), (1, 40, 6, 17), (2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [dense, sparse])
def test_all_that_is_asked_of_it(kind: Any, shape: tuple[int, ...]) -> None:
    W, weights, y = system(5, 60, shape)
    equations = equations_of(W, weights, y)[0 if kind is dense else 1]
    s2, priors = np.array([0.7, 1.9]), np.array([[0.5, 2.0], [3.0, 0.1]])
    found = kind.evaluate(equations, s2, priors)
    observed = rows_for(equations, W, weights, y)
    densities = np.empty((2, 60))
    leverages = kind.leave_out(equations, observed, s2, priors, densities)
    total = np.zeros(60)
    for k in range(2):
        P, r = precision_of(W, weights, s2[k], priors[k]), W.T @ (weights * y) / s2[k]
        mean = np.linalg.solve(P, r)
        assert found[k] == pytest.approx([np.linalg.slogdet(P)[1], r @ mean], rel=1e-10)
        whole = W.toarray()
        leverage = weights * np.einsum("ij,jk,ik->i", whole, np.linalg.inv(P), whole) / s2[k]
        total += leverage
        variance = s2[k] / weights / (1 - leverage)
        error = (y - whole @ mean) / (1 - leverage)
        assert densities[k] == pytest.approx(-0.5 * (np.log(2 * np.pi * variance) + error**2 / variance), rel=1e-8)
    assert leverages == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("kind", [dense, sparse])
def test_a_row_taken_out_and_predicted(kind: Any) -> None:
    W, weights, y = system(6, 50, (1, 6, 20, 4))
    equations = equations_of(W, weights, y)[0 if kind is dense else 1]
    s2, priors = np.array([0.8]), np.array([[1.0, 0.4]])
    row = rows_for(equations, W[[7]], weights[[7]], y[[7]])
    moments = kind.predict(kind.less_rows(equations, row), row, s2, priors)[0, 0]
    others = np.arange(50) != 7
    P = precision_of(W[others], weights[others], 0.8, priors[0])
    w = W[[7]].toarray()[0]
    mean = np.linalg.solve(P, W[others].T @ (weights[others] * y[others]) / 0.8)
    assert moments == pytest.approx([w @ mean, w @ np.linalg.solve(P, w)], rel=1e-10)


@pytest.mark.parametrize("kind", [dense, sparse])
def test_draws(kind: Any) -> None:
    """Means of 20,000 draws within 4.5 standard errors, covariances within 5 of theirs: 1e-4 for all 120 together."""
    W, weights, y = system(8, 40, (1, 3, 7, 4))
    equations = equations_of(W, weights, y)[0 if kind is dense else 1]
    count = 20_000
    out = np.empty((count, 15))
    kind.draw(equations, np.full(count, 0.9), np.repeat([[0.5, 1.5]], count, axis=0), 3, np.arange(15), out)
    covariance = np.linalg.inv(precision_of(W, weights, 0.9, np.array([0.5, 1.5])))
    mean = covariance @ (W.T @ (weights * y)) / 0.9
    variances = np.diag(covariance)
    assert (np.abs(out.mean(axis=0) - mean) < 4.5 * np.sqrt(variances / count)).all()
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / count)
    assert (np.abs(np.cov(out.T) - covariance) < 5 * errors).all()


def interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the uncompiled loops in the compiled ones' place."""
    modules = (patterns, loops, bordered, sparse)
    compiled = {id(value) for module in modules for value in vars(module).values() if hasattr(value, "py_func")}
    for module in modules:
        for name, value in list(vars(module).items()):
            if id(value) in compiled:
                monkeypatch.setattr(module, name, value.py_func)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loops_are_the_same_as_plain_python(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    W, weights, y = system(9, 40, shape)
    s2, priors = np.array([0.7]), np.array([[0.5, 2.0]])

    def everything() -> list[np.ndarray]:
        equations = equations_of(W, weights, y)[1]
        observed = rows_for(equations, W, weights, y)
        densities, drawn = np.empty((1, 40)), np.empty((1, W.shape[1]))
        leverages = sparse.leave_out(equations, observed, s2, priors, densities)
        sparse.draw(equations, s2, priors, 1, np.arange(W.shape[1]), drawn)
        assert np.isfinite(drawn).all()
        row = rows_for(equations, W[[3]], weights[[3]], y[[3]])
        moments = sparse.predict(equations, row, s2, priors)
        return [sparse.evaluate(equations, s2, priors), densities, leverages, moments]

    compiled = everything()
    interpret(monkeypatch)
    for one, other in zip(compiled, everything(), strict=True):
        assert np.allclose(one, other, rtol=1e-9)


@given(st.integers(0, 1000), st.integers(1, 25))
def test_a_random_matrix(seed: int, size: int) -> None:
    """Solutions, determinant and the inverse on the pattern, of matrices without any structure."""
    root = matrices.random_array((size, size), density=0.15, rng=seed).toarray()
    whole = root @ root.T + np.eye(size)
    upper = matrices.triu(matrices.csc_array(whole), format="csc")
    upper.sort_indices()
    pattern = patterns.analyse(size, upper.indptr.astype(np.int64), upper.indices.astype(np.int64))
    factor = bordered.allocate(pattern)
    assert bordered.factorise(pattern, upper.data, factor)
    assert bordered.log_determinant(factor) == pytest.approx(np.linalg.slogdet(whole)[1], abs=1e-9)
    solution = np.arange(1.0, size + 1)
    bordered.forward(pattern, factor, solution)
    bordered.backward(pattern, factor, solution)
    assert np.allclose(whole @ solution, np.arange(1.0, size + 1))
    inverse, exact = bordered.invert(pattern, factor), np.linalg.inv(whole)
    for row, column in zip(*np.nonzero(whole), strict=True):
        assert loops.entry_of(pattern, inverse, row, column) == pytest.approx(exact[row, column], abs=1e-9)


@pytest.mark.parametrize("kind", [dense, sparse])
def test_a_matrix_that_is_not_positive_definite(kind: Any) -> None:
    W, weights, y = system(5, 30, (1, 3, 4))
    equations = equations_of(W, weights, y)[0 if kind is dense else 1]
    found = kind.evaluate(equations, np.array([1.0, 1.0]), np.array([[-50.0, -50.0], [1.0, 1.0]]))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
    densities = np.empty((1, 30))
    kind.leave_out(equations, rows_for(equations, W, weights, y), np.ones(1), np.array([[-50.0, -50.0]]), densities)
    assert np.isnan(densities).all()
