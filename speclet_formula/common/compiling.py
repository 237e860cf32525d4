"""Loops that are compiled once on a machine; who waits for that at a terminal or in a notebook is told.

numba keeps what it compiled beside the source, or in the user's own folder where that cannot be written to.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import event

from speclet_formula.common.batch import in_notebook

LONG = 2.0  # seconds of compiling from which on it is told
_OURS = __name__.partition(".")[0]


def loops[F: Callable[..., Any]](**options: Any) -> Callable[[F], F]:
    """Return a decorator that compiles a function once on a machine; threads run such functions side by side.

    Parameters
    ----------
    **options
        Of numba.njit: `error_model`, `fastmath`.
    """
    made: Callable[[F], F] = njit(cache=True, nogil=True, **options)
    return made


class Waiting(event.Listener):
    """Counts the seconds for which this package's loops are compiled, and tells once that they are."""

    def __init__(self) -> None:
        self._depth, self._begun, self._passed, self._told = 0, 0.0, 0.0, False

    def on_start(self, event: Any) -> None:
        """Note when the outermost one begins: while it is compiled, those that it calls are."""
        if _is_ours(event):
            self._begun = self._begun if self._depth else time.perf_counter()
            self._depth += 1
            self._tell()

    def on_end(self, event: Any) -> None:
        """Add what the outermost one took."""
        if _is_ours(event) and self._depth:
            self._tell()
            self._depth -= 1
            self._passed += 0.0 if self._depth else time.perf_counter() - self._begun

    def _tell(self) -> None:
        waited = self._passed + time.perf_counter() - self._begun
        if waited > LONG and not self._told and (sys.stderr.isatty() or in_notebook()):
            self._told = True
            print("Compiling loops, once on this machine: up to a minute.", file=sys.stderr, flush=True)


def _is_ours(event: Any) -> bool:
    return str(event.data["dispatcher"].py_func.__module__).startswith(_OURS)


event.register("numba:compile", Waiting())  # type: ignore[no-untyped-call]
