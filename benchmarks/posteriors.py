"""Posteriors of large models beside lme4's point estimate: processor and wall time of a call, and peak memory.

    python -m benchmarks.posteriors FOLDER [ROUNDS [CASE ...]]

1,000 draws of all effects in 4 chains by this package, a REML fit by lme4; each in a process of its own, one after the
other in each round, so that both meet the same load. A call begins with the table in memory and the libraries
loaded, as does lme4's. Tables are written into FOLDER at first; InstEval comes with lme4.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.cases import M7
from benchmarks.tables import write_table

EXACT = """
import json, resource, sys, time
import pandas as pd
import speclet_formula as sf
import speclet_formula.inference.exact.fit, speclet_formula.inference.fit, speclet_formula.inference.algebra.patterned
data, formula, factors, seed = sys.argv[1], sys.argv[2], sys.argv[3].split(), int(sys.argv[4])
table = pd.read_csv(data, dtype=dict.fromkeys(factors, str))
cpu, wall = time.process_time(), time.perf_counter()
fit = sf.lmer(formula, table, draws=250, chains=4, random_seed=seed, progress=False)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"cpu": cpu, "wall": wall, "peak": peak, "verdict": fit.diagnostics.verdict}))
"""
LME4 = """
suppressMessages(library(lme4))
given <- commandArgs(trailingOnly = TRUE)
table <- read.csv(given[1], stringsAsFactors = TRUE)
for (factor in strsplit(given[3], " ")[[1]]) table[[factor]] <- factor(table[[factor]])
used <- system.time(suppressWarnings(suppressMessages(lmer(as.formula(given[2]), table))))
cat(sprintf('{"cpu": %.3f, "wall": %.3f}', used[1] + used[2], used[3]))
"""
INSTEVAL = "write.csv(lme4::InstEval, commandArgs(TRUE)[1], row.names = FALSE)"
ROUNDS = 3
# name of the table, its formula, and which of its columns are numbers but stand for levels
CASES = {
    "hap1_full": ("log_fc ~ (1 | gene) + (1 | gene:sgRNA) + (1 | replicate)", ""),
    "growth-2155x58": (M7, ""),
    "cells": ("log_fc ~ (1 | gene) + (1 | cell_line) + (1 | gene:cell_line)", ""),
    "InstEval": ("y ~ service + (1 | s) + (1 | d) + (1 | dept:service)", "s d dept service"),
}


def table_of(name: str, folder: Path) -> Path:
    """Return the file of a case's table, which is written where it is missing."""
    path = folder / f"{name}.csv"
    if not path.exists():
        if name == "InstEval":
            subprocess.run(["Rscript", "-e", INSTEVAL, str(path)], check=True, capture_output=True)
        else:
            write_table(name, folder)
    return path


def measured(name: str, path: Path, seed: int) -> dict[str, dict[str, object]]:
    """Fit a case once by each contender."""
    formula, factors = CASES[name]
    calls = {
        "exact": [sys.executable, "-c", EXACT, str(path), formula, factors, str(seed)],
        "lme4": ["Rscript", "-e", LME4, str(path), formula, factors],
    }
    found = {}
    for contender, call in calls.items():
        out = subprocess.run(call, check=True, capture_output=True, text=True).stdout
        found[contender] = json.loads(out.strip().splitlines()[-1])
    return found


def main() -> None:
    """Print the medians of a case's rounds, and what this package takes next to lme4."""
    folder, rounds = Path(sys.argv[1]), int((*sys.argv[2:3], ROUNDS)[0])
    print(f"{'':16}{'exact cpu':>10}{'wall':>8}{'GB':>6}{'lme4 cpu':>10}{'wall':>8}{'cpu ratio':>11}{'wall ratio':>11}")
    for name in sys.argv[3:] or CASES:
        path = table_of(name, folder)
        found = [measured(name, path, seed) for seed in range(rounds)]
        cpu, wall, peak, cpu_r, wall_r = (
            statistics.median(float(str(one[contender][key])) for one in found)
            for contender, key in (
                ("exact", "cpu"), ("exact", "wall"), ("exact", "peak"), ("lme4", "cpu"), ("lme4", "wall"),
            )
        )  # fmt: skip
        verdicts = {str(one["exact"]["verdict"]) for one in found}
        line = f"{name:16}{cpu:10.2f}{wall:8.2f}{peak:6.2f}{cpu_r:10.2f}{wall_r:8.2f}{cpu / cpu_r:11.2f}"
        print(f"{line}{wall / wall_r:11.2f}  {', '.join(sorted(verdicts))}", flush=True)


if __name__ == "__main__":
    main()
