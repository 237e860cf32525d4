"""What many data sets come to: frames by parameter and by class, the sentences below them, and how both are printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import gammaln
from scipy.stats import binom, norm

from speclet_formula.common.batch import Outcome, reasons
from speclet_formula.common.table import Table, p_value, text_table
from speclet_formula.studies.data_sets import MASSES, ROW_COLUMNS, DataSet, Key, facts

BAND = 0.99  # mass of the bands of coverage
NOMINAL = 0.9
SINGULAR = "singular"  # the verdict of a fit without draws, which is no doubt of it
ESTIMATES = (
    "bias", "rmse", "mean_sd", "emp_sd", "sd_ratio", "cover50", "cover90", "cover95", "width90", "z_mean", "z_sd",
    "contraction", "power", "type_s", "type_m", "lme4_bias", "lme4_rmse", "seconds",
)  # fmt: skip
COUNTS = ("n_sims", "n_failed", "n_flagged")
IDENTITY = ("parameter", "term", "group", "class")
type Estimate = tuple[float, float]  # with its SE
NOTHING: Estimate = (float("nan"), float("nan"))
_OF_DATA_SETS = (
    "data_set", "status", "reason", "verdict", "diagnosis", "ess_bulk_min", "r_hat_max", "seconds", "cpu_seconds",
)  # fmt: skip
_OF_DESIGNS = ("n_sims", "n_failed", "n_flagged", "bias", "rmse", "mean_sd", "emp_sd", "sd_ratio", "power")
COLUMNS = (*ROW_COLUMNS, *_OF_DATA_SETS, *_OF_DESIGNS)  # names that no design's label can have
PRINTED = (
    "term", "group", "class", "truth", "bias", "rmse", "sd_ratio", "cover90", "width90", "z_sd", "rank_p", "power",
    "lme4_rmse",
)  # fmt: skip


def rows_frame(outcomes: Sequence[Outcome[Key, DataSet]], labels: pd.DataFrame) -> pd.DataFrame:
    """Return one row per data set and parameter, behind the labels of its design."""
    frames = [
        pd.DataFrame(outcome.result.rows).assign(scenario=outcome.key[0], data_set=outcome.key[1])
        for outcome in outcomes
        if outcome.result is not None
    ]
    rows = pd.concat(frames, ignore_index=True)
    named = labels.iloc[rows["scenario"]].reset_index(drop=True)
    return pd.concat([named, rows[["data_set", *ROW_COLUMNS]]], axis=1)


def data_sets_frame(outcomes: Sequence[Outcome[Key, DataSet]], labels: pd.DataFrame) -> pd.DataFrame:
    """Return one row per data set, the failed ones with their reason."""
    columns = ("scenario", *_OF_DATA_SETS)
    rows = pd.DataFrame([facts(outcome) for outcome in outcomes], columns=list(columns))
    named = labels.iloc[rows["scenario"]].reset_index(drop=True)
    return pd.concat([named, rows.drop(columns="scenario")], axis=1)


def parameter_summaries(rows: pd.DataFrame, data_sets: pd.DataFrame, keys: Sequence[str], ranked: int) -> pd.DataFrame:
    """Return one row per design and parameter."""
    summaries = []
    for known, sets in _by_design(data_sets, keys):
        counts = _counts(sets)
        seconds = _mean(sets["seconds"])
        here = _same_design(rows, known)
        for _, part in here.groupby("parameter", sort=False):
            estimates = _estimates(part) | {"seconds": seconds}
            summaries.append(known | _identity(part) | counts | _spread(part, estimates, ranked))
    return pd.DataFrame(summaries)


def class_summaries(rows: pd.DataFrame, data_sets: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return one row per design and class of parameters."""
    summaries = []
    for known, _ in _by_design(data_sets, keys):
        here = _same_design(rows, known)
        for kind, part in here[here["cover90"].notna()].groupby("class", sort=False):
            row = known | {
                "class": kind,
                "n_parameters": part["parameter"].nunique(),
                "n_intervals": int(part["n_values"].sum()),
            }
            for name in MASSES:
                share, se, _ = _coverage(part, name)
                row |= {name: share, f"{name}_se": se}
            summaries.append(row | _band(part))
    return pd.DataFrame(summaries)


