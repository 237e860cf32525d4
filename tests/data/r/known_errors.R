# Meta-analyses of the thirteen trials of the BCG vaccine (Colditz et al. 1994, in every textbook): Rscript
# known_errors.R, in this folder, writes known_errors.json and textbook/bcg.csv. Needs metafor and jsonlite.
# metafor's restricted likelihood has half the log determinant of X'X besides.
suppressMessages({library(metafor); library(jsonlite)})
d <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
bcg <- data.frame(trial = paste0("t", d$trial), latitude = d$ablat, alloc = d$alloc, y = as.numeric(d$yi), sei = sqrt(d$vi))
write.csv(bcg, "textbook/bcg.csv", row.names = FALSE)
bcg <- read.csv("textbook/bcg.csv")
models <- list(
  list("se(y, sei) ~ 1 + (1 | trial)", ~ 1, ~ 1 | trial),
  list("se(y, sei) ~ latitude + (1 | trial)", ~ latitude, ~ 1 | trial),
  list("se(y, sei) ~ 1 + (1 | alloc/trial)", ~ 1, ~ 1 | alloc/trial),
  list("se(y, sei) ~ alloc + latitude + (1 | trial)", ~ alloc + latitude, ~ 1 | trial))
answers <- list()
for (m in models) for (method in c("REML", "ML")) {
  fit <- rma.mv(y, sei^2, mods = m[[2]], random = m[[3]], data = bcg, method = method)
  answers[[length(answers) + 1]] <- list(formula = m[[1]], method = tolower(method), logLik = as.numeric(logLik(fit)),
    variances = I(fit$sigma2), estimates = I(unname(coef(fit))), errors = I(fit$se), ranef = I(ranef(fit)[[length(fit$sigma2)]]$intrcpt))
}
write_json(answers, "known_errors.json", auto_unbox = TRUE, digits = 10, pretty = TRUE)
for (a in answers) cat(a$formula, a$method, sprintf("%.7f", a$logLik), format(a$variances, digits = 6), "\n")
