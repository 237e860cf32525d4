"""Mixed models by Python's packages of today beside lme4: the likelihoods that they find, and processor time.

    python -m benchmarks.peers PYTHON_OF_PEERS [--limit 120] [--repeats 3]

PYTHON_OF_PEERS has mixedlm, interlace-lme, lme-python, statsmodels and gpboost; data are lme4's own, written by R. Each
contender runs in a process of its own, in turns, and fits twice: the second fit is the one that is timed. Written to
`results/peers.json`: the log-likelihood by REML (by maximum likelihood for gpboost, which has no REML, and for cbpp by
Laplace's approximation), what it lacks to lme4's, and processor seconds; or what a package said.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

OURS = """
import speclet_formula as sf
def sleepstudy(d): return sf.lmer("Reaction ~ Days + (Days | Subject)", d, method="reml").log_likelihood
def penicillin(d): return sf.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", d, method="reml").log_likelihood
def pastes(d): return sf.lmer("strength ~ 1 + (1 | batch/cask)", d, method="reml").log_likelihood
def cbpp(d):
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return sf.glmer(formula, d, family="binomial", method="laplace").log_likelihood
"""
MIXEDLM = """
import mixedlm
def lmer(formula, d): return mixedlm.lmer(formula, d).logLik().value
def sleepstudy(d): return lmer("Reaction ~ Days + (Days | Subject)", d)
def penicillin(d): return lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", d)
def pastes(d): return lmer("strength ~ 1 + (1 | batch/cask)", d)
def cbpp(d):
    formula = "incidence / size ~ period + (1 | herd)"
    return mixedlm.glmer(formula, d, family=mixedlm.families.Binomial()).logLik().value
"""
INTERLACE = """
import interlace
def lmer(formula, d, *terms): return interlace.fit(formula, d, random=list(terms)).llf
def sleepstudy(d): return lmer("Reaction ~ Days", d, "(1 + Days | Subject)")
def penicillin(d): return lmer("diameter ~ 1", d, "(1 | plate)", "(1 | sample)")
def pastes(d): return lmer("strength ~ 1", d, "(1 | batch/cask)")
def cbpp(d):
    weights = d["size"].to_numpy()
    return interlace.glmer("share ~ period", d, family="binomial", groups="herd", weights=weights).llf
"""
LME_PYTHON = """
import lme_python, polars
def lmer(formula, d): return lme_python.lmer(formula, data=polars.from_pandas(d), reml=True).log_likelihood
def sleepstudy(d): return lmer("Reaction ~ Days + (Days | Subject)", d)
def penicillin(d): return lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", d)
def pastes(d): return lmer("strength ~ 1 + (1 | batch/cask)", d)
def cbpp(d):
    table, weights = polars.from_pandas(d), d["size"].astype(float).tolist()
    formula = "share ~ period + (1 | herd)"
    return lme_python.glmer_weighted(formula, table, "binomial", weights=weights).log_likelihood
"""
STATSMODELS = """
import statsmodels.formula.api as smf
def crossed(formula, d, *factors):
    terms = {name: f"0 + C({name})" for name in factors}
    return smf.mixedlm(formula, d.assign(all=1), groups="all", re_formula="0", vc_formula=terms).fit().llf
def sleepstudy(d): return smf.mixedlm("Reaction ~ Days", d, groups="Subject", re_formula="~Days").fit().llf
def penicillin(d): return crossed("diameter ~ 1", d, "plate", "sample")
def pastes(d):
    terms = {"cask": "0 + C(cask)"}
    return smf.mixedlm("strength ~ 1", d, groups="batch", re_formula="1", vc_formula=terms).fit().llf
"""
GPBOOST = """
import gpboost, numpy
def grouped(d, y, *factors):
    groups = numpy.column_stack([d[name] for name in factors])
    model = gpboost.GPModel(group_data=groups, likelihood="gaussian", num_parallel_threads=1)
    model.fit(y=d[y].to_numpy(float), X=numpy.ones((len(d), 1)))
    return -model.get_current_neg_log_likelihood()
