"""Screens of pairs of genes by mm() and an interaction: how long fits take, and the small one beside brms.

    python -m benchmarks.pairs [--genes 100,1000,2000] [--beside 60] [--draws 1000] [--output FILE]

Each run is a process of its own, in which a fit of another table comes first, so that nothing is loaded or compiled
while the clock runs; brms compiles its model before the clock runs, and what that took is told apart. Of a library at
random each gene has partners anywhere, of one of neighbours those next to it: what is left of the genes once the pairs
are eliminated is then nearly full, or narrow.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

FORMULA = "log_fc ~ (1 | mm(gene_a, gene_b)) + (1 | gene_a:gene_b)"
FOR_BRMS = "log_fc ~ (1 | mm(gene_a, gene_b)) + (1 | pair)"  # the same: its levels are a:b
CONSTRUCTS, REPLICATES = 4, 3
OURS = """
import json, sys, time
import pandas as pd, speclet_formula as sf
if __name__ == "__main__":
    path, formula, method, draws = sys.argv[1:]
    data = pd.read_csv(path)
    settings = {"random_seed": 1, "cores": 1, "draws": int(draws)} if method == "exact" else {}
    sf.lmer(formula, data.head(len(data) // 4), method=method, **{**settings, **({"draws": 20} if settings else {})})
    cpu, wall = time.process_time(), time.perf_counter()
    fit = sf.lmer(formula, data, method=method, progress=False, **settings)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    ess = None if method != "exact" else fit.diagnostics.ess_bulk_min
    print(json.dumps({"cpu": spent[0], "wall": spent[1], "sds": sf.varcorr(fit)["sdcor"].tolist(), "ess": ess}))
"""
BRMS = """
suppressMessages(library(brms))
headers <- file.path(dirname(dirname(R.home())), "include")
if (dir.exists(file.path(headers, "boost"))) rstan::rstan_options(boost_lib = headers)
a <- commandArgs(TRUE)
d <- read.csv(a[1], stringsAsFactors = TRUE)
d$pair <- factor(paste(d$gene_a, d$gene_b, sep = ":"))
used <- function() sum(proc.time()[c(1, 2, 4, 5)])
start <- used()
empty <- brm(as.formula(a[2]), d, chains = 0, refresh = 0)
compiled <- used()
fit <- update(empty, newdata = d, recompile = FALSE, chains = 4, cores = 1, seed = 1, refresh = 0,
              iter = 1000 + as.integer(a[3]), warmup = 1000)
end <- used()
sds <- summary(fit)
draws <- posterior::summarise_draws(fit)
cat(sprintf('{"compile": %f, "cpu": %f, "sds": [%f, %f, %f], "ess": %f, "version": "%s"}',
            compiled - start, end - compiled, sds$random[[1]][1, 1], sds$random[[2]][1, 1], sds$spec_pars[1, 1],
            min(draws$ess_bulk[!draws$variable %in% c("lp__", "lprior")]), packageVersion("brms")))
"""


def library(genes: int, kind: str, seed: int = 1) -> pd.DataFrame:
    """Return fold changes of pairs, six for each gene on average at random, four of neighbours."""
    rng = np.random.default_rng(seed)
    names = np.array([f"g{place:05d}" for place in range(genes)])
    one = np.tile(np.arange(genes), 3 if kind == "random" else 2)
    if kind == "random":
        other = np.concatenate([rng.permutation(genes) for _ in range(3)])
    else:
        other = (one + np.repeat([1, 2], genes)) % genes
    low, high = np.minimum(one, other), np.maximum(one, other)
    low, high = np.divmod(np.unique(low[low < high] * genes + high[low < high]), genes)
    single, pair = rng.normal(0, 0.5, genes), rng.normal(0, 0.2, len(low))
    row = np.repeat(np.arange(len(low)), CONSTRUCTS * REPLICATES)
    log_fc = single[low[row]] + single[high[row]] + pair[row] + rng.normal(0, 0.5, len(row)) - 0.1
    return pd.DataFrame({"gene_a": names[low[row]], "gene_b": names[high[row]], "log_fc": log_fc})


def run(command: list[str], *arguments: str) -> dict[str, object]:
    """Run one contender by one BLAS thread."""
    one = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    made = subprocess.run([*command, *arguments], capture_output=True, text=True, env=one)
    if made.returncode:
        raise SystemExit(made.stderr)
    return json.loads(made.stdout.strip().splitlines()[-1])


def main() -> None:
    """Print a line for each run, and write all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", default="100,1000,2000")
    parser.add_argument("--beside", type=int, default=60, help="genes of the table that brms fits too; 0 for none")
    parser.add_argument("--draws", type=int, default=1000, help="of each of 4 chains")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        sizes = [int(size) for size in asked.genes.split(",") if size]
        cases = [(size, kind, False) for size in sizes for kind in ("random", "neighbours")]
        cases += [(asked.beside, "random", True)] if asked.beside else []
        for genes, kind, beside in cases:
            table, path = library(genes, kind), str(Path(folder) / "pairs.csv")
            table.to_csv(path, index=False)
            facts = {"genes": genes, "library": kind, "rows": len(table)}
            facts["pairs"] = len(table) // CONSTRUCTS // REPLICATES
            for method in ("reml", "exact"):
                spent = run([sys.executable, "-c", OURS], path, FORMULA, method, str(asked.draws))
                found.append(facts | {"contender": method} | spent)
                print(found[-1], flush=True)
            if beside:
                found.append(
                    facts | {"contender": "brms"} | run(["Rscript", "-e", BRMS], path, FOR_BRMS, str(asked.draws))
                )
                print(found[-1], flush=True)
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
