#!/usr/bin/env bash
# marginaleffects 0.6.0: avg_comparisons(comparison="lift") of a factor of three levels gives one number, the mean of two.
#
# Expected: a row for each level against the first, as comparison="difference" and "ratio" give: "b - a", "c - a".
# Happens: a lift's label is "lift" whichever levels are compared, and rows of one label are averaged: the table has a
# single row, the mean of the lifts of "b" and "c", with nothing to tell that it is one.
# Matters: a factor with three levels or more, such as doses against a control; a rise and a fall cancel.
# Help: ask for one pair at a time, variables={"f": ["a", "b"]}.
#
# Seen (means of 1, 2 and 0.25):
#   difference  b - a 1.00  c - a -0.75
#   ratio       b / a 2.00  c / a 0.25
#   lift        liftavg 0.125
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" \
  marginaleffects==0.6.0 statsmodels==0.15.0 polars==1.44.2 pandas==3.1.1

"$dir/venv/bin/python" - <<'PY'
import pandas as pd
import statsmodels.formula.api as smf
from marginaleffects import avg_comparisons

table = pd.DataFrame({"f": pd.Categorical(list("aabbcc")), "y": [0.9, 1.1, 1.9, 2.1, 0.2, 0.3]})
model = smf.ols("y ~ f", table).fit()


def compared(comparison: str) -> list[float]:
    found = avg_comparisons(model, variables="f", comparison=comparison)
    pairs = list(zip(found["contrast"], found["estimate"], strict=True))
    print(f"{comparison:<11}", "  ".join(f"{label} {estimate:.3g}" for label, estimate in pairs))
    return [round(estimate, 6) for _, estimate in pairs]


assert compared("difference") == [1.0, -0.75]
assert compared("ratio") == [2.0, 0.25]
assert compared("lift") == [0.125]  # the mean of 1 and -0.75
PY
