#!/usr/bin/env bash
# lmerTest 3.1.3: in y ~ f / h types II and III test f at the first level of h, not over its levels.
#
# Expected: f is part of f:h, as it is in y ~ f * h. Type III then compares the means of f over the levels of h, whatever
# stands for the columns; f / h and f * h span the same means, and emmeans gives the same for both.
# Happens: R's table of factors has a 2 where a factor takes all of its levels, and lmerTest looks for a 1. So f is no part
# of f:h, and its row is the test of its own coefficients: differences at the first level of h. The same goes for x in
# y ~ x + x:f, whose row is the slope of the first level.
# Matters: a nested formula gives another F for the same question, without a word.
#
# Seen, F of f, 144 balanced rows in which f matters at the second level of h alone: y ~ f * h 8.35, y ~ f / h 0.01.
set -euo pipefail

Rscript --vanilla - <<'R'
suppressMessages({library(lme4); library(lmerTest)})
stopifnot(packageVersion("lme4") == "1.1.31", packageVersion("lmerTest") == "3.1.3")
set.seed(1)
d <- expand.grid(i = 1:4, f = factor(c("a", "b", "c")), h = factor(c("u", "v")), g = factor(1:6))
d$y <- rnorm(6)[d$g] + ifelse(d$h == "v", as.numeric(d$f), 0) + rnorm(nrow(d))
row <- function(formula) unlist(anova(lmer(formula, d), type = 3)["f", c("NumDF", "F value")])
found <- rbind("f * h" = row(y ~ f * h + (1 | g)), "f / h" = row(y ~ f / h + (1 | g)))
print(found)
stopifnot(found["f * h", 2] > 3 * found["f / h", 2])
R
