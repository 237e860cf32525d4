"""Scalar parameters and their true values go in; the table of how well each was found comes out.

Where the draws come from is left to `scalars`, what is true to `truth`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from speclet_formula.posterior.convergence import mixing
from speclet_formula.posterior.intervals import without_rows
from speclet_formula.recovery.scalars import Scalar
from speclet_formula.recovery.truth import ImpliedTruth

INTERVAL = 0.90
WIDE_INTERVAL = 0.99
BINS = 10  # of the histogram that says how a posterior of an SD meets zero, from zero to its 95 % quantile
DOMINATED = 0.3  # a contraction below it: the posterior is little more than the prior

PARAMETER_COLUMNS = (
    "term", "group", "class", "truth", "realized", "median", "sd", "lo", "hi", "covered", "error", "z",
    "pit", "contraction", "lme4", "ess_bulk", "r_hat", "verdict",
)  # fmt: skip


def parameter_table(
    scalars: Sequence[Scalar], truth: ImpliedTruth, reference: Mapping[str, float], *, failed: bool
) -> pd.DataFrame:
    """Return one row per scalar that has a true value; `recover` defines the columns."""
    judged = [scalar for scalar in scalars if scalar.key in truth.scalars]
    if not judged:
        return without_rows(PARAMETER_COLUMNS)
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
    boundary = scalar.kind == "sd" and truth == 0
    masses = _masses_at_zero(draws) if boundary else _masses_around(draws, targets)
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
        "covered": masses[0] if boundary else lo <= truth <= hi,
        "error": float(np.median(draws)) - truth,
        "z": _z(draws, truth, logarithmic=scalar.kind in ("sd", "sigma")),
        "pit": float(np.mean(draws < truth)),
        "contraction": contraction,
        "verdict": _verdict(masses, contraction, failed=failed, boundary=boundary),
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


def _masses_around(draws: np.ndarray, targets: list[float]) -> tuple[bool, bool]:
    """Tell whether the 90 % and the 99 % interval hold the nearer of the targets."""
    bounds = [interval(draws, mass) for mass in (INTERVAL, WIDE_INTERVAL)]
    narrow, wide = (any(lo <= target <= hi for target in targets) for lo, hi in bounds)
    return narrow, wide


def _masses_at_zero(draws: np.ndarray) -> tuple[bool, bool]:
    """Tell whether a true SD of zero is inside, where no equal-tailed interval reaches.

    The posterior's density at zero is compared with its greatest: a normal density falls to exp(-z^2 / 2) of it at the
    ends of its 90 % interval (z = 1.64) and of its 99 % interval (z = 2.58).
    """
    top = float(np.quantile(draws, (1 + INTERVAL) / 2))
    if top <= 0:
        return True, True
    counts = np.bincount((draws * (BINS / top)).astype(int))
    share = counts[0] / counts.max()
    limits = [float(np.exp(-0.5 * norm.ppf((1 + mass) / 2) ** 2)) for mass in (INTERVAL, WIDE_INTERVAL)]
    return bool(share >= limits[0]), bool(share >= limits[1])


def _verdict(masses: tuple[bool, bool], contraction: float, *, failed: bool, boundary: bool) -> str:
    """Return the row's verdict."""
    if failed:
        return "unreliable"
    if contraction < DOMINATED:
        return "prior-dominated"
    narrow, wide = masses
    found = "boundary" if boundary else "ok"
    return found if narrow else "edge" if wide else "miss"
