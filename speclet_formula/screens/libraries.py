"""The library of a screen: which gene each guide hits, and what is odd of the genes' names.

Nothing is guessed: a name that a spreadsheet made a date stays as it is and is told.
"""

import re
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed
from speclet_formula.screens.columns import (
    GENES,
    GUIDES,
    SEQUENCES,
    Notes,
    best_column,
    find_column,
    found_columns,
    is_sequence,
    labels_of,
    names_of_genes,
    no_column,
    plain_name,
    read_frame,
    text_of_labels,
)
from speclet_formula.screens.counts import Counts

SEVERAL = ";"  # between the genes of one guide
_MISSING = {"", "na", "n/a", "#n/a", "nan", "none", "null"}
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec"
_DATE = re.compile(
    rf"\d{{1,2}}[-/ ]({_MONTHS})|({_MONTHS})[-/ ]\d{{1,2}}"
    r"|\d{4}-\d\d-\d\d( 00:00:00)?|\d{1,2}/\d{1,2}/\d{2,4}",
    re.IGNORECASE,
)
# HGNC renamed what spreadsheets take for dates: Bruford et al. (2020), doi:10.1038/s41588-020-0669-3.
_RENAMED = re.compile(r"(MARCH|SEPT)(1[0-4]|[1-9])|(MARC)([12])|(DEC)(1)")
_TODAY = {"MARCH": "MARCHF", "SEPT": "SEPTIN", "MARC": "MTARC", "DEC": "DELEC"}
_ENTREZ = re.compile(r"(.+) \((\d+|unknown)\)")
_CONTROL = re.compile(
    r"(non?target|notarget|safetarget|safeharbou?r|scramble|intergenic|nocurrent|nosite|onenon?genesite|oneintergenic).*"
    r"|(neg(ative)?)(ctrl|control)s?.*|controls?\d*|ctrl\d+|ntc\d*|(e?gfp|lacz|luciferase|rfp|mcherry|aavs1|rosa26)(control)?\d*"
)
_CTRL_GENE = 10  # CTRL is also a gene: with no more guides than that it is taken for the gene
_NO_PARTS = re.compile(r"\d+|ENS[A-Z]*\d+.*|HGNC:.*", re.IGNORECASE)  # of "A1BG|1": an identifier of the same gene


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
    _note_unused(frame, guide, notes)
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


def _note_unused(frame: pd.DataFrame, guide: str, notes: Notes) -> None:
    """Note guides that DepMap's map says Chronos did not use."""
    used, reason = find_column(frame, ("usedbychronos", "used_by_chronos")), find_column(frame, ("dropreason",))
    if used is None:
        return
    unused = text_of_labels(frame[used]).str.lower().isin(["false", "0"]).to_numpy()
    labels = text_of_labels(frame[guide])[unused]
    why = "" if reason is None else f": {listed(sorted(set(text_of_labels(frame[reason])[unused]) - {''}), 3)}"
    notes.add("unused_guides", "guides", pd.unique(labels), f"{{n}} guides were not used by Chronos{why}.", "Kept.")


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


def tidy_genes(genes: pd.Series, notes: Notes) -> pd.Series:
    """Return the genes of guides without spaces around them, missing where they are only called so, several by ";".

    Parameters
    ----------
    genes : pandas.Series
    notes : Notes
        Takes what is odd: dates, old symbols, Entrez numbers, separators.
    """
    text = labels_of(genes)
    names = {name: _tidy(name) for name in pd.unique(text.dropna())}
    spaced = [name for name in names if name != name.strip() and name.strip()]
    notes.add("spaces", "genes", map(repr, spaced), "{n} names of genes have spaces around them.", "Taken off.")
    kinds = [name for name, own in names.items() if own is not None and SEVERAL in own and own != name.strip()]
    notes.add("separators", "genes", kinds, "{n} names of genes are several genes.", "Written in order, as 'A;B'.")
    _judge(sorted({own for own in names.values() if own is not None}), notes)
    return text.map(names, na_action="ignore").astype(object)


def _tidy(name: str) -> str | None:
    bare = name.strip()
    if bare.lower() in _MISSING:
        return None
    parts = [part.strip() for part in re.split(r"[;|,]", bare)]
    if len(parts) == 1 or any(_NO_PARTS.fullmatch(part) for part in parts):
        return bare
    return join_genes([part for part in parts if part])


def join_genes(names: list[str]) -> str:
    """Return the genes of one guide as one name, the same in whichever order they stand."""
    return SEVERAL.join(sorted({part for name in names for part in name.split(SEVERAL)}))


def _judge(names: list[str], notes: Notes) -> None:
    """Note names that are dates, old symbols, or carry Entrez numbers."""
    dates = [name for name in names if _DATE.fullmatch(name)]
    notes.add("dates", "genes", dates, "{n} names of genes are dates, as a spreadsheet makes them of MARCH1 or SEPT2.",
              "Kept; several genes may share one. Take the names from the library's own file.")  # fmt: skip
    old = [name for name in names if _RENAMED.fullmatch(name)]
    stems = [name.rstrip("0123456789") for name in old]
    today = [f"{name} is {_TODAY[stem]}{name.removeprefix(stem)}" for name, stem in zip(old, stems, strict=True)]
    notes.add("old_symbols", "genes", today, "{n} genes have symbols that HGNC has replaced.", "Kept; lists with "
              "today's symbols do not match them.")  # fmt: skip
    numbered = [name for name in names if _ENTREZ.fullmatch(name)]
    notes.add("entrez", "genes", numbered, "{n} genes are written with their Entrez number, as in DepMap's files.",
              "Kept; controls match them with or without it.")  # fmt: skip


def symbol_of(name: str) -> str:
    """Return a gene's symbol without the Entrez number behind it."""
    found = _ENTREZ.fullmatch(name)
    return found[1] if found else name


def non_targeting(genes: pd.Series) -> pd.Series:
    """Tell which guides are named as controls without a target, by their gene or, without one, by their own name.

    Parameters
    ----------
    genes : pandas.Series
        By the guide's name, as `tidy_genes` returns them.
    """
    sizes = genes.value_counts()
    is_control = {name: _names_control(str(name), int(n)) for name, n in sizes.items()}
    told = [
        _names_control(str(guide), 1) if pd.isna(gene) else is_control[gene] for guide, gene in genes.items()
    ]  # fmt: skip
    return pd.Series(told, index=genes.index, dtype=bool)


def _names_control(name: str, n_guides: int) -> bool:
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    return _CONTROL.fullmatch(bare) is not None or (bare == "ctrl" and n_guides > _CTRL_GENE)
