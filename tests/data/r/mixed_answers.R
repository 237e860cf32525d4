# R's residuals, Wald intervals, ICC, R2 and glance: Rscript mixed_answers.R, in this folder, writes mixed_answers.json.
# The data are those of odd_formulas.csv; counts are made from them, so that the tests can make them too.
suppressMessages({library(lme4); library(jsonlite); library(performance); library(broom.mixed)})
d <- read.csv("odd_formulas.csv", check.names = FALSE, stringsAsFactors = FALSE)
d$count <- as.integer(round(exp((d$y - mean(d$y)) / 5 + 1)))
d$hit <- as.integer(d$y + 2 * d$z > mean(d$y))

fits <- list(
  intercept = lmer("y ~ x + (1 | g)", d),
  slope = lmer("y ~ x + (x | g)", d),
  crossed = lmer("y ~ x + f + (1 | g) + (1 | a:b)", d),
  poisson = glmer("count ~ z + (1 | g)", d, family = poisson),
  binomial = glmer("hit ~ z + (1 | g)", d, family = binomial)
)
profiles <- c("intercept", "slope", "crossed")
answers <- lapply(names(fits), function(name) {
  m <- fits[[name]]; ic <- icc(m); r <- r2(m); wald <- confint(m, parm = "beta_", method = "Wald", level = 0.9)
  as_list <- function(frame) data.frame(term = rownames(frame), low = frame[, 1], high = frame[, 2])
  found <- list(
    name = name, formula = deparse1(formula(m)), family = family(m)$family,
    pearson = unname(head(residuals(m, "pearson", scaled = TRUE), 6)),
    response = unname(head(residuals(m, "response"), 6)), deviance = unname(head(residuals(m, "deviance"), 6)),
    tests = as.list(tidy(m, effects = "fixed"))[intersect(c("statistic", "p.value"), names(tidy(m, effects = "fixed")))],
    fixed = unname(head(predict(m, re.form = NA), 6)),
    wald = as_list(wald), icc = c(ic$ICC_adjusted, ic$ICC_unadjusted),
    r2 = c(r$R2_marginal, r$R2_conditional), glance = as.list(glance(m)))
  if (name %in% profiles) found$profile <- as_list(suppressMessages(confint(m, method = "profile", level = 0.9)))
  found
})
made_by <- paste0("R ", getRversion(), ", lme4 ", packageVersion("lme4"), ", performance ", packageVersion("performance"),
                  ", broom.mixed ", packageVersion("broom.mixed"))
write_json(list(made_by = made_by, fits = answers), "mixed_answers.json", digits = 10, auto_unbox = TRUE, na = "null")
