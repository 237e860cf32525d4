"""An analyst's questions to a fit: marginal means, contrasts, slopes, hypotheses, levels, and formulas in words.

Means, contrasts and slopes are emmeans' part, `hypothesis` is brms'; `level_effects` and `effect_matrix` rank the
levels of group effects. Drawing them is left to `reporting`.
"""

from speclet_formula.interpretation.average_effects import (
    avg_comparisons,
    avg_predictions,
    avg_slopes,
    comparisons,
    predictions,
)
from speclet_formula.interpretation.contrasts import contrasts, pairs
from speclet_formula.interpretation.effect_matrix import effect_matrix, selectivity
from speclet_formula.interpretation.grids import reference_grid
from speclet_formula.interpretation.hypothesis import hypothesis
from speclet_formula.interpretation.level_effects import level_effects
from speclet_formula.interpretation.means import Means, marginal_means
from speclet_formula.interpretation.slopes import slopes
from speclet_formula.interpretation.smooths import smooths

__all__ = [
    "Means",
    "avg_comparisons",
    "avg_predictions",
    "avg_slopes",
    "comparisons",
    "contrasts",
    "effect_matrix",
    "hypothesis",
    "level_effects",
    "marginal_means",
    "pairs",
    "predictions",
    "reference_grid",
    "selectivity",
    "slopes",
    "smooths",
]
