#!/usr/bin/env bash
# formulae 0.6.2: how it codes a product of factors depends on terms that are not there, or on the order of names.
#
# Expected: `1 + f:h:g`, of factors with 3, 2 and 3 levels, is a mean for each of the 18 cells, as `0 + f:h:g` is: the
# columns have rank 18. And `z:x:f` means what `x:z:f` means: beside `x:z`, only the contrasts of `f` are new.
# Happens: `1 + f:h:g` has 15 columns, so three directions among the cells' means are missing; with two factors, `1 +
# f:g`, none is. `x:z + z:x:f` has a column for each level of `f`, whose sum repeats `x:z`; `x:z + x:z:f` has not.
# Neither gives an error or a warning.
# Matters: the first model cannot fit the cells' means that its formula names, and its variances of groups and of noise
# take up the rest. The second has slopes that only their priors tell apart, and draws that mix slowly.
#
# Seen:
#   y ~ 0 + f:h:g       18 columns, rank 18
#   y ~ 1 + f:h:g       15 columns, rank 15
#   y ~ 1 + f:g          9 columns, rank 9
#   y ~ x:z + x:z:f      4 columns, rank 4
#   y ~ x:z + z:x:f      5 columns, rank 4
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" \
  formulae==0.6.2 numpy==2.5.5 pandas==3.1.1 scipy==1.18.1

"$dir/venv/bin/python" - <<'PY'
from itertools import product

import numpy as np
import pandas as pd
from formulae import design_matrices

data = pd.DataFrame(list(product("abc", "uv", "pqr")) * 2, columns=["f", "h", "g"])
data[["x", "z", "y"]] = np.random.default_rng(1).normal(size=(len(data), 3))
cells = pd.get_dummies(data["f"] + data["h"] + data["g"]).to_numpy(dtype=float)
assert np.linalg.matrix_rank(cells) == 18


def shape(formula: str) -> tuple[int, int]:
    matrix = np.asarray(design_matrices(formula, data).common)
    columns, rank = matrix.shape[1], int(np.linalg.matrix_rank(matrix))
    print(f"{formula:<18} {columns:>3} columns, rank {rank}")
    return columns, rank


assert shape("y ~ 0 + f:h:g") == (18, 18)
assert shape("y ~ 1 + f:h:g") == (15, 15)
assert shape("y ~ 1 + f:g") == (9, 9)
assert shape("y ~ x:z + x:z:f") == (4, 4)
assert shape("y ~ x:z + z:x:f") == (5, 4)
PY
