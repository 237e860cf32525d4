"""The tasks of a study, made of its arguments and checked before any worker starts."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.common.batch import Outcome, refuse_all_failed, run_batch
from speclet_formula.common.checkpoints import fingerprint, open_folder, spelled
from speclet_formula.common.engines import WITHOUT_DRAWS
from speclet_formula.design.level_matrices import given_matrices
from speclet_formula.design.merged import refuse_merged
from speclet_formula.design.tables import as_pandas, number_columns
from speclet_formula.errors import DataError, SamplingError
from speclet_formula.families import has_levels, resolve_family
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Call, Expression, Formula, Name, Operation, columns_of, text_of
from speclet_formula.inference.fit import FIT_SETTINGS, refuse_unknown, refuse_unused_settings
from speclet_formula.recovery.stated import check_truth
from speclet_formula.studies.data_sets import (
    FORMAT,
    STUDY,
    DataSet,
    Key,
    Task,
    load_outcome,
    prepare,
    run,
    save_outcome,
)

# By the exact engine: of 80 fits of small data sets 3 were flagged at 250 draws, by an R-hat between chains of so few,
# and none at 500, in the same time. An interval's ends then have a Monte Carlo error that takes 0.1 % off its coverage.
DRAWS, CHAINS = 500, 4
STUDY_SETTINGS = (
    "family",
    "link",
    "priors",
    "weights",
    "functions",
    "matrices",
)  # of Model; missing rows belong to one table


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
    drawn = settings.get("method") not in WITHOUT_DRAWS
    _check_settings(settings, calibration=any(truth is None for truth in params))
    model = {name: settings[name] for name in STUDY_SETTINGS if settings.get(name) is not None}
    if "matrices" in model:
        model["matrices"] = given_matrices(model["matrices"])
    sampling = {"draws": DRAWS, "chains": CHAINS} if drawn else {}
    sampling |= {name: settings[name] for name in FIT_SETTINGS if name in settings}
    _refuse_levels(model.get("family"))
    tasks = []
    for scenario, (design, truth) in enumerate(zip(designs, params, strict=True)):
        given = as_pandas(design)
        refuse_merged(given)
        table, made_by, fitted_by, of_model = _used(given, formula, fitted, model)
        task = Task(
            key="",
            scenario=scenario,
            formula=made_by,
            fitted=fitted_by,
            table=table,
            params=None if truth is None else dict(truth),
            model=of_model,
            fit=sampling,
            entropy=entropy,
            ranked=ranked,
            reml=reml and drawn,
        )
        tasks.append(_keyed(task))
    for task in tasks:
        simulator, _ = prepare(task)
        if task.params is not None:
            check_truth(simulator.layout, simulator.family, task.params)
    return tuple(tasks)


def _refuse_levels(family: str | None) -> None:
    if family is not None and has_levels(resolve_family(family)):
        raise SamplingError(
            f"a study of levels is not made, and the family is '{resolve_family(family).name}'.",
            "Studies and calibrations are of numbers, counts and shares.",
            "Write sf.simulate, a fit and sf.recover, with another random_seed each time.",
        )


def _check_settings(settings: Mapping[str, Any], *, calibration: bool) -> None:
    refuse_unknown(settings, STUDY_SETTINGS, drawn=True)
    if not isinstance(settings.get("weights"), str | None):
        raise SamplingError(
            f"weights= is a {type(settings['weights']).__name__}, and a study may have designs of several lengths.",
            "The weights of a study are the name of a column that its designs have.",
            "Put them into a column, and write weights='n'.",
        )
    if calibration and settings.get("method") in WITHOUT_DRAWS:
        raise SamplingError(
            f"method={settings['method']!r} gives no posterior to judge.",
            "Calibrated are methods that draw: auto, exact, hmc, nuts.",
            "Leave method= out; sf.study judges estimates of maximum likelihood.",
        )
    refuse_unused_settings(settings)


def _used(
    table: pd.DataFrame, formula: str | Formula, fitted: str | Formula | None, model: Mapping[str, Any]
) -> tuple[pd.DataFrame, str, str, dict[str, Any]]:
    """Return the columns that the formulas use, the formulas' full text, and the arguments of the model."""
    columns, known = [str(column) for column in table.columns], tuple(model.get("functions") or ())

    def read(given: str | Formula) -> Formula:
        if isinstance(given, Formula):
            return given
        return parse_formula(given, columns=columns, functions=known, numbers=number_columns(table))

    made_by = read(formula)
    fitted_by = made_by if fitted is None else read(fitted)
    if fitted_by.response != made_by.response:
        raise DataError(
            f"'{text_of(made_by)}' makes one response and '{text_of(fitted_by)}' fits another.",
            "Both formulas have the same response.",
            "Write the same name left of the ~.",
        )
    counted = _trials(table, made_by.response)
    if counted is not None:
        successes, trials = counted
        table = table.assign(**{f"trials of {successes.name}": trials})
        made_by, fitted_by = (replace(formula, response=successes) for formula in (made_by, fitted_by))
        model = {**model, "weights": f"trials of {successes.name}"}
        columns = [str(column) for column in table.columns]
    weights = [model["weights"]] if "weights" in model else _errors_named(made_by.response)
    used = [*columns_of(replace(made_by, response=None)), *columns_of(replace(fitted_by, response=None)), *weights]
    # Workers get no more than they need; a column that is not there is for the design to report.
    kept = list(dict.fromkeys(used)) if set(used) <= set(columns) else columns
    return table[kept].reset_index(drop=True), text_of(made_by), text_of(fitted_by), dict(model)


