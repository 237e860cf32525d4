#!/usr/bin/env bash
# pandas 3.1.1: read_csv turns a missing cell beside an integer from 2^63 to 2^64 into empty text that is not missing.
#
# Expected: an empty cell is missing whatever the other cells hold, as read_csv does it for integers below 2^63 (a
# column of floats with NaN), from 2^64 up (a column of objects with NaN) and for text (a column of text with NaN).
# Happens: the column is text, and the empty cell in it is '', for which isna() is False.
# Matters: identifiers and hashes of 64 bits are used as grouping factors. A row without one is not dropped: all such
# rows become a group of their own, '', with an intercept, and the number of groups is one too many.
#
# Seen:
#   9223372036854775807      float64  missing 1  levels 1
#   9223372036854775808      str      missing 0  levels 2
#   18446744073709551615     str      missing 0  levels 2
#   18446744073709551616     object   missing 1  levels 1
#   a                        str      missing 1  levels 1
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" pandas==3.1.1 numpy==2.5.5 pyarrow==26.0.1

"$dir/venv/bin/python" - <<'PY'
from io import StringIO

import pandas as pd


def missing(cell: object) -> tuple[str, int]:
    column = pd.read_csv(StringIO(f"group,y\n{cell},1\n,2\n{cell},3\n"))["group"]
    print(f"{cell!s:<24} {column.dtype!s:<8} missing {column.isna().sum()}  levels {column.nunique()}")
    return str(column.dtype), int(column.isna().sum())


assert missing(2**63 - 1) == ("float64", 1)
assert missing(2**63) == ("str", 0)
assert missing(2**64 - 1) == ("str", 0)
assert missing(2**64) == ("object", 1)
assert missing("a") == ("str", 1)
PY
