#!/usr/bin/env bash
# PyMC 6.4.0: the ex-Gaussian's density jumps where its delay falls to a twentieth of its sigma.
#
# Expected: `pm.ExGaussian("y", mu, sigma, nu)` is a normal plus an exponential delay with the mean nu. As nu goes to zero
# its density goes to the normal's smoothly, and its mean, mu + nu, to mu.
# Happens: up to nu = 0.05 sigma the density is that of Normal(mu, sigma): the delay's mean is dropped with its shape. At
# the border the log density of a row half a sigma above mu jumps by 0.023; scipy's `exponnorm` goes on smoothly. What
# rows add to it, they add to the jump of the whole likelihood.
# Matters: reaction times of which a sampler asks whether there is a delay at all. Below the border the likelihood is
# flat in nu, and mu is another parameter than above it; a posterior near there has a step, which no warning tells of.
#
# Seen:
#   nu 0.0499: PyMC -1.043939, scipy -1.021274
#   nu 0.0501: PyMC -1.021193, scipy -1.021193
#   slope by nu below the border: PyMC 0.0, scipy 0.426
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" pymc==6.4.0 numpy==2.5.5 scipy==1.18.1

cat > "$dir/delay.py" <<'PY'
import pymc as pm
from scipy import stats


def both(nu):
    ours = float(pm.logp(pm.ExGaussian.dist(mu=0.0, sigma=1.0, nu=nu), 0.5).eval())
    return ours, float(stats.exponnorm(nu, loc=0.0, scale=1.0).logpdf(0.5))


for nu in (0.0499, 0.0501):
    found, smooth = both(nu)
    print(f"nu {nu}: PyMC {found:.6f}, scipy {smooth:.6f}")
below, beyond = both(0.0499), both(0.0501)
low = both(0.03)
slopes = [(b - a) / 0.0199 for a, b in zip(low, below)]
print(f"slope by nu below the border: PyMC {slopes[0]:.1f}, scipy {slopes[1]:.3f}")
assert abs(below[0] - float(stats.norm.logpdf(0.5))) < 1e-9
assert abs(beyond[0] - beyond[1]) < 1e-6
assert beyond[0] - below[0] > 0.02 and abs(beyond[1] - below[1]) < 1e-3
assert slopes[0] == 0 and slopes[1] > 0.4
PY
"$dir/venv/bin/python" "$dir/delay.py"
