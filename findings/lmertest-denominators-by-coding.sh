#!/usr/bin/env bash
# lmerTest 3.1.3: the denominator degrees of freedom of a joint F test depend on how its factor is coded.
#
# Expected: whether a factor of three levels is coded by treatment or by sum contrasts, types I and II and drop1() test
# the same hypothesis, with the same F.
# Happens: F is the same and DenDF is not. The test of L beta = 0 is taken apart along the eigenvectors of L V L', and
# another basis of the same rows has other ones.
# Matters: little for a p-value, but whoever compares two programs, or two codings, in digits finds a difference that is
# no error of either. Type III goes back to treatment contrasts, and Kenward-Roger has no such basis: both agree.
#
# Seen, DenDF of f in y ~ f + x + (x | g), 57 simulated rows, F = 1.33784 each time:
#   treatment contrasts       44.50
#   sum, or Helmert           44.28
set -euo pipefail

Rscript --vanilla - <<'R'
suppressMessages({library(lme4); library(lmerTest)})
stopifnot(packageVersion("lme4") == "1.1.31", packageVersion("lmerTest") == "3.1.3")
set.seed(3)
d <- data.frame(g = factor(rep(1:8, c(3, 9, 5, 12, 4, 8, 6, 10))), x = rnorm(57))
d$f <- factor(sample(c("a", "b", "c"), 57, TRUE, c(0.6, 0.3, 0.1)))
d$y <- rnorm(8, sd = 2)[d$g] + rnorm(8)[d$g] * d$x + rnorm(57)
row <- function(coding, type) anova(lmer(y ~ f + x + (x | g), d, contrasts = list(f = coding)), type = type)["f", c("DenDF", "F value")]
codings <- c("contr.treatment", "contr.sum", "contr.helmert")
found <- do.call(rbind, lapply(codings, row, type = 2))
rownames(found) <- codings
print(found, digits = 10)
third <- do.call(rbind, lapply(codings, row, type = 3))
stopifnot(diff(range(found[["F value"]])) < 1e-4, diff(range(found$DenDF)) > 0.01, diff(range(third$DenDF)) < 1e-3)
R
