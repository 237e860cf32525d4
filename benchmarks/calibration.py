"""Simulation-based calibration of the exact engine: parameters drawn from their priors, data from them, then fitted.

If the engine is right, the rank of each true value among the posterior's draws is uniform (Talts et al. 2018,
doi:10.48550/arXiv.1804.06788). Prints what `speclet_formula.calibrate` finds, and writes for each ranked quantity the
largest gap between the ranks' ECDF and the uniform's, the p-value, and whether the ECDF keeps inside its simultaneous
99 % band, to benchmarks/results/calibration.json.

    python benchmarks/calibration.py [number of data sets]
"""

import json
import os
import sys
import time
from pathlib import Path

import speclet_formula as sf

FORMULA = "log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)"
SDS = ("1|gene_sigma", "1|gene:sgRNA_sigma", "1|cell_line_sigma")
PRIORS = {
    "Intercept": sf.Prior("Normal", mu=-1, sigma=1),
    **dict.fromkeys(SDS, sf.Prior("HalfNormal", sigma=0.7)),
    "sigma": sf.Prior("HalfNormal", sigma=0.5),
}


def main(n_sims: int = 1000) -> None:
    """Calibrate with so many data sets, print what is found and write it down."""
    design, _ = sf.datasets.m7()
    started = time.perf_counter()
    found = sf.calibrate(FORMULA, design, priors=PRIORS, method="exact", nsim=n_sims, random_seed=1)
    seconds = time.perf_counter() - started
    print(found)
    print(f"{n_sims} data sets in {seconds:.0f} s on {os.cpu_count()} cores")
    ranked = found.table[found.table["rank_p"].notna()].set_index("parameter")
    record = {
        "formula": FORMULA,
        "data_sets": n_sims,
        "seconds": round(seconds),
        "cpu_seconds": round(float(found.data_sets["cpu_seconds"].sum())),
        "calibrated": found.calibrated,
        "gaps": ranked["gap"].to_dict(),
        "p_values": ranked["rank_p"].to_dict(),
        "inside_the_band": ranked["inside"].map(bool).to_dict(),
    }
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "calibration.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
