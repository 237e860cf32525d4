"""The name of a response's distribution goes in; what it means comes out as data and numpy functions.

A family has a mean parameter on a link scale and further parameters. Its log density and its simulation here share no
code with PyMC, so that each can check the other. Which engine serves a family is `inference.fitting`'s to say.
"""

from speclet_formula.families.evaluation import (
    draw_response,
    expected_response,
    inverse_link,
    inverse_parameter_link,
    is_ordinal,
    log_density,
    parameter_link,
    weighted,
)
from speclet_formula.families.records import Family, FamilySpecification
from speclet_formula.families.registry import FAMILIES, resolve_family
from speclet_formula.families.responses import check_response

__all__ = [
    "FAMILIES",
    "Family",
    "FamilySpecification",
    "check_response",
    "draw_response",
    "expected_response",
    "inverse_link",
    "inverse_parameter_link",
    "is_ordinal",
    "log_density",
    "parameter_link",
    "resolve_family",
    "weighted",
]
