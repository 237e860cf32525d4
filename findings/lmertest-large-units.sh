#!/usr/bin/env bash
# lmerTest 3.1.3: Satterthwaite's degrees of freedom depend on the units of the response, once these are small enough.
#
# Expected: milliseconds or nanoseconds, t, degrees of freedom and p are the same.
# Happens: the curvature of the deviance in sigma is 4 (n - p) / sigma^2, and directions with less than 1e-8 are left out
# as if nothing were known of them. From a residual standard deviation of some hundred thousand on, sigma counts as known,
# and degrees of freedom that hang on it grow beyond all bounds.
# Matters: read counts, money or times in small units. A warning says that the model may not have converged; it has.
# Kenward-Roger, which has no such tolerance, is right.
#
# Seen, of Days in Reaction ~ Days + (1 | Subject):
#   milliseconds      161 df, p = 6.4e-27
#   nanoseconds       1e22 df, p = 1.0e-38
set -euo pipefail

Rscript --vanilla - <<'R'
suppressMessages({library(lme4); library(lmerTest)})
stopifnot(packageVersion("lme4") == "1.1.31", packageVersion("lmerTest") == "3.1.3")
row <- function(unit, ddf) {
  d <- transform(sleepstudy, Reaction = Reaction * unit)
  suppressWarnings(coef(summary(lmer(Reaction ~ Days + (1 | Subject), d), ddf = ddf))["Days", c("df", "Pr(>|t|)")])
}
found <- rbind(milliseconds = row(1, "Satterthwaite"), nanoseconds = row(1e6, "Satterthwaite"))
print(found)
stopifnot(abs(found["milliseconds", "df"] - 161) < 0.1, found["nanoseconds", "df"] > 1e6)
stopifnot(abs(row(1e6, "Kenward-Roger")["df"] - 161) < 0.1)
R
