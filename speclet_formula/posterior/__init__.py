"""A model with its draws or estimates comes in; `Fit` or `PointFit` holds them and prints itself as lme4 would.

The numbers are those of `estimates` and `diagnostics`; making them is left to `inference`, saving to `storage`.
"""

from speclet_formula.posterior.point import PointFit
from speclet_formula.posterior.record import Fit

__all__ = ["Fit", "PointFit"]
