"""How the cost of a negative binomial screen grows with its rows: Laplace, posterior and leave-one-out.

    python -m benchmarks.growth FOLDER_OF_DATA [ROWS ...]

The folder holds screens/hap1_full.csv.gz. Of its genes the first are taken until there are so many rows. Each size runs
in a process of its own; seconds are those of the processor. The last line has the exponents of growth by rows, from the
smallest to the largest size: 1 is linear.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import speclet_formula as sf

SIZES = (10_000, 30_000, 100_000, 209_802)
FORMULA = "count ~ control + offset(log_offset) + (1 | gene/sgRNA)"
TOO_HIGH = 0.7  # Pareto k
STEPS = ("laplace", "posterior", "loo")


def part_of(folder: Path, rows: int) -> pd.DataFrame:
    """Return the first genes of the screen, of about so many rows."""
    data = pd.read_csv(folder / "screens" / "hap1_full.csv.gz")
    data = data.assign(log_offset=np.log(data["count_initial_adj"]))
    last = data.groupby("gene", sort=False).size().cumsum()
    return data[data["gene"].isin(last.index[: int(np.searchsorted(last, rows)) + 1])]


def measured(folder: Path, rows: int) -> dict[str, Any]:
    """Fit one size in this process; return seconds of each step and what came of it."""
    table = part_of(folder, rows)
    sf.fit(sf.Model(FORMULA, part_of(folder, 500), family="negativebinomial"), progress=False)  # loads what is compiled
    model = sf.Model(FORMULA, table, family="negativebinomial")
    found: dict[str, Any] = {"rows": len(table)}

    def timed(step: str, do: Any) -> Any:
        began = time.process_time()
        result = do()
        found[step] = time.process_time() - began
        return result

    timed("laplace", lambda: sf.fit(model, method="laplace", progress=False))
    fit = timed("posterior", lambda: sf.fit(model, draws=250, chains=4, random_seed=1, progress=False))
    found["verdict"] = fit.diagnostics.verdict
    found["rounds"] = fit.idata["sample_stats"].attrs["rounds_per_draw"]
    found["kicks"] = fit.idata["sample_stats"].attrs["kicks"]
    estimate = timed("loo", lambda: sf.loo(fit))
    found[f"k > {TOO_HIGH}"] = int((estimate.pareto_k > TOO_HIGH).sum())
    found["GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found


def main() -> None:
    """Print a table, and the exponents of growth."""
    folder, rest = Path(sys.argv[1]), sys.argv[2:]
    if rest[:1] == ["--one"]:
        print(json.dumps(measured(folder, int(rest[1]))))
        return
    found = []
    for rows in [int(size) for size in rest] or SIZES:
        call = [sys.executable, "-m", "benchmarks.growth", str(folder), "--one", str(rows)]
        out = subprocess.run(call, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(out.splitlines()[-1]))
        print(found[-1], flush=True)
    print(pd.DataFrame(found).round(2).to_string(index=False))
    first, last = found[0], found[-1]
    if last["rows"] > first["rows"]:
        ratio = np.log(last["rows"] / first["rows"])
        print("exponents:", {step: round(float(np.log(last[step] / first[step]) / ratio), 2) for step in STEPS})


if __name__ == "__main__":
    main()
