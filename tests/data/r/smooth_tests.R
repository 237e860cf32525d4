# Tests of smooths: Rscript smooth_tests.R, in this folder, writes smooth_tests.json from the tables of smooths.json.
# Needs mgcv, gamm4 and jsonlite. Of each gam() by REML: the table of its summary, with the p-value to more digits
# (psum.chisq() ends at 2e-5 there), and what Wood's statistic is for either sign, of which mgcv shows one. Fits by
# maximum likelihood are lme4's: log-likelihood, fitted values, SDs; there the covariance of all coefficients is made
# densely, with the weights of the response at the fit, and handed to mgcv's own testStat().
suppressMessages({library(mgcv); library(gamm4); library(jsonlite)})
all <- fromJSON("smooths.json")
made <- as.data.frame(all$made); made$f <- factor(made$f); made$g <- factor(made$g)
made$hit <- as.integer(made$y2 > 0.8)
sleep <- read.csv("textbook/sleepstudy.csv"); sleep$Subject <- factor(sleep$Subject)
data <- list(mcycle = as.data.frame(all$mcycle), sleepstudy = sleep, made = made)
precise <- function(f) { # the same function with 2e-5 and 1e5 terms replaced
  text <- gsub("psum.chisq(", "exact(", deparse(f), fixed = TRUE); g <- eval(parse(text = text))
  environment(g) <- list2env(list(exact = function(q, lb, df = rep(1, length(lb))) psum.chisq(q, lb, df, tol = 1e-11, nlim = 1e7)), parent = asNamespace("mgcv"))
  g
}
both <- precise(mgcv:::testStat); random <- precise(mgcv:::reTest)
mirrored <- function(p, X, V, rank, res.df) { # of the other sign, by turning the last direction round
  text <- gsub("siv[siv == 0] <- 1", "siv[siv == 0] <- 1; siv[floor(rank) + 1] <- -siv[floor(rank) + 1]", deparse(both), fixed = TRUE)
  g <- eval(parse(text = text)); environment(g) <- environment(both); g(p, X, V, rank, res.df = res.df)
}
row <- function(label, edf, t, u, scaled) list(smooth = label, edf = edf, ref_df = t$rank, statistic = t$stat / scaled(t),
  other = u$stat / scaled(u), p_value = t$pval)
