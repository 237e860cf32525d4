"""Scalar parameters and their true values go in; the table of how well each was found comes out.

Where the draws come from is left to `scalars`, what is true to `truth`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.convergence import mixing
from speclet_formula.recovery.scalars import Scalar
from speclet_formula.recovery.truth import ImpliedTruth

INTERVAL = 0.90
WIDE_INTERVAL = 0.99
DOMINATED = 0.3  # a contraction below it: the posterior is little more than the prior

PARAMETER_COLUMNS = (
    "term", "group", "class", "truth", "realized", "median", "sd", "lo", "hi", "error", "z", "pit",
    "contraction", "lme4", "ess_bulk", "r_hat", "verdict",
)  # fmt: skip


def parameter_table(
    scalars: Sequence[Scalar], truth: ImpliedTruth, reference: Mapping[str, float], *, failed: bool
) -> pd.DataFrame:
    """Return one row per scalar that has a true value; `recover` defines the columns."""
    judged = [scalar for scalar in scalars if scalar.key in truth.scalars]
    if not judged:
        return pd.DataFrame(columns=list(PARAMETER_COLUMNS))
    rows = [_row(s, truth.scalars[s.key], truth.realized.get(s.key, float("nan")), failed=failed) for s in judged]
    mixed = mixing(np.stack([scalar.draws for scalar in judged]))
    frame = pd.DataFrame(rows).assign(
        lme4=[reference.get(scalar.key, float("nan")) for scalar in judged], ess_bulk=mixed.ess_bulk, r_hat=mixed.r_hat
    )
    return frame[list(PARAMETER_COLUMNS)]


def _row(scalar: Scalar, truth: float, realized: float, *, failed: bool) -> dict[str, Any]:
    """Return one row without its convergence columns."""
    draws = scalar.draws.ravel()
    lo, hi = interval(draws, INTERVAL)
    contraction = _contraction(float(draws.std(ddof=1)), scalar.prior_sd)
    targets = [truth, realized] if scalar.kind == "sd" and np.isfinite(realized) else [truth]
    return {
        "term": scalar.term,
        "group": scalar.group,
        "class": scalar.kind,
        "truth": truth,
        "realized": realized,
        "median": float(np.median(draws)),
        "sd": float(draws.std(ddof=1)),
        "lo": lo,
        "hi": hi,
        "error": float(np.median(draws)) - truth,
        "z": _z(draws, truth, logarithmic=scalar.kind in ("sd", "sigma")),
        "pit": float(np.mean(draws < truth)),
        "contraction": contraction,
        "verdict": _verdict(draws, targets, contraction, failed=failed),
    }


def interval(draws: np.ndarray, mass: float, axis: int | None = None) -> tuple[Any, Any]:
    """Return the equal-tailed interval that holds a share of the draws."""
    tail = (1 - mass) / 2
    lo, hi = np.quantile(draws, [tail, 1 - tail], axis=axis)
    return (float(lo), float(hi)) if axis is None else (lo, hi)


def _z(draws: np.ndarray, truth: float, *, logarithmic: bool) -> float:
    """Return (median - truth) / sd, on the log scale for SDs; NaN where an SD of zero has no logarithm."""
    if logarithmic:
        if truth <= 0 or draws.min() <= 0:
            return float("nan")
        draws, truth = np.log(draws), float(np.log(truth))
    spread = float(draws.std(ddof=1))
    return float((np.median(draws) - truth) / spread) if spread > 0 else float("nan")


def _contraction(sd: float, prior: float) -> float:
    """Return 1 - (sd / prior sd)^2; 1 for an infinite prior SD, NaN where the prior has none."""
    return 1.0 if np.isinf(prior) else 1.0 - (sd / prior) ** 2


def _verdict(draws: np.ndarray, targets: list[float], contraction: float, *, failed: bool) -> str:
    """Return the row's verdict; an SD is held against the nearer of its two targets."""
    if failed:
        return "unreliable"
    if contraction < DOMINATED:
        return "prior-dominated"
    for word, mass in (("ok", INTERVAL), ("edge", WIDE_INTERVAL)):
        lo, hi = interval(draws, mass)
        if any(lo <= target <= hi for target in targets):
            return word
    return "miss"
