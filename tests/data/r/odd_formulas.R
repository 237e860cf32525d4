# R's answers to odd formulas: Rscript odd_formulas.R, in this folder, writes odd_formulas.json.
#
# Each case is our formula and, where lme4 spells it otherwise, lme4's. lme4's own optimisers stop a little short, so each
# fit is started again from where it stopped until the deviance no longer falls.
suppressMessages({library(lme4); library(splines); library(jsonlite)})

d <- read.csv("odd_formulas.csv", check.names = FALSE, stringsAsFactors = FALSE)
d$f <- factor(d$f, levels = c("w", "v", "u"))  # the analyst's order
for (name in c("h", "g", "a", "b", "c", "plate id")) d[[name]] <- factor(d[[name]])
d$q <- factor(d$q, levels = c("n", "o", "e"))  # the same for all rows of a level of a:b
d$qo <- as.numeric(d$q == "o"); d$qe <- as.numeric(d$q == "e")
d$fw <- as.numeric(d$f == "w"); d$fv <- as.numeric(d$f == "v"); d$fu <- as.numeric(d$f == "u")
d$hq <- as.numeric(d$h == "q")

cases <- list(
  # blocks of one factor
  list("y ~ x + (x | g)"),
  list("y ~ x + (0 + x | g)"),
  list("y ~ x + (x - 1 | g)"),
  list("y ~ x + (x || g)"),
  list("y ~ f + (f | g)"),
  list("y ~ f + (0 + f | g)"),
  list("y ~ f + (f || g)", "y ~ f + (1 | g) + (0 + fv | g) + (0 + fu | g)"),
  list("y ~ f + (0 + f || g)", "y ~ f + (0 + fw | g) + (0 + fv | g) + (0 + fu | g)"),
  list("y ~ f + x + (x + f || g)", "y ~ f + x + (1 | g) + (0 + x | g) + (0 + fv | g) + (0 + fu | g)"),
  list("y ~ x * h + (x * h || g)", "y ~ x * h + (1 | g) + (0 + x | g) + (0 + hq | g) + (0 + I(x * hq) | g)"),
  list("y ~ x + (x:f | g)"),
  list("y ~ x:f + (0 + x:f | g)"),
  list("y ~ 0 + f:h + x + (0 + h | g)"),
  list("y ~ x + z + (1 + x + z | g)"),
  list("y ~ x * z + (x * z | g)"),
  list("y ~ f + (1 | g) + (0 + f | g)"),
  list("y ~ x + f + (1 | g) + (0 + x | g) + (0 + h | g)"),
  list("y ~ x + z + (1 + x | g) + (0 + z | g)"),
  list("y ~ x + f + (0 + x | g) + (f | g)"),
  list("y ~ q + (0 + q | g) + (1 | a:b)"),
  list("y ~ q + (q | g) + (1 | a:b)"),
  list("y ~ q + (q || g) + (1 | a:b)", "y ~ q + (1 | g) + (0 + qo | g) + (0 + qe | g) + (1 | a:b)"),
  # calls inside a block
  list("y ~ poly(x, 2) + (poly(x, 2) | g)"),
  list("y ~ scale(x) + (scale(x) | g)"),
  list("y ~ scale(x, scale = FALSE) + (scale(x, scale = FALSE) || g)"),
  list("y ~ log(t) + (log(t) | g)"),
  list("y ~ x + I(x^2) + (0 + x + I(x^2) | g)"),
  list("y ~ ns(x, 3) + (1 | g)"),
  list("y ~ ns(x, df = 2) + (ns(x, df = 2) | g)"),
  list("y ~ ns(x, knots = c(2, 4)) + (1 | g)"),
  list("y ~ bs(t, df = 4) + (1 | g)"),
  list("y ~ bs(t, knots = c(2, 4), degree = 2) + (1 | g)"),
  list("y ~ relevel(f, ref = \"u\") + (relevel(f, ref = \"u\") | g)"),
  list("y ~ factor(k) + (0 + factor(k) | g)"),
  list("y ~ I(x > 3) + (I(x > 3) | g)"),
  # grouping factors
  list("y ~ x + (1 | a/b/c)"),
  list("y ~ x + (1 | a:b)"),
  list("y ~ x + (x | a/b)"),
  list("y ~ x + (x | a) + (1 | a:b)"),
  list("y ~ x + (1 | a:b:c) + (1 | g)"),
  list("y ~ x + (1 | (a:b)/c)", "y ~ x + (1 | a:b) + (1 | a:b:c)"),
  list("y ~ x + (x || a/b)"),
  list("y ~ x + (1 | factor(k):g)", "y ~ x + (1 | K:g)"),
  list("y ~ 1 + (1 | k) + (1 | g)"),
  list("y ~ `dose (uM)` + (`dose (uM)` | `plate id`)"),
  list("y ~ x + (1 | a:`plate id`)"),
  # the fixed part
  list("y ~ 0 + f + x + (1 | g)"),
  list("y ~ f * x - 1 + (1 | g)"),
  list("y ~ (x + z + f)^2 + (1 | g)"),
  list("y ~ (f + h)^2 - f:h + (1 | g)"),
  list("y ~ h / x + (1 | g)"),
  list("y ~ h + f %in% h + (1 | g)"),
  list("y ~ f + f:x + (1 | g)"),
  list("y ~ h + h:f + (1 | a)"),
  list("y ~ f * h * x + (1 | g)"),
  list("y ~ factor(k) * x + (1 | g)"),
  list("y ~ poly(x, 2, raw = TRUE) + (1 | g)"),
  list("y ~ poly(x, 3):h + h + (1 | g)"),
  list("y ~ log(t, 2) + exp(z) + pmin(x, 4) + log1p(t) + (1 | g)"),
  list("y ~ . - g + (1 | g)", "y ~ x + z + t + o + w + `dose (uM)` + f + h + k + a + b + c + `plate id` + q + (1 | g)"),
  list("y ~ x + offset(o) + (1 | g)"),
  list("y ~ x + offset(o) + offset(2 * z) + (x | g)"),
  list("log(t) ~ x + (1 | g)"),
  list("I(y / t) ~ x + (1 | g)"),
  list("y ~ 1 + (1 | g) + (1 | a) + (1 | `plate id`)"),
  list("y ~ 0 + (1 | g)"),
  # weights and ML
  list("y ~ x + (x | g)", weights = "w"),
  list("y ~ f + (1 | a/b) + (1 | g)", weights = "w", method = "ml"),
  list("y ~ x * f + (x || g)", method = "ml"),
  list("y ~ x + offset(o) + (1 | a:b)", weights = "w", method = "ml")
)
d$K <- factor(d$k)