def _by_design(data_sets: pd.DataFrame, keys: Sequence[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    if not keys:
        return [({}, data_sets)]
    groups = data_sets.groupby(list(keys), sort=False, dropna=False)
    return [(dict(zip(keys, values, strict=True)), part) for values, part in groups]


def _same_design(rows: pd.DataFrame, known: dict[str, Any]) -> pd.DataFrame:
    same = np.ones(len(rows), dtype=bool)
    for name, value in known.items():
        same &= (rows[name] == value).to_numpy()
    return rows[same]


def _identity(part: pd.DataFrame) -> dict[str, Any]:
    first = part.iloc[0]
    truths = part["truth"].to_numpy()
    constant = np.ptp(truths) <= 1e-12 * np.abs(truths).max()  # NaN for effects, which differ by level
    return {name: first[name] for name in IDENTITY} | {"truth": float(truths[0]) if constant else float("nan")}


def _counts(sets: pd.DataFrame) -> dict[str, int]:
    fitted = sets["status"] == "fitted"
    flagged = fitted & (sets["verdict"] != "converged")
    return {"n_sims": len(sets), "n_failed": int((~fitted).sum()), "n_flagged": int(flagged.sum())}


def _spread(part: pd.DataFrame, estimates: dict[str, Estimate], ranked: int) -> dict[str, float]:
    """Return the estimates and their SEs as columns, the band and the ranks' p-value beside them."""
    row: dict[str, float] = {}
    for name in ESTIMATES:
        value, se = estimates[name]
        row |= {name: value, f"{name}_se": se}
        if name == "cover90":
            row |= _band(part)
        if name == "contraction":
            row["rank_p"] = _rank_p(part["rank"], ranked)
    return row


def _estimates(part: pd.DataFrame) -> dict[str, Estimate]:
    """Return what all data sets say of one parameter."""
    rmse = _root(_mean(part["squared"]))
    scalar = bool((part["n_values"] == 1).all())
    mean_sd = _mean(part["sd"])
    emp_sd = _deviation(part["error"]) if scalar else rmse
    lme4 = (part["lme4"] - part["truth"]).dropna()
    return {
        "bias": _mean(part["error"]),
        "rmse": rmse,
        "mean_sd": mean_sd,
        "emp_sd": emp_sd,
        "sd_ratio": _quotient(mean_sd, emp_sd),
        **{name: _coverage(part, name)[:2] for name in MASSES},
        "width90": _mean(part["width90"]),
        "z_mean": _mean(part["z"]),
        "z_sd": _deviation(part["z"]) if scalar else _root(_mean(part["z_squared"] - part["z"] ** 2)),
        "contraction": _median(part["contraction"]),
        "power": _ratio(part["claims"], part["n_values"]),
        "type_s": _ratio(part["wrong"], part["claims"]),
        "type_m": _ratio(part["claimed"], part["claimed_truth"]),
        "lme4_bias": _mean(lme4),
        "lme4_rmse": _root(_mean(lme4**2)),
    }


def _mean(values: pd.Series) -> Estimate:
    known = values.dropna().to_numpy(dtype=float)
    if not len(known):
        return NOTHING
    se = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")
    return float(known.mean()), se


def _median(values: pd.Series) -> Estimate:
    """Return a median, and half the distance of the order statistics that bound it as often as an SE does."""
    known = np.sort(values.dropna().to_numpy(dtype=float))
    if not len(known):
        return NOTHING
    low, high = (int(binom.ppf(norm.cdf(z), len(known), 0.5)) for z in (-1.0, 1.0))
    se = float(known[min(high, len(known) - 1)] - known[low]) / 2 if len(known) > 1 else float("nan")
    return float(np.median(known)), se


def _root(mean: Estimate) -> Estimate:
    """Return the square root of a mean, its SE by the delta method."""
    root = float(np.sqrt(max(mean[0], 0.0))) if np.isfinite(mean[0]) else float("nan")
    return root, mean[1] / (2 * root) if root > 0 else float("nan")


def _deviation(values: pd.Series) -> Estimate:
    """Return an SD; its SE is that of normal values."""
    known = values.dropna().to_numpy(dtype=float)
    if len(known) < 2:  # noqa: PLR2004 - an SD needs two
        return NOTHING
    sd = float(known.std(ddof=1))
    return sd, sd / float(np.sqrt(2 * (len(known) - 1)))


def _quotient(above: Estimate, below: Estimate) -> Estimate:
    """Return a quotient of two estimates, as if they were independent."""
    if not (above[0] > 0 and below[0] > 0):
        return NOTHING
    value = above[0] / below[0]
    return value, value * float(np.hypot(above[1] / above[0], below[1] / below[0]))


def _ratio(above: pd.Series, below: pd.Series) -> Estimate:
    """Return a ratio of sums over data sets, its SE by linearisation."""
    known = above.notna() & below.notna()
    a, b = above[known].to_numpy(dtype=float), below[known].to_numpy(dtype=float)
    if not b.sum() > 0:
        return NOTHING
    value = float(a.sum() / b.sum())
    return value, float(np.sqrt(np.sum((a - value * b) ** 2)) / b.sum())


def _coverage(part: pd.DataFrame, name: str) -> tuple[float, float, float]:
    """Return the share of intervals that hold the truth, its SE between data sets, and the effective intervals."""
    if part[name].isna().all():  # ranked without an interval
        return float("nan"), float("nan"), float("nan")
    weighted = pd.DataFrame(
        {"held": part[name] * part["n_values"], "n": part["n_values"], "data_set": part["data_set"]}
    )
    sums = weighted.groupby("data_set")[["held", "n"]].sum()
    share, se = _ratio(sums["held"], sums["n"])
    total, n_sets = float(sums["n"].sum()), len(sums)
    alone = np.sqrt(share * (1 - share) / total)  # were all intervals independent
    # One interval for each data set is independent of the others; several share their data.
    inflation = (se / alone) ** 2 if alone > 0 and total > n_sets else 1.0
    return share, se, total / max(inflation, 1.0)


def _band(part: pd.DataFrame) -> dict[str, float]:
    """Return the range of a coverage of 90 % by chance alone."""
    if part["cover90"].isna().all():
        return {"cover90_lo": float("nan"), "cover90_hi": float("nan")}
    effective = round(_coverage(part, "cover90")[2])
    lo, hi = binom.interval(BAND, effective, NOMINAL)
    return {"cover90_lo": float(lo / effective), "cover90_hi": float(hi / effective)}


def _rank_p(ranks: pd.Series, ranked: int) -> float:
    known = ranks.dropna().to_numpy(dtype=int)
    return uniformity(known, ranked)


def study_foot(
    table: pd.DataFrame, classes: pd.DataFrame, data_sets: pd.DataFrame, outcomes: Sequence[Outcome[Key, DataSet]]
) -> tuple[str, ...]:
    """Return what to keep in mind of a study."""
    return (_bands(classes), _by_chance(table), *fits_sentences(data_sets, outcomes))


def calibration_foot(
    quantities: pd.DataFrame, data_sets: pd.DataFrame, outcomes: Sequence[Outcome[Key, DataSet]], *, level: float
) -> tuple[str, ...]:
    """Return what to keep in mind of a calibration."""
    ranked = quantities[quantities["rank_p"].notna()]
    worst = ranked.loc[ranked["rank_p"].idxmin()]
    outside = ranked.loc[~ranked["inside"].astype(bool), "parameter"].tolist()
    named = f"{len(outside)} of {len(ranked)} quantities" + (f" ({', '.join(outside)})" if outside else "")
    smallest = f"The smallest p-value is {p_value(worst['rank_p'])}, of {worst['parameter']}."
    return (
        f"The ranks of {named} stray from the uniform's {level:.0%} band; chance alone would take "
        f"{len(ranked) * (1 - level):.2f} there. {smallest}",
        *fits_sentences(data_sets, outcomes),
    )


def fits_sentences(data_sets: pd.DataFrame, outcomes: Sequence[Outcome[Key, DataSet]]) -> tuple[str, ...]:
    """Say how many fits failed, and why, and how many are flagged."""
    failed = int((data_sets["status"] == "failed").sum())
    fitted = data_sets[data_sets["status"] == "fitted"]
    flagged = fitted[~fitted["verdict"].isin(["converged", SINGULAR])]
    singular = int((fitted["verdict"] == SINGULAR).sum())
    sentences = []
    if failed:
        counted = reasons(outcomes)
        sentences.append(f"{failed:,} of {len(data_sets):,} fits failed and are in no number above: {counted}.")
    if len(flagged):
        failing = int((flagged["verdict"] == "failed").sum())
        sentences.append(
            f"{len(flagged):,} of {len(data_sets):,} fits are flagged by their diagnostics, {failing:,} of them as "
            "failed to converge; they count in the numbers above."
        )
    if singular:
        sentences.append(
            f"{singular:,} of {len(data_sets):,} fits are singular, a variance being estimated as zero or a "
            "correlation as 1 or -1; they count in the numbers above."
        )
    return tuple(sentences) or ("All fits converged.",)


def _bands(classes: pd.DataFrame) -> str:
    """Say which classes' coverage lies outside its band."""
    if classes.empty:
        return "No parameter has intervals."
    outside = classes[(classes["cover90"] < classes["cover90_lo"]) | (classes["cover90"] > classes["cover90_hi"])]
    if outside.empty:
        return "The coverage of the 90 % intervals lies inside its band for every class of parameter."
    named = [f"{row['class']} ({row['cover90']:.3f})" for _, row in outside.iterrows()]
    return f"The coverage of the 90 % intervals lies outside its band for {', '.join(named)}."


def _by_chance(table: pd.DataFrame) -> str:
    """Say how many of the single parameters' coverages lie outside their bands."""
    known = table[table["cover90"].notna()]
    outside = int(np.sum((known["cover90"] < known["cover90_lo"]) | (known["cover90"] > known["cover90_hi"])))
    return (
        f"By parameter it lies outside for {outside} of {len(known)}; chance alone would take "
        f"{0.01 * len(known):.2f} there."
    )


def by_class(classes: pd.DataFrame, designs: Sequence[str]) -> Table:
    """Tabulate the classes of parameters, the band of coverage in one cell."""
    if classes.empty:
        return Table("", (), ())
    band = [f"{lo:.3f} to {hi:.3f}" for lo, hi in zip(classes["cover90_lo"], classes["cover90_hi"], strict=True)]
    shown = classes[[*designs, "class", "n_intervals", "cover50", "cover90"]].assign(
        band=band, cover95=classes["cover95"]
    )
    return text_table(shown, "By class (coverage of 90 % intervals, with its 99 % band)", labels=len(designs) + 1)


BISECTIONS = 18  # of the logarithm of the band's pointwise level: to a part in 10^4
SHORT = 1e-9  # a tail probability this much above the limit is the same but for rounding


@dataclass(frozen=True, eq=False)
class Band:
    """Bounds of the ECDF of N uniform ranks that hold at all points at once with a stated probability."""

    points: np.ndarray  # (S,) shares (k + 1) / (S + 1), k = 0, ..., S - 1
    lower: np.ndarray  # (S,) lowest share of ranks up to k
    upper: np.ndarray  # (S,)
    level: float


def ecdf(ranks: np.ndarray, n_draws: int) -> np.ndarray:
    """Return the share of ranks up to k = 0, ..., S - 1, (S,), for ranks (N,) among S draws.

    Examples
    --------
    >>> ecdf(np.array([0, 0, 2, 3]), 3).tolist()
    [0.5, 0.5, 0.75]
    """
    return np.asarray(np.cumsum(np.bincount(ranks, minlength=n_draws + 1))[:-1] / len(ranks))


@lru_cache(maxsize=32)
def ecdf_band(n_ranks: int, n_draws: int, level: float) -> Band:
    """Return the simultaneous band of the ECDF of uniform ranks.

    Parameters
    ----------
    n_ranks : int
        N, the number of ranks.
    n_draws : int
        S, the number of draws that each was ranked among.
    level : float
        Probability that uniform ranks stay inside at all points.

    Returns
    -------
    Band
        The narrowest whose pointwise tails are all alike; it holds `level` or, since counts are whole numbers, a
        little more.

    Examples
    --------
    >>> band = ecdf_band(100, 9, 0.95)
    >>> print(band.lower[4].round(2), band.upper[4].round(2))
    0.37 0.63
    """
    low, high = (1 - level) / n_draws, 1.0  # Bonferroni's level is always narrow enough
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(low * high))
        inside = _probability_inside(n_ranks, *_bounds(n_ranks, n_draws, middle))
        low, high = (middle, high) if inside >= level else (low, middle)
    lower, upper = _bounds(n_ranks, n_draws, low)
    return Band(_shares(n_draws), lower / n_ranks, upper / n_ranks, level)


def uniformity(ranks: np.ndarray, n_draws: int) -> float:
    """Return the exact p-value of uniform ranks, by the largest departure of their ECDF.

    Parameters
    ----------
    ranks : array of int, shape (N,)
        Each of 0, ..., S.
    n_draws : int
        S.

    Returns
    -------
    float
        The probability that N uniform ranks somewhere stray as far as these do, in terms of the pointwise binomial
        tails; NaN without ranks.

    Examples
    --------
    >>> uniformity(np.zeros(20, dtype=int), 9) < 1e-10
    True
    """
    if not len(ranks):
        return float("nan")
    counts = np.rint(ecdf(ranks, n_draws) * len(ranks)).astype(int)
    below, above = _tails(len(ranks), n_draws)
    where = np.arange(n_draws)
    smallest = float(2 * np.minimum(below[where, counts], above[where, counts]).min())
    return float(np.clip(1 - _probability_inside(len(ranks), *_bounds(len(ranks), n_draws, smallest)), 0, 1))


def _shares(n_draws: int) -> np.ndarray:
    return np.arange(1, n_draws + 1) / (n_draws + 1)


@lru_cache(maxsize=8)
def _tails(n: int, n_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return P(C_k <= c) and P(C_k >= c), (S, n + 1) each."""
    counts, shares = np.arange(n + 1), _shares(n_draws)[:, None]
    return stats.binom.cdf(counts, n, shares), stats.binom.sf(counts - 1, n, shares)


def _bounds(n: int, n_draws: int, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest counts (S,) whose two tail probabilities are above the limit."""
    below, above = _tails(n, n_draws)
    beyond = limit * (1 + SHORT)
    return (2 * below <= beyond).sum(axis=1), (2 * above > beyond).sum(axis=1) - 1


def _probability_inside(n: int, lower: np.ndarray, upper: np.ndarray) -> float:
    """Return the probability that uniform ranks have counts from lower to upper at all points."""
    if (lower > upper).any():
        return 0.0
    logs = gammaln(np.arange(n + 1) + 1.0)  # of factorials
    known, mass = np.zeros(1, dtype=int), np.ones(1)
    for k, (first, last) in enumerate(zip(lower, upper, strict=True)):
        share = 1 / (len(lower) + 1 - k)  # of the ranks above k - 1, those that are k
        counts = np.arange(first, last + 1)
        added, left = counts[None] - known[:, None], n - known[:, None]
        rest = left - added
        possible = (added >= 0) & (rest >= 0)
        log_mass = (
            logs[left] - logs[np.maximum(added, 0)] - logs[np.maximum(rest, 0)]
            + added * np.log(share) + rest * np.log1p(-share)
        )  # fmt: skip
        mass = mass @ np.where(possible, np.exp(np.where(possible, log_mass, 0.0)), 0.0)
        known = counts
    return float(mass.sum())
