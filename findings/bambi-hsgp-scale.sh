#!/usr/bin/env bash
# Bambi 0.21.0: by default hsgp() divides its variable by the range, and leaves its box as wide as it was.
#
# Expected: hsgp(x, m=20, c=1.5) approximates a Gaussian process: with an SD of one and a length-scale of a tenth of the
# range, values at a tenth of the range from each other have the correlation exp(-1/2) = 0.61, each the variance 1.
# Happens: with scale=True, the default where no priors are given, x is divided by the largest distance of two rows, but
# the box is c times the largest distance from the mean before that. Where the range is 10, all rows lie within a tenth
# of what the box was meant for, and the waves are too long to follow any length-scale below the range.
# Matters: the curve is far stiffer than its length-scale says, and its SD is another; of a range below 1 the box is
# narrower than the data. scale=False, or a variable that was scaled in the table, is as it should be.
#
# Seen, of x from 0 to 10:
#   the process itself   variance 1.000, correlation 0.607
#   scale=False ell=1.0  variance 1.000, correlation 0.607
#   scale=True  ell=0.1  variance 0.325, correlation 0.968
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

data = pd.DataFrame({"x": np.linspace(0, 10, 21), "y": np.zeros(21)})
data.loc[0, "y"] = 1.0


def covariance(scale: bool, length: float) -> np.ndarray:
    """Return the prior covariance (21, 21) of the curve that Bambi builds, for an SD of one and a given length-scale."""
    name = f"hsgp(x, m=20, c=1.5, scale={scale})"
    model = bambi.Model(f"y ~ {name}", data, priors={name: {"sigma": 1.0, "ell": length}})
    model.build()
    term = model.conditional_parameters["mu"].terms[name]
    seen = np.asarray(term.data_centered)
    phi, root = term.hsgp.prior_linearized(seen / term.maximum_distance if scale else seen)
    waves = phi.eval() * root.eval()
    return waves @ waves.T


def told(scale: bool, length: float) -> tuple[float, float]:
    made = covariance(scale, length)
    variance, correlation = made[10, 10], made[10, 12] / np.sqrt(made[10, 10] * made[12, 12])
    print(f"scale={scale!s:<5} ell={length:<4} variance {variance:.3f}, correlation {correlation:.3f}")
    return float(variance), float(correlation)


process = float(np.exp(-0.5))
print(f"the process itself      variance 1.000, correlation {process:.3f}")
variance, correlation = told(scale=False, length=1.0)
assert abs(variance - 1) < 0.02 and abs(correlation - process) < 0.02
variance, correlation = told(scale=True, length=0.1)
assert variance < 0.5 and correlation > 0.9
automatic = bambi.Model("y ~ hsgp(x, m=20, c=1.5)", data)
automatic.build()
assert automatic.conditional_parameters["mu"].terms["hsgp(x, m=20, c=1.5)"].scale_predictors
PY
