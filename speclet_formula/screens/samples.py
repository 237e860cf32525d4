"""Samples of a screen: the line, the replicate and the references of each, from a sample map of any program.

JACKS' replicate map, the design matrix of MAGeCK's mle, Chronos' and DepMap's sequence maps get this package's names
first. What does not fit is an error, or a finding with what was done.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.screens.columns import (
    BATCHES,
    LINES,
    REFERENCES,
    REPLICATES,
    SAMPLES,
    SCREEN_TYPES,
    SCREENS,
    Notes,
    best_column,
    find_column,
    is_numeric,
    labels_of,
    no_column,
    plain_name,
    text_of_labels,
)
from speclet_formula.screens.libraries import SEVERAL

_TRUE, _FALSE = ("true", "1", "yes", "y", "t"), ("false", "0", "no", "n", "f", "")
PDNA = "pdna"  # what Chronos calls the line of a reference, and DepMap the kind of its screen
_PDNA_BATCHES = ("pdna_batch", "pdnabatch")  # columns that only maps with pDNA have
TIMES = ("days", "day", "timepoint", "time_point", "time")
_JACKS_CONTROLS = ("ctrl", "control", "plasmid", PDNA)


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples that are in both tables, references included."""

    table: pd.DataFrame  # sample, cell_line, replicate, then the map's other columns
    references: dict[str, tuple[str, ...]]  # sample -> its references; a reference itself has none


def samples_of(
    counted: Sequence[str], samples: pd.DataFrame, drop: Sequence[str], notes: Notes, *, compared: bool = True
) -> Samples:
    """Return lines, replicates and references of the samples that have both counts and a row in the map.

    Parameters
    ----------
    counted : sequence of str
        The samples of the counts.
    samples : pandas.DataFrame
        The sample map, as it came.
    drop : sequence of str
        May hold "unmapped_samples" and "failed_qc".
    notes : Notes
    compared : bool
        Whether samples need references; log fold changes have been compared already.

    Raises
    ------
    DataError
        A column is missing, a sample stands twice or has no reference, or the counts have samples without a row.
    """
    frame = own_map(samples if compared else _with_lines_as_samples(samples, counted, notes), counted, notes)
    line = find_column(frame, LINES)
    if line is None:
        raise no_column(samples, "sample map", "cell line", ("cell_line", "cell_line_name"))
    repeated = frame.loc[frame["sample"].duplicated(), "sample"].unique()
    if len(repeated):
        raise DataError(
            f"the sample map has several rows of {listed(map(repr, repeated), 5)}.",
            "Each sample has one row.",
            "Leave the repetition out; several references stand in one cell, with ';' between.",
        )
    mapped, known = set(frame["sample"]), set(counted)
    unmapped = [sample for sample in counted if sample not in mapped]
    if unmapped and "unmapped_samples" not in drop:
        raise DataError(
            f"{len(unmapped)} columns of the counts are not in the sample map: {listed(map(repr, unmapped), 5)}.",
            f"Each sample has a row in the map, which has {listed(map(repr, frame['sample']), 5)}.",
            _alike(unmapped, [name for name in frame["sample"] if name not in known])
            + "Add their rows, or write drop=['unmapped_samples'] to leave them out.",
        )
    if len(unmapped) == len(counted):
        raise _none_mapped(counted, frame)
    notes.add("unmapped_samples", "samples", unmapped, "{n} samples of the counts are not in the sample map.",
              "Left out, as drop= asks.")  # fmt: skip
    uncounted = [sample for sample in frame["sample"] if sample not in known]
    notes.add("samples_without_counts", "samples", uncounted, "{n} samples of the sample map are not in the counts.",
              "There is nothing to use of them.")  # fmt: skip
    frame = _without_failed(frame, known, drop, notes)
    present = frame[frame["sample"].isin(known)].reset_index(drop=True)
    if not compared:
        none: dict[str, tuple[str, ...]] = dict.fromkeys(present["sample"], ())
        return Samples(_sample_table(present, line, none, notes), none)
    references, flagged = _references(frame, line, known, notes)
    stated = {sample: references[sample] for sample in present["sample"]}
    found = _checked_references(stated, flagged, tuple(counted), notes)
    used = {name for names in found.values() for name in names}
    present = present[[bool(found[sample]) or sample in used for sample in present["sample"]]]
    return Samples(_sample_table(present.reset_index(drop=True), line, found, notes), found)


