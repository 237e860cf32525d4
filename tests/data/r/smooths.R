# Fits of smooth terms: Rscript smooths.R, in this folder, writes smooths.json.
# Needs mgcv, gamm4, MASS and jsonlite; reads textbook/sleepstudy.csv. Of each model: effective degrees of freedom,
# REML score, fitted values, predictions with standard errors for new rows, some of them outside the data. The REML
# scores of two parametrisations of the same model differ by log|T| of what turns their fixed columns into each other:
# `scale` is sqrt|X'X| of mgcv's columns without a penalty. mgcv's t2() and bs = "fs" penalise constants and straight
# lines in coordinates that LAPACK happens to choose (findings/mgcv-mirrored-variable.sh): these two are put together
# here from mgcv's bases, with the constant and the straight line of mean zero, and fitted by its paraPen.
suppressMessages({library(mgcv); library(gamm4); library(jsonlite)})
RNGversion("4.2.0"); set.seed(17)
n <- 240
made <- data.frame(x = round(runif(n), 4), z = round(runif(n), 4), g = factor(sample(letters[1:8], n, TRUE)),
                   f = factor(sample(c("u", "v", "w"), n, TRUE)))
curve_of <- list(u = function(x) sin(5 * x), v = function(x) 2 * x, w = function(x) exp(-20 * (x - 0.4)^2))
made$y <- round(sin(7 * made$x) + cos(3 * made$z) * made$x + rnorm(8)[made$g] * 0.4 + rnorm(n, 0, 0.4), 4)
made$y2 <- round(mapply(function(x, f) curve_of[[f]](x), made$x, as.character(made$f)) + rnorm(n, 0, 0.3), 4)
made$y3 <- round(sin(6 * made$x * made$z) + rnorm(n, 0, 0.3), 4)
made$k <- rpois(n, exp(0.5 + sin(6 * made$x)))
sleep <- read.csv("textbook/sleepstudy.csv"); sleep$Subject <- factor(sleep$Subject)
data <- list(mcycle = MASS::mcycle, sleepstudy = sleep, made = made)

models <- list(
  list("mcycle", "accel ~ s(times)", list(times = c(0, 20, 33.3, 70))),
  list("mcycle", "accel ~ s(times, bs = \"cr\", k = 15)", list(times = c(0, 20, 33.3, 70))),
  list("mcycle", "accel ~ s(times, bs = \"cc\")", list(times = c(5, 20, 33.3, 57))),
  list("mcycle", "accel ~ s(times, bs = \"ps\", k = 12)", list(times = c(0, 20, 33.3, 70))),
  list("sleepstudy", "Reaction ~ s(Days, k = 6) + (1 | Subject)", list(Days = c(-1, 4.5, 12), Subject = rep("308", 3))),
  list("made", "y ~ s(x) + s(z, bs = \"cr\", k = 7) + (1 | g)", list(x = c(0.1, 0.5, 1.2), z = c(0.2, 0.9, -0.3), g = c("a", "b", "c"))),
  list("made", "y2 ~ f + s(x, by = f)", list(x = c(0.1, 0.5, 1.2), f = c("u", "v", "w"))),
  list("made", "y2 ~ s(x, by = z, k = 6)", list(x = c(0.1, 0.5, 1.2), z = c(0.2, 0.9, 2))),
  list("made", "y3 ~ s(x, z)", list(x = c(0.1, 0.5, 1.2), z = c(0.2, 0.9, 0.5))))

