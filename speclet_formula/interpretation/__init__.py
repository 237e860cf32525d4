"""A fit goes in; answers to an analyst's questions come out: marginal means, contrasts, slopes, hypotheses, levels.

`grids`, `means`, `contrasting` and `slopes` are emmeans' part, `hypotheses` is brms', `levels` and `matrices` rank the
levels of group effects. Drawing them is left to `reporting`.
"""

from speclet_formula.interpretation.levels import level_effects

__all__ = ["level_effects"]
