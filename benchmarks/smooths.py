"""A smooth of many rows beside mgcv and brms: `python -m benchmarks.smooths 1000 10000 100000`.

Of each number of rows `y ~ s(x) + z` is fitted by REML and by the exact engine here, and by mgcv's `gam` and `bam` in
R, one after the other, each with one thread; printed are seconds of processor time, after everything is compiled, the
effective degrees of freedom, and the largest difference of fitted values in SDs of the response. `--brms` adds brms
where there are no more than 2,000 rows: its compilation, and four chains.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import speclet_formula as sf

SEED, FORMULA = 17, "y ~ s(x) + z"
MOST_OF_BRMS = 2_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.smooths", description=__doc__)
    parser.add_argument("rows", type=int, nargs="+")
    parser.add_argument("--brms", action="store_true")
    given = parser.parse_args(arguments)
    _ours(_table(300))  # compiles
    for rows in given.rows:
        sys.stdout.write(json.dumps(_compared(_table(rows), brms=given.brms and rows <= MOST_OF_BRMS), indent=1) + "\n")


def _table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(SEED)
    data = pd.DataFrame({"x": rng.uniform(size=rows).round(6), "z": rng.normal(size=rows).round(6)})
    return data.assign(y=(np.sin(8 * data["x"]) + 0.2 * data["z"] + rng.normal(0, 0.5, rows)).round(6))


def _ours(data: pd.DataFrame) -> dict[str, Any]:
    seconds, reml = _timed(lambda: sf.lmer(FORMULA, data, method="reml", cores=1))
    exact = _timed(lambda: sf.lmer(FORMULA, data, random_seed=1, cores=1, progress=False))[0]
    fitted = sf.fitted(reml)["estimate"].to_numpy()[:1000]
    return {"reml": seconds, "exact": exact, "edf": float(sf.smooths(reml)["edf"].sum()), "fitted": fitted}


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    made = run()
    return time.process_time() - start, made


def _compared(data: pd.DataFrame, *, brms: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        data.to_csv(path, index=False)
        command = ["Rscript", str(Path(__file__).with_name("mgcv.R")), str(path), *(["brms"] if brms else [])]
        ours = _ours(data)
        theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    apart = np.abs(ours.pop("fitted") - np.array(theirs.pop("fitted"))).max() / data["y"].std()
    return {"rows": len(data), **ours, "mgcv": theirs, "apart": float(apart)}


if __name__ == "__main__":
    main()
