"""Outcomes go into a study's folder, one small JSON file each, and come out of it again.

Whose folder it is, is left to `resumable`. A study can be killed at any time. Nothing is ever unpickled.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speclet_formula.resumable import FolderKind, write_whole

STUDY = FolderKind(
    manifest="study.json",
    work="study",
    writer="a study",
    own="A study keeps its results in a folder of its own.",
    files="A study writes one small file for each data set.",
    same="Only the same study can be taken up again; n_sims alone may change.",
    says="It says what study the folder's results belong to.",
)
FORMAT = 1
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no names for them


def save_outcome(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Write the outcome of one data set."""
    place = folder / _name(outcome["scenario"], outcome["data_set"])
    write_whole(place, json.dumps(_plain(outcome), allow_nan=False).encode())


def load_outcome(folder: Path, scenario: int, number: int) -> dict[str, Any] | None:
    """Return the outcome of one data set; None where there is none, or none that can be read."""
    try:
        found = json.loads((folder / _name(scenario, number)).read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        return None  # it is made again, and comes out the same
    outcome: dict[str, Any] = _restored(found)
    return outcome


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
