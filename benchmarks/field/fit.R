# Fit rows of a registry of documented mixed models by lme4, or by ordinal or glmmTMB where lme4 lacks the family, and
# write each one's table for others to read. Rscript fit.R ROWS.csv FOLDER PACKAGES [again]
#
# PACKAGES holds sources of R packages that are not installed, each with its data/. With "again" rows are fitted with
# narrower limits of the optimisers, and with slopes' columns about their means where that is the same model.
suppressPackageStartupMessages({library(lme4); library(jsonlite)})
arguments <- commandArgs(TRUE)
rows <- read.csv(arguments[1], check.names = FALSE, stringsAsFactors = FALSE)
folder <- arguments[2]
packages <- arguments[3]
again <- length(arguments) > 3 && arguments[4] == "again"
seconds <- if (again) 1800 else 120

# An .rda may hold tables of other names than its own.
holds <- function(file, object) {
  if (!grepl("[.](rda|RData)$", file)) return(FALSE)
  found <- new.env()
  tryCatch(object %in% load(file, found), error = function(e) FALSE)
}

read_file <- function(file, kind) {
  if (grepl("[.]zip$", file)) {
    text <- readLines(unz(file, unzip(file, list = TRUE)$Name[1]), warn = FALSE)
    return(read_lists(paste(text, collapse = "\n")))
  }
  if (kind == "json") return(read_lists(paste(readLines(file, warn = FALSE), collapse = "\n")))
  if (kind == "dta") return(as.data.frame(haven::zap_labels(haven::read_dta(file))))
  if (kind == "sav") return(as.data.frame(haven::zap_labels(haven::read_sav(file))))
  first <- readLines(file, 1, warn = FALSE)
  if (kind == "csv" || grepl(",", first)) return(read.csv(file, sep = if (grepl(";", first)) ";" else ","))
  read.table(file, header = TRUE)
}

# Stan's data are lists: those of the commonest length (the larger of two) are columns, single numbers are left out, and
# the columns of a matrix are NAME_1, NAME_2.
read_lists <- function(text) {
  lists <- Filter(function(one) is.atomic(one) && length(one) > 1, fromJSON(text))
  lists <- do.call(c, lapply(names(lists), function(name) {
    one <- lists[[name]]
    if (is.null(dim(one))) return(setNames(list(one), name))
    setNames(lapply(seq_len(ncol(one)), function(column) one[, column]), paste0(name, "_", seq_len(ncol(one))))
  }))
  lengths <- table(lengths(lists))
  as.data.frame(lists[lengths(lists) == max(as.integer(names(lengths)[lengths == max(lengths)]))])
}

load_object <- function(package, object) {
  found <- new.env()
  own <- file.path(packages, package, "data")
  file <- list.files(own, full.names = TRUE)
  named <- file[tools::file_path_sans_ext(sub("[.]zip$", "", basename(file))) == object]
  if (!length(named)) named <- file[vapply(file, holds, logical(1), object)]
  if (length(named)) {
    kind <- tools::file_ext(sub("[.]zip$", "", named[1]))
    if (kind %in% c("rda", "RData")) load(named[1], found)
    else assign(object, read_file(named[1], kind), found)
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
  if (startsWith(family, "cumulative")) {
    table[[row$response]] <- factor(table[[row$response]], ordered = TRUE)
    return(ordinal::clmm(formula, data = table, link = if (grepl("probit", family)) "probit" else "logit"))
  }
  if (nzchar(row$trials) && !grepl("cbind(", row$formula, fixed = TRUE)) return(glmer(formula, table, family = binomial, weights = table[[row$trials]]))
  if (family %in% c("binomial", "poisson")) return(glmer(formula, table, family = family))
  # glmer's likelihood of a Gamma response is not at the maximum in its shape, and no likelihood of it elsewhere.
  family <- switch(family, Gamma = Gamma("log"), beta = glmmTMB::beta_family(), glmmTMB::nbinom2())
  glmmTMB::glmmTMB(formula, table, family = family,
                   ziformula = if (startsWith(row$program, "zero_inflated")) ~1 else ~0)
}

fit_again <- function(row, table) {
  formula <- as.formula(row$formula)
  within <- unique(unlist(lapply(findbars(formula), function(bar) all.vars(bar[[2]]))))
  within <- within[vapply(within, function(name) is.numeric(table[[name]]), logical(1))]
  ordered <- startsWith(row$program, "cumulative")
  if (!grepl("||", row$formula, fixed = TRUE)) table[within] <- lapply(table[within], scale, scale = ordered)
  narrow <- list(rhobeg = 0.02, rhoend = 1e-9, maxfun = 1e5)
  if (row$program == "gaussian") {
    return(lmer(formula, table, control = lmerControl("bobyqa", calc.derivs = FALSE, optCtrl = narrow)))
  }
  if (ordered) return(fit_row(row, table))
  glmer(formula, table, family = row$program,
        control = glmerControl("bobyqa", calc.derivs = FALSE, tolPwrss = 1e-10, optCtrl = narrow[-1]))
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
    if (!again) write.csv(table, file.path(folder, paste0(row$id, ".csv")), row.names = FALSE, na = "")
    out$levels <- lapply(table[kinds == "factor"], levels)
    out$rows <- nrow(table)
    setTimeLimit(elapsed = seconds, transient = TRUE)
    started <- proc.time()
    fit <- withCallingHandlers(if (again) fit_again(row, table) else fit_row(row, table), warning = function(w) {
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
        file.path(folder, paste0(row$id, if (again) ".again" else "", ".json")))
}
