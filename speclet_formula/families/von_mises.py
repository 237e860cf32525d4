"""Von Mises' distribution of angles around a direction."""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import HALF_LOG_2PI, Curve, Drift, Numbers, Observations, Slopes
from speclet_formula.families.specification import KAPPA, Elsewhere, FamilySpecification, Parameters, Spelling


def _log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Concentrate as kappa grows."""
    return p["kappa"] * (np.cos(y - mean) - 1) - 2 * HALF_LOG_2PI - np.log(special.i0e(p["kappa"]))


_KAPPA = KAPPA.but(
    {"bambi": ("HalfStudentT", {"nu": 4, "sigma": 1}), "brms": ("Gamma", {"alpha": 2, "beta": 0.01})},
    brms=Elsewhere("kappa"),
    brms_predictor=("Normal", {"mu": 5, "sigma": 0.8}),
)


def _slopes(eta: np.ndarray, observed: Observations, numbers: Numbers) -> Slopes:
    (kappa,), rest = numbers, observed.response - eta
    bend, turn = kappa * np.cos(rest), kappa * np.sin(rest)
    return Slopes(-2 * kappa * np.sin(rest / 2) ** 2, turn, -bend, -turn)


def _constant(observed: Observations, numbers: Numbers) -> float:
    return -len(observed.response) * float(2 * HALF_LOG_2PI + np.log(special.i0e(numbers[0])))


def _drifts(eta: np.ndarray, observed: Observations, numbers: Numbers) -> tuple[Drift, ...]:
    (kappa,), (value, first, second, _) = numbers, _slopes(eta, observed, numbers)
    return (Drift(value - kappa * (special.i1e(kappa) / special.i0e(kappa) - 1), first, second),)


VON_MISES = FamilySpecification(
    "vonmises", "mu", (_KAPPA,), ("identity",), "angle",
    _log_density,
    lambda rng, mean, p, _: rng.vonmises(mean, p["kappa"]),
    Spelling("VonMises", ("mu", "kappa"), "von_mises", brms_link="tan_half"),
    curves={"identity": Curve(_constant, _slopes, "vonmises", "identity", _drifts)},
)  # fmt: skip
