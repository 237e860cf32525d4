"""A task and the number of a data set go in; what that data set leaves behind comes out, as plain numbers and words.

This runs in the workers. Where they are, and what becomes of the outcomes, is left to `running`.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.inference.fit import fit
from speclet_formula.inference.refit import with_response
from speclet_formula.model import Model
from speclet_formula.recovery.simulate import Simulator, draw_data, simulator_of
from speclet_formula.studies.measures import ROW_COLUMNS, measure
from speclet_formula.studies.prior_truths import truth_from_priors

type Outcome = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Task:
    """All that a worker needs to make, fit and judge the data sets of one design and one truth."""

    key: str  # tells tasks apart in a worker's memory
    scenario: int  # position among the designs of a study
    formula: str  # that makes the data
    fitted: str  # that is fitted
    table: pd.DataFrame  # predictors and factors
    params: dict[str, Any] | None  # None: drawn from the priors
    model: dict[str, Any]  # arguments of Model: family, link, priors, functions
    fit: dict[str, Any]  # arguments of fit
    entropy: int  # of all seeds
    ranked: int
    reml: bool


# Formulas and tables are read once in each process, by the task's key: tasks themselves arrive as copies.
_READY: dict[str, tuple[Simulator, Model]] = {}
MOST_READY = 4


def prepare(task: Task) -> tuple[Simulator, Model]:
    """Return what draws a task's data, and the model to be fitted with a response that is only there to be replaced.

    Raises
    ------
    FormulaError, DataError, PriorError
        As `simulate` and `Model`.
    """
    if task.key not in _READY:
        options = {name: task.model[name] for name in ("family", "link", "weights", "functions") if name in task.model}
        simulator = simulator_of(task.formula, task.table, **options)
        # Zeros and ones: every family can have them, and their mean has every link.
        response = (np.arange(len(task.table)) + 1) % 2
        model = Model(task.fitted, task.table.assign(**{simulator.response: response}), **task.model)
        while len(_READY) >= MOST_READY:
            del _READY[next(iter(_READY))]
        _READY[task.key] = (simulator, model)
    return _READY[task.key]


def run(task: Task, number: int) -> Outcome:
    """Simulate, fit and judge one data set.

    Parameters
    ----------
    task : Task
    number : int
        Of the data set: together with the task's entropy it settles every random number, whoever runs it.

    Returns
    -------
    dict
        `scenario`, `data_set`, `status` ("fitted" or "failed"), `reason` (of a failure, else ""), `verdict`,
        `diagnosis`, `ess_bulk_min` and `r_hat_max` of the fit, `seconds` of wall time, `cpu_seconds`, and `rows`: a
        list for each of `measures.ROW_COLUMNS`.
    """
    started, processor = time.perf_counter(), time.process_time()
    outcome: Outcome = {
        "scenario": task.scenario,
        "data_set": number,
        "status": "fitted",
        "reason": "",
        "verdict": "",
        "diagnosis": "",
        "ess_bulk_min": float("nan"),
        "r_hat_max": float("nan"),
    }
    try:
        rows = _rows(task, number, outcome)
    except Exception as error:  # whatever stops one fit is counted with its reason; the study goes on
        outcome |= {"status": "failed", "reason": f"{type(error).__name__}: {_first_line(error)}"}
        rows = []
    outcome["seconds"] = time.perf_counter() - started
    outcome["cpu_seconds"] = time.process_time() - processor
    outcome["rows"] = {column: [row[column] for row in rows] for column in ROW_COLUMNS}
    return outcome


def _rows(task: Task, number: int, outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rows of one data set, and note in its outcome how the fit went."""
    drawing, fitting = np.random.SeedSequence(task.entropy, spawn_key=(task.scenario, number)).spawn(2)
    rng = np.random.default_rng(drawing)
    simulator, template = prepare(task)
    params = truth_from_priors(template, rng) if task.params is None else task.params
    response, effects = draw_data(simulator, params, rng)
    seed = int(fitting.generate_state(1)[0])
    fitted = fit(with_response(template, response), cores=1, progress=False, random_seed=seed, **task.fit)
    found = fitted.diagnostics
    outcome |= {
        "verdict": found.verdict,
        "diagnosis": found.sentence,
        "ess_bulk_min": float(found.ess_bulk_min),
        "r_hat_max": float(found.r_hat_max),
    }
    truth = {**params, **effects}
    return measure(fitted, truth, ranked=task.ranked, reml=task.reml, calibration=task.params is None)


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message: what is wrong."""
    return (str(error).splitlines() or [""])[0]
