"""Runs go in; medians, effective draws per second and how many times better one engine is come out.

Only arithmetic, on the records that JSON keeps, so that a table can be made again from a file.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

OWN = "exact"

type Record = Mapping[str, Any]


def summarise(runs: Sequence[Record]) -> list[dict[str, Any]]:
    """Summarise each contender's runs, in the order of their first ones.

    Parameters
    ----------
    runs : sequence of dict
        As `record_of` makes them, of one case.

    Returns
    -------
    list of dict
        One for each contender: `engine`, `status` (of its last run), `message`, `runs` (how many ended well). Of
        those after the first, or of the only one, the medians `process`, `call`, `warm`, `cpu` (seconds),
        `peak_bytes`, `ess`, `ess_per_second` (of the whole process), `ess_per_call_second` (imports and reading left
        out). Of the first one, in which all is compiled that later runs find compiled, `first` (seconds of the
        process) and `ess_per_first_second`. And how many times better `exact` is by each: `times_process`,
        `times_call`, `times_first`, `times_ess`, `times_ess_call`, `times_ess_first`. None where there is no number.
    """
    order = list(dict.fromkeys(run["engine"] for run in runs))
    rows = [_row([run for run in runs if run["engine"] == engine]) for engine in order]
    own = next((row for row in rows if row["engine"] == OWN), {})
    return [row | _compared(row, own) for row in rows]


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares slope of log values on log sizes: 1 is linear growth."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    products = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return products / sum((a - mean_x) ** 2 for a in x)


def _row(runs: Sequence[Record]) -> dict[str, Any]:
    """Return one contender's medians."""
    good = [run for run in runs if run["status"] == "ok"]
    first, later = good[:1], good[1:] or good
    row: dict[str, Any] = {
        "engine": runs[0]["engine"],
        "status": runs[-1]["status"],
        "message": runs[-1]["message"],
        "runs": len(good),
        "warm": _median([second for run in later for second in run["warm"]]),
    }
    row |= {name: _median([run[name] for run in later]) for name in ("process", "call", "cpu", "peak_bytes", "ess")}
    row["first"] = _median([run["process"] for run in first])
    row["ess_per_second"] = _median([_over(run["ess"], run["process"]) for run in later])
    row["ess_per_call_second"] = _median([_over(run["ess"], run["call"]) for run in later])
    row["ess_per_first_second"] = _median([_over(run["ess"], run["process"]) for run in first])
    return row


def _compared(row: Record, own: Record) -> dict[str, Any]:
    """Return how many times faster, or richer in effective draws per second, the exact engine is."""
    times = {f"times_{name}": _over(row[name], own.get(name)) for name in ("process", "call", "first")}
    rates = {"ess": "ess_per_second", "ess_call": "ess_per_call_second", "ess_first": "ess_per_first_second"}
    return times | {f"times_{name}": _over(own.get(rate), row[rate]) for name, rate in rates.items()}


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _over(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None