by_gam <- function(name, formula) {
  b <- gam(as.formula(gsub("\\(1 \\| (\\w+)\\)", "s(\\1, bs = \"re\")", formula)), data = data[[name]], method = "REML",
           control = list(epsilon = 1e-11, newton = list(conv.tol = 1e-11)))
  shown <- summary(b)$s.table; rdf <- length(b$y) - sum(b$edf)
  rows <- lapply(seq_along(b$smooth), function(i) {
    s <- b$smooth[[i]]; own <- s$first.para:s$last.para
    if (inherits(s, "random.effect")) return(NULL)
    if (s$null.space.dim == 0) t <- u <- random(b, i) else {
      given <- list(coef(b)[own], b$R[, own], b$Vp[own, own], min(length(own), sum(b$edf1[own])), res.df = rdf)
      t <- do.call(both, given); u <- do.call(mirrored, given)
    }
    stopifnot(all.equal(c(sum(b$edf[own]), t$rank, t$stat / t$rank), unname(shown[i, 1:3])), abs(t$pval - shown[i, 4]) < 4e-5)
    row(s$label, sum(b$edf[own]), t, u, function(t) t$rank)
  })
  list(data = name, formula = formula, method = "reml", residual_df = rdf, tests = Filter(length, rows))
}
# Smooths as random effects of lme4: mgcv's basis, its penalised part orthogonal to the constant and the straight line
# over the rows, handed to lme4 between the steps of help(modular). How gamm4 has them the penalised columns carry some
# of the line, so that its maximum likelihood, unlike REML's, is another.
wiggles <- function(spec, data) {
  sm <- smooth.construct(spec, data, NULL); e <- eigen(sm$S[[1]], symmetric = TRUE)
  lines <- cbind(1, as.matrix(data)); r <- ncol(sm$X) - ncol(lines)
  Z <- sm$X %*% t(t(e$vectors[, 1:r]) / sqrt(e$values[1:r]))
  Z - lines %*% lm.fit(lines, Z)$coefficients
}
by_lme4 <- function(name, formula, fixed, smooths, family = NULL, mixed = FALSE) {
  frame <- data[[name]]; n <- nrow(frame)
  Zs <- lapply(smooths, function(s) { Z <- wiggles(s, frame[s$term]); Z / sqrt(sum(Z^2) / n) })
  fakes <- paste0("fake", seq_along(Zs)); for (i in seq_along(Zs)) frame[[fakes[i]]] <- factor(rep_len(seq_len(ncol(Zs[[i]])), n))
  text <- paste(fixed, "+", paste0("(1 | ", c(fakes, if (mixed) "g"), ")", collapse = " + "))
  bare <- function(control) do.call(control, list(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-8, maxfun = 1e5), check.conv.grad = "ignore",
    check.conv.hess = "ignore", check.conv.singular = "ignore"))
  mod <- if (is.null(family)) lFormula(as.formula(text), frame, REML = FALSE) else
    glFormula(as.formula(text), frame, family = family)
  for (i in seq_along(Zs)) mod$reTrms$Ztlist[[paste0("1 | ", fakes[i])]] <- as(t(Zs[[i]]), "CsparseMatrix")
  mod$reTrms$Zt <- do.call(rbind, mod$reTrms$Ztlist)
  if (is.null(family)) {
    f <- do.call(mkLmerDevfun, mod); opt <- optimizeLmer(f, control = bare(lmerControl)$optCtrl)
  } else {
    f <- do.call(mkGlmerDevfun, c(mod, list(control = glmerControl(tolPwrss = 1e-13))))
    opt <- optimizeGlmer(f, optimizer = "bobyqa"); f <- updateGlmerDevfun(f, mod$reTrms)
    opt <- optimizeGlmer(f, optimizer = "bobyqa", stage = 2, start = list(fixef = getME(mkMerMod(environment(f), opt, mod$reTrms, fr = mod$fr), "beta"), theta = opt$par), control = list(rhoend = 1e-8, maxfun = 1e5))
  }
  m <- mkMerMod(environment(f), opt, mod$reTrms, fr = mod$fr)
  mu <- fitted(m); w <- if (is.null(family)) rep(1, n) else if (family$family == "poisson") mu else mu * (1 - mu)
  X <- getME(m, "X"); C <- cbind(X, t(as.matrix(getME(m, "Zt")))); scale <- if (is.null(family)) sigma(m)^2 else 1
  sds <- sapply(VarCorr(m), function(v) sqrt(v[1])); size <- diff(getME(m, "Gp")); names(size) <- names(sds)
  priors <- c(rep(0, ncol(X)), unlist(lapply(names(sds), function(s) rep(scale / max(sds[[s]]^2, 1e-10), size[[s]]))))
  G <- crossprod(sqrt(w) * C); V <- solve(G + diag(priors)); F <- V %*% G; edf1 <- diag(2 * F - F %*% F)
  b <- c(getME(m, "beta"), getME(m, "b")@x); starts <- ncol(X) + head(getME(m, "Gp"), -1); names(starts) <- names(sds)
  rdf <- if (is.null(family)) n - sum(diag(F)) else -1
  rows <- lapply(seq_along(Zs), function(i) {
    own <- c(match(smooths[[i]]$term, colnames(X)), starts[[fakes[i]]] + seq_len(size[[fakes[i]]]))
    given <- list(b[own], sqrt(w) * scale(C[, own], scale = FALSE), scale * V[own, own], min(length(own), sum(edf1[own])), res.df = rdf)
    t <- do.call(both, given); u <- do.call(mirrored, given)
    row(smooths[[i]]$label, sum(diag(F)[own]), t, u, function(t) if (is.null(family)) t$rank else 1)
  })
  list(data = name, formula = formula, method = if (is.null(family)) "ml" else "laplace", family = if (is.null(family)) "gaussian" else family$family,
       loglik = as.numeric(logLik(m)), fitted = as.numeric(mu), sds = as.numeric(sds[fakes]), tests = rows)
}
models <- list(
  by_gam("mcycle", "accel ~ s(times)"), by_gam("mcycle", "accel ~ s(times, bs = \"cc\")"),
  by_gam("sleepstudy", "Reaction ~ s(Days, k = 6) + (1 | Subject)"),
  by_gam("made", "y ~ s(x) + s(z, bs = \"cr\", k = 7) + (1 | g)"), by_gam("made", "y2 ~ f + s(x, by = f)"),
  by_gam("made", "y2 ~ s(x, by = z, k = 6) + s(y)"), by_gam("made", "y3 ~ s(x, z)"),
  by_gam("made", "z ~ s(x, k = 7) + s(y2) + (1 | g)"), by_gam("made", "y ~ s(z, bs = \"cc\", k = 6)"),
  by_lme4("mcycle", "accel ~ s(times)", "accel ~ times", list(s(times, k = 10))),
  by_lme4("mcycle", "accel ~ s(times, bs = \"cr\", k = 15)", "accel ~ times", list(s(times, bs = "cr", k = 15))),
  by_lme4("made", "y ~ s(x) + s(z, bs = \"cr\", k = 7) + (1 | g)", "y ~ x + z", list(s(x, k = 10), s(z, bs = "cr", k = 7)), mixed = TRUE),
  by_lme4("made", "y3 ~ s(x, z)", "y3 ~ x + z", list(s(x, z, k = 30))),
  by_lme4("made", "k ~ s(x, k = 7) + s(z) + (1 | g)", "k ~ x + z", list(s(x, k = 7), s(z, k = 10)), poisson(), TRUE),
  by_lme4("made", "k ~ s(x, bs = \"cr\")", "k ~ x", list(s(x, bs = "cr", k = 10)), poisson()),
  by_lme4("made", "hit ~ s(x)", "hit ~ x", list(s(x, k = 10)), binomial()),
  by_lme4("made", "hit ~ f + s(x)", "hit ~ f + x", list(s(x, k = 10)), binomial()))
writeLines(toJSON(models, digits = 12, auto_unbox = TRUE), "smooth_tests.json")
