#!/usr/bin/env bash
# formulae 0.8.0: bs(x, df=5) has other columns than up to 0.7, under the same name and without a warning.
#
# Expected: `y ~ bs(x, df=5)` means what it meant, and what R's splines::bs means: a B-spline basis of six functions
# whose first is left out, so that the intercept is the mean at the smallest x.
# Happens: from 0.8 on the basis of six is centred over the rows and turned to five columns. Beside an intercept they
# span the same curves, so that a fit without priors predicts the same, from other coefficients. A prior on coefficients
# means something else. Without an intercept, `0 + bs(x, df=5)`, the model is another one: it has lost all curves that
# are not zero on average, and had lost those that are not zero at the smallest x. `df=6, center=False` gives the basis
# of six; no argument leaves its first out. `intercept=False` warns, and centres too.
# Matters: saved coefficients, priors and `0 +` formulas do not carry over. Bambi 0.21 asks for formulae below 0.7; one
# that takes 0.8 will fit other models from the same text.
#
# Seen, the columns at the smallest and the largest x of eight:
#   0.6.2  smallest  0.000  0.000  0.000  0.000  0.000   largest  0.000  0.000  0.000  0.000  1.000
#   0.8.0  smallest -0.426 -0.523 -0.384 -0.242 -0.340   largest -0.099 -0.121 -0.089 -0.056  0.921
#   the curves of `1 + bs(x, df=5)` agree to 1e-12, those of `0 + bs(x, df=5)` do not
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
for version in 0.6.2 0.8.0; do
  "$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" \
    formulae==$version numpy==2.5.5 pandas==3.1.1 scipy==1.18.1
  "$dir/venv/bin/python" -W error - "$version" "$dir" <<'PY'
import sys

import numpy as np
import pandas as pd
from formulae import design_matrices

version, folder = sys.argv[1:]
data = pd.DataFrame({"x": np.arange(8.0) ** 2, "y": np.arange(8.0)})
for intercept in (1, 0):
    columns = np.asarray(design_matrices(f"y ~ {intercept} + bs(x, df=5)", data).common)
    np.save(f"{folder}/{version}-{intercept}.npy", columns)
print(version, "smallest", *(f"{x:6.3f}" for x in columns[0]), "  largest", *(f"{x:6.3f}" for x in columns[-1]))
PY
done

"$dir/venv/bin/python" - "$dir" <<'PY'
import sys

import numpy as np


def curves(version: str, intercept: int) -> np.ndarray:
    """Return the projection onto what the columns span."""
    q = np.linalg.qr(np.load(f"{sys.argv[1]}/{version}-{intercept}.npy"))[0]
    return q @ q.T


old, new = (np.load(f"{sys.argv[1]}/{version}-0.npy") for version in ("0.6.2", "0.8.0"))
assert old.shape == new.shape == (8, 5)
assert np.abs(old[0]).max() < 1e-12 and np.abs(new.mean(axis=0)).max() < 1e-12
assert np.abs(old - new).max() > 0.1
assert np.abs(curves("0.6.2", 1) - curves("0.8.0", 1)).max() < 1e-10
assert np.abs(curves("0.6.2", 0) - curves("0.8.0", 0)).max() > 0.1
PY
