"""Compiled loops over rows that say how a log density bends with its linear predictor: one for each family.

Each fills `out` (4, n) with what `Curve.slopes` returns: the part of the log density that a linear predictor changes,
and its first, second and third derivative; those of unordered levels, in `levels`, have several linear predictors.
Importing this brings numba along, so that only `Curve` does, when it is asked. A link is told by its place in `LINKS`.
"""

from speclet_formula.families.kernels.counts import negativebinomial, poisson
from speclet_formula.families.kernels.levels import categorical, dirichlet_multinomial, multinomial
from speclet_formula.families.kernels.numbers import (
    exgaussian,
    gamma,
    gaussian,
    gaussian_with_errors,
    lognormal,
    t,
    vonmises,
    wald,
    weibull,
)
from speclet_formula.families.kernels.ordinal import cumulative, sratio
from speclet_formula.families.kernels.shares import beta, beta_binomial, binomial

__all__ = [
    "beta",
    "beta_binomial",
    "binomial",
    "categorical",
    "cumulative",
    "dirichlet_multinomial",
    "exgaussian",
    "gamma",
    "gaussian",
    "gaussian_with_errors",
    "lognormal",
    "multinomial",
    "negativebinomial",
    "poisson",
    "sratio",
    "t",
    "vonmises",
    "wald",
    "weibull",
]
