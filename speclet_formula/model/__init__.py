"""A `Model` is what a formula means for a table: its design, family and priors, with findings, before it is fitted.

Each finding says what was seen, why it matters and what to do. None stops a fit: what has no posterior at all was
refused while the design was built.
"""

from speclet_formula.model.findings import Finding, Findings
from speclet_formula.model.groups import Relation, relate_groups
from speclet_formula.model.inspection import inspect_design
from speclet_formula.model.model import (
    Model,
    Priors,
    check_parameters,
    describe_model,
    in_order_of,
    replace_parts,
)

__all__ = [
    "Finding",
    "Findings",
    "Model",
    "Priors",
    "Relation",
    "check_parameters",
    "describe_model",
    "in_order_of",
    "inspect_design",
    "relate_groups",
    "replace_parts",
]
