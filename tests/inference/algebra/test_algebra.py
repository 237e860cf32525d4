"""Both kinds of algebra, sparse and whole, against plain dense linear algebra and each other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import sparse as matrices

from speclet_formula.inference.algebra import numeric, solutions, sparse, symbolic
from speclet_formula.inference.algebra.dense import DenseMatrix
from speclet_formula.inference.algebra.equations import MOST_DENSE, NormalEquations, System, Units, filled, matrix_of
from speclet_formula.inference.algebra.layout import CoefficientLayout
from speclet_formula.inference.algebra.solutions import (
    draw,
    left_out_densities,
    log_determinants,
    predict_rows,
    without_rows,
)


def system_of(kind: str, W: Any, weights: np.ndarray, y: np.ndarray) -> System:
    """Return a system with one kind of matrix, its prior a diagonal with two numbers, its units and centre plain."""
    size = W.shape[1]
    gram, moment = W.T @ W.multiply(weights[:, None]), W.T @ (weights * y)
    above, numbers = np.arange(size), np.arange(size) % 2
    ones = matrices.csr_array((np.ones(W.nnz), W.indices, W.indptr), shape=W.shape)
    matrix = _leading(W) if kind == "leading" else None
    matrix = matrix or matrix_of(size, None if kind == "dense" else ones.T @ ones, (above, above))
    places = matrix.places(above, above)
    return System(
        layout=CoefficientLayout(0, (), (), (), (), size, (), ()),
        W=W,
        response=y,
        weights=weights,
        equations=NormalEquations(matrix, filled(matrix, gram), places, numbers, moment[matrix.order]),
        square=float(weights @ y**2),
        within=0.0,
        units=Units(1.0, np.ones(size), np.ones(2)),
        prior=(above, above, numbers),
        centre=np.zeros(size),
        pull=np.zeros(2),
        count=len(y),
        log_weights=float(np.log(weights).sum()),
    )


def _leading(W: Any) -> DenseMatrix:
    """Return a whole matrix with the most columns in front that no two entries of a row stand in: one part's."""
    parts = np.sort(W.indices.reshape(W.shape[0], -1), axis=1).T
    first = max(map(np.unique, parts), key=len)
    return DenseMatrix(np.concatenate([first, np.setdiff1d(np.arange(W.shape[1]), first)]), len(first))


KINDS = ["dense", "leading", "sparse"]


def system(seed: int, rows: int, parts: tuple[int, ...]) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return W with one entry of each part in each row, weights and a response."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(parts)])
    columns = np.column_stack([starts[k] + rng.integers(part, size=rows) for k, part in enumerate(parts)])
    entries = (rng.normal(1, 0.3, columns.size), (np.repeat(np.arange(rows), len(parts)), columns.ravel()))
    W = matrices.csr_array(entries, shape=(rows, sum(parts)))
    return W, rng.uniform(0.5, 2, rows), rng.normal(size=rows)


def precision_of(W: Any, weights: np.ndarray, s2: float, prior: np.ndarray) -> np.ndarray:
    whole = W.toarray()
    return whole.T @ (weights[:, None] * whole) / s2 + np.diag(prior[np.arange(W.shape[1]) % 2])