as_gam <- function(text) gsub("\\(1 \\| (\\w+)\\)", "s(\\1, bs = \"re\")", text)
unpenalised <- function(b) { # sqrt|X'X| of the columns that no penalty sees, in mgcv's own coordinates
  X <- model.matrix(b); keep <- list(X[, seq_len(b$nsdf), drop = FALSE])
  for (s in b$smooth) {
    own <- X[, s$first.para:s$last.para, drop = FALSE]; S <- Reduce(`+`, s$S)
    if (s$null.space.dim > 0) {
      e <- eigen(S, symmetric = TRUE); keep <- c(keep, list(own %*% e$vectors[, ncol(S) - (s$null.space.dim - 1):0, drop = FALSE]))
    }
  }
  sqrt(det(crossprod(do.call(cbind, keep))))
}
answer <- function(model) {
  frame <- data[[model[[1]]]]
  b <- gam(as.formula(as_gam(model[[2]])), data = frame, method = "REML", control = list(epsilon = 1e-10, newton = list(conv.tol = 1e-10)))
  new <- as.data.frame(model[[3]], stringsAsFactors = FALSE)
  p <- predict(b, new, se.fit = TRUE, unconditional = FALSE)
  edf <- sapply(b$smooth, function(s) sum(b$edf[s$first.para:s$last.para])); names(edf) <- sapply(b$smooth, `[[`, "label")
  list(data = model[[1]], formula = model[[2]], edf = as.list(edf), score = -as.numeric(b$gcv.ubre), scale = unpenalised(b),
       sigma = sqrt(b$sig2), fitted = as.numeric(fitted(b)), new = model[[3]], predicted = as.numeric(p$fit), se = as.numeric(p$se.fit))
}
wiggles <- function(spec, data, new, k, over_rows) { # in which the penalty is the identity
  sm <- smooth.construct(spec, data, NULL); e <- eigen(sm$S[[1]], symmetric = TRUE); r <- k - 2
  P <- t(t(e$vectors[, 1:r]) / sqrt(e$values[1:r])); Z <- sm$X %*% P; Zn <- Predict.matrix(sm, new) %*% P
  if (over_rows) {
    x <- data[[1]]; fixed <- lm.fit(cbind(1, x), Z)$coefficients
    Z <- Z - cbind(1, x) %*% fixed; Zn <- Zn - cbind(1, new[[1]]) %*% fixed
  }
  list(Z / sqrt(mean(Z^2)), Zn / sqrt(mean(Z^2)))
}
times <- function(A, B) do.call(cbind, lapply(seq_len(ncol(A)), function(j) A[, j] * B))
standard <- function(v, from) (v - mean(from)) / sqrt(mean((from - mean(from))^2))
penalised <- function(name, formula, y, fixed, parts, new, fixed_new, parts_new) {
  names(parts) <- paste0("Z", seq_along(parts)); frame <- c(list(y = y, N = fixed), parts)
  names(parts_new) <- names(parts); own <- lapply(parts, function(Z) list(diag(ncol(Z))))
  none <- is.null(fixed); if (none) frame$N <- NULL
  text <- paste("y ~", paste(c(if (!none) "N", names(parts)), collapse = " + "))
  b <- gam(as.formula(text), data = frame, paraPen = own, method = "REML",
           control = list(epsilon = 1e-10, newton = list(conv.tol = 1e-10)))
  X <- cbind(1, fixed_new, do.call(cbind, parts_new)); total <- cbind(rep(1, length(y)), fixed)
  list(data = "made", formula = formula, edf = list(all = sum(b$edf) - 1), score = -as.numeric(b$gcv.ubre),
       scale = sqrt(det(crossprod(total))), sigma = sqrt(b$sig2), fitted = as.numeric(fitted(b)), new = new,
       predicted = as.numeric(X %*% coef(b)), se = as.numeric(sqrt(rowSums((X %*% b$Vp) * X))))
}
surface <- local({
  new <- list(x = c(0.1, 0.5, 1.2), z = c(0.2, 0.9, 0.5)); d <- made
  wx <- wiggles(s(x, bs = "cr", k = 5), d["x"], data.frame(x = new$x), 5, FALSE)
  wz <- wiggles(s(z, bs = "cr", k = 5), d["z"], data.frame(z = new$z), 5, FALSE)
  lines <- function(x, z) list(cbind(1, standard(x, d$x)), cbind(1, standard(z, d$z)))
  own <- lines(d$x, d$z); then <- lines(new$x, new$z); flat <- times(own[[1]], own[[2]])[, -1]
  penalised("made", "y3 ~ t2(x, z)", d$y3, flat, list(times(wx[[1]], wz[[1]]), times(own[[1]], wz[[1]]), times(wx[[1]], own[[2]])),
            new, times(then[[1]], then[[2]])[, -1], list(times(wx[[2]], wz[[2]]), times(then[[1]], wz[[2]]), times(wx[[2]], then[[2]])))
})
curves <- local({
  new <- list(x = c(0.1, 0.5, 1.2), f = c("u", "v", "w")); d <- made
  w <- wiggles(s(x, bs = "tp", k = 6), d["x"], data.frame(x = new$x), 6, TRUE)
  dummies <- function(f) 1 * outer(f, c("u", "v", "w"), "=="); D <- dummies(as.character(d$f)); N <- dummies(new$f)
  penalised("made", "y2 ~ s(x, f, bs = \"fs\", k = 6)", d$y2, NULL,
            list(times(D, w[[1]]), D, D * standard(d$x, d$x)), new, NULL, list(times(N, w[[2]]), N, N * standard(new$x, d$x)))
})
gamm <- gamm4(y ~ s(x) + s(z, bs = "cr", k = 7), random = ~ (1 | g), data = made)
X <- getME(gamm$mer, "X")
by_gamm4 <- list(logLik = as.numeric(logLik(gamm$mer)), scale = sqrt(det(crossprod(X))), sigma = sigma(gamm$mer),
                 sd_g = as.data.frame(VarCorr(gamm$mer))[as.data.frame(VarCorr(gamm$mer))$grp == "g", "sdcor"])
keep <- c("x", "z", "g", "f", "y", "y2", "y3", "k")
writeLines(toJSON(list(made = as.list(lapply(made[keep], function(v) if (is.factor(v)) as.character(v) else v)),
  mcycle = as.list(MASS::mcycle), models = c(lapply(models, answer), list(surface, curves)), gamm4 = by_gamm4), digits = 12, auto_unbox = TRUE), "smooths.json")
