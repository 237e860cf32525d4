"""A fit and the truth of its data go in; plain numbers come out, one row per scalar and per block of group effects.

This is all that a data set leaves behind. Summing up over data sets is left to `summaries`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.families import inverse_link, log_density
from speclet_formula.model import Model
from speclet_formula.posterior import Fit
from speclet_formula.prediction import linear_predictors as linear_predictor
from speclet_formula.recovery.blocks import Block, blocks_of
from speclet_formula.recovery.parameters import Scalar, reml_estimates, scalars_of
from speclet_formula.recovery.truth import ImpliedTruth, implied_truth

type Row = dict[str, Any]

MASSES = {"cover50": 0.50, "cover90": 0.90, "cover95": 0.95}
POSITIVE = ("sd", "sigma", "family")  # classes that 0 cannot be inside of
LOGARITHMIC = ("sd", "sigma")
LOG_LIKELIHOOD = "log likelihood"

ROW_COLUMNS = (
    "parameter", "term", "group", "class", "n_values", "truth", "realized", "median", "sd", "lo", "hi", "error",
    "squared", "cover50", "cover90", "cover95", "width90", "z", "z_squared", "pit", "rank", "contraction", "claims",
    "wrong", "claimed", "claimed_truth", "lme4",
)  # fmt: skip


def measure(fit: Fit, truth: Mapping[str, Any], *, ranked: int, reml: bool, calibration: bool) -> list[Row]:
    """Judge one fit.

    Parameters
    ----------
    fit : Fit
    truth : dict
        As `simulate` returns it.
    ranked : int
        Evenly spaced draws among which each true value is ranked.
    reml : bool
        Whether lme4's estimates are made too.
    calibration : bool
        Whether the first level of each block and the log-likelihood are ranked too.

    Returns
    -------
    list of dict
        With the keys ROW_COLUMNS, which `Study` defines.
    """
    implied = implied_truth(fit.model, truth)
    posterior = fit.idata["posterior"]
    reference = reml_estimates(fit.model) if reml else {}
    scalars = [scalar for scalar in scalars_of(fit.model, posterior) if scalar.key in implied.scalars]
    rows = [_scalar_row(scalar, implied, reference.get(scalar.key, np.nan), ranked) for scalar in scalars]
    blocks = blocks_of(fit.model, posterior, implied)
    rows += [_block_row(block) for block in blocks if block.own]
    if calibration:
        rows += [_level_row(block, ranked) for block in blocks if block.own]
        rows.append(_likelihood_row(fit.model, posterior, truth, ranked))
    return rows


def _row(**known: Any) -> Row:
    return dict.fromkeys(ROW_COLUMNS, float("nan")) | known


def _scalar_row(scalar: Scalar, implied: ImpliedTruth, lme4: float, ranked: int) -> Row:
    """Return a scalar's row."""
    truth = implied.scalars[scalar.key]
    row = _single(scalar.key, scalar.term, scalar.group, scalar.kind, scalar.draws.ravel(), truth, ranked)
    contraction = 1.0 if np.isinf(scalar.prior_sd) else 1 - (row["sd"] / scalar.prior_sd) ** 2
    return row | {"realized": implied.realized.get(scalar.key, float("nan")), "contraction": contraction, "lme4": lme4}


def _single(key: str, term: str, group: str, kind: str, draws: np.ndarray, truth: float, ranked: int) -> Row:
    """Return the row of one quantity."""
    lo, hi = np.quantile(draws, [0.05, 0.95])
    median, sd = float(np.median(draws)), float(draws.std(ddof=1))
    z = _standardised(draws, truth, logarithmic=kind in LOGARITHMIC)
    return _row(
        parameter=key, term=term, group=group, n_values=1, truth=truth, median=median, sd=sd, lo=float(lo),
        hi=float(hi), error=median - truth, squared=(median - truth) ** 2, width90=float(hi - lo), z=z, z_squared=z**2,
        pit=float(np.mean(draws < truth)), rank=rank_among(draws, truth, ranked),
        **{"class": kind}, **_coverage(draws[:, None], np.array([truth])),
        **(_claims(draws[:, None], np.array([truth])) if kind not in POSITIVE else {}),
    )  # fmt: skip


def rank_among(draws: np.ndarray, truth: float, ranked: int) -> int:
    """Return how many of `ranked` evenly spaced draws lie below the truth."""
    kept = np.linspace(0, len(draws) - 1, ranked).astype(int)
    return int(np.sum(draws[kept] < truth))