def penicillin(d): return grouped(d, "diameter", "plate", "sample")
def pastes(d): return grouped(d.assign(sample=d["batch"] + d["cask"]), "strength", "batch", "sample")
"""
TIMED = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import pandas
table = pandas.read_csv(sys.argv[2])
table[[name for name in table if name in TEXT]] = table[[name for name in table if name in TEXT]].astype(str)
fit, found = globals()[sys.argv[1]], []
for _ in range(2):
    started = time.process_time()
    value = fit(table)
    found = [float(value), time.process_time() - started]
print(json.dumps(found))
"""
LME4 = """
suppressMessages(library(lme4))
a <- commandArgs(TRUE)
formulas <- list(sleepstudy = Reaction ~ Days + (Days | Subject),
  penicillin = diameter ~ 1 + (1 | plate) + (1 | sample), pastes = strength ~ 1 + (1 | batch/cask),
  cbpp = cbind(incidence, size - incidence) ~ period + (1 | herd))
d <- read.csv(a[2], stringsAsFactors = TRUE)
for (name in intersect(names(d), c("period", "herd", "Subject"))) d[[name]] <- factor(d[[name]])
f <- formulas[[a[1]]]
fit <- function() if (a[1] == "cbpp") glmer(f, d, binomial) else lmer(f, d, REML = a[3] == "reml")
fit()
taken <- system.time(m <- fit())
cat(sprintf("[%.8f, %.6f]", as.numeric(logLik(m)), taken[["user.self"]] + taken[["sys.self"]]))
"""
WRITE = """
suppressMessages(library(lme4))
folder <- commandArgs(TRUE)[1]
kept <- function(d, name) write.csv(d, file.path(folder, paste0(name, ".csv")), row.names = FALSE)
kept(sleepstudy, "sleepstudy"); kept(Penicillin, "penicillin"); kept(Pastes[c("strength", "batch", "cask")], "pastes")
cbpp$share <- cbpp$incidence / cbpp$size; kept(cbpp, "cbpp")
"""
ROUNDED, TENTH = 1e-6, 0.1  # of a log-likelihood; a second
TEXT = {"Subject", "herd", "period"}
CASES = ("sleepstudy", "penicillin", "pastes", "cbpp")
PEERS = {"mixedlm": MIXEDLM, "interlace-lme": INTERLACE, "lme-python": LME_PYTHON, "statsmodels": STATSMODELS,
         "gpboost": GPBOOST}  # fmt: skip
VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps([version(name) for name in sys.argv[1:]]))
"""


def fitted(command: list[str], limit: float) -> list[Any]:
    """Return the log-likelihood and the seconds; else nothing, and the last words of what went wrong."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        return [None, None, f"stopped after {limit:.0f} s"]
    except subprocess.CalledProcessError as error:
        return [None, None, error.stderr.strip().splitlines()[-1][:200]]
    return [*json.loads(done.stdout.splitlines()[-1]), ""]


def sitting(name: str, path: Path, peers: str, limit: float, repeats: int) -> dict[str, Any]:
    """Let the contenders of a case take turns; likelihoods and the median of their times."""
    timed = TIMED.replace("TEXT", repr(sorted(TEXT)))
    commands = {"speclet_formula": [sys.executable, "-c", OURS + timed, name, str(path)]}
    commands |= {f"lme4 {kind}": ["Rscript", "-e", LME4, name, str(path), kind] for kind in ("reml", "ml")}
    served = {peer: code for peer, code in PEERS.items() if f"def {name}(" in code}
    commands |= {peer: [peers, "-c", code + timed, name, str(path)] for peer, code in served.items()}
    runs: dict[str, list[list[Any]]] = {peer: [] for peer in commands}
    for _ in range(repeats):
        for peer, command in commands.items():
            if not runs[peer] or not runs[peer][-1][2]:
                runs[peer].append(fitted(command, limit))
    return {
        peer: {"log_likelihood": found[-1][0], "cpu": median(run[1] for run in found), "said": ""}
        if not found[-1][2]
        else {"log_likelihood": None, "cpu": None, "said": found[-1][2]}
        for peer, found in runs.items()
    }


def markdown(found: dict[str, Any]) -> str:
    """Set the figures as the table of `docs/peers.md`: what is lacking to lme4, in brackets milliseconds."""
    cases = [name for name in CASES if name in found]
    labels = {"speclet_formula": "this package", "lme4 reml": "lme4"}
    labels |= {peer: f"{peer} {version}" for peer, version in found["versions"].items()}
    lines = ["| | " + " | ".join(f"`{name}`" for name in cases) + " |", "|---|" + "--:|" * len(cases)]
    for peer, label in labels.items():
        lines.append(f"| {label} | " + " | ".join(_cell(found[name].get(peer)) for name in cases) + " |")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    """Write one figure, and why there is none."""
    if row is None:
        return ""
    if row["difference"] is None:
        return "an error" if row["said"] else "?"
    less = f"{row['difference']:.0e}" if abs(row["difference"]) > ROUNDED else "0"
    return f"{less} ({1000 * row['cpu']:,.{0 if row['cpu'] > TENTH else 1}f})"


def main() -> None:
    """Print a row for each case and contender, and write all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("peers", help="a Python, or the file of a sitting, whose table is then printed")
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default=",".join(CASES))
    given = parser.parse_args()
    if given.peers.endswith(".json"):
        print(markdown(json.loads(Path(given.peers).read_text(encoding="utf-8"))))
        return
    said = subprocess.run([given.peers, "-c", VERSIONS, *PEERS], check=True, capture_output=True, text=True)
    found: dict[str, Any] = {"versions": dict(zip(PEERS, json.loads(said.stdout), strict=True))}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["Rscript", "-e", WRITE, folder], check=True)
        for name in given.only.split(","):
            found[name] = sitting(name, Path(folder, f"{name}.csv"), given.peers, given.limit, given.repeats)
            for peer, row in found[name].items():
                beside = found[name]["lme4 ml" if peer == "gpboost" else "lme4 reml"]["log_likelihood"]
                row["difference"] = None if row["said"] or beside is None else row["log_likelihood"] - beside
                print(f"{name:11} {peer:16}", row, flush=True)
    path = Path(__file__).parent / "results" / "peers.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
