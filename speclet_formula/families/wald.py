"""The inverse Gaussian distribution, Wald's: positive numbers with a long tail."""

from typing import Any

import numpy as np

from speclet_formula.families.links import HALF_LOG_2PI
from speclet_formula.families.parameters import LAM
from speclet_formula.families.specification import FamilySpecification, Parameters, Spelling


def _log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Inverse Gaussian with precision lam."""
    lam = p["lam"]
    return 0.5 * (np.log(lam) - 2 * HALF_LOG_2PI - 3 * np.log(y)) - lam * (y - mean) ** 2 / (2 * mean**2 * y)


WALD = FamilySpecification(
    "wald",
    "mu",
    (LAM.but({"weak": lambda y: ("HalfCauchy", {"beta": y.mean**3 / y.sd**2})}),),  # which has the response's units
    ("inverse_squared", "inverse", "identity", "log"),
    "positive",
    _log_density,
    lambda rng, mean, p, _: rng.wald(mean, p["lam"]),
    Spelling("InverseGaussian", ("mu", "lam"), "inverse.gaussian", "inverse.gaussian"),
    variance=lambda mean, p, _: mean**3 / p["lam"],
    deviance=lambda y, mean, _: (y - mean) ** 2 / (y * mean**2),
    aliases=("inversegaussian", "inversegauss"),
)
