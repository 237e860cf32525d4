"""Batches of tasks, such as the fits of a study: done by joblib's workers, each outcome kept as it comes in.

Processes of this machine by default; a cluster through `joblib.parallel_config(backend="dask")`. Which worker does a
task, and when, changes nothing in it: a task holds its own seed. What stops one task is its outcome's reason, and a
killed worker costs no task but its own. Where outcomes are kept in a folder, a batch that was stopped goes on there;
which files these are is left to the rooms that do the work.
"""

import logging
import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib import import_module
from itertools import islice
from typing import Any

import pandas as pd

from speclet_formula.errors import SamplingError

EVERY = 1.0  # seconds between looks at the parent of a worker
MOMENT = 1.0  # seconds until a notebook is told, and between its tellings
MOST_SHOWN = 3  # reasons of failures in a message
KILLED = "the process that fitted it was killed, twice; often it wants more memory"


@dataclass(frozen=True, eq=False)
class Outcome[K: Hashable, R]:
    """What became of one task."""

    key: K
    result: R | None  # what the work returned; None of a failure
    reason: str = ""  # of a failure: "SamplingError: the sampler gave up."
    seconds: float = math.nan  # of wall time
    cpu_seconds: float = math.nan

    @property
    def failed(self) -> bool:
        """Whether the work ended in an error."""
        return self.result is None

    @property
    def status(self) -> str:
        """The same as a word, for tables."""
        return "failed" if self.failed else "fitted"


def run_batch[K: Hashable, R](
    work: Callable[..., R],
    tasks: Mapping[K, tuple[Any, ...]],
    *,
    what: str,
    cores: int | None,
    progress: bool,
    load: Callable[[K], Outcome[K, R] | None] | None = None,
    save: Callable[[Outcome[K, R]], Outcome[K, R]] | None = None,
    stop: bool = False,
) -> list[Outcome[K, R]]:
    """Do all tasks that are not done yet.

    Parameters
    ----------
    work : callable
        Does one task, and returns anything but None. Workers import it, and get its arguments as copies.
    tasks : mapping
        The arguments of each task, by its key.
    what : str
        What is counted in the line of progress: "data sets".
    cores : int, optional
        Processes; those of joblib's configuration, else one for each core.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal.
    load, save : callable, optional
        Return the outcome of a task that was done before, or None; and keep one that has come in, and return what is to
        be held of it in memory.
    stop : bool
        Whether an error in one task is raised, and ends the batch.

    Returns
    -------
    list of Outcome
        In the order of the tasks.

    Raises
    ------
    SamplingError
        With `stop`, if the worker of a task was killed twice. Other errors are those of the work, `load` and `save`.
    """
    known = {key: load(key) for key in tasks} if load is not None else {}
    done = {key: outcome for key, outcome in known.items() if outcome is not None}
    made = each_outcome(work, {key: task for key, task in tasks.items() if key not in done}, cores, stop=stop)
    for outcome in with_progress(made, what, len(tasks), len(done), shown=progress):
        done[outcome.key] = outcome if save is None else save(outcome)
    return [done[key] for key in tasks]


def reasons(outcomes: Sequence[Outcome[Any, Any]]) -> str:
    """Name the most frequent reasons of failures, each with its number."""
    counts = pd.Series([outcome.reason for outcome in outcomes if outcome.failed], dtype=object).value_counts()
    return "; ".join(f"{reason} ({count})" for reason, count in counts.head(MOST_SHOWN).items())


def refuse_all_failed(outcomes: Sequence[Outcome[Any, Any]], what: str, needed: str, remedy: str) -> None:
    """Raise a SamplingError if nothing came of any task."""
    if all(outcome.failed for outcome in outcomes):
        raise SamplingError(f"all {len(outcomes):,} {what} failed: {reasons(outcomes)}.", needed, remedy)


def attempt[K: Hashable, R](key: K, work: Callable[..., R], task: tuple[Any, ...], stop: bool) -> Outcome[K, R]:
    """Do one task in a worker."""
    started, processor = time.perf_counter(), time.process_time()
    result, reason = None, ""
    try:
        result = work(*task)
    except Exception as error:  # whatever stops one task is counted with its reason; the others go on
        if stop:
            raise
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return Outcome(key, result, reason, time.perf_counter() - started, time.process_time() - processor)


def each_outcome[K: Hashable, R](
    work: Callable[..., R], tasks: Mapping[K, tuple[Any, ...]], cores: int | None, *, stop: bool
) -> Iterator[Outcome[K, R]]:
    """Do tasks where joblib says; if a process is killed, those that it may have had run alone, each in its own.

    The arguments are those of `run_batch`; each outcome is given as it comes in.
    """
    from joblib import effective_n_jobs, parallel
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    client = getattr(parallel.get_active_backend()[0], "client", None)
    if client is not None:
        yield from _on_cluster(client, work, tasks, stop=stop)
        return
    left = {key: (key, work, task, stop) for key, task in tasks.items()}
    while left:
        try:
            for outcome in spread(attempt, list(left.values()), cores):
                del left[outcome.key]
                yield outcome
        except TerminatedWorkerError:
            for key in list(left)[: 4 * effective_n_jobs(cores or -1)]:
                yield _alone(*left.pop(key))


