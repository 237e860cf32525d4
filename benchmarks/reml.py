"""REML of large and crossed designs beside lme4 and mixedlm, and refits of a small one; processor and wall times.

    python -m benchmarks.reml [--repeats 3] [--only insteval,refits] [--mixedlm PYTHON] [--limit 900]

The contenders of a case take turns, each run a process of its own. *First* is the first fit in a process, with what is
loaded and compiled for it, *second* another fit there; both start from the table in memory and end with the estimates.
mixedlm takes part where the Python that has it is named. Real tables come from `../shared/data`, InstEval is lme4's.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

import speclet_formula as sf
from benchmarks.cases import CASES, M7
from benchmarks.tables import EFFECTS, LINE_SD, SEED, write_table

CELLS = next(case.formula for case in CASES if case.name == "cells")
FORMULAS = {
    "hap1_full": next(case.formula for case in CASES if case.name == "hap1_full"),
    "screen": M7,
    "cells58": CELLS,
    "gaps": CELLS,
    "insteval": "y ~ 1 + (1 | s) + (1 | d) + (1 | dept)",
}
GENES, GUIDES, LINES = 2155, 4, 58  # 499,960 rows
REFITS = 200
OURS = """
import json, sys, time
import pandas as pd, speclet_formula as sf
table, formula = pd.read_csv(sys.argv[1]), sys.argv[2]
found = []
for _ in range(2):
    cpu, wall = time.process_time(), time.perf_counter()
    fit = sf.lmer(formula, table, method="reml")
    found.append([time.process_time() - cpu, time.perf_counter() - wall, fit.log_likelihood])
print(json.dumps(found))
"""
MIXEDLM = """
import json, sys, time
import pandas as pd, mixedlm
table, formula = pd.read_csv(sys.argv[1]), sys.argv[2]
found = []
for _ in range(2):
    cpu, wall = time.process_time(), time.perf_counter()
    fit = mixedlm.lmer(formula, table)
    found.append([time.process_time() - cpu, time.perf_counter() - wall, fit.logLik().value])
print(json.dumps(found))
"""
LME4 = """
suppressMessages(library(lme4))
arguments <- commandArgs(TRUE)
table <- read.csv(arguments[1], stringsAsFactors = TRUE)
taken <- system.time(fit <- lmer(as.formula(arguments[2]), table))
cpu <- taken[["user.self"]] + taken[["sys.self"]]
cat(sprintf("[[%f, %f, %.8f]]", cpu, taken[["elapsed"]], as.numeric(logLik(fit))))
"""
REFIT = f"""
import json, time
import speclet_formula as sf, pandas as pd, sys
table = pd.read_csv(sys.argv[1])
fit = sf.lmer(sys.argv[2], table, method="reml")
responses = sf.simulate(fit, nsim={REFITS}, random_seed=1).to_numpy().T
found = []
for _ in range(2):
    cpu, wall = time.process_time(), time.perf_counter()
    for response in responses:
        sf.refit(fit, response)
    found.append([(time.process_time() - cpu) / {REFITS}, (time.perf_counter() - wall) / {REFITS}, fit.log_likelihood])
