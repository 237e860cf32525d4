"""The guides of a table of counts and a library's guide map go in; for each guide its gene and control class come out.

What a gene's name means is left to `labels`, classes by name to `controls`.
"""

from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed
from speclet_formula.screens.columns import (
    GENES,
    GUIDES,
    SEQUENCES,
    best_column,
    find_column,
    found_columns,
    is_sequence,
    names_of_genes,
    no_column,
    plain_name,
    read_frame,
    text_of_labels,
)
from speclet_formula.screens.labels import join_genes, tidy_genes
from speclet_formula.screens.layouts import Counts
from speclet_formula.screens.notes import Notes


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

    Raises
    ------
    DataError
        Nothing names the genes, the map lacks a column, or it has none of the counts' guides.
    """
    wanted = pd.unique(np.asarray(counts.guides, dtype=object))
    if guides is None and counts.genes is None:
        raise DataError(
            f"nothing says which gene a guide hits; the counts have guides and {listed(map(repr, counts.samples), 6)}.",
            "Either the counts have a column 'gene', or guides= is a table of 'sgRNA' and 'gene'.",
            "Hand over the library's guide map as guides=.",
        )
    if guides is None:
        pairs = pd.DataFrame({"sgRNA": np.asarray(counts.guides, dtype=object), "gene": counts.genes, "control": None})
        pairs["gene"] = tidy_genes(pairs["gene"], notes)
    else:
        pairs = _guide_map(_with_header(read_frame(guides, "guides", notes), wanted, notes), wanted, notes)
        _compare_genes(counts, pairs, notes)
    classes = pairs.dropna(subset=["control"]).drop_duplicates("sgRNA").set_index("sgRNA")["control"]
    return _one_name_each(pairs).reindex(wanted), classes.reindex(wanted)


def _one_name_each(pairs: pd.DataFrame) -> pd.Series:
    """Return one name of genes for each guide that has any."""
    known = pairs.dropna(subset=["gene"]).drop_duplicates(["sgRNA", "gene"])
    repeated = known["sgRNA"].duplicated(keep=False)
    once = known[~repeated].set_index("sgRNA")["gene"]
    joined = {guide: join_genes(list(genes)) for guide, genes in known[repeated].groupby("sgRNA")["gene"]}
    found = pd.concat([once, pd.Series(joined, dtype=object)]) if joined else once
    return found.astype(object)


def _with_header(frame: pd.DataFrame, wanted: np.ndarray, notes: Notes) -> pd.DataFrame:
    """Return a library of MAGeCK's kind, which may come without a line of column names, with one."""
    columns = [str(name) for name in frame.columns]
    sequences = [place for place, name in enumerate(columns) if is_sequence(name)]
    guides = [place for place, name in enumerate(columns) if name in set(wanted)]
    if not (sequences or guides) or found_columns(frame, GENES) or frame.shape[1] not in (2, 3):
        return frame
    guide = guides[0] if guides else sequences[0] if frame.shape[1] == 2 else None  # noqa: PLR2004 - sequence and gene
    rest = iter(["gene"] if guide is not None else ["sgRNA", "gene"])
    names = [
        "sgRNA" if place == guide else "sequence" if place in sequences else next(rest, "third")
        for place in range(len(columns))
    ]
    whole = pd.concat([pd.DataFrame([columns], columns=frame.columns), frame.apply(text_of_labels)], ignore_index=True)
    whole.columns = pd.Index(names)
    notes.say("no_header", "files", 1, "The guide map has no line of column names.",
              f"Its columns were read as {', '.join(whole.columns)}.")  # fmt: skip
    return whole


