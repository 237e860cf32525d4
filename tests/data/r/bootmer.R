# bootMer of two of lme4's examples, 1,000 parametric data sets each: what tests/studies/test_bootstrap.py compares.
# Rscript bootmer.R > bootmer.json
suppressMessages({library(lme4); library(jsonlite)})
summed <- function(boot) list(names = names(boot$t0), estimate = unname(boot$t0), sd = unname(apply(boot$t, 2, sd)),
  # standard error of that SD, for whatever kurtosis
  sd_error = unname(apply(boot$t, 2, function(x) sqrt((mean((x - mean(x))^4) / var(x)^2 - 1) / (4 * length(x))) * sd(x))),
  quartiles = unname(t(apply(boot$t, 2, quantile, c(0.05, 0.25, 0.5, 0.75, 0.95), na.rm = TRUE))), nsim = nrow(boot$t))
of_variances <- function(fit) { v <- as.data.frame(VarCorr(fit)); setNames(v$sdcor, paste(v$grp, v$var1, v$var2)) }
sleep <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
set.seed(1)
one <- bootMer(sleep, function(fit) c(of_variances(fit), fixef(fit)), nsim = 1000)
herds <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial)
set.seed(1)
two <- bootMer(herds, function(fit) c(of_variances(fit), fixef(fit)), nsim = 1000)
answer <- list(lme4 = as.character(packageVersion("lme4")), sleepstudy = summed(one), cbpp = summed(two))
cat(toJSON(answer, digits = 8, auto_unbox = TRUE, pretty = TRUE), "\n")
