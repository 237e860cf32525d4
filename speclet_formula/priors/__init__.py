"""Priors: the slot table of a design from presets, dicts and TOML files, with densities and draws of its priors.

How a prior reaches a sampler is left to `inference`.
"""

from speclet_formula.priors.densities import draw, log_density, matrices_of, pairs_of, prior_sd
from speclet_formula.priors.presets import PRESETS
from speclet_formula.priors.prior import Prior, Slot
from speclet_formula.priors.slots import prior_of, read_priors, resolve_priors, slot_frame

__all__ = [
    "PRESETS",
    "Prior",
    "Slot",
    "draw",
    "log_density",
    "matrices_of",
    "pairs_of",
    "prior_of",
    "prior_sd",
    "read_priors",
    "resolve_priors",
    "slot_frame",
]
