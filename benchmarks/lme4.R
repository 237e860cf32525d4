# A table and a formula go in; how long lme4's REML fit took comes out. Rscript lme4.R data.csv formula out.json warm
arguments <- commandArgs(trailingOnly = TRUE)
if (!requireNamespace("lme4", quietly = TRUE)) quit(status = 3)
suppressMessages(library(lme4))
table <- read.csv(arguments[1], stringsAsFactors = TRUE)
now <- function() as.numeric(Sys.time())
ready <- now()
fitted <- suppressMessages(lmer(as.formula(arguments[2]), table))
finished <- now()
warm <- c()
if (finished - ready < 60) for (i in seq_len(as.integer(arguments[4]))) {
  started <- now()
  fitted <- suppressMessages(lmer(as.formula(arguments[2]), table))
  warm <- c(warm, now() - started)
}
cat(sprintf('{"ready": %.4f, "finished": %.4f, "call": %.4f, "warm": [%s], "version": "%s", "r": "%s"}',
            ready, finished, finished - ready, paste(sprintf("%.4f", warm), collapse = ", "),
            packageVersion("lme4"), getRversion()),
    file = arguments[3])
