"""BLAS stays in one thread within a block, and has its own after it, also where blocks of two threads overlap."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from scipy.linalg import lapack  # noqa: F401 - loads scipy's BLAS beside numpy's
from threadpoolctl import ThreadpoolController, threadpool_limits

import speclet_formula as sf
from speclet_formula.common.threads import in_one_blas_thread, one_blas_thread


def numbers() -> set[int]:
    return {one["num_threads"] for one in ThreadpoolController().info() if one["user_api"] == "blas"}


def test_one_thread_within_and_the_same_as_before_after() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = numbers()
        with one_blas_thread():
            assert numbers() == {1}
            with one_blas_thread():
                assert numbers() == {1}
            assert numbers() == {1}
        assert numbers() == before


def test_an_error_ends_the_block() -> None:
    @in_one_blas_thread
    def fails(what: str) -> None:
        assert numbers() == {1}
        raise ValueError(what)

    with threadpool_limits(2, user_api="blas"):
        before = numbers()
        with pytest.raises(ValueError, match="told"):
            fails("told")
        assert numbers() == before


def test_a_limit_that_fails_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("no such library")

    monkeypatch.setattr("speclet_formula.common.threads._limited", fails)
    with pytest.raises(OSError, match="no such library"), one_blas_thread():
        pass
    monkeypatch.undo()
    with one_blas_thread():
        assert numbers() == {1}


def test_after_blocks_that_overlap_in_two_threads_all_is_as_before() -> None:
    inside, ended = Event(), Event()

    def first() -> None:
        with one_blas_thread():
            inside.set()
            ended.wait(10)

    before = numbers()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first)
        inside.wait(10)
        with one_blas_thread():
            assert numbers() == {1}
            ended.set()
            running.result(10)
        assert numbers() == before
        with one_blas_thread():
            assert numbers() == {1}
    assert numbers() == before


@pytest.mark.parametrize("method", ["exact", "reml"])
@pytest.mark.mostly_slow("reml")
def test_engines_factor_in_one_thread(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    cholesky = np.linalg.cholesky

    def noted(matrix: np.ndarray) -> np.ndarray:
        seen.update(numbers())
        return cholesky(matrix)

    monkeypatch.setattr(np.linalg, "cholesky", noted)
    data, _ = sf.datasets.m7()
    with threadpool_limits(2, user_api="blas"):
        sf.lmer("log_fc ~ (1 | gene)", data, method=method)
    assert seen == {1}
