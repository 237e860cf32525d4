"""The asymmetric Laplace distribution around its mode."""

from typing import Any

import numpy as np

from speclet_formula.families.links import REAL
from speclet_formula.families.specification import (
    KAPPA,
    Elsewhere,
    FamilySpecification,
    Parameter,
    Parameters,
    Spelling,
)


def _log_density(y: np.ndarray, mode: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Fall with the rates b kappa above and b / kappa below the mode."""
    b, kappa = p["b"], p["kappa"]
    distance = y - mode
    return np.log(b) - np.log(kappa + 1 / kappa) - b * np.where(distance >= 0, distance * kappa, -distance / kappa)


def _draw(rng: np.random.Generator, mode: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw the difference of two exponential numbers."""
    above, below = rng.exponential(size=(2, *np.shape(mode)))
    return mode + (above / p["kappa"] - below * p["kappa"]) / p["b"]


_B = Parameter(
    "b", "log",
    {
        "": ("HalfNormal", {"sigma": 1}),
        "weak": lambda y: ("HalfCauchy", {"beta": np.sqrt(2) / y.sd}),
    },
    Elsewhere("sigma", -1, "# sigma goes as 1 / b: its coefficients have the opposite sign"),
)  # fmt: skip
# brms has another parameter for the asymmetry, and no defaults for its formula that would serve this one.
_KAPPA = Parameter(
    "kappa", "log",
    {
        **KAPPA.defaults,
        "weak": ("LogNormal", {"mu": 0, "sigma": 1}),
        "bambi": ("HalfNormal", {"sigma": 1}),
        "brms": ("HalfNormal", {"sigma": 1}),
    },
    Elsewhere(
        "quantile",
        note="# not the same model: quantile is kappa^2 / (1 + kappa^2), and where it varies brms keeps another "
        "scale constant than b",
    ),
    guess=1.0,
)  # fmt: skip

ASYMMETRIC_LAPLACE = FamilySpecification(
    "asymmetriclaplace", "mu", (_B, _KAPPA), REAL, "real",
    _log_density, _draw,
    Spelling("AsymmetricLaplace", ("mu", "b", "kappa"), "asym_laplace"),
    lambda mode, p: mode - (p["kappa"] - 1 / p["kappa"]) / p["b"],
    kink=lambda p: 1 / p["b"],
    aliases=("asymlaplace",),
)  # fmt: skip
