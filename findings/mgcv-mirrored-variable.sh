#!/usr/bin/env bash
# mgcv 1.8-41: a fit of t2(x, z), or of s(x, g, bs = "fs"), changes when x is mirrored, and of "fs" when x is shifted.
#
# Expected: 1 - x and 10 + x hold what x holds: fitted values and REML score stay, as those of s(x) do.
# Happens: both terms penalise the constant and the straight line of x in coordinates of their own. mgcv takes for them
# the eigenvectors of a penalty's double eigenvalue of zero, of which any rotation is one: LAPACK chooses it. Each of the
# two coordinates of "fs" then has a smoothing parameter, and in t2() their sizes are made equal after the rotation.
# Matters: REML scores, AIC and edf of such models differ between units of a variable (and, as other libraries may
# choose otherwise, between machines) by more than many comparisons are decided by. brms and gamm4 take these bases too.
#
# Seen: change of -REML and largest change of a fitted value, in SDs of the response
#   s(x)                   mirrored  0.0000 0.0000   shifted  0.0000 0.0000
#   t2(x, z)               mirrored -0.2388 0.0093   shifted -0.0000 0.0000
#   s(x, f, bs = "fs")     mirrored  1.1688 0.0453   shifted  1.1933 0.0466
set -euo pipefail

command -v Rscript > /dev/null || { echo "R is not here"; exit 1; }
Rscript - <<'R'
suppressMessages(library(mgcv))
stopifnot(packageVersion("mgcv") == "1.8.41")
RNGversion("4.2.0"); set.seed(17)
n <- 240
d <- data.frame(x = round(runif(n), 4), z = round(runif(n), 4), f = factor(rep(c("u", "v", "w"), n / 3)))
d$y <- sin(6 * d$x * d$z) + as.integer(d$f) * d$x + rnorm(n, 0, 0.3)
d$mirrored <- 1 - d$x; d$shifted <- 10 + d$x
changes <- function(term) {
  fit <- function(v) gam(as.formula(paste("y ~", sub("x", v, term, fixed = TRUE))), data = d, method = "REML")
  first <- fit("x")
  found <- sapply(c("mirrored", "shifted"), function(v) {
    other <- fit(v)
    c(other$gcv.ubre - first$gcv.ubre, max(abs(fitted(other) - fitted(first))) / sd(d$y))
  })
  cat(sprintf("%-25s mirrored %7.4f %.4f   shifted %7.4f %.4f\n", term, found[1, 1], found[2, 1], found[1, 2], found[2, 2]))
  found
}
plain <- changes("s(x)"); tensor <- changes("t2(x, z)"); factor_smooth <- changes("s(x, f, bs = \"fs\", k = 6)")
stopifnot(abs(plain) < 1e-3, abs(tensor[1, 1]) > 0.01, abs(factor_smooth[1, ]) > 0.1)
R