def _alike(unmapped: Sequence[str], uncounted: Sequence[str]) -> str:
    """Name a row of the map that is of no sample but called almost as one without a row."""
    near = next(
        (f"'{found}' of the map '{name}', if it is" for name in unmapped if (found := nearest(name, uncounted))), ""
    )
    return near and f"Call {near}. "


def _none_mapped(counted: Sequence[str], frame: pd.DataFrame) -> DataError:
    return DataError(
        f"no sample of the counts is in the sample map: the counts have {listed(map(repr, counted), 5)}.",
        f"Each sample has a row in the map, which has {listed(map(repr, frame['sample']), 5)}.",
        "Call the column that has the counts' names 'sample'.",
    )


def _without_failed(frame: pd.DataFrame, counted: Collection[str], drop: Sequence[str], notes: Notes) -> pd.DataFrame:
    """Note samples of the counts that the map says failed; leave them out if asked."""
    column = find_column(frame, ("passes_qc", "passesqc", "qc_pass"))
    if column is None:
        return frame
    failed = text_of_labels(frame[column]).str.lower().isin(["false", "0", "no"]).to_numpy()
    leave = "failed_qc" in drop
    told = frame["sample"][failed & frame["sample"].isin(counted).to_numpy()]
    notes.add("failed_qc", "samples", told, f"{{n}} samples have no '{column}' in the sample map.",
              "Left out, as drop= asks." if leave else "Kept; drop=['failed_qc'] leaves them out.")  # fmt: skip
    return frame[~failed].reset_index(drop=True) if leave else frame


def _references(
    frame: pd.DataFrame, line: str, counted: Collection[str], notes: Notes
) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Return the names of each sample's references, in whichever way the map states them, and who is marked as one."""
    column, batch = find_column(frame, REFERENCES), find_column(frame, BATCHES)
    names = frame["sample"].to_numpy()
    known = set(names)
    if column is not None and not _is_flag(frame[column], known):
        return {name: _names(cell, known) for name, cell in zip(names, frame[column], strict=True)}, set()
    flags = np.zeros(len(frame), dtype=bool) if column is None else _flags(frame[column])
    if not flags.any():
        raise DataError(
            "the sample map names no reference.",
            "A column 'reference' holds the name of each sample's plasmid or first time point (several with ';' "
            "between), or True for the samples that are references; in Chronos' layout their cell line is 'pDNA'.",
            "Add the column 'reference'.",
        )
    own_batch = pd.Series("", index=frame.index) if batch is None else text_of_labels(frame[batch])
    batches = own_batch.to_numpy(dtype=object)
    lines = labels_of(frame[line]).to_numpy(dtype=object)
    there = frame["sample"].isin(counted).to_numpy()
    found, foreign = _nearest_references(names, (flags, there), batches, lines)
    notes.add("references_of_other_lines", "samples", foreign, "{n} samples have no reference of their own cell line, "
              "though other lines have.", "Compared with those of the other lines"
              + (" in their batch." if batch is not None else "."))  # fmt: skip
    return found, set(names[flags])


