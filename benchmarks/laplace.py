"""Laplace's approximation, quadrature and profiles beside glmer, glmmTMB and clmm: processor and wall seconds.

Each run is a fresh process which fits a case some times, in turns with R's; the first call holds what is loaded at
first use, the others are warm. Writes benchmarks/results/laplace.json.

    python benchmarks/laplace.py FOLDER_OF_DATA [CASE ...]
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
REPEATS, CALLS, CALLS_OF_LARGE = 3, 6, 2
# Data, formula, family, further arguments of glmer, and R's call of `d`.
CASES: dict[str, tuple[str, str, str, dict[str, Any], str]] = {
    "cbpp": ("cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial", {},
             "glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), d, binomial)"),
    "cbpp, nAGQ = 10": ("cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial", {"nAGQ": 10},
                        "glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), d, binomial, nAGQ = 10)"),
    "cbpp, profiles": ("cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial", {},
                       "confint(m, method = 'profile')"),
    "negative binomial": ("crossed", "y ~ x + (1 | g) + (1 | h)", "negativebinomial", {},
                          "glmmTMB(y ~ x + (1 | g) + (1 | h), d, nbinom2)"),
    "zero-inflated": ("crossed", "y ~ x + (1 | g) + (1 | h)", "zero_inflated_poisson", {},
                      "glmmTMB(y ~ x + (1 | g) + (1 | h), d, poisson, ziformula = ~1)"),
    "ordered levels": ("crossed", "level ~ x + (1 | g)", "cumulative", {},
                       "clmm(factor(level, ordered = TRUE) ~ x + (1 | g), d)"),
    "hap1_full": ("hap1_full", "count ~ control + offset(log_offset) + (1 | gene/sgRNA)", "negativebinomial", {},
                  "glmmTMB(count ~ control + offset(log_offset) + (1 | gene/sgRNA), d, nbinom2)"),
}  # fmt: skip


def tables(folder: Path, data: Path) -> None:
    """Write the tables that both sides read."""
    pd.read_csv(data / "lme4" / "cbpp.csv").to_csv(folder / "cbpp.csv", index=False)
    rng = np.random.default_rng(0)
    g, h, x = np.arange(480) % 60, rng.integers(0, 240, 480), rng.normal(size=480)
    mean = np.exp(1 + 0.3 * x + 0.6 * rng.normal(size=60)[g] + 0.5 * rng.normal(size=240)[h])
    crossed = pd.DataFrame({"y": rng.poisson(rng.gamma(4, mean / 4)), "x": x, "g": g, "h": h})
    crossed["level"] = np.digitize(np.log(mean) + rng.logistic(size=480), [0.0, 1.0, 2.0])
    crossed.to_csv(folder / "crossed.csv", index=False)
    full = data / "screens" / "hap1_full.csv.gz"
    pd.read_csv(full).assign(log_offset=lambda d: np.log(d["count_initial_adj"])).to_csv(
        folder / "hap1_full.csv", index=False
    )


def fit(case: str, folder: str, calls: str) -> None:
    """Fit a case in this process, and print what that took."""
    import speclet_formula as sf

    name, formula, family, settings, _ = CASES[case]
    table = pd.read_csv(Path(folder) / f"{name}.csv")
    for factor in {"herd", "period", "g", "h"} & set(table):
        table[factor] = table[factor].astype(str)
    table = table.assign(level=pd.Categorical(table["level"], ordered=True)) if "level" in table else table

    def one() -> Any:
        return sf.glmer(formula, table, family=family, method="laplace", **settings)

    found, call = one(), one
    if "profiles" in case:
        call = lambda: sf.confint(found, "profile")  # noqa: E731
    print(json.dumps(timed(call, int(calls)) | {"log_likelihood": found.log_likelihood}))


def timed(call: Callable[[], Any], calls: int) -> dict[str, Any]:
    """Call some times; return processor and wall seconds of each, and those of the process."""
    cpu, wall = [], []
    for _ in range(calls):
        before, started = time.process_time(), time.perf_counter()
        call()
        cpu.append(time.process_time() - before)
        wall.append(time.perf_counter() - started)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": cpu, "wall": wall, "process_cpu": time.process_time(), "peak_mb": usage.ru_maxrss / 1024}


R = """
suppressMessages({library(lme4); library(glmmTMB); library(ordinal)})
d <- read.csv("%s"); for (k in intersect(c("herd", "period", "g", "h"), names(d))) d[[k]] <- factor(d[[k]])
if (%d) m <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), d, binomial)
cpu <- c(); wall <- c()
for (i in 1:%d) { t <- proc.time(); f <- suppressMessages(suppressWarnings(%s)); t <- proc.time() - t
  cpu <- c(cpu, sum(t[1:2])); wall <- c(wall, t[3]) }
l <- tryCatch(as.numeric(logLik(f)), error = function(e) NA)
cat(jsonlite::toJSON(list(cpu = I(cpu), wall = I(wall), process_cpu = sum(proc.time()[1:2]), log_likelihood = l),
  auto_unbox = TRUE, digits = 10, na = "null"))
"""


def measure(case: str, folder: Path) -> dict[str, Any]:
    """Run both sides in turns."""
    large = case == "hap1_full"
    runs: dict[str, list[dict[str, Any]]] = {"speclet_formula": [], "R": []}
    calls = CALLS_OF_LARGE if large else CALLS
    for _ in range(1 if large else REPEATS):
        own = [sys.executable, __file__, "--fit", case, str(folder), str(calls)]
        table = folder / f"{CASES[case][0]}.csv"
        script = R % (table, "profiles" in case, 1 if large else calls, CASES[case][4])
        for name, command in (("speclet_formula", own), ("R", ["Rscript", "-e", script])):
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {name: summary(found) for name, found in runs.items()}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians: of the first calls, of the warm ones, of the processes."""
    warm = {k: [value for run in runs for value in (run[k][1:] or run[k])] for k in ("cpu", "wall")}
    return {
        "first_call_cpu": median(run["cpu"][0] for run in runs),
        "warm_cpu": median(warm["cpu"]),
        "warm_wall": median(warm["wall"]),
        "process_cpu": median(run["process_cpu"] for run in runs),
        "log_likelihood": runs[0]["log_likelihood"],
        "peak_mb": runs[0].get("peak_mb"),
    }


def main(data: str, *chosen: str) -> None:
    """Measure, print and write down; cases that are not chosen keep what was written of them."""
    place = HERE / "results" / "laplace.json"
    record = json.loads(place.read_text()) if place.exists() else {"cases": {}}
    with TemporaryDirectory() as folder:
        tables(Path(folder), Path(data))
        for case in chosen or CASES:
            record["cases"][case] = measure(case, Path(folder)) | {"load": os.getloadavg()[0]}
            print(case, json.dumps(record["cases"][case], indent=2))
    place.write_text(json.dumps(record | {"cores": os.cpu_count()}, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--fit":
        fit(*sys.argv[2:5])
    else:
        main(*sys.argv[1:])
