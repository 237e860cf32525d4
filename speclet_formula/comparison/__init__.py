"""Fits go in; how well they predict rows that were left out comes out, and a table that ranks them with a sentence.

The rows' densities are those of `prediction`; pictures are left to `reporting`.
"""

from speclet_formula.comparison.comparing import check_comparable, compare
from speclet_formula.comparison.glancing import glance
from speclet_formula.comparison.k_fold import kfold
from speclet_formula.comparison.leave_one_out import loo
from speclet_formula.comparison.likelihood_ratio import LikelihoodRatios, anova
from speclet_formula.comparison.records import Comparison

__all__ = ["Comparison", "LikelihoodRatios", "anova", "check_comparable", "compare", "glance", "kfold", "loo"]
