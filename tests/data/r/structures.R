# Estimates of group terms with covariance structures: Rscript structures.R, in this folder, writes structures.json.
# Needs glmmTMB (cs, ar1), nlme (homcs by pdCompSymm, homdiag by pdIdent) and jsonlite; reads textbook/. No package
# at hand has hetar1: it, and each of the others once more, are found on the dense likelihood by optim(). Where glmmTMB
# stops at a lower maximum, or at none, it begins again from there.
suppressMessages({library(glmmTMB); library(nlme); library(jsonlite)})
source_of <- c(cs = "glmmTMB", ar1 = "glmmTMB", homcs = "nlme", homdiag = "nlme", hetar1 = "dense")

read <- function(name) {
  frame <- read.csv(file.path("textbook", paste0(name, ".csv")), stringsAsFactors = TRUE)
  if (name == "sleepstudy") { frame$Subject <- factor(frame$Subject); frame$day <- factor(frame$Days) }
  if (name == "Oats") frame$dose <- factor(frame$nitro)
  if (name == "cake") { frame$batch <- interaction(frame$recipe, frame$replicate); frame$degrees <- factor(frame$temp) }
  frame
}
models <- list(
  list("Machines", "score ~ Machine", "Machine", "Worker", c("cs", "homcs", "homdiag", "ar1", "hetar1")),
  list("sleepstudy", "Reaction ~ Days", "day", "Subject", c("ar1")),
  list("Oats", "yield ~ nitro", "Variety", "Block", c("cs", "homcs", "homdiag")),
  list("cake", "angle ~ recipe + temp", "degrees", "batch", c("ar1", "hetar1")),
  list("ergoStool", "effort ~ Type", "Type", "Subject", c("cs")))

matrix_of <- function(structure, rho, k) {
  if (structure == "homdiag") return(diag(k))
  if (structure %in% c("cs", "homcs")) return((1 - rho) * diag(k) + rho)
  rho^abs(outer(1:k, 1:k, "-"))
}
dense <- function(frame, fixed, by, group, structure, REML, start) {
  X <- model.matrix(as.formula(fixed), frame); y <- model.response(model.frame(as.formula(fixed), frame))
  Z <- model.matrix(as.formula(paste("~ 0 +", by)), frame); k <- ncol(Z); hom <- grepl("^hom|^ar1", structure)
  same <- outer(as.integer(frame[[group]]), as.integer(frame[[group]]), "==")
  low <- if (structure %in% c("cs", "homcs")) -1 / (k - 1) else -1
  parts <- function(par) {
    sds <- if (hom) rep(exp(par[2]), k) else exp(par[2:(k + 1)])
    rho <- if (structure == "homdiag") NA else low + (1 - low) * plogis(par[length(par)])
    list(sds = sds, rho = rho, sigma = exp(par[1]), R = matrix_of(structure, rho, k))
  }
  value <- function(par, all = FALSE) {
    p <- parts(par)
    V <- p$sigma^2 * diag(nrow(X)) + same * (Z %*% (p$R * outer(p$sds, p$sds)) %*% t(Z))
    U <- try(chol(V), silent = TRUE); if (inherits(U, "try-error")) return(1e10)
    WX <- backsolve(U, X, transpose = TRUE); wy <- backsolve(U, y, transpose = TRUE); q <- qr(WX)
    freedom <- nrow(X) - REML * ncol(X)
    ll <- -0.5 * (freedom * log(2 * pi) + 2 * sum(log(diag(U))) + sum(qr.resid(q, wy)^2) +
                  REML * 2 * sum(log(abs(diag(qr.R(q))))))
    if (all) c(list(logLik = ll, fixef = unname(qr.coef(q, wy))), p[c("sds", "rho", "sigma")]) else -ll
  }
  best <- NULL
  for (shift in list(0, 0.7)) {
    found <- list(par = start + shift * c(0, rep_len(c(1, -1), length(start) - 1)))
    for (round in 1:3) {
      found <- optim(found$par, value, method = "Nelder-Mead", control = list(maxit = 4000, reltol = 1e-14))
      found <- optim(found$par, value, method = "BFGS", control = list(maxit = 500, reltol = 1e-15))
    }
    if (is.null(best) || found$value < best$value) best <- found
  }
  value(best$par, all = TRUE)
}
answers <- list()
for (m in models) for (structure in m[[5]]) for (REML in c(TRUE, FALSE)) {
  frame <- read(m[[1]]); k <- nlevels(frame[[m[[3]]]]); sd <- sd(model.response(model.frame(as.formula(m[[2]]), frame)))
  n_sds <- if (grepl("^hom|^ar1", structure)) 1 else k
  own <- dense(frame, m[[2]], m[[3]], m[[4]], structure, REML, c(rep(log(sd / 2), 1 + n_sds), if (structure != "homdiag") 0.5))
  from <- source_of[[structure]]
  if (from == "glmmTMB") {
    formula <- as.formula(sprintf("%s + %s(0 + %s | %s)", m[[2]], structure, m[[3]], m[[4]]))
    fit <- suppressWarnings(glmmTMB(formula, frame, REML = REML)); a <- 1 / (k - 1)
    if (!isTRUE(as.numeric(logLik(fit)) > own$logLik - 1e-6)) {
      theta <- c(log(own$sds[seq_len(n_sds)]), if (structure == "ar1") own$rho / sqrt(1 - own$rho^2) else qlogis((own$rho + a) / (1 + a)))
      fit <- suppressWarnings(glmmTMB(formula, frame, REML = REML, start = list(theta = theta, betad = 2 * log(own$sigma))))
    }
    theirs <- VarCorr(fit)$cond[[1]]
    known <- list(logLik = as.numeric(logLik(fit)), fixef = unname(fixef(fit)$cond), sds = rep_len(unname(attr(theirs, "stddev")), k),
                  rho = attr(theirs, "correlation")[1, 2], sigma = sigma(fit))
  } else if (from == "nlme") {
    matrix <- if (structure == "homcs") pdCompSymm else pdIdent
    random <- setNames(list(matrix(as.formula(paste("~ 0 +", m[[3]])), data = frame)), m[[4]])
    fit <- lme(as.formula(m[[2]]), frame, random, method = if (REML) "REML" else "ML",
               control = lmeControl(msMaxIter = 500, tolerance = 1e-10, msTol = 1e-12, returnObject = TRUE))
    V <- as.matrix(getVarCov(fit))
    known <- list(logLik = as.numeric(logLik(fit)), fixef = unname(fixef(fit)), sds = unname(sqrt(diag(V))),
                  rho = if (structure == "homcs") cov2cor(V)[1, 2] else NA, sigma = fit$sigma)
  } else known <- own
  if (!isTRUE(abs(known$logLik - own$logLik) < 1e-5 * abs(own$logLik))) { known <- own; from <- "dense" }
  cat(m[[1]], structure, REML, sprintf("%.7f %.7f  rho %.5f %.5f sd %.5f %.5f sigma %.5f\n", known$logLik, own$logLik, known$rho, own$rho, known$sds[1], own$sds[1], own$sigma))
  answers[[length(answers) + 1]] <- c(list(data = m[[1]], fixed = m[[2]], by = m[[3]], group = m[[4]], structure = structure,
                                           REML = REML, source = from), known, list(dense = own$logLik))
}
write_json(answers, "structures.json", auto_unbox = TRUE, digits = 10, na = "null", pretty = TRUE)
