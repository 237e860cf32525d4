# Leverages, Cook's distances of rows, and fixed effects without each level, by lme4. Writes influence.json.
suppressMessages({library(lme4); library(jsonlite)})
tight <- lmerControl(optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12))
fits <- list(
  sleepstudy = list(lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = tight), "Subject"),
  intercepts = list(lmer(Reaction ~ Days + (1 | Subject), sleepstudy, control = tight), "Subject"),
  cbpp = list(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial), "herd")
)
answers <- lapply(fits, function(pair) {
  fit <- pair[[1]]
  left <- influence(fit, groups = pair[[2]], data = if (pair[[2]] == "herd") cbpp else sleepstudy)
  change <- dfbeta(left)
  # Without lme4's factor (m - p) / m for m levels.
  cooks <- rowSums((change %*% solve(as.matrix(vcov(fit)))) * change) / ncol(change)
  rows <- if (pair[[2]] == "herd") NULL else list(
    leverage = unname(hatvalues(fit)), cooks_distance_all = unname(cooks.distance(fit)))
  c(rows, list(levels = rownames(change), changes = unname(change), cooks_distance = unname(cooks)))
})
made_by <- paste0("R ", getRversion(), ", lme4 ", packageVersion("lme4"))
write_json(list(made_by = made_by, fits = answers), "influence.json", digits = 8, auto_unbox = TRUE)
