"""How well fits predict rows that were left out, and tables that rank them with a sentence.

The rows' densities are those of `prediction`; pictures are left to `reporting`.
"""

from speclet_formula.comparison.anova import LikelihoodRatios, anova
from speclet_formula.comparison.compare import Comparison, check_comparable, compare
from speclet_formula.comparison.glance import glance
from speclet_formula.comparison.kfold import kfold
from speclet_formula.comparison.loo import loo
from speclet_formula.comparison.term_tests import TermTests, drop1

__all__ = [
    "Comparison",
    "LikelihoodRatios",
    "TermTests",
    "anova",
    "check_comparable",
    "compare",
    "drop1",
    "glance",
    "kfold",
    "loo",
]
