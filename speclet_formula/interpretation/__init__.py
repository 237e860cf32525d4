"""A fit goes in; answers to an analyst's questions come out: marginal means, contrasts, slopes, hypotheses, levels.

`grids`, `means`, `contrasting` and `trends` are emmeans' part, `hypotheses` is brms', `levels` and `matrices` rank the
levels of group effects. Drawing them is left to `reporting`.
"""

from speclet_formula.interpretation.contrasting import contrasts, pairs
from speclet_formula.interpretation.grids import reference_grid
from speclet_formula.interpretation.hypotheses import hypothesis
from speclet_formula.interpretation.levels import level_effects
from speclet_formula.interpretation.matrices import effect_matrix, selectivity
from speclet_formula.interpretation.means import marginal_means
from speclet_formula.interpretation.records import Means
from speclet_formula.interpretation.trends import slopes

__all__ = [
    "Means",
    "contrasts",
    "effect_matrix",
    "hypothesis",
    "level_effects",
    "marginal_means",
    "pairs",
    "reference_grid",
    "selectivity",
    "slopes",
]
