"""Replicates: the same short work with many seeds, in as many processes as pay, kept in a folder where work can go on.

Each replicate is a row of numbers, or the reason why there is none. What the numbers are is left to the rooms that ask.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from speclet_formula.common.batch import Outcome, configured_cores, run_batch
from speclet_formula.common.checkpoints import FolderKind, open_folder, write_whole
from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.errors import DataError

CHUNK_SECONDS = 0.25  # of work that a process gets at once
WORTH_SECONDS = 6.0  # of work below which other processes are not started: each takes two or three to begin
FIRST = 5  # replicates that are done in this process, to see how long they take
SHARES = 4  # chunks of each process at least, so that all end at about the same time
FORMAT = 1

type Row = tuple[list[float], str]  # the numbers and "", or nothing and the reason
type Work = Callable[..., Sequence[float]]  # takes a generator, then its arguments


@dataclass(frozen=True, eq=False)
class Replicates:
    """What became of many replicates.

    Attributes
    ----------
    values : ndarray of float, shape (replicates, numbers)
        NaN throughout in the row of one that failed.
    reasons : tuple of str
        For each replicate why it failed, or "".
    """

    values: np.ndarray
    reasons: tuple[str, ...]


def replicate(
    work: Work,
    arguments: tuple[Any, ...],
    count: int,
    *,
    what: str,
    seed: int,
    cores: int | None,
    progress: bool,
    folder: Path | None = None,
    kind: FolderKind | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Replicates:
    """Do the same work with many seeds.

    Parameters
    ----------
    work : callable
        Is called with a generator and the arguments, and returns numbers, always as many.
    arguments : tuple
    count : int
        Number of replicates. The first ones of more are the same.
    what : str
        What is counted in the line of progress.
    seed : int
        Replicate i is the same in every call with the seed, whichever process does it.
    cores : int, optional
        Processes; by default this one alone where more do not pay, else those of joblib's configuration, else one for
        each core.
    progress : bool
    folder : Path, optional
        Where replicates are kept as they come in.
    kind : FolderKind, optional
    manifest : mapping, optional
        Of the folder: what it is called, and all that settles the replicates.

    Raises
    ------
    DataError
        The folder belongs to other work.
    """
    owner = "" if folder is None or kind is None else open_folder(folder, {"format": FORMAT, **(manifest or {})}, kind)
    done = {} if folder is None else _kept(folder, owner, count)
    left = [number for number in range(count) if number not in done]
    save = None if folder is None else partial(_save, folder, owner)
    # The first may compile; the next tell how long one takes.
    done |= _first(work, arguments, seed, left[:1], save)
    started = time.process_time()
    done |= _first(work, arguments, seed, left[1:FIRST], save)
    if left := left[FIRST:]:
        size, processes = _plan(len(left), (time.process_time() - started) / (FIRST - 1), cores)
        parts = [tuple(left[start : start + size]) for start in range(0, len(left), size)]
        tasks = {part: (work, arguments, seed, part) for part in parts}
        for outcome in run_batch(_rows, tasks, what=what, cores=processes, progress=progress, save=save):
            done |= _held(outcome, None)
    return _gathered([done[number] for number in range(count)])


def _plan(count: int, seconds: float, cores: int | None) -> tuple[int, int | None]:
    """Return how many replicates a process gets at once, and how many processes there shall be."""
    here = cores is None and configured_cores(cores) == 1 and count * seconds < WORTH_SECONDS
    each = max(1, math.ceil(count / (SHARES * configured_cores(-1 if cores is None else cores))))
    return min(max(1, int(CHUNK_SECONDS / max(seconds, 1e-9))), each), 1 if here else cores


def _first(
    work: Work, arguments: tuple[Any, ...], seed: int, numbers: Sequence[int], save: "_Save | None"
) -> dict[int, Row]:
    """Do some replicates in this process."""
    key = tuple(numbers)
    return _held(Outcome(key, _rows(work, arguments, seed, key)), save) if key else {}


@in_one_blas_thread  # each fit by itself would begin and end that with a thread
def _rows(work: Work, arguments: tuple[Any, ...], seed: int, numbers: Sequence[int]) -> list[Row]:
    """Do some replicates, in a worker."""
    return [_row(work, arguments, np.random.SeedSequence(seed, spawn_key=(number,))) for number in numbers]


def _row(work: Work, arguments: tuple[Any, ...], seed: np.random.SeedSequence) -> Row:
    """Do one replicate; whatever stops it is counted with its reason, and the others go on."""
    try:
        return [float(value) for value in work(np.random.default_rng(seed), *arguments)], ""
    except Exception as error:
        return [], f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


type _Save = Callable[[Outcome[tuple[int, ...], list[Row]]], Outcome[tuple[int, ...], list[Row]]]


def _held(outcome: Outcome[tuple[int, ...], list[Row]], save: _Save | None) -> dict[int, Row]:
    """Return the rows of an outcome by number; those of a killed process have its reason."""
    if save is not None:
        save(outcome)
    rows = outcome.result or [([], outcome.reason)] * len(outcome.key)
    return dict(zip(outcome.key, rows, strict=True))


def _gathered(rows: Sequence[Row]) -> Replicates:
    """Put the rows below each other."""
    width = max((len(values) for values, reason in rows if not reason), default=0)
    values = np.array([[math.nan] * width if reason else values for values, reason in rows]).reshape(len(rows), width)
    return Replicates(values, tuple(reason for _, reason in rows))


# --- in a folder ------------------------------------------------------------------------------------------------------


def _save(
    folder: Path, owner: str, outcome: Outcome[tuple[int, ...], list[Row]]
) -> Outcome[tuple[int, ...], list[Row]]:
    """Keep some replicates in a file; a killed process leaves none, so that they are tried again."""
    if outcome.result is not None:
        rows = [[number, *row] for number, row in zip(outcome.key, outcome.result, strict=True)]
        path = folder / f"{outcome.key[0]:07d}-{outcome.key[-1]:07d}.json"
        write_whole(path, json.dumps({"owner": owner, "rows": rows}).encode())
    return outcome


def _kept(folder: Path, owner: str, count: int) -> dict[int, Row]:
    """Return the replicates that are in a folder, by number."""
    return {
        number: row
        for path in sorted(folder.glob("*-*.json"))
        for number, row in _read(path, owner)
        if 0 <= number < count
    }


def _read(path: Path, owner: str) -> Iterator[tuple[int, Row]]:
    """Go through the replicates of a file; none of one that is not whole.

    Raises
    ------
    DataError
        It cannot be read, or is of other work.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _foreign(path, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        return  # they are made again, and come out the same
    if not isinstance(saved, dict) or saved.get("owner") != owner or not isinstance(saved.get("rows"), list):
        raise _foreign(path, "is not of this work")
    for row in saved["rows"]:
        if not _is_row(row):
            raise _foreign(path, "is not as it was written")
        number, values, reason = row
        yield number, ([float(value) for value in values], reason)


def _is_row(row: Any) -> bool:
    """Say whether it is a number, numbers, and a reason."""
    if not (isinstance(row, list) and len(row) == 3):  # noqa: PLR2004
        return False
    number, values, reason = row
    numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    return type(number) is int and numbers and isinstance(reason, str)


def _foreign(path: Path, what: str) -> DataError:
    return DataError(
        f"'{path}' {what}.",
        "Replicates are kept in a folder of their own, and nothing else is.",
        "Choose another folder, or delete the file: its replicates are then made again.",
    )
