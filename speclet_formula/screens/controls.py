"""Lists or tables of controls go in; for each guide its class comes out: nonessential, other or essential.

Genes match by name, with or without DepMap's Entrez number behind it. What does not fit is an error or a finding.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed
from speclet_formula.screens.columns import GENES, GUIDES, find_column, labels_of, read_frame, text_of_labels
from speclet_formula.screens.labels import symbol_of
from speclet_formula.screens.notes import Notes

CLASS_COLUMNS = ("control", "class", "kind")
CONTROLS = ("nonessential", "other", "essential")


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
        A class or a column that does not exist, a gene in two classes, or no control that is in the library.
    """
    blank = classes.map(lambda kind: isinstance(kind, str) and not kind.strip()).astype(bool)
    found = classes.mask(blank) if controls is None else pd.Series(None, index=genes.index, dtype=object)
    if controls is not None:
        named = _named_controls(controls, notes)
        symbols = {symbol_of(name): kind for name, kind in named.items()}
        own = genes.map(symbol_of, na_action="ignore")
        by_guide = pd.Series(genes.index, index=genes.index).map(named)
        found = by_guide.fillna(genes.map(named)).fillna(own.map(symbols))
        present = {*genes.dropna(), *own.dropna(), *genes.index}
        absent = [name for name in named if name not in present and symbol_of(name) not in present]
        if len(absent) == len(named):
            raise _none_here(list(named), genes)
        notes.add("controls_without_guides", "genes", absent, "{n} controls are not in this library.",
                  "There is nothing to use of them.")  # fmt: skip
    found = found.fillna("other").astype(str)
    unknown = [name for name in found.unique() if name not in CONTROLS]
    if unknown:
        raise _no_class(unknown[0])
    return found


def _named_controls(controls: Any, notes: Notes) -> dict[str, str]:
    """Return the class of each named gene or guide."""
    is_lists = isinstance(controls, Mapping) and set(map(str, controls)) <= {
        *CONTROLS,
        "non-essential",
        "non_essential",
    }
    if is_lists:
        pairs = [(name, str(kind)) for kind, given in controls.items() for name in _listed_names(given, notes)]
    else:
        frame = read_frame(controls, "controls", notes)
        control = find_column(frame, CLASS_COLUMNS)
        name = find_column(frame, (*GENES, *GUIDES))
        if control is None or name is None:
            raise DataError(
                f"the controls have the columns {listed(map(repr, map(str, frame.columns)), 6)}.",
                "A table of controls has 'gene' (or 'sgRNA') and 'control', which is essential, nonessential or other.",
                'Or name the genes: controls={"essential": [...], "nonessential": [...]}, also paths of lists.',
            )
        named, kinds = text_of_labels(frame[name]), text_of_labels(frame[control])
        said = (named.str.strip() != "") & (kinds.str.strip() != "")
        notes.add("empty_controls", "rows", np.flatnonzero(~said), "{n} rows of the controls lack a name or a class.",
                  "Left out.")  # fmt: skip
        pairs = list(zip(named[said], kinds[said].str.strip(), strict=True))
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


def _listed_names(given: Any, notes: Notes) -> list[str]:
    """Return the names of a list, or of the first column of a file."""
    if isinstance(given, str | Path):
        frame = read_frame(given, "controls", notes)
        column = find_column(frame, (*GENES, *GUIDES))
        if column is not None:
            return list(labels_of(frame[column]).dropna())
        return [str(frame.columns[0]), *labels_of(frame.iloc[:, 0]).dropna()]  # a plain list: it has no header
    try:
        names = pd.Series(list(given), dtype=object)
    except TypeError as error:
        raise DataError(
            f"{given!r} is no list of controls.",
            "A class of controls comes as a list of genes or guides, or as the path of one.",
            'Write controls={"essential": ["RPL3", ...], "nonessential": [...]}.',
        ) from error
    return [name for name in text_of_labels(names) if name.strip()]


def _no_class(given: object) -> DataError:
    return DataError(
        f"'{given}' is no class of controls.",
        f"Classes: {', '.join(CONTROLS)}.",
        "Rename it; what is neither is 'other'.",
    )


def _none_here(named: list[str], genes: pd.Series) -> DataError:
    by_case = {str(name).upper(): str(name) for name in genes.dropna()}
    same = next((f"'{by_case[name.upper()]}' for '{name}'" for name in named if name.upper() in by_case), None)
    genes_here = listed(map(repr, pd.unique(genes.dropna())), 3) or "none"
    return DataError(
        f"none of the {len(named):,} controls is in this library: {listed(map(repr, named), 3)}.",
        f"Controls are named as the genes or the guides are: {genes_here}; {listed(map(repr, genes.index), 3)}.",
        f"Names differ in capital letters: write {same}, for example."
        if same
        else "Take lists of this species and this kind of names, or leave controls= out.",
    )
