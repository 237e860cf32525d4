"""A formula, a table and columns that divide it go in; one fit for each group comes out, made side by side.

What a worker does stands in `tasks`, what a folder holds in `folders`.
"""

import hashlib
import inspect
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky.process_executor import TerminatedWorkerError

from speclet_formula.design.tables import as_pandas, select_columns
from speclet_formula.errors import DataError, SamplingError, listed, nearest
from speclet_formula.estimates import tidy
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Formula, columns_of, text_of
from speclet_formula.grouped.folders import digest, fit_file, load_outcome, open_folder, read_manifest, save_outcome
from speclet_formula.grouped.records import GroupedFits, SavedFits
from speclet_formula.grouped.tasks import GroupTask, Outcome, run_group
from speclet_formula.inference.fitting import fit
from speclet_formula.model import Model
from speclet_formula.spreading import spread, with_progress
from speclet_formula.storage import load

MODEL_SETTINGS = tuple(n for n in inspect.signature(Model.__init__).parameters if n not in ("self", "formula", "data"))
FIT_SETTINGS = tuple(
    n for n in inspect.signature(fit).parameters if n not in ("model", "cores", "random_seed", "progress")
)
FORMAT = 1
MOST_SHOWN = 3


def fit_by(
    formula: str | Formula,
    data: Any,
    by: str | Sequence[str],
    *,
    summarise: Callable[[Any], pd.DataFrame] = tidy,
    keep_fits: bool = True,
    random_seed: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    folder: str | Path | None = None,
    **settings: Any,
) -> GroupedFits:
    """Fit one model to each group of rows, side by side.

    Parameters
    ----------
    formula : str or Formula
    data : table
        pandas, polars, pyarrow, or a mapping of columns.
    by : str or sequence of str
        The columns that make the groups: "lineage". Each group is a model of its own; nothing is shared.
    summarise : callable
        Makes a frame of each fit: `tidy` by default, `rank_genes`, `fixef`, or a function of your own. It runs in the
        workers.
    keep_fits : bool
        Whether `fits` holds the fits, or only the table is wanted.
    random_seed : int, optional
        The same seed gives the same fits, whatever the number of workers; a group's own seed follows from it and the
        group's label, so that other groups can be added or left out.
    workers : int, optional
        Processes; one for each core by default. Inside `joblib.parallel_config` those of its backend: a Dask or Ray
        cluster serves so.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal.
    folder : str or Path, optional
        Where each group's fit and table are kept as they come in. The same call with the same folder goes on where an
        earlier one was stopped; failed groups, and those whose rows changed, are fitted again.
    **settings
        As of `Model` (`family`, `link`, `priors`, `weights`, `missing`, `functions`) and of `fit` (`method`, `draws`,
        `tune`, `chains`, `target_accept`, `sampler`). `weights` is the name of a column.

    Returns
    -------
    GroupedFits
        `fits` by group, `table`, `groups`, `failures`. A group that fails is counted and named, with its reason; so is
        one whose process was killed twice, for want of memory, say.

    Raises
    ------
    FormulaError, DataError, SamplingError
        The formula cannot be read, a column or a setting does not exist, a group's label is missing, the folder belongs
        to another call, or every group failed.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> data["batch"] = data["cell_line"].isin(["cell_0", "cell_1"]).map({True: "first", False: "second"})
    >>> found = sf.fit_by("log_fc ~ (1|gene/sgRNA)", data, by="batch", method="reml", workers=1)
    >>> list(found.fits), len(found.failures)
    (['first', 'second'], 0)
    """
    table, columns = as_pandas(data), (by,) if isinstance(by, str) else tuple(by)
    _check(table, columns, settings)
    text = _read(formula, table, settings)
    place = None if folder is None else Path(folder)
    seed = _seed(random_seed, place)
    labels, keys = _labels(table, columns)
    tasks = _tasks(text, table, labels, settings, seed, summarise, keep=keep_fits)
    if place is not None:
        open_folder(place, _manifest(text, columns, settings, seed, summarise))
    outcomes = _outcomes(tasks, workers, place, progress=progress)
    _refuse_all_failed(outcomes)
    groups = keys.assign(
        n_rows=[len(task.rows) for task in tasks],
        **{name: [one[name] for one in outcomes] for name in ("status", "reason", "verdict", "seconds")},
    )
    return GroupedFits(
        formula=text,
        by=columns,
        fits=_fits(tasks, outcomes, place, settings.get("functions")) if keep_fits else {},
        table=_table(outcomes, keys, columns),
        groups=groups,
        random_seed=seed,
    )


# --- what is to be done -----------------------------------------------------------------------------------------------


def _check(table: pd.DataFrame, columns: tuple[str, ...], settings: dict[str, Any]) -> None:
    known = (*MODEL_SETTINGS, *FIT_SETTINGS)
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None:
        near = nearest(unknown, known)
        raise SamplingError(
            f"there is no setting '{unknown}'.",
            f"Of Model there are {', '.join(MODEL_SETTINGS)}; of fit {', '.join(FIT_SETTINGS)}.",
            f"Nearest: '{near}'." if near else "Leave it out.",
        )
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


