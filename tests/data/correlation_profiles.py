"""Make the small fits of `correlation_profiles.csv` and their profile intervals by brute force; no code of the package.

At each correlation the likelihood is maximised over both standard deviations and sigma, all on the log scale, so that
no sign can change, from several starts, with each group's whole covariance matrix. Run in this folder:

    python correlation_profiles.py
"""

import json

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

MASS = 0.95
STARTS = [(0.0, 0.0, 0.0), (-8.0, 0.0, 0.0), (0.0, -8.0, 0.0), (-1.0, -1.0, -1.0)]


def table(seed):
    """Return 4 to 8 groups of 4 to 6 rows, whose intercepts and slopes have a correlation."""
    rng = np.random.default_rng(seed)
    groups, rows = int(rng.integers(4, 9)), int(rng.integers(4, 7))
    correlation, sds = rng.choice([-0.7, 0.0, 0.7]), rng.uniform(0.2, 1.2, 2)
    effects = rng.normal(size=(groups, 2)) @ np.linalg.cholesky([[1, correlation], [correlation, 1]]).T * sds
    x = rng.normal(size=(groups, rows)).round(3)
    y = (2 + x + effects[:, :1] + effects[:, 1:] * x + rng.normal(0, 0.6, (groups, rows))).round(3)
    return pd.DataFrame({"fit": seed, "g": np.repeat(np.arange(groups), rows), "x": x.ravel(), "y": y.ravel()})


def deviance(logs, correlation, x, y):
    """Return -2 log likelihood, the fixed effects at their best."""
    first, second, sigma = np.exp(np.clip(logs, -25, 12))
    cross = correlation * first * second
    V = first**2 + cross * (x[:, :, None] + x[:, None, :]) + second**2 * x[:, :, None] * x[:, None, :]
    V = V + sigma**2 * np.eye(x.shape[1])
    X = np.stack([np.ones_like(x), x], axis=2)
    solved = np.linalg.solve(V, np.concatenate([X, y[:, :, None]], axis=2))
    gram = np.einsum("gni,gnj->ij", np.concatenate([X, y[:, :, None]], axis=2), solved)
    beta = np.linalg.solve(gram[:2, :2], gram[:2, 2])
    return np.linalg.slogdet(V)[1].sum() + gram[2, 2] - gram[2, :2] @ beta + y.size * np.log(2 * np.pi)


def profile(correlation, x, y):
    """Return the least deviance at a correlation."""
    options = {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000, "maxfev": 4000}
    return min(
        minimize(deviance, start, (correlation, x, y), method="Nelder-Mead", options=options).fun for start in STARTS
    )


def interval(data):
    """Return both ends of the part around the maximum that lies below the limit."""
    groups = data["g"].nunique()
    x, y = (data[name].to_numpy().reshape(groups, -1) for name in ("x", "y"))
    places = np.concatenate([[-1 + 1e-9], np.linspace(-0.96, 0.96, 25), [1 - 1e-9]])
    heights = np.array([profile(place, x, y) for place in places])
    best = int(np.argmin(heights))
    finer = np.linspace(places[max(best - 1, 0)], places[min(best + 1, len(places) - 1)], 9)
    limit = min(heights.min(), *(profile(place, x, y) for place in finer)) + chi2.ppf(MASS, 1)

    def end(step):
        inside = best
        while 0 <= inside + step < len(places) and heights[inside + step] <= limit:
            inside += step
        if not 0 <= inside + step < len(places):
            return float(step)
        return brentq(lambda c: profile(c, x, y) - limit, places[inside], places[inside + step], xtol=1e-4)

    return [round(end(-1), 4), round(end(1), 4)]


if __name__ == "__main__":
    tables = [table(seed) for seed in range(20)]
    pd.concat(tables).to_csv("correlation_profiles.csv", index=False)
    found = {str(seed): interval(data) for seed, data in enumerate(tables)}
    with open("correlation_profiles.json", "w") as file:
        file.write(json.dumps(found, indent=1) + "\n")
