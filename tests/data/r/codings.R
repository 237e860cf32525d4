# Coefficients under R's codings of a factor: Rscript codings.R, in this folder, writes codings.json.
# The data are those of odd_formulas.csv. `text` is the coding as R writes it, `given` the argument contrasts=.
suppressMessages({library(lme4); library(MASS); library(jsonlite)})
d <- read.csv("odd_formulas.csv", check.names = FALSE, stringsAsFactors = TRUE)
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(maxfun = 1e5), calc.derivs = FALSE)

codings <- list(sum = "contr.sum", helmert = "contr.helmert", poly = "contr.poly", sdif = "contr.sdif")
models <- list(  # %s is the coding
  crossed = "y ~ x + C(a, %s) * h + (1 | g)",
  slopes = "y ~ h + C(f, %s) * x + (C(f, %s) | g)",
  means = "y ~ 0 + C(f, %s) + x:C(f, %s) + (1 | g)",
  alone = "y ~ x + x:C(a, %s) + (1 | g)"
)
answer <- function(m, name, coding, formula, given = NULL) {
  ml <- refitML(m)
  s <- coef(summary(m))
  list(model = name, coding = coding, formula = formula, given = given, terms = rownames(s),
       estimate = unname(s[, 1]), std_error = unname(s[, 2]), sdcor = as.data.frame(VarCorr(m))$sdcor,
       reml = as.numeric(logLik(m)), ml = as.numeric(logLik(ml)))
}
answers <- list()
for (coding in names(codings)) {
  for (name in names(models)) {
    formula <- gsub("%s", codings[[coding]], models[[name]], fixed = TRUE)
    m <- lmer(as.formula(formula), d, control = control)
    answers[[length(answers) + 1]] <- answer(m, name, coding, formula)
  }
  formula <- "y ~ f * x + h + (f | g)"  # the argument is for the fixed terms alone
  m <- eval(bquote(lmer(.(as.formula(formula)), d, control = control, contrasts = list(f = .(codings[[coding]])))))
  answers[[length(answers) + 1]] <- answer(m, "argument", coding, formula, list(f = codings[[coding]]))
}
d$f <- relevel(d$f, "w")  # treatment contrasts against another level
formula <- "y ~ f * x + h + (1 | g)"
m <- lmer(as.formula(formula), d, control = control)
answers[[length(answers) + 1]] <- answer(m, "reference", "treatment", formula, list(f = "Treatment('w')"))
made_by <- paste0("R ", getRversion(), ", lme4 ", packageVersion("lme4"), ", MASS ", packageVersion("MASS"))
write_json(list(made_by = made_by, fits = answers), "codings.json", digits = 10, auto_unbox = TRUE, na = "null")