def _on_cluster[K: Hashable, R](
    client: Any, work: Callable[..., R], tasks: Mapping[K, tuple[Any, ...]], *, stop: bool
) -> Iterator[Outcome[K, R]]:
    """Do tasks on a Dask cluster, which gives those of a lost worker to another one.

    By Dask itself: joblib would wait for ever for a task whose workers have all died. Dask gives up what was on several
    lost workers, whoever killed them: each of these runs once more, by itself.
    """
    import distributed
    from distributed.scheduler import KilledWorker

    as_completed: Any = distributed.as_completed  # has no types
    left, keys, suspects, running = iter(tasks.items()), dict[Any, K](), list[K](), as_completed()

    def submit() -> None:
        """Keep all workers busy, and no more arguments on their way than they need for that."""
        wanted = max(2 * sum(client.ncores().values()), 2)  # fewer than are on their way after workers were lost
        for key, task in islice(left, max(wanted - len(keys), 0)):
            future = client.submit(attempt, key, work, task, stop, pure=False)
            keys[future] = key
            running.add(future)

    submit()
    try:
        for future in running:
            key = keys.pop(future)
            try:
                outcome: Outcome[K, R] = future.result()
            except KilledWorker:
                suspects.append(key)
            else:
                yield outcome
            submit()
        for key in suspects:
            try:
                yield client.submit(attempt, key, work, tasks[key], stop, pure=False).result()
            except KilledWorker as error:
                if stop:
                    raise _killed(key) from error
                yield Outcome(key, None, KILLED)
    finally:
        client.cancel(list(keys))


def _killed(key: Hashable) -> SamplingError:
    return SamplingError(f"'{key}': {KILLED}.", "Each process holds one model and its draws.", "Give fewer cores=.")


def _alone[K: Hashable, R](key: K, work: Callable[..., R], task: tuple[Any, ...], stop: bool) -> Outcome[K, R]:
    """Do one task in a process that nobody else needs."""
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    job = joblib.delayed(tethered)(os.getpid(), attempt, key, work, task, stop)
    try:
        with joblib.parallel_config(backend="loky"):
            outcome: Outcome[K, R] = joblib.Parallel(n_jobs=2)([job])[0]
    except TerminatedWorkerError as error:
        if stop:
            raise _killed(key) from error
        return Outcome(key, None, KILLED)
    return outcome


# --- processes --------------------------------------------------------------------------------------------------------


def configured_cores(cores: int | None) -> int:
    """Return how many processes share work that one does well: those that are asked for, or joblib is configured for.

    Without either it is this process alone; of a cluster without a number all of it.
    """
    import joblib

    if cores == 1:  # a cluster would not be asked
        return 1
    backend, configured = joblib.parallel.get_active_backend()
    return int(joblib.effective_n_jobs(cores or configured or getattr(backend, "default_n_jobs", 1)))


def spread(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], cores: int | None) -> Iterator[Any]:
    """Call a function with each of several sets of arguments, and give each result as soon as it is there.

    Parameters
    ----------
    function : callable
    calls : sequence of tuple
        The arguments of each call.
    cores : int, optional
        Processes; those of joblib's configuration, else one for each core.

    Yields
    ------
    object
        In no particular order.
    """
    import joblib

    if not calls:
        return
    # A worker that has grown by 300 MB, or was idle for long, is replaced with this warning, in joblib's own thread: as
    # an error it would end that thread, and the results would be waited for without end (joblib 1.6.0).
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    backend, configured = joblib.parallel.get_active_backend()
    n_jobs = cores or configured or -1
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


def _end_with(parent: int) -> None:
    """End this process as soon as its parent is another one: an orphan belongs to the system."""
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)  # nobody is there to take a result, or to be told of an error


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Hold back what a logger of another package tells below an error."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def in_notebook() -> bool:
    """Tell whether this runs in a kernel of Jupyter, which shows outputs that change."""
    running = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(running).__name__ == "ZMQInteractiveShell"


def with_progress[T](items: Iterable[T], what: str, total: int, done: int = 0, *, shown: bool) -> Iterator[T]:
    """Show a line with the time left while outcomes come in: to a person at a terminal or a notebook, not to a file.

    Parameters
    ----------
    items : iterable
        Outcomes, or anything else that takes time.
    what : str
        What is counted: "data sets".
    total, done : int
        How many there are in all, and how many were there before.
    shown : bool
    """
    if shown and done < total and in_notebook():
        yield from _with_notebook_line(items, what, total, done)
        return
    if not (shown and sys.stderr.isatty()) or done == total:
        yield from items
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
        for item in items:
            failed += bool(getattr(item, "failed", False))
            line.update(bar, advance=1, description=f"{failed} failed" if failed else "")
            yield item


def _with_notebook_line[T](items: Iterable[T], what: str, total: int, done: int) -> Iterator[T]:
    """Show a bar of HTML, which needs no widgets, if it takes longer than a moment; it is gone at the end."""
    show = import_module("IPython.display")
    started, told, line, failed = time.monotonic(), 0.0, None, 0
    try:
        for count, item in enumerate(items, 1):
            failed += bool(getattr(item, "failed", False))
            waited = time.monotonic() - started
            if waited - told >= MOMENT:
                left = waited / count * (total - done - count)
                bar = show.HTML(_bar(what, done + count, total, left, failed))
                line, told = line or show.display(bar, display_id=True), waited
                line.update(bar)
            yield item
    finally:
        if line is not None:
            line.update(show.HTML(""))


def _bar(what: str, count: int, total: int, left: float, failed: int) -> str:
    """Write a bar with what is counted, how long it will take, and how many failed."""
    minutes, seconds = divmod(round(left), 60)
    words = [f"{what}: {count:,} of {total:,}", f"{minutes}:{seconds:02d} left", f"{failed:,} failed" if failed else ""]
    bar = f'<progress value="{count}" max="{total}" aria-label="{escape(what)}"></progress>'
    return f"<p>{bar} {escape(', '.join(filter(None, words)))}</p>"
