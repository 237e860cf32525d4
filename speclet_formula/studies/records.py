"""What a study and a calibration are: frames and the sentences below them.

Nothing is computed here but the way they print; `study`, `power` and `calibrate` fill them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from speclet_formula.common.table import show

PRINTED = (
    "term", "group", "class", "truth", "bias", "rmse", "sd_ratio", "cover90", "width90", "z_sd", "rank_p", "power",
    "lme4_rmse",
)  # fmt: skip
PRINTED_RANKS = (
    "parameter",
    "class",
    "cover50",
    "cover90",
    "cover95",
    "z_sd",
    "contraction",
    "rank_p",
    "gap",
    "inside",
)
WITHOUT_EXPONENT = ("bias", "z_mean", "rank_p", "power")


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    r"""How well many data sets of one truth are recovered.

    Attributes
    ----------
    formula, fitted : str
        The model that made the data, and the one that was fitted.
    n_sims : int
        Data sets of each design.
    random_seed : int
        The seed of all; the same one gives the same study.
    designs : tuple of str
        Columns that tell the designs of a power analysis apart; they come first in every frame. Empty for one design.
    table : pandas.DataFrame
        One row per design and parameter. Blocks of group effects (class `effects`) have one row each, their numbers
        being means over the levels, truth and draws centred within the block. Each estimate is followed by its Monte
        Carlo standard error, `bias_se` and so on.

        * `parameter` (its name in a posterior), `term`, `group`, `class` (`b`, `sd`, `cor`, `sigma`, `family`,
          `effects`), `truth` (NaN where it differs between data sets or levels).
        * `n_sims`, `n_failed` (fits that ended in an error: in `data_sets` with their reason, and in no number here),
          `n_flagged` (fits whose diagnostics did not say "converged": they are counted in all numbers).
        * `bias`, `rmse`: mean and root mean square of posterior median - truth. `mean_sd`: mean posterior SD;
          `emp_sd`: SD of the errors between data sets (of effects: their rmse); `sd_ratio`: mean_sd / emp_sd, 1 where
          posterior SDs tell the size of the errors.
        * `cover50`, `cover90`, `cover95`: share of equal-tailed intervals that hold the truth. `cover90_lo`,
          `cover90_hi`: the binomial 99 % range of such a share at a coverage of 0.9; intervals that share a data set
          count as fewer, by the observed spread between data sets. `width90`: mean width of the 90 % intervals.
        * `z_mean`, `z_sd`: of (median - truth) / sd, for SDs on the log scale; 0 and 1 for normal posteriors.
        * `contraction`: mean of 1 - (sd / prior sd)^2. `rank_p`: p-value of uniform ranks of the truth among the draws.
        * `power`: share of 95 % intervals that exclude 0; where the truth is 0 that is the rate of false claims. NaN
          for SDs, which cannot be 0. `type_s`: share of the claims with the wrong sign; `type_m`: how much they
          exaggerate, sum of \|median\| / sum of \|truth\| among them.
        * `lme4_bias`, `lme4_rmse`: the same of the REML estimate, where there is one.
        * `seconds`: mean wall time of a data set.
    classes : pandas.DataFrame
        One row per design and class: `class`, `n_parameters`, `n_intervals`, `cover50`, `cover90`, `cover95` with their
        SEs, and the band `cover90_lo`, `cover90_hi`.
    rows : pandas.DataFrame
        One row per data set and parameter, for pictures: `data_set`, `parameter`, `term`, `group`, `class`, `n_values`
        (1, or the levels of a block), `truth`, `realized`, `median`, `sd`, `lo`, `hi` (90 %), `error`, `squared`,
        `cover50`, `cover90`, `cover95` (0 or 1, or a share of levels), `width90`, `z`, `z_squared`, `pit`, `rank`,
        `contraction`, `claims` (95 % intervals without 0), `wrong` (of these, with the wrong sign), `claimed`,
        `claimed_truth` (sums of \|median\| and \|truth\| over the claims), `lme4`. NaN where a column has no meaning.
    data_sets : pandas.DataFrame
        One row per data set: `data_set`, `status` ("fitted" or "failed"), `reason` (of a failure), `verdict`,
        `diagnosis`, `ess_bulk_min`, `r_hat_max`, `seconds` (wall), `cpu_seconds`.
    foot : tuple of str
        What to keep in mind while reading.
    """

    formula: str
    fitted: str
    n_sims: int
    random_seed: int
    designs: tuple[str, ...]
    table: pd.DataFrame
    classes: pd.DataFrame
    rows: pd.DataFrame
    data_sets: pd.DataFrame
    foot: tuple[str, ...]

    def __repr__(self) -> str:
        return _as_text(_title(self), _study_tables(self), self.foot)

    def _repr_html_(self) -> str:
        return _as_html(_title(self), _study_tables(self), self.foot)


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Whether posteriors are right on average over the prior: simulation-based calibration.

    Attributes
    ----------
    formula : str
    n_sims : int
        Data sets.
    random_seed : int
        The seed of all; the same one gives the same calibration.
    ranked : int
        Draws among which each true value is ranked, evenly spaced.
    level : float
        Probability that the ECDF of uniform ranks stays inside its band at all points.
    calibrated : bool
        Whether the smallest p-value, times the number of quantities, is above 1 - level.
    table : pandas.DataFrame
        One row per quantity: all columns of `Study.table` but those of lme4 and of power, then `gap`, the largest
        distance of the ranks' ECDF from the uniform's, and `inside`, whether it keeps inside its band everywhere. `b`,
        `sd`, `cor`, `sigma` and `family` are scalars, `level` the first level of each block of effects, `fit` the
        log-likelihood of the data (ranks alone), `effects` the mean over all levels (no ranks).
    classes : pandas.DataFrame
        As in `Study`.
    ecdf : pandas.DataFrame
        For pictures, one row per quantity and point: `parameter`, `share` (of the uniform), `ecdf`, `difference`, and
        the band `lower`, `upper` (of the ECDF).
    rows, data_sets : pandas.DataFrame
        As in `Study`; `rows["rank"]` has the ranks, from 0 to `ranked`.
    foot : tuple of str
        What to keep in mind while reading.
    """

    formula: str
    n_sims: int
    random_seed: int
    ranked: int
    level: float
    calibrated: bool
    table: pd.DataFrame
    classes: pd.DataFrame
    ecdf: pd.DataFrame
    rows: pd.DataFrame
    data_sets: pd.DataFrame
    foot: tuple[str, ...]

    def __repr__(self) -> str:
        return _as_text(_calibration_title(self), _calibration_tables(self), self.foot)

    def _repr_html_(self) -> str:
        return _as_html(_calibration_title(self), _calibration_tables(self), self.foot)


