"""Controls of a screen: which guides are nonessential or essential, and how well a score tells the two apart.

Genes match by name, with or without DepMap's Entrez number behind it. What does not fit is an error or a finding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from speclet_formula.common.files import read_file
from speclet_formula.common.table import Worded
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.screens.columns import (
    GENES,
    GUIDES,
    Notes,
    find_column,
    labels_of,
    plain_name,
    read_frame,
    text_of_labels,
)
from speclet_formula.screens.libraries import symbol_of

CLASS_COLUMNS = ("control", "class", "kind")
CONTROLS = ("nonessential", "other", "essential")
LOCATIONS = ("estimate", "conf_low", "conf_high", "condval", "effect", "siblings", "log_fc")
SPREADS = ("std_error", "condsd", "distance")
_KINDS = ("essential", "nonessential")


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
    if _is_lists(controls):
        lists = [(_class_named(str(kind)), given) for kind, given in controls.items()]
        pairs = [(name, kind) for kind, given in lists for name in _listed_names(given, notes)]
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
        kind = _class_named(given)
        if found.setdefault(label, kind) != kind:
            raise DataError(
                f"'{label}' is both {found[label]} and {kind}.",
                "A control is of one class.",
                "Leave it out of one of the lists.",
            )
    return found


def _class_named(given: str) -> str:
    """Return a class of controls as it is called here."""
    kind = "nonessential" if given.lower() in ("non-essential", "non_essential") else given.lower()
    if kind not in CONTROLS:
        raise _no_class(given)
    return kind


def _is_lists(controls: Any) -> bool:
    """Tell lists of names by class from a table's columns, one of which says the class."""
    return isinstance(controls, Mapping) and not any(plain_name(name) in CLASS_COLUMNS for name in controls)


def _listed_names(given: Any, notes: Notes) -> list[str]:
    """Return the names of a list, or of the first column of a file."""
    if isinstance(given, str | Path):
        frame = read_file(Path(given))
        if not len(frame):  # one line
            return [str(name) for name in frame.columns[:1]]
        frame = read_frame(frame, "controls", notes)
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
        "Rename it: negative controls are nonessential, positive ones essential; what is neither is 'other'.",
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


@dataclass(frozen=True, eq=False, repr=False)
class Separation(Worded):
    """How well a score tells essential from non-essential controls.

    Attributes
    ----------
    auc_roc : float
        The chance that a random essential control scores below a random non-essential one, ties counted as one half.
    auc_pr : float
        Average precision: the mean over essential controls of the precision at their threshold.
    n_essential, n_nonessential : int
    distance : float
        Median of the non-essential less median of the essential controls, in the score's unit.
    roc : pandas.DataFrame
        One row per threshold, the lowest score first: `threshold`, `false_positive_rate`, `true_positive_rate`.
    pr : pandas.DataFrame
        `threshold`, `recall`, `precision`.
    scores : pandas.DataFrame
        `level`, `score`, `control` of the controls alone.
    """

    auc_roc: float
    auc_pr: float
    n_essential: int
    n_nonessential: int
    distance: float
    roc: pd.DataFrame
    pr: pd.DataFrame
    scores: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"{self.n_essential:,} essential against {self.n_nonessential:,} nonessential controls: ROC AUC "
            f"{self.auc_roc:.3f}, average precision {self.auc_pr:.3f}, medians {self.distance:.2f} apart"
        )


def control_separation(table: pd.DataFrame, value: str = "estimate", *, control: str = "control") -> Separation:
    r"""Judge how well a score tells essential from nonessential controls.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per gene or guide: of `rank_genes`, of `guide_table` (value "effect"), or any other, such as another
        method's scores beside the column of controls.
    value : str
        The column of scores; low means essential.
    control : str
        The column of classes, "essential" and "nonessential"; other rows are not used.

    Returns
    -------
    Separation
        `auc_roc` is :math:`(R - n(n+1)/2) / (n m)` turned around, with R the sum of the ranks of the n essential among
        all n + m controls, ties at their mean rank. `auc_pr` is the average precision,
        :math:`\sum_t (r_t - r_{t-1})\,p_t` over the distinct thresholds t: it depends on how many controls of either
        kind there are.

    Raises
    ------
    DataError
        A column is missing, a score too, or one of the two classes.

    References
    ----------
    ROC and precision-recall curves: Davis and Goadrich (2006), doi:10.1145/1143844.1143874.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"estimate": [-2.0, -1, -1, 0], "control": ["essential"] * 2 + ["nonessential"] * 2})
    >>> control_separation(table).auc_roc
    0.875
    """
    for name in (value, control):
        if name not in table:
            near = nearest(name, map(str, table.columns))
            raise DataError(
                f"the table has no column '{name}'.",
                f"Columns: {listed(map(str, table.columns))}.",
                f"Nearest: '{near}'." if near else "Name the columns with value= and control=.",
            )
    rows = table[table[control].astype(object).isin(_KINDS)]
    essential = (rows[control].astype(object) == "essential").to_numpy()
    _check_classes(int(essential.sum()), int((~essential).sum()), table[control])
    scores = rows[value].to_numpy(dtype=float)
    if np.isnan(scores).any():
        raise DataError(
            f"{np.isnan(scores).sum()} controls have no '{value}'.",
            "Each control that is compared has a score.",
            f"Leave their rows out: table.dropna(subset=['{value}']).",
        )
    roc, pr = _curves(scores, essential)
    level = next((name for name in ("gene", "level", "grp", "sgRNA") if name in rows), None)
    n, m = int(essential.sum()), int((~essential).sum())
    return Separation(
        auc_roc=float(1 - (rankdata(scores)[essential].sum() - n * (n + 1) / 2) / (n * m)),
        auc_pr=float((pr["recall"].diff().fillna(pr["recall"].iloc[0]) * pr["precision"]).sum()),
        n_essential=n,
        n_nonessential=m,
        distance=float(np.median(scores[~essential]) - np.median(scores[essential])),
        roc=roc,
        pr=pr,
        scores=pd.DataFrame(
            {
                "level": rows[level].to_numpy() if level else np.arange(len(rows)),
                "score": scores,
                "control": np.where(essential, "essential", "nonessential"),
            }
        ),
    )


