"""BLAS in one thread: that of the caller, for every factorisation of ours.

BLAS's own threads wait for each other at thousands of small products: on a busy machine a fit of a second took a
minute. How many threads of ours share the work is left to the callers.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, wraps
from threading import Event, Lock, Thread, local
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    """Look for the BLAS libraries once: it takes milliseconds, a limit some microseconds."""
    importlib.import_module("scipy.linalg.lapack")  # scipy has one of its own beside numpy's
    return ThreadpoolController()


def _limited() -> AbstractContextManager[Any]:
    limit: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limit


class _Process:
    """Holds the limit for the whole process, from the first block's beginning to the last one's end.

    Some BLAS libraries have one setting for a process, others one for each thread. The former is set back by the thread
    that set it alone, and of two blocks that overlap in two threads the second would set back what the first had set.
    So each thread limits itself, and a thread that outlives all blocks limits the process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._end = Event()
        self._holder: Thread | None = None

    def enter(self) -> None:
        """Count a block; the first one sets the limit."""
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                begun, self._end, failures = Event(), Event(), list[BaseException]()
                self._holder = Thread(target=_hold, args=(begun, self._end, failures), daemon=True)
                self._holder.start()
                begun.wait()
                if failures:
                    self._blocks = 0
                    raise failures[0]

    def leave(self) -> None:
        """Count a block off; the last one sets the limit back."""
        with self._lock:
            self._blocks -= 1
            if not self._blocks and self._holder is not None:
                self._end.set()
                self._holder.join()


def _hold(begun: Event, end: Event, failures: list[BaseException]) -> None:
    """Hold the limit until the end; whatever comes of it, who waits for the beginning waits no longer."""
    try:
        with _limited():
            begun.set()
            end.wait()
    except BaseException as error:
        failures.append(error)
        begun.set()


_process = _Process()
_here = local()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS in the calling thread; what was set before is there again after the block."""
    if getattr(_here, "inside", False):
        yield
        return
    _process.enter()
    try:
        with _limited():
            _here.inside = True
            yield
    finally:
        _here.inside = False
        _process.leave()


def in_one_blas_thread[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that runs within `one_blas_thread`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with one_blas_thread():
            return function(*args, **kwargs)

    return run
