"""Maps of guides, of samples and of controls go in; for each guide its gene, for each sample its line and references.

What does not fit is an error, or a finding with what was done. Arithmetic is left to `normalising` and `reading`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed
from speclet_formula.screens.layouts import GENES, GUIDES, SAMPLES, Counts, find_column, no_column, read_frame
from speclet_formula.screens.notes import Notes

CONTROLS = ("nonessential", "other", "essential")
LINES = ("cell_line", "cell_line_name", "cellline", "line", "model")
REPLICATES = ("replicate", "rep", "replicate_id")
REFERENCES = ("reference", "is_reference", "initial", "control_sample")
BATCHES = ("pdna_batch", "batch", "reference_batch")
PDNA = "pdna"  # what Chronos calls the line of a reference
SEVERAL = ";"  # between the genes of one guide, as libraries write it


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples that are in both tables, references included."""

    table: pd.DataFrame  # sample, cell_line, replicate, then the map's other columns
    references: dict[str, tuple[str, ...]]  # sample -> its references; a reference itself has none


def gene_of_guides(counts: Counts, guides: Any, notes: Notes) -> tuple[pd.Series, pd.Series]:
    """Return the gene and the control class of each guide by its label.

    Parameters
    ----------
    counts : Counts
    guides : table, path or None
        With a column of guides and one of genes, perhaps one of `control`; None if the counts have the genes.
    notes : Notes

    Returns
    -------
    genes, classes : pandas.Series
        By the counts' guides, each once. A gene is missing where there is none; several are joined by ";". A class is
        missing where the map has none.
    """
    wanted = pd.unique(np.asarray(counts.guides, dtype=object))
    if guides is None and counts.genes is None:
        raise DataError(
            "nothing says which gene a guide hits.",
            "Either the counts have a column 'gene', or guides= is a table of 'sgRNA' and 'gene'.",
            "Hand over the library's guide map as guides=.",
        )
    if guides is None:
        pairs = pd.DataFrame({"sgRNA": list(counts.guides), "gene": counts.genes, "control": None})
    else:
        pairs = _guide_map(read_frame(guides, "guides"), notes)
        unread = pd.unique(pairs.loc[~pairs["sgRNA"].isin(wanted), "sgRNA"])
        notes.add("guides_without_counts", "guides", unread, "{n} guides of the guide map are not in the counts.",
                  "There is nothing to use of them.")  # fmt: skip
        pairs = pairs[pairs["sgRNA"].isin(wanted)]
        _compare_genes(counts, pairs, notes)
    known = pairs.dropna(subset=["gene"]).drop_duplicates(["sgRNA", "gene"])
    joined = known.groupby("sgRNA", sort=False)["gene"].agg(SEVERAL.join) if len(known) else pd.Series(dtype=object)
    classes = pairs.dropna(subset=["control"]).drop_duplicates("sgRNA").set_index("sgRNA")["control"]
    return joined.reindex(wanted), classes.reindex(wanted)


