"""One group of rows: its task, its fit as the bytes of a saved file with a table made of it, and the files of both."""

import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky.process_executor import TerminatedWorkerError

from speclet_formula.common.resumable import FolderKind, write_whole
from speclet_formula.common.spreading import spread, tethered, with_progress
from speclet_formula.design.tables import select_columns
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Formula, columns_of, text_of
from speclet_formula.inference.fit import FIT_SETTINGS, MODEL_SETTINGS, fit, refuse_unknown, refuse_unused_settings
from speclet_formula.model import Model
from speclet_formula.posterior.archive import save

type Outcome = dict[str, Any]
FITS = FolderKind(
    manifest="groups.json",
    work="call",
    writer="fit_by",
    own="Grouped fits have a folder of their own.",
    files="Each group's fit and table are files in it.",
    same="Only the same formula, settings and seed can go on there; groups whose rows changed are fitted again.",
    says="It says what call the folder's fits belong to.",
)
FORMAT = 2  # 1 did not say in each file whose it is


@dataclass(frozen=True, eq=False)
class GroupTask:
    """All that a worker needs to fit one group."""

    group: str
    formula: str
    rows: pd.DataFrame
    model: dict[str, Any]  # arguments of Model
    fit: dict[str, Any]  # arguments of fit
    seed: int
    summarise: Callable[[Any], pd.DataFrame]
    keep: bool  # whether the fit itself is wanted


def run_group(task: GroupTask) -> Outcome:
    """Fit one group and summarise it.

    Returns
    -------
    dict
        `group`, `status` ("fitted" or "failed"), `reason`, `verdict`, `seconds`; `table` (a frame, None of a failure)
        and `saved` (bytes, None of a failure or where fits are not kept).
    """
    started = time.perf_counter()
    outcome: Outcome = {
        "group": task.group,
        "status": "fitted",
        "reason": "",
        "verdict": "",
        "table": None,
        "saved": None,
    }
    try:
        arguments = {"cores": 1, **task.fit, "random_seed": task.seed, "progress": False}
        fitted = fit(Model(task.formula, task.rows, **task.model), **arguments)
        diagnostics = getattr(fitted, "diagnostics", None)
        table = task.summarise(fitted)
        outcome |= {
            "table": table.reset_index(drop=True),
            "verdict": getattr(diagnostics, "verdict", ""),
            "saved": _saved(fitted) if task.keep else None,
        }
    except Exception as error:  # whatever stops one group is counted with its reason; the others go on
        reason = (str(error).splitlines() or [""])[0]
        outcome |= {"status": "failed", "reason": f"{type(error).__name__}: {reason}", "table": None}
    outcome["seconds"] = time.perf_counter() - started
    return outcome


def _saved(fitted: Any) -> bytes:
    """Return a fit as the bytes of its file, which travel to wherever the caller is."""
    with tempfile.TemporaryDirectory() as folder:
        return save(fitted, Path(folder) / "group.fit").read_bytes()


def digest(rows: pd.DataFrame) -> str:
    """Return a fingerprint of a group's rows, the names and orders of their levels included."""
    levels = {name: list(map(str, c.cat.categories)) for name, c in rows.items() if hasattr(c, "cat")}
    return _fingerprint(f"{rows.to_csv(index=False)}{levels}".encode())


def fit_file(folder: Path, key: str) -> Path:
    """Return where a group's fit stands."""
    return folder / f"{key}.fit"


def save_outcome(folder: Path, owner: str, key: str, outcome: dict[str, Any]) -> None:
    """Write the outcome of one group that was fitted: its fit, its table, and last what says that both are there."""
    if outcome["saved"] is not None:
        write_whole(fit_file(folder, key), outcome["saved"])
    table = outcome["table"].to_parquet()
    write_whole(folder / f"{key}.parquet", table)
    facts = {name: outcome[name] for name in ("group", "status", "reason", "verdict", "seconds")}
    size = None if outcome["saved"] is None else len(outcome["saved"])
    facts |= {"call": owner, "table": _fingerprint(table), "size": size}
    write_whole(folder / f"{key}.json", json.dumps(facts).encode())


def load_outcome(folder: Path, owner: str, key: str, group: str, *, keep: bool) -> dict[str, Any] | None:
    """Return the outcome of one group; None where there is none of this call, or none that is whole."""
    try:
        facts = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        written = (folder / f"{key}.parquet").read_bytes()
        same = (facts["call"], facts["group"], facts["table"]) == (owner, group, _fingerprint(written))
        if not same or (keep and fit_file(folder, key).stat().st_size != facts["size"]):
            return None
        outcome = {name: facts[name] for name in ("group", "status", "reason", "verdict", "seconds")}
        return outcome | {"table": pd.read_parquet(io.BytesIO(written)), "saved": None}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None  # it is made again, and comes out the same


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:20]


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