set.seed(1)
control <- function(name) lmerControl(optimizer = name, calc.derivs = FALSE, check.conv.singular = "ignore",
  check.scaleX = "ignore", optCtrl = if (name == "bobyqa") list(rhoend = 1e-10, maxfun = 1e5)
    else list(xtol_abs = 1e-12, ftol_abs = 1e-12, maxeval = 1e5))

again <- function(m, start) {  # from a start by two optimisers in turn, until nothing is gained
  for (round in 1:8) {
    before <- if (round == 1) Inf else deviance_of(new)
    for (name in c("bobyqa", "nloptwrap")) {
      new <- update(m, start = pmax(start, getME(m, "lower")), control = control(name))
      start <- getME(new, "theta")
    }
    if (before - deviance_of(new) < 1e-10) break
  }
  new
}

refit <- function(m) {  # the best of several starts
  theta <- getME(m, "theta")
  starts <- list(theta, theta + 0.02, rep(0.3, length(theta)))
  if (length(theta) > 2) starts <- c(starts, lapply(1:4, function(k) theta + rnorm(length(theta), 0, 0.5)))
  for (start in starts) {
    new <- again(m, start)
    if (deviance_of(new) < deviance_of(m)) m <- new
  }
  m
}
deviance_of <- function(m) as.numeric(-2 * logLik(m))

answer <- function(case) {
  ours <- case[[1]]
  theirs <- if (length(case) > 1 && is.null(names(case)) || length(names(case)) > 1 && names(case)[2] == "") case[[2]] else ours
  method <- if (is.null(case$method)) "reml" else case$method
  arguments <- list(formula = as.formula(theirs), data = d, REML = method == "reml",
    control = lmerControl(calc.derivs = FALSE, check.conv.singular = "ignore", check.scaleX = "ignore"))
  if (!is.null(case$weights)) arguments$weights <- d[[case$weights]]
  m <- suppressWarnings(suppressMessages(refit(do.call(lmer, arguments))))
  vc <- as.data.frame(VarCorr(m))
  modes <- as.data.frame(ranef(m))
  fixed <- fixef(m)
  first <- modes[!duplicated(modes[c("grpvar", "term")]) | modes$grp == levels(d$g)[5], ]
  list(formula = ours, lme4 = theirs, method = method, weights = if (is.null(case$weights)) NA else case$weights, logLik = as.numeric(logLik(m)),
    singular = isSingular(m), sigma = sigma(m),
    fixef = data.frame(term = as.character(names(fixed)), estimate = unname(fixed), se = unname(sqrt(diag(as.matrix(vcov(m)))))),
    varcorr = vc[c("grp", "var1", "var2", "sdcor")],
    ranef = data.frame(grpvar = first$grpvar, term = first$term, grp = first$grp, condval = first$condval, condsd = first$condsd),
    fitted = unname(fitted(m))[seq(1, nrow(d), 40)])
}

answers <- lapply(cases, function(case) { cat(case[[1]], "\n"); answer(case) })
version <- paste0("R ", getRversion(), ", lme4 ", packageVersion("lme4"))
writeLines(toJSON(list(made_by = version, fits = answers), digits = 10, auto_unbox = TRUE, na = "null", dataframe = "rows", pretty = FALSE), "odd_formulas.json")
