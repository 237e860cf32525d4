"""A fit goes in; R's tables come out: `fixef`, `ranef`, `coef`, `varcorr`, `sigma`, `ngrps`, `nobs` and `tidy`.

They read a model and its draws and know nothing of engines. Printing is left to `posterior` and `reporting`.
"""

from speclet_formula.estimates.effects import coef, family_parameters, fixef, ranef
from speclet_formula.estimates.explained import icc, r2
from speclet_formula.estimates.fitted import Fitted, ngrps, nobs
from speclet_formula.estimates.intervals import EstimateError, Interval
from speclet_formula.estimates.tidying import tidy
from speclet_formula.estimates.variances import sigma, varcorr

__all__ = [
    "EstimateError",
    "Fitted",
    "Interval",
    "coef",
    "family_parameters",
    "fixef",
    "icc",
    "ngrps",
    "nobs",
    "r2",
    "ranef",
    "sigma",
    "tidy",
    "varcorr",
]
