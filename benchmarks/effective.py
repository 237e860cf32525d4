"""Draws go in; the smallest effective sample size of all their parameters comes out, by ArviZ.

With brms' draws in a file: `python -m benchmarks.effective DRAWS.csv OUT.json`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.posterior.convergence import mixing

# ArviZ takes a millisecond for each parameter. In a variable with more than these, the package's own fast numbers
# choose the worst, and ArviZ has the last word on those.
MANY = 1000
ROWS = "__obs__"  # the dimension of values by row, which are no parameters


def smallest_ess(posterior: xr.Dataset) -> dict[str, Any]:
    """Find the parameter with the fewest effective draws.

    Parameters
    ----------
    posterior : xarray.Dataset
        Variables over `chain`, `draw` and perhaps more.

    Returns
    -------
    dict
        `ess` (bulk, the smallest), `ess_parameter`, `parameters` (how many there are).
    """
    ess, parameter, count = np.inf, "", 0
    for name, variable in posterior.data_vars.items():
        if ROWS in variable.dims:
            continue
        ordered = variable.transpose("chain", "draw", ...)
        draws = np.asarray(ordered.values, dtype=float).reshape(*ordered.shape[:2], -1)
        count += draws.shape[2]
        if draws.shape[2] > MANY:
            worst = np.argsort(mixing(np.moveaxis(draws, -1, 0)).ess_bulk)[: MANY // 10]
            draws = draws[:, :, worst]
        least = float(az.ess(xr.Dataset({"x": (("chain", "draw", "k"), draws)}), method="bulk")["x"].min())
        if least < ess:
            ess, parameter = least, str(name)
    return {"ess": ess, "ess_parameter": parameter, "parameters": count}


def read_draws(path: Path) -> xr.Dataset:
    """Read a table with a column for each parameter and `.chain`, as R's posterior package writes it."""
    table = pd.read_csv(path)
    chains = [part.drop(columns=".chain").to_numpy() for _, part in table.groupby(".chain")]
    return xr.Dataset({"all": (("chain", "draw", "parameter"), np.stack(chains))})


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(smallest_ess(read_draws(Path(sys.argv[1])))), encoding="utf-8")
