"""Scores of controls go in; how well the two kinds are told apart, and effects on their scale, come out.

Areas under curves come from ranks. Pictures of the curves are left to `reporting`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.screens.records import Separation

LOCATIONS = ("estimate", "conf_low", "conf_high", "condval", "effect", "siblings", "log_fc")
SPREADS = ("std_error", "condsd", "distance")
_KINDS = ("essential", "nonessential")


def control_separation(table: pd.DataFrame, score: str = "estimate", *, control: str = "control") -> Separation:
    r"""Judge how well a score tells essential from nonessential controls.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per gene or guide: of `rank_genes`, of `guide_table` (score "effect"), or any other, such as another
        method's scores beside the column of controls.
    score : str
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
    for name in (score, control):
        if name not in table:
            near = nearest(name, map(str, table.columns))
            raise DataError(
                f"the table has no column '{name}'.",
                f"Columns: {listed(map(str, table.columns))}.",
                f"Nearest: '{near}'." if near else "Name the columns with score= and control=.",
            )
    rows = table[table[control].astype(object).isin(_KINDS)]
    essential = (rows[control].astype(object) == "essential").to_numpy()
    _check_classes(int(essential.sum()), int((~essential).sum()), table[control])
    scores = rows[score].to_numpy(dtype=float)
    if np.isnan(scores).any():
        raise DataError(
            f"{np.isnan(scores).sum()} controls have no '{score}'.",
            "Each control that is compared has a score.",
            f"Leave their rows out: table.dropna(subset=['{score}']).",
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
    effects: pd.DataFrame,
    controls: Any = None,
    *,
    score: str = "estimate",
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Put effects on the scale where the median nonessential gene is 0 and the median essential one is -1.

    Parameters
    ----------
    effects : pandas.DataFrame
        A table with a column of scores, such as `rank_genes` gives, or a matrix of genes x lines.
    controls : mapping or Series, optional
        The class of each gene by its name. For a matrix it is needed, a table's column `control` is the default.
    score : str
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
    is_table = score in effects
    kinds = _classes(effects, controls, is_table=is_table)
    values = effects[score] if is_table else effects.mean(axis=1)
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
        scaled = (effects - zero) / (zero - one)
    else:
        wanted = [name for name in (*LOCATIONS, *SPREADS, score) if name in effects] if columns is None else columns
        moved = {
            name: (effects[name] - (0.0 if name in SPREADS else zero)) / (zero - one) for name in dict.fromkeys(wanted)
        }
        scaled = effects.assign(**moved)
    scaled.attrs = {**effects.attrs, "scale": {"nonessential": zero, "essential": one}}
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