def check(table: pd.DataFrame, columns: tuple[str, ...], settings: dict[str, Any]) -> None:
    """Raise an error for what would fail in each group: a setting or a column that is not there, rows without group."""
    refuse_unknown(settings)
    refuse_unused_settings(settings)
    absent = next((name for name in columns if name not in table), None)
    if absent is not None or not columns:
        near = nearest(str(absent), map(str, table.columns)) if columns else None
        raise DataError(
            f"no column '{absent}' in the data to divide them by." if columns else "by= names no column.",
            f"Columns: {listed(map(str, table.columns))}.",
            f"Nearest: '{near}'." if near else 'For example by="lineage".',
        )
    missing = int(table[list(columns)].isna().any(axis=1).sum())
    if missing:
        raise DataError(
            f"{missing:,} of {len(table):,} rows belong to no group: {', '.join(map(repr, columns))} is missing.",
            "Each row is of one group.",
            f"Leave them out: data.dropna(subset={list(columns)!r}), or give them a label.",
        )
    if not isinstance(settings.get("weights", ""), str):
        raise DataError(
            "weights= is a sequence, which cannot be divided by group.",
            "It is the name of a column here.",
            "Put the weights into the data, and write weights='name'.",
        )


def read_formula(formula: str | Formula, table: pd.DataFrame, settings: dict[str, Any]) -> str:
    """Return the formula's full text, after a look at its columns: a misspelt one would fail in every group."""
    columns = [str(column) for column in table.columns]
    functions = tuple(settings.get("functions") or ())
    parsed = formula if isinstance(formula, Formula) else parse_formula(formula, columns=columns, functions=functions)
    select_columns(table, columns_of(parsed), formula if isinstance(formula, str) else None)
    return text_of(parsed)


def labels_of(table: pd.DataFrame, columns: tuple[str, ...]) -> tuple[np.ndarray, pd.DataFrame]:
    """Return each row's group, and one row per group with its columns and its label, in the data's order."""
    texts = table[list(columns)].astype(str)
    labels = texts.agg(":".join, axis=1).to_numpy(dtype=object)
    keys = table[list(columns)].assign(group=labels).drop_duplicates(list(columns)).reset_index(drop=True)
    alike = keys.loc[keys["group"].duplicated(), "group"]
    if len(alike):
        raise DataError(
            f"different groups are all called '{alike.iloc[0]}'.",
            "Each group has a label of its own, its columns joined by ':'.",
            "Make one column of labels first, and divide by it.",
        )
    return labels, keys


def make_tasks(
    text: str,
    table: pd.DataFrame,
    labels: np.ndarray,
    settings: dict[str, Any],
    seed: int,
    summarise: Callable[[Any], pd.DataFrame],
    *,
    keep: bool,
) -> list[GroupTask]:
    """Return one task for each group, in the order in which the groups first come."""
    model = {name: settings[name] for name in MODEL_SETTINGS if name in settings}
    sampling = {name: settings[name] for name in FIT_SETTINGS if name in settings}
    found = []
    codes, names = pd.factorize(labels)
    for code, group in enumerate(names):
        rows = table[codes == code].reset_index(drop=True)
        found.append(GroupTask(group, text, rows, model, sampling, _seed_of_group(seed, group), summarise, keep))
    return found


def _seed_of_group(seed: int, group: str) -> int:
    digits = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")
    return int(np.random.SeedSequence([seed, digits]).generate_state(1)[0])


def manifest_of(
    text: str, columns: tuple[str, ...], settings: dict[str, Any], seed: int, summarise: Callable[..., Any]
) -> dict[str, Any]:
    """Return all that settles the outcomes beside the rows, as JSON has it."""
    spelled = {
        name: f"function {value.__name__}" if callable(value) and hasattr(value, "__name__") else repr(value)
        for name, value in sorted(settings.items())
        if name != "functions"
    }
    functions = sorted(settings.get("functions") or ())
    return {
        "format": FORMAT,
        "formula": text,
        "by": list(columns),
        "settings": spelled,
        "functions": functions,
        "random_seed": seed,
        "summarise": getattr(summarise, "__qualname__", repr(type(summarise))),
    }
