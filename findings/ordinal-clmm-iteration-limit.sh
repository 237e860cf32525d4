#!/usr/bin/env bash
# ordinal 2022.11-16: `clmm` never looks at the code its optimiser returns: a fit that nlminb left at its limit of 150
# iterations is given as if it had converged, without a warning.
#
# Expected: a slope of days or of tenths of a day is the same model, of the same log-likelihood; else a warning.
# Happens: with more than one column in a term, (1 + x | g), derivatives are finite differences and standard deviations
# are parameters as they are; where x is not of unit size nlminb is slow. Its answer is kept whatever it says, and
# an error of its own becomes "failed to converge". Only `max.grad` in the print and `optRes$convergence` tell.
# Matters: random slopes of age, time or dose in their units; likelihood-ratio tests and AIC of them are wrong. Give the
# column a standard deviation of about one.
#
# Seen, of cut(Reaction) ~ x + (1 + x | Subject) in lme4's sleepstudy, beside (1 | Subject), 2 degrees of freedom:
#   x in days              log-likelihood -161.06, largest gradient 2e-05, LR 26.7
#   x in tenths of a day   log-likelihood -167.87, largest gradient 4.2,   LR 13.1
set -euo pipefail

Rscript --vanilla - <<'R'
suppressMessages({library(ordinal); library(lme4)})
stopifnot(packageVersion("ordinal") == "2022.11.16", packageVersion("lme4") == "1.1.31")
options(warn = 2) # a warning would end the script
d <- transform(sleepstudy, grade = cut(Reaction, c(0, 250, 300, 350, Inf), ordered_result = TRUE))
fit <- function(unit) clmm(grade ~ x + (1 + x | Subject), transform(d, x = Days * unit))
days <- fit(1)
tenths <- fit(10)
for (one in list(days, tenths)) cat(logLik(one), max(abs(one$gradient)), one$optRes$message, "\n")
stopifnot(days$optRes$convergence == 0, abs(logLik(days) + 161.0611) < 0.001)
stopifnot(tenths$optRes$convergence == 1, logLik(tenths) < logLik(days) - 1)
R
