# Times mgcv, and on demand brms, at y ~ s(x) + z: Rscript mgcv.R DATA.csv [brms]; prints JSON, seconds of CPU time.
suppressMessages({library(mgcv); library(jsonlite)})
given <- commandArgs(TRUE); data <- read.csv(given[1])
timed <- function(run) { t <- proc.time(); fit <- run(); t <- proc.time() - t; list(sum(t[c(1, 2, 4, 5)]), fit) }
a <- timed(function() gam(y ~ s(x) + z, data = data, method = "REML"))
b <- timed(function() bam(y ~ s(x) + z, data = data, method = "fREML"))
d <- timed(function() bam(y ~ s(x) + z, data = data, method = "fREML", discrete = TRUE))
found <- list(gam = a[[1]], bam = b[[1]], bam_discrete = d[[1]], edf = summary(a[[2]])$edf, fitted = fitted(a[[2]])[1:1000])
if (length(given) > 1) {
  suppressMessages(library(brms))
  if (dir.exists("/usr/include/boost")) rstan::rstan_options(boost_lib = "/usr/include") # as Debian has it
  compiled <- timed(function() brm(y ~ s(x) + z, data = data, chains = 0))
  run <- timed(function() update(compiled[[2]], chains = 4, cores = 1, iter = 2000, recompile = FALSE, refresh = 0, seed = 1))
  found$brms_compiling <- compiled[[1]]; found$brms_sampling <- run[[1]]
}
cat(toJSON(found, auto_unbox = TRUE, digits = 10))
