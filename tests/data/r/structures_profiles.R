# Profile intervals of structures' SDs and correlations: Rscript structures_profiles.R, in this folder, writes
# structures_profiles.json. Needs glmmTMB, whose tmbroot() looks for the ends of each number that it searches: logs of SDs,
# then the correlation on a scale without ends, which is turned back here. Tables are those in textbook/.
suppressMessages({library(glmmTMB); library(jsonlite)})
models <- list(
  list("Machines", "score ~ Machine", "Machine", "Worker", "gaussian", "cs"),
  list("Machines", "score ~ Machine", "Machine", "Worker", "gaussian", "ar1"),
  list("epil", "y ~ lbase", "visit", "subject", "poisson", "cs"),
  list("epil", "y ~ lbase", "visit", "subject", "poisson", "ar1"))
answers <- list()
for (m in models) {
  frame <- read.csv(file.path("textbook", paste0(m[[1]], ".csv")), stringsAsFactors = TRUE); k <- nlevels(frame[[m[[3]]]])
  fit <- glmmTMB(as.formula(sprintf("%s + %s(0 + %s | %s)", m[[2]], m[[6]], m[[3]], m[[4]])), frame, family = get(m[[5]]),
                 control = glmmTMBControl(optCtrl = list(iter.max = 1000, eval.max = 1000, rel.tol = 1e-13)))
  at <- which(names(fit$obj$env$last.par.best[-fit$obj$env$random]) == "theta")
  ends <- t(sapply(at, function(place) TMB::tmbroot(fit$obj, name = place, target = qchisq(0.95, 1) / 2, parm.range = c(NA, NA), sd.range = 7)))
  n <- length(at); rho <- ends[n, ]
  rho <- if (m[[6]] == "ar1") rho / sqrt(1 + rho^2) else plogis(rho) * (1 + 1 / (k - 1)) - 1 / (k - 1)
  answers[[length(answers) + 1]] <- list(data = m[[1]], fixed = m[[2]], by = m[[3]], group = m[[4]], family = m[[5]],
    structure = m[[6]], sds = exp(ends[-n, , drop = FALSE]), rho = rho)
}
write_json(answers, "structures_profiles.json", digits = 8, auto_unbox = TRUE, pretty = FALSE)
