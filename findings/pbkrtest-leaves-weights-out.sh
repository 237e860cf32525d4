#!/usr/bin/env bash
# pbkrtest 0.5.2: Kenward and Roger's degrees of freedom leave the weights of lme4's fit out, without a word.
#
# Expected: a weight of 4 on every row changes nothing but the residual standard deviation, which doubles: the rows'
# covariance, sigma^2 / weight on its diagonal, is the same.
# Happens: vcovAdj() takes sigma^2 for the diagonal, so that standard errors and degrees of freedom change.
# Matters: lmerTest's ddf = "Kenward-Roger" and emmeans, which takes it by default, go through vcovAdj(). Weights that
# count replicates, or are inverse variances, make p-values too small. lmerTest's Satterthwaite is right.
#
# Seen, of Days in Reaction ~ Days + (Days | Subject):
#   no weights        std. error 1.546, 17.0 df, p = 3.3e-06
#   weights of 4      std. error 1.600, 33.8 df, p = 1.8e-07
set -euo pipefail

Rscript --vanilla - <<'R'
suppressMessages({library(lme4); library(lmerTest)})
stopifnot(packageVersion("pbkrtest") == "0.5.2", packageVersion("lme4") == "1.1.31", packageVersion("lmerTest") == "3.1.3")
row <- function(ddf, ...) coef(summary(lmer(Reaction ~ Days + (Days | Subject), sleepstudy, ...), ddf = ddf))["Days", ]
plain <- row("Kenward-Roger")
weighted <- row("Kenward-Roger", weights = rep(4, nrow(sleepstudy)))
print(rbind("no weights" = plain, "weights of 4" = weighted))
satterthwaite <- row("Satterthwaite", weights = rep(4, nrow(sleepstudy)))
stopifnot(abs(plain["df"] - 17) < 1e-3, abs(weighted["df"] - 33.85) < 0.1, abs(satterthwaite["df"] - 17) < 0.01)
R
