"""One model fitted to each group of rows by itself, the groups side by side, with one table of all."""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.batch import Outcome, refuse_all_failed, run_batch
from speclet_formula.common.checkpoints import FolderKind, fingerprint, open_folder, seed_of, spelled, write_whole
from speclet_formula.common.engines import WITHOUT_DRAWS
from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.design.level_matrices import given_matrices
from speclet_formula.design.tables import as_pandas, number_columns, select_columns
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Formula, columns_of, text_of
from speclet_formula.inference.fit import FIT_SETTINGS, MODEL_SETTINGS, fit, refuse_unknown, refuse_unused_settings
from speclet_formula.inference.plans import at_least
from speclet_formula.model import Model
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.save import load, save
from speclet_formula.posterior.tidy import tidy


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


@dataclass(frozen=True, eq=False)
class GroupFit:
    """What the fit of a group leaves behind."""

    verdict: str  # of the diagnostics, or of a fit without draws
    table: pd.DataFrame  # that was made of it
    saved: bytes | None  # its file; None where fits are not kept, or it is in the folder


@dataclass(frozen=True, eq=False, repr=False)
class GroupedFits(Printed):
    """One model, fitted to each group of rows by itself.

    Attributes
    ----------
    formula : str
    by : tuple of str
        The columns that make the groups.
    fits : mapping of str to Fit or PointFit
        By group, "blood", or "blood:HEL" of two columns; failed groups are not in it. Kept in a folder, a fit is read
        when it is asked for.
    table : pandas.DataFrame
        What `summarise` gave of each fit, below each other, the groups' columns first; by group in the data's order.
    groups : pandas.DataFrame
        One row per group: the groups' columns, `group` (its label), `n_rows`, `status` ("fitted" or "failed"),
        `reason` (of a failure), `verdict` of the fit ("" of a failure), `seconds`.
    random_seed : int
        Of all; each group's own follows from it and the group's label.
    drawn : bool
        Whether the fits have draws, which is what the seed is for.
    """

    formula: str
    by: tuple[str, ...]
    fits: Mapping[str, Any]
    table: pd.DataFrame
    groups: pd.DataFrame
    random_seed: int
    drawn: bool = True

    @property
    def failures(self) -> pd.DataFrame:
        """The groups that could not be fitted, with their reasons."""
        return self.groups[self.groups["status"] == "failed"].reset_index(drop=True)

    def sheet(self) -> Sheet:
        """Return the parts of the print-out: the groups that failed are named with their reasons."""
        failed, verdicts = self.failures, self.groups.query("status == 'fitted'")["verdict"]
        flagged = int((~verdicts.isin(["converged", ""])).sum())
        are, by = "fit is" if flagged == 1 else "fits are", "diagnostics" if self.drawn else "verdicts"
        lines = [f"{flagged:,} {are} flagged by their {by}."] if flagged else []
        if len(failed):
            lines.append(f"{len(failed):,} of {len(self.groups):,} groups failed and are in no row of the table:")
            lines += [f"* {row.group}: {row.reason}" for row in failed.itertuples()]
        seed = f", seed {self.random_seed}" if self.drawn else ""
        title = f"{self.formula} by {', '.join(self.by)}: {len(self.groups):,} groups{seed}"
        groups = self.groups.drop(columns=["group", "reason"]).assign(
            seconds=self.groups["seconds"].map("{:,.2f}".format)
        )
        return Sheet(title, lines, (text_table(groups, labels=len(self.by)),))


