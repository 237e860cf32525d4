"""Outcomes go in, one small JSON file each, in a folder that says what study it belongs to; they come out again.

Files are written beside their place and moved, so that a study can be killed at any time. Nothing is ever unpickled.
"""

import json
import math
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speclet_formula.errors import DataError

MANIFEST = "study.json"
FORMAT = 1
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no names for them


def open_folder(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Make a folder for a study, or check that it belongs to this one.

    Parameters
    ----------
    folder : Path
    manifest : mapping
        All that settles the outcomes, as JSON has it.

    Raises
    ------
    DataError
        The folder cannot be made, holds something else, or the outcomes of another study.
    """
    place = folder / MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = read_manifest(folder)
        if known is None and any(folder.iterdir()):
            raise DataError(
                f"the folder '{folder}' holds other files, and none called {MANIFEST}.",
                "A study keeps its results in a folder of its own.",
                "Choose a folder that is empty, or not there yet.",
            )
        if known is None:
            _write(place, dict(manifest))
    except OSError as error:
        raise DataError(
            f"the folder '{folder}' cannot be used: {error.strerror or error}.",
            "A study writes one small file for each data set.",
            "Choose a folder that can be written to.",
        ) from error
    changed = [] if known is None else [name for name in manifest if known.get(name) != manifest[name]]
    if changed:
        raise DataError(
            f"the folder '{folder}' belongs to another study: {', '.join(changed)} "
            f"{'differs' if len(changed) == 1 else 'differ'}.",
            "Only the same study can be taken up again; n_sims alone may change.",
            "Choose another folder, or give the arguments of the first call.",
        )


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return what a folder says of its study; None where there is nothing."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, json.JSONDecodeError):
        found = None
    if not isinstance(found, dict):
        raise DataError(
            f"'{folder / MANIFEST}' is not what a study wrote.",
            "It says what study the folder's results belong to.",
            "Choose another folder.",
        )
    return found


def save_outcome(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Write the outcome of one data set."""
    _write(folder / _name(outcome["scenario"], outcome["data_set"]), _plain(outcome))


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


def _write(place: Path, contents: Any) -> None:
    """Write beside the place and move the whole file there."""
    beside = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    try:
        beside.write_text(json.dumps(contents, allow_nan=False), encoding="utf-8")
        os.replace(beside, place)
    finally:
        beside.unlink(missing_ok=True)


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
