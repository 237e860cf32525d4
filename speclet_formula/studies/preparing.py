"""The arguments of a study go in; tasks come out, checked before any worker starts."""

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.tables import as_pandas
from speclet_formula.errors import DataError, SamplingError, nearest
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Formula, columns_of, text_of
from speclet_formula.inference.fitting import fit
from speclet_formula.simulation import check_params
from speclet_formula.studies.checkpoints import read_manifest
from speclet_formula.studies.running import manifest_of
from speclet_formula.studies.tasks import Task, prepare

# The diagnostics ask for 400 effective draws: of 1,000 by the exact engine none of 12 fits of data like m7's had fewer.
# An interval's ends then have a Monte Carlo error that takes 0.2 % off its coverage.
DRAWS, CHAINS = 250, 4
MODEL_SETTINGS = ("family", "link", "priors", "functions")
FIT_SETTINGS = tuple(
    name for name in inspect.signature(fit).parameters if name not in ("model", "cores", "random_seed", "progress")
)


def make_tasks(
    formula: str | Formula,
    fitted: str | Formula | None,
    designs: Sequence[Any],
    params: Sequence[Mapping[str, Any] | None],
    settings: Mapping[str, Any],
    *,
    entropy: int,
    ranked: int,
    reml: bool,
) -> tuple[Task, ...]:
    """Return one task for each design, with its params.

    Raises
    ------
    FormulaError, DataError, PriorError, SamplingError
        As `simulate`, `Model` and `fit`: whatever would fail in each data set fails here.
    """
    _check_settings(settings)
    model = {name: settings[name] for name in MODEL_SETTINGS if settings.get(name) is not None}
    sampling = {"draws": DRAWS, "chains": CHAINS}
    sampling |= {name: settings[name] for name in FIT_SETTINGS if name in settings}
    tasks = []
    for scenario, (design, truth) in enumerate(zip(designs, params, strict=True)):
        table, made_by, fitted_by = _used(as_pandas(design), formula, fitted, model.get("functions"))
        task = Task(
            key="",
            scenario=scenario,
            formula=made_by,
            fitted=fitted_by,
            table=table,
            params=None if truth is None else dict(truth),
            model=model,
            fit=sampling,
            entropy=entropy,
            ranked=ranked,
            reml=reml,
        )
        tasks.append(_keyed(task))
    for task in tasks:
        simulator, _ = prepare(task)
        if task.params is not None:
            check_params(simulator, task.params)
    return tuple(tasks)


def seed_of(random_seed: int | None, folder: Path | None) -> int:
    """Return the seed: the given one, that of the study in the folder, or a fresh one."""
    if random_seed is not None:
        return int(random_seed)
    known = None if folder is None or not folder.is_dir() else read_manifest(folder)
    if known is not None and isinstance(known.get("random_seed"), int):
        return int(known["random_seed"])
    return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])


def check_number(name: str, value: int, least: int) -> int:
    """Return a whole number of at least `least`, or raise a SamplingError."""
    if type(value) is not int or value < least:
        raise SamplingError(
            f"{name}={value!r} is out of range.",
            f"{name} is a whole number of at least {least}.",
            f"Leave {name}= out for its default.",
        )
    return value


def _check_settings(settings: Mapping[str, Any]) -> None:
    known = (*MODEL_SETTINGS, *FIT_SETTINGS)
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None:
        near = nearest(unknown, known)
        raise SamplingError(
            f"there is no setting '{unknown}'.",
            f"Of Model there are {', '.join(MODEL_SETTINGS)}; of fit {', '.join(FIT_SETTINGS)}.",
            f"Nearest: '{near}'." if near else "Leave it out.",
        )
    if settings.get("method") in ("reml", "ml"):
        raise SamplingError(
            f"method={settings['method']!r} gives no posterior to judge.",
            "Methods: auto, exact, nuts. The REML estimates stand beside them in the columns of lme4.",
            "Leave method= out.",
        )


def _used(
    table: pd.DataFrame, formula: str | Formula, fitted: str | Formula | None, functions: Mapping[str, Any] | None
) -> tuple[pd.DataFrame, str, str]:
    """Return the columns that the formulas use, and the formulas' full text."""
    columns, known = [str(column) for column in table.columns], tuple(functions or ())

    def read(given: str | Formula) -> Formula:
        return given if isinstance(given, Formula) else parse_formula(given, columns=columns, functions=known)

    made_by = read(formula)
    fitted_by = made_by if fitted is None else read(fitted)
    if fitted_by.response != made_by.response:
        raise DataError(
            f"'{text_of(made_by)}' makes one response and '{text_of(fitted_by)}' fits another.",
            "Both formulas have the same response.",
            "Write the same name left of the ~.",
        )
    used = [*columns_of(replace(made_by, response=None)), *columns_of(replace(fitted_by, response=None))]
    # Workers get no more than they need; a column that is not there is for the design to report.
    kept = list(dict.fromkeys(used)) if set(used) <= set(columns) else columns
    return table[kept].reset_index(drop=True), text_of(made_by), text_of(fitted_by)


def _keyed(task: Task) -> Task:
    """Return the task with a key that only equal tasks share."""
    text = json.dumps([manifest_of([task]), task.scenario])
    return replace(task, key=hashlib.sha256(text.encode()).hexdigest())
