"""A Model goes in; how many parameters it has, and how long and how large a fit would be, comes out.

`sizes` counts, `arithmetic` makes seconds and bytes of the counts, `forecast` puts them into a table by engine.
"""

from speclet_formula.costing.forecast import Costs, costs
from speclet_formula.costing.sizes import Sizes, sizes_of

__all__ = ["Costs", "Sizes", "costs", "sizes_of"]