print(json.dumps(found))
"""
REFIT_LME4 = f"""
suppressMessages(library(lme4))
arguments <- commandArgs(TRUE)
table <- read.csv(arguments[1], stringsAsFactors = TRUE)
fit <- lmer(as.formula(arguments[2]), table)
responses <- simulate(fit, {REFITS}, seed = 1)
taken <- system.time(for (response in responses) suppressMessages(refit(fit, response))) / {REFITS}
cpu <- taken[["user.self"]] + taken[["sys.self"]]
cat(sprintf("[[%f, %f, %.8f]]", cpu, taken[["elapsed"]], as.numeric(logLik(fit))))
"""
INSTEVAL = """
data(InstEval, package = "lme4")
table <- data.frame(y = InstEval$y)
for (name in c("s", "d", "dept")) table[[name]] <- paste0(name, InstEval[[name]])
write.csv(table, commandArgs(TRUE)[1], row.names = FALSE)
"""


def table_of(name: str, folder: Path) -> Path:
    """Write the table of a case."""
    path = folder / f"{name}.csv"
    if name == "insteval":
        subprocess.run(["Rscript", "-e", INSTEVAL, str(path)], check=True)
    elif name in ("hap1_full", "sleepstudy"):
        write_table(name, folder)
    else:
        guides, rows = (GUIDES, 1) if name == "screen" else (1, GUIDES)
        layout = sf.datasets.screen_design(genes=GENES, guides_per_gene=guides, cell_lines=LINES, replicates=rows)
        known = {"1|cell_line_sigma": LINE_SD} | {key: value for key, value in EFFECTS.items() if "sgRNA" not in key}
        known |= {"1|gene:sgRNA_sigma": 0.4} if name == "screen" else {"1|gene:cell_line_sigma": 0.3}
        table = sf.simulate(FORMULAS[name], layout, known, random_seed=SEED)[0]
        if name == "gaps":  # each gene lacks some rows, so that no two genes are alike
            table = table[np.random.default_rng(SEED).random(len(table)) > 0.02]  # noqa: PLR2004
        table[["log_fc", "gene", "cell_line", *(["sgRNA"] if name == "screen" else [])]].to_csv(path, index=False)
    return path


def run(command: list[str], limit: float) -> list[list[float]]:
    """Return processor time, wall time and log-likelihood of each fit; NaN where it was stopped."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return [[float("nan")] * 3]
    return [list(map(float, fit)) for fit in json.loads(done.stdout)]


def sitting(name: str, path: Path, mixedlm: str | None, repeats: int, limit: float) -> pd.DataFrame:
    """Time the contenders of a case in turns."""
    formula = FORMULAS.get(name, "Reaction ~ 1 + Days + (1 + Days | Subject)")
    ours, r = (REFIT, REFIT_LME4) if name == "refits" else (OURS, LME4)
    contenders = {"reml": [sys.executable, "-c", ours]}
    if shutil.which("Rscript"):
        contenders["lme4"] = ["Rscript", "-e", r]
    if mixedlm and name != "refits":
        contenders["mixedlm"] = [mixedlm, "-c", MIXEDLM]
    rows = []
    for _ in range(repeats):
        for contender, command in contenders.items():
            fits = run([*command, str(path), formula], limit)
            rows += [
                {"case": name, "contender": contender, "fit": fit, "cpu": cpu, "wall": wall, "log_likelihood": value}
                for fit, (cpu, wall, value) in zip(("first", "second"), fits, strict=False)
            ]
    return pd.DataFrame(rows)


def main() -> None:
    """Print a row for each case, contender and fit: medians, and times lme4's processor time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=900.0)
    parser.add_argument("--only", default=",".join([*FORMULAS, "refits"]))
    parser.add_argument("--mixedlm")
    given = parser.parse_args()
    print(f"{'':10} {'':8} {'':7} {'CPU s':>9} {'wall s':>9} {'of lme4':>8}  log-likelihood")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only.split(","):
            path = table_of("sleepstudy" if name == "refits" else name, Path(folder))
            found = sitting(name, path, given.mixedlm, given.repeats, given.limit)
            beside = (
                median(found.loc[found["contender"] == "lme4", "cpu"]) if "lme4" in set(found["contender"]) else np.nan
            )
            for (contender, fit), runs in found.groupby(["contender", "fit"], sort=False):
                cpu, wall = median(runs["cpu"]), median(runs["wall"])
                share, value = cpu / beside, runs["log_likelihood"].iloc[0]
                print(f"{name:10} {contender:8} {fit:7} {cpu:9.4f} {wall:9.4f} {share:8.3f}  {value:.6f}", flush=True)


if __name__ == "__main__":
    main()
