#!/usr/bin/env bash
# numba 0.68.0: a function compiled with cache=True cannot be called any more once a NamedTuple that it takes is renamed.
#
# Expected: the cache beside a file serves that file alone. A change of the file makes the cache stale, as the help of
# `cache=True` says, and the function is compiled anew.
# Happens: the index of the cache is unpickled before its stamp is looked at, and the signatures in it hold the class by
# its name. The first call ends in AttributeError: Can't get attribute 'Rows'.
# Matters: where the cache outlives a change of version, as in a checkout that is updated or in a NUMBA_CACHE_DIR that is
# kept, every compiled function that takes such a class ends in this error until the cache is removed by hand.
#
# Seen:
#   first version    3.0
#   second version   AttributeError: Can't get attribute 'Rows' on <module 'sums' from '.../sums.py'>
#   without .nbi     3.0
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" numba==0.68.0 numpy==2.5.5

write() { # the name of the class
  cat >"$dir/sums.py" <<PY
from typing import NamedTuple

import numpy as np
from numba import njit


class $1(NamedTuple):
    values: np.ndarray


@njit(cache=True)
def total(rows):
    return rows.values.sum()


def run():
    return total($1(np.array([1.0, 2.0])))
PY
}
call() { (cd "$dir" && unset NUMBA_CACHE_DIR && "$dir/venv/bin/python" -c 'import sums; print(sums.run())' 2>&1 | tail -n 1 || true); }

write Rows
first=$(call)
write Records
second=$(call)
rm "$dir"/__pycache__/*.nbi
third=$(call)
printf 'first version    %s\nsecond version   %s\nwithout .nbi     %s\n' "$first" "$second" "$third"
[[ $first == 3.0 && $second == "AttributeError: Can't get attribute 'Rows'"* && $third == 3.0 ]]
