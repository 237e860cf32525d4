"""Names of genes go in as libraries and spreadsheets wrote them; names to group by come out, and what is odd of them.

Nothing is guessed: a name that a spreadsheet made a date stays as it is and is told. Which guide has which gene is left
to `libraries`.
"""

import re

import pandas as pd

from speclet_formula.screens.columns import labels_of
from speclet_formula.screens.notes import Notes

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
    r"|(neg(ative)?)(ctrl|control)s?.*|controls?\d*|ctrl\d+|ntc\d*|(e?gfp|lacz|luciferase|rfp|mcherry|aavs1)(control)?\d*"
)
_CTRL_GENE = 10  # CTRL is also a gene: with no more guides than that it is taken for the gene
_NO_PARTS = re.compile(r"\d+|ENS[A-Z]*\d+.*|HGNC:.*", re.IGNORECASE)  # of "A1BG|1": an identifier of the same gene


def tidy_genes(genes: pd.Series, notes: Notes) -> pd.Series:
    """Return the genes of guides without spaces around them, missing where they are only called so, several by ";".

    Parameters
    ----------
    genes : pandas.Series
    notes : Notes
        Takes what is odd: dates, old symbols, Entrez numbers, separators.

    Returns
    -------
    pandas.Series of object
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