class SavedFits(Mapping[str, Any]):
    """Fits by group, each read from its file when it is asked for, so that memory holds none."""

    def __init__(self, files: Mapping[str, Path], functions: Mapping[str, Any] | None = None) -> None:
        self._files = dict(files)
        self._functions = functions

    def __getitem__(self, group: str) -> Any:
        return load(self._files[group], functions=self._functions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"SavedFits({', '.join(self._files)})"


def fit_by(
    formula: str | Formula,
    data: Any,
    by: str | Sequence[str],
    *,
    summarise: Callable[[Any], pd.DataFrame] = tidy,
    keep_fits: bool = True,
    random_seed: int | None = None,
    cores: int | None = None,
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
        The same seed gives the same fits, whatever the number of processes; a group's own seed follows from it and the
        group's label, so that other groups can be added or left out.
    cores : int, optional
        Processes; one for each core by default. Inside `joblib.parallel_config` those of its backend: a Dask or Ray
        cluster serves so.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal.
    folder : str or Path, optional
        Where each group's fit and table are kept as they come in. The same call with the same folder goes on where an
        earlier one was stopped; failed groups, and those whose rows changed, are fitted again.
    **settings
        As of `Model` (`family`, `link`, `priors`, `weights`, `missing`, `functions`, `contrasts`, `matrices`) and of
        `fit` (`method`, `draws`, `tune`, `chains`, `target_accept`, `sampler`). `weights` is the name of a column.

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
    >>> found = sf.fit_by("log_fc ~ (1|gene/sgRNA)", data, by="batch", method="reml", cores=1)
    >>> list(found.fits), len(found.failures)
    (['first', 'second'], 0)
    """
    table, columns = as_pandas(data), (by,) if isinstance(by, str) else tuple(by)
    check(table, columns, settings)
    cores = None if cores is None else at_least("cores", cores, 1)
    text = read_formula(formula, table, settings)
    if settings.get("matrices") is not None:
        settings = settings | {"matrices": given_matrices(settings["matrices"])}
    directory = None if folder is None else Path(folder)
    seed = seed_of(random_seed, directory, FITS)
    labels, keys = labels_of(table, columns)
    tasks = make_tasks(text, table, labels, settings, seed, summarise, keep=keep_fits)
    manifest = manifest_of(text, columns, settings, seed, summarise)
    outcomes = outcomes_of(tasks, manifest, cores=cores, progress=progress, folder=directory)
    groups = keys.assign(
        n_rows=[len(task.rows) for task in tasks],
        status=[outcome.status for outcome in outcomes],
        reason=[outcome.reason for outcome in outcomes],
        verdict=[outcome.result.verdict if outcome.result else "" for outcome in outcomes],
        seconds=[outcome.seconds for outcome in outcomes],
    )
    return GroupedFits(
        formula=text,
        by=columns,
        fits=_fits(tasks, outcomes, directory, settings.get("functions")) if keep_fits else {},
        table=_table(outcomes, keys, columns),
        groups=groups,
        random_seed=seed,
        drawn=settings.get("method", "auto") not in WITHOUT_DRAWS,
    )


def _table(outcomes: Sequence[Outcome[str, GroupFit]], keys: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Put the tables below each other, each with the columns of its group."""
    parts = []
    tables = [None if outcome.result is None else outcome.result.table for outcome in outcomes]
    for number, part in enumerate(tables):
        if part is not None:
            own = {name: [keys[name].iloc[number]] * len(part) for name in columns}
            kept = part.drop(columns=[name for name in columns if name in part])
            parts.append(pd.concat([pd.DataFrame(own, index=part.index), kept], axis=1))
    table = pd.concat(parts, ignore_index=True)
    table.attrs = dict(next(part.attrs for part in tables if part is not None))
    return table


def _fits(
    tasks: Sequence[GroupTask], outcomes: Sequence[Outcome[str, GroupFit]], folder: Path | None, functions: Any
) -> Mapping[str, Any]:
    """Return the fits by group: from the folder when they are asked for, or at once."""
    if folder is not None:
        fitted = [task for task, outcome in zip(tasks, outcomes, strict=True) if not outcome.failed]
        return SavedFits({task.group: (folder / key_of(task)).with_suffix(".fit") for task in fitted}, functions)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "group.fit"
        fits = {}
        for outcome in outcomes:
            if outcome.result is not None and outcome.result.saved is not None:
                path.write_bytes(outcome.result.saved)
                fits[outcome.key] = load(path, functions=functions)
        return fits


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


def outcomes_of(
    tasks: Sequence[GroupTask], manifest: Mapping[str, Any], *, cores: int | None, progress: bool, folder: Path | None
) -> list[Outcome[str, GroupFit]]:
    """Fit all groups that are not in the folder yet, and return all outcomes in order.

    Raises
    ------
    DataError
        The folder belongs to another call.
    SamplingError
        Every group failed.
    """
    load, save = None, None
    if folder is not None:
        owner = open_folder(folder, manifest, FITS)
        files = {task.group: folder / key_of(task) for task in tasks}
        load, save = (
            partial(load_outcome, files, owner, keep=any(task.keep for task in tasks)),
            partial(save_outcome, files, owner),
        )
    calls = {task.group: (task,) for task in tasks}
    outcomes = run_batch(run_group, calls, what="groups", cores=cores, progress=progress, load=load, save=save)
    refuse_all_failed(
        outcomes,
        "groups",
        "At least one group can be fitted.",
        "Fit one group by itself with sf.fit, and the same arguments.",
    )
    return outcomes


def run_group(task: GroupTask) -> GroupFit:
    """Fit one group and summarise it, in a worker."""
    arguments = {"cores": 1, **task.fit, "random_seed": task.seed, "progress": False}
    fitted = fit(Model(task.formula, task.rows, **task.model), **arguments)
    table = task.summarise(fitted).reset_index(drop=True)
    verdict = fitted.verdict if isinstance(fitted, PointFit) else fitted.diagnostics.verdict
    return GroupFit(verdict, table, _saved(fitted) if task.keep else None)


def _saved(fitted: Any) -> bytes:
    """Return a fit as the bytes of its file, which travel to wherever the caller is."""
    with tempfile.TemporaryDirectory() as folder:
        return save(fitted, Path(folder) / "group.fit").read_bytes()


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
    parsed = (
        formula
        if isinstance(formula, Formula)
        else parse_formula(formula, columns=columns, functions=functions, numbers=number_columns(table))
    )
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
    tasks = []
    codes, names = pd.factorize(labels)
    for code, group in enumerate(names):
        rows = table[codes == code].reset_index(drop=True)
        tasks.append(GroupTask(group, text, rows, model, sampling, _seed_of_group(seed, group), summarise, keep))
    return tasks


def _seed_of_group(seed: int, group: str) -> int:
    digits = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")
    return int(np.random.SeedSequence([seed, digits]).generate_state(1)[0])


def manifest_of(
    text: str, columns: tuple[str, ...], settings: dict[str, Any], seed: int, summarise: Callable[..., Any]
) -> dict[str, Any]:
    """Return all that settles the outcomes beside the rows, as JSON has it."""
    return {
        "format": FORMAT,
        "formula": text,
        "by": list(columns),
        "settings": spelled({name: value for name, value in settings.items() if name != "functions"}),
        "functions": sorted(settings.get("functions") or ()),
        "random_seed": seed,
        "summarise": getattr(summarise, "__qualname__", repr(type(summarise))),
    }


def key_of(task: GroupTask) -> str:
    """Return the name of a group's files: they belong to its label and its rows."""
    return hashlib.sha256(f"{task.group}\n{fingerprint(task.rows)[:20]}".encode()).hexdigest()[:20]


def save_outcome(files: Mapping[str, Path], owner: str, outcome: Outcome[str, GroupFit]) -> Outcome[str, GroupFit]:
    """Write a group that was fitted: its fit, its table, and last what says that both are there.

    Returns
    -------
    Outcome
        Without the fit, which is in its file. A group that failed has none, and is fitted again next time.
    """
    made = outcome.result
    if made is None:
        return outcome
    path, table = files[outcome.key], made.table.to_parquet()
    if made.saved is not None:
        write_whole(path.with_suffix(".fit"), made.saved)
    write_whole(path.with_suffix(".parquet"), table)
    facts = {
        "group": outcome.key,
        "status": outcome.status,
        "reason": outcome.reason,
        "verdict": made.verdict,
        "seconds": outcome.seconds,
        "call": owner,
        "table": _digest(table),
        "size": None if made.saved is None else len(made.saved),
    }
    write_whole(path.with_suffix(".json"), json.dumps(facts).encode())
    return replace(outcome, result=replace(made, saved=None))


def load_outcome(files: Mapping[str, Path], owner: str, group: str, *, keep: bool) -> Outcome[str, GroupFit] | None:
    """Return the outcome of one group; None where there is none of this call, or none that is whole."""
    path = files[group]
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        table = path.with_suffix(".parquet").read_bytes()
        same = (facts["call"], facts["group"], facts["table"]) == (owner, group, _digest(table))
        if not same or (keep and path.with_suffix(".fit").stat().st_size != facts["size"]):
            return None
        made = GroupFit(facts["verdict"], pd.read_parquet(io.BytesIO(table)), None)
        return Outcome(group, made, seconds=facts["seconds"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None  # it is made again, and comes out the same


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:20]
