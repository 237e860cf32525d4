# R's degrees of freedom, F tests and adjusted p-values: Rscript lmertest.R, in this folder, writes lmertest.json, and the
# textbook data that it reads into textbook/. Needs lme4, lmerTest, pbkrtest, emmeans, mvtnorm, nlme and jsonlite.
# Every third or so of the rows of "thin" models is left out, which makes them unbalanced. The optimiser goes on longer
# than lme4's own, since degrees of freedom of variances near zero move with it.
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest); library(emmeans); library(jsonlite)})

textbook <- list(sleepstudy = sleepstudy, Penicillin = Penicillin, Dyestuff = Dyestuff, Dyestuff2 = Dyestuff2,
                 Pastes = Pastes, cake = cake, Machines = nlme::Machines, Oats = nlme::Oats, ergoStool = nlme::ergoStool)
for (name in names(textbook)) {
  frame <- as.data.frame(textbook[[name]])
  frame[] <- lapply(frame, function(x) if (is.factor(x)) as.character(x) else x)
  if (name == "Oats") frame$Variety <- gsub(" ", "", frame$Variety)
  write.csv(frame, file.path("textbook", paste0(name, ".csv")), row.names = FALSE, quote = FALSE)
}
read <- function(name, thin) {
  path <- if (name == "odd_formulas") "odd_formulas.csv" else file.path("textbook", paste0(name, ".csv"))
  frame <- read.csv(path, check.names = FALSE, stringsAsFactors = TRUE, colClasses = c(Subject = "factor")[name == "sleepstudy"])
  if (name == "cake") frame$replicate <- factor(frame$replicate)
  if (thin) frame[(seq_len(nrow(frame)) * 7) %% 11 > 2, ] else frame
}

model <- function(name, data, formula, focal = NULL, REML = TRUE, thin = FALSE, weights = NULL, rows = NULL,
                  empty = FALSE)
  list(name = name, data = data, formula = formula, focal = focal, REML = REML, thin = thin, weights = weights, rows = rows,
       empty = empty)
