"""Calibration by simulation: whether the posteriors of a model are right on average over its priors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.checkpoints import seed_of
from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.design.tables import as_pandas
from speclet_formula.errors import PriorError
from speclet_formula.formula.terms import Formula
from speclet_formula.inference.plans import at_least
from speclet_formula.model import Model
from speclet_formula.posterior.prior_draws import check_proper
from speclet_formula.priors import PRESETS
from speclet_formula.studies.data_sets import STUDY, prepare
from speclet_formula.studies.study import FEWEST, MOST, RANKED
from speclet_formula.studies.summaries import (
    by_class,
    calibration_foot,
    class_summaries,
    data_sets_frame,
    ecdf,
    ecdf_band,
    parameter_summaries,
    rows_frame,
)
from speclet_formula.studies.tasks import STUDY_SETTINGS, make_tasks, outcomes_of

LEVEL = 0.99
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
FIXED_PRESETS = ("notebook",)  # whose priors look at no response
LEFT_OUT = ("power", "type_s", "type_m", "lme4_bias", "lme4_rmse")  # columns of a study that mean nothing here


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(Printed):
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

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        quantities = text_table(self.table[list(PRINTED_RANKS)], "By quantity", labels=2)
        return Sheet(self._title(), (), (by_class(self.classes, ()), quantities), self.foot)

    def _title(self) -> str:
        return (
            f"Calibration of {self.formula}: {self.n_sims:,} data sets drawn from the priors, seed {self.random_seed}"
        )


def calibrate(
    formula: str | Formula,
    data: Any,
    *,
    nsim: int = 1000,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
    folder: str | Path | None = None,
    ranked: int = RANKED,
    **settings: Any,
) -> Calibration:
    r"""Test an engine by simulation: draw parameters from the priors and data from these, fit, and rank the truth.

    If the engine is right, each true value is as likely to have any rank among the posterior's draws, and intervals
    cover as often as they say, averaged over the prior. `study` asks another question: how good estimates are at one
    truth, where a prior may well bias them.

    Parameters
    ----------
    formula : str or Formula
        The model that makes the data and is fitted.
    data : table
        Predictors and grouping factors. Priors are frozen before the first draw: where they are a preset's that is
        scaled to the response, `data` needs a response for that, and it serves for nothing else.
    nsim : int
        Data sets.
    random_seed, cores, progress, folder
        As in `study`.
    ranked : int
        Evenly spaced draws that each true value is ranked among.
    **settings
        As in `study`. Priors have to be proper.

    Returns
    -------
    Calibration
        Ranked are all scalars, the first level of each block of effects, and the log-likelihood of the data, which is
        sensitive to what scalars by themselves do not show.

    Raises
    ------
    PriorError
        A prior is improper, or would be scaled to a response that is not there.
    FormulaError, DataError, SamplingError
        As `study`.

    Notes
    -----
    The band of the ranks' ECDF holds for all points at once; it is exact, from the Markov chain of the counts. The
    p-value is that of the same statistic, the smallest pointwise tail.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari and Gelman (2018), doi:10.48550/arXiv.1804.06788. Säilynoja, Bürkner and Vehtari
    (2022), doi:10.1007/s11222-022-10090-6. The log-likelihood: Modrák et al. (2023), doi:10.1214/23-BA1404.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, _ = sf.datasets.m7()
    >>> found = sf.calibrate("log_fc ~ (1|gene/sgRNA) + (1|cell_line)", data, random_seed=1)  # doctest: +SKIP
    >>> found.calibrated  # doctest: +SKIP
    True
    """
    at_least("nsim", nsim, FEWEST, MOST)
    at_least("ranked", ranked, 1)
    directory = None if folder is None else Path(folder)
    frozen = settings | {"priors": _frozen(formula, as_pandas(data), settings)}
    tasks = make_tasks(
        formula, None, [data], [None], frozen, entropy=seed_of(random_seed, directory, STUDY), ranked=ranked, reml=False
    )
    check_proper(prepare(tasks[0])[1])
    cores = None if cores is None else at_least("cores", cores, 1)
    outcomes = outcomes_of(tasks, nsim, cores=cores, progress=progress, folder=directory)
    labels = pd.DataFrame(index=[0])
    rows, data_sets = rows_frame(outcomes, labels), data_sets_frame(outcomes, labels)
    table, curves = _with_bands(parameter_summaries(rows, data_sets, (), ranked), rows, ranked)
    smallest = float(table["rank_p"].min())
    return Calibration(
        formula=tasks[0].formula,
        n_sims=nsim,
        random_seed=tasks[0].entropy,
        ranked=ranked,
        level=LEVEL,
        calibrated=smallest * int(table["rank_p"].notna().sum()) > 1 - LEVEL,
        table=table,
        classes=class_summaries(rows, data_sets, ()),
        ecdf=curves,
        rows=rows,
        data_sets=data_sets,
        foot=calibration_foot(table, data_sets, outcomes, level=LEVEL),
    )


def _frozen(formula: str | Formula, table: pd.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the prior of every slot, resolved once: with the response, or, if no prior looks at it, without."""
    chosen = {name: settings[name] for name in STUDY_SETTINGS if settings.get(name) is not None}
    task = make_tasks(formula, None, [table], [None], settings, entropy=0, ranked=1, reml=False)[0]
    simulator, template = prepare(task)
    if simulator.response in table:
        slots = Model(task.formula, table, **chosen).slots
    else:
        slots = template.slots
        scaled = [slot.slot for slot in slots if slot.source in PRESETS and slot.source not in FIXED_PRESETS]
        if scaled:
            raise PriorError(
                f"the priors of {', '.join(map(repr, scaled))} are scaled to '{simulator.response}', which is no "
                "column of the data.",
                "A calibration freezes its priors before it draws from them.",
                "Add a response to the data, state these priors, or write priors='notebook'.",
            )
    return {slot.slot: slot.prior for slot in slots}


def _with_bands(table: pd.DataFrame, rows: pd.DataFrame, ranked: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table with what the ranks' ECDFs say, and the ECDFs themselves."""
    curves: list[pd.DataFrame] = []
    gaps: list[float] = []
    inside: list[bool | None] = []
    for parameter in table["parameter"]:
        ranks = rows.loc[rows["parameter"] == parameter, "rank"].dropna().to_numpy(dtype=int)
        if not len(ranks):
            gaps.append(float("nan"))
            inside.append(None)
            continue
        band, shares = ecdf_band(len(ranks), ranked, LEVEL), ecdf(ranks, ranked)
        gaps.append(float(np.abs(shares - band.points).max()))
        inside.append(bool(((band.lower <= shares) & (shares <= band.upper)).all()))
        curve = {"parameter": parameter, "share": band.points, "ecdf": shares, "difference": shares - band.points,
                 "lower": band.lower, "upper": band.upper}  # fmt: skip
        curves.append(pd.DataFrame(curve))
    dropped = [column for name in LEFT_OUT for column in (name, f"{name}_se")]
    judged = table.drop(columns=dropped).assign(gap=gaps, inside=pd.Series(inside, dtype=object))
    return judged, pd.concat(curves, ignore_index=True)
