"""A Gaussian process of many rows, beside Bambi's hsgp: `python -m benchmarks.gaussian_processes 500 10000 100000`.

Of each number of rows `y ~ gp(x, m = 20)` is fitted here exactly, by Hamiltonian Monte Carlo and by REML; where there
are no more than 500, Bambi's `hsgp` of the same waves and priors is sampled by NUTS, one after the other, each with
one thread. Printed are seconds of processor time after everything of ours is compiled, Bambi's with its compilation;
the least effective number of draws of the SD, the length-scale and sigma; and how far the means of their logarithms lie
from those of the exact engine, in Monte Carlo errors of both.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import arviz as az
import bambi as bmb
import numpy as np
import pandas as pd

import speclet_formula as sf

SEED, TERM = 17, "hsgp(x, m=20, c=2.5, scale=False)"
MOST_OF_BAMBI = 500
PRIORS = {
    "Intercept": bmb.Prior("Normal", mu=0, sigma=3),
    "sigma": bmb.Prior("HalfNormal", sigma=1),
    TERM: {"sigma": bmb.Prior("HalfNormal", sigma=3), "ell": bmb.Prior("InverseGamma", alpha=3, beta=4)},
}
NUMBERS = {"sigma": "sigma", "1|gp(x)_sigma": "curve_sigma", "ell|gp(x)": "curve_ell"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gaussian_processes", description=__doc__)
    parser.add_argument("rows", type=int, nargs="+")
    given = parser.parse_args(arguments)
    _ours(_table(60))  # compiles
    for rows in given.rows:
        sys.stdout.write(json.dumps(_compared(_table(rows)), indent=1) + "\n")


def _table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(SEED)
    x = rng.uniform(0, 10, rows)
    return pd.DataFrame({"x": x, "y": np.sin(x) + 0.3 * np.sqrt(x) + rng.normal(0, 0.5, rows)})


def _ours(data: pd.DataFrame) -> dict[str, tuple[float, Any]]:
    known = sf.from_bambi(bmb.Model(f"y ~ {TERM}", data.head(60), priors=PRIORS))  # of all rows it holds a square
    model = sf.Model(known.formula, data, priors={slot.slot: slot.prior for slot in known.slots})
    methods = ("exact", "hmc", "reml") if len(data) <= MOST_OF_BAMBI else ("exact", "reml")
    settings = {"exact": {"random_seed": 1}, "hmc": {"random_seed": 1, "progress": False}, "reml": {}}
    return {name: _timed(lambda name=name: sf.fit(model, method=name, cores=1, **settings[name])) for name in methods}


def _bambi(data: pd.DataFrame) -> Any:
    model = bmb.Model(f"y ~ {TERM}", data, priors=PRIORS)
    model.set_alias({TERM: "curve"})
    return model.fit(cores=1, random_seed=1, progressbar=False, inference_method="nutpie", target_accept=0.95)


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    made = run()
    return time.process_time() - start, made


def _compared(data: pd.DataFrame) -> dict[str, Any]:
    ours = _ours(data)
    told: dict[str, Any] = {"rows": len(data), **{name: round(seconds, 2) for name, (seconds, _) in ours.items()}}
    if len(data) > MOST_OF_BAMBI:
        return told
    seconds, theirs = _timed(lambda: _bambi(data))
    exact = {name: _logs(ours["exact"][1].idata.posterior, name) for name in NUMBERS}
    hmc = {name: _logs(ours["hmc"][1].idata.posterior, name) for name in NUMBERS}
    bambi = {name: _logs(theirs.posterior, other) for name, other in NUMBERS.items()}
    told["bambi"] = round(seconds, 2)
    told["divergences"] = int(theirs.sample_stats.diverging.sum())
    for label, values in (("exact", exact), ("hmc", hmc), ("bambi", bambi)):
        told[f"{label} least effective"] = int(min(float(az.ess(draws)) for draws in values.values()))
    for label, values in (("hmc", hmc), ("bambi", bambi)):
        told[f"{label} apart"] = {name: round(_apart(values[name], exact[name]), 1) for name in NUMBERS}
    return told


def _logs(posterior: Any, name: str) -> np.ndarray:
    return np.log(np.asarray(posterior[name].to_numpy()))


def _apart(draws: np.ndarray, others: np.ndarray) -> float:
    return float((draws.mean() - others.mean()) / np.hypot(float(az.mcse(draws)), float(az.mcse(others))))


if __name__ == "__main__":
    main()
