# Average slopes and comparisons of lme4's fits, from its own predict(): central differences over the rows for slopes, and
# by the fixed effects for the delta method. Group effects of each row's levels are added (re.form = NULL) and held.
# The covariance of a glmer's fixed effects is glmmTMB's of the same model: lme4's is by differences, and off by 0.2 %.
# Rscript answers.R > lme4.json
suppressMessages({library(lme4); library(glmmTMB); library(jsonlite)})
d <- read.csv("data.csv"); d$f <- factor(d$f); d$g <- factor(d$g)
tight <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
tight_lmer <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
models <- list(
  lmer = lmer(y ~ x * f + I(x^2) + (1 + x | g), d, control = tight_lmer),
  bernoulli = glmer(h ~ x * f + z + (1 | g), d, family = binomial, control = tight),
  poisson = glmer(k ~ x * f + offset(log(n)) + (1 | g), d, family = poisson, control = tight))
predicted <- function(m, new, beta, re.form) {
  X <- model.matrix(delete.response(terms(m)), new)
  eta <- predict(m, new, type = "link", re.form = re.form) + drop(X %*% (beta - fixef(m)))
  if (inherits(m, "glmerMod")) family(m)$linkinv(eta) else eta
}
answer <- function(m, of) {
  b <- fixef(m); value <- of(b)
  V <- if (inherits(m, "glmerMod")) vcov(glmmTMB(formula(m), d, family = family(m)))$cond else as.matrix(vcov(m))
  J <- sapply(seq_along(b), function(i) { h <- 1e-5; u <- b; l <- b; u[i] <- b[i] + h; l[i] <- b[i] - h; (of(u) - of(l)) / (2 * h) })
  J <- matrix(J, ncol = length(b))
  unname(cbind(value, sqrt(diag(J %*% V %*% t(J)))))
}
with_x <- function(value) { e <- d; e$x <- value; e }
with_f <- function(value) { e <- d; e$f <- factor(value, levels(d$f)); e }
found <- lapply(models, function(m) lapply(list(all = NULL, none = NA), function(re) {
  p <- function(new, beta) predicted(m, new, beta, re)
  h <- 1e-4 * diff(range(d$x))
  list(
    slopes = answer(m, function(b) mean((p(with_x(d$x + h / 2), b) - p(with_x(d$x - h / 2), b)) / h)),
    slopes_by_f = answer(m, function(b) tapply((p(with_x(d$x + h / 2), b) - p(with_x(d$x - h / 2), b)) / h, d$f, mean)),
    differences = answer(m, function(b) c(mean(p(with_f("b"), b) - p(with_f("a"), b)), mean(p(with_f("c"), b) - p(with_f("a"), b)))),
    one_unit = answer(m, function(b) mean(p(with_x(d$x + 0.5), b) - p(with_x(d$x - 0.5), b))),
    ratio = answer(m, function(b) mean(p(with_x(2), b)) / mean(p(with_x(0), b))),
    predictions_by_f = answer(m, function(b) tapply(p(d, b), d$f, mean)),
    counterfactual = answer(m, function(b) sapply(levels(d$f), function(f) mean(p(with_f(f), b)))))
}))
cat(toJSON(found, digits = 10, pretty = TRUE), "\n")