def _nearest_references(
    names: np.ndarray, marks: tuple[np.ndarray, np.ndarray], batches: np.ndarray, lines: np.ndarray
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return each sample's references of its batch, and who has none of its own line where others have.

    `marks` tell who is a reference and who has counts. Those of the sample's own line are taken if there are any, as a
    T0 for each line; else those of no line that is measured, such as a plasmid; else all.
    """
    flags, there = marks
    measured = set(lines[~flags & there])
    shared = ~pd.Series(lines, dtype=object).isin(measured).to_numpy()
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names[flags], ())
    foreign = []
    for place in np.flatnonzero(~flags):
        here = flags & (batches == batches[place])
        here = here & there if (here & there).any() else here
        own = here & (lines == lines[place])
        near = own if own.any() else here & shared
        if here.any() and there[place] and not near.any():
            foreign.append(str(names[place]))
        found[names[place]] = tuple(names[near if near.any() else here])
    return found, foreign


def _is_flag(column: pd.Series, known: Collection[str]) -> bool:
    """Tell whether a column says which samples are references, in whichever words, or names them."""
    if any(isinstance(cell, tuple) for cell in column):
        return False
    texts = {cell.strip() for cell in labels_of(column).dropna()}
    return {text.lower() for text in texts} <= {*_TRUE, *_FALSE} and not (texts - {""}) & set(known)


def _flags(column: pd.Series) -> np.ndarray:
    return np.array([not pd.isna(cell) and label_of(cell).strip().lower() in _TRUE for cell in column], dtype=bool)


def _names(cell: object, known: Collection[str]) -> tuple[str, ...]:
    """Return the names in a cell; a sample whose own name has a ";" is one name."""
    if isinstance(cell, tuple):
        return cell
    if pd.isna(cell):
        return ()
    text = label_of(cell).strip()
    return (text,) if text in known else tuple(part.strip() for part in text.split(SEVERAL) if part.strip())


def _checked_references(
    found: dict[str, tuple[str, ...]], flagged: set[str], counted: tuple[str, ...], notes: Notes
) -> dict[str, tuple[str, ...]]:
    """Refuse samples that are left without a reference, and references of references."""
    used = {name for names in found.values() for name in names}
    absent = sorted(used - set(counted))
    notes.add("references_without_counts", "samples", absent, "{n} references have no counts.",
              "The other references of their samples were taken.")  # fmt: skip
    known = set(counted)
    kept = {sample: tuple(name for name in names if name in known) for sample, names in found.items()}
    notes.add("unused_references", "samples", sorted(flagged & set(counted) - used), "{n} references are of no sample.",
              "Not used.")  # fmt: skip
    bare = [sample for sample, names in kept.items() if not names and sample not in used | flagged]
    if bare:
        raise DataError(
            f"{len(bare)} samples have no reference with counts: {listed(map(repr, bare), 5)}.",
            "A log fold change compares a sample with its plasmid or first time point.",
            f"References that were named without counts: {listed(map(repr, absent), 5)}."
            + (f" Nearest to '{absent[0]}': '{near}'." if (near := nearest(absent[0], counted)) else "")
            if absent
            else "Name the reference of each in the sample map, or leave their rows out.",
        )
    both = sorted(sample for sample in used if kept.get(sample))
    if both:
        raise DataError(
            f"{listed(map(repr, both), 5)} are references and have references themselves.",
            "A reference is compared with nothing.",
            "Leave their cells of the column 'reference' empty.",
        )
    return kept


def _sample_table(
    present: pd.DataFrame, line: str, references: Mapping[str, tuple[str, ...]], notes: Notes
) -> pd.DataFrame:
    """Return the sample map under the table's names; replicates are numbered where the map has none."""
    measured = [sample for sample in present["sample"] if references[sample]] or list(present["sample"])
    lineless = present.loc[present[line].isna() & present["sample"].isin(measured), "sample"]
    if len(lineless):
        raise DataError(
            f"{len(lineless)} samples have no cell line: {listed(map(repr, lineless), 5)}.",
            f"Each sample but references has one, in the sample map's column '{line}'.",
            "Fill the cells in, or leave their rows out.",
        )
    replicate = find_column(present, REPLICATES)
    own = {"sample", line, replicate, find_column(present, REFERENCES)}
    extra = present.drop(columns=[name for name in own if name in present])
    table = pd.DataFrame({"sample": present["sample"], "cell_line": labels_of(present[line])})
    if replicate is None:
        # References by themselves, so that a line's first time point takes no number from its samples.
        kinds = [table["cell_line"], present["sample"].isin(measured)]
        table["replicate"] = (table.groupby(kinds, dropna=False).cumcount() + 1).astype(str)
        notes.add("replicates_numbered", "samples", measured, "The sample map has no column of replicates.",
                  f"The {len(measured):,} samples were numbered within their cell lines.")  # fmt: skip
    else:
        table["replicate"] = labels_of(present[replicate])
    return table.join(extra)


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
    if plain_name(name) in SCREENS and shared:
        frame = _one_row_a_screen(frame, name, notes)
    named = _without_spaces(labels_of(frame[name]), counted, notes)
    notes.add("rows_without_sample", "rows", np.flatnonzero(named.isna()), "{n} rows of the sample map name no sample.",
              "Left out.")  # fmt: skip
    frame = frame.rename(columns={name: "sample"}).assign(sample=named)[named.notna()].reset_index(drop=True)
    return _with_plasmids(frame, notes)


def _without_spaces(named: pd.Series, counted: Collection[str], notes: Notes) -> pd.Series:
    """Take spaces off around names that are then those of the counts."""
    bare = named.str.strip()
    spaced = ((bare != named) & bare.isin(set(counted)) & ~named.isin(set(counted))).to_numpy(dtype=bool)
    notes.add("spaces", "samples", map(repr, named[spaced]), "{n} names of samples have spaces around them.", "Taken "
              "off.")  # fmt: skip
    return named.mask(spaced, bare)


def _with_lines_as_samples(frame: pd.DataFrame, counted: Collection[str], notes: Notes) -> pd.DataFrame:
    """Let a map of cell lines serve a matrix that has one row for each line, as DepMap's Model.csv."""
    line, shared = best_column(frame, LINES, counted)
    if line is None or not shared or best_column(frame, SAMPLES, counted)[1] >= shared:
        return frame
    notes.say("sample_column", "columns", 1, f"The sample map's column of cell lines, '{line}', has the names of the "
              "matrix.", "Each line was taken for a sample.")  # fmt: skip
    others = {column: f"{column}_label" for column in frame if plain_name(column) == "sample"}
    return frame.rename(columns=others).assign(sample=frame[line])


def _one_row_a_screen(frame: pd.DataFrame, name: str, notes: Notes) -> pd.DataFrame:
    """Keep what DepMap's map of sequences says of whole screens, where the matrix has a row for each screen."""
    named = frame[frame[name].notna()]
    sizes = named.groupby(name, sort=False).size()
    several = sizes.index[sizes > 1]
    if not len(several):
        return frame
    constant = named.groupby(name).nunique(dropna=False).le(1).all()
    kept = [column for column in frame if column == name or constant.get(column, False)]
    notes.add("sequences_of_screens", "samples", several, "{n} screens have several rows in the sample map, by its "
              f"'{name}'.", "Taken once; columns that differ within a screen were left out: "
              f"{listed([str(column) for column in frame if column not in kept], 8) or 'none'}.")  # fmt: skip
    return frame.loc[frame[name].isna() | ~frame[name].duplicated(), kept].reset_index(drop=True)


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


def _with_first_times(frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Mark the samples of time 0 as references, where nothing else says which they are."""
    time = find_column(frame, TIMES)
    if time is None:
        return frame
    first = text_of_labels(frame[time]).str.lower().str.fullmatch(r"(t|d|day|time)?[ _]?0(\.0)?").to_numpy(dtype=bool)
    if not first.any() or first.all():
        return frame
    notes.add("first_times", "samples", frame["sample"][first], "The sample map names no references; {n} samples are "
              f"of time 0 by its '{time}'.", "Taken for the references.")  # fmt: skip
    return frame.assign(reference=first)


def _with_plasmids(frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Mark the references of DepMap's and Chronos' maps, where pDNA is a cell line or a kind of screen."""
    if find_column(frame, REFERENCES) is not None:
        return frame
    line, kind = find_column(frame, LINES), find_column(frame, SCREEN_TYPES)
    is_pdna = np.zeros(len(frame), dtype=bool)
    for column in (line, kind):
        if column is not None:
            is_pdna |= (text_of_labels(frame[column]).str.lower() == PDNA).to_numpy()
    by_batch = find_column(frame, BATCHES)
    if not is_pdna.any() and by_batch is not None and plain_name(by_batch) in _PDNA_BATCHES and line is not None:
        is_pdna = frame[line].isna().to_numpy()  # DepMap's replicate map of 2020
        named = frame["sample"][is_pdna]
        notes.add("plasmids_without_line", "samples", named, f"{{n}} samples have no '{line}' in a map with "
                  f"'{by_batch}', as pDNA in DepMap's replicate map.", "Taken for pDNA.")  # fmt: skip
    if not is_pdna.any():
        return _with_first_times(frame, notes)
    notes.say("plasmids", "samples", int(is_pdna.sum()), f"{is_pdna.sum():,} samples are pDNA.",
              "Each other sample was compared with those of its "
              + (f"'{by_batch}'." if by_batch else "screen: of all of them."))  # fmt: skip
    frame = frame.assign(reference=is_pdna)
    return frame if line is None else frame.assign(**{line: frame[line].astype(object).where(~is_pdna, "pDNA")})
