"""Folders in which a batch keeps its outcomes, so that stopped work can go on there: each belongs to one work alone.

What is kept in it, a file or more for each task, is left to the rooms that do the work.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.files import create_whole, replacing
from speclet_formula.common.seeds import checked_seed, fresh_seed
from speclet_formula.errors import DataError


@dataclass(frozen=True)
class FolderKind:
    """What is kept in a folder, in the words of its errors."""

    manifest: str  # the file that says whose folder it is
    work: str  # "study"
    writer: str  # "a study"
    own: str  # that it has a folder of its own
    files: str  # what files it writes
    same: str  # when work can go on there
    says: str  # what the manifest is for


def open_folder(folder: Path, manifest: Mapping[str, Any], kind: FolderKind) -> str:
    """Make a folder for some work, or check that it belongs to this work.

    Parameters
    ----------
    folder : Path
    manifest : mapping
        All that settles the outcomes, as JSON has it.
    kind : FolderKind

    Returns
    -------
    str
        A fingerprint of the work, to stand in each of its files.

    Raises
    ------
    DataError
        The folder cannot be made, holds something else, or the outcomes of other work.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = read_manifest(folder, kind) or _claimed(folder, manifest, kind)
    except OSError as error:
        raise DataError(
            f"the folder '{folder}' cannot be used: {error.strerror or error}.",
            kind.files,
            "Choose a folder that can be written to.",
        ) from error
    changed = [name for name in manifest if known.get(name) != manifest[name]]
    if changed:
        raise DataError(
            f"the folder '{folder}' belongs to another {kind.work}: {', '.join(changed)} "
            f"{'differs' if len(changed) == 1 else 'differ'}.",
            kind.same,
            "Choose another folder, or give the arguments of the first call.",
        )
    return hashlib.sha256(json.dumps(dict(manifest), sort_keys=True).encode()).hexdigest()[:20]


def _claimed(folder: Path, manifest: Mapping[str, Any], kind: FolderKind) -> dict[str, Any]:
    """Write whose folder it is, and return what stands there: another process may have been first."""
    # What a killed process was writing is in nobody's way; hidden files are those of systems.
    others = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    known = read_manifest(folder, kind)  # again: the others may be of a process that has come since
    if others and not known:
        raise DataError(
            f"the folder '{folder}' holds other files, and none called {kind.manifest}.",
            kind.own,
            "Choose a folder that is empty, or not there yet.",
        )
    if not known:
        create_whole(folder / kind.manifest, json.dumps(dict(manifest)).encode())
    return read_manifest(folder, kind)


def read_manifest(folder: Path, kind: FolderKind) -> dict[str, Any]:
    """Return what a folder says of its work; nothing where there is none."""
    try:
        known = json.loads((folder / kind.manifest).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(
            f"'{folder / kind.manifest}' cannot be read: {error.strerror or error}.",
            kind.says,
            "Choose a folder that can be read.",
        ) from error
    except (ValueError, RecursionError):  # no text, no JSON, numbers of thousands of digits, lists without end
        known = None
    if not known or not isinstance(known, dict):
        raise DataError(
            f"'{folder / kind.manifest}' is not what {kind.writer} wrote.", kind.says, "Choose another folder."
        )
    return known


def seed_of(random_seed: int | None, folder: Path | None, kind: FolderKind) -> int:
    """Return the seed: the given one, that of the work in the folder, or a fresh one."""
    given = checked_seed(random_seed)
    if given is not None:
        return given
    known = {} if folder is None or not folder.is_dir() else read_manifest(folder, kind)
    if type(known.get("random_seed")) is int and known["random_seed"] >= 0:
        return int(known["random_seed"])
    return fresh_seed()


def write_whole(path: Path, contents: bytes) -> None:
    """Write a file that is there as a whole or not at all.

    Raises
    ------
    DataError
        It cannot be written: the disk is full, perhaps.
    """
    try:
        with replacing(path) as stream:
            stream.write(contents)
    except OSError as error:
        raise DataError(
            f"'{path}' cannot be written: {error.strerror or error}.",
            "The folder keeps what is done as it comes in, and all that it holds so far is whole.",
            "Make room, or let it be written to; then the same call goes on where this one stopped.",
        ) from error


def spelled(values: Mapping[str, Any]) -> dict[str, str]:
    """Spell settings and parameters for a manifest, so that equal ones have equal text in every process."""
    return {name: _text(value) for name, value in sorted(values.items())}


def _text(value: Any) -> str:
    if isinstance(value, pd.Series):
        return repr({str(level): float(effect) for level, effect in value.items()})
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    if hasattr(value, "digest"):  # a matrix, whose own text would not show all of its entries
        return str(value.digest)
    if isinstance(value, dict):
        return repr({str(name): _text(part) for name, part in value.items()})
    return f"function {value.__name__}" if callable(value) and hasattr(value, "__name__") else repr(value)


def fingerprint(table: pd.DataFrame) -> str:
    """Return a digest of a table's columns and values, the names and orders of its levels included."""
    levels = {name: list(map(str, column.cat.categories)) for name, column in table.items() if hasattr(column, "cat")}
    return hashlib.sha256(f"{table.to_csv(index=False)}{levels}".encode()).hexdigest()
