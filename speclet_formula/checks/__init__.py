"""A model goes in: data that its priors or its posterior would make, and how much its priors matter, come out."""

from speclet_formula.checks.predictive import Predictive, posterior_predictive, prior_predictive
from speclet_formula.checks.prior_draws import prior_draws
from speclet_formula.checks.sensitivity import sensitivity
from speclet_formula.checks.singular import is_singular, near_singular

__all__ = [
    "Predictive",
    "is_singular",
    "near_singular",
    "posterior_predictive",
    "prior_draws",
    "prior_predictive",
    "sensitivity",
]
