"""Models of other families than gaussian beside Bambi's samplers, brms and glmmTMB; and whether their posteriors agree.

    python -m benchmarks.families FOLDER_OF_DATA [CASE ...]
    python -m benchmarks.families --agree [MODEL ...]
    python -m benchmarks.families --calibrate [DATA_SETS]

Each run is a fresh process, in turns with the others'. Seconds are those of the processor, and of the wall beside them;
ESS is the smallest bulk ESS of all parameters. `--agree` compares ten models with long runs of NUTS, as the slow test
does with five of them. Writes benchmarks/results/families.json. The environment's PYTHON_WITH_NUMPYRO is an interpreter
with Bambi and numpyro, where this one has none.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "families.json"
LIMIT = 900.0  # seconds of a run
CBPP = "cbind(incidence, healthy) ~ period + (1 | herd)"
COUNTS = "count ~ control + offset(log_offset) + (1 | gene/sgRNA)"
TICKS = "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)"
# Table, formula, family, contenders.
CASES: dict[str, tuple[str, Any, str, tuple[str, ...]]] = {
    "cbpp": ("cbpp", CBPP, "binomial", ("hmc", "bambi-pymc", "bambi-nutpie", "bambi-numpyro", "brms")),
    "grouseticks": ("grouseticks", TICKS, "poisson", ("hmc", "glmmTMB")),
    "hap1 counts": ("hap1", COUNTS, "negativebinomial", ("hmc", "glmmTMB")),
    "hap1 t": ("hap1", "log_fc ~ control + (1 | gene/sgRNA)", "t", ("hmc",)),
    "hap1 sigma": ("hap1", ["log_fc ~ control + (1 | gene/sgRNA)", "sigma ~ control"], "gaussian", ("hmc", "glmmTMB")),
}
IN_R = {
    "cbpp": "",
    "grouseticks": f"glmmTMB({TICKS}, d, poisson)",
    "hap1 counts": f"glmmTMB({COUNTS}, d, nbinom2)",
    "hap1 sigma": "glmmTMB(log_fc ~ control + (1 | gene/sgRNA), dispformula = ~ control, d)",
}
FACTORS = ("herd", "period", "YEAR", "BROOD", "INDEX", "LOCATION", "control", "gene", "sgRNA")
REPEATS, CALLS = 3, 6
ONCE = ("brms",)  # it compiles for a minute
FAR = 4.0  # joint Monte Carlo errors


def write_tables(folder: Path, data: Path) -> None:
    """Write the tables that all sides read."""
    cbpp = pd.read_csv(data / "lme4" / "cbpp.csv")
    cbpp.assign(healthy=cbpp["size"] - cbpp["incidence"]).to_csv(folder / "cbpp.csv", index=False)
    pd.read_csv(data / "lme4" / "grouseticks.csv").to_csv(folder / "grouseticks.csv", index=False)
    screen = pd.read_csv(data / "screens" / "hap1.csv")
    screen.assign(log_offset=np.log(screen["count_initial_adj"])).to_csv(folder / "hap1.csv", index=False)


def used() -> float:
    """Return the processor seconds of this process and of those that it waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def fit_here(contender: str, case: str, folder: str, calls: str) -> None:
    """Fit a case some times in this process, and print what that took."""
    name, formula, family, _ = CASES[case]
    table = pd.read_csv(Path(folder) / f"{name}.csv", dtype=dict.fromkeys(FACTORS, str))

    def one(seed: int) -> Any:
        if contender == "hmc":
            import speclet_formula as sf

            model = sf.Model(formula, table, family=family)
            return sf.fit(model, method="hmc", random_seed=seed, progress=False)
        import bambi

        model = bambi.Model("p(incidence, size) ~ period + (1 | herd)", table, family=family)
        return model.fit(inference_method=contender.removeprefix("bambi-"), random_seed=seed, progressbar=False)

    cpu, wall = [], []
    for seed in range(int(calls)):
        before, started = used(), time.perf_counter()
        fitted = one(seed + 1)
        cpu.append(used() - before)
        wall.append(time.perf_counter() - started)
    print(json.dumps({"cpu": cpu, "wall": wall, "process_cpu": used()} | judged(fitted)))


def judged(fitted: Any) -> dict[str, Any]:
    """Return the smallest ESS and the largest R-hat of the draws."""
    import arviz as az

    from benchmarks.effective import smallest_ess

    posterior = getattr(fitted, "idata", fitted)["posterior"].to_dataset()
    r_hat = max(float(values.max()) for values in az.rhat(posterior).data_vars.values())
    return smallest_ess(posterior) | {
        "r_hat": r_hat,
        "verdict": getattr(getattr(fitted, "diagnostics", None), "verdict", ""),
    }


