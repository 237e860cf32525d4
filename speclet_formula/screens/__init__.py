"""CRISPR screens from counts to ranked genes: read them, rank genes of a fit, tell controls apart, simulate.

The model between the two is the analyst's: `read_screen`, then `lmer`, then `rank_genes`.
"""