models <- list(
  model("slopes", "sleepstudy", "Reaction ~ Days + (Days | Subject)"),
  model("intercepts", "sleepstudy", "Reaction ~ Days + (1 | Subject)"),
  model("slopes by ML", "sleepstudy", "Reaction ~ Days + (Days | Subject)", REML = FALSE),
  model("uncorrelated, unbalanced", "sleepstudy", "Reaction ~ Days + (Days || Subject)", thin = TRUE),
  model("machines", "Machines", "score ~ Machine + (Machine | Worker)", "Machine"),
  model("machines, nested", "Machines", "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", "Machine"),
  model("machines, unbalanced", "Machines", "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", "Machine", thin = TRUE),
  model("crossed", "Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
  model("one way", "Dyestuff", "Yield ~ 1 + (1 | Batch)"),
  model("one way, singular", "Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
  model("nested", "Pastes", "strength ~ 1 + (1 | batch) + (1 | batch:cask)"),
  model("split plot", "cake", "angle ~ recipe * factor(temperature) + (1 | recipe:replicate)", "recipe"),
  model("split plot, a number", "cake", "angle ~ recipe * temp + (1 | recipe:replicate)", "recipe", thin = TRUE),
  model("split split plot", "Oats", "yield ~ Variety * factor(nitro) + (1 | Block) + (1 | Block:Variety)", "Variety"),
  model("oats, unbalanced", "Oats", "yield ~ Variety + nitro + (1 | Block) + (1 | Block:Variety)", "Variety", thin = TRUE),
  model("blocks", "ergoStool", "effort ~ Type + (1 | Subject)", "Type"),
  model("blocks, unbalanced", "ergoStool", "effort ~ Type + (1 | Subject)", "Type", thin = TRUE),
  model("blocks by ML, unbalanced", "ergoStool", "effort ~ Type + (1 | Subject)", "Type", REML = FALSE, thin = TRUE),
  model("crossed, two factors", "odd_formulas", "y ~ f * h + z + (1 | g) + (1 | a:b)", "f"),
  model("slopes, unbalanced", "odd_formulas", "y ~ f * x + h + (x | g)", "f"),
  model("three ways", "odd_formulas", "y ~ f * h * z + (1 | g)", "f"),
  model("no intercept", "odd_formulas", "y ~ 0 + f + z + (1 | g)", "f"),
  model("slopes, singular", "odd_formulas", "y ~ f + x + (x + z | h)", "f", rows = 120),
  model("few rows, singular", "odd_formulas", "y ~ f + x + (x | b)", "f", rows = 60),
  model("perfect correlation, singular", "odd_formulas", "z ~ f * h + (x | g)", "f"),
  model("one of two, singular", "odd_formulas", "t ~ f * h + (1 | a) + (1 | b)", "f", rows = 90),
  model("both, singular", "odd_formulas", "o ~ f * h + (1 | g) + (1 | a)", "f", rows = 90),
  model("both, singular, by ML", "odd_formulas", "o ~ f * h + (1 | g) + (1 | a)", "f", REML = FALSE, rows = 90),
  model("weights", "odd_formulas", "y ~ f + x + (1 | g)", NULL, weights = "w"),
  model("an empty cell", "odd_formulas", "y ~ f * h + z + (1 | g)", NULL, empty = TRUE),
  model("uncorrelated three", "odd_formulas", "y ~ x + z + (x + z || g)", NULL)
)

control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
rows_of <- function(table, names) setNames(as.list(as.data.frame(table)), names)
terms_of <- function(table) {
  if (!nrow(table)) return(NULL)
  c(list(term = I(rownames(table))), rows_of(as.data.frame(table), c("sum_sq", "mean_sq", "num", "den", "F", "p")))
}
methods <- function(REML) c("Satterthwaite", if (REML) "Kenward-Roger")
answer <- function(m) {
  d <- read(m$data, m$thin)
  if (!is.null(m$rows)) d <- d[seq_len(m$rows), ]
  if (m$empty) d <- d[!(d$f == "u" & d$h == "q"), ]
  if (!is.null(m$weights)) d$weight <- d[[m$weights]]
  fit <- if (is.null(m$weights)) lmer(as.formula(m$formula), d, REML = m$REML, control = control)
         else lmer(as.formula(m$formula), d, REML = m$REML, control = control, weights = weight)
  d <<- d  # emmeans looks for the data by name
  # pbkrtest takes no account of weights.
  able <- if (is.null(m$weights)) methods(m$REML) else "Satterthwaite"
  fixed <- lapply(able, function(ddf) {
    shown <- coef(summary(fit, ddf = ddf))
    c(list(method = ddf, term = I(rownames(shown))), rows_of(shown, c("estimate", "se", "df", "t", "p")))
  })
  tables <- unlist(lapply(able, function(ddf) lapply(1:3, function(type)
    c(list(method = ddf, type = type), terms_of(anova(fit, type = type, ddf = ddf))))), recursive = FALSE)
  deleted <- lapply(able, function(ddf) c(list(method = ddf), terms_of(drop1(fit, ddf = ddf))))
  found <- list(name = m$name, data = m$data, formula = m$formula, thin = m$thin, rows = m$rows, weights = m$weights, empty = m$empty,
                reml = m$REML, singular = isSingular(fit), fixed = fixed, anova = tables, drop1 = deleted)
  if (!is.null(m$focal)) {
    kind <- if (m$REML) "kenward-roger" else "satterthwaite"
    means <- emmeans(fit, m$focal, lmer.df = kind, data = d)
    shown <- as.data.frame(confint(means, level = 0.95, adjust = "none"))
    found$focal <- m$focal
    found$means <- list(method = kind, level = I(as.character(shown[[1]])), estimate = shown$emmean, se = shown$SE, df = shown$df,
                        low = shown$lower.CL, high = shown$upper.CL)
    differences <- pairs(means)
    found$pairs <- lapply(c("tukey", "sidak", "holm", "bonferroni", "scheffe", "fdr", "none"), function(adjust) {
      tests <- as.data.frame(test(differences, adjust = adjust)); ends <- as.data.frame(confint(differences, adjust = adjust))
      list(adjust = adjust, contrast = I(as.character(tests$contrast)), estimate = tests$estimate, se = tests$SE, df = tests$df,
           t = tests$t.ratio, p = tests$p.value, low = ends$lower.CL, high = ends$upper.CL)
    })
    # mvtnorm's degrees of freedom are whole numbers, and emmeans asks it for three digits: here for six.
    correlation <- cov2cor(vcov(differences)); tests <- as.data.frame(test(differences, adjust = "none"))
    whole <- max(round(min(tests$df)), 1); set.seed(1)
    found$joint <- list(df = whole, t = tests$t.ratio, correlation = as.matrix(correlation), p = sapply(abs(tests$t.ratio), function(t)
      1 - mvtnorm::pmvt(rep(-t, nrow(tests)), rep(t, nrow(tests)), df = whole, corr = correlation,
                        algorithm = mvtnorm::GenzBretz(maxpts = 5e6, abseps = 1e-6, releps = 0))[1]))
  }
  found
}
answers <- lapply(models, function(m) {message(m$name); suppressMessages(answer(m))})
message(sum(sapply(answers, function(a) a$singular)), " of ", length(answers), " are singular")
made_by <- paste0("R ", getRversion(), paste0(", ", c("lme4", "lmerTest", "pbkrtest", "emmeans", "mvtnorm"), " ",
                  sapply(c("lme4", "lmerTest", "pbkrtest", "emmeans", "mvtnorm"), function(p) as.character(packageVersion(p))), collapse = ""))
write_json(list(made_by = made_by, models = answers), "lmertest.json", digits = 10, auto_unbox = TRUE, na = "null", null = "null")
