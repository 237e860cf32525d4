# Writes what glmmTMB predicts of the first rows of families.csv, E[y] with zeros of their own, to means.json: with the
# conditional modes, and without group effects.
# Run here: Rscript means.R   (R 4.2.2, glmmTMB 1.1.5, jsonlite)
suppressMessages({library(glmmTMB); library(jsonlite)})
d <- read.csv("families.csv")
means <- function(response, family, zeros = ~0, back = identity) {
  f <- as.formula(paste(response, "~ x + (1 | g) + (1 | h)"))
  m <- glmmTMB(f, d, family = family, ziformula = zeros, control = glmmTMBControl(optCtrl = list(rel.tol = 1e-12)))
  of <- function(...) back(unname(predict(m, d[1:3, ], type = "response", ...)), sigma(m))
  list(fitted = of(), fixed = of(re.form = ~0))
}
same <- function(mean, sigma) mean
answers <- list(
  zero_inflated_poisson = c(response = "zip", means("zip", poisson, ~1, same)),
  zero_inflated_negativebinomial = c(response = "zinb", means("zinb", nbinom2, ~1, same)),
  hurdle_poisson = c(response = "hup", means("hup", truncated_poisson, ~1, same)),
  hurdle_negativebinomial = c(response = "hunb", means("hunb", truncated_nbinom2, ~1, same)),
  hurdle_gamma = c(response = "hug", means("hug", ziGamma(link = "log"), ~1, same)),
  zero_inflated_binomial = c(response = "zib / n", means("cbind(zib, n - zib)", binomial, ~1, same)),
  beta_binomial = c(response = "cbind(bb, n - bb)", means("cbind(bb, n - bb)", betabinomial, ~0, same)),
  # a gaussian of the logarithm, whose mean on the response's scale is exp(mu + sigma^2 / 2)
  lognormal = c(response = "lnorm", means("log(lnorm)", gaussian, ~0, function(mean, sigma) exp(mean + sigma^2 / 2)))
)
write_json(answers, "means.json", digits = 10, auto_unbox = TRUE, pretty = TRUE)