def _guide_map(frame: pd.DataFrame, wanted: np.ndarray, notes: Notes) -> pd.DataFrame:
    """Return a guide map under the names of the table."""
    genes = found_columns(frame, GENES)
    guide, shared = best_column(frame, GUIDES, wanted)
    if guide is None or (shared == 0 and not genes):
        guide, shared = _by_content(frame, wanted) or (guide, shared)
    if guide is None:
        raise no_column(frame, "guide map", "guide", ("sgRNA", "guide", "REAGENT_ID", "sequence"))
    if not genes:
        genes = names_of_genes(frame, [guide, *found_columns(frame, ("control", *SEQUENCES))])
        notes.add("gene_column", "columns", map(repr, genes), "No column of the guide map has a name of genes.",
                  "The first one of text beside the guides was taken for them, as MAGeCK does.")  # fmt: skip
    if not genes:
        raise no_column(frame, "guide map", "gene", ("gene", "symbol", "target_gene"))
    if shared == 0:
        raise DataError(
            f"no guide of the counts is in the guide map: the counts have {listed(map(repr, wanted), 3)}, the map "
            f"{listed(map(repr, text_of_labels(frame[guide])), 3)}.",
            f"Guides have the same names in both; the map's columns are {listed(map(repr, frame.columns), 8)}.",
            "Compare the two tables; a map that has them in another column needs that column named 'sgRNA'.",
        )
    labels = text_of_labels(frame[guide])
    inside = labels.isin(wanted).to_numpy()
    notes.add("guides_without_counts", "guides", pd.unique(labels[~inside & (labels != "")]),
              "{n} guides of the guide map are not in the counts.", "There is nothing to use of them.")  # fmt: skip
    frame = frame[inside].reset_index(drop=True)
    if guide != find_column(frame, GUIDES):
        notes.say("guide_column", "columns", 1, f"The guide map's column '{guide}' has the names of the counts.",
                  "Guides were matched by it.")  # fmt: skip
    if len(genes) > 1:
        notes.add("gene_columns", "columns", genes, "{n} columns of the guide map name genes.",
                  f"'{genes[0]}' was taken.")  # fmt: skip
    control = find_column(frame, ("control",))
    _note_sequences(frame, guide, notes)
    found = pd.DataFrame(
        {
            "sgRNA": text_of_labels(frame[guide]).to_numpy(dtype=object),
            "gene": tidy_genes(frame[genes[0]], notes).to_numpy(),
            "control": None if control is None else frame[control].to_numpy(),
        }
    )
    twice = found.loc[found.duplicated(["sgRNA", "gene"]), "sgRNA"]
    notes.add("repeated_map_rows", "guides", pd.unique(twice), "{n} guides stand several times with the same gene in "
              "the guide map.", "Taken once.")  # fmt: skip
    return found


def _by_content(frame: pd.DataFrame, wanted: np.ndarray) -> tuple[str, int] | None:
    """Return the column that has most of the counts' guides, whatever it is called, and how many; None if none has."""
    known = set(wanted)
    shared = {str(name): len(known & set(text_of_labels(frame[name]))) for name in frame}
    best = max(shared, key=shared.__getitem__, default=None)
    return None if best is None or not shared[best] else (best, shared[best])


def _note_sequences(frame: pd.DataFrame, guide: str, notes: Notes) -> None:
    """Note guides of different names whose sequence is the same: a read cannot tell them apart."""
    sequence = find_column(frame, SEQUENCES)
    if sequence is None or sequence == guide or plain_name(guide) in SEQUENCES:
        return
    own = frame[[guide, sequence]].dropna().drop_duplicates()
    twice = own.loc[own[sequence].astype(str).str.upper().duplicated(keep=False), guide]
    notes.add("same_sequence", "guides", twice, "{n} guides share their sequence with another guide.",
              "Kept; the same reads may stand under both names.")  # fmt: skip


def _compare_genes(counts: Counts, pairs: pd.DataFrame, notes: Notes) -> None:
    """Note guides whose gene in the counts is not that of the guide map."""
    if counts.genes is None:
        return
    own = tidy_genes(counts.genes, Notes())
    known = own.notna().to_numpy()
    allowed = set(zip(pairs["sgRNA"], pairs["gene"], strict=True))
    labels = np.asarray(counts.guides, dtype=object)[known]
    other = [guide for guide, gene in zip(labels, own[known], strict=True) if (guide, gene) not in allowed]
    notes.add("genes_differ", "guides", dict.fromkeys(other), "{n} guides have another gene in the counts than in the "
              "guide map.", "The guide map's was taken.")  # fmt: skip
