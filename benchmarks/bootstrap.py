"""Parametric bootstraps beside lme4's bootMer: the same statistics of the same fits; processor and wall times.

    python -m benchmarks.bootstrap [--nsim 1000] [--repeats 3] [--cores 1]

The contenders take turns, each run a process of its own; a fit comes first, so that nothing is loaded or compiled while
the clock runs. lme4's data come from `../shared/data`.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "lme4"
MODELS = {  # formula, family, and what bootMer is asked for beside the fixed effects
    "sleepstudy": ("Reaction ~ Days + (Days | Subject)", "gaussian"),
    "cbpp": ("cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)", "binomial"),
}
OURS = """
import json, sys, time
import pandas as pd, speclet_formula as sf
if __name__ == "__main__":
    path, formula, family, nsim, cores = sys.argv[1:]
    method = "reml" if family == "gaussian" else "laplace"
    fit = sf.fit(sf.Model(formula, pd.read_csv(path), family=family), method=method)
    sf.bootstrap(fit, 3, random_seed=1, cores=1)
    cpu, wall = time.process_time(), time.perf_counter()
    boot = sf.bootstrap(fit, int(nsim), random_seed=1, cores=int(cores) or None, progress=False)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps([*spent, boot.table["std_error"].to_list()[-2:]]))
"""
LME4 = """
suppressMessages(library(lme4))
a <- commandArgs(TRUE)
d <- read.csv(a[1])
f <- as.formula(a[2])
m <- if (a[3] == "gaussian") lmer(f, d) else glmer(f, d, family = a[3])
estimates <- function(fit) c(as.data.frame(VarCorr(fit))$sdcor, fixef(fit))
set.seed(1)
t <- proc.time()
b <- suppressMessages(bootMer(m, estimates, nsim = as.integer(a[4])))
t <- proc.time() - t
cat(sprintf("[%f, %f, [%s]]", t[1] + t[2], t[3], paste(tail(apply(b$t, 2, sd), 2), collapse = ", ")))
"""


def run(contender: str, name: str, nsim: int, cores: int) -> tuple[float, float, list[float]]:
    """One run: processor seconds, wall seconds, standard errors of the last two fixed effects."""
    formula, family = MODELS[name]
    command = [sys.executable, "-c", OURS] if contender == "ours" else ["Rscript", "-e", LME4]
    arguments = [
        str(SHARED / f"{name}.csv"),
        formula,
        family,
        str(nsim),
        *([str(cores)] if contender == "ours" else []),
    ]
    made = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    cpu, wall, errors = json.loads(made.stdout.strip().splitlines()[-1])
    return cpu, wall, errors


def main() -> None:
    """Let both take turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nsim", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=1, help="processes of ours; 0: as many as pay")
    parser.add_argument("--only", default=",".join(MODELS))
    asked = parser.parse_args()
    print("| data sets of | contender | processor s | wall s | standard errors |\n|---|---|---|---|---|")
    for name in asked.only.split(","):
        runs: dict[str, list[tuple[float, float, list[float]]]] = {"ours": [], "bootMer": []}
        for _ in range(asked.repeats):
            for contender, found in runs.items():
                found.append(run(contender, name, asked.nsim, asked.cores))
        for contender, found in runs.items():
            cpu, wall = (median(one[place] for one in found) for place in (0, 1))
            errors = ", ".join(f"{error:.3f}" for error in found[0][2])
            print(f"| {name} | {contender} | {cpu:.1f} | {wall:.1f} | {errors} |")


if __name__ == "__main__":
    main()
