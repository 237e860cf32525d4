"""Outcomes of groups go into a folder, two files each, and come out of it again; the folder says what it belongs to.

Files are written beside their place and moved, so that work can be killed at any time. Nothing is ever unpickled.
"""

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.errors import DataError

MANIFEST = "groups.json"


def open_folder(folder: Path, manifest: dict[str, Any]) -> None:
    """Make a folder for grouped fits, or check that it belongs to these.

    Raises
    ------
    DataError
        The folder cannot be made, holds something else, or the fits of another call.
    """
    place = folder / MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            if any(folder.iterdir()):
                raise DataError(
                    f"the folder '{folder}' holds other files, and none called {MANIFEST}.",
                    "Grouped fits have a folder of their own.",
                    "Choose a folder that is empty, or not there yet.",
                )
            _write(place, json.dumps(manifest).encode())
        known = read_manifest(folder)
    except OSError as error:
        raise DataError(
            f"the folder '{folder}' cannot be used: {error.strerror or error}.",
            "Each group's fit and table are files in it.",
            "Choose a folder that can be written to.",
        ) from error
    changed = [name for name in manifest if known.get(name) != manifest[name]]
    if changed:
        raise DataError(
            f"the folder '{folder}' belongs to another call: {', '.join(changed)} "
            f"{'differs' if len(changed) == 1 else 'differ'}.",
            "Only the same formula, settings and seed can go on there; groups whose rows changed are fitted again.",
            "Choose another folder, or give the arguments of the first call.",
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a folder says of its fits; nothing where there is no folder."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, json.JSONDecodeError):
        found = None
    if not isinstance(found, dict):
        raise DataError(
            f"'{folder / MANIFEST}' is not what fit_by wrote.",
            "It says what call the folder's fits belong to.",
            "Choose another folder.",
        )
    return found


def digest(rows: pd.DataFrame) -> str:
    """Return a fingerprint of a group's rows, the names and orders of their levels included."""
    levels = {name: list(map(str, c.cat.categories)) for name, c in rows.items() if hasattr(c, "cat")}
    return hashlib.sha256(f"{rows.to_csv(index=False)}{levels}".encode()).hexdigest()[:20]


def fit_file(folder: Path, key: str) -> Path:
    """Return where a group's fit stands."""
    return folder / f"{key}.fit"


def save_outcome(folder: Path, key: str, outcome: dict[str, Any]) -> None:
    """Write the outcome of one group that was fitted: its fit, its table, and last what says that both are there."""
    if outcome["saved"] is not None:
        _write(fit_file(folder, key), outcome["saved"])
    beside = folder / f".{key}.{uuid.uuid4().hex}"
    outcome["table"].to_parquet(beside)
    os.replace(beside, folder / f"{key}.parquet")
    facts = {name: outcome[name] for name in ("group", "status", "reason", "verdict", "seconds")}
    _write(folder / f"{key}.json", json.dumps(facts).encode())


def load_outcome(folder: Path, key: str, *, keep: bool) -> dict[str, Any] | None:
    """Return the outcome of one group; None where there is none, or none that can be read."""
    try:
        facts = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        table = pd.read_parquet(folder / f"{key}.parquet")
    except (OSError, ValueError):
        return None  # it is made again, and comes out the same
    if keep and not fit_file(folder, key).exists():
        return None
    return {**facts, "table": table, "saved": None}


def _write(place: Path, contents: bytes) -> None:
    """Write beside the place and move the whole file there."""
    beside = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    try:
        beside.write_bytes(contents)
        os.replace(beside, place)
    finally:
        beside.unlink(missing_ok=True)
