"""A `Formula` goes in; plain words come out, equations (unicode or LaTeX), or the text that lme4, brms or bambi take.

The ways to spell a formula, and the calls that fit it elsewhere, gathered under one name; each has a file of its own.
What the columns hold is left to `design`.
"""

from speclet_formula.formula.calls import spell_call
from speclet_formula.formula.dialects import Dialect, spell_formula
from speclet_formula.formula.equations import equation
from speclet_formula.formula.words import explain_formula

__all__ = ["Dialect", "equation", "explain_formula", "spell_call", "spell_formula"]
