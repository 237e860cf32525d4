# Tests of simulated residuals by DHARMa 0.5.0, of lme4's own data. Writes dharma.json.
# Rscript dharma.R; each statistic and p-value is of 5,000 simulated responses.
suppressMessages({library(lme4); library(DHARMa); library(jsonlite)})
data(grouseticks, package = "lme4")
fits <- list(
  sleepstudy = lmer(Reaction ~ Days + (Days | Subject), sleepstudy),
  intercepts = lmer(Reaction ~ Days + (1 | Subject), sleepstudy),
  cbpp = glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, family = binomial),
  grouseticks = glmer(TICKS ~ YEAR + (1 | BROOD), grouseticks, family = poisson)
)
told <- function(test) list(statistic = unname(test$statistic), p_value = test$p.value)
answers <- lapply(fits, function(fit) {
  effects <- c(new = "unconditional", kept = "conditional")
  lapply(effects, function(how) {
    made <- simulateResiduals(fit, n = 5000, simulateREs = how, seed = 1)
    list(
      uniformity = told(testUniformity(made, plot = FALSE)),
      dispersion = told(testDispersion(made, plot = FALSE)),
      zeros = told(suppressWarnings(testZeroInflation(made, plot = FALSE))),
      outliers = told(suppressMessages(testOutliers(made, plot = FALSE, type = "bootstrap", nBoot = 1000)))
    )
  })
})
write(toJSON(answers, auto_unbox = TRUE, digits = 6, pretty = TRUE), "dharma.json")
