"""A `Formula` goes in, in any of the ways to write it; `words`, `equations`, `dialects` and `families` do the writing.

The functions that other rooms use, gathered.
"""

from speclet_formula.formula.dialects import Dialect, spell_formula
from speclet_formula.formula.equations import equation
from speclet_formula.formula.families import spell_family
from speclet_formula.formula.words import explain_formula

__all__ = ["Dialect", "equation", "explain_formula", "spell_family", "spell_formula"]