def _title(study: Study) -> str:
    fitted = "" if study.fitted == study.formula else f", fitted by {study.fitted}"
    of_each = " of each design" if study.designs else ""
    return f"Study of {study.formula}{fitted}: {study.n_sims:,} data sets{of_each}, seed {study.random_seed}"


def _calibration_title(found: Calibration) -> str:
    return f"Calibration of {found.formula}: {found.n_sims:,} data sets drawn from the priors, seed {found.random_seed}"


def _study_tables(study: Study) -> list[tuple[str, pd.DataFrame]]:
    columns = [*study.designs, *(name for name in PRINTED if study.table[name].notna().any())]
    return [
        ("By class (coverage of 90 % intervals, with its 99 % band):", _by_class(study.classes, study.designs)),
        ("By parameter:", _shown(study.table[columns])),
    ]


def _calibration_tables(found: Calibration) -> list[tuple[str, pd.DataFrame]]:
    return [
        ("By class (coverage of 90 % intervals, with its 99 % band):", _by_class(found.classes, ())),
        ("By quantity:", _shown(found.table[list(PRINTED_RANKS)])),
    ]


def _by_class(classes: pd.DataFrame, designs: Sequence[str]) -> pd.DataFrame:
    band = [f"{lo:.3f} to {hi:.3f}" for lo, hi in zip(classes["cover90_lo"], classes["cover90_hi"], strict=True)]
    shown = _shown(classes[[*designs, "class", "n_intervals", "cover50", "cover90"]])
    return shown.assign(band=band, cover95=[show(value) for value in classes["cover95"]])


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells as text."""
    return frame.apply(lambda c: c.map(lambda value: show(value, exponent=c.name not in WITHOUT_EXPONENT)))


def _as_text(title: str, tables: Sequence[tuple[str, pd.DataFrame]], foot: Sequence[str]) -> str:
    parts = [title]
    for heading, frame in tables:
        parts += ["", heading, frame.to_string(index=False)]
    return "\n".join([*parts, "", *foot])


def _as_html(title: str, tables: Sequence[tuple[str, pd.DataFrame]], foot: Sequence[str]) -> str:
    parts = [f"<p><strong>{escape(title)}</strong></p>"]
    for heading, frame in tables:
        parts += [f"<p>{escape(heading)}</p>", frame.to_html(index=False, escape=True, border=0)]
    return "\n".join([*parts, *(f"<p>{escape(sentence)}</p>" for sentence in foot)])
