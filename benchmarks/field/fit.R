# Fit rows of a registry of documented mixed models by lme4, or by ordinal or glmmTMB where lme4 lacks the family, and
# write each one's table for others to read. Rscript fit.R ROWS.csv FOLDER PACKAGES
#
# PACKAGES holds sources of R packages that are not installed, each with its data/.
suppressPackageStartupMessages({library(lme4); library(jsonlite)})
arguments <- commandArgs(TRUE)
rows <- read.csv(arguments[1], check.names = FALSE, stringsAsFactors = FALSE)
folder <- arguments[2]
packages <- arguments[3]
seconds <- 120

load_object <- function(package, object) {
  found <- new.env()
  own <- file.path(packages, package, "data")
  file <- Sys.glob(file.path(own, paste0(object, ".*")))
  if (length(file)) {
    kind <- tools::file_ext(file[1])
    if (kind %in% c("rda", "RData")) load(file[1], found)
    else if (kind == "csv") assign(object, read.csv(file[1], sep = if (grepl(";", readLines(file[1], 1))) ";" else ","), found)
    else assign(object, read.table(file[1], header = TRUE), found)
    if (!exists(object, found, inherits = FALSE)) object <- ls(found)[1]
  } else {
    data(list = object, package = package, envir = found)
    if (!exists(object, found, inherits = FALSE)) object <- ls(found)[1]
  }
  table <- as.data.frame(get(object, found))
  class(table) <- "data.frame"
  for (name in names(table)) {
    column <- table[[name]]
    if (is.factor(column)) table[[name]] <- factor(as.character(column), levels = levels(droplevels(column)))
    else if (is.character(column)) table[[name]] <- factor(column)
    else if (inherits(column, c("Date", "POSIXct", "difftime", "ts"))) table[[name]] <- as.numeric(column)
  }
  table[!sapply(table, is.list)]
}

fit_row <- function(row, table) {
  formula <- as.formula(row$formula)
  family <- row$program
  if (family == "gaussian") return(lmer(formula, table, REML = TRUE))
  if (family == "cumulative") {
    table[[row$response]] <- factor(table[[row$response]], ordered = TRUE)
    return(ordinal::clmm(formula, data = table))
  }
  if (nzchar(row$trials) && !grepl("cbind(", row$formula, fixed = TRUE)) return(glmer(formula, table, family = binomial, weights = table[[row$trials]]))
  if (family %in% c("binomial", "poisson")) return(glmer(formula, table, family = family))
  if (family == "Gamma") return(glmer(formula, table, family = Gamma("log")))
  glmmTMB::glmmTMB(formula, table, family = if (family == "negativebinomial") glmmTMB::nbinom2() else glmmTMB::beta_family())
}

describe <- function(fit) {
  deviations <- if (inherits(fit, "merMod")) as.data.frame(VarCorr(fit)) else NULL
  list(
    loglik = as.numeric(logLik(fit)), df = attr(logLik(fit), "df"), n = nobs(fit),
    fixed = as.list(if (inherits(fit, "glmmTMB")) glmmTMB::fixef(fit)$cond else if (inherits(fit, "clmm")) coef(fit) else fixef(fit)),
    singular = if (inherits(fit, "merMod")) isSingular(fit) else NA,
    sds = if (is.null(deviations)) list() else deviations$sdcor[is.na(deviations$var2)]
  )
}

for (place in seq_len(nrow(rows))) {
  row <- as.list(rows[place, ])
  row$trials <- if (is.na(row$trials)) "" else row$trials
  out <- list(id = row$id)
  told <- character()
  result <- tryCatch({
    table <- load_object(row$source, row$object)
    kinds <- sapply(table, function(column) if (is.factor(column)) "factor" else class(column)[1])
    write.csv(table, file.path(folder, paste0(row$id, ".csv")), row.names = FALSE, na = "")
    out$levels <- lapply(table[kinds == "factor"], levels)
    out$rows <- nrow(table)
    setTimeLimit(elapsed = seconds, transient = TRUE)
    started <- proc.time()
    fit <- withCallingHandlers(fit_row(row, table), warning = function(w) {
      told <<- c(told, conditionMessage(w))
      invokeRestart("muffleWarning")
    }, message = function(m) {
      told <<- c(told, conditionMessage(m))
      invokeRestart("muffleMessage")
    })
    spent <- proc.time() - started
    setTimeLimit()
    c(describe(fit), seconds = unname(spent[1] + spent[2]))
  }, error = function(e) {
    setTimeLimit()
    list(error = conditionMessage(e))
  })
  write(toJSON(c(out, result, list(told = as.list(told))), auto_unbox = TRUE, digits = NA, null = "null"),
        file.path(folder, paste0(row$id, ".json")))
}
