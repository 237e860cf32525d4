"""From a genome-wide count matrix to ranked genes with leave-one-out: seconds of each step, peak memory, separation.

The long table of hap1_full is first put back into what an analyst starts from: counts (guides x samples), a guide map,
a sample map and a list of control genes. That part is not timed. Writes benchmarks/results/from_counts.json.

    python benchmarks/from_counts.py FOLDER_OF_DATA
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

import speclet_formula as sf

FORMULA = "log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA) + (1 | replicate)"
REFERENCE = "T0"


def write_screen(table: pd.DataFrame, folder: Path) -> None:
    """Write counts.csv, guides.csv, samples.csv and controls.csv of a long table."""
    counts = table.pivot_table(index="sgRNA", columns="sample", values="count", aggfunc="first")
    first = table[table["sample"] == table["sample"].iloc[0]].set_index("sgRNA")
    counts[REFERENCE] = first["count_initial_adj"].round().reindex(counts.index)
    counts.reset_index().to_csv(folder / "counts.csv", index=False)
    table.drop_duplicates("sgRNA")[["sgRNA", "gene"]].to_csv(folder / "guides.csv", index=False)
    table.drop_duplicates("gene")[["gene", "control"]].to_csv(folder / "controls.csv", index=False)
    samples = table.drop_duplicates("sample")[["sample", "cell_line", "replicate"]].assign(reference=REFERENCE)
    start = pd.DataFrame({"sample": [REFERENCE], "cell_line": [samples["cell_line"].iloc[0]]})
    pd.concat([samples, start]).to_csv(folder / "samples.csv", index=False)


def measure(folder: Path) -> dict[str, Any]:
    """Go from the files to ranked genes and leave-one-out, and time each step."""
    seconds: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        found = step()
        seconds[name] = round(time.perf_counter() - started, 1)
        return found

    files = (folder / "counts.csv", folder / "guides.csv", folder / "samples.csv")
    screen = timed("read", lambda: sf.read_screen(*files, controls=folder / "controls.csv", drop=()))
    fit = timed("fit", lambda: sf.lmer(FORMULA, screen.table, missing="drop", draws=250, random_seed=1, progress=False))
    genes = timed("rank", lambda: sf.rank_genes(fit, direction="negative"))
    separation = timed("separate", lambda: sf.control_separation(genes))
    found = timed("loo", lambda: sf.loo(fit))
    return {
        "rows": len(fit.model.design.response),
        "genes": len(genes),
        "seconds": seconds,
        "total": round(sum(seconds.values()), 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "auc": round(float(separation.auc_roc), 4),
        "elpd": round(float(found.elpd), 1),
        "verdict": fit.diagnostics.verdict,
        "sentence": fit.diagnostics.sentence,
        "cores": os.cpu_count(),
    }


def main(data: str) -> None:
    """Measure, print and write down."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_screen(pd.read_csv(Path(data) / "screens" / "hap1_full.csv.gz"), folder)
        record = measure(folder)
    print(json.dumps(record, indent=2))
    (Path(__file__).parent / "results" / "from_counts.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:2])
