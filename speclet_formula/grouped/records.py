"""What fits of one formula by group are: the fits, one table of all, and the groups that failed.

Nothing is computed here but the way they print; `fitting` fills them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.posterior.archive import load


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


@dataclass(frozen=True, eq=False, repr=False)
class GroupedFits:
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

    def __repr__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def _lines(found: GroupedFits) -> list[str]:
    failed, verdicts = found.failures, found.groups.query("status == 'fitted'")["verdict"]
    flagged = int((~verdicts.isin(["converged", ""])).sum())
    lines = [f"{found.formula} by {', '.join(found.by)}: {len(found.groups):,} groups, seed {found.random_seed}"]
    if flagged:
        lines.append(f"{flagged:,} fits are flagged by their diagnostics.")
    if len(failed):
        lines.append(f"{len(failed):,} of {len(found.groups):,} groups failed and are in no row of the table:")
        lines += [f"* {row.group}: {row.reason}" for row in failed.itertuples()]
    return [*lines, "", found.groups.drop(columns=["group", "reason"]).to_string(index=False)]
