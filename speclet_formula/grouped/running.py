"""Tasks go in; the outcome of each group comes out, made where joblib says, or read from the folder that keeps it."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from speclet_formula.common.spreading import spread, tethered, with_progress
from speclet_formula.grouped.folders import digest, load_outcome, save_outcome
from speclet_formula.grouped.tasks import GroupTask, Outcome, run_group


def key_of(task: GroupTask) -> str:
    """Return the name of a group's files: they belong to its label and its rows."""
    return hashlib.sha256(f"{task.group}\n{digest(task.rows)}".encode()).hexdigest()[:20]


def outcomes_of(
    tasks: list[GroupTask], workers: int | None, folder: Path | None, *, owner: str = "", progress: bool
) -> list[Outcome]:
    """Return the outcomes of all groups in order, of those in the folder without fitting them again."""
    done: dict[str, Outcome] = {}
    files = {task.group: key_of(task) for task in tasks} if folder is not None else {}
    if folder is not None:
        found = {
            task.group: load_outcome(folder, owner, files[task.group], task.group, keep=task.keep) for task in tasks
        }
        done = {group: outcome for group, outcome in found.items() if outcome is not None}
    pending = [task for task in tasks if task.group not in done]
    for outcome in with_progress(_made(pending, workers), "groups", len(tasks), len(done), shown=progress):
        done[outcome["group"]] = outcome
        if folder is not None and outcome["status"] == "fitted":
            save_outcome(folder, owner, files[outcome["group"]], outcome)
            outcome["saved"] = None  # it is in its file
    return [done[task.group] for task in tasks]


def _made(pending: list[GroupTask], workers: int | None) -> Iterator[Outcome]:
    """Run the groups where joblib says; if a process is killed, those that are left run alone, each in its own."""
    left = {task.group: task for task in pending}
    try:
        for outcome in spread(run_group, [(task,) for task in pending], workers):
            del left[outcome["group"]]
            yield outcome
    except TerminatedWorkerError:
        for task in left.values():
            yield _alone(task)


def _alone(task: GroupTask) -> Outcome:
    """Fit one group in a process that nobody else needs."""
    try:
        with joblib.parallel_config(backend="loky"):
            (outcome,) = joblib.Parallel(n_jobs=2)([joblib.delayed(tethered)(os.getpid(), run_group, task)])
    except TerminatedWorkerError:
        reason = "the process that fitted it was killed, twice; often it wants more memory"
        return {
            "group": task.group, "status": "failed", "reason": reason, "verdict": "", "seconds": float("nan"),
            "table": None, "saved": None,
        }  # fmt: skip
    return dict(outcome)
