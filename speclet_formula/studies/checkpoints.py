"""Outcomes go into a study's folder, one small JSON file each, and come out of it again.

Whose folder it is, is left to `resumable`. A study can be killed at any time. Nothing is ever unpickled.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speclet_formula.common.resumable import FolderKind, write_whole
from speclet_formula.errors import DataError
from speclet_formula.studies.measures import ROW_COLUMNS

STUDY = FolderKind(
    manifest="study.json",
    work="study",
    writer="a study",
    own="A study keeps its results in a folder of its own.",
    files="A study writes one small file for each data set.",
    same="Only the same study can be taken up again; n_sims alone may change.",
    says="It says what study the folder's results belong to.",
)
FORMAT = 2  # 1 did not say in each file whose it is
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no names for them
_WORDS = ("reason", "verdict", "diagnosis")
_NUMBERS = ("ess_bulk_min", "r_hat_max", "seconds", "cpu_seconds")
_WORDS_OF_ROWS = ("parameter", "term", "group", "class")


def save_outcome(folder: Path, owner: str, outcome: Mapping[str, Any]) -> None:
    """Write the outcome of one data set."""
    place = folder / _name(outcome["scenario"], outcome["data_set"])
    write_whole(place, json.dumps(_plain({**outcome, "study": owner}), allow_nan=False).encode())


def load_outcome(folder: Path, owner: str, scenario: int, number: int) -> dict[str, Any] | None:
    """Return the outcome of one data set; None where there is none, or one that is not whole.

    Raises
    ------
    DataError
        The file cannot be opened, or is of other work.
    """
    place = folder / _name(scenario, number)
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _foreign(place, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        return None  # it is made again, and comes out the same
    if not isinstance(found, dict) or found.pop("study", None) != owner:
        raise _foreign(place, "is not of this study")
    try:
        outcome: dict[str, Any] = _restored(found)
        _check(outcome, scenario, number)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _foreign(place, "is not as this study wrote it") from error
    return outcome


def _foreign(place: Path, what: str) -> DataError:
    return DataError(
        f"the file '{place}' {what}.",
        "The folder of a study holds the files that the study wrote, and no others.",
        "Move it out of the folder; then the same call makes its data set again.",
    )


def _check(outcome: dict[str, Any], scenario: int, number: int) -> None:
    """Raise a ValueError, or what comes of numbers and names that are none, unless all is there and of its kind."""
    if (outcome["scenario"], outcome["data_set"]) != (scenario, number):
        raise ValueError("another data set")
    if outcome["status"] not in ("fitted", "failed") or not all(isinstance(outcome[name], str) for name in _WORDS):
        raise ValueError("words")
    rows = outcome["rows"]
    if list(rows) != list(ROW_COLUMNS) or len({len(column) for column in rows.values()}) != 1:
        raise ValueError("columns")
    if not all(isinstance(cell, str) for name in _WORDS_OF_ROWS for cell in rows[name]):
        raise ValueError("words of rows")
    cells = [cell for name, column in rows.items() if name not in _WORDS_OF_ROWS for cell in column]
    for value in [*(outcome[name] for name in _NUMBERS), *cells]:
        if type(value) not in (int, float) or not (math.isnan(value) or float(value) == value):
            raise ValueError("numbers")


def _name(scenario: int, number: int) -> str:
    return f"{scenario:03d}-{number:06d}.json"


def _plain(value: Any) -> Any:
    """Spell the numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(float(value))}
    return float(value) if isinstance(value, float) else value


def _restored(value: Any) -> Any:
    """Undo `_plain`."""
    if isinstance(value, dict):
        if set(value) == {"number"}:
            return _SPECIAL[value["number"]]
        return {name: _restored(part) for name, part in value.items()}
    return [_restored(part) for part in value] if isinstance(value, list) else value
