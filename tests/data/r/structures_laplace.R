# Poisson and binomial models whose group terms have covariance structures, by Laplace's approximation: Rscript
# structures_laplace.R, in this folder, writes structures_laplace.json, and the tables it is from into textbook/.
# Needs glmmTMB (cs, ar1), lme4 and MASS (the data) and jsonlite. Where glmmTMB has no such word: homdiag is (1 | g:f),
# homcs with a correlation above zero (1 | g) + (1 | g:f). hetar1 and, once more, ar1 are found by nlminb() on the dense
# approximation, from their own start.
suppressMessages({library(glmmTMB); library(jsonlite)})
epil <- with(MASS::epil, data.frame(y, lbase, trt, lage, visit = factor(paste0("v", period)), subject = factor(paste0("s", subject))))
cbpp <- with(lme4::cbpp, data.frame(incidence, healthy = size - incidence, period = factor(paste0("p", period)), herd = factor(paste0("h", herd))))
ticks <- with(lme4::grouseticks, data.frame(TICKS, year = factor(paste0("y", YEAR)), height = round(cHEIGHT, 4), location = factor(paste0("l", LOCATION))))
tables <- list(epil = epil, cbpp = cbpp, grouseticks = ticks)
for (name in names(tables)) write.csv(tables[[name]], file.path("textbook", paste0(name, ".csv")), row.names = FALSE)

models <- list(
  list("epil", "y ~ lbase * trt + lage", "visit", "subject", "poisson"),
  list("cbpp", "cbind(incidence, healthy) ~ period", "period", "herd", "binomial"),
  list("grouseticks", "TICKS ~ year + height", "year", "location", "poisson"))

dense <- function(frame, fixed, by, group, family, structure, beta) {
  data <- model.frame(as.formula(fixed), frame); X <- model.matrix(as.formula(fixed), frame); y <- model.response(data)
  k <- nlevels(frame[[by]]); q <- k * nlevels(frame[[group]])
  Z <- matrix(0, nrow(X), q); Z[cbind(seq_len(nrow(X)), (as.integer(frame[[group]]) - 1) * k + as.integer(frame[[by]]))] <- 1
  n_sds <- if (structure == "hetar1") k else 1
  density <- function(eta) if (family == "poisson") list(l = dpois(y, exp(eta), log = TRUE), d = y - exp(eta), w = exp(eta)) else
    list(l = dbinom(y[, 1], rowSums(y), plogis(eta), log = TRUE), d = y[, 1] - rowSums(y) * plogis(eta), w = rowSums(y) * plogis(eta) * plogis(-eta))
  v <- numeric(q)
  value <- function(par, all = FALSE) {
    b <- par[seq_len(ncol(X))]; sds <- rep_len(exp(par[ncol(X) + seq_len(n_sds)]), k); rho <- tanh(par[length(par)])
    L <- t(chol(rho^abs(outer(1:k, 1:k, "-")) * outer(sds, sds)))
    A <- Z %*% kronecker(diag(q / k), L); height <- function(v) sum(density(drop(X %*% b + A %*% v))$l) - sum(v^2) / 2
    for (step in 1:100) {
      f <- density(drop(X %*% b + A %*% v)); H <- crossprod(A * sqrt(f$w)) + diag(q); g <- drop(crossprod(A, f$d)) - v
      move <- try(solve(H, g), silent = TRUE); if (inherits(move, "try-error")) { v <<- numeric(q); return(1e10) }
      part <- 1
      while (height(v + part * move) < height(v) - 1e-10 && part > 1e-6) part <- part / 2
      v <<- v + part * move; v <- v + part * move
      if (sum(g * move) < 1e-18) break
    }
    ll <- height(v) - sum(log(diag(chol(crossprod(A * sqrt(density(drop(X %*% b + A %*% v))$w)) + diag(q)))))
    if (all) list(logLik = ll, fixef = b, sds = sds, rho = rho) else -ll
  }
  best <- NULL
  for (start in c(0.3, 1)) {
    v <- numeric(q); par <- c(beta, rep(log(start), n_sds), atanh(0.4))
    for (round in 1:2) {
      found <- nlminb(par, value, control = list(eval.max = 2000, iter.max = 1000, rel.tol = 1e-14)); par <- found$par
    }
    if (is.null(best) || found$objective < best$objective) best <- found
  }
  value(best$par, all = TRUE)
}
answers <- list()
for (m in models) for (structure in c("cs", "homcs", "homdiag", "ar1", "hetar1")) {
  frame <- tables[[m[[1]]]]; k <- nlevels(frame[[m[[3]]]]); by <- m[[3]]; group <- m[[4]]
  term <- switch(structure, homdiag = sprintf("(1 | %s:%s)", group, by), homcs = sprintf("(1 | %s) + (1 | %s:%s)", group, group, by),
                 hetar1 = sprintf("ar1(0 + %s | %s)", by, group), sprintf("%s(0 + %s | %s)", structure, by, group))
  fit <- glmmTMB(as.formula(paste(m[[2]], "+", term)), frame, family = get(m[[5]]),
                 control = glmmTMBControl(optCtrl = list(iter.max = 1000, eval.max = 1000, rel.tol = 1e-13)))
  parts <- VarCorr(fit)$cond; first <- parts[[1]]
  known <- list(logLik = as.numeric(logLik(fit)), fixef = unname(fixef(fit)$cond), sds = rep_len(unname(attr(first, "stddev")), k), rho = NA)
  if (structure %in% c("cs", "ar1")) known$rho <- attr(first, "correlation")[1, 2]
  if (structure == "homcs") { v <- sapply(parts, function(one) one[1, 1]); known$sds <- rep(sqrt(sum(v)), k); known$rho <- unname(v[group] / sum(v)) }
  known$se <- unname(sqrt(diag(vcov(fit)$cond)))
  own <- NULL
  if (structure %in% c("ar1", "hetar1")) own <- dense(frame, m[[2]], by, group, m[[5]], structure, known$fixef)
  if (structure == "hetar1") known <- c(own, list(se = NA))
  cat(m[[1]], structure, sprintf("%.7f %.7f rho %.5f sds", known$logLik, if (is.null(own)) NA else own$logLik, known$rho), sprintf("%.5f", known$sds), "\n")
  answers[[length(answers) + 1]] <- c(list(data = m[[1]], fixed = m[[2]], by = by, group = group, family = m[[5]], structure = structure,
                                           source = if (structure == "hetar1") "dense" else "glmmTMB"), known)
}
write_json(answers, "structures_laplace.json", auto_unbox = TRUE, digits = 10, na = "null", pretty = TRUE)
