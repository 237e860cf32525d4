"""BLAS in one thread: while inside, nested, in several threads at a time, and after an error."""

import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

import speclet_formula as sf
from speclet_formula.inference.blas import one_blas_thread


def blas_threads() -> set[int]:
    return {each["num_threads"] for each in ThreadpoolController().info() if each["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    """A machine's own setting of two threads, whatever the tests run with."""
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("this BLAS was built for one thread")
        yield


def test_one_thread_inside_and_as_before_outside() -> None:
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_an_error_lifts_the_limit() -> None:
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        _ = 1 // 0
    assert blas_threads() == {2}


def test_threads_that_overlap_leave_the_limit_as_it_was() -> None:
    """The first to enter leaves first: with limits of their own the second would restore what the first had set."""
    entered, left, seen = threading.Event(), threading.Event(), []

    def second() -> None:
        with one_blas_thread():
            seen.append(blas_threads())
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=second)
    with one_blas_thread():
        thread.start()
        entered.wait(10)
    left.set()
    thread.join()
    assert seen == [{1}]
    assert blas_threads() == {2}
    with one_blas_thread():
        assert blas_threads() == {1}


@pytest.mark.parametrize("method", ["exact", "reml"])
def test_engines_factor_in_one_thread(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    cholesky = np.linalg.cholesky

    def noted(matrix: np.ndarray) -> np.ndarray:
        seen.update(blas_threads())
        return cholesky(matrix)

    monkeypatch.setattr(np.linalg, "cholesky", noted)
    data, _ = sf.datasets.m7()
    sf.lmer("log_fc ~ (1 | gene)", data, method=method, draws=20, random_seed=1, progress=False)
    assert seen == {1}
    assert blas_threads() == {2}
