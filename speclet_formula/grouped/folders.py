"""Outcomes of groups go into a folder, two or three files each, and come out of it again.

Whose folder it is, is left to `resumable`. Work can be killed at any time. Nothing is ever unpickled.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.files import replacing
from speclet_formula.resumable import FolderKind, write_whole

FITS = FolderKind(
    manifest="groups.json",
    work="call",
    writer="fit_by",
    own="Grouped fits have a folder of their own.",
    files="Each group's fit and table are files in it.",
    same="Only the same formula, settings and seed can go on there; groups whose rows changed are fitted again.",
    says="It says what call the folder's fits belong to.",
)


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
        write_whole(fit_file(folder, key), outcome["saved"])
    with replacing(folder / f"{key}.parquet") as stream:
        outcome["table"].to_parquet(stream)
    facts = {name: outcome[name] for name in ("group", "status", "reason", "verdict", "seconds")}
    write_whole(folder / f"{key}.json", json.dumps(facts).encode())


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
