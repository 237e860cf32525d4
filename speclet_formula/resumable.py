"""A folder and what its work is go in; the folder comes out as this work's own, so that stopped work can go on there.

What is kept in it, a file for each piece of work, is left to the rooms that do the work.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speclet_formula.errors import DataError
from speclet_formula.files import replacing


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


def open_folder(folder: Path, manifest: Mapping[str, Any], kind: FolderKind) -> None:
    """Make a folder for some work, or check that it belongs to this work.

    Parameters
    ----------
    folder : Path
    manifest : mapping
        All that settles the outcomes, as JSON has it.
    kind : FolderKind

    Raises
    ------
    DataError
        The folder cannot be made, holds something else, or the outcomes of other work.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = read_manifest(folder, kind)
        if not known:
            if any(folder.iterdir()):
                raise DataError(
                    f"the folder '{folder}' holds other files, and none called {kind.manifest}.",
                    kind.own,
                    "Choose a folder that is empty, or not there yet.",
                )
            write_whole(folder / kind.manifest, json.dumps(dict(manifest)).encode())
            return
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


def read_manifest(folder: Path, kind: FolderKind) -> dict[str, Any]:
    """Return what a folder says of its work; nothing where there is none."""
    try:
        found = json.loads((folder / kind.manifest).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, json.JSONDecodeError):
        found = None
    if not found or not isinstance(found, dict):
        raise DataError(
            f"'{folder / kind.manifest}' is not what {kind.writer} wrote.", kind.says, "Choose another folder."
        )
    return found


def seed_of(random_seed: int | None, folder: Path | None, kind: FolderKind) -> int:
    """Return the seed: the given one, that of the work in the folder, or a fresh one."""
    if random_seed is not None:
        return int(random_seed)
    known = {} if folder is None or not folder.is_dir() else read_manifest(folder, kind)
    if isinstance(known.get("random_seed"), int):
        return int(known["random_seed"])
    return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])


def write_whole(place: Path, contents: bytes) -> None:
    """Write a file that is there as a whole or not at all."""
    with replacing(place) as stream:
        stream.write(contents)
