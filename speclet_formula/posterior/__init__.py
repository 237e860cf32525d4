"""What is known once a model is fitted: draws or estimates, their tables, their trustworthiness, their file.

Making them is left to `inference`.
"""

from speclet_formula.posterior.fit import Fit, PointFit

__all__ = ["Fit", "PointFit"]