def _errors_named(response: Expression | None) -> list[str]:
    """Return the columns of the standard errors of se(y, sei), which each data set has in common."""
    if not isinstance(response, Call) or response.function != "se":
        return []
    return [name for argument in response.arguments[1:] for name in columns_of(argument.value)]


def _trials(table: pd.DataFrame, response: Expression | None) -> tuple[Name, pd.Series] | None:
    """Return the successes of cbind(s, f) or cbind(s, n - s), and the trials that the table has; else nothing.

    Each data set is drawn as shares of these trials, which is the same model: the successes of the table are not used
    but for their sum with the failures.
    """
    if not isinstance(response, Call) or response.function != "cbind":
        return None
    successes, failures = (argument.value for argument in response.arguments)
    if not isinstance(successes, Name):
        return None
    match failures:
        case Name() if {successes.name, failures.name} <= set(table.columns):
            return successes, table[successes.name] + table[failures.name]
        case Operation(operator="-", operands=(Name() as trials, taken)) if (
            taken == successes and trials.name in table.columns
        ):
            return successes, table[trials.name]
    return None


def _keyed(task: Task) -> Task:
    """Return the task with a key that only equal tasks share."""
    text = json.dumps([manifest_of([task]), task.scenario])
    return replace(task, key=hashlib.sha256(text.encode()).hexdigest())


def manifest_of(tasks: Sequence[Task]) -> dict[str, Any]:
    """Return all that settles the outcomes of tasks, as JSON has it."""
    first = tasks[0]
    return {
        "format": FORMAT,
        "formula": first.formula,
        "fitted": first.fitted,
        "settings": spelled({**first.model, **first.fit}),
        "designs": [fingerprint(task.table) for task in tasks],
        "params": [None if task.params is None else spelled(task.params) for task in tasks],
        "random_seed": first.entropy,
        "ranked": first.ranked,
        "reml": first.reml,
    }


def outcomes_of(
    tasks: Sequence[Task], n_sims: int, *, cores: int | None, progress: bool, folder: Path | None
) -> list[Outcome[Key, DataSet]]:
    """Make all data sets that are not in the folder yet, and return all outcomes by task and number.

    Raises
    ------
    DataError
        The folder belongs to another study, or holds a file that does.
    SamplingError
        Every data set failed.
    """
    wanted = {(task.scenario, number): (task, number) for task in tasks for number in range(n_sims)}
    load, save = None, None
    if folder is not None:
        owner = open_folder(folder, manifest_of(tasks), STUDY)
        load, save = partial(load_outcome, folder, owner), partial(save_outcome, folder, owner)
    outcomes = run_batch(run, wanted, what="data sets", cores=cores, progress=progress, load=load, save=save)
    refuse_all_failed(
        outcomes,
        "data sets",
        "A study needs fits to judge.",
        "Simulate one data set with sf.simulate, and fit it with the same arguments.",
    )
    return outcomes
