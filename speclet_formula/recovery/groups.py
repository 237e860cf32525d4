"""Blocks of effects go in, drawn and true; the table of blocks and the frame of their levels come out.

Which blocks there are is left to `blocks`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design
from speclet_formula.design.merged import row_count
from speclet_formula.posterior.intervals import without_rows
from speclet_formula.recovery.blocks import Block
from speclet_formula.recovery.parameters import INTERVAL, interval

BAND = 0.95  # mass of the binomial bands
NOTHING = 1e-20  # a sum of squares below it is rounding

GROUP_COLUMNS = (
    "group", "term", "n_levels", "rows_per_level", "coverage", "coverage_lo", "coverage_hi", "bias", "rmse",
    "rmse_null", "corr", "slope", "reliability", "sign_claims", "type_s", "type_m",
)  # fmt: skip
LEVEL_COLUMNS = ("group", "term", "level", "truth", "median", "sd", "lo", "hi", "covered")


def group_tables(design: Design, blocks: Sequence[Block], *, centred: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of blocks and the frame of levels; `recover` defines the columns."""
    levels = [_levels(block, centred=centred) for block in blocks]
    rows = [_summary(design, block, frame) for block, frame in zip(blocks, levels, strict=True)]
    return (
        pd.DataFrame(rows, columns=list(GROUP_COLUMNS)) if rows else without_rows(GROUP_COLUMNS),
        pd.concat(levels, ignore_index=True) if levels else without_rows(LEVEL_COLUMNS),
    )


def binomial_band(n: int, share: float) -> tuple[int, int]:
    """Return the equal-tailed range that holds at least 95 % of a binomial count."""
    from scipy.stats import binom

    lo, hi = binom.interval(BAND, n, share)
    return int(lo), int(hi)


def _levels(block: Block, *, centred: bool) -> pd.DataFrame:
    """Return truth and draws of each level, both centred within the block or as they are."""
    truth, draws = block.truth, block.draws
    if centred:
        truth, draws = truth - truth.mean(), draws - draws.mean(axis=1, keepdims=True)
    lo, hi = interval(draws, INTERVAL, axis=0)
    return pd.DataFrame({
        "group": block.group,
        "term": block.term,
        "level": list(block.levels),
        "truth": truth,
        "median": np.median(draws, axis=0),
        "sd": draws.std(axis=0, ddof=1),
        "lo": lo,
        "hi": hi,
        "covered": (lo <= truth) & (truth <= hi),
    })[list(LEVEL_COLUMNS)]  # fmt: skip


def _summary(design: Design, block: Block, levels: pd.DataFrame) -> dict[str, Any]:
    """Return a block's row."""
    truth, estimate = levels["truth"].to_numpy(), levels["median"].to_numpy()
    about, estimated = truth - truth.mean(), estimate - estimate.mean()
    n = len(levels)
    lo, hi = binomial_band(n, INTERVAL)
    return {
        "group": block.group,
        "term": block.term,
        "n_levels": n,
        "rows_per_level": row_count(design, block.codes >= 0) / n,
        "coverage": float(levels["covered"].mean()),
        "coverage_lo": lo / n,
        "coverage_hi": hi / n,
        "bias": float(np.mean(estimate - truth)),
        "rmse": float(np.sqrt(np.mean((estimate - truth) ** 2))),
        "rmse_null": float(np.sqrt(np.mean(truth**2))),
        "corr": _ratio(about @ estimated, np.sqrt((about @ about) * (estimated @ estimated))),
        "slope": _ratio(about @ estimated, about @ about),
        "reliability": _reliability(block.draws),
        **_sign_errors(levels),
    }


def _ratio(above: float, below: float) -> float:
    """Return a quotient, NaN where nothing varies."""
    return float(above / below) if below > NOTHING else float("nan")


def _reliability(draws: np.ndarray) -> float:
    """Return the share of the effects' variance that the estimates have: var(mean) / (var(mean) + mean(var))."""
    centred = draws - draws.mean(axis=1, keepdims=True)
    between = float(np.mean(centred.mean(axis=0) ** 2))
    return _ratio(between, between + float(np.mean(centred.var(axis=0))))


def _sign_errors(levels: pd.DataFrame) -> dict[str, float]:
    """Return how many levels are claimed to differ from the block's mean, and the two errors of such claims."""
    claims = levels[(levels["lo"] > 0) | (levels["hi"] < 0)]
    if claims.empty:
        return {"sign_claims": 0, "type_s": float("nan"), "type_m": float("nan")}
    return {
        "sign_claims": len(claims),
        "type_s": float(np.mean(np.sign(claims["median"]) != np.sign(claims["truth"]))),
        "type_m": _ratio(float(claims["median"].abs().mean()), float(claims["truth"].abs().mean())),
    }
