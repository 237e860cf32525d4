# Estimates of group terms whose levels vary together: Rscript level_matrices.R, in this folder, writes
# level_matrices.json. Plain dense algebra and optim(), of textbook/ data with a covariance A made up of distances, from
# which the levels of `without` are left out of the rows: they are in the matrix alone. Needs jsonlite.
suppressMessages(library(jsonlite))

covariance <- function(q) 0.6^abs(outer(1:q, 1:q, "-")) + diag(seq(0.1, 0.5, length.out = q))
criterion <- function(par, X, Z, y, A, group, REML) {
  k <- ncol(Z); L <- matrix(0, k, k); L[lower.tri(L, diag = TRUE)] <- par[-length(par)]
  n <- length(y); p <- ncol(X)
  V <- (Z %*% tcrossprod(L) %*% t(Z)) * A[group, group] + exp(2 * par[length(par)]) * diag(n)
  R <- chol(V); Xw <- backsolve(R, X, transpose = TRUE); yw <- backsolve(R, y, transpose = TRUE)
  beta <- solve(crossprod(Xw), crossprod(Xw, yw)); rest <- yw - Xw %*% beta
  value <- n * log(2 * pi) + 2 * sum(log(diag(R))) + sum(rest^2)
  if (REML) value <- value - p * log(2 * pi) + as.numeric(determinant(crossprod(Xw))$modulus)
  list(deviance = value, beta = drop(beta))
}
models <- list(
  list(data = "sleepstudy", fixed = "Reaction ~ Days", slopes = "~ 1", group = "Subject", without = 1:2),
  list(data = "sleepstudy", fixed = "Reaction ~ Days", slopes = "~ Days", group = "Subject", without = 5),
  list(data = "Machines", fixed = "score ~ Machine", slopes = "~ 1", group = "Worker", without = integer()))
answers <- list()
for (model in models) for (REML in c(TRUE, FALSE)) {
  frame <- read.csv(file.path("textbook", paste0(model$data, ".csv")), stringsAsFactors = TRUE)
  frame[[model$group]] <- factor(frame[[model$group]]); labels <- levels(frame[[model$group]])
  A <- covariance(length(labels)); frame <- frame[!(as.integer(frame[[model$group]]) %in% model$without), ]
  X <- model.matrix(as.formula(model$fixed), frame); y <- model.response(model.frame(as.formula(model$fixed), frame))
  Z <- model.matrix(as.formula(model$slopes), frame); k <- ncol(Z); group <- as.integer(frame[[model$group]])
  start <- diag(sd(y) / 2 / sqrt(colMeans(Z^2)), k)[lower.tri(diag(k), diag = TRUE)]
  f <- function(par) criterion(par, X, Z, y, A, group, REML)$deviance
  found <- list(par = c(start, log(sd(y) / 2)))
  for (method in c("Nelder-Mead", "BFGS", "Nelder-Mead", "BFGS", "BFGS"))
    found <- optim(found$par, f, method = method, control = list(maxit = 20000, reltol = 1e-15,
                   parscale = pmax(abs(found$par), 1e-2)))
  best <- criterion(found$par, X, Z, y, A, group, REML)
  L <- matrix(0, k, k); L[lower.tri(L, diag = TRUE)] <- found$par[-length(found$par)]
  S <- tcrossprod(L); sigma <- exp(found$par[length(found$par)])
  answers[[length(answers) + 1]] <- c(model[c("data", "fixed", "slopes", "group")], list(without = I(labels[model$without]),
    labels = I(labels), REML = REML, logLik = -best$deviance / 2, sds = I(sqrt(diag(S))),
    rho = if (k > 1) S[1, 2] / sqrt(S[1, 1] * S[2, 2]) else NULL, sigma = sigma, fixef = I(unname(best$beta))))
}
write(toJSON(answers, digits = 12, auto_unbox = TRUE, pretty = TRUE, null = "null"), "level_matrices.json")