def _guide_map(frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Return a guide map under the names of the table."""
    guide, gene = find_column(frame, GUIDES), find_column(frame, GENES)
    if guide is None:
        raise no_column(frame, "guide map", "guide", ("sgRNA", "guide", "REAGENT_ID", "sequence"))
    if gene is None:
        raise no_column(frame, "guide map", "gene", ("gene", "symbol", "target_gene"))
    control = find_column(frame, ("control",))
    found = pd.DataFrame(
        {
            "sgRNA": frame[guide].astype(str).to_numpy(),
            "gene": frame[gene].astype("object").where(frame[gene].notna(), None).to_numpy(),
            "control": None if control is None else frame[control].to_numpy(),
        }
    )
    found["gene"] = found["gene"].map(str, na_action="ignore")
    twice = found.loc[found.duplicated(["sgRNA", "gene"]), "sgRNA"]
    notes.add("repeated_map_rows", "guides", pd.unique(twice), "{n} guides stand several times with the same gene in "
              "the guide map.", "Taken once.")  # fmt: skip
    return found


def _compare_genes(counts: Counts, pairs: pd.DataFrame, notes: Notes) -> None:
    """Note guides whose gene in the counts is not that of the guide map."""
    if counts.genes is None:
        return
    own = pd.Series(counts.genes.to_numpy(), index=list(counts.guides)).dropna()
    allowed = set(zip(pairs["sgRNA"], pairs["gene"], strict=True))
    other = [guide for guide, gene in own.items() if (guide, str(gene)) not in allowed]
    notes.add("genes_differ", "guides", dict.fromkeys(other), "{n} guides have another gene in the counts than in the "
              "guide map.", "The guide map's was taken.")  # fmt: skip


def samples_of(counts: Counts, samples: Any, drop: Sequence[str], notes: Notes) -> Samples:
    """Return lines, replicates and references of the samples that have both counts and a row in the map.

    Parameters
    ----------
    counts : Counts
    samples : pandas.DataFrame
        The sample map.
    drop : sequence of str
        May hold "unmapped_samples".
    notes : Notes

    Raises
    ------
    DataError
        A column is missing, a sample stands twice or has no reference, or the counts have samples without a row.
    """
    name, line = find_column(samples, SAMPLES), find_column(samples, LINES)
    if name is None:
        raise no_column(samples, "sample map", "sample", ("sample", "sequence_ID"))
    if line is None:
        raise no_column(samples, "sample map", "cell line", ("cell_line", "cell_line_name"))
    frame = samples.assign(sample=samples[name].astype(str))
    repeated = frame.loc[frame["sample"].duplicated(), "sample"].unique()
    if len(repeated):
        raise DataError(
            f"the sample map has several rows of {listed(map(repr, repeated), 5)}.",
            "Each sample has one row.",
            "Leave the repetition out; several references stand in one cell, with ';' between.",
        )
    mapped, counted = set(frame["sample"]), set(counts.samples)
    unmapped = [sample for sample in counts.samples if sample not in mapped]
    if unmapped and "unmapped_samples" not in drop:
        raise DataError(
            f"{len(unmapped)} columns of the counts are not in the sample map: {listed(map(repr, unmapped), 5)}.",
            f"Each sample has a row in the map, which has {listed(map(repr, frame['sample']), 5)}.",
            "Add their rows, or write drop=['unmapped_samples'] to leave them out.",
        )
    notes.add("unmapped_samples", "samples", unmapped, "{n} samples of the counts are not in the sample map.",
              "Left out, as drop= asks.")  # fmt: skip
    uncounted = [sample for sample in frame["sample"] if sample not in counted]
    notes.add("samples_without_counts", "samples", uncounted, "{n} samples of the sample map are not in the counts.",
              "There is nothing to use of them.")  # fmt: skip
    references = _references(frame, line)
    present = frame[frame["sample"].isin(counts.samples)].reset_index(drop=True)
    found = _checked_references({sample: references[sample] for sample in present["sample"]}, counts.samples, notes)
    return Samples(_sample_table(present, line, found, notes), found)


def _references(frame: pd.DataFrame, line: str) -> dict[str, tuple[str, ...]]:
    """Return the names of each sample's references, from whichever way the map states them."""
    column, batch = find_column(frame, REFERENCES), find_column(frame, BATCHES)
    names = frame["sample"].to_numpy()
    if column is not None and not _is_flag(frame[column]):
        split = frame[column].map(lambda cell: () if pd.isna(cell) else _names(str(cell)))
        return dict(zip(names, split, strict=True))
    flags = _flags(frame, column, line)
    if not flags.any():
        raise DataError(
            "the sample map names no reference.",
            "A column 'reference' holds the name of each sample's plasmid or first time point (several with ';' "
            "between), or True for the samples that are references; in Chronos' layout their cell line is 'pDNA'.",
            "Add the column 'reference'.",
        )
    batches = frame[batch].astype(str).to_numpy() if batch is not None else np.zeros(len(frame), dtype=str)
    return {
        name: () if flag else tuple(names[flags & (batches == own)])
        for name, flag, own in zip(names, flags, batches, strict=True)
    }


def _is_flag(column: pd.Series) -> bool:
    return bool(column.dropna().isin([True, False, "True", "False", "true", "false"]).all())


def _flags(frame: pd.DataFrame, column: str | None, line: str) -> np.ndarray:
    """Tell which samples are references."""
    if column is not None:
        return np.asarray(frame[column].astype(str).str.lower() == "true")
    return np.asarray(frame[line].astype(str).str.lower() == PDNA)


def _names(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(SEVERAL) if part.strip())


def _checked_references(
    found: dict[str, tuple[str, ...]], counted: tuple[str, ...], notes: Notes
) -> dict[str, tuple[str, ...]]:
    """Refuse samples that are left without a reference, and references of references."""
    used = {name for names in found.values() for name in names}
    absent = sorted(used - set(counted))
    notes.add("references_without_counts", "samples", absent, "{n} references have no counts.",
              "The other references of their samples were taken.")  # fmt: skip
    kept = {sample: tuple(name for name in names if name in counted) for sample, names in found.items()}
    bare = [sample for sample, names in kept.items() if not names and sample not in used]
    if bare:
        raise DataError(
            f"{len(bare)} samples have no reference with counts: {listed(map(repr, bare), 5)}.",
            "A log fold change compares a sample with its plasmid or first time point.",
            f"References that were named without counts: {listed(map(repr, absent), 5)}."
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
    replicate = find_column(present, REPLICATES)
    own = {line, replicate, find_column(present, SAMPLES), find_column(present, REFERENCES)}
    extra = present.drop(columns=[name for name in own | {"sample"} if name in present])
    table = pd.DataFrame({"sample": present["sample"], "cell_line": present[line].astype(str)})
    if replicate is None:
        table["replicate"] = (table.groupby("cell_line").cumcount() + 1).astype(str)
        measured = [sample for sample in table["sample"] if references[sample]]
        notes.add("replicates_numbered", "samples", measured, "The sample map has no column of replicates.",
                  f"The {len(measured):,} samples were numbered within their cell lines.")  # fmt: skip
    else:
        table["replicate"] = present[replicate].map(str, na_action="ignore")
    return table.join(extra)


def control_classes(genes: pd.Series, classes: pd.Series, controls: Any, notes: Notes) -> pd.Series:
    """Return the control class of each guide, by its label.

    Parameters
    ----------
    genes, classes : pandas.Series
        By guide, as `gene_of_guides` returns them.
    controls : mapping, table, path or None
        Names of genes or guides by class, or a table of `gene` (or `sgRNA`) and `control`; the guide map's by default.
    notes : Notes

    Raises
    ------
    DataError
        A class or a column that does not exist, or a gene in two classes.
    """
    found = classes.copy() if controls is None else pd.Series(None, index=genes.index, dtype=object)
    if controls is not None:
        named = _named_controls(controls)
        by_gene, by_guide = genes.map(named), pd.Series(genes.index, index=genes.index).map(named)
        found = by_guide.where(by_guide.notna(), by_gene)
        present = {*genes.dropna(), *genes.index}
        absent = [name for name in named if name not in present]
        notes.add("controls_without_guides", "genes", absent, "{n} controls are not in this library.",
                  "There is nothing to use of them.")  # fmt: skip
    found = found.fillna("other").astype(str)
    unknown = [name for name in found.unique() if name not in CONTROLS]
    if unknown:
        raise _no_class(unknown[0])
    return found


def _named_controls(controls: Any) -> dict[str, str]:
    """Return the class of each named gene or guide."""
    is_lists = isinstance(controls, Mapping) and set(map(str, controls)) <= {
        *CONTROLS,
        "non-essential",
        "non_essential",
    }
    if is_lists:
        pairs = [(name, str(kind)) for kind, given in controls.items() for name in _listed_names(given)]
    else:
        frame = read_frame(controls, "controls")
        control = find_column(frame, ("control", "class", "kind"))
        name = find_column(frame, (*GENES, *GUIDES))
        if control is None or name is None:
            raise DataError(
                f"the controls have the columns {listed(map(repr, map(str, frame.columns)), 6)}.",
                "A table of controls has 'gene' (or 'sgRNA') and 'control', which is essential, nonessential or other.",
                'Or name the genes: controls={"essential": [...], "nonessential": [...]}, also paths of lists.',
            )
        pairs = list(zip(frame[name].astype(str), frame[control].astype(str), strict=True))
    found: dict[str, str] = {}
    for label, given in pairs:
        kind = "nonessential" if given.lower() in ("non-essential", "non_essential") else given.lower()
        if kind not in CONTROLS:
            raise _no_class(given)
        if found.setdefault(label, kind) != kind:
            raise DataError(
                f"'{label}' is both {found[label]} and {kind}.",
                "A control is of one class.",
                "Leave it out of one of the lists.",
            )
    return found


def _listed_names(given: Any) -> list[str]:
    """Return the names of a list, or of the first column of a file."""
    if isinstance(given, str | Path):
        frame = read_frame(given, "controls")
        column = find_column(frame, (*GENES, *GUIDES))
        if column is not None:
            return [str(name) for name in frame[column].dropna()]
        return [str(frame.columns[0]), *frame.iloc[:, 0].dropna().astype(str)]  # a plain list: it has no header
    return [str(name) for name in given]


def _no_class(given: object) -> DataError:
    return DataError(
        f"'{given}' is no class of controls.",
        f"Classes: {', '.join(CONTROLS)}.",
        "Rename it; what is neither is 'other'.",
    )
