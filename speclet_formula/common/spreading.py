"""Jobs go in; their outcomes come out as soon as they are there, made by joblib's workers, with a line of progress.

Processes of this machine by default; a cluster through `joblib.parallel_config(backend="dask")`. What a job is, and
what becomes of an outcome, is left to the caller.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib


def spread(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], workers: int | None) -> Iterator[Any]:
    """Call a function with each of several sets of arguments, and give each result as soon as it is there.

    Parameters
    ----------
    function : callable
    calls : sequence of tuple
        The arguments of each call.
    workers : int, optional
        Processes; those of joblib's configuration, else one for each core.

    Yields
    ------
    object
        In no particular order.
    """
    if not calls:
        return
    backend, configured = joblib.parallel.get_active_backend()
    n_jobs = workers or configured or -1
    jobs = [joblib.delayed(tethered)(os.getpid(), function, *call) for call in calls]
    if getattr(backend, "supports_return_generator", False) or n_jobs == 1:
        yield from joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
        return
    size = 4 * joblib.effective_n_jobs(n_jobs)  # a backend that gives all at once is asked for a little at a time
    for start in range(0, len(jobs), size):
        yield from joblib.Parallel(n_jobs=n_jobs)(jobs[start : start + size])


def tethered(parent: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process that ends with its parent, however that ends.

    Parameters
    ----------
    parent : int
        The process that asks. A worker that is not its child, such as one of a cluster, is left to whoever started it.
    function : callable
    *arguments

    Returns
    -------
    object
        What the function returns.
    """
    if os.getppid() == parent and parent not in _watching:
        _watching.add(parent)
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    return function(*arguments)


_watching: set[int] = set()  # parents, at most one, that this process watches
EVERY = 1.0  # seconds between looks


def _end_with(parent: int) -> None:
    """End this process as soon as its parent is another one: an orphan belongs to the system."""
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)  # nobody is there to take a result, or to be told of an error


def with_progress(
    outcomes: Iterator[dict[str, Any]], what: str, total: int, done: int, *, shown: bool
) -> Iterator[dict[str, Any]]:
    """Show a line with the time left while outcomes come in: to a person, not to a file.

    Parameters
    ----------
    outcomes : iterator of dict
        Each with a `status`, which is "failed" if it failed.
    what : str
        What is counted: "data sets".
    total, done : int
        How many there are in all, and how many were there before.
    shown : bool
    """
    if not (shown and sys.stderr.isatty()) or done == total:
        yield from outcomes
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    failed = 0
    with Progress(*columns, console=Console(stderr=True)) as line:
        bar = line.add_task("", total=total, completed=done)
        for outcome in outcomes:
            failed += outcome["status"] == "failed"
            line.update(bar, advance=1, description=f"{failed} failed" if failed else "")
            yield outcome
