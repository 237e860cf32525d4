"""Simulation-based calibration of the exact engine: parameters drawn from their priors, data from them, then fitted.

If the engine is right, the rank of each true value among the posterior's draws is uniform (Talts et al. 2018,
doi:10.48550/arXiv.1804.06788). Prints what `speclet_formula.calibrate` finds, and writes for each ranked quantity the
largest gap between the ranks' ECDF and the uniform's, the p-value, and whether the ECDF keeps inside its simultaneous
99 % band, to benchmarks/results/calibration.json, under the name of the case.

    python benchmarks/calibration.py [number of data sets] [screen or members]

`screen` is a screen of guides in genes and cell lines; in `members` a row has two levels of a term with slopes.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import speclet_formula as sf

FORMULAS = {
    "screen": "log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)",
    "members": "y ~ x + (1 + x | mm(a, b)) + (1 | c)",
}
RESULTS = Path(__file__).parent / "results" / "calibration.json"


def _half(sigma: float) -> sf.Prior:
    return sf.Prior("HalfNormal", sigma=sigma)


PRIORS = {
    "screen": {
        "Intercept": sf.Prior("Normal", mu=-1, sigma=1),
        **dict.fromkeys(("1|gene_sigma", "1|gene:sgRNA_sigma", "1|cell_line_sigma"), _half(0.7)),
        "sigma": _half(0.5),
    },
    "members": {
        **dict.fromkeys(("Intercept", "x"), sf.Prior("Normal", mu=0, sigma=1)),
        "sd": _half(0.7),
        "sigma": _half(1.0),
    },
}


def design(case: str) -> pd.DataFrame:
    """Return predictors and grouping factors: 1,100 rows of m7, or 200 rows of two of 15 members each."""
    if case == "screen":
        return sf.datasets.m7()[0]
    rng = np.random.default_rng(5)
    first = rng.integers(0, 15, 200)
    second = (first + 1 + rng.integers(0, 14, 200)) % 15
    names = np.array([f"m{k:02d}" for k in range(15)])
    other = rng.integers(0, 10, 200).astype(str)
    return pd.DataFrame({"a": names[first], "b": names[second], "c": other, "x": rng.normal(size=200), "y": 0.0})


def main(n_sims: int = 1000, case: str = "screen") -> None:
    """Calibrate with so many data sets, print what is found and write it down."""
    started = time.perf_counter()
    formula, priors = FORMULAS[case], PRIORS[case]
    found = sf.calibrate(formula, design(case), priors=priors, method="exact", nsim=n_sims, random_seed=1)
    seconds = time.perf_counter() - started
    print(found)
    print(f"{n_sims} data sets in {seconds:.0f} s on {os.cpu_count()} cores")
    ranked = found.table[found.table["rank_p"].notna()].set_index("parameter")
    records = json.loads(RESULTS.read_text(encoding="utf-8"))
    records[case] = {
        "formula": formula,
        "data_sets": n_sims,
        "seconds": round(seconds),
        "cpu_seconds": round(float(found.data_sets["cpu_seconds"].sum())),
        "calibrated": found.calibrated,
        "gaps": ranked["gap"].to_dict(),
        "p_values": ranked["rank_p"].to_dict(),
        "inside_the_band": ranked["inside"].map(bool).to_dict(),
    }
    RESULTS.write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]), *sys.argv[2:3])
