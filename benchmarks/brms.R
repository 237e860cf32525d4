# A table and a formula go in; brms' draws (arguments[7]) and how long they took come out.
# Rscript brms.R data.csv formula out.json draws tune seed draws.csv
arguments <- commandArgs(trailingOnly = TRUE)
if (!requireNamespace("brms", quietly = TRUE)) quit(status = 3)
suppressMessages(library(brms))
# Debian's r-cran-bh has no headers of its own: they are with the system's.
system_headers <- file.path(dirname(dirname(R.home())), "include")
if (dir.exists(file.path(system_headers, "boost"))) rstan::rstan_options(boost_lib = system_headers)
table <- read.csv(arguments[1], stringsAsFactors = TRUE)
now <- function() as.numeric(Sys.time())
draws <- as.integer(arguments[4])
tune <- as.integer(arguments[5])
ready <- now()
fitted <- brm(as.formula(arguments[2]), table, chains = 4, cores = parallel::detectCores(), iter = draws + tune,
              warmup = tune, seed = as.integer(arguments[6]), refresh = 0)
finished <- now()
kept <- posterior::as_draws_df(fitted)
names <- setdiff(posterior::variables(kept), c("lp__", "lprior"))
write.csv(as.data.frame(kept)[c(names, ".chain")], arguments[7], row.names = FALSE)
cat(sprintf('{"ready": %.4f, "finished": %.4f, "call": %.4f, "warm": [], "version": "%s", "r": "%s"}',
            ready, finished, finished - ready, packageVersion("brms"), getRversion()),
    file = arguments[3])
