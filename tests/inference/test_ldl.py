"""The compiled loops against dense linear algebra, compiled and as plain Python."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from speclet_formula.inference import ldl


def compiled_or_plain(plain: bool) -> SimpleNamespace:
    names = ("analyse", "factor", "solve_lower", "solve_upper", "invert_on_pattern")
    return SimpleNamespace(**{name: getattr(getattr(ldl, name), "py_func" if plain else "__call__") for name in names})


def random_precision(seed: int, size: int) -> np.ndarray:
    root = sparse.random_array((size, size), density=0.15, rng=seed).toarray()
    return root @ root.T + np.eye(size)


def factored(loops: SimpleNamespace, dense: np.ndarray) -> tuple[np.ndarray, ...]:
    upper = sparse.triu(sparse.csc_array(dense), format="csc")
    upper.sort_indices()
    starts, rows = upper.indptr.astype(np.int64), upper.indices.astype(np.int64)
    parents, ends = loops.analyse(len(dense), starts, rows)
    low_rows, low, diagonal = np.empty(ends[-1], dtype=np.int64), np.empty(ends[-1]), np.empty(len(dense))
    assert loops.factor(starts, rows, upper.data, parents, ends, low_rows, low, diagonal)
    return ends, low_rows, low, diagonal


def check(loops: SimpleNamespace, dense: np.ndarray) -> None:
    size = len(dense)
    ends, low_rows, low, diagonal = factored(loops, dense)
    columns = np.repeat(np.arange(size), np.diff(ends))
    lower = np.eye(size)
    lower[low_rows, columns] = low
    assert np.allclose(lower @ np.diag(diagonal) @ lower.T, dense)
    inverse = np.linalg.inv(dense)
    below, across = loops.invert_on_pattern(ends, low_rows, low, diagonal)
    assert np.allclose(across, np.diag(inverse))
    assert np.allclose(below, inverse[low_rows, columns])
    right = np.arange(1.0, size + 1)
    solution = right.copy()
    loops.solve_lower(ends, low_rows, low, solution)
    solution /= diagonal
    loops.solve_upper(ends, low_rows, low, solution)
    assert np.allclose(dense @ solution, right)


@given(st.integers(0, 1000), st.integers(1, 25))
def test_compiled(seed: int, size: int) -> None:
    check(compiled_or_plain(plain=False), random_precision(seed, size))


@pytest.mark.parametrize("seed", range(3))
def test_plain_python(seed: int) -> None:
    check(compiled_or_plain(plain=True), random_precision(seed, 12))


@pytest.mark.parametrize("plain", [True, False])
def test_a_matrix_that_is_not_positive_definite_is_refused(plain: bool) -> None:
    loops = compiled_or_plain(plain)
    starts, rows = np.array([0, 1, 3]), np.array([0, 0, 1])
    parents, ends = loops.analyse(2, starts, rows)
    work = np.empty(1, dtype=np.int64), np.empty(1), np.empty(2)
    assert not loops.factor(starts, rows, np.array([1.0, 2.0, 1.0]), parents, ends, *work)