def _read(formula: str | Formula, table: pd.DataFrame, settings: dict[str, Any]) -> str:
    """Return the formula's full text, after a look at its columns: a misspelt one would fail in every group."""
    columns = [str(column) for column in table.columns]
    functions = tuple(settings.get("functions") or ())
    parsed = formula if isinstance(formula, Formula) else parse_formula(formula, columns=columns, functions=functions)
    select_columns(table, columns_of(parsed), formula if isinstance(formula, str) else None)
    return text_of(parsed)


def _seed(random_seed: int | None, folder: Path | None) -> int:
    """Return the seed: the given one, that of the fits in the folder, or a fresh one."""
    if random_seed is not None:
        return int(random_seed)
    known = {} if folder is None or not folder.is_dir() else read_manifest(folder)
    if isinstance(known.get("random_seed"), int):
        return int(known["random_seed"])
    return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])


def _labels(table: pd.DataFrame, columns: tuple[str, ...]) -> tuple[np.ndarray, pd.DataFrame]:
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


def _tasks(
    text: str,
    table: pd.DataFrame,
    labels: np.ndarray,
    settings: dict[str, Any],
    seed: int,
    summarise: Callable[[Any], pd.DataFrame],
    *,
    keep: bool,
) -> list[GroupTask]:
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


def _manifest(
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


# --- doing it ---------------------------------------------------------------------------------------------------------


def _key(task: GroupTask) -> str:
    """Return the name of a group's files: they belong to its label and its rows."""
    return hashlib.sha256(f"{task.group}\n{digest(task.rows)}".encode()).hexdigest()[:20]


def _outcomes(tasks: list[GroupTask], workers: int | None, folder: Path | None, *, progress: bool) -> list[Outcome]:
    """Return the outcomes of all groups in order, of those in the folder without fitting them again."""
    done: dict[str, Outcome] = {}
    files = {task.group: _key(task) for task in tasks} if folder is not None else {}
    if folder is not None:
        found = {task.group: load_outcome(folder, files[task.group], keep=task.keep) for task in tasks}
        done = {group: outcome for group, outcome in found.items() if outcome is not None}
    pending = [task for task in tasks if task.group not in done]
    for outcome in with_progress(_made(pending, workers), "groups", len(tasks), len(done), shown=progress):
        done[outcome["group"]] = outcome
        if folder is not None and outcome["status"] == "fitted":
            save_outcome(folder, files[outcome["group"]], outcome)
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
            (outcome,) = joblib.Parallel(n_jobs=2)([joblib.delayed(run_group)(task)])
    except TerminatedWorkerError:
        reason = "the process that fitted it was killed, twice; often it wants more memory"
        return {
            "group": task.group, "status": "failed", "reason": reason, "verdict": "", "seconds": float("nan"),
            "table": None, "saved": None,
        }  # fmt: skip
    return dict(outcome)


# --- what came of it --------------------------------------------------------------------------------------------------


def _refuse_all_failed(outcomes: list[Outcome]) -> None:
    if any(outcome["status"] == "fitted" for outcome in outcomes):
        return
    counts = pd.Series([outcome["reason"] for outcome in outcomes]).value_counts()
    counted = [f"{reason} ({count})" for reason, count in counts.head(MOST_SHOWN).items()]
    raise SamplingError(
        f"all {len(outcomes):,} groups failed: {'; '.join(counted)}.",
        "At least one group can be fitted.",
        "Fit one group by itself with sf.fit, and the same arguments.",
    )


def _table(outcomes: list[Outcome], keys: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Put the tables below each other, each with the columns of its group."""
    parts = []
    for place, outcome in enumerate(outcomes):
        if outcome["table"] is not None:
            part = outcome["table"]
            own = {name: [keys[name].iloc[place]] * len(part) for name in columns}
            kept = part.drop(columns=[name for name in columns if name in part])
            parts.append(pd.concat([pd.DataFrame(own, index=part.index), kept], axis=1))
    table = pd.concat(parts, ignore_index=True)
    table.attrs = dict(next(one["table"].attrs for one in outcomes if one["table"] is not None))
    return table


def _fits(tasks: list[GroupTask], outcomes: list[Outcome], folder: Path | None, functions: Any) -> Any:
    """Return the fits by group: from the folder when they are asked for, or at once."""
    fitted = [(task, one) for task, one in zip(tasks, outcomes, strict=True) if one["status"] == "fitted"]
    if folder is not None:
        return SavedFits({task.group: fit_file(folder, _key(task)) for task, _ in fitted}, functions)
    with tempfile.TemporaryDirectory() as place:
        return {task.group: _loaded(Path(place), outcome["saved"], functions) for task, outcome in fitted}


def _loaded(place: Path, saved: bytes, functions: Any) -> Any:
    """Return a fit from the bytes of its file."""
    path = place / "group.fit"
    path.write_bytes(saved)
    return load(path, functions=functions)
