"""Several fits of the same rows beside one truth: what each says of the same levels.

Models without pooling, with partial and with hierarchical pooling have no parameter in common. What they all have is a
linear predictor, so that its mean over the rows of a level is what is compared. No mean of a block can shift it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from speclet_formula.design.design import slot_of_sd
from speclet_formula.design.merged import require_rows
from speclet_formula.design.tables import as_pandas
from speclet_formula.errors import DataError
from speclet_formula.model import Model
from speclet_formula.posterior.draws import Draws, draws_of
from speclet_formula.posterior.intervals import without_rows
from speclet_formula.recovery.blocks import agreement, beside_truth
from speclet_formula.recovery.parts import data_factor, parts_of

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit

POOLING_COLUMNS = ("group", "level", "fit", "n_rows", "observed", "truth", "median", "sd", "lo", "hi", "covered")
COMPARISON_COLUMNS = (
    "group", "fit", "n_levels", "coverage", "coverage_lo", "coverage_hi", "bias", "rmse", "corr", "slope", "width",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ComparedFactor:
    """A factor of the data that is compared."""

    group: str
    levels: tuple[str, ...]
    average: Any  # (levels, n) scipy CSR: the mean over the rows of each level


def pooling_tables(fits: Mapping[str, "Fit"], truth: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparison by factor and fit, and the frame of levels behind it; `recover` defines the columns."""
    first = next(iter(fits.values())).model
    _check_rows(fits)
    known = _true_predictor(first, truth)
    if known is None:
        return without_rows(COMPARISON_COLUMNS), without_rows(POOLING_COLUMNS)
    factors = _factors(first, _groups([fit.model for fit in fits.values()]))
    if not factors:
        return without_rows(COMPARISON_COLUMNS), without_rows(POOLING_COLUMNS)
    observed = first.design.response if _is_identity(first) else np.full(len(known), np.nan)
    frames = [_levels(factor, name, fit, known, observed) for factor in factors for name, fit in fits.items()]
    comparison = pd.DataFrame([_summary(frame) for frame in frames], columns=list(COMPARISON_COLUMNS))
    return comparison, pd.concat(frames, ignore_index=True)


def _check_rows(fits: Mapping[str, "Fit"]) -> None:
    """Refuse fits of different rows: their levels have different means."""
    (reference, first), *others = fits.items()
    for fit in fits.values():
        require_rows(fit.model.design, "a comparison of several recoveries")
    for name, fit in others:
        design, compared = first.model.design, fit.model.design
        if design.response_name != compared.response_name or not np.array_equal(design.response, compared.response):
            raise DataError(
                f"'{reference}' and '{name}' are fits of different rows or responses.",
                "Fits side by side have the same rows in the same order, and the same response.",
                "Fit them to the same table; with missing='drop', leave the rows out of the table first.",
            )


def _is_identity(model: Model) -> bool:
    return model.family.link == "identity"


def _true_predictor(model: Model, truth: Mapping[str, Any]) -> np.ndarray | None:
    """Return the true linear predictor of each row; None where the effects of a stated SD are not known."""
    if any((slot := slot_of_sd(key)) and slot not in truth for key in truth):
        return None
    parts, _ = parts_of(model, truth)
    total: np.ndarray = model.design.mean.offset + np.sum([part.contribution for part in parts], axis=0)
    return total if len(parts) and np.isfinite(total).all() else None


def _groups(models: Sequence[Model]) -> list[tuple[str, ...]]:
    """Return the factors of all blocks and fixed cells, and each factor that these cross, the coarser ones first."""
    crossings: dict[tuple[str, ...], None] = {}
    for model in models:
        crossed = [block.factors for block in model.design.mean.groups]
        crossed += [tuple(term.name.split(":")) for term in model.design.mean.fixed if term.kind == "categorical"]
        for factors in crossed:
            crossings |= dict.fromkeys(part for k in range(1, len(factors) + 1) for part in combinations(factors, k))
    return sorted(crossings, key=len)


def _factors(model: Model, groups: Sequence[tuple[str, ...]]) -> list[ComparedFactor]:
    """Return the factors that the table has, of two levels or more and no two of the same partition."""
    table = as_pandas(model.data).iloc[model.design.rows]
    factors, seen = [], set()
    for columns in groups:
        made = data_factor(table, ":".join(columns))
        if made is None or len(made[1]) < 2:  # noqa: PLR2004 - one level leaves nothing to compare
            continue
        codes, levels = made
        used, codes = np.unique(codes, return_inverse=True)
        partition = tuple(np.unique(codes, return_index=True)[1][codes])
        if hash(partition) in seen:
            continue
        seen.add(hash(partition))
        n = len(codes)
        shares = 1 / np.bincount(codes)[codes]
        average = sparse.csr_array((shares, (codes, np.arange(n))), shape=(len(used), n))
        factors.append(ComparedFactor(":".join(columns), tuple(levels[level] for level in used), average))
    return factors


def _levels(factor: ComparedFactor, name: str, fit: "Fit", known: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    """Return one fit's levels of one factor."""
    draws = _averaged(fit.model, draws_of(fit), factor.average)
    about = {
        "group": factor.group,
        "level": list(factor.levels),
        "fit": name,
        "n_rows": np.diff(factor.average.indptr),
        "observed": factor.average @ observed,
    }
    return pd.DataFrame(about | beside_truth(draws, factor.average @ known))[list(POOLING_COLUMNS)]


def _averaged(model: Model, draws: Draws, average: Any) -> np.ndarray:
    """Return the linear predictor's mean over the rows of each level, (draws, levels), without one for each row."""
    design = model.design
    total = np.asarray(average @ design.mean.offset)[None, :]
    for term in design.mean.fixed:
        total = total + draws.term(term) @ (average @ design.mean.X[:, term.start : term.stop]).T
    n = len(design.response)
    for block in design.mean.groups:
        for column, effects in enumerate(draws.effects(block)):
            entries = (block.values[:, column], (np.arange(n), block.codes))
            shares = average @ sparse.csr_array(entries, shape=(n, len(block.levels)))
            total = total + (shares @ effects.T).T
    return np.asarray(total)


def _summary(levels: pd.DataFrame) -> dict[str, Any]:
    """Return one fit's row for one factor."""
    width = float(np.mean(levels["hi"] - levels["lo"]))
    return {"group": levels["group"].iloc[0], "fit": levels["fit"].iloc[0], **agreement(levels), "width": width}
