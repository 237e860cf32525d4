"""A sample map of another program goes in; the same under this package's names comes out.

JACKS' replicate map, the design matrix of MAGeCK's mle, Chronos' and DepMap's sequence maps. What the names then mean
is left to `maps`.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd

from speclet_formula.screens.columns import (
    BATCHES,
    LINES,
    REFERENCES,
    SAMPLES,
    SCREEN_TYPES,
    best_column,
    find_column,
    is_numeric,
    labels_of,
    no_column,
    plain_name,
    text_of_labels,
)
from speclet_formula.screens.notes import Notes

PDNA = "pdna"  # what Chronos calls the line of a reference, and DepMap the kind of its screen
_JACKS_CONTROLS = ("ctrl", "control", "plasmid", PDNA)


def own_map(frame: pd.DataFrame, counted: Collection[str], notes: Notes) -> pd.DataFrame:
    """Return a sample map with the column `sample` and, as far as it says so, `cell_line` and `reference`.

    Parameters
    ----------
    frame : pandas.DataFrame
        As it came.
    counted : collection of str
        The samples of the counts: they tell which of several columns names the samples.
    notes : Notes
        Takes whose map it is.

    Returns
    -------
    pandas.DataFrame
        `reference` holds the names of each sample's references, as the analyst's cell or as a tuple; or whether the
        sample is one, with the references of its batch.

    Raises
    ------
    DataError
        No column has a name of samples.
    """
    if _is_design(frame):
        return _of_design(frame, notes)
    name, shared = best_column(frame, SAMPLES, counted)
    if name is None:
        raise no_column(frame, "sample map", "sample", ("sample", "sequence_ID"))
    first = str(find_column(frame, SAMPLES))
    if shared and name != first and plain_name(first) == "sample":
        frame = _of_jacks(frame, name, first, notes) if _is_jacks(frame, name) else _relabelled(frame, name, notes)
    named = labels_of(frame[name])
    notes.add("rows_without_sample", "rows", np.flatnonzero(named.isna()), "{n} rows of the sample map name no sample.",
              "Left out.")  # fmt: skip
    frame = frame.rename(columns={name: "sample"}).assign(sample=named)[named.notna()].reset_index(drop=True)
    return _with_plasmids(frame, notes)


def _is_jacks(frame: pd.DataFrame, name: str) -> bool:
    return plain_name(name) == "replicate" and find_column(frame, LINES) is None


def _relabelled(frame: pd.DataFrame, name: str, notes: Notes) -> pd.DataFrame:
    """Make room for the column that has the counts' names."""
    notes.say("sample_column", "columns", 1, f"The sample map's column '{name}' has the names of the counts.",
              "Samples were matched by it; 'sample' goes along as 'sample_label'.")  # fmt: skip
    own = next(column for column in frame.columns if plain_name(column) == "sample")
    return frame.rename(columns={own: "sample_label"})


def _of_jacks(frame: pd.DataFrame, name: str, line: str, notes: Notes) -> pd.DataFrame:
    """Read JACKS' map: `Replicate` is a column of the counts, `Sample` its line, `Control` the line of its controls."""
    frame = frame.rename(columns={line: "cell_line"})
    control = next((column for column in frame.columns if plain_name(column) == "control"), None)
    lines = text_of_labels(frame["cell_line"]).str.strip()
    if control is None:
        how = "Samples called CTRL are the references of all."
        found: list[object] = list(lines.str.lower().isin(_JACKS_CONTROLS))
    else:
        how = "Each was compared with the replicates of its control."
        of_line = {own: tuple(labels_of(names)) for own, names in frame.groupby(lines)[name]}
        wanted = text_of_labels(frame[control]).str.strip()
        found = [() if own == other else of_line.get(other, ()) for own, other in zip(lines, wanted, strict=True)]
    notes.say("sample_map", "files", 1, "The sample map is JACKS': Replicate, Sample, Control.", how)
    return frame.drop(columns=[] if control is None else [control]).assign(
        cell_line=lines, reference=pd.Series(found, index=frame.index, dtype=object)
    )


def _is_design(frame: pd.DataFrame) -> bool:
    """Tell whether a map is MAGeCK's design matrix: samples, a baseline of ones, and columns of 0 and 1."""
    names = [plain_name(column) for column in frame.columns]
    if "baseline" not in names or names[0] not in SAMPLES:
        return False
    rest = frame.iloc[:, 1:]
    return all(is_numeric(rest[column]) and rest[column].isin([0, 1]).all() for column in rest)


def _of_design(frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Read MAGeCK's design matrix: rows with the baseline alone are the references of all others."""
    conditions = frame.iloc[:, 1:].drop(columns=[name for name in frame if plain_name(name) == "baseline"])
    active = conditions.to_numpy() == 1
    names = np.asarray(conditions.columns.astype(str))
    lines = ["+".join(names[row]) if row.any() else "baseline" for row in active]
    notes.say("sample_map", "files", 1, "The sample map is MAGeCK's design matrix.",
              "Samples with the baseline alone are the references of all; conditions became cell lines.")  # fmt: skip
    return conditions.assign(
        sample=text_of_labels(frame.iloc[:, 0]), cell_line=lines, reference=~active.any(axis=1)
    )  # fmt: skip


def _with_plasmids(frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Mark the references of DepMap's and Chronos' maps, where pDNA is a cell line or a kind of screen."""
    if find_column(frame, REFERENCES) is not None:
        return frame
    line, kind = find_column(frame, LINES), find_column(frame, SCREEN_TYPES)
    is_pdna = np.zeros(len(frame), dtype=bool)
    for column in (line, kind):
        if column is not None:
            is_pdna |= (text_of_labels(frame[column]).str.lower() == PDNA).to_numpy()
    if not is_pdna.any():
        return frame
    by_batch = find_column(frame, BATCHES)
    notes.say("plasmids", "samples", int(is_pdna.sum()), f"{is_pdna.sum():,} samples are pDNA.",
              "Each other sample was compared with those of its "
              + (f"'{by_batch}'." if by_batch else "screen: of all of them."))  # fmt: skip
    frame = frame.assign(reference=is_pdna)
    return frame if line is None else frame.assign(**{line: frame[line].astype(object).where(~is_pdna, "pDNA")})