def _standardised(draws: np.ndarray, truth: float, *, logarithmic: bool) -> float:
    """Return (median - truth) / sd, of logarithms for SDs; NaN where there is none."""
    if logarithmic:
        if truth <= 0 or draws.min() <= 0:
            return float("nan")
        draws, truth = np.log(draws), float(np.log(truth))
    spread = float(draws.std(ddof=1))
    return (float(np.median(draws)) - truth) / spread if spread > 0 else float("nan")


def _coverage(draws: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the share of columns whose equal-tailed interval holds the truth, for each mass."""
    found = {}
    for name, mass in MASSES.items():
        lo, hi = np.quantile(draws, [(1 - mass) / 2, (1 + mass) / 2], axis=0)
        found[name] = float(np.mean((lo <= truth) & (truth <= hi)))
    return found


def _claims(draws: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Count the columns whose 95 % interval excludes 0, and sum up what they claim and what is true of them."""
    lo, hi = np.quantile(draws, [0.025, 0.975], axis=0)
    claimed = (lo > 0) | (hi < 0)
    estimates = np.median(draws, axis=0)
    return {
        "claims": int(claimed.sum()),
        "wrong": int(np.sum(claimed & (np.sign(estimates) != np.sign(truth)))),
        "claimed": float(np.abs(estimates[claimed]).sum()),
        "claimed_truth": float(np.abs(truth[claimed]).sum()),
    }


def _block_row(block: Block) -> Row:
    """Return the row of a block: means over its levels, truth and draws centred within it."""
    truth = block.truth - block.truth.mean()
    draws = block.draws - block.draws.mean(axis=1, keepdims=True)
    estimates, sds = np.median(draws, axis=0), draws.std(axis=0, ddof=1)
    lo, hi = np.quantile(draws, [0.05, 0.95], axis=0)
    errors = estimates - truth
    moving = sds > 0
    z = errors[moving] / sds[moving]
    return _row(
        parameter=f"{block.group}: {block.term}", term=block.term, group=block.group, n_values=len(truth),
        sd=float(np.sqrt(np.mean(sds**2))), error=float(errors.mean()), squared=float(np.mean(errors**2)),
        width90=float(np.mean(hi - lo)), z=float(z.mean()) if len(z) else float("nan"),
        z_squared=float(np.mean(z**2)) if len(z) else float("nan"),
        **{"class": "effects"}, **_coverage(draws, truth), **_claims(draws, truth),
    )  # fmt: skip


def _level_row(block: Block, ranked: int) -> Row:
    """Return the row of a block's first level, as it is: calibration needs no centring."""
    key = f"{block.group}[{block.levels[0]}]: {block.term}"
    return _single(key, block.term, block.group, "level", block.draws[:, 0], float(block.truth[0]), ranked)


def _likelihood_row(model: Model, posterior: Any, truth: Mapping[str, Any], ranked: int) -> Row:
    """Return the row of the log-likelihood of the data, given all parameters, among the ranked draws alone."""
    size = posterior.sizes["chain"] * posterior.sizes["draw"]
    kept = np.linspace(0, size - 1, ranked).astype(int)
    mean = linear_predictor(model, posterior.to_dataset(), draws=kept)
    own = {name: np.ravel(posterior[name].to_numpy())[kept, None] for name in model.family.parameters}
    known = {name: float(truth[name]) for name in model.family.parameters}
    drawn = total_log_likelihood(model, mean, own)
    true = float(total_log_likelihood(model, _true_predictor(model, truth)[None], known)[0])
    # So few draws give ranks, but intervals that are short of their mass: 99 draws' 95 % interval covers 93 %.
    return _row(
        parameter=LOG_LIKELIHOOD, term=LOG_LIKELIHOOD, group="", n_values=1, truth=true, median=float(np.median(drawn)),
        sd=float(drawn.std(ddof=1)), pit=float(np.mean(drawn < true)), rank=int(np.sum(drawn < true)),
        **{"class": "fit"},
    )  # fmt: skip


def total_log_likelihood(model: Model, predictor: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Return the log-likelihood (draws,) of linear predictors (draws, n)."""
    means = inverse_link(model.family, predictor)
    return log_density(model.family, model.design.response, means, parameters).sum(axis=1)


def _true_predictor(model: Model, truth: Mapping[str, Any]) -> np.ndarray:
    """Return the true linear predictor of each row, for a truth by the names of the model."""
    design = model.design
    labels = [label for term in design.mean.fixed for label in term.columns]
    total: np.ndarray = design.mean.offset + design.mean.X @ np.array([float(truth[label]) for label in labels])
    for block in design.mean.groups:
        for column, slot in enumerate(block.slots):
            effects = pd.Series(truth[slot]).loc[list(block.levels)].to_numpy(dtype=float)
            total = total + block.values[:, column] * effects[block.codes]
    return total
