# CRISPRcleanR's correction of fold changes, its segments, and what its data know of HT-29: copies and expression.
#
#     Rscript copy_number.R CLONE_OF_CRISPRCLEANR LIBRARY FOLDER
#
# FOLDER holds foldchanges.csv (sgRNA, gene, then one column for each sample); corrected.csv, and genes.csv are written.
# Its functions are read from its source: the package itself asks for programs that align reads.
given <- commandArgs(trailingOnly = TRUE)
suppressMessages(library(DNAcopy))
source(file.path(given[1], "R", "CRISPRcleanR.R"))
stored <- function(name) {
  place <- new.env()
  load(file.path(given[1], "data", paste0(name, ".RData")), place)
  place[[ls(place)[1]]]
}
library_annotation <- stored(given[2])
changes <- read.csv(file.path(given[3], "foldchanges.csv"), check.names = FALSE, stringsAsFactors = FALSE,
                    colClasses = c(sgRNA = "character"))
changes <- changes[changes$sgRNA %in% rownames(library_annotation), ]
sorted <- ccr.logFCs2chromPos(changes, library_annotation)
sorted <- sorted[!is.na(sorted$CHR) & !is.na(sorted$BP), ]
began <- proc.time()
cleaned <- ccr.GWclean(sorted, display = FALSE, verbose = 1)
seconds <- sum((proc.time() - began)[1:2])
fixed <- cleaned$corrected_logFCs
segment <- rep(NA_integer_, nrow(fixed))
genes <- segment
for (i in seq_len(nrow(cleaned$segments))) {
  ends <- as.integer(strsplit(as.character(cleaned$segments$guideIdx[i]), ", ")[[1]])
  segment[ends[1]:ends[2]] <- i
  genes[ends[1]:ends[2]] <- length(unique(fixed$genes[ends[1]:ends[2]]))
}
write.csv(
  data.frame(sgRNA = rownames(fixed), chromosome = fixed$CHR, position = fixed$BP, segment = segment, genes = genes,
             average = fixed$avgFC, corrected = fixed$correctedFC, seconds = seconds),
  file.path(given[3], "corrected.csv"), row.names = FALSE
)
ht29 <- "905939"  # its COSMIC number
copies <- strsplit(as.character(stored("GDSC.geneLevCNA")[, ht29]), ",")  # most, fewest, zygosity, disruption
expression <- stored("RNAseq.fpkms")
known <- data.frame(
  gene = rownames(stored("GDSC.geneLevCNA")), copies = as.numeric(sapply(copies, `[`, 2))
)
known$fpkm <- expression[match(known$gene, rownames(expression)), ht29]
write.csv(known, file.path(given[3], "genes.csv"), row.names = FALSE)
