"""Presets, dicts and TOML files come in; the slot table of a design, with densities and draws of its priors, goes out.

How a prior reaches a sampler is left to `inference`.
"""

from speclet_formula.priors.correlations import matrices_of, pairs_of
from speclet_formula.priors.densities import draw, log_density, prior_sd
from speclet_formula.priors.presets import PRESETS
from speclet_formula.priors.records import Prior, Slot, has_hyperpriors, has_mean, support_of
from speclet_formula.priors.slots import resolve_priors, slot_frame
from speclet_formula.priors.toml import prior_of, read_priors

__all__ = [
    "PRESETS",
    "Prior",
    "Slot",
    "draw",
    "has_hyperpriors",
    "has_mean",
    "log_density",
    "matrices_of",
    "pairs_of",
    "prior_of",
    "prior_sd",
    "read_priors",
    "resolve_priors",
    "slot_frame",
    "support_of",
]
