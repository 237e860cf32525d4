"""One model fitted to each group of rows by itself, the groups side by side, with one table of all."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.common.batch import Outcome
from speclet_formula.common.checkpoints import seed_of
from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.design.tables import as_pandas
from speclet_formula.formula.terms import Formula
from speclet_formula.inference.plans import at_least
from speclet_formula.posterior.archive import load
from speclet_formula.posterior.tidy import tidy
from speclet_formula.studies.group_fits import (
    FITS,
    GroupFit,
    GroupTask,
    check,
    key_of,
    labels_of,
    make_tasks,
    manifest_of,
    outcomes_of,
    read_formula,
)


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
        `reason` (of a failure), `verdict` of the diagnostics ("" of a fit without draws), `seconds`.
    random_seed : int
        Of all; each group's own follows from it and the group's label.
    """

    formula: str
    by: tuple[str, ...]
    fits: Mapping[str, Any]
    table: pd.DataFrame
    groups: pd.DataFrame
    random_seed: int

    @property
    def failures(self) -> pd.DataFrame:
        """The groups that could not be fitted, with their reasons."""
        return self.groups[self.groups["status"] == "failed"].reset_index(drop=True)

    def sheet(self) -> Sheet:
        """Return the parts of the print-out: the groups that failed are named with their reasons."""
        failed, verdicts = self.failures, self.groups.query("status == 'fitted'")["verdict"]
        flagged = int((~verdicts.isin(["converged", ""])).sum())
        lines = [f"{flagged:,} fits are flagged by their diagnostics."] if flagged else []
        if len(failed):
            lines.append(f"{len(failed):,} of {len(self.groups):,} groups failed and are in no row of the table:")
            lines += [f"* {row.group}: {row.reason}" for row in failed.itertuples()]
        title = f"{self.formula} by {', '.join(self.by)}: {len(self.groups):,} groups, seed {self.random_seed}"
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
    >>> found = sf.fit_by("log_fc ~ (1|gene/sgRNA)", data, by="batch", method="reml", cores=1)
    >>> list(found.fits), len(found.failures)
    (['first', 'second'], 0)
    """
    table, columns = as_pandas(data), (by,) if isinstance(by, str) else tuple(by)
    check(table, columns, settings)
    cores = None if cores is None else at_least("cores", cores, 1)
    text = read_formula(formula, table, settings)
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
