"""The command `python -m benchmarks.field SITE_PACKAGES PACKAGES CLONES WORK`: models of others, in R and here.

SITE_PACKAGES holds mixedbench, PACKAGES the sources of R packages that are not installed, CLONES repositories of git as
`OWNER+NAME/repo`; tables go to WORK and stay there. What was done is not done again.
"""

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.field.compare import compare_again, compare_row
from benchmarks.field.posterior import sample_row
from benchmarks.field.registry import read_registry, take_files

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "field.json"
SHOWN = ("id", "formula", "status", "gap", "gap_again", "error", "r_error")
COLUMNS = ["id", "source", "object", "formula", "program", "response", "trials"]


def main() -> None:
    """Fit all rows in R, then here, and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("site_packages", "packages", "clones", "work"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    work: Path = asked.work
    work.mkdir(parents=True, exist_ok=True)
    rows = read_registry(asked.site_packages)
    rows = rows[rows["program"].ne("")]
    take_files(rows, asked.clones, asked.packages)
    rows = rows[COLUMNS]
    fit_in_r(rows[[not (work / f"{name}.json").exists() for name in rows["id"]]], work, asked.packages)
    found = [kept_of(work / f"{row['id']}.ours", compare_row, row, work) for _, row in rows.iterrows()]
    higher = {one["id"] for one in found if one["status"] == "higher here"}
    missing = [name in higher and not (work / f"{name}.again.json").exists() for name in rows["id"]]
    fit_in_r(rows[missing], work, asked.packages, "again")
    found = [compare_again(one, work) for one in found]
    sampled = [kept_of(work / f"{row['id']}.posterior", sample_row, row, work) for _, row in rows.iterrows()]
    result = summary(found) | {"posterior": posterior_summary(sampled)}
    print(json.dumps({name: result[name] for name in ("statuses", "median_time_ratio")}, indent=1))
    RESULTS.write_text(json.dumps(result, indent=1), encoding="utf-8")


def fit_in_r(rows: pd.DataFrame, work: Path, packages: Path, *how: str) -> None:
    """Fit rows in R; each one's table and answer go to WORK."""
    if len(rows):
        rows.to_csv(work / "rows.csv", index=False)
        subprocess.run(["Rscript", HERE / "fit.R", work / "rows.csv", work, packages, *how], check=True)


def kept_of(
    kept: Path, make: Callable[[pd.Series, Path], dict[str, Any]], row: pd.Series, work: Path
) -> dict[str, Any]:
    """Return what was made of a row before, or make and keep it."""
    if not kept.exists():
        kept.write_text(json.dumps(make(row, work)), encoding="utf-8")
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the numbers of each status, times where both fitted, and all rows that are not equal."""
    frame = pd.DataFrame(found)
    both = frame[frame["gap"].notna()]
    ratio = both["seconds"] / both["r_seconds"].clip(lower=0.001)
    return {
        "statuses": frame["status"].value_counts().to_dict(),
        "largest_gap_of_equal": float(frame.loc[frame["status"].eq("equal"), "gap"].abs().max()),
        "median_time_ratio": {name: float(part.median()) for name, part in ratio.groupby(both["family"])},
        "others": [{name: one.get(name) for name in SHOWN} for one in found if one["status"] != "equal"],
    }


def posterior_summary(sampled: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the numbers of verdicts by engine and of answers, and all rows that did not converge or answer."""
    frame = pd.DataFrame(sampled)
    fitted = frame[frame["method"].notna()]
    asked = pd.DataFrame(list(fitted["asked"]))
    answered = {
        name: {"answers": int(texts.notna().sum()), "refused": int(texts.str.startswith("refused").sum()),
               "too long": int(texts.str.startswith("too long").sum()),
               "raw errors": int(texts.str.startswith("raw error").sum())}
        for name, texts in asked.items()
    }  # fmt: skip
    return {
        "statuses": frame["status"].value_counts().to_dict(),
        "by_engine": {name: part["status"].value_counts().to_dict() for name, part in fitted.groupby("method")},
        "asked": answered,
        "others": [one for one in sampled if one["status"] not in ("converged", "no data") or _amiss(one)],
    }


def _amiss(one: dict[str, Any]) -> bool:
    return any(text.startswith(("refused", "too long", "raw error")) for text in one.get("asked", {}).values())


if __name__ == "__main__":
    main()