# Nested and crossed; two large crossed factors; one factor, no corner to speak of; cells of two factors (thin parts).
SHAPES = [(1, 3, 12, 5), (30, 25), (20,), (1, 40, 6, 17), (2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_asked_of_it(kind: str, shape: tuple[int, ...]) -> None:
    W, weights, y = system(5, 60, shape)
    whole_system = system_of(kind, W, weights, y)
    s2, priors = np.array([0.7, 1.9]), np.array([[0.5, 2.0], [3.0, 0.1]])
    found = log_determinants(whole_system, s2, priors)
    densities, leverages = left_out_densities(whole_system, s2, priors)
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
    assert leverages == pytest.approx(total / 2, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_taken_out_and_predicted(kind: str) -> None:
    W, weights, y = system(6, 50, (1, 6, 20, 4))
    whole_system, row = system_of(kind, W, weights, y), np.array([7])
    s2, priors = np.array([0.8]), np.array([[1.0, 0.4]])
    moments = predict_rows(whole_system, row, without_rows(whole_system, row), s2, priors)[0, 0]
    others = np.arange(50) != 7
    P = precision_of(W[others], weights[others], 0.8, priors[0])
    w = W[[7]].toarray()[0]
    mean = np.linalg.solve(P, W[others].T @ (weights[others] * y[others]) / 0.8)
    assert moments == pytest.approx([w @ mean, w @ np.linalg.solve(P, w)], rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_draws(kind: str) -> None:
    """Means of 20,000 draws within 4.5 standard errors, covariances within 5 of theirs: 1e-4 for all 120 together."""
    W, weights, y = system(8, 40, (1, 3, 7, 4))
    count = 20_000
    numbers = np.repeat([[0.5, 1.5]], count, axis=0)
    out = draw(system_of(kind, W, weights, y), np.full(count, 0.9), numbers, np.array([3]))
    covariance = np.linalg.inv(precision_of(W, weights, 0.9, np.array([0.5, 1.5])))
    mean = covariance @ (W.T @ (weights * y)) / 0.9
    variances = np.diag(covariance)
    assert (np.abs(out.mean(axis=0) - mean) < 4.5 * np.sqrt(variances / count)).all()
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / count)
    assert (np.abs(np.cov(out.T) - covariance) < 5 * errors).all()


def test_draws_of_variances_that_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws, whether their factor is made again or kept. Whole matrices, some at a time, are made again."""
    assert MOST_DENSE**2 < solutions.SHARE
    W, weights, y = system(8, 40, (1, 3, 7, 4))
    still = np.repeat([0.9, 0.4, 0.4, 1.3], [3, 2, 1, 4])
    numbers = np.column_stack([np.repeat([0.5, 0.8, 1.0], [4, 2, 4]), np.full(10, 1.5)])
    arguments = (system_of("sparse", W, weights, y), still, numbers, np.array([3, 4]))
    again = draw(*arguments)
    monkeypatch.setattr(solutions, "SHARE", 1)
    kept = draw(*arguments)
    assert len(np.unique(kept, axis=0)) == 10
    assert (kept == again).all()


def interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the uncompiled loops in the compiled ones' place."""
    modules = (symbolic, numeric, sparse)
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
        whole_system = system_of("sparse", W, weights, y)
        densities, leverages = left_out_densities(whole_system, s2, priors)
        drawn = draw(whole_system, s2, priors, np.array([1]))
        assert np.isfinite(drawn).all()
        moments = predict_rows(whole_system, np.array([3]), whole_system, s2, priors)
        return [log_determinants(whole_system, s2, priors), densities, leverages, moments]

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
    pattern = symbolic.analyse(size, upper.indptr.astype(np.int64), upper.indices.astype(np.int64))
    factor = numeric.allocate(pattern)
    assert numeric.factorise(pattern, upper.data, factor)
    assert numeric.log_determinant(factor) == pytest.approx(np.linalg.slogdet(whole)[1], abs=1e-9)
    solution = np.arange(1.0, size + 1)
    numeric.forward(pattern, factor, solution)
    numeric.backward(pattern, factor, solution)
    assert np.allclose(whole @ solution, np.arange(1.0, size + 1))
    inverse, exact = numeric.invert(pattern, factor), np.linalg.inv(whole)
    for row, column in zip(*np.nonzero(whole), strict=True):
        assert numeric.entry_of(pattern, inverse, row, column) == pytest.approx(exact[row, column], abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_that_is_not_positive_definite(kind: str) -> None:
    W, weights, y = system(5, 30, (1, 3, 4))
    whole_system = system_of(kind, W, weights, y)
    found = log_determinants(whole_system, np.array([1.0, 1.0]), np.array([[-50.0, -50.0], [1.0, 1.0]]))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
    densities, _ = left_out_densities(whole_system, np.ones(1), np.array([[-50.0, -50.0]]))
    assert np.isnan(densities).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_filling_is_factored_alike(kind: str) -> None:
    W, weights, y = system(5, 60, (1, 3, 12, 5))
    matrix, gram = system_of(kind, W, weights, y).equations.matrix, W.T @ W.multiply(weights[:, None])
    numbers, places = filled(matrix, gram), matrix.places(np.arange(W.shape[1]), np.arange(W.shape[1]))
    assert matrix.factor(numbers - 2.0 * np.bincount(places, minlength=len(numbers)) * numbers) is None
    numbers[places] += 1.0
    known = np.linalg.slogdet(gram.toarray() + np.eye(W.shape[1]))[1]
    assert matrix.factor(numbers).log_determinants == pytest.approx(known, rel=1e-10)
