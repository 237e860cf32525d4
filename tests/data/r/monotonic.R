# What brms passes to Stan for a monotonic effect: Rscript monotonic.R > monotonic.json
suppressMessages(library(brms))
table <- data.frame(y = c(1.2, 0.3, 2.2, 1.9, 3.1, 2.5), d = c(3L, 4L, 5L, 3L, 4L, 5L))
table$o <- factor(c("low", "mid", "high", "high", "mid", "low"), levels = c("low", "mid", "high"), ordered = TRUE)
given <- make_standata(y ~ mo(d) + mo(o), table)
code <- make_stancode(y ~ mo(d) + mo(o), table)
line <- function(text) trimws(grep(text, strsplit(code, "\n")[[1]], fixed = TRUE, value = TRUE))
cat(jsonlite::toJSON(list(
  brms = as.character(packageVersion("brms")), steps = as.vector(given$Jmo), d = as.vector(given$Xmo_1),
  o = as.vector(given$Xmo_2), concentration = as.vector(given$con_simo_1), mo = line("return rows(scale)"),
  effect = line("(bsp[1]) * mo(")
), auto_unbox = TRUE, pretty = TRUE))
