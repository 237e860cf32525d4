"""Families: what a response's distribution means, each in one file, as data and numpy functions.

A family has a mean parameter on a link scale and further parameters. Its log density and its simulation here share no
code with PyMC, so that each can check the other. Which engine serves a family is for `inference` to say.
"""

from speclet_formula.families.registry import (
    DEFAULT_FAMILY,
    FAMILIES,
    check_response,
    draw_response,
    expected_response,
    families_with,
    family_of_levels,
    family_of_response,
    has_known_errors,
    has_levels,
    inverse_link,
    inverse_parameter_link,
    is_linear,
    is_of_levels,
    is_ordinal,
    is_unordered,
    log_density,
    parameter_link,
    resolve_family,
    specification_of,
    weighted,
)
from speclet_formula.families.specification import Family, FamilySpecification, Parameters

__all__ = [
    "DEFAULT_FAMILY",
    "FAMILIES",
    "Family",
    "FamilySpecification",
    "Parameters",
    "check_response",
    "draw_response",
    "expected_response",
    "families_with",
    "family_of_levels",
    "family_of_response",
    "has_known_errors",
    "has_levels",
    "inverse_link",
    "inverse_parameter_link",
    "is_linear",
    "is_of_levels",
    "is_ordinal",
    "is_unordered",
    "log_density",
    "parameter_link",
    "resolve_family",
    "specification_of",
    "weighted",
]