GLMMTMB = """
suppressMessages(library(glmmTMB))
d <- read.csv("%s"); for (k in intersect(c(%s), names(d))) d[[k]] <- factor(d[[k]])
cpu <- c(); wall <- c()
for (i in 1:%d) { t <- proc.time(); f <- suppressMessages(suppressWarnings(%s)); t <- proc.time() - t
  cpu <- c(cpu, sum(t[1:2])); wall <- c(wall, t[3]) }
cat(jsonlite::toJSON(list(cpu = I(cpu), wall = I(wall), process_cpu = sum(proc.time()[1:2])),
  auto_unbox = TRUE, digits = 10))
"""
BRMS = """
suppressMessages(library(brms))
headers <- file.path(dirname(dirname(R.home())), "include")
if (dir.exists(file.path(headers, "boost"))) rstan::rstan_options(boost_lib = headers)
d <- read.csv("%s"); for (k in intersect(c(%s), names(d))) d[[k]] <- factor(d[[k]])
cpu <- c(); wall <- c(); f <- NULL
for (i in 1:%d) { t <- proc.time()
  f <- if (is.null(f))
         brm(incidence | trials(size) ~ period + (1 | herd), d, binomial, cores = 2, refresh = 0, seed = i)
       else update(f, cores = 2, refresh = 0, seed = i, recompile = FALSE)
  t <- proc.time() - t; cpu <- c(cpu, sum(t[c(1, 2, 4, 5)])); wall <- c(wall, t[3]) }
k <- posterior::as_draws_df(f); v <- setdiff(posterior::variables(k), c("lp__", "lprior"))
write.csv(as.data.frame(k)[c(v, ".chain")], "%s.draws", row.names = FALSE)
cat("\\n", jsonlite::toJSON(list(cpu = I(cpu), wall = I(wall), process_cpu = sum(proc.time()[c(1, 2, 4, 5)])),
  auto_unbox = TRUE, digits = 10), sep = "")
"""


def run(contender: str, case: str, folder: Path) -> dict[str, Any]:
    """Run a contender once, in a process of its own."""
    table, factors = folder / f"{CASES[case][0]}.csv", ", ".join(f'"{name}"' for name in FACTORS)
    calls = {"hmc": CALLS, "glmmTMB": 3, "brms": 3}.get(contender, 2)
    if contender == "glmmTMB":
        command = ["Rscript", "-e", GLMMTMB % (table, factors, calls, IN_R[case])]
    elif contender == "brms":
        command = ["Rscript", "-e", BRMS % (table, factors, calls, table)]
    else:
        python = os.environ.get("PYTHON_WITH_NUMPYRO", sys.executable) if "numpyro" in contender else sys.executable
        command = [python, "-m", "benchmarks.families", "--fit", contender, case, str(folder), str(calls)]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT, cwd=HERE.parent)
    found = json.loads(done.stdout.strip().splitlines()[-1]) | {"process_wall": time.perf_counter() - started}
    if contender == "brms":
        from benchmarks.effective import read_draws, smallest_ess

        found |= smallest_ess(read_draws(Path(f"{table}.draws")))
    return found


def process_of(case: str, folder: Path) -> dict[str, float]:
    """Time a process that reads the table, fits it once and prints the summary: processor and wall seconds."""
    name, formula, family, _ = CASES[case]
    code = (
        "import pandas as pd, speclet_formula as sf; "
        f"d = pd.read_csv({str(folder / f'{name}.csv')!r}, dtype=dict.fromkeys({FACTORS!r}, str)); "
        f"print(sf.fit(sf.Model({formula!r}, d, family={family!r}), method='hmc', random_seed=1))"
    )
    before, started = used(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=HERE.parent)
    return {"cpu": used() - before, "wall": time.perf_counter() - started}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians: of the first calls, of the warm ones, of effective draws per second of a warm call."""
    warm = {k: median(value for run in runs for value in (run[k][1:] or run[k])) for k in ("cpu", "wall")}
    result: dict[str, Any] = {
        "first_cpu": median(run["cpu"][0] for run in runs),
        "warm_cpu": warm["cpu"],
        "warm_wall": warm["wall"],
    }
    if "ess" in runs[0]:
        ess = median(run["ess"] for run in runs)
        result |= {"ess": ess, "ess_per_cpu_second": ess / warm["cpu"], "ess_per_wall_second": ess / warm["wall"]}
        result |= {key: runs[0][key] for key in ("ess_parameter", "r_hat", "verdict") if key in runs[0]}
    return result


def measure(case: str, folder: Path) -> dict[str, Any]:
    """Run all contenders of a case in turns; one that fails is left out, which is said."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for turn in range(REPEATS):
        for contender in CASES[case][3]:
            if turn and contender in ONCE:
                continue
            try:
                runs.setdefault(contender, []).append(run(contender, case, folder))
            except (subprocess.SubprocessError, OSError) as error:
                print(f"{case}, {contender}: {str(getattr(error, 'stderr', '') or error).strip()[-300:]}")
    processes = [process_of(case, folder) for _ in range(REPEATS)]
    whole = {key: median(one[key] for one in processes) for key in ("cpu", "wall")}
    return {name: summary(found) for name, found in runs.items() if found} | {"hmc as a process": whole}


