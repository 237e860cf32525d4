"""Laplace's distribution around its median: a response whose outliers an absolute error takes as they are."""

from typing import Any

import numpy as np

from speclet_formula.families.links import REAL
from speclet_formula.families.specification import (
    Elsewhere,
    FamilySpecification,
    Measures,
    Parameter,
    Parameters,
    Spelling,
    Stated,
    Tails,
)

ROOT_2 = np.sqrt(2.0)


def _log_density(y: np.ndarray, median: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Fall by 1 for each b on either side."""
    return -np.abs(y - median) / p["b"] - np.log(2 * p["b"])


def _below(y: np.ndarray, median: np.ndarray, p: Parameters) -> np.ndarray:
    """Return log P(Y <= y): half an exponential tail on either side."""
    distance = (y - median) / p["b"]
    below = np.minimum(distance, 0.0) - np.log(2.0)
    return np.asarray(np.where(distance < 0, below, np.log1p(-0.5 * np.exp(-np.maximum(distance, 0.0)))))


def _weak(y: Measures) -> Stated:
    """Give the SD, b sqrt(2), the prior that sigma has of a gaussian response."""
    return "HalfStudentT", {"nu": 4, "sigma": y.sd / ROOT_2}


_B = Parameter(
    "b", "log",
    {
        "": ("HalfNormal", {"sigma": 1}),
        "weak": _weak,
        "brms": lambda y: ("HalfStudentT", {"nu": 3, "sigma": 2 * y.sd}),
        "rstanarm": ("Exponential", {"lam": 1}),
        "notebook": ("Exponential", {"lam": 1}),
    },
    Elsewhere("sigma", note="# sigma is b / 2: the intercept of its formula is smaller by log(2)"),
    brms_predictor=("StudentT", {"nu": 3, "mu": np.log(2.0), "sigma": 2.5}),
)  # fmt: skip

LAPLACE = FamilySpecification(
    "laplace", "mu", (_B,), REAL, "real",
    _log_density,
    lambda rng, median, p, _: rng.laplace(median, p["b"]),
    Spelling(
        "Laplace", ("mu", "b"), "asym_laplace",
        brms_fixed="quantile = 0.5", brms_note="# b is 2 sigma there",
    ),
    variance=lambda median, p, _: 2 * p["b"] ** 2 + 0 * median,
    tails=Tails(_below, lambda y, median, p: _below(-y, -median, p), 0),
    kink=lambda p: p["b"],
    aliases=("doubleexponential",),
)  # fmt: skip
