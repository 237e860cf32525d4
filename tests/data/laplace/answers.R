# Simulates responses.csv from a seed and writes what lme4 and glmmTMB say of it to answers.json.
# Run here: Rscript answers.R   (R 4.2.2, lme4 1.1-31, glmmTMB 1.1.5, jsonlite)
suppressMessages({library(lme4); library(glmmTMB); library(jsonlite)})
set.seed(20240611)
n <- 240
d <- data.frame(g = rep(sprintf("g%02d", 1:20), each = 12), h = sprintf("h%02d", sample(12, n, TRUE)))
d$s <- sprintf("s%d", rep(rep(1:3, each = 4), 20))
d$x <- round(rnorm(n, 0.5), 3)
d$o <- round(runif(n, -0.5, 1), 3)
d$n <- sample(3:9, n, TRUE)
g <- rnorm(20, 0, 0.7)[rep(1:20, each = 12)]; slope <- rnorm(20, 0, 0.3)[rep(1:20, each = 12)]
h <- rnorm(12, 0, 0.5)[as.integer(factor(d$h))]; s <- rnorm(60, 0, 0.5)[as.integer(factor(paste(d$g, d$s)))]
d$b <- rbinom(n, 1, plogis(-0.3 + 0.8 * d$x + 1.2 * g + h))
d$k <- rbinom(n, d$n, pnorm(-0.2 + 0.4 * d$x + 0.6 * g))
d$f <- d$n - d$k
d$c <- rpois(n, exp(0.6 + 0.4 * d$x + d$o + g + (slope + 0.2 * g) * d$x))
d$m <- rpois(n, exp(0.4 + 0.3 * d$x + g + s))
d$i <- rpois(n, pmax(6 + 0.8 * d$x + 1.2 * g, 0.1))
d$z <- rnbinom(n, size = 2, mu = exp(1 + 0.3 * d$x + d$o + 0.8 * g + h))
d$r <- signif(rgamma(n, shape = 3, rate = 3 / exp(0.5 + 0.3 * d$x + 0.6 * g)), 5)
mu <- plogis(0.2 + 0.4 * d$x + 0.6 * g)
d$q <- pmin(pmax(round(rbeta(n, 8 * mu, 8 * (1 - mu)), 5), 0.001), 0.999)
write.csv(d, "responses.csv", row.names = FALSE, quote = FALSE)
d <- read.csv("responses.csv")

variances <- function(v) {
  found <- lapply(v, function(m) list(sd = as.numeric(attr(m, "stddev")),
    cor = if (nrow(m) > 1) as.numeric(attr(m, "correlation")[lower.tri(m)]) else numeric(0)))
  found
}
of_lme4 <- function(f, family) {
  m <- glmer(f, d, family = family, control = glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10, optCtrl = list(rhoend = 1e-8)))
  r <- as.data.frame(ranef(m, condVar = TRUE))
  list(fixef = unname(fixef(m)), se = unname(sqrt(diag(as.matrix(vcov(m, use.hessian = TRUE))))),
    varcorr = variances(VarCorr(m)), logLik = as.numeric(logLik(m)), AIC = AIC(m), BIC = BIC(m),
    ranef = list(grpvar = as.character(r$grpvar), term = as.character(r$term), grp = as.character(r$grp), condval = r$condval, condsd = r$condsd),
    fitted = unname(head(fitted(m), 5)))
}
of_glmmTMB <- function(f, family, start) {
  m <- glmmTMB(f, d, family = family, start = start, control = glmmTMBControl(optCtrl = list(rel.tol = 1e-12)))
  list(fixef = unname(fixef(m)$cond), se = unname(sqrt(diag(vcov(m)$cond))), varcorr = variances(VarCorr(m)$cond),
    logLik = as.numeric(logLik(m)), AIC = AIC(m), BIC = BIC(m), sigma = sigma(m))
}
one <- function(formula, name, link, lme4, tmb, start = NULL) {
  f <- as.formula(formula)
  list(formula = formula, family = name, link = link,
    lme4 = if (is.null(lme4)) NULL else of_lme4(f, lme4), glmmTMB = if (is.null(tmb)) NULL else of_glmmTMB(f, tmb, start))
}
bi <- binomial; po <- poisson
fits <- list(
  one("b ~ x + (1 | g) + (1 | h)", "bernoulli", "logit", bi(), bi()),
  one("b ~ x + (x | g)", "bernoulli", "logit", bi(), NULL),
  one("cbind(k, f) ~ x + (1 | g)", "binomial", "probit", bi("probit"), bi("probit")),
  one("cbind(k, f) ~ x + (1 | g)", "binomial", "cloglog", bi("cloglog"), bi("cloglog")),
  one("c ~ x + offset(o) + (x | g)", "poisson", "log", po(), po()),
  one("c ~ x + offset(o) + (1 | g) + (0 + x | g)", "poisson", "log", po(), po()),
  one("m ~ x + (1 | g/s)", "poisson", "log", po(), po()),
  one("i ~ x + (1 | g)", "poisson", "identity", po("identity"), po("identity"), list(beta = c(6, 0.5))),
  one("z ~ x + offset(o) + (1 | g) + (1 | h)", "negativebinomial", "log", NULL, nbinom2()),
  one("r ~ x + (1 | g)", "gamma", "log", NULL, Gamma("log")),
  one("r ~ x + (1 | g)", "gamma", "inverse", NULL, Gamma("inverse"), list(beta = c(0.6, 0), theta = -2)),
  one("q ~ x + (1 | g)", "beta", "logit", NULL, beta_family())
)
versions <- sapply(c("lme4", "glmmTMB"), function(p) as.character(packageVersion(p)))
write_json(list(R = R.version.string, packages = as.list(versions), fits = fits), "answers.json",
  digits = 12, auto_unbox = TRUE, pretty = FALSE, null = "null")
