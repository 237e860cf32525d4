# Estimates of multi-membership terms by lme4, whose Zt is replaced: Rscript multi_membership.R, in this folder, writes
# multi_membership.csv, data drawn here, and multi_membership.json. Needs lme4 and jsonlite.
suppressMessages({library(lme4); library(jsonlite)})
set.seed(20, kind = "Mersenne-Twister", normal.kind = "Inversion")
n <- 300; q <- 20; names <- sprintf("j%02d", 1:q)
draw <- function() t(replicate(n, sample(q, 3)))
who <- draw(); w <- matrix(round(runif(3 * n, 0.5, 3), 2), n); x <- round(rnorm(n), 3)
u <- rnorm(q); v <- rnorm(q, sd = 0.5); W <- w[, 1:2] / rowSums(w[, 1:2])
eta <- 0.3 + 0.5 * x + W[, 1] * (u + 0)[who[, 1]] + W[, 2] * u[who[, 2]] + x * (W[, 1] * v[who[, 1]] + W[, 2] * v[who[, 2]])
data <- data.frame(y = round(eta + rnorm(n, sd = 0.6), 4), k = rpois(n, exp(eta)), x = x,
                   a = names[who[, 1]], b = names[who[, 2]], c = names[who[, 3]], u = w[, 1], v = w[, 2], w = w[, 3])
data$b[1:10] <- data$a[1:10]  # rows that name a level twice
data$f <- factor(names[1 + (seq_len(n) - 1) %% q], levels = names)  # only its levels count: Zt is replaced
data$pair <- factor(paste(data$a, data$b, sep = ":"))
write.csv(data[c("y", "k", "x", "a", "b", "c", "u", "v", "w")], "multi_membership.csv", row.names = FALSE)

rows_of <- function(columns, weights, x = NULL) {
  k <- 1 + !is.null(x)
  Z <- matrix(0, n, q * k)
  for (member in seq_along(columns)) {
    at <- match(data[[columns[member]]], names)
    for (i in seq_len(n)) for (column in seq_len(k)) {
      place <- (at[i] - 1) * k + column
      Z[i, place] <- Z[i, place] + weights[i, member] * (if (column == 1) 1 else x[i])
    }
  }
  Z
}
equal <- function(m) matrix(1 / m, n, m)
scaled <- as.matrix(data[c("u", "v")]) / rowSums(data[c("u", "v")])
models <- list(
  list(term = "(1 | mm(a, b))", theirs = "(1 | f)", Z = rows_of(c("a", "b"), equal(2))),
  list(term = "(1 | mm(a, b, weights = cbind(u, v)))", theirs = "(1 | f)", Z = rows_of(c("a", "b"), scaled)),
  list(term = "(1 + x | mm(a, b, weights = cbind(u, v)))", theirs = "(1 + x | f)", Z = rows_of(c("a", "b"), scaled, data$x)),
  list(term = "(1 + x | mm(a, b, weights = cbind(u, v), scale = FALSE))", theirs = "(1 + x | f)",
       Z = rows_of(c("a", "b"), as.matrix(data[c("u", "v")]), data$x)),
  list(term = "(1 | mm(a, b, c, weights = cbind(u, v, w), scale = FALSE))", theirs = "(1 | f)",
       Z = rows_of(c("a", "b", "c"), as.matrix(data[c("u", "v", "w")]))),
  list(term = "(1 | mm(a, b)) + (1 | a:b)", theirs = "(1 | f) + (1 | pair)", Z = rows_of(c("a", "b"), equal(2))))

replaced <- function(parsed, Z) {
  place <- which(sapply(parsed$reTrms$cnms, function(x) TRUE) & names(parsed$reTrms$cnms) == "f")
  rows <- seq_len(nrow(parsed$reTrms$Zt)); first <- parsed$reTrms$Gp[place]
  own <- first + seq_len(ncol(Z))
  parsed$reTrms$Zt[own, ] <- t(Z)
  parsed
}
fits <- list()
for (m in models) for (kind in c("reml", "ml", "poisson")) {
  control <- lmerControl(check.conv.grad = "ignore", check.conv.singular = "ignore", check.conv.hess = "ignore")
  tight <- list(rhoend = 1e-9, maxfun = 1e5)
  if (kind == "poisson") {
    if (grepl("scale = FALSE", m$term) && grepl("x", m$term)) next
    parsed <- replaced(glFormula(as.formula(paste("k ~ x +", m$theirs)), data, family = poisson), m$Z)
    devfun <- do.call(mkGlmerDevfun, c(parsed, list(control = glmerControl(tolPwrss = 1e-12))))
    found <- optimizeGlmer(devfun, optimizer = "bobyqa", control = tight)
    devfun <- updateGlmerDevfun(devfun, parsed$reTrms)
    found <- optimizeGlmer(devfun, stage = 2, optimizer = "bobyqa", control = tight)
  } else {
    parsed <- replaced(lFormula(as.formula(paste("y ~ x +", m$theirs)), data, REML = kind == "reml"), m$Z)
    devfun <- do.call(mkLmerDevfun, parsed)
    found <- optimizeLmer(devfun, optimizer = "bobyqa", control = tight)
  }
  fit <- mkMerMod(environment(devfun), found, parsed$reTrms, fr = parsed$fr)
  sds <- as.data.frame(VarCorr(fit))
  modes <- ranef(fit, condVar = FALSE)$f
  answer <- list(term = m$term, kind = kind, logLik = as.numeric(logLik(fit)), fixef = unname(fixef(fit)),
                 grp = I(sds$grp), var2 = I(ifelse(is.na(sds$var2), "", sds$var2)), sdcor = I(sds$sdcor), levels = rownames(modes), modes = unname(as.list(modes)))
  cat(m$term, kind, sprintf("%.8f", answer$logLik), format(answer$sdcor), "\n")
  fits[[length(fits) + 1]] <- answer
}
write_json(fits, "multi_membership.json", auto_unbox = TRUE, digits = 10, na = "null")

# How much of which level brms gives each row: multi_membership_brms.json. Nothing is compiled.
suppressMessages(library(brms))
parts <- lapply(c("mm(a, b)", "mm(a, b, weights = cbind(u, v))", "mm(a, b, c, weights = cbind(u, v, w), scale = FALSE)"), function(group) {
  given <- make_standata(as.formula(paste("y ~ x + (1 |", group, ")")), data)
  members <- sum(grepl("^J_1_", names(given)))
  list(group = group, J = lapply(1:members, function(k) as.integer(given[[paste0("J_1_", k)]])),
       W = lapply(1:members, function(k) as.numeric(given[[paste0("W_1_", k)]])))
})
write_json(parts, "multi_membership_brms.json", auto_unbox = TRUE, digits = 8)
