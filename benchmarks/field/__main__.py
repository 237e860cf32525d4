"""The command `python -m benchmarks.field SITE_PACKAGES PACKAGES WORK`: documented models of others, in R and here.

SITE_PACKAGES holds mixedbench, PACKAGES the sources of R packages that are not installed; tables go to WORK and stay
there. What was done is not done again.
"""

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.field.compare import compare_row
from benchmarks.field.registry import read_registry

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "field.json"
SHOWN = ("id", "formula", "status", "gap", "error", "r_error")
COLUMNS = ["id", "source", "object", "formula", "program", "response", "trials"]


def main() -> None:
    """Fit all rows in R, then here, and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("site_packages", "packages", "work"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    work: Path = asked.work
    work.mkdir(parents=True, exist_ok=True)
    rows = read_registry(asked.site_packages)
    rows = rows[rows["program"].ne("")][COLUMNS]
    left = rows[[not (work / f"{name}.json").exists() for name in rows["id"]]]
    if len(left):
        left.to_csv(work / "rows.csv", index=False)
        subprocess.run(["Rscript", HERE / "fit.R", work / "rows.csv", work, asked.packages], check=True)
    found = []
    for _, row in rows.iterrows():
        kept = work / f"{row['id']}.ours"
        if not kept.exists():
            kept.write_text(json.dumps(compare_row(row, work)), encoding="utf-8")
        found.append(json.loads(kept.read_text(encoding="utf-8")))
    print(pd.Series([one["status"] for one in found]).value_counts().to_string())
    RESULTS.write_text(json.dumps(summary(found), indent=1), encoding="utf-8")


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


if __name__ == "__main__":
    main()
