"""Outcomes of groups go into a folder, two or three files each, and come out of it again.

Whose folder it is, is left to `resumable`. Work can be killed at any time. Nothing is ever unpickled.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.common.resumable import FolderKind, write_whole

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
    return _fingerprint(f"{rows.to_csv(index=False)}{levels}".encode())


def fit_file(folder: Path, key: str) -> Path:
    """Return where a group's fit stands."""
    return folder / f"{key}.fit"


def save_outcome(folder: Path, owner: str, key: str, outcome: dict[str, Any]) -> None:
    """Write the outcome of one group that was fitted: its fit, its table, and last what says that both are there."""
    if outcome["saved"] is not None:
        write_whole(fit_file(folder, key), outcome["saved"])
    table = outcome["table"].to_parquet()
    write_whole(folder / f"{key}.parquet", table)
    facts = {name: outcome[name] for name in ("group", "status", "reason", "verdict", "seconds")}
    size = None if outcome["saved"] is None else len(outcome["saved"])
    facts |= {"call": owner, "table": _fingerprint(table), "size": size}
    write_whole(folder / f"{key}.json", json.dumps(facts).encode())


def load_outcome(folder: Path, owner: str, key: str, group: str, *, keep: bool) -> dict[str, Any] | None:
    """Return the outcome of one group; None where there is none of this call, or none that is whole."""
    try:
        facts = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        written = (folder / f"{key}.parquet").read_bytes()
        same = (facts["call"], facts["group"], facts["table"]) == (owner, group, _fingerprint(written))
        if not same or (keep and fit_file(folder, key).stat().st_size != facts["size"]):
            return None
        outcome = {name: facts[name] for name in ("group", "status", "reason", "verdict", "seconds")}
        return outcome | {"table": pd.read_parquet(io.BytesIO(written)), "saved": None}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None  # it is made again, and comes out the same


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:20]
