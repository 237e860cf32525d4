"""A Design goes in; what is worth knowing about it before anything is fitted comes out, in words.

Each finding says what was seen, why it matters and what to do. None stops a fit: what has no posterior at all was
refused while the design was built.
"""

from speclet_formula.preflight.inspection import inspect_design
from speclet_formula.preflight.records import Finding
from speclet_formula.preflight.relations import Relation, relate_groups

__all__ = ["Finding", "Relation", "inspect_design", "relate_groups"]
