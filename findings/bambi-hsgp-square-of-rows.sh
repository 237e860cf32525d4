#!/usr/bin/env bash
# Bambi 0.21.0: hsgp() makes a table of the distances of all rows from each other.
#
# Expected: a Hilbert-space approximation of a Gaussian process is there for many rows: of n rows and m waves it has n m
# numbers, 16 MB of 100,000 rows and 20 waves.
# Happens: the transformation takes the largest distance of two rows from a square of all of them, n^2 numbers, when the
# formula is read; of one variable that is its range.
# Matters: of 100,000 rows a model cannot be made: it asks for 75 GiB. Of 10,000 it takes 1.6 GB.
#
# Seen: while the model is made 1,000 rows take 16 MB of memory, 4,000 rows 256 MB.
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
import tracemalloc

import bambi
import numpy as np
import pandas as pd


def peak(rows: int) -> float:
    data = pd.DataFrame({"x": np.linspace(0, 1, rows), "y": np.linspace(0, 1, rows)})
    tracemalloc.start()
    bambi.Model("y ~ hsgp(x, m=20, c=1.5)", data)
    megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"{rows:,} rows: {megabytes:.0f} MB")
    return megabytes


peak(100)
few, many = peak(1_000), peak(4_000)
assert many > 10 * few and many > 8 * 4_000**2 / 1e6
PY
