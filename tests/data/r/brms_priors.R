# Writes brms' default priors (brms 2.18.0) of many families and of the formulas of their parameters to brms_priors.csv,
# and the data that they are for to brms_priors_data.csv.
suppressMessages(library(brms))
set.seed(1)
n <- 40
x <- rep(c(-1.5, -0.5, 0.5, 1.5), 10); g <- rep(letters[1:5], each = 8)
u <- ((1:n * 7) %% 41 + 1) / 42
d <- data.frame(x, g, y = round(20 + 60 * u, 2), big = round(exp(2 + 3 * u), 1), share = round(u, 3), hit = as.integer(u > 0.4), count = floor(20 * u^2), angle = round(2 * u - 1, 3), grade = ordered(floor(u * 4)), trials = 20L)
d$zero <- ifelse(d$share < 0.3, 0, d$big)
write.csv(d, "brms_priors_data.csv", row.names = FALSE)
cases <- list(
 c("gaussian","identity","y"), c("gaussian","log","y"), c("gaussian","inverse","y"), c("student","identity","y"), c("student","log","big"),
 c("lognormal","identity","big"), c("hurdle_lognormal","identity","zero"), c("Gamma","log","big"), c("Gamma","inverse","big"), c("Gamma","identity","big"),
 c("hurdle_gamma","log","zero"), c("weibull","log","big"), c("exponential","log","big"), c("inverse.gaussian","1/mu^2","big"), c("inverse.gaussian","log","big"),
 c("Beta","logit","share"), c("Beta","probit","share"), c("Beta","cloglog","share"), c("bernoulli","logit","hit"), c("bernoulli","probit","hit"), c("bernoulli","cloglog","hit"),c("bernoulli","identity","hit"),
 c("binomial","logit","count | trials(trials)"), c("binomial","probit","count | trials(trials)"), c("beta_binomial","logit","count | trials(trials)"),
 c("poisson","log","count"), c("poisson","identity","count"), c("negbinomial","log","count"), c("negbinomial","identity","count"), c("zero_inflated_poisson","log","count"), c("zero_inflated_negbinomial","log","count"),
 c("hurdle_poisson","log","count"), c("hurdle_negbinomial","log","count"), c("von_mises","tan_half","angle"), c("asym_laplace","identity","y"),
 c("cumulative","logit","grade"), c("cumulative","probit","grade"), c("sratio","logit","grade"), c("zero_inflated_binomial","logit","count | trials(trials)"))
dpars <- c("sigma","shape","nu","phi","kappa","zi","hu","quantile")
out <- list()
for (case in cases) {
  fam <- brmsfamily(case[1], link = case[2])
  base <- tryCatch(get_prior(bf(as.formula(paste(case[3], "~ x + (1 + x | g)"))), d, family = fam), error = function(e) {cat(case, conditionMessage(e), "\n"); NULL})
  if (is.null(base)) next
  out[[length(out) + 1]] <- data.frame(family = case[1], link = case[2], response = case[3], formula = "", class = base$class, dpar = base$dpar, coef = base$coef, group = base$group, prior = base$prior)
  for (p in intersect(dpars, fam$dpars)) {
    f <- get_prior(bf(as.formula(paste(case[3], "~ x")), as.formula(paste(p, "~ x + (1 | g)"))), d, family = fam)
    f <- f[f$dpar == p,]
    out[[length(out) + 1]] <- data.frame(family = case[1], link = case[2], response = case[3], formula = p, class = f$class, dpar = f$dpar, coef = f$coef, group = f$group, prior = f$prior)
  }
}
o <- do.call(rbind, out)
o <- o[o$coef == "" & o$group == "" & !o$class %in% c("b", "cor"), c("family", "link", "response", "formula", "class", "prior")]
write.csv(o, "brms_priors.csv", row.names = FALSE)
