"""A formula, a table and columns that divide it go in; `GroupedFits` come out: a fit for each group, and one table."""

from speclet_formula.grouped.fitting import fit_by
from speclet_formula.grouped.records import GroupedFits

__all__ = ["GroupedFits", "fit_by"]