def _check_classes(n_essential: int, n_nonessential: int, given: pd.Series) -> None:
    absent = next((kind for kind, n in zip(_KINDS, (n_essential, n_nonessential), strict=True) if n == 0), None)
    if absent is not None:
        raise DataError(
            f"no row is {absent}.",
            "Controls of both kinds are needed: essential and nonessential.",
            f"Classes here: {listed(map(repr, pd.unique(given.astype(object))), 5)}. Hand controls= to read_screen.",
        )


def _curves(scores: np.ndarray, essential: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both curves at the distinct thresholds, the lowest first."""
    order = np.argsort(scores, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(scores[order]) > 0, True])  # of each run of equal scores
    hits, all_ = np.cumsum(essential[order])[last], last + 1
    thresholds = scores[order][last]
    recall, false = hits / essential.sum(), (all_ - hits) / (~essential).sum()
    start = pd.DataFrame({"threshold": [-np.inf], "false_positive_rate": [0.0], "true_positive_rate": [0.0]})
    roc = pd.DataFrame({"threshold": thresholds, "false_positive_rate": false, "true_positive_rate": recall})
    pr = pd.DataFrame({"threshold": thresholds, "recall": recall, "precision": hits / all_})
    return pd.concat([start, roc], ignore_index=True), pr


def scale_effects(
    table: pd.DataFrame,
    controls: Any = None,
    *,
    value: str = "estimate",
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Put effects on the scale where the median nonessential gene is 0 and the median essential one is -1.

    Parameters
    ----------
    table : pandas.DataFrame
        A table with a column of scores, such as `rank_genes` gives, or a matrix of genes x lines.
    controls : mapping or Series, optional
        The class of each gene by its name. For a matrix it is needed, a table's column `control` is the default.
    value : str
        Of a table: the column whose medians settle the scale.
    columns : sequence of str, optional
        Of a table: what is scaled; by default all that are effects and their intervals (moved and divided) and their
        standard errors (divided). Probabilities stay as they are: they are about the zero of before.

    Returns
    -------
    pandas.DataFrame
        A copy. `.attrs["scale"]` has the medians `nonessential` and `essential` in the old unit. A matrix has one scale
        for all lines, from each gene's mean over them.

    Raises
    ------
    DataError
        There are no controls of either kind, or their medians are equal or the wrong way round.

    References
    ----------
    The scale of DepMap: Meyers et al. (2017), doi:10.1038/ng.3984.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"estimate": [-3.0, 1.0, 0.0], "control": ["essential", "nonessential", "other"]})
    >>> scale_effects(table)["estimate"].tolist()
    [-1.0, 0.0, -0.25]
    """
    is_table = value in table
    kinds = _classes(table, controls, is_table=is_table)
    values = table[value] if is_table else table.mean(axis=1)
    found = {kind: values[(kinds == kind).to_numpy()] for kind in _KINDS}
    _check_classes(len(found["essential"]), len(found["nonessential"]), kinds)
    zero, one = float(found["nonessential"].median()), float(found["essential"].median())
    if not one < zero:
        raise DataError(
            f"the median essential effect, {one:.3g}, is not below the median nonessential one, {zero:.3g}.",
            "The scale has essential genes at -1 and nonessential ones at 0.",
            "Compare the control lists with the screen, and the direction of its fold changes.",
        )
    if not is_table:
        scaled = (table - zero) / (zero - one)
    else:
        wanted = [name for name in (*LOCATIONS, *SPREADS, value) if name in table] if columns is None else columns
        moved = {
            name: (table[name] - (0.0 if name in SPREADS else zero)) / (zero - one) for name in dict.fromkeys(wanted)
        }
        scaled = table.assign(**moved)
    scaled.attrs = {**table.attrs, "scale": {"nonessential": zero, "essential": one}}
    return scaled


def _classes(effects: pd.DataFrame, controls: Any, *, is_table: bool) -> pd.Series:
    """Return the control class of each row."""
    if controls is not None:
        names = effects["gene"] if is_table and "gene" in effects else effects.index.to_series()
        by_name = dict(controls) if isinstance(controls, Mapping) else pd.Series(controls).to_dict()
        return names.map(by_name)
    if is_table and "control" in effects:
        return effects["control"].astype(object)
    raise DataError(
        "nothing says which genes are controls.",
        "A table has a column 'control'; a matrix of effects comes with controls=, the class of each gene.",
        'Write controls={"RPL3": "essential", "OR1A1": "nonessential", ...}.',
    )