def agree(*chosen: str) -> dict[str, Any]:
    """Compare posteriors with long runs of NUTS: mean, SD and two quantiles of every parameter."""
    import speclet_formula as sf
    from tests.inference.hmc.test_fit import FAMILIES, differences, family_model

    found: dict[str, Any] = {}
    for name in chosen or FAMILIES:
        model = family_model(name)
        ours = sf.fit(model, method="hmc", draws=5000, random_seed=6, progress=False)
        theirs = sf.fit(model, method="nuts", draws=5000, tune=2000, target_accept=0.99, random_seed=7, progress=False)
        all_of_them = sorted(differences(ours, theirs), reverse=True)
        errors, where = all_of_them[0]
        found[name] = {
            "comparisons": len(all_of_them), "largest": round(errors, 2), "where": where,
            "above_four": sum(errors > FAR for errors, _ in all_of_them), "nuts": theirs.diagnostics.verdict,
        }  # fmt: skip
        print(name, json.dumps(found[name]), flush=True)
    return found


def calibrate(data_sets: str = "500") -> dict[str, Any]:
    """Calibrate with a binomial and a negative binomial model: ranks of the truth among the draws."""
    import speclet_formula as sf

    rng = np.random.default_rng(12)
    design = pd.DataFrame({"x": rng.normal(size=60), "g": [f"g{i % 10}" for i in range(60)]})
    sd = {"1|g_sigma": sf.Prior("HalfNormal", sigma=0.7)}
    means = {"Intercept": sf.Prior("Normal", mu=0.5, sigma=0.7), "x": sf.Prior("Normal", mu=0, sigma=0.7)}
    shape = {"alpha": sf.Prior("Gamma", alpha=4, beta=2)}
    found: dict[str, Any] = {}
    for family, formula, own, trials in (
        ("binomial", "cbind(y, rest) ~ x + (1 | g)", {}, 6),
        ("negativebinomial", "y ~ x + (1 | g)", shape, None),
    ):
        table = design.assign(y=1, rest=5) if trials else design
        started = time.perf_counter()
        result = sf.calibrate(
            formula, table, family=family, priors=sd | means | own, method="hmc", nsim=int(data_sets), random_seed=2
        )
        print(result)
        ranked = result.table[result.table["rank_p"].notna()].set_index("parameter")
        found[family] = {
            "data_sets": int(data_sets), "calibrated": result.calibrated,
            "seconds": round(time.perf_counter() - started),
            "cpu_seconds": round(float(result.data_sets["cpu_seconds"].sum())),
            "p_values": ranked["rank_p"].to_dict(), "inside_the_band": ranked["inside"].map(bool).to_dict(),
        }  # fmt: skip
    return found


def write(part: str, found: dict[str, Any]) -> None:
    """Write down what was found; what is not of it stays as it was written."""
    record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cases": {}, "agreement": {}, "calibration": {}}
    record[part] |= found
    RESULTS.write_text(json.dumps(record | {"cores": os.cpu_count()}, indent=2) + "\n")


def main(*given: str) -> None:
    """Do what is asked for, print it and write it down."""
    if given[0] == "--agree":
        write("agreement", agree(*given[1:]))
    elif given[0] == "--calibrate":
        write("calibration", calibrate(*given[1:]))
    else:
        with TemporaryDirectory() as folder:
            write_tables(Path(folder), Path(given[0]))
            for case in given[1:] or CASES:
                found = measure(case, Path(folder)) | {"load": os.getloadavg()[0]}
                print(case, json.dumps(found, indent=2), flush=True)
                write("cases", {case: found})


if __name__ == "__main__":
    if sys.argv[1] == "--fit":
        fit_here(*sys.argv[2:6])
    else:
        main(*sys.argv[1:])
