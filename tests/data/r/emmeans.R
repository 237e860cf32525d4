# R's answers of marginal means, contrasts and trends: Rscript emmeans.R, in this folder, writes emmeans.json.
#
# emtrends takes a forward difference, (f(x + h) - f(x)) / h, whose error is proportional to h; a small h makes it the slope.
# Normal quantiles throughout (lmer.df = "asymptotic"), no adjustment of p-values; fits are made as odd_formulas.R makes them.
suppressMessages({library(lme4); library(emmeans); library(jsonlite)})
emm_options(lmer.df = "asymptotic", pbkrtest.limit = 0, lmerTest.limit = 0)

d <- read.csv("odd_formulas.csv", check.names = FALSE, stringsAsFactors = FALSE)
d$f <- factor(d$f, levels = c("w", "v", "u"))  # the analyst's order
for (name in c("h", "g", "a", "b", "c")) d[[name]] <- factor(d[[name]])
set.seed(20)  # counts and trials that depend on f, x and g
shift <- rnorm(nlevels(d$g), 0, 0.5)[as.integer(d$g)]
d$exposure <- round(exp(d$o), 3)
d$count <- rpois(nrow(d), exp(0.2 + 0.2 * as.numeric(d$f) + 0.15 * d$x + shift) * d$exposure)
d$s <- rbinom(nrow(d), 6, 1 / (1 + exp(1 - 0.4 * d$x + 0.3 * as.numeric(d$f) - shift)))
d$miss <- 6L - d$s
write.csv(d[c("count", "exposure", "s", "miss")], "emmeans.csv", row.names = FALSE)

STEP <- 1e-5

gaussian <- function(formula) suppressMessages(lmer(as.formula(formula), d, control = lmerControl(optimizer = "bobyqa",
  optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE, check.conv.singular = "ignore")))
general <- function(formula, family) suppressMessages(glmer(as.formula(formula), d, family = family,
  control = glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10,
  optCtrl = list(rhoend = 1e-8, maxfun = 1e5))))

tidied <- function(result, level = 0.89) {
  frame <- as.data.frame(confint(result, level = level, adjust = "none"))
  tests <- as.data.frame(test(result, adjust = "none"))
  frame$p.value <- tests$p.value
  names(frame) <- sub("asymp\\.LCL", "conf_low", sub("asymp\\.UCL", "conf_high", names(frame)))
  names(frame)[names(frame) %in% c("emmean", "estimate", "rate", "prob", "ratio", "odds.ratio", "x.trend", "z.trend")] <- "value"
  for (name in names(frame)) if (is.factor(frame[[name]])) frame[[name]] <- as.character(frame[[name]])
  frame$df <- NULL
  crossed <- grep("^[a-z]+_[a-z]+$", setdiff(names(frame), c("conf_low", "conf_high")), value = TRUE)
  if (length(crossed) == 2) frame$contrast <- paste(frame[[crossed[1]]], frame[[crossed[2]]], sep = " : ")
  frame
}
add <- function(formula, family, call, result) list(formula = formula, family = family, call = call, rows = tidied(result))

out <- list()
keep <- function(...) out[[length(out) + 1]] <<- add(...)

one <- "y ~ f + x + (1 | g)"; m <- gaussian(one); e <- emmeans(m, ~ f)
keep(one, "gaussian", "means f", e)
keep(one, "gaussian", "pairs f", pairs(e))
keep(one, "gaussian", "reference f", contrast(e, "trt.vs.ctrl"))
keep(one, "gaussian", "consec f", contrast(e, "consec"))
keep(one, "gaussian", "eff f", contrast(e, "eff"))
keep(one, "gaussian", "weights f", contrast(e, list("w against the rest" = c(1, -0.5, -0.5))))
keep(one, "gaussian", "means f at x", emmeans(m, ~ f, at = list(x = 2)))

two <- "y ~ f * h + z + (1 | g) + (1 | a:b)"; m <- gaussian(two); e <- emmeans(m, ~ f | h)
keep(two, "gaussian", "means f by h", e)
keep(two, "gaussian", "pairs f by h", pairs(e))
keep(two, "gaussian", "means f", suppressMessages(emmeans(m, ~ f)))
keep(two, "gaussian", "means f h", emmeans(m, ~ f * h))
keep(two, "gaussian", "reverse f by h", pairs(e, reverse = TRUE))
keep(two, "gaussian", "poly f by h", contrast(e, "poly"))
crossed <- emmeans(m, ~ f * h)
keep(two, "gaussian", "interaction f h", contrast(crossed, interaction = "pairwise"))
keep(two, "gaussian", "interaction poly f eff h", contrast(crossed, interaction = c("poly", "eff")))

three <- "y ~ f * x + h + (x | g)"; m <- gaussian(three)
keep(three, "gaussian", "slopes x by f", emtrends(m, ~ f, "x", delta.var = STEP))
keep(three, "gaussian", "pairs slopes x by f", pairs(emtrends(m, ~ f, "x", delta.var = STEP)))
keep(three, "gaussian", "slopes x", suppressMessages(emtrends(m, ~ 1, "x", delta.var = STEP)))

four <- "y ~ poly(x, 2) * h + (1 | g)"; m <- gaussian(four)
keep(four, "gaussian", "means h", suppressMessages(emmeans(m, ~ h)))
keep(four, "gaussian", "means h x", emmeans(m, ~ h * x, at = list(x = c(1, 3))))
keep(four, "gaussian", "slopes x by h", emtrends(m, ~ h, "x", delta.var = STEP))

five <- "y ~ f + x + offset(o) + (1 | g)"; m <- gaussian(five)
keep(five, "gaussian", "means f", emmeans(m, ~ f))

six <- "y ~ factor(k) + log(t) + (1 | g)"; m <- gaussian(six)
keep(six, "gaussian", "means k", emmeans(m, ~ k))

seven <- "count ~ f + x + offset(log(exposure)) + (1 | g)"; m <- general(seven, "poisson"); e <- emmeans(m, ~ f)
keep(seven, "poisson", "means f", e)
keep(seven, "poisson", "response f", emmeans(m, ~ f, type = "response"))
keep(seven, "poisson", "pairs response f", pairs(emmeans(m, ~ f, type = "response")))
keep(seven, "poisson", "consec response f", contrast(emmeans(m, ~ f, type = "response"), "consec"))
keep(seven, "poisson", "eff response f", contrast(emmeans(m, ~ f, type = "response"), "eff"))

eight <- "cbind(s, miss) ~ f + x + (1 | g)"; m <- general(eight, "binomial"); e <- emmeans(m, ~ f, type = "response")
keep(eight, "binomial", "response f", e)
keep(eight, "binomial", "pairs response f", pairs(e))
keep(eight, "binomial", "slopes x by f", emtrends(m, ~ f, "x", delta.var = STEP))
keep(eight, "binomial", "slopes response x by f", emtrends(m, ~ f, "x", regrid = "response", delta.var = STEP))

nine <- "y ~ f + I(k > 1) + e2 + (1 | g)"; d$e2 <- as.numeric(d$h == "q"); m <- gaussian(nine)
keep(nine, "gaussian", "means f", emmeans(m, ~ f))

version <- paste0("R ", getRversion(), ", lme4 ", packageVersion("lme4"), ", emmeans ", packageVersion("emmeans"))
writeLines(toJSON(list(made_by = version, answers = out), digits = 10, auto_unbox = TRUE, na = "null", dataframe = "rows"), "emmeans.json")
for (answer in out) { cat(answer$formula, "--", answer$call, "\n"); print(answer$rows) }
