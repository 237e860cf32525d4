#!/usr/bin/env bash
# PyTensor 3.3.7: the sign of a vector of length one divided by a constant positive vector prints tracebacks.
#
# Expected: `sign(a / s)`, with `a` of static shape (1,) and `s` three known positive numbers, compiles silently. A sign
# does not depend on a positive divisor, so it could be `sign(a)`, repeated three times.
# Happens: the rewrite local_sign_div puts `sign(a)` itself, of shape (1,), in the place of a vector of three. PyTensor
# refuses the replacement, prints a line "BUG IN FGRAPH.REPLACE OR A LISTENER" and a traceback to stderr for each of
# three passes, and goes on without it: the values are right. The slope of `sum(abs(a / s))` by `a` does the same. With
# `config.on_opt_error="raise"` compiling ends there. A vector `a` of unknown length compiles silently.
# Matters: a penalty or a density of one's own in a PyMC model, with the absolute value of a parameter of length one (a
# factor of one contrast) over known standard errors, has such a slope. Its user is told of a bug and cannot see that
# the density is right. PyMC's own Laplace with such a mean and such scales printed nothing.
#
# Seen:
#   sign, length one: value right, tracebacks 3
#   slope, length one: value right, tracebacks 4
#   sign, length unknown: value right, tracebacks 0
#   on stderr: <<!! BUG IN FGRAPH.REPLACE OR A LISTENER !!>> <class 'TypeError'> The type of the replacement
#   (Vector(float64, shape=(1,))) must be compatible with the type of the original Variable
#   (Vector(float64, shape=(3,))). local_sign_div
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" \
  pytensor==3.3.7 numba==0.68.0 numpy==2.5.5 scipy==1.18.1

cat > "$dir/compiled.py" <<'PY'
import sys

import numpy as np
import pytensor
import pytensor.tensor as pt

what, length = sys.argv[1], {"one": 1, "unknown": None}[sys.argv[2]]
a = pt.tensor("a", shape=(length,), dtype="float64")
ratio = a / np.array([1.0, 2.0, 3.0])
result = {"sign": lambda: pt.sign(ratio), "slope": lambda: pt.grad(pt.abs(ratio).sum(), a)}[what]()
at = 2.0 * np.ones(length or 3)
np.testing.assert_allclose(pytensor.function([a], result)(at), {"sign": np.ones(3), "slope": [11 / 6]}[what])
PY

# compiled WHAT LENGTH: check the value, and print how many tracebacks came on stderr
compiled() {
  "$dir/venv/bin/python" "$dir/compiled.py" "$1" "$2" 2>"$dir/stderr" || { cat "$dir/stderr" >&2; return 1; }
  echo "$1, length $2: value right, tracebacks $(grep -c '^Traceback' "$dir/stderr" || true)"
}

line=$(compiled sign one)
echo "$line"
grep 'BUG IN FGRAPH.REPLACE.*shape=(1,).*shape=(3,).*local_sign_div' "$dir/stderr" -m 1
[[ $line == *"tracebacks 3" ]]
line=$(compiled slope one)
echo "$line"
[[ $line == *"tracebacks 4" ]]
line=$(compiled sign unknown)
echo "$line"
[[ $line == *"tracebacks 0" ]]
