"""BLAS in one thread: that of the caller, for every factorisation of ours.

BLAS's own threads wait for each other at thousands of small products: on a busy machine a fit of a second took a
minute. How many threads of ours share the work is left to the callers.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from threading import Event, Lock, Thread, local
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> tuple[tuple[Any, ...], ThreadpoolController]:
    """Look for the BLAS libraries once, which takes milliseconds: those of one setting for the process, and others."""
    importlib.import_module("scipy.linalg.lapack")  # scipy has one of its own beside numpy's
    found = ThreadpoolController().select(user_api="blas")
    blas = found.lib_controllers
    shared = [one for one in blas if one.internal_api == "openblas" and one.threading_layer == "pthreads"]
    paths = [one.filepath for one in blas if one not in shared]
    return tuple(shared), found.select(filepath=paths)


def _limited() -> AbstractContextManager[Any]:
    """Limit the libraries whose setting may be the calling thread's own."""
    others = _libraries()[1]
    limit: AbstractContextManager[Any] = others.limit(limits=1) if len(others) else nullcontext()
    return limit


def _set_threads(library: Any, count: int) -> None:
    """Set a library for the process, whichever thread set it last.

    From 3.8 on threadpoolctl lets one thread alone set OpenBLAS, the first to do so, and ignores all others in silence.
    """
    let_go = getattr(library, "clear_controlling_thread", None)
    if let_go is not None:
        let_go(force=True)
    library.set_num_threads(count)
    if let_go is not None:
        let_go(force=True)


class _Process:
    """Holds the limit for the whole process, from the first block's beginning to the last one's end.

    OpenBLAS with threads of its own has one setting for a process, and any thread can set it back. Of other libraries
    some have one setting for each thread, and some are set back by the thread that set them alone; of two blocks that
    overlap in two threads the second would set back what the first had set. So each thread limits itself there, and a
    thread that outlives all blocks limits the process: to start it takes longer than a small fit.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._before: list[tuple[Any, int]] = []
        self._end = Event()
        self._holder: Thread | None = None

    def enter(self) -> None:
        """Count a block; the first one sets the limit."""
        with self._lock:
            if not self._blocks:
                shared, others = _libraries()
                if len(others):
                    self._hold()
                self._before = [(library, library.num_threads) for library in shared]
                for library in shared:
                    _set_threads(library, 1)
            self._blocks += 1

    def leave(self) -> None:
        """Count a block off; the last one sets the limit back."""
        with self._lock:
            self._blocks -= 1
            if self._blocks:
                return
            for library, count in self._before:
                _set_threads(library, count)
            if self._holder is not None:
                self._end.set()
                self._holder.join()
                self._holder = None

    def _hold(self) -> None:
        begun, self._end, failures = Event(), Event(), list[BaseException]()
        holder = Thread(target=_hold, args=(begun, self._end, failures), daemon=True)
        holder.start()
        begun.wait()
        if failures:
            raise failures[0]
        self._holder = holder


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
