"""Levels that are related, beside lme4 with its design multiplied by their covariance's factor, and beside brms.

    python -m benchmarks.related_levels [--repeats 3] [--only pedigree,genomic,small] [--brms]

lme4's modular functions fit (1 | line) with Zt multiplied by the Cholesky factor of A, as lme4qtl and pedigreemm do.
The contenders take turns, each run a process of its own; times are processor seconds of one fit, from table and matrix
in memory on; of brms of the sampling alone, its compiling left out. brms is run once, of the small case.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

import speclet_formula as sf

TRUTH = {"Intercept": 1.0, "x": 0.5, "1|line_sigma": 0.7, "sigma": 1.0}
CASES = {"pedigree": (2000, 10_000), "genomic": (1000, 5000), "small": (200, 1000)}  # lines, rows
WITHOUT_LME4 = ("pedigree",)  # whose multiplied design has 10^7 entries there
FOUNDERS, BORN_WITHIN = 100, 400  # of the pedigree; parents are among so many before
OURS = """
import json, sys, time
import numpy as np, pandas as pd, speclet_formula as sf
from scipy import sparse
folder, method = sys.argv[1:]
table, labels = pd.read_csv(folder + "/table.csv", dtype={"line": str}), json.load(open(folder + "/labels.json"))
is_precision = json.load(open(folder + "/precision.json"))
matrix = sparse.load_npz(folder + "/matrix.npz") if is_precision else np.load(folder + "/matrix.npy")
found = []
for _ in range(2):
    cpu = time.process_time()
    given = {"M": sf.LevelMatrix(matrix, labels)}
    formula = f"y ~ x + (1 | gr(line, {'precision' if is_precision else 'cov'} = M))"
    options = {"method": method} if method == "reml" else {"random_seed": 1, "progress": False}
    fit = sf.lmer(formula, table, matrices=given, **options)
    found.append(time.process_time() - cpu)
print(json.dumps([*found, *sf.varcorr(fit)["sdcor"].tolist()]))
"""
LME4 = """
suppressMessages({library(lme4); library(Matrix)})
folder <- commandArgs(TRUE)[1]
table <- read.csv(file.path(folder, "table.csv"), colClasses = c(line = "character"))
A <- as.matrix(read.csv(file.path(folder, "covariance.csv"), row.names = 1, check.names = FALSE))
taken <- system.time({
  parts <- lFormula(y ~ x + (1 | line), table)
  Zt <- parts$reTrms$Zt; own <- A[rownames(Zt), rownames(Zt)]
  parts$reTrms$Zt <- as(chol(own) %*% Zt, "CsparseMatrix")
  parts$reTrms$Ztlist[[1]] <- parts$reTrms$Zt
  deviance <- do.call(mkLmerDevfun, parts)
  found <- optimizeLmer(deviance)
  fit <- mkMerMod(environment(deviance), found, parts$reTrms, parts$fr)
})
sds <- as.data.frame(VarCorr(fit))$sdcor
cat(sprintf("[%f, %f, %f]", taken[["user.self"]] + taken[["sys.self"]], sds[1], sds[2]))
"""
BRMS = """
suppressMessages(library(brms))
folder <- commandArgs(TRUE)[1]
table <- read.csv(file.path(folder, "table.csv"), colClasses = c(line = "character"))
A <- as.matrix(read.csv(file.path(folder, "covariance.csv"), row.names = 1, check.names = FALSE))
fit <- brm(y ~ x + (1 | gr(line, cov = A)), table, data2 = list(A = A), chains = 4, cores = 1, seed = 1, refresh = 0)
times <- sum(rstan::get_elapsed_time(fit$fit))
sds <- VarCorr(fit)
cat(sprintf("[%f, %f, %f]", times, sds$line$sd[1, 1], sds$residual__$sd[1, 1]))
"""


def write_case(name: str, folder: Path) -> None:
    """Write a table, its matrix for us, and the covariance for R."""
    from scipy import sparse

    rng, (q, n) = np.random.default_rng(1), CASES[name]
    if name == "pedigree":
        parents = [
            [None, None] if i < FOUNDERS else rng.integers(max(0, i - BORN_WITHIN), i, 2).tolist() for i in range(q)
        ]
        family = pd.DataFrame(parents, columns=["sire", "dam"], dtype="Int64").assign(id=np.arange(q))
        family[["sire", "dam"]] = family[["sire", "dam"]].replace(0, q)
        matrix = sf.pedigree(family.assign(id=family["id"].replace(0, q)))
        sparse.save_npz(folder / "matrix.npz", sparse.csc_matrix(matrix.matrix))
        covariance = np.linalg.inv(matrix.matrix.toarray())
    else:
        markers = rng.normal(size=(q, 2 * q))
        covariance = markers @ markers.T / (2 * q)
        matrix = sf.LevelMatrix(covariance, [f"l{k}" for k in range(q)], "cov")
        np.save(folder / "matrix.npy", covariance)
    labels = list(map(str, matrix.labels))
    layout = pd.DataFrame({"x": rng.normal(size=n), "line": np.array(labels)[rng.integers(0, q, n)]})
    formula = f"y ~ x + (1 | gr(line, {matrix.role} = M))"
    sf.simulate(formula, layout, TRUTH, matrices={"M": matrix}, random_seed=2)[0].to_csv(folder / "table.csv")
    pd.DataFrame(covariance, labels, labels).to_csv(folder / "covariance.csv")
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "precision.json").write_text(json.dumps(matrix.role == "precision"))


def run(program: list[str], code: str, folder: Path, *arguments: str) -> list[float]:
    """Run a contender, and return what it prints last."""
    done = subprocess.run([*program, code, str(folder), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [float(number) for number in json.loads(done.stdout.strip().splitlines()[-1])]


def main() -> None:
    """Time the contenders in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--brms", action="store_true")
    chosen = parser.parse_args()
    for name in chosen.only.split(","):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_case(name, folder)
            turns = []
            for _ in range(chosen.repeats):
                reml, exact = (run([sys.executable, "-c"], OURS, folder, method) for method in ("reml", "exact"))
                peer = [] if name in WITHOUT_LME4 else run(["Rscript", "-e"], LME4, folder)
                turns.append([*reml, *exact, *peer])
            middle = [round(median(column), 3) for column in zip(*turns, strict=True)]
            print(name, "reml first, second, SDs", middle[:4], "exact", middle[4:8], "lme4, SDs", middle[8:])
            if chosen.brms and name == "small":
                print(name, "brms, SDs", run(["Rscript", "-e"], BRMS, folder))


if __name__ == "__main__":
    main()
