"""Work goes in; it is done with BLAS in the thread that calls it.

Our factorisations are many and small: BLAS' own threads would wait for each other, for most of the time beside another
busy process. Threads of our own are left to those who have parts to share out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from scipy.linalg import lapack  # noqa: F401 - loads scipy's BLAS beside numpy's, before they are looked for
from threadpoolctl import ThreadpoolController


class _Limit:
    """The limit of the whole process. One thread sets it and lifts it, since the libraries listen to one at a time."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.owned = False
        self.controller: ThreadpoolController | None = None  # looking for the libraries takes milliseconds

    def taken(self) -> bool:
        """Take the limit for the calling thread; False where another has it."""
        with self.lock:
            if self.owned:
                return False
            self.owned = True
            return True


_limit = _Limit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS in the thread that calls it; also a decorator. It costs some microseconds, less where one is inside.

    What was set before holds again when the thread leaves that entered first. Another one that is still inside then is
    slower, not wrong.

    Yields
    ------
    None
    """
    if not _limit.taken():
        yield
        return
    try:
        if _limit.controller is None:
            _limit.controller = ThreadpoolController()
        with _limit.controller.limit(limits=1, user_api="blas"):
            yield
    finally:
        _limit.owned = False
