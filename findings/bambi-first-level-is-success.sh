#!/usr/bin/env bash
# Bambi 0.21.0: a response of text has its first level for the success, where R has its second.
#
# Expected: `outcome ~ dose` of family bernoulli models the level that R's glm and lme4's glmer model. R's help on
# families says that a factor's first level is the failure: of "alive" and "dead", "dead" is the success.
# Happens: the model's observed data are 1 where the outcome is "alive". The model as printed does not say so; fit()
# logs a line that names the level, and `outcome['dead'] ~ dose` chooses it.
# Matters: a formula brought over from R runs, and its intercept, its slopes and the effects of its groups all have the
# opposite sign.
#
# Seen:
#   outcome ~ dose            observed [1 1 0 1 0 0 1 0], slope by maximum likelihood -0.91
#   outcome['dead'] ~ dose    observed [0 0 1 0 1 1 0 1], slope by maximum likelihood 0.91
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" \
  bambi==0.21.0 formulae==0.6.2 pymc==6.4.0 pytensor==3.3.7 arviz==1.3.0 arviz-base==1.3.1 arviz-stats==1.3.3 \
  arviz-plots==1.3.2 numba==0.68.0 numpy==2.5.5 pandas==3.1.1 scipy==1.18.1 xarray==2026.9.0

"$dir/venv/bin/python" - <<'PY'
import bambi
import numpy as np
import pandas as pd
from scipy.optimize import minimize

data = pd.DataFrame({
    "outcome": ["alive", "alive", "dead", "alive", "dead", "dead", "alive", "dead"],
    "dose": [0.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0],
})


def slope(formula: str) -> tuple[list[int], float]:
    model = bambi.Model(formula, data, family="bernoulli")
    model.build()
    built = model.backend.model
    observed = built.rvs_to_values[built.observed_RVs[0]].data
    dose = data["dose"].to_numpy()

    def misfit(b: np.ndarray) -> float:
        return float(np.sum(np.logaddexp(0, b[0] + b[1] * dose) - observed * (b[0] + b[1] * dose)))

    found = float(minimize(misfit, np.zeros(2)).x[1])
    print(f"{formula:<25} observed {observed}, slope by maximum likelihood {found:.2f}")
    return observed.tolist(), found


alive = (data["outcome"] == "alive").astype(int)
observed, found = slope("outcome ~ dose")
assert observed == alive.tolist() and found < 0
observed, found = slope("outcome['dead'] ~ dose")
assert observed == (1 - alive).tolist() and found > 0
PY
