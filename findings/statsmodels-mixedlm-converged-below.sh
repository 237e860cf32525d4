#!/usr/bin/env bash
# statsmodels 0.15.0: a mixed model with one more variance component can have a lower likelihood, and "Converged: Yes".
#
# Expected: MixedLM's maximum with a variance component for guides within genes is at least that without it, since an SD
# of zero gives the smaller model back; where the search stops short of it, `converged` is False. And vc_formula adds to
# the intercept of the groups.
# Happens: where the component's SD is estimated as zero, the default search (bfgs, then lbfgs) stops up to six units of
# the log-likelihood lower, with an SD of genes half as large again, and `converged` is True in some of these fits; a
# warning says that the estimate may be on the boundary. method="powell" finds the maximum, which is lme4's. And with
# vc_formula and without re_formula="1" the groups have no intercept at all: cov_re is empty.
# Matters: likelihood-ratio tests of such components come out negative, and the SD of the other factor is wrong.
#
# Seen (REML):
#   seed 2    genes alone -867.933, SD 0.538; with guides -869.698, SD 0.848, converged True; by powell -867.933
#   seed 10   genes alone -859.632, SD 0.482; with guides -861.545, SD 0.795, converged True; by powell -859.632
#   without re_formula: cov_re of shape (0, 0)
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" \
  statsmodels==0.15.0 formulaic==1.2.2 numpy==2.5.5 pandas==3.1.1 patsy==1.0.3 scipy==1.18.1

OMP_NUM_THREADS=1 "$dir/venv/bin/python" - <<'PY'
import warnings

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

warnings.simplefilter("ignore")  # they are told of above
GUIDES = {"guide": "0 + C(guide)"}


def sd(fit) -> float:
    return float(fit.cov_re.to_numpy()[0, 0] ** 0.5)


short = []
for seed in (2, 10):
    rng = np.random.default_rng(seed)
    gene, guide = np.repeat(np.arange(10), 60), np.repeat(np.arange(60), 10)
    y = -1 + rng.normal(0, 0.5, 10)[gene] + rng.normal(0, 1, 600)
    data = pd.DataFrame({"y": y, "gene": [f"g{k}" for k in gene], "guide": [f"s{k}" for k in guide]})
    small = smf.mixedlm("y ~ 1", data, groups="gene").fit()
    large = smf.mixedlm("y ~ 1", data, groups="gene", re_formula="1", vc_formula=GUIDES).fit()
    best = smf.mixedlm("y ~ 1", data, groups="gene", re_formula="1", vc_formula=GUIDES).fit(method="powell")
    print(f"seed {seed}: genes alone {small.llf:.3f}, SD {sd(small):.3f}; with guides {large.llf:.3f}, SD {sd(large):.3f}, "
          f"converged {large.converged}; by powell {best.llf:.3f}")
    assert best.llf > small.llf - 0.01
    short.append(bool(large.converged) and large.llf < small.llf - 1)
without = smf.mixedlm("y ~ 1", data, groups="gene", vc_formula=GUIDES).fit()
print("without re_formula: cov_re of shape", without.cov_re.shape)
assert any(short)
assert without.cov_re.shape == (0, 0)
PY
