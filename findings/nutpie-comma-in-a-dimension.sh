#!/usr/bin/env bash
# nutpie 0.16.11, with PyMC 6.4.0 and Bambi 0.21.0: no draws for a dimension with a comma in its name.
#
# Expected: a model that PyMC's own sampler takes, nutpie takes too.
# Happens: Bambi names the dimension of the term `poly(x, 2)` "poly(x, 2)_dim". PyMC's sampler keeps the name. nutpie
# draws to the end and then fails to return the draws: it takes the name for two, "poly(x" and " 2)_dim".
# Matters: PyMC's sample() takes nutpie where that is installed, and Bambi's fit() does with inference_method="nutpie".
# A polynomial or another transform of several columns and two arguments costs all the time of sampling and leaves no
# draws, and the error names neither nutpie nor the comma.
#
# Seen:
#   pymc    ('chain', 'draw', 'poly(x, 2)_dim')
#   nutpie  ValueError: In variable poly(x, 2), there are more dims (4) given than existing ones (3). dims and shape
#           should match with `skip_event_dims=False`
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
  arviz-plots==1.3.2 numba==0.68.0 numpy==2.5.5 pandas==3.1.1 scipy==1.18.1 xarray==2026.9.0 nutpie==0.16.11

"$dir/venv/bin/python" - <<'PY'
import bambi
import numpy as np
import nutpie
import pandas as pd
import pymc

random = np.random.default_rng(1)
data = pd.DataFrame(random.normal(size=(20, 2)), columns=["x", "y"])
model = bambi.Model("y ~ poly(x, 2)", data)
model.build()
built = model.backend.model

few = {"draws": 20, "tune": 20, "chains": 1}
drawn = pymc.sample(
    **few, cores=1, model=built, nuts_sampler="pymc", random_seed=1, progressbar=False,
    compute_convergence_checks=False,
)
dims = drawn["posterior"]["poly(x, 2)"].dims
print("pymc   ", dims)
assert dims == ("chain", "draw", "poly(x, 2)_dim")

try:
    nutpie.sample(nutpie.compile_pymc_model(built), **few, cores=1, seed=1, progress_bar=False)
except ValueError as error:
    print("nutpie ", f"{type(error).__name__}: {error}")
    assert "more dims (4) given than existing ones (3)" in str(error)
else:
    raise SystemExit("nutpie returned draws")
PY
