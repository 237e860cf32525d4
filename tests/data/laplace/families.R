# Simulates families.csv from a seed and writes what glmmTMB and ordinal say of it to families.json: families with
# zeros of their own, with levels in an order, with a probability that varies.
# Run here: Rscript families.R   (R 4.2.2, glmmTMB 1.1.5, ordinal 2022.11.16, jsonlite)
suppressMessages({library(glmmTMB); library(ordinal); library(jsonlite)})
set.seed(20250731)
n <- 400
d <- data.frame(g = rep(sprintf("g%02d", 1:20), each = 20), h = rep(sprintf("h%02d", 1:10), 40), x = round(rnorm(n), 3))
eta <- 0.6 + 0.4 * d$x + rnorm(20, 0, 0.5)[rep(1:20, each = 20)] + rnorm(10, 0, 0.3)[rep(1:10, 40)]
mu <- exp(eta); p <- plogis(eta)
above <- function(draw) { y <- draw(); while (any(y == 0)) y <- ifelse(y == 0, draw(), y); y }
proper <- runif(n) < 0.7
d$zip <- proper * rpois(n, mu)
d$zinb <- proper * rnbinom(n, size = 2, mu = mu)
d$hup <- proper * above(function() rpois(n, mu))
d$hunb <- proper * above(function() rnbinom(n, size = 2, mu = mu))
d$hug <- proper * signif(rgamma(n, 3, 3 / mu), 6)
d$n <- sample(3:11, n, TRUE)
d$bb <- rbinom(n, d$n, rbeta(n, 6 * p, 6 * (1 - p)))
d$zib <- proper * rbinom(n, d$n, p)
d$t <- signif(eta + 0.5 * rt(n, 4), 6)
d$lnorm <- signif(exp(eta + 0.5 * rnorm(n)), 6)
d$level <- findInterval(eta + rnorm(10, 0, 0.6)[rep(1:10, 40)] + rlogis(n), c(-1, 0.5, 2))
write.csv(d, "families.csv", row.names = FALSE, quote = FALSE)
d <- read.csv("families.csv")

of_glmmTMB <- function(response, family, zeros = ~0, added = 0) {
  f <- as.formula(paste(response, "~ x + (1 | g) + (1 | h)"))
  m <- glmmTMB(f, d, family = family, ziformula = zeros, control = glmmTMBControl(optCtrl = list(rel.tol = 1e-12)))
  zi <- fixef(m)$zi
  list(fixef = unname(fixef(m)$cond), se = unname(sqrt(diag(vcov(m)$cond))), sigma = sigma(m),
    psi = if (length(zi)) 1 - plogis(unname(zi)) else NULL,
    sd = as.numeric(sapply(VarCorr(m)$cond, function(v) attr(v, "stddev"))), logLik = as.numeric(logLik(m)) + added)
}
of_clmm <- function(link) {
  l <- transform(d, level = factor(level, ordered = TRUE), g = factor(g), h = factor(h))
  m <- clmm(level ~ x + (1 | g) + (1 | h), l, link = link, control = clmm.control(gradTol = 1e-8))
  list(fixef = unname(c(m$alpha, m$beta)), se = unname(sqrt(diag(vcov(m)))[1:4]), sigma = NULL, psi = NULL,
    sd = as.numeric(sapply(VarCorr(m), function(v) attr(v, "stddev"))), logLik = as.numeric(logLik(m)))
}
one <- function(response, family, link, of) list(response = response, family = family, link = link, of = of)
fits <- list(
  one("zip", "zero_inflated_poisson", "log", of_glmmTMB("zip", poisson, ~1)),
  one("zinb", "zero_inflated_negativebinomial", "log", of_glmmTMB("zinb", nbinom2, ~1)),
  one("hup", "hurdle_poisson", "log", of_glmmTMB("hup", truncated_poisson, ~1)),
  one("hunb", "hurdle_negativebinomial", "log", of_glmmTMB("hunb", truncated_nbinom2, ~1)),
  one("hug", "hurdle_gamma", "log", of_glmmTMB("hug", ziGamma(link = "log"), ~1)),
  one("cbind(bb, n - bb)", "beta_binomial", "logit", of_glmmTMB("cbind(bb, n - bb)", betabinomial)),
  one("zib / n", "zero_inflated_binomial", "logit", of_glmmTMB("cbind(zib, n - zib)", binomial, ~1)),
  one("t", "t", "identity", of_glmmTMB("t", t_family)),
  # of the response itself, not of its logarithm
  one("lnorm", "lognormal", "identity", of_glmmTMB("log(lnorm)", gaussian, added = -sum(log(d$lnorm)))),
  one("level", "cumulative", "logit", of_clmm("logit")),
  one("level", "cumulative", "probit", of_clmm("probit")),
  one("level", "cumulative", "cloglog", of_clmm("cloglog"))
)
versions <- sapply(c("glmmTMB", "ordinal"), function(p) as.character(packageVersion(p)))
write_json(list(R = R.version.string, packages = as.list(versions), fits = fits), "families.json", auto_unbox = TRUE, digits = 12, pretty = TRUE)
