"""Tasks go in; the outcomes of all their data sets come out, made by joblib's workers or read from a folder.

Processes of this machine by default; a cluster through `joblib.parallel_config(backend="dask")`. Which worker makes a
data set, and when, changes nothing in it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.resumable import open_folder, owner_of
from speclet_formula.common.spreading import spread, with_progress
from speclet_formula.errors import SamplingError
from speclet_formula.studies.data_sets import FORMAT, STUDY, Outcome, Task, load_outcome, run, save_outcome

MOST_SHOWN = 3  # reasons of failures in a message


def outcomes_of(
    tasks: Sequence[Task], n_sims: int, *, workers: int | None, progress: bool, folder: Path | None
) -> list[Outcome]:
    """Make all data sets that are not in the folder yet, and return all outcomes in order.

    Parameters
    ----------
    tasks : sequence of Task
        One for each design.
    n_sims : int
        Data sets of each.
    workers : int, optional
        Processes; those of joblib's configuration, else one for each core.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal.
    folder : Path, optional
        Where outcomes are kept as they come in.

    Returns
    -------
    list of dict
        By task and number.

    Raises
    ------
    DataError
        The folder belongs to another study, or holds a file that does.
    SamplingError
        Every data set failed.
    """
    wanted = [(task, number) for task in tasks for number in range(n_sims)]
    done: dict[tuple[int, int], Outcome] = {}
    owner = ""
    if folder is not None:
        manifest = manifest_of(tasks)
        owner = owner_of(manifest)
        open_folder(folder, manifest, STUDY)
        for task, number in wanted:
            found = load_outcome(folder, owner, task.scenario, number)
            if found is not None:
                done[task.scenario, number] = found
    pending = [(task, number) for task, number in wanted if (task.scenario, number) not in done]
    made = spread(run, pending, workers)
    for outcome in with_progress(made, "data sets", len(wanted), len(done), shown=progress):
        if folder is not None:
            save_outcome(folder, owner, outcome)
        done[outcome["scenario"], outcome["data_set"]] = outcome
    outcomes = [done[task.scenario, number] for task, number in wanted]
    _refuse_all_failed(outcomes)
    return outcomes


def manifest_of(tasks: Sequence[Task]) -> dict[str, Any]:
    """Return all that settles the outcomes of tasks, as JSON has it."""
    first = tasks[0]
    return {
        "format": FORMAT,
        "formula": first.formula,
        "fitted": first.fitted,
        "settings": _text({**first.model, **first.fit}),
        "designs": [_digest(task.table) for task in tasks],
        "params": [None if task.params is None else _text(task.params) for task in tasks],
        "random_seed": first.entropy,
        "ranked": first.ranked,
        "reml": first.reml,
    }


def reasons(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Count the failures by their reason, the most frequent first."""
    found = pd.Series([outcome["reason"] for outcome in outcomes if outcome["status"] == "failed"], dtype=object)
    return {str(reason): int(count) for reason, count in found.value_counts().items()}


def _refuse_all_failed(outcomes: Sequence[Outcome]) -> None:
    if any(outcome["status"] == "fitted" for outcome in outcomes):
        return
    counted = [f"{reason} ({count})" for reason, count in list(reasons(outcomes).items())[:MOST_SHOWN]]
    raise SamplingError(
        f"all {len(outcomes):,} data sets failed: {'; '.join(counted)}.",
        "A study needs fits to judge.",
        "Simulate one data set with sf.simulate, and fit it with the same arguments.",
    )


def _text(values: dict[str, Any]) -> dict[str, str]:
    """Spell settings and parameters so that equal ones have equal text."""
    return {name: _spelled(value) for name, value in sorted(values.items())}


def _spelled(value: Any) -> str:
    if isinstance(value, pd.Series):
        return repr({str(level): float(effect) for level, effect in value.items()})
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    if isinstance(value, dict):
        return repr({str(name): _spelled(part) for name, part in value.items()})
    return f"function {value.__name__}" if callable(value) and hasattr(value, "__name__") else repr(value)


def _digest(table: pd.DataFrame) -> str:
    """Return a fingerprint of a table's columns and values."""
    text = table.to_csv(index=False)
    levels = {name: list(map(str, column.cat.categories)) for name, column in table.items() if hasattr(column, "cat")}
    return hashlib.sha256(f"{text}{levels}".encode()).hexdigest()
