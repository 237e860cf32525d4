"""Fit the tables that `fit.R` wrote by this package, and say of each row whether both found the same."""

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

import speclet_formula as sf

EQUAL = 1e-5  # of log-likelihoods, relative


def read_table(folder: Path, name: str, levels: dict[str, Any]) -> pd.DataFrame:
    """Read a table, with R's factors as Categoricals of R's levels."""
    table = pd.read_csv(
        folder / f"{name}.csv", dtype=dict.fromkeys(levels, "str"), keep_default_na=False, na_values=[""]
    )
    for column, known in levels.items():
        known = [str(level) for level in (known if isinstance(known, list) else [known])]
        table[column] = pd.Categorical(table[column], categories=known)
    return table


def fit_row(row: pd.Series, table: pd.DataFrame) -> sf.PointFit:
    """Fit a row's model by REML or by Laplace's approximation."""
    settings: dict[str, Any] = {"missing": "drop"}
    if row["program"] == "gaussian":
        return sf.lmer(row["formula"], table, method="reml", **settings)
    if isinstance(row["trials"], str) and "cbind(" not in row["formula"]:
        settings["weights"] = row["trials"]
    if row["program"] == "cumulative":
        levels = pd.Categorical(table[row["response"]])
        table = table.assign(**{row["response"]: levels.as_ordered()})
    settings |= {"family": "gamma", "link": "log"} if row["program"] == "Gamma" else {"family": row["program"]}
    return sf.glmer(row["formula"], table, method="laplace", **settings)


def compare_row(row: pd.Series, folder: Path) -> dict[str, Any]:
    """Say what came of a row here and in R; times here are of a second fit in one process."""
    theirs = json.loads((folder / f"{row['id']}.json").read_text(encoding="utf-8"))
    found = {"id": row["id"], "formula": row["formula"], "family": row["program"], "rows": theirs.get("rows")}
    found |= {f"r_{name}": theirs.get(name) for name in ("loglik", "seconds", "error", "told")}
    if not (folder / f"{row['id']}.csv").exists():
        return found | {"status": "no data"}
    table = read_table(folder, row["id"], theirs.get("levels") or {})
    try:
        fit_row(row, table)
        started = time.process_time()
        fit = fit_row(row, table)
        seconds = time.process_time() - started
    except sf.SpecletError as error:
        return found | {"status": "refused", "error": str(error)}
    except Exception as error:
        return found | {"status": "raw error", "error": f"{type(error).__name__}: {error}"}
    found |= {"seconds": seconds, "loglik": fit.log_likelihood, "verdict": str(fit).partition(":")[0]}
    if found["r_loglik"] is None:
        return found | {"status": "only here"}
    gap = (found["loglik"] - found["r_loglik"]) / max(abs(found["r_loglik"]), 1.0)
    return found | {"gap": gap, "status": "equal" if abs(gap) <= EQUAL else "higher here" if gap > 0 else "lower here"}
