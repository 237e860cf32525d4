"""Simulation-based calibration of the exact engine: parameters drawn from their priors, data from them, then fitted.

If the engine is right, the rank of each true value among the posterior's draws is uniform (Talts et al. 2018,
doi:10.48550/arXiv.1804.06788). Prints, for each scalar and for the log-likelihood, how far the ranks' ECDF strays from
the uniform's, against the simultaneous 99 % band, and writes the figures to benchmarks/results/calibration.json.

    python benchmarks/calibration.py [number of data sets]
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

import speclet_formula as sf
from speclet_formula.families import log_density
from speclet_formula.prediction import linear_predictor

FORMULA = "log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)"
SDS = ("1|gene_sigma", "1|gene:sgRNA_sigma", "1|cell_line_sigma")
# Frozen: a default that looked at the response would change with every data set.
PRIORS = {
    "Intercept": sf.Prior("Normal", mu=-1, sigma=1),
    **dict.fromkeys(SDS, sf.Prior("HalfNormal", sigma=0.7)),
    "sigma": sf.Prior("HalfNormal", sigma=0.5),
}
RANKED = 199  # draws that each true value is ranked among, far enough apart to be independent
LEVEL = 0.99


def truth_from_prior(rng: np.random.Generator) -> dict[str, float]:
    """Draw one value of each scalar from its prior."""
    values = {name: abs(rng.normal(0, 0.7)) for name in SDS}
    return {"Intercept": rng.normal(-1, 1), **values, "sigma": abs(rng.normal(0, 0.5))}


def ranks_of_one(seed: int) -> dict[str, int]:
    """Draw a truth and data, fit, and rank each scalar and the log-likelihood of the data."""
    rng = np.random.default_rng(seed)
    design, _ = sf.datasets.m7()
    design = design[["gene", "sgRNA", "cell_line"]]
    params = truth_from_prior(rng)
    data, truth = sf.simulate(FORMULA, design, params, random_seed=seed + 1)
    model = sf.Model(FORMULA, data, priors=PRIORS)
    fit = sf.fit(model, method="exact", draws=250, chains=4, cores=1, random_seed=seed + 2)
    posterior = fit.idata["posterior"].to_dataset()
    kept = np.linspace(0, 999, RANKED).astype(int)
    ranks = {name: int((posterior[name].to_numpy().ravel()[kept] < params[name]).sum()) for name in params}
    mean = linear_predictor(model, posterior, draws=kept)
    sigma = posterior["sigma"].to_numpy().ravel()[kept, None]
    drawn = log_density(model.family, model.design.response, mean, {"sigma": sigma}).sum(axis=1)
    true_mean = params["Intercept"] + sum(
        truth[slot].loc[np.asarray(block.levels)[block.codes]].to_numpy()
        for block in model.design.groups
        for slot in block.slots
    )
    known = log_density(model.family, model.design.response, true_mean, {"sigma": params["sigma"]}).sum()
    return ranks | {"log likelihood": int((drawn < known).sum())}


def largest_gap(ranks: np.ndarray) -> float:
    """Return the largest distance between the ranks' ECDF and the uniform's."""
    counts = np.bincount(ranks, minlength=RANKED + 1)
    ecdf = np.cumsum(counts) / len(ranks)
    return float(np.abs(ecdf - np.arange(1, RANKED + 2) / (RANKED + 1)).max())


def band(n_sets: int) -> float:
    """Return the gap that uniform ranks stay below with probability LEVEL, by simulation."""
    rng = np.random.default_rng(1)
    gaps = [largest_gap(rng.integers(0, RANKED + 1, n_sets)) for _ in range(4000)]
    return float(np.quantile(gaps, LEVEL))


def main(n_sets: int = 1000) -> None:
    """Calibrate with so many data sets, print the gaps and write them down."""
    started = time.perf_counter()
    seeds = [1000 * k for k in range(n_sets)]
    cores = os.cpu_count() or 1
    rows = Parallel(n_jobs=cores, verbose=1)(delayed(ranks_of_one)(seed) for seed in seeds)
    seconds = time.perf_counter() - started
    limit = band(n_sets)
    gaps = {name: largest_gap(np.array([row[name] for row in rows])) for name in rows[0]}
    for name, gap in gaps.items():
        print(
            f"{name:<20} largest gap {gap:.4f}   {'inside' if gap < limit else 'OUTSIDE'} the 99 % band of {limit:.4f}"
        )
    print(f"{n_sets} data sets in {seconds:.0f} s on {cores} cores")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    record = {"formula": FORMULA, "data_sets": n_sets, "seconds": round(seconds), "band": limit, "gaps": gaps}
    (results / "calibration.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
