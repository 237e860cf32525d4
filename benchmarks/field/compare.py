"""Fit the tables that `fit.R` wrote by this package, and say of each row whether both found the same."""

import json
import time
from pathlib import Path
from typing import Any, cast

import pandas as pd

import speclet_formula as sf

EQUAL = 1e-5  # of log-likelihoods, relative
# Families whose name here is not the registry's.
OURS = {
    "Gamma": {"family": "gamma", "link": "log"},
    "cumulative(probit)": {"family": "cumulative", "link": "probit"},
    "zero_inflated_negbinomial": {"family": "zero_inflated_negativebinomial"},
}


def read_table(folder: Path, name: str, levels: dict[str, Any]) -> pd.DataFrame:
    """Read a table, with R's factors as Categoricals of R's levels."""
    table = pd.read_csv(
        folder / f"{name}.csv", dtype=dict.fromkeys(levels, "str"), keep_default_na=False, na_values=[""]
    )
    for column, known in levels.items():
        known = [str(level) for level in (known if isinstance(known, list) else [known])]
        table[column] = pd.Categorical(table[column], categories=known)
    return table


def settings_of(row: pd.Series, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a row's table as its family wants it, and the arguments of `Model` that say which family."""
    if row["program"].startswith("cumulative"):
        levels = pd.Categorical(table[row["response"]])
        table = table.assign(**{row["response"]: levels.as_ordered()})
    settings = dict(OURS.get(row["program"], {"family": row["program"]}))
    if isinstance(row["trials"], str) and "cbind(" not in row["formula"] and row["program"] == "binomial":
        settings["weights"] = row["trials"]
    return table, settings


def fit_row(row: pd.Series, table: pd.DataFrame) -> sf.PointFit:
    """Fit a row's model by REML or by Laplace's approximation."""
    table, settings = settings_of(row, table)
    model = sf.Model(row["formula"], table, missing="drop", **settings)
    return cast("sf.PointFit", sf.fit(model, method="reml" if row["program"] == "gaussian" else "laplace"))


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
    gap = relative_gap(found["loglik"], found["r_loglik"])
    status = "equal" if abs(gap) <= EQUAL else "higher here" if gap > 0 else "lower here"
    return found | {"gap": gap, "status": status}


def relative_gap(ours: float, theirs: float) -> float:
    """Return by how much a log-likelihood is higher here, relative to R's."""
    return (ours - theirs) / max(abs(theirs), 1.0)


def compare_again(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Say whether R, asked again with narrower limits, found what was higher here."""
    kept = folder / f"{found['id']}.again.json"
    theirs = json.loads(kept.read_text(encoding="utf-8")).get("loglik") if kept.exists() else None
    if theirs is None:
        return found
    gap = relative_gap(found["loglik"], theirs)
    status = "equal when asked again" if abs(gap) <= EQUAL else found["status"]
    return found | {"status": status, "gap_again": gap}
