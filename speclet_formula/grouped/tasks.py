"""One group's rows go in; its fit comes out as the bytes of a saved file, with the table that was made of it.

This runs in the workers. Where they are, and what becomes of the outcomes, is left to `fitting`.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.inference.fit import fit
from speclet_formula.model import Model
from speclet_formula.posterior.archive import save

type Outcome = dict[str, Any]


@dataclass(frozen=True, eq=False)
class GroupTask:
    """All that a worker needs to fit one group."""

    group: str
    formula: str
    rows: pd.DataFrame
    model: dict[str, Any]  # arguments of Model
    fit: dict[str, Any]  # arguments of fit
    seed: int
    summarise: Callable[[Any], pd.DataFrame]
    keep: bool  # whether the fit itself is wanted


def run_group(task: GroupTask) -> Outcome:
    """Fit one group and summarise it.

    Returns
    -------
    dict
        `group`, `status` ("fitted" or "failed"), `reason`, `verdict`, `seconds`; `table` (a frame, None of a failure)
        and `saved` (bytes, None of a failure or where fits are not kept).
    """
    started = time.perf_counter()
    outcome: Outcome = {
        "group": task.group,
        "status": "fitted",
        "reason": "",
        "verdict": "",
        "table": None,
        "saved": None,
    }
    try:
        arguments = {"cores": 1, **task.fit, "random_seed": task.seed, "progress": False}
        fitted = fit(Model(task.formula, task.rows, **task.model), **arguments)
        diagnostics = getattr(fitted, "diagnostics", None)
        table = task.summarise(fitted)
        outcome |= {
            "table": table.reset_index(drop=True),
            "verdict": getattr(diagnostics, "verdict", ""),
            "saved": _saved(fitted) if task.keep else None,
        }
    except Exception as error:  # whatever stops one group is counted with its reason; the others go on
        reason = (str(error).splitlines() or [""])[0]
        outcome |= {"status": "failed", "reason": f"{type(error).__name__}: {reason}", "table": None}
    outcome["seconds"] = time.perf_counter() - started
    return outcome


def _saved(fitted: Any) -> bytes:
    """Return a fit as the bytes of its file, which travel to wherever the caller is."""
    with tempfile.TemporaryDirectory() as folder:
        return save(fitted, Path(folder) / "group.fit").read_bytes()
